"""Wherever in a turn the line is cut or the session changes: asked once, answered once.

Thread: the test's, in virtual time.  The chaos suite throws random troubles; this one walks through
a turn step by step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from household import ANSWER_MS, REST_MS, Evening, one_turn

from edge_agent.contract import events as ev

STEP_S = 0.23
"""Not a divisor of anything in the protocol, so that cuts fall between its beats."""

MOMENTS = [round(n * STEP_S, 2) for n in range(2, 28)]
"""From before the wake word to after the answer's end."""

SYLLABLE_MS = 250
"""So much may be heard twice: of a first sound whose words had not come there is nothing that an
answer could be continued from."""


def assert_answered_once(evening: Evening, note: object) -> None:
    whole = ANSWER_MS - 1
    heard, rest = evening.heard_ms, evening.rest_ms
    story = (note, heard, rest, evening.brain.asked, evening.notes)
    assert heard > 0, story
    assert heard <= ANSWER_MS + SYLLABLE_MS, ("a second time from the start", *story)
    assert heard >= whole or rest >= REST_MS - 1, ("broken off, and left at that", *story)
    assert rest <= REST_MS + 1, story
    assert not evening.speaker.sentences or "link" in evening.speaker.sentences[0], story


def down_for(seconds: float) -> Callable[[Evening], None]:
    def trouble(evening: Evening) -> None:
        evening.network.down()
        asyncio.get_running_loop().call_later(seconds, evening.network.up)

    return trouble


def hole_for(seconds: float) -> Callable[[Evening], None]:
    def trouble(evening: Evening) -> None:
        evening.network.black_hole()
        asyncio.get_running_loop().call_later(seconds, evening.network.up)

    return trouble


TROUBLES: dict[str, Callable[[Evening], None]] = {
    "reset": lambda evening: evening.network.cut(),
    "expired": lambda evening: evening.server.expire_sessions(),
    "closed 1011": lambda evening: evening.server.close_sessions(1011),
    "down 3 s": down_for(3.0),
    "hole 4 s": hole_for(4.0),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_cut_at_every_point_of_a_turn(trouble: str) -> None:
    for at_s in MOMENTS:
        evening = one_turn(TROUBLES[trouble], at_s=at_s)
        assert_answered_once(evening, (trouble, at_s))


@pytest.mark.parametrize("part", range(4))
def test_a_roll_over_in_every_phase_of_a_turn(part: int) -> None:
    """Sessions so short that several begin and end in one turn, and the server means it."""
    for number in range(part, 32, 4):
        session_max_s = round(1.6 + number * 0.13, 2)
        evening = one_turn(lambda _evening: None, at_s=0, session_max_s=session_max_s)
        assert_answered_once(evening, session_max_s)
        downs = [event for event in evening.events if isinstance(event, ev.LinkDown)]
        assert not downs, (session_max_s, downs)
        assert evening.link.sessions >= 2
