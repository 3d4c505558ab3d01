"""A session against frames that no honest server sends: it never raises, and keeps little."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping

import pytest
from fuzz_frames import frames
from house_config import household_provider, household_session, household_timings
from scenes import CREATED, UPDATED, begun, done, frame, kept_bytes, ready, sound, spoken

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import silence
from edge_agent.contract.ports import Wire
from edge_agent.realtime.link.channel import CONTROL_MAX, SLICE_BYTES
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.link.liveness import HALF_OPEN
from edge_agent.realtime.protocol import turns as turns_module
from edge_agent.realtime.protocol.messages import FRAME_MAX_BYTES, PARTS_MAX
from edge_agent.realtime.protocol.session import NOTES_MAX, Phase, Session
from edge_agent.realtime.protocol.shapes import ID_MAX_CHARS
from edge_agent.realtime.protocol.tracking import ARGUMENTS_MAX_CHARS
from edge_agent.simulation.clock import run
from edge_agent.simulation.wire import memory_wire_pair

OPENAI = household_provider()
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
    monkeypatch.setattr(turns_module, "count_of", broken)
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


# --- the link around it --------------------------------------------------------------------


def linked(frames_said: list[str], asks: int) -> tuple[list[e.Event], list[int]]:
    """What a link tells of a server that says this and never reads on, and others' turns then."""
    events: list[e.Event] = []
    turns: list[int] = []

    async def serve(wire: Wire) -> None:
        await wire.send(CREATED)
        await wire.receive()
        for text in (UPDATED, *frames_said):
            await wire.send(text)
        await asyncio.sleep(0.5)
        await wire.send(begun("resp_9"))

    async def dial(url: str, headers: Mapping[str, str]) -> Wire:
        del url, headers
        near, far = memory_wire_pair()
        near_send = near.send

        async def stuck(text: str) -> None:
            await (near_send(text) if "session.update" in text else asyncio.Event().wait())

        near.send = stuck  # type: ignore[method-assign, assignment]
        serving.append(asyncio.ensure_future(serve(far)))
        return near

    serving: list[asyncio.Future[None]] = []

    async def main() -> None:
        is_ready = asyncio.Event()
        rounds: list[None] = []

        def post(event: e.Event) -> None:
            events.append(event)
            turns.append(len(rounds))
            if isinstance(event, e.LinkReady):
                is_ready.set()

        link = RealtimeLink(
            dial=dial,
            provider=household_provider(),
            config=household_session(turn_detection=None),
            timings=household_timings(),
            key=lambda: "sk-test",
            post=post,
            note=lambda _code, **_fields: None,
            rng=random.Random(1),
        )
        running = asyncio.create_task(link.run())
        await is_ready.wait()
        for _ in range(asks):
            link.execute(c.CancelResponse("resp_1"))
        for _ in range(1000):
            rounds.append(None)
            await asyncio.sleep(0)
        await asyncio.sleep(1.0)
        await link.close()
        await running
        for one in serving:
            one.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    run(main())
    return events, turns


def test_two_minutes_of_sound_are_handed_on_a_second_at_a_time() -> None:
    events, turns = linked([begun("resp_1"), spoken("resp_1", "item_1", silence(120_000))], 0)
    chunks = sound(events)
    assert sum(len(chunk.pcm24k) for chunk in chunks) == 120_000 * 48
    assert max(len(chunk.pcm24k) for chunk in chunks) <= SLICE_BYTES
    assert len(set(turns)) >= 120  # others have their turn in between


def test_a_server_that_makes_us_say_more_than_it_takes_is_left() -> None:
    quiet, _ = linked([begun("resp_1")], CONTROL_MAX // 2)
    assert not [event for event in quiet if isinstance(event, e.LinkDown)]
    events, _ = linked([begun("resp_1"), begun("resp_2")], CONTROL_MAX + 10)
    downs = [event for event in events if isinstance(event, e.LinkDown)]
    assert downs[0].code == HALF_OPEN
