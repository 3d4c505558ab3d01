"""The meter of what is heard: sums of frames, and no frame."""

from __future__ import annotations

import pytest

from edge_agent.app.hearing import FLOOR_FRAMES, FLOORS_MAX, Meter
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.detectors import FRAME_BYTES, VoiceDetector, WakeDetector
from edge_agent.audio.front_end import FrontEnd
from edge_agent.contract.events import HeardFrame
from edge_agent.contract.pcm import SILENT_FRAME


def frame(level_dbfs: float, *, speech: bool = False, playing: bool = False) -> HeardFrame:
    return HeardFrame(
        at=0.0,
        pcm24k=SILENT_FRAME,
        speech=speech,
        over_playback=playing,
        level_dbfs=level_dbfs,
    )


def test_levels_and_shares_of_what_came_since_the_last_question() -> None:
    meter = Meter()
    assert meter.told() == {"frames": 0}
    for _ in range(3):
        meter.take(frame(-60.0), is_open=False)
    meter.take(frame(-20.0, speech=True, playing=True), is_open=True)
    assert meter.told() == {
        "frames": 4,
        "level_dbfs": -26.0,
        "peak_dbfs": -20.0,
        "floor_dbfs": -60.0,
        "speech_percent": 25,
        "playing_percent": 25,
        "open_percent": 25,
    }
    assert meter.told() == {"frames": 0}


def test_the_floor_is_that_of_the_last_seconds() -> None:
    meter = Meter()
    meter.take(frame(-70.0), is_open=False)
    for _ in range(FLOOR_FRAMES - 1):
        meter.take(frame(-30.0), is_open=False)
    meter.told()
    meter.take(frame(-30.0), is_open=False)
    assert meter.told()["floor_dbfs"] == -70.0
    for _ in range(FLOOR_FRAMES * FLOORS_MAX):
        meter.take(frame(-30.0), is_open=False)
    assert meter.told()["floor_dbfs"] == -30.0


def test_scores_are_gathered_only_while_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = WakeDetector({"okay_nabu": 0.7})
    front_end = FrontEnd(
        lambda _frame: None,
        wake=detector,
        voice=VoiceDetector(2),
        reference=ReferenceTrack(24_000, tail_s=0.3),
        echo="linear",
        sensitivity="normal",
    )
    (model,) = vars(detector)["_models"].values()
    scores = iter([0.2, 0.6, 0.1, 0.3, 0.9])
    monkeypatch.setattr(model, "hear", lambda _features: next(scores))

    def hear() -> None:
        before = dict(detector.scores)
        while detector.scores == before:
            detector.process(bytes(FRAME_BYTES))

    hear()
    assert front_end.wake_scores() == {}, "the first question only begins it"
    assert front_end.wake_scores() == {"okay_nabu": (0.0, 0.7)}
    hear()
    hear()
    assert front_end.wake_scores() == {"okay_nabu": (0.6, 0.7)}
    hear()
    assert front_end.wake_scores(go_on=False) == {"okay_nabu": (0.3, 0.7)}
    hear()
    assert detector.peaks is None
    assert front_end.wake_scores() == {}
