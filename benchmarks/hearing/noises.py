"""Knocks, doors, clatter, coughs, rooms that hum and swell, and music: made from seeds.

Each function takes a generator and returns sound at 16 kHz with a peak or a level near one; who
calls it brings it to its level.

Thread: the caller's.  It must never keep state between two calls.
"""

from __future__ import annotations

import numpy as np

from benchmarks.hearing.places import RATE_HZ, Floats, Sound, band


def _ring(size: int, hertz: float, decay_s: float, rng: np.random.Generator) -> Floats:
    seconds = np.arange(size) / RATE_HZ
    return np.sin(2 * np.pi * hertz * seconds + rng.uniform(0, 6.28)) * np.exp(-seconds / decay_s)


def _hit(rng: np.random.Generator, low_hz: float, high_hz: float, decay_s: float) -> Floats:
    size = round(min(1.0, 7 * decay_s) * RATE_HZ)
    hit = np.zeros(size)
    for _ in range(int(rng.integers(3, 9))):
        hertz = float(np.exp(rng.uniform(np.log(low_hz), np.log(high_hz))))
        hit += rng.uniform(0.2, 1) * _ring(size, hertz, decay_s * rng.uniform(0.3, 1.0), rng)
    click = min(size, round(rng.uniform(0.001, 0.006) * RATE_HZ))
    hit[:click] += rng.standard_normal(click) * rng.uniform(0.3, 2)
    return hit


def _several(rng: np.random.Generator, hits: list[Floats], gaps_s: list[float]) -> Floats:
    starts = np.cumsum([0, *[round(gap * RATE_HZ) for gap in gaps_s]])
    whole = np.zeros(int(max(s + len(h) for s, h in zip(starts, hits, strict=False))))
    for start, hit in zip(starts, hits, strict=False):
        whole[start : start + len(hit)] += hit * rng.uniform(0.5, 1)
    return whole


def knocks(rng: np.random.Generator) -> Floats:
    """On a table, a door, a pot: one to five."""
    count = int(rng.integers(1, 6))
    pitch = float(np.exp(rng.uniform(np.log(60), np.log(500))))
    decay_s = float(np.exp(rng.uniform(np.log(0.008), np.log(0.12))))
    hits = [_hit(rng, pitch, pitch * rng.uniform(3, 12), decay_s) for _ in range(count)]
    return _several(rng, hits, [rng.uniform(0.1, 0.4) for _ in hits[1:]])


def slam(rng: np.random.Generator) -> Floats:
    """A door: a thump, a burst of air, and what shakes after it."""
    size = round(rng.uniform(0.25, 0.8) * RATE_HZ)
    seconds = np.arange(size) / RATE_HZ
    thump = _ring(size, rng.uniform(35, 120), rng.uniform(0.05, 0.15), rng) * 2
    air = band(rng.standard_normal(size), 60, rng.uniform(500, 4000), 1.0)
    air *= np.exp(-seconds / rng.uniform(0.02, 0.12)) * rng.uniform(1, 4)
    whole = thump + air
    for _ in range(int(rng.integers(0, 6))):
        hit = _hit(rng, 300, 3000, rng.uniform(0.01, 0.05))[: size // 2]
        start = int(rng.integers(0, size - len(hit)))
        whole[start : start + len(hit)] += 0.4 * hit
    return whole


def clatter(rng: np.random.Generator) -> Floats:
    """Dishes, cutlery, keys, a keyboard."""
    count = int(rng.integers(3, 18))
    base = float(np.exp(rng.uniform(np.log(600), np.log(4000))))
    decay_s = float(np.exp(rng.uniform(np.log(0.004), np.log(0.2))))
    hits = [_hit(rng, base, min(base * 4, 7800), decay_s) for _ in range(count)]
    return _several(rng, hits, [float(rng.exponential(0.09)) for _ in hits[1:]])


def rustle(rng: np.random.Generator) -> Floats:
    """Paper, clothes, a bag, steps: noise that comes in bits."""
    size = round(rng.uniform(0.3, 2.0) * RATE_HZ)
    low = rng.uniform(200, 2500)
    noise = band(rng.standard_normal(size), low, min(7800, low * rng.uniform(2, 8)), 1.5)
    grain = np.abs(band(rng.standard_normal(size), 1, rng.uniform(6, 40), 1.0))
    fade = np.minimum(1, np.minimum(np.arange(size), np.arange(size)[::-1]) / 400)
    return noise * (grain / grain.max()) ** rng.uniform(1, 3) * fade


def cough(rng: np.random.Generator) -> Floats:
    """One to three coughs of a person: bursts of breath through a throat."""
    throat = rng.uniform(0.85, 1.25)
    formants = [(600 * throat, 150), (1300 * throat, 250), (2700 * throat, 400)]
    bursts = []
    for _ in range(int(rng.integers(1, 4))):
        size = round(rng.uniform(0.15, 0.4) * RATE_HZ)
        seconds = np.arange(size) / RATE_HZ
        breath = rng.standard_normal(size)
        if rng.random() < 0.6:
            pitch = rng.uniform(90, 260) * (1 - 0.3 * seconds / seconds[-1])
            voiced = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE_HZ) - 0.7)
            breath += rng.uniform(0.2, 1.5) * voiced * (seconds > 0.06)
        sound = 0.2 * band(breath, 300, 7000, 1.0)
        for hertz, width in formants:
            sound += band(breath, hertz - width, hertz + width, 2.0)
        attack = np.minimum(1, seconds / rng.uniform(0.005, 0.02))
        bursts.append(sound * attack * np.exp(-seconds / rng.uniform(0.05, 0.16)))
    return _several(rng, bursts, [rng.uniform(0.25, 0.6) for _ in bursts[1:]])


def ringing(rng: np.random.Generator) -> Floats:
    """Metal, glass, a pot lid, an anvil: struck one to six times, and it sounds on."""
    base = float(np.exp(rng.uniform(np.log(250), np.log(3500))))
    decay_s = float(np.exp(rng.uniform(np.log(0.08), np.log(0.9))))
    ratios = np.concatenate(([1.0], np.sort(rng.uniform(1.3, 8.0, int(rng.integers(2, 7))))))
    strengths = rng.uniform(0.1, 1, len(ratios))
    decays = decay_s * rng.uniform(0.3, 1, len(ratios)) / np.sqrt(ratios)
    hits = []
    for _ in range(int(rng.integers(1, 7))):
        size = round(min(1.5, 5 * decay_s) * RATE_HZ)
        hit = np.zeros(size)
        for ratio, strength, decay in zip(ratios, strengths, decays, strict=True):
            if base * ratio < 7800:
                hit += strength * rng.uniform(0.5, 1) * _ring(size, base * ratio, decay, rng)
        click = round(rng.uniform(0.001, 0.008) * RATE_HZ)
        hit[:click] += rng.standard_normal(click) * rng.uniform(0.5, 3)
        hits.append(hit)
    return _several(rng, hits, [rng.uniform(0.12, 0.8) for _ in hits[1:]])


def crack(rng: np.random.Generator) -> Floats:
    """A whip, a clap, a balloon, something that breaks: a burst, and noise that dies away."""
    bursts = []
    for _ in range(int(rng.integers(1, 4))):
        size = round(rng.uniform(0.15, 0.9) * RATE_HZ)
        seconds = np.arange(size) / RATE_HZ
        low = rng.uniform(150, 1500)
        sound = band(rng.standard_normal(size), low, min(7800, low * rng.uniform(2, 12)), 1.0)
        envelope = np.exp(-seconds / rng.uniform(0.004, 0.03))
        envelope += rng.uniform(0.02, 0.4) * np.exp(-seconds / rng.uniform(0.05, 0.3))
        if rng.random() < 0.4:  # it hisses before it cracks
            rise = round(rng.uniform(0.05, 0.3) * size)
            envelope = np.concatenate((0.1 * np.linspace(0, 1, rise) ** 2, envelope[: size - rise]))
        bursts.append(sound * envelope)
    return _several(rng, bursts, [rng.uniform(0.1, 0.7) for _ in bursts[1:]])


TRANSIENTS = (knocks, slam, clatter, rustle, ringing, crack)


def room_noise(size: int, rng: np.random.Generator, *, moving: bool) -> Floats:
    """A room's own noise of level 1: coloured, with hum; `moving`: it swells and comes in waves."""
    hertz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    hertz[0] = 1.0
    colour = -rng.uniform(0, 8) * np.log2(np.maximum(hertz, 40) / 1000)
    for _ in range(3):
        centre, width = np.exp(rng.uniform(np.log(100), np.log(6000))), rng.uniform(0.2, 1)
        colour += rng.uniform(-4, 9) * np.exp(-((np.log2(hertz / centre) / width) ** 2))
    spectrum = np.fft.rfft(rng.standard_normal(size)) * 10 ** (colour / 20)
    noise = np.fft.irfft(spectrum * (hertz > 30), size)
    noise /= np.sqrt(np.mean(noise**2))
    if rng.random() < 0.5:
        seconds = np.arange(size) / RATE_HZ
        base = rng.choice([50, 60, rng.uniform(80, 400)])
        for number in range(1, int(rng.integers(2, 9))):
            noise += rng.uniform(0, 0.4) / number * _ring(size, base * number, 1e9, rng)
        del seconds
    if moving:
        points = np.arange(0, size + RATE_HZ, round(rng.uniform(0.4, 3) * RATE_HZ))
        decibels = np.interp(np.arange(size), points, rng.uniform(-12, 4, len(points)))
        if rng.random() < 0.4:  # something that is switched on and off
            on = rng.random(len(points)) < 0.5
            decibels += 12 * np.interp(np.arange(size), points, on) - 6
        if rng.random() < 0.4:  # a fan, a machine
            seconds = np.arange(size) / RATE_HZ
            decibels += rng.uniform(2, 8) * np.sin(2 * np.pi * rng.uniform(0.3, 9) * seconds)
        noise *= 10 ** (decibels / 20)
    return noise / np.sqrt(np.mean(noise**2))


def music(size: int, rng: np.random.Generator) -> Sound:
    """Chords, a melody, a bass and drums; never the same twice."""
    out = np.zeros(size + 4 * RATE_HZ)
    beat = round(60 / rng.uniform(70, 150) * RATE_HZ)
    root = rng.uniform(110, 220)
    scale = np.array([0, 2, 3, 5, 7, 8, 10] if rng.random() < 0.5 else [0, 2, 4, 5, 7, 9, 11])
    partials = rng.uniform(0.1, 1, 8) / np.arange(1, 9) ** rng.uniform(0.3, 1.6)
    decay_s, attack_s = rng.uniform(0.1, 1.5), rng.uniform(0.003, 0.1)
    wobble = rng.uniform(0, 0.006)
    drums = rng.random() < 0.7
    for number, start in enumerate(range(0, size, beat)):
        notes: list[tuple[int, float, float]] = []
        if number % 2 == 0:
            degree = int(rng.integers(0, 7))
            for step in (0, 2, 4):
                notes.append((start, float(scale[(degree + step) % 7]), 2.0))
            notes.append((start, float(scale[degree]) - 12, 1.0))
        for half in (0, beat // 2):
            if rng.random() < 0.6:
                notes.append((start + half, float(scale[int(rng.integers(0, 7))]) + 12, 0.7))
        for at, semitone, beats in notes:
            length = min(round(beats * beat), 2 * RATE_HZ)
            seconds = np.arange(length) / RATE_HZ
            hertz = root * 2 ** (semitone / 12)
            phase = hertz * seconds + wobble * np.sin(2 * np.pi * 5 * seconds)
            tone = np.zeros(length)
            for order, strength in enumerate(partials, 1):
                if hertz * order < 7500:
                    tone += strength * np.sin(2 * np.pi * order * phase)
            tone *= np.minimum(1, seconds / attack_s) * np.exp(-seconds / decay_s)
            tone *= np.minimum(1, (length - np.arange(length)) / 200)
            out[at : at + length] += tone
        if drums:
            for at, kind in ((start, number % 2), (start + beat // 2, 2)):
                length = round(0.15 * RATE_HZ)
                seconds = np.arange(length) / RATE_HZ
                if kind == 0:
                    hit = 3 * np.sin(2 * np.pi * 50 * seconds * (1 + 0.1 / (seconds + 0.03)))
                    hit *= np.exp(-seconds / 0.06)
                else:
                    hit = rng.standard_normal(length) * np.exp(-seconds / (0.08 / kind))
                out[at : at + length] += hit
    out = out[:size]
    return (out / np.sqrt(np.mean(out**2))).astype(np.float32)
