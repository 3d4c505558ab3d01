"""Each cause that the journal's explanations list does come, and no other.

That no other comes is asked of every note in this folder, by `driver` and by the properties.
"""

from __future__ import annotations

import pytest
from driver import House
from note_values import unlisted, values_told
from server_model import ModelServer, Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e


def woken_by(cause: str) -> House:
    house = House(mode="always" if cause == "speech" else "wake")
    house.connect()
    if cause == "wake word":
        house.wake_word(1.0)
    elif cause == "button":
        house.at(1.0, house.press)
    else:
        house.says(1.0, 2.0)
    return house.run(3.0)


def interrupted_by(cause: str) -> House:
    house = House(ModelServer(), barge_in_window_frames=6, barge_in_speech_frames=5)
    house.connect()
    house.server.plans = [Plan(items_ms=(6000.0,))]
    house.wake_word(0.5)
    house.says(0.8, 1.8)
    if cause == "wake word":
        house.wake_word(4.5)
    elif cause == "button":
        house.at(4.5, house.press)
    elif cause == "speech":
        house.says(4.5, 5.5)
    else:
        for start_s in (4.1, 4.3):  # too little for our own decision
            house.says(start_s, start_s + 0.04)
        house.at(4.5, lambda: house.send(e.UserSpeechStarted(at=house.now, item="late")))
    return house.run(6.0)


def bell_stopped_by(cause: str) -> House:
    house = House(mode="always" if cause == "speech" else "wake")
    house.connect()
    house.at(0.5, lambda: house.send(e.AlarmDue(at=house.now, name="tea")))
    if cause == "wake word":
        house.wake_word(2.0)
    elif cause == "button":
        house.at(2.0, house.press)
    elif cause == "speech":
        house.says(2.0, 3.0)
    elif cause == "tool":
        house.at(2.0, lambda: house.send(e.AlarmStopRequested(at=house.now)))
    return house.run(302.0 if cause == "nobody" else 4.0)


PLAYS = {
    "talk.woken": woken_by,
    "talk.interrupted": interrupted_by,
    "alarm.stopped": bell_stopped_by,
}


@pytest.mark.parametrize(
    ("code", "cause"),
    [(code, cause) for code in PLAYS for cause in sorted(values_told(code)["CAUSE"])],
)
def test_each_cause_that_is_listed_comes(code: str, cause: str) -> None:
    notes = [note for note in PLAYS[code](cause).did(c.Note) if note.code == code]
    assert [note.fields["cause"] for note in notes] == [cause]


def test_a_cause_that_is_not_listed_is_seen() -> None:
    assert unlisted(c.Note("talk.woken", {"cause": "button"})) == []
    assert unlisted(c.Note("talk.woken", {"cause": "cat"})) == ["talk.woken: CAUSE is cat"]
