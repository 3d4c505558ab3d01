"""Own echo: how often the speaker takes its own voice for an interruption.

Thread: the event loop, in virtual time: the same code, the clock jumps.  It must never let a person
speak while the answer is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.figures import Figure, Sheet, Target
from benchmarks.household import CHIME_S, SteadyBrain, answer
from edge_agent.demo.stage import Stage
from edge_agent.simulation import clock

TITLE = "Own echo"
SETTING = (
    "Virtual time, nobody speaks but us: shipped answers at the default volume, one after the "
    "other, canceller and detector as in service. Rooms of one minute each; echo level (our "
    "voice at the microphone against what the loudspeaker was given), reverberation, delay and "
    "noise differ. Every room begins with a speaker that was just switched on."
)

ROOM_S = 60.0
"""Of our own voice per room."""

ANSWER_S = 20.0
LIMIT_S = 600.0
"""Of virtual time per room: with an interruption every few seconds a minute takes long."""


@dataclass(frozen=True, slots=True)
class Place:
    """One room."""

    echo_gain_db: float
    rt60_s: float
    acoustic_delay_s: float
    noise_dbfs: float


PLACES = (
    Place(-10.0, 0.35, 0.002, -65.0),
    Place(-20.0, 0.35, 0.002, -65.0),
    Place(0.0, 0.35, 0.002, -65.0),
    Place(-10.0, 0.2, 0.001, -70.0),
    Place(-10.0, 0.6, 0.004, -60.0),
    Place(-5.0, 0.5, 0.003, -60.0),
    Place(-15.0, 0.3, 0.010, -55.0),
    Place(-3.0, 0.25, 0.002, -65.0),
    Place(-10.0, 0.45, 0.020, -65.0),
    Place(3.0, 0.4, 0.002, -65.0),
)

DISTORTIONS = {"linear": 0.0, "mild": 1.0, "harsh": 3.0}
"""Drive of the loudspeaker's soft clipping; a cheap one at high volume is harsh."""


def figures() -> list[Figure]:
    """One row per loudspeaker."""
    target = Target("max", "=", 0)
    names = {
        "linear": "false interruptions per minute of own echo",
        "mild": "the same, loudspeaker clips mildly (distortion 1)",
        "harsh": "the same, loudspeaker clips hard (distortion 3)",
    }
    return [
        Figure(f"own_echo.{key}", names[key], "", target if key == "linear" else None)
        for key in DISTORTIONS
    ]


def measure(sheet: Sheet, n: int, brief: bool = False) -> None:
    """`n` rooms for the linear loudspeaker, a third as many (brief: none) for the others."""
    for key, drive in DISTORTIONS.items():
        figure = sheet[f"own_echo.{key}"]
        spoken_s, when = 0.0, []
        rooms = n if not drive else 0 if brief else max(1, n // 3)
        for number in range(rooms):
            place = PLACES[number % len(PLACES)]
            seconds, cuts = clock.run(
                listen_to_ourselves(place, drive, seed=number + 1), limit_s=LIMIT_S * 2
            )
            spoken_s += seconds
            figure.add(len(cuts))
            when += [f"{place.echo_gain_db:g} dB at {at:.0f} s" for at in cuts]
        if not rooms:
            continue
        figure.note = f"{sum(figure.values):.0f} in {spoken_s / 60:.1f} minutes"
        if when:
            figure.note += f" (echo level and time of own voice: {', '.join(when)})"


async def listen_to_ourselves(
    place: Place, drive: float, seed: int, settings: dict[str, dict[str, object]] | None = None
) -> tuple[float, list[float]]:
    """`(seconds of own voice, seconds of it before each false interruption)` in one room."""
    room: dict[str, Any] = {
        "echo_gain_db": place.echo_gain_db,
        "rt60_s": place.rt60_s,
        "acoustic_delay_s": place.acoustic_delay_s,
        "noise_dbfs": place.noise_dbfs,
        "distortion": drive,
        "record_s": 0.0,
    }
    sections: dict[str, dict[str, object]] = {"listen": {"follow_up_s": 0}, **(settings or {})}
    brain = SteadyBrain(answer(ANSWER_S, pause_s=0.35, first=seed))
    async with Stage(brain=brain, settings=sections, room=room, seed=seed) as stage:
        begin = stage.now()
        while stage.now() - begin < LIMIT_S and _spoken_s(stage) < ROOM_S:
            await stage.push()
            await stage.sleep_until(stage.now() + CHIME_S)
            since = stage.now()
            await stage.say("said_while_muted")
            await stage.until(
                lambda since=since: any(  # type: ignore[misc]
                    stage.score.codes(code, since)
                    for code in ("talk.interrupted", "talk.answer_done", "talk.asleep")
                ),
                60.0,
                "the answer ends",
            )
            stage.room.hush()
            await stage.until_talk("asleep", 120.0)
        cuts = [_spoken_s(stage, line.at) for line in stage.score.codes("talk.interrupted")]
        return _spoken_s(stage), cuts


def _spoken_s(stage: Stage, until: float = float("inf")) -> float:
    bands = stage.score.bands("talk")
    return sum(
        min(band.end, until) - band.begin
        for band in bands
        if band.state == "speaking" and band.begin < until
    )
