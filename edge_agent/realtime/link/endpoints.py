"""Endpoints: the providers in the owner's order, and which of them to dial now.

Thread: the event loop's, but pure: time is an argument, chance comes in.  It must never hold a key:
each endpoint has a function that asks for its own.

The first endpoint is home.  It is left when it has failed a few times in a row, at once when it
refuses or does not even answer, and only if there is another one.  Every endpoint has a backoff
and terms of its own, so that a fall-back never inherits a stranger's troubles.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edge_agent.contract import net_faults
from edge_agent.contract.errors import LinkError, LinkRefused
from edge_agent.realtime.link.liveness import LinkTimings
from edge_agent.realtime.link.pong_tolerance import PongTolerance
from edge_agent.realtime.link.pongs import PongBook, Pongs
from edge_agent.realtime.link.redial import NO_ANSWER_CODES, RedialPauses
from edge_agent.realtime.protocol.config import SessionConfig
from edge_agent.realtime.protocol.faults import KEY_UNREADABLE, NO_KEY
from edge_agent.realtime.protocol.terms import Terms
from edge_agent.realtime.providers import Provider, build_url

FAILURES_UNTIL_NEXT = 3
"""Failures in a row until the next endpoint has its turn: with short pauses they are over in
about a second, the length of a hiccup that nobody should change providers for."""

PATIENCE_S = 1.0
"""A pause shorter than this is no reason to prefer another endpoint."""

KEY_FAULTS = frozenset({net_faults.BAD_KEY.code, NO_KEY, KEY_UNREADABLE})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place where a model can be had.

    `url` is complete (`providers.build_url`); `key` is asked at every dial; `voice`, `transcriber`
    None: the one of the session's configuration.
    """

    provider: Provider
    url: str
    model: str
    key: Callable[[], str | None]
    voice: str | None = None
    transcriber: str | None = None


def endpoint_for(
    provider: Provider,
    model: str,
    key: Callable[[], str | None],
    *,
    url: str = "",
    resource: str = "",
    allow_insecure: bool = False,
    voice: str | None = None,
    transcriber: str | None = None,
) -> Endpoint:
    """An endpoint with its URL built; raises `ConfigError` as `providers.build_url` does."""
    address = build_url(provider, model, url=url, resource=resource, allow_insecure=allow_insecure)
    return Endpoint(provider, address, model, key, voice, transcriber)


class Route:
    """One endpoint and what has been learnt about it."""

    def __init__(
        self, endpoint: Endpoint, backoff: RedialPauses, config: SessionConfig, pongs: Pongs
    ) -> None:
        self.endpoint = endpoint
        self.backoff = backoff
        self.failures = 0
        """Failures since a session with it last worked."""
        self.not_before = float("-inf")
        """Loop time before which it is to be left in peace."""
        self.fault: LinkError | None = None
        """Why it failed last, unless it has worked since."""
        self.used_key: str | None = None
        self.tolerance = PongTolerance()
        self.pongs = pongs
        self.oddities = Counter[str]()
        """Of the sessions that are over (see `Session.counts`)."""
        self.renegotiate(config)

    def config(self, base: SessionConfig) -> SessionConfig:
        """`base` with this endpoint's own model, voice and transcriber."""
        endpoint, transcriber = self.endpoint, base.transcription_model
        voice = base.voice if endpoint.voice is None else endpoint.voice
        if transcriber is not None:
            own = transcriber if endpoint.transcriber is None else endpoint.transcriber
            transcriber = own or endpoint.provider.transcriber
        return replace(base, model=endpoint.model, voice=voice, transcription_model=transcriber)

    def timings(self, base: LinkTimings) -> LinkTimings:
        """`base` with this provider's own tolerance."""
        pong_s = self.endpoint.provider.pong_active_s
        return base if pong_s is None else replace(base, pong_active_s=pong_s)

    def pong_limit_s(self, base: LinkTimings) -> float:
        """How long a turn waits for the pong to a ping that was delivered."""
        timings = self.timings(base)
        return self.pongs.limit_s(max(timings.taken_s, timings.pong_active_s))

    def renegotiate(self, base: SessionConfig) -> None:
        """Forget which options and dialects this server has refused."""
        provider = self.endpoint.provider
        self.terms = Terms(self.config(base), provider.capabilities, provider.dialects)

    def failed(self, fault: LinkError, now: float) -> None:
        """A dial or a session ended in `fault`."""
        self.fault = fault
        self.failures += 1
        if isinstance(fault, LinkRefused) or fault.code == "link.timeout":
            self.failures = max(self.failures, FAILURES_UNTIL_NEXT)
        self.not_before = now + self.backoff.next_delay_s(fault, now)

    def worked(self) -> None:
        """A session with it was a healthy one."""
        self.backoff.healthy()
        self.failures = 0
        self.fault = None

    def forgive(self) -> None:
        """Something changed (key, settings, network): start over, now."""
        self.backoff.forgive()
        self.failures = 0
        self.not_before = float("-inf")

    @property
    def is_refused(self) -> bool:
        """Whether only a person can make it work again."""
        return isinstance(self.fault, LinkRefused)

    @property
    def waits_for_key(self) -> bool:
        """Whether it failed for want of another key than `used_key`."""
        return self.fault is not None and self.fault.code in KEY_FAULTS


class Routes:
    """All endpoints, home first (at least one)."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        config: SessionConfig,
        rng: random.Random,
        timings: LinkTimings,
        pongs: PongBook | None = None,
    ) -> None:
        self._timings = timings
        book = pongs or PongBook()
        self.all = tuple(
            Route(
                endpoint,
                RedialPauses(
                    rng,
                    base_s=timings.retry_base_s,
                    cap_s=timings.retry_cap_s,
                    refused_s=timings.refused_s,
                ),
                config,
                book.of(endpoint.provider.name),
            )
            for endpoint in endpoints
        )
        self.home = self.all[0]

    def choose(self, now: float) -> Route:
        """The endpoint to dial next, not before its `not_before`."""

        def merit(route: Route) -> tuple[float, int]:
            # A few failures in a row do not count against it, and neither does a short pause.
            soon = max(route.not_before, now + PATIENCE_S)
            return soon, route.failures // FAILURES_UNTIL_NEXT

        return min(self.all, key=merit)

    @property
    def are_refused(self) -> bool:
        """Whether every one of them waits for a person."""
        return all(route.is_refused for route in self.all)

    def home_at(self, route: Route, since: float) -> float:
        """When to try home again, being with `route` since then; infinite when that is home."""
        if route is self.home:
            return float("inf")
        fault = self.home.fault
        is_short = fault is not None and fault.code in NO_ANSWER_CODES
        stay_s = self._timings.home_soon_s if is_short else self._timings.home_s
        return max(since + stay_s, self.home.not_before)

    def forgive(self) -> None:
        """Start over with all of them."""
        for route in self.all:
            route.forgive()

    def renegotiate(self, config: SessionConfig) -> None:
        """New settings: what was refused may be taken now."""
        for route in self.all:
            route.renegotiate(config)
