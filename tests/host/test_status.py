"""Status: every state in plain words, and through JSON without loss."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.dialogue.state import Link, Microphone, Talk
from edge_agent.host.service.status import Failure, Status, duration, from_plain, in_words, usd

GOOD = Status(
    version="0.1.0",
    link="ready",
    provider="openai",
    model="gpt-realtime-2.1",
    device_present=True,
    capture_name="USB Mic",
    render_name="Headphones",
    volume_percent=70,
    uptime_s=3_725,
    answers=12,
    tokens_in=9000,
    tokens_cached=7000,
    tokens_out=3000,
    cost_microusd=412_345,
)


def words(status: Status) -> dict[str, str]:
    return dict(in_words(status))


def test_a_good_day_in_words() -> None:
    assert words(GOOD) == {
        "Doing": "asleep; it waits for its wake word or the button, and nothing leaves the house",
        "Microphone": "on",
        "Connection": "ready (openai, gpt-realtime-2.1)",
        "Sound": "USB Mic in, Headphones out",
        "Volume": "70 %",
        "Today": "12 answers, 9000 tokens in (7000 of them cached) and 3000 out, 0.4123 USD",
        "Running for": "1 h 2 min",
        "Hitches": "none",
        "Program": "edge-agent 0.1.0",
    }


def test_why_it_is_these_devices_in_words() -> None:
    known = replace(GOOD, capture_why="USB", render_why="headphone jack")
    assert words(known)["Chosen"] == "microphone: USB; loudspeaker: headphone jack"
    assert words(replace(known, capture_closed=True))["Chosen"] == "loudspeaker: headphone jack"
    assert "Chosen" not in words(replace(known, device_present=False))


def test_a_long_silence_of_the_microphone_is_shown_and_accuses_nobody() -> None:
    silent = replace(GOOD, mic_silent_s=720.0)
    assert words(silent)["Microphone"] == (
        "on; for 12 min all silent: a noise gate in a quiet room, or it is switched off"
    )
    assert words(replace(silent, microphone="muted"))["Microphone"].startswith("off (muted")


def test_a_limit_of_loudness_in_words() -> None:
    assert words(replace(GOOD, volume_max_percent=80))["Volume"] == "70 % (80 % at most)"


def test_how_late_pings_are_answered_in_words() -> None:
    known = replace(GOOD, pongs=400, pong_p50_ms=45, pong_p99_ms=210, pong_limit_s=4.9)
    told = "answered within 45 ms as a rule, 99 of 100 within 210 ms; a turn waits 4.9 s for one"
    assert words(known)["Pings"] == told
    assert words(replace(known, healthy_cuts=1))["Pings"] == f"{told}; too little once"


def test_a_bad_day_in_words() -> None:
    bad = Status(
        microphone="muted",
        link_code="link.dns",
        link_retry_in_s=12.4,
        failure=Failure(code="link.dns", message="No name.", fix="See the router.", ago_s=65),
        underruns=3,
        drops={"capture": 4, "inbox": 0},
    )
    assert words(bad) == {
        "Doing": "asleep, and its microphone is off",
        "Microphone": "off (muted); `edge-agent mute off` opens it",
        "Connection": "down: link.dns; it keeps trying; next try in 12 s",
        "Sound": "no sound device; it looks for one (names: edge-agent devices)",
        "Volume": "0 %",
        "Last trouble": "No name. [link.dns] 1 min 5 s ago",
        "What to do": "See the router.",
        "Today": "no answers yet",
        "Running for": "0 s",
        "Hitches": "the loudspeaker ran dry 3 times; 4 dropped in capture",
    }


def test_a_closed_microphone_in_words() -> None:
    deaf = Status(microphone="muted", device_present=True, capture_closed=True, render_name="box")
    said = words(deaf)
    assert said["Microphone"].startswith("off (muted, and closed: nothing records)")
    assert said["Sound"] == "nothing in, box out"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("response.insufficient_quota", "credit is used up"),
        ("response.server_overloaded", "passes by itself"),
        ("talk.no_answer", "silent for too long"),
    ],
)
def test_trouble_without_a_remedy_is_explained(code: str, meaning: str) -> None:
    told = words(replace(GOOD, failure=Failure(code=code, message="Sorry.", ago_s=5)))
    assert told["Last trouble"] == f"Sorry. [{code}] 5 s ago"
    assert meaning in told["What it means"]
    unknown = words(replace(GOOD, failure=Failure(code="response.new_word")))
    assert "What it means" not in unknown


@pytest.mark.parametrize(
    ("change", "end"),
    [
        ({"unpriced": 12}, "at a cost that is not known (no price for the model)"),
        ({"unpriced": 2}, "0.4123 USD, and 2 of unknown cost"),
        ({"cap_microusd": 2_000_000}, "0.4123 USD, of 2.00 USD a day"),
        (
            {"cap_microusd": 2_000_000, "unpriced": 2},
            "0.4123 USD, and 2 of unknown cost, of 2.00 USD a day, which cannot be kept to "
            "without all prices",
        ),
        (
            {"cap_microusd": 400_000},
            "0.4123 USD, of 0.4000 USD a day: spent, until midnight only with the button held",
        ),
    ],
)
def test_money_in_words(change: dict[str, int], end: str) -> None:
    status = from_plain(GOOD.plain() | change)
    assert words(status)["Today"].endswith(f"3000 out, {end}")


def test_guest_mode_is_told_with_the_way_out() -> None:
    assert "Guests" not in words(Status())
    assert words(Status(guest=True))["Guests"].endswith("`edge-agent guest off` ends it")


def test_every_state_of_the_dialogue_has_words() -> None:
    for talk in Talk:
        assert words(Status(talk=talk.value))["Doing"] != talk.value or talk.value == "speaking"
    for link in Link:
        assert words(Status(link=link.value))["Connection"]
    assert {m.value for m in Microphone} == {"open", "muted"}
    assert words(Status(link_refused=True))["Connection"].startswith("refused; somebody")


def test_it_survives_json_and_other_versions() -> None:
    status = from_plain(GOOD.plain() | {"failure": {"code": "a.b", "colour": "red"}, "new": 3})
    assert status.failure == Failure(code="a.b")
    assert from_plain(json.loads(json.dumps(status.plain()))) == status
    assert from_plain({}) == Status()


@given(st.integers(0, 10**13), st.floats(-5, 10**9))
def test_amounts_and_spans_are_short(microusd: int, seconds: float) -> None:
    assert usd(microusd).endswith(" USD")
    assert len(duration(seconds)) < 20
    assert duration(seconds)[0].isdigit()


def test_every_field_has_a_default() -> None:
    assert all(f.name in Status().plain() for f in fields(Status))


def test_oddities_of_the_line_and_unwritten_turns_are_told() -> None:
    """All of them for programs; for people what somebody should look into."""
    odd = {"ignored": 900, "benign": 3, "transcription_failed": 2, "malformed": 1, "over items": 5}
    status = replace(GOOD, oddities=odd, unwritten=4)
    assert status.plain()["oddities"] == odd
    assert from_plain(json.loads(json.dumps(status.plain()))) == status
    assert words(status)["Hitches"] == (
        "what was said was not written down 4 times (see realtime.transcription); the provider's "
        "transcriber failed 2 times; the provider sent what makes no sense once; the provider "
        "sent too much of something 5 times"
    )
    assert words(replace(GOOD, oddities={"ignored": 900, "benign": 3}))["Hitches"] == "none"


def test_what_is_wrong_with_the_sound_in_words() -> None:
    loud = replace(GOOD, echo="found", echo_quieter_db=23, mic_clipped=4, mic_lost=1, underflows=2)
    assert words(loud)["Echo"] == "our own voice is 23 dB quieter in the microphone"
    assert words(loud)["Hitches"] == (
        "the microphone was too loud (turn its gain down) 4 times; sound of the microphone was "
        "lost once; the sound system had nothing to play 2 times"
    )
    for state, said in (("none", "does not reach"), ("searching", "not found"), ("off", "not")):
        assert said in words(replace(GOOD, echo=state))["Echo"]
    assert "Echo" not in words(replace(GOOD, echo="searching", device_present=False))
