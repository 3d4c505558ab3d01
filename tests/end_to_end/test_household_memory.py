"""A talk of hundreds of turns: what was said early is still known, and both sides agree on it.

Nothing here asks the daemon what it remembers: the model answers from the items that the server
holds (`NoteTaker`), and those are counted on the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from house_config import household_session, household_summaries
from hypothesis import given, settings
from hypothesis import strategies as st
from lab.long_talk import LongTalk
from lab.note_taker import NoteTaker
from whole_house import PATIENCE_S, Answers, faults, still_works

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.risk import Risk
from edge_agent.demo.stage import Stage
from edge_agent.dialogue.recall.summaries import HEADING, SummaryTerms, wish_for
from edge_agent.dialogue.state import Talk
from edge_agent.simulation import clock

LIMIT_S = 500_000.0
SISTER, ASKED, KNOWN, UNKNOWN = (
    "My sister is Odile Maret.",
    "What is my sister?",
    "It is Odile Maret.",
    "I do not know.",
)


def play(talk: Coroutine[Any, Any, None]) -> None:
    clock.run(talk, limit_s=LIMIT_S)


def household(
    terms: SummaryTerms | None = None, *, takes_notes: bool = True, **options: Any
) -> LongTalk:
    terms = terms or household_summaries("session", after_turns=8, keep_turns=3)
    dialogue = {
        "summaries": terms,
        "memory_turns": 2 * terms.after_turns,
        "tool_risks": {"look_up": Risk.LOW},
        **options.pop("dialogue", {}),
    }

    def brain(words: Callable[[bytes], str]) -> NoteTaker:
        return NoteTaker(words, answer_ms=1500, takes_notes=takes_notes)

    talk = LongTalk(brain, dialogue, **options)
    talk.agent.observers.append(LastTurns(talk, terms.keep_turns))
    return talk


class LastTurns:
    """Whenever notes take the place of turns: the last ones and the notes must be left."""

    def __init__(self, talk: LongTalk, keep: int) -> None:
        self._talk, self._keep = talk, keep

    def __call__(self, event: e.Event, commands: list[c.Command], _at: float) -> None:
        codes = [command.code for command in commands if isinstance(command, c.Note)]
        if "memory.summarised" not in codes:
            return
        assert self._talk.dialogue.talk in (Talk.ASLEEP, Talk.LISTENING)
        items = self._talk.items
        last = [item.id for item in items if item.role == "user"][-self._keep :]
        gone = [command.item for command in commands if isinstance(command, c.DeleteItem)]
        assert len(last) == self._keep
        assert not set(last) & set(gone)
        assert items[0].text.startswith(HEADING), "the notes are there before anything goes"
        assert items[0].id not in gone


def brain_of(talk: LongTalk) -> NoteTaker:
    assert isinstance(talk.brain, NoteTaker)
    return talk.brain


def agree(talk: LongTalk) -> None:
    """Both sides know the same items in the same order, and no call lacks its output."""
    items = talk.items
    assert [item.id for item in items] == talk.dialogue.parts.notes.items.ids()
    calls = [item.body["call_id"] for item in items if item.kind == "function_call"]
    outputs = [item.body["call_id"] for item in items if item.kind == "function_call_output"]
    assert calls == outputs
    assert sum(item.text.startswith(HEADING) for item in items) <= 1, "one set of notes"
    errors = {str(error["code"]) for session in talk.server.sessions for error in session.errors}
    assert errors <= {"response_cancel_not_active"}
    assert talk.faults == []


async def chat(talk: LongTalk, first: int, last: int) -> None:
    for number in range(first, last + 1):
        await talk.say(f"Tell me something about number {number}.", speech_ms=400)


# --- 200 turns ----------------------------------------------------------------------------------


def test_two_hundred_turns_with_five_summaries() -> None:
    async def live() -> None:
        async with household(household_summaries("session", after_turns=40, keep_turns=4)) as talk:
            await chat(talk, 1, 2)
            await talk.say(SISTER)
            await chat(talk, 4, 60)
            await talk.say("My number is 4711.")
            await chat(talk, 62, 189)
            words = " ".join(item.text for item in talk.items if item.role == "user")
            assert "Odile" not in words, "the turn itself is long gone"
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == KNOWN
            await talk.say("What is my number?")
            assert brain_of(talk).answers[-1] == "It is 4711."
            await chat(talk, 192, 200)
            assert len(talk.told("memory.summarised")) == 5
            assert len(talk.items) <= 1 + 2 * 40
            assert talk.told("memory.no_summary") == []
            agree(talk)

    play(live())


def test_without_notes_what_was_deleted_is_not_known() -> None:
    """The play above can fail: the same deletions with empty notes lose the sister."""

    class Forgetful(NoteTaker):
        def _condensed(self, talk: list[tuple[str, str]]) -> str:
            return "Talked about this and that."

    async def live() -> None:
        talk = household(household_summaries("session", after_turns=8, keep_turns=3))
        talk.brain = talk.server.brain = Forgetful(talk._words_of, answer_ms=1500)
        async with talk:
            await talk.say(SISTER)
            await chat(talk, 2, 5)
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == KNOWN
            await chat(talk, 7, 20)
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == UNKNOWN
            agree(talk)

    play(live())


def test_notes_are_made_of_what_they_replace_and_of_the_older_notes() -> None:
    async def live() -> None:
        async with household() as talk:
            await talk.say(SISTER)
            await chat(talk, 2, 20)
            first, second, *_ = brain_of(talk).told
            assert ("user", SISTER) in first
            assert second[0][0] == "system"
            assert "Odile Maret" in second[0][1]
            assert ("user", SISTER) not in second
            asked = [
                response.turn.request
                for response in talk.server.sessions[0].responses
                if response.out_of_band
            ]
            assert all("instructions" not in request for request in asked)
            assert all(request["tool_choice"] == "none" for request in asked)
            assert asked[0]["input"][-1]["content"][0]["text"] == wish_for()
            # The question is served by the cache: all of the sound has been read before.
            for used in talk.asides_used:
                assert used.cached_audio_in == used.audio_in > 0

    play(live())


def test_a_house_that_settled_has_its_notes_made_earlier() -> None:
    async def live() -> None:
        async with household(household_summaries("session", after_turns=30, keep_turns=3)) as talk:
            await chat(talk, 1, 9)
            await talk.asleep()
            await talk.pause(200)
            assert talk.told("memory.summarised") == []
            await talk.pause(60)
            assert len(talk.told("memory.summarised")) == 1
            agree(talk)
            await talk.pause(3000)
            assert len(talk.told("memory.summarised")) == 1, "once, not again and again"

    play(live())


# --- language, cuts, tools ----------------------------------------------------------------------


def test_the_notes_are_in_the_language_that_was_spoken() -> None:
    async def live() -> None:
        async with household() as talk:
            await talk.say(SISTER)
            await chat(talk, 2, 9)
            assert brain_of(talk).notes[-1].startswith("Talked about")
            await talk.say("Mein Hund ist Waldi.")
            for number in range(11, 20):
                await talk.say(f"Und was ist mit der Nummer {number}, erzähl.", speech_ms=400)
            notes = brain_of(talk).notes[-1]
            assert notes.startswith("Gesprochen wurde")
            assert "Mein Hund ist Waldi." in notes
            assert "My Sister is Odile Maret." in notes, "as it was said"
            await talk.say("Was ist mein Hund?")
            assert brain_of(talk).answers[-1] == "Das ist Waldi."

    play(live())


def test_what_was_cut_is_cut_in_what_the_notes_are_made_of() -> None:
    async def live() -> None:
        async with household() as talk:
            brain_of(talk).answer_ms = 8000
            await talk.say("Tell me all about the tide.", interrupt_s=2.0)
            await talk.until(lambda: talk.dialogue.talk is Talk.LISTENING)
            brain_of(talk).answer_ms = 1500
            [cut] = [item for item in talk.items if item.role == "assistant"]
            heard_ms = cut.audio_ms()
            assert 1500 < heard_ms < 2500
            await chat(talk, 2, 12)
            entry = ("assistant", "All right, and so it goes on with one thing and another.")
            first = brain_of(talk).told[0]
            assert first[1] != entry, "the server has no words for what nobody heard"
            assert entry in first, "but for those that were heard to the end"
            agree(talk)

    play(live())


def test_a_call_and_its_output_go_together() -> None:
    async def live() -> None:
        async with household() as talk:
            for number in range(1, 30):
                if number % 3:
                    await chat(talk, number, number)
                else:
                    await talk.say(f"Look up the tide of day {number}.")
                agree(talk)
            assert len(talk.told("memory.summarised")) >= 3

    play(live())


# --- lost sessions ------------------------------------------------------------------------------


def cut_when(talk: LongTalk, when: Callable[[c.Command], bool], in_s: float) -> None:
    """The line is reset once, so long after such a command."""
    done: list[bool] = []

    def see(_event: e.Event, commands: list[c.Command], _at: float) -> None:
        if not done and any(when(command) for command in commands):
            done.append(True)
            asyncio.get_running_loop().call_later(in_s, talk.network.cut)

    talk.agent.observers.append(see)


def is_wish(command: c.Command) -> bool:
    return isinstance(command, c.AskSideQuestion) and command.question == wish_for()


def is_notes(command: c.Command) -> bool:
    return isinstance(command, c.AddMessage) and command.after == "root"


def is_taken(command: c.Command) -> bool:
    return isinstance(command, c.Note) and command.code == "memory.summarised"


@pytest.mark.parametrize("in_s", [0.0, 0.005, 0.015, 0.1])
@pytest.mark.parametrize("when", [is_wish, is_notes, is_taken])
def test_a_session_lost_at_any_step_loses_and_doubles_nothing(
    when: Callable[[c.Command], bool], in_s: float
) -> None:
    async def live() -> None:
        async with household() as talk:
            cut_when(talk, when, in_s)
            await talk.say(SISTER)
            await chat(talk, 2, 8)
            await talk.pause(3)
            await talk.ready()
            assert talk.server.sessions_begun == 2
            await talk.pause(1)
            everything = [item.text for item in talk.items]
            for number in range(2, 9):
                words = f"about number {number}."
                kept = sum(words in text for text in everything)
                assert kept <= 1, "not doubled"
                assert kept == 1 or everything[0].startswith(HEADING), "not lost"
            if not everything[0].startswith(HEADING):
                assert sum(SISTER in text for text in everything) == 1
            await chat(talk, 9, 30)
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == KNOWN
            assert talk.told("memory.no_summary") == [], "a lost line is nobody's refusal"
            agree(talk)

    play(live())


def test_a_roll_over_right_after_notes_tells_the_fresh_session_of_them() -> None:
    async def live() -> None:
        async with household(server={"session_max_s": 3600}) as talk:
            await talk.say(SISTER)
            await chat(talk, 2, 9)
            await talk.say("Look up the tide of today.")
            await talk.asleep()
            await talk.pause(3000)
            await talk.until(lambda: talk.server.sessions_begun == 2, within_s=700)
            await talk.pause(30)
            assert len(talk.server.open_sessions) == 1
            notes, *turns = talk.items
            assert notes.text.startswith(HEADING)
            assert "Odile Maret" in notes.text
            assert all(not any(item.audio.values()) for item in turns), "text only"
            tools = [item.kind for item in turns if not item.role]
            assert tools == ["function_call", "function_call_output"]
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == KNOWN
            agree(talk)

    play(live())


# --- servers without notes ----------------------------------------------------------------------


def test_a_server_that_answers_no_side_question_is_asked_less_and_less() -> None:
    async def live() -> None:
        async with household(takes_notes=False) as talk:
            await talk.say(SISTER)
            await chat(talk, 2, 60)
            failures = [line["failures"] for line in talk.told("memory.no_summary")]
            assert failures == [1, 2, 3, 4], "at turn 8, 9, 17 and 33"
            assert talk.told("memory.summarised") == []
            assert len(talk.items) == 120, "nothing is removed without notes"
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == KNOWN
            agree(talk)

    play(live())


def test_an_insertion_that_is_never_acknowledged_removes_nothing() -> None:
    async def live() -> None:
        talk = household()
        take = talk.server.sessions
        async with talk:
            session = take[0]
            insert = session._handlers["conversation.item.create"]
            session._handlers["conversation.item.create"] = lambda _event: None
            await talk.say(SISTER)
            await chat(talk, 2, 8)
            await talk.asleep()
            await talk.pause(20)
            assert [line["why"] for line in talk.told("memory.no_summary")] == ["not taken"]
            assert sum(item.role == "user" for item in talk.items) == 8
            session._handlers["conversation.item.create"] = insert
            await chat(talk, 9, 10)
            assert len(talk.told("memory.summarised")) == 1
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == KNOWN

    play(live())


def test_a_refused_insertion_is_noticed_at_once() -> None:
    async def live() -> None:
        async with household() as talk:
            session = talk.server.sessions[0]
            insert = session._handlers["conversation.item.create"]

            def refuse(event: dict[str, Any]) -> None:
                insert({**event, "previous_item_id": "item_unheard_of"})

            session._handlers["conversation.item.create"] = refuse
            await chat(talk, 1, 8)
            assert [line["why"] for line in talk.told("memory.no_summary")] == ["not taken"]
            assert len(talk.items) == 16
            session._handlers["conversation.item.create"] = insert

    play(live())


# --- a text model -------------------------------------------------------------------------------


def test_a_text_model_takes_the_notes_from_words_alone() -> None:
    wishes: list[c.Summarise] = []

    async def live() -> None:
        def summarise(wish: c.Summarise) -> bool:
            wishes.append(wish)
            loop = asyncio.get_running_loop()
            text = "- My sister is Odile Maret."
            made = e.SummaryMade(at=loop.time() + 2.0, tag=wish.tag, text=text)
            loop.call_later(2.0, lambda: talk.post(made))
            return True

        wish = wish_for("de", "The tides.")
        terms = household_summaries("text", after_turns=8, keep_turns=3, wish=wish)
        async with household(terms, summarise=summarise) as talk:
            brain_of(talk).answer_ms = 8000
            await talk.say(SISTER, interrupt_s=2.0)
            await talk.until(lambda: talk.dialogue.talk is Talk.LISTENING)
            brain_of(talk).answer_ms = 1500
            await talk.say("Look up the tide.")
            await chat(talk, 3, 10)
            await talk.asleep()
            assert len(talk.told("memory.summarised")) == 1
            lines = wishes[0].text.splitlines()
            assert lines[0] == f"Household: {SISTER}"
            assert lines[1].startswith("Assistant (broken off): All right")
            assert "another" not in lines[1]
            assert lines[3].startswith('Tool look_up {"about": "the tide"}: look_up did')
            assert wishes[0].instructions == wish
            assert talk.asides_used == []
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == KNOWN
            agree(talk)

    play(live())


def test_a_text_model_is_not_asked_about_sound_that_nobody_wrote_down() -> None:
    async def live() -> None:
        terms = household_summaries("text", after_turns=8, keep_turns=3)
        session = household_session(turn_detection=None)
        async with household(terms, session=session) as talk:
            await chat(talk, 1, 12)
            assert talk.told("memory.no_summary") == []
            assert len(talk.items) == 24

    play(live())


def test_without_anybody_to_ask_nothing_changes() -> None:
    async def live() -> None:
        async with household(household_summaries("text", after_turns=8, keep_turns=3)) as talk:
            await chat(talk, 1, 12)
            assert [line["why"] for line in talk.told("memory.no_summary")] == ["no answer"] * 2
            assert len(talk.items) == 24

    play(live())


# --- the whole daemon --------------------------------------------------------------------------


def test_the_whole_daemon_takes_notes_as_its_settings_say() -> None:
    async def live() -> None:
        wish = {"summarise_after_turns": 2, "keep_turns": 1}
        async with Stage(brain=Answers("answer_bye"), settings={"conversation": wish}) as stage:
            for _ in range(3):
                await still_works(stage)
                await stage.until_talk("asleep", PATIENCE_S)
            taken = "the notes are taken"
            await stage.until(lambda: stage.score.codes("memory.summarised"), PATIENCE_S, taken)
            await asyncio.sleep(1.0)
            [session] = stage.server.open_sessions
            items = list(session.conversation)
            assert [item.role for item in items] == ["system", "user", "assistant"]
            assert items[0].text.startswith(HEADING)
            assert [item.id for item in items] == stage.daemon.dialogue.parts.notes.items.ids()
            await still_works(stage)
            assert not faults(stage)

    play(live())


# --- the next day -------------------------------------------------------------------------------


def test_a_talk_goes_on_after_a_sleep_and_is_closed_after_a_night() -> None:
    async def live() -> None:
        async with household(dialogue={"forget_after_h": 2.0}) as talk:
            await talk.say(SISTER)
            await talk.asleep()
            await talk.pause(1.9 * 3600)
            await talk.ready()
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == KNOWN
            await talk.asleep()
            await talk.pause(2 * 4000)
            await talk.ready()
            assert [line["turns"] for line in talk.told("memory.closed")] == [2]
            assert talk.items == []
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == UNKNOWN
            agree(talk)

    play(live())


# --- whatever happens ---------------------------------------------------------------------------


STEPS = st.one_of(
    st.sampled_from(["say", "say", "say", "look up", "interrupt", "sleep", "cut", "down", "press"]),
    st.tuples(st.just("cut in"), st.floats(0.0, 3.0)),
)


@settings(max_examples=12, derandomize=True)
@given(st.lists(STEPS, max_size=12), st.integers(2, 5), st.integers(1, 3))
def test_both_sides_agree_whatever_happens(steps: list[Any], more: int, keep: int) -> None:
    async def live() -> None:
        terms = household_summaries("session", after_turns=keep + more, keep_turns=keep)
        async with household(terms) as talk:
            await talk.say(SISTER)
            for number, step in enumerate(steps):
                await take(talk, step, number)
            await talk.ready()
            await talk.asleep()
            await talk.pause(3.0)
            await talk.ready()
            await talk.say(ASKED)
            assert brain_of(talk).answers[-1] == KNOWN
            await talk.asleep()
            agree(talk)

    play(live())


async def take(talk: LongTalk, step: Any, number: int) -> None:
    """One thing that happens."""
    if step == "say":
        await chat(talk, number, number)
    elif step == "look up":
        await talk.say(f"Look up the tide of day {number}.", speech_ms=400)
    elif step == "interrupt":
        await talk.say("Go on for a while.", speech_ms=400, interrupt_s=0.6)
        await talk.asleep()
    elif step == "sleep":
        await talk.asleep()
    elif step == "press":
        await talk.asleep()
        await talk.press()
        await talk.asleep()
    elif step == "cut":
        talk.network.cut()
    elif step == "down":
        talk.network.down()
        await talk.pause(5)
        talk.network.up()
        await talk.ready()
    else:
        asyncio.get_running_loop().call_later(step[1], talk.network.cut)
