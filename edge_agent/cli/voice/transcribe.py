"""`edge-agent transcribe FILE`: a recording as text, by the provider's speech-to-text.

Thread: main.  It must never print the key, send a file that the service would refuse for its size
or kind, or let a transcript steer the terminal.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded, harmless, note
from edge_agent.cli.voice.speech import read_settings, speech_api


class Format(StrEnum):
    """How the words are written down."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"


@guarded
def transcribe(
    file: Annotated[Path, typer.Argument(help="A recording: wav, mp3, m4a, ogg, flac, webm …")],
    form: Annotated[
        Format, typer.Option("--format", "-f", help="srt and vtt are subtitles.")
    ] = Format.TEXT,
    language: Annotated[
        str,
        typer.Option(
            "--language",
            "-l",
            help="Of the recording, as de or en.  Default: realtime.transcription_language, "
            "else it is guessed.",
        ),
    ] = "",
    model: Annotated[
        str, typer.Option("--model", help="Default: speech.transcription_model.")
    ] = "",
    config_file: ConfigOption = None,
) -> None:
    """Print what is said in a recording.  It is sent to the provider (25 MB at most)."""
    if language and not re.fullmatch(r"[a-z]{2,3}", language):
        raise typer.BadParameter("a language is two or three small letters, like de or en")
    settings = read_settings(config_file)
    words = speech_api(settings).transcribe(
        file,
        model=model or settings.speech.transcription_model,
        form=form.value,
        language=language or settings.realtime.transcription_language,
    )
    if not words:
        note("no words were found in the recording")
    typer.echo(harmless(words))
