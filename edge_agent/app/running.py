"""Running: what may change while the speaker runs, put together: settings, key, log level.

The daemon calls `look` every second, `reload` on a service manager's wish, and hands `commands` to
the control socket and `observers` to the pump.

Thread: event loop.  It must never decide which settings are live: `reload.LIVE` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from edge_agent.agent import Observer
from edge_agent.app.debug_lines import DebugLines
from edge_agent.app.keepsakes import Recorder
from edge_agent.app.keepsakes import observers as keepsakes
from edge_agent.app.key_watch import KeyWatch
from edge_agent.app.log_level import LogLevel
from edge_agent.app.owner_commands import running_commands
from edge_agent.app.reload import PutOff, Reach, Reloader
from edge_agent.app.speaker_api import Handler, SavedState
from edge_agent.app.tools.offer import offer
from edge_agent.app.world import World
from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract.commands import UpdateSession
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.money.budget import Budget
from edge_agent.dialogue.state import Talk
from edge_agent.host.journal.journal import Journal
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.link.endpoints import Endpoint
from edge_agent.tools.registry import Registry


class Running:
    """`instructions` are those of the start; `ready` is set with READY."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        journal: Journal,
        *,
        dialogue: DialogueManager,
        state: SavedState,
        playout: Playout,
        budget: Budget,
        registry: Registry,
        link: RealtimeLink,
        services: Sequence[Endpoint],
        instructions: str,
        disk: Worker,
        ready: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._dialogue = dialogue
        self._tasks = set[asyncio.Task[object]]()
        self._recorder = Recorder(settings, disk, journal.note, world.now)
        self._log_level = LogLevel(journal, settings.journal.level)
        self._keys = KeyWatch(
            (service.key for service in services),
            is_quiet=self._is_quiet,
            redial=lambda: link.reopen("key"),
            note=journal.note,
        )

        def reach(put_off: PutOff) -> Reach:
            return Reach(
                talk=dialogue.state,
                state=state,
                playout=playout,
                budget=budget,
                recorder=self._recorder,
                log_level=self._log_level,
                offer=lambda: offer(settings, registry),
                tell_model=lambda text: link.execute(UpdateSession(instructions=text)),
                later=put_off,
            )

        self.reloader = Reloader(
            settings,
            world.reload,
            reach=reach,
            instructions=instructions,
            look_at_keys=self._keys.look,
            disk=disk,
            notifier=world.notifier,
            ready=ready,
            note=journal.note,
            is_quiet=self._is_quiet,
        )
        self.commands: dict[str, Handler] = running_commands(self.reloader, self._log_level)

    def observers(self) -> Iterator[Observer]:
        """Whoever writes down what goes on: observers of the pump."""
        yield from keepsakes(self._settings, self._recorder, self._journal)
        yield DebugLines(self._journal.note, self._states, lambda: self._journal.is_debug).on_event

    def look(self) -> None:
        """Follow the keys' files, and do what has waited for a quiet moment."""
        self._keys.look()
        self.reloader.look()

    def reload(self) -> None:
        """Read the settings anew; the journal says what came of it."""
        task = asyncio.get_running_loop().create_task(self._reload(), name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        try:
            await self.reloader.reload()
        except Exception as problem:
            self._journal.fault(problem)  # the speaker goes on with what it has

    def _is_quiet(self) -> bool:
        return self._dialogue.talk is Talk.ASLEEP

    def _states(self) -> tuple[str, str, str]:
        talk = self._dialogue
        return talk.talk.value, talk.link.value, talk.microphone.value
