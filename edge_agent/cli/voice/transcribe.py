"""`edge-agent transcribe FILE`: a recording as text, by the provider's speech-to-text.

Thread: main.  It must never print the key, send a file that the service would refuse for its size
or kind, or let a transcript steer the terminal.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded, harmless, note
from edge_agent.cli.voice.patience import patiently
from edge_agent.cli.voice.speech import read_settings, speech_api

if TYPE_CHECKING:
    from edge_agent.contract.transcript import Hints
    from edge_agent.host.settings.root import Settings

WAIT_S_PER_MB = 20.0
"""On top of the usual wait: a megabyte of mp3 may be five minutes of speech, and goes out in 20 s
over an uplink of 0.4 Mbit/s."""
PROMPT_MAX_CHARS = 2000
"""As in the settings; transcribers read less."""


class Format(StrEnum):
    """How the words are written down."""

    TEXT = "text"
    JSON = "json"
    VERBOSE_JSON = "verbose_json"
    SRT = "srt"
    VTT = "vtt"


class Timestamps(StrEnum):
    """Of what the times are told."""

    WORD = "word"
    SEGMENT = "segment"


@dataclass(frozen=True)
class Waits:
    """How long the service may take; fields as in `HttpApi`."""

    silence_timeout_s: float
    call_timeout_s: float


def waits_for(size_bytes: int, max_wait_s: int | None) -> Waits:
    """For a recording of that size; `max_wait_s` (None: by size) for the answer to begin."""
    from edge_agent.host.web.http_api import CALL_TIMEOUT_S, SILENCE_TIMEOUT_S

    by_size_s = WAIT_S_PER_MB * size_bytes / 1_000_000
    wait_s = max_wait_s or SILENCE_TIMEOUT_S + by_size_s
    return Waits(wait_s, max(CALL_TIMEOUT_S, wait_s + by_size_s))


@guarded
def transcribe(
    file: Annotated[Path, typer.Argument(help="A recording: wav, mp3, m4a, ogg, flac, webm …")],
    *,
    form: Annotated[
        Format,
        typer.Option("--format", "-f", help="srt and vtt are subtitles, verbose_json has times."),
    ] = Format.TEXT,
    language: Annotated[
        str,
        typer.Option(
            "--language",
            "-l",
            help="Of the recording, as de or en.  Default: realtime.transcription_language and "
            "transcription.languages, else it is guessed.",
        ),
    ] = "",
    model: Annotated[
        str, typer.Option("--model", help="Default: speech.transcription_model.")
    ] = "",
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            help="What is talked about, in the language of the recording.  Default: "
            "transcription.prompt.",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0.0, max=1.0, help="0 is the most predictable."),
    ] = None,
    timestamps: Annotated[
        list[Timestamps] | None,
        typer.Option("--timestamps", help="With verbose_json: word, segment, or both."),
    ] = None,
    max_wait: Annotated[
        int | None,
        typer.Option(
            "--max-wait",
            min=1,
            max=7200,
            help="Longest wait for the service, in seconds.  Default: by the size, up to ten "
            "minutes.",
        ),
    ] = None,
    config_file: ConfigOption = None,
) -> None:
    """Print what is said in a recording.  It is sent to the provider (25 MB at most)."""
    if language and not re.fullmatch(r"[a-z]{2,3}", language):
        raise typer.BadParameter("a language is two or three small letters, like de or en")
    if timestamps and form is not Format.VERBOSE_JSON:
        raise typer.BadParameter("--timestamps need --format verbose_json")
    settings = read_settings(config_file)
    model = model or settings.speech.transcription_model
    hints = _hints(settings, language, prompt, model)
    size_bytes = file.stat().st_size if file.is_file() else 0
    api = speech_api(settings, **dataclasses.asdict(waits_for(size_bytes, max_wait)))
    words = patiently(
        lambda: api.transcribe(
            file,
            model=model,
            form=form.value,
            hints=hints,
            temperature=temperature,
            timestamps=[one.value for one in timestamps or ()],
        ),
        even_if_lost=False,  # it may have been heard whole, and would be billed twice
    )
    if not words:
        note("no words were found in the recording")
    typer.echo(harmless(words))


def _hints(settings: Settings, language: str, prompt: str | None, model: str) -> Hints:
    """Those of the settings, with what the command line says in their place."""
    from edge_agent.app.wiring import transcription_hints
    from edge_agent.contract.transcript import takes_prompt

    hints = transcription_hints(settings)
    if language:
        hints = dataclasses.replace(hints, languages=(language,))
    if prompt is None:
        return hints
    if len(prompt) > PROMPT_MAX_CHARS:
        raise typer.BadParameter(f"a prompt has {PROMPT_MAX_CHARS} characters at most")
    if any(not char.isprintable() and char != "\n" for char in prompt):
        raise typer.BadParameter("the prompt holds a control character")
    if prompt and not takes_prompt(model):
        raise typer.BadParameter(f"{model} takes no prompt")
    return dataclasses.replace(hints, prompt=prompt)
