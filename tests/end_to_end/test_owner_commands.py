"""What the control socket does with the voice, the volume and the timers of a whole speaker."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from whole_house import PATIENCE_S, Answers, faults, first_sound, play, ready

from edge_agent.app.announcer import REFUSED, TEXT_MAX_CHARS, Announcer, spoken_text
from edge_agent.contract.errors import ToolError
from edge_agent.contract.events import Event, TextFailed
from edge_agent.demo.stage import Stage
from edge_agent.host.service.control import ASKED_BY, ControlError

TEXT = "The washing machine is done."


async def ask(stage: Stage, do: str, **request: Any) -> dict[str, Any]:
    """As the socket would, of the account 1000."""
    answer = stage.daemon.owner_commands[do]({"do": do, ASKED_BY: 1000, **request})
    return await answer if asyncio.iscoroutine(answer) else answer  # type: ignore[return-value]


def test_a_text_is_heard_and_stands_in_no_journal() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            asked_at = asyncio.get_running_loop().time()
            assert await ask(stage, "say", text=f"  {TEXT}\n") == {"begun": True}
            await first_sound(stage, asked_at)
            [noted] = [note for note in stage.score.journal if note.code == "say.begun"]
            assert dict(noted.fields) == {"chars": "28", "uid": "1000"}
            assert "washing" not in str(stage.score.journal)
            await stage.until(lambda: not stage.daemon.dialogue.state.sentences, 12.0, "it is said")
            # A talk is not talked over, and the asker is told.
            await stage.say("wake_what_time")
            await stage.until(lambda: stage.daemon.dialogue.talk.value != "asleep", 5.0, "woken")
            with pytest.raises(ControlError, match="Somebody is talking"):
                await ask(stage, "say", text=TEXT)
            await stage.until_talk("asleep", PATIENCE_S)
            await ask(stage, "volume", to=0)
            with pytest.raises(ControlError, match="the volume is 0"):
                await ask(stage, "say", text=TEXT)
            assert not faults(stage)

    play(house())


def test_the_unit_says_that_the_disk_takes_nothing_until_it_does(tmp_path: Path) -> None:
    place, words = tmp_path / "state", "mute and volume cannot be saved"
    settings = {"state": {"path": str(place / "state.json")}}

    def line(stage: Stage) -> str:
        told = [text for _, told in stage.notifier.told for text in told.splitlines()]
        return [text for text in told if text.startswith("STATUS=")][-1]

    async def house() -> None:
        async with Stage(brain=Answers("answer_tea"), settings=settings) as stage:
            await ready(stage)
            assert words not in line(stage)
            shutil.rmtree(place)
            place.write_text("a file in the place of the folder")
            await ask(stage, "mute", to="on")
            await stage.until(lambda: line(stage).endswith(f"muted; {words}"), 3.0, "told")
            place.unlink()
            await stage.until(lambda: words not in line(stage), 10.0, "and no more")
            assert not faults(stage)

    play(house())


def test_the_volume_is_told_set_and_stepped() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            assert await ask(stage, "volume") == {"volume_percent": 70}
            told = await ask(stage, "volume", to=40)
            assert (told["volume_percent"], told["before_percent"], told["saved"]) == (40, 70, True)
            assert (await ask(stage, "volume", by=-10))["volume_percent"] == 30
            assert (await ask(stage, "volume", by=-90))["volume_percent"] == 0
            assert (await ask(stage, "volume", by=200))["asked_percent"] == 100
            assert stage.daemon.speaker_api.volume() == 100
            for wrong in ({"to": "loud"}, {"by": True}, {"to": 1.5}):
                with pytest.raises(ControlError, match="no whole number"):
                    await ask(stage, "volume", **wrong)

    play(house())


def test_timers_are_listed_set_and_cancelled_in_the_running_speaker() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            assert await ask(stage, "timers") == {"timers": []}
            made = (await ask(stage, "set_timer", seconds=600, name="pasta"))["timer"]
            assert (made["name"], made["kind"], made["left_s"]) == ("pasta", "timer", 600.0)
            now = stage.daemon.world.now().replace(tzinfo=None, microsecond=0)
            later = (now + timedelta(hours=5)).isoformat()
            made = (await ask(stage, "set_alarm", wall=later, repeat="daily"))["timer"]
            assert (made["name"], made["at"], made["repeat"]) == ("alarm", later, "daily")
            with pytest.raises(ToolError, match="passed already"):
                await ask(stage, "set_alarm", wall=(now - timedelta(hours=1)).isoformat())
            names = [one["name"] for one in (await ask(stage, "timers"))["timers"]]
            assert names == ["pasta", "alarm"]
            for wrong in ({"wall": "soon"}, {"wall": "2030-01-01T07:00", "repeat": "never"}):
                with pytest.raises(ControlError):
                    await ask(stage, "set_alarm", **wrong)
            with pytest.raises(ControlError, match="Which one"):
                await ask(stage, "cancel_timer", name=" ")
            assert await ask(stage, "cancel_timer", name="Pasta") == {"cancelled": ["pasta"]}
            assert await ask(stage, "cancel_timer", name="all") == {"cancelled": ["alarm"]}
            assert await ask(stage, "timers") == {"timers": []}
            # What was set here rings like any other, and cancelling it is silence.
            await ask(stage, "set_timer", seconds=2, name="egg")
            bell = stage.daemon.dialogue.parts.alarms
            await stage.until(lambda: bell.rings, 10.0, "it rings")
            await ask(stage, "cancel_timer", name="all")
            assert not bell.rings
            assert not faults(stage)

    play(house())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing to say"),
        (" ?!… ", "nothing to say"),
        (None, "nothing to say"),
        (7, "nothing to say"),
        ("a" * (TEXT_MAX_CHARS + 1), "301 characters"),
        ("Tea\x1b[2J is ready", "signs that cannot be spoken"),
    ],
)
def test_what_cannot_be_said_is_refused_before_anybody_is_asked(text: object, words: str) -> None:
    with pytest.raises(ControlError, match=words) as caught:
        spoken_text(text)
    assert "ready" not in caught.value.message


def test_why_it_was_not_said_is_told_with_a_remedy_and_a_slow_voice_is_not_waited_for() -> None:
    async def ask_and_fail(code: str) -> None:
        posted: list[Event] = []
        announcer = Announcer(post=posted.append, time=lambda: 0.0)
        asking = asyncio.ensure_future(announcer.say({"text": TEXT, ASKED_BY: 0}))
        await asyncio.sleep(0)
        if not code:
            with pytest.raises(ControlError, match="saying something already"):
                await announcer.say({"text": TEXT})
            assert await asking == {"begun": False}
            return
        announcer.on_event(TextFailed(at=0.0, name="another", code=code), [], 0.0)
        announcer.on_event(TextFailed(at=0.0, name="say_1", code=code), [], 0.0)
        with pytest.raises(ControlError) as caught:
            await asking
        assert (caught.value.message, caught.value.fix) == REFUSED[code]

    for code in ("text.no_voice", "text.too_long", "text.inaudible", "text.failed", ""):
        play(ask_and_fail(code))
