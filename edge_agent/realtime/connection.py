"""Connection: keeps one session alive for ever (purpose).

Owner thread: the event loop's.  Must never block, never read another clock than the loop's (it
runs in virtual time), never log and never raise into the pump: what happens becomes events.

    run:  dial → configure → READY → … → dead → wait → dial …

Every dead link posts exactly one `LinkDown`.  While a session lives, three tasks serve it: the
reader (frames → events), the writer (outbox → wire) and the watch (is the other side alive?).
The first that ends, ends the session.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.contract.errors import (
    LinkError,
    LinkLost,
    LinkRefused,
    LocalProtocolError,
    WireClosed,
)
from edge_agent.contract.pcm import bytes_to_ms
from edge_agent.contract.ports import Dialer, Wire
from edge_agent.realtime import faults
from edge_agent.realtime.backoff import Backoff
from edge_agent.realtime.config import SessionConfig
from edge_agent.realtime.liveness import LinkTimings, Liveness
from edge_agent.realtime.outbox import Outbox
from edge_agent.realtime.providers import Provider, build_headers, build_url
from edge_agent.realtime.session import Phase, Session
from edge_agent.realtime.terms import Terms

Post = Callable[[ev.Event], None]
NoteSink = Callable[..., None]  # (code, **fields), as the journal takes it

FRAMES_PER_TURN = 16
"""Frames handled before others get a turn: a burst of deltas must not starve the loop."""

RETRY_NOW_REASONS = frozenset({"config", "key", "network"})
"""Reasons to reopen that mean: the world has changed, try again without a pause."""


class RealtimeLink:
    """The link to the model, kept up by `run`.

    `key` is asked at every dial.  `post` and `note` are called on the loop and must not raise.
    `url`, `resource`, `allow_insecure` as in `providers.build_url`, which raises `ConfigError`.
    """

    def __init__(
        self,
        *,
        dial: Dialer,
        provider: Provider,
        config: SessionConfig,
        key: Callable[[], str | None],
        post: Post,
        note: NoteSink,
        rng: random.Random,
        timings: LinkTimings | None = None,
        url: str = "",
        resource: str = "",
        allow_insecure: bool = False,
    ) -> None:
        self._url = build_url(
            provider, config.model, url=url, resource=resource, allow_insecure=allow_insecure
        )
        self._dial = dial
        self._provider = provider
        self._config = config
        self._key = key
        self._post = post
        self._note = note
        self._timings = timings or LinkTimings()
        self._terms = self._fresh_terms()
        self._backoff = Backoff(
            rng,
            base_s=self._timings.retry_base_s,
            cap_s=self._timings.retry_cap_s,
            refused_s=self._timings.refused_s,
        )
        self._session: Session | None = None
        self._outbox = Outbox()
        self._has_mail = asyncio.Event()
        self._is_active = False
        self._liveness: Liveness | None = None
        self._reopen_reason: str | None = None
        self._reopen = asyncio.Event()
        self._is_closing = False
        self._is_over = asyncio.Event()
        self._is_over.set()
        self._closers: set[asyncio.Task[None]] = set()
        self._ready_at: float | None = None
        self.sessions = 0
        """Sessions that became READY."""
        self.late_commands = 0
        """Commands that came while there was no READY session (they crossed a `LinkDown`)."""
        self.dropped_ms = 0.0
        """Audio given up because the network was too slow."""

    # --- the outside --------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether commands are carried out now."""
        return self._session is not None and self._session.phase is Phase.READY

    @property
    def queued_ms(self) -> float:
        """Audio that waits for the network."""
        return self._outbox.audio_ms

    @property
    def counts(self) -> Mapping[str, int]:
        """Oddities of the current session by kind (see `Session.counts`)."""
        return dict(self._session.counts) if self._session else {}

    def execute(self, command: cmd.WireCommand) -> None:
        """Carry out a command; never waits, never raises (see `late_commands`)."""
        if isinstance(command, cmd.UpdateSession):
            self._remember(command)
        session = self._session
        if session is None or session.phase is not Phase.READY:
            self.late_commands += 1
            return
        try:
            texts = session.command(command)
        except LocalProtocolError as error:
            self._note("link.local_error", error=error.message)
            return
        audio_ms = 0.0
        if isinstance(command, cmd.SendAudio) and texts:
            audio_ms = bytes_to_ms(len(command.pcm24k)) / len(texts)
        self._mail(texts, audio_ms)
        for event in session.take_events():
            self._post(replace(event, at=self._now()))

    def set_active(self, active: bool) -> None:
        """Say whether a turn is under way: then a dead link is noticed sooner."""
        self._is_active = active
        if self._liveness is not None:
            self._liveness.set_active(active)

    def reopen(self, reason: str) -> None:
        """Drop the session and dial again; see `RETRY_NOW_REASONS`."""
        if reason in RETRY_NOW_REASONS:
            self._backoff.forgive()
        if reason == "config":
            self._terms = self._fresh_terms()
        self._reopen_reason = reason
        self._reopen.set()

    def configure(self, config: SessionConfig) -> None:
        """Use `config` from the next session on; call `reopen("config")` to have it now.

        The model is part of the URL and stays.
        """
        self._config = replace(config, model=self._config.model)
        self._terms = self._fresh_terms()

    async def close(self) -> None:
        """Close politely and wait until `run` has returned.  Posts nothing."""
        self._is_closing = True
        self._reopen.set()
        await self._is_over.wait()

    # --- for ever -----------------------------------------------------------------------

    async def run(self) -> None:
        """Dial, serve, wait, again; until `close`, or cancelled."""
        self._is_over.clear()
        try:
            while not self._is_closing:
                await self._one_round()
        finally:
            if self._closers:  # each is bounded by `close_s`
                await asyncio.gather(*self._closers, return_exceptions=True)
            self._is_over.set()

    async def _one_round(self) -> None:
        self._reopen.clear()
        self._reopen_reason = None
        self._ready_at = None
        self._post(ev.LinkConnecting(at=self._now()))
        key = self._read_key()
        try:
            fault = await self._one_session(key)
        except LinkError as error:
            fault = error
        except Exception as error:
            # A bug, ours or a library's, must not leave a speaker deaf for ever.
            self._note("link.internal_error", error=type(error).__name__)
            fault = LinkLost("The session ended by an internal error.", code="link.internal")
        if self._is_closing:
            return
        now = self._now()
        if self._was_healthy(now):
            self._backoff.healthy()
        reason = self._reopen_reason
        delay_s = 0.0
        if reason not in RETRY_NOW_REASONS:
            delay_s = self._backoff.next_delay_s(fault, now)
        # Before the post, so that a wish uttered in answer to it is not lost.
        self._reopen.clear()
        self._reopen_reason = None
        self._post(
            ev.LinkDown(
                at=now,
                code=fault.code,
                message=fault.message,
                fix=fault.fix,
                refused=isinstance(fault, LinkRefused),
                retry_in_s=delay_s,
            )
        )
        await self._pause(delay_s, key, watches_key=fault.code in (faults.BAD_KEY, faults.NO_KEY))

    def _read_key(self) -> str | None:
        try:
            return self._key()
        except OSError as error:
            self._note("link.key_unreadable", error=type(error).__name__)
            return None

    async def _pause(self, delay_s: float, used_key: str | None, *, watches_key: bool) -> None:
        """Wait; less, if the world changes (`reopen`) or another key is in place."""
        loop = asyncio.get_running_loop()
        until = loop.time() + delay_s
        while not self._is_closing and (left_s := until - loop.time()) > 0:
            step_s = min(left_s, self._timings.key_poll_s) if watches_key else left_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(step_s):
                    await self._reopen.wait()
                if self._reopen_reason in RETRY_NOW_REASONS:
                    return
                self._reopen.clear()  # an ordinary wish changes nothing: we are at it
            if watches_key and self._read_key() != used_key:
                self._backoff.forgive()
                return

    def _was_healthy(self, now: float) -> bool:
        session = self._session
        self._session = None
        if session is None or self._ready_at is None:
            return False
        return session.responses_completed > 0 or now - self._ready_at >= self._timings.healthy_s

    # --- one session --------------------------------------------------------------------

    async def _one_session(self, key: str | None) -> LinkError:
        """Dial and serve one session until it is dead; returns (or raises) why."""
        headers = build_headers(self._provider, key)
        wire = await self._dial_unless_reopened(headers)
        if wire is None:
            return LinkLost("Dialling was interrupted on purpose.", code="link.reopened")
        self._terms.config = self._config
        session = self._session = Session(self._terms, self._provider.capabilities)
        self._outbox = Outbox()
        self._has_mail.clear()
        alive = self._liveness = Liveness(
            wire,
            self._timings,
            lambda: self._send_probe(session),
            server_answers=self._provider.capabilities.probe,
        )
        alive.set_active(self._is_active)
        self._mail(session.opened())
        reader = asyncio.create_task(self._read(wire, session, alive), name="link reader")
        writer = asyncio.create_task(self._write(wire), name="link writer")
        watch = asyncio.create_task(alive.watch(), name="link watch")
        wish = asyncio.create_task(self._reopen.wait(), name="link reopen")
        tasks: tuple[asyncio.Task[object], ...] = (reader, writer, watch, wish)
        is_dead = True
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if writer.done() and not reader.done():
                # What the server said before it closed is still unread, and tells why.
                await asyncio.wait({reader}, timeout=self._timings.close_s)
            fault = next((f for f in map(_failure, tasks) if f is not None), None)
            if fault is None:
                is_dead = False
                return LinkLost(
                    f"The session was dropped on purpose ({self._reopen_reason or 'closing'}).",
                    code="link.reopened",
                )
            if isinstance(fault, WireClosed):
                return faults.from_close(fault.close_code, fault.reason)
            is_dead = fault is not session.failure
            raise fault
        finally:
            session.close()
            self._liveness = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._let_go(wire, is_dead)

    def _let_go(self, wire: Wire, is_dead: bool) -> None:
        """Close beside what comes next: a reconnect must not wait for an old goodbye."""
        abort: Callable[[], None] | None = getattr(wire, "abort", None)
        if is_dead and abort is not None:
            abort()
            return
        closer = asyncio.create_task(self._say_goodbye(wire, abort), name="link goodbye")
        self._closers.add(closer)
        closer.add_done_callback(self._closers.discard)

    async def _say_goodbye(self, wire: Wire, abort: Callable[[], None] | None) -> None:
        try:
            async with asyncio.timeout(self._timings.close_s):
                await wire.close()
        except (LinkError, TimeoutError):
            if abort is not None:
                abort()

    async def _dial_unless_reopened(self, headers: Mapping[str, str]) -> Wire | None:
        """The open wire; None if `reopen` or `close` was called while dialling."""
        dialling = asyncio.ensure_future(self._dial(self._url, headers))
        wish = asyncio.create_task(self._reopen.wait(), name="link reopen")
        is_taken = False
        try:
            await asyncio.wait(
                {dialling, wish},
                timeout=self._timings.dial_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if dialling.done():
                is_taken = True
                return dialling.result()
            if wish.done():
                return None
            raise LinkLost(
                f"The provider did not answer within {self._timings.dial_s:g} s.",
                fix="Check the network.",
                code="link.timeout",
            )
        finally:
            dialling.cancel()
            wish.cancel()
            await asyncio.gather(dialling, wish, return_exceptions=True)
            if not is_taken and _failure(dialling) is None and not dialling.cancelled():
                self._let_go(dialling.result(), is_dead=False)  # it opened in the last moment

    async def _read(self, wire: Wire, session: Session, alive: Liveness) -> None:
        loop = asyncio.get_running_loop()
        opened_at = greeted_at = loop.time()
        frames = 0
        while True:
            frame = await self._next_frame(wire, session, opened_at, greeted_at)
            now = loop.time()
            alive.frame_came(now)
            was_greeted = session.was_greeted
            for event in session.receive(frame, now):
                if isinstance(event, ev.LinkReady):
                    self.sessions += 1
                    self._ready_at = now
                self._post(event)
            self._mail(session.take_outgoing())
            for code, fields in session.take_notes():
                self._note(code, **fields)
            if session.failure is not None:
                raise session.failure
            if session.garbage_run >= self._timings.garbage_frames:
                raise LinkLost("The server sends only garbage.", code="link.garbage")
            if session.was_greeted and not was_greeted:
                greeted_at = now
            frames += 1
            if frames % FRAMES_PER_TURN == 0:
                await asyncio.sleep(0)

    async def _next_frame(
        self, wire: Wire, session: Session, opened_at: float, greeted_at: float
    ) -> str | bytes:
        """The next frame; until the session is READY only within `LinkTimings.handshake_s`."""
        if session.phase is Phase.READY:
            return await wire.receive()
        loop, timings = asyncio.get_running_loop(), self._timings
        deadline = greeted_at + timings.handshake_s
        receiving = asyncio.ensure_future(wire.receive())
        try:
            if not session.was_greeted:
                nudge_in_s = opened_at + timings.greet_s - loop.time()
                await asyncio.wait({receiving}, timeout=max(0.0, nudge_in_s))
                if not receiving.done():
                    self._mail(session.nudge())
            await asyncio.wait({receiving}, timeout=max(0.0, deadline - loop.time()))
            if receiving.done():
                return receiving.result()
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        what = "acknowledge the session" if session.was_greeted else "open a session"
        raise LinkLost(
            f"The server did not {what} within {timings.handshake_s:g} s.", code="link.no_answer"
        )

    async def _write(self, wire: Wire) -> None:
        while True:
            await self._has_mail.wait()
            while len(self._outbox):
                await wire.send(self._outbox.pop())
            self._has_mail.clear()

    def _mail(self, texts: list[str], audio_ms: float = 0.0) -> None:
        dropped_ms = sum(self._outbox.put(text, audio_ms) for text in texts)
        if dropped_ms:
            is_first = self.dropped_ms == 0 or self._outbox.dropped_ms == dropped_ms
            self.dropped_ms += dropped_ms
            if is_first:  # once a session: a slow network drops for minutes
                self._note("link.audio_dropped", dropped_ms=round(dropped_ms))
        if texts:
            self._has_mail.set()

    def _send_probe(self, session: Session) -> bool:
        if session.phase is not Phase.READY:
            return False
        self._mail([session.probe()])
        return True

    # --- small things --------------------------------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _fresh_terms(self) -> Terms:
        return Terms(self._config, self._provider.capabilities, self._provider.dialects)

    def _remember(self, update: cmd.UpdateSession) -> None:
        """A change of instructions or tools must survive a reconnect."""
        if update.instructions is not None:
            self._config = replace(self._config, instructions=update.instructions)
        if update.tools is not None:
            self._config = replace(self._config, tools=update.tools)


def _failure(task: asyncio.Future[Any]) -> BaseException | None:
    """Why a task failed; None while it runs, when it was cancelled or went well."""
    return task.exception() if task.done() and not task.cancelled() else None
