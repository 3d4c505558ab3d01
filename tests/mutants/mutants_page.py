"""The page of the hunt: every mutant, what caught it, and what nothing caught.

Call `page` with the mutants and their results.  Thread: any, no state.  It must never leave out a
mutant that survived.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence

import net
from draw import COUNT, SEED
from patches import HERE, PROMISES, Mutant
from results import Result, rule_of

HEAD = """# Mutants

Deliberate defects, one at a time in a copy of the tree, and what notices them: the rules of the
referee (`tests/referee`), and the other checks of the net (`tests/mutants/net.py`). The chosen
ones each break a promise; the drawn ones are small changes at random places in the dialogue, the
link and the loudspeaker ({count} by seed {seed}). Made by `scripts/mutants.sh`; figures in
`mutants.json`.
"""


def explained() -> dict[str, str]:
    """Why a drawn mutant may live, by its name."""
    entries = tomllib.loads((HERE / "explained.toml").read_text(encoding="utf-8"))["drawn"]
    return {name: str(why) for name, why in entries.items()}


def caught_by(result: Result | None) -> str:
    """In a few words what noticed it."""
    if result is None:
        return "not run"
    if not result.is_caught:
        return "**survived**"
    parts = []
    if result.rules:
        codes = ", ".join(code.split()[1] for code in result.codes)
        parts.append(f"rule {', '.join(map(str, result.rules))} ({codes})")
    if tests := [*result.checks, *result.judged]:
        count = result.checks_failed + len(result.judged)
        more = f" and {count - 1} more" if count > 1 else ""
        parts.append(f"`{tests[0].removeprefix('tests/').split('[')[0]}`{more}")
    if result.is_time:
        parts.append("time")
    return "; ".join(parts)


def only_rule(result: Result) -> int | None:
    """The one rule without which the referee would not notice this mutant in any of its runs."""
    named = _named(result) - {0}
    return named.pop() if len(named) == 1 else None


def _named(result: Result) -> set[int]:
    """Rules that the referee named; 0 for an assertion of the run itself."""
    return {rule_of(code) for codes in result.judged.values() for code in codes}


def page(mutants: Sequence[Mutant], rows: Mapping[str, Result], tree: str) -> str:
    """The whole page, in Markdown."""
    chosen = [mutant for mutant in mutants if mutant.promise is not None]
    drawn = [mutant for mutant in mutants if mutant.promise is None]
    parts = [
        HEAD.format(count=COUNT, seed=SEED),
        _summary(chosen, drawn, rows, tree),
        "## Chosen\n",
        _table(("mutant", "file", "what", "promise", "caught by"), _chosen_rows(chosen, rows)),
        "## Holes\n",
        _holes(chosen, rows),
        "## What only one rule catches\n",
        _only(mutants, rows),
        "## Drawn\n",
        _table(("mutant", "file", "what", "caught by"), _drawn_rows(drawn, rows)),
        "## Drawn ones that live\n",
        _living(drawn, rows),
    ]
    return "\n".join(parts)


def _summary(
    chosen: Sequence[Mutant], drawn: Sequence[Mutant], rows: Mapping[str, Result], tree: str
) -> str:
    def counts(mutants: Sequence[Mutant]) -> tuple[int, ...]:
        known = [rows[mutant.name] for mutant in mutants if mutant.name in rows]
        caught = sum(row.is_caught for row in known)
        by_rule = sum(bool(row.rules) for row in known)
        return len(mutants), len(known), caught, by_rule, len(known) - caught

    lines = [
        (kind, *map(str, counts(mutants)))
        for kind, mutants in (("chosen", chosen), ("drawn", drawn))
    ]
    text = _table(("", "mutants", "run", "caught", "by a rule", "survived"), lines)
    old = sum(row.tree != tree for row in rows.values())
    minutes = sum(row.cpu_s for row in rows.values()) / 60
    text += f"\n{minutes:.0f} minutes of one core in all.\n"
    return text + (f"\n{old} results are of another state of the source.\n" if old else "")


def _chosen_rows(chosen: Sequence[Mutant], rows: Mapping[str, Result]) -> list[tuple[str, ...]]:
    return [
        (
            mutant.name,
            _file(mutant),
            mutant.what,
            f"{mutant.promise} {PROMISES[mutant.promise or 0]}",
            caught_by(rows.get(mutant.name)),
        )
        for mutant in chosen
    ]


def _drawn_rows(drawn: Sequence[Mutant], rows: Mapping[str, Result]) -> list[tuple[str, ...]]:
    return [
        (mutant.name, _file(mutant), f"`{mutant.what}`", caught_by(rows.get(mutant.name)))
        for mutant in drawn
    ]


def _survivors(mutants: Sequence[Mutant], rows: Mapping[str, Result]) -> list[Mutant]:
    return [m for m in mutants if m.name in rows and not rows[m.name].is_caught]


def _holes(chosen: Sequence[Mutant], rows: Mapping[str, Result]) -> str:
    lines = [f"* **{m.name}** (`{_file(m)}`): {m.what}" for m in _survivors(chosen, rows)]
    return "\n".join(lines or ["None: every chosen mutant was caught."]) + "\n"


def _living(drawn: Sequence[Mutant], rows: Mapping[str, Result]) -> str:
    why = explained()
    lines = [
        f"* **{m.name}** (`{_file(m)}`, `{m.what}`): {why.get(m.name, '**not explained**')}"
        for m in _survivors(drawn, rows)
    ]
    return "\n".join(lines or ["None."]) + "\n"


def _only(mutants: Sequence[Mutant], rows: Mapping[str, Result]) -> str:
    if not net.REFEREE:
        return "The net holds no run of the referee yet.\n"
    known = [rows[m.name] for m in mutants if m.name in rows]
    lines = []
    for rule, name in PROMISES.items():
        alone = [row for row in known if only_rule(row) == rule]
        nothing_else = [row.name for row in alone if not row.checks_failed and 0 not in _named(row)]
        lines.append(
            (f"{rule} {name}", ", ".join(row.name for row in alone), ", ".join(nothing_else))
        )
    said = (
        "Without the rule the referee would not notice these in any of its runs.  The last column "
        "are those that nothing else in the net notices either, the runs' own assertions "
        "included.\n"
    )
    return said + "\n" + _table(("rule", "only this rule", "only this rule in all the net"), lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _file(mutant: Mutant) -> str:
    return mutant.file.removeprefix("edge_agent/")
