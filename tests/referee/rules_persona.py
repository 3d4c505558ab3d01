"""Rule 11: nothing is said aloud without the persona.

Instructions of one response take the place of the session's: language, safety rules and the
household's own words would be gone for just that answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from referee.records import Frame, Record
from referee.rule import Found, Rule
from referee.scene import Scene


def is_heard(response: Mapping[str, Any]) -> bool:
    """Can this answer reach the loudspeaker?"""
    modalities = response.get("output_modalities", response.get("modalities", ()))
    return response.get("conversation") != "none" or "audio" in modalities


class Persona(Rule):
    """A response that is heard never goes out with instructions that lack the session's."""

    number = 11

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._told = ""
        """The session's instructions, as they were last sent."""

    def record(self, record: Record) -> Found:
        if not (isinstance(record, Frame) and record.sent):
            return
        kind = record.message.get("type")
        if kind == "session.update":
            session = record.message.get("session") or {}
            self._told = session.get("instructions", self._told)
        if kind == "response.create":
            response = record.message.get("response") or {}
            own = response.get("instructions")
            if own is not None and is_heard(response) and self._told not in own:
                yield "persona.dropped", "a heard answer lacks the session's instructions"
