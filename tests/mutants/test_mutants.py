"""Every patch still fits the source, the drawing is the same each time, and the page tells all."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import collector
import draw
import mutants_page
import net
import patches
import pytest
from patches import PROMISES, ROOT, Chosen, Mutant, PatchError
from results import CHECK, Result

CHOSEN = patches.read_chosen()
DRAWN = draw.draw()


@pytest.mark.parametrize("entry", CHOSEN, ids=lambda entry: str(entry.name))
def test_a_chosen_mutant_fits_the_source_and_compiles(entry: Chosen) -> None:
    mutant = entry.mutant()
    before = ast.dump(ast.parse((ROOT / mutant.file).read_text(encoding="utf-8")))
    assert ast.dump(ast.parse(mutant.mutated())) != before


def test_every_promise_is_broken_by_two_at_least() -> None:
    assert len(CHOSEN) >= 30
    broken = Counter(entry.rule for entry in CHOSEN)
    assert broken.keys() == PROMISES.keys()
    assert min(broken.values()) >= 2


def test_names_are_names_of_one_thing() -> None:
    names = Counter(mutant.name for mutant in [*patches.load_chosen(), *DRAWN])
    assert set(names.values()) == {1}


@pytest.mark.parametrize(("old", "said"), [("x = ", "occurs 2 times"), ("x = 3", "occurs 0 times")])
def test_an_old_text_that_is_not_there_once_is_refused(tmp_path: Path, old: str, said: str) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.py").write_text("x = 2\n")
    entry = Chosen("m", 1, ".", "something", old, "y = ")
    with pytest.raises(PatchError, match=said):
        entry.mutant(tmp_path)


# --- drawing ------------------------------------------------------------------------------------


def test_a_drawing_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first = [(mutant.name, mutant.what) for mutant in DRAWN]
    assert len(first) == draw.COUNT
    assert first == [(mutant.name, mutant.what) for mutant in draw.draw()]
    assert set(first) != {(mutant.name, mutant.what) for mutant in draw.draw(draw.SEED + 1)}


@pytest.mark.parametrize("mutant", DRAWN, ids=lambda mutant: str(mutant.name))
def test_a_drawn_mutant_compiles_and_differs(mutant: Mutant) -> None:
    before = ast.dump(ast.parse((ROOT / mutant.file).read_text(encoding="utf-8")))
    assert ast.dump(ast.parse(mutant.mutated())) != before


SOURCE = '''
"""A text with 3 in it."""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import a
KEPT_MAX = 256

class Box:
    def __init__(self, n: int = 7) -> None:
        self.n = n

    def full(self, much: float) -> bool:
        """Is it, at 5?"""
        if not self.n:
            self.out.append(Note("box.empty", {"n": 4 + 1}))
            self.seen = True
        return much <= self.n and (1 if self.n else much) > 0
'''


def test_each_operator_finds_its_places_and_leaves_out_what_is_the_same() -> None:
    found = {(site.operator, site.before, site.after) for site in draw.sites("box.py", SOURCE)}
    assert found == {
        ("number", "7", "8"),
        ("negated", "not self.n", "(self.n)"),
        ("deleted", "self.seen = True", "pass"),
        (
            "default",
            "much <= self.n and (1 if self.n else much) > 0",
            "False",
        ),
        (
            "and/or",
            "much <= self.n and (1 if self.n else much) > 0",
            "(much <= self.n or (1 if self.n else much) > 0)",
        ),
        ("compare", "much <= self.n", "(much < self.n)"),
        ("compare", "(1 if self.n else much) > 0", "((1 if self.n else much) >= 0)"),
        ("swapped", "1 if self.n else much", "(much if self.n else 1)"),
        ("number", "1", "2"),
        ("number", "0", "1"),
    }


def test_a_change_is_made_where_it_was_found_behind_letters_of_two_bytes() -> None:
    source = "def f(x: int) -> int:\n    return {'ü': x}['ü'] if x < 3 else 0\n"
    site = next(site for site in draw.sites("f.py", source) if site.operator == "compare")
    assert site.change(source) == source.replace("x < 3", "(x <= 3)")


# --- the net ------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted({mutant.file for mutant in DRAWN}))
def test_a_defect_meets_the_checks_of_its_own_room_first(file: str) -> None:
    checks = net.checks_for(file)
    assert sorted(checks) == sorted(net.CHECKS)
    room = f"tests/{file.split('/')[1]}/"
    own = [test.startswith(room) for test in checks]
    assert any(own)
    assert own == sorted(own, reverse=True)


@pytest.mark.parametrize("test", net.NET)
def test_the_net_holds_what_is_there(test: str) -> None:
    file, _, function = test.partition("::")
    source = (ROOT / file).read_text(encoding="utf-8")
    assert f"def {function.split('[')[0]}(" in source if function else "\ndef test_" in source


def test_rules_are_read_out_of_groups_and_causes() -> None:
    inner = AssertionError(
        "rule 3 (consent.early) at 1.00 s: a\nrule 10 (truth.light) at 2.00 s: b"
    )
    try:
        raise ValueError("no rule 4 (calls.two): not at the front of a line") from inner
    except ValueError as problem:
        group = ExceptionGroup("two", [problem, AssertionError("rule 6 (cut.exact) at 3.00 s: c")])
    assert collector.broken_rules(group) == {
        "3 consent.early",
        "6 cut.exact",
        "10 truth.light",
    }


def test_a_run_that_was_killed_has_told_what_it_saw(tmp_path: Path) -> None:
    entries = [
        {"begun": "a"},
        {"passed": "a"},
        {"begun": "b"},
        {"failed": "b", "codes": ["2 mute.wire"], "time": False},
        {"begun": "c"},
    ]
    file = tmp_path / "net.jsonl"
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + '{"fail')
    record = collector.read(file)
    assert record.failures == [collector.Failure("b", ("2 mute.wire",))]
    assert (record.passed, record.unfinished, record.is_whole) == (1, "c", False)
    result = Result("m", "f.py", "w", 2, "tree")
    result.take(record)
    assert result.checks == ["b", "c"]
    assert result.is_time


ENDLESS = """
import collector
collector.TEST_CPU_MAX_S = 0.2
def test_endless():
    while True:
        try:
            while True: pass
        except Exception: pass
def test_rule():
    raise AssertionError("promises were broken:\\nrule 7 (nobody.cut) at 1.00 s: no cause")
def test_good():
    pass
"""


def test_the_plugin_records_passes_rules_and_tests_without_end(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_it.py").write_text(ENDLESS)
    record = tmp_path / "net.jsonl"
    environ = {**os.environ, collector.RECORD: str(record), "PYTHONPATH": str(patches.HERE)}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "collector", "test_it.py"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        check=False,
    )
    told = collector.read(record)
    assert told.failures == [
        collector.Failure("test_it.py::test_endless", (), is_time=True),
        collector.Failure("test_it.py::test_rule", ("7 nobody.cut",)),
    ]
    assert told.passed == 1
    assert told.is_whole


# --- the page -----------------------------------------------------------------------------------


def test_the_page_names_survivors_and_what_only_one_rule_catches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(net, "REFEREE", ("tests/referee",))
    mutants = [
        Mutant("alone", "edge_agent/a.py", "w1", str, 6),
        Mutant("shared", "edge_agent/a.py", "w2", str, 6),
        Mutant("hole", "edge_agent/a.py", "w3", str, 1),
        Mutant("a-123456", "edge_agent/a.py", "compare: a < b → (a <= b)", str),
    ]
    rows = {m.name: Result(m.name, m.file, m.what, m.promise, "t") for m in mutants}
    rows["alone"].judged = {"tests/referee/test_a.py::t": ["6 cut.late"]}
    rows["alone"].codes = ["6 cut.late"]
    rows["shared"].judged = {"tests/referee/test_a.py::t": ["6 cut.late", CHECK]}
    page = mutants_page.page(mutants, rows, "t")
    assert "| 6 the cut | alone, shared | alone |" in page
    assert "* **hole** (`a.py`): w3" in page
    assert "a-123456** (`a.py`, `compare: a < b → (a <= b)`): **not explained**" in page
    assert [mutants_page.caught_by(rows[m.name]) for m in mutants] == [
        "rule 6 (cut.late); `referee/test_a.py::t`",
        "`referee/test_a.py::t`",
        "**survived**",
        "**survived**",
    ]
