"""The faults: what can go wrong, how it begins, how long it lasts, what it must lead to.

It must never judge: `chaos_judge` does.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from chaos_world import World

from edge_agent.contract.errors import LinkError, LinkLost, LinkRefused
from edge_agent.simulation.traits import TRAITS, Pause

Start = Callable[[World, random.Random], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """`lasts_s`: shortest and longest time until the world is healthy again; it is healed then.

    `family`: `network` (speech must survive and be answered) · `refusal` (only a person can fix
    it; being told why is enough) · `response` (an answer fails; the same) · `noise` (an odd but
    working server: nobody may notice).  `codes`: of the `link.down` or `response.*` lines, one of
    which the journal must show when the fault strikes an awake speaker; empty: none is owed.
    """

    name: str
    family: str
    start: Start
    lasts_s: tuple[float, float]
    codes: frozenset[str] = frozenset()


def _switch(**values: object) -> Start:
    def start(world: World, _rng: random.Random) -> None:
        for name, value in values.items():
            assert hasattr(world.server.faults, name), name
            setattr(world.server.faults, name, value)

    return start


def _close(code: int) -> Start:
    return lambda world, _rng: world.server.close_sessions(code)


def _cut(world: World, _rng: random.Random) -> None:
    world.network.cut()


def _cut_and(then: Start) -> Start:
    def start(world: World, rng: random.Random) -> None:
        then(world, rng)
        world.network.cut()

    return start


def _dials_fail(error: Callable[[], LinkError], most: int = 6) -> Start:
    def start(world: World, rng: random.Random) -> None:
        world.dial_errors.extend([error] * rng.randint(1, most))
        world.network.cut()

    return start


def _http(status: int, most: int, retry_after_s: float | None = None) -> Start:
    def start(world: World, rng: random.Random) -> None:
        faults = world.server.faults
        faults.refuse_status, faults.refuse_count = status, rng.randint(1, most)
        faults.refuse_retry_after_s = retry_after_s
        world.network.cut()

    return start


def _fails(code: str) -> Start:
    def start(world: World, rng: random.Random) -> None:
        after = rng.choice((0, 0, 1, 4))
        _switch(fail_code=code, fail_count=1, fail_after_deltas=after)(world, rng)

    return start


def _stays_incomplete(reason: str) -> Start:
    def start(world: World, rng: random.Random) -> None:
        after = rng.choice((1, 3, 6))
        _switch(incomplete_reason=reason, incomplete_count=1, incomplete_after_deltas=after)(
            world, rng
        )

    return start


def _turned_away(code: int, most: int) -> Start:
    def start(world: World, rng: random.Random) -> None:
        faults = world.server.faults
        faults.accept_then_close, faults.accept_then_close_count = code, rng.randint(1, most)
        world.network.cut()

    return start


def _lures(world: World, rng: random.Random) -> None:
    """The server tries to hear the room while nobody talks with the speaker."""
    world.later(_lures_for(world, rng.randint(1, 4), random.Random(rng.random())))


async def _lures_for(world: World, times: int, rng: random.Random) -> None:
    says = TRAITS["lures"].says
    assert says is not None
    rounds = says("")
    for _ in range(times):
        if not await world.until(lambda: world.light == "asleep", 20.0):
            return
        for saying in iter(partial(next, rounds), Pause(3.0)):
            assert isinstance(saying, str)
            fields = json.loads(saying)
            for session in world.server.open_sessions:
                session.outbox.emit(fields["type"], **{k: fields[k] for k in fields if k != "type"})
        await asyncio.sleep(rng.uniform(0.1, 3.0))


def _codes(*names: str) -> frozenset[str]:
    return frozenset(names)


_CLOSED = _codes("link.closed")
_DEAD = _codes("link.dead", "link.no_answer", "link.reopened")

FAULTS: tuple[Fault, ...] = (
    # --- the network
    Fault("reset", "network", _cut, (0, 0), _CLOSED),
    Fault("unplugged", "network", lambda w, _r: w.network.down(), (0.1, 30), _CLOSED),
    Fault("black hole", "network", lambda w, _r: w.network.black_hole(), (0.5, 30), _DEAD),
    Fault(
        "name service fails",
        "network",
        _dials_fail(lambda: LinkLost("No name.", code="link.dns")),
        (0, 20),
        _CLOSED,
    ),
    Fault(
        "captive portal",
        "network",
        _dials_fail(lambda: LinkLost("A web page.", code="link.captive_portal"), 4),
        (0, 20),
        _CLOSED,
    ),
    Fault(
        "wrong clock",
        "network",
        _dials_fail(lambda: LinkLost("Not valid yet.", code="link.clock"), 4),
        (0, 20),
        _CLOSED,
    ),
    # --- the server ends it
    *(
        Fault(f"close {code}", "network", _close(code), (0, 0), _CLOSED | _codes("link.busy"))
        for code in (1000, 1001, 1006, 1011, 1012, 1013)
    ),
    Fault("close 1009", "network", _close(1009), (0, 0), _codes("link.frame_too_big")),
    Fault(
        "session expired",
        "network",
        lambda w, _r: w.server.expire_sessions(),
        (0, 0),
        _codes("link.session_expired"),
    ),
    Fault("stall", "network", _switch(stall=True), (0.5, 25), _DEAD),
    Fault("silence", "network", _switch(black_hole=True), (0.5, 25), _DEAD),
    Fault(
        "http 429 with a time",
        "network",
        _http(429, 2, retry_after_s=3.0),
        (0, 20),
        _CLOSED | _codes("link.busy"),
    ),
    *(
        Fault(f"http {status}", "network", _http(status, 3), (0, 20), _CLOSED | _codes("link.busy"))
        for status in (429, 500, 502, 503)
    ),
    Fault("turned away 1011", "network", _turned_away(1011, 4), (0, 20), _CLOSED),
    # --- only a person can fix it
    Fault("http 401", "refusal", _http(401, 2), (5, 60), _codes("link.bad_key")),
    Fault("http 403", "refusal", _http(403, 2), (5, 60), _codes("link.no_model")),
    Fault("http 404", "refusal", _http(404, 2), (5, 60), _codes("link.bad_url")),
    Fault("turned away 3000", "refusal", _turned_away(3000, 2), (5, 60), _codes("link.bad_key")),
    Fault("turned away 4000", "refusal", _turned_away(4000, 2), (5, 60), _codes("link.dialect")),
    Fault(
        "bad certificate",
        "refusal",
        _dials_fail(lambda: LinkRefused("Not trusted.", code="link.tls"), 2),
        (5, 60),
        _codes("link.tls"),
    ),
    # --- an answer fails
    *(
        Fault(
            f"failed: {code}",
            "response",
            _fails(code),
            (20, 40),
            _codes(code),
        )
        for code in (
            "insufficient_quota",
            "rate_limit_exceeded",
            "server_error",
            "content_filter",
            "session_expired",
        )
    ),
    *(
        Fault(
            f"incomplete: {reason}",
            "response",
            _stays_incomplete(reason),
            (20, 40),
        )
        for reason in ("max_output_tokens", "content_filter")
    ),
    Fault(
        "thinks too long",
        "response",
        _switch(thinking_extra_ms=25_000),
        (10, 60),
    ),
    Fault(
        "dies in the answer",
        "network",
        lambda w, r: _switch(
            close_after_deltas=r.randint(1, 12), close_code=r.choice((1001, 1006, 1011))
        )(w, r),
        (20, 40),
    ),
    # --- an odd server
    Fault("garbage", "noise", lambda w, r: _switch(garbage_frames=r.randint(1, 15))(w, r), (5, 20)),
    Fault(
        "nothing but garbage",
        "network",
        _switch(garbage_frames=40),
        (5, 20),
        _codes("link.garbage"),
    ),
    Fault("binary frames", "noise", _switch(binary_frames=3), (5, 20)),
    Fault("huge frame", "noise", _switch(huge_frame_bytes=1_000_000), (5, 20)),
    Fault("late deltas", "noise", _switch(late_deltas=4, late_deltas_after_done=4), (10, 40)),
    Fault("doubled events", "noise", _switch(duplicate_every=3), (10, 40)),
    Fault("unknown events", "noise", _switch(unknown_every=2), (10, 40)),
    Fault("half samples", "noise", _switch(odd_audio_deltas=50), (10, 40)),
    Fault("no usage", "noise", _switch(no_usage=True, no_rate_limits=True), (10, 40)),
    Fault("slow audio", "noise", _switch(slow_factor=12.0), (10, 40)),
    Fault("bursts", "noise", _switch(burst_ms=1_500), (10, 40)),
    Fault("gap in the answer", "noise", _switch(pause_after_deltas=3, pause_ms=2_500), (10, 40)),
    Fault("two items", "noise", _switch(two_audio_items=True), (10, 40)),
    Fault("slow server", "noise", _switch(events_delay_ms=150), (5, 20)),
    Fault("old event names", "noise", _switch(legacy_names=True), (10, 40)),
    Fault("no transcripts", "noise", _switch(no_transcription=True), (10, 40)),
    Fault("late transcripts", "noise", _switch(transcription_after_done=True), (10, 40)),
    Fault("lures", "noise", _lures, (10, 40)),
    Fault("failed transcripts", "noise", _switch(transcription_failures=3), (10, 40)),
)

BY_NAME = {fault.name: fault for fault in FAULTS}

HUGE_FRAME = Fault("20 MB frame", "noise", _switch(huge_frame_bytes=20 * 1024 * 1024), (5, 10))
"""Too slow for ten thousand schedules; the table test has it once."""
