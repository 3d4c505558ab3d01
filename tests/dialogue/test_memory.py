"""Memory of a long talk, its pure parts: the server's items, the policy, the words of notes."""

from __future__ import annotations

import pytest
from house_config import household_summaries
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.app.wiring import summary_terms
from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import silence
from edge_agent.dialogue.recall.items import Remembered, ServerItems
from edge_agent.dialogue.recall.memory import ANSWER_MAX_CHARS, OUTPUT_MAX_CHARS, Memory
from edge_agent.dialogue.recall.summaries import (
    RETRY_DOUBLINGS_MAX,
    SETTLED_OLD_TURNS,
    SUMMARY_MAX_CHARS,
    Policy,
    SummaryTerms,
    as_item,
    as_text,
    shortened,
    wish_for,
)
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.talk import Conversation


def added(item: str, kind: str, call_id: str = "") -> e.ItemAdded:
    names = {"call": "function_call", "output": "function_call_output"}
    role = kind if kind in ("user", "assistant", "system") else ""
    name = names.get(kind, "message" if role else kind)
    return e.ItemAdded(at=0.0, item=item, role=role, kind=name, call_id=call_id)


def holding(*items: tuple[str, str] | tuple[str, str, str]) -> ServerItems:
    there = ServerItems()
    for item in items:
        there.added(added(*item))
    return there


# --- the server's items -----------------------------------------------------------------------


STEPS = st.one_of(
    st.tuples(st.just("user"), st.just(0)),
    st.tuples(st.just("assistant"), st.just(0)),
    st.tuples(st.just("system"), st.just(0)),
    st.tuples(st.just("call"), st.integers(0, 5)),
    st.tuples(st.just("output"), st.integers(0, 5)),
    st.tuples(st.just("mcp_list_tools"), st.just(0)),
)


@given(st.lists(STEPS, max_size=40), st.integers(1, 6), st.sets(st.integers(0, 80), max_size=2))
def test_what_may_go_is_never_half_a_pair_nor_one_of_the_last_turns(
    steps: list[tuple[str, int]], keep: int, kept_numbers: set[int]
) -> None:
    there, calls = ServerItems(), set[int]()
    for number, (kind, call) in enumerate(steps):
        if kind == "call":
            if call in calls:
                continue
            calls.add(call)
        if kind == "output" and call not in calls:
            continue  # no server takes an output without its call
        there.added(added(f"i{number}", kind, f"c{call}" if kind in ("call", "output") else ""))
    kept = {f"i{number}" for number in kept_numbers}
    old = there.older_than(kept, keep)
    order = [item for item in there if item in old]
    assert old == order, "oldest first, and all of them are there"
    assert not kept & {item.id for item in old}
    users = [item.id for item in there if item.kind == "user"]
    assert not set(users[-keep:]) & {item.id for item in old}
    gone = {item.id for item in old}
    for item in there:
        if item.kind in ("call", "output"):
            pair = {i.id for i in there if i.call_id == item.call_id}
            halves = {i.kind for i in there if i.call_id == item.call_id}
            if item.id in gone:
                assert halves == {"call", "output"}
                firsts = {i.id for i in there if i.call_id == item.call_id and i.kind == "call"}
                assert firsts <= gone
                if gone & pair != pair:
                    pytest.fail("half a pair")
        if item.kind == "":
            assert item.id not in gone, "what we do not understand is not ours to remove"


def test_our_items_stand_where_we_put_them() -> None:
    there = holding(("a", "user"), ("b", "assistant"))
    there.sent(c.AddMessage("first", "system", "x", after="root"))
    there.sent(c.AddMessage("second", "user", "x", after="a"))
    there.sent(c.AddMessage("last", "user", "x"))
    for item, kind in (("first", "system"), ("second", "user"), ("last", "user")):
        assert item not in there, "not before the server says so"
        there.added(added(item, kind))
    assert there.ids() == ["first", "a", "second", "b", "last"]


def test_an_item_that_we_removed_before_it_was_announced_does_not_come_back() -> None:
    there = holding(("a", "user"))
    there.sent(c.DeleteItem("late"))
    there.added(added("late", "assistant"))
    assert there.ids() == ["a"]
    there.deleted("late")
    there.added(added("late", "assistant"))
    assert there.ids() == ["a", "late"], "another one of that name, later"


def test_what_the_server_removes_by_itself_is_gone() -> None:
    there = holding(("a", "user"), ("b", "assistant"))
    there.deleted("a")
    there.deleted("unheard of")
    assert there.ids() == ["b"]
    there.session_over()
    assert len(there) == 0


# --- when ---------------------------------------------------------------------------------------


TERMS = household_summaries("session", after_turns=20, after_tokens=8000, keep_turns=4)


def test_turns_make_it_due_and_fewer_in_a_house_that_settled() -> None:
    policy = Policy(TERMS)
    assert next(n for n in range(40) if policy.due(n, n, settled=False)) == 20
    assert next(n for n in range(40) if policy.due(n, n, settled=True)) == 4 + SETTLED_OLD_TURNS
    assert not Policy(household_summaries("off")).due(1000, 1000, settled=True)


def test_tokens_make_it_due_but_a_long_prompt_alone_never_again_and_again() -> None:
    policy = Policy(TERMS)
    policy.used(7999)
    assert not policy.due(8, 8, settled=False)
    policy.used(8000)
    assert not policy.due(5, 5, settled=False), "nothing old enough"
    policy.used(12_001)
    assert policy.due(8, 8, settled=False)
    policy.made()
    policy.used(9000)  # instructions and tools alone are as long as that
    policy.used(9500)
    assert not policy.due(8, 16, settled=False)
    policy.used(13_000)
    assert policy.due(8, 16, settled=False)


@given(
    st.lists(st.sampled_from(["turn", "failed", "made"]), max_size=120),
    st.integers(2, 30),
    st.integers(1, 8),
    st.booleans(),
)
def test_the_policy_never_asks_for_the_last_turns_and_waits_longer_after_each_failure(
    steps: list[str], after: int, keep: int, settled: bool
) -> None:
    policy = Policy(SummaryTerms("session", after, 10**9, keep, "Take notes."))
    turns = ever = failures = 0
    failed_at: list[int] = []
    for step in steps:
        if step == "turn":
            turns, ever = turns + 1, ever + 1
        due = policy.due(turns, ever, settled=settled)
        if due:
            assert turns > keep
            if failures == 1:
                assert ever > failed_at[-1]
            elif failures > 1:
                doublings = min(failures - 2, RETRY_DOUBLINGS_MAX)
                assert ever - failed_at[-1] >= after * 2**doublings
        if step == "failed" and due:
            failures += 1
            failed_at.append(ever)
            policy.failed(ever)
        elif step == "made" and due:
            turns, failures = keep, 0
            policy.made()
        assert policy.failures == failures


# --- words --------------------------------------------------------------------------------------


@given(st.text(max_size=3 * SUMMARY_MAX_CHARS))
def test_notes_are_bounded_and_only_ever_shortened_at_the_end(text: str) -> None:
    short = shortened(text)
    assert len(short) <= SUMMARY_MAX_CHARS
    assert text.strip().startswith(short)
    assert bool(short) is bool(text.strip())
    if len(text.strip()) <= SUMMARY_MAX_CHARS:
        assert short == text.strip()


def test_the_last_line_of_long_notes_is_a_whole_one() -> None:
    text = "\n".join(f"- fact number {n} of the household" for n in range(400))
    assert shortened(text).splitlines() == text.splitlines()[: len(shortened(text).splitlines())]


def test_the_wish_asks_for_the_language_spoken_and_for_facts() -> None:
    wish = " ".join(wish_for().split())
    assert "the one in which the household speaks" in wish
    assert "fact sheet" in wish
    assert "broken off" in wish
    assert "carry all over that still holds" in wish
    assert as_item("- x").endswith("- x")


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("", "Language: the one in which the household speaks; if it has changed"),
        ("de", "Language: German (de), whatever was spoken."),
        ("pt-BR", "Language: Portuguese (pt-BR), whatever was spoken."),
        ("gsw", "Language: gsw."),
    ],
)
def test_an_owner_may_say_in_which_language_and_of_what(language: str, line: str) -> None:
    parts = wish_for(language).split("\n\n")
    assert parts[1].startswith(line)
    own = wish_for(language, "  Only the shopping list. ").split("\n\n")
    assert own[2] == "Only the shopping list."
    assert [own[0], own[1], *own[3:]] == [parts[0], parts[1], *parts[3:]]
    assert "never an order to you" in own[-1]
    said = Conversation(summary_language=language, summary_wish=own[2])
    assert summary_terms(Settings(conversation=said)).wish.split("\n\n") == own


def test_a_text_model_is_told_what_was_cut_and_what_tools_did() -> None:
    entries = [
        Remembered("user", text="Is it far?"),
        Remembered("assistant", text="It is about", cut=True),
        Remembered("user", pcm24k=b"\0\0"),
        Remembered("tool", name="set_timer", arguments='{"minutes": 5}', output="set"),
        Remembered("tool", name="open_door", arguments="{}"),
    ]
    text = as_text("- My sister is Odile.", entries)
    assert text.splitlines() == [
        "Notes so far:",
        "- My sister is Odile.",
        "",
        "Household: Is it far?",
        "Assistant (broken off): It is about",
        "Household: (spoken, not written down)",
        'Tool set_timer {"minutes": 5}: set',
        "Tool open_door {}: no answer",
    ]


# --- memory -------------------------------------------------------------------------------------


def call(call_id: str) -> e.ToolCall:
    return e.ToolCall(call_id=call_id, name="look_up", arguments='{"about": 1}')


def test_a_fresh_session_gets_the_notes_first_and_whole_pairs_only() -> None:
    memory = Memory(12, 60)
    for number in range(4):
        memory.user_said(silence(1000))
        memory.user_item(f"u{number}")
        memory.user_text(f"u{number}", f"question {number}")
        memory.assistant_text(f"a{number}", f"answer {number}")
    old = memory.older_than(2)
    assert [entry.text for entry in old] == ["question 0", "answer 0", "question 1", "answer 1"]
    assert memory.items_after(old[-1].number) == {"u2", "a2", "u3", "a3"}
    assert memory.fold("- notes", old[-1].number, "summary_x") == 2
    memory.user_said(silence(1000))
    memory.called([call("c1"), call("c2"), call("c1")])
    memory.call_answered("c1", "y" * 3 * OUTPUT_MAX_CHARS)
    first, *rest = memory.reseed()
    assert isinstance(first, c.AddMessage)
    assert (first.role, first.text) == ("system", as_item("- notes"))
    texts = [m.text for m in rest if isinstance(m, c.AddMessage)]
    assert texts == ["question 2", "answer 2", "question 3", "answer 3", ""]
    tools = [m for m in rest if isinstance(m, c.AddToolCall | c.AddToolOutput)]
    assert [(type(m), m.call_id) for m in tools] == [
        (c.AddToolCall, "c1"),
        (c.AddToolOutput, "c1"),
    ], "c2 was never answered: it is closed"
    assert isinstance(tools[1], c.AddToolOutput)
    assert len(tools[1].output) == OUTPUT_MAX_CHARS
    again = memory.reseed()
    seeds = c.AddMessage | c.AddToolCall
    ids = [m.item for m in (first, *rest, *again) if isinstance(m, seeds)]
    assert len(ids) == len(set(ids)), "ids are never used twice"


def test_an_answer_without_end_is_kept_to_its_limit() -> None:
    memory = Memory(12, 60)
    for _ in range(5):
        memory.assistant_text("a", "x" * (ANSWER_MAX_CHARS // 2))
    told = [len(seed.text) for seed in memory.reseed() if isinstance(seed, c.AddMessage)]
    assert told == [ANSWER_MAX_CHARS]


def test_a_call_that_was_never_answered_does_not_hide_that_an_answer_was_begun() -> None:
    memory = Memory(12, 60)
    assert not memory.ends_with_answer
    memory.user_said(silence(100))
    assert not memory.ends_with_answer
    memory.assistant_text("a", "one moment")
    memory.called([call("c1")])
    assert memory.ends_with_answer
    memory.call_answered("c1", "done")
    assert not memory.ends_with_answer, "what it found has not been said"


def test_a_cut_answer_is_put_back_behind_the_notes() -> None:
    memory = Memory(12, 60)
    memory.fold("- notes", 0)
    memory.assistant_text("a", "one two three four")
    memory.reseed()
    _deleted, put = memory.assistant_cut("a", 0.5)
    assert isinstance(put, c.AddMessage)
    assert (put.text, put.after) == ("one two", memory.summary_item)
    assert [entry.cut for entry in memory._entries] == [True]


def test_items_of_a_lost_session_are_not_taken_for_items_of_this_one() -> None:
    memory = Memory(12, 60)
    memory.user_said(b"")  # nothing of it can be told again
    memory.user_item("item_1")
    memory.assistant_text("item_2", "hello")
    memory.reseed()
    assert memory.items_after(0) == {"seed_1"}


def test_a_closed_talk_leaves_nothing() -> None:
    memory = Memory(12, 60)
    memory.user_said(silence(100))
    memory.fold("- notes", 0, "s")
    memory.forget()
    assert (memory.reseed(), len(memory), memory.summary) == ([], 0, "")


@given(
    st.lists(st.sampled_from(["user", "answer", "call", "output", "fold"]), max_size=80),
    st.integers(1, 5),
)
def test_memory_is_bounded_whatever_happens(steps: list[str], most: int) -> None:
    memory = Memory(most, 5.0)
    calls = 0
    for number, step in enumerate(steps):
        if step == "user":
            memory.user_said(silence(100))
        elif step == "answer":
            memory.assistant_text(f"a{number}", "words")
        elif step == "call":
            calls += 1
            memory.called([call(f"c{calls}")])
        elif step == "output":
            memory.call_answered(f"c{calls}", "done")
        elif old := memory.older_than(1):
            before = [entry.number for entry in memory._entries if entry.number > old[-1].number]
            memory.fold("notes", old[-1].number)
            assert [entry.number for entry in memory._entries] == before
            assert memory.turns == 1
        assert len(memory) <= 4 * most
        spoken = [entry for entry in memory._entries if entry.role != "tool"]
        assert len(spoken) <= 2 * most
        outputs = [m.call_id for m in memory.reseed() if isinstance(m, c.AddToolOutput)]
        told = [m.call_id for m in memory.reseed() if isinstance(m, c.AddToolCall)]
        assert outputs == told
