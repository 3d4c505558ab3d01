"""What a household has wished: the settings that decide whether a promise is kept.

Filled in by whoever builds the speaker under test, from the same settings; the rules read it and
never the speaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Household:
    """Times in seconds.  The defaults are those of the shipped settings."""

    mode: str = "wake"
    """`wake`, `button` or `always`."""
    risks: Mapping[str, str] = field(default_factory=dict)
    """Tool → `low`, `medium` or `high`; the others do not exist."""
    muted: bool = False
    guest: bool = False
    follow_up_s: float = 6.0
    quiet_end_s: float = 5.0
    confirm_s: float = 15.0
    long_press_s: float = 1.5
    words: tuple[str, ...] = ()
    """Canaries: said in the room, by the model, in arguments or by a tool.  Nobody may note one."""
    keys: tuple[str, ...] = ()
    """Secrets in use."""
    honest_server: bool = True
    """The other side keeps the protocol; then a step of the loop is held to less time."""
