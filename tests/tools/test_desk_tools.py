"""Desk tools: what the model is told, and what was really heard of an answer."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.commands import Command, PlayVoice
from edge_agent.contract.errors import (
    AgentError,
    ConfigError,
    LinkBusy,
    LinkLost,
    LinkRefused,
    ToolError,
)
from edge_agent.contract.events import Event, PlaybackCut, UserTurnCommitted, VoiceText
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS
from edge_agent.contract.risk import Risk
from edge_agent.tools.desk_tools import (
    LEFT,
    answer_tool,
    leave_message_tool,
    no_answer,
    repeat_tool,
)
from edge_agent.tools.last_answer import PARTS_MAX, TEXT_MAX_CHARS, LastAnswer, Said
from edge_agent.tools.registry import Behaviour

# --- the stronger model --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LinkLost("secret", code="link.timeout"), "took too long"),
        (LinkLost("secret", code="link.dns"), "cannot be reached"),
        (LinkLost("secret", code="link.garbage"), "cannot be reached"),
        (LinkBusy("secret"), "overloaded"),
        (LinkRefused("secret", code="link.bad_key"), "only the owner"),
        (LinkRefused("secret", code="link.no_quota"), "only the owner"),
        (ConfigError("secret"), "only the owner"),
        (AgentError("secret", code="text_model.refused"), "only the owner"),
        (AgentError("secret", code="text_model.cut"), "no end"),
        (AgentError("secret", code="text_model.filtered"), "declined"),
    ],
)
def test_every_failure_has_words_that_can_be_spoken(error: AgentError, words: str) -> None:
    text = no_answer(error)
    assert words in text
    assert "Say" in text
    assert "secret" not in text
    # The household hears of no second model.
    assert not re.search(r"stronger|supervisor|other service", text, re.I)


def test_what_the_desk_tools_are_declared_as() -> None:
    nobody: Any = None
    answer, leave = answer_tool(nobody, 20.0), leave_message_tool(nobody)
    assert (answer.behaviour, answer.cancellable, answer.timeout_s) == (
        Behaviour.PREAMBLE,
        True,
        22.0,
    )
    assert not leave.cancellable
    told = " ".join(leave.description.split())
    assert "If they want an answer, ask once for a number and a good time to call back." in told
    for tool in (answer, leave):
        assert set(tool.translated) == {"de", "fr", "es", "it"}
        assert {len(said) for said in tool.translated.values()} == {len(tool.samples)}
    # A guest, who is asked for no consent, must be able to use it.
    assert leave.risk is Risk.LOW
    with pytest.raises(ToolError):
        answer.validate('{"question": ""}')
    with pytest.raises(ToolError):
        leave.validate('{"text": "x", "urgency": "mortal"}')
    with pytest.raises(ToolError):
        leave.validate(f'{{"text": "{"x" * 1001}"}}')


def test_nobody_is_told_that_a_message_was_sent_when_it_was_not() -> None:
    assert [name for name, text in LEFT.items() if "Sent" in text] == ["sent"]
    assert all(
        "tell" in LEFT[k] or "Say" in LEFT[k] or "say" in LEFT[k] for k in ("kept", "memory")
    )


# --- the last answer -----------------------------------------------------------------------


def show(last: LastAnswer, event: Event, *commands: Command) -> None:
    last.on_event(event, list(commands), 0.0)


def say(last: LastAnswer, item: str, text: str, sound_ms: int = 1000) -> None:
    show(
        last,
        VoiceText(at=0, response="r", item=item, text=text),
        PlayVoice(item, bytes(sound_ms * WIRE_BYTES_PER_MS)),
    )


def turn(last: LastAnswer) -> None:
    show(last, UserTurnCommitted(at=0, item="u"))


def test_what_was_said_before_the_present_turn() -> None:
    last = LastAnswer()
    tool = repeat_tool(last)
    assert tool.function() == "You have not said anything yet."
    turn(last)
    assert last.said is None
    say(last, "a", "It is ")
    say(last, "a", "three.")
    say(last, "b", "Tea?")
    assert last.said is None  # that is the present answer
    turn(last)
    assert tool.function() == {"heard": "It is three. Tea?"}
    say(last, "c", "One moment.")  # while the tool is called
    assert tool.function() == {"heard": "It is three. Tea?"}
    turn(last)
    turn(last)  # somebody said nothing that was answered
    assert tool.function() == {"heard": "One moment."}


def test_what_was_cut_is_told_as_not_heard() -> None:
    last = LastAnswer()
    say(last, "a", "First the flour and then the milk", 2000)
    say(last, "b", "and eggs", 1000)
    show(last, PlaybackCut(at=0, item="a", played_ms=1000, never_started=("b",)))
    turn(last)
    assert last.said == Said("First the flour", "and then the milk and eggs")
    assert repeat_tool(last).function() == {
        "heard": "First the flour",
        "cut_off": True,
        "not_heard": "and then the milk and eggs",
    }


def test_an_answer_that_nobody_heard_is_told_as_such() -> None:
    last = LastAnswer()
    say(last, "a", "Hello there")
    show(last, PlaybackCut(at=0, item=None, played_ms=0, never_started=("a",)))
    turn(last)
    assert last.said == Said("", "Hello there")


def test_words_without_sound_were_not_said() -> None:
    last = LastAnswer()
    show(last, VoiceText(at=0, response="r", item="a", text="Nobody wanted this"))
    turn(last)
    assert last.said is None


def test_it_is_bounded() -> None:
    last = LastAnswer()
    for number in range(PARTS_MAX * 2):
        say(last, f"i{number}", "x" * TEXT_MAX_CHARS * 2, 1)
    turn(last)
    assert last.said is not None
    assert len(last.said.heard) <= PARTS_MAX * (TEXT_MAX_CHARS + 1)


words = st.text("ab c", min_size=1, max_size=30).filter(str.strip)


@given(st.lists(words, min_size=1, max_size=4), st.integers(0, 3), st.floats(-10, 2000))
def test_no_word_is_lost_or_doubled(texts: list[str], cut: int, played_ms: float) -> None:
    last = LastAnswer()
    items = [f"i{number}" for number in range(len(texts))]
    for item, text in zip(items, texts, strict=True):
        say(last, item, text)
    cut = min(cut, len(items) - 1)
    gone = tuple(items[cut + 1 :])
    show(last, PlaybackCut(at=0, item=items[cut], played_ms=played_ms, never_started=gone))
    turn(last)
    assert last.said is not None
    together = f"{last.said.heard} {last.said.unheard}".split()
    in_order = "".join(together) == "".join("".join(texts).split())
    # The rest of a part that was cut may stand behind a later part that was heard: never here.
    assert in_order
