"""The composition root: chooses, builds, starts, stops.

Thread: event loop.  The only file that knows every part.  It must never decide anything that a
household could notice: that is the dialogue's.

Start: panel (boot light) → device → front end → link → agent → first healthy look → READY.  READY
does not wait for the internet.  Stop is the reverse, producers first, within `health.stop_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from edge_agent.agent import Agent, Rooms
from edge_agent.app.announcer import Announcer
from edge_agent.app.calendar import Calendar
from edge_agent.app.checks import Checks
from edge_agent.app.endings import endings
from edge_agent.app.endpoints import endpoints
from edge_agent.app.health import Watch
from edge_agent.app.hearing import Hearing
from edge_agent.app.money import Ledger
from edge_agent.app.owner_commands import all_commands
from edge_agent.app.running import Running
from edge_agent.app.session_start import session_start, with_persona
from edge_agent.app.sound.chain import SoundChain
from edge_agent.app.sound.sentences import own_sentences, own_voice
from edge_agent.app.sound.texts import Texts
from edge_agent.app.speaker_api import SavedState, SpeakerApi
from edge_agent.app.status import SpeakerStatus, StatusLine
from edge_agent.app.tools.offer import offer
from edge_agent.app.tools.toolbox import Toolbox
from edge_agent.app.wiring import dialogue_config, link_timings, session_config
from edge_agent.app.world import World
from edge_agent.audio.speaker.earcons import render_earcon
from edge_agent.contract.details import TEXT_MODEL
from edge_agent.contract.errors import AgentError
from edge_agent.contract.events import Event, HeardFrame, ModelUsed, StopRequested, Usage
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Microphone, Talk
from edge_agent.host.journal.journal import Journal
from edge_agent.host.service.control import ControlServer
from edge_agent.host.service.network import NetworkNews, NetworkWatch
from edge_agent.host.service.status import Status
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.echo_store import EchoStore, echo_path_file
from edge_agent.host.stores.pong_store import PongStore, pongs_path
from edge_agent.panel.gpio import GpioPanel, NullPanel
from edge_agent.panel.patterns import EARCONS
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.link.pongs import PongBook
from edge_agent.version import this_build

__all__ = ["Daemon", "World"]

FADE_OUT_S = 0.03
"""A cut is audible to its end after one block and the device's latency; then we close it."""
SECOND_SIGNAL_S = 0.5
"""Ctrl-C under a wrapper arrives twice at once; a second wish to stop takes a person longer."""


class Daemon:
    """One speaker.  `run()` is its whole life; `stop()` ends it politely."""

    def __init__(self, settings: Settings, world: World, journal: Journal) -> None:
        self.settings = settings = with_persona(settings)
        self.world = world
        self.journal = journal
        self.left_behind = False
        """After `run`: a thread hangs in a driver, and the interpreter would wait for it."""
        self.ready = asyncio.Event()
        """Set when READY was told to the service manager."""
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._stop_at: float | None = None
        """When the first wish to stop came."""
        self._stop_limit: asyncio.Timeout | None = None
        self._is_hurried = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        journal.note("agent.start", version=this_build(), provider=settings.realtime.provider)
        # Four, so that a mute is on the disk although a driver hangs or a voice is rendered, and
        # a question is rendered although forty sentences are.
        self._devices, self._disk, self._voices, self._words = (
            Worker(name, threads=world.threads, on_fault=journal.fault)
            for name in ("devices", "disk", "voices", "words")
        )
        self._state = SavedState(
            settings, self._disk, journal.note, post=self.post_from_thread, time=self._loop.time
        )
        self.ledger = Ledger(settings, journal, self._disk)
        self._build_sound()
        self._build_tools()
        self._build_talk()
        self._build_outlook()

    # --- the parts, in the order in which they need one another -----------------------------

    def _build_sound(self) -> None:
        self._status_line = StatusLine(
            self.world.notifier,
            {
                "no sound device": lambda: not self.sound.supervisor.present,
                "today's budget is spent": lambda: self.ledger.spending.is_spent,
                "mute and volume cannot be saved": lambda: self._state.is_unsaved,
            },
        )
        self.sound = SoundChain(
            self.settings,
            self.world.device,
            devices=self._devices,
            threads=self.world.threads,
            volume_percent=self._state.volume_percent,
            is_awake=lambda: self.dialogue.talk is not Talk.ASLEEP,
            is_listening=lambda: self.dialogue.talk is Talk.LISTENING,
            is_muted=lambda: self.dialogue.microphone is Microphone.MUTED,
            hear=self._hear,
            post=self.post,
            changed=self._status_line.show,
            fault=self.journal.fault,
            echoes=EchoStore(echo_path_file(self.settings.state.path), self.journal.note),
            disk=self._disk,
            note=self.journal.note,
        )

    def _build_tools(self) -> None:
        self.speaker_api = SpeakerApi(
            self._state,
            set_loudness=self.sound.playout.set_volume,
            status=self._snapshot,
            post=self.post,
            time=self._loop.time,
        )
        self.toolbox = Toolbox(
            self.settings,
            self.world,
            self.journal,
            speaker=self.speaker_api,
            disk=self._disk,
            post=self.post,
            time=self._loop.time,
            ready=self.ready,
            sound=self.sound.playout.alarm,
            may_ask=self.ledger.check_text_model,
            used=self._text_model_used,
        )

    def _build_talk(self) -> None:
        settings, world, journal = self.settings, self.world, self.journal
        registry = self.toolbox.registry
        self._begin = begin = session_start(settings, offer(settings, registry))
        for missed in begin.absent:
            journal.note(
                "persona.tool_off",
                tool=missed.tool,
                steps=", ".join(missed.steps),
                setting=missed.setting,
            )
        self._services = first, *others = endpoints(settings, self.ledger.table)
        store = PongStore(pongs_path(settings.state.path), journal.note)
        self.link = RealtimeLink(
            dial=world.dial,
            provider=first.provider,
            config=session_config(settings, begin),
            key=first.key,
            post=self.post,
            note=journal.note,
            rng=world.rng,
            timings=link_timings(settings),
            url=settings.realtime.url,
            allow_insecure=settings.realtime.allow_insecure_url,
            fallbacks=others,
            unix_time=lambda: world.now().timestamp(),
            pongs=PongBook(store.load(), lambda known: self._disk.put(lambda: store.save(known))),
        )
        self.ledger.provider = lambda: self.link.provider
        sentences = own_sentences(
            settings.speech,
            voices=self._voices if world.threads else None,
            note=journal.note,
            wanted=lambda: self._stop_at is None,
        )
        self.texts = Texts(
            world.voice or own_voice(settings.speech, journal.note),
            self.sound.playout,
            self._words,
            volume=self.speaker_api.volume,
            post=self.post,
            post_from_thread=self._call_from_thread if world.threads else lambda do: do(),
            time=self._loop.time,
            enabled=settings.speech.sentences,
        )
        self.panel = world.panel(self.post_from_thread)  # last: it holds pins that need closing
        self.dialogue = DialogueManager(
            dialogue_config(
                settings,
                registry.risks(),
                begin.flow,
                registry.terms(),
                has_button=not isinstance(self.panel, NullPanel),
            ),
            muted=self._state.saved.muted,
            guest=self._state.saved.guest,
            spending=self.ledger.spending,
        )
        self.agent = Agent(
            self.dialogue,
            Rooms(
                speaker=self.sound.playout,
                link=self.link,
                tools=self.toolbox.runner,
                panel=self.panel,
                note=journal.note,
                fault=journal.fault,
                set_status=self._status_line.show,
                save_mute=lambda muted: self._state.save(muted=muted),
                save_guest=lambda on: self._state.save(guest=on),
                record_usage=self.ledger.record,
                sentence_pcm=sentences.pcm24k if sentences else lambda _name: b"",
                earcons={name: render_earcon(notes) for name, notes in EARCONS.items()},
                ring=self.toolbox.bell.ring,
                stop_ringing=self.toolbox.bell.stop,
                summarise=self.toolbox.notes.want,
                say_text=self.texts.say,
                drop_texts=self.texts.drop,
            ),
        )

    def _build_outlook(self) -> None:
        """What looks on, and what the outside is told."""
        settings, world, journal = self.settings, self.world, self.journal
        self.running = Running(
            settings,
            world,
            journal,
            dialogue=self.dialogue,
            state=self._state,
            playout=self.sound.playout,
            budget=self.ledger.spending.budget,
            registry=self.toolbox.registry,
            link=self.link,
            services=self._services,
            instructions=self._begin.instructions,
            disk=self._disk,
            ready=self.ready,
        )
        self._calendar = Calendar(now=world.now, time=self._loop.time, post=self.post)
        self._watch = Watch(
            self.sound,
            world.notifier,
            devices=self._devices,
            stall_s=settings.health.stall_s,
            ready=self.ready,
            note=journal.note,
            time=self._loop.time,
            started_at=self._started_at,
            show_status=self._status_line.show,
            chores=(
                self._calendar.look,
                self.agent.collect,
                self._state.look,
                self.running.look,
                self._status_line.look,
            ),
        )
        self.status = SpeakerStatus(
            settings.realtime.provider,
            settings.realtime.model,
            talk=self.dialogue,
            sound=self.sound,
            ledger=self.ledger,
            link=self.link,
            watch=self._watch,
            saved_state=self._state,
            faults=lambda: self.agent.faults,
            slips=self.dialogue.state.slips.total,
            endings=lambda: endings(settings, self.ledger.table, world.now().date()),
            tool_servers=self.toolbox.servers.standing,
            time=self._loop.time,
            started_at=self._started_at,
        )
        self.agent.followers += [
            self.status.on_event,
            self._status_line.on_event,
            self.toolbox.desk.last_answer.on_event,
            self.sound.supervisor.on_event,
            *self.running.observers(),
            self.sound.ears.on_event,
        ]
        announcer = Announcer(post=self.post, time=self._loop.time)
        checks = Checks(settings, self.sound, self.panel, self.dialogue, self._words)
        self.agent.followers += [announcer.on_event, checks.on_event]
        self.owner_commands = {
            **all_commands(self.speaker_api, self.dialogue, self.toolbox, announcer),
            **self.running.commands,
            **checks.commands,
            **Hearing(self.sound, self.dialogue, self.agent.observers, checks).commands,
        }
        self._control: ControlServer | None = None
        if world.control is not None:
            self._control = ControlServer(
                world.control, self.owner_commands, note=journal.note, fault=journal.fault
            )

    def _hear(self, frames: Sequence[HeardFrame]) -> None:
        self.agent.hear(frames)  # built later, too

    def _snapshot(self) -> Status:
        return self.status.snapshot()  # built later than those who ask for it

    # --- life -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Start every room, serve until asked to stop, stop every room.

        Raises what ended a room that should have gone on.
        """
        if isinstance(self.panel, NullPanel):
            self.journal.note("panel.absent", why=self.panel.why.rstrip("."), fix=self.panel.fix)
        elif isinstance(self.panel, GpioPanel):
            self.journal.note("panel.ready", factory=self.panel.factory_name)
        self.panel.show("boot")
        self._calendar.look()
        if self._control is not None:
            await self._control.start()
        self._spawn(self.sound.run(), "sound device")
        self._spawn(self.link.run(), "link")
        self._spawn(self._watch.run(), "health")
        self._spawn(self.toolbox.bell.run(), "timers")
        self._spawn(self.toolbox.servers.run(), "tool servers")
        self._spawn(self.toolbox.desk.run(), "messages")
        if self.world.watch_network:
            self._spawn(NetworkWatch(self._network_changed, self.journal.note).run(), "network")
        try:
            await self.agent.finished
        finally:
            begun_at = self._loop.time()
            await self._stop_rooms()
        self.journal.note("agent.stopped", seconds=self._loop.time() - begun_at)

    def stop(self) -> None:
        """Ask for an orderly end (SIGTERM); asked once more, no room is waited for any longer."""
        now = self._loop.time()
        if self._stop_at is None:
            self._stop_at = now
            self.world.notifier.stopping("stopping")
            self.post(StopRequested(at=now))
        elif now - self._stop_at >= SECOND_SIGNAL_S:
            self._is_hurried = True
            if self._stop_limit is not None:
                with contextlib.suppress(RuntimeError):  # it is over already
                    self._stop_limit.reschedule(now)

    async def _stop_rooms(self) -> None:
        if self._stop_at is None:  # a room has failed
            self._stop_at = self._loop.time()
            self.world.notifier.stopping("a room has failed")
        until = self._stop_at + self.settings.health.stop_s
        await self._within(until, self._stop_sound, "sound device")
        await self._within(until, self._stop_link, "link")
        await self._within(until, self._stop_doors, "tools")
        await self._within(until, lambda: self._cancel("health"), "health")
        self._is_hurried = False  # these two are quick, and a mute is written down all the same
        await self._within(until, self._stop_ears, "front end")
        await self._within(until, self._disk.drain, "state")
        self.panel.show("off")
        self.panel.close()
        self._devices.close()
        self._disk.close()
        self._voices.close()
        self._words.close()
        workers = (self._devices, self._disk, self._voices, self._words, self.toolbox.io_pool)
        self.left_behind = any(worker.is_busy for worker in workers)
        self.world.notifier.close()

    async def _within(self, until: float, end: Callable[[], Awaitable[None]], part: str) -> None:
        """Each room may take half of the time that is left: a hanging one must not eat it all."""
        share_s = 0.0 if self._is_hurried else max(0.0, until - self._loop.time()) / 2
        try:
            async with asyncio.timeout(share_s) as self._stop_limit:
                await end()
        except TimeoutError:
            self.journal.note("shutdown.timeout", part=part)
        except Exception as problem:
            self.journal.fault(problem)

    async def _stop_sound(self) -> None:
        await asyncio.sleep(FADE_OUT_S)
        await self._cancel("sound device")

    async def _stop_ears(self) -> None:
        # Not among the devices, where it would wait for a driver that hangs.
        if not await self._disk.run(self.sound.front_end.stop):
            raise TimeoutError

    async def _stop_doors(self) -> None:
        await self.toolbox.close()
        for name in ("timers", "tool servers", "messages"):
            await self._cancel(name)
        if self._control is not None:
            await self._control.stop()

    def _network_changed(self, news: NetworkNews) -> None:
        self.link.network_changed(moved=news.moved, came_up=news.came_up)

    async def _stop_link(self) -> None:
        await self._cancel("network")
        await self.link.close()
        await self._cancel("link")

    async def _cancel(self, name: str) -> None:
        if (task := self._tasks.get(name)) is not None:
            task.cancel()
            await asyncio.wait({task})

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        task.add_done_callback(self._task_done)
        self._tasks[name] = task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        """A room that ends alone while the process lives is the classic deaf speaker."""
        problem = None if task.cancelled() else task.exception()
        if self._stop_at is None and problem is None:
            problem = AgentError(f"The room {task.get_name()!r} ended by itself.")
        if problem is not None:
            self.journal.fault(problem)
            if not self.agent.finished.done():
                self.agent.finished.set_exception(problem)

    # --- doors between threads ----------------------------------------------------------

    def post_from_thread(self, event: Event) -> None:
        """Put an event into the inbox from any thread."""
        self._call_from_thread(lambda: self.post(event))

    def _call_from_thread(self, do: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are leaving
            self._loop.call_soon_threadsafe(do)

    def _text_model_used(self, usage: Usage | None) -> None:
        self.post_from_thread(ModelUsed(at=self._loop.time(), who=TEXT_MODEL, usage=usage))

    def post(self, event: Event) -> None:
        """Put an event into the inbox; on the loop only.  All that follows is done on return."""
        self.agent.post(event)
