"""Supervisor of the sound device: opens it, watches it, opens it again, and lets it rest.

Thread: event loop; opening and closing run where `in_thread` puts them (one executor thread in
service), because a sound server may take seconds.  It must never carry audio.  `run` it as a task,
register `see` as an observer of the pump, and read `state`.

A stalled stream says of itself that it is active (seen with a suspended source and with an
unplugged card), so only moving frames count.  A device that cannot be opened is honestly
declared absent; one that opens and stays silent is not: then the watchdog may restart us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from edge_agent.audio.device.standby import Standby
from edge_agent.contract.backoff import Backoff
from edge_agent.contract.commands import Command
from edge_agent.contract.errors import DeviceError
from edge_agent.contract.events import DeviceDown, DeviceReady, Event
from edge_agent.contract.ports import (
    CaptureCallback,
    DeviceState,
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


class DeviceSupervisor:
    """The one owner of the device's state; `opened` is called with the device's facts before
    frames matter, `post` gets `DeviceReady` and `DeviceDown`."""

    def __init__(
        self,
        device: SoundDevice,
        *,
        on_capture: CaptureCallback,
        on_render: RenderCallback,
        opened: Callable[[SoundDeviceInfo], None],
        post: Callable[[Event], None],
        in_thread: InThread,
        standby: Standby,
    ) -> None:
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
        self._standby = standby
        self._state = DeviceState.ABSENT
        self._opening_since: float | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._resumed_at = float("-inf")
        self._wakes_well = True
        """False once the card did not come back from a rest: it gets none any more."""
        self._lost = asyncio.Event()

    @property
    def state(self) -> DeviceState:
        """How the device stands now."""
        since = self._opening_since
        is_late = since is not None and self._loop.time() - since > OPEN_MAX_S
        if is_late and self._state is DeviceState.ABSENT:
            return DeviceState.HUNG
        return self._state

    @property
    def present(self) -> bool:
        """False while the device is not there for the household."""
        return self.state not in (DeviceState.ABSENT, DeviceState.HUNG)

    def see(self, _event: Event, commands: list[Command], at: float) -> None:
        """An observer of the pump: the loudspeaker wakes before a sound is due."""
        if self._standby.is_needed_for(commands, at):
            self._wake()

    def _consider_rest(self, now: float) -> None:
        if self._standby.is_needed(now):
            self._wake()
        elif self._standby.may_begin(now):
            self._rest()

    def _rest(self) -> None:
        """Nothing is to be heard for a while: let the loudspeaker rest, if it can."""
        may_rest = self._state is DeviceState.OPEN and self._wakes_well
        if may_rest and isinstance(self._device, RestingDevice):
            self._state = DeviceState.RESTING
            self._device.rest_render()

    def _wake(self) -> None:
        """Something is to be heard soon.  Does not wait."""
        if self._state is DeviceState.RESTING:
            self._state = DeviceState.OPEN
            self._resumed_at = self._loop.time()
            self._resuming = self._loop.create_task(self._resume(), name="loudspeaker")

    async def _resume(self) -> None:
        device = self._device
        assert isinstance(device, RestingDevice)
        try:
            await self._in_thread(device.resume_render)
        except DeviceError:
            self._lost.set()  # a card that does not start again is opened again

    async def run(self) -> None:
        """Open, watch, reopen, until cancelled; then close."""
        backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_MAX_S)
        try:
            while True:
                problem = await self._try_open()
                if problem is None:
                    if await self._watch():
                        backoff.reset()
                    self._state = DeviceState.STALLED
                    problem = DeviceDown(
                        at=self._loop.time(),
                        code="device.lost",
                        message="The sound device stopped delivering frames.",
                        fix="Check the cable and the power of microphone and loudspeaker.",
                    )
                    await self._in_thread(self._device.close)
                self._post(problem)
                self.settled.set()
                await asyncio.sleep(backoff.next_s())
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
            self._state = DeviceState.ABSENT
            return DeviceDown(
                at=self._loop.time(), code=error.code, message=error.message, fix=error.fix
            )
        finally:
            self._opening_since = None
        assert isinstance(info, SoundDeviceInfo)
        self._state = DeviceState.OPEN
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
        """Return when either direction has stood still; True if both had moved before.

        While the loudspeaker rests, only the microphone's frames are proof.
        """
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
            if self._state is DeviceState.RESTING:
                moved_at[1], moved[1] = now, True
            last = seen
            if self._lost.is_set() or now - min(moved_at) >= STALL_S:
                is_resting = self._state is DeviceState.RESTING
                if now - self._resumed_at < 2 * STALL_S and not is_resting:
                    self._wakes_well = False
                # Half a device is none: it is tried less and less often, as it costs time to open.
                return all(moved)
            self._consider_rest(now)
