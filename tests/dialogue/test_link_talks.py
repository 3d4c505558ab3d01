"""Talks over a link that dies: words are kept, answered once, or a sentence says why not."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from driver import House
from house_config import household_config, household_summaries
from playbook import on, playbook
from server_model import ModelServer, Plan

from edge_agent.contract import commands as c
from edge_agent.contract import error_codes
from edge_agent.contract import events as e
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Talk

SPOKEN = (0.5, 2.4)


def asked(**config: Any) -> House:
    house = House(**config)
    house.connect()
    house.says(*SPOKEN)
    house.wake_word(1.1)
    return house


def heard_answers(house: House) -> list[str]:
    """Responses of which something was audible, in order."""
    heard = [house.server.item_response[item] for item in house.speaker.played]
    return list(dict.fromkeys(heard))


@pytest.mark.parametrize("at_s", [0.2, 1.3, 1.9, 2.5, 2.95, 3.05, 3.2])
@pytest.mark.parametrize("for_s", [0.2, 1.0])
def test_short_drop_before_the_answer_loses_nothing_and_says_nothing(
    at_s: float, for_s: float
) -> None:
    house = asked()
    house.blip(at_s, for_s)
    house.run(at_s + for_s + 7)
    assert house.sentences() == []
    assert len(heard_answers(house)) == 1
    assert house.server.about[heard_answers(house)[0]] == house.spoken_frames(*SPOKEN)
    assert house.server.offences == []


@pytest.mark.parametrize("at_s", [1.3, 1.9, 2.5, 3.1])
def test_long_drop_is_explained_and_the_words_are_answered_afterwards(at_s: float) -> None:
    house = asked()
    house.blip(at_s, 8.0)
    house.run(at_s + 20)
    assert house.sentences() == ["link.lost"]
    said_at = house.when(c.PlaySentence)[0]
    assert at_s + 1.4 < said_at < at_s + 3.0
    assert len(heard_answers(house)) == 1
    assert house.server.about[heard_answers(house)[0]] == house.spoken_frames(*SPOKEN)


def test_wake_while_the_link_is_down_says_why_within_three_seconds() -> None:
    house = House()
    house.drop("link.lost")
    house.says(*SPOKEN)
    house.wake_word(1.1)
    house.run(30.0)
    assert house.sentences() == ["link.lost"]
    assert 1.1 + 1.4 < house.when(c.PlaySentence)[0] < 1.1 + 3.0
    house.connect()
    house.run(36.0)
    assert house.server.fresh[0][1] == house.spoken_frames(*SPOKEN)
    assert len(heard_answers(house)) == 1


@pytest.mark.parametrize("every_s", [0.3, 0.9, 2.0])
def test_attempts_that_fail_put_off_the_reason_no_further(every_s: float) -> None:
    house = House()
    house.drop("link.lost")
    house.says(1.0, 8.0)  # without a pause in which it could be told
    house.wake_word(1.1)
    for n in range(1, int(8.0 / every_s)):
        house.at(n * every_s, partial(house.drop, "link.unreachable"))
    house.run(9.0)
    assert house.when(c.PlaySentence)[0] <= 1.1 + 3.0


@pytest.mark.parametrize("link", ["up", "down"])
@pytest.mark.parametrize("pause_s", [0.3, 1.2, 3.0])
def test_who_calls_over_an_answer_has_time_for_the_first_word(link: str, pause_s: float) -> None:
    house = House(ModelServer(vad=False), server_turns=False)
    house.connect()
    house.says(*SPOKEN)
    house.wake_word(1.1)
    house.server.plans = [Plan(items_ms=(20_000.0,))]
    house.run(6.0)
    assert house.talk() is Talk.SPEAKING
    if link == "down":
        house.blip(6.05, 7.0)
    words = (6.8 + pause_s, 8.0 + pause_s)
    house.says(6.1, 6.7)  # the wake word itself: it cuts the answer
    house.wake_word(6.8)
    house.says(*words)
    house.run(30.0)
    assert len(house.server.fresh) == 2
    assert house.spoken_frames(*words) <= house.server.fresh[-1][1]
    assert house.notes().count("talk.turn_sent") == 2


@pytest.mark.parametrize("pause_s", [0.8, 1.2, 3.0])
def test_who_calls_is_heard_though_the_server_took_the_call_for_a_turn_and_stalls(
    pause_s: float,
) -> None:
    house = asked()
    house.server.plans = [Plan(items_ms=(20_000.0,))]
    house.run(6.0)
    house.says(6.1, 6.7)
    house.wake_word(6.8)
    house.run(6.8 + 0.7)
    assert house.notes().count("talk.turn_sent") == 2, "the call alone"
    house.server.stalled = True
    words = (6.8 + pause_s, 8.0 + pause_s)
    house.says(*words)
    house.blip(11.0, 1.0)
    house.at(11.5, lambda: setattr(house.server, "stalled", False))
    house.run(30.0)
    assert house.spoken_frames(*words) <= house.server.fresh[-1][1]


def test_a_call_without_words_ends_the_turn_it_was_said_in() -> None:
    house = House(ModelServer(vad=False), server_turns=False)
    house.connect()
    house.says(0.5, 3.4)
    house.wake_word(1.1)
    house.wake_word(3.5)
    house.run(30.0)
    assert house.server.fresh[0][1] == house.spoken_frames(0.5, 3.4)


def test_too_old_words_are_dropped_with_a_sentence() -> None:
    house = asked()
    house.blip(2.0, 90.0)
    house.run(80.0)
    assert house.sentences() == ["link.lost", "too_old"]
    assert house.manager.talk is Talk.ASLEEP
    house.run(95.0)
    assert house.server.fresh == []


def test_refused_link_says_so_and_sleeps() -> None:
    house = asked()
    house.at(3.0, lambda: house.drop("link.bad_key", refused=True))
    house.run(10.0)
    assert house.sentences() == ["link.bad_key"]
    assert house.manager.talk is Talk.ASLEEP
    assert house.did(c.ShowLight)[-1].light == "refused"
    house.wakes[1100] = "okay_nabu"
    house.run(12.0)
    assert house.sentences() == ["link.bad_key", "link.bad_key"]
    assert house.manager.talk is Talk.ASLEEP


def test_drop_while_asleep_says_nothing() -> None:
    assert (
        playbook(ignoring=(c.Note, c.SetStatus))
        << [on(e.DeviceReady), on(e.LinkReady)]
        >> [..., c.ShowLight("asleep")]
        << [1.0, on(e.LinkDown, code="link.lost", message="gone"), 30.0]
        >> [c.ShowLight("offline")]
        << [on(e.LinkReady), 4.0]
        >> [c.ShowLight("asleep")]
    )


@pytest.mark.parametrize("for_s", [0.5, 3.0])
def test_broken_answer_is_continued_not_repeated(for_s: float) -> None:
    house = asked()
    house.server.plans = [Plan(items_ms=(20_000.0,))]
    house.blip(5.0, for_s)
    house.run(30.0)
    assert len(house.server.fresh) == 1
    assert len(house.server.continued) == 1
    assert heard_answers(house) == [house.server.fresh[0][0], house.server.continued[0]]
    assert house.sentences() == []
    assert house.server.offences == []


@pytest.mark.parametrize("first_drop_s", [2.95, 5.0], ids=["no answer", "broken answer"])
def test_a_question_of_which_every_session_dies_is_given_up_with_a_sentence(
    first_drop_s: float,
) -> None:
    house = asked()
    house.server.plans = [Plan(items_ms=(20_000.0,))]
    house.blip(first_drop_s, 1.0)
    asked_before = 0

    def die_of_it() -> None:
        nonlocal asked_before
        requests = len(house.did(c.RequestResponse))
        if requests > asked_before:
            asked_before = requests
            house.drop()
            house.at(house.now + 10.0, house.connect)
        house.at(house.now + 0.01, die_of_it)

    house.at(0.5, die_of_it)
    house.run(120.0)
    assert house.manager.talk is Talk.ASLEEP
    assert 5 <= asked_before <= 8
    assert house.sentences()[-1] == "server_trouble"
    assert house.pending() == set()


def test_an_answer_that_stalls_behind_a_living_socket_is_continued_in_a_fresh_session() -> None:
    house = asked()
    house.server.plans = [Plan(items_ms=(20_000.0,))]
    house.run(3.6)
    assert house.manager.talk is Talk.SPEAKING
    with pytest.MonkeyPatch.context() as stalled:
        stalled.setattr(house.server, "advance", lambda _now: [])
        house.run(12.0)
        assert house.did(c.ReopenLink) == []
        house.run(18.7)
    assert house.did(c.ReopenLink) == [c.ReopenLink("no answer")]
    house.run(35.0)
    assert len(house.server.continued) == 1
    assert heard_answers(house) == [house.server.fresh[0][0], house.server.continued[0]]
    assert house.talk() is Talk.ASLEEP


def test_broken_answer_that_nobody_waits_for_stays_broken() -> None:
    house = asked()
    house.server.plans = [Plan(items_ms=(20_000.0,))]
    house.blip(4.0, 6.0)
    house.run(4.2)
    house.press()  # listen …
    house.run(4.5)
    house.press()  # … no, sleep
    assert house.manager.talk is Talk.ASLEEP
    house.run(20.0)
    assert house.server.continued == []
    assert len(house.server.fresh) == 1


def test_drop_after_everything_was_received_is_not_noticed() -> None:
    house = asked()
    house.blip(4.5, 1.0)
    house.run(10.0)
    assert house.speaker.played == {next(iter(house.server.item_response)): 2000.0}
    assert house.server.continued == []


def test_interruption_after_a_reconnect_corrects_what_the_new_session_was_told() -> None:
    house = asked()
    house.blip(4.2, 0.2)
    house.run(4.6)
    assert house.manager.talk is Talk.SPEAKING
    seeded = [cmd.text for cmd in house.did(c.AddMessage) if cmd.role == "assistant"]
    house.says(4.7, 5.6)
    house.run(9.0)
    assert house.did(c.TruncateItem) == []
    fixed = [cmd for cmd in house.did(c.AddMessage) if cmd.role == "assistant"][-1]
    assert 0 < len(fixed.text) < len(seeded[0])
    assert len(house.did(c.DeleteItem)) == 1
    assert house.server.offences == []
    texts = [entry.text for entry in house.server.items.values() if entry.text]
    assert texts == [fixed.text]


def test_two_utterances_in_one_outage_are_both_answered() -> None:
    house = asked()
    house.blip(1.5, 9.0)
    house.wake_word(5.0)
    house.says(5.6, 6.6)
    house.run(18.0)
    assert house.server.fresh[-1][1] >= house.spoken_frames(*SPOKEN) | house.spoken_frames(5.6, 6.6)
    assert len(heard_answers(house)) == 1


def test_follow_up_spoken_into_a_dead_link_is_kept_and_explained() -> None:
    house = asked().run(5.6)
    assert house.manager.talk is Talk.LISTENING
    house.blip(5.8, 10.0)
    house.says(8.5, 9.5)
    house.run(24.0)
    assert house.sentences() == ["link.lost"]
    assert house.server.about[heard_answers(house)[-1]] >= house.spoken_frames(8.5, 9.5)


def test_cancelled_answer_still_on_its_way_is_not_taken_for_a_broken_one() -> None:
    house = House(ModelServer(lag_s=0.5))
    house.connect()
    house.says(*SPOKEN)
    house.wake_word(1.1)
    house.server.plans = [Plan(items_ms=(30_000.0,))]
    house.run(6.0)
    assert house.manager.talk is Talk.SPEAKING
    house.press()
    house.drop()
    house.run(6.3)
    house.connect()
    house.run(14.0)
    assert house.server.continued == []
    assert house.talk() is Talk.ASLEEP


def test_same_identifiers_in_the_next_session_are_heard() -> None:
    house = asked()
    house.server.plans = [Plan(items_ms=(20_000.0,))]
    house.run(4.0)
    house.says(4.2, 5.2)
    house.run(4.6)
    house.drop()
    house.server._ids = 0
    house.speaker.gone.clear()
    house.connect()
    house.run(12.0)
    assert len(house.did(c.PlayVoice, 5.0)) > 10


@pytest.mark.parametrize(
    ("at_s", "quiet"), [(0.2, True), (1.9, False), (3.1, False), (4.5, False), (6.0, True)]
)
def test_sessions_change_in_a_quiet_moment_only(at_s: float, quiet: bool) -> None:
    house = asked().run(at_s)
    commands = house.manager.handle(e.RollOverDue(at=house.now))
    assert commands == ([c.RollOver()] if quiet else [])
    if quiet:
        house.connect()  # the swap: ready again, without a word about the old session
        house.run(at_s + 12.0)
        assert len(heard_answers(house)) == 1
        assert house.sentences() == []


# --- a link that comes and goes -------------------------------------------------------------


def flapping(*codes: str, **config: Any) -> House:
    """A question, and a link that is down for 3 s and up for 0.3 s, again and again: too short
    for any answer."""
    house = House(ModelServer(think_s=60.0), **config)
    house.connect()
    house.says(*SPOKEN)
    house.wake_word(1.1)
    for number, code in enumerate(codes):
        at_s = 2.0 + 3.3 * number
        house.at(at_s, partial(house.drop, code))
        house.at(at_s + 3.0, house.connect)
    return house.run(2.0 + 3.3 * len(codes))


def test_a_link_that_comes_and_goes_is_explained_once_in_a_talk() -> None:
    house = flapping("link.lost", "link.lost", "link.lost", "link.lost")
    assert house.sentences() == ["link.lost"]


def test_codes_that_mean_the_same_to_the_household_are_told_once() -> None:
    same = {"link.lost": "offline", "link.dead": "offline", "link.dns": "no_internet"}
    codes = ("link.lost", "link.dead", "link.dns", "link.lost", "link.dns")
    house = flapping(*codes, sentence_for=same)
    assert house.sentences() == ["link.lost", "link.dns"]


def test_an_answer_heard_only_in_pieces_re_arms_nothing() -> None:
    house = asked()
    house.server.plans = [Plan(items_ms=(60_000.0,)) for _ in range(9)]
    for at_s in (3.4, 7.9, 12.4, 16.9):
        house.blip(at_s, 4.0)
    house.run(20.0)
    assert len(heard_answers(house)) > 1
    assert house.sentences() == ["link.lost"]


def test_after_an_answer_was_heard_the_next_outage_is_explained_again() -> None:
    house = asked()
    house.blip(2.0, 6.0)
    house.run(13.0)
    assert len(heard_answers(house)) == 1
    assert house.manager.talk is Talk.LISTENING
    house.blip(house.now, 6.0)
    house.says(house.now + 0.5, house.now + 1.5)
    house.run(house.now + 12.0)
    assert house.sentences() == ["link.lost", "link.lost"]


def test_a_new_talk_is_told_again() -> None:
    house = House(keep_max_age_s=8.0)
    house.drop()
    house.wake_word(1.0)
    house.run(12.0)
    assert house.manager.talk is Talk.ASLEEP
    house.wake_word(13.0)
    house.run(24.0)
    assert house.sentences().count("link.lost") == 2


def test_a_night_without_the_provider_does_not_fill_the_journal() -> None:
    manager = DialogueManager(household_config(), strict=True)
    codes = []
    for half_seconds in range(2 * 600):
        code = "link.dns" if half_seconds < 20 or half_seconds % 7 == 0 else "link.unreachable"
        down = e.LinkDown(at=half_seconds / 2, code=code, message="")
        for command in manager.handle(down):
            if isinstance(command, c.Note) and command.code == "link.down":
                codes.append(command.fields["code"])
    assert codes[:4] == ["link.dns"] * 3 + ["link.unreachable"]
    assert len(codes) <= 3 + 3 + 10
    assert len(codes) >= 10
    # A session in between makes it another outage, told at once.
    manager.handle(e.LinkReady(at=600.0))
    again = manager.handle(e.LinkDown(at=600.5, code="link.dns", message=""))
    assert [n.code for n in again if isinstance(n, c.Note)][:1] == ["link.down"]


def test_an_answer_of_which_only_words_came_was_not_given() -> None:
    """Found with netem: its sound was stuck behind lost packets, and the replayed question stood
    before an answer that nobody had heard."""
    house = asked()
    house.run(3.1)
    (response,) = house.server.fresh
    house.send(e.VoiceText(at=house.now, response=response[0], item="stuck", text="Well, "))
    house.drop()
    house.run(3.4)
    house.connect()
    house.run(12.0)
    assert [cmd.role for cmd in house.did(c.AddMessage)] == ["user"]
    assert len(heard_answers(house)) == 1


# --- muted -------------------------------------------------------------------------------------


def muted_after(house: House, *, seconds: float) -> House:
    house.run(seconds)
    house.press("mute")
    return house


def test_words_kept_for_a_session_are_dropped_by_mute_and_that_is_said() -> None:
    house = House()
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    muted_after(house, seconds=4.0)
    assert house.sentences()[-1] == "not_sent"
    assert house.manager.talk is Talk.ASLEEP
    house.run(4.5)
    house.connect()
    house.press("mute")
    house.run(8.0)
    assert not house.did(c.AddMessage)
    assert not house.did(c.RequestResponse)


def test_an_answer_that_breaks_off_while_muted_is_told_and_not_asked_for_again() -> None:
    house = House(ModelServer(think_s=5.0))
    house.connect()
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    muted_after(house, seconds=4.0)
    assert house.manager.talk is Talk.THINKING, "it was sent before the mute"
    house.blip(4.5, 0.5)
    house.run(4.7)
    assert house.sentences() == ["not_sent"], "at once, not when the line is back"
    assert [note.code for note in house.did(c.Note)][-3:-1] == ["link.down", "talk.dropped_muted"]
    house.run(12.0)
    assert house.sentences() == ["not_sent"]
    assert not house.did(c.AddMessage)
    assert not house.did(c.RequestResponse)


@pytest.mark.parametrize("rolls_over", [False, True])
def test_a_session_that_began_muted_is_told_of_the_talk_when_the_microphone_opens(
    rolls_over: bool,
) -> None:
    house = House(memory_turns=12)
    house.connect()
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    muted_after(house, seconds=20.0)
    if rolls_over:
        house.connect()
    else:
        house.blip(21.0, 0.5)
    house.run(24.0)
    assert house.did(c.AddMessage) == []
    house.press("mute")
    roles = [message.role for message in house.did(c.AddMessage)]
    assert roles == ["user", "assistant"]
    house.press("mute")
    house.press("mute")
    assert len(house.did(c.AddMessage)) == 2, "once is enough"


@pytest.mark.parametrize("muted", [False, True])
def test_notes_of_the_talk_are_taken_only_with_an_open_microphone(muted: bool) -> None:
    terms = household_summaries(how="session", after_turns=3, keep_turns=0)
    house = House(memory_turns=12, summaries=terms)
    house.connect()
    for start_s in (0.5, 20.5, 40.5):
        house.says(start_s, start_s + 1.9)
        house.wake_word(start_s + 0.6)
    house.run(46.0)
    if muted:
        house.press("mute")
    for item in ("one", "two", "three"):
        house.send(e.ItemAdded(at=house.now, item=item, kind="message", role="user"))
    house.run(400.0)
    assert bool(house.did(c.AskSideQuestion, 46.0)) is not muted


# --- a server that takes its time ---------------------------------------------------------------


def test_who_waits_long_hears_that_it_is_still_wanted_and_then_the_answer() -> None:
    house = House(ModelServer(think_s=14.0))
    house.connect()
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    house.run(3.1)
    house.server.stalled = True
    house.run(22.0)
    assert len(house.did(c.ReopenLink)) == 1
    assert house.sentences() == ["still_waiting"]
    house.server.stalled = False
    house.run(40.0)
    assert house.sentences() == ["still_waiting"]
    assert len(heard_answers(house)) == 1


@pytest.mark.parametrize(
    ("about", "reopens"),
    [
        ("", True),
        ("response.create", True),
        ("response.cancel resp_1", False),
        (error_codes.ABOUT_SIDE_QUESTION, False),
    ],
)
def test_only_a_failure_that_may_have_cost_the_answer_reopens(about: str, reopens: bool) -> None:
    house = asked()
    house.server.think_s = 60.0
    house.run(4.0)
    assert house.manager.talk is Talk.THINKING
    failure = e.ServerComplained(
        at=4.0, code=error_codes.SERVER_ERROR, message="It failed.", about=about
    )
    house.send(failure)
    assert bool(house.did(c.ReopenLink)) is reopens
    assert house.sentences() == []


def test_a_server_that_fails_again_ends_the_talk_with_a_sentence() -> None:
    house = asked()
    house.server.think_s = 60.0
    house.run(4.0)
    for at in (4.0, 4.1):
        house.send(e.ServerComplained(at=at, code=error_codes.SERVER_ERROR, message="It failed."))
    assert house.sentences() == ["server_trouble"]
    assert house.manager.talk is Talk.ASLEEP


def test_a_failure_while_nobody_waits_changes_nothing() -> None:
    house = House()
    house.connect()
    house.send(e.ServerComplained(at=1.0, code=error_codes.SERVER_ERROR, message="It failed."))
    assert house.did(c.ReopenLink) == []
