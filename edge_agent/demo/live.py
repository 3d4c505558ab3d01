"""The live check: this machine's microphone and loudspeaker, and a parrot for a model.

Thread: the event loop; the meter's callbacks run on the sound device's threads.  It must never need
a key or the internet: whoever installs it hears at once whether the sound path works.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass

from rich.console import Console

from edge_agent.app.world import real_world
from edge_agent.contract.errors import AgentError
from edge_agent.contract.events import DeviceDown, DeviceReady
from edge_agent.contract.ports import (
    CaptureCallback,
    RenderCallback,
    SoundDevice,
    SoundDeviceInfo,
)
from edge_agent.demo.show.view import View
from edge_agent.demo.stage import Stage, StageError
from edge_agent.host.settings.root import Settings
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.sound import acoustics

OK, FAILED = 0, 1
UNAVAILABLE = 69
"""sysexits.h EX_UNAVAILABLE, as the command line documents it: no microphone, no loudspeaker."""
AUDIBLE_DBFS = -60.0
"""From here on the loudspeaker was given something that can be heard."""

LOOK_S = 0.05


class MeteredDevice:
    """A sound device with a meter on both sides; all else is the device's own."""

    def __init__(self, device: SoundDevice) -> None:
        self._device = device
        self.heard_dbfs = acoustics.SILENCE_DBFS
        self.spoken_dbfs = acoustics.SILENCE_DBFS
        self.loudest_spoken_dbfs = acoustics.SILENCE_DBFS

    def open(
        self, on_capture: CaptureCallback, on_render: RenderCallback, *, capture: bool = True
    ) -> SoundDeviceInfo:
        """As the device does; what passes is measured."""

        def hear(pcm: bytes, at: float) -> None:
            self.heard_dbfs = acoustics.level_dbfs(acoustics.from_pcm(pcm))
            on_capture(pcm, at)

        def render(frames: int, at: float) -> bytes:
            pcm = on_render(frames, at)
            self.spoken_dbfs = acoustics.level_dbfs(acoustics.from_pcm(pcm))
            self.loudest_spoken_dbfs = max(self.loudest_spoken_dbfs, self.spoken_dbfs)
            return pcm

        return self._device.open(hear, render, capture=capture)

    def close_capture(self) -> None:
        """As the device does."""
        self._device.close_capture()

    def open_capture(self) -> SoundDeviceInfo:
        """As the device does."""
        return self._device.open_capture()

    def close(self) -> None:
        """As the device does."""
        self._device.close()

    @property
    def frames_captured(self) -> int:
        """As the device counts."""
        return self._device.frames_captured

    @property
    def frames_rendered(self) -> int:
        """As the device counts."""
        return self._device.frames_rendered


@dataclass(frozen=True, slots=True)
class LiveResult:
    """How the check went: answers that were played to their end, and the first trouble."""

    turns: int
    loudest_spoken_dbfs: float
    trouble: str = ""

    @property
    def ok(self) -> bool:
        """Heard somebody, and was heard."""
        return self.turns > 0 and self.loudest_spoken_dbfs > AUDIBLE_DBFS


async def live_check(
    device: SoundDevice,
    console: Console,
    *,
    turns: int = 0,
    stop: asyncio.Event | None = None,
    settings: Settings | None = None,
) -> LiveResult:
    """Repeat what is said until `turns` answers were played, or `stop` is set."""
    own = settings or Settings()
    metered = MeteredDevice(device)
    stop = stop or asyncio.Event()
    overlay = {
        name: getattr(own, name).model_dump() for name in ("device", "listen", "echo", "barge_in")
    }
    stage = Stage(brain=ParrotBrain(), device=metered, settings=overlay)
    trouble = ""
    done = 0
    async with stage:
        levels = lambda: (metered.heard_dbfs, metered.spoken_dbfs)  # noqa: E731
        async with View(console).follow(stage, levels):
            while not stop.is_set() and not (turns and done >= turns):
                if stage.is_over:
                    break
                heard = len(stage.score.codes("talk.answer_done"))
                if heard > done:
                    done = heard
                    stage.score.mark(
                        "act", f"answer {done} of {turns}" if turns else f"answer {done}"
                    )
                down = stage.score.happened(DeviceDown)
                if down and not stage.score.happened(DeviceReady):
                    problem = down[-1]
                    assert isinstance(problem, DeviceDown)
                    trouble = f"{problem.message} {problem.fix}".strip()
                    break
                await asyncio.sleep(LOOK_S)
    return LiveResult(done, metered.loudest_spoken_dbfs, trouble)


def run_live(console: Console, *, turns: int = 0, settings: Settings | None = None) -> int:
    """`edge-agent demo --live`; the exit code is 0 only after a turn that was heard and played."""
    own = settings or Settings()
    words = " or ".join(f"“{word.replace('_', ' ')}”" for word in own.listen.wake_words)
    console.print(
        f"Say {words} and a sentence. It says the sentence back.\n"
        "Talk over it: it must fall silent at once. End with Ctrl-C.",
        highlight=False,
    )

    async def check() -> LiveResult:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        device = real_world(own).device
        return await live_check(device, console, turns=turns, stop=stop, settings=own)

    try:
        result = asyncio.run(check())
    except (AgentError, StageError) as problem:
        console.print(str(problem), style="bold red", highlight=False, soft_wrap=True)
        return FAILED
    if result.trouble:
        console.print(result.trouble, style="bold red", highlight=False, soft_wrap=True)
        return UNAVAILABLE
    if not result.turns:
        console.print(
            "Nothing was heard and answered.  Check the microphone with `edge-agent devices`.",
            style="bold red",
            highlight=False,
        )
    else:
        console.print(f"{result.turns} turns heard and answered.", style="bold green")
    return OK if result.ok else FAILED
