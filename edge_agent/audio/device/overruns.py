"""Overruns: does the microphone keep losing sound?

Call `keeps_on` at each look with the device's own count.  Pure.  A hole now and then is a busy
moment, which `host.service.sound_health` tells the admin; this is about a device whose blocks are
too short for its driver: on a loopback card under a tick of 250 Hz, blocks of 10 ms lost half of
the microphone for ever, and blocks of 20 ms none.
"""

from __future__ import annotations

PER_S = 5.0
"""Holes a second, on average: words cannot be made out any more."""
FOR_S = 5.0
"""So long they have to go on, without a look that saw none: a start and a hiccup are shorter."""


class Overruns:
    """Of one device, since it was opened."""

    def __init__(self) -> None:
        self._last = 0
        self._since: tuple[float, int] | None = None
        """When it began, and the count at that time."""

    def keeps_on(self, total: int, at: float) -> bool:
        """`total`: holes since any moment; `at`: now, in seconds of any clock."""
        if self._since is None or total == self._last:
            self._since = (at, total)
        self._last = total
        began, before = self._since
        return at - began >= FOR_S and total - before >= PER_S * (at - began)
