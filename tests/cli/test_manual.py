"""The manual page has every verb and option, in words that troff takes.

Thread: the test's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from typer.core import TyperGroup
from typer.main import get_group

from edge_agent.cli.main import app
from edge_agent.cli.manual import _plain, manual

MACRO = re.compile(r"\.(TH|SH|SS|TP|B|I|PP)( .*)?")


def verbs(group: TyperGroup, before: str = "edge-agent") -> Iterator[str]:
    for name, command in group.commands.items():
        path = f"{before} {name}"
        if isinstance(command, TyperGroup):
            yield from verbs(command, path)
        else:
            yield path


def test_every_verb_has_its_part() -> None:
    heads = [line for line in manual().splitlines() if line.startswith(".SS ")]
    told = [line.removeprefix(".SS ").replace(r"\-", "-") for line in heads]
    for path in verbs(get_group(app)):
        assert [line for line in told if line.startswith(f"{path} ")], path
    assert len(told) == len(list(verbs(get_group(app))))


def test_no_line_is_taken_for_a_command() -> None:
    for line in manual().splitlines():
        assert not line.startswith((".", "'")) or MACRO.fullmatch(line), line
        assert "\\" not in re.sub(r"\\[-e&]|\\fR", "", line), line


def test_words_are_put_as_they_are() -> None:
    assert _plain(".profile\n and 'x' a-b\\n") == r"\&.profile and 'x' a\-b\en"
    assert _plain("'quoted'") == r"\&'quoted'"
