"""Consent as data: what each risk needs, and that nothing but a real yes ever grants."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge_agent.contract.commands import AddToolOutput, Note
from edge_agent.contract.events import ToolCall
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.calls.consent import (
    ANSWER_MAX_S,
    ITEMS_MAX,
    PRESS_AFTER_S,
    REFUSALS_MAX,
    WAITING_MAX,
    Consent,
    Stage,
    Verdict,
    Way,
    decide,
)
from edge_agent.dialogue.calls.tool_calls import ToolCalls

WINDOW_S = 15.0


def call(call_id: str = "1", arguments: str = '{"door":1}') -> ToolCall:
    return ToolCall(call_id=call_id, name="unlock", arguments=arguments)


@pytest.mark.parametrize(
    ("risk", "guest", "by_voice", "way"),
    [
        (Risk.LOW, False, False, Way.AT_ONCE),
        (Risk.LOW, False, True, Way.AT_ONCE),
        (Risk.LOW, True, False, Way.AT_ONCE),
        (Risk.LOW, True, True, Way.AT_ONCE),
        (Risk.MEDIUM, False, False, Way.BUTTON),
        (Risk.MEDIUM, False, True, Way.VOICE),
        (Risk.MEDIUM, True, False, Way.NEVER),
        (Risk.MEDIUM, True, True, Way.NEVER),
        (Risk.HIGH, False, False, Way.BUTTON),
        (Risk.HIGH, False, True, Way.BUTTON),
        (Risk.HIGH, True, False, Way.NEVER),
        (Risk.HIGH, True, True, Way.NEVER),
    ],
)
def test_what_each_risk_needs(risk: Risk, guest: bool, by_voice: bool, way: Way) -> None:
    assert decide(risk, guest=guest, by_voice=by_voice) is way


def opened(way: Way = Way.VOICE, at: float = 10.0) -> Consent:
    consent = Consent(WINDOW_S)
    consent.ask(call(), way)
    assert consent.next(at - 2) is consent.pending
    consent.heard_out(at)
    return consent


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ("yes", Verdict.GRANTED),
        ("no", Verdict.DENIED),
        ("yes but", Verdict.AGAIN),
        ("", Verdict.AGAIN),
        (None, Verdict.UNREADABLE),
    ],
)
def test_what_the_first_answer_leads_to(words: str | None, verdict: Verdict) -> None:
    consent = opened()
    assert consent.answer_began(12.0)
    decided, granted = consent.read(words, 13.0)
    assert decided is verdict
    assert granted == (call() if verdict is Verdict.GRANTED else None)
    assert (consent.pending is None) is (verdict is Verdict.GRANTED)


@pytest.mark.parametrize(
    ("words", "verdict"),
    [("yes", Verdict.GRANTED), ("no", Verdict.DENIED), ("hm", Verdict.UNCLEAR)],
)
def test_what_the_second_answer_leads_to(words: str, verdict: Verdict) -> None:
    consent = opened()
    consent.answer_began(12.0)
    consent.read("perhaps", 13.0)
    assert not consent.answer_began(13.5), "the second question has not been heard"
    consent.heard_out(15.0)
    assert consent.answer_began(16.0)
    assert consent.read(words, 17.0)[0] is verdict


@pytest.mark.parametrize(
    ("began_at", "counts"), [(9.99, False), (10.0, True), (24.99, True), (25.0, False)]
)
def test_an_answer_begins_after_the_question_and_within_its_window(
    began_at: float, counts: bool
) -> None:
    assert opened().answer_began(began_at) is counts


def test_an_answer_that_is_read_too_late_grants_nothing() -> None:
    consent = opened()
    consent.answer_began(12.0)
    assert consent.read("yes", 12.0 + ANSWER_MAX_S) == (Verdict.EXPIRED, None)


def test_nothing_answers_a_question_that_is_still_being_asked() -> None:
    consent = Consent(WINDOW_S)
    consent.ask(call(), Way.VOICE)
    consent.next(1.0)
    assert not consent.press_began(2.0)
    assert consent.press_ended(2.1) is None
    assert not consent.answer_began(2.0)
    assert consent.read("yes", 3.0) == (Verdict.EXPIRED, None)


@pytest.mark.parametrize(
    ("at", "counts"), [(10.0, False), (10.39, False), (10.4, True), (24.9, True), (25.0, False)]
)
def test_the_button_counts_once_and_within_the_window(at: float, counts: bool) -> None:
    consent = opened(Way.BUTTON)
    assert not consent.answer_began(at), "words do not"
    assert consent.press_began(at) is counts
    assert consent.press_ended(at + 0.02) is None, "no finger is so fast"
    assert consent.press_ended(at + 0.1) == (call() if counts else None)
    assert consent.press_ended(at + 0.1) is None


def test_a_press_that_becomes_a_mute_agrees_to_nothing() -> None:
    consent = opened(Way.BUTTON)
    assert consent.press_began(12.0)
    consent.press_means_mute()
    assert consent.press_ended(14.0) is None
    assert consent.pending is not None, "and may still be agreed to"


@pytest.mark.parametrize(
    ("first", "again", "is_same"),
    [
        ('{"what": "Bread", "n": 2}', '{ "n": 2.0, "what":"bread " }', True),
        ('{"n": 2}', '{"n": "2"}', True),
        ('{"n": 2}', '{"n": 3}', False),
        ('{"what": "bread"}', '{"what": "bred"}', False),
        ("no JSON", "no  json", True),
    ],
)
def test_what_was_refused_is_the_same_however_it_is_written(
    first: str, again: str, is_same: bool
) -> None:
    consent = Consent(WINDOW_S)
    consent.ask(call("1", first), Way.VOICE)
    consent.next(1.0)
    consent.refuse(by_household=True)
    assert consent.may_ask(call("2", again)) is not is_same


def test_a_tool_that_was_refused_twice_waits_for_the_next_wake() -> None:
    consent = Consent(WINDOW_S)
    for arguments, by_household in (("[]", False), ("{}", True), ('{"n":1}', True)):
        assert not consent.is_unwanted("unlock")
        consent.ask(call(arguments=arguments), Way.VOICE)
        consent.next(1.0)
        consent.refuse(by_household=by_household)
    assert consent.is_unwanted("unlock")
    assert not consent.is_unwanted("shop")
    consent.talk_over()
    consent.household_spoke()
    assert consent.is_unwanted("unlock"), "a talk that ends is no wake"
    consent.woken()
    assert not consent.is_unwanted("unlock")


def test_the_same_again_is_asked_only_so_often() -> None:
    consent = Consent(WINDOW_S)
    for times in range(REFUSALS_MAX):
        assert consent.may_ask(call(str(times)))
        consent.ask(call(str(times)), Way.VOICE)
        consent.next(1.0)
        assert consent.refuse(by_household=True) == call(str(times))
        assert not consent.may_ask(call("again")), "not in the same turn"
        assert consent.may_ask(call("other", "{}")), "other arguments are another question"
        consent.household_spoke()
    assert not consent.may_ask(call("again"))
    consent.talk_over()
    assert consent.may_ask(call("again"))


def test_a_withdrawn_question_was_not_refused_by_anybody() -> None:
    consent = opened()
    consent.ask(call("2", "{}"), Way.VOICE)
    assert consent.waits(call("9", "{}"))
    assert consent.withdraw() == [call(), call("2", "{}")]
    assert consent.pending is None
    assert consent.may_ask(call("3"))


def test_an_item_is_fresh_once_in_a_session() -> None:
    consent = Consent(WINDOW_S)
    assert [consent.is_fresh(item) for item in ("a", "b", "a", "", "")] == [
        *(True, True, False, True, True)
    ]
    consent.session_lost()
    assert consent.is_fresh("a")
    for n in range(ITEMS_MAX):
        consent.is_fresh(str(n))
    assert consent.is_fresh("a"), "it is bounded"


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: a call is granted only for a yes or a press in time."""

    def __init__(self) -> None:
        super().__init__()
        self.consent = Consent(WINDOW_S)
        self.now = 0.0
        self.asked: list[ToolCall] = []
        self.granted: list[ToolCall] = []
        self.open_since: float | None = None
        self.began_at: float | None = None

    def _closed(self) -> None:
        self.open_since = self.began_at = None

    @rule(seconds=st.floats(0.0, 20.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(arguments=st.sampled_from(["{}", "[]", ""]), way=st.sampled_from([Way.VOICE, Way.BUTTON]))
    def ask(self, arguments: str, way: Way) -> None:
        new = ToolCall(call_id=str(len(self.asked)), name="x", arguments=arguments)
        self.asked.append(new)
        self.consent.ask(new, way)

    @rule()
    def open_next(self) -> None:
        before = self.consent.pending
        opened = self.consent.next(self.now)
        assert opened is None or before is None

    @rule()
    def heard(self) -> None:
        question = self.consent.pending
        fresh = question is not None and question.stage is Stage.ASKING
        self.consent.heard_out(self.now)
        if fresh:
            self.open_since, self.began_at = self.now, None

    @rule(ago=st.floats(0.0, 5.0))
    def begins_to_speak(self, ago: float) -> None:
        at = self.now - ago
        if self.consent.answer_began(at):
            assert self.open_since is not None
            assert self.open_since <= at < self.open_since + WINDOW_S
            self.began_at = at

    @rule(words=st.sampled_from(["yes", "ja", "no", "yes but", "", None]))
    def words(self, words: str | None) -> None:
        question = self.consent.pending
        verdict, granted = self.consent.read(words, self.now)
        if granted is not None:
            assert words in ("yes", "ja")
            assert question is not None
            assert granted is question.call
            assert question.way is Way.VOICE
            assert self.began_at is not None
            assert self.now < self.began_at + ANSWER_MAX_S
            self.granted.append(granted)
        if verdict in (Verdict.GRANTED, Verdict.AGAIN):
            self._closed()

    @rule()
    def press(self) -> None:
        question = self.consent.pending
        began = self.consent.press_began(self.now)
        granted = self.consent.press_ended(self.now + 0.1)
        assert (granted is not None) is began
        if granted is not None:
            assert question is not None
            assert granted is question.call
            assert self.open_since is not None
            assert self.open_since + PRESS_AFTER_S <= self.now < self.open_since + WINDOW_S
            self.granted.append(granted)
            self._closed()

    @rule()
    def unreadable(self) -> None:
        self.consent.by_button()
        self._closed()

    @rule(all_of_them=st.booleans())
    def over(self, all_of_them: bool) -> None:
        if all_of_them:
            self.consent.withdraw()
        else:
            self.consent.refuse(by_household=True)
        self._closed()

    @invariant()
    def each_call_is_granted_once_and_as_it_was(self) -> None:
        ids = [granted.call_id for granted in self.granted]
        assert len(ids) == len(set(ids))
        assert all(any(granted is asked for asked in self.asked) for granted in self.granted)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=120, stateful_step_count=40)


def test_a_model_that_wants_a_hundred_things_may_ask_for_a_few() -> None:
    calls = ToolCalls({"unlock": Risk.MEDIUM}, window_s=WINDOW_S)
    many = [call(str(number), f'{{"door":{number}}}') for number in range(100)]
    commands = calls.take(many, 1.0, by_voice=True)
    asked = [one for one in commands if isinstance(one, Note) and one.code == "consent.asked"]
    told = [one.output for one in commands if isinstance(one, AddToolOutput)]
    assert len(asked) == WAITING_MAX
    assert len(told) == 100 - WAITING_MAX
    assert all("too much already" in output for output in told)
    assert calls.consent.next(2.0)  # one of them is asked, so there is room for another
    [one] = calls.take([call("late", '{"door":"late"}')], 3.0, by_voice=True)
    assert isinstance(one, Note)
    assert one.code == "consent.asked"
