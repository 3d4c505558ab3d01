"""Health: whether the speaker still hears and speaks, judged from counters.

Thread: the event loop.  It must never read a clock or feed the watchdog itself: it is asked, with
the time as an argument.  Frames are the proof, because a stalled stream says of itself that it is
active (seen with a suspended source and with an unplugged card).
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.contract.ports import DeviceState

LOUDSPEAKER = 1
"""Its place among the parts."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the start; only their growth matters.

    While the device is honestly absent no frames are expected, while its loudspeaker rests no
    rendered ones, while it is `deaf` (its microphone is muted, and closed) those only.
    """

    captured: int
    rendered: int
    heard: int
    device: DeviceState = DeviceState.OPEN
    deaf: bool = False


class HealthJudge:
    """Call `judge` regularly (every second or so); an empty answer means healthy."""

    PARTS = ("microphone", "loudspeaker", "front end")

    def __init__(self, stall_s: float, started_at: float) -> None:
        self._stall_s = stall_s
        self._seen = (0, 0, 0)
        self._moved_at = [started_at] * 3
        self._judged_at = started_at

    def judge(self, counters: Counters, at: float) -> tuple[str, ...]:
        """Names of the parts that have stood still for `stall_s`; () if all is well.

        A gap between two calls longer than `stall_s` means that the loop itself (or the whole
        machine) stood still: then nobody else is blamed, and the parts get a fresh start.
        """
        slept = at - self._judged_at > self._stall_s
        self._judged_at = at
        is_absent = counters.device is DeviceState.ABSENT
        rests = counters.device is DeviceState.RESTING
        now = (counters.captured, counters.rendered, counters.heard)
        for index, (old, new) in enumerate(zip(self._seen, now, strict=True)):
            # "!=": a reopened device may count from zero again.
            excused = is_absent or (rests if index == LOUDSPEAKER else counters.deaf)
            if slept or new != old or excused:
                self._moved_at[index] = at
        self._seen = now
        if slept:
            return ("event loop",)
        return tuple(
            part
            for part, moved_at in zip(self.PARTS, self._moved_at, strict=True)
            if at - moved_at >= self._stall_s
        )
