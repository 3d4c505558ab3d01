"""The sounds that the hearing benchmark is made of: voices, music, noises, in three parts.

Call `build` once (minutes), then `Library(folder, part)`.  Who reads aloud and what is in `spoken`,
which recordings there are in `sources` and `noise_sources`; what of them belongs to which part is
decided there and here and nowhere else, so that training, tuning and reporting share nothing.

Thread: the caller's.  It must never copy a recording into the project: what it makes stays in the
folder it was given.

Recordings come from folders named on the command line.  What is missing is left out and said.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.hearing.noise_sources import AMBIENCE, FIRST, KITS, MUSIC, NOISES, what, where
from benchmarks.hearing.places import RATE_HZ, Sound
from benchmarks.hearing.sources import LETTERS, OWN, PEOPLE, Recorded, read, slot
from benchmarks.hearing.spoken import VOICES, speak, texts
from edge_agent.simulation.sound.acoustics import active_level_dbfs, from_pcm

LEVEL_DBFS = -24.0
"""Active level that every clip of speech is brought to."""

LONGEST_CLIP_S = 16.0
FEWEST_S = 0.25
FEWEST_NOISE_S = 0.06
"""A click with the silence that is left around it."""

NEAR_CLIP_S = 5.0
NOISE_CLIP_S = 2.0
NOISE_PEAK = 0.7
AMBIENCE_S = (1.0, 30.0)
MANY = 20
"""Sources that the many people of one folder, whom nothing tells apart, count as in `draw`."""

CLIPS = {"people": 250, "own": 400, "noises": 400, "kit": 60}
"""Of one source at most."""

FAR_MINUTES = {"train": 9.0, "tune": 3.0, "report": 7.0}
"""Of our own voice, by each synthetic voice, as far as the texts reach."""

FAR_MINUTES_SLOW = 1.5
"""By one of festival's voices, which take as long as they speak."""

NEAR_SENTENCES = {"train": 30, "tune": 12, "report": 0}
"""Of people made by a synthetic voice.  People of the report are recordings, and one voice."""


def trimmed(sound: Sound, fewest_s: float) -> Sound | None:
    """The clip without silence around it; None where there is too little."""
    sound = sound[: round(LONGEST_CLIP_S * RATE_HZ)]
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.max(np.abs(sound), initial=0.0))
    if not len(loud):
        return None
    sound = sound[max(0, loud[0] - 320) : loud[-1] + 800]
    return sound if len(sound) >= fewest_s * RATE_HZ else None


def level_off(sound: Sound) -> Sound | None:
    """A clip of speech without silence around it, at the common level."""
    speech = trimmed(sound, FEWEST_S)
    if speech is None:
        return None
    factor = 10 ** ((LEVEL_DBFS - active_level_dbfs(speech, RATE_HZ)) / 20)
    return np.clip(speech * np.float32(factor), -1, 1).astype(np.float32)


def _recordings(folder: Path, pattern: str) -> Iterator[tuple[str, Sound]]:
    for path in sorted(folder.glob(pattern)):
        try:
            yield f"{path.parent.name}/{path.name}", read(path)
        except (OSError, RuntimeError, ValueError):
            continue


def _level_peak(sound: Sound) -> Sound | None:
    """A knock without silence around it, as loud as it may be without being cut off."""
    noise = trimmed(sound, FEWEST_NOISE_S)
    return None if noise is None else noise * np.float32(NOISE_PEAK / np.max(np.abs(noise)))


def _room(sound: Sound) -> Sound | None:
    """A room's noise at the common level; None where there is too little to go on with."""
    least, most = (round(seconds * RATE_HZ) for seconds in AMBIENCE_S)
    sound = sound[:most]
    rms = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0
    if len(sound) < least or rms < 1e-5:
        return None
    return np.clip(sound * np.float32(10 ** (LEVEL_DBFS / 20) / rms), -1, 1).astype(np.float32)


def _files(recorded: Recorded, paths: list[Path]) -> Iterator[tuple[str, Sound]]:
    for path in paths:
        try:
            yield f"{recorded.source}/{path.name}", read(path)
        except (OSError, RuntimeError, ValueError):
            continue


def _whole(
    part: str, more: Path, rows: tuple[Recorded, ...], most: int
) -> Iterator[tuple[str, Sound]]:
    """What belongs to a part as a whole: one speaker, one drum kit."""
    for row in rows:
        if slot(row.who or row.source) == part:
            yield from _files(row, row.found(more, most))


def _some(
    part: str, more: Path, rows: tuple[Recorded, ...], belongs: Callable[[Recorded, Path], str]
) -> Iterator[tuple[str, Sound]]:
    """Of each row the files that belong to a part by what `belongs` calls them."""
    for row in rows:
        paths = row.found(more, CLIPS["noises"])
        yield from _files(row, [path for path in paths if slot(belongs(row, path)) == part])


def _far(part: str, audio: Path, more: Path) -> Iterator[tuple[str, Sound]]:
    lines = texts(part)
    for number, voice in enumerate(v for v in VOICES if v.part == part and v.far):
        seconds = 0.0
        # Each voice begins elsewhere in the texts, so that two of them seldom say the same.
        turned = lines[number * 37 % len(lines) :] + lines[: number * 37 % len(lines)]
        for sound in speak(voice, turned):
            yield voice.name, sound
            seconds += len(sound) / RATE_HZ
            most = FAR_MINUTES_SLOW if voice.engine == "festival" else FAR_MINUTES[part]
            if seconds > 60 * most:
                break
    if part == "report":
        for path in sorted((audio / "far").glob("*.flac")):
            whole = read(path)
            size = 10 * RATE_HZ
            for start in range(0, len(whole) - size, size):
                yield path.stem, whole[start : start + size]
    prompts = {"train": "*_f_June", "tune": "*_m_Carlo", "report": "en_US_f_Allison"}[part]
    for name, sound in _recordings(more, f"usr/share/asterisk/sounds/{prompts}/*.wav"):
        if len(sound) > 2 * RATE_HZ:
            yield name, sound
    for name, sound in _whole(part, more, OWN, CLIPS["own"]):
        if len(sound) > 2 * RATE_HZ:
            yield name, sound


def _near(part: str, audio: Path, more: Path) -> Iterator[tuple[str, Sound]]:
    for name, sound in _recordings(audio / "near", "speech_to_intent/*.flac"):
        if slot(name) == part:
            yield f"commands {zlib.crc32(name.encode()) % MANY}/{name.split('/')[1]}", sound
    speaker = {"train": "nicolas", "tune": "jackson", "report": "yweweler"}[part]
    yield from _recordings(audio / "near", f"digits/*_{speaker}_*.flac")
    languages = sorted((more / "usr/share/klettres").glob("*/"))
    for folder in languages:
        if slot("letters " + folder.name) == part:
            for name, sound in _recordings(folder, "*/*.ogg"):
                yield f"{LETTERS}{folder.name} {name}", sound
    if part == "train":
        for name, sound in _recordings(more, "usr/share/asterisk/sounds/es_MX_f_Allison/*.wav"):
            yield name, sound[: 5 * RATE_HZ]
    if part == "report":
        for name, sound in _recordings(audio / "wake_real", "*/*.wav"):
            yield name, sound[: 5 * RATE_HZ]
    for name, sound in _whole(part, more, PEOPLE, CLIPS["people"]):
        yield name, sound[: round(NEAR_CLIP_S * RATE_HZ)]
    lines = texts(part)[::-1]
    for voice in VOICES:
        if voice.part == part and voice.near:
            short = [line.split(",")[0][:60] for line in lines]
            for sound in speak(voice, short[: NEAR_SENTENCES[part]]):
                yield voice.name, sound


def _music(part: str, more: Path) -> Iterator[tuple[str, Sound]]:
    for pattern in MUSIC:
        for path in sorted(more.glob(pattern)):
            if slot("music " + path.name) == part:
                yield path.name, read(path)[10 * RATE_HZ : 70 * RATE_HZ]


def _effects(part: str, more: Path) -> Iterator[tuple[str, Sound]]:
    for row in FIRST:
        paths = row.found(more, CLIPS["noises"])
        paths = [p for p in paths if slot(f"effect {p.parent.name}/{p.name}") == part]
        yield from _files(row, paths)
    yield from _some(part, more, NOISES, where)
    yield from _whole(part, more, KITS, CLIPS["kit"])


def build(folder: Path, part: str, audio: Path, more: Path) -> str:
    """Make the library of one part; returns what it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {
        "far": _far(part, audio, more),
        "near": _near(part, audio, more),
        "music": _music(part, more),
        "effects": ((n, s[: round(NOISE_CLIP_S * RATE_HZ)]) for n, s in _effects(part, more)),
        "ambience": _some(part, more, AMBIENCE, what),
    }
    levels: dict[str, Callable[[Sound], Sound | None]] = {
        "music": lambda sound: sound,
        "effects": _level_peak,
        "ambience": _room,
    }
    told = []
    for kind, sounds in kinds.items():
        target = folder / f"{part}-{kind}.npz"
        if not target.exists():
            names, clips = [], []
            for name, sound in sounds:
                even = levels.get(kind, level_off)(sound)
                if even is not None and len(even):
                    names.append(name)
                    clips.append(np.clip(np.rint(even * 32767), -32768, 32767).astype(np.int16))
            ends = np.cumsum([len(clip) for clip in clips], dtype=np.int64)
            whole = np.concatenate(clips) if clips else np.zeros(0, np.int16)
            half_done = target.with_suffix(".part.npz")
            np.savez(half_done, sound=whole, ends=ends, names=np.array(names))
            half_done.rename(target)
        with np.load(target) as stored:
            told.append(
                f"{kind}: {len(stored['ends'])} clips, {len(stored['sound']) / RATE_HZ / 60:.1f} "
                f"minutes, {len({str(n).split('/')[0] for n in stored['names']})} sources"
            )
    return f"{part}: " + "; ".join(told)


KINDS = ("far", "near", "music", "effects", "ambience")


class Library:
    """The clips of one part, by kind."""

    def __init__(self, folder: Path, part: str) -> None:
        self.part = part
        self._sounds: dict[str, NDArray[np.int16]] = {}
        self._bounds: dict[str, list[tuple[int, int]]] = {}
        self.sources: dict[str, dict[str, list[int]]] = {}
        """Kind → source (a voice, a folder of recordings) → its clips."""
        for kind in KINDS:
            with np.load(folder / f"{part}-{kind}.npz") as stored:
                self._sounds[kind] = stored["sound"]
                ends = [int(end) for end in stored["ends"]]
                self._bounds[kind] = list(pairwise([0, *ends]))
                sources: dict[str, list[int]] = {}
                for number, name in enumerate(stored["names"]):
                    sources.setdefault(str(name).split("/")[0], []).append(number)
                self.sources[kind] = sources
        people = self.sources["near"]
        # Of the people: those who say single letters and syllables.
        self.sources["letters"] = {n: people.pop(n) for n in list(people) if n.startswith(LETTERS)}
        self._sounds["letters"] = self._sounds["near"]
        self._bounds["letters"] = self._bounds["near"]

    def clip(self, kind: str, number: int) -> Sound:
        """One clip, full scale 1.0."""
        first, last = self._bounds[kind][number]
        return from_pcm(self._sounds[kind][first:last])

    def draw(self, kind: str, rng: np.random.Generator) -> tuple[str, Sound]:
        """A source at random, and one of its clips; folders of many people come more often."""
        sources = self.sources[kind]
        names = sorted(sources)
        weights = np.sqrt([len(sources[name]) for name in names])
        source = str(rng.choice(names, p=weights / weights.sum()))
        return source, self.clip(kind, int(rng.choice(sources[source])))
