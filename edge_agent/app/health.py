"""Health: READY once, the watchdog while everything moves, and what was lost on the way (purpose).

Owner thread: event loop.  Must never feed the watchdog out of good will: only frames that move in
both callbacks and in the front end count, or a device that is honestly declared absent.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from edge_agent.contract.errors import ConfigError
from edge_agent.host.service.health import Counters, HealthJudge
from edge_agent.host.service.sound_health import SoundCounters, SoundJudge

if TYPE_CHECKING:
    from edge_agent.app.daemon import Daemon

HEALTH_EVERY_S = 1.0
"""Well under every sensible watchdog interval; a shorter one counts instead."""


class Watch:
    """Looks after one daemon; `run` it as a task."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._told: dict[str, int] = {}
        """Losses that the journal knows of."""
        self.sound = SoundJudge()
        self.first_frame = asyncio.Event()
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """READY when the first frame has come, then a look every second, until cancelled."""
        daemon = self._daemon
        await daemon.device_supervisor.settled.wait()
        notifier = daemon.world.notifier
        every_s = min(HEALTH_EVERY_S, notifier.watchdog_interval_s() or HEALTH_EVERY_S)
        while daemon.device_supervisor.present and not self.first_frame.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.first_frame.wait(), every_s)
        self.ready.set()
        notifier.ready()
        daemon.show_status()
        daemon.journal.note("agent.ready", seconds=daemon.time() - daemon.started_at)
        # Takes a second or more on a small board; meanwhile the linear canceller works.
        daemon.devices.put(self._load_echo)
        judge = HealthJudge(daemon.settings.health.stall_s, daemon.time())
        stalled: tuple[str, ...] = ()
        while True:
            was, stalled = stalled, judge.judge(self._counters(), daemon.time())
            if not stalled:
                notifier.watchdog()
            elif stalled != was:
                daemon.journal.note("watchdog.stalled", part=", ".join(stalled))
                notifier.status(f"nothing moves in {', '.join(stalled)}")
            if was and not stalled:
                daemon.show_status()
            self._tell_losses()
            for code, fields in self.sound.look(self.sound_counters(), daemon.time()):
                daemon.journal.note(code, **fields)
            daemon.house.turn_page()
            daemon.agent.collect()
            await asyncio.sleep(every_s)

    def _counters(self) -> Counters:
        daemon = self._daemon
        return Counters(
            daemon.world.device.frames_captured,
            # Not the device's: it counts a block of silence too where ours could not be made.
            daemon.playout.frames_rendered,
            daemon.front_end.frames_out,
            daemon.device_supervisor.state,
        )

    def sound_counters(self) -> SoundCounters:
        """What the sound system and the front end have counted."""
        daemon, front_end = self._daemon, self._daemon.front_end
        device = daemon.world.device
        return SoundCounters(
            opened=daemon.device_supervisor.reopened,
            clipped=front_end.clipped_samples,
            # A virtual room has no sound system that could lose anything.
            overflows=getattr(device, "overflows", 0),
            underflows=getattr(device, "underflows", 0),
            playback_frames=front_end.playback_frames,
            echo=front_end.echo,
            erle_db=front_end.erle_db,
        )

    def _tell_losses(self) -> None:
        self._tell_loss("gaps", self._daemon.playout.gaps, "audio.underrun")
        self._tell_loss("faults", self._daemon.playout.faults, "audio.fault")
        dropped_ms = int(self._daemon.playout.dropped_ms)
        if more_ms := dropped_ms - self._told.get("dropped", 0):
            self._told["dropped"] = dropped_ms
            self._daemon.journal.note("audio.dropped", ms=more_ms)
        for queue, total in self._daemon.drops.items():
            self._tell_loss(queue, total, "queue.overflow", queue=queue)

    def _tell_loss(self, name: str, total: int, code: str, **fields: str) -> None:
        if more := total - self._told.get(name, 0):
            self._told[name] = total
            self._daemon.journal.note(code, count=more, **fields)

    def _load_echo(self) -> None:
        try:
            self._daemon.front_end.load()
        except ConfigError as problem:
            note = self._daemon.journal.note
            note("echo.unavailable", message=problem.message, fix=problem.fix)
