"""What the event loop and the loudspeaker's callback share: the one place where they meet.

Thread: both.  `playout.Playout` queues and cuts on the loop, `renderer.Renderer` takes sound out in
the device's callback; both hold `lock` for whatever they change here, and for what the other side
changes.  The loop alone sets `rate_hz`, so it may read that one without.  The lock must never be
held for more than short copies: what can be computed before is computed before.
"""

from __future__ import annotations

import threading
from collections import deque
from math import inf

from edge_agent.audio.resample import Int16Array
from edge_agent.audio.speaker.jitter import Prebuffer
from edge_agent.audio.speaker.ledger import NO_SOUND, Item
from edge_agent.audio.speaker.mixing import VOLUME_RAMP_MS, Alarm, Earcons, RampedGain
from edge_agent.contract.events import Event
from edge_agent.contract.pcm import WIRE_RATE_HZ

REMEMBERED_ITEMS = 1024
"""Finished and cut items whose late sound is recognised and dropped; an answer has a few."""


class SpeakerState:
    """The queue, what fades out, the alarm, short sounds, and what is due to be told."""

    def __init__(self, prebuffer: Prebuffer, *, gain: float, most: float, fade_ms: float) -> None:
        self.lock = threading.Lock()
        self.rate_hz = WIRE_RATE_HZ
        """Of the device; set by the loop."""
        self.is_open = False
        self.items: deque[Item] = deque()
        """Voices and sentences in the order in which they speak."""
        self.gone: dict[str, None] = {}
        """Voices that are over, oldest first: `remember` adds one."""
        self.fading: Int16Array = NO_SOUND
        """The end of what was cut; it sounds before anything else."""
        self.warm_up_left = 0
        """Samples with which a sleepy sink is still to be woken."""
        self.prebuffer = prebuffer
        self.volume = RampedGain(gain, VOLUME_RAMP_MS, most)
        self.alarm = Alarm(fade_ms)
        self.earcons = Earcons()
        self.due: deque[tuple[float, Event]] = deque()
        """Events and the loop time from which they are true."""
        self.sounds_until = -inf
        """Loop time at which the last sound of ours ends."""

    def remember(self, name: str) -> None:
        """This voice is over: what still comes of it is late.  Call with `lock` held."""
        self.gone[name] = None
        if len(self.gone) > REMEMBERED_ITEMS:
            del self.gone[next(iter(self.gone))]
