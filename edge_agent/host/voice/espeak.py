"""espeak: sentences spoken by espeak-ng, without any network.

Thread: a worker's or the command line's main one; never the event loop (it waits for a process).
It must never link espeak-ng: it is under the GPL, and is only started as a program.
"""

from __future__ import annotations

import array
import math
import os
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable
from operator import mul
from pathlib import Path

from edge_agent.contract.errors import AgentError
from edge_agent.contract.pcm import WIRE_RATE_HZ

PROGRAM = "espeak-ng"
PLACES = ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "TMPDIR")
"""Where a program may leave something."""
TIMEOUT_S = 30.0
"""A sentence takes some 50 ms; a small board that is busy some 2 s."""
NICENESS_STEPS = 30
"""From the unit file's -11 to the 19 of work that has time; the kernel cuts what is more."""
WORDS_PER_MINUTE = 150
"""Its own 175 is hard to follow from across a room."""
RMS_DBFS = -20.0
"""Where the shipped recordings are, so that one volume fits all."""
PEAK_DBFS = -1.0
TRIM_LEVEL = 180
"""Of 32768, -45 dB: quieter than any phoneme of the engine, louder than its silence."""
MARGIN_MS = 40
"""Breath kept around the words."""
FADE_MS = 5
"""Enough that nothing clicks."""

ResampleFunction = Callable[[bytes, int, int], bytes]
"""PCM16 mono, from Hz, to Hz; `audio.resample` has it, and this room may not import that one."""


class EspeakError(AgentError):
    """It is not installed, or could not speak."""

    code = "espeak.failed"


def is_installed() -> bool:
    """Whether the program is there."""
    return shutil.which(PROGRAM) is not None


class Espeak:
    """Call `speak` with one sentence at a time.

    `wanted` is asked before each: a daemon that stops must not wait for forty sentences.
    """

    def __init__(
        self,
        language: str,
        resample: ResampleFunction,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._language = language
        self._resample = resample
        self._wanted = wanted

    def speak(self, text: str) -> bytes:
        """24 kHz PCM16 mono.  Raises EspeakError."""
        if not self._wanted():
            raise EspeakError("No more sentences are wanted.", code="espeak.stopped")
        if not is_installed():
            raise EspeakError(
                "espeak-ng is not installed, so there is no voice on this machine.",
                fix="Run: sudo apt-get install -y espeak-ng",
                code="espeak.missing",
            )
        with tempfile.TemporaryDirectory() as scratch:
            wav = Path(scratch) / "said.wav"
            # The words on standard input: no text can be taken for an option.
            command = [PROGRAM, "-v", self._language, "-s", str(WORDS_PER_MINUTE), "-b", "1"]
            # Debian 12's looks for a sound server although it writes a file, and leaves a folder
            # in the home and another in /tmp: both go with the scratch.
            places = dict.fromkeys(PLACES, scratch)
            if nice := shutil.which("nice"):  # the daemon's own rank is made for live sound
                command = [nice, "-n", str(NICENESS_STEPS), *command]
            try:
                subprocess.run(  # noqa: S603  (the language comes from our own catalogues)
                    [*command, "-w", str(wav), "--stdin"],
                    input=text.encode(),
                    env={**os.environ, **places},
                    capture_output=True,
                    check=True,
                    timeout=TIMEOUT_S,
                )
            except subprocess.TimeoutExpired:
                raise EspeakError(f"espeak-ng did not end within {TIMEOUT_S:.0f} s.") from None
            except (subprocess.CalledProcessError, OSError):
                raise EspeakError(
                    f'espeak-ng could not speak the language "{self._language}".',
                    fix="See what it knows: espeak-ng --voices",
                ) from None
            try:
                with wave.open(str(wav), "rb") as file:
                    channels, width, rate_hz, frames = file.getparams()[:4]
                    pcm = file.readframes(frames)
            except (OSError, EOFError, wave.Error):  # no file at all where there are no words
                raise EspeakError("espeak-ng was silent.") from None
        if (channels, width) != (1, 2):
            raise EspeakError("espeak-ng made sound of a kind that is not known here.")
        return finish(self._resample(pcm, rate_hz, WIRE_RATE_HZ))


def finish(pcm: bytes) -> bytes:
    """Trimmed, faded and as loud as the shipped recordings: 24 kHz PCM16 mono in and out.

    Raises EspeakError for silence.
    """
    samples = _samples(pcm)
    loud = [i for i, sample in enumerate(samples) if abs(sample) > TRIM_LEVEL]
    if not loud:
        raise EspeakError("espeak-ng was silent.")
    margin = WIRE_RATE_HZ * MARGIN_MS // 1000
    cut = samples[max(0, loud[0] - margin) : loud[-1] + margin]
    rms = math.sqrt(sum(map(mul, cut, cut)) / len(cut)) / 32768
    peak = max(map(abs, cut)) / 32768
    gain = min(10 ** (RMS_DBFS / 20) / rms, 10 ** (PEAK_DBFS / 20) / peak)
    ramp = min(WIRE_RATE_HZ * FADE_MS // 1000, len(cut) // 2)
    levelled = [sample * gain for sample in cut]
    for i in range(ramp):
        levelled[i] *= i / ramp
        levelled[-1 - i] *= i / ramp
    return _pcm(array.array("h", map(round, levelled)))


def _samples(pcm: bytes) -> array.array[int]:
    samples = array.array("h", pcm[: len(pcm) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _pcm(samples: array.array[int]) -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
