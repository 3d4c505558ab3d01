"""Liveness: is anybody still there?

Thread: the event loop's; all waiting is on the loop's clock.  It must never end a session by
itself: `watch` raises `LinkLost` and its caller does.

A half-open connection says nothing for ever, so after a quiet interval the other side is asked:
a real socket by a ping, an in-memory wire by a `session.update` that changes nothing.  Any frame
counts as an answer.  A ping that the peer's kernel does not take tells of a dead line soon
(`LinkTimings.pong_active_s`); one that was taken and is not answered tells little, and is waited
for as long as `pongs` says.  A server may also stall while its socket still answers pings; in an
active turn its own sign of life is asked for as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edge_agent.contract.errors import LinkLost
from edge_agent.contract.ports import Wire
from edge_agent.realtime.link.closing import OpenPing
from edge_agent.realtime.link.pong_tolerance import PongTolerance
from edge_agent.realtime.link.pongs import Pongs

HALF_OPEN = "link.dead"
STALLED = "link.no_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTimings:
    """How long the link is patient: seconds, but for `garbage_frames`.

    What an owner can set has no default here: that stands in the settings."""

    dial_s: float
    """Name, TCP, TLS and upgrade together."""
    redial_s: float = 2.0
    """A dial that hangs so long is joined by another: a slow but living network (mobile, with
    TLS) takes about one second."""
    greet_s: float = 3.0
    """A server that has not greeted by then is configured unasked."""
    handshake_s: float = 10.0
    """From the upgrade to `session.created`, and from there to `session.updated`."""
    healthy_s: float = 3.0
    """READY for so long, or one completed response, makes a session healthy."""
    ping_active_s: float
    pong_active_s: float
    """While a turn is active a line that takes nothing is noticed within the sum, below 3 s …"""
    ping_idle_s: float
    pong_idle_s: float
    """… and otherwise within this sum, below 10 s, at the price of one ping in 5 s."""
    taken_s: float = 4.9
    """Silence after a ping that the peer's kernel has taken, from a provider that has taught us
    nothing: dead within 6 s of a turn, 10 s otherwise.  Nobody in the field allows less than 10 s,
    and some services answer later than 20 s under load; see `pongs`."""
    slow_s: float = 20.0
    """Limit while data waits and the peer's kernel keeps taking it: slow is not dead."""
    step_s: float = 0.25
    """How often an awaited answer is looked for."""
    stall_s: float = 8.0
    """Silence in an active turn after which a server whose socket lives is asked for a sign."""
    stall_answer_s: float = 5.0
    """How long it may take with that."""
    close_s: float
    """For a polite close; the default of the library is ten times that."""
    key_poll_s: float = 5.0
    """How often a refused key is compared with the one in place now."""
    retry_base_s: float
    retry_cap_s: float
    refused_s: float
    """See `redial.RedialPauses`."""
    roll_early_s: float = 300.0
    """So long before the provider's limit a session is replaced: a household that talks for
    five minutes without a pause is rare.  Never more than a quarter of the limit."""
    roll_ask_s: float = 5.0
    """How often the dialogue is asked for a quiet moment; five times as often in the end."""
    roll_retry_s: float = 20.0
    """Pause after a second session could not be opened."""
    home_s: float = 600.0
    """How long we stay with a fall-back provider before the first one is tried again …"""
    home_soon_s: float = 60.0
    """… or this, if nothing had answered there: that is over sooner than an empty account."""
    home_spell_s: float = 10.0
    """How long a session with the first provider must stand before it is trusted again."""
    outbox_s: float
    """Sound that may wait for a slow uplink; see `outbox`."""
    garbage_frames: int = 20
    """So many malformed frames in a row and the session is not worth keeping."""


@runtime_checkable
class ProbedWire(Protocol):
    """What a real socket can do beyond `contract.ports.Wire`."""

    async def ping(self) -> None:
        """Return when the other side has answered a ping."""

    def quiet_s(self) -> float | None:
        """Since when the other side's kernel takes none of what waits to leave; None: nothing
        waits."""


class Liveness:
    """Watches one session.  Call `frame_came` for every frame received.

    `probe` sends the session's harmless request, or returns False when it cannot yet.
    `server_answers`: whether the server answers it at once, even while it generates.
    `tolerance`, `pongs`: what the sessions before have taught.  `doubt` is told when the session
    has become doubtful, and when it has given a sign of life again.
    """

    def __init__(
        self,
        wire: Wire,
        timings: LinkTimings,
        probe: Callable[[], bool],
        *,
        server_answers: bool,
        tolerance: PongTolerance | None = None,
        pongs: Pongs | None = None,
        doubt: Callable[[bool], None] = lambda _is_doubtful: None,
    ) -> None:
        self._pongs = pongs or Pongs()
        self._doubt = doubt
        self._is_doubtful = False
        self._pending: asyncio.Future[None] | None = None
        """A pong that is only measured: something else was a sign of life before it."""
        self.unanswered: OpenPing | None = None
        """The taken ping for whose pong the session was given up; whoever ends it cancels that."""
        self._tolerance = tolerance or PongTolerance()
        self._wire = wire if isinstance(wire, ProbedWire) else None
        self._timings = timings
        self._probe = probe
        self._server_answers = server_answers
        self._is_active = False
        self._is_hurried = False
        self._frames = self._signs = 0
        """Frames, not times, tell an answer: in virtual time it comes in the same instant.  Signs
        of life are these and pongs."""
        self._activity_changed = asyncio.Event()
        self._frame_at = self._sign_at = asyncio.get_running_loop().time()

    def frame_came(self, at: float) -> None:
        """A frame came at loop time `at`."""
        self._frame_at = self._sign_at = at
        self._frames += 1
        self._signs += 1

    def ask_now(self) -> None:
        """Something happened to the network: ask at once, and be as patient as in a turn."""
        self._is_hurried = True
        self._activity_changed.set()

    def set_active(self, active: bool) -> None:
        """A turn begins or ends: be less, or more, patient."""
        if active != self._is_active:
            self._is_active = active
            self._activity_changed.set()

    async def watch(self) -> None:
        """Runs until the other side is dead, then raises `LinkLost`."""
        try:
            await self._watch()
        finally:
            if self._pending is not None:
                self._pending.cancel()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        server_asked_at = self._sign_at
        while True:
            await self._until_quiet()
            if self._wire is None:
                await self._expect_answer(self._pong_s, HALF_OPEN)
                self._is_hurried = False
                continue
            await self._expect_pong(self._wire)
            self._is_hurried = False
            now = loop.time()
            waited_s = now - max(self._frame_at, server_asked_at)
            if self._is_active and self._server_answers and waited_s >= self._timings.stall_s:
                server_asked_at = now
                await self._expect_answer(lambda: self._timings.stall_answer_s, STALLED)

    def _pong_s(self) -> float:
        is_soon = self._is_active or self._is_hurried
        now = asyncio.get_running_loop().time()
        active_s = self._timings.pong_active_s * self._tolerance.factor(now)
        return active_s if is_soon else max(active_s, self._timings.pong_idle_s)

    def _taken_s(self) -> float:
        """How long to wait for the pong to a ping that the peer's kernel has taken."""
        timings = self._timings
        least_s = max(timings.taken_s, timings.pong_active_s)
        if not (self._is_active or self._is_hurried):
            least_s = max(least_s, timings.pong_idle_s)
        return self._pongs.limit_s(least_s)

    def _set_doubtful(self, is_doubtful: bool) -> None:
        if is_doubtful != self._is_doubtful:
            self._is_doubtful = is_doubtful
            self._doubt(is_doubtful)

    async def _until_quiet(self) -> None:
        """Wait until nothing was heard for the interval that holds now."""
        loop = asyncio.get_running_loop()
        while True:
            self._activity_changed.clear()
            timings = self._timings
            interval_s = timings.ping_active_s if self._is_active else timings.ping_idle_s
            until = self._sign_at + interval_s
            if self._is_hurried or loop.time() >= until:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._activity_changed.wait()

    async def _expect_answer(self, limit_s: Callable[[], float], code: str) -> None:
        """Ask the server itself; returns when any frame comes."""
        loop = asyncio.get_running_loop()
        asked_at = self._sign_at = loop.time()
        frames = self._frames
        if not self._probe():
            return  # still configuring: the reader has its own deadline for that
        while self._frames == frames:
            left_s = asked_at + limit_s() - loop.time()
            if left_s <= 0:
                raise LinkLost("The server has stopped answering.", code=code)
            await asyncio.sleep(min(left_s, self._timings.step_s))

    async def _expect_pong(self, wire: ProbedWire) -> None:
        """Ping; returns on any sign of life: who sends frames lives, whatever becomes of the
        ping (a server on a busy box may answer it late, and some never do)."""
        loop = asyncio.get_running_loop()
        sent_at = taken_at = loop.time()
        signs = self._signs
        pong = asyncio.ensure_future(wire.ping())
        doubt_s = self._pongs.doubt_s(self._timings.pong_active_s)
        try:
            while self._signs == signs:
                now = loop.time()
                quiet_s = wire.quiet_s()
                if quiet_s is None:  # the peer's kernel has our ping: the line is alive
                    until = taken_at + self._taken_s()
                    self._set_doubtful(now >= taken_at + doubt_s)
                else:
                    # Our ping waits in the queue, behind what is taken: a line that is too slow,
                    # or loses much (with pauses that double), is not a dead one.
                    taken_at = max(taken_at, now - quiet_s)
                    until = min(taken_at + self._pong_s(), sent_at + self._timings.slow_s)
                if now >= until:
                    if quiet_s is None:
                        self.unanswered = OpenPing(pong, taken_at)
                    else:
                        self._tolerance.died(now)
                    raise LinkLost(
                        "The other side has gone silent without a word.",
                        fix="Check the network.",
                        code=HALF_OPEN,
                    )
                # Short steps: activity and acknowledgements change while we wait.
                await asyncio.wait({pong}, timeout=min(until - now, self._timings.step_s))
                if pong.done():
                    pong.result()
                    self._pongs.came(loop.time() - taken_at)
                    self._sign_at = loop.time()
                    break
            self._set_doubtful(False)
        finally:
            if self.unanswered is None:
                await self._only_measure(pong, taken_at)

    async def _only_measure(self, pong: asyncio.Future[None], taken_at: float) -> None:
        """Nobody waits for this pong any more, but how late it comes is worth knowing."""
        if pong.done() or (self._pending is not None and not self._pending.done()):
            pong.cancel()
            await asyncio.gather(pong, return_exceptions=True)
            return
        loop = asyncio.get_running_loop()

        def came(pong: asyncio.Future[None]) -> None:
            if not pong.cancelled() and pong.exception() is None:
                self._pongs.came(loop.time() - taken_at)
                self._sign_at = loop.time()
                self._signs += 1

        self._pending = pong
        pong.add_done_callback(came)
