"""A stronger model is asked, a message is left, an answer is said again: the whole way."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from speech_service import KEY
from text_service import ANSWER, TextService, cut
from webhook_service import Hook
from whole_house import (
    PATIENCE_S,
    Answers,
    answered,
    clip,
    faults,
    first_sound,
    outputs,
    play,
    ready,
    silence,
    speech,
    spoken,
    still_works,
)

from edge_agent.demo.stage import Stage
from edge_agent.host.web import http_retry, webhook
from edge_agent.host.web.text_model import text_model
from edge_agent.simulation.brains import Call
from edge_agent.tools.desk_tools import LEFT, SAY_IT

QUESTION = "How many days has a leap year?"
ASKS = Call("answer", json.dumps({"question": QUESTION, "context": "Today is Friday."}))
LEAVES = Call("leave_message", json.dumps({"text": "Grandma called, bring milk", "sender": "Anna"}))


def journal(stage: Stage, code: str) -> list[dict[str, Any]]:
    return [dict(note.fields) for note in stage.score.journal if note.code == code]


async def told(stage: Stage) -> str:
    """Wait until the model is told of its first call, and is silent again."""
    await stage.until(lambda: outputs(stage), 60.0, "the model is told")
    await stage.until_talk("asleep", PATIENCE_S)
    return outputs(stage)[0]


def supervisor(url: str, folder: Path, key: str = KEY) -> dict[str, dict[str, object]]:
    file = folder / "key"
    file.write_text(key)
    return {"supervisor": {"model": "gpt-5", "url": url, "api_key_file": str(file)}}


# --- the stronger model --------------------------------------------------------------------


def test_a_hard_question_a_word_before_it_and_the_answer(
    text_service: TextService, tmp_path: Path
) -> None:
    async def talk() -> None:
        brain = Answers([speech("answer_bye"), ASKS], "answer_tea")
        async with Stage(brain=brain, settings=supervisor(text_service.base, tmp_path)) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.until(lambda: len(answered(stage)) == 2, PATIENCE_S, "asked again")
            await silence(stage, first, hold_s=2.0)
            assert spoken(stage, clip("answer_bye"), first - 0.5).is_whole
            assert spoken(stage, clip("answer_tea"), first - 0.5).is_whole
            [output] = outputs(stage)
            assert json.loads(output) == {"how_to_say": SAY_IT, "answer": ANSWER}
            [sent] = [request["json"] for request in text_service.requests]
            assert sent["input"] == f"{QUESTION}\n\nContext: Today is Friday."
            assert sent["store"] is False
            # The voice is told to say a word before it, and what the tool is for.
            session = answered(stage)[0].turn.session
            assert "Before `answer`: one short neutral sentence" in str(session["instructions"])
            [noted] = journal(stage, "supervisor.answered")
            assert int(noted["tokens_out"]) == 87
            assert "leap" not in str(stage.score.journal)
            await still_works(stage)
            assert not faults(stage)

    play(talk())


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (lambda h: h.error(401, f"no {KEY}", "invalid_api_key"), "link.bad_key", "only the owner"),
        (lambda h: h.error(429, "slow down", "rate_limit_exceeded"), "link.busy", "overloaded"),
        (lambda h: h.error(503, "down", None), "link.busy", "overloaded"),
        (lambda h: h.connection.shutdown(socket.SHUT_RDWR), "link.lost", "cannot be reached"),
        (lambda h: h.send(200, b"<html>", "text/html"), "link.captive_portal", "cannot be reached"),
    ],
)
def test_a_stronger_model_that_is_down_is_told_in_words(
    text_service: TextService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    code: str,
    words: str,
) -> None:
    monkeypatch.setattr(http_retry, "pause", lambda _seconds: None)
    text_service.answers = [answer] * http_retry.TRIES_MAX

    async def talk() -> None:
        brain = Answers([speech("answer_bye"), ASKS], "answer_tea")
        async with Stage(brain=brain, settings=supervisor(text_service.base, tmp_path)) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            output = await told(stage)
            assert words in output
            assert "Say so" in output
            assert KEY not in output
            [noted] = journal(stage, "supervisor.failed")
            assert noted["code"] == code
            assert KEY not in str(stage.score.journal)
            await still_works(stage)
            assert not faults(stage)

    play(talk())


def test_an_answer_that_breaks_off_is_said_to(text_service: TextService, tmp_path: Path) -> None:
    text_service.answers = [lambda h: h.send(200, json.dumps(cut("Half of it")).encode())]

    async def talk() -> None:
        settings = supervisor(text_service.base, tmp_path)
        async with Stage(brain=Answers([ASKS], "answer_tea"), settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            output = json.loads(await told(stage))
            assert output["answer"] == "Half of it"
            assert "breaks off" in output["note"]

    play(talk())


def unit_line(stage: Stage) -> str:
    """What `systemctl status` shows now."""
    lines = [line for _, told in stage.notifier.told for line in told.splitlines()]
    return [line for line in lines if line.startswith("STATUS=")][-1]


def test_what_it_costs_counts_and_past_the_limit_it_is_not_asked_again(
    text_service: TextService, tmp_path: Path
) -> None:
    providers = tmp_path / "providers.toml"
    providers.write_text(
        "[providers.local]\nfree = false\n"
        '[providers.local.models."gpt-5".usd_per_million]\ntext_in = 1000\ntext_out = 0\n'
    )
    settings = supervisor(text_service.base, tmp_path)
    settings |= {"realtime": {"providers_file": str(providers)}, "budget": {"daily_cap_usd": 0.03}}

    async def talk() -> None:
        brain = Answers([ASKS], [ASKS], "answer_tea")
        async with Stage(brain=brain, settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until(lambda: len(outputs(stage)) == 2, PATIENCE_S, "told twice")
            await stage.until_talk("asleep", PATIENCE_S)
            first, second = outputs(stage)
            assert json.loads(first)["answer"] == ANSWER
            assert second.startswith("The money for today is spent")
            assert "Say so" in second
            assert len(text_service.requests) == 1
            [used] = journal(stage, "usage.beside")
            assert (used["who"], float(used["usd"])) == ("text model", 0.036)  # 36 tokens
            assert len(journal(stage, "budget.spent")) == 1
            [refused] = journal(stage, "supervisor.failed")
            assert refused["code"] == "budget.spent"
            today = stage.daemon.ledger.store.today
            assert (today.beside, today.beside_microusd) == (1, 36_000)
            assert unit_line(stage).endswith("; today's budget is spent")
            assert not faults(stage)

    play(talk())


def test_without_a_stronger_model_there_is_no_such_tool() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until(lambda: answered(stage), PATIENCE_S, "asked")
            session = answered(stage)[0].turn.session
            names = {tool["name"] for tool in session["tools"]}
            assert "answer" not in names
            assert "leave_message" in names
            assert "`answer`" not in str(session["instructions"])

    play(talk())


# --- messages ------------------------------------------------------------------------------


def test_a_message_is_sent_and_its_words_stay_out_of_the_journal(hook: Hook) -> None:
    async def talk() -> None:
        settings = {"messages": {"webhook_url": hook.url}}
        async with Stage(brain=Answers([LEAVES], "answer_tea"), settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            assert await told(stage) == LEFT["sent"]
            [message] = hook.taken
            assert (message["text"], message["from"]) == ("Grandma called, bring milk", "Anna")
            assert journal(stage, "messages.sent")
            for word in ("Grandma", "Anna"):
                assert word not in str(stage.score.journal)
            await still_works(stage)
            assert not faults(stage)

    play(talk())


def test_a_message_left_while_the_hook_is_down_is_sent_after_a_restart(
    hook: Hook, tmp_path: Path
) -> None:
    settings: dict[str, dict[str, object]] = {
        "messages": {"webhook_url": hook.url},
        "state": {"path": str(tmp_path / "state.json")},
    }
    hook.answers = [lambda h: h.send(503, b"")] * 100

    async def talk() -> None:
        async with Stage(brain=Answers([LEAVES], "answer_tea"), settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            assert await told(stage) == LEFT["stored"]
            [noted] = journal(stage, "messages.undelivered")  # once, not at every try
            assert noted["code"] == "link.busy"
            assert len(hook.requests) >= 2
            await still_works(stage)
            assert not faults(stage)

    async def next_day() -> None:
        async with Stage(brain=Answers("answer_tea"), settings=settings) as stage:
            await ready(stage)
            await stage.until(lambda: hook.taken, PATIENCE_S, "the message is sent")
            await stage.until(lambda: journal(stage, "messages.sent"), PATIENCE_S, "noted")

    play(talk())
    assert not hook.taken
    hook.answers.clear()
    play(next_day())
    ids = {request["headers"]["Idempotency-Key"] for request in hook.requests}
    assert len(ids) == 1  # whoever got it twice can tell
    play(next_day_again(settings, hook))


async def next_day_again(settings: dict[str, dict[str, object]], hook: Hook) -> None:
    """What was sent is not sent again."""
    count = len(hook.requests)
    async with Stage(brain=Answers("answer_tea"), settings=settings) as stage:
        await ready(stage)
        assert len(hook.requests) == count
        [message] = stage.daemon.toolbox.desk.box.messages
        assert message.sent_at


def test_one_message_that_is_refused_does_not_hold_up_the_next(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "REFUSED_PAUSE_S", 30.0)
    hook.answers = [lambda h: h.send(422, b"")] * 2  # also when it is tried with the second

    async def talk() -> None:
        settings = {"messages": {"webhook_url": hook.url}}
        brain = Answers([LEAVES, Call("leave_message", '{"text": "second"}')], "answer_tea")
        async with Stage(brain=brain, settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await told(stage)
            assert sorted(outputs(stage)) == sorted([LEFT["stored"], LEFT["sent"]])
            await stage.until(lambda: len(hook.taken) == 2, PATIENCE_S, "the first one, later")
            assert hook.taken[0]["text"] == "second"

    play(talk())


def test_without_a_hook_and_without_a_disk_the_model_is_told_the_truth(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    (blocked / "messages.json.new").mkdir(parents=True)  # only this file cannot be written

    async def talk(path: Path, truth: str, code: str) -> None:
        settings: dict[str, dict[str, object]] = {"state": {"path": str(path / "state.json")}}
        async with Stage(brain=Answers([LEAVES], "answer_tea"), settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            assert await told(stage) == truth
            assert bool(journal(stage, "messages.unwritable")) is bool(code)
            await still_works(stage)
            assert not faults(stage)

    play(talk(tmp_path, LEFT["kept"], ""))
    play(talk(blocked, LEFT["memory"], "messages.unwritable"))
    assert "Grandma" in (tmp_path / "messages.json").read_text()


def test_too_many_messages_are_refused_in_words() -> None:
    async def talk() -> None:
        settings = {"messages": {"per_hour": 1}}
        brain = Answers([LEAVES], [LEAVES], "answer_tea")
        async with Stage(brain=brain, settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until(lambda: len(outputs(stage)) == 2, 60.0, "both are told")
            assert outputs(stage)[0] == LEFT["kept"]
            assert "takes no more for now" in outputs(stage)[1]
            assert not faults(stage)

    play(talk())


# --- once more -----------------------------------------------------------------------------


def test_what_was_said_and_how_far_it_was_heard() -> None:
    async def talk() -> None:
        brain = Answers("answer_lisbon", [Call("repeat_last_answer")], "answer_tea")
        async with Stage(brain=brain) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.sleep_until(first + 2.0)
            await stage.say("stop_wait")
            output = json.loads(await told(stage))
            whole = speech("answer_lisbon").transcript
            assert output["cut_off"] is True
            assert output["heard"]
            assert f"{output['heard']} {output['not_heard']}" == " ".join(whole.split())
            assert not faults(stage)

    play(talk())


def test_an_answer_that_was_heard_whole() -> None:
    async def talk() -> None:
        brain = Answers("answer_bye", [Call("repeat_last_answer")], "answer_tea")
        async with Stage(brain=brain) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until(lambda: len(answered(stage)) == 1, PATIENCE_S, "asked")
            await stage.until_talk("asleep", PATIENCE_S)
            await stage.say("wake_what_time")
            output = json.loads(await told(stage))
            assert output == {"heard": " ".join(speech("answer_bye").transcript.split())}

    play(talk())


def test_the_settings_of_the_stage_reach_the_model(
    text_service: TextService, tmp_path: Path
) -> None:
    """The same settings as the daemon's make a model that works outside of it as well."""

    async def talk() -> None:
        settings = supervisor(text_service.base, tmp_path)
        async with Stage(brain=Answers("answer_tea"), settings=settings) as stage:
            assert text_model(stage.settings).answer("x", "y", max_output_tokens=99) == ANSWER

    play(talk())
