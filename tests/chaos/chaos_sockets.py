"""Real sockets between two network namespaces, with packets dropped and links taken down (purpose).

Owner thread: the event loop, real time.  Must never touch the machine's own network: everything
happens in namespaces of our own, made by `unshare` and gone with this process.

    server (10.99.0.2, namespace B)  ── veth ──  speaker (10.99.0.1, namespace A)
"""

# ruff: noqa: T201 (a program: printing is its job)
from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos_house import Options
from chaos_judge import judge
from chaos_world import World

from edge_agent.host.network import NetworkNews, NetworkWatch
from edge_agent.simulation.server import listen

HERE, THERE = "10.99.0.1", "10.99.0.2"
INSIDE = "EDGE_AGENT_CHAOS_INSIDE"
EXIT_UNAVAILABLE = 69  # sysexits.h EX_UNAVAILABLE
CLONE_NEWNET = 0x40000000
DROP_S = 6.0
"""Longer than it takes to notice a black hole in a turn, shorter than one's patience."""
ROUNDS = 3
OPTIONS = Options(
    url=f"ws://{THERE}:8765/v1/realtime", audio_speed=3.0, dialogue={"follow_up_s": 1.0}
)


@dataclass
class Row:
    """One round of one case; seconds."""

    case: str
    noticed_s: float | None
    """From the fault to the link being told down; None: never."""
    ready_s: float | None
    """From the end of the fault to READY; None: the session survived."""
    code: str
    answered: bool
    verdict: str


def run(*command: str, inside: int | None = None) -> None:
    """Run a tool; `inside`: in the network namespace of that process."""
    enter = ["nsenter", "-t", str(inside), "-n"] if inside else []
    subprocess.run([*enter, *command], check=True, capture_output=True, timeout=10)


def _network_of(process: int | str) -> str:
    return str(Path(f"/proc/{process}/ns/net").readlink())


class Cable:
    """The two namespaces; `other` is a process that keeps the second one open."""

    def __init__(self) -> None:
        self.other = subprocess.Popen(["unshare", "-n", "sleep", "3600"], stdin=subprocess.DEVNULL)
        mine, deadline = _network_of("self"), time.monotonic() + 5
        while _network_of(self.other.pid) == mine:
            if time.monotonic() > deadline:
                raise OSError("the second namespace was not made")
            time.sleep(0.01)
        pid = self.other.pid
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb")
        run("ip", "link", "set", "vb", "netns", str(pid))
        run("ip", "addr", "add", f"{HERE}/24", "dev", "va")
        run("ip", "addr", "add", f"{THERE}/24", "dev", "vb", inside=pid)
        for name, where in (("lo", pid), ("vb", pid), ("va", None)):
            run("ip", "link", "set", name, "up", inside=where)
        self._route()

    def _route(self) -> None:
        run("ip", "route", "replace", "default", "via", THERE)

    @contextlib.contextmanager
    def there(self) -> Iterator[None]:
        """Sockets that are made in this block belong to the other namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        theirs = Path(f"/proc/{self.other.pid}/ns/net")
        with Path("/proc/self/ns/net").open() as home, theirs.open() as away:
            if libc.setns(away.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot enter the second namespace")
            try:
                yield
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)

    def filter(self, *rules: str) -> None:
        """Apply nftables rules to what leaves and reaches us, in place of those before."""
        run("nft", "flush", "ruleset")
        if rules:
            text = "".join(
                f"add chain inet f {chain} {{ type filter hook {hook} priority 0; }}\n"
                for chain, hook in (("i", "input"), ("o", "output"))
            )
            text = "add table inet f\n" + text + "".join(f"add rule inet f {r}\n" for r in rules)
            subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True, timeout=10)

    def drop(self) -> None:
        """A black hole."""
        self.filter("i ip saddr " + THERE + " drop", "o ip daddr " + THERE + " drop")

    def reset(self) -> None:
        """Every packet of a connection that stands is answered with a reset."""
        self.filter(f"o ip daddr {THERE} tcp flags & (syn|rst) == 0 reject with tcp reset")

    def unplug(self) -> None:
        """No carrier, no route."""
        run("ip", "link", "set", "va", "down")

    def heal(self) -> None:
        """All is well again."""
        self.filter()
        run("ip", "link", "set", "va", "up")
        self._route()

    def close(self) -> None:
        """Let the second namespace go."""
        self.other.kill()
        self.other.wait()


async def at_rest(world: World) -> None:
    """Nobody speaks."""
    await asyncio.sleep(0.5)


async def talking(world: World) -> None:
    """In the middle of a sentence."""
    said = world.speak("wake", words_s=2.5)
    await asyncio.sleep(max(0.0, said.begin_at + 1.0 - world.now()))


async def answering(world: World) -> None:
    """In the middle of an answer."""
    world.speak("wake", words_s=1.0, answer_s=6.0)
    await world.until(lambda: world.talk == "speaking" and world.playout.audible, 15)
    await asyncio.sleep(0.4)


async def thinking(world: World) -> None:
    """Said, and not answered yet."""
    world.speak("wake", words_s=1.0)
    await world.until_talk("thinking", within_s=15)


Phase = Callable[[World], Awaitable[None]]

CASES: tuple[tuple[str, Phase, str, float], ...] = (
    ("packets dropped, at rest", at_rest, "drop", 12.0),
    ("packets dropped, mid sentence", talking, "drop", DROP_S),
    ("packets dropped, thinking", thinking, "drop", DROP_S),
    ("packets dropped, mid answer", answering, "drop", DROP_S),
    ("connection reset, mid sentence", talking, "reset", 0.2),
    ("connection reset, at rest", at_rest, "reset", 8.0),
    ("cable out and in, at rest", at_rest, "unplug", 3.0),
    ("cable out and in, mid sentence", talking, "unplug", 4.0),
    ("a frame of 20 MB, mid answer", answering, "huge", 0.0),
)


async def one_round(cable: Cable, case: tuple[str, Phase, str, float], seed: int) -> Row:
    """A speaker with a server, one fault, the next question."""
    name, phase, how, lasts_s = case
    with cable.there():
        world = World(seed, OPTIONS)
        listening = listen(world.server, THERE, 8765)
        await listening.__aenter__()

    def changed(news: NetworkNews) -> None:
        world.link.network_changed(moved=news.moved, came_up=news.came_up)

    watch = asyncio.create_task(NetworkWatch(changed, world._note).run())
    try:
        async with world:
            assert await world.until(lambda: world.is_ready, 10), "no session at the start"
            await phase(world)
            struck_at = world.now()
            world.struck = True
            if how == "huge":
                world.server.faults.huge_frame_bytes = 20 * 1024 * 1024
            else:
                getattr(cable, how)()
            await asyncio.sleep(lasts_s)
            cable.heal()
            healed_at = world.now()
            if how == "huge":
                await world.until(lambda: world.downs, 10)
            await world.until(lambda: world.is_ready, 40)
            downs, readies = list(world.downs), list(world.readies)
            await world.until_talk("asleep", within_s=60)
            control = world.speak("wake", words_s=1.0, answer_s=1.0)
            await world.until(lambda: not world._planned, 10)
            answered = await world.until(
                lambda: any(a.primary == control.number and a.began_at for a in world.asked), 10
            )
            await world.until_talk("asleep", within_s=60)
            verdict = judge(world)
            text = "good" if verdict.is_good and not verdict.told else str(verdict)
            if text != "good":
                print(world.told_timeline())
            return Row(
                name,
                round(downs[0][0] - struck_at, 2) if downs else None,
                round(max(0.0, readies[-1] - healed_at), 2) if len(readies) > 1 else None,
                downs[0][1] if downs else "",
                answered,
                text,
            )
    finally:
        cable.heal()
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await listening.__aexit__(None, None, None)


def markdown(rows: list[Row]) -> str:
    """The table."""
    lines = [
        "# Chaos on real sockets",
        "",
        f"`scripts/chaos.sh --sockets`: real time, two network namespaces, {ROUNDS} rounds each;",
        "figures are medians (and the largest) in seconds.",
        "",
        "| case | noticed after | READY after it was over | code | lost or doubled turns |",
        "|---|---:|---:|---|---:|",
    ]
    for name in dict.fromkeys(row.case for row in rows):
        mine = [row for row in rows if row.case == name]
        cells = []
        for field in ("noticed_s", "ready_s"):
            values = [v for row in mine if (v := getattr(row, field)) is not None]
            cells.append(
                f"{statistics.median(values):.2f} ({max(values):.2f})" if values else "never lost"
            )
        bad = sum(row.verdict != "good" or not row.answered for row in mine)
        codes = ", ".join(sorted({row.code for row in mine if row.code})) or "-"
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {codes} | {bad} |")
    return "\n".join(lines) + "\n"


def enter_namespaces() -> None:
    """Start again inside namespaces of our own; raises `SystemExit` where that is not allowed."""
    missing = [tool for tool in ("unshare", "nsenter", "ip", "nft") if not shutil.which(tool)]
    if missing:
        print(
            f"chaos.sh: {', '.join(missing)} not found; run: sudo apt-get install -y util-linux "
            "iproute2 nftables",
            file=sys.stderr,
        )
        raise SystemExit(EXIT_UNAVAILABLE)
    enter = ["unshare", "-Urnm"]
    check = subprocess.run(
        [*enter, "nft", "add", "table", "inet", "f"], capture_output=True, text=True, check=False
    )
    if check.returncode != 0:
        print(
            "chaos.sh: this machine does not let us make network namespaces with nftables "
            f"({check.stderr.strip().splitlines()[-1] if check.stderr.strip() else 'no reason'}); "
            "run it on a host, or in a container with CAP_NET_ADMIN and user namespaces.",
            file=sys.stderr,
        )
        raise SystemExit(EXIT_UNAVAILABLE)
    os.environ[INSIDE] = "1"
    os.execvp(enter[0], [*enter, "--kill-child", sys.executable, *sys.argv])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Faults on real sockets.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    if not os.environ.get(INSIDE):
        enter_namespaces()
    cable, rows = Cable(), []
    try:
        for case in CASES:
            if options.only not in case[0]:
                continue
            for number in range(options.rounds):
                rows.append(asyncio.run(one_round(cable, case, number + 1)))
                print(json.dumps(asdict(rows[-1])), flush=True)
    finally:
        cable.close()
    text = markdown(rows)
    print(text)
    if options.out is not None:
        (options.out / "chaos_sockets.md").write_text(text)
        data = json.dumps([asdict(row) for row in rows], indent=1)
        (options.out / "chaos_sockets.json").write_text(data + "\n")
    return 0 if all(row.answered and row.verdict == "good" for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
