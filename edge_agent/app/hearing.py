"""Hearing: what the running speaker hears, in figures, for `edge-agent listen`.

The control socket's command `hearing` answers what has come since it was asked before; the first
answer holds no frame yet.  `Meter` sums up frames; `Hearing` has it fed while somebody asks.

Thread: event loop.  It must never keep or tell a sound or a word, tell anything while the
microphone is muted, or cost anything while nobody asks: 3 s after the last question it stops.  Two
who ask at once share what there is between them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import log10
from typing import Any

from edge_agent.agent import Observer
from edge_agent.app.checks import Checks
from edge_agent.app.sound.chain import SoundChain
from edge_agent.app.speaker_api import Handler
from edge_agent.contract.commands import Command
from edge_agent.contract.events import Event, HeardFrame
from edge_agent.dialogue.gate import GateState
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Microphone

FORGOTTEN_AFTER_S = 3.0
"""Whoever asks does so at least once a second."""
FLOOR_FRAMES, FLOORS_MAX = 100, 5
"""The room's floor is the quietest frame of 5 s: a word has pauses between its syllables."""
NOTHING_DBFS = -100.0


class Meter:
    """Frames summed up between two questions."""

    def __init__(self) -> None:
        self._floors: deque[float] = deque(maxlen=FLOORS_MAX)
        self._in_floor = 0
        self._begin()

    def _begin(self) -> None:
        self._frames = self._speech = self._playing = self._sent = 0
        self._power = 0.0
        self._peak_dbfs = NOTHING_DBFS

    def take(self, frame: HeardFrame, *, is_open: bool) -> None:
        """One more; `is_open`: it may leave the house."""
        level = frame.level_dbfs
        self._frames += 1
        self._speech += frame.speech
        self._playing += frame.over_playback
        self._sent += is_open
        self._power += 10 ** (level / 10)
        self._peak_dbfs = max(self._peak_dbfs, level)
        if not self._in_floor:
            self._floors.append(level)
        self._floors[-1] = min(self._floors[-1], level)
        self._in_floor = (self._in_floor + 1) % FLOOR_FRAMES

    def told(self) -> dict[str, Any]:
        """What there was since this was asked before: shares in percent, levels of the frames."""
        frames = self._frames
        if not frames:
            return {"frames": 0}

        def percent(count: int) -> int:
            return round(100 * count / frames)

        mean = self._power / frames
        told = {
            "frames": frames,
            "level_dbfs": round(10 * log10(mean) if mean > 0.0 else NOTHING_DBFS, 1),
            "peak_dbfs": round(self._peak_dbfs, 1),
            "floor_dbfs": round(min(self._floors), 1),
            "speech_percent": percent(self._speech),
            "playing_percent": percent(self._playing),
            "open_percent": percent(self._sent),
        }
        self._begin()
        return told


class Hearing:
    """`observers` are the pump's: one is there while somebody asks.  `checks` knows the light."""

    def __init__(
        self,
        sound: SoundChain,
        dialogue: DialogueManager,
        observers: list[Observer],
        checks: Checks,
    ) -> None:
        self._sound = sound
        self._dialogue = dialogue
        self._observers = observers
        self._checks = checks
        self._meter: Meter | None = None
        self._clipped = 0
        self._end_timer: asyncio.TimerHandle | None = None
        self.commands: dict[str, Handler] = {"hearing": self._tell}

    @property
    def is_on(self) -> bool:
        """Somebody asks."""
        return self._meter is not None

    def _tell(self, _request: dict[str, Any]) -> dict[str, Any]:
        if self._dialogue.microphone is Microphone.MUTED:
            self._end()
            return {"microphone": "muted"}
        if self._end_timer is not None:
            self._end_timer.cancel()
        loop = asyncio.get_running_loop()
        self._end_timer = loop.call_later(FORGOTTEN_AFTER_S, self._end)
        meter, front_end = self._meter, self._sound.front_end
        if meter is None:
            meter = self._meter = Meter()
            self._clipped = front_end.clipped_samples
            self._observers.append(self._on_event)
        clipped, self._clipped = self._clipped, front_end.clipped_samples
        return {
            "microphone": "open",
            "device": self._sound.supervisor.present,
            **meter.told(),
            "clipped": self._clipped - clipped,
            "wake": [
                {"word": word, "score": round(score, 2), "cutoff": round(cutoff, 2)}
                for word, (score, cutoff) in front_end.wake_scores().items()
            ],
            "echo": front_end.echo,
            "echo_quieter_db": round(front_end.erle_db),
            "gate": self._dialogue.parts.gate.state.value,
            "talk": self._dialogue.talk.value,
            "light": self._checks.light,
        }

    def _on_event(self, event: Event, _commands: list[Command], _at: float) -> None:
        if self._meter is not None and isinstance(event, HeardFrame):
            is_open = self._dialogue.parts.gate.state is GateState.OPEN
            self._meter.take(event, is_open=is_open)

    def _end(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
        if self._meter is None:
            return
        self._meter = None
        self._observers.remove(self._on_event)
        self._sound.front_end.wake_scores(go_on=False)
