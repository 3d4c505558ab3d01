"""Shape, defaults and merging of the session object.

It must never hold state.  The source of the shapes is the public GA reference; ranges that the
reference leaves open are left open here too, so that a client is not refused for what the real
service takes.
"""

from __future__ import annotations

import copy

from edge_agent.simulation.realtime_server.checks import (
    Check,
    any_table,
    anything,
    array,
    boolean,
    integer,
    nullable,
    number,
    one_of,
    string,
    string_or,
    table,
    tagged,
    wrong_value,
)

Json = dict[str, object]

OUTPUT_TOKENS_MAX = 32_768  # gpt-realtime-2 family; 4,096 before, not enforced
IDLE_TIMEOUT_MAX_MS = 30_000  # the reference's upper end

VOICES = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)
DEFAULT_MODEL = "gpt-realtime-2.1"
DEFAULT_INSTRUCTIONS = (
    "You are a simulated voice of the edge-agent project. You answer with what you were given."
)


def takes_reasoning(model: str) -> bool:
    """Whether `model` belongs to the family that accepts `reasoning`."""
    return model.startswith("gpt-realtime-2") and not model.startswith("gpt-realtime-20")


# -- parts of a session --------------------------------------------------------------------

FORMAT = tagged(
    "type",
    {
        "audio/pcm": table(
            {"type": one_of("audio/pcm"), "rate": integer(24_000, 24_000)}, required=("type",)
        ),
        "audio/pcmu": table({"type": one_of("audio/pcmu")}),
        "audio/pcma": table({"type": one_of("audio/pcma")}),
    },
)
TURN_DETECTION = tagged(
    "type",
    {
        "server_vad": table(
            {
                "type": anything,
                "threshold": number(0.0, 1.0),
                "prefix_padding_ms": integer(0),
                "silence_duration_ms": integer(0),
                "idle_timeout_ms": nullable(integer(1, IDLE_TIMEOUT_MAX_MS)),
                "create_response": boolean,
                "interrupt_response": boolean,
            }
        ),
        "semantic_vad": table(
            {
                "type": anything,
                "eagerness": one_of("low", "medium", "high", "auto"),
                "create_response": boolean,
                "interrupt_response": boolean,
            }
        ),
    },
)
TURN_DETECTION_DEFAULTS: dict[str, Json] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}
TRANSCRIPTION = table(
    {
        "model": string(min_length=1),
        "language": string(),
        "languages": array(string()),
        "keywords": array(string()),
        "prompt": string(),
        "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
    }
)
NOISE_REDUCTION = table(
    {"type": one_of("near_field", "far_field"), "strength": number(0.0, 1.0)}, required=("type",)
)
AUDIO_INPUT = table(
    {
        "format": FORMAT,
        "noise_reduction": nullable(NOISE_REDUCTION),
        "transcription": nullable(TRANSCRIPTION),
        "turn_detection": nullable(TURN_DETECTION),
    }
)
VOICE = string_or(one_of(*VOICES), table({"id": string(min_length=1)}, required=("id",)))
TOOL_NAME = string(pattern=r"[a-zA-Z0-9_-]{1,64}")
_MCP = table(
    {
        "type": anything,
        "server_label": string(min_length=1),
        "server_url": string(),
        "connector_id": string(),
        "tunnel_id": string(),
        "authorization": nullable(string()),
        "headers": nullable(any_table),
        "allowed_tools": anything,
        "require_approval": anything,
        "server_description": nullable(string()),
        "defer_loading": boolean,
        "allowed_callers": array(one_of("direct", "programmatic")),
    },
    required=("server_label",),
)
TOOL = tagged(
    "type",
    {
        "function": table(
            {
                "type": anything,
                "name": TOOL_NAME,
                "description": string(),
                "parameters": any_table,
            },
            required=("name",),
        ),
        "mcp": _MCP,
    },
)
TOOL_CHOICE = string_or(
    one_of("auto", "none", "required"),
    tagged(
        "type",
        {
            "function": table({"type": anything, "name": TOOL_NAME}, required=("name",)),
            "mcp": table(
                {"type": anything, "server_label": string(), "name": nullable(string())},
                required=("server_label",),
            ),
        },
    ),
)
TRUNCATION = string_or(
    one_of("auto", "disabled"),
    tagged(
        "type",
        {
            "retention_ratio": table(
                {
                    "type": anything,
                    "retention_ratio": number(0.0, 1.0),
                    "token_limits": table({"post_instructions": integer(0)}),
                },
                required=("retention_ratio",),
            )
        },
    ),
)
TRACING = nullable(
    string_or(
        one_of("auto"),
        table({"workflow_name": string(), "group_id": string(), "metadata": any_table}),
    )
)
REASONING = table({"effort": one_of("minimal", "low", "medium", "high", "xhigh")})
INCLUDE = nullable(array(one_of("item.input_audio_transcription.logprobs")))


def modalities(value: object, path: str) -> None:
    """Exactly one of `["audio"]` and `["text"]`; audio always carries its transcript."""
    array(one_of("text", "audio"))(value, path)
    if value not in (["audio"], ["text"]):
        raise wrong_value(
            path,
            f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio'].",
        )


def output_tokens(value: object, path: str) -> None:
    """A whole number in the models' range, or `inf`."""
    if value != "inf":
        integer(1, OUTPUT_TOKENS_MAX)(value, path)


SESSION: dict[str, Check] = {
    "realtime": table(
        {
            "type": anything,
            "model": string(min_length=1),
            "instructions": string(),
            "output_modalities": modalities,
            "audio": table(
                {
                    "input": AUDIO_INPUT,
                    "output": table({"format": FORMAT, "voice": VOICE, "speed": number(0.25, 1.5)}),
                }
            ),
            "tools": array(TOOL, max_length=128),
            "tool_choice": TOOL_CHOICE,
            "parallel_tool_calls": boolean,
            "reasoning": REASONING,
            "max_output_tokens": output_tokens,
            "truncation": TRUNCATION,
            "tracing": TRACING,
            "include": INCLUDE,
            "prompt": nullable(any_table),
        }
    ),
    "transcription": table(
        {"type": anything, "audio": table({"input": AUDIO_INPUT}), "include": INCLUDE}
    ),
}


def check_session(patch: object, kind: str) -> None:
    """Raise `BadParameter` unless `patch` may update a session of that kind."""
    tagged("type", {kind: SESSION[kind]})(patch, "session")


def default_session(kind: str, session_id: str, model: str) -> Json:
    """The session object as a client finds it in `session.created`."""
    audio_input: Json = {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "noise_reduction": None,
        "transcription": None,
        "turn_detection": copy.deepcopy(TURN_DETECTION_DEFAULTS["server_vad"]),
    }
    if kind == "transcription":
        audio_input["transcription"] = {"model": "gpt-transcribe"}
        return {
            "type": kind,
            "object": "realtime.transcription_session",
            "id": session_id,
            "audio": {"input": audio_input},
            "include": None,
        }
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "instructions": DEFAULT_INSTRUCTIONS,
        "output_modalities": ["audio"],
        "audio": {
            "input": audio_input,
            "output": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "voice": "marin",
                "speed": 1.0,
            },
        },
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "include": None,
        "prompt": None,
    }


# Replaced whole when present: a half-merged tool list, format or choice would mean nothing.
_REPLACED = frozenset({"tools", "tool_choice", "truncation", "tracing", "reasoning", "voice"})


def merged(current: object, patch: object, key: str = "") -> object:
    """`patch` laid over `current`: only present keys change; neither argument is modified."""
    if not isinstance(patch, dict) or key in _REPLACED:
        return copy.deepcopy(patch)
    if key == "format" and patch.get("type") == "audio/pcm":
        return {"type": "audio/pcm", "rate": 24_000}
    if key == "format":
        return {"type": patch["type"]}
    base = current if isinstance(current, dict) else {}
    if key == "turn_detection" and base.get("type") != patch.get("type"):
        base = TURN_DETECTION_DEFAULTS[str(patch["type"])]
    result = copy.deepcopy(base)
    for name, value in patch.items():
        result[name] = merged(base.get(name), value, name)
    return result
