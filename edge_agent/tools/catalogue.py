"""Catalogue: which tools the program comes with, asked without a speaker (purpose).

Owner thread: main, in the command line.  Must never run a tool: nobody is behind these.
A test keeps it equal to what the daemon registers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from edge_agent.tools.builtin import builtin_tools
from edge_agent.tools.registry import Registry
from edge_agent.tools.timer_tools import timer_tools


def shipped_tools() -> Registry:
    """All tools that need no settings of the owner's."""
    nobody = cast(Any, None)  # a home and its timers are only needed to run them

    def nothing() -> None:
        return None

    return Registry(
        (
            *builtin_tools(nobody, lambda: datetime.now().astimezone()),
            *timer_tools(nobody, nobody, changed=nothing, stop_ringing=nothing),
        )
    )
