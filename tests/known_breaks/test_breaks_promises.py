"""F1 to F9 and N1: promises to the household that are broken in the talk, the files and the words.

The referee judges, with no excuse; what it must not find any more stands in each test.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from driver import House, voice
from known import OPEN, given, known_break
from referee import Referee
from referee.known import EXCUSED
from server_model import ModelServer, Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.risk import Risk
from edge_agent.demo.stage import Stage
from edge_agent.dialogue.calls.yes_no import Answer, read_answer
from edge_agent.dialogue.state import Talk
from edge_agent.host.stores.state import StateFile
from edge_agent.simulation import clock

RISKS = {"clock": Risk.LOW, "shop": Risk.MEDIUM, "unlock": Risk.HIGH}
UNLOCK = e.ToolCall(call_id="call_1", name="unlock", arguments='{"door":"front"}')


def strict(house: House) -> House:
    """Judge this talk with no excuse."""
    house.referee = Referee(house.referee.scene.household, excused=())
    return house


def asked(*calls: e.ToolCall, items_ms: tuple[float, ...] = (), **config: Any) -> House:
    """The household wants something (until 2.4 s) and the model makes these calls."""
    house = strict(House(tool_risks=RISKS, **config))
    house.connect()
    house.server.plans = [Plan(items_ms=items_ms, calls=calls)]
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    return house


def until(house: House, talk: Talk, within_s: float = 20.0) -> House:
    limit = house.now + within_s
    while house.manager.talk is not talk:
        house.run(house.now + 0.01)
        given(house.now < limit, f"never {talk}")
    return house


def ran(house: House) -> list[str]:
    return [command.name for command in house.did(c.RunTool)]


# --- F1, F2, F7: the button -------------------------------------------------------------------


@pytest.mark.parametrize("presses", [(0.01,), (0.01, 0.24), (0.3,)], ids=["at once", "two", "soon"])
def test_a_press_before_the_end_of_the_question_agrees_to_nothing(
    presses: tuple[float, ...],
) -> None:
    second = e.ToolCall(call_id="call_2", name="unlock", arguments='{"door":"garage"}')
    house = until(asked(UNLOCK, second), Talk.CONFIRMING)
    for in_s in presses:
        house.at(house.now + in_s, house.press)
    house.run(house.now + 1.0)
    assert ran(house) == []


def test_a_press_that_silences_an_answer_agrees_to_nothing() -> None:
    house = until(asked(UNLOCK, items_ms=(6000.0,)), Talk.CONFIRMING)
    given(house.speaker.audible, "the answer still sounds")
    house.press()
    house.run(house.now + 1.0)
    assert ran(house) == []
    assert not house.speaker.audible


def test_a_press_that_mutes_agrees_to_nothing() -> None:
    house = until(asked(UNLOCK), Talk.CONFIRMING)
    house.run(house.now + 2.0)  # the question has been heard
    house.press(hold_s=2.0)
    house.run(house.now + 3.0)
    assert ran(house) == []


def test_a_press_that_stops_the_bell_agrees_to_nothing() -> None:
    house = asked(UNLOCK)
    house.server.think_s = 12.0
    house.at(2.6, lambda: house.send(e.AlarmDue(at=house.now, name="pasta")))
    until(house, Talk.CONFIRMING)
    given(house.did(c.RingAlarm) and not house.did(c.StopAlarm), "the bell rings")
    house.press()
    house.run(house.now + 1.0)
    assert ran(house) == []


@known_break("F2", "what needs the button is named before it is agreed to")
def test_a_question_for_the_button_says_what_it_is_about() -> None:
    garage = e.ToolCall(call_id="call_1", name="unlock", arguments='{"door":"garage"}')
    questions = []
    for call in (UNLOCK, garage):
        house = until(asked(call), Talk.CONFIRMING)
        spoken = [*house.did(c.PlaySentence, 2.4), *house.did(c.RequestResponse, 2.4)]
        questions.append([str(command) for command in spoken])
    assert questions[0] != questions[1], "two doors, one question"


def test_a_question_that_nobody_can_hear_is_agreed_to_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = asked(UNLOCK)
    over = e.SentenceDrained(at=0.0, name="confirm_by_button")
    # The pump of a speaker without sentences says at once that they are over.
    monkeypatch.setattr(
        house.speaker, "sentence", lambda _name: house.at(0.0, lambda: house.send(over))
    )
    until(house, Talk.CONFIRMING)
    house.run(house.now + 5.0)
    house.press()
    house.run(house.now + 1.0)
    assert ran(house) == []


def test_speech_over_an_answer_with_a_risky_call_cuts_it() -> None:
    house = asked(UNLOCK, items_ms=(8000.0,))
    house.says(6.0, 7.5)
    house.run(7.0)
    given(house.manager.talk is not Talk.ASLEEP, "it is awake")
    assert not house.speaker.audible


# --- F3: who opens the gate -------------------------------------------------------------------


def unasked(response: str = "r1") -> list[e.Event]:
    """20 ms of silence as an “answer” that nobody asked for."""
    return [
        e.ResponseStarted(at=0.0, response=response),
        e.VoiceChunk(at=0.0, response=response, item=f"i{response}", pcm24k=voice(20.0)),
        e.VoiceEnded(at=0.0, response=response, item=f"i{response}"),
        e.ResponseEnded(at=0.0, response=response, status="completed", items=(f"i{response}",)),
    ]


@pytest.mark.parametrize("mode", ["wake", "button"])
def test_an_answer_that_nobody_asked_for_opens_nothing(mode: str) -> None:
    house = strict(House(mode=mode))
    house.connect()
    house.run(1.0)
    for event in unasked():
        house.send(ModelServer._stamp(event, house.now))
    house.run(1.5)
    house.send(e.UserSpeechStarted(at=house.now, item="u1"))
    house.run(4.0)
    assert house.sent_frames() == []


def test_a_call_that_nobody_asked_for_runs_nothing() -> None:
    house = strict(House(tool_risks=RISKS))
    house.connect()
    house.run(1.0)
    house.send(e.ResponseStarted(at=1.0, response="r1"))
    call = e.ToolCall(call_id="c1", name="clock", arguments="{}")
    house.send(e.ResponseEnded(at=1.0, response="r1", status="completed", calls=(call,)))
    house.run(2.0)
    assert ran(house) == []


# --- F4, F5, F6: mute -------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"\0" * 40, b'{"muted": tr', b'{"muted": 3}'])
def test_what_a_damaged_file_held_stays_muted_at_the_second_boot(
    tmp_path: Path, damage: bytes
) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(damage)
    boots = [StateFile(file, lambda _code, **_fields: None).load() for _boot in range(3)]
    given(boots[0].muted, "the first boot is muted")
    assert [(boot.muted, boot.guest) for boot in boots] == [(True, True)] * 3


@known_break("F5", "a mute that could not be saved is told, by voice")
def test_a_mute_that_cannot_be_saved_is_told(tmp_path: Path) -> None:
    (tmp_path / "away").symlink_to(tmp_path / "nowhere")  # a disk that is not there any more

    async def talk() -> None:
        settings = {"state": {"path": str(tmp_path / "away" / "state.json")}}
        async with Stage(settings=settings) as stage:
            sentences: list[str] = []
            stage.daemon.agent.observers.append(
                lambda _event, commands, _at: sentences.extend(
                    do.name for do in commands if isinstance(do, c.PlaySentence)
                )
            )
            await stage.push(button="mute")
            await asyncio.sleep(5.0)
            given(stage.panel is not None and stage.panel.light == "muted", "it is muted")
            assert sentences, "nobody was told"

    clock.run(talk())


def test_what_was_kept_offline_is_not_told_after_a_mute() -> None:
    house = strict(House())
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    house.run(4.0)
    given(house.manager.talk is Talk.THINKING, "the words are kept")
    house.press("mute")
    house.run(4.5)
    house.connect()
    house.run(6.0)
    assert "mute.memory" not in house.referee.codes
    assert house.did(c.RequestResponse) == []


def test_a_fresh_session_is_told_nothing_while_muted() -> None:
    house = strict(House(memory_turns=12))
    house.connect()
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    house.run(20.0)
    given(house.manager.talk is Talk.ASLEEP, "the talk is over")
    house.press("mute")
    house.run(21.0)
    house.blip(21.5, 0.5)
    house.run(24.0)
    assert house.did(c.AddMessage, 21.0) == []


# --- F8, F9: words ----------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["Na ja.", "Ach ja.", "yes ❌", "yes 🚫", "👎 yes"])
def test_a_hedge_or_a_sign_is_no_yes(words: str) -> None:
    assert read_answer(words) is not Answer.YES


@known_break("F9", "nothing is approved that the question does not name")
def test_what_stands_behind_a_long_argument_is_asked_about_or_refused() -> None:
    long = '{"note":"' + "a" * 620 + '","amount":999999}'
    house = asked(e.ToolCall(call_id="call_1", name="shop", arguments=long))
    house.run(4.0)
    questions = [command.instructions for command in house.did(c.RequestResponse)]
    refused = [command for command in house.did(c.AddToolOutput) if "Refused" in command.output]
    assert refused or any("999999" in question for question in questions)


# --- N1: found by the referee -----------------------------------------------------------------


def test_a_server_that_takes_a_turn_and_says_nothing_is_explained_in_time() -> None:
    house = strict(House())
    house.connect()
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    house.run(3.1)
    given(house.manager.talk is Talk.THINKING, "the turn has been sent")
    house.server.stalled = True
    house.run(26.0)
    assert "answers.late" not in house.referee.codes


def test_what_the_referee_excuses_is_open() -> None:
    assert set(EXCUSED.values()) <= set(OPEN)
