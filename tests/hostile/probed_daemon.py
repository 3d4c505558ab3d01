"""`edge-agent run` with a probe: the longest step of its event loop, in processor time.

    python tests/hostile/probed_daemon.py FILE

At its end FILE holds `{"step_ms": …, "faults": …}`.  Thread: main.  It never changes what the
program does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from edge_agent.cli.main import main
from edge_agent.realtime.protocol.session import Session

longest: dict[str, float] = {}
"""Second of the run's life → its longest step in ms; the start is not judged."""
raised: list[str] = []
begin = time.monotonic()

handle_run = asyncio.events.Handle._run
receive = Session.receive


def timed_run(self: asyncio.events.Handle) -> None:
    cpu_s = time.thread_time()
    try:
        handle_run(self)
    finally:
        took_ms = (time.thread_time() - cpu_s) * 1000
        second = f"{time.monotonic() - begin:.0f}"
        if took_ms > longest.get(second, 0.0):
            longest[second] = took_ms


def watched_receive(self: Session, frame: str | bytes, at: float) -> object:
    try:
        return receive(self, frame, at)
    except BaseException as problem:
        raised.append(type(problem).__name__)
        raise
    finally:
        if self.counts["unread"]:
            raised.append("unread")


if __name__ == "__main__":
    report = Path(sys.argv.pop(1))
    asyncio.events.Handle._run = timed_run  # type: ignore[method-assign]
    Session.receive = watched_receive  # type: ignore[method-assign, assignment]
    sys.argv += ["run", "--beside"]
    try:
        main()
    finally:
        report.write_text(json.dumps({"steps_ms": longest, "raised": raised[:9]}))
