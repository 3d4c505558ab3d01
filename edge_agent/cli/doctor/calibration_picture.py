"""The picture of a calibration: the room's impulse response, and its echo by frequency.

Call `draw` with what `app.sound.check.calibrated` told, series included.

Thread: main.  It must never import matplotlib but inside a function: it is an extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIZE_IN, DPI = (9.0, 6.5), 110
SHOWN_DB = 60.0
"""Below the strongest: what lies deeper is noise."""
INK, BAR, MARK = "#1f2933", "#2b6cb0", "#c53030"


def draw(found: Mapping[str, Any], path: Path) -> bool:
    """Write the PNG; False where matplotlib is not installed (the extra `demo`)."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    impulse, thirds = found["impulse_db"], found["thirds_db"]
    times = [found["impulse_from_ms"] + number for number in range(len(impulse))]
    figure, (above, below) = plt.subplots(2, 1, figsize=SIZE_IN, dpi=DPI, layout="constrained")
    above.fill_between(times, impulse, min(impulse), step="post", color=BAR, alpha=0.6, lw=0)
    above.axvline(found["delay_ms"], color=MARK, lw=1)
    above.set_ylim(max(impulse) - SHOWN_DB, max(impulse) + 5)
    above.set_xlim(times[0], times[-1])
    above.set_xlabel("ms after the time at which it should be audible")
    above.set_ylabel("dB against what was played")
    above.set_title(
        f"Impulse response: echo {found['delay_ms']:.1f} ms late, {found['echo_db']:+.1f} dB",
        color=INK,
        loc="left",
    )
    places = list(range(len(thirds)))
    bottom = min(thirds) - 5
    below.bar(places, [one - bottom for one in thirds], bottom=bottom, color=BAR, alpha=0.6)
    below.set_xticks(places, [str(hz) for hz in found["thirds_hz"]])
    below.set_xlabel("Hz, thirds of an octave")
    below.set_ylabel("dB against what was played")
    below.set_title(f"Spectrum of the echo: {found['cards']}", color=INK, loc="left")
    for axis in (above, below):
        axis.grid(visible=True, alpha=0.3)
    try:
        figure.savefig(path, format="png")
    finally:
        plt.close(figure)
    return True
