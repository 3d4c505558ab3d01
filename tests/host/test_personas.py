"""Personas: the shipped ones are sound, and a wrong file says where it is wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.app.session_start import SessionStart, with_persona
from edge_agent.app.wiring import session_config
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.persona import SECTIONS, Entry, FlowState
from edge_agent.dialogue.prompting.flow import flow_problems
from edge_agent.dialogue.prompting.prompt import compose, estimate_tokens
from edge_agent.dialogue.prompting.prompt_lint import lint
from edge_agent.host.personas import (
    BUILT_IN,
    FILE_MAX_BYTES,
    PersonaError,
    built_in_names,
    load_persona,
    parse_persona,
)
from edge_agent.host.settings.root import Settings
from edge_agent.tools.catalogue import shipped_tools

CONFIG = Path(__file__).parents[2] / "config" / "personas"
LANGUAGES = ("en", "de", "fr", "es", "it")
"""Those of our own sentences."""
UNLIKE = "One of your own needs a name that is less like it."
PLACED = "stands at the top, before the first [section]."
ROLE = '[role]\nrole = "A voice."\n'


def problems(text: str) -> list[str]:
    with pytest.raises(PersonaError) as caught:
        parse_persona(text, name="p", source="p.toml")
    assert isinstance(caught.value, ConfigError)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return [problem.removeprefix("p.toml: ") for problem in caught.value.problems]


# --- shipped -----------------------------------------------------------------------------


def test_config_and_package_hold_the_same_files() -> None:
    names = {path.name for path in CONFIG.glob("*.toml")}
    assert names == {path.name for path in BUILT_IN.iterdir()}
    assert names == {f"{name}.toml" for name in built_in_names()}
    assert set(built_in_names()) >= {"household", "kids", "language-tutor", "concise", "bedtime"}
    for name in names:
        assert (CONFIG / name).read_bytes() == (BUILT_IN / name).read_bytes()


@pytest.mark.parametrize("name", built_in_names())
@pytest.mark.parametrize("language", [*LANGUAGES, "pt-BR"])
def test_shipped_personas_are_free_of_lint(name: str, language: str, tmp_path: Path) -> None:
    persona = load_persona(name, owners=tmp_path)
    tools = shipped_tools().risks().keys()
    assert flow_problems(persona, tools) == ()
    preambles = shipped_tools().preambles()
    findings = lint(persona, tools, language=language, preambles=preambles)
    # Tools have descriptions of their own: only the default has to speak of every one.
    told = [f for f in findings if name == "household" or f.code != "tool.unmentioned"]
    assert [str(finding) for finding in told] == []
    assert estimate_tokens(compose(persona, language=language, preambles=preambles)) < 1700


def test_the_default_keeps_its_promises() -> None:
    text = compose(load_persona("household"), language="en")
    for heading in SECTIONS.values():
        assert (f"# {heading}\n" in text) == (heading != "Reference Pronunciations")
    for promise in (
        "One to three short sentences",
        "one question per turn",
        "unintelligible, ask for it again",
        "digit by digit",
        "If you cannot check it, say that you cannot",
        "NEVER call something done, set, kept or sent before a tool has said so",
        "A tool failed or was refused: say so plainly",
        "please come closer or press the button",
        "that you speak English here; do not change",
        "are not meant for you: stay silent",
    ):
        assert promise in text


@pytest.mark.parametrize("name", built_in_names())
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_told_is_in_the_language_of_the_talk(name: str, language: str) -> None:
    persona, preambles = load_persona(name), shipped_tools().preambles()
    text = compose(persona, language=language, preambles=preambles)
    samples = persona.sections["samples"]
    if persona.language == "free":
        assert {entry.language for entry in samples} == {""}
        return
    told = "" if language == "en" else language
    kinds = [entry.label for entry in samples if not entry.language]
    assert [entry.label for entry in samples if entry.language == told] == kinds
    for entry in samples:
        assert len(set(entry.lines)) >= (1 if entry.label == "must_keep" else 2)
    section = text.partition("# Sample Phrases\n")[2].partition("\n\n# ")[0]
    phrases = [line.partition("- ")[2].split(": ", 1)[-1] for line in section.splitlines()[1:]]
    sent = [phrase for phrase in phrases if not phrase.endswith(":")]
    assert sent == [line for entry in samples if entry.language == told for line in entry.lines]
    for preamble in preambles:
        for phrase in preamble.samples:
            assert (f'"{phrase}"' in text) == (language == "en")
        for phrase in preamble.translated.get(language, ()):
            assert f'"{phrase}"' in text


def test_the_kinds_of_phrases_that_a_talk_needs_are_there() -> None:
    wanted = {
        "acknowledge",
        "clarify",
        "bridge",
        "empathy",
        "confirm",
        "unclear",
        "unsure",
        "close",
    }
    for name in ("household", "kids"):
        kinds = {entry.label for entry in load_persona(name).sections["samples"]}
        assert kinds >= wanted | {"must_keep"}


@pytest.mark.parametrize("name", built_in_names())
def test_few_words_in_capitals_and_none_of_another_model(name: str) -> None:
    text = compose(load_persona(name), language="en", preambles=shipped_tools().preambles())
    assert sorted(re.findall(r"\b[A-Z]{4,}\b", text)) == ["ALWAYS", "NEVER"]
    assert not re.search(r"supervisor|stronger|smarter", text, re.I)
    danger = next(line for line in text.splitlines() if "ALWAYS" in line)
    assert re.match(r"- (Emergency|Danger): .* ALWAYS say first: ", danger)


@pytest.mark.parametrize("name", built_in_names())
def test_what_a_shipped_file_shows_as_a_comment_can_be_taken_as_it_is(name: str) -> None:
    text = (BUILT_IN / f"{name}.toml").read_text()
    taken = re.sub(r'(?m)^# (?=\[|"|[a-z_]+ = )', "", text)
    persona = parse_persona(taken, name="p", source="p.toml")
    assert persona.sections["pronunciations"][0].label.startswith('Say "')
    if name == "household":
        assert (persona.voice, persona.speed) == ("sage", 0.95)
        assert persona.volume_max_percent == 80
        assert set(persona.sections) - set(SECTIONS) == {"house_rules"}


# --- where they are found ----------------------------------------------------------------


def test_the_owners_file_wins_over_the_shipped_one_and_a_path_over_both(tmp_path: Path) -> None:
    owners = tmp_path / "personas"
    owners.mkdir()
    mine = owners / "household.toml"
    mine.write_text("\ufeff" + ROLE, encoding="utf-8")
    assert load_persona("household", owners=owners).source == str(mine)
    assert load_persona("kids", owners=owners).source == str(BUILT_IN / "kids.toml")
    other = tmp_path / "other.toml"
    other.write_text(ROLE)
    persona = load_persona(str(other), owners=owners)
    assert (persona.name, persona.source) == ("other", str(other))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pirate", "there is no such persona; there are: bedtime, concise, household, kids,"),
        ("Not A Name", "neither a name nor the path"),
        ("../kids", "cannot be read: No such file or directory."),
        ("/nowhere/x.toml", "/nowhere/x.toml: cannot be read: No such file or directory."),
    ],
)
def test_a_persona_that_is_not_there(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(PersonaError, match="cannot be used") as caught:
        load_persona(name, owners=tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\xff\xfe", "is not UTF-8 text."),
        (b"role = [", "is not TOML: "),
        (b"x = " + b"[" * 5000, "is not TOML: "),
        (b"#" * (FILE_MAX_BYTES + 1), "is longer than"),
        (b"", "role: is missing"),
    ],
)
def test_a_file_that_is_no_persona(raw: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_bytes(raw)
    with pytest.raises(PersonaError) as caught:
        load_persona(str(file))
    assert f"{file}: {words}" in str(caught.value)


# --- what it may hold --------------------------------------------------------------------


def test_what_stands_in_a_file_is_what_the_persona_holds() -> None:
    persona = parse_persona(
        ROLE
        + '[pronunciations]\n"Nguyen" = "win"\n[tools]\ngeneral = ["Use\\n them."]\n'
        + '[tools.use]\nclock = "for time"\n[flow.states.ask]\ngoal = "Know."\n'
        + '[samples]\nyes = "Yes."\n[samples.de]\nyes = ["Ja.", "Gut."]\n',
        name="p",
        source="p.toml",
    )
    assert persona.sections["pronunciations"] == (Entry('Say "Nguyen" as', ("win",)),)
    assert persona.sections["tools"] == (
        Entry("", ("Use them.",)),
        Entry("`clock`", ("for time",)),
    )
    assert persona.sections["samples"] == (
        Entry("yes", ("Yes.",)),
        Entry("yes", ("Ja.", "Gut."), "de"),
    )
    assert persona.plan is not None
    assert (persona.plan.start, persona.plan.guided) == ("ask", False)
    assert persona.plan.states == {"ask": FlowState("ask", "Know.")}


def test_each_way_has_its_condition_or_all_have_one() -> None:
    text = "[flow.states.a]\ngoal = 'x'\nexit = 'Over.'\n"

    def read(more: str) -> FlowState:
        plan = parse_persona(ROLE + text + more, name="p", source="p.toml").plan
        assert plan is not None
        return plan.states["a"]

    old = FlowState("a", "x", exit="Over.", next=("b", "c"))
    assert read("next = ['b', 'c']\n") == old
    when = {"b": "It rains.", "c": "It snows."}
    assert read("next = { b = 'It\trains.', c = 'It snows.' }\n") == replace(old, when=when)
    assert read("[flow.states.a.next]\nb = 'It rains.'\nc = 'It snows.'\n").when == when


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[tonne]\nx = 1\n", f"tonne: there is no such section. Did you mean tone? {UNLIKE}"),
        ("[sampels]\nx = 'x'\n",
         f"sampels: there is no such section. Did you mean samples? {UNLIKE}"),
        ("['Sample Phrases']\nx = 'x'\n",
         f"Sample Phrases: there is no such section. Did you mean samples? {UNLIKE}"),
        ("[tone]\nlenght = 'x'\n", "tone.lenght: there is no such key. Did you mean length?"),
        ("[samples.deutsch]\na = 'x'\n",
         "samples.deutsch: is no language; write phrases, or [samples.CODE] like [samples.de]."),
        ("[samples.de]\na = 3\n", "samples.de.a: must be a text or a list of texts."),
        ("[tone]\nlength = 3\n", "tone.length: must be a text or a list of texts."),
        ("[tone]\nlength = []\n", "tone.length: must be a text or a list of texts."),
        ("[tone]\nlength = ' '\n", "tone.length: must not be empty; leave it out instead."),
        ("[tools]\nuse = 'x'\n",
         'tools.use: is a table; write [tools.use] and name = "when" below.'),
        ("[flow]\nguided = 1\nstates.a.goal = 'x'\n", "flow.guided: must be true or false."),
        ("[flow]\nfoo = 1\nstates.a.goal = 'x'\n",
         "flow.foo: there is no such key. There are: start, guided, states."),
        ("[flow]\n", "flow.states: needs one to 100 tables [flow.states.NAME]."),
        ("[flow]\nstart = 1\nstates.a.goal = 'x'\n", "flow.start: must be the name of a state."),
        ("[flow.states]\na = 1\n",
         "flow.states.a: is a table; write [flow.states.a] and its keys below it."),
        ("[flow.states.a]\n", "flow.states.a.goal: is missing: say what this state is for."),
        ("[flow.states.A]\ngoal = 'x'\n",
         "flow.states.A: a state's name is small letters, digits, _ and -."),
        ("[flow.states.a]\ngoal = 'x'\nnext = 'b'\n",
         'flow.states.a.next: must be a table of NAME = "when", or a list of names.'),
        ("[flow.states.a]\ngoal = 'x'\nnext = {b = 1}\n", "flow.states.a.next.b: must be a text."),
        ("[flow.states.a]\ngoal = 'x'\nnext = {b = ' '}\n",
         "flow.states.a.next.b: must not be empty; leave it out instead."),
        ("[flow.states.a]\ngoal = ['x']\n", "flow.states.a.goal: must be a text."),
        ("[flow.states.a]\ngoal = 'x'\nfinal = 'no'\n",
         "flow.states.a.final: must be true or false."),
        ("[flow.states.a]\ngoal = 'x'\nexits = 'x'\n",
         "flow.states.a.exits: there is no such key. Did you mean exit?"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_sentence(text: str, expected: str) -> None:
    assert problems(ROLE + text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("brand = 'x'\n",
         "brand: there is no such key. There are: language, voice, speed, volume_max_percent. "
         "A section of your own is a table: write [brand] and its texts below it."),
        ("voices = 'sage'\n", "voices: there is no such key. Did you mean voice?"),
        ("[[brand]]\nx = 'x'\n",
         "brand: there is no such key. There are: language, voice, speed, volume_max_percent. "
         "A section of your own is a table: write [brand] and its texts below it."),
        ("[brand]\n", "brand: holds nothing; write its texts below it, or leave it out."),
        ("[brand]\nx = 1\n", "brand.x: must be a text or a list of texts."),
        ("[brand]\nx = ['a', 2]\n", "brand.x: must be a text or a list of texts."),
        ("[brand.x]\ny = 'a'\n", "brand.x: must be a text or a list of texts."),
        ("[brand]\nx = ' '\n", "brand.x: must not be empty; leave it out instead."),
        ("[brand]\nx = '" + "a" * 601 + "'\n",
         "brand.x: is longer than 600 characters; make it several texts."),
        ("[brand]\ngeneral = '" + "a" * 601 + "'\n",
         "brand.general: is longer than 600 characters; make it several texts."),
        ("[brand]\nx = [" + "'a'," * 41 + "]\n", "brand: holds 41 texts; 40 at most."),
        ("[brand]\nx = 'a'\n[Brand]\nx = 'a'\n",
         "Brand: there is a section of that title already; put them together."),
        ("".join(f"[brand{n}]\nx = 'a'\n" for n in range(13)),
         "brand12: is one section of your own too many; 12 at most."),
        ("['# Brand']\nx = 'a'\n",
         "# Brand: a section's name begins with a letter and has 40 letters, digits, spaces, _ and "
         "- at most."),
        ('["a\\nb"]\nx = "a"\n',
         "a\nb: a section's name begins with a letter and has 40 letters, digits, spaces, _ and - "
         "at most."),
        ("[tone]\nvoice = 'sage'\n",
         "tone.voice: there is no such key. There are: personality, tone, length, pacing, "
         f"language, variety. The key voice of a persona {PLACED}"),
        ("[safety]\nvolume_max_percent = 60\n",
         "safety.volume_max_percent: must be a text or a list of texts. The key "
         f"volume_max_percent of a persona {PLACED}"),
    ],
)  # fmt: skip
def test_what_is_no_section_of_ones_own_is_told(text: str, expected: str) -> None:
    lines = text.splitlines(keepends=True)
    above = "".join(line for line in lines[:1] if "[" not in line)
    assert problems(above + ROLE + text.removeprefix(above)) == [expected]


VOICE_IS_TEXT = (
    'voice: must be a text: the name of a voice, e.g. "sage", or "id:" and the id of one that was '
    "made for you."
)
NO_ID = (
    "voice: must have the id of a voice behind id:, of letters, digits, _ and -, as the service "
    'gave it, e.g. "id:voice_123abc".'
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("voice = 3", VOICE_IS_TEXT),
        ('voice = { id = "voice_1" }', VOICE_IS_TEXT),
        ('voice = ""', "voice: must not be empty; leave it out to speak as realtime.voice."),
        ('voice = "  "', "voice: must not be empty; leave it out to speak as realtime.voice."),
        ('voice = "id:"', NO_ID),
        ('voice = "id:two words"', NO_ID),
        (f'voice = "{"x" * 101}"', "voice: must have 100 characters at most."),
        ('voice = "a\\nb"', "voice: must be on one line, without control characters."),
        *(
            (
                f"speed = {value}",
                "speed: must be a number from 0.25 to 1.5, no text; 1 is the voice's own speed.",
            )
            for value in ("0.2", "1.6", "nan", "inf", "true", '"fast"', "[1]")
        ),
        *(
            (
                f"volume_max_percent = {value}",
                "volume_max_percent: must be a number from 10 to 100, no text; the loudest that it "
                "may get.",
            )
            for value in ("9", "101", "true", '"60"', "nan")
        ),
        ("volume_max_percent = 60.5", "volume_max_percent: must be a whole number."),
    ],
)
def test_a_wrong_voice_speed_or_loudness_is_told(line: str, expected: str) -> None:
    assert problems(f"{line}\n{ROLE}") == [expected]


@pytest.mark.parametrize("speed", ["0.25", "1.5", "1"])
def test_voice_speed_and_loudness_of_a_persona(speed: str) -> None:
    head = f'voice = "id:voice_1"\nspeed = {speed}\nvolume_max_percent = 10\n'
    persona = parse_persona(head + ROLE, name="p", source="p.toml")
    assert (persona.voice, persona.speed) == ("id:voice_1", float(speed))
    assert persona.volume_max_percent == 10
    plain = parse_persona(ROLE, name="p", source="p.toml")
    assert (plain.voice, plain.speed, plain.volume_max_percent) == ("", None, None)


@pytest.mark.parametrize(
    ("head", "settings", "expected"),
    [
        ("", {}, ("marin", 1.0, 100)),
        ("", {"voice": "cedar", "speed": 1.2}, ("cedar", 1.2, 100)),
        ('voice = "sage"', {"voice": "cedar", "speed": 1.2}, ("sage", 1.2, 100)),
        ("speed = 1", {"voice": "cedar", "speed": 1.2}, ("cedar", 1.0, 100)),
        ('voice = "id:voice_1"', {"voice": ""}, ("id:voice_1", 1.0, 100)),
        ("volume_max_percent = 60", {}, ("marin", 1.0, 60)),
        ("volume_max_percent = 60", {"volume_max_percent": 50}, ("marin", 1.0, 50)),
        ("", {"volume_max_percent": 50}, ("marin", 1.0, 50)),
    ],
)
def test_a_persona_speaks_with_its_own_voice_and_may_only_lower_the_loudness(
    head: str, settings: dict[str, object], expected: tuple[str, float, int], tmp_path: Path
) -> None:
    file = tmp_path / "p.toml"
    file.write_text(f"{head}\n{ROLE}")
    limit = {key: settings.pop(key) for key in list(settings) if key.startswith("volume")}
    before = Settings.model_validate(
        {"realtime": {"persona": str(file), **settings}, "device": limit}
    )
    worn = with_persona(before)
    config = session_config(worn, SessionStart("", ()))
    assert (config.voice, config.speed, worn.device.volume_max_percent) == expected
    rest = {"voice", "speed"}
    assert worn.realtime.model_dump(exclude=rest) == before.realtime.model_dump(exclude=rest)


def test_children_are_spared_loud_sound() -> None:
    limits = {name: load_persona(name).volume_max_percent for name in built_in_names()}
    assert {name: limit for name, limit in limits.items() if limit} == {"kids": 60, "bedtime": 50}


def test_sections_of_ones_own_are_told_under_their_titles_in_the_order_of_the_file() -> None:
    persona = parse_persona(
        '[safety]\ndanger = "Call."\n[brand_voice]\ngeneral = ["We are Müller.", "Say so."]\n'
        + ROLE
        + '["Compliance & Law"]\nadvice = "Give none."\nrights = ["A.", "B."]\n',
        name="p",
        source="p.toml",
    )
    for_all = compose(persona).partition("# Instructions & Rules\n")[2].partition("\n\n# ")[0]
    assert compose(persona) == (
        f"# Role & Objective\n- Role: A voice.\n\n# Instructions & Rules\n{for_all}\n\n"
        "# Brand voice\n- We are Müller.\n- Say so.\n\n"
        "# Compliance & Law\n- Advice: Give none.\n- Rights:\n  - A.\n  - B.\n\n"
        "# Safety & Escalation\n- Danger: Call."
    )


def test_mistakes_at_the_top_are_told_all_at_once() -> None:
    assert problems('language = "German"\nrole = 1\ntone = "x"\nflow = 2\n') == [
        'language: must be a code like en or pt-BR, "free", or empty.',
        "role: is a section; write [role] and its keys below it.",
        "tone: is a section; write [tone] and its keys below it.",
        "flow: is a section; write [flow] and its keys below it.",
    ]


toml = st.sampled_from(
    ["[own]\n", "speed = 1\n", "voice = 'x'\n", "[role]\n", "[tone]\n", "[flow]\n",
     "[flow.states.a]\n", "goal = 'x'\n", "next = ['a']\n", "next = {a = 'x'}\n",
     "guided = true\n", "x = 1\n",
     "length = ['a', 2]\n", "role = 'y'\n", "[[tools]]\n", "'"]
)  # fmt: skip


@given(st.lists(toml | st.text(max_size=8), max_size=12).map("".join))
def test_any_text_is_a_persona_or_a_complaint_with_its_file(text: str) -> None:
    found: tuple[str, ...] = ()
    try:
        persona = parse_persona(text, name="p", source="p.toml")
    except PersonaError as error:
        found = error.problems or ("no reason given",)
    else:
        assert persona.sections.keys() >= {"role"}
    assert all(problem.startswith("p.toml: ") for problem in found)
