"""The demo judges honestly: it passes as it stands, and each sabotage is found.

The referee judges every play as well (`conftest`): where a promise is broken, both have to say so.

Thread: the test's, virtual time.  It must never need a sound card or a network.
"""

from __future__ import annotations

import asyncio
import io
import wave
from pathlib import Path

import pytest
from refereed_stage import Stages
from rich.console import Console

from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract.events import PlaybackCut
from edge_agent.contract.pcm import SILENT_FRAME
from edge_agent.demo import main
from edge_agent.demo.acts import ACTS
from edge_agent.demo.live import live_check
from edge_agent.demo.play import Act
from edge_agent.demo.stage import Stage, StageError
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.simulation import clock
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.sound import voices
from edge_agent.simulation.sound.room import Room


def acts(*keys: str) -> tuple[Act, ...]:
    return tuple(act for act in ACTS if act.key in keys)


def play(folder: Path, *keys: str) -> tuple[int, str]:
    """Exit code of the fast demo with some acts, and what it printed."""
    text = io.StringIO()
    console = Console(file=text, width=100)
    code = main(fast=True, out=folder, acts=acts(*keys) if keys else ACTS, console=console)
    return code, text.getvalue()


# --- as it must be ----------------------------------------------------------------------------


def test_the_whole_evening_goes_as_it_must(tmp_path: Path) -> None:
    code, said = play(tmp_path)
    assert code == 0, said
    assert f"{len(ACTS)} of {len(ACTS)} acts" in said

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'src="data:audio/wav;base64,' in page
    assert "http://" not in page
    assert "https://" not in page
    assert "$" not in page.split("</style>")[0].split("<style>")[0]
    for act in ACTS:
        assert act.title in page
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    with wave.open(str(tmp_path / "room.wav")) as sound:
        assert sound.getframerate() == 48_000
        assert sound.getnframes() / 48_000 > 60


def test_the_same_evening_twice_is_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    keys = ("not_called", "one_breath", "answer", "talked_over")
    assert play(first, *keys)[1].replace("/1/", "/2/") == play(second, *keys)[1]
    assert (first / "room.wav").read_bytes() == (second / "room.wav").read_bytes()


# --- sabotage ---------------------------------------------------------------------------------


def test_a_speaker_that_goes_on_talking_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refereed: Stages
) -> None:
    def deaf_cut(_self: Playout, now: float | None = None) -> PlaybackCut:
        return PlaybackCut(at=now or 0.0, item=None, played_ms=0.0)

    monkeypatch.setattr(Playout, "cut", deaf_cut)
    code, said = play(tmp_path, "not_called", "one_breath", "answer", "talked_over")
    assert code == 1
    assert "Talked over: it falls silent at once" in said
    assert "cut.audible" in refereed.found()


def test_a_wrong_cut_position_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refereed: Stages
) -> None:
    honest = Playout.cut

    def boastful_cut(self: Playout, now: float | None = None) -> PlaybackCut:
        cut = honest(self, now)
        return PlaybackCut(
            at=cut.at,
            item=cut.item,
            played_ms=cut.played_ms + 60.0,
            never_started=cut.never_started,
        )

    monkeypatch.setattr(Playout, "cut", boastful_cut)
    code, said = play(tmp_path, "not_called", "one_breath", "answer", "talked_over")
    assert code == 1
    assert "Talked over: and to the millisecond" in said
    assert refereed.found() == {"cut.measured"}


def test_a_lost_pre_roll_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refereed: Stages
) -> None:
    honest = Gate.open
    monkeypatch.setattr(Gate, "open", lambda self, _pre_roll_ms: honest(self, 10))
    code, said = play(tmp_path, "not_called", "one_breath", "answer")
    assert code == 1
    assert "Asked in one breath: the words reached the model whole" in said
    assert refereed.found() == {"answers.torn"}


def test_a_mute_that_leaks_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refereed: Stages
) -> None:
    """Somebody thought that silence of the right length would be harmless."""
    honest = Stage.say

    async def leaky_say(self: Stage, clip: str, **how: object) -> object:
        if clip == "said_while_muted":
            from edge_agent.contract.commands import SendAudio

            self.daemon.link.execute(SendAudio(SILENT_FRAME))
        return await honest(self, clip, **how)

    monkeypatch.setattr(Stage, "say", leaky_say)
    code, said = play(tmp_path, "not_called", "muted")
    assert code == 1
    assert "Muted: not one byte of it leaves" in said
    assert refereed.found() == {"mute.wire", "gate.wire"}


def test_a_speaker_that_forgets_a_turn_at_a_drop_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = DialogueManager.handle

    def forgetful(self: DialogueManager, event: object) -> object:
        if type(event).__name__ == "LinkReady":
            self.state.turn = None
        return honest(self, event)  # type: ignore[arg-type]

    monkeypatch.setattr(DialogueManager, "handle", forgetful)
    code, said = play(tmp_path, "one_breath", "answer", "talked_over", "new_answer", "network")
    assert code == 1
    assert "The network dies mid-sentence" in said


def test_a_dead_daemon_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "hear", lambda _self, _frame: 1 / 0)
    code, said = play(tmp_path, "not_called", "one_breath")
    assert code == 1
    assert "the wake word is heard" in said


# --- the stage itself -------------------------------------------------------------------------


def test_the_stage_says_where_it_stood_when_nothing_happens() -> None:
    async def wait_for_nothing() -> None:
        async with Stage() as stage:
            await stage.until(lambda: False, 0.5, "pigs fly")

    with pytest.raises(StageError, match=r"pigs fly \(talk asleep, link ready\)"):
        clock.run(wait_for_nothing())


def test_the_stage_measures_the_way_of_live_sound_only() -> None:
    async def talk() -> list[float]:
        async with Stage(brain=ParrotBrain(), network_delay_s=0.1) as stage:
            await stage.say("wake_what_time")
            await stage.until_talk("speaking", 6.0)
            return [ms for _, ms in stage.score.mic_to_wire_ms]

    ways = clock.run(talk())
    assert len(ways) > 50
    # 100 ms of network, 10 ms of card, and never the second that a pre-roll has waited.
    assert 105 < min(ways) <= max(ways) < 200


# --- live -------------------------------------------------------------------------------------


def test_the_live_check_passes_only_after_a_turn() -> None:
    async def check(*, speaks: bool) -> tuple[bool, int]:
        room = Room()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.call_later(12.0, stop.set)
        if speaks:
            # In one breath the parrot would say the wake word, too, and call itself.
            for at, clip in ((1.0, "wake_only"), (3.0, "button_question")):
                rate_hz, pcm = voices.load(clip)
                loop.call_later(at, room.say, pcm, rate_hz)
        console = Console(file=io.StringIO())
        try:
            result = await live_check(room, console, turns=1, stop=stop)
        finally:
            room.stop()
        return result.ok, result.turns

    assert clock.run(check(speaks=True)) == (True, 1)
    assert clock.run(check(speaks=False)) == (False, 0)


def test_the_live_check_says_why_there_is_no_sound() -> None:
    async def check() -> tuple[bool, str]:
        room = Room()
        room.unplug()
        result = await live_check(room, Console(file=io.StringIO()), turns=1)
        room.stop()
        return result.ok, result.trouble

    ok, trouble = clock.run(check())
    assert not ok
    assert "unplugged" in trouble
