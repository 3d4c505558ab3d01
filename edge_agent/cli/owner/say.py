"""`edge-agent say TEXT`: have the running speaker say something in its own voice.

Thread: main.  It must never need working settings, or keep the text anywhere.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded
from edge_agent.cli.owner.control import ask_speaker

READ_MAX_CHARS = 4000
"""Of the standard input: enough for the speaker to say that it is too long."""


@guarded
def say(
    text: Annotated[
        list[str],
        typer.Argument(help="Up to 300 characters; - reads them from the standard input."),
    ],
    config_file: ConfigOption = None,
) -> None:
    """Have the speaker say a text, at once or not at all: it talks over nobody.

    The voice is that of its own sentences for words that nobody recorded (espeak-ng), in
    speech.language; a muted microphone does not matter.
    """
    from edge_agent.app.announcer import spoken_text

    words = sys.stdin.read(READ_MAX_CHARS) if text == ["-"] else " ".join(text)
    answer = ask_speaker({"do": "say", "text": spoken_text(words)}, config_file)
    begun = answer.get("begun") is True
    typer.echo("It is being said." if begun else "It is being prepared, and said when it is ready.")
