"""Timers at work: the loop's timer, the file, and the sound of the bell.

Thread: event loop; the file is written where `Worker` puts it.  It must never decide when to ring
or when to stop: what is due is told to the dialogue, which does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime

from edge_agent.audio.speaker.earcons import render_earcon
from edge_agent.contract.events import AlarmDue, AlarmStopRequested, Event
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.json_file import NoteFunction
from edge_agent.host.stores.timer_store import (
    SavedRang,
    SavedTimer,
    SavedTimers,
    TimerStore,
    timers_path,
)
from edge_agent.panel.patterns import ALARM_SOUND
from edge_agent.tools.timer_tools import timer_tools
from edge_agent.tools.timers import Entry, Moment, Rang, Timers


class Bell:
    """Keeps the timers; `run` for as long as the daemon lives.

    `ready`: set when the speaker is.  `sound`: rings with this sound until it is given None.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        disk: Worker,
        note: NoteFunction,
        time: Callable[[], float],
        now: Callable[[], datetime],
        post: Callable[[Event], None],
        ready: asyncio.Event,
        sound: Callable[[bytes | None], None],
    ) -> None:
        self._disk = disk
        self._time = time
        self._now = now
        self._post = post
        self._ready = ready
        self._sound = sound
        self._store = TimerStore(timers_path(settings.state.path), note)
        self._changed = asyncio.Event()
        self._alarm = render_earcon(ALARM_SOUND)
        self.timers = Timers()
        saved = self._store.load()
        self.timers.restore(
            (_entry(one) for one in saved.timers),
            (Rang(one.name, one.kind, datetime.fromisoformat(one.wall)) for one in saved.rang),
            self.moment(),
        )
        self._saved = self._as_saved()
        if saved.timers:
            note("timers.restored", count=len(self.timers.list()))
        self.tools = timer_tools(
            self.timers, self.moment, changed=self.changed, stop_ringing=self.want_silence
        )

    async def run(self) -> None:
        """Tell the dialogue of everything that is due, until cancelled.

        Begins when the first sound has moved: what was missed should be heard.
        """
        await self._ready.wait()
        while True:
            self._changed.clear()
            for due in self.timers.due(self.moment()):
                at = self._time()
                self._post(AlarmDue(at=at, name=due.entry.name, late_s=due.late_s))
            self._save()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timers.next_look_s(self.moment())):
                    await self._changed.wait()

    def ring(self, _name: str) -> None:
        """Sound the bell until `stop`, or until the speaker is told to fall silent."""
        self._sound(self._alarm)

    def stop(self, names: tuple[str, ...]) -> None:
        """The bell was heard, or nobody came."""
        self._sound(None)
        self.timers.stopped(names, self.moment())
        self.changed()

    def moment(self) -> Moment:
        """Now, by both clocks."""
        return Moment(self._now(), self._time())

    def want_silence(self) -> None:
        """Have the dialogue stop the sound."""
        self._post(AlarmStopRequested(at=self._time()))

    def changed(self) -> None:
        """Something was set or cancelled: keep it, and look when the next one is due."""
        self._save()
        self._changed.set()

    def _save(self) -> None:
        saved = self._as_saved()
        if saved != self._saved:
            self._saved = saved
            self._disk.put(lambda: self._store.save(saved))

    def _as_saved(self) -> SavedTimers:
        return SavedTimers(
            tuple(_saved(entry) for entry in self.timers.list()),
            tuple(
                SavedRang(rang.name, rang.kind, rang.wall.isoformat()) for rang in self.timers.rang
            ),
        )


def _saved(entry: Entry) -> SavedTimer:
    wall = entry.due_wall.isoformat() if entry.due_wall else ""
    return SavedTimer(entry.name, entry.kind, entry.length_s, entry.due_unix_s, wall, entry.repeat)


def _entry(saved: SavedTimer) -> Entry:
    return Entry(
        name=saved.name,
        kind=saved.kind,
        length_s=saved.length_s,
        due_unix_s=saved.due_unix_s,
        due_wall=datetime.fromisoformat(saved.due_wall) if saved.due_wall else None,
        repeat=saved.repeat,
    )
