"""Every line of the journal gets the fields that it names, and its explanation is true."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from note_values import values_told
from notes_sent import Sent, Unreadable, notes_sent

from edge_agent.app.status import UNANSWERED
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.calls.tool_calls import REFUSED
from edge_agent.host.journal.catalog import field_name
from edge_agent.host.journal.journal import CONTENT_FIELDS, filled
from edge_agent.host.journal.messages import MESSAGES
from edge_agent.host.journal.reasons import REASONS
from edge_agent.host.settings.root import Settings

PLACE = re.compile(r"\{(\w+)\}")
OPTIONAL = re.compile(r"\[([^\[\]]*)\]")


@cache
def sent() -> dict[str, list[Sent]]:
    found: dict[str, list[Sent]] = {}
    for note in notes_sent():
        found.setdefault(note.code, []).append(note)
    return found


def untruths(text: str, explanation: str, notes: list[Sent]) -> list[str]:
    """Where the notes of one code and its message do not fit."""
    out = []
    firm = set(PLACE.findall(OPTIONAL.sub("", text)))
    for note in notes:
        out += [f"{note.at} does not give {name}" for name in firm - note.always]
        for name in note.perhaps:
            told = name in PLACE.findall(text) or re.search(rf"\b{name.upper()}\b", explanation)
            if not told:
                out.append(f"{note.at} gives {name}, of which neither line nor explanation tells")
    for part in OPTIONAL.findall(text):
        if not any(note.perhaps.issuperset(PLACE.findall(part)) for note in notes):
            out.append(f"nobody gives what [{part}] needs")
    return out


@pytest.mark.parametrize("code", MESSAGES)
def test_each_line_is_sent_with_the_fields_that_it_names(code: str) -> None:
    message = MESSAGES[code]
    assert code in sent(), "nobody sends it"
    assert untruths(message.text, message.explanation, sent()[code]) == []


def test_no_line_uses_the_names_of_the_labels_of_a_turn() -> None:
    """`dialogue/labels.py` adds them to every line of a turn."""
    for notes in sent().values():
        for note in notes:
            assert not note.perhaps & {"turn", "response"}, note.at


def test_each_note_has_its_line() -> None:
    assert sent().keys() - MESSAGES.keys() == set()


def test_no_field_has_the_name_of_content() -> None:
    names = {(code, name) for code, notes in sent().items() for n in notes for name in n.perhaps}
    named = {(code, name) for code, name in names if name in CONTENT_FIELDS}
    assert named == {("talk.words", "text")}


def test_no_two_fields_of_a_line_are_one_in_the_journal() -> None:
    for notes in sent().values():
        for note in notes:
            assert len({field_name(name) for name in note.perhaps}) == len(note.perhaps), note


@pytest.mark.parametrize(
    ("text", "explanation", "given", "trouble"),
    [
        ("It took {ms} ms.", "", {"seconds"}, 2),
        ("It took {ms} ms.", "", {"ms"}, 0),
        ("Done[ in {ms} ms].", "", {"seconds"}, 2),
        ("Done[ in {ms} ms].", "SECONDS is long.", {"seconds"}, 1),
        ("Done[ in {ms} of {all} ms].", "", {"ms"}, 1),
    ],
)
def test_what_does_not_fit_is_seen(
    text: str, explanation: str, given: set[str], trouble: int
) -> None:
    note = Sent("a.b", "here", frozenset(given), frozenset(given))
    assert len(untruths(text, explanation, [note])) == trouble


SOURCE = """
class Part:
    def __init__(self, note, *, bad):
        self._note, self._bad = note, 1
        self._bad = bad

    def look(self, more):
        fields = {"x": 1} if more else {}
        self._note(self._bad, why="w")
        tell("part.told", y=2)
        tell("part.said")
        return [Note("part.on" if more else "part.off", {**fields, **named()})]

def named():
    return {"name": 1}

def tell(code, /, **fields):
    note(code, count=1, **fields)

def pairs():
    return [("part.pair", {"a": 1})]

Part(print, bad="part.bad")
"""


def test_notes_are_read_through_names_parameters_and_helpers(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(SOURCE)
    found = {n.code: (set(n.always), set(n.perhaps - n.always)) for n in notes_sent(tmp_path)}
    assert found == {
        "part.bad": ({"why"}, set()),
        "part.told": ({"count", "y"}, set()),
        "part.said": ({"count"}, set()),
        "part.on": ({"name"}, {"x"}),
        "part.off": ({"name"}, {"x"}),
        "part.pair": ({"a"}, set()),
    }


@pytest.mark.parametrize(
    "source",
    [
        "def f(x): note(x.code)",
        "def f(x): note('a.b', **x.fields)",
        "def f(x, y): note(x.code, **y.fields)",
        "def f(x, y): note(x, **y)",
        "note(chosen(), a=1)",
    ],
)
def test_a_note_that_cannot_be_read_is_not_passed_over(source: str, tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(source)
    with pytest.raises(Unreadable, match=r"agent\.py:1"):
        notes_sent(tmp_path)


# --- what explanations say ------------------------------------------------------------------------

EXPLANATIONS = {code: m.explanation for code, m in MESSAGES.items()} | REASONS
NAMED = re.compile(r"(?<![\w./@-])([a-z][a-z_]*)\.([a-z][a-z0-9_]*)\b(?!/)")
FILES = {"toml", "sh", "md"}


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_settings_that_an_explanation_names_exist(code: str) -> None:
    text = EXPLANATIONS[code]
    sections = Settings.model_fields
    for section, name in NAMED.findall(text):
        if name in FILES:
            continue
        assert section in sections, f"{section}.{name}"
        assert name in type(getattr(Settings(), section)).model_fields, f"{section}.{name}"
    for names in re.findall(r"[Ss]ee ([a-z_]+(?:(?:,| and) [a-z_]+)*) in the settings", text):
        assert set(re.split(r", | and ", names)) <= sections.keys(), names


def test_settings_are_found_in_explanations() -> None:
    found = {pair for text in EXPLANATIONS.values() for pair in NAMED.findall(text)}
    assert {("listen", "wake_cutoffs"), ("providers", "toml")} <= found


def test_a_part_of_a_line_whose_field_is_empty_is_left_out() -> None:
    assert filled("Woken by {cause}[ ({word})].", {"cause": "button", "word": ""}) == (
        "Woken by button."
    )
    assert filled("{n}[ of {all}]", {"n": "0", "all": "0"}) == "0 of 0"


@pytest.mark.parametrize("code", UNANSWERED)
def test_lines_that_status_shows_are_whole_without_a_field(code: str) -> None:
    assert re.fullmatch(r"[^\[\]{}?]+\.", filled(MESSAGES[code].text, {}))


# --- values that an explanation lists -------------------------------------------------------------


def test_only_these_explanations_list_values_and_all_are_compared() -> None:
    """With what was sent: the causes by `dialogue/test_note_causes.py`, the risks here, by whom and
    how it was agreed by `dialogue/test_consent_talks.py`, how it was silent by `test_silence.py`
    there."""
    listed = {(code, name) for code in MESSAGES for name in values_told(code)}
    causes = {("talk.woken", "CAUSE"), ("talk.interrupted", "CAUSE"), ("alarm.stopped", "CAUSE")}
    by_whom = {("tool.started", "WHO"), ("tool.started", "AGREED"), ("tool.refused", "WHO")}
    assert listed == causes | by_whom | {("tool.refused", "RISK"), ("talk.silent", "HOW")}
    assert values_told("tool.refused")["RISK"] == {risk.value for risk in Risk}


def test_each_reason_for_not_running_a_tool_is_explained() -> None:
    explained = MESSAGES["tool.refused"].explanation.partition("WHY: ")[2]
    groups = re.findall(r"(?:^|; )([a-z ,]+):", explained)
    assert sorted(why for group in groups for why in group.split(", ")) == sorted(
        {*REFUSED, "connection lost"}
    )
