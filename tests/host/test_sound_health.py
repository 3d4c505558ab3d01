"""Sound health: what the admin is told of microphone, loudspeaker and echo, and how often."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.host.journal.messages import MESSAGES
from edge_agent.host.service.sound_health import (
    ADVICE_PAUSE_S,
    CLIPPED_SAMPLES,
    CLIPS_FOR_S,
    HOLES_PAUSE_S,
    Notes,
    SoundCounters,
    SoundJudge,
)

QUIET = SoundCounters(opened=1)


def clipping(judge: SoundJudge, times: list[float], samples: int = CLIPPED_SAMPLES) -> list[float]:
    """Look at these times, each with more clipped samples; returns when it was told."""
    told = []
    for number, at in enumerate(times, 1):
        notes = judge.look(replace(QUIET, clipped=number * samples), at)
        assert all(code == "audio.clipped" for code, _ in notes)
        told += [at] * len(notes)
    return told


def test_a_gain_that_is_too_high_is_told_once_in_six_hours() -> None:
    judge = SoundJudge()
    seconds = [float(at) for at in range(1, int(2 * ADVICE_PAUSE_S) + 2, 5)]
    assert clipping(judge, seconds) == [11.0, 11.0 + ADVICE_PAUSE_S]
    assert judge.loud_looks == len(seconds)


def test_a_gain_that_is_too_high_is_a_sign_until_it_was_not_for_a_while() -> None:
    judge = SoundJudge()
    clipping(judge, [1.0, 2.0])
    assert judge.signs == ()
    clipping(judge, [3.0, 4.0])
    for at, signs in ((5.0, 1), (4.0 + CLIPS_FOR_S - 1, 1), (4.0 + CLIPS_FOR_S, 0)):
        judge.look(replace(QUIET, clipped=2 * CLIPPED_SAMPLES), at)
        assert judge.signs == ("audio.clipped",) * signs


def test_a_door_that_slams_now_and_then_is_no_gain() -> None:
    assert clipping(SoundJudge(), [at * 40.0 for at in range(200)]) == []
    assert clipping(SoundJudge(), [float(at) for at in range(200)], CLIPPED_SAMPLES - 1) == []


def test_holes_are_told_once_a_minute_and_none_is_forgotten() -> None:
    judge = SoundJudge()
    told: dict[str, list[tuple[float, object]]] = {"audio.mic_lost": [], "audio.underflow": []}
    for at in range(1, 200):
        counters = replace(QUIET, overflows=at, underflows=2 * at, playback_frames=at, echo="off")
        for code, fields in judge.look(counters, float(at)):
            told[code].append((at, fields["count"]))
    step = int(HOLES_PAUSE_S)
    times = [1, 1 + step, 1 + 2 * step, 1 + 3 * step]
    assert told["audio.mic_lost"] == [(t, 1 if t == 1 else step) for t in times]
    assert told["audio.underflow"] == [(t, 2 if t == 1 else 2 * step) for t in times]


def test_an_idle_speaker_has_no_hitch_that_nobody_could_hear() -> None:
    judge = SoundJudge()
    for at in range(1, 100):
        assert judge.look(replace(QUIET, underflows=at), float(at)) == []
    assert judge.underflows == 0
    [(code, fields)] = judge.look(replace(QUIET, underflows=102, playback_frames=5), 100.0)
    assert (code, fields, judge.underflows) == ("audio.underflow", {"count": 3}, 3)


def spoken(judge: SoundJudge, *moments: tuple[int, str, float]) -> Notes:
    """Looks with (frames of our voice so far, echo, ERLE)."""
    notes: Notes = []
    for frames, echo, erle_db in moments:
        counters = replace(QUIET, playback_frames=frames, echo=echo, erle_db=erle_db)
        notes += judge.look(counters, 0.0)
    return notes


def test_the_echo_is_told_after_the_playback_that_showed_it() -> None:
    judge = SoundJudge()
    assert spoken(judge, (0, "searching", 0), (100, "found", 0), (200, "found", 0)) == []
    assert spoken(judge, (200, "found", 21.6)) == [("echo.found", {"erle_db": 22})]
    assert spoken(judge, (900, "found", 21.6), (900, "found", 12.0)) == []
    again = replace(QUIET, opened=2, playback_frames=900, echo="searching")
    assert judge.look(again, 0.0) == []
    assert judge.look(replace(again, playback_frames=1000), 0.0) == []
    notes = judge.look(replace(again, playback_frames=1000, echo="none"), 0.0)
    assert notes == [("echo.none", {})]


def test_an_echo_that_is_not_found_is_told_and_so_is_its_end() -> None:
    judge = SoundJudge()
    frames = [(n, "searching", 0.0) for n in range(0, 1500, 100)]
    assert spoken(judge, *frames) == [("echo.not_found", {"seconds": 10})]
    assert spoken(judge, (1500, "found", 9.0)) == []
    assert spoken(judge, (1500, "found", 9.0)) == [("echo.found", {"erle_db": 9})]


def test_who_never_speaks_or_does_not_cancel_is_told_nothing() -> None:
    assert spoken(SoundJudge(), *[(0, "none", 0.0)] * 50) == []
    assert spoken(SoundJudge(), *[(n * 100, "off", 0.0) for n in range(50)]) == []


@given(
    st.lists(
        st.builds(
            SoundCounters,
            opened=st.integers(0, 2),
            clipped=st.integers(0, 100),
            overflows=st.integers(0, 5),
            underflows=st.integers(0, 5),
            playback_frames=st.integers(0, 3000),
            echo=st.sampled_from(["found", "none", "searching", "off"]),
            erle_db=st.floats(-10, 60),
        ),
        max_size=60,
    )
)
def test_every_line_is_in_the_catalogue_and_none_is_repeated_at_once(
    looks: list[SoundCounters],
) -> None:
    judge = SoundJudge()
    for at, counters in enumerate(looks):
        codes = [code for code, _ in judge.look(counters, float(at))]
        assert len(codes) == len(set(codes))
        assert set(codes) <= set(MESSAGES)
