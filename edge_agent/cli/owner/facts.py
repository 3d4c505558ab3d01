"""`edge-agent facts`: what the household asked the speaker to remember.

Thread: main; the speaker may run meanwhile, the file takes turns.  It must never let a fact steer
the terminal, or make a file where there is none.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import agreed, guarded, harmless, note
from edge_agent.cli.owner.files import check_may_read

if TYPE_CHECKING:
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.stores.fact_store import FactStore

app = typer.Typer(
    help="Look at what it was asked to remember, correct it, have it forgotten.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
@guarded
def list_facts(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_file: ConfigOption = None,
) -> None:
    """Print all facts: number, the day on which it was told, words."""
    settings, store = _opened(config_file)
    facts = store.all()
    if as_json:
        typer.echo(json.dumps([asdict(fact) for fact in facts], indent=2, ensure_ascii=False))
        return
    for fact in facts:
        typer.echo(f"{fact.id}. {fact.day}  {harmless(fact.text)}")
    if not facts:
        typer.echo("Nothing has been remembered.")
    if not settings.facts.enabled:
        note("nothing new is remembered: facts.enabled is false")


@app.command()
@guarded
def edit(
    number: Annotated[int, typer.Argument(help="As `edge-agent facts list` numbers it.")],
    text: Annotated[str, typer.Argument(help="The fact in other words.")],
    config_file: ConfigOption = None,
) -> None:
    """Put other words in the place of a fact's.  Yours are kept as they are, not redacted."""
    from edge_agent.host.stores.fact_store import FACT_MAX_CHARS, one_line

    _, store = _opened(config_file)
    line = one_line(text)
    if not 0 < len(line) <= FACT_MAX_CHARS:
        raise typer.BadParameter(f"a fact has 1 to {FACT_MAX_CHARS} letters")
    if not store.change(number, line):
        raise _unknown(number)
    typer.echo(f"{number}. {harmless(line)}")


@app.command()
@guarded
def forget(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="As `edge-agent facts list` numbers them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    yes: YesOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Have facts forgotten for good."""
    if everything == bool(numbers):
        raise typer.BadParameter("name the numbers, or --all")
    _, store = _opened(config_file)
    known = {fact.id for fact in store.all()}
    wanted = known if everything else set(numbers or ())
    if wanted - known:
        raise _unknown(min(wanted - known))
    if wanted:
        agreed(f"Forget {_counted(len(wanted))} for good?", yes=yes)
    count = store.remove_all() if everything else sum(bool(store.remove(n)) for n in wanted)
    typer.echo(f"Forgotten: {_counted(count)}." if count else "There was nothing to forget.")


def _opened(config_file: Path | None) -> tuple[Settings, FactStore]:
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.fact_store import FactStore, facts_path

    settings = load(config_file).settings
    path = facts_path(settings.state.path)
    become_owner(path.parent)
    check_may_read(path)

    def told(code: str, **fields: object) -> None:
        if code == "facts.repaired":
            note(f"{fields.get('why')}; the file is kept as {fields.get('path')}")

    return settings, FactStore(path, told)


def _unknown(number: int) -> AgentError:
    from edge_agent.contract.errors import AgentError

    return AgentError(f"There is no fact {number}.", fix="See: edge-agent facts list")


def _counted(count: int) -> str:
    return "one fact" if count == 1 else f"{count} facts"
