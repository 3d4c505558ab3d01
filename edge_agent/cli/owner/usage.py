"""`edge-agent usage`: what the last days have used and cost.

Thread: main.  It must never change the file, which is the speaker's: it asks nobody and shows what
stands there, also while the speaker runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded, note
from edge_agent.cli.owner.files import check_may_read

if TYPE_CHECKING:
    from edge_agent.host.stores.usage_store import Spent, Used

HEAD = ("Day", "Answers", "Tokens in", "cached", "Tokens out", "Beside", "Cost USD", "of it beside")


@guarded
def usage(
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Print what the last 31 days have used: answers, tokens, and what they cost.

    "Beside" are the other models that were asked: notes of a talk, transcripts, the text model.
    """
    cap_usd, used = _read(config_file)
    if as_json:
        typer.echo(json.dumps(_plain(used, cap_usd), indent=2))
        return
    if not used.days:
        typer.echo("Nothing has been used yet.")
        return
    rows = [HEAD, *(_row(day.isoformat(), spent) for day, spent in used.days.items())]
    rows.append(_row("in all", used.total))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        first, *rest = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join([row[0].ljust(len(first)), *rest]))
    if used.total.unpriced:
        note(
            f"{used.total.unpriced} of them are of unknown cost, and not in it: put the prices "
            "into /etc/edge-agent/providers.toml"
        )
    if cap_usd:
        note(f"the day's limit is {cap_usd:.2f} USD (budget.daily_cap_usd)")


def _read(config_file: Path | None) -> tuple[float, Used]:
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.usage_store import read_used, usage_path

    settings = load(config_file).settings
    path = usage_path(settings.state.path)
    become_owner(path.parent)
    check_may_read(path)
    return settings.budget.daily_cap_usd, read_used(path)


def _row(name: str, spent: Spent) -> tuple[str, ...]:
    cost = _usd(spent.cost_microusd) + ("+?" if spent.unpriced else "")
    counts = (spent.answers, spent.tokens_in, spent.cached, spent.tokens_out, spent.beside)
    return (name, *(f"{count}" for count in counts), cost, _usd(spent.beside_microusd))


def _usd(microusd: int) -> str:
    return f"{microusd / 1_000_000:.4f}"


def _plain(used: Used, cap_usd: float) -> dict[str, Any]:
    from dataclasses import asdict

    def told(spent: Spent) -> dict[str, int]:
        sums = {"tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out}
        return {**asdict(spent), **sums}

    return {
        "days": {day.isoformat(): told(spent) for day, spent in used.days.items()},
        "in_all": told(used.total),
        "last_answers": [told(spent) for spent in used.answers],
        "daily_cap_usd": cap_usd,
    }
