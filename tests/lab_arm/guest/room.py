"""The air between loudspeaker and microphone, both of them loopback cards.

Run with the speaker's Python (it needs numpy): takes what the loudspeaker card plays, lets 5 % of
it into the microphone card, adds quiet noise and the clips that are sent to the socket `say`, and
writes how loud the loudspeaker was.  It starts again by itself when a card comes back.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np

RATE_HZ = 48_000
BLOCK = 960
"""20 ms: some kernel ticks."""
LEVEL_EVERY_BLOCKS = 5
ECHO = 0.05
NOISE_RMS = 58.0
"""-55 dBFS: a quiet room."""
AHEAD_BLOCKS = 4
AGAIN_S = 0.5


def clip(path: str) -> np.ndarray:
    """A clip of the product at our rate."""
    with wave.open(path) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        rate_hz = file.getframerate()
    at = np.arange(sound.size * RATE_HZ // rate_hz) * (rate_hz / RATE_HZ)
    return np.asarray(np.interp(at, np.arange(sound.size), sound))


def alsa(program: str, card: str) -> subprocess.Popen[bytes]:
    """`arecord` or `aplay` on our end of a loopback card."""
    form = ["-t", "raw", "-f", "S16_LE", "-r", str(RATE_HZ), "-c", "1"]
    return subprocess.Popen(
        [
            program,
            "-q",
            "-D",
            f"plughw:{card}",
            *form,
            "--buffer-time=120000",
            "--period-time=20000",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def pump(asked: socket.socket, levels: Path, rng: np.random.Generator) -> None:
    """Until a card goes."""
    ear, mouth = alsa("arecord", "Spk,1"), alsa("aplay", "Mic,0")
    try:
        assert ear.stdout is not None
        assert mouth.stdin is not None
        mouth.stdin.write(bytes(BLOCK * 2 * AHEAD_BLOCKS))
        words: np.ndarray = np.zeros(0)
        loud, count = 0.0, 0
        while len(raw := ear.stdout.read(BLOCK * 2)) == BLOCK * 2:
            played = np.frombuffer(raw, dtype="<i2").astype(float)
            loud, count = loud + float(np.mean(played * played)), count + 1
            if count == LEVEL_EVERY_BLOCKS:
                with levels.open("a", encoding="ascii") as file:
                    file.write(f"{time.monotonic():.2f} {(loud / count) ** 0.5:.0f}\n")
                loud, count = 0.0, 0
            with contextlib.suppress(BlockingIOError):
                words = np.concatenate((words, clip(asked.recv(4096).decode())))
            sound = ECHO * played + NOISE_RMS * rng.standard_normal(BLOCK)
            sound[: min(BLOCK, words.size)] += words[:BLOCK]
            words = words[BLOCK:]
            mouth.stdin.write(np.clip(sound, -32768, 32767).astype("<i2").tobytes())
            mouth.stdin.flush()
    except BrokenPipeError:
        pass
    finally:
        for program in (ear, mouth):
            program.kill()
            program.wait()


def main(folder: Path) -> None:
    """Serve until killed."""
    folder.mkdir(parents=True, exist_ok=True)
    levels = folder / "loudspeaker"
    levels.write_text("", encoding="ascii")
    place = folder / "say"
    place.unlink(missing_ok=True)
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    asked.bind(str(place))
    asked.setblocking(False)
    rng = np.random.default_rng(1)
    while True:
        pump(asked, levels, rng)
        time.sleep(AGAIN_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
