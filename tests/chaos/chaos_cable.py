"""A veth cable between two network namespaces, and what can be done to it.

Thread: the event loop, real time.  It must never touch the machine's own network: everything
happens in namespaces of our own, made by `unshare` and gone with this process.

    server (10.99.0.2, namespace B)  ── veth ──  speaker (10.99.0.1, namespace A)
"""

# ruff: noqa: T201 (it says on stderr what the machine lacks)
from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from chaos_house import Options
from chaos_world import World

from edge_agent.host.service.network import NetworkNews, NetworkWatch
from edge_agent.simulation.server import listen

HERE, THERE = "10.99.0.1", "10.99.0.2"
INSIDE = "EDGE_AGENT_CHAOS_INSIDE"
EXIT_UNAVAILABLE = 69  # sysexits.h EX_UNAVAILABLE
CLONE_NEWNET = 0x40000000
OPTIONS = Options(
    url=f"ws://{THERE}:8765/v1/realtime", audio_speed=3.0, dialogue={"follow_up_s": 1.0}
)


def run(*command: str, inside: int | None = None) -> None:
    """Run a tool; `inside`: in the network namespace of that process."""
    enter = ["nsenter", "-t", str(inside), "-n"] if inside else []
    subprocess.run([*enter, *command], check=True, capture_output=True, timeout=10)


def _network_of(process: int | str) -> str:
    return str(Path(f"/proc/{process}/ns/net").readlink())


class Cable:
    """The two namespaces; `other` is a process that keeps the second one open."""

    def __init__(self) -> None:
        self.other = subprocess.Popen(
            ["unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL
        )
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
        for name, where in (("vb", pid), ("va", None)):
            # A veth takes 64 kB in one piece, which would be lost or delayed as one; a line's
            # packets are single.
            run("ip", "link", "set", name, "gso_max_segs", "1", inside=where)
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

    def weather(self, here: str = "", there: str = "") -> None:
        """netem on what leaves the speaker and on what leaves the server, in place of before."""
        for device, inside, arguments in (("va", None, here), ("vb", self.other.pid, there)):
            with contextlib.suppress(subprocess.CalledProcessError):  # there was none
                run("tc", "qdisc", "del", "dev", device, "root", inside=inside)
            if arguments:
                netem = ["qdisc", "add", "dev", device, "root", "netem", *arguments.split()]
                run("tc", *netem, inside=inside)

    def why_no_weather(self) -> str:
        """Why this kernel has no netem; empty: it has."""
        if not shutil.which("tc"):
            return "tc not found; run: sudo apt-get install -y iproute2"
        try:
            self.weather("delay 1ms", "delay 1ms")
        except subprocess.CalledProcessError as error:
            return f"tc qdisc add ... netem: {error.stderr.decode().strip().splitlines()[0]}"
        self.weather()
        return ""

    def heal(self) -> None:
        """All is well again."""
        self.filter()
        run("ip", "link", "set", "va", "up")
        self._route()

    def close(self) -> None:
        """Let the second namespace go."""
        self.other.kill()
        self.other.wait()


@contextlib.asynccontextmanager
async def house(cable: Cable, seed: int) -> AsyncIterator[World]:
    """A speaker here with a session, a server there; the cable is whole again at the end."""
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
            yield world
    finally:
        cable.heal()
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await listening.__aexit__(None, None, None)


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
