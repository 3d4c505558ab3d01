"""`edge-agent prompt`: what the model is told, and what is wrong with it (purpose).

Owner thread: main.  Must never talk to a model: all of this works without key and network.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.config import ConfigOption
from edge_agent.cli.outcome import EXIT_FAILED, guarded, note

if TYPE_CHECKING:
    from edge_agent.contract.persona import Persona
    from edge_agent.host.settings import Settings

app = typer.Typer(
    help="Look at what the model is told.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

PersonaOption = Annotated[
    str, typer.Option("--persona", "-p", help="Name, or path of a file.  Default: the settings'.")
]


@app.command()
@guarded
def show(persona: PersonaOption = "", config_file: ConfigOption = None) -> None:
    """Print the instructions as the model gets them, and about how long they are."""
    from edge_agent.dialogue.prompt import STAGE, estimate_tokens, with_stage
    from edge_agent.tools.catalogue import shipped_tools

    settings, chosen = _chosen(persona, config_file)
    text = _composed(chosen, settings)
    whole = text
    if chosen.plan is not None and chosen.plan.guided:
        # One step at a time goes out; a person wants to read them all.
        steps = [
            with_stage("", state).strip().replace(STAGE, f"{STAGE}: {name}", 1)
            for name, state in chosen.plan.states.items()
        ]
        longest = max(map(estimate_tokens, steps))
        whole = "\n\n".join([text, *steps])
    else:
        longest = 0
    typer.echo(whole)
    tools = estimate_tokens(json.dumps(shipped_tools().schemas()))
    note(
        f"about {estimate_tokens(text) + longest} tokens in every turn, and {tools} for the tools "
        "(an estimate)"
    )


@app.command()
@guarded
def lint(
    persona: PersonaOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_file: ConfigOption = None,
) -> int:
    """Look for what usually goes wrong in a prompt for a voice; exit code 1 on errors."""
    from edge_agent.dialogue.prompt_lint import lint as look

    settings, chosen = _chosen(persona, config_file)
    realtime = settings.realtime
    found = look(chosen, tool_names(), language=realtime.language, additions=realtime.instructions)
    errors = sum(finding.level == "error" for finding in found)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
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

    from edge_agent.host.personas import BUILT_IN, built_in_names

    settings, ours = _chosen(first, config_file)
    if not second:
        names = built_in_names()
        shipped = ours.source == str(BUILT_IN / f"{ours.name}.toml")
        same = ours.name if ours.name in names and not shipped else "household"
        second = str(BUILT_IN / f"{same}.toml")
    _, other = _chosen(second, config_file)
    before, after = _composed(other, settings), _composed(ours, settings)
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


def check_persona(settings: Settings) -> None:
    """Raises `PersonaError` for a persona with which the speaker would not start."""
    from edge_agent.app_mcp import expected_names
    from edge_agent.dialogue.flow import flow_problems
    from edge_agent.host.personas import PersonaError, load_persona

    persona = load_persona(settings.realtime.persona)
    problems = flow_problems(persona, tool_names() | expected_names(settings))
    if problems:
        raise PersonaError(persona.source, problems)


def tool_names() -> frozenset[str]:
    """The tools that the program comes with; none of them is run."""
    from edge_agent.tools.catalogue import shipped_tools

    return frozenset(shipped_tools().risks())


def _chosen(name: str, config_file: Path | None) -> tuple[Settings, Persona]:
    from edge_agent.host.personas import load_persona
    from edge_agent.host.settings_load import load

    settings = load(config_file).settings
    return settings, load_persona(name or settings.realtime.persona)


def _composed(persona: Persona, settings: Settings) -> str:
    from edge_agent.dialogue.prompt import compose

    realtime = settings.realtime
    return compose(persona, language=realtime.language, additions=realtime.instructions)
