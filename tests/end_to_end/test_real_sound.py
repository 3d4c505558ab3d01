"""The real program over a real sound server and a real socket, as processes of their own.

Judged by what the sound server's loudspeaker got and by the order of things, never by the clock.
"""

from __future__ import annotations

import os
import re
import signal
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from program import LINE, Manager, Program, environment, program, simulated_server
from pulse import RATE_HZ, PulseServer, kept_waiting, wait_for

from edge_agent.demo.judge import measure
from edge_agent.simulation.sound import voices

KEY = "sk-this-must-never-be-seen"
HEAD_S = 1.5
ATTEMPTS = 4
"""How often a machine that gives its programs no turn may put holes into the sound."""
CROWDED_S = 0.25
"""In all of a talk; the loudspeaker's queue holds a tenth of a second."""
WOKEN_S = 5.0
"""From the end of a question to the journal's line that the wake word before it was heard."""
CLIPS = ("answer_lisbon", "answer_weather")


def clip(name: str) -> measure.Sound:
    rate_hz, pcm = voices.load(name)
    return measure.sound(pcm, rate_hz)


def tape_sound(pcm: bytes) -> measure.Sound:
    return measure.sound(pcm[: len(pcm) // 2 * 2], RATE_HZ)


def say(name: str, pulse: PulseServer) -> None:
    rate_hz, pcm = voices.load(name)
    pulse.say(pcm, rate_hz)


def called(daemon: Program, pulse: PulseServer) -> None:
    """The wake word and a question, again where it was not heard: the sound server of a busy
    machine leaves holes in what it is given to play.  That the first word after the microphone
    was opened counts is tests/audio/test_detectors.py."""
    for _attempt in range(ATTEMPTS):
        say("wake_what_time", pulse)
        with suppress(AssertionError):
            wait_for(lambda: daemon.count("[talk.woken]") > 0, "it wakes", WOKEN_S)
            return
    raise AssertionError(f"called {ATTEMPTS} times in vain:\n{daemon.text}")


def settings(tmp_path: Path, url: str) -> dict[str, str]:
    """A settings file and, for the rest, the environment."""
    file = tmp_path / "edge-agent.toml"
    file.write_text('[realtime]\nprovider = "local"\n[device]\nvolume_percent = 100\n')
    return environment(
        tmp_path,
        {
            "EDGE_AGENT_CONFIG": str(file),
            "EDGE_AGENT_REALTIME__URL": url,
            "EDGE_AGENT_REALTIME__API_KEY": KEY,
            # A hitch of the machine in mid-sentence is not the end of the turn.
            "EDGE_AGENT_LISTEN__SERVER_SILENCE_MS": "1500",
        },
    )


def started(daemon: Program) -> None:
    daemon.wait_for("[agent.ready]")
    daemon.wait_for("[link.ready]")
    daemon.wait_for("[device.ready]")


def journal_is_clean(daemon: Program) -> None:
    """Readable lines; no key, no word that was said, no fault."""
    for line in daemon.lines:
        if line.startswith("Expression '"):
            continue  # PortAudio's own word on a sound server that died
        assert LINE.fullmatch(line) or line.startswith("edge-agent: note: "), line
    assert KEY not in daemon.text
    for name in ("wake_what_time", *CLIPS):
        for word in re.findall(r"[A-Za-z]{6,}", voices.clips()[name].text):
            assert word not in daemon.text
    assert "[agent.fault]" not in daemon.text
    assert "Traceback" not in daemon.text


@dataclass
class Talk:
    """What a spoken talk was on tape and in the journal."""

    tape: measure.Sound
    interrupted: str
    """The journal's line."""
    last_line: str
    crowded: bool
    """A program of it waited for a processor for longer than sound is held ready."""

    @property
    def head(self) -> measure.Likeness:
        """The beginning of the first answer."""
        answer = clip("answer_lisbon")
        return measure.likeness(answer[: round(HEAD_S * measure.COMPARE_RATE_HZ)], self.tape)

    @property
    def next_one(self) -> measure.Likeness:
        """The answer to whom interrupted."""
        return measure.likeness(clip("answer_weather"), self.tape)

    @property
    def whole(self) -> bool:
        """Nothing of what was to be heard is missing."""
        return self.head.begins_whole and self.head.coverage > 0.9 and self.next_one.is_whole


def spoken_talk(pulse: PulseServer, tmp_path: Path) -> Talk:
    """Wake word and question; an answer that is talked over; the answer to that."""
    tmp_path.mkdir()
    play = str(voices.play_path())
    with simulated_server(environment(tmp_path), "--play", play) as (server, url):
        env = settings(tmp_path, url) | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with (
            closing(Manager(tmp_path / "notify")) as manager,
            program("run", env=env) as daemon,
            kept_waiting(pulse.pid, server.process.pid, daemon.process.pid) as waited_s,
            pulse.recording() as tape,
        ):
            started(daemon)
            wait_for(lambda: "WATCHDOG=1" in manager.lines, "the watchdog is fed")
            assert "input_audio_buffer.append" not in server.text
            say("wake_what_time", pulse)
            daemon.wait_for("[talk.answer_started]")
            # Two seconds of our voice show that this microphone does not hear it.
            tape.wait_for_seconds(3.2)
            say("stop_wait", pulse)
            line = daemon.wait_for("[talk.interrupted]")
            server.wait_for("→ conversation.item.truncate")
            server.wait_for("← conversation.item.truncated")
            daemon.wait_for("[talk.answer_done]")
            tape.wait_for_seconds(0.5)
            crowded = waited_s() > CROWDED_S
            assert daemon.end(signal.SIGTERM) == 0
        journal_is_clean(daemon)
        assert manager.lines.count("READY=1") == 1
        told = [line for line in manager.lines if line != "WATCHDOG=1"]  # that goes on to the end
        assert told[-2:] == ["STOPPING=1", "STATUS=stopping"]
    return Talk(tape_sound(tape.pcm), line, daemon.lines[-1], crowded)


def test_a_spoken_talk_with_an_interruption(pulse: PulseServer, tmp_path: Path) -> None:
    for attempt in range(ATTEMPTS):
        talk = spoken_talk(pulse, tmp_path / str(attempt))
        if talk.whole or not talk.crowded:
            break
    head, next_one = talk.head, talk.next_one
    assert head.begins_whole
    assert head.coverage > 0.9
    assert next_one.is_whole
    # The end of the first answer was never heard.
    assert measure.likeness(clip("answer_lisbon"), talk.tape).missing_tail_ms > 500
    # What the model was told agrees with what the loudspeaker got.
    begin, end = (round(at * measure.COMPARE_RATE_HZ) for at in (head.at_s, next_one.at_s))
    loud = np.flatnonzero(np.abs(talk.tape[begin : end - 800]) > 0.003)
    emitted_ms = float(loud[-1]) / measure.COMPARE_RATE_HZ * 1000
    found = re.search(r"; (\d+) ms of the answer", talk.interrupted)
    assert found
    assert abs(int(found[1]) - emitted_ms) < 150
    assert talk.last_line.endswith("[agent.stopped]")


def test_the_sound_server_dies_and_comes_back(pulse: PulseServer, tmp_path: Path) -> None:
    play = str(voices.play_path())
    with (
        simulated_server(environment(tmp_path), "--play", play) as (_server, url),
        program("run", env=settings(tmp_path, url)) as daemon,
    ):
        started(daemon)
        pulse.stop(signal.SIGKILL)
        daemon.wait_for("[device.down]")
        pulse.start()
        daemon.wait_for("[device.ready]", times=2)
        with pulse.recording() as tape:
            tape.wait_for_seconds(1.0)
            say("wake_what_time", pulse)
            daemon.wait_for("[talk.answer_started]")
            tape.wait_for_seconds(HEAD_S + 1.0)
            # In mid-sentence, and by Ctrl-C this time.
            assert daemon.end(signal.SIGINT) == 0
        journal_is_clean(daemon)
        head = clip("answer_lisbon")[: round(HEAD_S * measure.COMPARE_RATE_HZ)]
        assert measure.likeness(head, tape_sound(tape.pcm)).is_whole
        assert daemon.count("[device.down]") == 1


def test_a_microphone_that_is_switched_off_at_the_sound_server_is_told_and_comes_back(
    pulse: PulseServer, tmp_path: Path
) -> None:
    with program("run", env=settings(tmp_path, "ws://127.0.0.1:9/v1/realtime")) as daemon:
        daemon.wait_for("[device.ready]")
        daemon.wait_for("[agent.ready]")
        pulse.pactl("set-source-mute", "mic", "1")
        try:
            assert "(device.switched_off)" in daemon.wait_for("[device.deaf]")
        finally:
            pulse.pactl("set-source-mute", "mic", "0")
        # Something has to be heard: a null sink is as silent as the switch.
        say("wake_what_time", pulse)
        daemon.wait_for("[audio.mic_back]")
        assert daemon.end() == 0
    assert daemon.count("[device.deaf]") == 1
    assert daemon.count("[device.down]") == 0  # the server says why: that is not to be mended


def test_no_sound_server_yet(pulse: PulseServer, tmp_path: Path) -> None:
    pulse.stop()
    with program("run", env=settings(tmp_path, "ws://127.0.0.1:9/v1/realtime")) as daemon:
        daemon.wait_for("[device.down]")
        daemon.wait_for("[agent.ready]")  # being without a card is said, it is no crash
        daemon.wait_for("[link.down]")
        pulse.start()
        daemon.wait_for("[device.ready]")
        wait_for(lambda: daemon.count("[link.down]") >= 2, "another try")
        assert daemon.end() == 0
    journal_is_clean(daemon)


def test_a_muted_speaker_is_no_recorder_for_the_sound_server(
    pulse: PulseServer, tmp_path: Path
) -> None:
    (tmp_path / "state.json").write_text('{"version": 1, "muted": true}')
    play = str(voices.play_path())
    with simulated_server(environment(tmp_path), "--play", play) as (server, url):
        env = settings(tmp_path, url) | {
            "EDGE_AGENT_CONTROL__PATH": str(tmp_path / "control.sock"),
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
        }

        def owner_says(*words: str) -> None:
            with program(*words, env=env) as asked:
                assert asked.end(None) == 0

        with (
            closing(Manager(tmp_path / "notify")) as manager,
            program("run", env=env) as daemon,
        ):
            daemon.wait_for("[device.muted]")
            daemon.wait_for("[link.ready]")
            wait_for(lambda: "WATCHDOG=1" in manager.lines, "the watchdog is fed")
            assert pulse.recorders() == 0
            # The sound server keeps it waiting: it is told, and comes all the same.
            os.kill(pulse.pid, signal.SIGSTOP)
            with program("mute", "off", env=env) as asked:
                daemon.wait_for("(device.silent)")
                os.kill(pulse.pid, signal.SIGCONT)
                assert asked.end(None) == 0
            daemon.wait_for("[device.ready]")
            assert pulse.recorders() == 1
            owner_says("mute", "on")
            wait_for(lambda: pulse.recorders() == 0, "nobody records")
            fed = manager.lines.count("WATCHDOG=1")
            say("wake_what_time", pulse)
            wait_for(lambda: manager.lines.count("WATCHDOG=1") > fed + 2, "it is fed still")
            assert daemon.count("[talk.woken]") == 0
            owner_says("mute", "off")
            daemon.wait_for("[device.ready]", times=2)
            assert "input_audio_buffer.append" not in server.text
            called(daemon, pulse)
            daemon.wait_for("[talk.answer_started]")
            assert daemon.end(signal.SIGTERM) == 0
        journal_is_clean(daemon)
        assert "[watchdog.stalled]" not in daemon.text
