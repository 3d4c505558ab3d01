"""The page about the persona file says what the reader takes: all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_agent.contract.persona import SECTIONS, VOLUME_LIMIT_MIN_PERCENT
from edge_agent.contract.voices import SPEED_MAX, SPEED_MIN
from edge_agent.dialogue.prompting.flow import flow_problems
from edge_agent.dialogue.prompting.prompt import compose, headings
from edge_agent.host.personas import (
    FILE_MAX_BYTES,
    OWN_SECTIONS_MAX,
    OWN_TEXT_MAX_CHARS,
    OWN_TEXTS_MAX,
    SCALARS,
    STATES_MAX,
    PersonaError,
    built_in_names,
    parse_persona,
)
from edge_agent.host.price_list import BUILT_IN, load_providers
from edge_agent.tools.catalogue import shipped_tools

PAGE = (Path(__file__).parents[2] / "config" / "personas" / "README.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)
ROWS = re.findall(r"^\| `([\w.]+)` \| ([^|]*) \|", PAGE, re.M)
ROLE = '[role]\nrole = "A voice."\n'
NO_KEY = "qqqqqqqq"
STATE = "flow.states.NAME"


def known_to_the_reader(text: str) -> list[str]:
    """The keys that it names where it finds none of that name."""
    with pytest.raises(PersonaError) as caught:
        parse_persona(text + ROLE, name="p", source="p.toml")
    [problem] = caught.value.problems
    named = re.search(r"There are: ([\w, ]+)\.", problem)
    assert named is not None, problem
    return named[1].split(", ")


def every_key() -> set[str]:
    keys = {*known_to_the_reader(f"{NO_KEY} = 1\n"), *SECTIONS}
    for section in ("tone", "rules", "tools"):
        keys |= {
            f"{section}.{key}" for key in known_to_the_reader(f"[{section}]\n{NO_KEY} = 'x'\n")
        }
    keys |= {"role.role", "role.objective"}
    step = "[flow.states.a]\ngoal = 'x'\n"
    keys |= {f"flow.{key}" for key in known_to_the_reader(f"[flow]\n{NO_KEY} = 1\n{step}")}
    keys |= {f"{STATE}.{key}" for key in known_to_the_reader(f"{step}{NO_KEY} = 1\n")}
    return keys


def test_every_key_is_documented_and_no_other() -> None:
    documented = [key for key, _ in ROWS]
    assert len(documented) == len(set(documented))
    assert set(documented) == every_key()
    assert {key for key in documented if "." not in key} == {*SCALARS, *SECTIONS}


def test_every_section_is_documented_with_the_heading_that_the_model_sees() -> None:
    told = {key: text for key, text in ROWS if key in SECTIONS}
    assert told == dict(SECTIONS)
    assert list(told) == list(SECTIONS), "in the order in which they are told"


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_persona(example: str) -> None:
    text = example if "[role]" in example else example + ROLE
    persona = parse_persona(text, name="p", source="p.toml")
    assert flow_problems(persona, shipped_tools().risks().keys()) == ()
    composed = compose(persona)
    for key, heading in headings(persona):
        assert (f"# {heading}\n" in composed) == (
            key in persona.sections
            or (key == "flow" and persona.plan is not None)
            or (key == "tone" and bool(persona.language))
            or key == "rules"  # what holds for every persona
        )


def test_the_examples_show_everything_once() -> None:
    whole = "".join(EXAMPLES)
    for key in every_key() - set(SECTIONS) - {"flow.states", "tools.use", "tone.language"}:
        name = key.rpartition(".")[2]
        optional = key in ("tone.tone", "tone.pacing", "tone.variety")
        assert optional or re.search(rf"^{name} = ", whole, re.M), key
    for section in SECTIONS:
        assert f"[{section}" in whole


def test_limits_and_names_are_those_of_the_reader() -> None:
    text = " ".join(PAGE.split())
    assert f"There are {OWN_SECTIONS_MAX} sections of your own at most" in text
    assert f"with {OWN_TEXTS_MAX} texts each, of {OWN_TEXT_MAX_CHARS} characters each" in text
    assert f"has {FILE_MAX_BYTES} bytes at most" in text
    assert f"`realtime.speed`: {SPEED_MIN:g} to {SPEED_MAX:g}, where" in text
    assert f"The loudest it gets, {VOLUME_LIMIT_MIN_PERCENT} to 100, whoever" in text
    assert f"A table for each step, 1 to {STATES_MAX}:" in text
    for name in built_in_names():
        assert f"`{name}`" in text


def test_what_no_service_can_do_is_as_the_table_of_providers_says() -> None:
    providers = load_providers(BUILT_IN).providers
    assert [name for name, record in providers.items() if not record.can.voice] == ["speaches"]
    dumb = {name for name, record in providers.items() if not record.can.speed}
    assert dumb == {"xai", "speaches"}
    assert "Speaches takes no voice, xAI and Speaches take no speed." in " ".join(PAGE.split())
