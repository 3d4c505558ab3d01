"""Drawing: small defects at random places, the same ones again for the same seed.

Every place where an operator applies has a key made of the operator, the function and the statement
around it, so that a change elsewhere in the package leaves most of a draw as it was.  The draw are
the places whose key hashes lowest with the seed.  Call `draw`.  It must never offer a place that it
knows to change nothing which matters: texts, annotations, what goes into a journal line only, and
bounds that stay bounds.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from patches import ROOT, Mutant

FOLDERS = (
    "edge_agent/dialogue",
    "edge_agent/realtime/link",
    "edge_agent/realtime/protocol",
    "edge_agent/audio/speaker",
)
"""Where a defect is felt by whoever talks to the speaker."""

AUTHORS_TOOLS = "edge_agent/dialogue/prompting/prompt_"
"""Checks of a persona, run by its author: no promise of the running speaker rests on them."""

SEED = 12
COUNT = 60

SMALL = 10
"""A number below this is shifted by one, any other is doubled: 257 for 256 is felt by nobody."""

BOUND = re.compile(r"(?:^|_)(?:MAX|LIMIT|REMEMBERED|KNOWN)(?:_|$)")
"""Names of bounds.  Twice a bound is still one."""

TELLING = frozenset({"Note", "note", "_note", "round"})
"""Calls whose arguments end in a journal line (`round` is used for nothing else)."""

SHOWN_CHARS = 70
"""Of a changed expression in a table; the diff tells the rest."""

FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

EXACT = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
"""Comparisons whose flip is their negation."""

DEFAULTS = {"bool": "False", "int": "0", "float": "0.0", "str": "''", "bytes": "b''"}
"""What a function returns that has forgotten its work, by the name of its type."""


@dataclass(frozen=True)
class Site:
    """One place and what would be done there.  Lines count from 1, columns in UTF-8 bytes."""

    file: str
    operator: str
    function: str
    statement: str
    before: str
    after: str
    start: tuple[int, int]
    end: tuple[int, int]

    @property
    def what(self) -> str:
        """The change in one line, for a table."""
        return f"{self.operator}: {_short(self.before)} → {_short(self.after)}"

    def change(self, text: str) -> str:
        """The file's text with the change made."""
        lines = text.encode().splitlines(keepends=True)
        begin = sum(map(len, lines[: self.start[0] - 1])) + self.start[1]
        end = sum(map(len, lines[: self.end[0] - 1])) + self.end[1]
        raw = b"".join(lines)
        return (raw[:begin] + self.after.encode() + raw[end:]).decode()


def draw(seed: int = SEED, count: int = COUNT, root: Path = ROOT) -> list[Mutant]:
    """`count` mutants; the same ones for the same seed and source."""
    keyed = sorted((_hash(f"{seed}|{key}"), key, site) for key, site in keyed_sites(root))
    return [
        Mutant(f"{Path(site.file).stem}-{_hash(key)[:6]}", site.file, site.what, site.change)
        for _, key, site in keyed[:count]
    ]


def keyed_sites(root: Path = ROOT) -> Iterator[tuple[str, Site]]:
    """Every place with a key of its own."""
    seen: Counter[str] = Counter()
    for file in sorted(file for folder in FOLDERS for file in (root / folder).rglob("*.py")):
        path = file.relative_to(root).as_posix()
        if path.startswith(AUTHORS_TOOLS):
            continue
        for site in sites(path, file.read_text(encoding="utf-8")):
            key = "|".join((site.operator, site.function, site.statement, site.before, site.after))
            seen[key] += 1
            yield f"{key}|{seen[key]}", site


def sites(path: str, text: str) -> Iterator[Site]:
    """All places in one file, in the order of the source."""
    yield from _Finder(path, text).found


class _Finder(ast.NodeVisitor):
    """Walks over a file and collects the sites."""

    def __init__(self, path: str, text: str) -> None:
        self.found: list[Site] = []
        self._path = path
        self._lines = text.splitlines()
        self._names: list[str] = []
        self._returns: list[ast.expr | None] = [None]
        self._statement = ""
        self.visit(ast.parse(text))

    # --- what is left out -----------------------------------------------------------------

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """A text; Python 3.11 does not tell where its parts stand, either."""

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        if name not in TELLING:
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assigned(node, [node.target], node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._assigned(node, node.targets, node.value)

    def _assigned(self, node: ast.stmt, targets: list[ast.expr], value: ast.expr) -> None:
        if not self._names and BOUND.search(ast.unparse(targets[0])):
            return
        lasting = any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
        if lasting and self._names[-1:] != ["__init__"]:
            self._put("deleted", node, "pass")
        self.visit(value)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name == "__repr__":
            return
        self._names.append(node.name)
        self._returns.append(node.returns)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self._returns.pop()
        self._names.pop()

    visit_FunctionDef = _function
    visit_AsyncFunctionDef = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._names.pop()

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        outer = self._statement
        if isinstance(node, ast.stmt):
            self._statement = self._lines[node.lineno - 1].strip()
        super().visit(node)
        self._statement = outer

    # --- operators --------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        for index, operation in enumerate(node.ops):
            if flipped := FLIPPED.get(type(operation)):
                other = copy.deepcopy(node)
                other.ops[index] = flipped()
                self._put("compare", node, f"({ast.unparse(other)})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = copy.deepcopy(node)
        other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._put("and/or", node, f"({ast.unparse(other)})")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def _negate(self, test: ast.expr) -> None:
        if isinstance(test, ast.Constant) or _flip_negates(test):
            return
        plain = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        inner = test.operand if isinstance(test, ast.UnaryOp) and plain else test
        text = ast.unparse(inner)
        self._put("negated", test, f"({text})" if plain else f"(not ({text}))")

    def visit_IfExp(self, node: ast.IfExp) -> None:
        other = copy.deepcopy(node)
        other.body, other.orelse = other.orelse, other.body
        self._put("swapped", node, f"({ast.unparse(other)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        shifted = value + 1 if isinstance(value, int) and value < SMALL else value * 2
        if shifted != value:
            self._put("number", node, repr(shifted))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._put("deleted", node, "pass")
        self.visit(node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._put("deleted", node, "pass")

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value
        if isinstance(call, ast.Await):
            call = call.value
        if isinstance(call, ast.Call):
            told = ast.unparse(call.func).rpartition(".")[2] in TELLING
            adds_a_note = any(
                isinstance(part, ast.Call) and ast.unparse(part.func).endswith("Note")
                for part in call.args
            )
            if not told and not adds_a_note:
                self._put("deleted", node, "pass")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        default = _default(self._returns[-1])
        if default and ast.unparse(node.value) not in (default, "None"):
            self._put("default", node.value, default)
        self.visit(node.value)

    def _put(self, operator: str, node: ast.expr | ast.stmt, after: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        self.found.append(
            Site(
                file=self._path,
                operator=operator,
                function=".".join(self._names),
                statement=self._statement,
                before=ast.unparse(node),
                after=after,
                start=(node.lineno, node.col_offset),
                end=(node.end_lineno, node.end_col_offset),
            )
        )


def _flip_negates(test: ast.expr) -> bool:
    """Does the operator on comparisons do just the same here?"""
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], EXACT)


def _default(annotation: ast.expr | None) -> str:
    """The empty value of a return type; "" where there is none to be had."""
    text = ast.unparse(annotation) if annotation is not None else ""
    if text.endswith("| None"):
        return "None"
    if text == "Commands" or text.startswith(("list", "Sequence", "Iterable")):
        return "[]"
    return DEFAULTS.get(text, "")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
