"""Talks: a household, a loudspeaker and a server play whole conversations in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from driver import House
from playbook import ANY, QUIET, Given, Playbook, frames, on, playbook, wake
from server_model import ModelServer, Plan

from edge_agent.contract import commands as c
from edge_agent.contract import error_codes
from edge_agent.contract import events as e
from edge_agent.dialogue.state import Deadline, Link, Microphone, Talk


def awake_house(**config: Any) -> House:
    house = House(**config)
    house.connect()
    return house


def awake(ignoring: tuple[type[c.Command], ...] = QUIET) -> Playbook:
    """A table that begins where everything stands ready and sleeps."""
    return playbook(ignoring=ignoring) << [on(e.DeviceReady), on(e.LinkReady)] >> [...]


def question(house: House) -> House:
    """One breath: wake word 0.5-1.0 s (detected at 1.1), question until 2.4 s."""
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    return house


def test_nothing_leaves_before_the_wake_word() -> None:
    assert (
        awake() << [frames(0.5, speech=False), frames(3.5, speech=True), 1.0] >> [] >> Talk.ASLEEP
    )


@pytest.mark.parametrize("lag_s", [1.0, 3.0, 4.0, 5.0])
@pytest.mark.parametrize("again_s", [0.0, 1.5])
def test_a_server_that_is_seconds_behind_answers_once(lag_s: float, again_s: float) -> None:
    """Its detector and ours both end the turn; whoever speaks on is answered too."""
    house = House(ModelServer(lag_s=lag_s))
    house.server.plans = [Plan(items_ms=(8000.0,))]
    house.connect()
    question(house)
    if again_s:
        house.says(2.4 + again_s, 3.4 + again_s)
    house.run(60.0)
    heard = list(dict.fromkeys(house.server.item_response[item] for item in house.speaker.played))
    told = [house.server.about[response] for response in heard]
    assert house.talk() is Talk.ASLEEP
    assert all(told), "an answer to nothing new"
    assert house.spoken_frames(0.5, 2.4) <= set().union(*told)


@pytest.mark.parametrize("gap_s", [1.3, 5.0, 600.0])
def test_what_was_said_before_a_device_was_away_is_no_pre_roll(gap_s: float) -> None:
    house = awake_house()
    house.says(0.5, 1.0)
    house.run(1.0)
    house.now += gap_s  # no frame comes
    house.steps += round(gap_s * 100)
    back = house.now
    house.says(back + 0.2, back + 1.5)
    house.wake_word(back + 0.3)
    house.run(back + 1.0)
    sent = house.sent_frames()
    assert house.spoken_frames(back + 0.2, back + 0.9) <= set(sent)
    assert not house.spoken_frames(0.0, 1.0) & set(sent)


def test_one_breath_arrives_whole_with_its_pre_roll_and_without_chime() -> None:
    house = question(awake_house()).run(2.3)
    sent = house.sent_frames()
    assert house.spoken_frames(0.5, 2.3) <= set(sent)
    assert sent == sorted(set(sent)), "in order, nothing twice"
    assert 110 - sent[0] >= 60, "600 ms of pre-roll before the detection"
    assert house.did(c.PlayEarcon) == []
    house.run(8.0)
    assert len(house.server.fresh) == 1
    assert house.server.fresh[0][1] == house.spoken_frames(0.5, 2.4)
    assert house.server.offences == []


def test_wake_pause_chime_question() -> None:
    house = awake_house()
    house.says(0.5, 1.0)
    house.wake_word(1.1)
    house.says(2.5, 3.6)
    house.run(2.4)
    assert [cmd.name for cmd in house.did(c.PlayEarcon)] == ["woken"]
    assert house.did(c.SendAudio) == [], "neither the wake word nor the chime is streamed"
    house.run(9.0)
    sent = set(house.sent_frames())
    assert house.spoken_frames(2.5, 3.6) <= sent
    assert min(sent) > 110
    assert house.server.fresh[0][1] == house.spoken_frames(2.5, 3.6)


@pytest.mark.parametrize("server_turns", [True, False])
@pytest.mark.parametrize("taken_for_speech", [False, True])
def test_a_soft_chime_into_the_words_takes_none_of_them(
    taken_for_speech: bool, server_turns: bool
) -> None:
    """Where no detector can tell the words from it: the canceller has not learnt the room yet."""
    server = ModelServer(vad=server_turns)
    house = House(server, chime="always", server_turns=server_turns)
    house.connect()
    house.chime_taken_for = taken_for_speech
    question(house).run(9.0)
    assert [cmd.name for cmd in house.did(c.PlayEarcon)] == ["woken_soft"]
    sent = house.sent_frames(0.0)
    assert house.spoken_frames(0.5, 2.4) <= set(sent)
    assert sent == sorted(set(sent)), "in order, nothing twice, nothing silenced"
    assert [about for _, about in house.server.fresh] == [house.spoken_frames(0.5, 2.4)]
    assert house.did(c.CutPlayback) == []
    assert house.server.offences == []


@pytest.mark.parametrize("taken_for_speech", [False, True])
def test_two_words_under_the_soft_chime_are_a_turn_and_end_as_soon(taken_for_speech: bool) -> None:
    plain, chimed = (
        House(ModelServer(vad=False), chime=way, server_turns=False) for way in ("never", "always")
    )
    chimed.chime_taken_for = taken_for_speech
    for house in (plain, chimed):
        house.connect()
        house.says(0.5, 1.55)
        house.wake_word(1.1)
        house.run(6.0)
    [plain_end], [chimed_end] = (
        [at for at, cmd in house.log if isinstance(cmd, c.Note) and cmd.code == "talk.turn_sent"]
        for house in (plain, chimed)
    )
    assert 0.0 <= chimed_end - plain_end <= 0.1
    assert chimed.sent_frames(0.0)[:150] == plain.sent_frames(0.0)[:150]


def test_a_chime_that_is_heard_is_no_word() -> None:
    """Who calls and says nothing is asked to nothing, whatever the detector makes of the chime."""
    house = awake_house(chime="always")
    house.chime_taken_for = True
    house.says(0.5, 1.35)  # a breath that just looks like going on
    house.wake_word(1.1)
    house.run(1.4)
    turn = house.manager.state.turn
    assert turn is not None
    before = turn.speech_frames
    house.run(1.7)
    assert turn.speech_frames - before <= 1


@pytest.mark.parametrize(
    ("way", "on_pause", "over_an_answer"),
    [
        ("on_pause", ["woken"], []),
        ("always", ["woken"], ["woken_soft"]),
        ("never", [], []),
    ],
)
def test_when_a_chime_is_heard(way: str, on_pause: list[str], over_an_answer: list[str]) -> None:
    paused = awake_house(chime=way)
    paused.says(0.5, 1.0)
    paused.wake_word(1.1)
    paused.says(2.5, 3.6)
    paused.run(9.0)
    assert [cmd.name for cmd in paused.did(c.PlayEarcon)] == on_pause
    over = awake_house(chime=way, barge_in_by_speech=False)
    over.server.plans = [Plan(items_ms=(8000.0,))]
    question(over).run(3.9)
    since = over.now
    over.says(4.0, 5.8)
    over.wake_word(4.5)
    over.run(12.0)
    assert [cmd.name for cmd in over.did(c.PlayEarcon, since)] == over_an_answer
    assert len(over.did(c.CutPlayback)) == 1
    assert over.spoken_frames(4.6, 5.8) <= set(over.sent_frames(since))


def test_follow_up_needs_no_wake_word_and_the_window_closes() -> None:
    house = question(awake_house()).run(6.0)
    assert house.manager.talk is Talk.LISTENING
    house.says(6.5, 7.5)
    house.run(20.0)
    assert [about for _, about in house.server.fresh] == [
        house.spoken_frames(0.5, 2.4),
        house.spoken_frames(6.5, 7.5),
    ]
    assert house.talk() is Talk.ASLEEP
    house.says(21.0, 22.0)
    before = len(house.did(c.SendAudio))
    house.run(23.0)
    assert len(house.did(c.SendAudio)) == before


def test_first_sound_of_a_follow_up_that_began_before_the_answer_ended_is_sent() -> None:
    house = question(awake_house(barge_in_by_speech=False)).run(3.5)
    house.run(4.0)
    while house.speaker.queue:
        house.run(house.now + 0.01)
    end = house.now
    # Too short over the answer to cut it: three frames before its end, then on.
    house = question(awake_house())
    house.says(end - 0.05, end + 1.2)
    house.run(end + 6)
    assert house.server.fresh[1][1] == house.spoken_frames(end - 0.05, end + 1.2)


def test_false_wake_ends_quietly() -> None:
    assert (
        awake(ignoring=(c.SetStatus, c.ShowLight))
        << wake()
        >> [c.Note("talk.woken", ANY)]
        << frames(7.0, speech=False)
        >> [c.PlayEarcon("woken"), c.Note("talk.false_wake"), c.Note("talk.asleep", ANY)]
        >> Talk.ASLEEP
    )


def test_false_wake_with_a_click_clears_what_was_streamed() -> None:
    house = awake_house()
    house.server.vad = False
    house.wake_word(1.0)
    house.says(2.0, 2.08)
    house.run(10.0)
    assert house.did(c.SendAudio)
    assert len(house.did(c.ClearAudio)) == 1
    assert "talk.false_wake" in house.notes()
    assert house.manager.talk is Talk.ASLEEP


def test_a_server_that_hears_nothing_does_not_swallow_a_question() -> None:
    house = question(awake_house())
    house.server.vad = False
    house.run(16.0)
    assert len(house.server.fresh) == 1
    assert house.server.fresh[0][1] == house.spoken_frames(0.5, 2.4)


def test_utterance_cap() -> None:
    house = awake_house(utterance_max_s=4.0)
    house.wake_word(1.0)
    house.says(1.5, 5.6)
    house.run(6.5)
    assert "talk.utterance_capped" in house.notes()
    assert len(house.did(c.CommitAudio)) == 1
    assert house.manager.talk is Talk.SPEAKING


def test_local_end_of_turn() -> None:
    house = House(ModelServer(vad=False), server_turns=False)
    house.connect()
    question(house).run(9.0)
    assert len(house.did(c.CommitAudio)) == 1
    assert len(house.did(c.RequestResponse)) == 1
    assert 3.05 < house.when(c.CommitAudio)[0] < 3.2
    assert house.server.fresh[0][1] == house.spoken_frames(0.5, 2.4)


def test_short_command_in_one_breath_is_a_turn_for_our_own_detector() -> None:
    house = House(ModelServer(vad=False), server_turns=False)
    house.connect()
    house.says(0.5, 1.45)
    house.wake_word(1.1)
    house.run(6.0)
    assert len(house.server.fresh) == 1


def test_always_mode_needs_no_wake_word() -> None:
    house = awake_house(mode="always")
    house.says(1.0, 2.0)
    house.run(12.0)
    assert house.spoken_frames(1.0, 2.0) <= set(house.sent_frames())
    assert len(house.server.fresh) == 1
    assert house.manager.talk is Talk.ASLEEP
    house.says(13.0, 14.0)
    house.run(16.0)
    assert len(house.server.fresh) == 2


def test_always_mode_with_a_refused_link_sends_nothing_while_asleep() -> None:
    house = House(mode="always")
    house.drop("link.bad_key", refused=True)
    house.says(1.0, 2.0)
    house.run(1.5)
    assert house.manager.talk is Talk.ASLEEP
    house.connect()
    house.run(5.0)  # the driver asserts: asleep, nothing sent
    assert house.sentences()[0] == "link.bad_key"


def test_button_mode_ignores_wake_words() -> None:
    house = awake_house(mode="button")
    question(house).run(3.0)
    assert house.manager.talk is Talk.ASLEEP
    house.press()
    house.says(3.6, 4.5)
    house.run(9.0)
    assert house.server.fresh[0][1] == house.spoken_frames(3.6, 4.5)


def test_button_sends_little_of_what_was_said_before_it() -> None:
    house = awake_house()
    house.says(0.2, 3.0)
    house.at(1.5, house.press)
    house.run(2.8)
    assert min(house.sent_frames()) >= 150 - 41


# --- the button in every state -------------------------------------------------------------


def test_button_while_listening_without_words_goes_back_to_sleep() -> None:
    assert (
        awake()
        << [wake(), frames(1.0, speech=False)]
        >> [c.PlayEarcon("woken")]
        << on(e.ButtonPressed)
        >> [c.PlayEarcon("sleep")]
        >> Talk.ASLEEP
    )


def test_button_while_listening_to_words_ends_the_turn() -> None:
    house = question(awake_house()).run(2.45)
    house.press()
    assert house.manager.talk is Talk.THINKING
    house.run(8.0)
    assert len(house.server.fresh) == 1, "the server's own end of turn does not double it"
    assert house.talk() is Talk.LISTENING


def test_button_while_thinking_calls_it_off() -> None:
    house = question(awake_house()).run(3.05)
    assert house.manager.talk is Talk.THINKING
    house.press()
    assert house.talk() is Talk.ASLEEP
    house.run(8.0)
    assert house.did(c.PlayVoice) == []


def test_button_before_the_response_was_announced_calls_it_off_too() -> None:
    house = House(ModelServer(lag_s=0.3))
    house.connect()
    question(house)
    while house.manager.talk is not Talk.THINKING:
        house.run(house.now + 0.01)
    house.press()
    house.run(9.0)
    assert house.did(c.PlayVoice) == []
    assert house.talk() is Talk.ASLEEP


def test_button_while_speaking_cuts_and_listens() -> None:
    house = question(awake_house()).run(4.5)
    assert house.manager.talk is Talk.SPEAKING
    house.press()
    assert not house.speaker.audible
    assert house.talk() is Talk.LISTENING
    house.says(5.0, 6.0)
    house.run(8.0)
    assert len(house.server.fresh) == 2


def test_long_press_mutes_and_unmutes() -> None:
    held: list[Given] = [on(e.ButtonPressed), 2.0, on(e.ButtonReleased)]
    assert (
        awake()
        << held
        >> [c.PlayEarcon("woken"), c.SaveMute(True), c.PlayEarcon("muted")]
        >> Microphone.MUTED
        << [1.0, held]
        >> [c.PlayEarcon("muted"), c.SaveMute(False), c.PlayEarcon("unmuted")]
        >> Microphone.OPEN
    )


# --- mute ---------------------------------------------------------------------------------


@pytest.mark.parametrize("at_s", [0.3, 1.2, 1.9, 2.7, 3.1, 3.6, 4.5, 6.5])
def test_mute_at_any_moment_stops_the_stream_and_nothing_wakes(at_s: float) -> None:
    house = question(awake_house()).run(at_s)
    house.press("mute")
    assert house.manager.microphone is Microphone.MUTED
    muted_at = house.now
    house.says(at_s + 0.5, at_s + 8)
    house.wake_word(at_s + 5)
    house.run(at_s + 20)
    assert house.did(c.SendAudio, since_s=muted_at + 0.001) == []
    assert house.manager.talk is Talk.ASLEEP
    house.press("mute")
    assert house.microphone() is Microphone.OPEN
    house.wakes.clear()
    house.says(house.now + 0.5, house.now + 2.0)
    house.wake_word(house.now + 0.8)
    before = len(house.server.fresh)
    house.run(house.now + 5)
    assert len(house.server.fresh) == before + 1


def test_muted_at_start() -> None:
    assert (
        playbook(muted=True, ignoring=(c.Note, c.SetStatus))
        << [on(e.DeviceReady), on(e.LinkReady)]
        >> [c.ShowLight("muted")]
        << [frames(0.5, speech=True), wake(), frames(1.5, speech=True), 3.0]
        >> []
        >> Microphone.MUTED
    )


# --- barge-in ------------------------------------------------------------------------------


def wire(house: House, since_s: float) -> list[str]:
    """Kinds of wire commands in order, each run of equal ones once."""
    kinds = [type(x).__name__ for at, x in house.log if at >= since_s and is_wire(x)]
    return [k for i, k in enumerate(kinds) if i == 0 or kinds[i - 1] != k]


def is_wire(command: c.Command) -> bool:
    return isinstance(command, c.WireCommand)


def test_barge_in_by_speech_while_generating() -> None:
    house = question(awake_house())
    house.server.plans = [Plan(items_ms=(30_000.0,))]
    house.run(4.0)
    house.says(4.2, 5.5)
    house.run(4.5)
    assert not house.speaker.audible
    cut_at = house.when(c.CutPlayback)[0]
    assert cut_at - 4.2 < 0.12
    assert wire(house, cut_at)[:3] == ["CancelResponse", "TruncateItem", "SendAudio"]
    (truncate,) = house.did(c.TruncateItem)
    assert truncate.audio_end_ms == pytest.approx(house.speaker.played[truncate.item], abs=1)
    assert house.spoken_frames(4.2, 4.5) <= set(house.sent_frames(cut_at))
    house.run(9.0)
    assert house.server.fresh[1][1] == house.spoken_frames(4.2, 5.5)
    assert house.server.offences == []
    assert "talk.interrupted" in house.notes()


def test_barge_in_after_generation_ended_only_truncates() -> None:
    house = question(awake_house()).run(4.5)
    assert house.server.running is None
    house.says(4.6, 5.5)
    house.run(5.0)
    assert house.did(c.CancelResponse) == []
    assert len(house.did(c.TruncateItem)) == 1


def test_barge_in_by_wake_word_does_not_need_speech_evidence() -> None:
    house = question(awake_house(barge_in_by_speech=False)).run(4.5)
    house.wakes[460] = "okay_nabu"
    house.run(4.7)
    assert not house.speaker.audible
    assert house.manager.talk is Talk.LISTENING
    house.run(12.0)
    assert house.talk() is Talk.ASLEEP


def test_nothing_heard_before_a_mute_leaves_after_it() -> None:
    house = awake_house()
    house.says(0.5, 2.4)
    for at_s in (1.0, 1.1):  # muted, and open again within the pre-roll
        house.at(at_s, lambda: house.press("mute"))
    house.wake_word(1.3)
    house.run(4.0)
    sent = house.sent_frames()
    assert sent
    assert min(sent) >= 110


def test_an_answer_to_a_muted_house_is_heard_out_and_opens_no_window() -> None:
    house = question(awake_house()).run(4.0)
    house.press("mute")
    assert house.manager.talk is Talk.SPEAKING
    while house.manager.talk is Talk.SPEAKING:
        house.run(house.now + 0.1)
    assert house.manager.talk is Talk.ASLEEP
    assert house.did(c.CutPlayback) == []


def test_barge_in_by_the_server() -> None:
    house = question(awake_house(barge_in_window_frames=6, barge_in_speech_frames=5))
    for start_s in (3.5, 3.7):  # too little for our own decision
        house.says(start_s, start_s + 0.04)
    house.run(4.0)
    assert house.speaker.audible
    house.send(e.UserSpeechStarted(at=house.now, item="late"))
    assert not house.speaker.audible
    assert house.manager.talk is Talk.LISTENING


def test_the_word_of_the_server_interrupts_nothing_while_nobody_is_heard() -> None:
    house = question(awake_house()).run(4.0)
    house.send(e.UserSpeechStarted(at=house.now, item="late"))
    assert house.speaker.audible
    assert house.manager.talk is Talk.SPEAKING


def test_items_that_never_started_are_deleted_and_heard_ones_stay() -> None:
    house = question(awake_house())
    house.server.plans = [Plan(items_ms=(400.0, 3000.0, 1000.0))]
    house.run(4.6)
    first, second, third = house.server.item_response
    house.says(4.6, 5.5)
    house.run(9.0)
    assert [cmd.item for cmd in house.did(c.TruncateItem)] == [second]
    assert [cmd.item for cmd in house.did(c.DeleteItem)] == [third]
    assert first in house.server.items
    assert house.server.offences == []


def test_late_chunks_of_a_cut_answer_are_dropped() -> None:
    house = House(ModelServer(lag_s=0.4))
    house.connect()
    question(house)
    house.server.plans = [Plan(items_ms=(60_000.0,))]
    house.run(6.0)
    house.says(6.0, 7.0)
    house.run(6.3)
    cut_at = house.when(c.CutPlayback)[0]
    house.run(7.3)  # the speaker refuses chunks of an item that is over
    assert house.did(c.PlayVoice, cut_at + 0.001) == []


def test_speech_while_thinking_extends_the_turn() -> None:
    house = House(ModelServer(think_s=2.0))
    house.connect()
    question(house)
    house.says(3.4, 4.4)
    house.run(12.0)
    assert house.server.fresh[-1][1] == house.spoken_frames(0.5, 2.4) | house.spoken_frames(
        3.4, 4.4
    )
    played = {house.server.item_response[item] for item in house.speaker.played}
    assert played == {house.server.fresh[-1][0]}


def test_wake_during_a_spoken_sentence_cuts_it() -> None:
    house = question(awake_house())
    house.server.plans = [Plan(items_ms=(), status="failed", code="content_filter")]
    while "response.content_filter" not in house.sentences():
        house.run(house.now + 0.01)
    house.run(house.now + 0.2)
    house.wakes[house.steps + 1] = "okay_nabu"
    house.run(house.now + 0.05)
    assert not house.speaker.queue
    assert house.manager.talk is Talk.LISTENING


# --- odd servers ------------------------------------------------------------------------------


def test_server_that_does_not_announce_its_commit() -> None:
    house = awake_house()
    house.server.announces_commit = False
    question(house).run(6.0)
    assert len(house.server.fresh) == 1
    assert house.manager.talk is Talk.LISTENING
    house.says(6.5, 7.5)
    house.run(12.0)
    assert len(house.server.fresh) == 2
    assert house.did(c.CancelResponse) == []


def test_commit_of_ours_that_is_acknowledged_late_does_not_end_the_next_turn() -> None:
    house = House(ModelServer(vad=False, lag_s=0.5), server_turns=False)
    house.connect()
    question(house)
    while house.manager.talk is not Talk.THINKING:
        house.run(house.now + 0.01)
    at = house.now
    house.press()
    house.press()
    house.says(at + 0.3, at + 3.0)
    house.run(at + 1.5)
    assert house.talk() is Talk.LISTENING
    house.run(at + 10)
    assert house.server.fresh[-1][1] >= house.spoken_frames(at + 0.3, at + 3.0)
    played = [house.server.item_response[item] for item in house.speaker.played]
    assert played == [house.server.fresh[-1][0]]


def test_late_speech_started_of_the_turn_being_answered_is_no_interruption() -> None:
    house = House(ModelServer(vad=False))
    house.connect()
    question(house).run(2.45)
    house.press()
    house.send(e.UserSpeechStarted(at=house.now, item="u"))
    assert house.manager.talk is Talk.THINKING


def test_failed_answer_is_said() -> None:
    house = question(awake_house())
    house.server.plans = [Plan(items_ms=(), status="failed", code="insufficient_quota")]
    house.run(6.0)
    assert house.sentences() == ["response.insufficient_quota"]
    assert house.manager.talk is Talk.ASLEEP


@pytest.mark.parametrize("code", ["content_filter", ""])
def test_answer_that_was_stopped_before_its_first_word_is_said(code: str) -> None:
    house = question(awake_house())
    house.server.plans = [Plan(items_ms=(), status="incomplete", code=code)]
    house.run(5.0)
    assert house.sentences() == [f"response.{code or 'empty'}"]
    assert house.manager.talk is Talk.ASLEEP


def test_answer_cancelled_by_the_server_for_no_visible_reason_is_said_in_the_end() -> None:
    house = question(awake_house())
    house.server.plans = [Plan(items_ms=(), status="cancelled")]
    house.run(14.0)
    assert house.sentences() == ["response.empty"]
    assert house.manager.talk is Talk.ASLEEP


def test_speech_started_after_the_cancelled_response_opens_the_gate() -> None:
    house = question(awake_house()).run(3.2)
    assert house.manager.talk is Talk.THINKING
    (response, _), *_ = house.server.fresh
    house.server.running = None
    house.send(e.ResponseEnded(at=house.now, response=response, status="cancelled"))
    house.send(e.UserSpeechStarted(at=house.now, item="u2"))
    house.run(3.3)
    assert house.talk() is Talk.LISTENING
    assert set(house.sent_frames(3.25)) >= {326, 327, 328}


def test_stalled_server_is_left_and_the_question_is_asked_again_once() -> None:
    house = question(awake_house(thinking_max_s=3.0)).run(2.6)
    house.server.stalled = True
    house.at(14.0, lambda: setattr(house.server, "stalled", False))
    house.run(20.0)
    assert len(house.did(c.ReopenLink)) == 1
    assert house.server.fresh[-1][1] == house.spoken_frames(0.5, 2.4)
    assert len(house.speaker.played) == 1
    assert house.sentences() == []


def test_server_that_stays_stalled_is_told_to_the_household() -> None:
    house = question(awake_house(thinking_max_s=3.0)).run(2.6)
    house.server.stalled = True
    house.run(30.0)
    assert house.sentences() == ["server_trouble"]
    assert house.manager.talk is Talk.ASLEEP


def test_answer_drained_before_the_response_is_done_goes_on() -> None:
    house = awake_house()
    house.server.plans = [Plan(items_ms=(200.0, 200.0))]
    question(house).run(3.2)
    house.server.stalled = True
    house.run(5.0)
    house.server.stalled = False
    house.run(9.0)
    assert len(house.speaker.played) == 2
    assert house.manager.talk is Talk.LISTENING


# --- device, stop -------------------------------------------------------------------------


def test_a_microphone_that_gives_nothing_after_a_mute_is_told_by_voice_and_by_the_light() -> None:
    house = awake_house().run(0.5)
    house.press("mute")
    house.run(house.now + 1.0)
    house.press("mute")
    failed = e.MicrophoneFailed(at=house.now, code="device.silent", message="Nothing.")
    house.send(failed)
    assert house.did(c.PlaySentence)[-1] == c.PlaySentence("device.silent")
    assert house.did(c.ShowLight)[-1] == c.ShowLight("device_down")
    house.run(house.now + 5.0)
    assert house.manager.talk is Talk.ASLEEP
    house.send(e.DeviceReady(at=house.now))
    assert house.did(c.ShowLight)[-1] == c.ShowLight("asleep")


def test_a_microphone_that_hears_badly_is_told_and_goes_on_listening() -> None:
    house = awake_house().run(0.5)
    house.send(e.MicrophoneFailed(at=house.now, code="audio.faint", message="", hears=True))
    assert house.did(c.PlaySentence)[-1] == c.PlaySentence("audio.faint")
    assert c.ShowLight("device_down") not in house.did(c.ShowLight)


def test_a_card_that_opens_and_gives_no_sound_keeps_the_light_of_a_trouble() -> None:
    house = awake_house().run(0.5)
    house.send(e.MicrophoneFailed(at=house.now, code="device.switched_off", message=""))
    house.send(e.DeviceReady(at=house.now, hears=False))
    assert house.did(c.ShowLight)[-1] == c.ShowLight("device_down")
    house.send(e.DeviceReady(at=house.now))
    assert house.did(c.ShowLight)[-1] == c.ShowLight("asleep")


@pytest.mark.parametrize("at_s", [0.2, 1.3, 1.9, 3.1, 4.5])
def test_device_lost_and_back(at_s: float) -> None:
    house = question(awake_house()).run(at_s)
    house.send(e.DeviceDown(at=house.now, code="device.lost", message="gone"))
    assert house.manager.talk is Talk.ASLEEP
    assert not house.speaker.queue, "nothing waits to be said when it is back"
    house.speech_frames.clear()
    house.wakes.clear()
    house.run(at_s + 3)
    house.send(e.DeviceReady(at=house.now))
    house.says(house.now + 0.5, house.now + 2.0)
    house.wake_word(house.now + 0.8)
    before = len(house.server.fresh)
    house.run(house.now + 8)
    assert len(house.server.fresh) == before + 1
    assert house.server.offences == []
    assert house.talk() is Talk.LISTENING


@pytest.mark.parametrize("at_s", [0.2, 1.3, 1.9, 3.1, 4.5, 6.5])
@pytest.mark.parametrize("connected", [True, False])
def test_stop_in_each_state(at_s: float, connected: bool) -> None:
    house = question(awake_house())
    if not connected:
        house.at(1.0, house.drop)
    house.run(at_s)
    commands = house.send(e.StopRequested(at=house.now))
    assert isinstance(commands[-1], c.Exit)
    assert not house.speaker.queue
    mark = len(house.log)
    house.send(e.StopRequested(at=house.now))
    house.run(at_s + 5)
    assert house.log[mark:] == []
    assert house.manager.next_deadline() is None
    assert house.did(c.ShowLight)[-1].light == "off"


def test_link_machine() -> None:
    assert (
        playbook()
        >> Link.DOWN
        << on(e.LinkConnecting)
        >> Link.CONNECTING
        << on(e.LinkReady)
        >> Link.READY
        << on(e.LinkDown, code="link.lost", message="gone")
        >> Link.DOWN
    )


# --- found by the property tests ----------------------------------------------------------------


@pytest.mark.parametrize("woken", [False, True])
def test_an_answer_before_any_question_is_refused(woken: bool) -> None:
    state = Talk.LISTENING if woken else Talk.ASLEEP
    call = e.ToolCall(call_id="1", name="clock", arguments="{}")
    assert (
        awake(ignoring=(c.SetStatus, c.ShowLight, c.RecordUsage))
        << ([on(e.ButtonPressed), on(e.ButtonReleased)] if woken else [])
        >> [...]
        >> state
        << on(e.ResponseStarted, response="r")
        >> [c.Note("response.unasked", {"state": state.value, "more": ""}), c.CancelResponse("r")]
        << on(e.VoiceChunk, response="r", item="i", pcm24k=bytes(480))
        << on(e.ResponseEnded, response="r", status="completed", items=("i",), calls=(call,))
        >> [c.DeleteItem("i"), c.Note("usage.unpriced", ANY)]
        >> state
    )


def test_words_woken_in_an_outage_after_an_unanswered_turn_arrive_from_their_first() -> None:
    house = question(awake_house())
    house.server.think_s = 20.0
    house.blip(4.0, 4.5)
    house.says(8.0, 9.2)
    house.wake_word(8.3)
    house.run(12.0)
    assert house.spoken_frames(8.0, 9.2) <= set(house.sent_frames(4.5))


def test_stale_word_of_the_server_in_a_quiet_room_is_not_answered() -> None:
    house = question(awake_house()).run(6.5)
    house.send(e.UserSpeechStarted(at=house.now, item="stale"))
    house.run(25.0)
    assert house.manager.talk is Talk.ASLEEP
    assert len(house.server.fresh) == 1
    assert house.sentences() == []


# --- an answer that is refused for the moment -----------------------------------------------

LIMITED = Plan(items_ms=(), status="failed", code="rate_limit_exceeded")


def limited(times: int) -> House:
    """Somebody asks, and so many answers are refused for a rate limit."""
    house = House()
    house.connect()
    house.server.plans = [LIMITED] * times + [Plan()]
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    return house


@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_refused_for_the_moment_is_asked_for_again_by_itself(times: int) -> None:
    house = limited(times).run(26.0)
    assert len(house.speaker.played) == 1
    assert "response.rate_limit_exceeded" not in house.sentences()
    asked = house.when(c.RequestResponse)
    assert len(asked) == times
    assert 3.0 + 2.4 <= asked[0] < 3.0 + 2.4 + 3.0
    assert house.server.offences == []


def test_after_twenty_seconds_it_has_its_sentence() -> None:
    house = limited(99).run(40.0)
    assert house.speaker.played == {}
    [said_at] = [
        at
        for at, sentence in zip(house.when(c.PlaySentence), house.sentences(), strict=True)
        if sentence == "response.rate_limit_exceeded"
    ]
    assert 8.0 < said_at < 2.4 + 3.0 + 20.0
    assert house.manager.talk is Talk.ASLEEP


def test_the_server_says_when_and_a_new_turn_is_not_asked_for_twice() -> None:
    house = limited(0)
    house.server.think_s = 60.0
    house.run(4.0)
    failed = e.ResponseEnded(
        at=4.0, response="r", status="failed", code="rate_limit_exceeded", retry_in_s=6.2
    )
    house.send(e.ResponseStarted(at=4.0, response="r"))
    house.send(failed)
    assert house.manager.state.deadlines.due_at(Deadline.ASK_AGAIN) == pytest.approx(10.2)
    house.wake_word(5.0)
    house.run(5.2)
    assert Deadline.ASK_AGAIN not in house.manager.state.deadlines


def heard_out() -> Playbook:
    """A table in which somebody has asked, and the server has taken the words."""
    said: list[Given] = [wake(), frames(1.5, speech=True), on(e.UserSpeechStarted, item="u")]
    quiet = awake(ignoring=(*QUIET, c.SendAudio, c.ClearAudio, c.EndVoice))
    return quiet << [*said, on(e.UserTurnCommitted, item="u")] >> [...] >> Talk.THINKING


def limit(**fields: Any) -> Given:
    """An error event tells of the limit."""
    return on(e.ServerComplained, code=LIMITED.code, message="", **fields)


ANSWERED: list[Given] = [
    on(e.ResponseStarted, response="r"),
    on(e.VoiceChunk, response="r", item="i", pcm24k=bytes(480)),
    on(e.ResponseEnded, response="r", status="completed", items=("i",)),
    on(e.PlaybackDrained, item="i", played_ms=10),
]


@pytest.mark.parametrize("about", ["", error_codes.ABOUT_REQUEST])
def test_a_limit_told_by_an_error_event_is_waited_out_too(about: str) -> None:
    assert (
        heard_out()
        << [limit(about=about, retry_in_s=1.2), 1.1]
        >> []
        << 0.2
        >> [c.RequestResponse()]
        << [*ANSWERED, 20.0]
        >> [c.PlayVoice("i", ANY)]
    )


@pytest.mark.parametrize("about", [error_codes.ABOUT_SIDE_QUESTION, error_codes.ABOUT_COMMIT])
def test_a_limit_about_something_else_asks_for_no_answer(about: str) -> None:
    assert heard_out() << [limit(about=about, retry_in_s=1.2), 5.0] >> [] >> Talk.THINKING


def test_a_limit_that_lasts_too_long_is_told_at_once() -> None:
    told = c.PlaySentence("response.rate_limit_exceeded")
    assert heard_out() << limit(retry_in_s=60.0) >> [told] >> Talk.ASLEEP << 30.0 >> []


def test_an_answer_that_comes_in_the_wait_after_all_is_the_only_one() -> None:
    assert (
        heard_out()
        << [limit(retry_in_s=1.2), on(e.ResponseStarted, response="r"), 4.0]
        << ANSWERED[1:]
        >> [c.PlayVoice("i", ANY)]
        << 20.0
        >> []
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            [
                on(e.ButtonPressed),
                on(e.PlaybackCut, item=None, played_ms=0),
                on(e.ButtonReleased),
            ],
            [c.CutPlayback()],
        ),
        (
            [on(e.MuteRequested, muted=True)],
            [c.SaveMute(True), c.PlayEarcon("muted")],
        ),
        (
            [wake(), on(e.PlaybackCut, item=None, played_ms=0), frames(9.0, speech=False)],
            [c.CutPlayback(), c.PlayEarcon("woken")],
        ),
    ],
    ids=["pressed", "muted", "called again"],
)
def test_who_does_not_wait_is_not_answered_later(given: Given, wanted: list[c.Command]) -> None:
    assert heard_out() << [limit(retry_in_s=1.2), given] >> wanted << 30.0 >> [] >> Talk.ASLEEP
