"""Half a minute in a room where our own voice sounds: one session of the hearing benchmark.

`scene(library, kind, number)` is the same for the same library, kind and number.  The room, the
voices and the noises of a part come from a generator of that part alone.

Thread: the caller's.  It must never look at what a detector made of a session.

On the time line of the right stamps the echo comes 2 to 20 ms after its reference; `stamps_s` says
by how much the stamps are wrong (> 0: they say that the loudspeaker sounds later than it does).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.hearing import noises
from benchmarks.hearing.kinds import Kind
from benchmarks.hearing.library import Library
from benchmarks.hearing.places import (
    RATE_HZ,
    Floats,
    Place,
    Sound,
    altered,
    faster,
    rattling,
    strained,
)
from benchmarks.hearing.sources import PARTS
from edge_agent.simulation.sound.acoustics import active_level_dbfs, convolve, gain

SESSION_S = 30.0
FRAMES = round(SESSION_S * 100)
FRAME = RATE_HZ // 100
OWN_FROM_S = 0.3
BEFORE_S = 5.0
ROOMS = {"train": 90, "tune": 24, "report": 40}
NEAR_FLOOR_DB = -20.0
"""Somebody is heard where their sound at the microphone is above that, re their active level."""

MOST_CHANGE = 0.2
"""Of a voice that is made another one: a person whose voice is a fifth higher is another person."""

LEARNABLE_DB = 4.0
"""A person nearer to the noise teaches nothing but to fire at noise."""

AFTER_COUGH = 20
"""Frames in which a detector may still believe in a person."""

BRIDGED_FRAMES = 12
"""Shorter holes in a person's speech are speech: a stop, not a pause."""


@dataclass
class Scene:
    """One session: what was rendered, what the microphone heard, and who spoke when."""

    name: str
    place: int
    rendered: NDArray[np.int16]
    """Full scale int16 at 16 kHz of the loudspeaker's clock."""
    heard: NDArray[np.int16]
    """The microphone at its own clock's 16 kHz."""
    before: NDArray[np.int16]
    """What it heard before our voice began: five seconds of the room alone."""
    drift_ppm: float
    stamps_s: float
    apart: bool
    """Our voice does not reach the microphone."""
    near: NDArray[np.bool_] = field(repr=False)
    """Per frame of 10 ms: a person is heard."""
    blurred: NDArray[np.bool_] = field(repr=False)
    """Per frame: nobody can say whether that is a person (a tail, too soft, a cough)."""
    said: list[tuple[float, float, float, str]] = field(default_factory=list)
    """Onset and end in seconds, near-to-echo ratio in dB, who."""
    own: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool), repr=False)
    """Per frame: our own sound is going on (its short pauses included)."""


def _generator(part: str, *more: int) -> np.random.Generator:
    return np.random.default_rng([1711, PARTS.index(part), *more])


def place_of(part: str, number: int) -> tuple[int, Place]:
    """The room of a session."""
    which = number % ROOMS[part]
    return which, Place(_generator(part, 1, which))


def own_sound(library: Library, kind: Kind, rng: np.random.Generator) -> Sound:
    """What the loudspeaker is given: one voice that goes on, or music."""
    size = round(SESSION_S * RATE_HZ)
    out = np.zeros(size, np.float32)
    at = round(OWN_FROM_S * RATE_HZ)
    if rng.random() < kind.music:
        if library.sources["music"] and rng.random() < 0.5:
            _, tune = library.draw("music", rng)
            start = int(rng.integers(0, max(1, len(tune) - size)))
            tune = tune[start : start + size - at]
            tune = tune * gain(-24 - active_level_dbfs(tune, RATE_HZ))
        else:
            tune = noises.music(size - at, rng) * gain(-24)
        out[at : at + len(tune)] = tune
    else:
        voices = "near" if kind.borrowed and rng.random() < kind.borrowed else "far"
        sources = library.sources[voices]
        source = str(rng.choice(sorted(sources)))
        most = MOST_CHANGE if kind.borrowed else 0.06
        change = float(rng.uniform(-most, most)) if library.part == "train" else 0.0
        while at < size:
            clip = library.clip(voices, int(rng.choice(sources[source])))
            if change:
                clip = altered(clip, change)
            clip = clip[: size - at]
            out[at : at + len(clip)] = clip
            at += len(clip) + round(rng.uniform(0.05, 0.5) * RATE_HZ)
    return np.clip(out * gain(rng.uniform(-6, 8)), -1, 1)


def _fades(size: int, moments: list[tuple[int, int]]) -> list[Sound]:
    """Weights of one path after another; each moment is (start, length of the passage)."""
    weights = [np.ones(size, np.float32)]
    for start, length in moments:
        rise = np.clip((np.arange(size) - start) / max(1, length), 0, 1).astype(np.float32)
        weights[-1] = weights[-1] * (1 - rise)
        weights.append(rise)
    return weights


def _echo(played: Sound, place: Place, kind: Kind, rng: np.random.Generator) -> Sound:
    size = len(played)
    drive = rng.uniform(0.15, 1.0) if rng.random() < 0.7 else rng.uniform(1.0, 2.2)
    sound = strained(played, rng, drive)
    if rng.random() < kind.rattle:
        sound = rattling(sound, rng, rng.uniform(-26, -12))
    if kind.volume:
        steps = sorted(rng.uniform(3, SESSION_S - 2, int(rng.integers(1, 4))))
        decibels, now = np.zeros(size), 0.0
        for step in steps:
            now = float(rng.uniform(-12, 12))
            decibels[round(step * RATE_HZ) :] = now
        sound = sound * (10 ** (decibels / 20)).astype(np.float32)
    count = kind.changes or int(rng.random() < kind.change)
    moments = []
    for _ in range(count):
        length = 0.02 if rng.random() < 0.3 else float(rng.uniform(0.2, 2.0))
        moments.append((round(rng.uniform(2, SESSION_S - 3) * RATE_HZ), round(length * RATE_HZ)))
    moments.sort()
    path, echo = place.path(rng), np.zeros(size, np.float32)
    for weight in _fades(size, moments):
        echo += convolve(sound, path)[:size] * weight
        path = place.moved(path, rng, float(rng.uniform(0.05, 0.7)))
    for _ in range(kind.dropouts):
        start = int(rng.integers(2 * RATE_HZ, size - RATE_HZ))
        echo[start : start + round(rng.uniform(0.002, 0.04) * RATE_HZ)] = 0
    return echo


def _add(mix: Sound, sound: Sound, at: int) -> None:
    piece = sound[: max(0, len(mix) - at)]
    mix[at : at + len(piece)] += piece.astype(np.float32)


def _transient(library: Library, kind: Kind, rng: np.random.Generator) -> Sound:
    if library.sources["effects"] and rng.random() < kind.recorded:
        sound = library.draw("effects", rng)[1]
        # There are few: each is many things to learn from.
        return altered(sound, float(rng.uniform(-0.3, 0.3))) if library.part == "train" else sound
    made = noises.TRANSIENTS[int(rng.integers(0, len(noises.TRANSIENTS)))](rng)
    return (made / np.max(np.abs(made))).astype(np.float32)


@dataclass
class _People:
    mix: Sound
    near: NDArray[np.bool_]
    blurred: NDArray[np.bool_]
    said: list[tuple[float, float, float, str]]


def _frame_power(sound: Sound) -> NDArray[np.float64]:
    whole = sound[: FRAMES * FRAME].reshape(FRAMES, FRAME)
    return np.asarray(np.mean(np.square(whole, dtype=np.float64), axis=1))


def _people(
    library: Library,
    place: Place,
    kind: Kind,
    echo_db: float,
    noise_db: float,
    rng: np.random.Generator,
) -> _People:
    size = round(SESSION_S * RATE_HZ)
    people = _People(np.zeros(size, np.float32), np.zeros(FRAMES, bool), np.zeros(FRAMES, bool), [])
    if not kind.near_db:
        return people
    at_s = float(rng.uniform(*kind.first_s))
    while at_s < SESSION_S - 3.5:
        alone = rng.random() < kind.letters and library.sources["letters"]
        source, voice = library.draw("letters" if alone else "near", rng)
        if library.part == "train":
            if rng.random() < 0.7:
                voice = altered(voice, float(rng.uniform(-0.15, 0.15)))
            if rng.random() < 0.5:
                voice = voice[: round(float(rng.uniform(0.35, 1.5)) * RATE_HZ)]
        image = convolve(voice[: round(3.2 * RATE_HZ)], place.voice_path(rng))
        near_db = float(rng.choice(kind.near_db))
        near_db += float(rng.uniform(-2, 2)) if len(kind.near_db) > 1 else 0.0
        target = echo_db + near_db
        image = image * gain(target - active_level_dbfs(image, RATE_HZ))
        whole = np.zeros(size, np.float32)
        _add(whole, image, round(at_s * RATE_HZ))
        loud = 10 * np.log10(_frame_power(whole) + 1e-12) > target + NEAR_FLOOR_DB
        frames = np.flatnonzero(loud)
        if len(frames):
            gaps = np.diff(frames, prepend=frames[0])
            spoken = loud.copy()
            for index in np.flatnonzero((gaps > 1) & (gaps <= BRIDGED_FRAMES)):
                spoken[frames[index] - gaps[index] : frames[index]] = True
            if library.part == "train" and near_db < noise_db + LEARNABLE_DB:
                people.blurred |= spoken
            else:
                people.near |= spoken
            last = int(frames[-1])
            people.blurred[last + 1 : last + 41] = True
            people.blurred |= (whole[: FRAMES * FRAME].reshape(FRAMES, FRAME) != 0).any(1) & ~spoken
            people.said.append((frames[0] / 100, (last + 1) / 100, near_db, source))
        people.mix += whole
        at_s += len(image) / RATE_HZ + float(rng.uniform(1.8, 4.5))
    people.blurred &= ~people.near
    return people


def scene(library: Library, kind: Kind, number: int) -> Scene:
    """Session `number` of a kind, in the part of the library."""
    part = library.part
    seed = list(kind.name.encode())
    rng = _generator(part, 2, number, *seed)
    which, place = place_of(part, number)
    size = round(SESSION_S * RATE_HZ)
    rendered = own_sound(library, kind, rng)
    echo = _echo(rendered, place, kind, rng)
    loud = float(rng.uniform(-42, -16))
    """Active level of the echo at the microphone."""
    echo = echo * gain(loud - active_level_dbfs(echo[RATE_HZ:], RATE_HZ))
    frame_echo = _frame_power(echo) > 10 ** ((loud - 45) / 10)
    if kind.apart:
        echo = np.zeros_like(echo)
    delay = float(rng.uniform(0.002, 0.020))
    stamps_s = float(rng.uniform(*kind.stamps_s))
    if part == "train" and kind.name.startswith("any") and rng.random() < 0.5:
        stamps_s = 0.0
    echo = _shifted(echo, delay)
    noise_db = float(rng.uniform(*kind.noise_db))
    people = _people(library, place, kind, loud, noise_db, rng)
    mix = echo + people.mix
    noise = noises.room_noise(size, rng, moving=bool(rng.random() < kind.swell))
    if kind.recorded_noise:
        # A generator of its own: the other kinds stay as they are.
        dice = _generator(part, 6, number, *seed)
        if library.sources["ambience"] and dice.random() < kind.recorded_noise:
            noise = _recorded_room(library, size, dice)
    room = (noise * gain(max(loud + noise_db, -80))).astype(np.float32)
    mix += room
    hits = kind.hits or int(rng.random() < kind.transients) * int(rng.integers(1, 5))
    # From a generator of their own: other noises leave sessions without any as they are.
    dice = _generator(part, 5, number, *seed)
    for _ in range(hits):
        hit = convolve(_transient(library, kind, dice), place.voice_path(dice))
        hit *= gain(loud + dice.uniform(-14, 16)) / max(1e-6, float(np.sqrt(np.mean(hit**2))) * 3)
        _add(mix, hit, int(dice.integers(RATE_HZ, size - RATE_HZ)))
    for _ in range(kind.coughs):
        hit = convolve(noises.cough(rng).astype(np.float32), place.voice_path(rng))
        hit *= gain(loud + rng.uniform(-8, 12) - active_level_dbfs(hit, RATE_HZ))
        start = int(rng.integers(3 * RATE_HZ, size - 2 * RATE_HZ))
        _add(mix, hit, start)
        if part == "train":  # a voice, and yet nobody speaks
            people.blurred[start // FRAME : (start + len(hit)) // FRAME + AFTER_COUGH] = True
    if kind.around:
        around = _around(library, place, kind, loud, rng)
        mix += around
        room += around
    drift = float(rng.choice([-1, 1])) * float(rng.uniform(*kind.drift_ppm))
    if part == "train" and rng.random() < 0.4:
        drift = float(rng.uniform(-20, 20))
    if abs(drift) > 1:
        mix = faster(mix, drift)
    for _ in range(kind.lost):
        start = int(rng.integers(3 * RATE_HZ, size - 2 * RATE_HZ))
        lost = int(rng.integers(1, 2)) if rng.random() < 0.5 else int(rng.integers(16, 320))
        mix = np.concatenate((mix[:start], mix[start + lost :]))
    mix = np.pad(mix, (0, max(0, size - len(mix))))[:size]
    hiss = rng.standard_normal(size).astype(np.float32) * gain(rng.uniform(-96, -80))
    mix += hiss
    before = (room + hiss)[-round(BEFORE_S * RATE_HZ) :]
    peak_db = 20 * np.log10(float(np.max(np.abs(mix))) + 1e-9)
    if rng.random() < 0.1:  # a microphone that is turned up too far
        turned_up = gain(rng.uniform(0, 12) - peak_db)
    else:
        turned_up = gain(-1 - peak_db if peak_db > 0 else 0.0)
    return Scene(
        name=f"{part}-{kind.name}-{number}",
        place=which,
        rendered=_pcm(rendered),
        heard=_pcm(mix * turned_up),
        before=_pcm(before * turned_up),
        drift_ppm=drift,
        stamps_s=stamps_s,
        apart=kind.apart,
        near=people.near,
        blurred=people.blurred,
        said=people.said,
        own=frame_echo,
    )


def _recorded_room(library: Library, size: int, rng: np.random.Generator) -> Floats:
    """A recording that goes on for a session, of level 1; its ends run into each other."""
    sound = library.draw("ambience", rng)[1].astype(np.float64)
    if library.part == "train":
        sound = altered(sound.astype(np.float32), float(rng.uniform(-0.2, 0.2))).astype(np.float64)
    fade = min(RATE_HZ // 2, len(sound) // 4)
    rise = np.sqrt(np.linspace(0, 1, fade))
    sound[:fade] = sound[:fade] * rise + sound[-fade:] * rise[::-1]
    sound = sound[:-fade]
    noise = np.roll(np.resize(sound, size), int(rng.integers(0, size)))
    return np.asarray(noise / max(1e-6, float(np.sqrt(np.mean(noise**2)))))


def _around(
    library: Library, place: Place, kind: Kind, loud: float, rng: np.random.Generator
) -> Sound:
    size = round(SESSION_S * RATE_HZ)
    if kind.around == "speech":
        sound = own_sound(library, replace(kind, music=0.0), rng)
    elif library.sources["music"] and rng.random() < 0.5:
        sound = np.resize(library.draw("music", rng)[1], size)
    else:
        sound = noises.music(size, rng)
    sound = convolve(sound, place.voice_path(rng))[:size]
    return sound * gain(loud + rng.uniform(*kind.around_db) - active_level_dbfs(sound, RATE_HZ))


def _shifted(sound: Sound, seconds: float) -> Sound:
    samples = round(seconds * RATE_HZ)
    return np.pad(sound, (samples, 0))[: len(sound)]


def _pcm(sound: Sound) -> NDArray[np.int16]:
    whole = np.clip(np.rint(sound * 32768), -32768, 32767)
    return np.asarray(whole, np.int16)
