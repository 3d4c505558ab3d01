"""Each default stands once: what the composition root fills in from a setting has none of its own.

Read from the source: in `app/`, every argument whose value reads a setting is followed to the
class or function that it is given to.  There the parameter (or dataclass field) has no default, or
a neutral one (None, 0, "", False, empty), which stands for "not given" and is no second opinion.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_agent
from edge_agent.host.price_list import ProviderRecord
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.text import section_names, section_type

PACKAGE = Path(edge_agent.__file__).parent
SECTIONS = {section_type(name).__name__ for name in section_names()} | {
    Settings.__name__,
    ProviderRecord.__name__,
}
HOMES = ("edge_agent.host.settings", "edge_agent.host.price_list")
CONFIGS = {
    "DialogueConfig",
    "SummaryTerms",
    "LinkTimings",
    "DialTimings",
    "SessionConfig",
    "ServerVad",
    "SemanticVad",
    "PanelConfig",
    "Provider",
    "Capabilities",
}
"""Made only of settings or of a provider's record: a neutral default would be a second opinion."""
ELSEWHERE = {
    ("Sentences", "language"): "the language whose sentences every other falls back to",
    ("load_providers", "path"): "where the table lies if no setting names one",
}
"""Defaults that are something else than the setting's."""

Parameters = dict[str, ast.expr | None]
"""Name → default, in the order of a call."""


def parameters_of(node: ast.FunctionDef | ast.AsyncFunctionDef, skip: int = 0) -> Parameters:
    plain = node.args.args
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(node.args.defaults))
    defaults += node.args.defaults
    found = dict(list(zip((a.arg for a in plain), defaults, strict=True))[skip:])
    return found | dict(
        zip((a.arg for a in node.args.kwonlyargs), node.args.kw_defaults, strict=True)
    )


def fields_of(node: ast.ClassDef) -> Parameters:
    """Of a dataclass, or of the class's `__init__`."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return parameters_of(part, skip=1)
    if not any("dataclass" in ast.unparse(mark) for mark in node.decorator_list):
        return {}
    return {
        part.target.id: part.value
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }


def modules(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def callables() -> dict[str, dict[str, Parameters]]:
    """Module → name at its top → parameters."""
    found: dict[str, dict[str, Parameters]] = {}
    for module, tree in modules(PACKAGE):
        here = found.setdefault(module, {})
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                here[node.name] = fields_of(node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                here[node.name] = parameters_of(node)
    return found


class Readings:
    """Which expressions of a module come from the settings."""

    def __init__(self, tree: ast.Module) -> None:
        sections = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(HOMES)
            for alias in node.names
            if alias.name in SECTIONS
        }
        self._names = {
            node.arg
            for node in ast.walk(tree)
            if isinstance(node, ast.arg)
            and node.annotation is not None
            and ast.unparse(node.annotation) in sections
        }
        before = -1
        while before < len(self._names):  # `x = settings.realtime`, and what is made of x
            before = len(self._names)
            for node in ast.walk(tree):
                if isinstance(node, ast.Assign) and len(node.targets) == 1:
                    self._take(node.targets[0], node.value)

    def _take(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts, strict=False):
                self._take(one, its)
        elif isinstance(value, ast.Call):
            pass  # something that was made of a setting is no setting
        elif isinstance(target, ast.Name) and self.come_from_settings(value):
            self._names.add(target.id)

    def come_from_settings(self, value: ast.expr) -> bool:
        return any(
            (isinstance(node, ast.Name) and node.id in self._names)
            or (isinstance(node, ast.Attribute) and node.attr in ("settings", "_settings"))
            for node in ast.walk(value)
        )


def is_neutral(default: ast.expr) -> bool:
    try:
        return not ast.literal_eval(default)
    except ValueError:
        return False


def filled_in() -> Iterator[tuple[str, str, ast.expr | None]]:
    """Callable, parameter and its default, for all that `app` fills in from a setting."""
    known = callables()
    for _, tree in modules(PACKAGE / "app"):
        readings = Readings(tree)
        homes = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            module, name = homes.get(call.func.id, ("", ""))
            its = known.get(module, {}).get(name, {})
            given = list(zip(its, call.args, strict=False))
            given += [(word.arg, word.value) for word in call.keywords if word.arg]
            for parameter, value in given:
                if parameter in its and readings.come_from_settings(value):
                    yield name, parameter, its[parameter]


def test_what_a_setting_fills_in_has_no_default_of_its_own() -> None:
    twice = {
        f"{name}.{parameter} = {ast.unparse(default)}"
        for name, parameter, default in filled_in()
        if default is not None and (name in CONFIGS or not is_neutral(default))
        if (name, parameter) not in ELSEWHERE
    }
    assert twice == set()


@pytest.mark.parametrize("config", sorted(CONFIGS))
def test_the_rooms_configurations_are_found(config: str) -> None:
    """Else the rule above would look at nothing."""
    assert config in {name for name, _, _ in filled_in()}


def test_every_exception_is_needed() -> None:
    found = {(name, parameter) for name, parameter, default in filled_in() if default is not None}
    assert set(ELSEWHERE) <= found
