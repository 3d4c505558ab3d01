"""What notes the program sends: read from its syntax trees, code by code and field by field.

It must never guess: an expression that cannot be followed raises `Unreadable`, and then the code
has to become plainer.  Call `notes_sent`.

A note is `Note("code", {...})`, `note("code", field=...)` (also `_note`), or a pair
`("code", {...})` that somebody hands on.  Codes and fields are followed through conditional
expressions, local names, parameters (to every call of the function in the package), attributes of
`self`, `**` and functions that return a dict.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "edge_agent"
ROOMS = ("agent.py", "app", "audio", "contract", "dialogue", "host", "panel", "realtime", "tools")
"""`cli` has another `note`, which prints; `demo` and `simulation` are no speaker."""
SENDERS = ("note", "_note", "Note")
CODE = re.compile(r"[a-z]+\.[a-z_]+")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Unreadable(Exception):
    """Nobody can say by reading which code or fields this is."""


@dataclass(frozen=True)
class Sent:
    """One place that sends a note: fields that it always gives, and those it may give."""

    code: str
    at: str
    always: frozenset[str]
    perhaps: frozenset[str]


@dataclass(frozen=True)
class _Fields:
    always: frozenset[str] = frozenset()
    perhaps: frozenset[str] = frozenset()

    def __add__(self, other: _Fields) -> _Fields:
        return _Fields(self.always | other.always, self.perhaps | other.perhaps)

    def __or__(self, other: _Fields) -> _Fields:
        """One of the two."""
        return _Fields(self.always & other.always, self.perhaps | other.perhaps)


@dataclass(frozen=True)
class _Scope:
    """Where an expression stands."""

    path: str
    owner: ast.ClassDef | None
    function: Function | None


class _Reader:
    def __init__(self, root: Path) -> None:
        self.scopes: dict[ast.AST, _Scope] = {}
        self.functions: dict[str, list[Function]] = {}
        self.calls: dict[str, list[ast.Call]] = {}
        for file in sorted(root.rglob("*.py")):
            path = file.relative_to(root).as_posix()
            if path.startswith(ROOMS):
                self._index(ast.parse(file.read_text(encoding="utf-8")), _Scope(path, None, None))

    def _index(self, node: ast.AST, scope: _Scope) -> None:
        self.scopes[node] = scope
        if isinstance(node, Function):
            name = node.name
            if name == "__init__" and scope.owner is not None:
                name = scope.owner.name
            self.functions.setdefault(name, []).append(node)
        elif isinstance(node, ast.Call):
            self.calls.setdefault(_last_name(node.func), []).append(node)
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(node, Function):
                inner = _Scope(scope.path, scope.owner, node)
            elif isinstance(node, ast.ClassDef):
                inner = _Scope(scope.path, node, None)
            self._index(child, inner)

    # --- places that send ------------------------------------------------------------------

    def sent(self) -> Iterator[Sent]:
        for node, scope in self.scopes.items():
            if isinstance(node, ast.Call) and _last_name(node.func) in SENDERS:
                yield from self._by_call(node, scope)
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
                code, fields = node.elts
                if isinstance(fields, ast.Dict) and (codes := self._pair_codes(code)):
                    yield from self._made(node, codes, self.fields(fields))

    def _pair_codes(self, code: ast.expr) -> set[str]:
        try:
            codes = self.texts(code)
        except Unreadable:  # some other pair
            return set()
        return codes if all(CODE.fullmatch(text) for text in codes) else set()

    def _by_call(self, call: ast.Call, scope: _Scope) -> Iterator[Sent]:
        if self._is_relay(call, scope):
            return
        is_command = _last_name(call.func) == "Note"
        if not call.args or (not is_command and len(call.args) != 1):
            return  # some other `note`
        if (function := self._hands_on(call)) is not None:
            for made in self._calls_of(function):  # code and fields of each call go together
                [code] = self._arguments(function, ast.unparse(call.args[0]), [made])
                own = self._keywords([k for k in call.keywords if k.arg is not None])
                yield from self._made(made, self.texts(code), own + self._extra(function, made))
            return
        codes = self.texts(call.args[0])
        if is_command:
            fields = self.fields(call.args[1]) if len(call.args) > 1 else _Fields()
        else:
            fields = self._keywords(call.keywords)
        yield from self._made(call, codes, fields)

    def _is_relay(self, call: ast.Call, scope: _Scope) -> bool:
        """Does it hand on a whole note that somebody else made, who is found by himself?

        `note(do.code, **do.fields)`, `for code, fields in …: note(code, **fields)`, and a `_note`
        that calls another one.
        """
        spread = [ast.unparse(k.value) for k in call.keywords if k.arg is None]
        code = ast.unparse(call.args[0]) if call.args else ""
        # The labels of a turn, which any line may have: `dialogue/labels.py`.
        spread = [text for text in spread if text != code.removesuffix("code") + "of"]
        if len(call.args) != 1 or len(spread) != 1 or any(k.arg for k in call.keywords):
            return False
        if code.endswith(".code") and spread[0] == code.removesuffix("code") + "fields":
            return True
        function = scope.function
        if function is None:
            return False
        if function.name in SENDERS and self._hands_on(call) is not None:
            return True
        pairs = [
            ast.unparse(node.target)
            for node in ast.walk(function)
            if isinstance(node, ast.For | ast.AsyncFor)
        ]
        return f"({code}, {spread[0]})" in pairs

    def _hands_on(self, call: ast.Call) -> Function | None:
        """The function around a call that hands on its own `code` and `**fields`."""
        function, code = self.scopes[call].function, call.args[0]
        if function is None or function.args.kwarg is None or not isinstance(code, ast.Name):
            return None
        spread = [ast.unparse(k.value) for k in call.keywords if k.arg is None]
        return function if spread == [function.args.kwarg.arg] else None

    def _made(self, node: ast.expr, codes: set[str], fields: _Fields) -> Iterator[Sent]:
        at = self._place(node)
        for code in codes:
            yield Sent(code, at, fields.always, fields.perhaps | fields.always)

    def _place(self, node: ast.AST) -> str:
        return f"edge_agent/{self.scopes[node].path}:{getattr(node, 'lineno', 0)}"

    def _unreadable(self, node: ast.AST) -> Unreadable:
        return Unreadable(f"{self._place(node)}: {ast.unparse(node)}")

    # --- what an expression can be ------------------------------------------------------------

    def texts(self, expr: ast.expr) -> set[str]:
        """Every text that `expr` can be."""
        match expr:
            case ast.Constant(value=str(text)):
                return {text}
            case ast.IfExp():
                return self.texts(expr.body) | self.texts(expr.orelse)
            case ast.JoinedStr():
                parts = [
                    self.texts(v.value if isinstance(v, ast.FormattedValue) else v)
                    for v in expr.values
                ]
                return {"".join(choice) for choice in itertools.product(*parts)}
            case ast.Name() | ast.Attribute():
                found = [self.texts(value) for value in self._values(expr)]
                return set().union(*found)
        raise self._unreadable(expr)

    def fields(self, expr: ast.expr) -> _Fields:
        """The keys of a dict."""
        match expr:
            case ast.Dict():
                out = _Fields()
                for key, value in zip(expr.keys, expr.values, strict=True):
                    if key is None:
                        out += self.fields(value)
                    else:
                        names = frozenset(self.texts(key))
                        out += _Fields(names, names)
                return out
            case ast.IfExp():
                return self.fields(expr.body) | self.fields(expr.orelse)
            case ast.Call():
                returned = [
                    node.value
                    for function in self.functions.get(_last_name(expr.func), [])
                    for node in ast.walk(function)
                    if isinstance(node, ast.Return) and node.value is not None
                ]
                return self._one_of(expr, [self.fields(value) for value in returned])
            case ast.Name():
                return self._one_of(expr, [self.fields(value) for value in self._values(expr)])
        raise self._unreadable(expr)

    def _one_of(self, expr: ast.expr, found: list[_Fields]) -> _Fields:
        if not found:
            raise self._unreadable(expr)
        out = found[0]
        for other in found[1:]:
            out |= other
        return out

    def _keywords(self, keywords: list[ast.keyword]) -> _Fields:
        out = _Fields()
        for keyword in keywords:
            if keyword.arg is None:
                out += self.fields(keyword.value)
            else:
                out += _Fields(frozenset({keyword.arg}), frozenset({keyword.arg}))
        return out

    def _extra(self, function: Function, call: ast.Call) -> _Fields:
        """What `**fields` of a function gets in one call of it."""
        named = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
        return self._keywords([k for k in call.keywords if k.arg not in named])

    def _values(self, expr: ast.Name | ast.Attribute) -> list[ast.expr]:
        """Whatever is bound to a name or to an attribute of `self`."""
        scope = self.scopes[expr]
        inside: ast.AST | None = scope.function
        if isinstance(expr, ast.Attribute):
            inside = scope.owner if ast.unparse(expr.value) == "self" else None
        if inside is None:
            raise self._unreadable(expr)
        name = ast.unparse(expr)
        found = [
            node.value
            for node in ast.walk(inside)
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if ast.unparse(target) == name
        ]
        if not found and isinstance(expr, ast.Name) and scope.function is not None:
            found = self._arguments(scope.function, name, self._calls_of(scope.function))
        if not found:
            raise self._unreadable(expr)
        return found

    def _calls_of(self, function: Function) -> list[ast.Call]:
        owner = self.scopes[function].owner
        name = owner.name if function.name == "__init__" and owner is not None else function.name
        return self.calls.get(name, [])

    def _arguments(self, function: Function, name: str, calls: list[ast.Call]) -> list[ast.expr]:
        """What these calls of a function give for one of its parameters."""
        names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        names = names[1:] if names[:1] == ["self"] else names
        found = []
        for call in calls:
            by_name = [k.value for k in call.keywords if k.arg == name]
            by_place = [a for a, n in zip(call.args, names, strict=False) if n == name]
            found += by_name + by_place
        return found


def _last_name(func: ast.expr) -> str:
    if isinstance(func, ast.Attribute):
        return func.attr
    return func.id if isinstance(func, ast.Name) else ""


def notes_sent(root: Path = PACKAGE) -> list[Sent]:
    """Every note that the package below `root` sends.  Raises `Unreadable`."""
    return list(_Reader(root).sent())
