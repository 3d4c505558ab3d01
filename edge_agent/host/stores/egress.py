"""Leaving: what goes out of the house, to whom and when, read off the settings.

Thread: main, in the command line.  It must never ask the network, or show a key or the text of a
setting that may hold one.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from edge_agent.contract.hosts import is_loopback
from edge_agent.host.price_list import load_providers, owners_path
from edge_agent.host.service.tool_units import tool_socket
from edge_agent.host.settings.root import Settings

UNCONFINED = ". It is not confined here: it may read all that is kept above"
"""A program that systemd does not run has our account's rights."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """One thing that leaves this machine."""

    what: str
    to: str
    when: str


def egress(settings: Settings) -> list[Leaving]:
    """All that leaves it.  Raises `ConfigError` for a provider that is in no table."""
    realtime, facts = settings.realtime, settings.facts
    table = load_providers(owners_path(realtime.providers_file))
    first_url = realtime.url or table.record(realtime.provider).url
    first = _whom(realtime.provider, first_url)
    out = [
        Leaving("The sound of what is said", first, _when_it_listens(settings)),
        Leaving(
            "What the talk needs",
            first,
            "with it: the persona, the tools and what they answer, and after a lost connection "
            "the talk so far, in words or in sound",
        ),
    ]
    out += [
        Leaving(
            "All of this",
            _whom(other.provider, other.url or table.record(other.provider).url),
            "when the services before it cannot be reached or refuse",
        )
        for other in realtime.fallbacks
    ]
    if facts.enabled:
        out.append(Leaving("Facts", first, "those that the model looks up, when it does"))
    out += _transcribed(settings, first)
    if settings.transcription.prompt or settings.transcription.keywords:
        when = "when speech is written down, also by edge-agent transcribe"
        out.append(Leaving("Your prompt and keywords", first, when))
    out += _summarised(settings, first, first_url)
    if settings.supervisor.model:
        out.append(
            Leaving(
                "A question in words",
                _whom(settings.supervisor.model, settings.supervisor.url or first_url),
                "when the model asks the stronger one (tool answer)",
            )
        )
    messages = settings.messages
    if messages.webhook_url:
        redacted = ", redacted" if messages.redact else ", as they were said"
        out.append(
            Leaving(
                f"Messages that people leave for you{redacted}",
                _whom("your webhook", messages.webhook_url),
                "at once, and again until it takes them",
            )
        )
    out += [
        Leaving(
            "What the model asks a tool for",
            _whom(name, server.url) if server.url else f"the program {server.command[0]} here",
            f"when it uses a tool of the server {name}; what that sends on is its own affair"
            + (UNCONFINED if server.command and not tool_socket(name).exists() else ""),
        )
        for name, server in settings.mcp.servers.items()
        if server.enabled
    ]
    return out


def _when_it_listens(settings: Settings) -> str:
    listen = settings.listen
    if listen.mode == "always":
        return "always: the microphone is open"
    woken = "the wake word or a press of the button" if listen.mode == "wake" else "a press"
    when = f"after {woken}, with the {listen.pre_roll_ms / 1000:g} s before"
    if listen.follow_up_s:
        when += f", and what somebody says within {listen.follow_up_s:g} s of an answer"
    return f"{when}; never otherwise"


def _transcribed(settings: Settings, first: str) -> list[Leaving]:
    how = settings.realtime.transcription
    who = {"builtin": "a transcriber beside the model", "out_of_band": "the model itself"}
    trusted = "; a yes to a tool of medium risk is believed as it is written there"
    if not settings.consent.by_voice:
        trusted = ""
    if how in who:
        return [Leaving("The same sound", first, f"each turn, written down by {who[how]}{trusted}")]
    if settings.consent.by_voice:
        asked = "when a tool asked for your yes: that one turn is written down by the model"
        return [Leaving("The same sound", first, asked + trusted)]
    return []


def _summarised(settings: Settings, first: str, first_url: str) -> list[Leaving]:
    talk, desk = settings.conversation, settings.supervisor
    if talk.summarise == "session":
        return [Leaving("The talk so far", first, "when it is long: the model sums it up")]
    if talk.summarise == "text":
        whom = _whom(desk.model or "the text model", desk.url or first_url)
        return [Leaving("The words of the talk, redacted", whom, "when it is long: it sums it up")]
    return []


def _whom(name: str, url: str) -> str:
    host = urlsplit(url).hostname or "an unknown host"
    return f"{name} on this machine" if is_loopback(host) else f"{host} ({name})"
