"""From the owner's settings to each room's own words, and to this machine's parts (purpose).

Owner thread: main, pure but for `KeySource`, which reads one small file.  Must never start or
decide anything: `app` does, and a room never sees `Settings`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from edge_agent.app.mcp import expected_names
from edge_agent.audio.detectors import WakeDetector
from edge_agent.contract.events import Event, ToolTerms
from edge_agent.contract.persona import ToolManner
from edge_agent.contract.ports import Dialer, Panel, SoundDevice
from edge_agent.dialogue.calls.consent import Risk
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.prompting.flow import Flow, FlowTerms, flow_problems
from edge_agent.dialogue.prompting.prompt import compose, without_tools
from edge_agent.dialogue.recall.summaries import SummaryTerms
from edge_agent.host.personas import PersonaError, load_persona
from edge_agent.host.price_list import PriceList
from edge_agent.host.service.control import server_path
from edge_agent.host.service.systemd import Notifier
from edge_agent.host.settings.root import Settings
from edge_agent.host.voice.sentences import SENTENCE_FOR_CODE
from edge_agent.panel.gpio import PanelConfig, open_panel
from edge_agent.realtime.link.endpoints import Endpoint, endpoint_for
from edge_agent.realtime.link.liveness import LinkTimings
from edge_agent.realtime.protocol.config import SemanticVad, ServerVad, SessionConfig, TurnDetection
from edge_agent.realtime.providers import Provider, provider_from
from edge_agent.tools.catalogue import shipped_tools
from edge_agent.tools.servers.mcp_tools import ServerPlan
from edge_agent.tools.servers.mcp_wire import OpenWire

TRANSCRIBER = "gpt-transcribe"
"""What OpenAI offers for it in a talk; other services ignore or refuse the name, and the session
then goes on without."""
KEY_MAX_BYTES = 4096
"""No key is longer; whatever is, is another file."""


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
    now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    """Local time with its zone: for the clock tool and the day's budget, never for durations."""
    tool_servers: Callable[[ServerPlan], OpenWire] | None = None
    """How tool servers are reached; None: as this machine does."""
    watch_network: bool = False
    """Listen to the kernel for changes of addresses and routes."""
    control: Path | None = None
    """Where the control socket is put; None: nowhere."""


# --- settings in the words of each room ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What the model is told at the start of a session; `flow`: how a guided talk goes on."""

    instructions: str
    tools: tuple[Mapping[str, object], ...]
    flow: FlowTerms | None = None


def told(
    settings: Settings,
    tools: tuple[Mapping[str, object], ...],
    manners: tuple[ToolManner, ...] = (),
) -> Told:
    """The persona of the settings, in words, and what is said before which tool.

    Raises `PersonaError`.
    """
    realtime = settings.realtime
    persona = load_persona(realtime.persona)
    names = {str(tool["name"]) for tool in tools}
    if problems := flow_problems(persona, names | expected_names(settings)):
        raise PersonaError(persona.source, problems)
    text = compose(
        without_tools(persona, shipped_tools().risks().keys() - names),
        language=realtime.language,
        additions=realtime.instructions,
        manners=manners,
    )
    if persona.plan is None or not persona.plan.guided:
        return Told(text, tools)
    terms = FlowTerms(persona.plan, text, tools)
    begin = Flow(terms)
    return Told(begin.instructions(), begin.tools(), terms)


def dialogue_config(
    settings: Settings,
    risks: Mapping[str, Risk],
    flow: FlowTerms | None = None,
    terms: Mapping[str, ToolTerms] | None = None,
) -> DialogueConfig:
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
        sentence_for=SENTENCE_FOR_CODE,
        barge_in_by_speech=barge_in.enabled and barge_in.by_speech and settings.echo.mode != "off",
        barge_in_window_frames=barge_in.window_frames,
        barge_in_speech_frames=barge_in.speech_frames,
        barge_in_hold_off_ms=barge_in.min_after_start_ms,
        memory_turns=memory_turns(settings),
        summaries=summary_terms(settings),
        forget_after_h=settings.conversation.forget_after_h,
        tool_risks=risks,
        tool_terms=terms or {},
        confirm_s=settings.consent.window_s,
        consent_by_voice=settings.consent.by_voice,
        transcription=settings.realtime.transcription,
        flow=flow,
    )


def summary_terms(settings: Settings) -> SummaryTerms:
    """When the old part of a talk is summed up."""
    talk = settings.conversation
    return SummaryTerms(
        how=talk.summarise,
        after_turns=talk.summarise_after_turns,
        after_tokens=talk.summarise_after_tokens,
        keep_turns=talk.keep_turns,
    )


def memory_turns(settings: Settings) -> int:
    """Turns that are remembered word by word: until notes of them should long have been made."""
    talk = settings.conversation
    if talk.summarise == "off":
        return DialogueConfig().memory_turns
    return max(DialogueConfig().memory_turns, 2 * talk.summarise_after_turns)


def session_config(settings: Settings, begin: Told) -> SessionConfig:
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
    builtin = realtime.transcription_model or TRANSCRIBER
    return SessionConfig(
        model=realtime.model,
        voice=realtime.voice,
        instructions=begin.instructions,
        tools=begin.tools,
        turn_detection=turns,
        noise_reduction=None if reduction == "none" else reduction,
        transcription_model=builtin if realtime.transcription == "builtin" else None,
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
        retry_base_s=realtime.backoff_first_s,
        retry_cap_s=realtime.backoff_max_s,
        refused_s=realtime.refused_retry_s,
        outbox_s=realtime.outbox_max_s,
    )


def endpoints(settings: Settings, table: PriceList) -> list[Endpoint]:
    """The services to talk to, the first one first.  Raises `ConfigError`."""
    realtime = settings.realtime
    is_chosen = "ping_timeout_active_s" in realtime.model_fields_set

    def provider(name: str) -> Provider:
        found = provider_from(name, table.record(name).model_dump())
        return replace(found, pong_active_s=None) if is_chosen else found

    first = endpoint_for(
        provider(realtime.provider),
        realtime.model,
        KeySource(realtime.api_key.get_secret_value(), realtime.api_key_file),
        url=realtime.url,
        allow_insecure=realtime.allow_insecure_url,
    )
    others = [
        endpoint_for(
            provider(other.provider),
            other.model,
            KeySource("", other.api_key_file),
            url=other.url,
            allow_insecure=realtime.allow_insecure_url,
            voice=other.voice or None,
        )
        for other in realtime.fallbacks
    ]
    return [first, *others]


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


class KeySource:
    """The key for the next dial.  One that came from `realtime.api_key_file` is read anew every
    time, so that a key put in place later is found without a restart."""

    def __init__(self, key: str, file: str) -> None:
        self._key = key
        self._file = Path(file) if file else None
        # Environment and credential are stronger than the file: then it is not followed.
        if self._file is not None and key and self._try_read() != key:
            self._file = None

    def __call__(self) -> str | None:
        """The key, None without one.  Raises `OSError` if its file cannot be read now."""
        return (self._read(self._file) if self._file is not None else self._key) or None

    def _try_read(self) -> str:
        try:
            return self._read(self._file) if self._file is not None else ""
        except OSError:
            return ""

    @staticmethod
    def _read(path: Path) -> str:
        with path.open("rb") as file:
            raw = file.read(KEY_MAX_BYTES)
        # A byte that is no text stays in and is refused as a key, with a sentence.
        return raw.decode("utf-8-sig", "replace").strip()


# --- the real world ----------------------------------------------------------------------------


def real_world(settings: Settings) -> World:
    """This machine's sound card, network, pins and service manager."""
    from edge_agent.audio.device.portaudio import PortAudioDevice
    from edge_agent.realtime.link.dialer import DialTimings, WebSocketDialer

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
        watch_network=True,
        control=server_path(settings.control.path),
    )
