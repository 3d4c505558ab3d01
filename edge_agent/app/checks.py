"""Checks: what the owner may have tried out on the running speaker, which keeps its card and pins.

`commands` are the control socket's: `check_sound` plays two seconds and measures what came back,
`check_panel` blinks and waits for a press, `calibrate` measures several sweeps and, where the
request says `keep`, has the echo canceller start from them.  Each is begun with `start`, and asked
again until it is `done`: an asker is answered at once, and a check takes some seconds.

Thread: event loop; what is measured is computed by `worker`.  It must never keep sound of the room,
open a microphone that is muted, or play into a talk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from edge_agent.app.sound.chain import SoundChain
from edge_agent.app.sound.check import (
    QUIET_S,
    SWEEPS,
    TAIL_S,
    calibrated,
    echo_path,
    sample,
    sweep,
    swept,
    verdict,
)
from edge_agent.app.speaker_api import Handler, TalkView
from edge_agent.audio.sound_check import Recording
from edge_agent.contract.commands import Command, ShowLight
from edge_agent.contract.events import ButtonPressed, Event
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.contract.ports import Panel
from edge_agent.dialogue.state import Microphone, Talk
from edge_agent.host.service.control import ControlError
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.panel.gpio import NullPanel

PRESS_S = 5.0
"""For a press: whoever asked for the check may have to walk to the speaker."""
PRESSES_MAX = 4
"""What is told of them: two buttons, and that they bounce."""
BLINKS = "boot"
"""The light that is shown meanwhile: white (or all of it), on and off."""


class Checks:
    """One check at a time."""

    def __init__(
        self,
        settings: Settings,
        sound: SoundChain,
        panel: Panel,
        talk: TalkView,
        worker: Worker,
    ) -> None:
        self._settings = settings
        self._sound = sound
        self._panel = panel
        self._talk = talk
        self._worker = worker
        self._task: asyncio.Task[dict[str, Any]] | None = None
        self._light = ""
        self._pressed: list[str] = []
        self._press_came = asyncio.Event()
        self.commands: dict[str, Handler] = {
            "check_sound": lambda request: self._answer(request, self._may_sound, self._try_sound),
            "calibrate": lambda request: self._answer(
                request,
                self._may_sound,
                lambda: self._calibrate(
                    keep=request.get("keep") is True, series=request.get("series") is True
                ),
            ),
            "check_panel": lambda request: self._answer(request, self._forget_presses, self._press),
        }

    def on_event(self, event: Event, commands: list[Command], _at: float) -> None:
        """An observer of the pump: buttons, and the light that is shown otherwise."""
        if isinstance(event, ButtonPressed) and len(self._pressed) < PRESSES_MAX:
            self._pressed.append(event.button)
            self._press_came.set()
        for command in commands:
            if isinstance(command, ShowLight):
                self._light = command.light

    @property
    def light(self) -> str:
        """What is shown while no check runs."""
        return self._light or "asleep"

    def _answer(
        self,
        request: dict[str, Any],
        may: Callable[[], None],
        check: Callable[[], Coroutine[Any, Any, dict[str, Any]]],
    ) -> dict[str, Any]:
        task = self._task
        if request.get("start") is True:
            if task is not None and not task.done():
                raise ControlError("Another check is running.", fix="Try again in ten seconds.")
            may()
            self._task = asyncio.get_running_loop().create_task(check(), name="check")
            return {"done": False}
        if task is None:
            raise ControlError("No check was begun.", fix="edge-agent doctor --sound")
        if not task.done():
            return {"done": False}
        self._task = None
        if task.cancelled():
            raise ControlError("The check was ended.", fix="Try again.")
        return {"done": True, **task.result()}

    # --- sound ----------------------------------------------------------------------------

    def _may_sound(self) -> None:
        """Raises ControlError where it must not, or cannot, be tried now."""
        if self._talk.microphone is Microphone.MUTED:
            raise ControlError(
                "The microphone is muted and stays shut.", fix="edge-agent mute off, then again"
            )
        if not self._sound.supervisor.present:
            raise ControlError("The speaker has no sound device.", fix="edge-agent status")
        if self._talk.talk is not Talk.ASLEEP or self._sound.playout.audible:
            raise ControlError("The speaker is in use.", fix="Try again when it is quiet.")

    async def _try_sound(self) -> dict[str, Any]:
        pcm24k = await self._worker.run(lambda: sample(self._settings))
        recording = await self._hear(pcm24k)
        rates = self._rates()
        return await self._worker.run(lambda: verdict(recording, *rates, self._settings))

    async def _calibrate(self, *, keep: bool, series: bool) -> dict[str, Any]:
        found = []
        for _sweep in range(SWEEPS):
            recording = await self._hear(sweep())
            found.append(await self._worker.run(partial(swept, recording, *self._rates())))
        told = calibrated(found, series=series)
        told["cards"] = self._sound.cards
        path = echo_path(told)
        if keep and path is not None:
            told["kept"] = await self._sound.keep(path)
        return told

    def _rates(self) -> tuple[int, int]:
        """Of microphone and loudspeaker."""
        return self._sound.front_end.capture_rate_hz, self._sound.reference.rate_hz

    async def _hear(self, pcm24k: bytes) -> Recording:
        """Play this into a quiet room, and record it."""
        sound, recording = self._sound, Recording()
        sound.recording = recording
        try:
            await asyncio.sleep(QUIET_S)
            if self._talk.talk is Talk.ASLEEP:  # nobody has pressed the button meanwhile
                sound.playout.earcon(pcm24k)
            await asyncio.sleep(len(pcm24k) / 2 / WIRE_RATE_HZ + TAIL_S)
        finally:
            sound.recording = None
        if self._talk.microphone is Microphone.MUTED:
            raise ControlError("The microphone was muted meanwhile.", fix="edge-agent mute off")
        if self._talk.talk is not Talk.ASLEEP:
            raise ControlError("A talk began meanwhile.", fix="Try again when it is quiet.")
        return recording

    # --- button and light -----------------------------------------------------------------

    def _forget_presses(self) -> None:
        self._pressed.clear()
        self._press_came.clear()

    async def _press(self) -> dict[str, Any]:
        if isinstance(self._panel, NullPanel):
            return {"panel": False, "why": self._panel.why}
        self._panel.show(BLINKS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._press_came.wait(), PRESS_S)
        self._panel.show(self.light)
        return {"panel": True, "pressed": list(self._pressed)}
