"""Spending: the day's limit as the household meets it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from house_config import household_config

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.money.budget import Budget, Prices
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.state import Talk

PRICES = Prices(text_in=Decimal(0), text_out=Decimal(0), audio_in=Decimal(0), audio_out=Decimal(64))
DAY = date(2026, 11, 20)


def manager(cap_microusd: int) -> DialogueManager:
    spending = Spending(Budget(cap_microusd, warn_percent=80), lambda _model: PRICES)
    dialogue = DialogueManager(household_config(), spending=spending, strict=True)
    dialogue.handle(e.DayBegan(at=0.0, day=DAY))
    dialogue.handle(e.LinkReady(at=0.0, model="gpt-realtime-2.1"))
    return dialogue


def answer(dialogue: DialogueManager, at: float, audio_out: int) -> list[c.Command]:
    response = f"resp_{at}"
    out = dialogue.handle(e.ResponseStarted(at=at, response=response))
    usage = e.Usage(audio_out=audio_out)
    return out + dialogue.handle(
        e.ResponseEnded(at=at + 0.1, response=response, status="completed", usage=usage)
    )


def sentences(commands: list[c.Command]) -> list[str]:
    return [command.name for command in commands if isinstance(command, c.PlaySentence)]


def test_every_response_is_recorded_with_its_cost() -> None:
    out = answer(manager(0), 1.0, 100)
    assert [x.cost_microusd for x in out if isinstance(x, c.RecordUsage)] == [6400]


def test_the_household_is_warned_once_and_told_when_the_money_is_spent() -> None:
    dialogue = manager(10_000)
    assert "budget_warning" in sentences(answer(dialogue, 1.0, 130))  # 83 %
    assert sentences(answer(dialogue, 2.0, 10)) == []
    assert "budget_spent" in sentences(answer(dialogue, 3.0, 30))


def test_past_the_limit_only_the_button_buys_a_turn_until_the_next_day() -> None:
    dialogue = manager(1_000)
    answer(dialogue, 1.0, 100)
    dialogue.handle(e.SentenceDrained(at=4.0, name="budget_spent"))
    out = dialogue.handle(
        e.HeardFrame(at=5.0, pcm24k=bytes(480), speech=True, over_playback=False, wake="okay_nabu")
    )
    assert "budget_spent" in sentences(out)
    states = [dialogue.talk]
    dialogue.handle(e.SentenceDrained(at=7.0, name="budget_spent"))
    dialogue.handle(e.ButtonPressed(at=8.0))
    dialogue.handle(e.ButtonReleased(at=8.1))
    states.append(dialogue.talk)
    dialogue.handle(e.Tick(at=9.0))
    dialogue.handle(e.Tick(at=30.0))  # nobody spoke: it went back to sleep
    states.append(dialogue.talk)
    dialogue.handle(e.DayBegan(at=60.0, day=date(2026, 11, 21)))
    dialogue.handle(
        e.HeardFrame(at=61.0, pcm24k=bytes(480), speech=True, over_playback=False, wake="okay_nabu")
    )
    states.append(dialogue.talk)
    assert states == [Talk.ASLEEP, Talk.LISTENING, Talk.ASLEEP, Talk.LISTENING]


def test_an_unknown_price_is_told_once_and_not_counted_as_nothing() -> None:
    spending = Spending(Budget(1_000, warn_percent=80), lambda _model: None)
    dialogue = DialogueManager(household_config(), spending=spending, strict=True)
    dialogue.handle(e.LinkReady(at=0.0, model="mystery"))
    first, second = answer(dialogue, 1.0, 100), answer(dialogue, 2.0, 100)
    told = [x.code for x in first + second if isinstance(x, c.Note)]
    assert told.count("usage.unpriced") == 1
    assert [x.cost_microusd for x in first if isinstance(x, c.RecordUsage)] == [None]
    assert spending.budget.state.unpriced == 2
