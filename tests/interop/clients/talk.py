"""What every foreign client does in its own words: the steps, the pace, the report.

Runs in the client's own environment, so only the standard library is there.  Thread: the client's
loop.  It must never import the project: a client that shares our code proves nothing.

The host (`host.py`) hands over by environment: `INTEROP_URL`, `INTEROP_KEY`, `INTEROP_QUESTION`
(file of PCM16 mono 24 kHz: a spoken question with silence around it).  The last line a client
prints is its report, which the host compares with what the server saw.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MODEL = "gpt-realtime-2.1"
URL = os.environ["INTEROP_URL"]
KEY = os.environ["INTEROP_KEY"]
QUESTION = Path(os.environ["INTEROP_QUESTION"]).read_bytes()
ASK_TIME = "What time is it in Lisbon?"
"""The server's brain answers this with a call of the tool `clock`."""
NOON = "noon in Lisbon"
"""What the tool answers; the brain repeats it."""
BLOCK_BYTES = 960
"""20 ms, as a microphone delivers; the pace is faster than life to save time."""
PACE_S = 0.004
STEP_S = 20.0
"""Longer than any step needs on a slow machine."""


@dataclass
class Report:
    """What the client heard and did, in its own count."""

    package: str
    version: str
    audio_bytes: list[int] = field(default_factory=list)
    """Of every spoken answer, in order, as the library handed it on."""
    calls: list[list[str]] = field(default_factory=list)
    """(name, arguments) of every tool call that ran."""
    words: list[str] = field(default_factory=list)
    """Transcripts of the answers, as far as the library shows them."""
    interruptions: int = 0
    texts: list[str] = field(default_factory=list)
    """Written answers."""
    errors: list[str] = field(default_factory=list)
    """Whatever the library calls an error."""
    held: list[str] = field(default_factory=list)
    """Steps that came to their end."""

    def add(self, size: int) -> None:
        """More audio of the present answer."""
        self.audio_bytes[-1] += size


def version_of(package: str) -> str:
    """The installed version."""
    return importlib.metadata.version(package)


async def until(happened: Callable[[], object], what: str) -> None:
    """Wait for it; raises `TimeoutError` naming it."""
    try:
        async with asyncio.timeout(STEP_S):
            while not happened():  # noqa: ASYNC110 - the libraries have no common event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise TimeoutError(f"waited {STEP_S:g} s in vain: {what}") from None


async def speak(push: Callable[[bytes], Awaitable[None]], pcm24k: bytes = QUESTION) -> None:
    """Push a recording block by block."""
    for start in range(0, len(pcm24k), BLOCK_BYTES):
        await push(pcm24k[start : start + BLOCK_BYTES])
        await asyncio.sleep(PACE_S)


def perform(report: Report, talk: Callable[[Report], Awaitable[None]]) -> None:
    """Hold the talk and print the report, also of one that failed."""

    async def bounded() -> None:
        try:
            async with asyncio.timeout(6 * STEP_S):
                await talk(report)
        except Exception as error:
            report.errors.append(f"{type(error).__name__}: {error}")
        _tell(report)

    asyncio.run(bounded())


def _tell(report: Report) -> None:
    """Print the report and leave: what a framework left running would keep us for ever."""
    shown: dict[str, Any] = asdict(report)
    sys.stdout.write(json.dumps(shown) + "\n")
    sys.stdout.flush()
    os._exit(0)
