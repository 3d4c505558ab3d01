"""The referee's place on the stage: it sees every border, and finds what is broken at each."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from referee import Referee
from referee.records import Record
from refereed_stage import COLLECTIONS, KEY, Stages

from edge_agent.app.daemon import Daemon
from edge_agent.contract.commands import Command
from edge_agent.contract.events import ButtonReleased, Event
from edge_agent.demo.stage import Stage
from edge_agent.simulation import clock
from edge_agent.simulation.brains import Brain, Call, Reply, Speech, Turn
from edge_agent.simulation.sound import voices
from edge_agent.simulation.sound.room import Room


class Clock(Brain):
    """Asks the clock before it answers."""

    def reply(self, turn: Turn) -> Reply:
        if not turn.outputs:
            return Reply((Call("current_time"),))
        return Reply((Speech(voices.load("answer_lisbon")[1], ""),))


async def evening(at_its_end: Callable[[Daemon], Any] | None = None) -> None:
    """A question, a tool, an answer that is interrupted by the button, and a mute."""
    async with Stage(brain=Clock()) as stage:
        await stage.say("wake_what_time")
        await stage.until_talk("speaking", 10.0)
        await asyncio.sleep(2.0)
        await stage.push()
        await asyncio.sleep(1.0)
        await stage.push(button="mute")
        if at_its_end is not None:
            at_its_end(stage.daemon)
        await asyncio.sleep(1.0)


def test_every_border_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()
    honest = Referee.see

    def counted(referee: Referee, record: Record) -> None:
        seen[type(record).__name__] += 1
        honest(referee, record)

    monkeypatch.setattr(Referee, "see", counted)
    monkeypatch.setattr("refereed_stage.WORK_TOLD_MS", -1.0)
    clock.run(evening())
    assert {"Frame", "Line", "File", "Sound", "Work", "ToolBegan", "Capture"} <= set(seen)
    assert seen["ToolBegan"] == 1
    assert seen["Sound"] > 100


def test_what_the_session_collects_is_not_the_daemons_work() -> None:
    before = COLLECTIONS.seconds
    heap = [{number: [number]} for number in range(50_000)]
    gc.collect()
    assert COLLECTIONS.seconds > before
    assert len(heap) == 50_000


@pytest.mark.parametrize(
    ("steps_s", "found"),
    [((0.030,), set()), ((0.030, 0.030), {"bounds.step"}), ((0.090,), {"bounds.step"})],
    ids=["once", "again", "far too long"],
)
def test_a_step_is_too_long_when_it_is_so_again(
    steps_s: tuple[float, ...], found: set[str], refereed: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the host takes from a guest is in its processor time, once."""
    spent_s = 0.0
    monkeypatch.setattr(time, "thread_time", lambda: spent_s)

    def slowly(daemon: Daemon) -> None:
        handle = daemon.dialogue.handle

        def slow(event: Event) -> list[Command]:
            nonlocal spent_s
            if isinstance(event, ButtonReleased) and left:
                spent_s += left.pop()
            return handle(event)

        left = list(steps_s)
        monkeypatch.setattr(daemon.dialogue, "handle", slow)

    async def presses() -> None:
        async with Stage(brain=Clock()) as stage:
            slowly(stage.daemon)
            for _ in steps_s:
                await stage.push()
                await asyncio.sleep(0.5)

    clock.run(presses())
    assert refereed.found() == found


def hides_nothing(daemon: Daemon) -> None:
    """The journal writes what it is given, a key as well."""
    with patch("edge_agent.contract.foreign.hide_keys", str):
        daemon.journal.note("tool.started", tool=KEY)


BREAKS: dict[str, Callable[[Daemon], Any]] = {
    "silence.line": lambda daemon: daemon.journal.note("tool.started", tool="what time is it"),
    "silence.key": hides_nothing,
    "consent.ran": lambda daemon: daemon.toolbox.runner.run("x", "current_time", "{}"),
}


@pytest.mark.parametrize("code", BREAKS)
def test_what_is_broken_at_a_border_is_found(code: str, refereed: Stages) -> None:
    clock.run(evening(BREAKS[code]))
    assert refereed.found() == {code}


def test_a_file_that_tells_another_mute_is_found(
    refereed: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_agent.host.stores import state

    monkeypatch.setattr(state, "asdict", lambda saved: {"muted": False, "volume_percent": None})
    clock.run(evening())
    assert refereed.found() == {"truth.saved"}


def test_a_microphone_that_stays_open_while_it_is_muted_is_found(
    refereed: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "close_capture", lambda _room: None)
    clock.run(evening())
    assert refereed.found() == {"truth.recorded"}
