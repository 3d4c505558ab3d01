"""Known breaks of the bounds: memory, the loop and the journal against a server (F10, F11, F14).

The real figures are in gigabytes; here the missing bound is shown with small ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from house_config import household_provider
from known import given
from scenes import (
    Home,
    begun,
    done,
    error,
    failed,
    frame,
    kept_bytes,
    peak_bytes,
    ready,
    spoken,
    written,
)

from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import silence
from edge_agent.realtime.protocol.tracking import TAG_KEY, Track

OPENAI = household_provider()

CALLS_MAX = 128
"""Of one response; a model that wants more in one breath is broken."""
ITEMS_MAX = 256
"""Of one response."""
ANSWER_TEXT_MAX_CHARS = 50_000
"""Ten minutes of speech, the most that the speaker will ever queue, are some 10,000."""
SIDE_TEXT_MAX_BYTES = 500_000
TRACKED_MAX_BYTES = 500_000
"""Room for 256 responses."""
SENTENCES_MAX = 3
LINES_MAX = 60
"""Journal lines in one session that a server can cause at will."""


# --- F10: memory and loop --------------------------------------------------------------


def test_one_long_delta_costs_little_more_memory_than_its_sound() -> None:
    playout = Playout()
    playout.open(48_000, 0.02)
    playout.voice("warm", silence(100))
    pcm24k = silence(10_000)
    peak = peak_bytes(lambda: playout.voice("item", pcm24k))
    given(playout.queued_s > 10, "the sound is queued")
    assert peak < 12_000_000  # the sound at 48 kHz is 1 MB


def test_a_thousand_calls_in_one_response() -> None:
    call = {"type": "function_call", "name": "clock", "status": "completed", "arguments": "{}"}
    output = [{**call, "id": f"item_{n}", "call_id": f"call_{n}"} for n in range(1000)]
    events = ready(OPENAI).receive(done("resp_1", output=output), 1.0)
    [ended] = [event for event in events if isinstance(event, e.ResponseEnded)]
    given(ended.calls, "calls are understood")
    assert len(ended.calls) <= CALLS_MAX


def test_a_thousand_items_in_one_response() -> None:
    session = ready(OPENAI)
    session.receive(begun("resp_1"), 1.0)
    for number in range(1000):
        session.receive(spoken("resp_1", f"item_{number}", silence(10)), 1.0)
    events = session.receive(done("resp_1"), 1.0)
    [ended] = [event for event in events if isinstance(event, e.ResponseEnded)]
    given(ended.items, "items are remembered")
    assert len(ended.items) <= ITEMS_MAX


class Counted(str):
    """An id that counts how often it is compared with another."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_items_are_looked_up_and_not_searched_for() -> None:
    track = Track("resp_1")
    Counted.compared = 0
    for number in range(200):
        track.note_item(Counted(f"item_{number}"))
    assert Counted.compared <= 2000


def test_a_side_answer_that_never_ends() -> None:
    session = ready(OPENAI)
    session.command(c.AskSideQuestion("notes_1", "Take notes."))
    session.receive(begun("resp_1", metadata={TAG_KEY: "notes_1"}), 1.0)
    text = "and " * 2500

    def flood() -> None:
        for _ in range(200):
            session.receive(
                frame("response.output_text.delta", response_id="resp_1", item_id="i", delta=text),
                1.0,
            )

    assert kept_bytes(flood) <= SIDE_TEXT_MAX_BYTES  # 2 MB came


def test_responses_that_are_announced_and_never_done() -> None:
    session = ready(OPENAI)

    def flood() -> None:
        for number in range(4000):
            session.receive(begun(f"resp_{number}"), 1.0)

    assert kept_bytes(flood) <= TRACKED_MAX_BYTES


def test_failed_answers_that_nobody_asked_for_are_not_told_one_by_one() -> None:
    home = Home()
    said = home.hear(text for n in range(50) for text in (begun(f"resp_{n}"), failed(f"resp_{n}")))
    assert sum(isinstance(command, c.PlaySentence) for command in said) <= SENTENCES_MAX


def test_a_transcript_that_never_ends() -> None:
    home = Home()
    home.house.wake_word(0.5)
    home.house.says(0.6, 1.6)
    home.house.run(1.7)
    home.house.server.stalled = True  # the answer comes from elsewhere
    home.house.run(2.2)
    text = (written("resp_x", "item_x", "and " * 2500) for _ in range(100))
    home.hear([begun("resp_x"), spoken("resp_x", "item_x", silence(300)), *text])
    house = home.house
    house.run(2.4)
    before = house.now
    house.drop()
    house.connect()
    told = [m for m in house.did(c.AddMessage, before) if m.role == "assistant"]
    given(told, "a fresh session is told of the answer")
    assert max(len(message.text) for message in told) <= ANSWER_TEXT_MAX_CHARS


# --- F11: the journal ------------------------------------------------------------------


def complaints() -> Iterator[str]:
    return (error(code=f"odd_{n}", message="It is odd.") for n in range(500))


def garbage() -> Iterator[str]:
    return itertools.chain.from_iterable(("{", frame("rate_limits.updated")) for _ in range(500))


def failures() -> Iterator[str]:
    return (failed(f"resp_{n}") for n in range(500))


@pytest.mark.parametrize(
    ("flood", "code"),
    [
        pytest.param(
            complaints,
            "server.complaint",
        ),
        pytest.param(
            garbage,
            "link.garbage",
        ),
        pytest.param(
            failures,
            "response.unasked",
        ),
    ],
)
def test_a_server_cannot_fill_the_journal(flood: Callable[[], Iterator[str]], code: str) -> None:
    home = Home()
    home.hear(flood())
    given(home.noted(code), "it is noted at all")
    assert home.noted(code) <= LINES_MAX


# --- F14: never raise ------------------------------------------------------------------

HUGE = 10**400


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            text,
            id=name,
        )
        for name, text in {
            "usage": done("resp_1", usage={"input_tokens": HUGE}),
            "cached": done(
                "resp_1", usage={"input_token_details": {"cached_tokens": HUGE, "text_tokens": 1}}
            ),
            "speech_started": frame("input_audio_buffer.speech_started", audio_start_ms=HUGE),
            "speech_stopped": frame("input_audio_buffer.speech_stopped", audio_end_ms=HUGE),
        }.items()
    ],
)
def test_a_huge_number_does_not_end_the_session(text: str) -> None:
    session = ready(OPENAI)
    assert session.receive(text, 1.0)
    assert session.failure is None
