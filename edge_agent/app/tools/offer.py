"""The tools on offer: which of them the model will have with these settings.

`offer` is asked by `run`, by `edge-agent config check` and by `edge-agent prompt`, so that all of
them judge a persona by the same tools.  `ours` is how the toolbox chooses among the program's own.

Thread: main, before anything runs.  It must never run a tool or ask a tool server: of theirs it
knows what the owner's settings say.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.app.tools.mcp import plans
from edge_agent.contract.persona import SILENCE_TOOL, Persona, ToolPreamble
from edge_agent.dialogue.prompting.flow import flow_problems
from edge_agent.host.personas import PersonaError
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.tool_store import ToolStore, tools_path
from edge_agent.tools.catalogue import shipped_tools
from edge_agent.tools.registry import Registry, Tool
from edge_agent.tools.servers.mcp_tools import SEPARATOR, schema_of, tool_name

FACTS = ("remember", "recall", "forget")


def _unheard(_code: str, **_fields: object) -> None:
    """A damaged file is told by the daemon, which also mends it."""


_NAMES = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Absent:
    """A tool that steps of a guided talk name and that is switched off: they go without it."""

    tool: str
    steps: tuple[str, ...]
    setting: str
    """What would switch it on."""

    def __str__(self) -> str:
        return (
            f"{self.tool} is switched off ({self.setting}): the steps that name it go without it: "
            f"{', '.join(self.steps)}"
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """What the model will have."""

    schemas: tuple[Mapping[str, Any], ...]
    """The program's own tools that run, as they are sent."""
    preambles: tuple[ToolPreamble, ...]
    """What is said before which tool."""
    expected: frozenset[str]
    """Tools of servers that the settings allow by name; each comes with its server."""
    open_servers: tuple[str, ...]
    """What the names of tools begin with whose server may bring any."""
    off: Mapping[str, str]
    """Tools that are not switched on → the setting that would do it."""

    @property
    def names(self) -> frozenset[str]:
        """The program's own tools that run."""
        return frozenset(str(schema["name"]) for schema in self.schemas)

    def of_servers(self, text: str) -> frozenset[str]:
        """The tools named in `text` that a server may bring."""
        return frozenset(
            name
            for name in _NAMES.findall(text)
            if name in self.expected or name.startswith(self.open_servers)
        )


def offer(settings: Settings, registry: Registry | None = None) -> Offer:
    """What the model will have.  `registry`: the program's own tools that are there; without it
    they are looked up and not run."""
    if registry is None:
        registry = Registry(ours(settings, shipped_tools().tools()))
    enabled = tuple(plans(settings).values())
    return Offer(
        schemas=registry.schemas(),
        preambles=(
            *registry.preambles(),
            *(preamble for plan in enabled for preamble in plan.preambles()),
        ),
        expected=frozenset(tool_name(plan.name, tool) for plan in enabled for tool in plan.tools),
        open_servers=tuple(f"{plan.name}{SEPARATOR}" for plan in enabled if plan.allow_all),
        off=switched_off(settings),
    )


def ours(settings: Settings, tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """Those of the program's own tools that run with these settings."""
    off = switched_off(settings)
    return tuple(tool for tool in tools if tool.name not in off)


def switched_off(settings: Settings) -> dict[str, str]:
    """Tools that these settings leave out → the setting that would switch them on."""
    off = {} if settings.supervisor.model else {"answer": "supervisor.model"}
    if not settings.facts.enabled:
        off |= dict.fromkeys(FACTS, "facts.enabled")
    if not settings.conversation.stay_silent:
        off[SILENCE_TOOL] = "conversation.stay_silent"
    for name, server in settings.mcp.servers.items():
        if not server.enabled:
            switch = f"mcp.servers.{name}.enabled"
            off |= {tool_name(name, tool): switch for tool in server.tools}
    return off


def known_schemas(
    settings: Settings, there: Offer
) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    """The tools of servers as they were described last, and the names of those that nobody here
    has met, or may read about."""
    try:
        kept = ToolStore(tools_path(settings.state.path), _unheard).shapes()
    except OSError:
        kept = {}
    met = {}
    for plan in plans(settings).values():
        for tool, (description, parameters) in kept.get(plan.name, {}).items():
            name = tool_name(plan.name, tool)
            if plan.risk(tool) is not None:
                with contextlib.suppress(ValueError, TypeError):  # a file that was tampered with
                    met[name] = schema_of(name, description, dict(json.loads(parameters)))
    whole = [f"others of {prefix.removesuffix(SEPARATOR)}" for prefix in there.open_servers]
    return tuple(met.values()), (*sorted(there.expected - met.keys()), *whole)


def wanted_by(persona: Persona) -> dict[str, list[str]]:
    """Tools that steps of its talk name → these steps."""
    wanted: dict[str, list[str]] = {}
    for state in persona.plan.states.values() if persona.plan is not None else ():
        for tool in state.tools or ():
            wanted.setdefault(tool, []).append(state.name)
    return wanted


def absent(persona: Persona, there: Offer) -> tuple[Absent, ...]:
    """What the steps of a guided talk have to do without.  Raises `PersonaError`.

    A tool that exists and is switched off costs its steps the tool and not the household its
    speaker: the owner may have switched it off long after choosing the persona.  A name that is
    no tool's is a slip in the file, and told as all others are.
    """
    wanted = wanted_by(persona)
    known = there.names | there.off.keys() | there.of_servers(" ".join(wanted))
    if problems := flow_problems(persona, known):
        raise PersonaError(persona.source, problems)
    return tuple(
        Absent(tool, tuple(steps), there.off[tool])
        for tool, steps in wanted.items()
        if tool in there.off
    )
