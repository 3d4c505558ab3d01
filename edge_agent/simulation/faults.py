"""Everything that can go wrong on the far side, as switches.

Thread: the event loop that serves the sessions; set them live (`server.faults.stall = True`) or
from the command line (`Faults.parse("fail_code=insufficient_quota,fail_count=2")`). It must never
act by itself: the server reads the switches where each of them bites.

A counter says how many times a fault still happens: 0 is off, -1 is for ever.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

FOR_EVER = -1


class FaultError(ValueError):
    """A fault that does not exist, or a value it cannot have; the text names the fault."""


@dataclass
class Faults:
    """All faults, off by default."""

    # At the door.
    refuse_status: int = 0
    """HTTP status with which dials are refused while `refuse_count` lasts (401, 403, 429, …)."""
    refuse_count: int = FOR_EVER
    refuse_retry_after_s: float | None = None
    """`Retry-After` of the refusal."""
    accept_then_close: int = 0
    """Close code right after the upgrade: 3000 bad key, 4000 beta shape, or any other."""
    accept_then_close_count: int = FOR_EVER

    # The connection.
    expire_after_s: float | None = None
    """`session_expired` and close 1001 this long after the session began."""
    close_after_deltas: int = 0
    """Close in the middle of a response, after that many content deltas; then switched off."""
    close_code: int = 1011
    """With which code; 1006 aborts the connection (a TCP reset on a real socket)."""
    stall: bool = False
    """Nothing is read or said any more, but pings are answered."""
    black_hole: bool = False
    """Nothing comes through in either direction, pings neither; the connection stays open."""
    ignore_pings: bool = False
    """Pings are not answered, everything else works (real sockets only)."""

    # Responses.
    fail_code: str = ""
    """Responses end `failed` with that code: insufficient_quota, rate_limit_exceeded, …"""
    fail_count: int = FOR_EVER
    fail_after_deltas: int = 0
    """How much of the answer comes before the failure."""
    incomplete_reason: str = ""
    """Responses end `incomplete`: max_output_tokens or content_filter."""
    incomplete_count: int = FOR_EVER
    incomplete_after_deltas: int = 3
    two_audio_items: bool = False
    """Spoken answers come as two message items (a preamble and the answer)."""
    late_deltas: int = 0
    """Audio deltas that still come between a cancellation and its `response.done`."""
    late_deltas_after_done: int = 0
    """Audio deltas of the cancelled response that come even after its `response.done`."""
    odd_audio_deltas: int = 0
    """Audio deltas with half a sample at the end, that many."""
    thinking_extra_ms: int = 0
    """Added before the first delta of every response."""
    slow_factor: float = 1.0
    """Above 1, audio comes that much slower than the server's usual speed."""
    burst_ms: int = 0
    """Audio is held back and comes in bursts of that much audio."""
    pause_after_deltas: int = 0
    """One gap inside every answer after that many deltas …"""
    pause_ms: int = 0
    """… of that length."""
    no_rate_limits: bool = False
    no_usage: bool = False

    # Input transcription.
    transcription_failures: int = 0
    transcription_after_done: bool = False
    """Transcripts come only after the `response.done` of the answer to them."""
    no_transcription: bool = False
    """They never come."""

    # Frames.
    duplicate_every: int = 0
    """Every so many events, one is sent twice."""
    unknown_every: int = 0
    """Every so many events, one of an unknown type comes before it."""
    garbage_frames: int = 0
    """That many frames of broken JSON come before the next events."""
    binary_frames: int = 0
    """That many binary frames come before the next events."""
    huge_frame_bytes: int = 0
    """A frame of that size comes before the next event; then switched off."""
    legacy_names: bool = False
    """Events carry the names of the retired beta (`response.audio.delta`, …)."""
    events_delay_ms: int = 0
    """Every event leaves that much later (a slow server)."""

    @property
    def holds(self) -> bool:
        """Whether nothing is to be read or said now."""
        return self.stall or self.black_hole

    def take(self, counter: str) -> bool:
        """Use up one of a counted fault; false when none is left."""
        left = int(getattr(self, counter))
        if left > 0:
            setattr(self, counter, left - 1)
        return left != 0

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Faults from `name=value,name=value`; a bare name switches a boolean on.

        Raises `FaultError` with the names there are.
        """
        faults = cls()
        faults.set_from(text)
        return faults

    def set_from(self, text: str) -> None:
        """Set the faults named in `text` (as for `parse`), leave the others."""
        fields = {field.name: field for field in dataclasses.fields(self)}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = entry.partition("=")
            name, value = name.strip(), value.strip()
            if name not in fields:
                raise FaultError(
                    f"There is no fault '{name}'. There are: {', '.join(sorted(fields))}."
                )
            setattr(self, name, _value(name, str(fields[name].type), value))


def _value(name: str, kind: str, text: str) -> object:
    """`text` as a value of the field's annotated type."""
    try:
        if kind == "bool":
            return {"": True, "true": True, "1": True, "false": False, "0": False}[text.lower()]
        if kind == "int":
            return int(text)
        if kind.startswith("float"):
            return None if text == "none" and "None" in kind else float(text)
    except (KeyError, ValueError):
        raise FaultError(f"Fault '{name}' takes {kind}, not '{text}'.") from None
    return text
