"""An independent Realtime server, to talk to without a provider.

Thread: the event loop that serves; real or virtual time.  It must never import
`edge_agent.realtime`: it works on raw JSON and shares no code with the client it is tried against.

    server = RealtimeServer(ParrotBrain())
    async with listen(server, "127.0.0.1", 0) as port:
        ...  # dial port.url
    await server.serve_wire(wire, "/v1/realtime?model=x", {})  # or over any wire, in memory

Strict about bad input as the real service is; `server.faults` makes it misbehave on purpose.
Left out: WebRTC and SIP, client secrets over HTTP, MCP tools run by the service, and dropping old
items when the context is full (there is no limit here).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from edge_agent.contract.errors import WireClosed
from edge_agent.contract.ports import Wire
from edge_agent.simulation.brains import Brain
from edge_agent.simulation.faults import Faults
from edge_agent.simulation.late_pongs import LatePongs
from edge_agent.simulation.manners import Mannered
from edge_agent.simulation.realtime_server.listener import Listening, listen
from edge_agent.simulation.realtime_server.outbox import Observer
from edge_agent.simulation.realtime_server.peer import Refusal
from edge_agent.simulation.realtime_server.schemas import DEFAULT_MODEL
from edge_agent.simulation.realtime_server.session import Session
from edge_agent.simulation.traits import Trait, speak

__all__ = ["Listening", "RealtimeServer", "Refusal", "Session", "listen"]

PATHS = ("/v1/realtime", "/openai/v1/realtime")
KEY_SUBPROTOCOL = "openai-insecure-api-key."
SESSION_MAX_S = 3600.0  # the service's 60 minutes
AUDIO_SPEED = 8.0  # audio arrives much faster than it is played: about what is seen in the field
DELTA_MS = 100
FIRST_DELTA_MS = 250  # thinking time of a quick model
TRANSCRIPTION_MS = 300
ENDED_SESSIONS_KEPT = 16  # enough to look at after a test; an hour of talk is some 10 MB
CLOSE_REASONS = {
    3000: "invalid_request_error.invalid_api_key",
    4000: "invalid_request_error.beta_api_shape_disabled",
}
BETA_REFUSED = "The Realtime Beta API is no longer supported. Please use the GA API."
REFUSALS = {
    401: ("invalid_api_key", "Incorrect API key provided."),
    403: ("model_not_found", "The project does not have access to this model."),
    404: ("not_found", "Unknown request URL."),
    429: ("rate_limit_exceeded", "Rate limit reached."),
}


class RealtimeServer:
    """All sessions of one simulated provider.

    `keys` are the API keys that are let in (`None`: any, also none at all).  Audio leaves in
    deltas of `delta_ms` at `audio_speed` times realtime, the first after `first_delta_ms`.
    `on_event(side, event, at)` sees every event, side `client` or `server`, at loop time.
    `unix_time` fills `session.expires_at`; without it the field is left out.  `traits` are ways
    that are not those of the service (`simulation.traits`).
    """

    def __init__(
        self,
        brain: Brain,
        *,
        faults: Faults | None = None,
        keys: frozenset[str] | None = None,
        audio_speed: float = AUDIO_SPEED,
        delta_ms: int = DELTA_MS,
        first_delta_ms: int = FIRST_DELTA_MS,
        transcription_ms: int = TRANSCRIPTION_MS,
        session_max_s: float = SESSION_MAX_S,
        on_event: Observer | None = None,
        unix_time: Callable[[], float] | None = None,
        traits: Sequence[Trait] = (),
    ) -> None:
        self.brain = brain
        self.faults = faults if faults is not None else Faults()
        self.keys = keys
        self.traits = tuple(traits)
        for trait in self.traits:
            self.faults.set_from(trait.faults)
        is_late = any(trait.late_pongs for trait in self.traits)
        self.late_pongs = LatePongs() if is_late else None
        """How late pings are answered; None: at once."""
        self.audio_speed = audio_speed
        self.delta_ms = delta_ms
        self.first_delta_ms = first_delta_ms
        self.transcription_ms = transcription_ms
        self.session_max_s = session_max_s
        self.on_event = on_event
        self.unix_time = unix_time
        self.sessions: list[Session] = []
        """The open sessions and the last few that ended, oldest first; `is_open` tells which."""
        self.sessions_begun = 0
        self.dials = 0
        self.refusals = 0

    @property
    def open_sessions(self) -> list[Session]:
        """Sessions whose wire stands."""
        return [session for session in self.sessions if session.is_open]

    def admit(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Whether a dial is let through to the upgrade; a `Refusal` says why not."""
        self.dials += 1
        refusal = self._refusal(path, headers)
        self.refusals += refusal is not None
        return refusal

    def _refusal(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        faults = self.faults
        if faults.refuse_status and faults.take("refuse_count"):
            extra: dict[str, str] = {}
            if faults.refuse_retry_after_s is not None:
                extra["Retry-After"] = f"{faults.refuse_retry_after_s:g}"
            return _refused(faults.refuse_status, extra)
        if urlsplit(path).path.rstrip("/") not in PATHS:
            return _refused(404)
        if self.keys is not None and _key(headers) not in self.keys:
            return _refused(401)
        return None

    async def serve_wire(self, wire: Wire, path: str, headers: Mapping[str, str]) -> None:
        """Serve one session over an admitted wire; returns when it is closed."""
        faults = self.faults
        beta = _lowered(headers).get("openai-beta", "") == "realtime=v1"
        code = 4000 if beta else faults.accept_then_close
        if code and (beta or faults.take("accept_then_close_count")):
            await self._turn_away(wire, code)
            return
        for trait in self.traits:
            if trait.manner is not None:
                wire = Mannered(wire, trait.manner)
        query = parse_qs(urlsplit(path).query)
        kind = "transcription" if query.get("intent") == ["transcription"] else "realtime"
        model = (query.get("model") or query.get("deployment") or [DEFAULT_MODEL])[0]
        self.sessions_begun += 1
        session = Session(self, wire, self.sessions_begun, kind, model)
        self.sessions.append(session)
        key = _key(headers)
        speakers = [
            asyncio.create_task(speak(trait.says, key, session, wire))
            for trait in self.traits
            if trait.says is not None
        ]
        try:
            await session.serve()
        finally:
            for speaker in speakers:
                speaker.cancel()
            await asyncio.gather(*speakers, return_exceptions=True)
            self._forget_old_sessions()

    def _forget_old_sessions(self) -> None:
        """Closed sessions hold their audio; a soak of days must not keep it all."""
        ended = [session for session in self.sessions if not session.is_open]
        for session in ended[: max(0, len(ended) - ENDED_SESSIONS_KEPT)]:
            self.sessions.remove(session)

    async def _turn_away(self, wire: Wire, code: int) -> None:
        """Accept, say why not, close: how the service treats bad keys and old dialects."""
        reason = CLOSE_REASONS.get(code, "")
        error = {
            "type": "invalid_request_error",
            "code": reason.partition(".")[2] or None,
            "message": BETA_REFUSED if code == 4000 else "Incorrect API key provided.",
            "param": None,
            "event_id": None,
        }
        event: dict[str, object] = {"type": "error", "event_id": "event_refused", "error": error}
        try:
            if reason:
                if self.on_event is not None:
                    self.on_event("server", event, asyncio.get_running_loop().time())
                await wire.send(json.dumps(event))
            await wire.close(code, reason)
        except WireClosed:
            return

    # -- faults at will --------------------------------------------------------------------

    def expire_sessions(self) -> None:
        """`session_expired` and close 1001 for every open session, now."""
        for session in self.open_sessions:
            session.expire()

    def close_sessions(self, code: int = 1011, reason: str = "") -> None:
        """Close every open session with that code, after what is queued."""
        for session in self.open_sessions:
            session.hang_up(code, reason)

    def abort_sessions(self) -> None:
        """Cut every open session without a close frame (a TCP reset on a real socket)."""
        self.close_sessions(1006)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _key(headers: Mapping[str, str]) -> str:
    """The API key of a dial: bearer token, Azure's `api-key`, or a browser's subprotocol."""
    lowered = _lowered(headers)
    scheme, _, token = lowered.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    if "api-key" in lowered:
        return lowered["api-key"]
    for offered in lowered.get("sec-websocket-protocol", "").split(","):
        if offered.strip().startswith(KEY_SUBPROTOCOL):
            return offered.strip().removeprefix(KEY_SUBPROTOCOL)
    return ""


def _refused(status: int, headers: Mapping[str, str] | None = None) -> Refusal:
    code, message = REFUSALS.get(status, ("server_error", "The server is overloaded."))
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    if status >= 500:
        error["type"] = "server_error"
    return Refusal(status, json.dumps({"error": error}), headers or {})
