"""The shipped clips of speech, by name.

It must never need numpy or a file outside the package.  What each clip says stands in
`assets/texts.toml`; how they were made and their licence in `assets/README.md`.
"""

from __future__ import annotations

import io
import tomllib
import wave
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

_ASSETS = files("edge_agent.simulation") / "assets"


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip's entry in `texts.toml`."""

    name: str
    role: str  # household · answer
    text: str
    voice: str
    rate_hz: int
    wakes: str = ""


def clips() -> dict[str, Clip]:
    """All clips that are shipped, by name."""
    raw = tomllib.loads((_ASSETS / "texts.toml").read_text(encoding="utf-8"))
    return {
        name: Clip(
            name,
            entry["role"],
            entry["text"],
            entry["voice"],
            entry["rate_hz"],
            entry.get("wakes", ""),
        )
        for name, entry in raw.items()
    }


def load(name: str) -> tuple[int, bytes]:
    """`(rate in Hz, PCM16 mono)` of a clip.  Raises `KeyError` for an unknown name.

    Hand both to `Room.say(pcm, rate_hz)`.
    """
    resource = _ASSETS / f"{name}.wav"
    if not resource.is_file():
        raise KeyError(f"There is no clip '{name}'; there are: {', '.join(sorted(clips()))}.")
    with wave.open(io.BytesIO(resource.read_bytes())) as file:
        return file.getframerate(), file.readframes(file.getnframes())


def play_path(name: str = "household") -> Path:
    """Path of a shipped play for `brains.load_play`.  Raises `KeyError` for an unknown name."""
    path = Path(str(_ASSETS / "plays" / f"{name}.toml"))
    if not path.is_file():
        raise KeyError(f"There is no play '{name}'.")
    return path
