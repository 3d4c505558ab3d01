"""`edge-agent volume`: how loud the running speaker is.

Thread: main.  It must never need working settings.
"""

from __future__ import annotations

import re
from typing import Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded, note
from edge_agent.cli.owner.control import ask_speaker, check_saved

WISH = re.compile(r"([+-]?)([0-9]{1,3}) ?%?")


@guarded
def volume(
    to: Annotated[
        str,
        typer.Argument(
            metavar="[N|+N|-N]", help="Percent, or louder or softer by so much.  Nothing: tell it."
        ),
    ] = "",
    config_file: ConfigOption = None,
) -> None:
    """Tell or set the volume of the running speaker; remembered over a restart."""
    request: dict[str, object] = {"do": "volume"}
    if to:
        wish = WISH.fullmatch(to.strip())
        if wish is None or int(wish[2]) > 100:
            raise typer.BadParameter("a volume is 0 to 100, or a step like +10 or -10")
        request |= {"by": int(f"{wish[1]}{wish[2]}")} if wish[1] else {"to": int(wish[2])}
    answer = ask_speaker(request, config_file)
    now, asked = answer.get("volume_percent"), answer.get("asked_percent")
    typer.echo(f"The volume is {now} %.")
    if asked not in (None, now):
        note(f"asked for were {asked} %, which the settings do not allow")
    check_saved(answer)
