"""`edge-agent timers`: what will ring, to look at, to set and to cancel.

Thread: main.  It must never change the file of a speaker: what runs is asked to, and while nothing
runs the file is only read.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded, harmless, note
from edge_agent.cli.owner.control import ask_speaker
from edge_agent.cli.owner.files import check_may_read

LENGTH = re.compile(r"(?:(\d{1,3})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")
TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")

app = typer.Typer(
    help="Look at timers and alarms, set one, cancel one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


class Repeat(StrEnum):
    """On which days an alarm rings."""

    ONCE = "once"
    DAILY = "daily"
    WEEKDAYS = "weekdays"
    WEEKENDS = "weekends"


@app.command("list")
@guarded
def list_timers(
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Print what will ring, the next one first."""
    from edge_agent.host.service.control import NotRunning

    try:
        found: list[dict[str, Any]] = ask_speaker({"do": "timers"}, config_file)["timers"]
    except NotRunning:
        found = _kept(config_file)
        note("the speaker is not running: this is from its file, and nothing rings until it runs")
    found.sort(key=lambda one: float(one["left_s"]))
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for one in found:
        typer.echo(_shown(one))
    if not found:
        typer.echo("Nothing is set.")


@app.command()
@guarded
def add(
    when: Annotated[str, typer.Argument(help="10m, 1h30m, 90s: a timer.  07:30: an alarm.")],
    name: Annotated[str, typer.Argument(help="What it is for.")] = "",
    repeat: Annotated[Repeat, typer.Option("--repeat", help="Of an alarm.")] = Repeat.ONCE,
    config_file: ConfigOption = None,
) -> None:
    """Set a timer, or an alarm for the next such time of day."""
    request: dict[str, object]
    if time := TIME_OF_DAY.fullmatch(when):
        now = dt.datetime.now().astimezone().replace(tzinfo=None)
        wall = next_at(int(time[1]), int(time[2]), now)
        request = {"do": "set_alarm", "wall": wall.isoformat(), "repeat": repeat.value}
    elif repeat is not Repeat.ONCE:
        raise typer.BadParameter("only an alarm is repeated: write a time of day, as 07:30")
    else:
        request = {"do": "set_timer", "seconds": seconds_of(when)}
    typer.echo(_shown(ask_speaker({**request, "name": name}, config_file)["timer"]))


@app.command()
@guarded
def cancel(
    name: Annotated[str, typer.Argument(help="As `edge-agent timers list` names it; or all.")],
    config_file: ConfigOption = None,
) -> None:
    """Cancel a timer or an alarm; one that rings falls silent."""
    gone = ask_speaker({"do": "cancel_timer", "name": name}, config_file)["cancelled"]
    typer.echo(harmless(f"Cancelled: {', '.join(map(str, gone))}."))


def seconds_of(length: str) -> int:
    """`1h30m` in seconds."""
    found = LENGTH.fullmatch(length.strip().lower())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise typer.BadParameter("write a length as 10m, 1h30m or 90s, or a time of day as 07:30")
    return total


def next_at(hour: int, minute: int, now: dt.datetime) -> dt.datetime:
    """The next such time, on this machine's clock."""
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today > now else today + dt.timedelta(days=1)


def _shown(one: dict[str, Any]) -> str:
    from edge_agent.host.service.status import duration

    if one["ringing"]:
        when = "is ringing"
    elif one["at"]:
        often = "" if one["repeat"] == "once" else f" ({one['repeat']})"
        when = f"{dt.datetime.fromisoformat(one['at']):%Y-%m-%d %H:%M}{often}"
    else:
        when = f"{duration(float(one['left_s']))} left"
    return harmless(f"{one['name']}: {one['kind']}, {when}")


def _kept(config_file: Path | None) -> list[dict[str, Any]]:
    """What the file tells."""
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.timer_store import read_timers, timers_path

    path = timers_path(load(config_file).settings.state.path)
    become_owner(path.parent)
    check_may_read(path)
    now = dt.datetime.now().astimezone()
    return [
        {
            "name": one.name,
            "kind": one.kind,
            "left_s": round(max(0.0, one.left_s(now)), 1),
            "at": one.due_wall,
            "repeat": one.repeat,
            "ringing": False,
        }
        for one in read_timers(path).timers
    ]
