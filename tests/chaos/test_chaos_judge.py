"""The suite can fail: a speaker with a known fault is found out (purpose).

Owner thread: the test's, in virtual time.  Must never sabotage the judge itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chaos_life import Outcome, play_one

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.turn import UserTurn
from edge_agent.tools.runner import ToolRunner

Method = Callable[..., Any]


def forgets_the_turn(real: Method) -> Method:
    def link_down(self: DialogueManager, event: e.LinkDown) -> list[c.Command]:
        out: list[c.Command] = real(self, event)
        self._turn = None
        self._memory.forget_last_user()
        self._broken_answer = False
        return out

    return link_down


def asks_again(real: Method) -> Method:
    def link_ready(self: DialogueManager, event: e.LinkReady) -> list[c.Command]:
        out: list[c.Command] = real(self, event)
        again = self._answers.request(c.RequestResponse(), insist=True) if len(self._memory) else []
        return [*out, *again]

    return link_ready


def replays_half(real: property) -> property:
    def pcm24k(self: UserTurn) -> bytes:
        return bytes(self._pcm[len(self._pcm) // 4 * 2 :])

    return property(pcm24k)


def sends_in_its_sleep(real: Method) -> Method:
    def heard(self: DialogueManager, frame: e.HeardFrame) -> list[c.Command]:
        return [*real(self, frame), c.SendAudio(frame.pcm24k)]

    return heard


def sabotaged(monkeypatch: pytest.MonkeyPatch, name: str, how: Method, phase: str) -> Outcome:
    owner: type = UserTurn if name == "pcm24k" else DialogueManager
    real = owner.__dict__.get(name) or getattr(owner, name)
    monkeypatch.setattr(owner, name, how(real))
    return play_one("reset", phase)


def test_a_lost_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = sabotaged(monkeypatch, "_link_down", forgets_the_turn, "thinking")
    assert outcome.verdict.lost == [1]


def test_a_doubled_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DialogueManager, "_voice_text", lambda _self, _event: [])
    outcome = sabotaged(monkeypatch, "_link_ready", asks_again, "follow-up")
    assert outcome.verdict.doubled == [1]


def test_half_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = sabotaged(monkeypatch, "pcm24k", replays_half, "after commit")
    assert outcome.verdict.torn == [1]


def test_sound_that_leaves_while_it_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = sabotaged(monkeypatch, "_heard", sends_in_its_sleep, "asleep")
    assert any("(truth.light)" in problem for problem in outcome.verdict.problems)


def test_an_answer_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf_to_answers(real: Method) -> Method:
        return lambda self, event: []

    outcome = sabotaged(monkeypatch, "_voice_chunk", deaf_to_answers, "asleep")
    assert not outcome.recovered
    assert not outcome.verdict.is_good


def test_a_tool_that_runs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ToolRunner.run

    def run_twice(self: ToolRunner, call_id: str, name: str, arguments: str) -> None:
        for run_id in (call_id, f"{call_id}_again"):
            real(self, run_id, name, arguments)

    monkeypatch.setattr(ToolRunner, "run", run_twice)
    outcome = play_one("reset", "tool pending")
    assert outcome.recovered, "the schedule comes to its end"
    assert any("(consent.ran)" in problem for problem in outcome.verdict.problems)
