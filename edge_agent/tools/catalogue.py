"""Catalogue: which tools the program comes with, asked without a speaker.

Thread: main, in the command line.  It must never run a tool: nobody is behind these. A test keeps
it equal to what the daemon registers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from edge_agent.tools.builtin import builtin_tools
from edge_agent.tools.desk_tools import answer_tool, leave_message_tool, repeat_tool
from edge_agent.tools.fact_tools import fact_tools
from edge_agent.tools.registry import DEFAULT_TIMEOUT_S, Registry
from edge_agent.tools.timer_tools import timer_tools


def shipped_tools() -> Registry:
    """All tools, also those that the owner has to switch on."""
    nobody = cast(Any, None)  # a home and its timers are only needed to run them

    def nothing() -> None:
        return None

    return Registry(
        (
            *builtin_tools(nobody, lambda: datetime.now().astimezone(), silence=True),
            *timer_tools(nobody, nobody, changed=nothing, stop_ringing=nothing),
            *fact_tools(nobody),
            leave_message_tool(nobody),
            repeat_tool(nobody),
            answer_tool(nobody, DEFAULT_TIMEOUT_S),
        )
    )
