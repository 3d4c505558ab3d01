"""The link with services as they were recorded: a talk, a side question, a call of another one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from house_config import household_provider, household_session
from link_world import WITHOUT_VAD, World, play

from edge_agent.app.endpoints import endpoints
from edge_agent.app.session_start import SessionStart
from edge_agent.app.wiring import session_config
from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.host.price_list import BUILT_IN, load_providers
from edge_agent.host.settings.root import Settings
from edge_agent.realtime.link.endpoints import Endpoint, Route
from edge_agent.realtime.link.pongs import Pongs
from edge_agent.realtime.link.redial import RedialPauses
from edge_agent.realtime.protocol.config import SessionConfig
from edge_agent.realtime.providers import Provider
from edge_agent.simulation.traits import TRAITS

TABLE = load_providers(BUILT_IN)
KEY_FILE = "/nowhere/key"
SERVICES = ("openai", "azure", "xai", "localai", "speaches")
HOME = household_provider("openai").url_template
"""Where the simulated network has its server."""


def record_of(service: str, *, asides: bool | None = None) -> Provider:
    """The record for a service, its address in the simulated network."""
    found = household_provider(service, url_template=HOME)
    if asides is None:
        return found
    return replace(found, capabilities=replace(found.capabilities, side_questions=asides))


def with_service(
    service: str,
    act: Callable[[World], Awaitable[None]],
    *,
    asides: bool | None = None,
    config: SessionConfig = WITHOUT_VAD,
    record: str = "",
) -> World:
    """The link plays `act` with this service, known by its own record or the one of `record`."""

    def prepare(world: World) -> None:
        trait = TRAITS[service]
        world.home.server.traits = (trait,)
        world.home.server.faults.set_from(trait.faults)

    provider = record_of(record or service, asides=asides)
    return play(act, provider=provider, config=config, prepare=prepare)


@pytest.mark.parametrize("service", SERVICES)
def test_a_talk_with_a_service_as_recorded(service: str) -> None:
    async def act(world: World) -> None:
        await world.ready()
        await world.ask("one")
        await world.ask("two")

    world = with_service(service, act)
    ended = [event for event in world.events if isinstance(event, ev.ResponseEnded)]
    assert [event.status for event in ended] == ["completed"] * 2
    assert all(event.usage is not None for event in ended)
    heard = {event.response for event in world.events if isinstance(event, ev.VoiceChunk)}
    assert heard == {event.response for event in ended}
    assert world.downs == []


@pytest.mark.parametrize("service", ["openai", "azure"])
@pytest.mark.parametrize("asides", [True, False])
def test_a_side_question_is_answered_where_the_record_says_so(service: str, asides: bool) -> None:
    world = with_service(service, aside, asides=asides)
    [answer] = [event for event in world.events if isinstance(event, ev.SideAnswer)]
    assert answer.ok is asides
    assert world.of(ev.VoiceChunk) == []


@pytest.mark.parametrize("service", ["localai", "speaches"])
def test_a_side_question_to_a_server_without_them_is_never_heard(service: str) -> None:
    world = with_service(service, aside, asides=True)
    assert world.of(ev.VoiceChunk, ev.ResponseStarted) == []
    answers = [event for event in world.events if isinstance(event, ev.SideAnswer)]
    assert answers[0].tag == "notes_1"
    assert (answers[-1].tag, answers[-1].ok) == ("notes_2", False), "and not asked again"
    asked = [session.received["response.create"] for session in world.server.sessions]
    assert asked == [1]


async def aside(world: World) -> None:
    await world.ready()
    world.link.execute(cmd.AskSideQuestion("notes_1", "Take notes.", ()))
    await asyncio.sleep(6.0)
    if "link.no_side_questions" in world.notes:
        world.link.execute(cmd.AskSideQuestion("notes_2", "Take notes.", ()))
        await asyncio.sleep(1.0)


@pytest.mark.parametrize("service", ["openai", "azure"])
def test_a_call_of_another_service_is_taken(service: str) -> None:
    long_id = "call-af8ed632-5a0c-4b2f-9b57-3f2a1c9d8e70-0"

    async def act(world: World) -> None:
        await world.ready()
        world.link.execute(cmd.AddToolCall("item_1", long_id, "unlock", "{}"))
        world.link.execute(cmd.AddToolOutput(long_id, "done"))
        await asyncio.sleep(1.0)

    world = with_service(service, act)
    assert world.of(ev.ServerComplained) == []
    added = [event for event in world.events if isinstance(event, ev.ItemAdded)]
    assert [(event.kind, event.call_id) for event in added] == [
        ("function_call", long_id),
        ("function_call_output", long_id),
    ]


@pytest.mark.parametrize(("record", "told"), [("local", [{"options": "voice"}]), ("speaches", [])])
def test_what_speaches_ignores_is_told_once_unless_its_record_knows(
    record: str, told: list[dict[str, str]]
) -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.link.reopen("test")
        await world.ready(2)

    wanted = household_session(voice="cedar")
    world = with_service("speaches", act, config=wanted, record=record)
    ignored = [fields for code, fields in world.note_fields if code == "link.options_ignored"]
    assert ignored == told


def test_what_speaches_does_not_take_is_not_sent() -> None:
    async def act(world: World) -> None:
        await world.ready()
        [session] = world.server.sessions
        await world.until(lambda: session.received["session.update"])

    sent: list[dict[str, Any]] = []

    def hear(side: str, event: dict[str, Any], _at: float) -> None:
        if side == "client" and event["type"] == "session.update":
            sent.append(event)

    def watch(world: World) -> None:
        world.home.server.on_event = hear

    wanted = household_session(voice="cedar", transcription_model="gpt-transcribe")
    play(act, provider=record_of("speaches"), config=wanted, prepare=watch)
    audio = sent[0]["session"]["audio"]
    assert "voice" not in audio["output"]
    assert set(audio["input"]) == {"format", "turn_detection"}
    assert "threshold" not in audio["input"]["turn_detection"]


@pytest.mark.parametrize(
    ("provider", "chosen", "sent"),
    [
        ("openai", "", "gpt-transcribe"),
        ("openai", "gpt-live-transcribe", "gpt-live-transcribe"),
        ("xai", "", "grok-transcribe"),
        ("xai", "grok-2-transcribe", "grok-2-transcribe"),
    ],
)
def test_each_provider_transcribes_with_its_own_model(
    provider: str, chosen: str, sent: str
) -> None:
    realtime = {"provider": provider, "transcription": "builtin", "transcription_model": chosen}
    settings = Settings.model_validate({"realtime": realtime})
    [first] = endpoints(settings, TABLE)
    assert transcriber_of(first, settings) == sent


def test_a_fall_back_has_its_own_voice_and_transcriber() -> None:
    other = {"provider": "xai", "model": "grok-voice-latest", "api_key_file": KEY_FILE}
    spare = {"provider": "openai", "model": "gpt-realtime-1.5", "api_key_file": KEY_FILE}
    settings = Settings.model_validate(
        {
            "realtime": {
                "voice": "cedar",
                "transcription_model": "gpt-live-transcribe",
                "fallbacks": [other, {**other, "voice": "leo"}, spare],
            }
        }
    )
    found = endpoints(settings, TABLE)
    assert [endpoint.voice for endpoint in found] == [None, "eve", "leo", None]
    assert [transcriber_of(endpoint, settings) for endpoint in found] == [
        "gpt-live-transcribe",
        "grok-transcribe",
        "grok-transcribe",
        "gpt-live-transcribe",
    ]


def test_without_transcription_no_service_is_asked_for_it() -> None:
    settings = Settings.model_validate({"realtime": {"provider": "xai"}})
    assert transcriber_of(endpoints(settings, TABLE)[0], settings) is None


def transcriber_of(endpoint: Endpoint, settings: Settings) -> str | None:
    """The model for transcripts that a session with this endpoint asks for."""
    base = session_config(settings, SessionStart("", ()))
    route = Route(endpoint, RedialPauses(random.Random(1)), base, Pongs())
    return route.config(base).transcription_model
