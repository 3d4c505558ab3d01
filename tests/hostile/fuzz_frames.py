"""Frames that no honest server sends, by a seed: for `Session.receive`, which never raises.

Call `frames`; the same seed gives the same frames.  Each is a real event with something put out of
place, or bytes that were never one.

It never makes a frame larger than some kilobytes.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from edge_agent.realtime.protocol.shapes import SERVER_EVENTS
from edge_agent.realtime.protocol.tracking import TAG_KEY

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**63,
        -(2**64),
        10**400,
        1e308,
        0.1,
        "",
        " ",
        "x",
        "\x00\u202e",
    ),
    *(
        "\ud83d\ude00",
        "9" * 400,
        "resp_1",
        "item_1",
        [],
        {},
        [[]],
        [{}],
        {"id": "resp_1"},
        "{" * 50,
    ),
    *({"type": "function_call"}, [None, 1, "a", {"id": 3}], "a" * 3000),
)
RAW = (
    "",
    "{",
    "[]",
    "null",
    "0",
    '"type"',
    "{}",
    '{"type":1}',
    '{"type":"error"',
    "\x00",
    "\ud800",
)
IDS = ("resp_1", "resp_2", "item_1", "item_2", "call_1", "", "y" * 300)


def frames(seed: int, count: int) -> Iterator[str | bytes]:
    """`count` frames; a session that reads the first two may be used."""
    rng = random.Random(seed)
    kinds = sorted(SERVER_EVENTS)
    yield json.dumps({"type": "session.created", "session": {"id": "s"}})
    yield json.dumps({"type": "session.updated", "session": {"id": "s"}})
    makers: tuple[Callable[[random.Random, list[str]], str | bytes], ...] = (
        *(_event,) * 6,
        *(_torn, _raw, _nested, _digits),
    )
    for _ in range(count - 2):
        yield rng.choice(makers)(rng, kinds)


def _event(rng: random.Random, kinds: list[str]) -> str:
    kind = rng.choice(kinds) if rng.random() < 0.9 else rng.choice(("", "odd.thing", "x" * 99))
    body: dict[str, Any] = {"type": kind, **_fields(rng)}
    for _ in range(rng.randrange(3)):
        _misplace(rng, body)
    return json.dumps(body)


def _fields(rng: random.Random) -> dict[str, Any]:
    sound = base64.b64encode(bytes(rng.randrange(400))).decode()
    is_sound = rng.random() < 0.5
    usage = {"input_tokens": _number(rng), "output_token_details": {"audio_tokens": _number(rng)}}
    item = {
        "id": rng.choice(IDS),
        "type": rng.choice(("message", "function_call", "odd")),
        "status": rng.choice(("completed", "incomplete", None)),
        "call_id": rng.choice(IDS),
        "name": "set_timer",
        "arguments": "{}",
        "content": [{"text": "a"}],
    }
    return {
        "response_id": rng.choice(IDS),
        "item_id": rng.choice(IDS),
        "delta": sound if is_sound else "some words ",
        "transcript": "words",
        "arguments": "{}",
        "audio_start_ms": _number(rng),
        "audio_end_ms": _number(rng),
        "item": item,
        "session": {"id": "s", "model": "m", "expires_at": _number(rng)},
        "error": {"type": "invalid_request_error", "code": "odd_code", "message": "It is odd."},
        "response": {
            "id": rng.choice(IDS),
            "status": rng.choice(("completed", "failed", "cancelled", "in_progress")),
            "output": [item] * rng.randrange(3),
            "usage": usage,
            "metadata": {TAG_KEY: "notes_1"} if rng.random() < 0.2 else {},
            "status_details": {"error": {"code": "server_error"}, "reason": "turn_detected"},
        },
    }


def _number(rng: random.Random) -> Any:
    return rng.choice((0, 1, 250, -5, 1.5, 10**18, 10**400, None, "7"))


def _misplace(rng: random.Random, body: dict[str, Any]) -> None:
    """Put something odd at some depth."""
    place = body
    while True:
        name = rng.choice(sorted(place))
        inner = place[name]
        if not isinstance(inner, dict) or not inner or rng.random() < 0.4:
            break
        place[name] = place = dict(inner)
    if rng.random() < 0.2:
        del place[name]
    elif place is not body or name != "type" or rng.random() < 0.1:
        place[name] = rng.choice(ODD)


def _torn(rng: random.Random, kinds: list[str]) -> str:
    text = _event(rng, kinds)
    at = rng.randrange(len(text))
    return text[:at] + rng.choice(("", "\x00", '"', "}", "\\", "é", "]")) + text[at + 1 :]


def _raw(rng: random.Random, _kinds: list[str]) -> str | bytes:
    return rng.choice(RAW) if rng.random() < 0.7 else rng.randbytes(rng.randrange(60))


def _nested(rng: random.Random, kinds: list[str]) -> str:
    depth = rng.randrange(2000)
    open_, close = rng.choice((("[", "]"), ('{"a":', "}")))
    inside = open_ * depth + "1" + close * depth
    name = rng.choice(("item", "response", "error", "z"))
    return f'{{"type":"{rng.choice(kinds)}","{name}":{inside}}}'


def _digits(rng: random.Random, kinds: list[str]) -> str:
    number = rng.choice(("9", "1", "-8")) * rng.randrange(1, 6000) + rng.choice(("", "e999", ".5"))
    return (
        f'{{"type":"{rng.choice(kinds)}","audio_start_ms":{number},"item_id":"i",'
        f'"response":{{"id":"resp_1","usage":{{"input_tokens":{number}}}}}}}'
    )
