"""The pump by itself: what a room's failure does to the others."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.agent import Agent, Rooms
from edge_agent.contract import events as e
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.manager import DialogueManager


class _Fault(Exception):
    """A fault in the program."""


def fails(*_given: object) -> Any:
    raise _Fault


def rooms(faults: list[BaseException], **speaker: Any) -> Rooms:
    def nothing(*_given: object, **_fields: object) -> None: ...

    return Rooms(
        speaker=SimpleNamespace(collect=lambda _at: [], earcon=nothing, **speaker),
        link=SimpleNamespace(set_active=nothing, execute=nothing),
        hands=SimpleNamespace(),
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
        agent = Agent(DialogueManager(DialogueConfig()), rooms(faults, cut=lambda _at: cut))
        agent.post(e.MuteRequested(at=0.5, muted=True))
        assert not agent.finished.done()
        agent.post(e.StopRequested(at=1.0))
        await agent.finished
        assert [type(problem) for problem in faults] == [_Fault] * agent.faults
        assert agent.faults >= 1

    asyncio.run(life())


def test_a_speaker_that_cannot_fall_silent_ends_the_process() -> None:
    async def life() -> None:
        faults: list[BaseException] = []
        agent = Agent(DialogueManager(DialogueConfig()), rooms(faults, cut=fails))
        agent.post(e.StopRequested(at=1.0))
        with pytest.raises(_Fault):
            await agent.finished

    asyncio.run(life())
