"""Known breaks of silence about people: what a server says reaches lines and status (F12)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import pytest
from house_config import household_provider, household_session, household_timings
from known import given
from scenes import CREATED, Home, Paper, begun, done, error

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.errors import WireClosed
from edge_agent.contract.ports import Wire
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.simulation.clock import run
from edge_agent.simulation.wire import MemoryWire, memory_wire_pair

SAID = "the household said their PIN is 4711"

KEYS = {
    "azure, 32 hex": "0123456789abcdef0123456789abcdef",
    "azure, 84": "A1b2C3d4" * 10 + "E5f6",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJob21lIn0.dozjgNryP4J3jVmNHl0w5N",
    "google": "AIzaSyA-0123456789abcdefghijklmnopqrstu",
    "hugging face": "hf_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
    "the owner's own": "correct-horse-battery-staple",
}
"""Made up; of the kinds that do not look like OpenAI's."""

Server = Callable[[MemoryWire], Awaitable[None]]


def told_by(server: Server, key: str) -> list[e.Event]:
    """What the link tells of a session with that server, signed in with `key`."""
    events: list[e.Event] = []

    async def dial(url: str, headers: Mapping[str, str]) -> Wire:
        del url, headers
        near, far = memory_wire_pair()
        tasks.append(asyncio.ensure_future(server(far)))
        return near

    tasks: list[asyncio.Future[None]] = []

    async def main() -> None:
        link = RealtimeLink(
            timings=household_timings(),
            dial=dial,
            provider=household_provider(),
            config=household_session(turn_detection=None),
            key=lambda: key,
            post=events.append,
            note=lambda _code, **_fields: None,
            rng=random.Random(1),
        )
        running = asyncio.create_task(link.run())
        await asyncio.sleep(5.0)
        await link.close()
        await running
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    return events


def closes(reason: str, code: int = 1008) -> Server:
    """Accepts a session, and then has enough of it."""

    async def serve(wire: MemoryWire) -> None:
        await wire.send(CREATED)
        await wire.close(code, reason)

    return serve


def refuses(message: str) -> Server:
    """Answers the opening with an error, and waits."""

    async def serve(wire: MemoryWire) -> None:
        await wire.send(CREATED)
        try:
            await wire.receive()
            await wire.send(error(type="server_error", code="server_error", message=message))
            await wire.receive()
        except WireClosed:
            return

    return serve


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            error(code=SAID, message="No."),
            id="error",
        ),
        pytest.param(
            done("resp_1", "failed", status_details={"error": {"code": SAID}}),
            id="failed",
        ),
    ],
)
def test_words_in_a_code_reach_no_line(text: str) -> None:
    home = Home()
    home.house.wake_word(0.5)
    home.house.says(0.6, 1.6)
    home.house.run(1.7)
    home.house.server.stalled = True  # the answer comes from elsewhere
    home.house.run(2.2)
    home.hear([begun("resp_1"), text])
    paper = Paper().take(home.notes)
    given(paper.lines, "a line is written")
    assert not paper.holding("4711")


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(closes, id="close reason"),
        pytest.param(refuses, id="configuring"),
    ],
)
def test_the_key_in_use_is_never_told(server: Callable[[str], Server]) -> None:
    leaked = []
    for kind, key in KEYS.items():
        events = told_by(server(f"not with {key} today"), key)
        downs = [event for event in events if isinstance(event, e.LinkDown)]
        given(downs, "the session ends")
        leaked += [kind for down in downs[:1] if key in f"{down.message} {down.fix}"]
    assert leaked == []


def test_words_in_a_close_reason_reach_no_line() -> None:
    downs = [x for x in told_by(closes(SAID), "sk-test") if isinstance(x, e.LinkDown)]
    home = Home()
    home.house.send(downs[0])
    paper = Paper().take(home.house.did(c.Note))
    given(paper.lines, "a line is written")
    assert not paper.holding("4711")
