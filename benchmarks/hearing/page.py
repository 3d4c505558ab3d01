"""The result page of the hearing benchmark, from its JSON.

Thread: the caller's.  It must never hold a figure: all of them come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "mix": "harsh mix",
    "knocks": "knocks, doors, clatter (7 a session)",
    "path": "people move (4 a session)",
    "volume": "volume turned at the loudspeaker, ±12 dB",
    "drift": "two clocks, 200 ppm apart",
    "rattle": "rattling loudspeaker",
    "noise": "noise 8 to 18 dB under the echo",
    "early": "stamps 50 ms early",
    "late": "stamps 50 ms late",
    "dropouts": "holes in our sound (8 a session)",
    "coughs": "coughs (5 a session)",
    "room_music": "music in the room",
    "television": "a television that talks",
    "near+10": "+10 dB",
    "near0": "0 dB",
    "near-10": "-10 dB",
    "near-20": "-20 dB",
    "near0_noise": "0 dB, noise 8 to 18 dB under the echo",
    "near0_drift": "0 dB, 200 ppm",
    "near0_letters": "0 dB, a single letter or syllable",
    "near0_late": "0 dB, stamps 50 ms late",
    "near_apart": "our voice does not reach the microphone",
}

HEAD = """# How well it hears, per hour, in rooms like these

Made by `python -m benchmarks.hearing`; what a session is made of stands in
`benchmarks/hearing/scenes.py`, how it is counted in `benchmarks/hearing/judge.py`. Rooms (RT60 0.15
to 0.8 s), voices, texts and noises of this page have taken no part in training or in choosing
thresholds. All echo is simulated, half a minute a session, each from a cold start; a false cut
counts from the third second of our own voice on. In brackets: 95 % bounds. `cautious`, `normal` and
`eager` are the product at each `barge_in.sensitivity`: its echo stage with its own search for the
echo, with the time stamps of a sound card; in pauses of our voice the ordinary voice detector,
which has heard the room for five seconds before, may cut it, too, as in the daemon
(`dialogue/barge_in.py`). `package` is WebRTC's AEC3 with its noise suppression and webrtcvad, 8 of
10 frames.
"""


def _rate(row: Mapping[str, Any] | None) -> str:
    if row is None or "per_hour" not in row:
        return "-"
    low, high = row["per_hour_bounds"]
    rate = f"{row['per_hour']:g} ({low:g} to {high:g})"
    return f"{rate}; {row['false_cuts']} in {row['minutes']:g} min"


def _people(row: Mapping[str, Any] | None) -> str:
    if row is None or not row.get("people"):
        return "-"
    low, high = row["detected_bounds"]
    share = 100 * row["detected"] / row["people"]
    return (
        f"{share:.0f} % ({100 * low:.0f} to {100 * high:.0f}) of {row['people']}, "
        f"{row['median_ms']:.0f} · {row['p90_ms']:.0f} ms"
    )


def _table(title: str, kinds: list[str], told: Mapping[str, Any], cell: Any) -> list[str]:
    systems = [name for name, found in told.items() if any(kind in found for kind in kinds)]
    lines = [f"| {title} | " + " | ".join(systems) + " |", "|---" * (len(systems) + 1) + "|"]
    for kind in kinds:
        cells = [cell(told[system].get(kind)) for system in systems]
        lines.append(f"| {WORDS[kind]} | " + " | ".join(cells) + " |")
    return lines


def page(told: Mapping[str, Any]) -> str:
    """Markdown."""
    own = [kind for kind in WORDS if not kind.startswith("near")]
    near = [kind for kind in WORDS if kind.startswith("near")]
    lines = [HEAD, "## False cuts per hour of our own voice", ""]
    lines += _table("nobody speaks", own, told, _rate)
    lines += ["", "## People who talk over it: detected, median · p90 from onset to decision", ""]
    lines += _table("near-to-echo", near, told, _people)
    lines += ["", "## The first three seconds", ""]
    for system, found in told.items():
        cuts = sum(row["cold_cuts"] for row in found.values())
        minutes = sum(row["cold_minutes"] for row in found.values())
        lines.append(f"* {system}: {cuts} false cuts in {minutes:.0f} minutes")
    return "\n".join(lines) + "\n"
