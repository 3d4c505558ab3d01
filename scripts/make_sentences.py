#!/usr/bin/env python3
"""Speak the sentences of a voice pack into WAV files.

Thread: one, run by hand after a text was changed.  It must never need the network.  Uses flite
(`apt-get install flite`).  Run: `.venv/bin/python scripts/make_sentences.py`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
import wave
from pathlib import Path

import numpy as np

PACK = Path(__file__).parents[1] / "edge_agent" / "host" / "voice" / "voice_pack"
RATE_HZ = 24_000
RMS_DBFS = -20.0  # about where speech services put their voices, so that both sound equally loud
PEAK_DBFS = -1.0
TRIM_DBFS = -45.0  # quieter than any phoneme of the engine, louder than its silence
MARGIN_MS = 40  # breath kept around the words
FADE_MS = 5


def read(path: Path) -> tuple[np.ndarray, int]:
    """Samples in -1 … 1 and their rate."""
    with wave.open(str(path), "rb") as file:
        assert file.getparams()[:2] == (1, 2)
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return pcm / 32768.0, file.getframerate()


def resample(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """To 24 kHz by padding the spectrum: exact, and a sentence is short enough."""
    length = round(len(samples) * RATE_HZ / rate_hz)
    spectrum = np.fft.rfft(samples)
    wanted = np.zeros(length // 2 + 1, dtype=complex)
    shared = min(len(spectrum), len(wanted))
    wanted[:shared] = spectrum[:shared]
    return np.fft.irfft(wanted, length) * (length / len(samples))


def trim(samples: np.ndarray) -> np.ndarray:
    """Without the silence before and after."""
    loud = np.flatnonzero(np.abs(samples) > 10 ** (TRIM_DBFS / 20))
    margin = RATE_HZ * MARGIN_MS // 1000
    cut = samples[max(0, loud[0] - margin) : loud[-1] + margin].copy()
    ramp = np.linspace(0, 1, RATE_HZ * FADE_MS // 1000)
    cut[: len(ramp)] *= ramp
    cut[-len(ramp) :] *= ramp[::-1]
    return cut


def level(samples: np.ndarray) -> np.ndarray:
    """At the wanted loudness, or as near as the peaks allow."""
    gain = 10 ** (RMS_DBFS / 20) / np.sqrt(np.mean(samples**2))
    return samples * float(min(gain, 10 ** (PEAK_DBFS / 20) / np.max(np.abs(samples))))


def main() -> int:
    """Make every recording of every pack that flite can speak."""
    if shutil.which("flite") is None:
        print("flite is missing; run: sudo apt-get install -y flite", file=sys.stderr)
        return 69
    for catalogue in sorted(PACK.glob("*.toml")):
        tree = tomllib.loads(catalogue.read_text(encoding="utf-8"))
        if tree["pack"]["engine"] != "flite":
            print(f"{catalogue.name}: comes without recordings (edge-agent voice-pack build)")
            continue
        folder = PACK / catalogue.stem
        folder.mkdir(exist_ok=True)
        for stale in folder.glob("*.wav"):
            if stale.stem not in tree["text"]:
                stale.unlink()
        for name, text in tree["text"].items():
            with tempfile.TemporaryDirectory() as scratch:
                raw = Path(scratch) / "raw.wav"
                subprocess.run(
                    ["flite", "-voice", tree["pack"]["voice"], "-t", text, "-o", str(raw)],
                    check=True,
                )
                samples = level(trim(resample(*read(raw))))
            with wave.open(str(folder / f"{name}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE_HZ)
                file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
            rms_dbfs = 20 * np.log10(np.sqrt(np.mean(samples**2)))
            print(f"{name:18} {len(samples) / RATE_HZ:5.2f} s {rms_dbfs:6.1f} dBFS  {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
