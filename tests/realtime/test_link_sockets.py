"""The link and the real dialer against the simulated server on a real port.

It must never reach beyond this machine; real time passes here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import pytest
from house_config import household_dialer, household_provider, household_session, household_timings
from real_sockets import free_port
from waiting import until

from benchmarks.proxy import Proxy
from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.link.liveness import HALF_OPEN, LinkTimings
from edge_agent.realtime.protocol.messages import FRAME_MAX_BYTES
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.server import RealtimeServer, listen
from edge_agent.simulation.traits import TRAITS

QUICK = household_timings(
    healthy_s=0.0,
    ping_active_s=0.1,
    pong_active_s=0.2,
    ping_idle_s=0.2,
    pong_idle_s=0.2,
    taken_s=0.3,
)


@dataclass
class World:
    link: RealtimeLink
    events: list[ev.Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def downs(self) -> list[ev.LinkDown]:
        return [event for event in self.events if isinstance(event, ev.LinkDown)]


@contextlib.asynccontextmanager
async def linked(port: int, timings: LinkTimings = QUICK) -> AsyncIterator[World]:
    events: list[ev.Event] = []
    notes: list[str] = []
    link = RealtimeLink(
        dial=household_dialer(),
        provider=household_provider(),
        config=household_session(turn_detection=None),
        key=lambda: "sk-test",
        post=events.append,
        note=lambda code, **_fields: notes.append(code),
        rng=random.Random(5),
        timings=timings,
        url=f"ws://127.0.0.1:{port}/v1/realtime",
    )
    running = asyncio.create_task(link.run())
    try:
        yield World(link, events, notes)
    finally:
        await link.close()
        await running


def test_a_talk_and_a_polite_end() -> None:
    async def main() -> None:
        server = RealtimeServer(ParrotBrain())
        async with listen(server, "127.0.0.1", 0) as port, linked(port.port) as world:
            await until(lambda: world.link.is_ready)
            world.link.execute(cmd.AddMessage("", "user", "hello"))
            world.link.execute(cmd.RequestResponse())
            await until(lambda: any(isinstance(e, ev.ResponseEnded) for e in world.events))
        assert any(isinstance(event, ev.VoiceChunk) for event in world.events)
        assert not world.downs

    asyncio.run(main())


def test_a_port_that_closes_and_opens_again() -> None:
    async def main() -> None:
        port = free_port()
        server = RealtimeServer(ParrotBrain())
        async with linked(port) as world:

            def opened(times: int) -> Callable[[], bool]:
                return lambda: world.link.sessions == times

            await until(lambda: world.downs)
            assert world.downs[0].code == "link.unreachable"
            for times in (1, 2):
                async with listen(server, "127.0.0.1", port):
                    await until(opened(times))
                await until(lambda: not world.link.is_ready)

    asyncio.run(main())


@pytest.mark.parametrize("close_code", [1001, 1006, 1011])
def test_a_session_cut_in_an_answer_is_followed_by_another(close_code: int) -> None:
    async def main() -> None:
        server = RealtimeServer(ParrotBrain())
        async with listen(server, "127.0.0.1", 0) as port, linked(port.port) as world:
            await until(lambda: world.link.is_ready)
            server.faults.close_after_deltas = 2
            server.faults.close_code = close_code
            world.link.execute(cmd.AddMessage("", "user", "hello"))
            world.link.execute(cmd.RequestResponse())
            await until(lambda: world.link.sessions == 2)
            assert [down.code for down in world.downs] == ["link.closed"]

    asyncio.run(main())


def test_a_line_that_takes_nothing_is_found_dead_by_the_kernels_signs() -> None:
    """However long a pong is waited for that was delivered to somebody."""
    timings = replace(QUICK, taken_s=60.0, pong_active_s=0.5)

    async def main() -> None:
        server = RealtimeServer(ParrotBrain())
        async with listen(server, "127.0.0.1", 0) as port, Proxy() as proxy:
            proxy.target = lambda: port.url
            place = urlsplit(proxy.url).port
            assert place is not None
            async with linked(place, timings) as world:
                await until(lambda: world.link.is_ready)
                world.link.set_active(True)
                proxy.black_hole()
                await until(lambda: world.downs)
                assert world.downs[0].code == "link.dead"
                await until(lambda: world.link.sessions == 2)
                assert world.link.pongs.healthy_cuts == 0
                proxy.black_hole(acknowledges=True)
                await asyncio.sleep(2.0)  # the same silence, of a peer that takes what we say
                assert len(world.downs) == 1

    asyncio.run(main())


def test_a_peer_that_takes_everything_and_says_nothing_is_noticed() -> None:
    async def main() -> None:
        server = RealtimeServer(ParrotBrain())
        async with listen(server, "127.0.0.1", 0) as port, linked(port.port) as world:
            await until(lambda: world.link.is_ready)
            server.faults.black_hole = True
            await until(lambda: world.downs)
            assert world.downs[0].code == "link.dead"
            server.faults.black_hole = False
            await until(lambda: world.link.sessions == 2)

    asyncio.run(main())


def test_a_server_that_stalls_behind_a_living_socket_is_noticed_in_a_turn() -> None:
    async def main() -> None:
        server = RealtimeServer(ParrotBrain())
        timings = replace(QUICK, stall_s=0.4, stall_answer_s=0.3)
        async with listen(server, "127.0.0.1", 0) as port, linked(port.port, timings) as world:
            await until(lambda: world.link.is_ready)
            world.link.set_active(True)
            await asyncio.sleep(1.2)  # a quiet server that answers is left in peace
            assert not world.downs
            server.faults.stall = True
            await until(lambda: world.downs)
            assert world.downs[0].code == "link.no_answer"
            server.faults.stall = False
            await until(lambda: world.link.sessions == 2)

    asyncio.run(main())


def test_a_frame_of_8_mib_and_garbage_do_not_end_a_session() -> None:
    async def main() -> None:
        server = RealtimeServer(ParrotBrain())
        calm = household_timings()
        async with listen(server, "127.0.0.1", 0) as port, linked(port.port, calm) as world:
            await until(lambda: world.link.is_ready)
            server.faults.huge_frame_bytes = FRAME_MAX_BYTES - 1000  # with its envelope
            server.faults.garbage_frames = 3
            world.link.execute(cmd.AddMessage("", "user", "hello"))
            world.link.execute(cmd.RequestResponse())
            await until(lambda: any(isinstance(e, ev.ResponseEnded) for e in world.events))
            assert not world.downs

    asyncio.run(main())


def test_a_larger_frame_ends_the_session_with_its_code_and_the_next_one_works() -> None:
    async def main() -> None:
        server = RealtimeServer(ParrotBrain())
        async with listen(server, "127.0.0.1", 0) as port, linked(port.port, QUICK) as world:
            await until(lambda: world.link.is_ready)
            server.faults.huge_frame_bytes = FRAME_MAX_BYTES + 1
            world.link.execute(cmd.AddMessage("", "user", "hello"))
            await until(lambda: world.link.sessions == 2)
            assert [down.code for down in world.downs] == ["link.frame_too_big"]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["pings", "pongs"])
def test_frames_of_the_wire_without_end_are_noted_once_in_a_session(name: str) -> None:
    async def main() -> None:
        server = RealtimeServer(ParrotBrain(), traits=[TRAITS[name]])
        async with listen(server, "127.0.0.1", 0) as port, linked(port.port) as world:
            await until(lambda: world.link.sessions == 2)  # its pongs are too late for us
        assert world.notes.count("link.flood") in (1, 2)
        assert world.downs[0].code == HALF_OPEN

    asyncio.run(main())


def test_a_message_of_empty_pieces_that_never_ends_is_too_big() -> None:
    async def main() -> None:
        server = RealtimeServer(ParrotBrain(), traits=[TRAITS["fragments"]])
        async with listen(server, "127.0.0.1", 0) as port, linked(port.port) as world:
            await until(lambda: world.link.sessions == 2)
        assert world.downs[0].code == "link.frame_too_big"

    asyncio.run(main())


def test_a_session_is_replaced_beside_the_old_one_on_real_sockets() -> None:
    async def main() -> None:
        server = RealtimeServer(ParrotBrain(), session_max_s=2.0)
        events: list[ev.Event] = []

        def post(event: ev.Event) -> None:
            events.append(event)
            if isinstance(event, ev.RollOverDue):
                link.execute(cmd.RollOver())

        async with listen(server, "127.0.0.1", 0) as port:
            link = RealtimeLink(
                timings=household_timings(),
                dial=household_dialer(),
                provider=household_provider(max_session_s=2.0),
                config=household_session(turn_detection=None),
                key=lambda: "sk-test",
                post=post,
                note=lambda _code, **_fields: None,
                rng=random.Random(5),
                url=f"ws://127.0.0.1:{port.port}/v1/realtime",
            )
            running = asyncio.create_task(link.run())
            world = World(link, events)
            await until(lambda: link.sessions == 3)
            link.execute(cmd.AddMessage("", "user", "hello"))
            link.execute(cmd.RequestResponse())
            await until(lambda: any(isinstance(e, ev.ResponseEnded) for e in events))
            await until(lambda: len(server.open_sessions) == 1)
            await link.close()
            await running
        assert not world.downs
        assert all(e.replaces for e in events[2:] if isinstance(e, ev.LinkReady))

    asyncio.run(main())
