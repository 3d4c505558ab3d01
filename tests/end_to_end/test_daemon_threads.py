"""The daemon with its threads, in real time: nothing hangs, nothing is left behind.

The virtual room stands for the sound card; a short talk takes some seconds.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from program import END_S
from whole_house import (
    Answers,
    answered,
    clip,
    faults,
    first_sound,
    heard,
    play,
    ready,
    spoken,
    still_works,
    words_of,
)

from edge_agent.contract.ports import CaptureCallback, RenderCallback, SoundDeviceInfo
from edge_agent.demo.stage import Stage
from edge_agent.simulation.sound.room import Room

PATIENCE_S = 20.0


def names() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())


def is_muted_on_disk(stage: Stage) -> bool:
    return '"muted": true' in Path(stage.settings.state.path).read_text()


def test_a_talk_with_threads_and_a_real_socket() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_bye")) as stage:
            await stage.until(lambda: stage.link == "ready", PATIENCE_S, "the link is ready")
            said = await stage.say("wake_what_time")
            await stage.until(lambda: answered(stage), PATIENCE_S, "the model is asked")
            assert heard(answered(stage)[-1], words_of(said.clip)).begins_whole
            first = await first_sound(stage, said.offset_at)
            await stage.until(
                lambda: stage.score.codes("talk.answer_done"), PATIENCE_S, "the answer ends"
            )
            assert spoken(stage, clip("answer_bye"), first - 0.5).is_whole
            stage.press("mute")
            stage.release("mute")
            await asyncio.sleep(0)
            stage.daemon.stop()  # at once: the mute is on the disk all the same
            await stage.until_over()
            assert is_muted_on_disk(stage)
            assert not faults(stage)

    asyncio.run(talk())
    assert not [name for name in names() if name.startswith(("front-end", "devices", "disk"))]


class _StickyCard:
    """A driver that hangs when it is closed, until it is let go."""

    def __init__(self, room: Room, let_go: threading.Event) -> None:
        self._room = room
        self._let_go = let_go

    @property
    def frames_captured(self) -> int:
        return self._room.frames_captured

    @property
    def frames_rendered(self) -> int:
        return self._room.frames_rendered

    def open(
        self, on_capture: CaptureCallback, on_render: RenderCallback, *, capture: bool = True
    ) -> SoundDeviceInfo:
        return self._room.open(on_capture, on_render, capture=capture)

    def close_capture(self) -> None:
        self._room.close_capture()

    def open_capture(self) -> SoundDeviceInfo:
        return self._room.open_capture()

    def close(self) -> None:
        self._room.close()
        self._let_go.wait()


@pytest.mark.parametrize("hurried", [False, True])
def test_a_driver_that_hangs_does_not_hold_up_the_end(hurried: bool) -> None:
    let_go = threading.Event()

    async def talk() -> None:
        card = _StickyCard(Room(), let_go)
        settings = {"health": {"stop_s": 60.0 if hurried else 2.0}}
        async with Stage(device=card, settings=settings) as stage:
            await stage.until(lambda: stage.link == "ready", PATIENCE_S, "the link is ready")
            stage.press("mute")
            stage.release("mute")
            await asyncio.sleep(0)
            begin = stage.now()
            stage.daemon.stop()
            if hurried:
                await asyncio.sleep(0.6)
                stage.daemon.stop()
            await stage.until_over(PATIENCE_S)
            assert stage.now() - begin < 10.0  # of 60
            assert stage.daemon.left_behind
            parts = [line.fields["part"] for line in stage.score.codes("shutdown.timeout")]
            assert parts[0] == "sound device"
            assert is_muted_on_disk(stage)
            let_go.set()

    try:
        asyncio.run(talk())
    finally:
        let_go.set()


HANGING = """
import sys, time
from edge_agent.app.process import run
from edge_agent.app.world import World
from edge_agent.contract.errors import LinkLost
from edge_agent.contract.ports import SoundDeviceInfo
from edge_agent.host.settings.load import Loaded
from edge_agent.host.settings.root import Settings
from edge_agent.panel.gpio import NullPanel

class Card:
    frames_captured = frames_rendered = 0
    def open(self, on_capture, on_render, *, capture=True):
        return SoundDeviceInfo("a", "b", 48000, 48000, 480, 0.01, 0.01)
    def close(self):
        time.sleep(600)

async def dial(url, headers):
    raise LinkLost("no network", code="link.unreachable")

settings = Settings(
    realtime={"provider": "local", "url": "ws://127.0.0.1:9/v1/realtime"},
    state={"path": sys.argv[1]}, health={"stop_s": 2.0},
)
print("begins", flush=True)
world = World(device=Card(), dial=dial, panel=lambda post: NullPanel("none"))
sys.exit(run(Loaded(settings), world=world))
"""


def test_the_process_itself_ends_although_a_thread_hangs(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, str(tmp_path / "state.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:  # the link is tried only after the signals are caught
                lines.append(line)
                if "[link.down]" in line:
                    break
            process.terminate()
            _out, rest = process.communicate(timeout=END_S)
        finally:
            process.kill()
    assert process.returncode == 0, rest
    assert "[shutdown.timeout]" in rest


def test_without_its_weights_it_says_so_and_works_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.audio.cancel.speech_net.WEIGHTS", "there_is_no.npz")

    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            await asyncio.sleep(0.5)
            assert len(stage.score.codes("echo.unavailable")) == 1
            await still_works(stage)

    play(talk())
