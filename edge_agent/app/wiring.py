"""Wiring: the owner's settings in each room's own words.

It must never start or decide anything: `daemon` does, and a room never sees `Settings`.  Services
and keys are in `endpoints`, the persona in `session_start`.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.app.session_start import SessionStart
from edge_agent.app.sound.questions import wording_in
from edge_agent.audio.detectors import WakeDetector
from edge_agent.contract.events import ToolTerms
from edge_agent.contract.risk import Risk
from edge_agent.contract.transcript import Hints
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.prompting.flow import FlowTerms
from edge_agent.dialogue.recall.summaries import SummaryTerms, wish_for
from edge_agent.host.price_list import ProviderRecord
from edge_agent.host.settings.root import Settings
from edge_agent.host.voice.sentences import SENTENCE_FOR_CODE
from edge_agent.panel.gpio import PanelConfig
from edge_agent.realtime.link.liveness import LinkTimings
from edge_agent.realtime.protocol.config import (
    Capabilities,
    SemanticVad,
    ServerVad,
    SessionConfig,
    TurnDetection,
)
from edge_agent.realtime.providers import Provider

MEMORY_TURNS = 12
"""Told to a fresh session word by word where nobody takes notes: what a talk still refers to."""


def dialogue_config(
    settings: Settings,
    risks: Mapping[str, Risk],
    flow: FlowTerms | None = None,
    terms: Mapping[str, ToolTerms] | None = None,
    *,
    has_button: bool,
) -> DialogueConfig:
    """What the dialogue has to know of the settings, and whether there is a talk button."""
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
        barge_in_min_after_start_ms=barge_in.min_after_start_ms,
        memory_turns=memory_turns(settings),
        summaries=summary_terms(settings),
        forget_after_h=settings.conversation.forget_after_h,
        tool_risks=risks,
        tool_terms=terms or {},
        confirm_s=settings.consent.window_s,
        consent_by_voice=settings.consent.by_voice,
        guest_end_by_button=settings.guest.end_by_button,
        wording=wording_in(settings.speech.language),
        has_button=has_button,
        transcription=settings.realtime.transcription,
        transcription_hints=transcription_hints(settings),
        transcription_context=settings.transcription.context_items,
        flow=flow,
    )


def transcription_hints(settings: Settings) -> Hints:
    """What helps whoever writes down what is said."""
    wishes = settings.transcription
    languages = (settings.realtime.transcription_language, *wishes.languages)
    return Hints(
        wishes.prompt, wishes.keywords, tuple(dict.fromkeys(one for one in languages if one))
    )


def summary_terms(settings: Settings) -> SummaryTerms:
    """When the old part of a talk is summed up."""
    talk = settings.conversation
    return SummaryTerms(
        how=talk.summarise,
        after_turns=talk.summarise_after_turns,
        after_tokens=talk.summarise_after_tokens,
        keep_turns=talk.keep_turns,
        wish=wish_for(talk.summary_language, talk.summary_wish),
    )


def memory_turns(settings: Settings) -> int:
    """Turns that are remembered word by word: until notes of them should long have been made."""
    talk = settings.conversation
    if talk.summarise == "off":
        return MEMORY_TURNS
    return max(MEMORY_TURNS, 2 * talk.summarise_after_turns)


def session_config(settings: Settings, begin: SessionStart) -> SessionConfig:
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
        instructions=begin.instructions,
        tools=begin.tools,
        turn_detection=turns,
        noise_reduction=None if reduction == "none" else reduction,
        transcription_model=realtime.transcription_model
        if realtime.transcription == "builtin"
        else None,
        transcription_hints=transcription_hints(settings),
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
        chip=panel.chip,
        button_pin=panel.button_pin,
        mute_button_pin=panel.mute_button_pin,
        led_pin=panel.led_pin,
        rgb_pins=panel.rgb_pins,
        led_active_high=panel.led_active_high,
        pull_up=panel.pull_up,
        button_inverted=panel.button_inverted,
        bounce_ms=panel.bounce_ms,
    )


def provider_of(name: str, record: ProviderRecord) -> Provider:
    """One record of the table of providers, in the link's words."""
    reasons = {model: its.reasoning for model, its in record.models.items()}
    return Provider(
        name=name,
        url_template=record.url,
        model_param=record.model_param,
        auth=record.auth,
        dialects=record.dialects,
        transcriber=record.transcription_model,
        capabilities=Capabilities(
            truncate=record.can.truncate,
            side_questions=record.can.side_questions,
            noise_reduction=record.can.noise_reduction,
            semantic_vad=record.can.semantic_vad,
            transcription=record.can.transcription,
            truncation=record.can.truncation,
            reasoning_models=None
            if record.unknown_models_reason
            else tuple(model for model, yes in reasons.items() if yes),
            plain_models=frozenset(model for model, yes in reasons.items() if yes is False),
            greets=record.can.greets,
            acknowledges=record.can.acknowledges,
            probe=record.can.probe,
            voice=record.can.voice,
            speed=record.can.speed,
            vad_options=record.can.vad_options,
            append_max_bytes=record.append_max_bytes,
        ),
        max_session_s=record.session_max_s,
        pong_active_s=record.pong_active_s,
        close_hints=record.close_hints,
    )
