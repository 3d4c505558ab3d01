"""Whatever in the package can grow while it runs is listed in `growing.toml`, with what bounds it.

A list, a queue or a table that somebody adds and that nobody bounds is found here, before a server
finds it.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "edge_agent"
LISTED = tomllib.loads(Path(__file__).with_name("growing.toml").read_text(encoding="utf-8"))
LEFT_OUT = ("simulation", "demo", "cli")
GROW = frozenset(
    {"Counter", "OrderedDict", "Queue", "SimpleQueue", "StringIO", "bytearray", "defaultdict"}
    | {"deque", "dict", "list", "set"}
)
BOUNDED_BY_ITSELF = ("maxlen", "maxsize")


def name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Subscript):
        function = function.value
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def can_grow(value: ast.expr) -> bool:
    """Does this make something empty that things can be put into?"""
    match value:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=function, args=arguments, keywords=keywords):
            name = name_of(function)
            if name == "field":
                makers = [word.value for word in keywords if word.arg == "default_factory"]
                return any(name_of(maker) in GROW for maker in makers)
            is_bounded = any(word.arg in BOUNDED_BY_ITSELF for word in keywords)
            return name in GROW and not arguments and not is_bounded
    return False


def assigned(statement: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    match statement:
        case ast.Assign(targets=[target], value=value):
            return target, value
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return target, value
    return None


def growing(tree: ast.Module) -> Iterator[str]:
    """`Class.attribute`, or the name of a module's own."""
    for statement in tree.body:
        if (pair := assigned(statement)) and can_grow(pair[1]) and isinstance(pair[0], ast.Name):
            yield pair[0].id
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in ast.walk(owner):
            if (pair := assigned(node)) is None or not can_grow(pair[1]):
                continue
            match pair[0]:
                case ast.Attribute(value=ast.Name(id="self"), attr=name):
                    yield f"{owner.name}.{name}"
                case ast.Name(id=name) if node in owner.body:
                    yield f"{owner.name}.{name}"


def found(package: Path = PACKAGE) -> set[str]:
    keys = set()
    for path in package.rglob("*.py"):
        place = path.relative_to(package)
        if place.parts[0] not in LEFT_OUT:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            keys |= {f"{place.as_posix()} {name}" for name in growing(tree)}
    return keys


def listed() -> list[str]:
    others = (key for name, table in LISTED.items() if name != "bound" for key in table["keys"])
    return [*LISTED["bound"], *others]


def test_everything_that_can_grow_is_listed_once_and_is_there() -> None:
    keys = listed()
    assert len(set(keys)) == len(keys)
    assert found() - set(keys) == set(), "what bounds it?"
    assert set(keys) - found() == set(), "it has gone"


def reads(tree: ast.Module) -> set[str]:
    """Names that something is measured with: compared, counted with or cut at."""
    places = (
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.Compare, ast.BinOp, ast.Slice, ast.Call))
    )
    inside = (part for place in places for part in ast.walk(place))
    return {
        part.attr if isinstance(part, ast.Attribute) else part.id
        for part in inside
        if isinstance(part, (ast.Name, ast.Attribute))
    }


@pytest.mark.parametrize("key", LISTED["bound"])
def test_what_is_said_to_bound_it_is_used_there(key: str) -> None:
    place, _, name = LISTED["bound"][key].rpartition(":")
    path = PACKAGE / (place or key.partition(" ")[0])
    assert name in reads(ast.parse(path.read_text(encoding="utf-8")))


def test_a_new_list_is_found(tmp_path: Path) -> None:
    (tmp_path / "room.py").write_text(
        "from collections import deque\n"
        "SEEN: set[str] = set()\n"
        "class Room:\n"
        "    names: list[str] = field(default_factory=list)\n"
        "    def __init__(self) -> None:\n"
        "        self.queue = deque[int]()\n"
        "        self.last = deque(maxlen=3)\n"
        "        self.count = 0\n"
    )
    assert found(tmp_path) == {"room.py SEEN", "room.py Room.names", "room.py Room.queue"}
