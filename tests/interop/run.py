"""Try us against servers and clients that we did not write, and print a table.

    scripts/interop.sh                 all of them
    scripts/interop.sh litellm aimock  these

Thread: main.  It must never install into the project's own environment: every peer has one of its
own under `CACHE`, made from a lock and kept until the lock changes.  Ends with 0 when every peer
held what it should, 69 when one could not be set up, else 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("EDGE_AGENT_INTEROP", Path(sys.prefix) / "interop"))
"""Inside the project's `.venv`, which is in no repository."""
INSTALL_S = 1200
TALK_S = 300
NODE_MAJOR = 20
"""The oldest that both Node clients start with."""
EXIT_UNAVAILABLE = 69
FAULT_CHARS = 200


@dataclass(frozen=True, slots=True)
class Peer:
    """A package that speaks the protocol, or judges a page.  `role` is what it is; we are the
    other side."""

    name: str
    role: str  # client · server · toolserver · page
    package: str
    runtime: str  # python · node
    script: str
    attempts: int = 1
    """More than one for a peer that is known to stall by itself; the table tells which counted."""


PEERS = (
    Peer("openai-agents", "client", "openai-agents", "python", "openai_agents.py"),
    Peer("pipecat", "client", "pipecat-ai", "python", "pipecat_openai.py"),
    Peer("livekit", "client", "livekit-plugins-openai", "python", "livekit_openai.py"),
    Peer("openai-node", "client", "openai", "node", "openai_node.mjs"),
    Peer("agents-node", "client", "@openai/agents-realtime", "node", "agents_node.mjs"),
    Peer(
        "speech-to-speech",
        "server",
        "speech-to-speech",
        "python",
        "speech_to_speech_server.py",
        attempts=3,  # with a bare WebSocket client, too, one session in twelve stalls (1.1.0)
    ),
    Peer("litellm", "server", "litellm", "python", "litellm_server.py"),
    Peer("aimock", "server", "@copilotkit/aimock", "node", "aimock_server.mjs"),
    Peer(
        "mcp-everything",
        "toolserver",
        "@modelcontextprotocol/server-everything",
        "node",
        "everything.mjs",
    ),
    Peer("axe", "page", "axe-core", "node", "axe_report.mjs"),
)


class Unavailable(Exception):
    """A peer cannot be set up here; the text is a sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    peer: Peer
    version: str
    held: str
    result: str
    faults: Sequence[str] = ()
    notes: Sequence[str] = ()


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# --- set-up -------------------------------------------------------------------------------------


def ready(peer: Peer) -> list[str]:
    """The command that starts the peer's script; sets up its environment where it is missing."""
    folder = HERE / f"{peer.role}s"
    if peer.role == "page":
        need("chromium", "chromium")
    if peer.runtime == "node":
        return [need("node"), str(node_home(peer, folder / "node") / peer.script)]
    home = CACHE / peer.package
    locks = sorted((folder / "locks").glob(f"{peer.package}*.txt"), key=lambda p: len(p.name))
    if not is_current(home, locks):
        say(f"  setting up {peer.package} (some hundred MB, once)")
        shutil.rmtree(home, ignore_errors=True)
        install([sys.executable, "-m", "venv", str(home)], peer)
        for lock in locks:
            only = ["--no-deps"] if ".no-deps" in lock.name else []
            pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            install([*pip, "--require-hashes", *only, "-r", str(lock)], peer)
        stamp(home, locks)
    return [str(home / "bin" / "python"), str(folder / peer.script)]


def node_home(peer: Peer, source: Path) -> Path:
    """The scripts for Node beside their packages, as its loader wants them."""
    version = subprocess.run(
        [need("node"), "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < NODE_MAJOR:
        raise Unavailable(f"Node {NODE_MAJOR} or newer is needed, and this is {version}.")
    home = CACHE / f"node-{peer.role}s"
    locks = [source / "package-lock.json"]
    if not is_current(home, locks):
        say(f"  setting up the packages for Node ({peer.role}s)")
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(source, home)
        install([need("npm"), "ci", "--prefix", str(home), "--no-audit", "--no-fund"], peer)
        stamp(home, locks)
    for script in source.glob("*.mjs"):
        shutil.copy(script, home)
    return home


def need(program: str, packages: str = "nodejs npm") -> str:
    """Path of a program; raises `Unavailable`."""
    path = shutil.which(program)
    if path is None:
        raise Unavailable(f"{program} is missing; run: sudo apt-get install -y {packages}")
    return path


def install(command: list[str], peer: Peer) -> None:
    """Run one step of an installation; raises `Unavailable`."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{peer.package}: the package registry is too slow today.") from None
    if done.returncode:
        log = CACHE / f"{peer.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        raise Unavailable(
            f"{peer.package} could not be installed; is the internet there? (details in {log})"
        )


def lock_hash(locks: Sequence[Path]) -> str:
    """Changes with any of the locks and with the Python in use."""
    sums = hashlib.sha256(sys.version.encode())
    for lock in locks:
        sums.update(lock.read_bytes())
    return sums.hexdigest()


def is_current(home: Path, locks: Sequence[Path]) -> bool:
    """Whether what is there was made from these locks."""
    mark = home / "interop.lock"
    return mark.is_file() and mark.read_text(encoding="utf-8") == lock_hash(locks)


def stamp(home: Path, locks: Sequence[Path]) -> None:
    """Written last: a half-made environment is made anew."""
    (home / "interop.lock").write_text(lock_hash(locks), encoding="utf-8")


# --- talks --------------------------------------------------------------------------------------


def version_of(peer: Peer) -> str:
    """The installed version, as the registry has it."""
    if peer.runtime == "node":
        package = CACHE / f"node-{peer.role}s" / "node_modules" / peer.package / "package.json"
        return str(json.loads(package.read_text(encoding="utf-8"))["version"])
    ask = f"import importlib.metadata as m; print(m.version({peer.package!r}))"
    python = str(CACHE / peer.package / "bin" / "python")
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def hold(peer: Peer) -> Row:
    """Set up and talk."""
    try:
        command = ready(peer)
    except Unavailable as problem:
        return Row(peer, "", "", "not there", [str(problem)])
    host = HERE / f"{peer.role}s" / "host.py"
    try:
        done = subprocess.run(
            [sys.executable, str(host), peer.name, *command],
            capture_output=True,
            text=True,
            timeout=TALK_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Row(peer, version_of(peer), "", "FAILED", [f"the talk took over {TALK_S} s"])
    log = CACHE / f"{peer.name}.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    try:
        verdict: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return Row(peer, version_of(peer), "", "FAILED", [f"no verdict; see {log}"])
    result = "FAILED" if verdict["faults"] else "ok"
    held = ", ".join(verdict["held"])
    return Row(peer, version_of(peer), held, result, verdict["faults"], verdict["notes"])


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Markdown."""
    yield "| peer | it is the | version | held | result |"
    yield "|---|---|---|---|---|"
    for row in rows:
        cells = (row.peer.package, row.peer.role, row.version, row.held, row.result)
        yield f"| {' | '.join(cells)} |"


def main() -> int:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="interop.sh", description="Talks with foreign peers.")
    parser.add_argument("peer", nargs="*", help=f"any of: {', '.join(names)} (default: all)")
    parser.add_argument("--notes", action="store_true", help="also tell what was noticed")
    asked = parser.parse_args()
    for name in asked.peer:
        if name not in names:
            parser.error(f"there is no peer {name!r}; there are: {', '.join(names)}.")
    rows = []
    for peer in PEERS:
        if asked.peer and peer.name not in asked.peer:
            continue
        began = time.monotonic()
        say(f"{peer.package} ({peer.role})")
        row = hold(peer)
        for attempt in range(2, peer.attempts + 1):
            if row.result != "FAILED":
                break
            say(f"  {row.faults[0][:FAULT_CHARS]}; attempt {attempt}")
            row = hold(peer)
            if row.result == "ok":
                row = replace(row, result=f"ok (attempt {attempt})")
        rows.append(row)
        say(f"  {row.result} after {time.monotonic() - began:.0f} s")
        for fault in row.faults:
            say(f"  - {fault[:FAULT_CHARS]}")
        for note in row.notes if asked.notes else ():
            say(f"  . {note[:FAULT_CHARS]}")
    say("")
    for line in table(rows):
        say(line)
    results = {row.result for row in rows}
    if "FAILED" in results:
        return 1
    return EXIT_UNAVAILABLE if "not there" in results else 0


if __name__ == "__main__":
    sys.exit(main())
