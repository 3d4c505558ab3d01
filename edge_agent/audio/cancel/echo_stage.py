"""Echo stage: microphone frames in, the same without our voice and a speech label out.

Call `begin` with each opened device, then for each frame in order `process`, or `pass_over` for
several in which `is_idle` says that there is nothing to do.  Sound is float32 at 16 kHz, full
scale 1.0.

Thread: the front end's, which is its one owner; `load` may run elsewhere.  It must never touch the
sound while our speaker has been silent for longer than the tail, nor work then: idle costs nothing.

There is one linear canceller.  It keeps the words, so its output is what is streamed, what the
pre-roll holds and what the wake model hears.  Whether somebody speaks over our voice the detector
of double talk tells, from all that the canceller knows.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import NamedTuple

import numpy as np

from edge_agent.audio.cancel.alignment import LEAD_S, Alignment
from edge_agent.audio.cancel.canceller import (
    BINS,
    BLOCK,
    PARTITIONS,
    RATE_HZ,
    Cancelled,
    Canceller,
    Float32Array,
)
from edge_agent.audio.cancel.delay_search import EARLIEST, HEARD, PLAYED, DelaySearch
from edge_agent.audio.cancel.double_talk import DoubleTalkDetector
from edge_agent.audio.cancel.echo_drift import EchoDrift
from edge_agent.audio.cancel.echo_search import EchoSearch
from edge_agent.audio.cancel.high_pass import HighPass
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.cancel.speech_features import TOGETHER
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.ports import EchoPath

TRUST_ERLE_DB = 4.0
"""The echo counts as found once the canceller has removed so much, or the search has heard it where
the canceller expects it.  Until then, unless our voice does not reach the microphone at all
(`EchoSearch`), no frame over our voice is speech: better a button or a wake word to interrupt than
a speaker that interrupts itself."""

LOOK_EVERY_BLOCKS = 15
"""Seven looks a second for the delay, 2 % of the work of cancelling, and only while it is needed:
three of them that agree have found the echo 0.6 s after our first word."""

CONFIRMED_LOOKS = 4
"""Of so many looks one is taken once the echo has been where it is expected: one that stays below
the room's noise is never learned so well that the search ends."""

LEARNED_ERLE_DB = 6.0
"""From here on the learned room itself tells where the echo lies, and nothing is searched."""

HELD_ERLE_DB = 3.0
"""From here on the learned room is worth more than time stamps, which step it only where they
jump."""

RIGHT_DELAY = (BLOCK // 5, 6 * BLOCK)
"""An echo 2 to 60 ms after its reference is learned as quickly as any."""

SOONEST = BLOCK // 2
"""Where the delay is set anew, by whole blocks, the echo comes 5 to 15 ms after its reference."""

UNSETTLED_BLOCKS = 30
"""After a step the canceller finds its echo again within 0.3 s; until then it is not believed."""

WORSE = 1.25
WORSE_SMOOTHING = 0.5
"""Of the powers of some 20 ms.  More is left than was heard: what is taken away is not in it.  A
person only adds to both; so the echo is elsewhere, and nobody told."""
TAKEN = 0.5
"""What is taken away must be so much of what was heard: a little of it may by chance look like a
loud person upside down."""

QUIET = 1e-7
"""-70 dBFS."""
ASTRAY_BLOCKS = 300
"""Until the canceller removes something again nobody is believed, but for 3 s at most: then it is a
room in which it cannot."""

FOUND_BLOCKS = 20
"""ERLE of less than 0.2 s of sound proves nothing."""


class EchoChoice(Enum):
    """How our own voice is kept out of the microphone.

    `OFF` is for devices with a canceller of their own; the microphone is believed as it is.
    """

    LINEAR = "linear"
    OFF = "off"


class Heard(NamedTuple):
    """What became of a frame."""

    sound: Float32Array
    """What may be streamed."""
    speech: bool | None
    """None: this is the bare microphone, and the ordinary voice detector is to judge."""
    over_playback: bool
    """Our speaker was audible, or its tail still is."""


class EchoStage:
    """See the module's text."""

    def __init__(self, reference: ReferenceTrack, choice: EchoChoice, sensitivity: str) -> None:
        self.reference = reference
        self.choice = choice
        self.erle_db = 0.0
        """Of the canceller, at the end of the last playback."""
        self.learned: EchoPath | None = None
        """How our voice reaches the microphone, as far as it is known: a new one after each
        playback whose echo was found."""
        self.alignment = Alignment(reference)
        self._canceller = Canceller()
        self._double_talk = DoubleTalkDetector(sensitivity)
        self._delay = DelaySearch()
        self._drift = EchoDrift()
        self._search = EchoSearch()
        self._high_pass = HighPass()
        self._is_deaf = False
        """The detector cannot be used."""
        self._fade_in: Float32Array = ((np.arange(BLOCK) + 1) / BLOCK).astype(np.float32)
        self._nothing: Float32Array = np.zeros(BLOCK, np.float32)
        self._silence: Float32Array = np.zeros((PARTITIONS + 1) * BLOCK, np.float32)
        self._no_doubt: Float32Array = np.zeros(BINS, np.float32)
        self.begin()

    @property
    def trusted(self) -> bool:
        """Whether it is known, on this device, how our voice reaches the microphone.

        Either the canceller has found the echo, or there is none.  What an answer has shown holds
        for those that follow; only a newly opened device begins afresh.
        """
        return self._found or self._search.none_found

    @property
    def unsettled(self) -> bool:
        """The sound has just slipped, or the echo was just found: for 0.3 s nothing that is left of
        it is to be believed; nor where the echo has gone elsewhere, until it is found again."""
        return self._unsettled > 0 or self._astray > 0

    @property
    def echo(self) -> str:
        """`found` · `none` (our voice does not reach the microphone) · `searching` · `off` · `deaf`
        (nobody is heard over our voice: the detector cannot be used)."""
        if self.choice is EchoChoice.OFF:
            return "off"
        if self._is_deaf:
            return "deaf"
        return "found" if self._found else "none" if self._search.none_found else "searching"

    def load(self) -> None:
        """Load what the detector has learned (any thread).  `ConfigError` where it is damaged."""
        if self.choice is EchoChoice.OFF:
            return
        try:
            self._double_talk.load()
        except ConfigError:
            self._is_deaf = True
            raise

    def begin(self, known: EchoPath | None = None) -> None:
        """A device was opened: the room is new, and the delay, unless it is `known`.

        What is known is where the search begins; it is believed when it has been heard.
        """
        self.learned = known
        self.alignment.begin(known.delay_s if known else 0.0)
        self._canceller.reset(known.strength_db if known else None)
        self._double_talk.reset()
        self._delay.reset()
        self._drift.reset()
        self._search.reset()
        self._active = False
        self._found = False
        self._was_known = False, False
        self._unsettled = self._astray = 0
        self._realignments = self.alignment.realignments
        self._frames = 0
        """Since the device was opened.  Two are judged together: most cards give 20 ms at once."""
        self._blocks = 0
        self._look_every = LOOK_EVERY_BLOCKS
        self._powers = 0.0, 0.0, 0.0
        self._best_erle_db = 0.0
        """The highest so far of this playback."""
        self._last_heard: deque[Float32Array] = deque(maxlen=HEARD // BLOCK)

    def slipped(self) -> None:
        """The microphone has lost sound: its echo may be elsewhere for a moment."""
        self._unsettled = UNSETTLED_BLOCKS
        self._look_every = LOOK_EVERY_BLOCKS
        self._canceller.doubt()
        self._drift.lost()

    # --- silence ----------------------------------------------------------------------------

    def is_idle(self, at: float) -> bool:
        """Whether the frame captured at `at` is to be passed over."""
        return not self._active and not self.is_audible(at)

    def is_audible(self, at: float) -> bool:
        """Whether our speaker is heard by the microphone at this loop time."""
        return self.reference.audible(at, self.alignment.delay_s)

    def pass_over(self, microphone: Float32Array) -> None:
        """Frames (one per row) in which our speaker is silent."""
        if self.choice is EchoChoice.OFF:
            return
        self._frames += len(microphone)
        self.alignment.skip(len(microphone), self._drift.pace)
        means = microphone.mean(axis=1)  # an offset, which the high-pass takes while we sound
        powers = np.einsum("fs,fs->f", microphone, microphone) / BLOCK - means * means
        # As Python's own numbers: arithmetic with numpy's single ones costs ten times as much.
        self._search.wait(powers.tolist())

    # --- sound ------------------------------------------------------------------------------

    def process(self, microphone: Float32Array, at: float, drift: float | None = None) -> Heard:
        """Take 160 samples captured at loop time `at`, by a clock of this drift (None: unknown)."""
        audible = self.is_audible(at)
        if self.choice is EchoChoice.OFF:
            return Heard(microphone, None, audible)
        was_active, self._active = self._active, audible
        if not audible and not was_active:
            self.pass_over(microphone[None, :])
            return Heard(microphone, None, False)
        self._frames += 1
        if audible and not was_active:
            self._restart()
            self._high_pass.begin(microphone)
        if not self._drift.begun and drift is not None:
            played = self.reference.drift
            if played is not None:
                self._drift.begin(drift - played)
        reference = self.alignment.next(at, self._drift.pace)
        heard = self._high_pass.of(microphone)
        if not self._found:
            self._search.hear(heard, reference)
        cancelled = self._cancel(heard, reference)
        residual = cancelled.residual
        if not audible:
            self._end()
            return Heard(residual + self._fade_in * (microphone - residual), None, False)
        speech = self._speech(cancelled)
        if not was_active:
            residual = microphone + self._fade_in * (residual - microphone)
        return Heard(residual, speech, True)

    def _end(self) -> None:
        """End of a playback: what has it taught?"""
        self.erle_db = self._canceller.erle_db
        if self._best_erle_db < LEARNED_ERLE_DB:
            return
        starts = self._canceller.echo_starts
        delay_s = self.alignment.delay_s + starts / RATE_HZ - LEAD_S
        self.learned = EchoPath(delay_s, self._canceller.strength_db)
        blocks = _wrong_by(starts)
        if blocks:
            self.alignment.shift(blocks)
            self._canceller.move(blocks, self._silence)
            self._drift.lost()

    def _restart(self) -> None:
        """Begin of a playback."""
        self.alignment.start()
        self._best_erle_db = 0.0
        self._powers = 0.0, 0.0, 0.0
        self._canceller.restart()
        self._double_talk.restart()
        self._blocks = 0
        self._last_heard.clear()

    def _cancel(self, microphone: Float32Array, reference: Float32Array) -> Cancelled:
        if self.alignment.realignments != self._realignments:
            self._realignments = self.alignment.realignments
            self.slipped()
        self._unsettled = max(0, self._unsettled - 1)
        cancelled = self._canceller.process(microphone, reference)
        self._astray = max(0, self._astray - 1)
        if self._is_worse():
            self.slipped()
            self._astray = ASTRAY_BLOCKS
        erle_db = self._canceller.erle_db
        if erle_db > TRUST_ERLE_DB and not self._unsettled:
            self._astray = 0
        self._blocks += 1
        if self._blocks > FOUND_BLOCKS:
            self._best_erle_db = max(self._best_erle_db, erle_db)
            self._found = self._found or self._best_erle_db > TRUST_ERLE_DB
            self.alignment.held |= erle_db > HELD_ERLE_DB
            if self._found:
                self._drift.take(self._canceller.weights)
        self._last_heard.append(microphone)
        if self._blocks % self._look_every == 0 and erle_db <= LEARNED_ERLE_DB:
            self._look()
        known = self._found, self._search.none_found
        if known != self._was_known:
            # What was made of the sound until now was made without knowing our own voice in it.
            self._was_known = known
            self._unsettled = UNSETTLED_BLOCKS
        if self._search.none_found and not self._found:
            # Nothing of ours is in it: nothing of it is to be touched.  The canceller goes on
            # listening, for somebody may turn the loudspeaker up.
            spectra = cancelled.spectra.copy()
            spectra[2], spectra[3] = spectra[1], 0.0
            return Cancelled(
                microphone, reference, self._nothing, microphone, self._no_doubt, spectra
            )
        return cancelled

    def _is_worse(self) -> bool:
        """Whether a canceller that had learned the room makes it worse."""
        if self._best_erle_db <= LEARNED_ERLE_DB:
            return False
        heard, taken, left = self._powers
        heard += WORSE_SMOOTHING * (self._canceller.heard - heard)
        taken += WORSE_SMOOTHING * (self._canceller.taken - taken)
        left += WORSE_SMOOTHING * (self._canceller.left - left)
        self._powers = heard, taken, left
        return taken > TAKEN * heard and left > WORSE * heard + BLOCK * QUIET

    def _look(self) -> None:
        """Search for the echo, as the canceller does not hold it."""
        if len(self._last_heard) < HEARD // BLOCK:
            return
        # From where the stamps say, whatever has been assumed since: that may be wrong.
        assumed = round(self.alignment.delay_s * RATE_HZ)
        played = self.alignment.recent(PLAYED, EARLIEST + assumed)
        late = self._delay.look(np.concatenate(self._last_heard), played)
        if late is None:
            return
        blocks = _wrong_by(late - assumed)
        if not blocks:
            self._found = True
            self._look_every = CONFIRMED_LOOKS * LOOK_EVERY_BLOCKS
            return
        self._look_every = LOOK_EVERY_BLOCKS
        self.alignment.shift(blocks)
        self._unsettled = UNSETTLED_BLOCKS
        self._canceller.reset(self.learned.strength_db if self.learned else None)
        self._canceller.move(0, self.alignment.recent((PARTITIONS + 1) * BLOCK))
        self._delay.reset()
        self._drift.lost()
        self.alignment.held = False

    # --- who speaks -------------------------------------------------------------------------

    def _speech(self, cancelled: Cancelled) -> bool:
        return self._double_talk.hear(
            cancelled,
            last=self._frames % TOGETHER == 0,
            believed=self.trusted and not self.unsettled,
        )


def _wrong_by(late: int) -> int:
    """Blocks by which the reference should come later (negative: earlier)."""
    return 0 if RIGHT_DELAY[0] <= late <= RIGHT_DELAY[1] else (late - SOONEST) // BLOCK
