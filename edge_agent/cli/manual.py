"""The manual page, made of what `--help` says: `python -m edge_agent.cli.manual > edge-agent.1`.

Thread: main.  It must never say anything of its own about a verb: the verbs do.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import typer
from typer.core import TyperCommand, TyperGroup

from edge_agent.cli.main import app
from edge_agent.cli.outcome import EXIT_CODES_TEXT
from edge_agent.version import this_build

FILES = (
    ("/etc/edge-agent/edge-agent.toml", "the settings; every key with its default"),
    ("/etc/edge-agent/openai_api_key", "the key, which only root and the service may read"),
    ("/etc/edge-agent/personas/", "your own personas"),
    ("/var/lib/edge-agent/", "what it remembers"),
)


def manual() -> str:
    """The page, in the macros of man(7)."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    command = typer.main.get_group(app)
    context = typer.Context(command, info_name="edge-agent")
    yield f'.TH EDGE-AGENT 1 "" "edge-agent {_plain(this_build())}" "User commands"'
    yield ".SH NAME"
    yield r"edge-agent \- the smart speaker that belongs to the household that owns it"
    yield ".SH SYNOPSIS"
    yield r".B edge-agent\fR VERB [OPTIONS]"
    yield ".SH OPTIONS"
    yield from _options(command, context)
    yield ".SH VERBS"
    yield from _verbs(command, context)
    yield ".SH EXIT STATUS"
    yield _plain(EXIT_CODES_TEXT.removeprefix("Exit codes: "))
    yield ".SH FILES"
    for path, what in FILES:
        yield ".TP"
        yield f".I {_plain(path)}"
        yield _plain(what)
    yield ".SH SEE ALSO"
    yield r"journalctl(1), with \-u edge\-agent; systemctl(1)"


def _verbs(group: TyperGroup, context: typer.Context) -> Iterator[str]:
    for name in sorted(group.commands):
        verb = group.commands[name]
        inner = typer.Context(verb, info_name=name, parent=context)
        if isinstance(verb, TyperGroup):
            yield from _verbs(verb, inner)
            continue
        assert isinstance(verb, TyperCommand)
        arguments = " ".join(verb.collect_usage_pieces(inner))
        yield f".SS {_plain(f'{inner.command_path} {arguments}')}"
        yield from _paragraphs(verb.help or "")
        yield from _options(verb, inner)


def _options(command: TyperGroup | TyperCommand, context: typer.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        if (record := parameter.get_help_record(context)) is not None:
            yield ".TP"
            yield f".B {_plain(record[0])}"
            yield from _paragraphs(record[1] or " ")


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.replace("\b", ""))):
        if number:
            yield ".PP"
        yield _plain(paragraph)


def _plain(text: str) -> str:
    """One line that troff takes as it is."""
    line = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{line}" if line.startswith((".", "'")) else line


if __name__ == "__main__":
    sys.stdout.write(manual())
