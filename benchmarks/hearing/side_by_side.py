"""Many sessions through the linear canceller at once: what training and the quick report need.

The same filter as `audio.cancel.canceller`, written for arrays with a leading axis of sessions:
a third of the time.  `prepare` makes the features of sessions and keeps them in a folder, so that
what was made once is not made again.

Thread: the caller's.  It must never be told where the echo is by anything but `aligned`, which
stands for a delay that has been found.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.hearing.library import Library
from benchmarks.hearing.places import RATE_HZ, Floats, faster
from benchmarks.hearing.scenes import FRAME, FRAMES, KINDS, Scene, scene
from benchmarks.hearing.speech_features import COUNT, SpeechFeatures
from edge_agent.simulation.sound.acoustics import from_pcm

PARTITIONS = 24
TRANSITION = np.float32(0.999)
FIRST_UNCERTAINTY, UNCERTAINTY_DECAY = 0.5, 0.75
FIRST_GAIN = FIRST_UNCERTAINTY / (1 - UNCERTAINTY_DECAY)
WEIGHED_FRAMES, WEIGHED_FROM, HIGHEST_GAIN = 100, 3e-5, 1000.0
ERROR_SMOOTHING = np.float32(0.9)
SIDE_BY_SIDE = 24
"""Sessions at once: what they need then fits the processor's cache."""

ABSENT_FRAMES = 250
"""Two seconds of loud own voice, of which nothing was heard, and what comes before."""

STEP_S = 0.001
"""A reference that is steered by whole samples is let run so far off."""


class Cancellers:
    """`many` cancellers; see `audio.cancel.canceller` for what each line means."""

    def __init__(self, many: int) -> None:
        shape = (many, PARTITIONS, FRAME + 1)
        self._weights = np.zeros(shape, np.complex64)
        self._spectra = np.zeros(shape, np.complex64)
        decay = FIRST_UNCERTAINTY * UNCERTAINTY_DECAY ** np.arange(PARTITIONS)
        self._unsure = np.broadcast_to(decay[None, :, None], shape).astype(np.float32)
        self._error = np.zeros((many, FRAME + 1), np.float32)
        self._last = np.zeros((many, FRAME), np.float32)
        self._turn = 0
        self._gain = np.full(many, FIRST_GAIN)
        self._heard, self._played = np.zeros(many), np.zeros(many)
        self._unweighed = np.full(many, WEIGHED_FRAMES)

    def _weigh(self, near: Floats, far: Floats) -> None:
        played = np.einsum("nk,nk->n", far, far)
        told = (played >= WEIGHED_FROM * FRAME) & (self._unweighed > 0)
        if not told.any():
            return
        self._unweighed[told] -= 1
        self._played[told] += played[told]
        self._heard[told] += np.einsum("nk,nk->n", near, near)[told]
        gain = np.minimum(self._heard / np.maximum(self._played, 1e-12), HIGHEST_GAIN)
        more = told & (gain > self._gain)
        factor = (gain[more] / self._gain[more]).astype(np.float32)
        self._unsure[more] *= factor[:, None, None]
        self._gain[more] = gain[more]

    def process(self, near: Floats, far: Floats) -> tuple[Floats, Floats, Floats]:
        """Echo estimate, residual, and per bin the power of the echo that may be left."""
        self._weigh(near, far)
        spectra, weights, unsure = self._spectra, self._weights, self._unsure
        spectra[:, 1:] = spectra[:, :-1].copy()
        spectra[:, 0] = np.fft.rfft(np.concatenate((self._last, far), axis=1), axis=1)
        self._last = far
        echo = np.fft.irfft(np.einsum("npk,npk->nk", weights, spectra), axis=1)[:, FRAME:]
        echo = echo.astype(np.float32)
        error = near - echo
        spectrum = np.fft.rfft(np.concatenate((np.zeros_like(error), error), axis=1), axis=1)
        spectrum = spectrum.astype(np.complex64)
        self._error *= ERROR_SMOOTHING
        self._error += (1 - ERROR_SMOOTHING) * (spectrum.real**2 + spectrum.imag**2)
        power = spectra.real**2 + spectra.imag**2
        uncertain = np.einsum("npk,npk->nk", unsure, power)
        gain = unsure / (uncertain + self._error + np.float32(1e-9))[:, None]
        weights += gain * spectra.conj() * spectrum[:, None]
        weights *= TRANSITION
        part = slice(self._turn, None, 4)
        self._turn = (self._turn + 1) % 4
        impulse = np.fft.irfft(weights[:, part], axis=2)
        impulse[..., FRAME:] = 0.0
        weights[:, part] = np.fft.rfft(impulse, axis=2)
        gain *= power
        np.subtract(1, gain, out=gain)
        unsure *= gain
        unsure *= TRANSITION**2
        unsure += (1 - TRANSITION**2) * (weights.real**2 + weights.imag**2)
        return echo, error, uncertain


def aligned(session: Scene) -> Floats:
    """The reference as a canceller has it that has found delay and drift, or nearly so."""
    rng = np.random.default_rng(list(session.name.encode()))
    rendered = from_pcm(session.rendered)
    if abs(session.drift_ppm) > 1:
        if rng.random() < 0.7:  # followed smoothly, but for a part
            followed = faster(rendered, session.drift_ppm * float(rng.uniform(0.9, 1.0)))
        else:  # by whole samples
            step = round(STEP_S * RATE_HZ)
            at = np.arange(len(rendered)) / (1 + session.drift_ppm * 1e-6)
            off = at - np.arange(len(rendered))
            followed = rendered[
                np.clip(
                    np.arange(len(rendered)) + (np.round(off / step) * step).astype(int),
                    0,
                    len(rendered) - 1,
                )
            ]
        rendered = np.pad(followed, (0, max(0, len(rendered) - len(followed))))[: len(rendered)]
    return rendered.astype(np.float32)


def run(sessions: list[Scene]) -> Floats:
    """Features as `(sessions, frames, numbers)`."""
    many = len(sessions)
    near = np.stack([from_pcm(s.heard) for s in sessions]).reshape(many, FRAMES, FRAME)
    far = np.stack([aligned(s) for s in sessions]).reshape(many, FRAMES, FRAME)
    apart = np.array([s.apart for s in sessions])
    cancellers, features = Cancellers(many), SpeechFeatures((many,))
    out = np.zeros((many, FRAMES, COUNT), np.float16)
    for frame in range(FRAMES):
        here, played = near[:, frame], far[:, frame]
        echo, residual, uncertain = cancellers.process(here, played)
        if frame >= ABSENT_FRAMES:  # found absent: nothing is taken out any more
            echo[apart], residual[apart], uncertain[apart] = 0.0, here[apart], 0.0
        out[:, frame] = features.of(here, played, echo, residual, uncertain)
    return out


def prepare(library: Library, kind: str, numbers: range, folder: Path) -> list[Path]:
    """Features and labels of sessions, one file each; makes those that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{library.part}-{kind}-{number}.npz" for number in numbers]
    missing = [n for n, path in zip(numbers, paths, strict=True) if not path.exists()]
    for start in range(0, len(missing), SIDE_BY_SIDE):
        some = missing[start : start + SIDE_BY_SIDE]
        sessions = [scene(library, KINDS[kind], number) for number in some]
        for number, session, features in zip(some, sessions, run(sessions), strict=True):
            path = folder / f"{library.part}-{kind}-{number}.npz"
            half_done = path.with_suffix(".part.npz")
            np.savez(
                half_done,
                features=features,
                near=session.near,
                blurred=session.blurred,
                own=session.own,
                said=np.array([s[:3] for s in session.said], np.float32).reshape(-1, 3),
                who=np.array([s[3] for s in session.said]),
                place=session.place,
            )
            half_done.rename(path)
    return paths
