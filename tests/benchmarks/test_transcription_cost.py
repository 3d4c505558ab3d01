"""The table of what a transcript costs: counted by the server, one side question per turn."""

from __future__ import annotations

from benchmarks import transcription


def test_each_way_is_billed_for_what_it_does() -> None:
    out_of_band = transcription.measure("out_of_band", 1000, turns=2)
    assert len(out_of_band.asides) == 2
    assert {use.audio_in for use in out_of_band.asides} == {10}, "100 ms a token, and nothing else"
    assert all(use.cached_audio_in == use.audio_out == 0 for use in out_of_band.asides)
    built_in = transcription.measure("builtin", 1000, turns=2)
    assert built_in.asides == ()
    assert 2.0 <= built_in.sound_s < 2.3
    assert len(built_in.answers) == len(out_of_band.answers) == 2


def test_the_page_shows_every_price_it_used() -> None:
    table = transcription.rows(turns=1, lengths=(1000,))
    page = transcription.report(table, "the command")
    assert len(table) == 1
    assert table[0] in page
    assert len(table[0].split("|")) == len(page.split("\n")[4].split("|"))
    assert all(name in page for name in (*transcription.MODELS, *transcription.TRANSCRIBERS))
