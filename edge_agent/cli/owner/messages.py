"""`edge-agent messages`: what people left for the owner.

Thread: main.  It must never let a message steer the terminal, or show one to somebody who may not
read the file: the running speaker is only told which ones to forget.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded, harmless
from edge_agent.cli.owner.files import check_may_read

if TYPE_CHECKING:
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.stores.message_store import Message, MessageStore

BATCH = 100
"""Ids in one request to the speaker, which takes 4 kB."""

app = typer.Typer(
    help="Read and delete the messages that people left.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.command("list")
@guarded
def list_messages(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_file: ConfigOption = None,
) -> None:
    """Print the messages, the newest last: number, when, from whom, and whether it was sent."""
    settings, _, messages = _opened(config_file)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in messages], indent=2, ensure_ascii=False))
        return
    for number, one in enumerate(messages, 1):
        typer.echo(_shown(number, one, bool(settings.messages.webhook_url)))
    if not messages:
        typer.echo("Nobody left a message.")


@app.command()
@guarded
def delete(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="As `edge-agent messages list` numbers them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    config_file: ConfigOption = None,
) -> None:
    """Delete messages for good, also those that were not sent yet."""
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.service.control import NotRunning, ask, client_paths
    from edge_agent.host.stores.message_store import COUNT_MAX, MessageBox

    if everything == bool(numbers):
        raise typer.BadParameter("name the numbers, or --all")
    settings, store, messages = _opened(config_file)
    unknown = [number for number in numbers or () if not 0 < number <= len(messages)]
    if unknown:
        raise AgentError(f"There is no message {unknown[0]}.", fix="See: edge-agent messages list")
    wanted = messages if everything else [messages[number - 1] for number in set(numbers or ())]
    ids = [one.id for one in wanted]
    paths = client_paths(settings.control.path)
    count = 0
    try:
        for at in range(0, len(ids), BATCH):
            answer = ask({"do": "forget_messages", "ids": ids[at : at + BATCH]}, paths)
            count += int(answer.get("deleted", 0))
    except NotRunning:  # then the file is ours to change
        box = MessageBox(messages, keep=COUNT_MAX, per_hour=COUNT_MAX)
        count += box.delete(ids)
        if not store.save(box.messages):
            raise AgentError(
                f"{store.path} cannot be written.", fix="Is the disk full? Nothing was deleted."
            ) from None
    typer.echo("Deleted one message." if count == 1 else f"Deleted {count} messages.")


def _opened(config_file: Path | None) -> tuple[Settings, MessageStore, tuple[Message, ...]]:
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.message_store import MessageStore, messages_path

    settings = load(config_file).settings
    path = messages_path(settings.state.path)
    become_owner(path.parent)
    check_may_read(path)
    problems: list[str] = []
    store = MessageStore(path, lambda _code, **fields: problems.append(str(fields.get("why"))))
    messages = store.load()
    if problems:
        raise AgentError(
            f"{path} cannot be read: {problems[0]}.",
            fix="A file that is broken is kept beside it.",
        )
    return settings, store, messages


def _shown(number: int, one: Message, has_webhook: bool) -> str:
    when = datetime.fromisoformat(one.at).astimezone().strftime("%Y-%m-%d %H:%M")
    marks = [when, f"from {harmless(one.sender)}" if one.sender else "from somebody"]
    if one.urgency == "urgent":
        marks.append("URGENT")
    if one.sent_at:
        marks.append("sent")
    elif has_webhook:
        marks.append(f"not sent yet ({one.problem})" if one.problem else "not sent yet")
    return f"{number}. {', '.join(marks)}\n   {harmless(one.text)}"
