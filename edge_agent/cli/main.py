"""The command line: `edge-agent VERB`.

Thread: main.  It must never import a heavy library before a verb needs it (`--help` answers at
once), and never show a traceback to a person who did not ask for it.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli import config, devices, mcp, prompt, server, speaker
from edge_agent.cli.doctor import calibrate
from edge_agent.cli.doctor import verb as doctor
from edge_agent.cli.options import ConfigOption, SetOption
from edge_agent.cli.outcome import EXIT_CODES_TEXT, debugging, guarded, reader_has_gone
from edge_agent.cli.owner import (
    backup,
    control,
    facts,
    listening,
    messages,
    privacy,
    running,
    say,
    support,
    timers,
    usage,
    volume,
)
from edge_agent.cli.owner.muted import check_not_muted
from edge_agent.cli.voice import transcribe, voice_pack

app = typer.Typer(
    name="edge-agent",
    help="The smart speaker that belongs to the household that owns it.",
    epilog=EXIT_CODES_TEXT,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(config.app, name="config")
app.add_typer(prompt.app, name="prompt")
app.add_typer(mcp.app, name="mcp")
app.add_typer(messages.app, name="messages")
app.add_typer(facts.app, name="facts")
app.command("privacy")(privacy.privacy)
app.command("devices")(devices.devices)
app.command("doctor")(doctor.doctor)
app.command("calibrate")(calibrate.calibrate)
app.command("listen")(listening.listen)
app.command("status")(control.status)
app.command("mute")(control.mute)
app.command("guest")(control.guest)
app.command("say")(say.say)
app.command("volume", context_settings={"ignore_unknown_options": True})(volume.volume)
app.add_typer(timers.app, name="timers")
app.command("usage")(usage.usage)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("support")(support.support)
app.command("reload")(running.reload)
app.command("log-level")(running.log_level)
app.add_typer(voice_pack.app, name="voice-pack")
app.command("transcribe")(transcribe.transcribe)
app.command("simulate-server")(server.simulate_server)


def _version_line() -> str:
    import platform

    from edge_agent.version import this_build

    return (
        f"edge-agent {this_build()} (Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()})"
    )


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(_version_line())
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the program an error came from.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the version, and what it runs on.",
        ),
    ] = False,
) -> None:
    """The smart speaker that belongs to the household that owns it."""
    debugging(debug)


@app.command()
@guarded
def run(
    config_file: ConfigOption = None,
    said: SetOption = None,
    *,
    beside: Annotated[
        bool, typer.Option("--beside", help="Though a speaker runs here already: for a test.")
    ] = False,
) -> int:
    """Run the speaker in the foreground, until SIGTERM or Ctrl-C.

    Every setting can also come from the environment: EDGE_AGENT_REALTIME__VOICE=cedar.
    """
    return speaker.run(config_file, said or (), beside=beside)


@app.command()
@guarded
def demo(
    fast: Annotated[
        bool, typer.Option("--fast", help="In virtual time: the whole play in seconds.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option("--live", help="With this machine's microphone and speaker, and a parrot."),
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the report, the picture and the sound.")
    ] = Path("edge-agent-demo"),
    turns: Annotated[
        int, typer.Option("--turns", min=0, help="--live: end after so many answers, 0: never.")
    ] = 0,
    config_file: ConfigOption = None,
) -> int:
    """Watch a household talk to the speaker: the real program, a simulated room and provider."""
    if fast and live:
        raise typer.BadParameter("real sound cannot be made faster; use --fast or --live")
    settings = None
    if live:  # the devices and the wake word of this house
        from edge_agent.host.settings.load import load

        settings = load(config_file).settings
        check_not_muted(settings)
    play = importlib.import_module("edge_agent.demo").main
    return int(play(fast=fast, live=live, out=out, turns=turns, settings=settings))


@app.command()
@guarded
def version() -> None:
    """Print the version, and what it runs on."""
    typer.echo(_version_line())


def main() -> None:
    """Entry point of the `edge-agent` command."""
    try:
        app()
    except BrokenPipeError:
        reader_has_gone()  # `edge-agent config show | head`
        sys.exit(0)


if __name__ == "__main__":
    main()
