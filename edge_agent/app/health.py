"""Health: READY once, the watchdog while everything moves, and what was lost on the way.

Thread: event loop.  It must never feed the watchdog out of good will: only frames that move in both
callbacks and in the front end count, or a device that is honestly declared absent.  A muted
microphone is closed: while the mute is in force the loudspeaker's frames alone are asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from edge_agent.app.sound.chain import SoundChain
from edge_agent.contract.errors import ConfigError
from edge_agent.host.service.health import Counters, HealthJudge
from edge_agent.host.service.sound_health import SoundJudge
from edge_agent.host.service.systemd import Notifier
from edge_agent.host.service.worker import Worker
from edge_agent.host.stores.json_file import NoteFunction

HEALTH_EVERY_S = 1.0
"""Well under every sensible watchdog interval; a shorter one counts instead."""


class Watch:
    """Looks after one speaker; `run` it as a task.

    `ready` is set with READY, `show_status` shows the service manager's line again, `chores` are
    called at each look.
    """

    def __init__(
        self,
        sound: SoundChain,
        notifier: Notifier,
        *,
        devices: Worker,
        stall_s: float,
        ready: asyncio.Event,
        note: NoteFunction,
        time: Callable[[], float],
        started_at: float,
        show_status: Callable[[], None],
        chores: Sequence[Callable[[], None]],
    ) -> None:
        self._sound = sound
        self._notifier = notifier
        self._devices = devices
        self._stall_s = stall_s
        self._ready = ready
        self._note = note
        self._time = time
        self._started_at = started_at
        self._show_status = show_status
        self._chores = chores
        self._told: dict[str, int] = {}
        """Losses that the journal knows of."""
        self.sound_judge = SoundJudge()

    async def run(self) -> None:
        """READY when the first frame has come, then a look every second, until cancelled."""
        sound, notifier = self._sound, self._notifier
        await sound.supervisor.settled.wait()
        every_s = min(HEALTH_EVERY_S, notifier.watchdog_interval_s() or HEALTH_EVERY_S)
        while sound.supervisor.present and not sound.has_moved:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sound.first_frame.wait(), every_s)
        self._ready.set()
        notifier.ready()
        self._show_status()
        self._note("agent.ready", seconds=self._time() - self._started_at)
        # Takes a second or more on a small board; meanwhile the linear canceller works.
        self._devices.put(self._load_echo)
        judge = HealthJudge(self._stall_s, self._time())
        stalled: tuple[str, ...] = ()
        while True:
            was, stalled = stalled, judge.judge(self._counters(), self._time())
            if not stalled:
                notifier.watchdog()
            elif stalled != was:
                self._note("watchdog.stalled", part=", ".join(stalled))
                notifier.status(f"nothing moves in {', '.join(stalled)}")
            if was and not stalled:
                self._show_status()
            self._tell_losses()
            for code, fields in self.sound_judge.look(sound.counters(), self._time()):
                self._note(code, **fields)
                if code == "audio.clipped":
                    sound.ears.advise(code)
            sound.ears.look(self._time())
            for chore in self._chores:
                chore()
            await asyncio.sleep(every_s)

    def _counters(self) -> Counters:
        captured, rendered, heard = self._sound.frames
        supervisor = self._sound.supervisor
        return Counters(captured, rendered, heard, supervisor.state, supervisor.is_deaf)

    def _tell_losses(self) -> None:
        playout = self._sound.playout
        self._tell_loss("gaps", playout.gaps, "audio.underrun")
        self._tell_loss("faults", playout.faults, "audio.fault")
        dropped_ms = int(playout.dropped_ms)
        if more_ms := dropped_ms - self._told.get("dropped", 0):
            self._told["dropped"] = dropped_ms
            self._note("audio.dropped", ms=more_ms)
        for queue, total in self._sound.drops.items():
            self._tell_loss(queue, total, "queue.overflow", queue=queue)

    def _tell_loss(self, name: str, total: int, code: str, **fields: str) -> None:
        if more := total - self._told.get(name, 0):
            self._told[name] = total
            self._note(code, count=more, **fields)

    def _load_echo(self) -> None:
        try:
            self._sound.front_end.load()
        except ConfigError as problem:
            self._note("echo.unavailable", message=problem.message, fix=problem.fix)
