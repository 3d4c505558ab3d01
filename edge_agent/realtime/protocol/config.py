"""Config: what a session should be, and how each dialect is told so.

It must never do I/O or hold a key.

`session_object` writes the `session` of `session.update` (PROTOCOL section 4.1).  Servers
refuse an update as a whole when they do not know one key, so everything that a talk can do
without is an *option* that can be left out: see `OPTIONS` and `option_named`.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

from edge_agent.contract.errors import ConfigError
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.contract.voices import SPEED_MAX, SPEED_MIN, custom_id, on_wire

Dialect = Literal["ga", "beta", "xai"]


@dataclass(frozen=True, slots=True)
class ServerVad:
    """The server ends turns by silence."""

    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int


@dataclass(frozen=True, slots=True)
class SemanticVad:
    """The server ends turns by meaning; waits at most 8, 4 or 2 s for low, medium, high."""

    eagerness: str


TurnDetection = ServerVad | SemanticVad | None
"""None: we end turns ourselves (`CommitAudio`, `RequestResponse`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """All that a session is told when it opens.

    `voice` "" leaves the provider's, "id:…" is one of one's own (`contract.voices`);
    `noise_reduction` is `near_field`, `far_field` or None;
    `transcription_model` None switches input transcription off, "" leaves it to the endpoint, where
    it comes to nothing if that names none; `max_output_tokens` None is
    "inf"; `reasoning_effort` None leaves it to the model; `keep_tokens` and `keep_ratio` limit
    the context that every response pays for (retention ratio, PROTOCOL section 9).
    Raises `ConfigError` when a value is outside what the protocol allows.
    """

    model: str
    voice: str
    instructions: str
    tools: tuple[Mapping[str, object], ...]
    turn_detection: TurnDetection
    noise_reduction: str | None
    transcription_model: str | None
    transcription_language: str | None
    max_output_tokens: int | None
    speed: float
    reasoning_effort: str | None
    keep_ratio: float | None = None
    keep_tokens: int | None = None

    def __post_init__(self) -> None:
        vad = self.turn_detection
        rules = (
            ("model", bool(self.model.strip()), "must not be empty"),
            (
                "speed",
                SPEED_MIN <= self.speed <= SPEED_MAX,
                f"must be {SPEED_MIN} to {SPEED_MAX}",
            ),
            (
                "max_output_tokens",
                self.max_output_tokens is None or 1 <= self.max_output_tokens <= 4096,
                "must be 1 to 4096, or unset for no limit",
            ),
            (
                "noise_reduction",
                self.noise_reduction in (None, "near_field", "far_field"),
                "must be near_field, far_field or unset",
            ),
            (
                "reasoning_effort",
                self.reasoning_effort in (None, "minimal", "low", "medium", "high", "xhigh"),
                "must be minimal, low, medium, high, xhigh or unset",
            ),
            (
                "keep_ratio",
                self.keep_ratio is None or 0 < self.keep_ratio <= 1,
                "must be above 0 and at most 1",
            ),
            ("keep_tokens", self.keep_tokens is None or self.keep_tokens > 0, "must be above 0"),
            (
                "eagerness",
                not isinstance(vad, SemanticVad)
                or vad.eagerness in ("low", "medium", "high", "auto"),
                "must be low, medium, high or auto",
            ),
            (
                "threshold",
                not isinstance(vad, ServerVad) or 0 <= vad.threshold <= 1,
                "must be 0 to 1",
            ),
        )
        for name, good, rule in rules:
            if not good:
                raise ConfigError(f"The session setting {name} {rule}.", fix="Correct it.")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider's servers understand.

    `reasoning_models`: names, or their beginnings, of the models that take an effort; None means
    all of them, but for those named in `plain_models`.
    `acknowledges`: it answers a `session.update`; one that does not has taken what it says nothing
    against.
    `greets`: it sends `session.created` by itself.  `probe`: it answers an empty
    `session.update` at once, even while a response is generated.
    `voice`, `speed`, `vad_options`: it takes a voice, its speed, and the options of its voice
    detector.
    `append_max_bytes`: the most PCM that one append may carry.
    """

    truncate: bool
    side_questions: bool
    noise_reduction: bool
    semantic_vad: bool
    transcription: bool
    truncation: bool
    reasoning_models: tuple[str, ...] | None
    plain_models: frozenset[str]
    greets: bool
    acknowledges: bool
    probe: bool
    voice: bool
    speed: bool
    vad_options: bool
    append_max_bytes: int


OPTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("reasoning", ("reasoning",)),
    ("truncation", ("truncation", "retention_ratio")),
    ("noise_reduction", ("noise_reduction",)),
    ("speed", ("speed",)),
    ("transcription_language", ("transcription.language", "language")),
    ("transcription", ("transcription",)),
    ("semantic_vad", ("semantic_vad", "eagerness", "turn_detection")),
    (
        "vad_tuning",
        ("threshold", "prefix_padding_ms", "silence_duration_ms", "turn_detection"),
    ),
    ("max_output_tokens", ("max_output_tokens", "max_response_output_tokens")),
    ("voice", ("voice",)),
    ("turn_detection", ("turn_detection",)),
    ("tools", ("tools",)),
)
"""Option and the words by which a refusal names it, in the order in which options are given up
when a refusal names none: what the household would miss least comes first."""

_KEEP_TOKENS_RATIO = 0.8
"""Retention ratio when only a token limit is set: few, large cuts keep the cache warm."""


NO_INSTRUCTIONS = "Talk with whoever speaks to you, in their language, briefly."
"""Sent where there are no instructions: for an empty text the service puts in a prompt of its own
(recorded), which nobody in this house has written."""


def _takes_reasoning(model: str, can: Capabilities) -> bool:
    """Whether this model may be sent an effort.  Its name is that of a model that takes one, or
    goes on after it with a dot or a hyphen: a date is no version."""
    if model in can.plain_models:
        return False
    if can.reasoning_models is None:
        return True
    return any(
        model == name or model.startswith((f"{name}.", f"{name}-")) for name in can.reasoning_models
    )


def wanted_options(config: SessionConfig, can: Capabilities) -> frozenset[str]:
    """The options of `OPTIONS` that this configuration asks this provider for."""
    vad = config.turn_detection
    transcribes = bool(config.transcription_model) and can.transcription
    asked = {
        "reasoning": config.reasoning_effort is not None and _takes_reasoning(config.model, can),
        "truncation": bool(config.keep_ratio or config.keep_tokens) and can.truncation,
        "noise_reduction": config.noise_reduction is not None and can.noise_reduction,
        "speed": config.speed != 1.0 and can.speed,
        "transcription_language": transcribes and bool(config.transcription_language),
        "transcription": transcribes,
        "semantic_vad": isinstance(vad, SemanticVad) and can.semantic_vad,
        "vad_tuning": isinstance(vad, ServerVad) and can.vad_options,
        "max_output_tokens": config.max_output_tokens is not None,
        "voice": bool(config.voice) and can.voice,
        # Without it the server runs its own default detector, so manual turns cannot give it up.
        "turn_detection": vad is not None,
        "tools": bool(config.tools),
    }
    return frozenset(name for name, is_asked in asked.items() if is_asked)


def option_named(param: str, message: str, still_used: Set[str]) -> str | None:
    """The option that a refused update is about; None: it names none.

    `param` is trusted before `message`; both may be empty.
    """
    for text in (param, message):
        for name, words in OPTIONS:
            if name in still_used and any(word in text for word in words):
                return name
    return None


def least_missed(still_used: Set[str]) -> str | None:
    """The option to give up where a refusal names none; None: no more."""
    return next((name for name, _ in OPTIONS if name in still_used), None)


def ignored_options(
    config: SessionConfig, used: Set[str], echo: Mapping[str, Any]
) -> frozenset[str]:
    """Options of ours that the configuration in force says otherwise about.

    Only what the server states counts: many echo nothing, or half of it.
    """
    heard, spoken = (_inside(echo, "audio", way) for way in ("input", "output"))
    ignored = set()
    voice = spoken.get("voice", echo.get("voice"))
    if isinstance(voice, Mapping):
        voice = voice.get("id")
    wanted = custom_id(config.voice) or config.voice
    if "voice" in used and isinstance(voice, str) and voice != wanted:
        ignored.add("voice")
    if any("turn_detection" in place for place in (heard, echo)):
        stated = heard.get("turn_detection", echo.get("turn_detection"))
        kind = stated.get("type") if isinstance(stated, Mapping) else None
        asked = (_turn_detection(config, used) or {}).get("type")
        if kind != asked and ("turn_detection" in used or asked is None):
            ignored.add("turn_detection")
    if "transcription" in used and "transcription" in heard and heard["transcription"] is None:
        ignored.add("transcription")
    tools = echo.get("tools")
    if "tools" in used and isinstance(tools, list):
        named = (tool.get("name") for tool in tools if isinstance(tool, Mapping))
        known = {name for name in named if isinstance(name, str)}
        if any(tool.get("name") not in known for tool in config.tools):
            ignored.add("tools")
    return frozenset(ignored)


def _inside(fields: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for key in path:
        inner = fields.get(key)
        if not isinstance(inner, Mapping):
            return {}
        fields = inner
    return fields


def _told(instructions: str) -> str:
    return instructions if instructions.strip() else NO_INSTRUCTIONS


def session_object(config: SessionConfig, use: Set[str], dialect: Dialect) -> dict[str, Any]:
    """The `session` of the opening `session.update`, with the options in `use` only."""
    if dialect == "ga":
        return _ga(config, use)
    return _flat(config, use, dialect)


def session_patch(
    instructions: str | None, tools: tuple[Mapping[str, object], ...] | None, dialect: Dialect
) -> dict[str, Any]:
    """The `session` of a later change: only what is not None."""
    patch: dict[str, Any] = {"type": "realtime"} if dialect == "ga" else {}
    if instructions is not None:
        patch["instructions"] = _told(instructions)
    if tools is not None:
        patch["tools"] = [dict(tool) for tool in tools]
    return patch


def _turn_detection(config: SessionConfig, use: Set[str]) -> dict[str, Any] | None:
    vad = config.turn_detection
    if vad is None:
        return None
    detection: dict[str, Any] = {"type": "server_vad"}
    if isinstance(vad, SemanticVad) and "semantic_vad" in use:
        detection = {"type": "semantic_vad", "eagerness": vad.eagerness}
    elif isinstance(vad, ServerVad) and "vad_tuning" in use:
        detection["threshold"] = vad.threshold
        detection["prefix_padding_ms"] = vad.prefix_padding_ms
        detection["silence_duration_ms"] = vad.silence_duration_ms
    return detection


def _transcription(config: SessionConfig, use: Set[str]) -> dict[str, Any]:
    transcription = {"model": config.transcription_model}
    if "transcription_language" in use:
        transcription["language"] = config.transcription_language
    return transcription


def _ga(config: SessionConfig, use: Set[str]) -> dict[str, Any]:
    audio_format = {"type": "audio/pcm", "rate": WIRE_RATE_HZ}
    heard: dict[str, Any] = {"format": audio_format}
    spoken: dict[str, Any] = {"format": audio_format}
    session: dict[str, Any] = {
        "type": "realtime",
        "instructions": _told(config.instructions),
        "output_modalities": ["audio"],
        "audio": {"input": heard, "output": spoken},
    }
    detection = _turn_detection(config, use)
    if detection is None:
        heard["turn_detection"] = None
    elif "turn_detection" in use:
        heard["turn_detection"] = {
            **detection,
            "create_response": True,
            "interrupt_response": True,
        }
    if "noise_reduction" in use:
        heard["noise_reduction"] = {"type": config.noise_reduction}
    if "transcription" in use:
        heard["transcription"] = _transcription(config, use)
    if "voice" in use:
        spoken["voice"] = on_wire(config.voice)
    if "speed" in use:
        spoken["speed"] = config.speed
    if "tools" in use:
        session["tools"] = [dict(tool) for tool in config.tools]
    if "max_output_tokens" in use:
        session["max_output_tokens"] = config.max_output_tokens
    if "reasoning" in use:
        session["reasoning"] = {"effort": config.reasoning_effort}
    if "truncation" in use:
        truncation: dict[str, Any] = {
            "type": "retention_ratio",
            "retention_ratio": config.keep_ratio or _KEEP_TOKENS_RATIO,
        }
        if config.keep_tokens:
            truncation["token_limits"] = {"post_instructions": config.keep_tokens}
        session["truncation"] = truncation
    return session


def _flat(config: SessionConfig, use: Set[str], dialect: Dialect) -> dict[str, Any]:
    """The shape with everything on top: retired beta servers (section 11), xAI (section 12)."""
    session: dict[str, Any] = {"instructions": _told(config.instructions)}
    if dialect == "beta":
        session["modalities"] = ["text", "audio"]
        session["input_audio_format"] = "pcm16"
        session["output_audio_format"] = "pcm16"
        if "noise_reduction" in use:
            session["input_audio_noise_reduction"] = {"type": config.noise_reduction}
        if "transcription" in use:
            session["input_audio_transcription"] = _transcription(config, use)
        if "max_output_tokens" in use:
            session["max_response_output_tokens"] = config.max_output_tokens
        if "speed" in use:
            session["speed"] = config.speed
    else:
        audio_format = {"type": "audio/pcm", "rate": WIRE_RATE_HZ}
        session["audio"] = {"input": {"format": audio_format}, "output": {"format": audio_format}}
    detection = _turn_detection(config, use)
    if detection is None or "turn_detection" in use:
        session["turn_detection"] = detection
    if "voice" in use:
        # xAI takes the id of a custom voice where it takes a name; the retired servers had none.
        session["voice"] = custom_id(config.voice) or config.voice
    if "tools" in use:
        session["tools"] = [dict(tool) for tool in config.tools]
    return session


def output_format_problem(session: Mapping[str, Any]) -> str:
    """Why the audio that this effective `session` promises could not be played; "" if it can.

    Only what the server states explicitly counts: many local servers echo nothing.
    """
    stated: Any = session.get("output_audio_format")
    for key in ("audio", "output", "format"):
        if key == "audio":
            inner: Any = session
        if not isinstance(inner, Mapping):
            break
        inner = inner.get(key)
    else:
        stated = inner or stated
    kind = stated.get("type") if isinstance(stated, Mapping) else stated
    rate = stated.get("rate") if isinstance(stated, Mapping) else None
    if isinstance(kind, str) and kind not in ("audio/pcm", "pcm16", "pcm"):
        return f"it would speak in the format {kind[:32]!r}"
    if isinstance(rate, (int, float)) and rate not in (0, WIRE_RATE_HZ):
        return f"it would speak at {rate:g} Hz"
    return ""
