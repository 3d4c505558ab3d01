"""The composition root: chooses, builds, starts, stops (purpose).

Owner thread: event loop.  The only file that knows every class.  Must never decide anything that
a household could notice: that is the dialogue's.

Start: panel (boot light) → device → front end → link → agent → first healthy look → READY.  READY
does not wait for the internet.  Stop is the reverse, producers first.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from edge_agent.agent import Agent, Rooms
from edge_agent.audio.detectors import VoiceDetector, WakeDetector
from edge_agent.audio.earcons import render_earcon
from edge_agent.audio.echo import ReferenceTrack
from edge_agent.audio.front_end import FrontEnd
from edge_agent.audio.keeper import DeviceKeeper
from edge_agent.audio.playout import Playout
from edge_agent.contract.errors import ConfigError, ShutdownTimeout
from edge_agent.contract.events import Event, HeardFrame, StopRequested
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.contract.ports import Dialer, Panel, SoundDevice, SoundDeviceInfo
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.consent import Risk
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.host.health import Counters, HealthJudge
from edge_agent.host.journal import Journal, open_journal
from edge_agent.host.sentences import Sentences
from edge_agent.host.settings import Settings
from edge_agent.host.state import Saved, StateFile, state_path
from edge_agent.host.systemd import Notifier
from edge_agent.panel.gpio import PanelConfig, open_panel
from edge_agent.panel.patterns import EARCONS
from edge_agent.realtime.config import SemanticVad, ServerVad, SessionConfig, TurnDetection
from edge_agent.realtime.connection import RealtimeLink
from edge_agent.realtime.liveness import LinkTimings
from edge_agent.realtime.providers import provider_named

HEALTH_EVERY_S = 1.0
"""Well under every sensible watchdog interval."""
PENDING_FRAMES_MAX = 100
"""One second of heard frames may wait for a busy loop; older ones are dropped and counted."""


@dataclass
class World:
    """What stands between the program and the world; tests and the demo put in their own."""

    device: SoundDevice
    dial: Dialer
    panel: Callable[[Callable[[Event], None]], Panel]
    """Makes the panel; it is given the thread-safe `post`."""
    notifier: Notifier = field(default_factory=Notifier)
    threads: bool = True
    """False: everything runs on the loop, as virtual time needs it."""
    rng: random.Random = field(default_factory=random.Random)


class Daemon:
    """One speaker.  `run()` is its whole life; `stop()` ends it politely."""

    def __init__(self, settings: Settings, world: World, journal: Journal) -> None:
        self.settings = settings
        self.world = world
        self.journal = journal
        self.ready = asyncio.Event()
        self.frames_dropped = 0
        self._loop = asyncio.get_running_loop()
        self._pending_frames = 0
        self._first_frame = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._executor = ThreadPoolExecutor(1, "rooms") if world.threads else None
        self._state_file = StateFile(state_path(settings.state.path), journal.note)
        self._saved = self._state_file.load()
        self._build()

    def _build(self) -> None:
        settings, world, journal = self.settings, self.world, self.journal
        self.panel = world.panel(self.post_from_thread)
        self.reference = ReferenceTrack(WIRE_RATE_HZ, tail_s=settings.echo.tail_ms / 1000)
        self.playout = Playout(
            warm_up_ms=settings.device.warm_up_ms,
            volume_percent=self.volume_percent,
            reference_write=self.reference.write,
        )
        self.front_end = FrontEnd(
            self._emit_frame,
            wake=wake_detector(settings),
            voice=VoiceDetector(settings.listen.vad_mode),
            reference=self.reference,
            echo=settings.echo.mode,
            on_fault=self._front_end_fault,
        )
        self.hands = _NoHands()
        self.link = RealtimeLink(
            dial=world.dial,
            provider=provider_named(settings.realtime.provider),
            config=session_config(settings, ()),
            key=lambda: settings.realtime.api_key.get_secret_value() or None,
            post=self._post,
            note=lambda code, fields: journal.note(code, **fields),
            rng=world.rng,
            timings=link_timings(settings),
            url=settings.realtime.url,
            allow_insecure=settings.realtime.allow_insecure_url,
        )
        sentences = Sentences(settings.speech.language) if settings.speech.sentences else None
        rooms = Rooms(
            speaker=self.playout,
            link=self.link,
            hands=self.hands,
            panel=self.panel,
            note=journal.note,
            fault=journal.fault,
            set_status=lambda text: _ignore(world.notifier.status(text)),
            save_mute=self._save_mute,
            sentence_pcm=sentences.pcm24k if sentences else lambda _name: b"",
            earcons={name: render_earcon(notes) for name, notes in EARCONS.items()},
        )
        config = dialogue_config(settings, {})
        self.dialogue = DialogueManager(config, muted=self._saved.muted)
        self.agent = Agent(self.dialogue, rooms)
        self.keeper = DeviceKeeper(
            world.device,
            on_capture=self.front_end.on_capture,
            on_render=self.playout.render,
            opened=self._device_opened,
            post=self._post,
            in_thread=self._in_thread,
        )

    # --- life -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Start every room, serve until asked to stop, stop every room."""
        self.journal.note("agent.start", provider=self.settings.realtime.provider)
        self.panel.show("boot")
        self._spawn(self.keeper.run(), "keeper")
        self._spawn(self.link.run(), "link")
        self._spawn(self._health(), "health")
        try:
            await self.agent.finished
        finally:
            await self._stop_rooms()

    def stop(self) -> None:
        """Ask for an orderly end (SIGTERM)."""
        self.world.notifier.stopping()
        self._post(StopRequested(at=self._loop.time()))

    async def _stop_rooms(self) -> None:
        self.world.notifier.stopping("stopping")
        try:
            async with asyncio.timeout(self.settings.health.stop_s):
                for task in self._tasks:
                    task.cancel()
                for result in await asyncio.gather(*self._tasks, return_exceptions=True):
                    if isinstance(result, Exception):
                        self.journal.fault(result)
                await self.link.close()
                await self._in_thread(self.front_end.stop)
        except TimeoutError:
            problem = ShutdownTimeout("A room did not stop in time and is left behind.")
            self.journal.note("agent.fault", kind=problem.code)
        self.panel.show("off")
        self.panel.close()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self.journal.note("agent.stopped")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        task.add_done_callback(self._task_done)
        self._tasks.append(task)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        """A room that ends alone while the process lives is the classic deaf speaker."""
        if not task.cancelled() and (problem := task.exception()) is not None:
            self.journal.fault(problem)
            if not self.agent.finished.done():
                self.agent.finished.set_exception(problem)

    # --- doors between threads ----------------------------------------------------------

    def post_from_thread(self, event: Event) -> None:
        """Put an event into the inbox from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._post, event)

    def _post(self, event: Event) -> None:
        self.agent.post(event)

    def _emit_frame(self, frame: HeardFrame) -> None:
        """Called by the front end, on its thread if there are threads."""
        if not self.world.threads:
            self._first_frame.set()
            self._post(frame)
            return
        if self._pending_frames >= PENDING_FRAMES_MAX:
            self.frames_dropped += 1
            return
        self._pending_frames += 1
        try:
            self._loop.call_soon_threadsafe(self._take_frame, frame)
        except RuntimeError:
            self._pending_frames -= 1  # the loop is closed: we are leaving

    def _front_end_fault(self, problem: Exception) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are leaving
            self._loop.call_soon_threadsafe(self.journal.fault, problem)

    def _take_frame(self, frame: HeardFrame) -> None:
        self._pending_frames -= 1
        self._first_frame.set()
        self._post(frame)

    async def _in_thread(self, work: Callable[[], object]) -> object:
        if self._executor is None:
            return work()
        return await self._loop.run_in_executor(self._executor, work)

    # --- the sound device -----------------------------------------------------------------

    def _device_opened(self, info: SoundDeviceInfo) -> None:
        self.playout.open(info.render_rate_hz, info.output_latency_s)
        self.reference.restart(info.render_rate_hz)
        self.front_end.stop()
        self.front_end.start(info.capture_rate_hz, threaded=self.world.threads)

    # --- what the tools can reach -----------------------------------------------------------

    @property
    def volume_percent(self) -> int:
        """Voice volume, 0 to 100."""
        saved = self._saved.volume_percent
        return self.settings.device.volume_percent if saved is None else saved

    def set_volume(self, percent: int) -> None:
        """Change it now, and remember it."""
        self._saved = Saved(self._saved.muted, percent)
        self._state_file.save(self._saved)
        self.playout.set_volume(percent)

    def _save_mute(self, muted: bool) -> None:
        self._saved = Saved(muted, self._saved.volume_percent)
        self._state_file.save(self._saved)

    # --- health ---------------------------------------------------------------------------

    async def _health(self) -> None:
        await self.keeper.settled.wait()
        notifier, device = self.world.notifier, self.world.device
        judge = HealthJudge(self.settings.health.stall_s, self._loop.time())
        while self.keeper.present and not self._first_frame.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._first_frame.wait(), HEALTH_EVERY_S)
        self.ready.set()
        notifier.ready(f"ready; {self.settings.realtime.model}")
        self.journal.note("agent.ready")
        try:
            await self._in_thread(self.front_end.load)
        except ConfigError as problem:
            self.journal.note("echo.unavailable", message=problem.message, fix=problem.fix)
        stalled: tuple[str, ...] = ()
        while True:
            counters = Counters(
                device.frames_captured,
                device.frames_rendered,
                self.front_end.frames_out,
                self.keeper.present,
            )
            was, stalled = stalled, judge.judge(counters, self._loop.time())
            if not stalled:
                notifier.watchdog()
            elif stalled != was:
                self.journal.note("watchdog.stalled", part=", ".join(stalled))
            self.agent.collect()
            await asyncio.sleep(HEALTH_EVERY_S)


class _NoHands:
    def run(self, call_id: str, name: str, arguments: str) -> None:
        raise NotImplementedError

    def cancel(self, call_id: str) -> None:
        raise NotImplementedError


def _ignore(_result: object) -> None:
    """For callers that have no use for an answer."""


# --- from the owner's settings to each room's own words --------------------------------------


def dialogue_config(settings: Settings, risks: Mapping[str, Risk]) -> DialogueConfig:
    """What the dialogue has to know of the settings."""
    listen, barge_in = settings.listen, settings.barge_in
    return DialogueConfig(
        mode=listen.mode,
        server_turns=listen.end_of_turn != "local",
        pre_roll_ms=listen.pre_roll_ms,
        follow_up_s=listen.follow_up_s,
        quiet_end_s=listen.quiet_end_s,
        local_silence_ms=listen.local_silence_ms,
        utterance_max_s=listen.utterance_max_s,
        keep_max_s=settings.realtime.outbox_max_s,
        long_press_s=settings.panel.long_press_ms / 1000,
        chime=listen.chime,
        barge_in_by_speech=barge_in.enabled and barge_in.by_speech and settings.echo.mode != "off",
        barge_in_window_frames=barge_in.window_frames,
        barge_in_speech_frames=barge_in.speech_frames,
        barge_in_hold_off_ms=barge_in.min_after_start_ms,
        tool_risks=risks,
    )


def session_config(settings: Settings, tools: tuple[Mapping[str, object], ...]) -> SessionConfig:
    """What the model is told when a session opens."""
    listen, realtime = settings.listen, settings.realtime
    turns: TurnDetection = None
    if listen.end_of_turn == "server_vad":
        turns = ServerVad(
            threshold=listen.server_threshold,
            prefix_padding_ms=listen.server_prefix_padding_ms,
            silence_duration_ms=listen.server_silence_ms,
        )
    elif listen.end_of_turn == "semantic_vad":
        turns = SemanticVad(listen.semantic_eagerness)
    reduction = realtime.noise_reduction
    return SessionConfig(
        model=realtime.model,
        voice=realtime.voice,
        instructions=f"{realtime.instructions}\nSpeak this language: {realtime.language}.",
        tools=tools,
        turn_detection=turns,
        noise_reduction=None if reduction == "none" else reduction,
        transcription_model=realtime.transcription_model or None,
        transcription_language=realtime.transcription_language or None,
        max_output_tokens=realtime.max_output_tokens or None,
        speed=realtime.speed,
        reasoning_effort=realtime.reasoning_effort or None,
    )


def link_timings(settings: Settings) -> LinkTimings:
    """How patient the link is."""
    realtime = settings.realtime
    return LinkTimings(
        dial_s=realtime.dial_timeout_s,
        ping_active_s=realtime.ping_interval_active_s,
        pong_active_s=realtime.ping_timeout_active_s,
        ping_idle_s=realtime.ping_interval_idle_s,
        pong_idle_s=realtime.ping_timeout_idle_s,
        close_s=realtime.close_timeout_s,
    )


def wake_detector(settings: Settings) -> WakeDetector | None:
    """The wake words that are listened for; None where the button alone wakes."""
    listen = settings.listen
    if listen.mode != "wake":
        return None
    return WakeDetector({word: listen.wake_cutoffs.get(word) for word in listen.wake_words})


def panel_config(settings: Settings) -> PanelConfig:
    """Pins and wiring."""
    panel = settings.panel
    return PanelConfig(
        enabled=panel.enabled,
        button_pin=panel.button_pin,
        mute_button_pin=panel.mute_button_pin,
        led_pin=panel.led_pin,
        rgb_pins=panel.rgb_pins,
        led_active_high=panel.led_active_high,
        pull_up=panel.pull_up,
        bounce_ms=panel.bounce_ms,
    )


# --- the real world ----------------------------------------------------------------------------


def real_world(settings: Settings) -> World:
    """This machine's sound card, network, pins and service manager."""
    from edge_agent.audio.portaudio import PortAudioDevice
    from edge_agent.realtime.dialer import DialTimings, WebSocketDialer

    device, realtime = settings.device, settings.realtime
    return World(
        device=PortAudioDevice(
            device.capture_device,
            device.render_device,
            capture_rate_hz=device.rate_hz,
            render_rate_hz=device.rate_hz,
            block_ms=device.block_ms,
            capture_channel=device.capture_channel,
        ),
        dial=WebSocketDialer(
            timings=DialTimings(realtime.dial_timeout_s, realtime.close_timeout_s)
        ),
        panel=lambda post: open_panel(panel_config(settings), asyncio.get_running_loop(), post),
    )


def run(settings: Settings, world: World | None = None) -> int:
    """`edge-agent run`: serve until SIGTERM or SIGINT; the exit code."""
    journal = open_journal(settings.journal.level, transcripts=settings.journal.transcripts)

    async def serve() -> None:
        daemon = Daemon(settings, world or real_world(settings), journal)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        await daemon.run()

    asyncio.run(serve())
    return 0
