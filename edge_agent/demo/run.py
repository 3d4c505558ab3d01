"""The demo: plays the evening, shows it, judges it, and writes the report.

Thread: the main thread, which runs the loop.  It must never return 0 unless every act went as it
must, nor call a machine that was too busy for real time a failure of the
speaker.  Called by `edge-agent demo [--fast | --live] [--out DIR]`.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from edge_agent.contract.errors import AgentError
from edge_agent.demo.acts import ACTS
from edge_agent.demo.evening import Evening, take_evening
from edge_agent.demo.judge.pressure import Pressure
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

OK, FAILED, VOID = 0, 1, 3
"""Exit codes; void: nothing is known against the speaker, the machine was too busy to judge."""

REPORT_MIB = 20
"""Room for what is written at the end: sound 7, report 4, picture 1, and as much again."""

VERDICT_STYLES = {"good": "bold green", "bad": "bold red", "busy": "bold yellow"}


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
    make_folder(folder)
    if fast:
        evening = clock.run(_play(acts, console))
    else:
        console.print("A household talks to the speaker for about 70 seconds.", style="dim")
        evening = asyncio.run(_play(acts, console))
    print_results(console, evening.acts)
    written = write_out(evening, folder)
    for path in written:
        console.print(str(path.resolve()), highlight=False, soft_wrap=True, style="dim")
    console.print(
        f"To see and hear it, open {written[0].resolve().as_uri()} in a browser.",
        highlight=False,
        soft_wrap=True,
    )
    console.print(evening.summary, style=VERDICT_STYLES[evening.verdict], highlight=False)
    if evening.verdict == "busy":
        console.print(
            "Other programs held the processor while sound was due. Start it again when less "
            "runs here, or add --fast, which needs no real time.",
            highlight=False,
            soft_wrap=True,
        )
    return {"good": OK, "busy": VOID}.get(evening.verdict, FAILED)


def make_folder(folder: Path) -> None:
    """Make sure, before the play, that its report can be kept.  Raises `AgentError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
        free_mib = shutil.disk_usage(folder).free // 2**20
    except OSError as error:
        raise _unwritable(folder, error) from None
    if free_mib < REPORT_MIB:
        raise AgentError(
            f"The disk under {folder.absolute()} has {free_mib} MiB left; report and sound need "
            f"{REPORT_MIB}.",
            fix="Make room, or choose another folder: --out FOLDER",
            code="demo.disk_full",
        )


def _unwritable(folder: Path, error: OSError) -> AgentError:
    why = error.strerror or "not possible"
    return AgentError(
        f"The report cannot be written into {folder.absolute()}: {why}.",
        fix="Choose a folder that you may write: --out FOLDER",
        code="demo.unwritable",
    )


async def _play(acts: Sequence[Act], console: Console) -> Evening:
    stage = Stage(settings=SETTINGS, server={"audio_speed": SERVER_SPEED})
    loop = asyncio.get_running_loop()
    really = not stage.is_virtual
    async with stage:
        pressure = Pressure(loop.time) if really else None
        play = Play(stage, acts, really_kill=really, pressure=pressure)
        if pressure is not None:
            pressure.start()
            loop.add_signal_handler(signal.SIGTERM, stage.daemon.stop)
        try:
            room = stage.room
            levels = lambda: (room.heard_dbfs, room.spoken_dbfs)  # noqa: E731
            async with View(console).follow(stage, levels):
                await play.perform()
        finally:
            if pressure is not None:
                pressure.stop()
                loop.remove_signal_handler(signal.SIGTERM)
        how = "real time, WebSocket on localhost" if really else "virtual time, in-memory network"
        return take_evening(stage, play.results, how)


def write_out(evening: Evening, folder: Path) -> list[Path]:
    """Write report, picture and sound, all or none; returns the files there are.

    Raises `AgentError` where the disk does not take them.
    """
    page = write_report(evening, version=this_build())
    makers: dict[str, Callable[[Path], bool]] = {
        "report.html": lambda path: path.write_text(page, encoding="utf-8") > 0,
        "timeline.png": lambda path: draw_picture(evening, path),
        "room.wav": lambda path: write_sound(evening, path),
    }
    try:
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as scratch:
            made = [name for name, make in makers.items() if make(Path(scratch, name))]
            # Only now, so that a disk that fills up leaves the report of the last run.
            written = [Path(scratch, name).replace(folder / name) for name in made]
    except OSError as error:
        raise _unwritable(folder, error) from None
    return written


def write_sound(evening: Evening, path: Path) -> bool:
    """What the room heard, as a WAV file."""
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(evening.rate_hz)
        file.writeframes(evening.room.tobytes())
    return True
