"""Our voice through a real sound server whose clocks drift and whose loudspeaker is late.

    scripts/lab.sh --pulse [--minutes 2] [CONDITION ...]

PyAudio, the echo canceller and `BargeIn` as the daemon wires them, but for the hold-off after an
answer's start; only the room is made up: a program of its own takes what PulseAudio's loudspeaker
gets, adds echo, noise and people, and feeds PulseAudio's microphone through a named pipe.  A pipe
runs at the pace of its writer, so the microphone may run some ppm faster than the loudspeaker; and
time stamps do not include the delay that the room adds, as with a Bluetooth or HDMI loudspeaker.

Needs pulseaudio, pulseaudio-utils, libasound2-plugins, two quiet cores and real time, which is why
it is no test of the suite.  Prints a row for each condition: false cuts, people heard, how soon.
The exit code is 1 if the speaker cut itself with nobody talking, or heard fewer than four people in
five.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent), str(TESTS / "audio")]

from pulse import RATE_HZ, PulseServer, alone, prepare_environment, real_time_priority  # noqa: E402
from synthetic import clip, echo_path  # noqa: E402

from edge_agent.contract.events import HeardFrame  # noqa: E402

BLOCK = RATE_HZ // 100
CHUNK = 2 * BLOCK
"""The room works on 20 ms at once."""
TAPS = RATE_HZ // 4
NOISE = 12.0
"""LSB: a quiet room."""
ECHO_GAIN = 0.25
"""The echo against what was played: -12 dB."""
ANSWERS = ("answer_lisbon", "answer_weather")
PEOPLE = ("stop_wait", "wake_what_time")
FIRST_PERSON_S = 14.0
PERSON_EVERY_S = 9.0
PERSON_S = 1.2
HEARD_WITHIN_S = 1.5
EXCUSED_S = 0.6
"""After a person's last word a detector may still believe in one."""
PAUSE_S = 0.1
"""Between two answers: shorter than the tail, so that a person always comes over our voice."""
ENOUGH = 0.8
"""Of the people, who come 0 to 6 dB over the echo's mean."""


@dataclass(frozen=True)
class Condition:
    """What is wrong with the sound's way."""

    ppm: float = 0.0
    """How much faster the microphone's clock runs than the loudspeaker's."""
    late_ms: float = 0.0
    """What the loudspeaker holds back and tells nobody."""
    jump_ms: float = 0.0
    """By how much more half-way through: a loudspeaker that connects anew."""


CONDITIONS = {
    "plain": Condition(),
    "drift +200 ppm": Condition(ppm=200.0),
    "drift -200 ppm": Condition(ppm=-200.0),
    "80 ms late": Condition(late_ms=80.0),
    "250 ms late, drift +200 ppm": Condition(late_ms=250.0, ppm=200.0),
    "jump of 60 ms": Condition(jump_ms=60.0),
}

# ------------------------------------------------------------------------------------- the room


class Room:
    """What the microphone hears of what was played, chunk by chunk, at the microphone's pace."""

    def __init__(self, condition: Condition, seconds: float) -> None:
        self._condition = condition
        self._seconds = seconds
        self._size = 1 << (TAPS + CHUNK - 1).bit_length()
        path = echo_path(RATE_HZ, 1.0, seed=7)[:TAPS] * ECHO_GAIN
        self._path = np.fft.rfft(path, self._size)
        self._overlap = np.zeros(self._size)
        self._rng = np.random.default_rng(1)
        self._held = np.zeros(round(condition.late_ms * RATE_HZ / 1000))
        self._jumped = not condition.jump_ms
        self._people = [clip(name, RATE_HZ) for name in PEOPLE]
        self._next_s = FIRST_PERSON_S
        self._speaking = np.zeros(0)
        self._at_s = 0.0
        self._phase, self._last = 0.0, 0.0
        self.onsets: list[float] = []
        """When somebody began to speak, by the machine's clock."""

    def hear(self, played: np.ndarray) -> np.ndarray:
        """The next chunk of the microphone, some samples more or less than was played."""
        if not self._jumped and self._at_s > self._seconds / 2:
            more = np.zeros(round(self._condition.jump_ms * RATE_HZ / 1000))
            self._held, self._jumped = np.concatenate((self._held, more)), True
        late = np.concatenate((self._held, played))
        played, self._held = late[: len(played)], late[len(played) :]
        spectrum = np.fft.rfft(played, self._size) * self._path
        self._overlap = np.concatenate((self._overlap[CHUNK:], np.zeros(CHUNK)))
        self._overlap += np.fft.irfft(spectrum, self._size)
        heard = self._overlap[:CHUNK] + self._rng.normal(0, NOISE, CHUNK) + self._person()
        self._at_s += CHUNK / RATE_HZ
        return self._at_its_pace(heard)

    def _person(self) -> np.ndarray:
        if self._at_s >= self._next_s:
            said = self._people[len(self.onsets) % len(self._people)]
            said = said[int(np.argmax(np.abs(said) > 300)) :][: round(PERSON_S * RATE_HZ)]
            self._speaking = said * 0.5
            self.onsets.append(time.monotonic())
            self._next_s += PERSON_EVERY_S
        now, self._speaking = self._speaking[:CHUNK], self._speaking[CHUNK:]
        return np.pad(now, (0, CHUNK - len(now)))

    def _at_its_pace(self, heard: np.ndarray) -> np.ndarray:
        step = 1 / (1 + self._condition.ppm * 1e-6)
        line = np.concatenate(([self._last], heard))
        at = np.arange(self._phase, CHUNK, step)
        self._phase = at[-1] + step - CHUNK
        self._last = heard[-1]
        return np.asarray(np.interp(at, np.arange(CHUNK + 1), line))


def be_the_room(name: str, seconds: float, pipe: str) -> None:
    """The room's program: ends after so many seconds of sound, prints when people spoke."""
    room = Room(CONDITIONS[name], seconds)
    command = ["parec", "--device=spk.monitor", "--raw", "--format=s16le", "--channels=1"]
    command += [f"--rate={RATE_HZ}", "--latency-msec=20"]
    with (
        real_time_priority(),
        subprocess.Popen(command, stdout=subprocess.PIPE) as recorder,
        Path(pipe).open("wb", buffering=0) as microphone,
    ):
        assert recorder.stdout is not None
        for _ in range(round(seconds * RATE_HZ / CHUNK)):
            played = np.frombuffer(recorder.stdout.read(2 * CHUNK), "<i2").astype(np.float64)
            heard = np.clip(np.rint(room.hear(played)), -32768, 32767)
            microphone.write(heard.astype("<i2").tobytes())
        recorder.terminate()
    sys.stdout.write(json.dumps(room.onsets))


# ---------------------------------------------------------------------------------- the speaker


def answers() -> Iterator[bytes]:
    """Our voice for ever, in blocks of the loudspeaker."""
    number = 0
    while True:
        said = clip(ANSWERS[number % len(ANSWERS)], RATE_HZ)
        whole = np.concatenate((said, np.zeros(round(PAUSE_S * RATE_HZ))))
        pcm = np.clip(np.rint(whole), -32768, 32767).astype("<i2").tobytes()
        for start in range(0, len(pcm) - 2 * BLOCK, 2 * BLOCK):
            yield pcm[start : start + 2 * BLOCK]
        number += 1


class Speaker:
    """Device, canceller and decision; counts when it would have cut itself."""

    def __init__(self) -> None:
        from edge_agent.audio.cancel.reference import ReferenceTrack
        from edge_agent.audio.detectors import VoiceDetector
        from edge_agent.audio.device.portaudio import PortAudioDevice
        from edge_agent.audio.front_end import FrontEnd
        from edge_agent.dialogue.barge_in import BargeIn
        from edge_agent.host.settings.root import Settings

        settings = Settings()
        section = settings.barge_in
        self.cuts: list[float] = []
        self.found_s = -1.0
        self._voice, self._left = answers(), b""
        self._barge_in = BargeIn(section.window_frames, section.speech_frames, 0)
        self._device = PortAudioDevice(block_ms=10)
        self._reference = ReferenceTrack(RATE_HZ, tail_s=settings.echo.tail_ms / 1000)
        self.front = FrontEnd(
            self._heard,
            wake=None,
            voice=VoiceDetector(settings.listen.vad_mode),
            reference=self._reference,
            echo=settings.echo.mode,
            sensitivity=settings.barge_in.sensitivity,
        )
        self.front.load()

    def _heard(self, frame: HeardFrame) -> None:
        if self.found_s < 0 and self.front.echo == "found":
            self.found_s = self.front.playback_frames / 100
        # As the daemon: an answer's pauses can be cut as well.
        if self.front.playback_frames and self._barge_in.hear(frame):
            self.cuts.append(time.monotonic())

    def _render(self, frames: int, at: float) -> bytes:
        while len(self._left) < 2 * frames:
            self._left += next(self._voice)
        block, self._left = self._left[: 2 * frames], self._left[2 * frames :]
        self._reference.write(block, at)
        return block

    def run(self, until: threading.Event) -> None:
        """Talk until it is time."""
        self._reference.restart(RATE_HZ)
        info = self._device.open(self.front.on_capture, self._render)
        assert info.render_rate_hz == RATE_HZ
        self.front.start(info.capture_rate_hz)
        until.wait()
        self._device.close()
        self.front.stop()


def judged(cuts: list[float], onsets: list[float]) -> tuple[int, list[float]]:
    """False cuts, a second or more apart, and after how many ms people were heard."""
    false, last = 0, 0.0
    for cut in cuts:
        excused = any(o - 0.05 <= cut <= o + PERSON_S + EXCUSED_S for o in onsets)
        if not excused and cut - last > 1.0:
            false += 1
        last = cut
    waits = [min((c - o for c in cuts if o <= c), default=99.0) for o in onsets]
    return false, [1000 * wait for wait in waits if wait <= HEARD_WITHIN_S]


def measured(pulse: PulseServer, name: str, minutes: float, folder: Path) -> dict[str, Any]:
    """One condition."""
    pipe = folder / "room"
    module = pulse.pactl(
        "load-module",
        "module-pipe-source",
        *("source_name=room", f"file={pipe}", f"rate={RATE_HZ}", "channels=1", "format=s16le"),
    ).strip()
    pulse.pactl("set-default-source", "room")
    command = [sys.executable, __file__, "--room", name, str(60 * minutes), str(pipe)]
    over = threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as room:
        speaker = Speaker()
        talking = threading.Thread(target=speaker.run, args=(over,))
        talking.start()
        told, _ = room.communicate()
        over.set()
        talking.join()
    pulse.pactl("unload-module", module)
    onsets = json.loads(told)
    false, waits = judged(speaker.cuts, onsets)
    return {
        "condition": name,
        "minutes": minutes,
        "false cuts": false,
        "people": len(onsets),
        "heard": len(waits),
        "median ms": round(float(np.median(waits))) if waits else None,
        "echo": speaker.front.echo,
        "found after s of our voice": round(speaker.found_s, 1),
        "dropped blocks": speaker.front.blocks_dropped,
    }


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Our voice through a real sound server.")
    parser.add_argument("conditions", nargs="*", metavar="CONDITION", help=", ".join(CONDITIONS))
    parser.add_argument("--minutes", type=float, default=2.0)
    given = parser.parse_args()
    bad = 0
    with alone():
        folder = prepare_environment()
        pulse = PulseServer(folder)
        pulse.start()
        try:
            for name in given.conditions or CONDITIONS:
                row = measured(pulse, name, given.minutes, folder)
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()
                bad += row["false cuts"] > 0 or row["heard"] < ENOUGH * row["people"]
        finally:
            pulse.stop()
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--room"]:
        be_the_room(sys.argv[2], float(sys.argv[3]), sys.argv[4])
    else:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        sys.exit(main())
