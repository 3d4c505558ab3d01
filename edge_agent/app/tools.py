"""The toolbox: every source of tools, put together; what they start and stop (purpose).

Owner thread: event loop.  Must never decide which tool may run: that is the dialogue's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.app.desk import Desk
from edge_agent.app.facts import tools_for_facts
from edge_agent.app.mcp import ToolServers
from edge_agent.app.summaries import Notes
from edge_agent.app.timers import Bell
from edge_agent.dialogue.calls.consent import Risk
from edge_agent.host.service.worker import Worker
from edge_agent.tools.builtin import builtin_tools
from edge_agent.tools.registry import Registry
from edge_agent.tools.runner import ToolRunner

if TYPE_CHECKING:
    from edge_agent.app.daemon import Daemon


class Toolbox:
    """The tools of one speaker and what runs behind them."""

    def __init__(self, daemon: Daemon, disk: Worker) -> None:
        self.bell = Bell(daemon, disk)
        self.desk = Desk(daemon, disk)
        self.registry = Registry(
            (
                *builtin_tools(daemon.house, daemon.world.now),
                *self.bell.tools,
                *self.desk.tools,
                *tools_for_facts(daemon.settings, disk, daemon.journal.note, daemon.world.now),
            )
        )
        self.servers = ToolServers(daemon, self.registry, self.desk.errands)
        self.notes = Notes(daemon, self.desk.errands)
        self.hands = ToolRunner(self.registry, daemon.post)

    @property
    def risks(self) -> dict[str, Risk]:
        """What each tool can do to a household, in the dialogue's words."""
        return {name: Risk(risk) for name, risk in self.registry.risks().items()}

    async def close(self) -> None:
        """End all calls, and what runs behind the tools."""
        await self.hands.close()
        await self.notes.close()
        self.desk.close()
