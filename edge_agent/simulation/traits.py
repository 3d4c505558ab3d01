"""Traits: ways of a server that are not those of the service, by name.

`RealtimeServer(traits=[TRAITS["flood"]])`, or `edge-agent simulate-server --as flood`.  A trait
sets switches (`faults`), says things beside the honest session once that is configured (`says`), or
answers pings late (`late_pongs`), or changes events on their way as a service was recorded to
(`manner`); a new one is a line in the table.

Thread: the event loop that serves.  It never changes what the honest session does.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from edge_agent.contract.errors import WireClosed
from edge_agent.contract.ports import Wire
from edge_agent.simulation.manners import MANNERS, Manner

BURST = 64  # frames between two turns for the honest session
TONE_HZ, RATE_HZ = 440.0, 24_000
TAG_KEY = "edge_agent_side_question"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is said for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """The connection ends with this."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes below the messages: frames of the WebSocket itself.  A wire in memory has none."""

    data: bytes


Saying = str | Pause | Close | Raw
Says = Callable[[str], Iterator[Saying]]
"""What is said, given the client's key."""


@dataclass(frozen=True, slots=True)
class Trait:
    """One way of a server: what it is, for people; switches as for `Faults.parse`; what it says;
    what it makes of each event."""

    what: str
    faults: str = ""
    says: Says | None = None
    late_pongs: bool = False
    """Pings are acknowledged and answered late (`late_pongs`)."""
    manner: Manner | None = None


class Configurable(Protocol):
    """What is needed of a session."""

    @property
    def configured(self) -> asyncio.Event:
        """Set once the client's configuration has been acknowledged."""


async def speak(says: Says, key: str, session: Configurable, wire: Wire) -> None:
    """Say it all, once the session is configured; returns when the wire is closed."""
    await session.configured.wait()
    try:
        for number, saying in enumerate(says(key)):
            if isinstance(saying, Pause):
                await asyncio.sleep(saying.seconds)
            elif isinstance(saying, Close):
                await wire.close(saying.code, saying.reason)
                return
            elif isinstance(saying, Raw):
                if (send_raw := getattr(wire, "send_raw", None)) is not None:
                    await send_raw(saying.data)
            else:
                await wire.send(saying)
            if number % BURST == 0:
                await asyncio.sleep(0)
    except WireClosed:
        return


# --- frames -------------------------------------------------------------------------------------


def _frame(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, "event_id": "event_hostile", **fields})


def _begun(response: str, tag: str = "") -> str:
    body = {"id": response, "metadata": {TAG_KEY: tag} if tag else {}}
    return _frame("response.created", response=body)


def _done(response: str, status: str = "completed", **fields: object) -> str:
    return _frame("response.done", response={"id": response, "status": status, **fields})


def _failed(response: str, code: str, message: str = "It failed.") -> str:
    error = {"type": "server_error", "code": code, "message": message}
    return _done(response, "failed", status_details={"type": "failed", "error": error})


def _error(code: str, message: str = "It is odd.") -> str:
    return _frame(
        "error", error={"type": "invalid_request_error", "code": code, "message": message}
    )


def _delta(response: str, item: str, seconds: float) -> str:
    second = b"".join(
        struct.pack("<h", round(3000 * math.sin(2 * math.pi * TONE_HZ * n / RATE_HZ)))
        for n in range(RATE_HZ)
    )
    pcm = (second * math.ceil(seconds))[: 2 * round(seconds * RATE_HZ)]
    audio = base64.b64encode(pcm).decode()
    return _frame("response.output_audio.delta", response_id=response, item_id=item, delta=audio)


def _written(response: str, item: str, text: str, kind: str = "output_audio_transcript") -> str:
    return _frame(f"response.{kind}.delta", response_id=response, item_id=item, delta=text)


TEXT = "and so on " * 1000


# --- what hostile servers say ------------------------------------------------------------------


def _flood(_key: str) -> Iterator[Saying]:
    return (_error(f"odd_{n}") for n in itertools.count())


def _garbage(_key: str) -> Iterator[Saying]:
    return itertools.cycle(("{", _frame("rate_limits.updated")))


def _unknown(_key: str) -> Iterator[Saying]:
    return (_frame(f"odd.thing_{n}") for n in itertools.count())


def _failures(_key: str) -> Iterator[Saying]:
    for n in itertools.count():
        yield _begun(f"bad_{n}")
        yield _failed(f"bad_{n}", "server_error")


def _lures(_key: str) -> Iterator[Saying]:
    """Between them it hears whatever the speaker would send for it."""
    for n in itertools.count():
        yield _begun(f"lure_{n}")
        yield _delta(f"lure_{n}", f"lure_item_{n}", 0.02)
        yield _done(f"lure_{n}")
        yield _frame("input_audio_buffer.speech_started", audio_start_ms=n, item_id=f"lured_{n}")
        yield Pause(3.0)


def _huge_delta(_key: str) -> Iterator[Saying]:
    yield _begun("big")
    delta = _delta("big", "big_item", 360.0)  # 23 MB
    while True:
        yield delta


def _long_delta(_key: str) -> Iterator[Saying]:
    delta = _delta("long", "long_item", 120.0)
    yield _begun("long")
    while True:
        yield delta
        yield Pause(1.0)


def _many_calls(_key: str) -> Iterator[Saying]:
    call = {"type": "function_call", "name": "clock", "status": "completed", "arguments": "{}"}
    for size in itertools.cycle((100_000, 5_000)):
        output = [{**call, "id": f"i{n}", "call_id": f"c{n}"} for n in range(size)]
        yield _done(f"calls_{size}", output=output)
        yield Pause(0.5)


def _side_text(_key: str) -> Iterator[Saying]:
    yield _begun("side", "notes_1")
    while True:
        yield _written("side", "item", TEXT, "output_text")


def _transcript(_key: str) -> Iterator[Saying]:
    yield _begun("talks")
    while True:
        yield _written("talks", "item", TEXT)


def _responses(_key: str) -> Iterator[Saying]:
    return (_begun(f"endless_{n}") for n in itertools.count())


def _items(_key: str) -> Iterator[Saying]:
    yield _begun("items")
    yield from (_delta("items", f"item_{n}", 0.02) for n in itertools.count())


def _answers(_key: str) -> Iterator[Saying]:
    for n in itertools.count():
        yield _begun(f"short_{n}")
        yield _delta(f"short_{n}", f"one_{n}", 0.001)
        yield _done(f"short_{n}", usage={"input_tokens": 10**30, "output_tokens": 10**400})


def _deltas(_key: str) -> Iterator[Saying]:
    yield _begun("sings")
    yield from itertools.repeat(_delta("sings", "song", 1.0))


def _added(_key: str) -> Iterator[Saying]:
    for n in itertools.count():
        item = {"id": f"added_{n}", "type": "message", "role": "user", "content": []}
        yield _frame("conversation.item.added", item=item)


def _ids(_key: str) -> Iterator[Saying]:
    for n in itertools.count():
        name = f"{n}" + "x" * 1_000_000
        yield _begun(name)
        yield _frame("conversation.item.added", item={"id": name, "role": name})
        yield _frame(name)


def _deep(_key: str) -> Iterator[Saying]:
    opened = "[" * 4_000_000
    while True:
        yield f'{{"type":"response.done","response":{opened}'
        yield f'{{"type":"odd","x":{opened}'


def _parts(_key: str) -> Iterator[Saying]:
    while True:
        numbers = ",".join(["1.5"] * 2_000_000)
        yield f'{{"type":"response.done","response":{{"id":"p","output":[{numbers}]}}}}'


def _numbers(_key: str) -> Iterator[Saying]:
    for digits in itertools.cycle((20, 400, 4_000, 6_000_000)):
        number = "9" * digits
        kind = "input_audio_buffer.speech_started"
        yield f'{{"type":"{kind}","item_id":"i","audio_start_ms":{number}}}'
        usage = f'{{"input_tokens":{number}}}'
        yield f'{{"type":"response.done","response":{{"id":"n","usage":{usage}}}}}'
        yield Pause(0.01)


def _words(_key: str) -> Iterator[Saying]:
    for n in itertools.count():
        yield _written("words", f"item_{n}", "x" * 4_000_000)
        item = f"turn_{n}"
        kind = "conversation.item.input_audio_transcription.completed"
        yield _frame(kind, item_id=item, transcript="y" * 4_000_000)


def _echo(key: str) -> Iterator[Saying]:
    for text in (key, f"not {key}", f"\x1b[31m{key}\u202e", f"a {key}" * 9):
        yield _error(text, text)
        yield _begun(text)
        yield _failed("echo", text, text)
        yield _frame(text)
        yield f'{{"type":"response.done","response":"{key}"}}'
    yield Pause(1.0)
    yield Close(1008, f"not with {key}")


def _pings(_key: str) -> Iterator[Saying]:
    return itertools.repeat(Raw(b"\x89\x00" * 50_000 + (b"\x89\x7d" + b"p" * 125) * 1000))


def _pongs(_key: str) -> Iterator[Saying]:
    return itertools.repeat(Raw(b"\x8a\x00" * 50_000))


def _empty(_key: str) -> Iterator[Saying]:
    return itertools.repeat(Raw(b"\x81\x00" * 50_000))


def _crumbs(_key: str) -> Iterator[Saying]:
    text = _error("odd").encode()
    begin, rest = text[:1], text[1:-1]
    crumbs = b"\x01\x01" + begin + b"".join(b"\x00\x01" + bytes([one]) for one in rest)
    return itertools.repeat(Raw((crumbs + b"\x80\x01" + text[-1:]) * 500))


def _fragments(_key: str) -> Iterator[Saying]:
    yield Raw(b"\x01\x01{")
    yield from itertools.repeat(Raw(b"\x00\x00" * 50_000))


def _flap(key: str) -> Iterator[Saying]:
    yield Close(4321, f"go away {key}")


TRAITS: dict[str, Trait] = {
    "openai": Trait("as OpenAI, recorded in July 2026", manner=MANNERS["openai"]),
    "azure": Trait("as Azure v1: no such transcription deployment", manner=MANNERS["azure"]),
    "xai": Trait("as xAI: its session, long call ids, bill beside", manner=MANNERS["xai"]),
    "localai": Trait("as LocalAI: side questions join the talk", manner=MANNERS["localai"]),
    "speaches": Trait(
        "as Speaches: takes instructions and tools only", "legacy_names", manner=MANNERS["speaches"]
    ),
    "flood": Trait("error events without end", says=_flood),
    "garbage": Trait("every other frame is no JSON", says=_garbage),
    "unknown": Trait("event types that do not exist, without end", says=_unknown),
    "failures": Trait("responses that nobody asked for fail, without end", says=_failures),
    "lures": Trait("20 ms answers that nobody asked for, and then 'speech started'", says=_lures),
    "huge-delta": Trait("23 MB of sound in one frame, again and again", says=_huge_delta),
    "long-delta": Trait("two minutes of sound in one frame, every second", says=_long_delta),
    "many-calls": Trait("100,000 calls in one response", says=_many_calls),
    "side-text": Trait("a side answer without end", says=_side_text),
    "transcript": Trait("a transcript without end", says=_transcript),
    "responses": Trait("responses that begin and never end", says=_responses),
    "items": Trait("one answer of items without end", says=_items),
    "answers": Trait("answers of one millisecond and absurd bills, without end", says=_answers),
    "deltas": Trait("an answer that is never over, as fast as it can be sent", says=_deltas),
    "added": Trait("conversation items without end", says=_added),
    "ids": Trait("ids and types of 1 MB", says=_ids),
    "deep": Trait("JSON four million levels deep", says=_deep),
    "parts": Trait("two million numbers in one frame", says=_parts),
    "numbers": Trait("integers of up to six million digits", says=_numbers),
    "words": Trait("4 MB of transcript in one frame", says=_words),
    "echo": Trait("repeats the client's key wherever there is room for a text", says=_echo),
    "pings": Trait("pings of the WebSocket without end", says=_pings),
    "pongs": Trait("pongs that nobody waits for, without end", says=_pongs),
    "empty": Trait("empty messages without end", says=_empty),
    "crumbs": Trait("messages in pieces of one byte", says=_crumbs),
    "fragments": Trait("a message of empty pieces that never ends", says=_fragments),
    "flap": Trait("ends every session as soon as it stands", says=_flap),
    "slow-pong": Trait(
        "pongs 0.2 to 9 s late, in bursts, behind a front that acknowledges at once",
        late_pongs=True,
    ),
    "stalls": Trait("takes the configuration and then neither reads nor says", faults="stall"),
}
"""Name → trait."""
