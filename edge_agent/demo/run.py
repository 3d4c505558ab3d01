"""The demo: plays the evening, shows it, judges it, and writes the report.

Thread: the main thread, which runs the loop.  It must never return 0 unless every act went as it
must.  Called by `edge-agent demo [--fast | --live] [--out DIR]`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from edge_agent.demo.acts import ACTS
from edge_agent.demo.evening import Evening, take_evening
from edge_agent.demo.play import Act, Play
from edge_agent.demo.show.picture import draw_picture
from edge_agent.demo.show.report import write_report
from edge_agent.demo.show.view import View, print_results
from edge_agent.demo.stage import Stage
from edge_agent.host.settings.root import Settings
from edge_agent.simulation import clock
from edge_agent.version import this_build

OUT_FOLDER = "edge-agent-demo"

SERVER_SPEED = 2.0
"""Audio comes twice as fast as it is spoken, so that an answer is still under way when somebody
talks over it: then the model has to be told to stop as well."""

FOLLOW_UP_S = 3.0
"""Half the default: nobody wants to watch a window that closes."""

SETTINGS: Mapping[str, Mapping[str, object]] = {"listen": {"follow_up_s": FOLLOW_UP_S}}
"""All that differs from the daemon's defaults, beside the server's address."""

OK, FAILED = 0, 1


def main(
    *,
    fast: bool = False,
    live: bool = False,
    out: Path | None = None,
    turns: int = 0,
    settings: Settings | None = None,
    acts: Sequence[Act] = ACTS,
    console: Console | None = None,
) -> int:
    """Play the demo; the exit code is 0 only if everything went as it must.

    `fast`: virtual time and an in-memory network, else real time over a real WebSocket.
    `live`: this machine's microphone and loudspeaker instead of the play, until `turns` answers
    were heard (0: until Ctrl-C), with the devices and wake words of `settings`.
    `out`: folder for report, picture and sound (default: `edge-agent-demo` in the current one);
    what the last run left there is replaced.
    """
    console = console or Console()
    if live:
        from edge_agent.demo.live import run_live

        return run_live(console, turns=turns, settings=settings)
    folder = out or Path(OUT_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    if fast:
        evening = clock.run(_play(acts, console))
    else:
        console.print("A household talks to the speaker for about 70 seconds.", style="dim")
        evening = asyncio.run(_play(acts, console))
    print_results(console, evening.acts)
    for path in write_out(evening, folder):
        console.print(str(path), highlight=False, soft_wrap=True, style="dim")
    passed = sum(act.ok for act in evening.acts)
    verdict = f"{passed} of {len(evening.acts)} acts as they must be"
    console.print(verdict, style="bold green" if evening.ok else "bold red", highlight=False)
    return OK if evening.ok else FAILED


async def _play(acts: Sequence[Act], console: Console) -> Evening:
    stage = Stage(settings=SETTINGS, server={"audio_speed": SERVER_SPEED})
    loop = asyncio.get_running_loop()
    really = not stage.is_virtual
    async with stage:
        play = Play(stage, acts, really_kill=really)
        if really:
            loop.add_signal_handler(signal.SIGTERM, stage.daemon.stop)
        try:
            room = stage.room
            levels = lambda: (room.heard_dbfs, room.spoken_dbfs)  # noqa: E731
            async with View(console).follow(stage, levels):
                await play.perform()
        finally:
            if really:
                loop.remove_signal_handler(signal.SIGTERM)
        how = "real time, WebSocket on localhost" if really else "virtual time, in-memory network"
        return take_evening(stage, play.results, how)


def write_out(evening: Evening, folder: Path) -> list[Path]:
    """Write report, picture and sound; returns the files there are."""
    report, picture, sound = (folder / name for name in ("report.html", "timeline.png", "room.wav"))
    report.write_text(write_report(evening, version=this_build()), encoding="utf-8")
    write_sound(evening, sound)
    written = [report, sound]
    if draw_picture(evening, picture):
        written.insert(1, picture)
    return written


def write_sound(evening: Evening, path: Path) -> None:
    """What the room heard, as a WAV file."""
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(evening.rate_hz)
        file.writeframes(evening.room.tobytes())
