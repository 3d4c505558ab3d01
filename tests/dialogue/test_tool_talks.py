"""Talks with tools: risk, consent, one output per call, one question after the last."""

from __future__ import annotations

from typing import Any

import pytest
from driver import House, until
from server_model import Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.state import Talk

RISKS = {"clock": Risk.LOW, "shop": Risk.MEDIUM, "unlock": Risk.HIGH}


def call(name: str, call_id: str = "call_1", arguments: str = "{}") -> e.ToolCall:
    return e.ToolCall(call_id=call_id, name=name, arguments=arguments)


def asked(*plans: Plan, **config: Any) -> House:
    """A question was asked (until 2.4 s); the responses to it follow `plans`."""
    house = House(tool_risks=RISKS, **config)
    house.connect()
    house.server.plans = list(plans)
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    return house


def test_low_risk_runs_at_once_and_its_result_is_told() -> None:
    house = asked(Plan(items_ms=(), calls=(call("clock"),))).run(8.0)
    assert [cmd.name for cmd in house.did(c.RunTool)] == ["clock"]
    assert [cmd.call_id for cmd in house.did(c.AddToolOutput)] == ["call_1"]
    assert len(house.did(c.RequestResponse)) == 1
    assert len(house.speaker.played) == 1
    assert house.server.offences == []
    assert house.manager.talk is Talk.LISTENING


def test_two_calls_one_question_after_the_last() -> None:
    house = asked(Plan(calls=(call("clock", "a"), call("clock", "b")))).run(9.0)
    assert [cmd.call_id for cmd in house.did(c.AddToolOutput)] == ["a", "b"]
    assert len(house.did(c.RequestResponse)) == 1
    assert house.when(c.RequestResponse)[0] >= house.when(c.AddToolOutput)[-1]
    assert house.server.offences == []


def test_a_call_id_that_comes_twice_runs_once() -> None:
    house = asked(Plan(items_ms=(), calls=(call("clock"), call("clock", arguments="[]")))).run(8.0)
    assert len(house.did(c.RunTool)) == 1
    assert len(house.did(c.AddToolOutput)) == 1


def test_risky_tool_waits_for_the_button() -> None:
    house = until(
        asked(Plan(items_ms=(), calls=(call("unlock", arguments='{"x":1}'),))), Talk.CONFIRMING
    )
    house.run(house.now + 1)
    assert house.did(c.RunTool) == []
    [question] = house.did(c.SayText)
    assert question.text == "Shall I do this: unlock, x: 1? If so, press my button."
    house.agree()
    assert house.did(c.RunTool) == [c.RunTool("call_1", "unlock", '{"x":1}')]
    house.run(house.now + 6)
    assert len(house.did(c.AddToolOutput)) == 1
    assert house.manager.talk is Talk.LISTENING
    assert house.server.offences == []


def test_nobody_is_asked_about_a_tool_that_there_is_not() -> None:
    house = asked(Plan(items_ms=(), calls=(call("never_heard_of"), call("clock", "2")))).run(8.0)
    assert [do.name for do in house.did(c.RunTool)] == ["clock"]
    assert house.sentences() == []
    first, second = house.did(c.AddToolOutput)
    assert first == c.AddToolOutput(
        "call_1", "There is no such tool. Say so if it was asked for; do not try others."
    )
    assert second.call_id == "2"
    assert house.server.offences == []


def test_consent_expires_and_the_model_is_told() -> None:
    house = until(asked(Plan(items_ms=(), calls=(call("unlock"),))), Talk.CONFIRMING)
    asked_at = house.now
    until(house, Talk.THINKING)
    assert house.now == pytest.approx(asked_at + 15, abs=0.02), "from the question's end"
    assert house.did(c.RunTool) == []
    (output,) = house.did(c.AddToolOutput)
    assert output.output.startswith("Refused")
    house.run(house.now + 4)
    assert len(house.speaker.played) == 2, "the question, and the model says so"
    house.press()
    assert house.did(c.RunTool) == []


def test_wake_word_while_confirming_is_no_consent() -> None:
    house = until(asked(Plan(items_ms=(), calls=(call("unlock"),))), Talk.CONFIRMING)
    house.wakes[house.steps + 5] = "okay_nabu"
    house.run(house.now + 0.2)
    assert house.manager.talk is Talk.LISTENING
    (output,) = house.did(c.AddToolOutput)
    assert output.output.startswith("Refused")
    house.press()
    assert house.did(c.RunTool) == []


def test_result_of_an_unconsented_call_is_not_taken() -> None:
    house = until(asked(Plan(items_ms=(), calls=(call("unlock"),))), Talk.CONFIRMING)
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="opened"))
    assert house.did(c.AddToolOutput) == []


def test_preamble_then_tool_then_answer() -> None:
    house = asked(Plan(items_ms=(1500.0,), calls=(call("clock"),))).run(9.0)
    assert len(house.speaker.played) == 2
    assert house.manager.talk is Talk.LISTENING


def test_slow_tool_pauses_the_talk_and_the_late_result_is_told() -> None:
    house = asked(Plan(items_ms=(300.0,), calls=(call("clock"),)))
    house.tools = lambda command: None
    house.run(25.0)
    assert house.manager.talk is Talk.THINKING
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="at last"))
    house.run(house.now + 4)
    assert len(house.speaker.played) == 2


def test_interruption_while_a_tool_runs_gives_its_output_but_no_answer_of_its_own() -> None:
    house = asked(Plan(items_ms=(6000.0,), calls=(call("clock"),)))
    house.tools = lambda command: None
    house.run(4.5)
    house.says(4.5, 7.0)
    house.run(5.0)
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="late"))
    assert len(house.did(c.AddToolOutput)) == 1
    house.run(12.0)
    assert house.did(c.RequestResponse) == []
    assert len(house.server.fresh) == 2
    assert house.server.offences == []


def test_result_after_the_household_left_is_not_spoken() -> None:
    house = asked(Plan(items_ms=(), calls=(call("clock"),)))
    house.tools = lambda command: None
    house.run(4.0)
    house.press()
    assert house.manager.talk is Talk.ASLEEP
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="late"))
    house.run(8.0)
    assert len(house.did(c.AddToolOutput)) == 1
    assert house.did(c.RequestResponse) == []
    assert house.speaker.played == {}


def test_finish_session_sleeps_after_the_farewell() -> None:
    house = asked(Plan(items_ms=(), calls=(call("clock"),)))
    house.tools = lambda command: e.ToolFinished(
        at=house.now, call_id=command.call_id, output="bye", finish=True
    )
    house.run(8.0)
    assert len(house.speaker.played) == 1
    assert house.manager.talk is Talk.ASLEEP


def test_finish_is_off_when_the_household_speaks_on() -> None:
    house = asked(Plan(items_ms=(), calls=(call("clock"),)))
    house.tools = lambda command: e.ToolFinished(
        at=house.now, call_id=command.call_id, output="bye", finish=True
    )
    until(house, Talk.SPEAKING).run(house.now + 0.5)
    house.says(house.now, house.now + 1)
    until(house, Talk.LISTENING)
    until(house, Talk.SPEAKING)
    until(house, Talk.LISTENING)


STOPPABLE = {"clock": e.ToolTerms(cancellable=True)}


def running(**config: Any) -> House:
    """A question led to a call that runs and does not end by itself."""
    house = asked(Plan(items_ms=(), calls=(call("clock"),)), **config)
    house.tools = lambda command: None
    while not house.did(c.RunTool):
        house.run(house.now + 0.01)
    return house


@pytest.mark.parametrize("after_s", [0.0, 0.03, 0.2])
def test_a_call_of_a_lost_session_is_stopped_if_that_is_safe(after_s: float) -> None:
    house = running(tool_terms=STOPPABLE)
    house.run(house.now + after_s)
    house.drop()
    assert [cmd.call_id for cmd in house.did(c.CancelTool)] == ["call_1"]
    house.run(house.now + 0.3)
    house.connect()
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="late"))
    house.run(house.now + 5)
    assert house.did(c.AddToolOutput) == []
    assert told(house) == []
    assert len(house.speaker.played) == 1, "answered by the new session"
    assert house.server.offences == []


def told(house: House) -> list[str]:
    return [cmd.text for cmd in house.did(c.AddMessage) if cmd.role == "system"]


def test_a_call_that_must_not_be_stopped_outlives_its_session() -> None:
    house = running()
    house.drop()
    assert house.did(c.CancelTool) == []
    house.run(house.now + 0.3)
    house.connect()
    assert len(told(house)) == 1
    assert told(house)[0].startswith("Still under way from before the connection was lost: clock.")
    house.run(house.now + 4)
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="ten o'clock"))
    assert len(told(house)) == 2
    assert told(house)[1].startswith("clock: done already")
    assert told(house)[1].endswith("Result: ten o'clock")
    assert house.did(c.AddToolOutput) == []
    house.run(house.now + 5)
    assert house.server.offences == []


def test_a_result_that_came_without_a_session_is_told_to_the_next_once() -> None:
    house = running()
    house.drop()
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="ten o'clock"))
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="ten o'clock"))
    house.run(house.now + 0.3)
    house.connect()
    assert [text.endswith("Result: ten o'clock") for text in told(house)] == [True]
    house.run(house.now + 5)
    assert len(house.speaker.played) == 1, "and somebody is told of it"
    assert house.server.offences == []


def test_what_still_runs_is_not_run_again_by_the_next_session() -> None:
    house = running()
    house.drop()
    house.server.plans = [Plan(items_ms=(), calls=(call("clock", "call_2"),))]
    house.run(house.now + 0.3)
    house.connect()
    house.run(house.now + 3)
    assert len(house.did(c.RunTool)) == 1
    (output,) = house.did(c.AddToolOutput)
    assert output.call_id == "call_2"
    assert output.output.startswith("Refused: exactly this is under way")
    assert house.server.offences == []


def test_an_interruption_stops_what_may_be_stopped_and_the_model_has_its_output() -> None:
    house = asked(Plan(items_ms=(6000.0,), calls=(call("clock"),)), tool_terms=STOPPABLE)
    house.tools = lambda command: None
    house.run(4.5)
    house.says(4.5, 7.0)
    house.run(5.0)
    assert [cmd.call_id for cmd in house.did(c.CancelTool)] == ["call_1"]
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="Cancelled.", ok=False))
    assert [cmd.output for cmd in house.did(c.AddToolOutput)] == ["Cancelled."]
    house.run(12.0)
    assert house.did(c.RequestResponse) == []
    assert house.server.offences == []


def test_link_lost_while_confirming_withdraws_the_question() -> None:
    house = until(asked(Plan(items_ms=(), calls=(call("unlock"),))), Talk.CONFIRMING)
    house.drop()
    house.press()
    assert house.did(c.RunTool) == []
