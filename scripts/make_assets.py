#!/usr/bin/env python3
"""Make the spoken clips of `edge_agent/simulation/assets` again.

Thread: a person at a desk.  It must never run on a device or in the test suite: it needs `flite`
and `espeak-ng` (Debian packages of these names) and `pymicro-wakeword`.  Texts, voices and rates
stand in `assets/texts.toml`; a clip whose wake word is not heard safely is refused.

    python scripts/make_assets.py           # all clips
    python scripts/make_assets.py thanks    # these only
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
import wave
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from lab.wake_check import wake_score  # noqa: E402

from edge_agent.simulation.sound import acoustics  # noqa: E402

ASSETS = ROOT / "edge_agent" / "simulation" / "assets"

LEVEL_DBFS = -23.0
"""Active level of every clip: a voice at arm's length, 10 dB under where peaks would clip."""

EDGE_S = 0.03
"""Silence kept at both ends, faded: no click, and the first syllable begins at a known place."""

TRIM_DB = -40.0
"""What the synthesiser leaves before and after the words lies below this, from the peak."""

CUTOFF_MARGIN = 0.02
"""How far a wake score must lie over the model's own cut-off in every condition."""

NOISE_DB = 20.0
"""Ratio of voice to pink noise in the noisy condition."""


def synthesise(voice: str, speed: float, text: str, rate_hz: int) -> acoustics.Sound:
    """Speak `text` with `flite:<voice>` or `espeak:<voice>`; speed 1 is the voice's own."""
    engine, _, name = voice.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        if engine == "flite":
            stretch = f"duration_stretch={1 / speed:.3f}"
            command = ["flite", "-voice", name, "--setf", stretch, "-t", text, "-o", str(path)]
        else:
            command = ["espeak-ng", "-v", name, "-s", f"{165 * speed:.0f}", "-w", str(path), text]
        if shutil.which(command[0]) is None:
            sys.exit(f"{command[0]} is missing: apt install {command[0]}")
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(path)) as file:
            own_hz = file.getframerate()
            sound = acoustics.from_pcm(file.readframes(file.getnframes()))
    return finish(acoustics.resample(sound, own_hz, rate_hz), rate_hz)


def finish(sound: acoustics.Sound, rate_hz: int) -> acoustics.Sound:
    """Trim, fade and bring to `LEVEL_DBFS`."""
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max() * acoustics.gain(TRIM_DB))
    edge = round(EDGE_S * rate_hz)
    sound = np.pad(sound, edge)[loud[0] : loud[-1] + 1 + 2 * edge]
    ramp = np.linspace(0, 1, edge, dtype=np.float32)
    sound[:edge] *= ramp
    sound[-edge:] *= ramp[::-1]
    louder_db = LEVEL_DBFS - acoustics.active_level_dbfs(sound, rate_hz)
    return (sound * acoustics.gain(louder_db)).astype(np.float32)


def refuse_unsafe_wake(name: str, clip: dict[str, Any], sound: acoustics.Sound) -> None:
    """Exit if the wake word is not heard safely, clean, quiet, loud and in noise."""
    rate_hz = int(clip["rate_hz"])
    noise = acoustics.pink_noise(rate_hz, 7, 20.0)[: len(sound)]
    noise = noise * acoustics.gain(LEVEL_DBFS - NOISE_DB)
    conditions = {
        "clean": sound,
        "-12 dB": sound * acoustics.gain(-12),
        "+6 dB": sound * acoustics.gain(6),
        "pink noise at 20 dB": sound + noise,
    }
    for what, heard in conditions.items():
        # The clip may begin anywhere in the model's stride of 30 ms.
        for shift_ms in (0, 10, 20):
            score, cutoff = wake_score(
                acoustics.to_pcm(heard), rate_hz, clip["wakes"], lead_ms=1000 + shift_ms
            )
            print(f"    {clip['wakes']} {what} +{shift_ms} ms: {score:.3f} (cut-off {cutoff})")
            if score <= cutoff + min(CUTOFF_MARGIN, (1 - cutoff) / 2):
                sys.exit(f"{name}: the wake word is not heard safely; choose another voice.")


def main() -> None:
    """Make the clips named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    wanted = parser.parse_args().names
    clips = tomllib.loads((ASSETS / "texts.toml").read_text(encoding="utf-8"))
    total_bytes = 0
    for name, clip in clips.items():
        path = ASSETS / f"{name}.wav"
        if not wanted or name in wanted:
            rate_hz = int(clip["rate_hz"])
            spoken = clip.get("spoken", clip["text"])
            sound = synthesise(clip["voice"], float(clip.get("speed", 1.0)), spoken, rate_hz)
            print(f"{name}: {len(sound) / rate_hz:.2f} s")
            if "wakes" in clip:
                refuse_unsafe_wake(name, clip, sound)
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(rate_hz)
                file.writeframes(acoustics.to_pcm(sound).tobytes())
        total_bytes += path.stat().st_size
    print(f"{len(clips)} clips, {total_bytes / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
