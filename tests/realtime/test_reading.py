"""The reader over the real link, in virtual time: what a text comes to, also in trouble."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Awaitable, Callable, Iterator

import pytest
from house_config import household_provider, household_session, household_timings
from realtime_service import ReadsAloud, hum

from edge_agent.contract.errors import LinkBusy, LinkError, LinkLost, LinkRefused
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.reading import (
    ANSWER_MAX_S,
    READ_MAX_BYTES,
    SILENT_MAX_S,
    Reader,
    Reading,
)
from edge_agent.simulation.brains import Brain, Call, Reply, Speech, Turn
from edge_agent.simulation.clock import run
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.traits import TRAITS, Pause, Saying, Trait
from edge_agent.simulation.wire import MemoryNetwork

URL = "ws://127.0.0.1/v1/realtime"
TEXT, NEXT = "I am muted.", "I am awake."


class Room:
    """A reader, the server that it talks to, and what is read."""

    def __init__(self, service: str | Trait) -> None:
        name, trait = (service, TRAITS.get(service)) if isinstance(service, str) else ("", service)
        self.brain = ReadsAloud()
        self.server = RealtimeServer(self.brain, traits=[trait] if trait else [])
        self.reader = Reader(
            lambda post: RealtimeLink(
                timings=household_timings(),
                dial=MemoryNetwork(self.server),
                provider=household_provider(name or "openai"),
                config=household_session(turn_detection=None, instructions="Read aloud."),
                key=lambda: "a-key",
                post=post,
                note=lambda _code, **_fields: None,
                rng=random.Random(1),
                url=URL,
            )
        )

    async def fails(self, text: str = TEXT) -> LinkError:
        with pytest.raises(LinkError) as caught:
            await self.reader.read(text)
        return caught.value


def play(act: Callable[[Room], Awaitable[None]], service: str | Trait = "") -> Room:
    """What `act` sees in a house of its own; the reader is closed behind it.  `service`: as it was
    recorded, or of this kind."""
    rooms: list[Room] = []

    async def main() -> None:
        rooms.append(Room(service))
        try:
            await act(rooms[0])
        finally:
            await rooms[0].reader.close()

    run(main())
    return rooms[0]


def test_what_is_read_comes_whole_and_leaves_nothing_behind() -> None:
    async def act(room: Room) -> None:
        assert await room.reader.read(TEXT) == Reading(hum(TEXT), TEXT, "completed")
        assert await room.reader.read(NEXT) == Reading(hum(NEXT), NEXT, "completed")

    assert [turn.items_total for turn in play(act).brain.turns] == [1, 1]


@pytest.mark.parametrize("service", ["openai", "azure", "xai", "localai", "speaches"])
def test_every_service_as_it_was_recorded_reads(service: str) -> None:
    async def act(room: Room) -> None:
        for text in (TEXT, NEXT):
            assert await room.reader.read(text) == Reading(hum(text), text, "completed")

    room = play(act, service)
    assert [turn.items_total for turn in room.brain.turns] == [1, 1]
    assert room.server.sessions_begun == 1


class Listens(Brain):
    """Says how much it heard or read, or calls a tool."""

    def reply(self, turn: Turn) -> Reply:
        if turn.texts == ("late",):
            return Reply((Speech(hum("One moment."), "One moment."), Call("current_time", "{}")))
        heard = "".join(f"{len(pcm)} bytes" for pcm in turn.heard)
        words = f"{heard}{' '.join(turn.texts)} of {turn.items_total}"
        return Reply((Speech(hum(words), words),))


@pytest.mark.parametrize("service", ["openai", "azure", "xai", "localai", "speaches"])
def test_turns_are_answered_typed_or_spoken_each_as_a_talk_of_its_own(service: str) -> None:
    async def act(room: Room) -> None:
        room.server.brain = Listens()
        typed = await room.reader.ask(TEXT)
        assert typed.reading == Reading(hum(f"{TEXT} of 1"), f"{TEXT} of 1", "completed")
        assert typed.usage is None or typed.usage.audio_out > 0
        assert typed.first_s is not None
        assert 0 < typed.first_s < typed.whole_s
        spoken = await room.reader.ask(pcm24k=hum(TEXT))
        assert spoken.reading.words == f"{len(hum(TEXT))} bytes of 1"
        assert (typed.calls, spoken.calls) == ((), ())
        called = await room.reader.ask("late")
        assert called.reading.words == "One moment."
        assert [call.name for call in called.calls] == ["current_time"]
        assert (await room.reader.ask(NEXT)).reading.words == f"{NEXT} of 1"

    assert play(act, service).server.sessions_begun == 1


def test_sound_that_is_too_short_for_a_turn_is_told() -> None:
    async def act(room: Room) -> None:
        room.server.brain = Listens()
        with pytest.raises(LinkLost, match="refused"):
            await room.reader.ask(pcm24k=bytes(48 * 20))
        assert (await room.reader.ask(TEXT)).reading.words == f"{TEXT} of 1"

    play(act)


def test_a_server_that_never_answers_costs_a_session_and_not_for_ever() -> None:
    async def act(room: Room) -> None:
        loop = asyncio.get_running_loop()
        room.server.faults.thinking_extra_ms = 3_600_000
        began = loop.time()
        problem = await room.fails()
        assert isinstance(problem, LinkLost)
        assert problem.code == "link.timeout"
        assert SILENT_MAX_S <= loop.time() - began < SILENT_MAX_S + 2
        room.server.faults.thinking_extra_ms = 0
        assert (await room.reader.read(NEXT)).words == NEXT

    assert play(act).server.sessions_begun == 2


def test_a_server_that_says_everything_but_the_answer_is_left() -> None:
    async def act(room: Room) -> None:
        room.server.faults.thinking_extra_ms = 3_600_000
        began = asyncio.get_running_loop().time()
        problem = await room.fails()
        assert problem.code == "link.timeout"
        assert ANSWER_MAX_S <= asyncio.get_running_loop().time() - began < ANSWER_MAX_S + 2

    def chatter(_key: str) -> Iterator[Saying]:
        lure = {"type": "response.created", "event_id": "e", "response": {"id": "lure"}}
        words = {"type": "response.output_audio_transcript.delta", "event_id": "e"}
        yield json.dumps(lure)
        for n in itertools.count():
            yield json.dumps({**words, "response_id": "lure", "item_id": "i", "delta": f"{n} "})
            yield Pause(5.0)

    play(act, Trait("chatters", says=chatter))


def test_a_model_that_goes_on_and_on_is_stopped() -> None:
    async def act(room: Room) -> None:
        room.brain.slips[TEXT] = [Reply((Speech(bytes(range(256)) * 60_000, TEXT),))]
        reading = await room.reader.read(TEXT)
        assert reading.status == "cancelled"
        assert READ_MAX_BYTES < len(reading.pcm24k) < READ_MAX_BYTES + 48_000
        assert (await room.reader.read(NEXT)).pcm24k == hum(NEXT)

    play(act)


@pytest.mark.parametrize(
    ("faults", "kind", "code"),
    [
        ("close_after_deltas=2,close_code=1011", LinkLost, "link.closed"),
        ("close_after_deltas=2,close_code=1006", LinkLost, "link.closed"),
        ("fail_code=insufficient_quota,fail_count=1", LinkRefused, "link.no_quota"),
        ("fail_code=rate_limit_exceeded,fail_count=1", LinkBusy, "link.busy"),
        ("fail_code=strange,fail_count=1", LinkLost, "voice_pack.not_read"),
    ],
)
def test_trouble_in_a_text_is_told_and_the_next_one_is_read(
    faults: str, kind: type[LinkError], code: str
) -> None:
    async def act(room: Room) -> None:
        room.brain.slips[TEXT] = [Reply((Speech(hum(TEXT * 3), TEXT),), faults=faults)]
        problem = await room.fails()
        assert (type(problem), problem.code) == (kind, code)
        assert (await room.reader.read(NEXT)).pcm24k == hum(NEXT)

    play(act)


def test_a_request_that_is_refused_is_told() -> None:
    async def act(room: Room) -> None:
        problem = await room.fails("")  # the service takes no empty text
        assert problem.code == "voice_pack.not_read"
        assert (await room.reader.read(NEXT)).pcm24k == hum(NEXT)

    play(act)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, LinkRefused, "link.bad_key"),
        (503, LinkBusy, "link.busy"),
        (404, LinkRefused, "link.bad_url"),
    ],
)
def test_a_server_that_lets_nobody_in(status: int, kind: type[LinkError], code: str) -> None:
    async def act(room: Room) -> None:
        room.server.faults.refuse_status = status
        problem = await room.fails()
        assert (type(problem), problem.code) == (kind, code)

    play(act)
