"""Style: the colours and words that the picture, the report and the terminal share.

It must never hold layout: each view has its own.
"""

from __future__ import annotations

INK = "#1f2933"
FAINT_INK = "#7b8794"
GRID = "#e4e7eb"
PAPER = "#ffffff"
GOOD = "#2f855a"
BAD = "#c53030"

PEOPLE = "#2b6cb0"
ECHO = "#c3cfdb"
LOUDSPEAKER = "#b7791f"
UP = "#2b6cb0"
DOWN = "#b7791f"
SPAN = "#9b2c2c"

STATES: dict[str, str] = {
    "asleep": "#e4e7eb",
    "listening": "#7fc4d8",
    "thinking": "#8fa8e0",
    "speaking": "#8ccaa0",
    "confirming": "#f0d58c",
    "ready": "#cfe8d5",
    "connecting": "#f5dfb0",
    "down": "#eeb4b4",
    "open": "#e4e7eb",
    "muted": "#eeb4b4",
}
"""Fill of a state's band, light enough for dark words on it."""

TERMINAL: dict[str, str] = {
    "asleep": "dim",
    "listening": "cyan",
    "thinking": "blue",
    "speaking": "green",
    "confirming": "yellow",
    "ready": "green",
    "connecting": "yellow",
    "down": "red",
    "open": "green",
    "muted": "red",
}
"""The same on a terminal, as rich styles."""

LANE_NAMES = {"talk": "talk", "link": "link", "microphone": "mute"}


def figure_text(value: float, unit: str) -> str:
    """A measured value as people read it."""
    if unit == "ms":
        return f"{round(value, 1) + 0.0:.1f} ms" if abs(value) < 9.95 else f"{value:.0f} ms"
    return f"{value:.1f} {unit}"
