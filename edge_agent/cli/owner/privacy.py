"""`edge-agent privacy`: what is kept, what leaves the house, and away with it.

Thread: main; the speaker may run meanwhile.  It must never show a word of what is kept, and never
delete without a yes.
"""

from __future__ import annotations

import importlib
import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import agreed, guarded, note
from edge_agent.cli.owner.files import check_may_read

if TYPE_CHECKING:
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.stores.stored_data import Kept

KILOBYTE = 1000
WIDTH_CHARS = 96
"""Readable in a terminal of 100 columns."""


class What(StrEnum):
    """What can be deleted."""

    FACTS = "facts"
    TRANSCRIPTS = "transcripts"
    AUDIO = "audio"
    TIMERS = "timers"
    MESSAGES = "messages"
    USAGE = "usage"
    ALL = "all"


@guarded
def privacy(
    *,
    erase: Annotated[
        What | None, typer.Option("--delete", help="Delete this kind of thing, after a yes.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --delete: do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    watching: Annotated[
        bool,
        typer.Option("--watch", help="Bytes on the running speaker's connections, by the kernel."),
    ] = False,
    seconds: Annotated[
        int, typer.Option("--seconds", min=0, help="With --watch: for so long, 0: until Ctrl-C.")
    ] = 0,
    proving: Annotated[
        bool,
        typer.Option("--prove", help="Try it: what leaves before, in, after a talk, and muted."),
    ] = False,
    config_file: ConfigOption = None,
) -> int:
    """Tell what is kept on this machine, where and for how long, and what leaves the house."""
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.keepsakes import keepsakes_folder

    settings = load(config_file).settings
    if watching:
        from edge_agent.cli.owner.watching import watch

        watch(settings, seconds=seconds)
        return 0

    def settle() -> None:
        become_owner(keepsakes_folder(settings.state.path))
        check_may_read(keepsakes_folder(settings.state.path))

    if proving:
        proof = importlib.import_module("edge_agent.demo.proof")
        return int(proof.prove(settings, typer.echo, settle))
    settle()
    _tell(settings, erase, yes=yes, as_json=as_json)
    return 0


def _tell(settings: Settings, erase: What | None, *, yes: bool, as_json: bool) -> None:
    from edge_agent.host.stores.egress import egress
    from edge_agent.host.stores.stored_data import stored_data

    kept = stored_data(settings)
    if erase is not None:
        _delete([one for one in kept if one.key and erase in (one.key, What.ALL)], settings, yes)
    elif as_json:
        rows = [{**asdict(one), "files": [str(path) for path in one.files]} for one in kept]
        out = [asdict(one) for one in egress(settings)]
        typer.echo(json.dumps({"kept": rows, "leaves": out}, indent=2, ensure_ascii=False))
    else:
        for line in (*_kept(kept, settings), *_left_out(settings), *_leaves(settings)):
            indent = " " * (len(line) - len(line.lstrip()))
            typer.echo(
                textwrap.fill(
                    line,
                    WIDTH_CHARS,
                    subsequent_indent=indent,
                    break_long_words=False,  # a path stays one that can be copied
                    break_on_hyphens=False,
                )
            )


def _kept(kept: list[Kept], settings: Settings) -> Iterator[str]:
    from edge_agent.host.stores.keepsakes import keepsakes_folder

    yield f"Kept on this machine, in {keepsakes_folder(settings.state.path)}:"
    for one in kept:
        yield f"  {one.what}: {_amount(one)}"
        yield f"      {one.how_long}{_place(one)}"
    words = "the words of both sides among it" if settings.journal.transcripts else "without words"
    yield f"  The journal of what it does: {words}"
    yield "      as long as journald keeps its lines (journalctl -u edge-agent)"
    hours = settings.conversation.forget_after_h
    yield "  The present talk: in memory only, never on the disk"
    yield (
        f"      until the speaker stops, or has slept for {hours:g} h"
        if hours
        else ("      until the speaker stops")
    )
    yield "  Nothing else: no flight recorder, no statistics, no copy of what the microphone hears"
    yield ""


def _left_out(settings: Settings) -> Iterator[str]:
    chosen = settings.privacy
    names = len(chosen.redact_names)
    kinds = [
        *(["numbers of four digits and more"] if chosen.redact_numbers else []),
        *(["e-mail addresses"] if chosen.redact_emails else []),
        *([f"the {names} names of your list" if names > 1 else "one name"] if names else []),
    ]
    yield "Taken out of facts, kept words, the journal and what is summed up outside:"
    yield f"  {', '.join(kinds) or 'nothing'} (privacy.redact_…); from sound nothing can be taken"
    yield ""


def _leaves(settings: Settings) -> Iterator[str]:
    from edge_agent.host.stores.egress import egress

    yield "Leaves this machine:"
    for one in egress(settings):
        yield f"  {one.what}: to {one.to}"
        yield f"      {one.when}"
    yield "  Nothing else: it reports to nobody and looks for no updates"
    yield "What others keep of it is their affair: see the terms of each."
    yield ""
    yield f"Delete: edge-agent privacy --delete {'|'.join(What)}"


def _delete(kept: list[Kept], settings: Settings, yes: bool) -> None:
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.stores.stored_data import erase

    there = [one for one in kept if one.files]
    if not there:
        typer.echo("There is nothing to delete.")
        return
    agreed("Delete for good: " + "; ".join(map(_named, there)) + "?", yes=yes)
    problems = []
    for one in there:
        try:
            erase(one)
            typer.echo(f"Deleted: {_named(one)}.")
        except AgentError as problem:  # the others go all the same
            problems.append(problem)
    held = [one.key for one in there if one.is_held]
    if held and _speaker_runs(settings):
        note(
            f"the speaker runs and still has {' and '.join(held)} in mind; to make it forget: "
            "sudo systemctl restart edge-agent"
        )
    if problems:
        raise problems[0]


def _speaker_runs(settings: Settings) -> bool:
    from edge_agent.host.service.control import ControlError, NotRunning, ask, client_paths

    try:
        ask({"do": "status"}, client_paths(settings.control.path))
    except NotRunning:
        return False
    except ControlError:
        return True  # it does, and has its reasons
    return True


def _amount(one: Kept) -> str:
    if not one.files:
        return "none"
    counted = f"{one.count} {one.unit}{'' if one.count == 1 else 's'}, " if one.count else ""
    return counted + _size(one.bytes)


def _named(one: Kept) -> str:
    return f"{one.what[0].lower()}{one.what[1:]} ({_amount(one)})"


def _place(one: Kept) -> str:
    """The file, or the folder of several."""
    if not one.files:
        return ""
    first = one.files[0]
    return f"; {first.name if len(one.files) == 1 else f'{len(one.files)} files in {first.parent}'}"


def _size(count: int) -> str:
    amount, units = float(count), iter(("bytes", "kB", "MB", "GB"))
    unit = next(units)
    while amount >= KILOBYTE and unit != "GB":
        amount, unit = amount / KILOBYTE, next(units)
    return f"{amount:.3g} {unit}" if unit != "bytes" else f"{count} bytes"
