"""A call that needs a yes: through the whole house, from the question in the room to the tool.

What was said is decided by sound alone: the simulated model recognises, in what it was really sent,
which clip it heard.  The question holds the word "yes", in our own voice.
"""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from whole_house import (
    PATIENCE_S,
    SENTENCES,
    faults,
    first_sound,
    outputs,
    play,
    ready,
    silence,
    speech,
    still_works,
    times_spoken,
)

from edge_agent.contract.events import ToolsChanged
from edge_agent.contract.risk import Risk
from edge_agent.demo.judge import measure
from edge_agent.demo.stage import Stage
from edge_agent.panel.gpio import NullPanel
from edge_agent.simulation.brains import Brain, Call, Part, Reply, Speech, Text, Turn
from edge_agent.tools.registry import tool

SPOKEN = {
    "yes_please": "Yes, please.",
    "yes_but": "Yes, but only the cheap one.",
    "no_thanks": "No, thank you.",
}
QUESTION = "Shall I do that? Please say yes or no."
MILK = '{"item": "milk"}'


def recorded(name: str) -> tuple[int, bytes]:
    with wave.open(str(Path(__file__).parent / "clips" / f"{name}.wav")) as file:
        return file.getframerate(), file.readframes(file.getnframes())


CLIPS = {
    name: measure.sound(pcm, rate_hz)
    for name, (rate_hz, pcm) in ((name, recorded(name)) for name in SPOKEN)
}


def question_sound() -> bytes:
    return SENTENCES.pcm24k("confirm_by_voice")


class Buyer(Brain):
    """Wants to buy: `calls` in order, one per turn of the household, then it says goodbye."""

    def __init__(self, *calls: tuple[Part, ...], asks: bool = True) -> None:
        self.calls = list(calls or [(Call("buy", MILK),)])
        self.asks = asks
        self.written: list[str] = []

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            self.written.append(self.transcribe(b"".join(turn.heard)))
            return Reply((Text(self.written[-1]),), delay_ms=300)
        if turn.session.get("tool_choice") == "none":
            question = (Speech(question_sound(), QUESTION),) if self.asks else ()
            return Reply(question, delay_ms=200)
        if self.calls and not any(self.transcribe(pcm) in SPOKEN.values() for pcm in turn.heard):
            return Reply(self.calls.pop(0), delay_ms=200)
        return Reply((speech("answer_bye"),), delay_ms=200)

    def transcribe(self, pcm24k: bytes) -> str:
        heard = measure.sound(pcm24k, 24_000)
        scores = {name: measure.likeness(clip, heard) for name, clip in CLIPS.items()}
        best = max(scores, key=lambda name: (scores[name].coverage, scores[name].correlation))
        return SPOKEN[best] if scores[best].coverage > 0.8 else "[unclear]"


class Shop:
    """What was bought, and how long that takes."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.bought: list[str] = []
        self.takes_s = takes_s
        self.stopped = 0

    def open_in(self, stage: Stage, risk: Risk, *, cancellable: bool = False) -> None:
        @tool(risk=risk, speakable="buy something", cancellable=cancellable, timeout_s=30.0)
        async def buy(item: str) -> str:
            """Buy one thing."""
            try:
                await asyncio.sleep(self.takes_s)
            except asyncio.CancelledError:
                self.stopped += 1
                raise
            self.bought.append(item)
            return f"Bought: {item}."

        registry = stage.daemon.toolbox.registry
        registry.add(buy)
        stage.daemon.post(
            ToolsChanged(
                at=stage.now(),
                schemas=registry.schemas(),
                risks=registry.risks(),
                terms=registry.terms(),
            )
        )


Act = Callable[[Stage, Shop, Buyer], Awaitable[None]]


def in_the_house(
    act: Act,
    *,
    buyer: Buyer | None = None,
    shop: Shop | None = None,
    risk: Risk = Risk.MEDIUM,
    cancellable: bool = False,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    room: Mapping[str, Any] | None = None,
) -> None:
    """The household asks for milk; `act` plays what follows."""
    brain, store = buyer or Buyer(), shop or Shop()

    async def talk() -> None:
        async with Stage(brain=brain, settings=settings or {}, room=room or {}) as stage:
            await ready(stage)
            store.open_in(stage, risk, cancellable=cancellable)
            await asyncio.sleep(0.2)
            await stage.say("wake_what_time")
            await act(stage, store, brain)
            assert not faults(stage)

    play(talk())


async def asked(stage: Stage) -> float:
    """The question has been heard to its end; returns when."""
    return await stage.until_talk("confirming", PATIENCE_S)


async def says(stage: Stage, name: str, in_s: float = 0.5) -> None:
    rate_hz, pcm = recorded(name)
    said = stage.room.say(pcm, rate_hz, at=stage.now() + in_s)
    await stage.sleep_until(said.end_at)


def why_not(stage: Stage) -> list[str]:
    return [str(n.fields["why"]) for n in stage.score.codes("tool.refused")]


def given_by(stage: Stage) -> list[str]:
    return [str(n.fields["by"]) for n in stage.score.codes("consent.given")]


@pytest.mark.parametrize("transcription", ["off", "builtin"])
def test_a_spoken_yes_buys(transcription: str) -> None:
    async def act(stage: Stage, shop: Shop, buyer: Buyer) -> None:
        began = stage.now()
        await asked(stage)
        assert times_spoken(stage, measure.sound(question_sound(), 24_000), began) == 1
        assert shop.bought == []
        await says(stage, "yes_please")
        await stage.until(lambda: shop.bought, PATIENCE_S, "it is bought")
        assert given_by(stage) == ["voice"]
        first = await first_sound(stage, stage.now())
        await silence(stage, first)
        assert shop.bought == ["milk"]
        assert outputs(stage).count("Bought: milk.") == 1
        if transcription == "off":
            assert buyer.written == [SPOKEN["yes_please"]], "that turn and no other"
        await still_works(stage)

    in_the_house(act, settings={"realtime": {"transcription": transcription}})


def test_a_spoken_no_does_not() -> None:
    async def act(stage: Stage, shop: Shop, _buyer: Buyer) -> None:
        await asked(stage)
        await says(stage, "no_thanks")
        await stage.until_talk("asleep", PATIENCE_S)
        assert shop.bought == []
        assert why_not(stage) == ["no"]
        assert "household said no" in outputs(stage)[-1]

    in_the_house(act)


def test_a_yes_with_a_condition_is_asked_about_again_and_then_left() -> None:
    async def act(stage: Stage, shop: Shop, buyer: Buyer) -> None:
        began = stage.now()
        await asked(stage)
        await says(stage, "yes_but")
        await stage.until_talk("speaking", PATIENCE_S)
        await asked(stage)
        await says(stage, "yes_but")
        await stage.until_talk("asleep", PATIENCE_S)
        assert times_spoken(stage, measure.sound(question_sound(), 24_000), began) == 2
        assert shop.bought == []
        assert why_not(stage) == ["unclear"]
        assert buyer.written == [SPOKEN["yes_but"]] * 2

    in_the_house(act)


def test_silence_is_no() -> None:
    async def act(stage: Stage, shop: Shop, _buyer: Buyer) -> None:
        opened = await asked(stage)
        await stage.until(lambda: why_not(stage), PATIENCE_S, "it is left")
        assert 4.9 < stage.now() - opened < 5.2
        await stage.until_talk("asleep", PATIENCE_S)
        assert shop.bought == []
        assert why_not(stage) == ["expired"]

    in_the_house(act, settings={"consent": {"window_s": 5.0}})


@pytest.mark.parametrize("risk", [Risk.MEDIUM, Risk.HIGH])
def test_the_button_agrees_to_either_risk(risk: Risk) -> None:
    async def act(stage: Stage, shop: Shop, _buyer: Buyer) -> None:
        await asked(stage)
        if risk is Risk.HIGH:
            await says(stage, "yes_please", in_s=3.0)  # the sentence takes its time
            await asyncio.sleep(2.0)
            assert shop.bought == []
        await silence(stage, stage.now() - 1.0)
        await asyncio.sleep(0.5)
        await stage.push()
        await stage.until(lambda: shop.bought, PATIENCE_S, "it is bought")
        assert given_by(stage) == ["button"]

    in_the_house(act, risk=risk)


def test_a_house_without_a_button_refuses_what_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "_make_panel", lambda _stage, _post: NullPanel("none"))

    async def act(stage: Stage, shop: Shop, _buyer: Buyer) -> None:
        await stage.until(lambda: why_not(stage), PATIENCE_S, "it is refused")
        assert why_not(stage) == ["no button"]
        assert shop.bought == []

    in_the_house(act, risk=Risk.HIGH)


def test_changed_arguments_are_another_question() -> None:
    async def act(stage: Stage, shop: Shop, buyer: Buyer) -> None:
        await asked(stage)
        buyer.calls = [(Call("buy", '{"item": "wine"}'),)]
        await says(stage, "no_thanks")
        await stage.until(lambda: why_not(stage), PATIENCE_S, "it is left")
        await stage.until_talk("listening", PATIENCE_S)
        await stage.say("follow_up")
        await asked(stage)
        await says(stage, "yes_please")
        await stage.until(lambda: shop.bought, PATIENCE_S, "the other is bought")
        assert shop.bought == ["wine"]

    in_the_house(act)


def test_our_own_voice_saying_yes_is_nobodys_answer() -> None:
    """A loud, bad loudspeaker in an echoing room, and nobody says a word."""

    async def act(stage: Stage, shop: Shop, buyer: Buyer) -> None:
        await asked(stage)
        await stage.until_talk("asleep", 60.0)
        assert shop.bought == []
        assert given_by(stage) == []
        assert why_not(stage) == ["expired"]
        assert SPOKEN["yes_please"] not in buyer.written

    in_the_house(act, room={"echo_gain_db": 0.0, "rt60_s": 0.6, "distortion": 0.3})


def test_a_yes_over_the_question_is_no_answer_to_it() -> None:
    async def act(stage: Stage, shop: Shop, _buyer: Buyer) -> None:
        await stage.until_talk("speaking", PATIENCE_S)
        first = await first_sound(stage, stage.now() - 0.1)
        # By then the canceller has found the echo: it is the first sound since the start.
        await stage.sleep_until(first + 1.5)
        await says(stage, "yes_please", in_s=0.05)
        await stage.until(lambda: why_not(stage), PATIENCE_S, "it is withdrawn")
        await stage.until_talk("asleep", PATIENCE_S)
        assert shop.bought == []
        assert why_not(stage) == ["interrupted"]

    in_the_house(act)


@pytest.mark.parametrize("moment", ["spoken", "open"])
def test_a_lost_connection_voids_the_question(moment: str) -> None:
    async def act(stage: Stage, shop: Shop, _buyer: Buyer) -> None:
        if moment == "spoken":
            await stage.until_talk("speaking", PATIENCE_S)
        else:
            await asked(stage)
        await stage.network.down()
        await asyncio.sleep(0.3)
        await stage.network.up()
        await ready(stage)
        await says(stage, "yes_please")
        await stage.until_talk("asleep", 60.0)
        assert shop.bought == []
        assert why_not(stage) == ["connection lost"]
        told = [
            item.text
            for item in stage.server.sessions[-1].conversation.items
            if item.role == "system"
        ]
        assert sum(text.startswith("buy something: not done") for text in told) == 1
        await still_works(stage)

    in_the_house(act)


@pytest.mark.parametrize("by", ["button", "command"])
def test_guests_buy_nothing_also_after_a_restart(tmp_path: Path, by: str) -> None:
    path = tmp_path / "state.json"
    kept: dict[str, dict[str, object]] = {"state": {"path": str(path)}}

    async def turned_on() -> None:
        async with Stage(brain=Buyer(), settings=kept) as stage:
            await ready(stage)
            if by == "command":
                answer = stage.daemon.owner_commands["guest"]({"to": "toggle"})
                assert isinstance(answer, Awaitable)
                assert await answer == {"guest": True, "saved": True}
            else:
                await stage.push(hold_s=0.1)
                await asyncio.sleep(0.1)
                await stage.push(hold_s=0.1)
            await stage.until(lambda: stage.daemon.dialogue.guest, 1.0, "guest mode is on")
            await stage.until_talk("asleep", PATIENCE_S)

    async def talk() -> None:
        shop = Shop()
        async with Stage(brain=Buyer(), settings=kept) as stage:
            await ready(stage)
            assert stage.daemon.status.snapshot().guest
            shop.open_in(stage, Risk.MEDIUM)
            await asyncio.sleep(0.2)
            await stage.say("wake_what_time")
            await stage.until(lambda: why_not(stage), PATIENCE_S, "it is refused")
            await stage.until_talk("asleep", PATIENCE_S)
            assert shop.bought == []
            assert why_not(stage) == ["guest"]
            assert "`leave_message`" in outputs(stage)[-1]
            assert not faults(stage)

    play(turned_on())
    assert '"guest": true' in path.read_text()
    play(talk())


def test_a_question_that_the_model_does_not_speak_is_ours() -> None:
    async def act(stage: Stage, shop: Shop, _buyer: Buyer) -> None:
        began = stage.now()
        await asked(stage)
        assert times_spoken(stage, measure.sound(question_sound(), 24_000), began) == 1
        await says(stage, "yes_please")
        await stage.until(lambda: shop.bought, PATIENCE_S, "it is bought")

    in_the_house(act, buyer=Buyer(asks=False))


# --- calls and interruptions -------------------------------------------------------------------


@pytest.mark.parametrize("cancellable", [True, False])
def test_a_barge_in_during_a_call(cancellable: bool) -> None:
    """Stopped where that is safe; otherwise it is done and the model is told of it."""
    first_words = (speech("answer_lisbon"), Call("buy", MILK))
    shop = Shop(takes_s=6.0)

    async def act(stage: Stage, shop: Shop, _buyer: Buyer) -> None:
        await stage.until(lambda: stage.score.codes("tool.started"), PATIENCE_S, "it runs")
        await stage.until_talk("speaking", PATIENCE_S)
        await asyncio.sleep(0.5)
        await stage.say("stop_wait")
        await stage.until(lambda: stage.score.codes("tool.finished"), PATIENCE_S, "it has ended")
        await stage.until_talk("asleep", PATIENCE_S)
        assert shop.bought == ([] if cancellable else ["milk"])
        assert shop.stopped == cancellable
        items = stage.server.sessions[0].conversation.items
        told = [str(i.body["output"]) for i in items if i.kind == "function_call_output"]
        assert len(told) == 1
        assert told[0].startswith("Cancelled" if cancellable else "Bought")

    in_the_house(act, buyer=Buyer(first_words), shop=shop, risk=Risk.LOW, cancellable=cancellable)


def test_a_call_outlives_its_session_and_the_next_one_is_told() -> None:
    shop = Shop(takes_s=3.0)

    async def act(stage: Stage, shop: Shop, _buyer: Buyer) -> None:
        await stage.until(lambda: stage.score.codes("tool.started"), PATIENCE_S, "it runs")
        await stage.network.down()
        await asyncio.sleep(0.3)
        await stage.network.up()
        await ready(stage)
        await stage.until(lambda: shop.bought, PATIENCE_S, "it is done")
        await stage.until_talk("asleep", 60.0)
        assert shop.bought == ["milk"]
        told = [
            item.text
            for item in stage.server.sessions[-1].conversation.items
            if item.role == "system"
        ]
        assert sum("Still under way" in text for text in told) == 1
        assert sum("Result: Bought: milk." in text for text in told) == 1
        await still_works(stage)

    in_the_house(act, shop=shop, risk=Risk.LOW)
