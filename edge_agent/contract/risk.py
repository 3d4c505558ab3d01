"""Risk: what a tool can do to a household.

Declare it with the tool; `dialogue.calls.consent.decide` says what has to happen first.  A risk
must never be guessed low: a tool without one has the highest.
"""

from __future__ import annotations

from enum import Enum


class Risk(Enum):
    """What a tool can do to a household; the values are the words of the settings."""

    LOW = "low"
    """Reads, or changes what a word undoes: runs at once."""
    MEDIUM = "medium"
    """Costs, sends or unlocks something: asks first."""
    HIGH = "high"
    """Cannot be undone: asks for the physical button."""
