"""Line events: an input line of a GPIO chip, whose edges come from the kernel.

Open `LineEvents`.  It is there because lgpio looks at each button 2,000 times a second, day and
night, which was a quarter of all that a sleeping speaker did on a small board; the kernel (5.10 and
newer) debounces by itself, and wakes a reader when there is something to read.

Thread: its own, one for each line, asleep until the line moves; it calls `moved`.  It must never
block in there, and never keep a line that could not be watched.

The layout is the kernel's: include/uapi/linux/gpio.h, version 2, the same on every processor.
"""

from __future__ import annotations

import os
import select
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

REQUEST = struct.Struct("64I 32s QI5I 240s II5Ii")
"""Lines, who uses them, flags and attributes, number of lines, size of the buffer, its file."""
ATTRIBUTE = struct.Struct("IIQQ")
"""Which, its value, and for which of the lines."""
EVENT = struct.Struct("QI36x")
"""Time, and which edge."""
VALUES = struct.Struct("QQ")
"""Levels, and which of them are asked for."""

GET_LINES = 3 << 30 | REQUEST.size << 16 | 0xB4 << 8 | 0x07
GET_VALUES = 3 << 30 | VALUES.size << 16 | 0xB4 << 8 | 0x0E
ACTIVE_LOW, INPUT, RISING, FALLING, PULL_UP, PULL_DOWN = (1 << bit for bit in (1, 2, 4, 5, 8, 9))
DEBOUNCE_US = 3
RISEN = 1
EVENTS_AT_ONCE = 16
CONSUMER = b"edge-agent"


class LineEvents:
    """One input line of a chip, ours until `close`; `moved` gets whether it is active now.

    `pull_up`: pulled up at rest and active when low; else the other way round.  Raises `OSError`
    where the kernel refuses: too old, no such line, in use.
    """

    def __init__(
        self,
        chip: Path,
        line: int,
        *,
        pull_up: bool,
        bounce_ms: int,
        moved: Callable[[bool], None],
    ) -> None:
        self._moved = moved
        flags = INPUT | RISING | FALLING | (ACTIVE_LOW | PULL_UP if pull_up else PULL_DOWN)
        attributes = ATTRIBUTE.pack(DEBOUNCE_US, 0, bounce_ms * 1000, 1) if bounce_ms else b""
        settings = (flags, len(attributes) // ATTRIBUTE.size, *[0] * 5, attributes)
        asked = bytearray(
            REQUEST.pack(line, *[0] * 63, CONSUMER, *settings, 1, EVENTS_AT_ONCE, *[0] * 5, -1)
        )
        with chip.open("rb") as file:
            ioctl(file, GET_LINES, asked)
        self._fd: int = REQUEST.unpack(asked)[-1]
        try:
            self._end = os.eventfd(0)
            self._thread = threading.Thread(target=self._run, name=f"line-{line}", daemon=True)
            self._thread.start()
        except (OSError, RuntimeError):
            os.close(self._fd)  # or nobody else could have the line
            raise

    @property
    def is_active(self) -> bool:
        """Now; it is debounced as the edges are."""
        values = bytearray(VALUES.pack(0, 1))
        ioctl(self._fd, GET_VALUES, values)
        return bool(VALUES.unpack(values)[0] & 1)

    def close(self) -> None:
        """Let go of the line; nobody is told of it any more."""
        os.eventfd_write(self._end, 1)
        self._thread.join()
        os.close(self._fd)
        os.close(self._end)

    def _run(self) -> None:
        waiting = select.poll()
        waiting.register(self._fd, select.POLLIN)
        waiting.register(self._end, select.POLLIN)
        with suppress(OSError):  # a USB expander that was pulled out has no edges
            while self._end not in dict(waiting.poll()):
                read = os.read(self._fd, EVENTS_AT_ONCE * EVENT.size)
                for _at_ns, edge in EVENT.iter_unpack(read):
                    self._moved(edge == RISEN)
