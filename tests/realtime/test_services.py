"""The link with services as they were recorded: a talk, a side question, a call of another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from house_config import household_provider, household_session
from link_world import WITHOUT_VAD, World, play

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.realtime.protocol.config import SessionConfig
from edge_agent.realtime.providers import Provider
from edge_agent.simulation.traits import TRAITS

SERVICES = ("openai", "azure", "xai", "localai", "speaches")
HOME = household_provider("openai").url_template
"""Where the simulated network has its server."""


def record_of(service: str, *, asides: bool | None = None) -> Provider:
    """The record for a service, its address in the simulated network."""
    known = service if service in ("openai", "azure", "xai") else "local"
    found = household_provider(known, url_template=HOME)
    if asides is None:
        return found
    return replace(found, capabilities=replace(found.capabilities, side_questions=asides))


def with_service(
    service: str,
    act: Callable[[World], Awaitable[None]],
    *,
    asides: bool | None = None,
    config: SessionConfig = WITHOUT_VAD,
) -> World:
    """The link plays `act` with this service."""

    def prepare(world: World) -> None:
        trait = TRAITS[service]
        world.home.server.traits = (trait,)
        world.home.server.faults.set_from(trait.faults)

    return play(act, provider=record_of(service, asides=asides), config=config, prepare=prepare)


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


def test_what_speaches_ignores_is_told_once() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.link.reopen("test")
        await world.ready(2)

    world = with_service("speaches", act, config=household_session(voice="cedar"))
    ignored = [fields for code, fields in world.note_fields if code == "link.options_ignored"]
    assert ignored == [{"options": "voice"}]
