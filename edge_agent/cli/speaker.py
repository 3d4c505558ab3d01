"""`edge-agent run`: the speaker itself.

Thread: main, which becomes the event loop's.  It must never start a second speaker on a machine
unless it is told to, nor leave a service manager without the reason why there was no start.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from edge_agent.cli.outcome import exit_code, note


def run(config_file: Path | None, said: Sequence[str], *, beside: bool) -> int:
    """Serve until SIGTERM or Ctrl-C.  `beside`: though a speaker runs on this machine already."""
    from edge_agent.contract.errors import AgentError

    try:
        return _served(config_file, said, beside=beside)
    except AgentError as problem:
        if importlib.import_module("edge_agent.app.process").refused(problem):
            return exit_code(problem)
        raise


def _served(config_file: Path | None, said: Sequence[str], *, beside: bool) -> int:
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.service.control import SERVICE_FOLDER
    from edge_agent.host.service.place import taken_place
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.keepsakes import keepsakes_folder

    loaded = load(config_file, said=said)
    become_owner(keepsakes_folder(loaded.settings.state.path), given=SERVICE_FOLDER)
    place = None if beside else taken_place()
    for warning in loaded.warnings:
        note(warning)
    process = importlib.import_module("edge_agent.app.process")
    try:
        return int(process.run(loaded, reload=lambda: load(config_file, said=said).settings))
    finally:
        if place is not None:
            place.close()
