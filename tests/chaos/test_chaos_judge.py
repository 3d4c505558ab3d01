"""The suite can fail: a speaker with a known fault is found out.

Thread: the test's, in virtual time.  It must never sabotage the judge itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chaos_life import Outcome, play_one

from edge_agent.contract import commands as c
from edge_agent.contract import error_codes
from edge_agent.contract import events as e
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.turn import UserTurn
from edge_agent.tools.runner import ToolRunner

Method = Callable[..., Any]


def told_last(kind: type[e.Event], do: Method) -> Method:
    """A manager that has one more journey for an event."""

    def build(real: Method) -> Method:
        def init(self: DialogueManager, *args: Any, **kwargs: Any) -> None:
            real(self, *args, **kwargs)
            self.journeys[kind] = (*self.journeys[kind], lambda event: do(self, event))

        return init

    return build


def deaf_to(kind: type[e.Event]) -> Method:
    """A manager that has no journey for an event."""

    def build(real: Method) -> Method:
        def init(self: DialogueManager, *args: Any, **kwargs: Any) -> None:
            real(self, *args, **kwargs)
            self.journeys[kind] = ()

        return init

    return build


def forgets_the_turn(talk: DialogueManager, _event: e.Event) -> list[c.Command]:
    talk.state.turn = None
    talk.parts.memory.forget_last_user()
    talk.state.owed.broken_answer = False
    return []


def asks_again(talk: DialogueManager, _event: e.Event) -> list[c.Command]:
    if not talk.parts.memory:
        return []
    return talk.parts.answers.request(c.RequestResponse(), insist=True)


def replays_half(turn: UserTurn) -> bytes:
    return bytes(turn._pcm[len(turn._pcm) // 4 * 2 :])


def sends_in_its_sleep(_talk: DialogueManager, frame: e.HeardFrame) -> list[c.Command]:
    return [c.SendAudio(frame.pcm24k)]


def sabotaged(monkeypatch: pytest.MonkeyPatch, how: Method, phase: str) -> Outcome:
    monkeypatch.setattr(DialogueManager, "__init__", how(DialogueManager.__init__))
    return play_one("reset", phase)


def test_a_lost_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = sabotaged(monkeypatch, told_last(e.LinkDown, forgets_the_turn), "thinking")
    assert outcome.verdict.lost == [1]


def test_a_doubled_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    init = deaf_to(e.VoiceText)(DialogueManager.__init__)
    monkeypatch.setattr(DialogueManager, "__init__", init)
    outcome = sabotaged(monkeypatch, told_last(e.LinkReady, asks_again), "follow-up")
    assert outcome.verdict.doubled == [1]


def test_half_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UserTurn, "pcm24k", property(replays_half))
    outcome = play_one("reset", "after commit")
    assert outcome.verdict.torn == [1]


def test_sound_that_leaves_while_it_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = sabotaged(monkeypatch, told_last(e.HeardFrame, sends_in_its_sleep), "asleep")
    assert any("(truth.light)" in problem for problem in outcome.verdict.problems)


def test_an_answer_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = sabotaged(monkeypatch, deaf_to(e.VoiceChunk), "asleep")
    assert not outcome.recovered
    assert not outcome.verdict.is_good


def commits_twice(_talk: DialogueManager, event: e.Event) -> list[c.Command]:
    return [c.CommitAudio()]


def test_a_turn_that_is_ended_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server had ended it and said so: no words crossed on the wire."""
    outcome = sabotaged(monkeypatch, told_last(e.UserTurnCommitted, commits_twice), "thinking")
    assert any(error_codes.COMMIT_EMPTY in problem for problem in outcome.verdict.problems)


def test_a_tool_that_runs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ToolRunner.run

    def run_twice(self: ToolRunner, call_id: str, name: str, arguments: str) -> None:
        for run_id in (call_id, f"{call_id}_again"):
            real(self, run_id, name, arguments)

    monkeypatch.setattr(ToolRunner, "run", run_twice)
    outcome = play_one("reset", "tool pending")
    assert outcome.recovered, "the schedule comes to its end"
    assert any("(consent.ran)" in problem for problem in outcome.verdict.problems)
