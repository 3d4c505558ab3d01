"""Mute, the sound device, health and the end: the whole daemon in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path

import pytest
from whole_house import (
    PATIENCE_S,
    Answers,
    answered,
    clip,
    faults,
    first_sound,
    memory_network,
    play,
    ready,
    silence,
    still_works,
    times_spoken,
)

from edge_agent.audio.device.supervisor import DELIVERS_S
from edge_agent.contract.errors import DeviceFormatRefused, DeviceMissing
from edge_agent.contract.ports import CaptureCallback, RenderCallback, SoundDeviceInfo
from edge_agent.demo.judge import measure
from edge_agent.demo.stage import Stage
from edge_agent.host.service.systemd import Notifier
from edge_agent.simulation.sound.room import Room

LONG_PRESS_S = 1.8


def told(stage: Stage, line: str, after: float = 0.0) -> list[float]:
    return [at for at, text in stage.notifier.told if text == line and at >= after]


# --- mute ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("button", ["long press", "mute button"])
def test_muted_nothing_is_heard_and_nothing_leaves_also_after_a_restart(
    button: str, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    settings = {"state": {"path": str(state)}}

    async def push(stage: Stage) -> None:
        if button == "long press":
            await stage.push(LONG_PRESS_S)
        else:
            await stage.push(button="mute")

    async def first() -> None:
        async with Stage(settings=settings) as stage:
            await ready(stage)
            await push(stage)
            await stage.until_talk("asleep", PATIENCE_S)
            muted_at = stage.now()
            assert stage.panel is not None
            assert stage.panel.light == "muted"
            await stage.say("wake_what_time")
            await asyncio.sleep(2.0)
            assert stage.score.audio_up_bytes(muted_at) == 0
            assert not stage.score.codes("talk.woken", muted_at)
        assert json.loads(state.read_text())["muted"] is True

    async def second() -> None:
        async with Stage(settings=settings) as stage:
            await ready(stage)
            assert stage.panel is not None
            assert stage.panel.light == "muted"
            await stage.say("wake_what_time")
            await asyncio.sleep(2.0)
            assert stage.score.audio_up_bytes(0.0) == 0
            await push(stage)
            await asyncio.sleep(1.0)
            await still_works(stage)
        assert json.loads(state.read_text())["muted"] is False

    play(first())
    play(second())


def test_mute_in_the_middle_of_a_question() -> None:
    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            said = stage.speak("wake_what_time")
            await stage.sleep_until(said.start_at + 1.6)
            assert stage.talk == "listening"
            stage.press("mute")
            muted_at = stage.now()
            stage.release("mute")
            await stage.sleep_until(said.end_at + 3.0)
            # What was under way arrives within the delay of the wire; nothing is added to it.
            assert stage.score.audio_up_bytes(muted_at + 0.05) == 0
            assert answered(stage) == []
            stage.press("mute")
            stage.release("mute")
            await still_works(stage)
            assert not faults(stage)

    play(talk())


# --- the sound device ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["unplug", "stall", "format refused at first"])
def test_a_lost_device_comes_back_and_no_stale_answer_is_played(how: str) -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_lisbon", "answer_tea")) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.sleep_until(first + 1.5)
            lost_at = stage.now()
            if how == "stall":
                stage.room.stall(6.0)
            else:
                stage.room.unplug()
            await stage.until(lambda: stage.score.codes("device.down"), PATIENCE_S, "it is noticed")
            assert stage.now() - lost_at < 4.0
            await asyncio.sleep(5.0)
            if how == "format refused at first":
                stage.room.refuse_next_open(DeviceFormatRefused("The card refused 48000 Hz."))
            if how != "stall":
                assert stage.panel is not None
                assert stage.panel.light == "device_down"
                assert "no sound device" in stage.notifier.told[-1][1] or any(
                    "no sound device" in line for at, line in stage.notifier.told if at >= lost_at
                )
                stage.room.replug()
            back = len(stage.score.codes("device.ready"))
            await stage.until(
                lambda: len(stage.score.codes("device.ready")) > (back if how != "stall" else 1),
                PATIENCE_S,
                "it comes back",
            )
            back_at = stage.now()
            await asyncio.sleep(8.0)
            tail = clip("answer_lisbon")[round(1.6 * measure.COMPARE_RATE_HZ) :]
            assert times_spoken(stage, tail, back_at) == 0
            assert stage.room.spoken.audible(back_at + 0.1) is None
            await still_works(stage)
            assert not faults(stage)

    play(talk())


def test_without_a_device_it_is_ready_and_healthy_and_finds_it_later() -> None:
    async def talk() -> None:
        stage = Stage()
        async with stage:
            await ready(stage)
            stage.room.unplug()
            await stage.until(lambda: stage.score.codes("device.down"), PATIENCE_S, "noticed")
            begin = stage.now()
            await asyncio.sleep(60.0)
            assert len(told(stage, "WATCHDOG=1", begin)) >= 50  # honestly absent is not sick
            stage.room.replug()
            await asyncio.sleep(12.0)
            await still_works(stage)

    play(talk())


class _NoCard:
    """No sound card at all."""

    frames_captured = 0
    frames_rendered = 0

    def open(self, on_capture: object, on_render: object, *, capture: bool = True) -> object:
        raise DeviceMissing("There is no sound device.", fix="Plug one in.")

    def close(self) -> None:
        """Nothing is open."""


class _DeafCard(_NoCard):
    """Opens, and never delivers a frame."""

    def open(self, on_capture: object, on_render: object, *, capture: bool = True) -> object:
        return SoundDeviceInfo("deaf", "dumb", 48_000, 48_000, 480, 0.01, 0.01)


def test_callbacks_that_come_before_open_has_returned_get_silence() -> None:
    early: list[bytes] = []

    class Hasty(Room):
        """PortAudio may do so."""

        def open(
            self, on_capture: CaptureCallback, on_render: RenderCallback, *, capture: bool = True
        ) -> SoundDeviceInfo:
            info = super().open(on_capture, on_render, capture=capture)
            now = asyncio.get_running_loop().time()
            early.append(on_render(480, now))
            on_capture(b"\x10\x27" * 480, now)
            return info

    async def talk() -> None:
        async with Stage(brain=Answers("answer_lisbon", "answer_tea")) as stage:
            await ready(stage)
            stage.room.__class__ = Hasty
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.sleep_until(first + 1.5)
            stage.room.unplug()
            await asyncio.sleep(4.0)
            stage.room.replug()
            await asyncio.sleep(6.0)
            assert early
            assert all(block == bytes(960) for block in early)
            await still_works(stage)
            assert not faults(stage)

    play(talk())


def test_ready_without_any_sound_card() -> None:
    async def talk() -> None:
        async with Stage(device=_NoCard()) as stage:  # type: ignore[arg-type]
            assert len(told(stage, "READY=1")) == 1
            await ready(stage)
            await asyncio.sleep(30.0)
            assert len(told(stage, "WATCHDOG=1")) >= 25
            codes = [n.fields["code"] for n in stage.score.codes("device.down")]
            assert codes == ["device.missing"]  # told once, though it is looked for all the time

    play(talk())


def test_a_card_that_reopens_but_stays_silent_lets_the_watchdog_bark() -> None:
    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            await asyncio.sleep(2 * DELIVERS_S)
            begin = stage.now()
            stage.room.stall()
            await asyncio.sleep(60.0)
            fed = told(stage, "WATCHDOG=1", begin)
            assert fed
            assert max(fed) - begin < stage.settings.health.stall_s + 1.5
            assert stage.score.codes("watchdog.stalled", begin)
            assert any("nothing moves" in line for at, line in stage.notifier.told if at > begin)
            stage.room.resume()
            await asyncio.sleep(15.0)
            assert told(stage, "WATCHDOG=1", stage.now() - 3.0)
            await still_works(stage)

    play(talk())


def test_a_card_that_never_delivers_is_no_reason_to_restart_for_ever() -> None:
    async def talk() -> None:
        async with Stage(device=_DeafCard()) as stage:  # type: ignore[arg-type]
            assert len(told(stage, "READY=1")) == 1
            await asyncio.sleep(120.0)
            assert len(told(stage, "WATCHDOG=1")) >= 100
            assert not stage.score.codes("watchdog.stalled")
            assert stage.daemon.status.snapshot().device_present is False
            codes = [note.fields["code"] for note in stage.score.codes("device.down")]
            assert codes == ["device.lost", "device.silent"]  # each told once

    play(talk())


def test_a_speaker_whose_sound_cannot_be_made_lets_the_watchdog_bark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_frames: int, _at: float) -> bytes | None:
        raise RuntimeError("a fault in the program")

    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            await asyncio.sleep(2.0)
            begin = stage.now()
            monkeypatch.setattr(stage.daemon.sound.playout.renderer, "mix", broken)
            await asyncio.sleep(30.0)
            fed = told(stage, "WATCHDOG=1", begin)
            assert max(fed) - begin < stage.settings.health.stall_s + 1.5
            (line,) = stage.score.codes("watchdog.stalled", begin)
            assert line.fields["part"] == "loudspeaker"
            assert stage.score.codes("audio.fault", begin)

    play(talk())


def test_a_driver_that_hangs_while_the_card_is_looked_for_lets_the_watchdog_bark() -> None:
    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            supervisor = stage.daemon.sound.supervisor
            answers, hanging = supervisor._in_thread, asyncio.Event()

            async def hangs(_work: object) -> object:
                await hanging.wait()
                raise DeviceMissing("The driver has come to itself.")

            stage.room.unplug()
            await stage.until(lambda: not supervisor.present, PATIENCE_S, "declared absent")
            supervisor._in_thread = hangs
            begin = stage.now()
            await asyncio.sleep(90.0)
            fed = told(stage, "WATCHDOG=1", begin)
            assert 30.0 < max(fed) - begin < 55.0  # honestly absent at first
            assert stage.score.codes("watchdog.stalled", begin)
            stage.room.replug()
            supervisor._in_thread = answers
            hanging.set()
            await asyncio.sleep(15.0)
            assert told(stage, "WATCHDOG=1", stage.now() - 3.0)
            await still_works(stage)

    play(talk())


def test_a_language_without_sentences_is_told_to_the_admin() -> None:
    async def talk() -> None:
        async with Stage(settings={"speech": {"language": "nl"}}) as stage:
            (line,) = stage.score.codes("settings.advice")
            assert '"nl"' in str(line.fields["advice"])

    play(talk())


# --- the service manager ------------------------------------------------------------------------


def test_the_service_manager_is_told_on_a_real_socket(tmp_path: Path) -> None:
    lines: list[str] = []

    async def talk() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)

            def read() -> list[str]:
                fresh = []
                with contextlib.suppress(BlockingIOError):
                    while True:
                        fresh += manager.recv(4096).decode().split("\n")
                lines.extend(fresh)
                return fresh

            stage = Stage()
            stage.notifier = Notifier(  # type: ignore[assignment]
                {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
            )
            async with stage:
                await ready(stage)
                await asyncio.sleep(5.0)
                assert 4 <= read().count("WATCHDOG=1") <= 7
                stage.room.stall()
                await asyncio.sleep(stage.settings.health.stall_s + 1.5)
                read()
                await asyncio.sleep(10.0)
                assert "WATCHDOG=1" not in read()
                stage.room.resume()
                await asyncio.sleep(15.0)
                assert "WATCHDOG=1" in read()
                stage.daemon.stop()
                await stage.until_over()
                read()

    play(talk())
    assert lines.count("READY=1") == 1
    assert lines.index("READY=1") < lines.index("WATCHDOG=1")
    assert any(line.startswith("STATUS=asleep; link ready; microphone open") for line in lines)
    assert lines.count("STOPPING=1") == 1
    assert "WATCHDOG=1" not in lines[lines.index("STOPPING=1") :]


# --- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state", ["asleep", "listening", "thinking", "speaking", "offline", "no device"]
)
def test_stop_in_every_state(state: str) -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_lisbon")) as stage:
            await ready(stage)
            if state == "offline":
                await stage.network.down()
            elif state == "no device":
                stage.room.unplug()
                await asyncio.sleep(4.0)
            elif state != "asleep":
                said = stage.speak("wake_what_time")
                await stage.until_talk(state, PATIENCE_S)
                if state == "speaking":
                    first = await first_sound(stage, said.offset_at)
                    await stage.sleep_until(first + 1.0)
            begin = stage.now()
            stage.daemon.stop()
            over = await stage.until_over()
            assert over - begin < 2.5
            await asyncio.sleep(0.2)
            if state == "speaking":
                quiet = await silence(stage, begin, hold_s=0.1)
                assert quiet - begin < 0.1
            else:
                assert stage.room.spoken.audible(begin + 0.1) is None
            assert not stage.server.open_sessions
            assert told(stage, "STOPPING=1", begin) == [begin]
            assert [n.code for n in stage.score.journal][-1] == "agent.stopped"
            assert stage.panel is not None
            assert stage.panel.light == "off"
            assert stage.panel.is_closed
            assert not faults(stage)

    play(talk())


def test_the_server_is_told_goodbye() -> None:
    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            wire = memory_network(stage).links[0]
            stage.daemon.stop()
            await stage.until_over()
            closing = wire._closed
        assert closing is not None
        assert closing[0] == 1000

    play(talk())


@pytest.mark.parametrize("part", ["sound device", "link", "health"])
def test_a_room_that_ends_by_itself_ends_the_daemon_with_an_error(part: str) -> None:
    async def talk() -> None:
        stage = Stage()
        async with stage:
            await ready(stage)
            stage.daemon._tasks[part].cancel()
            await asyncio.sleep(4.0)
            assert stage.is_over
            assert stage._life is not None
            assert stage._life.exception() is not None
            assert stage.score.codes("agent.fault")
            assert not stage.score.codes("agent.stopped")

    play(talk())
