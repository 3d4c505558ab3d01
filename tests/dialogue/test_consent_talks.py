"""Talks that need a yes: the question, what answers it, and everything that does not."""

from __future__ import annotations

from typing import Any

import pytest
from driver import House, until
from server_model import ModelServer, Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.state import Talk

RISKS = {"clock": Risk.LOW, "shop": Risk.MEDIUM, "unlock": Risk.HIGH, "leave_message": Risk.LOW}
MILK = '{"item":"milk"}'


def shop(call_id: str = "call_1", arguments: str = MILK, name: str = "shop") -> e.ToolCall:
    return e.ToolCall(call_id=call_id, name=name, arguments=arguments)


def asked(*calls: e.ToolCall, plans: tuple[Plan, ...] = (), **config: Any) -> House:
    """The household wants something (until 2.4 s) and the model makes these calls."""
    house = House(tool_risks=RISKS, **config)
    house.connect()
    house.server.plans = [Plan(items_ms=(), calls=calls or (shop(),)), *plans]
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    return house


def at_question(house: House) -> House:
    """Until the question has been heard to its end."""
    return until(house, Talk.CONFIRMING)


def reply(house: House, words: str | None, *, in_s: float = 0.5) -> House:
    """Somebody answers; the model, asked for it, writes down `words`."""
    house.server.aside = lambda _ask: words
    start = house.now + in_s
    house.says(start, start + 0.6)
    return house.run(start + 2.0)


def ran(house: House) -> list[tuple[str, str]]:
    return [(do.call_id, do.arguments) for do in house.did(c.RunTool)]


def outputs(house: House) -> list[str]:
    return [do.output for do in house.did(c.AddToolOutput)]


def whys(house: House) -> list[object]:
    return [do.fields["why"] for do in house.did(c.Note) if do.code == "tool.refused"]


def questions(house: House) -> list[str]:
    return [do.text for do in house.did(c.SayText)]


# --- the plain way ---------------------------------------------------------------------------


def test_a_yes_runs_exactly_what_was_asked() -> None:
    house = at_question(asked())
    [question] = questions(house)
    assert "shop" in question
    assert "item: milk" in question
    assert ran(house) == []
    assert outputs(house) == []
    reply(house, "Yes, please.")
    assert ran(house) == [("call_1", MILK)]
    house.run(house.now + 5)
    assert outputs(house) == ["done"]
    assert len(house.did(c.RequestResponse)) == 1, "what came of it"
    assert house.manager.talk is Talk.LISTENING
    assert house.server.offences == []
    [ask] = house.did(c.AskSideQuestion)
    assert ask.items is not None
    assert len(ask.items) == 1
    assert ask.tag.startswith("consent")


def test_a_speaker_that_ends_turns_itself_hears_a_yes_too() -> None:
    house = House(ModelServer(vad=False), tool_risks=RISKS, server_turns=False)
    house.connect()
    house.server.plans = [Plan(items_ms=(), calls=(shop(),))]
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    reply(at_question(house), "Yes.").run(house.now + 5)
    assert ran(house) == [("call_1", MILK)]
    wishes = [do.may_call for do in house.did(c.RequestResponse)]
    assert wishes == [True, True], "for the turn and the result"
    assert house.server.offences == []


def test_a_no_does_not_and_the_model_is_told() -> None:
    house = at_question(asked())
    reply(house, "No, thanks.").run(house.now + 5)
    assert ran(house) == []
    assert outputs(house)[0].startswith("Refused: the household said no")
    assert whys(house) == ["no"]
    assert house.server.offences == []


def test_an_unclear_answer_is_asked_for_once_more_and_then_it_is_no() -> None:
    house = at_question(asked())
    reply(house, "Yes, but only the cheap one.")
    assert ran(house) == []
    assert outputs(house) == []
    at_question(house)
    assert len(questions(house)) == 2
    reply(house, "Well, what does it cost?").run(house.now + 5)
    assert ran(house) == []
    assert whys(house) == ["unclear"]
    assert len(questions(house)) == 2
    assert house.server.offences == []


def test_a_yes_to_the_second_question_counts() -> None:
    house = reply(at_question(asked()), "Hm.")
    reply(at_question(house), "Ja, mach das.")
    assert ran(house) == [("call_1", MILK)]


def test_silence_is_no() -> None:
    house = at_question(asked())
    opened_at = house.now
    until(house, Talk.THINKING)
    assert house.now == pytest.approx(opened_at + 15, abs=0.02)
    assert whys(house) == ["expired"]
    house.run(house.now + 4)
    assert ran(house) == []
    assert len(house.speaker.played) == 2, "the question, and that it is left"


def test_the_button_is_a_yes_too() -> None:
    house = at_question(asked())
    house.agree()
    assert ran(house) == [("call_1", MILK)]
    [given] = [do.fields for do in house.did(c.Note) if do.code == "consent.given"]
    assert given["by"] == "button"


def test_a_high_risk_is_not_to_be_talked_into() -> None:
    house = at_question(asked(shop(name="unlock")))
    assert "button" in questions(house)[-1]
    reply(house, "Yes.")
    assert ran(house) == []
    assert house.manager.talk is Talk.CONFIRMING
    house.agree()
    assert ran(house) == [("call_1", MILK)]


def test_without_voice_consent_the_button_is_asked_for() -> None:
    house = at_question(asked(consent_by_voice=False))
    assert "button" in questions(house)[-1]
    reply(house, "Yes.")
    assert ran(house) == []


def test_muted_only_the_button_can_answer() -> None:
    house = until(asked(), Talk.THINKING)
    house.send(e.MuteRequested(at=house.now, muted=True))
    at_question(house)
    assert "button" in questions(house)[-1]


# --- presses that agree to nothing ------------------------------------------------------------


@pytest.mark.parametrize("name", ["shop", "unlock"])
def test_a_press_that_comes_too_early_is_told_and_the_next_one_agrees(name: str) -> None:
    house = at_question(asked(shop(name=name)))
    house.run(house.now + 0.2)
    house.press()
    house.run(house.now + 0.2)
    assert house.sentences() == ["press_early"]
    house.agree()
    assert ran(house) == [("call_1", MILK)]


def test_a_press_over_the_question_for_it_cuts_it_and_is_told() -> None:
    house = until(asked(shop(name="unlock")), Talk.SPEAKING)
    house.run(house.now + 0.5)
    house.press()
    assert house.sentences() == ["press_over_question"]
    assert whys(house) == ["interrupted"]
    assert house.manager.talk is Talk.LISTENING, "with words it goes on at once"
    house.run(house.now + 5)
    assert ran(house) == []


def test_who_talks_over_the_word_about_a_press_is_heard() -> None:
    house = until(asked(shop(name="unlock")), Talk.SPEAKING)
    house.run(house.now + 0.5)
    house.press()
    house.says(house.now + 0.1, house.now + 2.0)
    house.run(house.now + 0.7)
    assert not house.speaker.audible
    assert house.sentences() == ["press_over_question"]


def test_a_press_over_a_question_for_words_only_interrupts() -> None:
    house = until(asked(), Talk.SPEAKING)
    house.press()
    assert house.sentences() == []
    assert house.manager.talk is Talk.LISTENING


@pytest.mark.parametrize("in_s", [0.3, 1.3, 1.5])
def test_a_press_over_our_sentence_or_soon_after_it_agrees_to_nothing(in_s: float) -> None:
    """The sentence of 1.2 s tells that the first press came too early."""
    house = at_question(asked(shop(name="unlock")))
    house.press()
    house.run(house.now + in_s)
    sounding = house.speaker.audible
    house.press()
    assert house.speaker.audible is not sounding, "cut, or told once more"
    house.run(house.now + 1.3)
    assert ran(house) == []
    assert house.manager.talk is Talk.CONFIRMING
    house.agree()
    assert ran(house) == [("call_1", MILK)], "the question still stands"


def test_a_press_that_agrees_twice_agrees_once_and_sends_nobody_to_sleep() -> None:
    house = at_question(asked(shop(name="unlock")))
    house.run(house.now + 1.0)
    for _ in range(3):
        house.press(hold_s=0.05)
        house.run(house.now + 0.2)
    assert ran(house) == [("call_1", MILK)]
    house.run(house.now + 5)
    assert outputs(house) == ["done"]
    assert len(house.speaker.played) == 2, "the question, and what came of it"


def test_a_hasty_second_press_does_not_end_the_talk_while_the_next_question_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = asked(shop("a", name="unlock"), shop("b", "{}", name="unlock"))
    speak = house.speaker.text
    monkeypatch.setattr(
        house.speaker, "text", lambda name: house.at(house.now + 0.5, lambda: speak(name))
    )
    at_question(house).run(house.now + 1.0)
    house.press(hold_s=0.05)
    house.run(house.now + 0.25)
    house.press(hold_s=0.05)
    at_question(house)
    assert [call_id for call_id, _ in ran(house)] == ["a"]
    house.agree()
    assert [call_id for call_id, _ in ran(house)] == ["a", "b"]


def test_a_press_ends_the_talk_while_a_question_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    house = asked(shop(name="unlock"))
    monkeypatch.setattr(house.speaker, "text", lambda _name: None)
    house.run(4.0)
    assert len(questions(house)) == 1
    house.press()
    assert house.manager.talk is Talk.ASLEEP
    assert whys(house) == ["gone"]


@pytest.mark.parametrize("after_s", [-0.8, 0.1, 0.7])
def test_no_series_of_presses_at_a_question_is_the_gesture_for_guests(after_s: float) -> None:
    house = until(asked(shop(name="unlock")), Talk.SPEAKING)
    house.run(house.now + 1.2 + after_s)
    for _ in range(8):
        house.press(hold_s=0.05)
        house.run(house.now + 0.3)
    assert house.did(c.SaveGuest) == []


# --- what sounds can be cut -------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["speech", "wake word", "button"])
@pytest.mark.parametrize("sounds", ["the answer before it", "the question", "a sentence of ours"])
@pytest.mark.parametrize("name", ["shop", "unlock"])
def test_while_a_question_waits_everything_still_cuts_what_sounds(
    name: str, sounds: str, cause: str
) -> None:
    house = asked(shop(name=name))
    if sounds == "the answer before it":
        house.server.plans = [Plan(items_ms=(6000.0,), calls=(shop(name=name),))]
        until(house, Talk.SPEAKING).run(house.now + 2.0)
        assert questions(house) == [], "what sounds is heard out first"
    elif sounds == "the question":
        until(house, Talk.SPEAKING).run(house.now + 0.3)
        assert len(questions(house)) == 1
    else:
        at_question(house)
        house.send(e.StateUnsaved(at=house.now))
        house.run(house.now + 0.1)
        assert house.sentences() == ["not_saved"]
    assert house.speaker.audible
    assert house.did(c.CutPlayback) == []
    if cause == "speech":
        house.says(house.now + 0.05, house.now + 0.6)
    elif cause == "wake word":
        house.wake_word(house.now + 0.1)
    else:
        house.press(hold_s=0.05)
    house.run(house.now + 0.25)
    assert len(house.did(c.CutPlayback)) == 1
    house.run(house.now + 0.6)
    assert ran(house) == []
    stands = sounds == "a sentence of ours" and cause != "wake word"
    assert (house.manager.talk is Talk.CONFIRMING) is stands


# --- what is no answer ------------------------------------------------------------------------


def test_what_is_said_over_the_question_is_no_answer() -> None:
    house = until(asked(), Talk.SPEAKING)
    reply(house, "Yes.", in_s=0.3)
    assert ran(house) == []
    assert whys(house) == ["interrupted"]
    house.run(house.now + 6)
    assert ran(house) == []
    assert house.server.offences == []


def test_our_own_voice_in_the_room_is_no_answer() -> None:
    """The echo of the question's last word, labelled as speech by a fooled detector."""
    house = until(asked(barge_in_by_speech=False), Talk.SPEAKING)
    house.server.aside = lambda _ask: "yes"
    begin = house.steps
    house.speech_frames |= set(range(begin, begin + 600))
    at_question(house)
    house.speech_frames = {n for n in house.speech_frames if n <= house.steps + 18}
    house.run(house.now + 3)
    assert ran(house) == []
    assert house.manager.talk is Talk.CONFIRMING


@pytest.mark.parametrize("asks", [True, False])
def test_who_speaks_already_when_the_question_ends_does_not_answer_it(asks: bool) -> None:
    house = asked(barge_in_by_speech=False)
    house.server.questions = [] if asks else [Plan(items_ms=())]
    house.server.aside = lambda _ask: "Yes."
    while not house.speaker.audible:
        house.run(house.now + 0.01)
    house.says(house.now + 0.2, house.now + 2.0)
    at_question(house)
    house.run(house.now + 3)
    assert ran(house) == []
    assert house.did(c.AskSideQuestion) == []
    assert house.manager.talk is Talk.CONFIRMING
    reply(house, "Yes.")
    assert ran(house) == [("call_1", MILK)], "but may say it again"


@pytest.mark.parametrize("pause_s", [0.3, 0.7])
@pytest.mark.parametrize("from_s", [-1.5, 0.02])
def test_a_television_that_talks_on_does_not_agree(pause_s: float, from_s: float) -> None:
    """Its talk began before the question's end, or too soon after it for anybody's answer."""
    house = asked(barge_in_by_speech=False)
    house.server.aside = lambda _ask: "Yes."
    until(house, Talk.SPEAKING)
    ends_at = house.now + 1.2
    house.says(ends_at + from_s, ends_at + 1.0)
    house.says(ends_at + 1.0 + pause_s, ends_at + 1.5 + pause_s)  # "Yes.", says somebody there
    house.run(ends_at + 5.0)
    assert ran(house) == []
    assert house.did(c.AskSideQuestion) == []
    reply(house, "Yes.")
    assert ran(house) == [("call_1", MILK)], "after a second of quiet somebody may"


@pytest.mark.parametrize("by", ["our detector", "the server"])
def test_a_room_that_talks_on_takes_a_yes_back(by: str) -> None:
    """Also where the server, which ends the turns, does not tell that somebody goes on."""
    house = at_question(asked())
    house.server.think_s = 1.0
    house.server.aside = lambda _ask: "Yes."
    start = house.now + 0.5
    house.says(start, start + 0.5)
    house.run(start + 1.1)
    assert house.did(c.AskSideQuestion)
    if by == "our detector":
        house.server.vad = False
    house.says(house.now + 0.1, house.now + 2.0)
    house.run(house.now + 5)
    assert ran(house) == []


def test_what_sounds_while_our_own_words_do_is_no_answer() -> None:
    house = at_question(asked())
    house.server.aside = lambda _ask: "Yes."
    house.press()
    assert house.sentences() == ["press_early"]
    house.says(house.now + 0.3, house.now + 1.0)
    house.run(house.now + 3.0)
    assert ran(house) == []
    assert house.did(c.AskSideQuestion) == []
    reply(house, "Yes.")
    assert ran(house) == [("call_1", MILK)]


def test_an_item_from_before_the_question_does_not_answer_it() -> None:
    house = asked()
    house.run(3.0)
    [before] = [item for item, entry in house.server.items.items() if entry.role == "user"]
    at_question(house)
    house.server.announces_commit = False
    house.server.aside = lambda _ask: "Yes."
    start = house.now + 0.5
    house.says(start, start + 0.6)
    house.run(start + 1.3)
    for _ in range(2):
        house.send(e.UserTurnCommitted(at=house.now, item=before))
    house.run(house.now + 3)
    assert house.did(c.AskSideQuestion) == []
    assert ran(house) == []


@pytest.mark.parametrize("transcription", ["off", "out_of_band"])
def test_a_transcript_that_nobody_asked_for_is_no_answer(transcription: str) -> None:
    house = at_question(asked(transcription=transcription))
    house.server.think_s = 3.0
    start = house.now + 0.5
    house.says(start, start + 0.6)
    house.run(start + 1.5)
    items = [item for item, entry in house.server.items.items() if entry.role == "user"]
    house.send(e.UserTranscript(at=house.now, item=items[-1], text="Yes."))
    assert ran(house) == []


@pytest.mark.parametrize("somebody_spoke", [True, False])
@pytest.mark.parametrize("by_voice", [True, False])
def test_how_far_a_provider_that_invents_a_yes_is_believed(
    somebody_spoke: bool, by_voice: bool
) -> None:
    """The limit that stays: whoever writes down what was said can write down a yes."""
    house = at_question(asked(consent_by_voice=by_voice))
    house.server.aside = lambda _ask: "Yes."
    start = house.now + 0.5
    if somebody_spoke:
        house.says(start, start + 0.6)  # "No!"
    else:
        house.at(start, lambda: house.send(e.UserSpeechStarted(at=house.now, item="user_9")))
        house.at(start, lambda: house.send(e.UserTurnCommitted(at=house.now, item="user_9")))
    house.run(start + 2.0)
    assert bool(ran(house)) is (somebody_spoke and by_voice)


def test_a_transcript_of_another_turn_is_no_answer() -> None:
    house = at_question(asked())
    house.send(e.UserTranscript(at=house.now, item="user_1", text="yes"))
    house.send(e.UserTranscript(at=house.now, item="", text="yes"))
    assert ran(house) == []
    start = house.now + 0.5
    house.says(start, start + 0.6)
    house.run(start + 0.7)
    house.send(e.UserTranscript(at=house.now, item="user_1", text="yes"))
    house.send(e.SideAnswer(at=house.now, tag="consent_9", text="yes"))
    assert ran(house) == []


def test_what_a_tool_says_is_no_answer() -> None:
    house = at_question(asked(shop("a", name="clock"), shop("b")))
    house.send(e.ToolFinished(at=house.now, call_id="b", output="yes"))
    assert [call_id for call_id, _ in ran(house)] == ["a"]


@pytest.mark.parametrize("server_turns", [True, False])
def test_a_yes_that_goes_on_is_withdrawn(server_turns: bool) -> None:
    house = House(ModelServer(vad=server_turns), tool_risks=RISKS, server_turns=server_turns)
    house.connect()
    house.server.plans = [Plan(items_ms=(), calls=(shop(),))]
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    at_question(house)
    house.server.aside = lambda _ask: "Yes."
    house.server.think_s = 1.0
    start = house.now + 0.5
    house.says(start, start + 0.5)
    house.says(start + 1.4, start + 2.5)  # "… but not the expensive one"
    house.run(start + 6)
    assert ran(house) == []
    assert whys(house) == ["interrupted"]
    assert house.server.offences == []


def test_a_wake_word_or_the_end_of_the_talk_withdraws_the_question() -> None:
    house = at_question(asked())
    house.wakes[house.steps + 5] = "okay_nabu"
    house.run(house.now + 0.2)
    assert whys(house) == ["interrupted"]
    reply(house, "Yes.")
    assert ran(house) == []


@pytest.mark.parametrize("after_s", [-0.5, 0.0, 0.7, 1.2])
def test_a_question_is_void_in_another_session(after_s: float) -> None:
    """Lost while it is spoken, while it is open, and while an answer is said or read."""
    house = until(asked(), Talk.SPEAKING) if after_s < 0 else at_question(asked())
    house.server.aside = lambda _ask: "yes"
    house.says(house.now + 0.3, house.now + 1.0)
    house.run(house.now + max(0.1, after_s))
    house.drop()
    house.run(house.now + 0.3)
    house.connect()
    told = [do.text for do in house.did(c.AddMessage) if do.role == "system"]
    assert len(told) == 1
    assert told[0].startswith("shop: not done")
    house.run(house.now + 1)
    house.press()
    house.run(house.now + 6)
    assert ran(house) == []
    assert whys(house) == ["connection lost"]
    assert house.server.offences == []


@pytest.mark.parametrize("down_s", [0.2, 5.0])
def test_a_line_lost_while_the_question_sounds_is_no_end_of_the_talk(down_s: float) -> None:
    """The next session is asked for an answer once, whether it comes while that still sounds."""
    house = until(asked(), Talk.SPEAKING)
    house.run(house.now + 0.5)
    house.drop()
    house.run(house.now + down_s)
    assert house.manager.talk == Talk.THINKING
    house.connect()
    assert len(house.did(c.RequestResponse)) == 1
    house.run(house.now + 8)
    until(house, Talk.LISTENING)
    assert ran(house) == []
    assert house.server.offences == []


def test_a_word_that_was_given_survives_a_lost_line_once() -> None:
    """Although it may be stopped it runs on, and is neither asked for nor run again."""
    house = at_question(asked(tool_terms={"shop": e.ToolTerms(cancellable=True)}))
    house.tools = lambda _command: None
    house.agree()
    assert ran(house) == [("call_1", MILK)]
    for n in (2, 3):
        house.drop()
        house.run(house.now + 0.3)
        house.connect()
        until(house, Talk.LISTENING)
        again = shop(f"call_{n}", '{ "item": "Milk" }')
        house.server.plans = [Plan(items_ms=(), calls=(again,))]
        house.says(house.now + 0.3, house.now + 1.3)
        house.run(house.now + 3)
        assert whys(house) == ["runs already"] * (n - 1)
    assert house.did(c.CancelTool) == []
    house.send(e.ToolFinished(at=house.now, call_id="call_1", output="bought"))
    until(house, Talk.LISTENING)
    house.server.plans = [Plan(items_ms=(), calls=(shop("call_4"),))]
    house.says(house.now + 0.3, house.now + 1.3)
    house.run(house.now + 1.0)
    at_question(house)
    assert len(questions(house)) == 2, "it has been used up"
    assert ran(house) == [("call_1", MILK)]
    assert house.server.offences == []


@pytest.mark.parametrize("moment", ["pressed", "said"])
def test_a_word_that_was_half_given_is_lost_with_the_line(moment: str) -> None:
    house = at_question(asked(shop(name="unlock" if moment == "pressed" else "shop")))
    house.run(house.now + 1.0)
    if moment == "pressed":
        house.press(hold_s=0.4)
    else:
        house.says(house.now + 0.1, house.now + 0.7)
    house.run(house.now + 0.2)
    house.drop()
    house.run(house.now + 0.3)
    house.connect()
    house.run(house.now + 6)
    assert ran(house) == []


def test_the_same_again_while_it_runs_is_the_same_call() -> None:
    house = at_question(asked())
    house.tools = lambda _command: None
    house.agree()
    house.says(house.now + 0.5, house.now + 1.5)
    house.server.plans = [Plan(items_ms=(), calls=(shop("call_2"),))]
    house.run(house.now + 4)
    assert whys(house) == ["runs already"]
    assert len(questions(house)) == 1
    assert ran(house) == [("call_1", MILK)]


def test_a_roll_over_waits_for_the_answer() -> None:
    house = at_question(asked())
    assert house.send(e.RollOverDue(at=house.now)) == []


# --- the same again ---------------------------------------------------------------------------


def test_changed_arguments_are_asked_about_anew() -> None:
    more = Plan(items_ms=(), calls=(shop("call_2", '{"item":"wine"}'),))
    house = at_question(asked())
    house.server.plans = [Plan(), more]  # the first is what the server would say by itself
    reply(house, "Yes.")
    assert ran(house) == [("call_1", MILK)]
    at_question(house)
    assert "item: wine" in questions(house)[-1]
    assert ran(house) == [("call_1", MILK)]


def test_after_a_no_the_same_is_not_asked_until_the_household_speaks_again() -> None:
    again = Plan(items_ms=(), calls=(shop("call_2"),))
    house = at_question(asked())
    house.server.plans = [Plan(), again]
    reply(house, "No.").run(house.now + 4)
    assert whys(house) == ["no", "refused before"]
    assert len(questions(house)) == 1
    house.server.plans = [Plan(items_ms=(), calls=(shop("call_3"),))]
    until(house, Talk.LISTENING)
    house.says(house.now + 0.3, house.now + 1.3)
    house.run(house.now + 1.0)
    at_question(house)
    assert len(questions(house)) == 2
    assert house.server.offences == []


def test_after_two_refusals_a_tool_is_not_asked_for_until_the_next_wake() -> None:
    other = [
        Plan(items_ms=(), calls=(shop(f"call_{n}", f'{{"item":"{n}"}}'),)) for n in range(2, 6)
    ]
    house = at_question(asked())
    house.server.plans = [Plan(), other[0]]
    reply(house, "No.")
    at_question(house)
    house.server.plans = [Plan(), other[1]]
    reply(house, "No.").run(house.now + 4)
    assert whys(house) == ["no", "no", "refused twice"]
    until(house, Talk.LISTENING)
    house.server.plans = [other[2]]
    house.says(house.now + 0.3, house.now + 1.3)
    house.run(house.now + 4)
    assert whys(house)[3:] == ["refused twice"], "not even in a new turn"
    until(house, Talk.ASLEEP)
    house.server.plans = [other[3]]
    house.wake_word(house.now + 0.5)
    house.says(house.now + 0.2, house.now + 1.8)
    at_question(house)
    assert "item: 5" in questions(house)[-1], "a call starts anew"
    assert len(questions(house)) == 3
    assert house.server.offences == []


def test_a_yes_is_not_enough_for_what_has_become_more_dangerous() -> None:
    house = at_question(asked())
    risks = {"shop": Risk.HIGH, "clock": Risk.LOW}
    house.send(e.ToolsChanged(at=house.now, schemas=(), risks=risks))
    reply(house, "Yes.").run(house.now + 4)
    assert ran(house) == []
    assert whys(house) == ["changed"]
    assert house.server.offences == []


def test_two_calls_are_asked_about_one_after_the_other() -> None:
    house = at_question(asked(shop("a"), shop("b", '{"item":"wine"}'), shop("c", name="clock")))
    assert [call_id for call_id, _ in ran(house)] == ["c"]
    reply(house, "No.")
    at_question(house)
    assert [call_id for call_id, _ in ran(house)] == ["c"]
    reply(house, "Yes.").run(house.now + 5)
    assert [call_id for call_id, _ in ran(house)] == ["c", "b"]
    assert sorted(do.call_id for do in house.did(c.AddToolOutput)) == ["a", "b", "c"]
    answers = [do for do in house.did(c.RequestResponse) if do.may_call]
    assert len(answers) == 1, "one answer, after the last output"
    assert house.server.offences == []


# --- when asking or reading fails ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("text.no_voice", "no voice"),
        ("text.too_long", "too long"),
        ("text.inaudible", "unheard"),
        ("text.failed", "unheard"),
    ],
)
@pytest.mark.parametrize("name", ["shop", "unlock"])
def test_what_cannot_be_asked_aloud_is_refused(
    monkeypatch: pytest.MonkeyPatch, code: str, why: str, name: str
) -> None:
    house = asked(shop(name=name))

    def fails(text: str) -> None:
        house.at(0.0, lambda: house.send(e.TextFailed(at=house.now, name=text, code=code)))

    monkeypatch.setattr(house.speaker, "text", fails)
    house.run(6.0)
    house.press()
    house.run(8.0)
    assert ran(house) == []
    assert whys(house) == [why]
    assert house.sentences() == ["cannot_ask"]
    assert house.server.offences == []


def test_a_question_with_a_hole_is_asked_again() -> None:
    house = asked()
    house.speaker.torn = 1
    at_question(house)
    assert len(questions(house)) == 2
    assert ran(house) == []
    reply(house, "Yes.").run(house.now + 5)
    assert ran(house) == [("call_1", MILK)]


def test_a_question_that_never_sounds_whole_is_refused() -> None:
    house = asked()
    house.speaker.torn = 100
    house.run(20.0)
    assert whys(house) == ["unheard"]
    assert ran(house) == []


@pytest.mark.parametrize("stands", [True, False])
def test_what_the_model_says_beside_its_question_is_no_answer(stands: bool) -> None:
    house = asked()
    if stands:
        at_question(house)
    else:
        house.run(4.0)
        assert questions(house), "it sounds"
    response, _about = house.server.fresh[-1]
    for number, words in enumerate(("Yes.", "Yes, please.")):
        house.send(e.VoiceText(at=house.now, response=response, item=f"i{number}", text=words))
    house.run(house.now + 0.5)
    assert ran(house) == []
    assert whys(house) == []


def test_several_calls_that_cannot_be_asked_are_told_once() -> None:
    house = asked(shop("a", "["), shop("b", "{")).run(9.0)
    assert whys(house) == ["unspeakable"] * 2
    assert house.sentences() == ["cannot_ask"]
    assert len(house.speaker.played) == 1, "and what the model makes of it"


@pytest.mark.parametrize("arguments", ["[", MILK])
def test_a_long_answer_is_heard_whole_after_a_question_that_was_none(
    monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    """The model has said something before it, too: the talk was speaking when it was refused."""
    house = asked()
    house.server.plans = [
        Plan(items_ms=(1000.0,), calls=(shop(arguments=arguments),)),
        Plan(items_ms=(25_000.0,)),
    ]

    def fails(text: str) -> None:
        failed = e.TextFailed(at=house.now, name=text, code="text.no_voice")
        house.at(0.0, lambda: house.send(failed))

    monkeypatch.setattr(house.speaker, "text", fails)
    house.run(40.0)
    assert house.sentences() == ["cannot_ask"]
    assert house.did(c.ReopenLink) == []
    assert max(house.speaker.played.values()) == 25_000.0
    assert house.server.offences == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"note":"' + "a" * 620 + '","amount":999999}', "too long"),
        ('{"item":"milk","item":"car"}', "unspeakable"),
        ('{"item":"milk \u202e"}', "unspeakable"),
        ('{"item":"🚗"}', "unspeakable"),
        ("[1]", "unspeakable"),
        ("{", "unspeakable"),
    ],
)
def test_what_cannot_be_named_whole_is_refused(arguments: str, why: str) -> None:
    house = asked(shop(arguments=arguments)).run(6.0)
    assert questions(house) == []
    assert ran(house) == []
    assert whys(house) == [why]


def test_without_a_button_what_needs_one_is_refused() -> None:
    house = asked(shop(name="unlock"), has_button=False).run(6.0)
    assert whys(house) == ["no button"]
    assert questions(house) == []
    assert house.sentences() == ["no_button"]


def test_words_that_cannot_be_read_leave_the_button() -> None:
    house = at_question(reply(at_question(asked()), None))
    assert "button" in questions(house)[-1]
    assert house.manager.talk is Talk.CONFIRMING
    assert ran(house) == []
    house.agree()
    assert ran(house) == [("call_1", MILK)]
    assert house.server.offences == []


@pytest.mark.parametrize("transcription", ["off", "builtin", "out_of_band"])
def test_a_server_that_does_not_name_the_answer_leaves_the_button(transcription: str) -> None:
    house = asked(transcription=transcription)
    house.server.announces_commit = False
    reply(at_question(house), "Yes.")
    until(house, Talk.CONFIRMING, within_s=10)
    assert "button" in questions(house)[-1]
    assert ran(house) == []
    house.agree()
    assert ran(house) == [("call_1", MILK)]


def test_a_transcript_out_of_band_is_not_waited_for_for_ever() -> None:
    house = at_question(asked(transcription="out_of_band"))
    house.server.think_s = 15.0
    reply(house, "Yes.").run(house.now + 9)
    assert "button" in questions(house)[-1]
    assert ran(house) == []


def test_the_servers_own_transcript_is_taken_where_it_makes_one() -> None:
    house = at_question(asked(transcription="builtin"))
    start = house.now + 0.5
    house.says(start, start + 0.6)
    house.run(start + 1.5)
    assert house.did(c.AskSideQuestion) == []
    items = [item for item, entry in house.server.items.items() if entry.role == "user"]
    house.send(e.UserTranscript(at=house.now, item=items[-1], text="Sì, grazie."))
    assert ran(house) == [("call_1", MILK)]


def test_a_transcript_of_the_servers_that_does_not_come_is_asked_for() -> None:
    house = at_question(asked(transcription="builtin"))
    reply(house, "Yes.").run(house.now + 5)
    assert len(house.did(c.AskSideQuestion)) == 1
    assert ran(house) == [("call_1", MILK)]


def test_out_of_band_the_turn_is_written_down_once_for_both() -> None:
    house = at_question(asked(transcription="out_of_band"))
    before = len(house.did(c.AskSideQuestion))
    reply(house, "Yes.")
    assert ran(house) == [("call_1", MILK)]
    assert len(house.did(c.AskSideQuestion)) == before + 1


# --- guests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shop", "unlock"])
def test_guests_may_leave_a_message(name: str) -> None:
    house = asked(shop(name=name))
    house.send(e.GuestRequested(at=house.now, on=True))
    assert house.did(c.SaveGuest) == [c.SaveGuest(on=True)]
    house.run(6.0)
    assert ran(house) == []
    assert whys(house) == ["guest"]
    assert "leave_message" in outputs(house)[0]
    assert questions(house) == []


def test_guests_have_what_is_harmless() -> None:
    house = asked(shop(name="clock"))
    house.send(e.GuestRequested(at=house.now, on=True))
    house.run(6.0)
    assert len(ran(house)) == 1


def test_a_guest_at_the_door_withdraws_the_question() -> None:
    house = at_question(asked())
    house.send(e.GuestRequested(at=house.now, on=True))
    house.run(house.now + 4)
    assert whys(house) == ["guest"]
    assert ran(house) == []
    assert house.server.offences == []


def test_a_guest_who_comes_while_the_question_sounds() -> None:
    """It is withdrawn, sounds to its end, and the model tells how it ended: nobody waits on."""
    house = until(asked(), Talk.SPEAKING)
    house.send(e.GuestRequested(at=house.now, on=True))
    house.run(house.now + 8)
    assert whys(house) == ["guest"]
    assert len(house.did(c.RequestResponse)) == 1
    assert house.manager.talk is Talk.LISTENING
    assert house.server.offences == []


@pytest.mark.parametrize("down_s", [0.02, 0.3, 3.0])
@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.0])
def test_a_line_that_is_lost_over_a_withdrawn_question_leaves_nobody_waiting(
    after_s: float, down_s: float
) -> None:
    house = until(asked(), Talk.SPEAKING)
    house.run(house.now + 0.1)
    house.send(e.GuestRequested(at=house.now, on=True))
    house.blip(house.now + after_s, down_s)
    house.run(house.now + 25)
    assert house.talk() is Talk.ASLEEP
    assert len(house.did(c.RequestResponse)) == 1
    assert ran(house) == []
    assert house.server.offences == []


def test_a_guest_who_comes_while_the_answer_is_read() -> None:
    house = at_question(asked())
    house.server.think_s = 1.0
    house.server.aside = lambda _ask: "Yes."
    start = house.now + 0.5
    house.says(start, start + 0.6)
    house.run(start + 1.5)
    assert house.did(c.AskSideQuestion)
    house.send(e.GuestRequested(at=house.now, on=True))
    house.run(house.now + 6)
    assert ran(house) == []
    assert whys(house) == ["guest"]
    assert len(house.speaker.played) == 2, "the question, and that it is not done"
    assert house.server.offences == []


def test_two_presses_out_of_sleep_turn_guest_mode_on_and_off() -> None:
    house = House()
    house.connect()
    house.run(1.0)
    for on in (True, False):
        house.press()
        house.run(house.now + 0.3)
        house.press()
        house.run(house.now + 0.1)
        assert house.manager.guest is on
        assert house.manager.talk is Talk.ASLEEP
        house.run(house.now + 3)
    assert house.sentences() == ["guest_on", "guest_off"]


def test_guests_may_be_kept_from_ending_guest_mode() -> None:
    house = House(guest_end_by_button=False)
    house.connect()
    for _ in range(2):
        house.run(house.now + 3)
        house.press()
        house.run(house.now + 0.3)
        house.press()
    house.run(house.now + 2)
    assert house.did(c.SaveGuest) == [c.SaveGuest(on=True)]
    assert house.sentences() == ["guest_on", "guest_on"], "what holds is told"
    house.send(e.GuestRequested(at=house.now, on=False))
    assert not house.manager.guest


def test_two_slow_presses_are_two_presses() -> None:
    house = House()
    house.connect()
    house.press()
    house.run(0.8)
    house.press()
    house.run(2.0)
    assert not house.manager.guest
    assert house.did(c.SaveGuest) == []


def test_a_third_press_is_no_gesture() -> None:
    house = House()
    house.connect()
    for _ in range(3):
        house.press()
        house.run(house.now + 0.2)
    assert house.did(c.SaveGuest) == [c.SaveGuest(on=True)]


@pytest.mark.parametrize(
    ("name", "guest", "by", "fields"),
    [
        ("clock", False, "", ("low", "household", "none needed")),
        ("clock", True, "", ("low", "guest", "none needed")),
        ("shop", False, "voice", ("medium", "household", "voice")),
        ("shop", False, "button", ("medium", "household", "button")),
        ("unlock", False, "button", ("high", "household", "button")),
    ],
)
def test_the_journal_tells_by_whom_and_how_it_was_agreed(
    name: str, guest: bool, by: str, fields: tuple[str, ...]
) -> None:
    terms = {name: e.ToolTerms(risk_because="not named in the settings")}
    house = asked(shop(name=name), tool_terms=terms)
    house.send(e.GuestRequested(at=0.0, on=guest))
    if by == "voice":
        reply(at_question(house), "Yes.")
    elif by == "button":
        at_question(house).agree()
    house.run(12.0)
    for code in ("tool.started", "tool.finished"):
        [note] = [do.fields for do in house.did(c.Note) if do.code == code]
        assert (note["risk"], note["who"], note["agreed"]) == fields
        assert note["because"] == "not named in the settings"


@pytest.mark.parametrize(("guest", "who"), [(True, "guest"), (False, "household")])
def test_the_journal_tells_who_was_refused(guest: bool, who: str) -> None:
    house = asked(shop(name="unlock"), has_button=False)
    house.send(e.GuestRequested(at=0.0, on=guest))
    house.run(6.0)
    [note] = [do.fields for do in house.did(c.Note) if do.code == "tool.refused"]
    assert note["who"] == who


def test_the_journal_knows_who_decided_and_nothing_of_what() -> None:
    house = reply(at_question(asked()), "Yes.").run(12.0)
    notes = {do.code: do.fields for do in house.did(c.Note) if do.code[:4] in ("cons", "tool")}
    assert list(notes) == ["consent.asked", "consent.given", "tool.started", "tool.finished"]
    assert (
        notes["consent.given"].items() >= {"name": "shop", "risk": "medium", "by": "voice"}.items()
    )
    assert notes["tool.finished"].items() >= {"name": "shop", "ok": True}.items()
    assert "milk" not in str(house.did(c.Note))
    assert "Yes" not in str(house.did(c.Note))
