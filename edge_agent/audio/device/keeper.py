"""Keeper: keeps the sound device open for as long as the house stands (purpose).

Owner thread: event loop; opening and closing run where `in_thread` puts them (one executor
thread in service), because a sound server may take seconds.  Must never carry audio.

A stalled stream says of itself that it is active (seen with a suspended source and with an
unplugged card), so only moving frames count.  A device that cannot be opened is honestly
declared absent; one that opens and stays silent is not: then the watchdog may restart us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from edge_agent.contract.errors import DeviceError
from edge_agent.contract.events import DeviceDown, DeviceReady, Event
from edge_agent.contract.ports import (
    CaptureCallback,
    RenderCallback,
    RestingDevice,
    SoundDevice,
    SoundDeviceInfo,
)

LOOK_EVERY_S = 0.5
STALL_S = 2.0
"""Longest pause seen from a healthy sound server under load was 0.4 s."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 8.0
"""A cable put back in should be noticed while the person still stands there."""
OPEN_MAX_S = 30.0
"""A sound server that is just starting takes seconds.  A driver that has not answered by then
hangs, and only a new process is rid of it."""

InThread = Callable[[Callable[[], object]], Awaitable[object]]


class DeviceKeeper:
    """`run` it as a task; `opened` is called with the device's facts before frames matter."""

    def __init__(
        self,
        device: SoundDevice,
        *,
        on_capture: CaptureCallback,
        on_render: RenderCallback,
        opened: Callable[[SoundDeviceInfo], None],
        post: Callable[[Event], None],
        in_thread: InThread,
    ) -> None:
        self.present = False
        """False while the device is honestly declared absent."""
        self.settled = asyncio.Event()
        """Set once the first attempt to open is over, however it went."""
        self.reopened = 0
        self._device = device
        self._on_capture = on_capture
        self._on_render = on_render
        self._opened = opened
        self._post = post
        self._in_thread = in_thread
        self._loop = asyncio.get_running_loop()
        self._opening_since: float | None = None
        self.resting = False
        """The loudspeaker is not asked for sound; only the microphone's frames are proof."""
        self._resuming: asyncio.Task[None] | None = None
        self._resumed_at = float("-inf")
        self._wakes_well = True
        """False once the card did not come back from a rest: it gets none any more."""
        self._lost = asyncio.Event()

    def rest(self) -> None:
        """Nothing is to be heard for a while: let the loudspeaker rest, if it can."""
        may_rest = self.present and self._wakes_well and not self.resting
        if may_rest and isinstance(self._device, RestingDevice):
            self.resting = True
            self._device.rest_render()

    def resume(self) -> None:
        """Something is to be heard soon.  Does not wait."""
        if self.resting:
            self.resting = False
            self._resumed_at = self._loop.time()
            self._resuming = self._loop.create_task(self._resume(), name="loudspeaker")

    async def _resume(self) -> None:
        device = self._device
        assert isinstance(device, RestingDevice)
        try:
            await self._in_thread(device.resume_render)
        except DeviceError:
            self._lost.set()  # a card that does not start again is opened again

    @property
    def is_stuck(self) -> bool:
        """Does the driver hang in an attempt to open?  Then nobody looks for the device."""
        since = self._opening_since
        return since is not None and self._loop.time() - since > OPEN_MAX_S

    async def run(self) -> None:
        """Open, watch, reopen, until cancelled; then close."""
        backoff_s = BACKOFF_FIRST_S
        try:
            while True:
                problem = await self._try_open()
                if problem is None:
                    if await self._watch():
                        backoff_s = BACKOFF_FIRST_S
                    problem = DeviceDown(
                        at=self._loop.time(),
                        code="device.lost",
                        message="The sound device stopped delivering frames.",
                        fix="Check the cable and the power of microphone and loudspeaker.",
                    )
                    await self._in_thread(self._device.close)
                self._post(problem)
                self.settled.set()
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
                self.reopened += 1
        finally:
            if self._resuming is not None:
                await asyncio.gather(self._resuming, return_exceptions=True)
            await self._in_thread(self._device.close)

    async def _try_open(self) -> DeviceDown | None:
        self._opening_since = self._loop.time()
        try:
            info = await self._in_thread(
                lambda: self._device.open(self._on_capture, self._on_render)
            )
        except DeviceError as error:
            self.present = False
            return DeviceDown(
                at=self._loop.time(), code=error.code, message=error.message, fix=error.fix
            )
        finally:
            self._opening_since = None
        assert isinstance(info, SoundDeviceInfo)
        self.present = True
        self.resting = False
        self._lost.clear()
        self._opened(info)
        self._post(
            DeviceReady(
                at=self._loop.time(),
                capture_name=info.capture_name,
                render_name=info.render_name,
            )
        )
        self.settled.set()
        return None

    async def _watch(self) -> bool:
        """Return when either direction has stood still; True if both had moved before."""
        device = self._device
        last = (device.frames_captured, device.frames_rendered)
        moved_at = [self._loop.time()] * 2
        moved = [False, False]
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = self._loop.time()
            seen = (device.frames_captured, device.frames_rendered)
            for side in (0, 1):
                if seen[side] != last[side]:
                    moved_at[side] = now
                    moved[side] = True
            if self.resting:
                moved_at[1], moved[1] = now, True
            last = seen
            if self._lost.is_set() or now - min(moved_at) >= STALL_S:
                if now - self._resumed_at < 2 * STALL_S and not self.resting:
                    self._wakes_well = False
                # Half a device is none: it is tried less and less often, as it costs time to open.
                return all(moved)
