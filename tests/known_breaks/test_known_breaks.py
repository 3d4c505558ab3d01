"""The list of known breaks and the tests that show them agree, so the list can only shrink."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from known import OPEN

TESTS = Path(__file__).parents[1]


def marked(folder: Path) -> Iterator[tuple[str, str]]:
    """`(number, place)` of every use of `known_break`; "" for a number that cannot be read."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("known_break"):
                first = node.args[0] if node.args else None
                number = first.value if isinstance(first, ast.Constant) else ""
                yield str(number), f"{path.relative_to(folder)}:{node.lineno}"


def test_every_open_number_is_shown_and_nothing_else_is_marked() -> None:
    places = dict(marked(TESTS))
    assert set(places) == set(OPEN), {n: p for n, p in places.items() if n not in OPEN}


def test_the_marks_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "test_a.py").write_text(
        '@known.known_break("F1", "it holds")\ndef test_a(): ...\n'
        'CASE = pytest.param(1, marks=known_break("F2", "it holds"))\n'
        'known_break(NUMBER, "it holds")\n'
    )
    assert sorted(number for number, _ in marked(tmp_path)) == ["", "F1", "F2"]
