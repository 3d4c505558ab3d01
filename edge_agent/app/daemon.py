"""The composition root: chooses, builds, starts, stops (purpose).

Owner thread: event loop.  The only file that knows every class.  Must never decide anything that
a household could notice: that is the dialogue's.

Start: panel (boot light) → device → front end → link → agent → first healthy look → READY.  READY
does not wait for the internet.  Stop is the reverse, producers first, within `health.stop_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

from edge_agent import __version__
from edge_agent.agent import Agent, Rooms
from edge_agent.app.frames import FrameDoor
from edge_agent.app.health import Watch
from edge_agent.app.house import House, Ledger
from edge_agent.app.keepsakes import observers as keepsakes
from edge_agent.app.parts import (
    World,
    dialogue_config,
    endpoints,
    link_timings,
    real_world,
    session_config,
    told,
    wake_detector,
)
from edge_agent.app.rest import Rest
from edge_agent.app.tools import Toolbox
from edge_agent.audio.cancel.echo import ReferenceTrack
from edge_agent.audio.detectors import VoiceDetector
from edge_agent.audio.device.keeper import DeviceKeeper
from edge_agent.audio.front_end import FrontEnd
from edge_agent.audio.resample import Resampler
from edge_agent.audio.speaker.earcons import render_earcon
from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract.errors import AgentError
from edge_agent.contract.events import DeviceDown, Event, HeardFrame, StopRequested
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.contract.ports import SoundDeviceInfo
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Talk
from edge_agent.host.journal.journal import Journal, LibraryWarnings, open_journal
from edge_agent.host.service.control import ControlServer
from edge_agent.host.service.network import NetworkNews, NetworkWatch
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.state import StateFile, state_path
from edge_agent.host.voice.espeak import Espeak
from edge_agent.host.voice.espeak import is_installed as espeak_installed
from edge_agent.host.voice.pack_store import pack_root
from edge_agent.host.voice.sentences import Sentences
from edge_agent.panel.gpio import GpioPanel, NullPanel
from edge_agent.panel.patterns import EARCONS
from edge_agent.realtime.link.connection import RealtimeLink

__all__ = ["Daemon", "World", "real_world", "run"]

FADE_OUT_S = 0.03
"""A cut is audible to its end after one block and the device's latency; then we close it."""
SECOND_SIGNAL_S = 0.5
"""Ctrl-C under a wrapper arrives twice at once; a second wish to stop takes a person longer."""
EXIT_FAULT = 70
"""sysexits.h EX_SOFTWARE, as the command line documents it."""


class Daemon:
    """One speaker.  `run()` is its whole life; `stop()` ends it politely."""

    def __init__(self, settings: Settings, world: World, journal: Journal) -> None:
        self.settings = settings
        self.world = world
        self.journal = journal
        self.left_behind = False
        """After `run`: a thread hangs in a driver, and the interpreter would wait for it."""
        self._loop = asyncio.get_running_loop()
        self.started_at = self._loop.time()
        self._stop_at: float | None = None
        """When the first wish to stop came."""
        self._stop_limit: asyncio.Timeout | None = None
        self._is_hurried = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._status = ""
        self._device_trouble = ""
        journal.note("agent.start", version=__version__, provider=settings.realtime.provider)
        # Three, so that a mute is on the disk although a driver hangs or a voice is rendered.
        self.devices = Worker("devices", threads=world.threads, on_fault=journal.fault)
        self._disk = Worker("disk", threads=world.threads, on_fault=journal.fault)
        self._voices = Worker("voices", threads=world.threads, on_fault=journal.fault)
        self._state_file = StateFile(state_path(settings.state.path), journal.note)
        self._saved = self._state_file.load()
        self._build()

    def _build(self) -> None:
        settings, world, journal = self.settings, self.world, self.journal
        self.reference = ReferenceTrack(WIRE_RATE_HZ, tail_s=settings.echo.tail_ms / 1000)
        self.playout = Playout(
            warm_up_ms=settings.device.warm_up_ms,
            volume_percent=self.volume_percent,
            reference_write=self.reference.write,
        )
        self.door = FrameDoor(self._loop, self._take_frame, threads=world.threads)
        self.front_end = FrontEnd(
            self.door.one,
            wake=wake_detector(settings),
            voice=VoiceDetector(settings.listen.vad_mode),
            reference=self.reference,
            echo=settings.echo.mode,
            on_fault=self._front_end_fault,
            emit_many=self.door.many if world.threads else None,
        )
        self.ledger = Ledger(settings, journal, self._disk)
        self.house = House(self, world.now)
        self.toolbox = Toolbox(self, self._disk)
        registry = self.toolbox.registry
        begin = told(settings, registry.schemas(), registry.manners())
        first, *others = endpoints(settings, self.ledger.table)
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
        )
        self.ledger.provider = lambda: self.link.provider
        sentences = self._sentences()
        self.panel = world.panel(self.post_from_thread)  # last: it holds pins that need closing
        rooms = Rooms(
            speaker=self.playout,
            link=self.link,
            hands=self.toolbox.hands,
            panel=self.panel,
            note=journal.note,
            fault=journal.fault,
            set_status=self.show_status,
            save_mute=lambda muted: self._save(muted=muted),
            save_guest=lambda on: self._save(guest=on),
            record_usage=self.ledger.record,
            sentence_pcm=sentences.pcm24k if sentences else lambda _name: b"",
            earcons={name: render_earcon(notes) for name, notes in EARCONS.items()},
            ring=self.toolbox.bell.ring,
            stop_ringing=self.toolbox.bell.stop,
            summarise=self.toolbox.notes.want,
        )
        self.dialogue = DialogueManager(
            dialogue_config(
                settings, self.toolbox.risks, begin.flow, self.toolbox.registry.terms()
            ),
            muted=self._saved.muted,
            guest=self._saved.guest,
            spending=self.ledger.spending,
        )
        self.agent = Agent(self.dialogue, rooms)
        self.agent.observers += [self.house.see, self.toolbox.desk.last_answer.see]
        self.rest = Rest(self, settings.device.rest_after_s)
        self.agent.observers.append(self.rest.see)
        self.agent.observers += keepsakes(settings, self._disk, journal, world.now)
        self.control = (
            ControlServer(
                world.control, self.house.handlers, note=journal.note, fault=journal.fault
            )
            if world.control is not None
            else None
        )
        self.watch = Watch(self)
        self.keeper = DeviceKeeper(
            world.device,
            on_capture=self.front_end.on_capture,
            on_render=self.playout.render,
            opened=self._device_opened,
            post=self._post_device,
            in_thread=self.devices.run,
        )

    # --- life -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Start every room, serve until asked to stop, stop every room.

        Raises what ended a room that should have gone on.
        """
        if isinstance(self.panel, NullPanel):
            self.journal.note("panel.absent", why=self.panel.why.rstrip("."))
        elif isinstance(self.panel, GpioPanel):
            self.journal.note("panel.ready", factory=self.panel.factory_name)
        self.panel.show("boot")
        self.house.turn_page(first=True)
        if self.control is not None:
            await self.control.start()
        self._spawn(self.keeper.run(), "sound device")
        self._spawn(self.link.run(), "link")
        self._spawn(self.watch.run(), "health")
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
        self.devices.close()
        self._disk.close()
        self._voices.close()
        workers = (self.devices, self._disk, self._voices, self.toolbox.desk.errands)
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
        if not await self._disk.run(self.front_end.stop):
            raise TimeoutError

    async def _stop_doors(self) -> None:
        await self.toolbox.close()
        await self._cancel("timers")
        await self._cancel("tool servers")
        await self._cancel("messages")
        if self.control is not None:
            await self.control.stop()

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
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are leaving
            self._loop.call_soon_threadsafe(self.post, event)

    def time(self) -> float:
        """Loop time, seconds."""
        return self._loop.time()

    def post(self, event: Event) -> None:
        """Put an event into the inbox; on the loop only.  All that follows is done on return."""
        self.agent.post(event)

    def _take_frame(self, frame: HeardFrame) -> None:
        self.watch.first_frame.set()
        self.post(frame)
        # Asleep, nobody notices 30 ms, and the processor may rest.
        self.front_end.relaxed = self.dialogue.talk is Talk.ASLEEP

    def _front_end_fault(self, problem: Exception) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are leaving
            self._loop.call_soon_threadsafe(self.journal.fault, problem)

    # --- the sound device -----------------------------------------------------------------

    def _device_opened(self, info: SoundDeviceInfo) -> None:
        """Until here the device's callbacks got silence and nobody heard them."""
        self.reference.restart(info.render_rate_hz)
        self.playout.open(info.render_rate_hz, info.output_latency_s)
        self.front_end.start(info.capture_rate_hz, threaded=self.world.threads)

    def _post_device(self, event: Event) -> None:
        code = event.code if isinstance(event, DeviceDown) else ""
        if code:
            # Before the next `open`, whose callbacks may come before it has returned.
            self.playout.close()
            self.devices.put(self.front_end.stop)
        if not code or code != self._device_trouble:  # looked for in vain once more: no news
            self.post(event)
        self._device_trouble = code
        self.show_status()

    # --- what the tools can reach -----------------------------------------------------------

    @property
    def volume_percent(self) -> int:
        """Voice volume, 0 to 100."""
        saved = self._saved.volume_percent
        return self.settings.device.volume_percent if saved is None else saved

    def set_volume(self, percent: int) -> None:
        """Change it now, and remember it."""
        self._save(volume_percent=percent)
        self.playout.set_volume(percent)

    def _save(self, **changes: Any) -> None:
        self._saved = saved = replace(self._saved, **changes)
        self._disk.put(lambda: self._state_file.save(saved))

    def _sentences(self) -> Sentences | None:
        """Our own sentences; those without a recording are rendered aside, if they can be."""
        speech = self.settings.speech
        if not speech.sentences:
            return None
        sentences = Sentences(speech.language, own=pack_root(speech.voice_pack_dir))
        if sentences.advice:
            self.journal.note("settings.advice", advice=sentences.advice.rstrip("."))
        if self.world.threads and speech.offline_voice and espeak_installed():
            voice = Espeak(
                sentences.language,
                lambda pcm, from_hz, to_hz: Resampler(from_hz, to_hz).process(pcm),
                wanted=lambda: self._stop_at is None,
            )
            self._voices.put(lambda: sentences.prepare(voice.speak))
        return sentences

    # --- what is told of it -----------------------------------------------------------------

    @property
    def ready(self) -> asyncio.Event:
        """Set when READY was told to the service manager."""
        return self.watch.ready

    @property
    def drops(self) -> dict[str, int]:
        """Queue → entries dropped since the start."""
        return {"capture": self.front_end.blocks_dropped, "inbox": self.door.dropped}

    def show_status(self, text: str | None = None) -> None:
        """The dialogue's line (None: the last one), and what it cannot know."""
        if text is not None:
            self._status = text
        trouble = "" if self.keeper.present else "; no sound device"
        self.world.notifier.status(f"{self._status}{trouble}" if self._status else "")


def run(settings: Settings, world: World | None = None) -> int:
    """`edge-agent run`: serve until SIGTERM or SIGINT; the exit code.

    Raises what ended a room that should not have ended: the service manager starts us again.
    """
    journal = open_journal(settings.journal.level, transcripts=settings.journal.transcripts)
    complaints = LibraryWarnings(journal)
    logging.getLogger().addHandler(complaints)
    code, daemons = EXIT_FAULT, list[Daemon]()
    try:
        asyncio.run(_serve(settings, world, journal, daemons))
        code = 0
    finally:
        logging.getLogger().removeHandler(complaints)
        if any(daemon.left_behind for daemon in daemons):
            # Python would wait for the thread that hangs in a driver.
            sys.stderr.flush()
            os._exit(code)
    return code


async def _serve(
    settings: Settings, world: World | None, journal: Journal, daemons: list[Daemon]
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _loop, slip: journal.fault(slip.get("exception") or RuntimeError())
    )
    daemon = Daemon(settings, world or real_world(settings), journal)
    daemons.append(daemon)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, daemon.stop)
    await daemon.run()
