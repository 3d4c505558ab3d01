"""Prompt lint: every rule finds its mistake, and leaves good sentences alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.persona import SECTIONS, Entry, FlowPlan, FlowState, Persona
from edge_agent.dialogue.prompting.prompt import compose
from edge_agent.dialogue.prompting.prompt_lint import TOKENS_MAX, TOKENS_WARN, Finding, lint


def section(*labels: str, **texts: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(label, (texts.get(label, f"About {label.replace('_', ' ')}."),)) for label in labels
    )


def persona(rule: str = "", *, length: str = "Short.", language: str = "", **more: str) -> Persona:
    sections = {
        "role": section("role", "objective"),
        "tone": section("personality", "tone", "length", "pacing", "variety", length=length),
        "tools": (Entry("`current_time`", ("for the time.",)),),
        "rules": section("alphanumerics", "unclear_audio"),
        "samples": section("confirm"),
        "safety": section("danger"),
    }
    if rule:
        sections["rules"] += (Entry("", (rule,)),)
    for key, text in more.items():
        sections[key] = (Entry("", (text,)),)
    return Persona("x", "x.toml", language, sections)


def found(given: Persona, *, language: str = "en", additions: str = "") -> dict[str, Finding]:
    tools = {"current_time"}
    return {f.code: f for f in lint(given, tools, language=language, additions=additions)}


def test_a_good_prompt_is_left_alone() -> None:
    assert found(persona()) == {}
    good = "Always greet people by day. Never greet people twice. Say it in two words."
    assert found(persona(good, length="One to three sentences.")) == {}
    assert found(persona("Do not use markdown, bullet points or emoji.")) == {}
    assert found(persona("The TV and the USB stick. It is NOT red.")) == {}


@pytest.mark.parametrize(
    ("rule", "code", "level"),
    [
        ("Call `open_door` when asked.", "tool.unknown", "error"),
        ("Call play_music when asked.", "tool.unknown", "error"),
        ("The network is called home_net.", "tool.unknown", "warning"),
        ("If asked for a story, tell ten sentences.", "length", "warning"),
        ("Always ask for a name. Never ask for the name.", "contradiction", "error"),
        ("Always tell the price first. Do not tell the price.", "contradiction", "warning"),
        ("Answer in at least five sentences.", "length", "error"),
        ("Answer only in German.", "language", "error"),
        ("Greet {user_name} first.", "term.blank", "error"),
        ("Greet <name> first.", "term.blank", "error"),
        ("Follow the SOP of the house.", "term.undefined", "warning"),
        ("DON'T EVER SHOUT WHEN CHILDREN SLEEP NEARBY.", "capitals", "warning"),
        ("Read https://example.org first.", "voice.url", "error"),
        ("Be **very** kind.", "voice.markup", "error"),
        ("Be happy \U0001f600 today.", "voice.emoji", "error"),
        ("Use bullet points for lists.", "voice.format", "warning"),
        ("Say it " + "again and " * 50 + "stop.", "long.sentence", "warning"),
        ("Be kind to all guests. Be kind to all guests.", "repeated", "warning"),
        ("Be kind. " * TOKENS_WARN, "long.prompt", "warning"),
        ("Be kind. " * TOKENS_MAX, "long.prompt", "error"),
    ],
)
def test_each_rule_finds_its_mistake(rule: str, code: str, level: str) -> None:
    findings = found(persona(rule, length="One to three sentences."))
    assert set(findings) == {code}
    assert findings[code].level == level
    assert findings[code].text.endswith(".")


def test_a_step_that_is_spoken_of_exists() -> None:
    plan = FlowPlan("ask", {"ask": FlowState("ask", "Know."), "say_it": FlowState("say_it", "x")})
    rule = 'Go from step "ask" to step "say it", or to the step "farewell".'
    sections = persona(rule).sections
    [finding] = lint(Persona("x", "x.toml", "", sections, plan), {"current_time"})
    assert finding.text == 'there is no step "farewell".'
    assert found(persona(rule)) == {}  # chemistry, perhaps


def test_what_sounds_like_a_mistake_and_is_none() -> None:
    for rule in (
        "The dinner table is in the kitchen; put things in the table drawer.",
        "Always confirm before you unlock the door. Never unlock the door without asking.",
        "Say the number one to three times. Use one word at a time.",
        "Call 112 in an emergency.",
        "Do not interrupt. Never interrupt children.",
    ):
        assert found(persona(rule)) == {}, rule


def test_an_explained_abbreviation_is_defined() -> None:
    assert found(persona("The night light (SNL) is soft; the SNL has two levels.")) == {}


def test_tools_nobody_speaks_of_and_sections_nobody_wrote() -> None:
    codes = [(f.level, f.code, f.where) for f in lint(Persona("x"), {"current_time"})]
    assert codes[0] == ("error", "section.missing", "role")
    assert ("warning", "tool.unmentioned", "Tools") in codes
    for where in ("tone", "rules", "samples", "safety", "tools"):
        assert ("warning", "section.missing", where) in codes


def test_the_owners_additions_are_judged_with_the_rest() -> None:
    given = persona(length="One to three sentences.")
    findings = found(given, additions="Speak only French. Answer in ten to twelve sentences.")
    assert set(findings) == {"language", "length"}
    assert found(persona(language="fr"), additions="Speak only French.") == {}
    twice = found(persona("Speak only French.", language="free"), additions="Only speak German.")
    assert set(twice) == {"language"}


def test_steps_of_a_guided_talk_have_lengths_of_their_own_but_no_tools_of_their_own() -> None:
    states = {
        "tell": FlowState(
            "tell", "Use `sing`.", "Take ten sentences.", exit="Over.", next=("end", "out")
        ),
        "end": FlowState("end", "Rest.", tools=("lullaby",), final=True),
    }
    base = persona(length="One sentence.")
    plan = FlowPlan("tell", states, guided=True)
    texts = [
        str(f) for f in lint(Persona("x", "x.toml", "", base.sections, plan), {"current_time"})
    ]
    assert texts == [
        "error: step tell: there is no tool sing. [tool.unknown]",
        "error: Conversation Flow: x.toml: flow.states.tell.next: there is no state 'out'. [flow]",
        "error: Conversation Flow: x.toml: flow.states.end.tools: there is no tool 'lullaby'. "
        "[flow]",
        'warning: Conversation Flow: x.toml: flow.states.tell.next: write NAME = "when" for each '
        "way. [flow.when]",
    ]


def test_what_a_step_names_and_does_not_offer_is_an_error_half_a_tool_a_warning() -> None:
    states = {
        "ask": FlowState("ask", "Look at `clock`.", next=("end",), when={"end": "Over."}),
        "end": FlowState("end", "Rest.", tools=("set_volume",), final=True),
    }
    states["ask"] = replace(states["ask"], tools=("get_volume",))
    plan, sections = FlowPlan("ask", states, guided=True), persona().sections
    tools = {"clock", "get_volume", "set_volume"}
    own = "If it is loud, use get_volume."
    findings = lint(Persona("x", "x.toml", "", sections, plan), tools, additions=own)
    assert [str(f).removesuffix(" [flow.tools]") for f in findings if f.code == "flow.tools"] == [
        "error: Conversation Flow: x.toml: flow.states.ask: names clock, "
        "which this step does not offer.",
        "error: Conversation Flow: x.toml: realtime.instructions: names get_volume, "
        "which the step end does not offer.",
        "warning: Conversation Flow: x.toml: flow.states.end.tools: offers set_volume "
        "without get_volume.",
    ]


pieces = st.sampled_from(
    ["Always ", "never ", "ask. ", "ONE ", "two ", "to ", "three ", "sentences", "`x", "` ", "{a}",
     "speak only ", "German ", "<b>", "|", "\n", "😀", "https://", "a_b ", "- ", "1. "]
)  # fmt: skip
texts = st.lists(pieces | st.text(max_size=10), max_size=15).map("".join)
loose = st.builds(
    Persona,
    st.just("x"),
    st.just("x.toml"),
    st.sampled_from(["", "de", "free"]),
    st.dictionaries(
        st.sampled_from([k for k in SECTIONS if k != "flow"]),
        st.lists(st.builds(Entry, texts, st.lists(texts, max_size=2).map(tuple)), max_size=2),
    ),
)


@given(loose, texts)
def test_lint_takes_anything_says_each_thing_once_and_errors_first(
    given: Persona, additions: str
) -> None:
    findings = lint(given, {"current_time"}, language="en", additions=additions)
    assert findings == lint(given, {"current_time"}, language="en", additions=additions)
    assert len(set(findings)) == len(findings)
    levels = [finding.level for finding in findings]
    assert levels == sorted(levels)
    assert set(levels) <= {"error", "warning"}
    whole = compose(given, language="en", additions=additions)
    for finding in findings:
        if finding.code == "tool.unknown":
            assert finding.text.split()[-1].rstrip(".") in whole
