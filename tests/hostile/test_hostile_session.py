"""A session against frames that no honest server sends: it never raises, and keeps little."""

from __future__ import annotations

import json

import pytest
from fuzz_frames import frames
from scenes import begun, done, frame, kept_bytes, provider, ready, spoken

from edge_agent.contract import events as e
from edge_agent.contract.pcm import silence
from edge_agent.realtime.protocol import session as session_module
from edge_agent.realtime.protocol.messages import FRAME_MAX_BYTES, PARTS_MAX
from edge_agent.realtime.protocol.session import NOTES_MAX, Phase, Session
from edge_agent.realtime.protocol.shapes import ID_MAX_CHARS
from edge_agent.realtime.protocol.tracking import ARGUMENTS_MAX_CHARS

OPENAI = provider("openai")
KEPT_MAX_BYTES = 3_000_000


def noted(session: Session, code: str) -> list[dict[str, object]]:
    return [fields for one, fields in session.take_notes() if one == code]


@pytest.mark.parametrize("seed", range(4))
def test_no_frame_makes_it_raise(seed: int) -> None:
    session = ready(OPENAI)
    heard = 0
    for text in frames(seed, 1000):
        heard += len(session.receive(text, 1.0))
        if session.phase is Phase.CLOSED:  # a fatal error was among them
            session = ready(OPENAI)
    assert heard > 50  # they are understood as far as they can be
    assert session.counts["unread"] == 0  # and our own faults are not how


def test_what_it_keeps_of_any_frames_is_little() -> None:
    session = ready(OPENAI)
    texts = list(frames(7, 3000))

    def flood() -> None:
        for text in texts:
            session.receive(text, 1.0)
            session.take_notes()
            session.take_outgoing()

    assert kept_bytes(flood) <= KEPT_MAX_BYTES


def test_a_fault_of_our_own_costs_one_event_and_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_value: object) -> int:
        raise ZeroDivisionError("the household's words")

    session = ready(OPENAI)
    monkeypatch.setattr(session_module, "count_of", broken)
    assert session.receive(frame("input_audio_buffer.speech_started"), 1.0) == []
    assert session.receive(begun("resp_1"), 1.0)
    assert session.counts["unread"] == 1
    [note] = noted(session, "link.garbage")
    assert note["type"] == "input_audio_buffer.speech_started"
    assert "ZeroDivisionError" in str(note["reason"])
    assert "household" not in str(note)


def test_two_minutes_of_sound_in_one_frame_are_taken_and_more_is_not() -> None:
    session = ready(OPENAI)
    [_, chunk] = session.receive(spoken("resp_1", "item_1", silence(120_000)), 1.0)
    assert isinstance(chunk, e.VoiceChunk)
    assert len(chunk.pcm24k) == 120_000 * 48
    assert session.receive(spoken("resp_1", "item_1", silence(180_000)), 1.0) == []
    [note] = noted(session, "link.garbage")
    assert note["reason"] == f"larger than {FRAME_MAX_BYTES >> 20} MiB"
    assert session.failure is None


def test_a_frame_of_too_many_parts_is_not_read() -> None:
    session = ready(OPENAI)
    many = [{"id": f"item_{n}"} for n in range(PARTS_MAX)]
    assert session.receive(done("resp_1", output=many), 1.0) == []
    [note] = noted(session, "link.garbage")
    assert note["reason"] == f"more than {PARTS_MAX} parts"


@pytest.mark.parametrize("length", [ID_MAX_CHARS, ID_MAX_CHARS + 1, 1_000_000])
def test_an_id_is_short_or_none(length: int) -> None:
    session = ready(OPENAI)
    name = "i" * length
    events = session.receive(begun(name), 1.0)
    events += session.receive(spoken("resp_1", name, silence(20)), 1.0)
    events += session.receive(frame("conversation.item.added", item={"id": name}), 1.0)
    told = [event for event in events if name in str(event)]
    assert len(told) == (3 if length <= ID_MAX_CHARS else 0)


def test_too_much_of_a_kind_is_noted_once_and_counted() -> None:
    session = ready(OPENAI)
    for number in range(1000):
        session.receive(spoken("resp_1", f"item_{number}", silence(10)), 1.0)
    assert noted(session, "link.too_much") == [{"what": "items"}]
    assert session.counts["over items"] > 500


def test_arguments_that_never_end_are_cut() -> None:
    call = {"type": "function_call", "name": "n" * 999, "status": "completed", "call_id": "c"}
    output = [{**call, "id": "i", "arguments": '{"a": "' + "a" * 500_000 + '"}'}]
    events = ready(OPENAI).receive(done("resp_1", output=output), 1.0)
    [ended] = [event for event in events if isinstance(event, e.ResponseEnded)]
    assert len(ended.calls[0].arguments) <= ARGUMENTS_MAX_CHARS
    with pytest.raises(json.JSONDecodeError):  # so the tool says that it is none
        json.loads(ended.calls[0].arguments)


def test_unknown_types_are_codes_and_noted_a_few_times() -> None:
    session = ready(OPENAI)
    session.receive(frame("The PIN is 4711"), 1.0)
    for number in range(500):
        session.receive(frame(f"odd.thing_{number}"), 1.0)
    notes = noted(session, "link.unknown_event")
    assert notes[0] == {"type": "other"}
    assert len(notes) <= NOTES_MAX
    assert session.counts["unknown"] == 501
