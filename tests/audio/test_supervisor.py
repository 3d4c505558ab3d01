"""Supervisor: how often a device is opened that will not work, and when its loudspeaker rests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from edge_agent.audio.device.standby import Standby
from edge_agent.audio.device.supervisor import OPEN_MAX_S, STALL_S, DeviceSupervisor
from edge_agent.contract.commands import Command, PlayEarcon, ShowLight
from edge_agent.contract.errors import DeviceLost, DeviceMissing
from edge_agent.contract.events import DeviceDown, Event, Tick
from edge_agent.contract.ports import (
    CaptureCallback,
    DeviceState,
    RenderCallback,
    SoundDeviceInfo,
)
from edge_agent.simulation.clock import run

RESTS_AFTER_S = 10.0
BLOCKS_PER_S = 100


class Card:
    """A card whose frames follow the clock; `moves` and `opens` break it."""

    def __init__(self) -> None:
        self.opened_at: list[float] = []
        self.opens = True
        self.captures = self.renders = True
        self.wakes = True
        self._frozen = [0, 0]

    def _count(self, side: int, moves: bool) -> int:
        if moves:
            self._frozen[side] = int(asyncio.get_running_loop().time() * BLOCKS_PER_S)
        return self._frozen[side]

    @property
    def frames_captured(self) -> int:
        return self._count(0, self.captures)

    @property
    def frames_rendered(self) -> int:
        return self._count(1, self.renders)

    def open(self, on_capture: CaptureCallback, on_render: RenderCallback) -> SoundDeviceInfo:
        if not self.opens:
            raise DeviceMissing("It is gone.", fix="Plug it in.")
        self.opened_at.append(asyncio.get_running_loop().time())
        return SoundDeviceInfo("", "", 48_000, 48_000, 480, 0.0, 0.0)

    def close(self) -> None:
        self.renders = True

    def rest_render(self) -> None:
        self.renders = False

    def resume_render(self) -> None:
        if not self.wakes:
            raise DeviceLost("It does not wake.", fix="Pull it out.")
        self.renders = True


async def at_once(work: Callable[[], object]) -> object:
    return work()


class House:
    """A supervised card, and what decides about its rest."""

    def __init__(self, card: Card, in_thread: Callable[..., Awaitable[object]] = at_once) -> None:
        self.card = card
        self.told: list[Event] = []
        self.news = asyncio.Event()
        """Something was posted since this was cleared."""
        self.awake = self.audible = False
        self.made = 0
        loop = asyncio.get_running_loop()
        self.supervisor = DeviceSupervisor(
            card,
            on_capture=lambda _pcm, _at: None,
            on_render=lambda _frames, _at: b"",
            opened=lambda _info: None,
            post=self._post,
            in_thread=in_thread,
            standby=Standby(
                RESTS_AFTER_S,
                loop.time(),
                is_awake=lambda: self.awake,
                is_audible=lambda: self.audible,
                frames_made=lambda: self.made or card.frames_rendered,
            ),
        )
        self.task = asyncio.ensure_future(self.supervisor.run())

    def _post(self, event: Event) -> None:
        self.told.append(event)
        self.news.set()

    @property
    def state(self) -> DeviceState:
        return self.supervisor.state

    def command(self, *commands: Command) -> None:
        now = asyncio.get_running_loop().time()
        self.supervisor.see(Tick(at=now), list(commands), now)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def test_a_microphone_that_stays_silent_is_opened_less_and_less_often() -> None:
    card = Card()
    card.captures = False

    async def evening() -> House:
        house = House(card)
        await asyncio.sleep(60.0)
        await house.end()
        return house

    house = run(evening())
    pauses = [b - a for a, b in zip(card.opened_at, card.opened_at[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert len(card.opened_at) < 12
    assert sum(isinstance(event, DeviceDown) for event in house.told) >= 5


def test_the_state_says_how_the_card_stands() -> None:
    async def evening() -> None:
        card = Card()
        house = House(card)
        house.awake = True  # no rest
        assert (house.state, house.supervisor.present) == (DeviceState.ABSENT, False)
        await asyncio.sleep(1.0)
        assert (house.state, house.supervisor.present) == (DeviceState.OPEN, True)
        house.news.clear()
        card.captures, card.opens = False, False
        await house.news.wait()
        assert (house.state, house.supervisor.present) == (DeviceState.STALLED, True)
        await asyncio.sleep(2.0)
        assert (house.state, house.supervisor.present) == (DeviceState.ABSENT, False)
        card.captures, card.opens = True, True
        await asyncio.sleep(10.0)
        assert house.state.name == "OPEN"
        await house.end()

    run(evening())


def test_a_driver_that_hangs_in_open_is_not_taken_for_an_absent_card() -> None:
    async def evening() -> None:
        never = asyncio.Event()

        async def hangs(_work: Callable[[], object]) -> object:
            return await never.wait()

        house = House(Card(), in_thread=hangs)
        await asyncio.sleep(OPEN_MAX_S - 1.0)
        assert house.state.name == "ABSENT"
        await asyncio.sleep(2.0)
        assert (house.state, house.supervisor.present) == (DeviceState.HUNG, False)
        house.task.cancel()
        never.set()
        await asyncio.gather(house.task, return_exceptions=True)

    run(evening())


@pytest.mark.parametrize("needed_by", ["talk", "sound", "earcon"])
def test_it_rests_when_nobody_needs_it_and_wakes_for_whoever_does(needed_by: str) -> None:
    async def evening() -> None:
        house = House(Card())
        await asyncio.sleep(RESTS_AFTER_S - 1.0)
        assert house.state.name == "OPEN"
        await asyncio.sleep(2.0)
        assert (house.state, house.supervisor.present) == (DeviceState.RESTING, True)
        house.command(ShowLight("ready"))
        await asyncio.sleep(60.0)
        assert house.state.name == "RESTING"
        if needed_by == "earcon":
            house.command(PlayEarcon("wake"))
            assert house.state.name == "OPEN"
        else:
            house.awake, house.audible = needed_by == "talk", needed_by == "sound"
            await asyncio.sleep(1.0)
            assert house.state.name == "OPEN"
            await asyncio.sleep(2 * RESTS_AFTER_S)
            assert house.state.name == "OPEN"
        house.awake = house.audible = False
        await asyncio.sleep(RESTS_AFTER_S + 1.0)
        assert house.state.name == "RESTING"
        assert not any(isinstance(event, DeviceDown) for event in house.told)
        await house.end()

    run(evening())


def test_sound_that_is_not_made_is_no_reason_to_rest() -> None:
    async def evening() -> None:
        house = House(Card())
        house.made = 480  # and never more
        await asyncio.sleep(RESTS_AFTER_S + 5.0)
        assert house.state.name == "OPEN"
        await house.end()

    run(evening())


def test_a_card_that_does_not_wake_is_opened_anew_and_rests_no_more() -> None:
    async def evening() -> None:
        card = Card()
        house = House(card)
        await asyncio.sleep(RESTS_AFTER_S + 1.0)
        assert house.state.name == "RESTING"
        card.wakes = False
        house.command(PlayEarcon("wake"))
        await asyncio.sleep(STALL_S + 2.0)
        assert house.state.name == "OPEN"
        assert len(card.opened_at) == 2
        await asyncio.sleep(2 * RESTS_AFTER_S)
        assert house.state.name == "OPEN"
        await house.end()

    run(evening())
