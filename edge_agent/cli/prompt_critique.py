"""`edge-agent prompt critique`: a text model's view of the instructions, or of one failure.

Thread: main.  It must never change a file, and says before anything is sent what goes where.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded, harmless, note, say_pause
from edge_agent.dialogue.prompting.prompt_critique import VARIANTS_MAX

if TYPE_CHECKING:
    from edge_agent.dialogue.prompting.prompt_critique import Variant
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.web.text_model import TextModel

CRITIQUE_MAX_S = 300.0
"""A model that thinks may take minutes over a whole prompt, and somebody waits who chose to."""
ISSUE_MAX_CHARS = 2000
"""What went wrong, told in a paragraph; whole talks belong elsewhere."""
VARIANTS_DEFAULT = 3
KEPT = "nothing was changed; what you like of it, put into a file: edge-agent prompt template"


@guarded
def critique(
    persona: Annotated[
        str, typer.Argument(help="Name, or path of a file.  Default: the settings'.")
    ] = "",
    issue: Annotated[
        str,
        typer.Option("--issue", help="What went wrong, in your words: only that is looked into."),
    ] = "",
    variants: Annotated[
        int | None,
        typer.Option(
            "--variants",
            min=1,
            max=VARIANTS_MAX,
            help=f"With --issue: so many ways to mend it.  Default: {VARIANTS_DEFAULT}.",
        ),
    ] = None,
    model: Annotated[str, typer.Option("--model", help="Default: supervisor.model.")] = "",
    config_file: ConfigOption = None,
) -> None:
    """Have a text model criticise the instructions, and write them anew; nothing is changed here.

    With --issue it says what in them let that happen, and how they could be mended.  They are sent
    to the service of [supervisor], your own words among them.
    """
    from edge_agent.app.session_start import composed, steps_of
    from edge_agent.app.tools.offer import offer
    from edge_agent.cli.voice.speech import read_settings
    from edge_agent.dialogue.prompting.prompt import estimate_tokens
    from edge_agent.host.personas import load_persona

    issue = issue.strip()
    if variants is not None and not issue:
        raise typer.BadParameter("needs --issue: what went wrong", param_hint="--variants")
    if len(issue) > ISSUE_MAX_CHARS:
        raise typer.BadParameter(f"at most {ISSUE_MAX_CHARS} characters", param_hint="--issue")
    settings = read_settings(config_file)
    chosen = load_persona(persona or settings.realtime.persona)
    asked = _model(settings, model)
    text = "\n\n".join([composed(chosen, settings, offer(settings)), *steps_of(chosen)])
    what = "own rules and your words on what went wrong" if issue else "own rules"
    note(
        f"the instructions of {chosen.name} (about {estimate_tokens(text)} tokens, with the "
        f"household's {what}) go to {asked.model} at {urlsplit(asked.base).netloc}, "
        f"{'once' if issue else 'twice'}"
    )
    if issue:
        _mend(asked, text, issue, variants or VARIANTS_DEFAULT)
    else:
        _review(asked, text)
    note(KEPT)


def _model(settings: Settings, model: str) -> TextModel:
    from edge_agent.contract.errors import ConfigError
    from edge_agent.host.web.http_retry import SCREEN_PATIENCE_S, Patience
    from edge_agent.host.web.text_model import PEER, text_model

    if not (model or settings.supervisor.model):
        raise ConfigError(
            "There is no text model to ask.",
            fix="Name one: --model NAME, or set supervisor.model.",
        )
    return text_model(
        settings,
        model=model,
        max_seconds=CRITIQUE_MAX_S,
        patience=Patience(SCREEN_PATIENCE_S, told=say_pause),
        peer=dataclasses.replace(PEER, model="Correct --model, or supervisor.model."),
    )


def _review(asked: TextModel, text: str) -> None:
    from edge_agent.dialogue.prompting import prompt_critique as ask

    review = asked.answer(
        ask.CRITIQUE, ask.critique_question(text), max_output_tokens=ask.CRITIQUE_MAX_TOKENS
    )
    typer.echo(f"# What {asked.model} criticises\n\n{harmless(review)}\n")
    better = asked.answer(
        ask.OPTIMISE,
        ask.optimise_question(text, review),
        max_output_tokens=ask.OPTIMISE_MAX_TOKENS,
    )
    typer.echo(f"# How {asked.model} would write it\n\n{harmless(better)}")


def _mend(asked: TextModel, text: str, issue: str, variants: int) -> None:
    from edge_agent.dialogue.prompting import prompt_critique as ask

    answer = asked.answer(
        ask.mend(variants), ask.mend_question(text, issue), max_output_tokens=ask.MEND_MAX_TOKENS
    )
    cause, ways = ask.variants_in(answer)
    if not (cause or ways):
        typer.echo(harmless(answer))
        note(f"{asked.model} did not keep to the form that was asked for: this is its whole answer")
        return
    typer.echo(f"# What {asked.model} takes for the cause\n\n{harmless(cause)}")
    for number, way in enumerate(ways[:variants], 1):
        typer.echo(f"\n# Variant {number}: {harmless(way.idea)}\n\n{harmless(_shown(way, text))}")
    if len(ways) < variants:
        note(f"{asked.model} offers {len(ways)} of {variants} variants")


def _shown(way: Variant, text: str) -> str:
    """The change as a diff, or as blocks where its lines are not those of the prompt."""
    import difflib

    changed = way.applied_to(text)
    if not changed:
        blocks = [f"Instead of:\n{old}\nwrite:\n{new}" for old, new in way.edits]
        return "\n\n".join(blocks)
    lines = difflib.unified_diff(
        text.splitlines(), changed.splitlines(), "now", "changed", n=1, lineterm=""
    )
    return "\n".join(lines)
