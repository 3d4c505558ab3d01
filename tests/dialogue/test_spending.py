"""Spending: the day's limit as the household meets it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from house_config import household_config

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.details import TEXT_MODEL, TRANSCRIBER
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.money.budget import Budget, Prices
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.state import Talk

PRICES = Prices(text_in=Decimal(0), text_out=Decimal(0), audio_in=Decimal(0), audio_out=Decimal(64))
DAY = date(2026, 11, 20)


BESIDE = {TRANSCRIBER: Prices(sound_minute=Decimal("0.006")), TEXT_MODEL: None}


def manager(cap_microusd: int, transcription: str = "builtin") -> DialogueManager:
    spending = Spending(
        Budget(cap_microusd, warn_percent=80),
        lambda _model: PRICES,
        lambda who: (f"the {who}", BESIDE[who]),
    )
    config = household_config(transcription=transcription)
    dialogue = DialogueManager(config, spending=spending, strict=True)
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


# --- models beside the talk ------------------------------------------------------------------


def transcript(at: float, sound_ms: int | None) -> e.UserTranscript:
    usage = None if sound_ms is None else e.Usage(sound_ms=sound_ms)
    return e.UserTranscript(at=at, item="a", text="Tea, please.", usage=usage)


def recorded(out: list[c.Command]) -> list[tuple[int | None, bool]]:
    return [(x.cost_microusd, x.beside) for x in out if isinstance(x, c.RecordUsage)]


def test_a_transcriber_is_paid_by_the_minute_and_counts_in_the_limit() -> None:
    dialogue = manager(1_000)
    assert recorded(answer(dialogue, 1.0, 10)) == [(640, False)]
    out = dialogue.handle(transcript(2.0, 2_000))
    assert recorded(out) == [(200, True)]
    [cost] = [x.fields for x in out if isinstance(x, c.Note) and x.code == "usage.beside"]
    assert cost == {"who": TRANSCRIBER, "usd": 0.0002, "today_usd": 0.0008, "cap_usd": 0.001}
    codes = [x.code for x in out if isinstance(x, c.Note)]
    assert "budget.warning" in codes
    assert dialogue.handle(transcript(3.0, 2_000))[0] == c.RecordUsage(
        e.Usage(sound_ms=2_000), 200, beside=True
    )
    woken = dialogue.handle(
        e.HeardFrame(at=9.0, pcm24k=bytes(480), speech=True, over_playback=False, wake="okay_nabu")
    )
    assert "budget_spent" in sentences(woken)


def test_a_transcriber_that_nobody_asked_for_counts_only_with_figures() -> None:
    for how, expected in (("off", []), ("out_of_band", []), ("builtin", [(None, True)])):
        assert recorded(manager(0, how).handle(transcript(1.0, None))) == expected, how
    assert recorded(manager(0, "off").handle(transcript(1.0, 60_000))) == [(6_000, True)]


def test_a_text_model_without_a_price_is_told_once_and_never_wakes_the_house() -> None:
    dialogue = manager(1_000)
    used = e.ModelUsed(at=1.0, who=TEXT_MODEL, usage=e.Usage(text_in=36, text_out=87))
    out = dialogue.handle(used) + dialogue.handle(used)
    assert recorded(out) == [(None, True)] * 2
    assert [x.fields for x in out if isinstance(x, c.Note)] == [{"model": f"the {TEXT_MODEL}"}]
    assert sentences(dialogue.handle(transcript(2.0, 60_000))) == []
    assert dialogue.talk is Talk.ASLEEP
