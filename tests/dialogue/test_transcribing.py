"""What the household says, in text: as the owner wants it, whenever it comes, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from driver import House
from server_model import Plan

from edge_agent.contract import commands as c
from edge_agent.contract import error_codes
from edge_agent.contract import events as e
from edge_agent.contract.commands import AskSideQuestion
from edge_agent.contract.risk import Risk
from edge_agent.contract.transcript import Hints
from edge_agent.dialogue.journeys.transcripts import LATE_S, TELL_AGAIN_S
from edge_agent.dialogue.prompting.scribe import CONTEXT, VERBATIM
from edge_agent.dialogue.state import Talk


def one_turn(**config: Any) -> House:
    """The household asks something (until 2.4 s) and is answered."""
    house = House(**config)
    house.connect()
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    return house


def retold(house: House) -> list[tuple[str, bool]]:
    """What a fresh session is told of the household: (text, with sound)."""
    house.drop()
    since = house.now
    house.run(since + 0.2)
    house.connect()
    told = [do for do in house.did(c.AddMessage, since) if do.role == "user"]
    return [(do.text, bool(do.pcm24k)) for do in told]


@pytest.mark.parametrize("transcription", ["off", "builtin"])
def test_the_model_is_not_asked_unless_the_owner_wants_it(transcription: str) -> None:
    house = one_turn(transcription=transcription).run(8.0)
    assert house.did(AskSideQuestion) == []
    assert retold(house) == [("", True)]


def test_each_turn_is_written_down_alone_and_beside_its_answer() -> None:
    house = one_turn(transcription="out_of_band")
    house.server.aside = lambda _ask: "What time is it?"
    house.run(6.0)
    [item] = [item for item, entry in house.server.items.items() if entry.role == "user"]
    assert house.did(AskSideQuestion) == [AskSideQuestion("transcript_1", VERBATIM, (item,))]
    assert len(house.speaker.played) == 1
    assert house.server.offences == []
    assert retold(house) == [("What time is it?", False)]


def test_a_turn_that_cannot_be_written_down_is_remembered_as_sound() -> None:
    house = one_turn(transcription="out_of_band").run(6.0)
    assert "transcript.failed" in house.notes()
    assert len(house.speaker.played) == 1, "and answered all the same"
    assert retold(house) == [("", True)]


def test_a_refused_side_question_makes_nobody_ask_twice() -> None:
    """A server that does one thing at a time refuses it because it is just answering."""
    house = one_turn(transcription="out_of_band", tool_risks={"clock": Risk.LOW})
    call = e.ToolCall(call_id="c1", name="clock", arguments="{}")
    house.server.plans = [Plan(items_ms=(), calls=(call,))]
    while house.manager.talk is not Talk.SPEAKING:
        house.run(house.now + 0.01)
    code = "conversation_already_has_active_response"
    house.send(
        e.ServerComplained(
            at=house.now, code=code, message="", about=error_codes.ABOUT_SIDE_QUESTION
        )
    )
    house.run(12.0)
    assert len(house.did(c.RequestResponse)) == 1
    assert len(house.speaker.played) == 1


@pytest.mark.parametrize("nothing", ["[unclear]", "", " ", "(coughs) [unclear]."])
def test_words_that_nobody_could_make_out_are_no_words(nothing: str) -> None:
    house = one_turn(transcription="out_of_band")
    house.server.aside = lambda _ask: nothing
    house.run(6.0)
    assert "transcript.failed" not in house.notes()
    assert retold(house) == [("", True)]


@pytest.mark.parametrize("nothing", ["[unclear]", "", "[BLANK_AUDIO]"])
def test_nor_are_they_where_the_server_writes(nothing: str) -> None:
    house = one_turn(transcription="builtin").run(6.0)
    [item] = users(house)
    house.send(e.UserTranscript(at=house.now, item=item, text=nothing))
    assert retold(house) == [("", True)]


def test_the_model_is_told_what_the_owner_knows() -> None:
    hints = Hints("Numbers in words.", ("Käthe", "Wattwurm"), ("de", "en"))
    house = one_turn(transcription="out_of_band", transcription_hints=hints).run(6.0)
    [ask] = house.did(AskSideQuestion)
    rules, _, rest = ask.instructions.partition(VERBATIM)
    assert rules == ""
    assert rest.split("\n") == [
        "",
        "What is spoken is, by its ISO code: de or en.",
        "Spell these so, where they are really said, and only there: Käthe, Wattwurm.",
        "These wishes go before the rules above: Numbers in words.",
    ]


def two_turns(**config: Any) -> House:
    house = one_turn(transcription="out_of_band", **config)
    house.server.aside = lambda _ask: "What time is it?"
    house.run(6.0)
    announce(house)
    house.says(house.now + 0.1, house.now + 1.5)
    return house.run(house.now + 6.0)


def announce(house: House) -> None:
    """The server names all its items."""
    for item, entry in house.server.items.items():
        added = e.ItemAdded(at=house.now, item=item, role=entry.role, kind="message")
        house.send(added)


@pytest.mark.parametrize("context", [0, 1, 2, 4])
def test_earlier_items_go_along_if_the_owner_wants_them(context: int) -> None:
    house = two_turns(transcription_context=context)
    first, second = house.did(AskSideQuestion)
    one, two = users(house)
    answer = next(item for item, entry in house.server.items.items() if entry.role == "assistant")
    assert first.items == (one,)
    assert CONTEXT not in first.instructions
    assert second.items == (*(one, answer)[2 - min(context, 2) :], two)
    assert (CONTEXT in second.instructions) is (context > 0)


def test_what_is_deleted_is_no_context() -> None:
    house = one_turn(transcription="out_of_band", transcription_context=4).run(6.0)
    announce(house)
    for item in list(house.server.items):
        house.send(e.ItemDeleted(at=house.now, item=item))
    house.says(house.now + 0.1, house.now + 1.5)
    house.run(house.now + 6.0)
    [_, second] = house.did(AskSideQuestion)
    assert second.items is not None
    assert len(second.items) == 1


def users(house: House) -> list[str]:
    return [item for item, entry in house.server.items.items() if entry.role == "user"]


def failures(house: House) -> list[dict[str, Any]]:
    return [dict(do.fields) for do in house.did(c.Note) if do.code == "transcript.failing"]


def test_a_model_that_fails_is_told_at_once_and_then_once_an_hour() -> None:
    house = one_turn(transcription="out_of_band").run(6.0)
    assert failures(house) == [{"count": 1}]
    for _ in range(3):
        house.says(house.now + 0.1, house.now + 1.5)
        house.run(house.now + 6.0)
    assert house.notes().count("transcript.failed") == 4
    assert failures(house) == [{"count": 1}]
    late = house.now + TELL_AGAIN_S
    house.send(e.UserTurnCommitted(at=late, item="late"))
    house.send(e.Tick(at=late + LATE_S))
    assert failures(house)[1:] == [{"count": 4}]


def test_turns_that_a_lost_session_left_unwritten_are_not_the_models_fault() -> None:
    house = one_turn(transcription="out_of_band")
    house.server._do = _without_asides(house, [])  # type: ignore[method-assign]
    house.run(6.0)
    house.drop()
    assert "transcript.failed" in house.notes()
    assert failures(house) == []


def test_a_late_transcript_still_takes_the_place_of_the_sound() -> None:
    house = one_turn(transcription="out_of_band")
    asked: list[AskSideQuestion] = []
    house.server._do = _without_asides(house, asked)  # type: ignore[method-assign]
    house.run(9.0)
    [ask] = asked
    house.send(e.SideAnswer(at=house.now, tag=ask.tag, text="What time is it?"))
    assert retold(house) == [("What time is it?", False)]


def test_a_transcript_that_never_comes_is_given_up() -> None:
    house = one_turn(transcription="out_of_band")
    asked: list[AskSideQuestion] = []
    house.server._do = _without_asides(house, asked)  # type: ignore[method-assign]
    house.run(3.5 + LATE_S)
    assert house.manager.talk is Talk.ASLEEP
    assert "transcript.failed" in house.notes()
    house.send(e.SideAnswer(at=house.now, tag=asked[0].tag, text="Too late."))
    assert retold(house) == [("", True)]


def _without_asides(house: House, asked: list[AskSideQuestion]) -> Any:
    do = house.server._do

    def silent(at: float, command: c.WireCommand) -> None:
        if isinstance(command, AskSideQuestion):
            asked.append(command)
        else:
            do(at, command)

    return silent


def test_the_servers_own_transcript_is_taken_whatever_the_setting() -> None:
    house = one_turn().run(6.0)
    [item] = [item for item, entry in house.server.items.items() if entry.role == "user"]
    house.send(e.UserTranscript(at=house.now, item=item, text="What time is it?"))
    assert retold(house) == [("What time is it?", False)]


def no_deployment(item: str) -> e.TranscriptionFailed:
    return e.TranscriptionFailed(at=0.0, item=item, code="DeploymentNotFound")


def test_a_server_that_cannot_transcribe_is_replaced_by_the_model_and_told_once() -> None:
    house = one_turn(transcription="builtin")
    house.server.aside = lambda _ask: "What time is it?"
    house.run(6.0)
    [item] = [item for item, entry in house.server.items.items() if entry.role == "user"]
    for _ in range(3):
        house.send(replace(no_deployment(item), at=house.now))
    house.says(house.now + 0.1, house.now + 1.5)
    house.run(house.now + 6.0)
    items = [item for item, entry in house.server.items.items() if entry.role == "user"]
    assert [ask.items for ask in house.did(AskSideQuestion)] == [(item,) for item in items]
    assert house.notes().count("transcript.replaced") == 1
    assert [text for text, _ in retold(house)] == ["What time is it?"] * 2


def test_a_session_without_transcription_is_known_for_one_from_the_beginning() -> None:
    house = House(transcription="builtin")
    house.connect()
    house.send(e.LinkReady(at=0.1, replaces=True, transcribes=False))
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    house.run(6.0)
    assert len(house.did(AskSideQuestion)) == 1
    assert house.notes().count("transcript.replaced") == 1
    house.send(e.LinkReady(at=house.now, replaces=True))
    house.says(house.now + 0.1, house.now + 1.5)
    house.run(house.now + 6.0)
    assert len(house.did(AskSideQuestion)) == 1, "the next session may have it again"


@pytest.mark.parametrize("transcription", ["off", "out_of_band"])
def test_a_failure_of_what_nobody_asked_for_changes_nothing(transcription: str) -> None:
    house = one_turn(transcription=transcription).run(6.0)
    asked = len(house.did(AskSideQuestion))
    house.send(replace(no_deployment("item"), at=house.now))
    assert len(house.did(AskSideQuestion)) == asked
    assert "transcript.replaced" not in house.notes()
