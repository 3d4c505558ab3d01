"""Keeper: how often a device is opened that will not work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_agent.audio.device.keeper import DeviceKeeper
from edge_agent.contract.events import DeviceDown, Event
from edge_agent.contract.ports import CaptureCallback, RenderCallback, SoundDeviceInfo
from edge_agent.simulation.clock import run


class HalfDeaf:
    """A loudspeaker that plays, and a microphone whose source is suspended."""

    def __init__(self) -> None:
        self.opened_at: list[float] = []
        self.frames_captured = 0

    @property
    def frames_rendered(self) -> int:
        return int(asyncio.get_running_loop().time() * 100)

    def open(self, on_capture: CaptureCallback, on_render: RenderCallback) -> SoundDeviceInfo:
        self.opened_at.append(asyncio.get_running_loop().time())
        return SoundDeviceInfo("", "", 48_000, 48_000, 480, 0.0, 0.0)

    def close(self) -> None:
        pass


def test_a_microphone_that_stays_silent_is_opened_less_and_less_often() -> None:
    device, told = HalfDeaf(), list[Event]()

    async def in_thread(work: Callable[[], object]) -> object:
        return work()

    async def evening() -> None:
        keeper = DeviceKeeper(
            device,
            on_capture=lambda _pcm, _at: None,
            on_render=lambda _frames, _at: b"",
            opened=lambda _info: None,
            post=told.append,
            in_thread=in_thread,
        )
        task = asyncio.ensure_future(keeper.run())
        await asyncio.sleep(60.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(evening())
    pauses = [b - a for a, b in zip(device.opened_at, device.opened_at[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert len(device.opened_at) < 12
    assert sum(isinstance(event, DeviceDown) for event in told) >= 5
