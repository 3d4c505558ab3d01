"""The process of a speaker: journal, signals and exit code around one `Daemon`.

`run` is the service; `refused` tells of a start that came to nothing.

Thread: main; the event loop runs inside.  It must never restart anything by itself: the service
manager does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from edge_agent.app.daemon import Daemon
from edge_agent.app.reload import note_mistakes
from edge_agent.app.world import World, real_world
from edge_agent.contract.errors import AgentError, ConfigError
from edge_agent.host.journal.journal import (
    Journal,
    LibraryWarnings,
    leads_to_journald,
    open_journal,
)
from edge_agent.host.service.systemd import Notifier
from edge_agent.host.settings.load import Loaded, SettingsError
from edge_agent.host.settings.root import Settings

EXIT_FAULT = 70
"""sysexits.h EX_SOFTWARE, as the command line documents it."""


def run(
    loaded: Loaded, *, reload: Callable[[], Settings] | None = None, world: World | None = None
) -> int:
    """`edge-agent run`: serve until SIGTERM or SIGINT; the exit code.  `reload` reads the settings
    anew.

    Raises what ended a room that should not have ended: the service manager starts us again.
    """
    settings = loaded.settings
    journal = open_journal(settings.journal.level, transcripts=settings.journal.transcripts)
    for setting, where in loaded.origins.items():
        journal.note("settings.origin", setting=setting, where=where)
    complaints = LibraryWarnings(journal)
    logging.getLogger().addHandler(complaints)
    code, daemons = EXIT_FAULT, list[Daemon]()
    try:
        here = world or replace(real_world(settings), reload=reload)
        asyncio.run(_serve(settings, here, journal, daemons))
        code = 0
    finally:
        logging.getLogger().removeHandler(complaints)
        if any(daemon.left_behind for daemon in daemons):
            # Python would wait for the thread that hangs in a driver.
            sys.stderr.flush()
            os._exit(code)
    return code


async def _serve(settings: Settings, world: World, journal: Journal, daemons: list[Daemon]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _loop, slip: journal.fault(slip.get("exception") or RuntimeError())
    )
    daemon = Daemon(settings, world, journal)
    daemons.append(daemon)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    # A service manager's SIGHUP means: read the settings anew; a terminal's: it was closed.
    is_service = world.notifier.connected
    loop.add_signal_handler(signal.SIGHUP, daemon.running.reload if is_service else daemon.stop)
    await daemon.run()


def refused(problem: AgentError, environ: Mapping[str, str] | None = None) -> bool:
    """Tell a service manager and its journal why there was no start; False: nobody listens but
    the terminal, which the command line tells."""
    notifier = Notifier(environ)
    first = str(problem.problems[0]) if isinstance(problem, SettingsError) else problem.message
    notifier.status(f"not started: {first}")
    if not leads_to_journald(os.environ if environ is None else environ, sys.stderr):
        return False
    note = open_journal("info").note
    if isinstance(problem, ConfigError):
        note_mistakes(problem, note)
    else:
        note("agent.not_started", why=problem.message, fix=problem.fix)
    return True
