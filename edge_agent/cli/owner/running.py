"""`edge-agent reload` and `edge-agent log-level`: the running program, without a restart.

Thread: main.  It must never need working settings: what is wrong with them is what it tells.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import EXIT_CONFIG, guarded, harmless
from edge_agent.cli.owner.control import ask_speaker
from edge_agent.cli.owner.timers import seconds_of

RESTART = "sudo systemctl restart edge-agent"


class Level(StrEnum):
    """The least important line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@guarded
def reload(config_file: ConfigOption = None) -> int:
    """Have the running speaker read its settings and its key anew, without dropping a talk.

    Tells what took effect and what wants a restart.  Exit code 78: there is a mistake, and the
    running settings stay.
    """
    answer = ask_speaker({"do": "reload"}, config_file)
    live, later, restart, problems = (
        [harmless(str(one)) for one in answer.get(name) or ()]
        for name in ("live", "later", "restart", "problems")
    )
    if problems:
        lines = ["The settings were not read anew; the running ones stay:", *problems]
        typer.echo("edge-agent: " + "\n  ".join(lines), err=True)
        return EXIT_CONFIG
    if live:
        typer.echo(f"In force: {', '.join(live)}.")
    if later:
        typer.echo(f"In force as soon as nobody talks: {', '.join(later)}.")
    if restart:
        typer.echo(f"After a restart ({RESTART}): {', '.join(restart)}.")
    if not (live or later or restart):
        typer.echo("No setting has changed.")
    return 0


@guarded
def log_level(
    to: Annotated[Level | None, typer.Argument(help="Nothing: tell it.")] = None,
    length: Annotated[
        str, typer.Option("--for", metavar="10m", help="Then that of the settings again.")
    ] = "",
    config_file: ConfigOption = None,
) -> None:
    """Tell or change how much the running speaker writes into its journal.

    debug adds kinds of messages, decisions of the gate and states of the talk; never words, sound
    or keys.
    """
    request: dict[str, object] = {"do": "log_level"}
    if to is not None:
        request |= {"to": to.value, "seconds": seconds_of(length) if length else 0}
    elif length:
        raise typer.BadParameter("--for wants a level: edge-agent log-level debug --for 10m")
    answer = ask_speaker(request, config_file)
    left_s = int(answer.get("left_s") or 0)
    from edge_agent.host.service.status import duration

    rest = f", for {duration(left_s)}" if left_s else ""
    typer.echo(f"The log level is {answer.get('level')}{rest}.")
