"""What a tool server says is bounded, named and worded before the model sees it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_agent.contract.errors import ToolError
from edge_agent.contract.risk import Risk
from edge_agent.tools.registry import NAME, Registry
from edge_agent.tools.servers.mcp_results import in_words
from edge_agent.tools.servers.mcp_shorten import (
    MESSAGE_MAX_BYTES,
    STRING_MAX_BYTES,
    TooMuch,
    cut_bytes,
    shorten,
)
from edge_agent.tools.servers.mcp_tools import (
    SCHEMA_MAX_DEPTH,
    TOOLS_MAX,
    LeftOut,
    Listed,
    McpTool,
    ServerPlan,
    offered,
    plain,
    tool_name,
    usable_schema,
)

OBJECT: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}


async def nothing(_tool: str, _arguments: object) -> str:
    return ""


def offer(plan: ServerPlan, *listed: Listed) -> tuple[tuple[McpTool, ...], tuple[LeftOut, ...]]:
    return offered(plan, listed, nothing)


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


# --- names ---------------------------------------------------------------------------------

SERVER = st.from_regex(r"[a-z0-9]+([_-][a-z0-9]+)*", fullmatch=True).filter(lambda s: len(s) <= 24)


@given(SERVER, st.text(max_size=100))
@example("home", "light.turn_on")
@example("home", "")
def test_every_tool_gets_a_name_that_the_api_takes(server: str, tool: str) -> None:
    name = tool_name(server, tool)
    assert NAME.fullmatch(name)
    assert name.startswith(f"{server}__")


@given(SERVER, SERVER, st.text(max_size=100), st.text(max_size=100))
@example("a", "a", "x.y", "x_y")
@example("a", "a", "x" * 100, "x" * 99)
@example("a", "b", "x", "x")
def test_two_tools_never_share_a_name(one: str, other: str, tool: str, second: str) -> None:
    if (one, tool) != (other, second):
        assert tool_name(one, tool) != tool_name(other, second)


def test_a_plain_name_stays_readable() -> None:
    assert tool_name("home", "turn_on") == "home__turn_on"
    assert tool_name("home", "turn on").startswith("home__turn_on_")


# --- the allow-list ------------------------------------------------------------------------


def test_only_what_is_named_is_offered_and_with_its_risk() -> None:
    plan = ServerPlan("home", tools={"on": Risk.LOW, "unlock": Risk.HIGH})
    listed = [Listed(name, "Does it.", OBJECT) for name in ("on", "unlock", "reboot")]
    tools, left_out = offer(plan, *listed)
    assert [(tool.name, tool.risk) for tool in tools] == [
        ("home__on", Risk.LOW),
        ("home__unlock", Risk.HIGH),
    ]
    assert not left_out


def test_what_is_allowed_without_a_name_is_high() -> None:
    plan = ServerPlan("home", tools={"on": Risk.LOW}, allow_all=True)
    tools, _ = offer(plan, Listed("on", "", OBJECT), Listed("reboot", "", OBJECT))
    assert [tool.risk for tool in tools] == [Risk.LOW, Risk.HIGH]


@pytest.mark.parametrize(
    ("risk", "says", "stops"),
    [(Risk.LOW, True, True), (Risk.LOW, False, False), (Risk.HIGH, True, False)],
)
def test_a_server_is_believed_about_reading_where_it_is_harmless(
    risk: Risk, says: bool, stops: bool
) -> None:
    plan = ServerPlan("home", tools={"read": risk})
    [tool], _ = offer(plan, Listed("read", "", OBJECT, is_read_only=says))
    assert tool.cancellable is stops


def test_a_name_that_comes_twice_is_left_out_once() -> None:
    plan = ServerPlan("home", allow_all=True)
    tools, left_out = offer(plan, Listed("a", "one", OBJECT), Listed("a", "two", OBJECT))
    assert [tool.description for tool in tools] == ["one"]
    assert left_out == (LeftOut("a", "its name is there twice"),)


def test_a_server_may_have_so_many_tools() -> None:
    plan = ServerPlan("home", allow_all=True)
    tools, left_out = offer(plan, *(Listed(f"t{n}", "", OBJECT) for n in range(TOOLS_MAX + 3)))
    assert (len(tools), len(left_out)) == (TOOLS_MAX, 3)


def test_a_bad_schema_costs_only_its_own_tool() -> None:
    plan = ServerPlan("home", allow_all=True)
    tools, [left] = offer(plan, Listed("bad\x1b[2J", "", {"type": "array"}), Listed("a", "", {}))
    assert [tool.name for tool in tools] == ["home__a"]
    assert left == LeftOut("bad [2J", "its schema is not that of an object")


def test_two_servers_with_the_same_tool_names_live_side_by_side() -> None:
    registry = Registry()
    for server in ("one", "two"):
        tools, _ = offer(ServerPlan(server, allow_all=True), Listed("on", "", OBJECT))
        registry.replace((), tools)
    assert set(registry.risks()) == {"one__on", "two__on"}


def test_replacing_takes_only_the_servers_own_tools_away() -> None:
    plan = ServerPlan("home", allow_all=True)
    old, _ = offer(plan, Listed("on", "", OBJECT), Listed("off", "", OBJECT))
    new, _ = offer(plan, Listed("on", "now different", OBJECT))
    other, _ = offer(ServerPlan("else", allow_all=True), Listed("x", "", OBJECT))
    registry = Registry((*old, *other))
    registry.replace(old, new)
    assert set(registry.risks()) == {"home__on", "else__x"}
    found = registry.get("home__on")
    assert found is not None
    assert found.description == "now different"


# --- schemas and texts ---------------------------------------------------------------------


def test_a_schema_is_passed_on_as_it_is() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "x",
        **OBJECT,
        "required": ["a"],
        "$defs": {"b": {"enum": [1]}},
    }
    parameters, why = usable_schema(schema)
    assert not why
    assert parameters == {**OBJECT, "required": ["a"], "$defs": {"b": {"enum": [1]}}}


def test_a_schema_without_anything_takes_no_arguments() -> None:
    assert usable_schema({}) == ({"type": "object", "properties": {}}, "")


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (None, "no object"),
        ([], "no object"),
        ({"type": "string"}, "not that of an object"),
        ({"type": ["object", "null"]}, "not that of an object"),
        ({"type": "object", "anyOf": []}, "anyOf at the top"),
        ({"properties": []}, "broken"),
        (deep(SCHEMA_MAX_DEPTH), "deeper than"),
        ({"properties": {"a": {"$ref": "https://else.example/x"}}}, "refers to another"),
        ({"properties": {"a": {"const": float("nan")}}}, "no JSON"),
        ({"properties": {"a": {"description": "x" * 9000}}}, "longer than"),
    ],
)
def test_a_schema_that_would_cost_all_tools_is_refused(schema: object, why: str) -> None:
    assert why in usable_schema(schema)[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@given(JSON)
def test_any_schema_is_usable_or_explained(schema: object) -> None:
    parameters, why = usable_schema(schema)
    if not why:
        assert parameters["type"] == "object"
        assert json.loads(json.dumps(parameters, allow_nan=False)) == parameters


def test_a_very_deep_schema_is_refused_without_recursion() -> None:
    assert "deeper" in usable_schema(deep(50_000))[1]


@given(st.text(max_size=300), st.integers(1, 50))
def test_a_text_is_one_line_without_control_characters(text: str, limit: int) -> None:
    line = plain(text, limit)
    assert len(line) <= limit
    assert line.isprintable()


def test_arguments_are_checked_only_for_being_an_object() -> None:
    [tool], _ = offer(ServerPlan("s", allow_all=True), Listed("t", "", OBJECT))
    assert tool.validate("") == {}
    assert tool.validate('{"self": 1, "a b": null}') == {"self": 1, "a b": None}
    for bad in ("[1]", "{", "null", "[" * 100_000):
        with pytest.raises(ToolError):
            tool.validate(bad)


# --- results -------------------------------------------------------------------------------


def block(kind: str, **fields: object) -> SimpleNamespace:
    return SimpleNamespace(type=kind, **fields)


TEXT = block("text", text="Hello.")


@pytest.mark.parametrize(
    ("content", "structured", "words"),
    [
        ([TEXT, block("text", text="Bye.")], None, "Hello.\nBye."),
        ([], None, "Done."),
        ([], {"a": 1}, '{"a":1}'),
        ([TEXT], {"a": 1}, "Hello."),
        ([block("image", data="QUJD")], {"a": 1}, '[an image, 3 bytes]\n{"a":1}'),
        ([block("image", data="A" * 682_667)], None, "[an image, 512 kB]"),
        ([block("audio", data="A" * 2_000_000)], None, "[a sound, 1.5 MB]"),
        ([block("resource", resource=SimpleNamespace(text="Inside."))], None, "Inside."),
        ([block("resource", resource=SimpleNamespace(blob="A" * 4000))], None, "[a file, 3 kB]"),
        ([block("resource_link", name="The\nlog")], None, "[a link to The log]"),
        ([block("hologram")], None, "[something that cannot be told in words]"),
        ([object()], None, "[something that cannot be told in words]"),
    ],
)
def test_a_result_becomes_words(content: list[object], structured: object, words: str) -> None:
    assert in_words(content, structured, is_error=False) == words


def test_a_failure_is_told_as_one() -> None:
    with pytest.raises(ToolError, match=r"The tool failed: Hello\."):
        in_words([TEXT], None, is_error=True)
    with pytest.raises(ToolError, match="did not say why"):
        in_words([], None, is_error=True)


# --- shortening ----------------------------------------------------------------------------


def as_json(value: object, ascii_only: bool = True) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode()


@given(JSON, st.booleans())
def test_what_is_short_stays_as_it_is(value: object, ascii_only: bool) -> None:
    assert shorten(as_json(value, ascii_only)) == as_json(value, ascii_only)


UNIT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(UNIT, st.booleans(), JSON)
@example("\U0001f600", True, None)
@example("\\", False, None)
@example('"', True, None)
@example("é", False, None)
def test_a_long_string_is_cut_and_stays_json(unit: str, ascii_only: bool, other: object) -> None:
    whole = unit * (MESSAGE_MAX_BYTES // len(unit))
    message = {"id": 1, "x": other, "result": {"text": whole, "more": ["é", other]}}
    short = shorten(as_json(message, ascii_only))
    assert len(short) < MESSAGE_MAX_BYTES
    told = json.loads(short)
    text = told["result"].pop("text")
    assert json.dumps([told["x"], told["result"]["more"]]) == json.dumps([other, ["é", other]])
    begin, _, _ = text.rpartition(" [cut here: ")
    assert whole.startswith(begin)
    assert len(as_json(begin, ascii_only)) > STRING_MAX_BYTES - 20


def test_it_is_known_by_how_much_a_picture_was_cut() -> None:
    picture = "QUJD" * 250_000
    [short] = json.loads(shorten(as_json([picture])))
    assert len(short) + cut_bytes(short) == len(picture)
    assert in_words([block("image", data=short)], None, is_error=False) == "[an image, 750 kB]"


@pytest.mark.parametrize(
    "value",
    [
        [{"a": n, "b": [1, 2, "x"]} for n in range(30_000)],
        ["x" * 10_000] * 30,
        list(range(100_000)),
    ],
)
def test_what_cannot_be_cut_is_refused(value: object) -> None:
    with pytest.raises(TooMuch):
        shorten(as_json(value))


@given(st.binary(max_size=50), st.integers(1, 60_000))
def test_bytes_that_are_no_json_do_no_harm(noise: bytes, times: int) -> None:
    try:
        short = shorten(noise * times)
    except TooMuch:
        return
    assert len(short) <= MESSAGE_MAX_BYTES
