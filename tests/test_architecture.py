"""ARCHITECTURE.md is true where a machine can tell: its picture, and the files of its rooms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.contract.commands import WireCommand
from edge_agent.dialogue.state import diagram
from edge_agent.host.price_list import BUILT_IN, load_providers
from edge_agent.realtime.protocol.shapes import SERVER_EVENTS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def rooms() -> Iterator[tuple[str, str]]:
    """(folder, name) of everything in backticks in the table of rooms."""
    [table] = re.findall(r"^\| room \|.*\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.M)
    for row in table.splitlines():
        [(folder, cell)] = re.findall(r"^\| `([\w/]+/)` \|(.*)\|$", row)
        yield from ((folder, name) for name in re.findall(r"`([^`]+)`", cell))


def test_the_picture_of_the_talk_is_drawn_from_its_table() -> None:
    [picture] = re.findall(r"```mermaid\n(.*?)\n```", PAGE, re.S)
    assert picture == diagram()


def test_the_table_of_rooms_is_read() -> None:
    assert {"contract/", "dialogue/journeys/", "app/"} <= {folder for folder, _ in rooms()}


@pytest.mark.parametrize(("folder", "name"), list(rooms()))
def test_each_file_named_in_the_table_of_rooms_is_there(folder: str, name: str) -> None:
    room = ROOT / "edge_agent" / folder
    if name.endswith("/"):
        assert (room / name).is_dir()
    else:
        # Some rows describe a folder of theirs together with its files: `sound/` … (`room`).
        assert [*room.glob(f"{name}.py"), *room.glob(f"*/{name}.py")]


def test_each_folder_of_the_package_is_a_room() -> None:
    package = ROOT / "edge_agent"
    folders = {f"{f.parent.relative_to(package).as_posix()}/" for f in package.rglob("__init__.py")}
    named = {folder for folder, _ in rooms()} | {f + n for f, n in rooms() if n.endswith("/")}
    named |= set(re.findall(r"^\| `([\w/]+/)` \|", PAGE, re.M))
    assert folders - {"./"} == named


def test_each_python_file_that_the_page_names_is_there() -> None:
    package = ROOT / "edge_agent"
    named = set(re.findall(r"`([\w/]+\.py)`", PAGE))
    assert "dialogue/journeys/ears.py" in named
    missing = [n for n in named if not (package / n).is_file() and not [*package.rglob(n)]]
    assert not missing


def test_the_page_names_every_command_that_an_adapter_is_given() -> None:
    [listed] = re.findall(r"these commands\n\*\*\(tested\)\*\*: (.*?)\. What", PAGE, re.S)
    named = [name for name in re.findall(r"`(\w+/?)`", listed) if not name.endswith("/")]
    assert len(named) == len(set(named))
    # A class with slots is made twice, and both are subclasses until the first is collected.
    assert set(named) == {command.__name__ for command in WireCommand.__subclasses__()}


def texts_of(file: Path) -> Iterator[str]:
    """Every text of a module but the docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def words_of_protocols() -> set[str]:
    """Types of events in either direction, dialects, and the names of services."""
    client = {
        text
        for text in texts_of(ROOT / "edge_agent/realtime/protocol/messages.py")
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", text)
    }
    assert {"response.create", "session.update"} <= client
    providers = load_providers(BUILT_IN).providers
    plain_words = {"error", "local", "speech-to-speech"}
    return (client | set(SERVER_EVENTS) | set(providers)) - plain_words


def test_the_journeys_know_no_word_of_a_protocol() -> None:
    known = words_of_protocols()
    offences = [
        f"{file.name}: {text}"
        for file in sorted((ROOT / "edge_agent/dialogue").rglob("*.py"))
        for text in texts_of(file)
        if any(word in text.split() for word in known)
    ]
    assert offences == []
