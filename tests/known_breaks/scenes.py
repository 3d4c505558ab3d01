"""Scenes that the known breaks share: a session under a dialogue, a journal on paper, a scale.

Everything here is the public surface: frames into `Session`, events into the dialogue, notes
into `Journal`.
"""

from __future__ import annotations

import base64
import gc
import json
import tracemalloc
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from driver import House
from house_config import household_provider, household_session

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.host.journal.journal import Journal
from edge_agent.realtime.protocol.config import SessionConfig
from edge_agent.realtime.protocol.session import Session
from edge_agent.realtime.protocol.terms import Terms
from edge_agent.realtime.providers import Provider

REPO = Path(__file__).parents[2]


# --- frames ----------------------------------------------------------------------------


def frame(kind: str, **fields: object) -> str:
    """One server event."""
    return json.dumps({"type": kind, "event_id": "event_1", **fields})


def error(**body: object) -> str:
    """An `error` event; what is not given is null, as on the wire."""
    empty = {"type": "invalid_request_error", "code": None, "message": "", "param": None}
    return frame("error", error={**empty, "event_id": None, **body})


CREATED = frame("session.created", session={"id": "sess_1", "model": "m"})
UPDATED = frame("session.updated", session={"id": "sess_1", "model": "m"})


def begun(response: str, **fields: object) -> str:
    """`response.created`."""
    return frame("response.created", response={"id": response, **fields})


def done(response: str, status: str = "completed", **fields: object) -> str:
    """`response.done`."""
    return frame("response.done", response={"id": response, "status": status, **fields})


def failed(response: str, code: str = "server_error") -> str:
    """`response.done` of an answer that failed."""
    details = {"type": "failed", "error": {"type": "server_error", "code": code}}
    return done(response, "failed", status_details=details)


def spoken(response: str, item: str, pcm24k: bytes) -> str:
    """A piece of an answer's sound."""
    audio = base64.b64encode(pcm24k).decode()
    return frame("response.output_audio.delta", response_id=response, item_id=item, delta=audio)


def written(response: str, item: str, text: str) -> str:
    """A piece of an answer's transcript."""
    kind = "response.output_audio_transcript.delta"
    return frame(kind, response_id=response, item_id=item, delta=text)


# --- a session, and the dialogue above it ----------------------------------------------


def configuring(of: Provider, config: SessionConfig | None = None) -> Session:
    """A session whose opening has been sent."""
    can = of.capabilities
    session = Session(Terms(config or household_session(), can, of.dialects), can)
    session.opened()
    session.receive(CREATED, 0.0)
    return session


def ready(of: Provider, config: SessionConfig | None = None) -> Session:
    """A session that may be used."""
    session = configuring(of, config)
    session.receive(UPDATED, 0.0)
    session.take_outgoing()
    session.take_notes()
    return session


class Home:
    """A session of the real protocol under a dialogue that takes its events."""

    def __init__(self, of: Provider | None = None, **config: Any) -> None:
        self.session = ready(of or household_provider())
        self.house = House(**config)
        self.house.connect()
        self.notes: list[c.Note] = []

    def hear(self, frames: Iterable[str]) -> list[c.Command]:
        """What the server says; returns what the dialogue wants."""
        wanted: list[c.Command] = []
        for text in frames:
            for event in self.session.receive(text, self.house.now):
                wanted += self.house.send(event)
            self.notes += [c.Note(code, fields) for code, fields in self.session.take_notes()]
        self.notes += [command for command in wanted if isinstance(command, c.Note)]
        return wanted

    def noted(self, code: str) -> int:
        """Journal lines of that code."""
        return sum(note.code == code for note in self.notes)


def sound(events: Iterable[e.Event]) -> list[e.VoiceChunk]:
    """The chunks among events."""
    return [event for event in events if isinstance(event, e.VoiceChunk)]


# --- the journal -----------------------------------------------------------------------


class Paper:
    """A journal's sink that keeps every line with its fields."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.journal = Journal(self)

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        self.lines.append(f"{text} [{code}] {dict(fields)}")
        return True

    def take(self, notes: Iterable[c.Note]) -> Paper:
        """Write these."""
        for note in notes:
            self.journal.note(note.code, **note.fields)
        return self

    def holding(self, word: str) -> list[str]:
        """The lines that hold this word."""
        return [line for line in self.lines if word in line]


# --- the scale -------------------------------------------------------------------------


def kept_bytes(act: Callable[[], object]) -> int:
    """How much more memory is held after `act` than before."""
    return _traced(act)[0]


def peak_bytes(act: Callable[[], object]) -> int:
    """How much more memory was held while `act` ran than before."""
    return _traced(act)[1]


def _traced(act: Callable[[], object]) -> tuple[int, int]:
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result = act()
        del result
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before, peak - before
