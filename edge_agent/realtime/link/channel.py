"""Channel: one session over one wire, from the open wire to its end.

Thread: the event loop's.  It must never outlive its wire, never log, never raise into the pump.
Three tasks serve it: the reader (frames → events), the writer (outbox → wire) and the watch (is the
other side alive?).  The first that ends, ends the session.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.contract import net_faults
from edge_agent.contract.errors import LinkError, LinkLost, WireClosed
from edge_agent.contract.pace import Pace
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS, bytes_to_ms
from edge_agent.contract.ports import Dialer, Wire
from edge_agent.realtime.link.closing import ClosingWires
from edge_agent.realtime.link.endpoints import Route
from edge_agent.realtime.link.feed import Fed
from edge_agent.realtime.link.liveness import HALF_OPEN, LinkTimings, Liveness
from edge_agent.realtime.link.outbox import Outbox, SilenceJudge
from edge_agent.realtime.link.pongs import LIMIT_MAX_S
from edge_agent.realtime.protocol import faults
from edge_agent.realtime.protocol.session import Phase, Session

NoteSink = Callable[..., None]  # (code, **fields), as the journal takes it

FRAMES_PER_TURN = 16
"""Frames handled before others get a turn: a burst of deltas must not starve the loop."""

SLICE_BYTES = 1000 * WIRE_BYTES_PER_MS
"""One second of sound is converted in some milliseconds, on a small board in some twenty."""

CONTROL_MAX = 4096
"""Messages without sound that may wait: more than a whole seed, many times over.  A server that
makes us say more than it reads is left."""

FRAMES_PER_S_MAX = 1000
"""Ten times what the fastest honest server sends.  One that sends more is read no faster: else it
would have the processor to itself, and the loudspeaker's callback would come too late."""

FRAME_UNIT_BYTES = 16 * 1024
"""A larger frame counts as several: two minutes of sound in one are half a second's worth."""

KIND_WITHIN = 200
"""Letters in which a message names its type: all services write it first, or behind a short id."""
_KIND = re.compile(r'"type"\s*:\s*"([\w.]{1,64})"')

AGREE_S = 3.0
"""A server that does not acknowledge has taken what it says nothing against for so long: a refusal
comes within a round trip."""

ABOUT_NOW_S = 0.001
"""A rest of a float's rounding is no reason to wait once more: timers fire that much early."""

PONGS_TOLD = 100
"""After so many pongs a session's end is a time to say how late they come: no line for each
of many short ones."""

LIFE_TRUSTED_S = (30.0, 86_400.0)
"""Remaining life that an `expires_at` may tell.  Outside, our clock is wrong (no battery) or
the server counts differently, and the provider's usual limit holds."""


async def dial(
    dialer: Dialer,
    url: str,
    headers: Mapping[str, str],
    timings: LinkTimings,
    closing: ClosingWires,
) -> Wire:
    """An open wire, within `dial_s`.  Raises `LinkError`; leaves nothing open when cancelled.

    An attempt that hangs is joined by another one every `redial_s`: the kernel repeats a lost
    first packet after 1, 3 and 7 s, so a network that is back would be found late.  The first
    success counts; a later attempt that fails does not end an earlier one, which a server with
    room for one may be about to answer.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timings.dial_s
    attempts: list[asyncio.Future[Wire]] = []
    taken: asyncio.Future[Wire] | None = None
    try:
        while (left_s := deadline - loop.time()) > ABOUT_NOW_S:
            attempts.append(asyncio.ensure_future(dialer(url, headers)))
            again_at = loop.time() + min(left_s, timings.redial_s)
            while (wait_s := again_at - loop.time()) > ABOUT_NOW_S:
                pending = [attempt for attempt in attempts if not attempt.done()]
                await asyncio.wait(pending, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                taken = next((a for a in attempts if a.done() and failure(a) is None), None)
                taken = taken or (attempts[0] if attempts[0].done() else None)
                if taken is not None:
                    return taken.result()
        raise net_faults.error_for(
            net_faults.TIMEOUT, faults.PROVIDER, f"within {timings.dial_s:g} s"
        )
    finally:
        for attempt in attempts:
            attempt.cancel()
        try:
            await asyncio.gather(*attempts, return_exceptions=True)
        except asyncio.CancelledError:
            taken = None  # nobody is left to take it
            raise
        finally:
            opened = [a for a in attempts if a.done() and not a.cancelled() and failure(a) is None]
            for attempt in opened:
                if attempt is not taken:
                    closing.let_go(attempt.result(), is_dead=False)  # in the last moment


def kind_of(frame: str | bytes) -> str:
    """The type that a frame names near its beginning; "?" without one.  Never any content."""
    head = frame[:KIND_WITHIN]
    found = _KIND.search(head.decode("utf-8", "replace") if isinstance(head, bytes) else head)
    return found[1] if found else "?"


class Channel:
    """One session with `route` over the open `wire`; `serve` runs it.

    `hear(channel, event)` and `note` are called on the loop and must not raise.  `unix_time`
    reads the wall clock, for `expires_at`; without it the provider's usual limit holds.
    """

    def __init__(
        self,
        wire: Wire,
        route: Route,
        timings: LinkTimings,
        closing: ClosingWires,
        *,
        hear: Callable[[Channel, ev.Event], None],
        note: NoteSink,
        doubt: Callable[[Channel, bool], None],
        unix_time: Callable[[], float] | None = None,
    ) -> None:
        provider = route.endpoint.provider
        timings = route.timings(timings)
        self.route = route
        route.terms.begin(asyncio.get_running_loop().time())
        self.session = Session(route.terms, provider.capabilities)
        self.session.address = urlsplit(route.endpoint.url).netloc.rpartition("@")[2]
        self.opened_at = asyncio.get_running_loop().time()
        self.ready_at: float | None = None
        self._asked = "", self.opened_at
        self.ended = False
        self._pongs_before = route.pongs.count
        self._wire = wire
        self._timings = timings
        self._closing = closing
        self._hear = hear
        self._note = note
        self._unix_time = unix_time
        self._outbox = Outbox(timings.outbox_s * 1000)
        self._silence = SilenceJudge()
        self._has_mail = asyncio.Event()
        self._has_told_flood = False
        if isinstance(wire, Fed):
            wire.feed.on_flood = self._tell_flood
        self._liveness = Liveness(
            wire,
            timings,
            self._send_probe,
            server_answers=provider.capabilities.probe,
            tolerance=route.tolerance,
            pongs=route.pongs,
            doubt=lambda is_doubtful: doubt(self, is_doubtful),
        )

    @property
    def is_ready(self) -> bool:
        """Whether commands are carried out now."""
        return self.session.phase is Phase.READY and not self.ended

    @property
    def queued_ms(self) -> float:
        """Audio that waits for the network."""
        return self._outbox.audio_ms

    @property
    def dropped_ms(self) -> float:
        """Audio given up because the network was too slow."""
        return self._outbox.dropped_ms

    @property
    def limit_at(self) -> float:
        """Loop time at which the provider will end the session; infinite if it never does."""
        limits = []
        max_s = self.route.endpoint.provider.max_session_s
        if max_s > 0:
            limits.append(self.opened_at + max_s)
        if self.ready_at is not None and self._life_s is not None:
            limits.append(self.ready_at + self._life_s)
        return min(limits, default=float("inf"))

    _life_s: float | None = None

    def was_healthy(self, now: float) -> bool:
        """Whether the session has worked: READY for a while, or one answer completed."""
        if self.ready_at is None:
            return False
        stood_s = now - self.ready_at
        return self.session.responses_completed > 0 or stood_s >= self._timings.healthy_s

    # --- to the server ------------------------------------------------------------------

    def execute(self, command: cmd.WireCommand) -> list[ev.Event]:
        """Put a command on the wire; returns what it caused at once.

        Only while `is_ready`; raises `LocalProtocolError` as `Session.command` does.
        """
        texts = self.session.command(command)
        audio_ms, is_silence = 0.0, False
        if isinstance(command, cmd.SendAudio) and texts:
            audio_ms = bytes_to_ms(len(command.pcm24k)) / len(texts)
            is_silence = len(command.pcm24k) % 2 == 0 and self._silence.is_silence(
                command.pcm24k, audio_ms
            )
        self._mail(texts, audio_ms, is_silence=is_silence)
        return self.session.take_events()

    def set_active(self, active: bool) -> None:
        """Say whether a turn is under way: then a dead link is noticed sooner."""
        self._liveness.set_active(active)

    def ask_now(self) -> None:
        """Find out at once whether the other side is still there."""
        self._liveness.ask_now()

    def purge_audio(self) -> float:
        """Drop the audio that waits for the network; returns how many milliseconds."""
        return self._outbox.purge_audio()

    def _mail(self, texts: list[str], audio_ms: float = 0.0, *, is_silence: bool = False) -> None:
        for text in texts:
            self._outbox.put(text, audio_ms, is_silence=is_silence)
            if not audio_ms:
                self._note("link.sent", type=kind_of(text))
        if texts:
            self._has_mail.set()

    def _send_probe(self) -> bool:
        if not self.is_ready:
            return False
        self._mail([self.session.probe()])
        return True

    def _tell_flood(self) -> None:
        if not self._has_told_flood:
            self._has_told_flood = True
            self._note("link.flood")

    def _tell_losses(self, *, at_end: bool = False) -> None:
        episode = self._outbox.take_episode(at_end=at_end)
        if episode is not None:
            self._note(
                "link.audio_dropped",
                dropped_ms=round(episode.dropped_ms),
                silence_ms=round(episode.silence_ms),
            )

    def _tell_pongs(self) -> None:
        pongs = self.route.pongs
        if pongs.count - self._pongs_before >= PONGS_TOLD:
            self._note(
                "link.pongs",
                provider=self.route.endpoint.provider.name,
                p50_ms=round(pongs.quantile_s(0.5) * 1000),
                p99_ms=round(pongs.quantile_s(0.99) * 1000),
                limit_s=round(self.route.pong_limit_s(self._timings), 1),
            )

    # --- until it is dead ---------------------------------------------------------------

    async def serve(self) -> LinkError:
        """Serve the session until it is dead; returns why.  Cancelled, it ends politely."""
        self._mail(self.session.opened())
        tasks: tuple[asyncio.Task[object], ...] = (
            asyncio.create_task(self._read(), name="link reader"),
            asyncio.create_task(self._write(), name="link writer"),
            asyncio.create_task(self._liveness.watch(), name="link watch"),
        )
        reader, writer, _watch = tasks
        is_dead = False
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if writer.done() and not reader.done():
                # What the server said before it closed is still unread, and tells why.
                await asyncio.wait({reader}, timeout=self._timings.close_s)
            fault = next((f for f in map(failure, tasks) if f is not None), None)
            is_dead = fault is not self.session.failure
            if isinstance(fault, WireClosed):
                hints = self.route.endpoint.provider.close_hints
                return faults.from_close(fault.close_code, fault.reason, hints)
            if isinstance(fault, LinkError):
                return fault
            # A bug, ours or a library's, must not leave a speaker deaf for ever.
            self._note("link.internal_error", error=type(fault).__name__)
            return LinkLost("The session ended by an internal error.", code="link.internal")
        finally:
            self.ended = True
            self.route.oddities.update(self.session.counts)
            self.session.close()
            self._tell_losses(at_end=True)
            self._tell_pongs()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._say_goodbye(is_dead=is_dead)

    def _say_goodbye(self, *, is_dead: bool) -> None:
        ping = self._liveness.unanswered
        if ping is None:
            self._closing.let_go(self._wire, is_dead=is_dead)
            return
        # Given up, but was it dead?  Nothing that still comes is played or run.
        until = ping.taken_at + LIMIT_MAX_S
        self._closing.listen_on(self._wire, ping, until, self._lived_after_all)

    def _lived_after_all(self, after_s: float) -> None:
        self.route.pongs.cut_while_healthy(after_s)
        provider = self.route.endpoint.provider.name
        self._note("link.healthy_cut", provider=provider, answered_s=round(after_s, 1))

    async def _write(self) -> None:
        while True:
            await self._has_mail.wait()
            while len(self._outbox):
                await self._wire.send(self._outbox.pop())
                self._tell_losses()
            self._has_mail.clear()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        session = self.session
        greeted_at = self.opened_at
        frames, pace = 0, Pace(FRAMES_PER_S_MAX)
        while True:
            frame = await self._next_frame(greeted_at)
            now = loop.time()
            self._liveness.frame_came(now)
            if not (kind := kind_of(frame)).endswith("audio.delta"):
                self._note("link.received", type=kind)
            was_greeted = session.was_greeted
            events = session.receive(frame, now)
            frames += 1 + len(frame) // FRAME_UNIT_BYTES
            del frame  # it may be megabytes
            for event in events:
                if isinstance(event, ev.LinkReady):
                    self._got_ready(now)
                if isinstance(event, ev.VoiceChunk) and len(event.pcm24k) > SLICE_BYTES:
                    await self._hear_slowly(event)
                else:
                    self._hear(self, event)
            self._mail(session.take_outgoing())
            for code, fields in session.take_notes():
                self._note(code, **fields)
            if session.failure is not None:
                raise session.failure
            if self._outbox.control > CONTROL_MAX:
                raise LinkLost("The server does not take what it asks for.", code=HALF_OPEN)
            if session.garbage_run >= self._timings.garbage_frames:
                raise LinkLost("The server sends only garbage.", code="link.garbage")
            if session.was_greeted and not was_greeted:
                greeted_at = now
            if frames >= FRAMES_PER_TURN:
                if rest_s := pace.rest_s(frames, now):
                    self._tell_flood()
                frames = 0
                await asyncio.sleep(rest_s)

    async def _hear_slowly(self, chunk: ev.VoiceChunk) -> None:
        """A long sound in pieces: converting two minutes of it in one go would hold up the loop."""
        for start in range(0, len(chunk.pcm24k), SLICE_BYTES):
            self._hear(self, replace(chunk, pcm24k=chunk.pcm24k[start : start + SLICE_BYTES]))
            await asyncio.sleep(0)

    def _got_ready(self, now: float) -> None:
        self.ready_at = now
        self.route.tolerance.stands(now)
        if self._unix_time is not None and self.session.expires_at:
            life_s = self.session.expires_at - self._unix_time()
            if LIFE_TRUSTED_S[0] <= life_s <= LIFE_TRUSTED_S[1]:
                self._life_s = life_s

    @property
    def _awaits_word(self) -> bool:
        """Whether the server has to say something before the session can be used."""
        can = self.route.endpoint.provider.capabilities
        return can.acknowledges or not self.session.update_id

    def _asked_at(self) -> float:
        """When the configuration left that is on its way."""
        if self._asked[0] != self.session.update_id:
            self._asked = self.session.update_id, asyncio.get_running_loop().time()
        return self._asked[1]

    async def _next_frame(self, greeted_at: float) -> str | bytes:
        """The next frame; until the session is READY only within `LinkTimings.handshake_s`."""
        session, timings = self.session, self._timings
        if session.phase is Phase.READY:
            return await self._wire.receive()
        loop = asyncio.get_running_loop()
        deadline = greeted_at + timings.handshake_s
        receiving = asyncio.ensure_future(self._wire.receive())
        try:
            if not session.was_greeted:
                nudge_in_s = self.opened_at + timings.greet_s - loop.time()
                await asyncio.wait({receiving}, timeout=max(0.0, nudge_in_s))
                if not receiving.done():
                    self._mail(session.nudge())
            until = deadline if self._awaits_word else self._asked_at() + AGREE_S
            await asyncio.wait({receiving}, timeout=max(0.0, min(until, deadline) - loop.time()))
            if receiving.done():
                return receiving.result()
            if until < deadline:
                now = loop.time()
                for event in session.take_as_agreed(now):
                    self._got_ready(now)
                    self._hear(self, event)
                return await receiving
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        what = "acknowledge the session" if session.was_greeted else "open a session"
        raise LinkLost(
            f"The server did not {what} within {timings.handshake_s:g} s.", code="link.no_answer"
        )


def failure(task: asyncio.Future[Any]) -> BaseException | None:
    """Why a task failed; None while it runs, when it was cancelled or went well."""
    return task.exception() if task.done() and not task.cancelled() else None
