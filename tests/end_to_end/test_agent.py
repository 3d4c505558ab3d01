"""The pump by itself: what a room's failure does to the others."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections import Counter
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from house_config import household_config

from edge_agent.agent import Agent, Rooms
from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import SILENT_FRAME
from edge_agent.demo.stage import Stage, StageError
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import TRANSITIONS, Cause, Talk
from edge_agent.simulation import clock


class _Fault(Exception):
    """A fault in the program."""


def fails(*_given: object) -> Any:
    raise _Fault


def nothing(*_given: object, **_fields: object) -> None: ...


def rooms(faults: list[BaseException], **speaker: Any) -> Rooms:
    speaker = {"collect": lambda _at: [], "earcon": nothing, **speaker}
    return Rooms(
        speaker=SimpleNamespace(**speaker),
        link=SimpleNamespace(set_active=nothing, execute=nothing, purge_audio=nothing),
        tools=SimpleNamespace(),
        panel=SimpleNamespace(show=fails),
        note=nothing,
        fault=faults.append,
        set_status=nothing,
        save_mute=nothing,
        record_usage=nothing,
        sentence_pcm=lambda _name: b"",
        earcons={},
    )


def test_a_light_that_fails_is_told_and_the_speaker_goes_on_and_ends_politely() -> None:
    async def life() -> None:
        faults: list[BaseException] = []
        cut = e.PlaybackCut(at=1.0, item=None, played_ms=0.0)
        agent = Agent(DialogueManager(household_config()), rooms(faults, cut=lambda _at: cut))
        agent.post(e.MuteRequested(at=0.5, muted=True))
        assert not agent.finished.done()
        agent.post(e.StopRequested(at=1.0))
        await agent.finished
        assert [type(problem) for problem in faults] == [_Fault]  # told once, and counted
        assert agent.faults > 1

    asyncio.run(life())


def test_a_mute_purges_what_waits_for_the_network_before_the_disk_is_asked() -> None:
    async def life() -> None:
        did: list[object] = []
        link = SimpleNamespace(
            set_active=nothing, execute=nothing, purge_audio=lambda: did.append("purged")
        )
        house = dataclasses.replace(rooms([]), link=link, save_mute=did.append)
        agent = Agent(DialogueManager(household_config()), house)
        agent.post(e.MuteRequested(at=0.5, muted=True))
        assert did == ["purged", True]
        agent.post(e.MuteRequested(at=1.0, muted=False))
        assert did == ["purged", True, False]

    asyncio.run(life())


def test_a_line_goes_to_the_journal_with_its_turn() -> None:
    async def life() -> None:
        lines: list[tuple[str, dict[str, object]]] = []

        def note(code: str, **fields: object) -> None:
            lines.append((code, fields))

        house = dataclasses.replace(rooms([]), note=note)
        agent = Agent(DialogueManager(household_config(), strict=True), house)
        agent.post(
            e.DeviceReady(
                at=0.5, capture_name="mic", capture_why="USB", render_name="box", render_why="USB"
            )
        )
        agent.post(e.ButtonPressed(at=1.0))
        agent.post(e.ButtonReleased(at=1.1))
        assert lines == [
            (
                "device.ready",
                {"capture": "mic", "capture_why": "USB", "render": "box", "render_why": "USB"},
            ),
            ("talk.woken", {"cause": "button", "word": "", "turn": 1}),
        ]

    asyncio.run(life())


def test_a_speaker_that_cannot_fall_silent_ends_the_process() -> None:
    async def life() -> None:
        faults: list[BaseException] = []
        agent = Agent(DialogueManager(household_config()), rooms(faults, cut=fails))
        agent.post(e.StopRequested(at=1.0))
        with pytest.raises(_Fault):
            await agent.finished

    asyncio.run(life())


# --- faults of the dialogue and of who looks on ---------------------------------------------------

QUIET_S = 30.0
"""Longer than anybody waits for a word."""


class _Other(Exception):
    """Another fault."""


def pump(faults: list[BaseException], **speaker: Any) -> Agent:
    quiet = dataclasses.replace(rooms(faults, **speaker), panel=SimpleNamespace(show=nothing))
    return Agent(DialogueManager(household_config(), strict=True), quiet)


def test_an_observer_that_falls_is_counted_noted_once_of_a_kind_and_hides_nothing() -> None:
    async def life() -> None:
        faults: list[BaseException] = []
        agent = pump(faults)
        seen: list[e.Event] = []
        falls = itertools.cycle([_Fault, _Other])

        def clumsy(_event: e.Event, _commands: list[c.Command], _at: float) -> None:
            raise next(falls)

        agent.observers += [clumsy, lambda event, *_: seen.append(event), clumsy]
        events = [e.GuestRequested(at=float(number), on=False) for number in range(5)]
        for event in events:
            agent.post(event)
        assert seen == events
        assert agent.faults == 10
        kinds = Counter(type(problem) for problem in faults)
        assert kinds == {_Fault: 1, _Other: 1}  # the one falls by turns, and so does the other

    clock.run(life())


def test_the_timer_is_armed_although_an_observer_falls() -> None:
    async def life() -> None:
        agent = pump([])
        agent.observers.append(fails)
        agent.post(e.ButtonPressed(at=asyncio.get_running_loop().time()))
        agent.post(e.ButtonReleased(at=asyncio.get_running_loop().time()))
        assert agent.dialogue.talk.value == "listening"
        await asyncio.sleep(QUIET_S)
        assert agent.dialogue.talk.value == "asleep"

    clock.run(life())


def test_a_dialogue_that_falls_costs_one_event_and_not_those_behind_it() -> None:
    async def life() -> None:
        faults: list[BaseException] = []
        agent = pump(faults)
        handle = agent.dialogue.handle

        def forgetful(event: e.Event) -> list[c.Command]:
            return fails() if isinstance(event, e.DayBegan) else handle(event)

        agent.dialogue.handle = forgetful  # type: ignore[method-assign]
        seen: list[type[e.Event]] = []

        def posts(event: e.Event, _commands: list[c.Command], at: float) -> None:
            seen.append(type(event))
            if isinstance(event, e.GuestRequested):  # both wait in the inbox
                agent.post(e.DayBegan(at=at, day=date(2026, 1, 2)))
                agent.post(e.ButtonPressed(at=at))
                agent.post(e.ButtonReleased(at=at))

        agent.observers.append(posts)
        for _ in range(3):
            agent.post(e.GuestRequested(at=0.0, on=False))
            assert agent.dialogue.talk.value == "listening"
            await asyncio.sleep(QUIET_S)  # the timer is armed too
            assert agent.dialogue.talk.value == "asleep"
        assert seen.count(e.DayBegan) == agent.faults == 3
        assert [type(problem) for problem in faults] == [_Fault]

    clock.run(life())


def test_a_speaker_that_cannot_tell_what_it_played_does_not_deafen_us() -> None:
    async def life() -> None:
        faults: list[BaseException] = []
        agent = pump(faults, collect=fails)
        for number in range(100):
            wake = "okay_nabu" if number == 50 else None
            frame = e.HeardFrame(
                at=number / 100, pcm24k=bytes(480), speech=False, over_playback=False, wake=wake
            )
            agent.post(frame)
        assert agent.dialogue.talk.value == "listening"
        assert agent.faults == 100
        assert [type(problem) for problem in faults] == [_Fault]

    clock.run(life())


def test_a_stage_does_not_pass_over_an_illegal_move() -> None:
    """The pump survives it, so the stage has to tell."""
    whole = dict(TRANSITIONS)

    async def life() -> None:
        async with Stage() as stage:
            await stage.push()
            assert stage.talk == "asleep"

    del TRANSITIONS[Talk.ASLEEP, Cause.WOKEN]
    try:
        with pytest.raises(StageError, match="a move that its table does not have"):
            clock.run(life())
    finally:
        TRANSITIONS.clear()
        TRANSITIONS.update(whole)


def heard(at: float, wake: str | None = None) -> e.HeardFrame:
    return e.HeardFrame(
        at=at, pcm24k=SILENT_FRAME, speech=False, over_playback=False, wake=wake, level_dbfs=-60.0
    )


@pytest.mark.parametrize("at_once", [True, False], ids=["a batch", "one by one"])
def test_frames_of_a_batch_are_handled_as_if_each_had_been_posted(*, at_once: bool) -> None:
    async def life() -> None:
        loop = asyncio.get_running_loop()
        due: list[e.Event] = [e.MuteRequested(at=0.0, muted=False)]
        """What the speaker has to tell."""

        def collect(_at: float) -> list[e.Event]:
            told, due[:] = list(due), []
            return told

        agent = pump([], collect=collect)
        seen: list[e.Event] = []
        agent.observers.append(lambda event, *_: seen.append(event))
        active: list[bool] = []
        agent._rooms.link.set_active = active.append  # type: ignore[method-assign, assignment]
        frames = [heard(loop.time() + n / 100, "okay_nabu" if n == 4 else None) for n in range(10)]
        if at_once:
            agent.hear(frames)
        else:
            for frame in frames:
                agent.post(frame)
        assert [event for event in seen if isinstance(event, e.HeardFrame)] == frames
        assert sum(isinstance(event, e.MuteRequested) for event in seen) == 1
        assert agent.dialogue.talk.value == "listening"
        assert active == [True]
        await asyncio.sleep(QUIET_S)  # the timer is armed
        assert agent.dialogue.talk.value == "asleep"
        assert active == [True, False]

    clock.run(life())


def test_no_frames_are_a_reason_to_ask_the_speaker_all_the_same() -> None:
    async def life() -> None:
        agent = pump([], collect=lambda at: [e.ButtonPressed(at=at), e.ButtonReleased(at=at)])
        agent.hear(())
        assert agent.dialogue.talk.value == "listening"

    clock.run(life())


def test_a_follower_is_told_of_a_frame_if_something_came_of_it() -> None:
    async def life() -> None:
        agent = pump([])
        agent.post(e.MuteRequested(at=0.0, muted=False))
        told: list[e.Event] = []
        agent.followers.append(lambda event, *_: told.append(event))
        frames = [heard(n / 100, "okay_nabu" if n == 4 else None) for n in range(10)]
        agent.hear(frames)
        day = e.DayBegan(at=1.0, day=date(2026, 1, 2))
        agent.post(day)
        assert told == [frames[4], day]

    clock.run(life())
