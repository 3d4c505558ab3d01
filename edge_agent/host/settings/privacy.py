"""Settings of what is kept: facts, transcripts, sound, and what is taken out before.

It must never read a file, the environment or the clock.  The string under each field is its
documentation, as in `settings`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from edge_agent.host.settings.base import Section

PersonName = Annotated[str, Field(min_length=2, max_length=60)]


class Facts(Section):
    """What it remembers for weeks because somebody asked it to (tools remember, recall, forget)."""

    enabled: bool = False
    """true: keep such facts in facts.sqlite beside state.path.  They leave the house only when
    the model looks them up.  See and change them: `edge-agent facts`."""
    max_facts: int = Field(default=200, ge=1, le=2000)
    """How many; then the household is asked to forget one first."""


class Privacy(Section):
    """What is kept of the talk, for how long, and what is taken out before."""

    keep_transcripts_days: int = Field(default=0, ge=0, le=3650)
    """Days for which the words of both sides are kept, in transcripts beside state.path.  0: not
    at all, and what is there is deleted.  The household's words need a transcription, see
    realtime."""
    keep_audio_days: int = Field(default=0, ge=0, le=365)
    """The same for sound: one WAV file for each turn and answer, in recordings.  Redaction cannot
    take anything out of sound."""
    keep_audio_max_mb: int = Field(default=500, ge=1, le=100_000)
    """Size of all recordings, after which the oldest are deleted sooner.  500 MB are 3 hours."""
    redact_numbers: bool = True
    """Take numbers of four digits and more (telephone, card, PIN; not times, dates and years) out
    of all words before they are kept, written into the journal or sent to a summariser."""
    redact_emails: bool = True
    """The same for e-mail addresses, also as they are said."""
    redact_names: Annotated[tuple[PersonName, ...], Field(max_length=200)] = ()
    """The same for these names, in any casing, e.g. `["Anna", "Jürgen"]`."""

    @field_validator("redact_names")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not any(letter.isalnum() for letter in name):
                raise ValueError("holds a name without a letter")
        return value
