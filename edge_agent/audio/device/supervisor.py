"""Supervisor of the sound device: opens it, watches it, opens it again, lets it rest, and keeps
the microphone closed while it is muted.

Thread: event loop; opening and closing run where `in_thread` puts them (one executor thread in
service), because a sound server may take seconds.  It must never carry audio.  `run` it as a task,
register `on_event` as an observer of the pump, and read `state`.

A stalled stream says of itself that it is active (seen with a suspended source and with an
unplugged card), so only moving frames count.  A device that cannot be opened is honestly declared
absent.  So is one that opens and delivers nothing, at its second try: a restart would not cure it,
and light, button, timers and the control socket work without it; it is present again once its
frames move.  A device that did work in this process and stands still is not absent: then the
watchdog may restart us, once.  While the microphone is closed because it is muted, the loudspeaker
does not rest: its frames are the only sign of life.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from edge_agent.audio.device.overruns import Overruns
from edge_agent.audio.device.standby import Standby
from edge_agent.contract.backoff import Backoff
from edge_agent.contract.commands import Command
from edge_agent.contract.errors import DeviceError, DeviceLost
from edge_agent.contract.events import DeviceDown, DeviceReady, Event, MicrophoneFailed
from edge_agent.contract.ports import (
    CaptureCallback,
    DeviceState,
    RenderCallback,
    RestingDevice,
    SoundDevice,
    SoundDeviceInfo,
    StretchableDevice,
)

LOOK_EVERY_S = 0.5
STALL_S = 2.0
"""Longest pause seen from a healthy sound server under load was 0.4 s."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 8.0
"""A cable put back in should be noticed while the person still stands there."""
SILENT_TRIES = 2
"""So often a device may open and deliver nothing before it counts as absent."""
DELIVERS_S = 5.0
"""A device that works moves at least so long.  Some deliver a block or two at each opening and then
nothing (seen with QEMU's virtio-sound)."""
OPEN_MAX_S = 30.0
"""A sound server that is just starting takes seconds.  A driver that has not answered by then
hangs, and only a new process is rid of it."""

UNMUTE_MAX_S = 0.5
"""Whoever opens the microphone speaks a moment later."""
UNMUTE_LOOK_S = 0.02
"""Two blocks of the microphone."""
TELL_S = 6.0
"""The longest of our sentences about a device takes 4.6 s.  It has to be heard before the
loudspeaker is closed, too, to look for the microphone."""

MICROPHONE, LOUDSPEAKER = "microphone delivers", "loudspeaker takes"
SIDES = (MICROPHONE, LOUDSPEAKER)
"""Of what stands still, in words."""
ALONE_S = 2 * LOOK_EVERY_S
"""A side that stood still so much earlier than the other did so alone: a card that is pulled out
stops both within a look."""

InThread = Callable[[Callable[[], object]], Awaitable[object]]


class DeviceSupervisor:
    """The one owner of the device's state.

    `opened` is called with the device's facts before frames matter.  `capture_closed` and
    `capture_opened` are called on the thread when the microphone alone was closed or opened.
    `is_muted`: what the household wants.  `post` gets `DeviceReady`, `DeviceDown` and
    `MicrophoneFailed`.
    """

    def __init__(
        self,
        device: SoundDevice,
        *,
        on_capture: CaptureCallback,
        on_render: RenderCallback,
        opened: Callable[[SoundDeviceInfo], None],
        capture_opened: Callable[[SoundDeviceInfo], object],
        capture_closed: Callable[[], object],
        is_muted: Callable[[], bool],
        post: Callable[[Event], None],
        in_thread: InThread,
        standby: Standby,
    ) -> None:
        self.settled = asyncio.Event()
        """Set once the first attempt to open is over, however it went."""
        self.deafened = asyncio.Event()
        """Set while the microphone has no stream, because it was muted."""
        self.reopened = 0
        self._device = device
        self._on_capture = on_capture
        self._on_render = on_render
        self._opened = opened
        self._capture_opened = capture_opened
        self._capture_closed = capture_closed
        self._is_muted = is_muted
        self._post = post
        self._in_thread = in_thread
        self._loop = asyncio.get_running_loop()
        self._standby = standby
        self._state = DeviceState.ABSENT
        self._opening_since: float | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._resumed_at = float("-inf")
        self._silent_tries = 0
        """Openings in a row after which too little was delivered."""
        self._has_delivered = False
        """It did work, in this process."""
        self._has_said_silent = False
        self.hears_badly = False
        """The microphone loses sound all the time."""
        self.is_numb = False
        """What the microphone gives is no sound, as was told; whoever looks at that sets it."""
        self._renewal: DeviceDown | None = None  # why it is opened anew although it moves
        self._stretched_ms = 0
        """Length of its blocks from the next opening on, if that is why it closes."""
        self._wakes_well = True
        """False once the card did not come back from a rest: it gets none any more."""
        self._lost = asyncio.Event()
        self._info: SoundDeviceInfo
        self._was_muted: bool | None = None
        self._wished_at = float("-inf")
        """When somebody muted or unmuted."""
        self._turned = asyncio.Event()
        """Somebody did, and it has not been acted on."""
        self._unmuting: asyncio.Task[DeviceError | None] | None = None
        self._excused_until = float("-inf")
        """The microphone has failed, and that is being told."""

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

    @property
    def works(self) -> bool:
        """It is open, and its frames moved when it was looked at last."""
        return self._state in (DeviceState.OPEN, DeviceState.RESTING)

    def renew(self, why: DeviceDown) -> None:
        """Close the device and open it again, which may cure what it gives."""
        if self.works:
            self._renewal = why

    @property
    def is_deaf(self) -> bool:
        """The microphone is closed because it is muted: nobody records, and no frame is missed."""
        return self.deafened.is_set() and self._is_muted()

    def on_event(self, _event: Event, commands: list[Command], at: float) -> None:
        """An observer of the pump: the loudspeaker wakes before a sound is due, and a mute is
        acted on at once."""
        muted = self._is_muted()
        if muted is not self._was_muted:
            self._was_muted = muted
            self._wished_at = at
            self._turned.set()
        if self._standby.is_needed_for(commands, at):
            self._wake()

    def _consider_rest(self, now: float) -> None:
        if self.deafened.is_set() or self._standby.is_needed(now):
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
                    has_moved, silent = await self._watch()
                    is_absent = self._counts_as_absent
                    self._state = DeviceState.ABSENT if is_absent else DeviceState.STALLED
                    if has_moved and not is_absent:
                        backoff.reset()
                    problem = self._renewal or self._loses_sound() or self._stood_still(silent)
                    self._renewal = None
                    if is_absent and silent is MICROPHONE:
                        await self._say_silent(problem)
                    await self._in_thread(self._device.close)
                self._post(problem)
                self.settled.set()
                await asyncio.sleep(backoff.next_s())
                self.reopened += 1
        finally:
            begun = [task for task in (self._resuming, self._unmuting) if task is not None]
            await asyncio.gather(*begun, return_exceptions=True)
            await self._in_thread(self._device.close)

    async def _try_open(self) -> DeviceDown | None:
        self._opening_since = self._loop.time()
        listens = not self._is_muted()
        self._set_deaf(not listens)
        try:
            info = await self._in_thread(
                lambda: self._device.open(self._on_capture, self._on_render, capture=listens)
            )
        except DeviceError as error:
            self._state = DeviceState.ABSENT
            return DeviceDown(
                at=self._loop.time(), code=error.code, message=error.message, fix=error.fix
            )
        finally:
            self._opening_since = None
        assert isinstance(info, SoundDeviceInfo)
        self._state = DeviceState.ABSENT if self._counts_as_absent else DeviceState.OPEN
        self._lost.clear()
        self._excused_until = float("-inf")
        self._wished_at = self._loop.time()  # an earlier wish could not be met
        self._info = info
        self._opened(info)
        self.tell_ready()
        self.settled.set()
        return None

    @property
    def _counts_as_absent(self) -> bool:
        return self._silent_tries >= SILENT_TRIES and not self._has_delivered

    def _loses_sound(self) -> DeviceDown | None:
        """The microphone kept losing sound, and longer blocks are to cure it."""
        block_ms, self._stretched_ms = self._stretched_ms, 0
        if not block_ms:
            return None
        return DeviceDown(
            at=self._loop.time(),
            code="device.overruns",
            message=f"The microphone kept losing sound: it is opened again with blocks of "
            f"{block_ms} ms.",
            fix=f"Nothing has to be done; device.block_ms = {block_ms} has it so from the start.",
        )

    def _stretch(self, overruns: Overruns, now: float) -> bool:
        """Should the device be opened again, in longer blocks?  Not in the middle of a talk."""
        device = self._device
        if not isinstance(device, StretchableDevice):
            return False
        keeps_on = overruns.keeps_on(device.overflows, now)
        self.hears_badly = keeps_on
        if keeps_on and not self._standby.is_needed(now):
            self._stretched_ms = device.stretch_blocks()
        return self._stretched_ms > 0

    def _stood_still(self, silent: str) -> DeviceDown:
        code, message = "device.lost", "The sound device stopped delivering frames."
        if silent is LOUDSPEAKER and not self.is_deaf:  # else nobody knows of the microphone
            code = "device.speaker_stalled"
            message = "The loudspeaker stopped taking sound, while the microphone goes on."
        if self._counts_as_absent:
            code = "device.silent" if silent is MICROPHONE else code
            message = f"The {silent} no sound, although it can be opened."
        return DeviceDown(
            at=self._loop.time(),
            code=code,
            message=message,
            fix="Check the cable and the power of microphone and loudspeaker, or name another card "
            "in the settings (names: edge-agent devices).",
        )

    async def _say_silent(self, problem: DeviceDown) -> None:
        """Once: the loudspeaker works, and can say that the microphone does not."""
        if not self._has_said_silent:
            self._has_said_silent = True
            code, message, fix = problem.code, problem.message, problem.fix
            self._post(MicrophoneFailed(at=problem.at, code=code, message=message, fix=fix))
            await asyncio.sleep(TELL_S)

    def tell_ready(self) -> None:
        """How it stands: also when the microphone gives sound again, or no longer."""
        if self._state is DeviceState.ABSENT:
            return  # it has opened, which says nothing of this device
        info = self._info
        self._post(
            DeviceReady(
                at=self._loop.time(),
                capture_name=info.capture_name,
                capture_why=info.capture_why,
                render_name=info.render_name,
                render_why=info.render_why,
                capture=not self.deafened.is_set(),
                hears=not self.is_numb,
            )
        )

    # --- mute -----------------------------------------------------------------------------

    async def _obey(self) -> None:
        """Close the microphone or open it, until it is as it is wanted."""
        self._turned.clear()
        while self._is_muted() is not self.deafened.is_set():
            if self._is_muted():
                await self._in_thread(self._close_capture)
                self._set_deaf(True)
                continue
            self._set_deaf(False)  # from here on its frames are missed
            problem = await self._unmute()
            if problem is None:
                self.tell_ready()
            elif not self._is_muted():
                # Told by the loudspeaker, before that is closed, too, to look for both.
                now = self._loop.time()
                self._excused_until = now + TELL_S
                code, message, fix = problem.code, problem.message, problem.fix
                self._post(MicrophoneFailed(at=now, code=code, message=message, fix=fix))

    def _set_deaf(self, deaf: bool) -> None:
        if deaf:
            self.deafened.set()
        else:
            self.deafened.clear()

    def _close_capture(self) -> None:
        self._device.close_capture()
        self._capture_closed()

    def _open_capture(self) -> SoundDeviceInfo:
        info = self._device.open_capture()
        self._capture_opened(info)
        return info

    async def _unmute(self) -> DeviceError | None:
        """Open the microphone and see its first frames; what is wrong if they do not come soon."""
        device, until = self._device, self._wished_at + UNMUTE_MAX_S
        before = device.frames_captured
        self._unmuting = task = self._loop.create_task(self._try_capture(), name="microphone")
        await asyncio.wait({task}, timeout=max(0.0, until - self._loop.time()))
        if task.done() and (problem := task.result()) is not None:
            return problem
        while device.frames_captured == before:
            if self._loop.time() >= until:
                return DeviceLost(
                    "The microphone gives no sound.",
                    fix="Check its cable and its power.",
                    code="device.silent",
                )
            await asyncio.sleep(UNMUTE_LOOK_S)
        return None

    async def _try_capture(self) -> DeviceError | None:
        try:
            info = await self._in_thread(self._open_capture)
        except DeviceError as error:
            return error
        assert isinstance(info, SoundDeviceInfo)
        self._info = info
        return None

    # --- the watch ------------------------------------------------------------------------

    async def _next_look(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._turned.wait()

    async def _watch(self) -> tuple[bool, str]:
        """Return when either direction has stood still: whether both had moved, and which it is.

        While the loudspeaker rests, only the microphone's frames are proof, and the other way round
        while the microphone is closed.
        """
        device = self._device
        began = self._loop.time()
        overruns = Overruns()
        last = (device.frames_captured, device.frames_rendered)
        moved_at = [began] * 2
        moved = [False, False]
        while True:
            await self._next_look()
            await self._obey()
            now = self._loop.time()
            seen = (device.frames_captured, device.frames_rendered)
            for side in (0, 1):
                if seen[side] != last[side]:
                    moved_at[side] = now
                    moved[side] = True
            if self._state is DeviceState.RESTING:
                moved_at[1], moved[1] = now, True
            if self.deafened.is_set() or now < self._excused_until:
                if seen[0] != last[0] and not self.deafened.is_set():
                    self._excused_until = now  # late, but there it is
                    self.tell_ready()
                moved_at[0], moved[0] = now, True
            last = seen
            if all(moved) and min(moved_at) - began >= DELIVERS_S:
                self._delivers()
            if self._lost.is_set() or now - min(moved_at) >= STALL_S:
                is_resting = self._state is DeviceState.RESTING
                if now - self._resumed_at < 2 * STALL_S and not is_resting:
                    self._wakes_well = False
                if min(moved_at) - began < DELIVERS_S:
                    self._silent_tries += 1
                # Half a device is none: it is tried less and less often, as it costs time to open.
                alone = moved_at[0] - moved_at[1] > ALONE_S
                return all(moved), LOUDSPEAKER if alone else MICROPHONE
            if self._renewal is not None or self._stretch(overruns, now):
                return True, ""
            self._consider_rest(now)

    def _delivers(self) -> None:
        """Both directions work, and have done so for a while."""
        self._has_delivered, self._silent_tries = True, 0
        if self._state is DeviceState.ABSENT:
            self._state = DeviceState.OPEN
            self.tell_ready()
