"""The evening: all that the picture and the report show, taken from the stage once.

It must never hold what a household said: its words and sounds are those of the shipped play.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agent.demo.judge.score import Band, Moment, Score
from edge_agent.demo.judge.verdict import ActResult, Figure
from edge_agent.demo.stage import Stage
from edge_agent.simulation.sound import acoustics
from edge_agent.simulation.sound.room_record import Track

Samples = NDArray[np.int16]

LANES = ("talk", "link", "microphone")

BLINK_S = 0.15
"""A dial into a dead network is over sooner; drawn, it would only be a stripe."""

TOGETHER_S = 0.12
"""Messages of one direction that come closer than this share one label."""

WIRE_STEP_S = 0.1
"""Traffic is shown in steps of a tenth of a second: one delta of the server."""

SHOWN_ON_WIRE: dict[str, str] = {
    "session.created": "session",
    "input_audio_buffer.speech_started": "speech",
    "input_audio_buffer.committed": "committed",
    "response.created": "response",
    "conversation.item.truncate": "truncate",
    "response.cancel": "cancel",
}
"""Messages that are pointed at, and the word for each."""


@dataclass(frozen=True, slots=True)
class Evening:
    """What happened, ready to be drawn.

    `people`, `microphone` and `loudspeaker` are PCM16 at `rate_hz`, all from time 0.
    `traffic` is `(bytes of sound up, down)` per `WIRE_STEP_S`.
    """

    mode: str
    length_s: float
    rate_hz: int
    people: Samples
    microphone: Samples
    loudspeaker: Samples
    room: Samples
    lanes: dict[str, list[Band]]
    wire_events: list[Moment]
    moments: list[Moment]
    traffic: NDArray[np.float64]
    acts: list[ActResult]
    figures: list[tuple[int, Figure]]
    """(number of the act, figure), times moved to the evening's start."""

    @property
    def ok(self) -> bool:
        """Did every act go as it must?"""
        return all(act.ok for act in self.acts)

    @property
    def verdict(self) -> str:
        """`good`, `bad`, or `busy`: whatever did not pass, the machine was too busy to tell."""
        if self.ok:
            return "good"
        return "busy" if self.acts_that("busy") and not self.acts_that("bad") else "bad"

    def acts_that(self, verdict: str) -> int:
        """How many acts ended so."""
        return sum(act.verdict == verdict for act in self.acts)

    @property
    def summary(self) -> str:
        """The verdict in words."""
        text = f"{self.acts_that('good')} of {len(self.acts)} acts as they must be"
        return (
            f"{text}, {self.acts_that('busy')} not judged: this machine was too busy"
            if (self.acts_that("busy"))
            else text
        )


def take_evening(stage: Stage, acts: Sequence[ActResult], mode: str) -> Evening:
    """Everything from the stage, with the start of the stage as time 0."""
    begin, end = stage.started_at, stage.now()
    room, score = stage.room, stage.score

    def cut(track: Track) -> Samples:
        return _from(track, begin, end)

    mix, spoken = cut(room.mix), cut(room.spoken)
    people = np.clip(mix.astype(np.int32) - spoken, -32768, 32767).astype(np.int16)
    lanes = {
        lane: _calmed(
            [
                Band(max(0.0, b.begin - begin), b.end - begin, b.state)
                for b in score.bands(lane, end)
            ]
        )
        for lane in LANES
    }
    figures = [(act.number, _moved(figure, begin)) for act in acts for figure in act.figures]
    return Evening(
        mode=mode,
        length_s=end - begin,
        rate_hz=room.rate_hz,
        people=people,
        microphone=cut(room.heard),
        loudspeaker=spoken,
        room=mix,
        lanes=lanes,
        wire_events=_wire_events(score, begin),
        moments=sorted(
            (Moment(_heard_at(m, room.spoken, end) - begin, m.kind, m.text) for m in score.moments),
            key=lambda moment: moment.at,
        ),
        traffic=_traffic(score, begin, end),
        acts=[_shifted(act, begin) for act in acts],
        figures=figures,
    )


def _heard_at(moment: Moment, spoken: Track, end: float) -> float:
    """When it could be heard: an answer is marked where it is thought of, and sounds later."""
    if moment.kind != "answers":
        return moment.at
    span = spoken.audible(moment.at, end)
    return moment.at if span is None else span[0]


def _from(track: Track, begin: float, end: float) -> Samples:
    """The track between two times, silence where it knows nothing."""
    whole = np.zeros(round((end - begin) * track.rate_hz), np.int16)
    known = track.samples(begin, end)
    at = max(0, round((track.start_s - begin) * track.rate_hz))
    known = known[: len(whole) - at]
    whole[at : at + len(known)] = known
    return whole


def _moved(figure: Figure, by: float) -> Figure:
    if figure.begin is None or figure.end is None:
        return figure
    return Figure(figure.name, figure.value, figure.unit, figure.begin - by, figure.end - by)


def _shifted(act: ActResult, by: float) -> ActResult:
    moved = ActResult(act.number, act.key, act.title, act.story, played=act.played)
    moved.begin, moved.end = (act.begin - by, act.end - by) if act.played else (0.0, 0.0)
    moved.checks, moved.figures = act.checks, [_moved(f, by) for f in act.figures]
    return moved


def _calmed(bands: list[Band]) -> list[Band]:
    """Without blinks inside a longer state (`down · connecting · down`), neighbours joined."""
    calm: list[Band] = []
    for band in bands:
        is_blink = band.state == "connecting" and band.end - band.begin < BLINK_S
        state = calm[-1].state if is_blink and calm else band.state
        if calm and calm[-1].state == state:
            calm[-1] = Band(calm[-1].begin, band.end, state)
        else:
            calm.append(Band(band.begin, band.end, state))
    return calm


def _wire_events(score: Score, begin: float) -> list[Moment]:
    """What speaks of sessions and turns; what comes together shares one label."""
    events: list[Moment] = []
    for side, up in (("up", True), ("down", False)):
        mine: list[Moment] = []
        for w in score.wire:
            word = SHOWN_ON_WIRE.get(w.kind)
            if word is None or w.up is not up:
                continue
            at = w.at - begin
            if mine and at - mine[-1].at < TOGETHER_S:
                mine[-1] = Moment(mine[-1].at, side, f"{mine[-1].text} · {word}")
            else:
                mine.append(Moment(at, side, word))
        events += mine
    return events


def _traffic(score: Score, begin: float, end: float) -> NDArray[np.float64]:
    steps = np.zeros((int((end - begin) / WIRE_STEP_S) + 1, 2))
    for w in score.wire:
        index = int((w.at - begin) / WIRE_STEP_S)
        if w.audio_bytes and 0 <= index < len(steps):
            steps[index, 0 if w.up else 1] += w.audio_bytes
    return steps


def spoken(evening: Evening) -> list[tuple[Moment, float]]:
    """What was said by whom, with the seconds until the same side says something again."""
    said = [moment for moment in evening.moments if moment.kind in ("says", "answers")]
    ends = {"says": evening.length_s, "answers": evening.length_s}
    with_room: list[tuple[Moment, float]] = []
    for moment in reversed(said):
        with_room.append((moment, ends[moment.kind] - moment.at))
        ends[moment.kind] = moment.at
    return with_room[::-1]


def envelope(samples: Samples, columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest value per column, -1 … 1: how a waveform is drawn."""
    if not len(samples):
        return np.zeros(columns), np.zeros(columns)
    edges = np.linspace(0, len(samples), columns + 1).astype(int)
    starts = np.minimum(edges[:-1], len(samples) - 1)
    low = np.minimum.reduceat(samples, starts) / acoustics.FULL_SCALE
    high = np.maximum.reduceat(samples, starts) / acoustics.FULL_SCALE
    return low.astype(np.float64), high.astype(np.float64)
