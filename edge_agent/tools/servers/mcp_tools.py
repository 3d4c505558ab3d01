"""MCP tools, as ours: which of a server's tools the model may see, and in which words.

It must never trust a server: names, texts and schemas that it sends are bounded here, and what it
does not name in the owner's list has the highest risk or is left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from edge_agent.contract.errors import ToolError
from edge_agent.contract.persona import ToolPreamble
from edge_agent.contract.risk import Risk
from edge_agent.tools.registry import NAME, Behaviour, Tool

SEPARATOR = "__"
"""Between a server's name and its tool's; no server's name holds it, so no two tools collide."""
NAME_MAX_CHARS = 64
"""Function names that the Realtime API takes."""
DIGEST_CHARS = 6
"""Of a hash, kept in names that had to be changed: enough for the few tools of one server."""
TOOLS_MAX = 64
"""Of one server: the Realtime API takes 128 tools in all, and each costs tokens in every turn."""
LEFT_OUT_MAX = 8
"""Of one server's tools, told by name and reason; the rest is counted."""
DESCRIPTION_MAX_CHARS = 1000
"""What a tool needs to be understood; more costs in every turn."""
SCHEMA_MAX_BYTES = 8000
"""About 2,000 tokens for one tool, in every turn."""
SCHEMA_MAX_DEPTH = 16
"""Deeper ones describe documents, which nobody speaks."""
TOP_LEVEL_REFUSED = ("oneOf", "anyOf", "allOf", "enum", "not", "$ref")
"""The API takes a plain object only; one schema it refuses would cost all tools."""
NAMED = "named in the settings"
NOT_NAMED = "not named in the settings"
CHANGED = "not as it was accepted"
"""Where a tool's risk comes from."""
SAMPLES = {
    Behaviour.PREAMBLE: ("One moment.", "I'll look after that."),
    Behaviour.CONFIRM: ("Shall I do that?", "Is that right?"),
}
"""What is said before a tool of which nobody here knows what it does."""
SHOWN_NAME_MAX_CHARS = 80
"""Of a name that a server made up, in a line for the admin."""


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """One tool server as the owner wants it; `command` or `url`, never both."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, Risk] = field(default_factory=dict)
    """The tools that are allowed, by the server's own names."""
    allow_all: bool = False
    """Also those that are not named; they are HIGH."""
    manners: Mapping[str, Behaviour] = field(default_factory=dict)
    """How the model brings a tool before the household, where that is not at once."""
    timeout_s: float = 10.0

    def risk(self, tool: str) -> Risk | None:
        """What a tool of this server can do; None: it is not allowed."""
        return self.tools.get(tool, Risk.HIGH if self.allow_all else None)

    def preambles(self) -> tuple[ToolPreamble, ...]:
        """What is said before which tool, as it is of our own.  They are told when a session
        begins, before any server has been asked: the owner's settings are all that is needed."""
        return tuple(
            ToolPreamble(tool_name(self.name, tool), manner is Behaviour.CONFIRM, SAMPLES[manner])
            for tool, manner in self.manners.items()
            if manner is not Behaviour.PROACTIVE
        )

    def risk_because(self, tool: str) -> str:
        """Where that comes from."""
        return NAMED if tool in self.tools else NOT_NAMED


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool as a server describes it, unchecked."""

    name: str
    description: str
    schema: object
    is_read_only: bool = False
    """It says that it changes nothing."""
    why: str = ""
    """Why its schema cannot be used, if somebody has looked already."""

    def looked_at(self) -> Listed:
        """The same; a schema that cannot be used is not kept."""
        why = usable_schema(self.schema)[1]
        return replace(self, schema=None, why=why) if why else self


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A tool that is allowed and cannot be offered, and why."""

    name: str
    why: str


Shape = tuple[str, str]
"""Description and parameters (JSON) of a tool."""


def schema_of(name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """How `session.update` describes a tool (GA shape)."""
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": dict(parameters),
    }


class _NoArguments(BaseModel):
    """In the place of a model of the arguments: the server checks them."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True, slots=True)
class McpTool(Tool):
    """A tool whose schema came from elsewhere; its function takes any keywords."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    own_name: str = ""
    """What its server calls it."""
    is_changed: bool = False
    """It is not as it was accepted, and HIGH until it is accepted anew."""

    @property
    def shape(self) -> Shape:
        """What the model gets to know of it, to compare."""
        return self.description, json.dumps(self.parameters, sort_keys=True)

    def schema(self) -> dict[str, Any]:
        """How `session.update` describes it (GA shape)."""
        return schema_of(self.name, self.description, self.parameters)

    def validate(self, arguments: str) -> dict[str, Any]:
        """Keyword arguments from the model's JSON text; whether they fit, the server says.

        Raises `ToolError`, worded for the model.
        """
        try:
            given = json.loads(arguments.strip() or "{}")
        except (ValueError, RecursionError) as error:
            raise ToolError(
                "The arguments are not JSON. Call it again correctly.", code="tool.bad_arguments"
            ) from error
        if not isinstance(given, dict):
            raise ToolError(
                "The arguments must be a JSON object. Call it again correctly.",
                code="tool.bad_arguments",
            )
        return given


Call = Callable[[str, Mapping[str, Any]], Awaitable[str]]
"""Runs the server's tool of that name."""
Judge = Callable[[str, Mapping[str, Shape]], Awaitable[Collection[str]]]
"""Given a server's name and the tools that the owner has named, by their own names: those that
are not as they were accepted."""


def offered(
    plan: ServerPlan, listed: Iterable[Listed], call: Call
) -> tuple[tuple[McpTool, ...], tuple[LeftOut, ...]]:
    """The allowed ones among a server's tools, and those that cannot be offered."""
    tools: dict[str, McpTool] = {}
    left_out: list[LeftOut] = []
    for one in listed:
        risk = plan.risk(one.name)
        if risk is None:
            continue
        name = tool_name(plan.name, one.name)
        parameters: Mapping[str, Any] = {}
        if name in tools:
            why = "its name is there twice"
        elif len(tools) >= TOOLS_MAX:
            why = f"a server may have {TOOLS_MAX} tools"
        elif not (why := one.why):
            parameters, why = usable_schema(one.schema)
        if why:
            left_out.append(LeftOut(shown(one.name), why))
        else:
            tools[name] = _tool(plan, one, risk, parameters, call)
    if (more := len(left_out) - LEFT_OUT_MAX) > 0:
        left_out[LEFT_OUT_MAX:] = [LeftOut(f"({more} more)", "like these, or for other reasons")]
    return tuple(tools.values()), tuple(left_out)


def _tool(
    plan: ServerPlan,
    one: Listed,
    risk: Risk,
    parameters: Mapping[str, Any],
    call: Call,
) -> McpTool:
    own_name = one.name

    def function(**arguments: Any) -> Awaitable[str]:
        return call(own_name, arguments)

    return McpTool(
        name=tool_name(plan.name, one.name),
        description=plain(one.description, DESCRIPTION_MAX_CHARS) or f"{own_name} of {plan.name}.",
        function=function,
        arguments=_NoArguments,
        risk=risk,
        timeout_s=plan.timeout_s,
        speakable=re.sub(r"[\W_]+", " ", shown(own_name)).strip(),
        # Taken at its word only where the owner finds it harmless in any case.
        cancellable=one.is_read_only and risk is Risk.LOW,
        parameters=parameters,
        own_name=own_name,
        risk_because=plan.risk_because(one.name),
    )


def judged(tools: Iterable[McpTool], changed: Collection[str]) -> tuple[McpTool, ...]:
    """The same tools, those that have changed as the most dangerous there are."""
    return tuple(
        replace(tool, risk=Risk.HIGH, cancellable=False, is_changed=True, risk_because=CHANGED)
        if tool.own_name in changed
        else tool
        for tool in tools
    )


def tool_name(server: str, tool: str) -> str:
    """`server__tool`, made to fit what the API takes; what had to be changed ends in a hash."""
    whole = f"{server}{SEPARATOR}{tool}"
    if NAME.fullmatch(whole):
        return whole
    digest = hashlib.sha256(tool.encode("utf-8", "replace")).hexdigest()[:DIGEST_CHARS]
    fitting = re.sub(r"[^a-zA-Z0-9_-]", "_", whole)
    return f"{fitting[: NAME_MAX_CHARS - DIGEST_CHARS - 1]}_{digest}"


def usable_schema(schema: object) -> tuple[Mapping[str, Any], str]:
    """`(parameters, why not)`: a schema as the API takes it, or the reason why it cannot."""
    if not isinstance(schema, dict):
        return {}, "its schema is no object"
    if schema.get("type", "object") != "object":
        return {}, "its schema is not that of an object"
    if refused := [key for key in TOP_LEVEL_REFUSED if key in schema]:
        return {}, f"its schema has {refused[0]} at the top, which no provider takes"
    if not isinstance(schema.get("properties", {}), dict):
        return {}, "its schema is broken"
    if why := _too_large(schema):  # before anything that recurses
        return {}, why
    if _refers_outside(schema):
        return {}, "its schema refers to another document"
    try:
        size_bytes = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError):
        return {}, "its schema is no JSON"
    if size_bytes > SCHEMA_MAX_BYTES:
        return {}, f"its schema is longer than {SCHEMA_MAX_BYTES} bytes"
    parameters = {key: value for key, value in schema.items() if key not in ("$schema", "title")}
    return {**parameters, "type": "object", "properties": schema.get("properties", {})}, ""


def _too_large(schema: object) -> str:
    """Why it need not be looked at more closely."""
    layer: list[object] = [schema]
    parts = 0
    for _ in range(SCHEMA_MAX_DEPTH):
        layer = [
            inner
            for one in layer
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        parts += len(layer)
        if parts > SCHEMA_MAX_BYTES:  # each is written with a byte at least
            return f"its schema is longer than {SCHEMA_MAX_BYTES} bytes"
        if not layer:
            return ""
    return f"its schema is deeper than {SCHEMA_MAX_DEPTH} levels"


def _refers_outside(value: object) -> bool:
    if isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str) and not target.startswith("#"):
            return True
        return any(_refers_outside(inner) for inner in value.values())
    return isinstance(value, list) and any(_refers_outside(inner) for inner in value)


def plain(text: object, max_chars: int) -> str:
    """A server's text in one paragraph, without control characters, cut to a length."""
    if not isinstance(text, str):
        return ""
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text[: 4 * max_chars])
    words = " ".join(kept.split())
    return words if len(words) <= max_chars else words[: max_chars - 1].rstrip() + "…"


def shown(name: str) -> str:
    """A name that a server made up, fit for a line that an admin reads."""
    return plain(name, SHOWN_NAME_MAX_CHARS) or "(no name)"
