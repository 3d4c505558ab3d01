"""Spare: a second session beside the present one, ready before it is needed.

Thread: the event loop's.  It must never touch the present session, and never swap by itself: it
stands ready and asks (`RollOverDue`), the dialogue chooses the moment, the link swaps.

Two reasons: the provider's time limit comes near, or we are with a fall-back provider and it is
time to see whether home works again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from edge_agent.contract import events as ev
from edge_agent.contract.errors import LinkError
from edge_agent.realtime.link.channel import ABOUT_NOW_S, Channel, NoteSink
from edge_agent.realtime.link.endpoints import Route, Routes
from edge_agent.realtime.link.liveness import LinkTimings

LAST_CALL_S = 60.0
"""When so little is left the dialogue is asked more often."""

_RETRY_DOUBLINGS = 2


class Spare:
    """Call `keep` as a task for as long as there is a present session.

    `present` returns that; `open_channel` dials and returns a channel that is not served yet;
    `has_new_key` says whether an endpoint that failed for want of a key has another one now.
    """

    def __init__(
        self,
        routes: Routes,
        timings: LinkTimings,
        *,
        present: Callable[[], Channel | None],
        open_channel: Callable[[Route], Awaitable[Channel]],
        has_new_key: Callable[[Route], bool],
        post: Callable[[ev.Event], None],
        note: NoteSink,
    ) -> None:
        self._has_new_key = has_new_key
        self._routes = routes
        self._timings = timings
        self._present = present
        self._open_channel = open_channel
        self._post = post
        self._note = note
        self._changed = asyncio.Event()
        self._channel: Channel | None = None
        self._serving: asyncio.Task[LinkError] | None = None
        self._is_outdated = False
        self._home_tried_at = float("-inf")
        self._retry_at = float("-inf")
        self._failures = 0

    @property
    def channel(self) -> Channel | None:
        """The spare session, READY or on its way; None if there is none."""
        return self._channel

    def look_again(self) -> None:
        """A session became READY, or the present one is another now."""
        self._changed.set()

    def outdated(self) -> None:
        """The spare one was told something that no longer holds: begin again."""
        self._is_outdated = True
        self._changed.set()

    def take(self) -> tuple[Channel, asyncio.Task[LinkError]] | None:
        """Hand over the spare session with the task that serves it, if it is READY."""
        channel, serving = self._channel, self._serving
        if channel is None or serving is None or not channel.is_ready:
            return None
        self._channel = self._serving = None
        self._failures = 0
        self._changed.set()
        return channel, serving

    async def keep(self) -> None:
        """Until cancelled: have a spare session whenever it is time for one."""
        loop = asyncio.get_running_loop()
        self._retry_at = float("-inf")
        while True:
            self._changed.clear()
            present = self._present()
            if present is None or present.ready_at is None:
                await self._changed.wait()
                continue
            limit_at, opened_at = present.limit_at, present.opened_at
            early_s = min(self._timings.roll_early_s, (limit_at - opened_at) / 4)
            renew_at = max(limit_at - early_s, self._retry_at)
            home_at = self._routes.home_at(
                present.route, max(present.ready_at, self._home_tried_at)
            )
            if self._is_home_waiting(present) and self._has_new_key(self._routes.home):
                home_at = loop.time()
            if not await self._is_time(min(renew_at, home_at), present):
                continue
            is_return = home_at <= renew_at
            route = self._routes.home if is_return else present.route
            if is_return:
                self._home_tried_at = loop.time()
            fault = await self._stand_by(route, loop.time() if is_return else None)
            if fault is not None:
                self._failed(route, fault, is_return=is_return)

    def _is_home_waiting(self, present: Channel) -> bool:
        return present.route is not self._routes.home and self._routes.home.waits_for_key

    async def _is_time(self, at: float, present: Channel) -> bool:
        """Wait until then; False if there is something new to look at before."""
        loop = asyncio.get_running_loop()
        left_s = at - loop.time()
        if left_s <= ABOUT_NOW_S:
            return True
        step_s: float | None = None if left_s == float("inf") else left_s
        if self._is_home_waiting(present):
            step_s = min(left_s, self._timings.key_poll_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(step_s):
                await self._changed.wait()
        return False

    def _failed(self, route: Route, fault: LinkError, *, is_return: bool) -> None:
        self._note("link.roll_over_failed", error=fault.code)
        now = asyncio.get_running_loop().time()
        if is_return:
            route.failed(fault, now)
            return
        doublings = min(self._failures, _RETRY_DOUBLINGS)
        self._retry_at = now + self._timings.roll_retry_s * 2**doublings
        self._failures += 1

    async def _stand_by(self, route: Route, on_trial_since: float | None) -> LinkError | None:
        """Open a session and ask for a quiet moment until it is taken, dead or outdated."""
        self._is_outdated = False
        try:
            channel = await self._open_channel(route)
        except LinkError as error:
            return error
        serving = asyncio.create_task(channel.serve(), name="link spare session")
        self._channel, self._serving = channel, serving
        changed: asyncio.Task[bool] | None = None
        try:
            while not serving.done() and self._channel is channel and not self._is_outdated:
                self._changed.clear()
                pause_s: float | None = None
                if channel.is_ready:
                    pause_s = self._ask(channel, on_trial_since)
                    if self._channel is not channel:
                        break
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait(
                    {serving, changed}, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED
                )
                changed.cancel()
            if self._channel is channel and serving.done():
                return serving.result()
            return None
        finally:
            if changed is not None:
                changed.cancel()
                await asyncio.gather(changed, return_exceptions=True)
            if self._channel is channel:  # nobody took it
                self._channel = self._serving = None
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

    def _ask(self, channel: Channel, on_trial_since: float | None) -> float:
        """Ask for a quiet moment, unless it is too early; returns when to ask again."""
        now = asyncio.get_running_loop().time()
        if on_trial_since is not None:
            trial_left_s = (channel.ready_at or now) + self._timings.home_spell_s - now
            if trial_left_s > ABOUT_NOW_S:
                return trial_left_s
        present = self._present()
        left_s = (present.limit_at if present is not None else now) - now
        self._post(ev.RollOverDue(at=now))
        return self._timings.roll_ask_s / (5 if left_s < LAST_CALL_S else 1)
