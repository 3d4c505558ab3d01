"""The report: the evening as one HTML file that needs nothing else.

It must never refer to anything outside the file: the drawing is inline SVG, the sound is inside it,
and a browser without network shows it whole.
"""

from __future__ import annotations

import base64
import html
import io
import string
import wave
from importlib.resources import files

import numpy as np

from edge_agent.demo.evening import LANES, WIRE_STEP_S, Evening, Samples, envelope, spoken
from edge_agent.demo.judge.verdict import ActResult, Check
from edge_agent.demo.show import style
from edge_agent.simulation.sound import acoustics

PX_PER_S = 62.0
"""Wide enough to read words on half a second; the page scrolls sideways."""

TAIL_PX = 90.0
"""Room for the label of something that happens in the last moment."""

LISTEN_RATE_HZ = 16_000
"""The sound inside the page: speech loses nothing one would notice, the file a third."""

COLUMNS_PER_PX = 1.0
LETTER_PX = 5.6
"""About how wide a letter of the time line's words is."""

ROWS = {
    "acts": (0, 34),
    "microphone": (44, 86),
    "loudspeaker": (152, 86),
    "spans": (256, 42),
    "states": (306, 72),
    "wire": (390, 96),
    "axis": (492, 18),
}
"""Top and height of each row, px."""

HEIGHT_PX = 514

SPEAKERS = {"says": ("microphone", "a person"), "answers": ("loudspeaker", "the speaker")}
"""Kinds of moments with words: the row they stand under, and who says them."""
WAVE_SHARE = 0.92


def write_report(evening: Evening, *, version: str) -> str:
    """The whole page."""
    template = string.Template(
        (files("edge_agent.demo.show") / "report.html").read_text(encoding="utf-8")
    )
    return template.substitute(
        version=html.escape(version),
        mode=html.escape(evening.mode),
        length=f"{evening.length_s:.0f}",
        verdict=html.escape(evening.summary),
        verdict_class=evening.verdict,
        light=_variables(style.LIGHT),
        dark=_variables(style.DARK),
        overview="\n".join(_overview(act) for act in evening.acts),
        words="\n".join(_words(evening)),
        names=_names(),
        drawing=_drawing(evening),
        figures=_figures(evening),
        acts="\n".join(_act(act) for act in evening.acts),
        sound=base64.b64encode(_wav(evening.room, evening.rate_hz)).decode("ascii"),
        px_per_s=f"{PX_PER_S:g}",
        width=f"{_x(evening.length_s) + TAIL_PX:.0f}",
        height=f"{HEIGHT_PX}",
    )


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


def _colour(name: str) -> str:
    """A colour of `style.LIGHT` by name, for a shape: by day and by night."""
    return f'style="fill: var(--{name})"'


def _x(seconds: float) -> float:
    return seconds * PX_PER_S


# --- the drawing ------------------------------------------------------------------------------


def _drawing(evening: Evening) -> str:
    width = _x(evening.length_s)
    parts = [_grid(evening)]
    loudest = max(1, int(np.max(np.abs(evening.microphone.astype(np.int32)), initial=1)))
    parts.append(_wave(evening.microphone, "microphone", "echo", loudest, width))
    parts.append(_wave(evening.people, "microphone", "people", loudest, width))
    loudest = max(1, int(np.max(np.abs(evening.loudspeaker.astype(np.int32)), initial=1)))
    parts.append(_wave(evening.loudspeaker, "loudspeaker", "loudspeaker", loudest, width))
    parts += [_acts(evening), _states(evening), _wire(evening), _moments(evening), _spans(evening)]
    return "\n".join(parts)


def _text(x: float, y: float, text: str, kind: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}"{extra}>{html.escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, extra: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {extra}/>'


def _grid(evening: Evening) -> str:
    top, (bottom, _) = ROWS["microphone"][0], ROWS["axis"]
    lines = []
    for second in range(int(evening.length_s) + 1):
        x = _x(second)
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" class="grid"/>')
        lines.append(_text(x, bottom + 13, f"{second} s", "axis"))
    return "".join(lines)


def _wave(samples: Samples, row: str, colour: str, loudest: int, width: float) -> str:
    top, height = ROWS[row]
    middle = top + height / 2
    low, high = envelope(samples, max(2, round(width * COLUMNS_PER_PX)))
    scale = WAVE_SHARE * height / 2 / (loudest / acoustics.FULL_SCALE)
    xs = np.linspace(0, width, len(low))
    # A silent microphone is a hair line, not nothing.
    upper = [f"{x:.1f},{middle - max(v * scale, 0.3):.1f}" for x, v in zip(xs, high, strict=True)]
    lower = [f"{x:.1f},{middle - min(v * scale, -0.3):.1f}" for x, v in zip(xs, low, strict=True)]
    points = " ".join(upper + lower[::-1])
    return f'<polygon points="{points}" {_colour(colour)}/>'


def _acts(evening: Evening) -> str:
    top, height = ROWS["acts"]
    parts = []
    for act in evening.acts:
        if not act.played or act.end - act.begin < 0.1:
            continue
        x, width = _x(act.begin), _x(act.end - act.begin)
        parts.append(
            f'<svg x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}">'
            + _rect(0, 2, width, height - 4, f'{_colour(act.verdict)} opacity="0.12"')
            + _rect(0, 2, 2, height - 4, _colour(act.verdict))
            + _text(9, height / 2 + 4, f"{act.number}  {act.title}", "act")
            + f"<title>{html.escape(act.story)}</title></svg>"
        )
    return "".join(parts)


def _states(evening: Evening) -> str:
    top, height = ROWS["states"]
    step = height / len(LANES)
    parts = []
    for row, lane in enumerate(LANES):
        for band in evening.lanes.get(lane, []):
            x, width = _x(band.begin), _x(band.end - band.begin)
            fill = style.STATES.get(band.state, style.GRID)
            span = f"{lane}: {band.state}, {band.begin:.2f} s to {band.end:.2f} s"
            parts.append(
                f'<svg x="{x:.1f}" y="{top + row * step:.1f}" width="{max(width, 0.5):.1f}" '
                f'height="{step:.1f}">'
                + _rect(0, 1, width, step - 2, f'fill="{fill}"')
                + (_text(5, step / 2 + 4, band.state, "state") if width > 14 else "")
                + f"<title>{html.escape(span)}</title></svg>"
            )
    return "".join(parts)


def _wire(evening: Evening) -> str:
    top, height = ROWS["wire"]
    middle = top + height / 2
    peak = max(1.0, float(np.max(evening.traffic, initial=1.0)))
    parts = [
        f'<line x1="0" x2="{_x(evening.length_s):.1f}" y1="{middle}" y2="{middle}" class="zero"/>'
    ]
    for index, (up, down) in enumerate(evening.traffic):
        x, width = _x(index * WIRE_STEP_S), _x(WIRE_STEP_S)
        # A root, because a pre-roll is ten times a frame and both must be seen.
        for value, colour, upward in ((up, "up", True), (down, "down", False)):
            if value:
                tall = (value / peak) ** 0.5 * height * 0.28
                y = middle - tall if upward else middle
                parts.append(_rect(x, y, width, tall, f'{_colour(colour)} opacity="0.35"'))
    free_from = {"up": -1.0, "down": -1.0}
    for event in sorted(evening.wire_events, key=lambda e: e.at):
        x, up = _x(event.at), event.kind == "up"
        crowded = x < free_from[event.kind]
        reach = height * (0.30 if crowded else 0.42)
        y = middle - reach if up else middle + reach
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{middle}" y2="{y:.1f}" class="{event.kind}"/>'
        )
        parts.append(_text(x + 3, y + (3 if up else 5), event.text, "wire"))
        free_from[event.kind] = x + 6.2 * len(event.text)
    return "".join(parts)


def _moments(evening: Evening) -> str:
    mic_top = ROWS["microphone"][0]
    bottom = ROWS["wire"][0] + ROWS["wire"][1]
    parts = []
    for moment, room_s in spoken(evening):
        top, height = ROWS[SPEAKERS[moment.kind][0]]
        words = style.fit(f"“{moment.text}”", room_s * PX_PER_S / LETTER_PX)
        parts.append(_text(_x(moment.at), top + height + 12, words, moment.kind))
    for moment in evening.moments:
        if moment.kind == "act" or moment.kind in SPEAKERS:
            continue
        x = _x(moment.at)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{mic_top}" y2="{bottom}" class="mark"/>')
        parts.append(_text(x + 4, mic_top + 9, moment.text, "mark-text"))
    return "".join(parts)


def _spans(evening: Evening) -> str:
    top, _ = ROWS["spans"]
    parts = []
    free_from, level = -1.0, 0
    for _number, figure in evening.figures:
        if figure.begin is None or figure.end is None:
            continue
        x, end = _x(figure.begin), _x(figure.end)
        level = (level + 1) % 3 if x < free_from else 0
        y = top + 8 + 13 * level
        text = f"{figure.name}: {style.figure_text(figure.value, figure.unit)}"
        parts.append(
            f'<path d="M{x:.1f} {y - 4}v8M{x:.1f} {y}H{end:.1f}M{end:.1f} {y - 4}v8" class="span"/>'
        )
        label = end + 5
        parts.append(_text(label, y + 3.5, text, "span-text"))
        free_from = label + 6.0 * len(text)
    return "".join(parts)


def _names() -> str:
    rows = [
        ("acts", 0.5, "act"),
        ("microphone", 0.5, "microphone"),
        ("loudspeaker", 0.5, "loudspeaker"),
        ("spans", 0.4, "measured"),
        ("wire", 0.25, "wire, up ↑"),
        ("wire", 0.75, "down ↓"),
    ]
    parts = []
    for row, share, name in rows:
        top, height = ROWS[row]
        parts.append(_text(104, top + height * share + 4, name, "row"))
    top, height = ROWS["states"]
    for n, lane in enumerate(LANES):
        y = top + height * (n + 0.5) / len(LANES) + 4
        parts.append(_text(104, y, style.LANE_NAMES[lane], "row"))
    return "".join(parts)


# --- the words --------------------------------------------------------------------------------


def _listen(at: float, name: str, label: str) -> str:
    """A button that plays from there, named for those who do not see what stands beside it."""
    start = max(0.0, at - 0.2)
    return (
        f'<button type="button" data-at="{start:.2f}" aria-label="{html.escape(name)}">'
        f"{label}</button>"
    )


def _overview(act: ActResult) -> str:
    if not act.played or act.end - act.begin < 0.1:
        return ""
    button = _listen(act.begin, f"Listen to act {act.number}: {act.title}", f"{act.number}")
    return button.replace(
        "<button ",
        f'<button class="{act.verdict}" style="flex-grow: {act.end - act.begin:.2f}" ',
        1,
    )


def _words(evening: Evening) -> list[str]:
    return [
        f"<tr><td>{_listen(m.at, f'Listen from {m.at:.1f} s', f'▶ {m.at:.1f} s')}</td>"
        f'<th scope="row">{SPEAKERS[m.kind][1]}</th><td>{html.escape(m.text)}</td></tr>'
        for m, _ in spoken(evening)
    ]


def _figures(evening: Evening) -> str:
    return "".join(
        f'<tr><th scope="row">{html.escape(figure.name)}</th>'
        f'<td class="value">{html.escape(style.figure_text(figure.value, figure.unit))}</td>'
        f"<td>act {number}</td></tr>"
        for number, figure in evening.figures
    )


VERDICT_WORDS = {"good": "ok", "bad": "failed", "busy": "machine too busy", "none": "not played"}


def _check(check: Check) -> str:
    kind, word, sign = (
        ("good", "kept", "✓")
        if check.ok
        else ("busy", "machine too busy", "?")
        if check.busy
        else ("bad", "not kept", "✗")
    )
    return (
        f'<tr class="{"" if check.ok else "wrong"}"><td class="{kind}">'
        f'<span aria-hidden="true">{sign}</span><span class="hidden">{word}</span></td>'
        f"<td>{html.escape(check.text)}</td>"
        f"<td>{html.escape(check.expected)}</td><td>{html.escape(check.seen)}</td></tr>"
    )


def _act(act: ActResult) -> str:
    listen = _listen(act.begin, f"Listen to act {act.number}: {act.title}", "▶ listen")
    return (
        f"<section><h3>{act.number} · {html.escape(act.title)} "
        f'<span class="{act.verdict}">{VERDICT_WORDS[act.verdict]}</span></h3>'
        f"<p>{html.escape(act.story)}</p>{listen if act.played else ''}"
        f'<table><thead><tr><th scope="col"><span class="hidden">kept</span></th>'
        f'<th scope="col">promise</th><th scope="col">expected</th><th scope="col">seen</th></tr>'
        f"</thead><tbody>{''.join(map(_check, act.checks))}</tbody></table></section>"
    )


def _wav(samples: Samples, rate_hz: int) -> bytes:
    narrow = acoustics.to_pcm(
        acoustics.resample(acoustics.from_pcm(samples), rate_hz, LISTEN_RATE_HZ)
    )
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(LISTEN_RATE_HZ)
        file.writeframes(narrow.tobytes())
    return out.getvalue()
