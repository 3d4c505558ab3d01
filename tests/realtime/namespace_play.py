"""A link between two real network namespaces, broken with iproute2.

Thread: the play's own loop.  Must run inside a fresh network namespace (`unshare -n`), as root
there: it changes interfaces and routes.  Prints one JSON object with what was measured.

    namespace_play.py          the speaker's side, which starts the other
    namespace_play.py server   the provider's side, in a namespace of its own
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable

from house_config import household_dialer, household_provider, household_session, household_timings
from link_world import EACH_MESSAGE

from edge_agent.contract import events as ev
from edge_agent.host.service.network import NetworkNews, NetworkWatch
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.server import RealtimeServer, listen

OURS, OURS_LATER, THEIRS, PORT = "10.77.0.1", "10.77.0.3", "10.77.0.2", 8123


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=10)


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def serve() -> None:
    """The provider: obeys `ip` command lines on its standard input."""
    tell("unshared")
    loop = asyncio.get_running_loop()
    server = RealtimeServer(ParrotBrain())
    await loop.run_in_executor(None, sys.stdin.readline)  # the wire has been laid
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"{THEIRS}/24", "dev", "far")
    ip("link", "set", "far", "up")
    async with listen(server, THEIRS, PORT):
        tell("serving")
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            ip(*line.split())
            tell("done")


class Play:
    def __init__(self, other: subprocess.Popen[str]) -> None:
        self.other = other
        self.events: list[ev.Event] = []
        self.news: list[NetworkNews] = []
        self.notes: list[str] = []
        self.link = RealtimeLink(
            timings=household_timings(),
            dial=household_dialer(),
            provider=household_provider(),
            config=household_session(turn_detection=None),
            key=lambda: "sk-test",
            post=self.events.append,
            note=self.note,
            rng=random.Random(7),
            url=f"ws://{THEIRS}:{PORT}/v1/realtime",
            allow_insecure=True,
        )
        self.watch = NetworkWatch(self.changed, self.note)

    def note(self, code: str, **_fields: object) -> None:
        if code not in EACH_MESSAGE:
            self.notes.append(code)

    def changed(self, news: NetworkNews) -> None:
        self.news.append(news)
        self.link.network_changed(moved=news.moved, came_up=news.came_up)

    @property
    def downs(self) -> list[ev.LinkDown]:
        return [event for event in self.events if isinstance(event, ev.LinkDown)]

    def tell_other(self, line: str) -> None:
        assert self.other.stdin is not None
        assert self.other.stdout is not None
        print(line, file=self.other.stdin, flush=True)
        self.other.stdout.readline()

    async def seconds_until(self, reached: Callable[[], object], within_s: float = 20.0) -> float:
        start = time.monotonic()
        while not reached():
            if time.monotonic() - start > within_s:
                raise TimeoutError(f"not within {within_s} s: {self.events[-3:]}")
            await asyncio.sleep(0.01)
        return round(time.monotonic() - start, 3)

    async def acts(self) -> dict[str, object]:
        told: dict[str, object] = {}
        await self.seconds_until(lambda: self.link.is_ready)

        ip("link", "add", "docker9", "type", "veth", "peer", "name", "docker8")
        ip("addr", "add", "172.31.9.1/24", "dev", "docker9")
        ip("link", "set", "docker9", "up")
        await self.seconds_until(lambda: self.news)
        await asyncio.sleep(0.5)
        told["unrelated"] = {"downs": len(self.downs), "sessions": self.link.sessions}

        self.link.set_active(True)
        ip("link", "set", "near", "down")
        told["cable_out_noticed_s"] = await self.seconds_until(lambda: self.downs)
        await asyncio.sleep(4)
        ip("link", "set", "near", "up")
        ip("route", "add", "default", "via", THEIRS)
        told["cable_in_ready_s"] = await self.seconds_until(lambda: self.link.is_ready)

        sessions = self.link.sessions
        ip("addr", "add", f"{OURS_LATER}/24", "dev", "near")
        ip("addr", "del", f"{OURS}/24", "dev", "near")
        ip("addr", "replace", f"{OURS_LATER}/24", "dev", "near")
        ip("route", "replace", "default", "via", THEIRS)
        told["moved_ready_s"] = await self.seconds_until(lambda: self.link.sessions > sessions)

        # A hole somewhere behind us: no interface of ours notices anything.
        before = len(self.downs)
        self.tell_other(f"route add blackhole {OURS_LATER}/32")
        told["hole_noticed_s"] = await self.seconds_until(lambda: len(self.downs) > before)
        told["hole_code"] = self.downs[-1].code
        await asyncio.sleep(3)
        self.tell_other(f"route del blackhole {OURS_LATER}/32")
        told["hole_over_ready_s"] = await self.seconds_until(lambda: self.link.is_ready)
        told["moved"] = sum(news.moved for news in self.news)
        told["notes"] = self.notes
        return told


async def main() -> None:
    ip("link", "set", "lo", "up")
    command = ["unshare", "-n", sys.executable, __file__, "server"]
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else is going on yet
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            ip(
                "link",
                "add",
                "near",
                "type",
                "veth",
                "peer",
                "name",
                "far",
                "netns",
                str(other.pid),
            )
            ip("addr", "add", f"{OURS}/24", "dev", "near")
            ip("link", "set", "near", "up")
            ip("route", "add", "default", "via", THEIRS)
            play = Play(other)
            play.tell_other("go")
            tasks = [asyncio.create_task(play.link.run()), asyncio.create_task(play.watch.run())]
            try:
                tell(json.dumps(await play.acts()))
            finally:
                await play.link.close()
                tasks[1].cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            other.kill()


if __name__ == "__main__":
    asyncio.run(serve() if sys.argv[1:] == ["server"] else main())
