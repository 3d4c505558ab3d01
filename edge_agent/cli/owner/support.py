"""`edge-agent support`: what somebody who helps needs to see, in one file, without secrets.

Thread: main.  It must never take a word that was spoken, a key, or a file of the household along:
it holds what other verbs print and what the journal tells, after keys were hidden once more.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded

ASKED_S = 60
"""Of the doctor, the slowest: a card that hangs is given up after 30 s."""
JOURNAL_LINES = 5000
"""About a week of a speaker that is used; 1 MB."""
ANSWER_MAX_CHARS = 4_000_000

OURS: Mapping[str, tuple[str, ...]] = {
    "version.txt": ("version",),
    "doctor.json": ("doctor", "--json", "--offline"),
    "status.json": ("status", "--json"),
    "settings.toml": ("config", "show", "--changed"),
    "settings-check.txt": ("config", "check"),
    "devices.txt": ("devices",),
    "voices.txt": ("voice-pack", "list"),
    "tool-servers.txt": ("mcp", "list"),
    "kept.json": ("privacy", "--json"),
}
"""File → verb of ours.  None of them shows a word of the household, or a key."""

OTHERS: Mapping[str, tuple[str, ...]] = {
    "journal.txt": (
        "journalctl",
        "--unit=edge-agent",
        "--output=verbose",
        "--output-fields=MESSAGE,PRIORITY,EDGE_CODE,CODE_FILE,CODE_LINE",
        f"--lines={JOURNAL_LINES}",
        "--no-pager",
    ),
    "unit.txt": ("systemctl", "show", "edge-agent.service"),
    "machine.txt": ("uname", "-a"),
}
"""File → program of the system."""

FILES: Mapping[str, str] = {
    "os-release.txt": "/etc/os-release",
    "cards.txt": "/proc/asound/cards",
    "model.txt": "/proc/device-tree/model",
    "memory.txt": "/proc/meminfo",
}


@guarded
def support(
    file: Annotated[Path, typer.Argument(help="The file to make, e.g. support.tar.gz")],
    config_file: ConfigOption = None,
) -> None:
    """Put what a helper needs to see into one file: doctor, status, settings, journal; no secret,
    no word that was spoken.  Contacts nobody."""
    from edge_agent.contract.errors import AgentError
    from edge_agent.contract.secrets import hide_keys

    told = {name: hide_keys(text) for name, text in gathered(config_file).items()}
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, text in told.items():
                raw = text.encode()
                entry = tarfile.TarInfo(f"edge-agent-support/{name}")
                entry.size, entry.mtime = len(raw), int(time.time())
                archive.addfile(entry, io.BytesIO(raw))
    except OSError as problem:
        raise AgentError(
            f"{file} cannot be written: {problem.strerror}.",
            fix="Name another file.",
            code="support.unwritable",
        ) from None
    for name, text in told.items():
        typer.echo(f"{name:20} {len(text.encode()):9} bytes")
    typer.echo(f"All of it is in {file}.  Look into it before you hand it on: tar xzf {file}")


def gathered(config_file: Path | None) -> dict[str, str]:
    """File → what was said; what could not be asked says so in its place."""
    chosen = () if config_file is None else ("--config", str(config_file))
    ours = [sys.executable, "-m", "edge_agent.cli.main"]
    commands = {
        name: [*ours, *verb, *(chosen if verb != ("version",) else ())]
        for name, verb in OURS.items()
    }
    commands |= {name: list(command) for name, command in OTHERS.items()}
    told = {name: asked(command) for name, command in commands.items()}
    for name, path in FILES.items():
        try:
            told[name] = Path(path).read_text(encoding="utf-8", errors="replace").strip("\0")
        except OSError as problem:
            told[name] = f"{path}: {problem.strerror}\n"
    return told


def asked(command: list[str]) -> str:
    """What a program printed, and how it ended if that was not well."""
    try:
        done = subprocess.run(  # noqa: S603  (the commands of the tables above)
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ASKED_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return f"{command[0]} is not on this machine\n"
    except (subprocess.TimeoutExpired, OSError):
        return f"{command[0]} did not answer within {ASKED_S} s\n"
    end = f"exit code {done.returncode}\n" if done.returncode else ""
    return (done.stdout + done.stderr + end)[-ANSWER_MAX_CHARS:]
