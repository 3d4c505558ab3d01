"""Settings of consent: how the household agrees to what a tool wants to do.

It must never read a file, the environment or the clock.  The string under each field is its
documentation, as in `settings`.
"""

from __future__ import annotations

from pydantic import Field

from edge_agent.host.settings.base import Section


class Consent(Section):
    """Who has to agree before a tool does something, and how."""

    by_voice: bool = True
    """Tools of low risk run at once; those of high risk ask for a press of the talk button.
    Those of medium risk ask for a yes: true, a plain one in words, after the question.  To read
    it, the turn that answers the question is written down by the model, also with
    realtime.transcription = "off": that one turn, for its yes or no only, and kept nowhere.
    The provider is believed in that.  false: the button for that too.  In guest mode
    (`edge-agent guest on`, or two quick presses of the talk button while it sleeps) only low risk
    is done."""
    window_s: float = Field(default=15.0, ge=3, le=120)
    """After the question, how long an answer may begin, or the button be pressed."""


class Guest(Section):
    """Guest mode: only what is harmless is done, and nobody is asked for more."""

    end_by_button: bool = True
    """Two quick presses of the talk button while it sleeps end guest mode, as they begin it.
    false: they only begin it, since a guest has hands too; `edge-agent guest off` ends it."""
