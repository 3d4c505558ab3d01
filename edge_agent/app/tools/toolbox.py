"""The toolbox: every source of tools, put together; what they start and stop.

Thread: event loop.  It must never decide which tool may run: that is the dialogue's.  The daemon
runs `bell`, `desk` and `servers` as tasks and hands calls to `runner`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_agent.app.tools.desk import Desk
from edge_agent.app.tools.facts import tools_for_facts
from edge_agent.app.tools.mcp import ToolServers
from edge_agent.app.tools.summaries import Notes
from edge_agent.app.tools.timers import Bell
from edge_agent.app.world import World
from edge_agent.contract.events import Event
from edge_agent.host.journal.journal import Journal
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.tools.builtin import SpeakerControls, builtin_tools
from edge_agent.tools.registry import Registry
from edge_agent.tools.runner import ToolRunner

IO_THREADS = 4
"""Threads: two questions at once, one that was cancelled and still waits, and the webhook."""


class Toolbox:
    """The tools of one speaker and what runs behind them.

    `speaker`: what the tools may do to the speaker.  `sound`: rings with a sound until given None.
    """

    def __init__(
        self,
        settings: Settings,
        world: World,
        journal: Journal,
        *,
        speaker: SpeakerControls,
        disk: Worker,
        post: Callable[[Event], None],
        time: Callable[[], float],
        ready: asyncio.Event,
        sound: Callable[[bytes | None], None],
    ) -> None:
        note, fault, now = journal.note, journal.fault, world.now
        self.io_pool = Worker("io", threads=world.threads, on_fault=fault, size=IO_THREADS)
        self.bell = Bell(
            settings,
            disk=disk,
            note=note,
            time=time,
            now=now,
            post=post,
            ready=ready,
            sound=sound,
        )
        self.desk = Desk(
            settings,
            disk=disk,
            io_pool=self.io_pool,
            note=note,
            time=time,
            now=now,
            rng=world.rng,
        )
        self.registry = Registry(
            (
                *builtin_tools(speaker, now, silence=settings.conversation.stay_silent),
                *self.bell.tools,
                *self.desk.tools,
                *tools_for_facts(settings, disk, note, now),
            )
        )
        self.servers = ToolServers(
            settings,
            self.registry,
            io_pool=self.io_pool,
            note=note,
            fault=fault,
            post=post,
            time=time,
            ready=ready,
            rng=world.rng,
            wire_to=world.tool_servers,
        )
        self.notes = Notes(
            settings, io_pool=self.io_pool, post=post, note=note, fault=fault, time=time
        )
        self.runner = ToolRunner(self.registry, post)

    async def close(self) -> None:
        """End all calls, and what runs behind the tools."""
        await self.runner.close()
        await self.notes.close()
        self.io_pool.close()
