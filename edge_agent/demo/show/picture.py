"""The picture: the evening as one PNG time line.

It must never import matplotlib but inside a function: it is an extra, and a demo without it only
lacks this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.demo.evening import LANES, WIRE_STEP_S, Evening, envelope, spoken
from edge_agent.demo.show import style

STRIP_S = 24.0
"""Most seconds per strip: a tenth of a second and the words of an act can still be read."""

DPI = 110
WIDTH_IN = 19.0
STRIP_HEIGHT_IN = 4.7
ROWS = (
    ("acts", 0.75),
    ("microphone", 1.5),
    ("loudspeaker", 1.4),
    ("measured", 0.7),
    ("states", 1.0),
    ("wire", 1.3),
)
LEVELS = 3
"""Lines for measured spans; what begins while another one's words go on takes the next."""
CHAR_S = 0.095
"""About how long a letter is, in seconds of the time line."""
LETTER_S = 0.082
"""The same for what was said, which is smaller."""

HEADROOM = 1.15


def draw_picture(evening: Evening, path: Path) -> bool:
    """Write the PNG; False where matplotlib is not installed (the extra `demo`)."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    strips = max(1, int(np.ceil(evening.length_s / STRIP_S)))
    strip_s = evening.length_s / strips
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 8, "axes.linewidth": 0.6}):
        figure = plt.figure(
            figsize=(WIDTH_IN, 1.1 + STRIP_HEIGHT_IN * strips), dpi=DPI, facecolor=style.PAPER
        )
        outer = figure.add_gridspec(
            strips,
            1,
            left=0.06,
            right=0.985,
            hspace=0.16,
            top=1 - 0.95 / figure.get_figheight(),
            bottom=0.45 / figure.get_figheight(),
        )
        _headline(figure, evening)
        for n in range(strips):
            inner = outer[n].subgridspec(len(ROWS), 1, height_ratios=[h for _, h in ROWS], hspace=0)
            _strip(figure, inner, evening, n * strip_s, (n + 1) * strip_s)
        figure.savefig(path, facecolor=style.PAPER)
        plt.close(figure)
    return True


def _headline(figure: Any, evening: Evening) -> None:
    top = 1 - 0.30 / figure.get_figheight()
    figure.text(
        0.06,
        top,
        "edge-agent: an evening with the speaker",
        fontsize=15,
        color=style.INK,
        weight="bold",
        va="center",
    )
    figure.text(
        0.985,
        top,
        evening.summary,
        fontsize=12,
        ha="right",
        va="center",
        weight="bold",
        color=style.VERDICTS[evening.verdict],
    )
    figure.text(
        0.06,
        1 - 0.62 / figure.get_figheight(),
        f"{evening.mode} · {evening.length_s:.0f} s · blue: people at the microphone, grey: our "
        "own voice there · ochre: the loudspeaker · red spans: measured latencies",
        fontsize=8.5,
        color=style.FAINT_INK,
        va="center",
    )


def _strip(figure: Any, grid: Any, evening: Evening, begin: float, end: float) -> None:
    axes: dict[str, Any] = {}
    for index, (name, _height) in enumerate(ROWS):
        axis = figure.add_subplot(grid[index])
        axis.set_xlim(begin, end)
        axis.set_yticks([])
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
        axis.spines["bottom"].set_color(style.GRID)
        axis.set_xticks(np.arange(np.ceil(begin), end + 1e-6, 1.0))
        axis.tick_params(axis="x", length=0, labelbottom=False)
        if name != "acts":
            axis.grid(axis="x", color=style.GRID, linewidth=0.6)
            axis.set_axisbelow(True)
        axes[name] = axis
    bottom = axes["wire"]
    bottom.tick_params(axis="x", length=2, labelbottom=True, colors=style.FAINT_INK)
    bottom.set_xticklabels([f"{t:.0f} s" for t in bottom.get_xticks()])
    _acts(axes["acts"], evening, begin, end)
    _waves(axes["microphone"], axes["loudspeaker"], evening, begin, end)
    _states(axes["states"], evening, begin, end)
    _wire(axes["wire"], evening, begin, end)
    _spans(axes["measured"], evening, begin, end)
    _marks(axes, evening, begin, end)


def _name(axis: Any, text: str, y: float = 0.5) -> None:
    axis.text(
        -0.006,
        y,
        text,
        transform=axis.transAxes,
        ha="right",
        va="center",
        color=style.INK,
        fontsize=8.5,
    )


def _acts(axis: Any, evening: Evening, begin: float, end: float) -> None:
    axis.set_ylim(0, 1)
    for act in evening.acts:
        low, high = max(act.begin, begin), min(act.end, end)
        if not act.played or high - low < 0.05:
            continue
        colour = style.VERDICTS[act.verdict]
        axis.add_patch(_box(low, 0.12, high - low, 0.7, facecolor=colour, alpha=0.12))
        axis.plot([low, low], [0.12, 0.82], color=colour, linewidth=1.6)
        room = int((high - low) * 8.4)
        words = f"{act.number}  {act.title}"
        words = words if len(words) <= room else words[: max(0, room - 1)].rstrip() + "…"
        if room > 4:
            axis.text(
                low + 0.1,
                0.47,
                words,
                va="center",
                fontsize=8.5,
                color=style.INK,
                weight="bold",
                clip_on=True,
            )


def _box(x: float, y: float, width: float, height: float, **look: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, linewidth=0, **look)


def _waves(mic: Any, speaker: Any, evening: Evening, begin: float, end: float) -> None:
    columns = 2400
    first, last = (round(t * evening.rate_hz) for t in (begin, end))

    def shape(samples: Any) -> tuple[Any, Any, Any]:
        piece = samples[first:last]
        share = len(piece) / max(1, last - first)
        count = max(1, int(columns * share))
        low, high = envelope(piece, count)
        return np.linspace(begin, begin + (end - begin) * share, count), low, high

    for axis, tracks in (
        (mic, ((evening.microphone, style.ECHO), (evening.people, style.PEOPLE))),
        (speaker, ((evening.loudspeaker, style.LOUDSPEAKER),)),
    ):
        # One scale for the whole row, so that strips can be compared.
        loudest = max(float(np.max(np.abs(t.astype(np.int32)), initial=1)) for t, _ in tracks)
        scale = HEADROOM * loudest / 32768
        axis.set_ylim(-scale, scale)
        for samples, colour in tracks:
            at, low, high = shape(samples)
            axis.fill_between(at, low, high, color=colour, linewidth=0.3)
    _name(mic, "microphone")
    _name(speaker, "loudspeaker")


def _states(axis: Any, evening: Evening, begin: float, end: float) -> None:
    axis.set_ylim(0, len(LANES))
    for row, lane in enumerate(LANES):
        y = len(LANES) - 1 - row
        _name(axis, style.LANE_NAMES[lane], (y + 0.5) / len(LANES))
        for band in evening.lanes.get(lane, []):
            low, high = max(band.begin, begin), min(band.end, end)
            if high <= low:
                continue
            fill = style.STATES.get(band.state, style.GRID)
            axis.add_patch(_box(low, y + 0.08, high - low, 0.84, facecolor=fill))
            if high - low > 0.07 * len(band.state):
                axis.text(
                    low + 0.08, y + 0.48, band.state, va="center", fontsize=7.5, color=style.INK
                )


def _wire(axis: Any, evening: Evening, begin: float, end: float) -> None:
    steps = evening.traffic / WIRE_STEP_S / 1000
    at = np.arange(len(steps)) * WIRE_STEP_S
    peak = max(float(np.max(steps, initial=1.0)), 1.0)
    axis.set_ylim(-1.25, 1.25)
    up, down = np.sqrt(steps[:, 0] / peak), np.sqrt(steps[:, 1] / peak)
    axis.fill_between(at, 0, up * 0.75, step="post", color=style.UP, alpha=0.35, linewidth=0)
    axis.fill_between(at, 0, -down * 0.75, step="post", color=style.DOWN, alpha=0.35, linewidth=0)
    axis.axhline(0, color=style.FAINT_INK, linewidth=0.5)
    _name(axis, "wire, up ↑", 0.72)
    _name(axis, "down ↓", 0.28)
    free_from = {"up": -1.0, "down": -1.0}
    for event in sorted(evening.wire_events, key=lambda e: e.at):
        if not begin <= event.at < end:
            continue
        side = 1.0 if event.kind == "up" else -1.0
        axis.plot(
            [event.at] * 2,
            [0, side * 0.8],
            linewidth=0.9,
            color=style.UP if event.kind == "up" else style.DOWN,
        )
        crowded = event.at < free_from[event.kind]
        axis.text(
            event.at + 0.04,
            side * (0.62 if crowded else 0.98),
            event.text,
            fontsize=7,
            va="center",
            color=style.INK,
            clip_on=True,
        )
        free_from[event.kind] = event.at + 0.085 * len(event.text) + 0.1


def _spans(axis: Any, evening: Evening, begin: float, end: float) -> None:
    """Measured latencies, each as a bracket with its words behind it."""
    axis.set_ylim(0, LEVELS)
    axis.grid(visible=False)
    _name(axis, "measured", 0.62)
    free_from = [-1.0] * LEVELS
    for _number, figure in evening.figures:
        if figure.begin is None or figure.end is None or not begin <= figure.begin < end:
            continue
        text = f"{figure.name}: {style.figure_text(figure.value, figure.unit)}"
        length_s = CHAR_S * len(text)
        backwards = figure.end + length_s > end + 0.5
        low = figure.begin - length_s if backwards else figure.begin
        level = next((n for n, free in enumerate(free_from) if low > free), LEVELS - 1)
        y = LEVELS - 0.5 - level
        for x in (figure.begin, figure.end):
            axis.plot([x, x], [y - 0.28, y + 0.28], color=style.SPAN, linewidth=1)
        axis.plot([figure.begin, figure.end], [y, y], color=style.SPAN, linewidth=1.6)
        axis.text(
            figure.begin - 0.08 if backwards else figure.end + 0.08,
            y - 0.04,
            text,
            fontsize=7.5,
            color=style.SPAN,
            va="center",
            ha="right" if backwards else "left",
        )
        free_from[level] = figure.end if backwards else figure.end + length_s


def _marks(axes: dict[str, Any], evening: Evening, begin: float, end: float) -> None:
    """What people did: words under the microphone's row, lines through everything else."""
    for moment, room_s in spoken(evening):
        if not begin <= moment.at < end:
            continue
        row = axes["microphone" if moment.kind == "says" else "loudspeaker"]
        row.text(
            moment.at,
            row.get_ylim()[0] * 0.86,
            style.fit(f"“{moment.text}”", min(room_s, end - moment.at) / LETTER_S),
            fontsize=7.5,
            style="italic",
            color=style.PEOPLE if moment.kind == "says" else style.INK,
            va="center",
            clip_on=True,
        )
    mic = axes["microphone"]
    low = mic.get_ylim()[0]
    for moment in evening.moments:
        if not begin <= moment.at < end or moment.kind in ("act", "says", "answers"):
            continue
        for name in ("microphone", "loudspeaker", "measured", "states", "wire"):
            axes[name].axvline(moment.at, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)))
        backwards = moment.at + CHAR_S * len(moment.text) > end
        mic.text(
            moment.at - 0.06 if backwards else moment.at + 0.06,
            -low * 0.84,
            moment.text,
            ha="right" if backwards else "left",
            fontsize=7.5,
            color=style.INK,
            va="center",
            weight="bold",
            bbox={"facecolor": style.PAPER, "alpha": 0.75, "pad": 0.8, "linewidth": 0},
        )
