"""Traits: every name says what it promises, beside an honest session, and the client lives on."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from edge_agent.contract.errors import WireClosed
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.clock import run
from edge_agent.simulation.faults import Faults
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.traits import TRAITS, Trait
from edge_agent.simulation.wire import memory_wire_pair

KEY = "correct-horse-battery-staple"
SMALL = ("flood", "garbage", "unknown", "failures", "side-text", "responses", "added", "answers")


def said_by(*traits: Trait, at_least: int = 40) -> list[str]:
    """The first frames of a session with these traits, after its configuration."""

    async def main() -> list[str]:
        near, far = memory_wire_pair()
        server = RealtimeServer(ParrotBrain(), traits=traits)
        headers = {"Authorization": f"Bearer {KEY}"}
        serving = asyncio.create_task(server.serve_wire(far, "/v1/realtime?model=m", headers))
        heard: list[str] = []
        try:
            assert json.loads(await near.receive())["type"] == "session.created"
            session = {"type": "realtime", "instructions": "Be brief."}
            await near.send(json.dumps({"type": "session.update", "session": session}))
            while len(heard) < at_least:
                heard.append(str(await near.receive()))
        except WireClosed as closed:
            heard.append(closed.reason)
        await near.close()
        await serving
        return heard

    return run(main())


@pytest.mark.parametrize("name", TRAITS)
def test_a_trait_is_told_in_words_and_does_something(name: str) -> None:
    trait = TRAITS[name]
    assert trait.what
    Faults.parse(trait.faults)
    if trait.says is None:
        assert trait.faults or trait.late_pongs or trait.manner
    else:
        assert len(list(itertools.islice(trait.says(KEY), 3))) >= 1


@pytest.mark.parametrize("name", SMALL)
def test_what_it_says_comes_beside_the_honest_session(name: str) -> None:
    heard = said_by(TRAITS[name])
    assert any('"session.updated"' in text for text in heard)
    assert len(heard) >= 40


def test_the_echo_repeats_the_key_that_it_was_given_and_closes_with_it() -> None:
    heard = said_by(TRAITS["echo"], at_least=1000)
    assert sum(KEY in text for text in heard) > 10
    assert KEY in heard[-1]


def test_traits_go_together() -> None:
    heard = said_by(TRAITS["flood"], TRAITS["added"])
    assert {"error", "conversation.item.added"} <= {json.loads(text)["type"] for text in heard}
