"""The model says nothing: an answer without a word is no fault, and silence can be chosen."""

from __future__ import annotations

from typing import Any

import pytest
from house_config import RISKS, household_config
from playbook import ANY, Given, Playbook, frames, on, playbook, wake

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.persona import SILENCE_TOOL
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.state import Talk

IGNORED = (c.RecordUsage, c.SetStatus, c.SendAudio, c.ClearAudio, c.EndVoice)
TOOLS = {**RISKS, SILENCE_TOOL: Risk.LOW}
WORDS: list[Given] = [
    frames(1.0, speech=True),
    on(e.UserSpeechStarted, item="u"),
    on(e.UserTurnCommitted, item="u"),
]
CALLED: list[Given] = [wake(), WORDS]
WINDOW = [c.Note("talk.silent", {"how": "empty"}), c.ShowLight("listening")]
"""What follows from silence to somebody who called: the light, and one line."""
SLEEPS = [
    c.Note("talk.silent", ANY),
    c.Note("talk.asleep", {"why": "nothing to say"}),
    c.ShowLight("asleep"),
]
LATER_S = 8.0
"""No window is open any more."""


def talk(risks: dict[str, Risk] = TOOLS, **config: Any) -> Playbook:
    """A table in which everything stands ready and sleeps."""
    table = playbook(household_config(risks, **config), ignoring=IGNORED)
    nothing = on(e.SideAnswer, tag="t", text="", ok=False)  # has it noted that prices are missing
    return table << [on(e.DeviceReady), on(e.LinkReady, model="m"), nothing] >> [...]


def ended(*calls: str, **fields: Any) -> list[Given]:
    """A response that says nothing; it may want something done."""
    wanted = tuple(e.ToolCall(call_id=f"c_{name}", name=name, arguments="{}") for name in calls)
    fields = {"status": "completed", "calls": wanted, **fields}
    return [on(e.ResponseStarted, response="r"), on(e.ResponseEnded, response="r", **fields)]


def spoken(response: str = "s") -> list[Given]:
    """An answer that is heard to its end."""
    item = f"i_{response}"
    return [
        on(e.ResponseStarted, response=response),
        on(e.VoiceChunk, response=response, item=item, pcm24k=bytes(480)),
        on(e.PlaybackStarted, item=item),
        on(e.ResponseEnded, response=response, status="completed", items=(item,)),
        on(e.PlaybackDrained, item=item, played_ms=10),
    ]


BLANK = on(e.VoiceText, response="r", item="i", text=" \n")


@pytest.mark.parametrize(
    "answer",
    [ended(), ended(items=("i",)), [ended()[0], BLANK, ended(items=("i",))[1]]],
    ids=["nothing", "an item", "blanks"],
)
def test_an_answer_without_a_word_is_silence(answer: Given) -> None:
    assert (
        talk()
        << CALLED
        >> [...]
        >> Talk.THINKING
        << answer
        >> WINDOW
        >> Talk.LISTENING
        << LATER_S
        >> [c.Note("talk.asleep", ANY), c.ShowLight("asleep")]
        << 60.0
        >> []
    )


def test_an_answer_in_writing_alone_is_a_fault() -> None:
    written = on(e.VoiceText, response="r", item="i", text="It is nine.")
    assert (
        talk()
        << CALLED
        >> [...]
        << [ended()[0], written, ended(items=("i",))[1]]
        >> [c.PlaySentence("response.empty"), c.Note("talk.asleep", ANY), c.ShowLight("asleep")]
    )


def test_the_tool_is_answered_and_nothing_follows() -> None:
    assert (
        talk()
        << CALLED
        >> [...]
        << ended(SILENCE_TOOL)
        >> [
            c.AddToolOutput(f"c_{SILENCE_TOOL}", ANY),
            c.Note("talk.silent", {"how": "tool"}),
            c.ShowLight("listening"),
        ]
        << LATER_S
        >> [c.Note("talk.asleep", ANY), c.ShowLight("asleep")]
        << 60.0
        >> []
    )


def test_a_guest_is_met_with_silence_too() -> None:
    guest = [on(e.GuestRequested, on=True), on(e.SentenceDrained, name="guest_on")]
    silent = [c.AddToolOutput(ANY, ANY), c.Note("talk.silent", ANY), c.ShowLight("listening")]
    assert talk() << [guest, CALLED] >> [...] << ended(SILENCE_TOOL) >> silent


def test_where_the_tool_is_switched_off_its_call_is_refused_like_any_other() -> None:
    assert (
        talk(RISKS)
        << CALLED
        >> [...]
        << ended(SILENCE_TOOL)
        >> [c.Note("tool.refused", ANY), c.AddToolOutput(ANY, ANY), c.RequestResponse()]
        >> Talk.THINKING
        << spoken()
        >> [...]
    )


def test_what_is_done_beside_it_is_told() -> None:
    done = on(e.ToolFinished, call_id="c_clock", output="done")
    assert (
        talk()
        << CALLED
        >> [...]
        << ended(SILENCE_TOOL, "clock")
        >> [
            c.AddToolOutput(f"c_{SILENCE_TOOL}", ANY),
            c.Note("tool.started", ANY),
            c.RunTool(*[ANY] * 3),
        ]
        << done
        >> [c.Note("tool.finished", ANY), c.AddToolOutput("c_clock", "done"), c.RequestResponse()]
        << spoken()
        >> [...]
    )


# --- again and again ------------------------------------------------------------------------

TELLS = [
    c.Note("talk.silent", ANY),
    c.PlaySentence("not_understood"),
    c.Note("talk.asleep", ANY),
    c.ShowLight("asleep"),
]
SILENT = [c.AddToolOutput(ANY, ANY)]


@pytest.mark.parametrize(
    ("again", "before"), [(ended(), []), (ended(SILENCE_TOOL), SILENT)], ids=["empty", "tool"]
)
def test_who_calls_a_second_time_hears_why_there_is_no_answer(
    again: Given, before: list[c.Command]
) -> None:
    assert (
        talk()
        << [CALLED, ended()]
        >> [..., *WINDOW]
        << [LATER_S, CALLED]
        >> [...]
        << again
        >> [*before, *TELLS]
        << 60.0
        >> []
    )


@pytest.mark.parametrize(
    "between",
    [60.0, [WORDS, spoken(), LATER_S]],
    ids=["a minute", "an answer that was heard"],
)
def test_it_is_the_first_time_again_after(between: Given) -> None:
    first: list[Given] = [CALLED, ended()]
    assert talk() << [first, between, CALLED] >> [...] << ended() >> WINDOW


def test_who_has_not_called_is_not_listened_to_for_ever() -> None:
    """Talk among people in a window, or a television, would keep it open for as long as it lasts:
    every sentence of it would leave the house and cost money."""
    first: list[Given] = [CALLED, spoken()]
    assert talk() << first >> [...] >> Talk.LISTENING << WORDS >> [...] << ended() >> SLEEPS


def test_an_open_microphone_is_never_told_that_it_was_not_understood() -> None:
    table = talk(mode="always")
    for _ in range(4):
        table << WORDS >> [...] << ended() >> SLEEPS << 1.0 >> []
    assert table


def test_silence_after_something_was_done_is_an_answer() -> None:
    """“Stop the alarm”: the model does it and says nothing about it."""
    table = talk()
    done = on(e.ToolFinished, call_id="c_clock", output="done")
    for number in range(3):
        call = [e.ToolCall(call_id="c_clock", name="clock", arguments=f"[{number}]")]
        asked = on(e.ResponseEnded, response=f"a{number}", status="completed", calls=tuple(call))
        table << [CALLED, on(e.ResponseStarted, response=f"a{number}"), asked, done]
        table >> [..., c.RequestResponse()] << ended() >> WINDOW << LATER_S >> [...]
        table << on(e.LinkReady, model="m") >> [...]  # another session may use the same ids
    assert table


# --- what else may come ---------------------------------------------------------------------


def test_the_words_are_settled_and_no_other_session_is_asked() -> None:
    lost = on(e.LinkDown, code="link.lost", message="gone")
    assert (
        talk()
        << [CALLED, ended(), lost, on(e.LinkReady, model="m"), 60.0]
        >> [
            ...,
            c.Note("link.ready", ANY),
            c.AddMessage(*[ANY] * 5),
            c.Note("talk.asleep", ANY),
            ...,
        ]
    )


def test_a_mute_meanwhile_ends_the_talk() -> None:
    muted = [c.SaveMute(True), c.PlayEarcon("muted"), c.Note("mic.muted"), c.ShowLight("muted")]
    assert (
        talk()
        << CALLED
        >> [...]
        << on(e.MuteRequested, muted=True)
        >> muted
        << ended()
        >> [c.Note("talk.silent", ANY), c.Note("talk.asleep", ANY)]
    )


def test_the_rest_of_a_broken_answer_may_be_nothing() -> None:
    half: list[Given] = [
        *spoken()[:3],
        on(e.VoiceText, response="s", item="i_s", text="Well"),
        on(e.LinkDown, code="link.lost", message="gone"),
        on(e.PlaybackDrained, item="i_s", played_ms=10),
        on(e.LinkReady, model="m"),
    ]
    table = talk() << [CALLED, half] >> [..., c.RequestResponse(), ANY]
    assert table << ended() >> WINDOW
