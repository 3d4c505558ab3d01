"""A link, a network in memory and servers behind it, in virtual time.

It must never wait for real time or open a socket.  The dialogue is scripted: it lets a session be
replaced while `is_quiet`.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from house_config import household_provider, household_session, household_timings

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.contract.ports import Wire
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.link.endpoints import endpoint_for
from edge_agent.realtime.link.liveness import LinkTimings
from edge_agent.realtime.link.pongs import PongBook
from edge_agent.realtime.protocol.config import SessionConfig
from edge_agent.realtime.providers import Provider
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.clock import run
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.wire import MemoryNetwork

OPENAI = household_provider()
WITHOUT_VAD = household_session(turn_detection=None)
KEYS = frozenset({"sk-test", "sk-new"})
HOME_HOST, NEXT_HOST = "api.openai.com", "next.example"


EACH_MESSAGE = ("link.sent", "link.received")
"""Notes of every message, for whoever debugs."""


@dataclass
class World:
    home: MemoryNetwork
    next: MemoryNetwork
    link: RealtimeLink = field(init=False)
    key: str | None = "sk-test"
    next_key: str | None = "sk-test"
    is_quiet: bool = True
    events: list[ev.Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    note_fields: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    unix_offset_s: float = 1_700_000_000.0

    @property
    def server(self) -> RealtimeServer:
        return self.home.server

    @property
    def downs(self) -> list[ev.LinkDown]:
        return [event for event in self.events if isinstance(event, ev.LinkDown)]

    @property
    def readies(self) -> list[ev.LinkReady]:
        return [event for event in self.events if isinstance(event, ev.LinkReady)]

    def of(self, *kinds: type[ev.Event]) -> list[ev.Event]:
        return [event for event in self.events if isinstance(event, kinds)]

    def count(self, kind: type[ev.Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    def unix_time(self) -> float:
        return self.unix_offset_s + asyncio.get_running_loop().time()

    async def dial(self, url: str, headers: Mapping[str, str]) -> Wire:
        network = self.next if NEXT_HOST in url else self.home
        return await network(url, headers)

    def post(self, event: ev.Event) -> None:
        self.events.append(event)
        if isinstance(event, ev.RollOverDue) and self.is_quiet:
            self.link.execute(cmd.RollOver())

    def note(self, code: str, **fields: object) -> None:
        if code not in EACH_MESSAGE:
            self.notes.append(code)
            self.note_fields.append((code, fields))

    async def until(self, reached: Callable[[], object], within_s: float = 30.0) -> float:
        """Loop time that passed until `reached()`; fails after `within_s`."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        step_s = 0.005 if within_s <= 60 else 0.25
        while not reached():
            assert loop.time() - start < within_s, f"not within {within_s} s: {self.events[-5:]}"
            await asyncio.sleep(step_s)
        return loop.time() - start

    async def ready(self, times: int = 1, within_s: float = 30.0) -> float:
        return await self.until(lambda: self.link.sessions >= times, within_s)

    async def ask(self, text: str = "hello", within_s: float = 30.0) -> None:
        """One typed turn; while it lasts, no moment is a quiet one."""
        ended, was_quiet = self.count(ev.ResponseEnded), self.is_quiet
        self.is_quiet = False
        self.link.execute(cmd.AddMessage("", "user", text))
        self.link.execute(cmd.RequestResponse())
        await self.until(lambda: self.count(ev.ResponseEnded) > ended, within_s)
        self.is_quiet = was_quiet


def play(
    act: Callable[[World], Awaitable[None]],
    *,
    provider: Provider = OPENAI,
    config: SessionConfig = WITHOUT_VAD,
    timings: LinkTimings | None = None,
    seed: int = 1,
    with_next: bool = False,
    prepare: Callable[[World], None] = lambda _world: None,
    wall_clock: bool = False,
    pongs: PongBook | None = None,
) -> World:
    """Run `act` while a link is kept up; the link is closed at the end."""

    async def main() -> World:
        world = World(
            MemoryNetwork(RealtimeServer(ParrotBrain(), keys=KEYS)),
            MemoryNetwork(RealtimeServer(ParrotBrain(), keys=KEYS)),
        )
        if wall_clock:
            world.home.server.unix_time = world.unix_time
        prepare(world)
        fallback = endpoint_for(
            household_provider("local"),
            "other-model",
            lambda: world.next_key,
            url=f"wss://{NEXT_HOST}/v1/realtime",
        )
        link = world.link = RealtimeLink(
            dial=world.dial,
            provider=provider,
            config=config,
            key=lambda: world.key,
            post=world.post,
            note=world.note,
            rng=random.Random(seed),
            timings=timings or household_timings(),
            fallbacks=(fallback,) if with_next else (),
            unix_time=world.unix_time if wall_clock else None,
            pongs=pongs,
        )
        running = asyncio.create_task(link.run())
        try:
            await act(world)
        finally:
            for network in (world.home, world.next):
                network.up()
                faults = network.server.faults
                faults.black_hole = faults.stall = False
            await link.close()
            await running
            for network in (world.home, world.next):
                await network.aclose()
        assert_in_order(world.events)
        return world

    return run(main())


def assert_in_order(events: list[ev.Event]) -> None:
    """Connecting, then Down or Ready; Ready, then replacements, then Down."""
    told = [e for e in events if isinstance(e, ev.LinkConnecting | ev.LinkReady | ev.LinkDown)]
    if told:
        assert isinstance(told[0], ev.LinkConnecting)
    for one, following in itertools.pairwise(told):
        was_ready = isinstance(one, ev.LinkReady)
        if isinstance(following, ev.LinkReady):
            assert following.replaces == was_ready, (one, following)
            assert was_ready or isinstance(one, ev.LinkConnecting), (one, following)
        elif isinstance(following, ev.LinkDown):
            assert not isinstance(one, ev.LinkDown), (one, following)
        else:
            assert isinstance(one, ev.LinkDown), (one, following)
    assert [event.at for event in told] == sorted(event.at for event in told)
