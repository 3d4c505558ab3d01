"""What has changed about a tool since it was accepted, line by line.

Thread: main.  It must never let a server's words steer the terminal; what is accepted is what was
shown here, not what the server says later.
"""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Iterator

from edge_agent.cli.outcome import harmless
from edge_agent.host.stores.tool_store import Shape

WIDTH_CHARS = 90


def difference(tool: str, then: Shape | None, now: Shape) -> str:
    """For a person: what went has a `-`, what came a `+`."""
    if then is None:
        head, before = f"{tool}: it was never accepted", list[str]()
    else:
        head, before = f"{tool}: since it was accepted", list(_lines(then))
    lines = [line.rstrip() for line in difflib.ndiff(before, list(_lines(now)))]
    return "\n".join([head, *(f"  {line}" for line in lines if not line.startswith("?"))])


def _lines(shape: Shape) -> Iterator[str]:
    description, parameters = shape
    yield from textwrap.wrap(harmless(description), WIDTH_CHARS)
    try:
        pretty = json.dumps(json.loads(parameters), indent=1)  # letters of other scripts as numbers
    except (ValueError, RecursionError):
        pretty = parameters
    yield from harmless(pretty).splitlines()
