"""Any household, any line: what costs runs only for a yes that began after its question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from driver import House
from hypothesis import given, settings
from hypothesis import strategies as st
from server_model import ModelServer, Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.state import Talk

RISKS = {"clock": Risk.LOW, "shop": Risk.MEDIUM, "unlock": Risk.HIGH}
WORDS = ("Yes.", "Yes.", "Ja, bitte.", "No.", "Yes, but later.", "Order wine.", "")
AGREE = ("Yes.", "Ja, bitte.")

ANSWER = st.tuples(st.just("answers"), st.tuples(st.floats(0.0, 1.5), st.sampled_from(WORDS)))
ACTIONS = st.one_of(
    ANSWER,
    ANSWER,
    ANSWER,
    st.tuples(st.just("says"), st.tuples(st.floats(0.2, 1.5), st.sampled_from(WORDS))),
    st.tuples(st.just("press"), st.none()),
    st.tuples(st.just("wake"), st.none()),
    st.tuples(st.just("mute"), st.booleans()),
    st.tuples(st.just("guest"), st.booleans()),
    st.tuples(st.just("drop"), st.floats(0.05, 2.0)),
)
CALLS = st.builds(
    e.ToolCall,
    call_id=st.uuids().map(str),
    name=st.sampled_from(["shop", "shop", "shop", "clock", "unlock"]),
    arguments=st.sampled_from(["{}", '{"n":1}']),
)


@dataclass
class Witness:
    """Sees everything that was said and decided, and when."""

    house: House
    said: list[tuple[float, float, str]] = field(default_factory=list)
    pressed_at: set[float] = field(default_factory=set)
    opened_at: float = float("inf")
    sessions: int = 0
    seen: int = 0

    def says(self, start: float, length_s: float, words: str) -> None:
        if words and not any(a - 0.3 < start < b + 0.3 for a, b, _ in self.said):
            self.house.says(start, start + length_s)
            self.said.append((start, start + length_s, words))

    def writes_down(self, _ask: c.AskSideQuestion) -> str | None:
        since = self.opened_at - 0.011
        return " ".join(words for start, _, words in self.said if since < start < self.house.now)

    def look(self) -> None:
        house = self.house
        for at, do in house.log[self.seen :]:
            if isinstance(do, c.RunTool) and do.name != "clock":
                self.judge(at, do)
        self.seen = len(house.log)
        if house.moves and house.moves[-1][1] is Talk.CONFIRMING:
            if house.manager.talk is Talk.CONFIRMING and self.opened_at == float("inf"):
                self.opened_at, self.sessions = house.now, house.server.sessions
        elif house.manager.talk in (Talk.SPEAKING, Talk.ASLEEP):
            self.opened_at = float("inf")

    def judge(self, at: float, do: c.RunTool) -> None:
        assert not self.house.manager.guest
        # Somebody presses for 0.1 s, and agrees when the button is up again.
        if any(0.09 < at - pressed < 0.121 for pressed in self.pressed_at):
            return
        assert do.name == "shop", "words do not unlock"
        assert self.sessions == self.house.server.sessions, "another session"
        # Who begins in this very moment can't have been noticed yet, here or at the server.
        by_then = at - 0.15 - 2 * self.house.server.lag_s
        begun = [s for s in self.said if self.opened_at - 0.011 <= s[0] < by_then]
        assert begun, "nobody has begun to speak after the question"
        assert {words for _start, _end, words in begun} <= set(AGREE)


@settings(max_examples=120)
@given(
    actions=st.lists(st.tuples(st.floats(0.1, 6.0), ACTIONS), max_size=9),
    calls=st.lists(CALLS, min_size=1, max_size=3),
    question_ms=st.lists(st.sampled_from([0.0, 100.0, 900.0, 2500.0]), max_size=3),
    lag_s=st.sampled_from([0.0, 0.03, 0.3]),
    transcription=st.sampled_from(["off", "out_of_band"]),
    server_turns=st.booleans(),
)
def test_what_costs_runs_only_for_a_yes_after_its_question(
    actions: list[tuple[float, tuple[str, Any]]],
    calls: list[e.ToolCall],
    question_ms: list[float],
    lag_s: float,
    transcription: str,
    server_turns: bool,
) -> None:
    server = ModelServer(vad=server_turns, lag_s=lag_s)
    house = House(
        server,
        tool_risks=RISKS,
        confirm_s=4.0,
        transcription=transcription,
        server_turns=server_turns,
    )
    witness = Witness(house)
    server.aside = witness.writes_down
    server.plans = [Plan(items_ms=(), calls=tuple(calls))]
    server.questions = [Plan(items_ms=(ms,) if ms else ()) for ms in question_ms]
    house.connect()
    house.wake_word(0.5)
    witness.says(0.8, 1.0, "Order milk.")
    todo = list(actions)
    next_at = 3.0
    up_at = 0.0
    while house.now < 40.0 and (todo or house.manager.talk is not Talk.ASLEEP):
        house.run(house.now + 0.01)
        witness.look()
        if not todo or house.now < next_at:
            continue
        wait_s, (what, value) = todo[0]
        if what == "answers" and house.manager.talk is not Talk.CONFIRMING and house.now < 30:
            continue  # somebody who waits for the question
        todo.pop(0)
        next_at = house.now + wait_s
        if what == "says":
            witness.says(house.now + 0.05, *value)
        elif what == "answers":
            witness.says(house.now + 0.05 + value[0], 0.6, value[1])
        elif what == "press":
            witness.pressed_at.add(house.now)
            house.press()
        elif what == "wake":
            house.wake_word(house.now + 0.02)
        elif what == "mute":
            house.send(e.MuteRequested(at=house.now, muted=value))
        elif what == "guest":
            house.send(e.GuestRequested(at=house.now, on=value))
        elif what == "drop" and house.now > up_at:
            house.drop()
            house.at(house.now + value, house.connect)
            up_at = house.now + value + 0.3
        witness.look()
    offences = set(server.offences)
    crossings = {"conversation_already_has_active_response", "response before all outputs"}
    assert offences <= (crossings if lag_s else set())
