"""`edge-agent listen`: what the running speaker hears, live, in figures.

`listen` asks the speaker (`app.hearing`) a few times a second and shows each answer: a panel on a
terminal, else a line a second.

Thread: main; the speaker runs meanwhile.  It must never open a sound card, nor need working
settings.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded, harmless
from edge_agent.cli.owner.control import speaker_door

LINES_PER_S, PANELS_PER_S = 1, 5
METER_CELLS = 30
QUIETEST_DBFS = -80.0
"""Left end of the meter; the right end is full scale."""
MUTED = "The microphone is muted: nothing is heard."
NO_DEVICE = "The speaker has no sound device (edge-agent status)."
NOTHING = "The microphone gives no sound (edge-agent status)."
GATES = {
    "shut": "shut: nothing leaves",
    "armed": "waits for a voice: nothing leaves yet",
    "open": "open: what is heard leaves",
}
ECHOES = {
    "none": "none: the loudspeaker is not heard here",
    "searching": "not found yet",
    "off": "not cancelled (echo.mode)",
}

pause: Callable[[float], None] = time.sleep


@guarded
def listen(
    *,
    seconds: Annotated[
        int, typer.Option("--seconds", min=0, help="For so long, 0: until Ctrl-C.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: a line of JSON a second.")
    ] = False,
    config_file: ConfigOption = None,
) -> None:
    """Show live what the running speaker hears: level, voice, wake words, echo.

    Figures alone: no sound and no words.  The speaker keeps its microphone; this opens none.
    """
    ask = speaker_door(config_file)
    is_panel = not as_json and _is_terminal()
    answers = _answers(lambda: ask({"do": "hearing"}), seconds, is_panel=is_panel)
    if is_panel:
        _show(answers)
        return
    for answer in answers:
        typer.echo(
            json.dumps(answer) if as_json else f"{time.strftime('%H:%M:%S')}  {line(answer)}"
        )


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _answers(
    ask: Callable[[], dict[str, Any]], seconds: int, *, is_panel: bool
) -> Iterator[dict[str, Any]]:
    """What is heard, again and again; the first answer only has the speaker begin to look."""
    per_s = PANELS_PER_S if is_panel else LINES_PER_S
    ask()
    count = 0
    while not seconds or count < seconds * per_s:
        count += 1
        pause(1 / per_s)
        answer = ask()
        answer.pop("ok", None)
        yield answer


def rows(heard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is heard, in words: what, and how it is."""
    if heard["microphone"] == "muted":
        yield "Muted", MUTED
        return
    if not heard["frames"]:
        yield "Level", NOTHING if heard["device"] else NO_DEVICE
    else:
        clips = f"; CLIPS ({heard['clipped']} samples)" if heard["clipped"] else ""
        yield (
            "Level",
            f"{heard['level_dbfs']:.0f} dBFS (floor {heard['floor_dbfs']:.0f}, peak "
            f"{heard['peak_dbfs']:.0f}){clips}",
        )
        own = f", our own sounds {heard['playing_percent']} %" if heard["playing_percent"] else ""
        yield "Voice", f"{heard['speech_percent']} % of the time{own}"
        for one in heard["wake"]:
            woke = " WAKES" if one["score"] > one["cutoff"] else ""
            yield "Wake", f"{one['word']} {one['score']:.2f} of {one['cutoff']:.2f}{woke}"
    echo = heard["echo"]
    found = f"found, {heard['echo_quieter_db']} dB quieter"
    yield "Echo", found if echo == "found" else ECHOES.get(echo, echo)
    yield "Gate", GATES.get(heard["gate"], heard["gate"])
    yield "Talk", f"{heard['talk']}, light: {heard['light']}"


def line(heard: Mapping[str, Any]) -> str:
    """The same as one line."""
    told = (f"{what.lower()} {how}" for what, how in rows(heard))
    if heard["microphone"] == "muted":
        return MUTED
    return harmless("; ".join(told))


def meter(heard: Mapping[str, Any]) -> str:
    """The level as a bar; `|` is the peak."""
    if not heard.get("frames"):
        return "░" * METER_CELLS
    cells = list("█" * _cell(heard["level_dbfs"])) + ["░"] * METER_CELLS
    cells[min(METER_CELLS - 1, _cell(heard["peak_dbfs"]))] = "|"
    return "".join(cells[:METER_CELLS])


def _cell(dbfs: float) -> int:
    share = (dbfs - QUIETEST_DBFS) / -QUIETEST_DBFS
    return min(METER_CELLS, max(0, round(share * METER_CELLS)))


def panel(heard: Mapping[str, Any]) -> str:
    """What is on the screen."""
    told = [] if heard["microphone"] == "muted" else [("", meter(heard))]
    told += rows(heard)
    return harmless("\n".join(f"{what:<6} {how}" for what, how in told))


def _show(answers: Iterator[dict[str, Any]]) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        for answer in answers:
            live.update(Text(panel(answer)), refresh=True)
