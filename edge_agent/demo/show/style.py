"""Style: the colours and words that the picture, the report and the terminal share.

It must never hold layout: each view has its own.
"""

from __future__ import annotations

INK = "#1f2933"
FAINT_INK = "#52606d"
GRID = "#e4e7eb"
PAPER = "#ffffff"
GOOD = "#276749"
BAD = "#c53030"
BUSY = "#8a5a00"

PEOPLE = "#2b6cb0"
ECHO = "#c3cfdb"
LOUDSPEAKER = "#b7791f"
UP = "#2b6cb0"
DOWN = "#b7791f"
SPAN = "#9b2c2c"

LIGHT: dict[str, str] = {
    "ink": INK,
    "faint": FAINT_INK,
    "grid": GRID,
    "paper": PAPER,
    "good": GOOD,
    "bad": BAD,
    "busy": BUSY,
    "people": PEOPLE,
    "echo": ECHO,
    "loudspeaker": LOUDSPEAKER,
    "up": UP,
    "down": DOWN,
    "span": SPAN,
    "wrong": "#fff5f5",
}
"""The page's colours by what they mean, by day."""

DARK: dict[str, str] = {
    "ink": "#e6eaee",
    "faint": "#a9b4bf",
    "grid": "#36424d",
    "paper": "#12181e",
    "good": "#6fcf97",
    "bad": "#ff8f8f",
    "busy": "#f0c060",
    "people": "#7fb7f0",
    "echo": "#4a5a69",
    "loudspeaker": "#d9a14a",
    "up": "#7fb7f0",
    "down": "#d9a14a",
    "span": "#ff9d9d",
    "wrong": "#3a1f22",
}
"""And where the reader's device is dark."""

WORDS = ("ink", "faint", "good", "bad", "busy", "people", "span")
"""Of those, what letters are written in: 4.5 to 1 against the paper at least (WCAG 2.2, 1.4.3)."""

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

VERDICTS: dict[str, str] = {"good": GOOD, "bad": BAD, "busy": BUSY}
"""Colour of an act or an evening by `ActResult.verdict` and `Evening.verdict`."""

LANE_NAMES = {"talk": "talk", "link": "link", "microphone": "mute"}


def figure_text(value: float, unit: str) -> str:
    """A measured value as people read it."""
    if unit == "ms":
        return f"{round(value, 1) + 0.0:.1f} ms" if abs(value) < 9.95 else f"{value:.0f} ms"
    return f"{value:.1f} {unit}"


def fit(text: str, room: float) -> str:
    """The text, or as much of it as `room` letters hold."""
    return text if len(text) <= room else text[: max(0, int(room) - 1)].rstrip() + "…"
