"""Prompt: one persona, one text; and an estimate that can be trusted for its order."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.persona import (
    SECTIONS,
    Entry,
    FlowPlan,
    FlowState,
    Persona,
    ToolPreamble,
)
from edge_agent.dialogue.prompting.manners import HABITS
from edge_agent.dialogue.prompting.prompt import (
    ADDITIONS,
    STAGE,
    compose,
    estimate_tokens,
    with_stage,
    without_tools,
)

words = st.text("abcdefg äéñ日", min_size=1, max_size=20).filter(str.strip)
entries = st.lists(
    st.builds(Entry, words, st.lists(words, min_size=1, max_size=3).map(tuple)), max_size=3
).map(tuple)
personas = st.builds(
    Persona,
    st.just("x"),
    language=st.sampled_from(["", "de", "free", "pt-BR"]),
    sections=st.dictionaries(st.sampled_from([k for k in SECTIONS if k != "flow"]), entries),
)


def headings(text: str) -> list[str]:
    return [line[2:] for line in text.splitlines() if line.startswith("# ")]


@given(personas, words)
def test_every_line_is_told_under_its_heading_and_in_order(persona: Persona, extra: str) -> None:
    text = compose(persona, language="en", additions=extra)
    assert text == compose(persona, language="en", additions=extra)
    order = [*SECTIONS.values(), ADDITIONS]
    found = headings(text)
    assert found == [heading for heading in order if heading in found]
    assert found[-1] == ADDITIONS
    blocks = dict(zip(found, text.split("\n\n# "), strict=True))
    for key, section in persona.sections.items():
        pinned = key == "tone" and persona.language != "free"
        assert (SECTIONS[key] in found) == (bool(section) or pinned or key == "rules")
        for entry in section:
            for line in entry.lines:
                assert line in blocks[SECTIONS[key]]
    assert text.endswith(extra.strip())


@given(st.text(), st.text())
def test_an_estimate_grows_with_the_text(one: str, two: str) -> None:
    both = estimate_tokens(one + two)
    assert max(estimate_tokens(one), estimate_tokens(two)) <= both
    assert both <= estimate_tokens(one) + estimate_tokens(two)
    assert (estimate_tokens(one) == 0) == (one == "")


def test_the_language_is_pinned_by_the_persona_then_by_the_household_or_not_at_all() -> None:
    def language(pin: str) -> str:
        return compose(Persona("x", language=pin), language="en")

    assert "English (en)" in language("")
    assert "German (de)" in language("de")
    assert "Portuguese (pt-BR)" in language("pt-BR")
    assert "that you speak German here; do not change." in language("de")
    assert "that you speak xx here; do not change." in language("xx")
    assert "you speak" not in language("free")
    assert "Speak this" not in language("free")


def test_a_list_a_single_line_and_a_pronunciation() -> None:
    sections = {
        "pronunciations": (Entry('Say "Nguyen" as', ("win",)),),
        "rules": (Entry("", ("One.",)), Entry("unclear_audio", ("Two.", "Three."))),
    }
    assert compose(Persona("x", sections=sections)).startswith(
        '# Reference Pronunciations\n- Say "Nguyen" as: win\n\n'
        "# Instructions & Rules\n- One.\n- Unclear audio:\n  - Two.\n  - Three.\n- Spoken aloud:\n"
    )


def test_steps_are_all_told_unless_the_talk_is_guided() -> None:
    states = {
        "ask": FlowState("ask", "Know the wish.", "Ask.", ("What?",), "It is known.", ("do",)),
        "do": FlowState("do", "Do it.", final=True),
    }
    free = compose(Persona("x", plan=FlowPlan("ask", states)))
    assert "1. Step: ask\n   - Goal: Know the wish.\n   - How to respond: Ask." in free
    assert '- For example, in changing words: "What?"\n   - Ends when: It is known.' in free
    assert "2. Step: do" in free
    guided = compose(Persona("x", plan=FlowPlan("ask", states, guided=True)))
    assert "Know the wish" not in guided
    staged = with_stage(guided, states["ask"])
    assert headings(staged) == ["Instructions & Rules", "Conversation Flow", STAGE]
    assert "Do it." not in staged
    assert staged.endswith("- May be followed by: do\n- To go on, call `set_conversation_state`.")
    assert "set_conversation_state" not in with_stage(guided, states["do"])


def test_a_tool_that_is_not_offered_is_not_spoken_of() -> None:
    uses = (Entry("general", ("Use them.",)), Entry("`a`", ("at noon.",)), Entry("`b`", ("now.",)))
    left = without_tools(Persona("x", sections={"tools": uses}), {"a", "general"})
    assert compose(left).startswith("# Tools\n- General: Use them.\n- `b`: now.\n\n# Instr")


# --- in the language of the talk -----------------------------------------------------------

SAMPLES = (
    Entry("confirm", ("Done.",)),
    Entry("confirm", ("Erledigt.",), "de"),
    Entry("must_keep", ("Halt.",), "de"),
    Entry("confirm", ("Feito.",), "pt"),
    Entry("confirm", ("Pronto.",), "pt-BR"),
)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "- Confirm: Done."),
        ("de", "- Confirm: Erledigt.\n- Must keep: Halt."),
        ("de-AT", "- Confirm: Erledigt.\n- Must keep: Halt."),
        ("pt", "- Confirm: Feito."),
        ("pt-BR", "- Confirm: Pronto."),
        ("ja", "- Confirm: Done."),
        ("free", "- Confirm: Done."),
    ],
)
def test_of_sample_phrases_in_several_languages_those_of_the_talk_are_told(
    language: str, told: str
) -> None:
    text = compose(Persona("x", language=language, sections={"samples": SAMPLES}))
    how, _, phrases = text.partition("# Sample Phrases\n")[2].partition("\n")
    assert phrases == told
    assert how.startswith("Say these in the language of the talk, in changing words, and not every")
    assert ("Must keep: said as it stands." in how) == ("Must keep" in told)


@pytest.mark.parametrize(
    ("language", "said"), [("de", '"Gleich."'), ("de-AT", '"Gleich."'), ("fr", '"One moment."')]
)
def test_what_is_said_before_a_call_is_in_the_language_of_the_talk(
    language: str, said: str
) -> None:
    before = ToolPreamble("answer", False, ("One moment.",), {"de": ("Gleich.",)})
    text = compose(Persona("x", language=language), preambles=[before])
    assert f"For example: {said}\n" in text


@pytest.mark.parametrize("code", sorted(HABITS))
def test_numbers_and_spelling_are_told_as_they_are_said_there(code: str) -> None:
    text, habits = compose(Persona("x", language=code)), HABITS[code]
    for words in (habits.amounts, habits.groups, habits.spelling):
        assert words in text
    assert not re.search(r"\d[:/]\d", text)
    assert habits.groups not in compose(Persona("x", language="free"))


def test_a_message_is_offered_only_where_one_can_be_taken() -> None:
    leave = ToolPreamble("leave_message", True, ("Is that right?",))
    assert compose(Persona("x"), preambles=[leave]).count("offer to take a message") == 2
    assert "offer to take a message" not in compose(Persona("x"))
    assert compose(Persona("x")).count("name who can help") == 2
