"""The hearing benchmark: its parts are apart, its rooms are rooms, its counts are right."""

from __future__ import annotations

import wave
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.hearing import library as sounds
from benchmarks.hearing import noise_sources, recording, sources, spoken
from benchmarks.hearing.judge import Tally, poisson_bounds, share_bounds
from benchmarks.hearing.kinds import KINDS
from benchmarks.hearing.learner import LEARNED, Learner, averaged, joined
from benchmarks.hearing.page import WORDS, page
from benchmarks.hearing.places import RATE_HZ, Place, faster
from benchmarks.hearing.scenes import FRAMES, ROOMS, Scene, place_of, scene
from benchmarks.hearing.sources import PARTS, slot
from benchmarks.hearing.tune import ALWAYS, NEVER, decided, threshold
from edge_agent.audio.cancel.double_talk import LEAST, smoothed
from edge_agent.audio.cancel.speech_features import COUNT
from edge_agent.audio.cancel.speech_net import INPUTS, NETS, SHAPES, UNITS, SpeechNet
from edge_agent.dialogue.barge_in import PAUSE_FRAMES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of made-up voices: tones that come in syllables."""
    place = tmp_path_factory.mktemp("library")
    for number, part in enumerate(PARTS):
        for kind in sounds.KINDS:
            rng = np.random.default_rng([number, len(kind)])
            clips = []
            for _ in range(4):
                size = round((5.0 if kind == "far" else 1.5) * RATE_HZ)
                pitch = 2 * np.pi * rng.uniform(100, 250) * np.arange(size) / RATE_HZ
                tone = sum(np.sin(order * pitch) / order for order in range(1, 20))
                syllables = np.abs(np.sin(np.pi * 4 * np.arange(size) / RATE_HZ)) + 0.02
                clips.append((2000 * tone * syllables).astype(np.int16))
            ends = np.cumsum([len(clip) for clip in clips])
            names = [f"{kind}{i % 2}/{i}" for i in range(4)]
            np.savez(
                place / f"{part}-{kind}.npz", sound=np.concatenate(clips), ends=ends, names=names
            )
    return place


def session(folder: Path, part: str, kind: str, number: int = 1) -> Scene:
    return scene(sounds.Library(folder, part), KINDS[kind], number)


# --- parts ------------------------------------------------------------------------------------


def test_no_text_and_no_voice_belongs_to_two_parts() -> None:
    for one, other in combinations(PARTS, 2):
        assert not set(spoken.texts(one)) & set(spoken.texts(other))
        voices = [{(v.engine, v.name) for v in spoken.VOICES if v.part == p} for p in (one, other)]
        assert not voices[0] & voices[1]
    assert all(spoken.texts(part) for part in PARTS)


def test_every_recording_has_a_part_by_its_name_alone() -> None:
    counts = [slot(f"recording {number}") for number in range(1000)]
    shares = {part: counts.count(part) / 1000 for part in PARTS}
    assert shares["train"] == pytest.approx(0.60, abs=0.05)
    assert shares["report"] == pytest.approx(0.25, abs=0.05)


def test_whoever_is_recorded_belongs_to_one_part() -> None:
    everybody = (*sources.PEOPLE, *sources.OWN, *noise_sources.KITS)
    whose: dict[str, set[str]] = {}
    for row in everybody:
        whose.setdefault(row.source, set()).add(slot(row.who or row.source))
    assert all(len(parts) == 1 for parts in whose.values())
    assert set.union(*whose.values()) == set(PARTS)


def test_a_folder_of_noises_belongs_to_one_part(tmp_path: Path) -> None:
    names = [f"{what}/{name}" for what in ("doors", "cups", "steps") for name in ("a1", "b", "c2")]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
            file.writeframes(np.full(RATE_HZ // 5, 9000, "<i2").tobytes())
    row = sources.Recorded("made", "*/*.wav", "made", "ours", never="c2")
    found = [p for p in PARTS for _ in sounds._some(p, tmp_path, (row,), noise_sources.where)]
    assert len(found) == 6
    assert all(found.count(part) in (0, 2, 4, 6) for part in PARTS)


def test_no_room_belongs_to_two_parts() -> None:
    rooms = {part: {place_of(part, n)[1].rt60_s for n in range(ROOMS[part])} for part in PARTS}
    assert all(len(found) == ROOMS[part] for part, found in rooms.items())
    assert not rooms["train"] & rooms["tune"]
    assert not rooms["report"] & (rooms["train"] | rooms["tune"])
    assert len(rooms["report"]) >= 24


def test_a_library_without_music_is_one_without_music(folder: Path, tmp_path: Path) -> None:
    """Whose packages are missing is left out; the other kinds are as they are."""
    for kind in sounds.KINDS:
        (tmp_path / f"tune-{kind}.npz").write_bytes((folder / f"tune-{kind}.npz").read_bytes())
    np.savez(tmp_path / "tune-music.npz", sound=np.zeros(0, np.int16), ends=[], names=[])
    library = sounds.Library(tmp_path, "tune")
    assert library.sources["music"] == {}
    assert len(library.clip("far", 3)) == 5 * RATE_HZ
    assert len(scene(library, replace(KINDS["mix"], music=1.0), 1).rendered) == FRAMES * 160


# --- sessions ---------------------------------------------------------------------------------


def test_a_recorded_room_leaves_the_rest_of_a_session_as_it_is(folder: Path) -> None:
    kind = KINDS["any_own"]
    library = sounds.Library(folder, "train")
    made = scene(library, replace(kind, recorded_noise=0.0), 3)
    recorded = scene(library, replace(kind, recorded_noise=1.0), 3)
    assert np.array_equal(made.rendered, recorded.rendered)
    assert made.drift_ppm == recorded.drift_ppm
    assert not np.array_equal(made.heard, recorded.heard)


def test_the_ordinary_detector_has_heard_the_room_alone_before_a_session(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a speaker's has, all day: else it takes the room for a voice in the first pause."""
    library = sounds.Library(folder, "report")
    made = scene(library, replace(KINDS["mix"], swell=0.0, transients=0.0), 4)
    loud = [np.sqrt(np.mean(np.square(s.astype(float)))) for s in (made.before, made.heard[:4000])]
    assert len(made.before) == 5 * RATE_HZ
    assert loud[0] == pytest.approx(loud[1], rel=0.3)
    heard: list[bytes] = []

    class Listening:
        def __init__(self, _mode: int) -> None:
            pass

        def is_speech(self, pcm: bytes) -> bool:
            heard.append(pcm)
            return False

    monkeypatch.setattr(recording, "VoiceDetector", Listening)
    recording.run(made)
    assert b"".join(heard[:500]) == made.before.tobytes()
    assert len(heard) > 500


def test_a_session_depends_on_its_part_kind_and_number_alone(folder: Path) -> None:
    first, again = (session(folder, "report", "near0") for _ in range(2))
    assert np.array_equal(first.heard, again.heard)
    for other in (session(folder, "report", "near0", 2), session(folder, "tune", "near0")):
        assert np.any(other.heard != first.heard)
    assert first.place != session(folder, "report", "near0", 2).place


def test_people_are_heard_where_the_labels_say(folder: Path) -> None:
    found = session(folder, "report", "near+10")
    assert found.said
    level = np.square(found.heard[: FRAMES * 160].astype(float)).reshape(FRAMES, 160).mean(axis=1)
    alone = level[found.own & ~found.near & ~found.blurred]
    assert np.median(level[found.near]) > 2 * np.median(alone)
    for onset, end, near_db, _ in found.said:
        assert found.near[round(onset * 100)]
        assert not found.near[round(onset * 100) - 1]
        assert near_db == 10
        assert 0.2 < end - onset < 4
    assert not session(folder, "report", "mix").near.any()


def test_the_echo_follows_its_reference_by_some_milliseconds(folder: Path) -> None:
    """The stamps of this session are wrong, not its sound."""
    found = session(folder, "report", "early", 3)
    assert found.stamps_s == pytest.approx(-0.05)
    ours = np.square(found.rendered.astype(float)).reshape(-1, 16).sum(axis=1)
    theirs = np.square(found.heard.astype(float)).reshape(-1, 16).sum(axis=1)
    # Syllables against syllables, by milliseconds.
    alike = [np.corrcoef(ours[:-100], np.roll(theirs, -lag)[:-100])[0, 1] for lag in range(-60, 90)]
    assert 0 <= int(np.argmax(alike)) - 60 <= 60


def test_reverberation_dies_away_as_the_room_says() -> None:
    for seed in range(3):
        place = Place(np.random.default_rng(seed))
        path = place.path(np.random.default_rng(seed + 10)).astype(float)
        left = np.cumsum(path[::-1] ** 2)[::-1]
        decay = 10 * np.log10(left / left[0] + 1e-12)
        begin, end = (int(np.argmax(decay < limit)) for limit in (-15, -35))
        measured = 3 * (end - begin) / RATE_HZ
        assert measured == pytest.approx(place.rt60_s, rel=0.35, abs=0.05)


def test_a_faster_clock_takes_more_samples_of_the_same() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(10 * RATE_HZ) / RATE_HZ).astype(np.float32)
    taken = faster(tone, 200.0)
    assert len(taken) == round(10 * RATE_HZ * 1.0002)
    wanted = np.sin(2 * np.pi * 440 / 1.0002 * np.arange(len(taken)) / RATE_HZ)
    assert float(np.abs(taken - wanted)[100:-100].max()) < 0.01


# --- learning ---------------------------------------------------------------------------------


def a_lesson(seed: int = 2) -> Any:
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal((5, 3, COUNT)).astype(np.float32)
    state = rng.normal(0, 0.3, (3, UNITS)).astype(np.float32)
    wanted = (rng.random((5, 3)) < 0.5).astype(np.float32)
    return numbers, state, wanted, np.ones((5, 3), np.float32)


def test_gradients_are_the_slopes_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    # The weight of false alarms is held still while a step is made, as in any training.
    monkeypatch.setattr("benchmarks.hearing.learner.ALARM_WEIGHT", 0.0)
    learner, rng, given = Learner(1), np.random.default_rng(3), a_lesson()
    _, found, _ = learner.gradients(*given)
    assert set(found) == set(LEARNED)
    for name in LEARNED:
        value = learner.numbers[name]
        place = tuple(int(rng.integers(0, size)) for size in value.shape)
        losses = []
        for step in (0.01, -0.01):
            before = value.copy()
            value[place] += step
            losses.append(learner.gradients(*given)[0])
            value[...] = before
        slope = (losses[0] - losses[1]) / 0.02
        assert float(found[name][place]) == pytest.approx(slope, rel=0.05, abs=1e-5), name


def test_what_was_learned_lasts_and_lessens_the_loss() -> None:
    learner, given = Learner(1), a_lesson()
    first = learner.gradients(*given)[0]
    for _ in range(30):
        learner.step(given[0], given[1], given[2], given[3], 0.01)
    assert learner.gradients(*given)[0] < 0.3 * first
    again = Learner(7)
    again.restore(averaged([learner.stored(), learner.stored()]))
    assert again.gradients(*given)[0] == pytest.approx(learner.gradients(*given)[0])
    assert again.steps == 30


def test_the_detector_judges_as_the_learner_does() -> None:
    learner, (numbers, _, _, _) = Learner(4), a_lesson()
    even: Any = {"mean": np.zeros(COUNT), "scale": np.ones(COUNT), "thresholds": np.zeros(3)}
    net = SpeechNet({**joined([learner.numbers]), **even}, "normal", many=(3,))
    state = np.zeros((3, UNITS), np.float32)
    many = np.ones((1, 3), np.float32)
    for row in numbers:
        net.hear(row)
        _, _, state = learner.gradients(row[None], state, many, many)
        assert np.allclose(net._state[0], state, atol=1e-5)


def test_nets_side_by_side_have_the_mean_of_their_scores() -> None:
    rng = np.random.default_rng(6)
    even: Any = {"mean": np.zeros(COUNT), "scale": np.ones(COUNT), "thresholds": np.zeros(3)}
    nets = [Learner(seed).numbers for seed in range(7, 7 + NETS)]
    whole = joined(nets)
    assert {name: value.shape for name, value in whole.items()} == {n: SHAPES[n] for n in LEARNED}
    apart = [SpeechNet({**joined([net]), **even}, "normal") for net in nets]
    both = SpeechNet({**whole, **even}, "normal")
    for _ in range(20):
        numbers = rng.standard_normal(COUNT).astype(np.float32)
        wanted = np.mean([float(net.hear(numbers)) for net in apart])
        assert float(both.hear(numbers)) == pytest.approx(wanted, abs=1e-4)


def test_what_a_unit_does_not_give_it_does_not_learn_from() -> None:
    learner, given = Learner(1), a_lesson()
    kept = np.ones((3, INPUTS), np.float32)
    kept[:, 5] = 0.0
    _, found, _ = learner.gradients(given[0], given[1], given[2], given[3], kept)
    assert np.all(found["dense"][5] == 0)
    assert np.all(found["gates"][:, 5] == 0)
    assert np.any(found["dense"][4] != 0)


# --- counts -----------------------------------------------------------------------------------


def test_the_bounds_of_a_count_are_those_of_the_tables() -> None:
    assert poisson_bounds(0) == pytest.approx((0.0, 3.689), abs=0.01)
    assert poisson_bounds(10) == pytest.approx((4.795, 18.39), abs=0.01)
    assert share_bounds(98, 100) == pytest.approx((0.930, 0.994), abs=0.002)


def tallied(fires: list[int], said: list[tuple[float, float]] | None = None) -> Tally:
    truth: Any = np.zeros((3, FRAMES), bool)
    truth[0, fires] = True
    for onset, end in said or []:
        truth[1, round(onset * 100) : round(end * 100)] = True
    tally = Tally()
    rows = np.array([[*spoken, 0.0] for spoken in said or []], np.float32).reshape(-1, 3)
    tally.take(truth[0], truth[1], truth[2], rows)
    return tally


def test_a_decision_that_stays_is_one_cut_and_a_cold_one_is_counted_apart() -> None:
    tally = tallied([100, 1000, 1001, 1050, 1200])
    assert (tally.false_cuts, tally.cold_cuts) == (2, 1)
    assert tally.own_s == pytest.approx(30 - 3.3)


def test_a_person_is_detected_from_their_onset_to_shortly_after_their_end() -> None:
    said = [(10.0, 11.0)]
    assert tallied([1009], said).delays_ms == [100.0]
    assert tallied([1115], said).delays_ms == [1160.0]
    assert tallied([1125], said).detected == 0
    before = tallied([990, 1010], said)
    assert (before.detected, before.before, before.false_cuts) == (0, 1, 1)
    assert tallied([1009], said).false_cuts == 0


def test_a_threshold_keeps_the_rate_that_it_was_chosen_for() -> None:
    peaks = np.random.default_rng(1).exponential(1.0, 4000).astype(np.float32)
    for per_hour in (0.2, 3.0):
        limit = threshold(peaks[:1000], hours=10, per_hour=per_hour)
        passed = float(np.mean(peaks > limit)) * 100
        assert passed == pytest.approx(per_hour, rel=0.7)


def test_sureness_is_known_when_its_20_ms_are_over_and_holds_until_the_next(tmp_path: Path) -> None:
    learner, rng = Learner(3), np.random.default_rng(3)
    even: Any = {"mean": np.zeros(COUNT), "scale": np.ones(COUNT), "thresholds": np.zeros(3)}
    weights = {**joined([learner.numbers]), **even}
    features = rng.standard_normal((FRAMES // 2, COUNT)).astype(np.float16)
    believed, free = np.ones(FRAMES, bool), np.zeros(FRAMES, bool)
    believed[7], free[100 : 100 + PAUSE_FRAMES], free[200:240] = False, True, True
    np.savez(tmp_path / "one.npz", features=features, believed=believed, free=free)
    (found,) = decided(weights, [tmp_path / "one.npz"])
    net, wanted = SpeechNet(weights, "normal"), [LEAST]
    for number, row in enumerate(features[:6].astype(np.float32)):
        score = float(net.hear(row))
        wanted.append(smoothed(wanted[-1], LEAST if number == 3 else score))
    assert found[0] == found[7] == NEVER
    assert found[1:5] == pytest.approx([wanted[1], wanted[1], wanted[2], wanted[2]], abs=1e-4)
    assert found[9:13] == pytest.approx([wanted[5], wanted[5], wanted[6], wanted[6]], abs=1e-4)
    assert np.flatnonzero(found == ALWAYS).tolist() == [100 + PAUSE_FRAMES - 1]


def test_the_page_shows_counts_with_their_evidence() -> None:
    tally = tallied([1000], [(20.0, 21.0)])
    text = page({"product": {"mix": tally.told(), "near0": tally.told()}})
    assert "1 in 0." in text
    assert "(" in text.split(WORDS["mix"])[1].split("|")[1]
    assert "0 % (0 to 79) of 1" in text
