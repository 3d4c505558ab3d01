"""Every journal line of a turn names it, and the answer it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from driver import House, until
from server_model import Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.foreign import OTHER
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.labels import OF_A_TURN, REMEMBERED_MAX, Labels
from edge_agent.dialogue.state import Talk

RISKS = {"clock": Risk.LOW, "unlock": Risk.HIGH}
CLOCK = e.ToolCall(call_id="call_1", name="clock", arguments="{}")


def asked(*plans: Plan, **config: Any) -> House:
    """A question was asked (until 2.4 s); the responses to it follow `plans`."""
    house = House(tool_risks=RISKS, **config)
    house.connect()
    house.server.plans = list(plans)
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    return house


def lines(house: House) -> list[tuple[str, object, object]]:
    """Code, turn and answer of each line of a turn."""
    notes = [note for note in house.did(c.Note) if note.code.startswith(OF_A_TURN)]
    return [(note.code, note.of.get("turn"), note.of.get("response")) for note in notes]


def of(house: House, code: str) -> list[tuple[object, object]]:
    return [(turn, answer) for line, turn, answer in lines(house) if line == code]


def test_a_turn_from_its_wake_to_its_answers_end() -> None:
    house = asked().run(8.0)
    [answer, *_] = house.server.item_response.values()
    assert lines(house) == [
        ("talk.woken", 1, None),
        ("mic.streams", 1, None),
        ("talk.turn_sent", 1, None),
        ("talk.answer_started", 1, answer),
        ("usage.unpriced", 1, answer),
        ("talk.answer_done", 1, answer),
    ]


def test_who_goes_on_without_a_wake_word_begins_another_turn() -> None:
    house = asked()
    house.run(6.5)
    house.says(6.5, 8.0)
    house.run(14.0)
    first, second = of(house, "talk.answer_done")
    assert (first[0], second[0]) == (1, 2)
    assert first[1] != second[1]
    assert of(house, "mic.streams")[1] == (2, None)


def test_an_interruption_belongs_to_the_turn_that_it_ends() -> None:
    house = asked(Plan(items_ms=(6000,)))
    until(house, Talk.SPEAKING)
    house.run(house.now + 1.0)
    house.says(house.now, house.now + 1.5)
    house.run(house.now + 8.0)
    [(turn, answer)] = of(house, "talk.interrupted")
    assert turn == 1
    assert answer is not None
    assert [t for t, _ in of(house, "mic.streams")] == [1, 2]
    assert of(house, "talk.answer_done")[-1][0] == 2


def test_a_tool_and_its_result_belong_to_the_answer_that_asked_for_it() -> None:
    house = asked(Plan(items_ms=(), calls=(CLOCK,))).run(9.0)
    [started], [finished] = of(house, "tool.started"), of(house, "tool.finished")
    assert started == finished
    assert started[0] == 1
    assert of(house, "talk.answer_done")[0][0] == 1
    assert of(house, "talk.answer_done")[0][1] != started[1]


def test_consent_is_noted_in_the_turn_in_which_it_is_given() -> None:
    house = asked(Plan(items_ms=(), calls=(replace(CLOCK, name="unlock"),)))
    until(house, Talk.CONFIRMING)
    house.agree()
    house.run(house.now + 4.0)
    assert [turn for turn, _ in of(house, "consent.asked")] == [1]
    assert [turn for turn, _ in of(house, "consent.given")] == [1]
    assert [turn for turn, _ in of(house, "tool.finished")] == [1]


def test_what_is_not_of_a_turn_has_no_label() -> None:
    house = asked().run(8.0)
    house.drop()
    others = [note for note in house.did(c.Note) if not note.code.startswith(OF_A_TURN)]
    assert {note.code for note in others} >= {"device.ready", "link.ready", "link.down"}
    assert all(note.of == {} for note in others)


def test_an_answer_that_nobody_asked_for_is_of_no_turn() -> None:
    house = House(tool_risks=RISKS)
    house.connect()
    house.run(1.0)
    house.send(e.ResponseStarted(at=house.now, response="resp_strange"))
    assert of(house, "response.unasked") == [(None, "resp_strange")]


def test_before_anybody_spoke_there_is_no_turn() -> None:
    labels = Labels()
    tick = e.Tick(at=1.0)
    [note] = labels.put(tick, [c.Note("talk.asleep", {})])
    assert isinstance(note, c.Note)
    assert note.of == {}


def test_an_id_that_is_a_text_is_not_written_down() -> None:
    labels = Labels()
    begun = e.ResponseStarted(at=1.0, response="what was said in the room")
    [_, note] = labels.put(begun, [c.Note("talk.woken", {}), c.Note("response.failed", {})])
    assert isinstance(note, c.Note)
    assert note.of["response"] == OTHER


def marked(labels: Labels, event: e.Event, *codes: str) -> list[dict[str, object]]:
    notes = labels.put(event, [c.Note(code) for code in codes])
    return [dict(note.of) for note in notes if isinstance(note, c.Note)]


def ended(answer: str, *calls: e.ToolCall) -> e.ResponseEnded:
    return e.ResponseEnded(
        at=1.0, response=answer, status="completed", code="", message="", calls=calls
    )


def test_what_an_answer_cost_is_its_own_turns_however_late_it_is_told() -> None:
    labels = Labels()
    marked(labels, e.Tick(at=0.0), "talk.woken", "mic.streams")
    marked(labels, e.ResponseStarted(at=1.0, response="r1"))
    assert marked(labels, e.Tick(at=2.0), "talk.interrupted", "mic.streams") == [
        {"turn": 1, "response": "r1"},
        {"turn": 2},
    ]
    assert marked(labels, ended("r1"), "usage.response") == [{"turn": 1, "response": "r1"}]
    aside = e.SideAnswer(at=3.0, tag="notes", text="", ok=True)
    assert marked(labels, aside, "usage.response", "transcript.failed") == [{}, {"turn": 2}]


def test_ids_are_remembered_within_a_bound() -> None:
    labels = Labels()
    for number in range(3 * REMEMBERED_MAX):
        labels.put(e.ResponseStarted(at=0.0, response=f"r{number}"), [])
        calls = tuple(replace(CLOCK, call_id=f"c{number}.{n}") for n in range(2))
        labels.put(ended(f"r{number}", *calls), [])
        labels.put(e.VoiceChunk(at=0.0, response="r", item=f"i{number}", pcm24k=b""), [])
    assert len(labels._turn_of) <= REMEMBERED_MAX
    assert len(labels._answer_of) <= REMEMBERED_MAX
