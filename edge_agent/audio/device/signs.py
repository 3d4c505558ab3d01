"""Signs: what is wrong with a microphone that delivers, told from what it delivers.

Call `look` once a second with an `Ear`.  Pure.  It must never take a noise gate for a fault:
speakerphones and arrays that clean up the sound by themselves give exact zeros for hours in a quiet
room, and while we speak, too, because they take our voice out.  So one value alone proves nothing.
What does:

* the card's own switch is off (`mixer`);
* we have spoken, and are known to be heard by this microphone, which has no gate;
* somebody called us, and in all the time that we listened not one sample moved.  Where there was
  a gate before, twice.

A microphone that is only faint is found by people, too: three times somebody called, and nobody was
heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SETTLED_S = 3.0
"""So long one value has to last before anything is made of it: cards start with zeros."""
SPOKEN_S = 3.0
"""Of our own voice; the canceller finds its echo in as much."""
AWAITED_S = 3.0
"""Whoever called us begins to speak within one or two seconds; we listen for five."""
GAPS = 2
"""One run of one value that ended may be a switch, turned off and on again; two are a gate."""
FAINT_DBFS = -60.0
"""Of the loudest sample.  A voice at two metres peaks at -30 with a usual gain, the noise of a room
at -55; at -60 there are 5 bits left."""
CLICK_S = 2.0
"""A look tells of the second before it: by then the button's click and our chime are over."""
FAINT_CALLS = 3
"""In a row.  One of them may be a child that likes the button."""
WELL_S = 600.0
"""So long a sign has to be gone before it is told once more."""


class Sign(Enum):
    """What it is, by the code of its journal line and its sentence."""

    OFF = "device.switched_off"
    """Nothing but zeros."""
    STUCK = "device.silent"
    """Nothing but one other value: a converter that does not work."""
    FAINT = "audio.faint"


DEAF = (Sign.OFF, Sign.STUCK)
"""Nobody can be heard at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """What is known of the microphone at one look."""

    at: float
    flat_s: float = 0.0
    """So long every sample has had the same value …"""
    value: int = 0
    """… namely this."""
    is_live: bool = True
    """Since the look before there was sound."""
    gaps: int = 0
    """Runs of one value that ended, since it was opened."""
    peak_dbfs: float = -40.0
    """Since the look before."""
    played_s: float = 0.0
    """Our own voice in the room, since any moment."""
    echo_found: bool = False
    """It was heard by this microphone, since it was opened."""
    called_at: float | None = None
    """Somebody called us then, and we have listened since."""
    has_spoken: bool = False
    """Somebody was heard since then."""
    is_switched_off: bool | None = None
    """The card's own word; None: it has none."""


class Signs:
    """Of one microphone."""

    def __init__(self) -> None:
        self.present: Sign | None = None
        self._flat_since = float("-inf")
        self._played_before = 0.0
        """Our own voice, when the run of one value began."""
        self._vain_calls = 0
        """How often somebody called in vain, within that run."""
        self._vain_call = float("-inf")
        """The last of them."""
        self._faint = 0
        """How often somebody called and was not heard, in a row."""
        self._call: float | None = None
        self._judged_call: float | None = None
        self._call_dbfs = float("-inf")
        self._ended_at: dict[Sign, float] = {}

    def look(self, ear: Ear) -> bool:
        """Whether `present` is to be told aloud now: once, and again only when it was well for a
        while."""
        before = self.present
        self._follow(ear)
        found = self._silence(ear) or self._faintness(ear)
        if before in DEAF and found is not before and not ear.is_live:
            found = before  # opened anew, and nothing has come yet
        self.present = found
        if before is not None and found is not before:
            self._ended_at[before] = ear.at
        if found is None or found is before:
            return False
        return ear.at - self._ended_at.get(found, float("-inf")) >= WELL_S

    def _follow(self, ear: Ear) -> None:
        since = ear.at - ear.flat_s
        if ear.is_live or since > self._flat_since + 1.0:  # another run of one value
            self._played_before = ear.played_s
            self._vain_calls = 0
        self._flat_since = since

    def _silence(self, ear: Ear) -> Sign | None:
        if ear.flat_s < SETTLED_S:
            return None
        has_gate = ear.gaps >= GAPS
        heard_in_vain = ear.played_s - self._played_before >= SPOKEN_S and ear.echo_found
        called = ear.called_at
        has_waited = called is not None and ear.at - called >= AWAITED_S <= ear.flat_s
        if has_waited and called is not None and called > max(self._vain_call, self._flat_since):
            self._vain_calls, self._vain_call = self._vain_calls + 1, called
        called_in_vain = self._vain_calls >= (2 if has_gate else 1)
        proven = ear.is_switched_off or called_in_vain or (heard_in_vain and not has_gate)
        if not (proven or self.present in DEAF):
            return None
        return Sign.OFF if ear.value == 0 or ear.is_switched_off else Sign.STUCK

    def _faintness(self, ear: Ear) -> Sign | None:
        called = ear.called_at
        if ear.has_spoken:
            self._faint = 0
        elif called is not None and called != self._judged_call:
            if called != self._call:
                self._call, self._call_dbfs = called, float("-inf")
            if ear.at - called >= CLICK_S:
                self._call_dbfs = max(self._call_dbfs, ear.peak_dbfs)
            if ear.at - called >= AWAITED_S and ear.is_live:
                self._judged_call = called
                self._faint = self._faint + 1 if self._call_dbfs < FAINT_DBFS else 0
        return Sign.FAINT if self._faint >= FAINT_CALLS else None
