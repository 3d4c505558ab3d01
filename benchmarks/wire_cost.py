"""Wire cost: what JSON and Base64 take of a core while sound goes to and fro (purpose).

Owner thread: main.  Must never open a socket or wait: it counts the processor time of the very
calls that the link makes for each frame, from a command to its text and from a text to its event.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable
from functools import partial

from benchmarks.figures import Figure, Sheet
from edge_agent.app.session_start import SessionStart
from edge_agent.app.wiring import provider_of, session_config
from edge_agent.contract.commands import SendAudio
from edge_agent.contract.events import VoiceChunk
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS
from edge_agent.host.price_list import BUILT_IN, load_providers
from edge_agent.host.settings.root import Settings
from edge_agent.realtime.protocol.session import Phase, Session
from edge_agent.realtime.protocol.terms import Terms

TITLE = "JSON and Base64"
SETTING = (
    "One session without a socket, noise as sound; processor time of one event, the mean of 500. "
    "The share is that of a core while sound streams in such events without a pause."
)

UPLINK_MS = (10, 20, 100)
"""One frame of ours, and what others send at once."""
DOWNLINK_MS = 100
"""Providers send deltas of 100 to 400 ms; the shortest cost most."""
EVENTS_PER_TRIAL = 500
"""Some 5 ms at least: the clock of a process counts microseconds."""

OPENING = (
    {"type": "session.created", "session": {"id": "sess_1", "model": "m"}},
    {"type": "session.updated", "session": {"id": "sess_1", "model": "m"}},
    {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
)


def figures() -> list[Figure]:
    """Time and share of each direction and length."""
    kinds = [(f"up_{ms}", f"uplink, append of {ms} ms") for ms in UPLINK_MS]
    kinds.append((f"down_{DOWNLINK_MS}", f"downlink, delta of {DOWNLINK_MS} ms"))
    return [
        figure
        for key, name in kinds
        for figure in (
            Figure(f"wire_cost.{key}", name, "µs"),
            Figure(f"wire_cost.{key}_share", f"{name}, streaming", "% of a core"),
        )
    ]


def measure(sheet: Sheet, n: int, brief: bool = False) -> None:
    """`n` means of each, one kind after the other, so that a disturbed moment hits all."""
    del brief
    session = opened()
    chance = random.Random(1)
    delta = delta_frame(chance.randbytes(DOWNLINK_MS * WIRE_BYTES_PER_MS))
    calls: dict[str, tuple[int, Callable[[], object]]] = {
        f"down_{DOWNLINK_MS}": (DOWNLINK_MS, lambda: heard_ms(session, delta))
    }
    for ms in UPLINK_MS:
        command = SendAudio(chance.randbytes(ms * WIRE_BYTES_PER_MS))
        calls[f"up_{ms}"] = (ms, partial(session.command, command))
    for trial in range(n + 1):
        for key, (ms, call) in calls.items():
            mean_us = _mean_us(call)
            if trial:  # the first one warms the caches
                sheet[f"wire_cost.{key}"].add(mean_us)
                sheet[f"wire_cost.{key}_share"].add(mean_us / (ms * 1000) * 100)


def opened() -> Session:
    """A session that is READY and in the middle of an answer."""
    openai = provider_of("openai", load_providers(BUILT_IN).record("openai"))
    can = openai.capabilities
    config = session_config(Settings(), SessionStart("", ()))
    session = Session(Terms(config, can, openai.dialects), can)
    session.opened()
    for event in OPENING:
        session.receive(json.dumps({"event_id": "event_1", **event}), 0.0)
        session.take_outgoing()
    if session.phase is not Phase.READY:
        raise RuntimeError("The session did not open: the figures would be of something else.")
    return session


def delta_frame(pcm24k: bytes) -> str:
    """A piece of an answer, as the service writes it."""
    return json.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": "event_CgZyxAa5Dt5Ls1sJzGQ4n",
            "response_id": "resp_1",
            "item_id": "item_CgZyxBBvBHjZ6D3kGm0aT",
            "output_index": 0,
            "content_index": 0,
            "delta": base64.b64encode(pcm24k).decode(),
        }
    )


def heard_ms(session: Session, frame: str) -> float:
    """Take a frame in; returns how much sound came out of it."""
    events = session.receive(frame, 0.0)
    sound = sum(len(e.pcm24k) for e in events if isinstance(e, VoiceChunk))
    return sound / WIRE_BYTES_PER_MS


def _mean_us(call: Callable[[], object]) -> float:
    begin = time.process_time_ns()
    for _ in range(EVENTS_PER_TRIAL):
        call()
    return (time.process_time_ns() - begin) / 1000 / EVENTS_PER_TRIAL
