"""What the model is given at the start of a session: the persona in words, and the tools.

`with_persona` comes first: what a persona changes of the settings is changed there, once.

Thread: main, before anything runs; reads the persona's file.  It must never know how it is sent:
that is `wiring.session_config` and the link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.app.tools.offer import Absent, Offer, absent
from edge_agent.contract.persona import Persona
from edge_agent.dialogue.prompting.flow import Flow, FlowTerms, step_words
from edge_agent.dialogue.prompting.prompt import STAGE, compose, with_stage, without_tools
from edge_agent.host.personas import load_persona
from edge_agent.host.settings.root import Settings


@dataclass(frozen=True, slots=True)
class SessionStart:
    """What the model is given at the start of a session; `flow`: how a guided talk goes on."""

    instructions: str
    tools: tuple[Mapping[str, object], ...]
    flow: FlowTerms | None = None
    absent: tuple[Absent, ...] = ()
    """Tools that its steps name and that are switched off."""


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


def session_start(settings: Settings, offer: Offer, persona_name: str = "") -> SessionStart:
    """A persona in words, and the tools on offer; `persona_name` "": the settings' persona.

    Raises `PersonaError`.
    """
    persona = load_persona(persona_name or settings.realtime.persona)
    missed = absent(persona, offer)
    text, tools = composed(persona, settings, offer), offer.schemas
    if persona.plan is None or not persona.plan.guided:
        return SessionStart(text, tools, absent=missed)
    words = step_words(
        persona,
        offer.names | offer.off.keys() | offer.expected,
        language=settings.realtime.language,
        additions=settings.realtime.instructions,
        preambles=offer.preambles,
    )
    terms = FlowTerms(persona.plan, words, tools)
    begin = Flow(terms)
    return SessionStart(begin.instructions(), begin.tools(), terms, missed)


def composed(persona: Persona, settings: Settings, offer: Offer) -> str:
    """What holds of a persona in every answer, in words."""
    return compose(
        without_tools(persona, offer.off),
        language=settings.realtime.language,
        additions=settings.realtime.instructions,
        preambles=offer.preambles,
    )


def steps_of(persona: Persona) -> list[str]:
    """The steps of a guided talk: one at a time goes out; a person wants to read them all."""
    if persona.plan is None or not persona.plan.guided:
        return []
    return [
        with_stage("", state).strip().replace(STAGE, f"{STAGE}: {name}", 1)
        for name, state in persona.plan.states.items()
    ]
