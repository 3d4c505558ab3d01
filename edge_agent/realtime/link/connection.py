"""Connection: keeps one session alive for ever.

Thread: the event loop's.  It must never block, never read another clock than the loop's (it runs in
virtual time), never log and never raise into the pump: what happens becomes events.

    run:  dial → configure → READY → … → dead → wait → dial …
                               └ roll over: another session takes its place, READY all along

Every dead link posts exactly one `LinkDown`.  The order is always `LinkConnecting`, then
`LinkDown` or `LinkReady`; after that any number of `LinkReady(replaces=True)`, then `LinkDown`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.contract.errors import LinkError, LinkLost, LinkRefused, LocalProtocolError
from edge_agent.contract.ports import Dialer
from edge_agent.realtime.link.channel import ABOUT_NOW_S, Channel, NoteSink, dial, failure
from edge_agent.realtime.link.closing import ClosingWires
from edge_agent.realtime.link.endpoints import Endpoint, Route, Routes, endpoint_for
from edge_agent.realtime.link.keys import KeyReader
from edge_agent.realtime.link.liveness import HALF_OPEN, LinkTimings
from edge_agent.realtime.link.pongs import PongBook, Pongs
from edge_agent.realtime.link.redial import NO_ANSWER_CODES
from edge_agent.realtime.link.spare import Spare
from edge_agent.realtime.link.standby import Standby, Standing
from edge_agent.realtime.protocol.config import SessionConfig
from edge_agent.realtime.providers import Provider

Post = Callable[[ev.Event], None]

RETRY_NOW_REASONS = frozenset({"config", "key", "network"})
"""Reasons to reopen that mean: the world has changed, try again without a pause."""

NETWORK_FAULTS = NO_ANSWER_CODES | {HALF_OPEN, "link.captive_portal", "link.proxy"}
"""Faults that another network may cure, and in which a spare session would share."""


class RealtimeLink:
    """The link to the model, kept up by `run`.

    `key` is asked at every dial.  `post` and `note` are called on the loop and must not raise.
    `url`, `resource`, `allow_insecure` as in `providers.build_url`, which raises `ConfigError`.
    `fallbacks`: other providers in the owner's order, dialled while the first cannot be had.
    `unix_time`: the wall clock, for a session's `expires_at`; without it the provider's usual
    limit holds.  `pongs`: what is known of how late the providers answer pings.
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
        timings: LinkTimings,
        url: str = "",
        resource: str = "",
        allow_insecure: bool = False,
        fallbacks: Sequence[Endpoint] = (),
        unix_time: Callable[[], float] | None = None,
        pongs: PongBook | None = None,
    ) -> None:
        home = endpoint_for(
            provider,
            config.model,
            key,
            url=url,
            resource=resource,
            allow_insecure=allow_insecure,
        )
        self._dial = dial
        self._config = config
        self._post = post
        self._note = note
        self._timings = timings
        self._unix_time = unix_time
        self._pongs = pongs or PongBook()
        self._routes = Routes((home, *fallbacks), config, rng, self._timings, self._pongs)
        self._closing = ClosingWires(self._timings.close_s)
        self._keys = KeyReader(note)
        self._spare = Spare(
            self._routes,
            self._timings,
            present=lambda: self._channel,
            open_channel=self._open,
            has_new_key=self._keys.has_new,
            post=post,
            note=note,
        )
        self.standby = Standby(self._open)
        self._channel: Channel | None = None
        self._serving: asyncio.Task[LinkError] | None = None
        self._leaving: set[asyncio.Task[LinkError]] = set()
        self._ready_route = self._routes.home
        self._fault_code = ""
        self._is_pausing = False
        self._is_active = False
        self._reopen_reason: str | None = None
        self._reopen = asyncio.Event()
        self._is_closing = False
        self._is_over = asyncio.Event()
        self._is_over.set()
        self._dropped_before_ms = 0.0
        self.sessions = 0
        """Sessions that became READY and were used."""
        self.late_commands = 0
        """Commands that came while there was no READY session (they crossed a `LinkDown`)."""

    # --- the outside --------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether commands are carried out now."""
        return self._channel is not None and self._channel.is_ready

    @property
    def provider(self) -> str:
        """Name of the provider of the present session, or of the last one."""
        return self._ready_route.endpoint.provider.name

    @property
    def pongs(self) -> Pongs:
        """How late that provider answers pings."""
        return self._ready_route.pongs

    @property
    def pong_limit_s(self) -> float:
        """How long a turn waits for a pong to a ping that was delivered."""
        return self._ready_route.pong_limit_s(self._timings)

    @property
    def queued_ms(self) -> float:
        """Audio that waits for the network."""
        return self._channel.queued_ms if self._channel else 0.0

    @property
    def dropped_ms(self) -> float:
        """Audio given up because the network was too slow."""
        return self._dropped_before_ms + (self._channel.dropped_ms if self._channel else 0.0)

    @property
    def counts(self) -> Mapping[str, int]:
        """Oddities of all sessions by kind, since the start (see `Session.counts`)."""
        total = sum((route.oddities for route in self._routes.all), Counter[str]())
        if self._channel is not None and not self._channel.ended:
            total += self._channel.session.counts
        return dict(total)

    def execute(self, command: cmd.WireCommand) -> None:
        """Carry out a command; never waits, never raises (see `late_commands`)."""
        if isinstance(command, cmd.UpdateSession):
            self._remember(command)
        channel = self._channel
        if channel is None or not channel.is_ready:
            self.late_commands += 1
            return
        if isinstance(command, cmd.RollOver):
            self._roll_over()
            return
        try:
            caused = channel.execute(command)
            if isinstance(command, cmd.UpdateSession):
                self._tell_spare(command)
                self.standby.update(command)
        except LocalProtocolError as error:
            self._note("link.local_error", error=error.message)
            return
        for event in caused:
            self._post(replace(event, at=self._now()))

    def set_active(self, active: bool) -> None:
        """Say whether a turn is under way: then a dead link is noticed sooner."""
        self._is_active = active
        if self._channel is not None:
            self._channel.set_active(active)

    def purge_audio(self) -> None:
        """Send nothing more of the sound that waits for a slow network: the room is private now."""
        purged_ms = self._channel.purge_audio() if self._channel is not None else 0.0
        if purged_ms:
            self._note("link.audio_purged", ms=round(purged_ms))

    def reopen(self, reason: str) -> None:
        """Drop the session and dial again; see `RETRY_NOW_REASONS`."""
        if reason in RETRY_NOW_REASONS:
            self._routes.forgive()
        if reason == "config":
            self._routes.renegotiate(self._config)
        self._reopen_reason = reason
        self._reopen.set()

    def network_changed(self, *, moved: bool = False, came_up: bool = False) -> None:
        """The kernel tells of a change (see `host.service.network.NetworkNews`).

        A session on a way out that is gone is reopened; any other is only asked whether it
        lives, since most changes (a container's interface) have nothing to do with us.
        """
        is_ready = self.is_ready and self._channel is not None
        is_waiting = self._is_pausing and self._fault_code in NETWORK_FAULTS
        if moved or (came_up and not is_ready) or is_waiting:
            self.reopen("network")
        elif self._channel is not None:
            self._channel.ask_now()

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
            await self.standby.gone()
            await asyncio.gather(*self._leaving, return_exceptions=True)
            await self._closing.said()
            self._is_over.set()

    async def _one_round(self) -> None:
        self._reopen.clear()
        self._reopen_reason = None
        standing = self.standby.take()
        route = standing[0].route if standing else self._routes.choose(self._now())
        self._post(ev.LinkConnecting(at=self._now()))
        try:
            fault = await self._one_link(route, standing)
        except LinkError as error:
            fault = error
        except Exception as error:
            # A bug must not leave a speaker deaf for ever.
            self._note("link.internal_error", error=type(error).__name__)
            fault = LinkLost("The session ended by an internal error.", code="link.internal")
        channel, self._channel = self._channel, None
        if channel is not None:
            route = channel.route  # not the one dialled, after a roll-over
            self._dropped_before_ms += channel.dropped_ms
        self._pongs.keep()
        if self._is_closing:
            return
        now = self._now()
        if channel is not None and channel.was_healthy(now):
            route.worked()
        if self._reopen_reason in RETRY_NOW_REASONS:
            self.standby.release()  # it was dialled for the world as it was
        is_replaced = self.standby.is_there
        if self._reopen_reason not in RETRY_NOW_REASONS and not is_replaced:
            route.failed(fault, now)
        until = now if is_replaced else self._routes.choose(now).not_before
        # Before the post, so that a wish uttered in answer to it is not lost.
        self._reopen.clear()
        self._reopen_reason = None
        self._fault_code = fault.code
        self._post(
            ev.LinkDown(
                at=now,
                code=fault.code,
                message=fault.message,
                fix=fault.fix,
                refused=isinstance(fault, LinkRefused) and self._routes.are_refused,
                retry_in_s=max(0.0, until - now),
            )
        )
        self._is_pausing = True
        try:
            await self._pause(until)
        finally:
            self._is_pausing = False

    async def _pause(self, until: float) -> None:
        """Wait; less, if the world changes (`reopen`) or another key is in place."""
        loop = asyncio.get_running_loop()
        while not self._is_closing and (left_s := until - loop.time()) > ABOUT_NOW_S:
            keyless = [route for route in self._routes.all if route.waits_for_key]
            step_s = min(left_s, self._timings.key_poll_s) if keyless else left_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(step_s):
                    await self._reopen.wait()
                if self._reopen_reason in RETRY_NOW_REASONS:
                    return
                self._reopen.clear()  # an ordinary wish changes nothing: we are at it
            for route in keyless:
                if self._keys.has_new(route):
                    route.forgive()
                    return

    # --- one link -----------------------------------------------------------------------

    async def _one_link(self, route: Route, standing: Standing | None) -> LinkError:
        """Dial, or take what stands ready, and serve until no session is left; returns (or
        raises) why."""
        wish = asyncio.create_task(self._reopen.wait(), name="link reopen")
        keeper: asyncio.Task[None] | None = None
        try:
            if standing is not None:
                self._channel, self._serving = standing
            else:
                opening = asyncio.create_task(self._open(route), name="link dial")
                try:
                    await asyncio.wait({opening, wish}, return_when=asyncio.FIRST_COMPLETED)
                    if not opening.done():
                        return LinkLost(
                            "Dialling was interrupted on purpose.", code="link.reopened"
                        )
                    self._channel = opening.result()
                finally:
                    opening.cancel()
                    await asyncio.gather(opening, return_exceptions=True)
                self._serving = asyncio.create_task(self._channel.serve(), name="link session")
            self._channel.set_active(self._is_active)
            if self._channel.is_ready:
                self._stands(self._channel, replaces=False)
            keeper = asyncio.create_task(self._spare.keep(), name="link spare")
            keeper.add_done_callback(self._keeper_ended)
            while True:
                serving = self._serving
                await asyncio.wait({serving, wish}, return_when=asyncio.FIRST_COMPLETED)
                if wish.done():
                    why = self._reopen_reason or "closing"
                    return LinkLost(
                        f"The session was dropped on purpose ({why}).", code="link.reopened"
                    )
                if serving is not self._serving:
                    continue  # rolled over
                fault = serving.result()
                if fault.code in NETWORK_FAULTS or not self._roll_over():
                    return fault
        finally:
            ours = {task for task in (wish, keeper, self._serving) if task is not None}
            self._serving = None
            for task in ours:
                task.cancel()
            await asyncio.gather(*ours, return_exceptions=True)

    async def _open(self, route: Route) -> Channel:
        """An open wire with a session that is not served yet.  Raises `LinkError`."""
        headers = self._keys.headers(route)
        wire = await dial(self._dial, route.endpoint.url, headers, self._timings, self._closing)
        route.terms.config = route.config(self._config)
        return Channel(
            wire,
            route,
            self._timings,
            self._closing,
            hear=self._heard,
            note=self._note,
            doubt=self._doubted,
            unix_time=self._unix_time,
        )

    def _heard(self, channel: Channel, event: ev.Event) -> None:
        """An event of a session: the present one's are for the dialogue."""
        if isinstance(event, ev.LinkReady):
            self._spare.look_again()
        if channel is self._channel:
            if isinstance(event, ev.LinkReady):
                self._count_ready(channel)
            self._post(event)

    def _count_ready(self, channel: Channel) -> None:
        self.sessions += 1
        if channel.route is not self._ready_route:
            self._ready_route = channel.route
            self._note("link.provider_changed", provider=self.provider)

    def _doubted(self, channel: Channel, is_doubtful: bool) -> None:
        """The present session may be dead, or has given a sign of life again."""
        if channel is not self._channel:
            return
        if is_doubtful:
            self.standby.dial(channel.route)
        else:
            self.standby.release()

    # --- rolling over -------------------------------------------------------------------

    def _roll_over(self) -> bool:
        """Let the spare session take the place of the present one; False if there is none."""
        taken = self._spare.take()
        if taken is None:
            return False
        old, old_serving = self._channel, self._serving
        channel, self._serving = taken
        self._channel = channel
        if old is not None:
            self._dropped_before_ms += old.dropped_ms
            if old.was_healthy(self._now()):
                old.route.worked()
        if channel.route is self._routes.home:
            channel.route.worked()
        if old_serving is not None:
            old_serving.cancel()  # it says goodbye by itself
            self._leaving.add(old_serving)
            old_serving.add_done_callback(self._leaving.discard)
        channel.set_active(self._is_active)
        channel.ask_now()
        self.standby.release()
        self._stands(channel, replaces=True)
        return True

    def _stands(self, channel: Channel, *, replaces: bool) -> None:
        """A session that was READY before is the present one now."""
        self._count_ready(channel)
        if replaces:
            self._note("link.rolled_over", provider=self.provider)
        self._post(channel.session.ready_news(self._now(), replaces=replaces))

    def _tell_spare(self, command: cmd.UpdateSession) -> None:
        spare = self._spare.channel
        if spare is not None and spare.is_ready:
            spare.execute(command)
        elif spare is not None:
            self._spare.outdated()

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        if (error := failure(keeper)) is not None:  # without a spare session the link goes on
            self._note("link.internal_error", error=type(error).__name__)

    # --- small things -------------------------------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _remember(self, update: cmd.UpdateSession) -> None:
        """A change of instructions or tools must survive a reconnect."""
        if update.instructions is not None:
            self._config = replace(self._config, instructions=update.instructions)
        if update.tools is not None:
            self._config = replace(self._config, tools=update.tools)
