"""`edge-agent status`, `mute` and `guest`: ask the running speaker.

Thread: main.  It must never need working settings: it is asked when something is wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import EXIT_FAILED, guarded, harmless, note

if TYPE_CHECKING:
    from edge_agent.host.service.status import Status

ROOT = Path("/")


class Switch(StrEnum):
    """What the microphone, or guest mode, should be."""

    ON = "on"
    OFF = "off"
    TOGGLE = "toggle"


@guarded
def status(
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Only what is wrong, for a monitor.  Exit code 0: it works, perhaps with a flaw "
            "(then a line says which); 1: something keeps it from working; 69: it does not run, or "
            "does not answer.",
        ),
    ] = False,
) -> int:
    """Tell what the speaker is doing, and what is wrong if something is."""
    from edge_agent.host.service.control import ControlError, NotRunning
    from edge_agent.host.service.troubles import lines, page, troubles

    try:
        answer = ask_speaker({"do": "status"}, config_file)
    except ControlError as problem:
        if as_json:
            why = {"code": problem.code, "error": problem.message, "fix": problem.fix}
            runs = not isinstance(problem, NotRunning)
            typer.echo(json.dumps({"running": runs, **why}, indent=2))
        raise
    known = known_status(answer)
    found = troubles(known)
    code = EXIT_FAILED if check and any(one.is_serious for one in found) else 0
    if as_json:
        told = {} if check else {**answer, "running": True}
        told.pop("ok", None)
        rows = [dataclasses.asdict(one) for one in found]
        typer.echo(json.dumps(told | {"troubles": rows}, indent=2))
        return code
    rows_told = (lines(found) or [("Trouble", "none")]) if check else page(known)
    width = max(len(what) for what, _ in rows_told) + 1
    for what, how in rows_told:
        typer.echo(harmless(f"{what + ':':<{width}}  {how}"))
    return code


@guarded
def mute(
    to: Annotated[Switch, typer.Argument(help="on: the microphone is off.  off: it is on.")],
    config_file: ConfigOption = None,
) -> None:
    """Mute the microphone, or open it; remembered over a restart."""
    answer = ask_speaker({"do": "mute", "to": to.value}, config_file)
    muted = answer.get("muted") is True
    typer.echo("The microphone is off (muted)." if muted else "The microphone is on.")
    check_saved(answer)


@guarded
def guest(
    to: Annotated[Switch, typer.Argument(help="on: only what is harmless is done.")],
    config_file: ConfigOption = None,
) -> None:
    """Turn guest mode on or off; remembered over a restart."""
    answer = ask_speaker({"do": "guest", "to": to.value}, config_file)
    on = answer.get("guest") is True
    typer.echo("Guest mode is on." if on else "Guest mode is off.")
    check_saved(answer)


def known_status(answer: dict[str, Any]) -> Status:
    """What the speaker answers, with the program that holds its card by name: the service may not
    see other processes, whoever asks it does."""
    from edge_agent.audio.device.cards import name_holders
    from edge_agent.host.service.status import from_plain

    status = from_plain(answer)
    if status.failure is None:
        return status
    failure = dataclasses.replace(
        status.failure, message=name_holders(status.failure.message, ROOT)
    )
    return dataclasses.replace(status, failure=failure)


def check_saved(answer: dict[str, Any]) -> None:
    """Raises `AgentError` if a restart would forget what was asked for."""
    from edge_agent.contract.errors import AgentError

    if answer.get("saved") is False:  # an older speaker does not say
        raise AgentError(
            "That could not be saved: after a restart it will be as it was before.",
            fix="Make room on the disk of state.path, or make it writable; it is tried again. "
            "See: journalctl -u edge-agent -n 30",
        )


def ask_speaker(request: dict[str, object], config_file: Path | None) -> dict[str, Any]:
    """The running speaker's answer.  Raises `ControlError` where there is none, or a refusal."""
    return speaker_door(config_file)(request)


def speaker_door(config_file: Path | None) -> Callable[[dict[str, object]], dict[str, Any]]:
    """The same for whoever asks many times."""
    from edge_agent.contract.errors import ConfigError
    from edge_agent.host.service.account import SharedFolder, become_owner
    from edge_agent.host.service.control import ask, client_paths

    setting = ""
    try:
        from edge_agent.host.settings.load import load

        setting = load(config_file).settings.control.path
    except ConfigError:
        note("the settings have a mistake (see: edge-agent config check); asking anyway")
    paths = client_paths(setting)
    with contextlib.suppress(SharedFolder):  # the socket's own mode decides there
        for folder in (path.parent for path in paths if path.exists()):
            become_owner(folder)
    return lambda request: ask(request, paths)
