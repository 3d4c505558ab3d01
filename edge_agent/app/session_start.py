"""What the model is given at the start of a session: the persona in words, and the tools.

`with_persona` comes first: what a persona changes of the settings is changed there, once.

Thread: main, before anything runs; reads the persona's file.  It must never know how it is sent:
that is `wiring.session_config` and the link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.app.tools.mcp import expected_names
from edge_agent.contract.persona import ToolPreamble
from edge_agent.dialogue.prompting.flow import Flow, FlowTerms, flow_problems, step_words
from edge_agent.dialogue.prompting.prompt import compose, without_tools
from edge_agent.host.personas import PersonaError, load_persona
from edge_agent.host.settings.root import Settings
from edge_agent.tools.catalogue import shipped_tools


@dataclass(frozen=True, slots=True)
class SessionStart:
    """What the model is given at the start of a session; `flow`: how a guided talk goes on."""

    instructions: str
    tools: tuple[Mapping[str, object], ...]
    flow: FlowTerms | None = None


def with_persona(settings: Settings) -> Settings:
    """The settings with the voice, the speed and the lower limit of loudness of their persona.

    What a persona leaves out stays as it is.  Raises `PersonaError`.
    """
    persona = load_persona(settings.realtime.persona)
    spoken: dict[str, object] = {"voice": persona.voice} if persona.voice else {}
    if persona.speed is not None:
        spoken["speed"] = persona.speed
    device, limit = settings.device, persona.volume_max_percent
    if limit is not None:
        lower = min(limit, device.volume_max_percent)
        device = device.model_copy(update={"volume_max_percent": lower})
    realtime = settings.realtime.model_copy(update=spoken)
    return settings.model_copy(update={"realtime": realtime, "device": device})


def session_start(
    settings: Settings,
    tools: tuple[Mapping[str, object], ...],
    preambles: tuple[ToolPreamble, ...] = (),
) -> SessionStart:
    """The persona of the settings, in words, and what is said before which tool.

    Raises `PersonaError`.
    """
    realtime = settings.realtime
    persona = load_persona(realtime.persona)
    names = {str(tool["name"]) for tool in tools}
    if problems := flow_problems(persona, names | expected_names(settings)):
        raise PersonaError(persona.source, problems)
    text = compose(
        without_tools(persona, shipped_tools().risks().keys() - names),
        language=realtime.language,
        additions=realtime.instructions,
        preambles=preambles,
    )
    if persona.plan is None or not persona.plan.guided:
        return SessionStart(text, tools)
    words = step_words(
        persona,
        shipped_tools().risks().keys() | names | expected_names(settings),
        language=realtime.language,
        additions=realtime.instructions,
        preambles=preambles,
    )
    terms = FlowTerms(persona.plan, words, tools)
    begin = Flow(terms)
    return SessionStart(begin.instructions(), begin.tools(), terms)
