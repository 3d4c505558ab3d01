"""`edge-agent prompt`: what the model is told, and what is wrong with it.

Thread: main.  It must never talk to a model: `critique` and `try` do, which have files of their own
and say so before.  All the rest works without key and network.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import EXIT_FAILED, guarded, note
from edge_agent.cli.prompt_critique import critique
from edge_agent.cli.prompt_try import try_

if TYPE_CHECKING:
    from edge_agent.app.session_start import SessionStart
    from edge_agent.app.tools.offer import Absent
    from edge_agent.contract.persona import Persona
    from edge_agent.host.settings.root import Settings

app = typer.Typer(
    help="Look at what the model is told.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.command("critique")(critique)
app.command("try")(try_)

PersonaOption = Annotated[
    str, typer.Option("--persona", "-p", help="Name, or path of a file.  Default: the settings'.")
]


@app.command()
@guarded
def show(persona: PersonaOption = "", config_file: ConfigOption = None) -> None:
    """Print the instructions as the model gets them, and about how long they are."""
    from edge_agent.app.session_start import composed, session_start, steps_of
    from edge_agent.app.tools.offer import known_schemas, offer
    from edge_agent.dialogue.prompting.prompt import estimate_tokens

    settings, chosen = _chosen(persona, config_file)
    there = offer(settings)
    typer.echo("\n\n".join([composed(chosen, settings, there), *steps_of(chosen)]))
    of_servers, unknown = known_schemas(settings, there)
    whole = dataclasses.replace(there, schemas=(*there.schemas, *of_servers))
    sent = list(_sent(session_start(settings, whole, persona)))
    longest = max(estimate_tokens(instructions) for _, instructions, _ in sent)
    sizes = [f"{estimate_tokens(json.dumps(tools))} for {where}" for where, _, tools in sent]
    note(f"about {longest} tokens in every turn, and {', '.join(sizes)} (an estimate)")
    if unknown:
        note(f"not counted, as their descriptions are not known here: {', '.join(unknown)}")


@app.command()
@guarded
def lint(
    persona: PersonaOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_file: ConfigOption = None,
) -> int:
    """Look for what usually goes wrong in a prompt for a voice; exit code 1 on errors."""
    from edge_agent.app.session_start import composed, steps_of
    from edge_agent.app.tools.offer import offer, wanted_by
    from edge_agent.dialogue.prompting.prompt import without_tools
    from edge_agent.dialogue.prompting.prompt_lint import lint as look

    settings, chosen = _chosen(persona, config_file)
    there = offer(settings)
    # A tool server's tools may be named and need not be: they describe themselves.
    text = "\n".join([composed(chosen, settings, there), *steps_of(chosen), *wanted_by(chosen)])
    servers = there.of_servers(text)
    found = look(
        without_tools(chosen, there.off),
        there.names | servers,
        language=settings.realtime.language,
        additions=settings.realtime.instructions,
        preambles=there.preambles,
        servers=servers,
        off=there.off,
    )
    errors = sum(finding.level == "error" for finding in found)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            typer.echo(str(finding))
        typer.echo(f"{chosen.name}: {errors} errors, {len(found) - errors} warnings.")
    return EXIT_FAILED if errors else 0


@app.command()
@guarded
def diff(
    first: Annotated[str, typer.Argument(help="Name or path.  Default: the settings'.")] = "",
    second: Annotated[
        str,
        typer.Argument(
            help="Name or path.  Default: the shipped one it is named after, or household."
        ),
    ] = "",
    config_file: ConfigOption = None,
) -> None:
    """Print how the instructions of two personas differ, from the second one to the first."""
    import difflib

    from edge_agent.app.session_start import composed
    from edge_agent.app.tools.offer import offer
    from edge_agent.host.personas import BUILT_IN, built_in_names

    settings, ours = _chosen(first, config_file)
    if not second:
        names = built_in_names()
        shipped = ours.source == str(BUILT_IN / f"{ours.name}.toml")
        same = ours.name if ours.name in names and not shipped else "household"
        second = str(BUILT_IN / f"{same}.toml")
    _, other = _chosen(second, config_file)
    there = offer(settings)
    before, after = composed(other, settings, there), composed(ours, settings, there)
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), other.source, ours.source, lineterm=""
    )
    text = "\n".join(lines)
    typer.echo(text or f"{ours.name} and {other.name} tell the model the same.")


@app.command()
@guarded
def template(
    name: Annotated[str, typer.Argument(help="A persona that comes with the program.")] = (
        "household"
    ),
) -> None:
    """Print the file of a shipped persona, to be changed and kept under another name."""
    from edge_agent.host.personas import BUILT_IN, persona_path

    path = persona_path(name, owners=BUILT_IN)
    typer.echo(path.read_text(encoding="utf-8"), nl=False)


def check_persona(settings: Settings) -> tuple[Absent, ...]:
    """The tools that steps of the settings' persona name and that are switched off.

    Raises `PersonaError` for a persona with which the speaker would not start.
    """
    from edge_agent.app.tools.offer import absent, offer
    from edge_agent.host.personas import load_persona

    return absent(load_persona(settings.realtime.persona), offer(settings))


def _chosen(name: str, config_file: Path | None) -> tuple[Settings, Persona]:
    from edge_agent.host.personas import load_persona
    from edge_agent.host.settings.load import load

    settings = load(config_file).settings
    return settings, load_persona(name or settings.realtime.persona)


def _sent(begin: SessionStart) -> Iterator[tuple[str, str, tuple[Mapping[str, object], ...]]]:
    """`(when, instructions, tools)` as they are sent: once for all, or for each step."""
    from edge_agent.dialogue.prompting.flow import Flow

    if begin.flow is None:
        yield "the tools", begin.instructions, begin.tools
        return
    flow = Flow(begin.flow)
    for name in begin.flow.plan.states:
        flow.state = name
        tools = flow.tools()
        what = "tool" if len(tools) == 1 else f"{len(tools)} tools"
        yield f"the {what} of the step {name}", flow.instructions(), tools
