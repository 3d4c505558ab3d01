"""Session: what may be said now, and what the server's words mean.

Thread: the event loop's, but pure: no clock, no I/O, no randomness.  It must never raise on what a
server sends; `command` raises `LocalProtocolError` for our own mistakes.

    CONFIGURING --session.updated--> READY --fatal error--> CLOSED
         \\--refused to the last option / fatal error--------^

    session.created → session.update → session.updated → `LinkReady`, exactly once.

A refused `session.update` is sent again without the option at fault, until only the bare
minimum is left; if that is refused too, in every dialect the provider may speak, the link is
refused.  Call order: `opened`, then for every frame `receive`; after each call send what
`take_outgoing` returns, in order, and look at `failure`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from functools import singledispatchmethod
from typing import Any

from edge_agent.contract import commands as cmd
from edge_agent.contract import error_codes, net_faults
from edge_agent.contract import events as ev
from edge_agent.contract.errors import LinkError, LinkLost, LinkRefused, LocalProtocolError
from edge_agent.contract.foreign import code_of
from edge_agent.realtime.protocol import complaints, faults, messages, shapes
from edge_agent.realtime.protocol import config as cfg
from edge_agent.realtime.protocol.asides import Asides
from edge_agent.realtime.protocol.complaints import Complaint
from edge_agent.realtime.protocol.responses import Responses
from edge_agent.realtime.protocol.terms import Note, Terms
from edge_agent.realtime.protocol.tracking import tag_of, text_of
from edge_agent.realtime.protocol.turns import TURN_MESSAGES, TURN_SIGNS, Turns
from edge_agent.realtime.protocol.uplink import ASIDE, COMMIT, REQUEST, Uplink

NOTES_MAX = 10
"""Journal notes with one code that a session may cause: a peer must not fill the journal.  All of
it is counted."""


class Phase(Enum):
    """How far a session is."""

    CONFIGURING = "configuring"
    READY = "ready"
    CLOSED = "closed"


class Session:
    """One server session, from the first frame to the last.

    `terms` are shared by all sessions with a provider; `new_id` makes client event ids.
    """

    def __init__(
        self, terms: Terms, capabilities: cfg.Capabilities, new_id: Callable[[], str] | None = None
    ) -> None:
        counter = itertools.count(1)
        self._terms = terms
        self._can = capabilities
        self._new_id = new_id or (lambda: f"edge_{next(counter)}")
        self._outgoing: list[str] = []
        self._events: list[ev.Event] = []
        self._notes: list[Note] = []
        self._update_id = ""
        self._asked = terms.dialect, terms.refused  # another session may change them meanwhile
        self._was_greeted = False
        self._session_id = ""
        self.address = ""
        """Host of the service, for whoever is told that the session is ready."""
        self._model = ""
        self._transcribes = True
        self.expires_at = 0.0
        """Unix time at which the provider will end the session; 0 if it did not say."""
        self._uplink: Uplink | None = None
        self._probe_id = ""
        self._unknown: set[str] = set()
        self._noted: Counter[str] = Counter()
        self._at = 0.0
        self.phase = Phase.CONFIGURING
        self.failure: LinkError | None = None
        """Why the session is over, once `phase` is CLOSED."""
        self.counts: Counter[str] = Counter()
        """Oddities by kind: `malformed`, `unknown`, `benign`, `late_audio`, `swallowed` …"""
        self.garbage_run = 0
        """Malformed frames in a row."""
        self._responses = Responses(self.counts, self._over)
        self._asides = Asides(terms)
        self._turns = Turns(self.counts, self._call_of)
        self._last_sound: str | bytes = b""

    # --- configuring --------------------------------------------------------------------

    @property
    def responses_completed(self) -> int:
        """Responses of any kind that ended well."""
        return self._responses.completed

    @property
    def session_id(self) -> str:
        """What the server calls the session; "" if it did not say."""
        return self._session_id

    @property
    def model(self) -> str:
        """The model in use."""
        return self._model or self._terms.config.model

    @property
    def was_greeted(self) -> bool:
        """Whether the server has said anything that shows a session."""
        return self._was_greeted

    def opened(self) -> list[str]:
        """The connection is open: what to send at once (nothing, if the server greets first)."""
        if not self._can.greets:
            self._send_update()
        return self.take_outgoing()

    def nudge(self) -> list[str]:
        """The server has not greeted for a while: configure it all the same."""
        if self.phase is Phase.CONFIGURING and not self._update_id:
            self._send_update()
        return self.take_outgoing()

    @property
    def update_id(self) -> str:
        """Which configuration is on its way; "" before the first."""
        return self._update_id

    def take_as_agreed(self, at: float) -> list[ev.Event]:
        """The server has said nothing against the configuration for long enough."""
        if self.phase is Phase.CONFIGURING and self._update_id:
            self._at = at
            self._got_ready({})
        return self.take_events()

    def take_outgoing(self) -> list[str]:
        """Texts to send now, in order."""
        texts, self._outgoing = self._outgoing, []
        return texts

    def take_notes(self) -> list[Note]:
        """Journal notes `(code, fields)` since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def _send_update(self) -> None:
        self._update_id = self._new_id()
        self._asked = self._terms.dialect, self._terms.refused
        self._outgoing.append(
            messages.update_session(self._update_id, self._terms.session_object())
        )

    def close(self) -> None:
        """The connection is gone; nothing can be sent any more."""
        self.phase = Phase.CLOSED

    def _close(self, failure: LinkError) -> None:
        self.failure = failure
        self.phase = Phase.CLOSED

    # --- from the server ----------------------------------------------------------------

    def receive(self, frame: str | bytes, at: float) -> list[ev.Event]:
        """What one frame, received at loop time `at`, means.  Never raises."""
        message = messages.decode(frame)
        if isinstance(message, shapes.Malformed):
            self.counts["malformed"] += 1
            self.garbage_run += 1
            if self.garbage_run == 1:
                self._note("link.garbage", type=message.type, reason=message.reason)
            return []
        self.garbage_run = 0
        if self.phase is Phase.CLOSED:
            return []
        self._at = at
        if self.phase is Phase.CONFIGURING and not isinstance(message, _WHILE_CONFIGURING):
            # Nothing can be meant for us before we have said what we want.
            self.counts["early"] += 1
            return []
        if self._comes_again(frame, message):
            self.counts["repeated"] += 1
            return []
        try:
            self._on(message)
        except Exception as problem:  # what it was is for us to mend; the talk goes on
            self.counts["unread"] += 1
            reason = f"a fault of ours ({type(problem).__name__})"
            self._note("link.garbage", type=_name_of(message), reason=reason)
        return self.take_events()

    def _comes_again(self, frame: str | bytes, message: shapes.ServerMessage) -> bool:
        """The same piece of sound delivered twice: played twice it would stutter, and we would
        count more of the answer than the server has.  Without an id, two may be equal by chance."""
        last, self._last_sound = self._last_sound, b""
        if not isinstance(message, shapes.AudioDelta):
            return False
        self._last_sound = frame
        if frame != last:
            return False
        return "event_id" in frame if isinstance(frame, str) else b"event_id" in frame

    def _note(self, code: str, **fields: object) -> None:
        self._noted[code] += 1
        if self._noted[code] <= NOTES_MAX:
            self._notes.append((code, fields))

    def _over(self, what: str) -> None:
        """There is too much of something, and it is left out: one note of each kind."""
        self.counts[f"over {what}"] += 1
        if self.counts[f"over {what}"] == 1:
            self._notes.append(("link.too_much", {"what": what}))

    @singledispatchmethod
    def _on(self, message: shapes.ServerMessage) -> None:
        """What is not about the session or the household's turn is about a response."""
        if isinstance(message, shapes.BufferCommitted) and self._uplink is not None:
            self._uplink.answered(COMMIT)
        if isinstance(message, TURN_SIGNS):
            self._asides.answer_due()
        reader = self._turns if isinstance(message, TURN_MESSAGES) else self._responses
        self._events += reader.receive(message, self._at)

    def _call_of(self, call_id: str) -> str:
        return self._uplink.call_of(call_id) if self._uplink is not None else call_id

    @_on.register
    def _(self, message: shapes.Unknown) -> None:
        self.counts["unknown"] += 1
        kind = code_of(message.type)
        if kind not in self._unknown and len(self._unknown) < NOTES_MAX:
            self._unknown.add(kind)
            self._note("link.unknown_event", type=kind)

    @_on.register
    def _(self, message: shapes.SessionCreated) -> None:
        self._learn_session(message.session)
        self._greeted()

    @_on.register
    def _(self, _message: shapes.ConversationCreated) -> None:
        self._greeted()

    def _greeted(self) -> None:
        self._was_greeted = True
        if self.phase is Phase.CONFIGURING and not self._update_id:
            self._send_update()

    @_on.register
    def _(self, message: shapes.SessionUpdated) -> None:
        self._was_greeted = True
        self._learn_session(message.session)
        if self.phase is not Phase.CONFIGURING or not self._update_id:
            return
        problem = cfg.output_format_problem(message.session)
        if problem:
            self._close(
                LinkRefused(
                    f"The server does not speak 24 kHz PCM: {problem}.",
                    fix="Configure the server for PCM16 at 24 kHz, or choose another one.",
                    code=net_faults.DIALECT.code,
                )
            )
            return
        self._got_ready(message.session)

    def _got_ready(self, echo: Mapping[str, Any]) -> None:
        self._notes += self._terms.agreed(echo)
        self._transcribes = self._terms.transcribes
        self.phase = Phase.READY
        limit = self._can.append_max_bytes
        self._uplink = Uplink(self._asked[0], self._new_id, limit)
        self._events.append(self.ready_news(self._at))

    def ready_news(self, at: float, *, replaces: bool = False) -> ev.LinkReady:
        """That this session may be used; `replaces`: from now on in place of another one."""
        return ev.LinkReady(
            at=at,
            session=self._session_id,
            model=self.model,
            address=self.address,
            replaces=replaces,
            transcribes=self._transcribes,
        )

    def _learn_session(self, session: Mapping[str, Any]) -> None:
        self._session_id = text_of(session.get("id"))[:128] or self._session_id
        self._model = text_of(session.get("model"))[:128] or self._model
        expires_at = session.get("expires_at")
        if isinstance(expires_at, (int, float)) and 0 < expires_at < 1e12:
            self.expires_at = float(expires_at)

    @_on.register
    def _(self, message: shapes.ErrorEvent) -> None:
        complaint = complaints.read(message.error)
        fatal = faults.from_error_event(complaint.code, complaint.text)
        if fatal is not None:
            self._close(fatal)
        elif self.phase is Phase.CONFIGURING:
            self._configuring_error(complaint)
        elif complaint.about and complaint.about == self._probe_id:
            self.counts["benign"] += 1  # an error is as good a sign of life as any
        else:
            self._complained(complaint)

    def _complained(self, complaint: Complaint) -> None:
        kind, subject = self._cause_of(complaint)
        if complaint.is_benign:
            self.counts["benign"] += 1
            self.counts[f"benign {complaint.code}"] += 1
            if complaint.code != error_codes.COMMIT_EMPTY or kind != COMMIT:
                return
        if kind == ASIDE:
            if complaint.names_aside_field:
                self._no_asides()
            self._events.append(ev.SideAnswer(at=self._at, tag=subject, text="", ok=False))
            kind, subject = error_codes.ABOUT_SIDE_QUESTION, ""
        self._events.append(complaint.event(self._at, f"{kind} {subject}".strip()))

    def _cause_of(self, complaint: Complaint) -> tuple[str, str]:
        """Type and subject of the event at fault; where no id is told, what is outstanding."""
        if self._uplink is None:
            return "", ""
        told = self._uplink.recall(complaint.about)
        if told[0]:
            return told
        cause = self._uplink.outstanding(REQUEST)
        if complaint.code == error_codes.COMMIT_EMPTY:
            cause = self._uplink.outstanding(COMMIT)
        elif complaint.is_benign:
            cause = ""
        elif complaint.names_aside_field:
            cause = self._uplink.outstanding(ASIDE) or cause
        return self._uplink.recall(cause)

    def _configuring_error(self, complaint: Complaint) -> None:
        if complaint.is_busy:
            self._close(net_faults.error_for(net_faults.LATER, faults.PROVIDER))
            return
        is_ours = not complaint.about or complaint.about == self._update_id
        if not complaint.is_servers_own and not (self._update_id and is_ours):
            # About something we did not send, or an update that has been replaced since.
            self.counts["benign"] += 1
            return
        if not complaint.is_of_schema:
            self._close(LinkLost(f"The server could not start a session: {complaint.text}"))
            return
        if self._asked != (self._terms.dialect, self._terms.refused):
            self._send_update()  # another session has conceded already
            return
        note = self._terms.concede(complaint.param, complaint.text, complaint.code)
        if note is not None:
            self._notes.append(note)
            self._send_update()
        else:
            self._close(
                LinkRefused(
                    "The server refuses even the plainest session "
                    f"({code_of(complaint.code)}): {complaint.text}",
                    fix="Check that the provider setting fits the URL, and update the server.",
                    code=net_faults.DIALECT.code,
                )
            )

    @_on.register
    def _(self, message: shapes.ResponseCreated) -> None:
        response, tag = message.response, tag_of(message.response)
        astray = None if self._responses.knows(response.id) else self._asides.begun(response)
        if self._uplink is not None:
            about = tag or astray or ""
            self._uplink.answered(ASIDE if about else REQUEST, about)
        if astray is not None:
            self._responses.begin_aside(response.id, astray)
            self._outgoing.append(messages.cancel_response(self._new_id(), response.id))
            self._no_asides()
        self._events += self._responses.receive(message, self._at)

    def _no_asides(self) -> None:
        if self._asides.not_known():
            self._note("link.no_side_questions")

    # --- to the server ------------------------------------------------------------------

    def command(self, command: cmd.WireCommand) -> list[str]:
        """The texts that carry out `command`, in order; empty if there is nothing to send.

        Nothing is sent for what the provider cannot do, or what is over already.  Raises
        `LocalProtocolError` when the session is not READY or an argument breaks a limit of
        the protocol.  Call `take_events` afterwards: a side question may be answered at once.
        """
        if self.phase is not Phase.READY or self._uplink is None:
            name = type(command).__name__
            raise LocalProtocolError(f"{name} while the session is {self.phase.value}.")
        if isinstance(command, cmd.AskSideQuestion):
            if not self._terms.answers_aside:
                self._events.append(ev.SideAnswer(at=self._at, tag=command.tag, text="", ok=False))
                self.counts["swallowed"] += 1
                return []
            self._asides.asked(command.tag)
        elif isinstance(command, cmd.RequestResponse):
            self._asides.answer_due()
        texts = self._uplink.write(command)
        if not (
            (isinstance(command, cmd.TruncateItem) and not self._can.truncate)
            # The response ended while the wish to cancel it was on its way.
            or (
                isinstance(command, cmd.CancelResponse)
                and command.response in self._responses.finished
            )
        ):
            return texts
        self.counts["swallowed"] += 1
        return []

    def take_events(self) -> list[ev.Event]:
        """Events that a command caused without the server."""
        events, self._events = self._events, []
        return events

    def probe(self) -> str:
        """A text that changes nothing and that a living server answers."""
        self._probe_id = self._new_id()
        return messages.update_session(
            self._probe_id, cfg.session_patch(None, None, self._asked[0])
        )


def _name_of(message: shapes.ServerMessage) -> str:
    """The wire's name for a message."""
    names = (name for name, kind in shapes.SERVER_EVENTS.items() if isinstance(message, kind))
    return next(names, "")


_WHILE_CONFIGURING = (
    shapes.SessionCreated,
    shapes.ConversationCreated,
    shapes.SessionUpdated,
    shapes.ErrorEvent,
    shapes.Unknown,
)
