"""The door between the front end's thread and the loop: bounded, counted, and never stuck."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_agent.app.sound.frames import PENDING_FRAMES_MAX, FrameDoor
from edge_agent.contract.events import HeardFrame
from edge_agent.contract.pcm import SILENT_FRAME


class _Loop:
    """Keeps what it is to call until somebody turns it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[..., None], tuple[object, ...]]] = []

    def call_soon_threadsafe(self, call: Callable[..., None], *args: object) -> None:
        self.waiting.append((call, args))

    def turn(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call, args in waiting:
            call(*args)


class _SlowBatch(list[HeardFrame]):
    """While one thread asks for its length the `turn`-th time, the other one works."""

    def __init__(self, frames: list[HeardFrame], turn: int, meanwhile: Callable[[], None]) -> None:
        super().__init__(frames)
        self._turn = turn
        self._meanwhile = meanwhile

    def __len__(self) -> int:
        self._turn -= 1
        if self._turn == 0:
            self._meanwhile()
        return super().__len__()


def frame(at: float) -> HeardFrame:
    return HeardFrame(
        at=at, pcm24k=SILENT_FRAME, speech=False, over_playback=False, wake=None, level_dbfs=-90.0
    )


def test_a_busy_loop_costs_counted_frames_and_no_more() -> None:
    loop, taken = _Loop(), list[HeardFrame]()
    door = FrameDoor(loop, taken.extend, threads=True)  # type: ignore[arg-type]
    for number in range(PENDING_FRAMES_MAX + 30):
        door.one(frame(float(number)))
    assert door.dropped == 30
    loop.turn()
    assert [heard.at for heard in taken] == [float(n) for n in range(PENDING_FRAMES_MAX)]
    door.one(frame(999.0))
    loop.turn()
    assert taken[-1].at == 999.0


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_two_threads_at_once_never_shut_the_door(turn: int) -> None:
    loop, taken = _Loop(), list[HeardFrame]()
    door = FrameDoor(loop, taken.extend, threads=True)  # type: ignore[arg-type]
    for number in range(3 * PENDING_FRAMES_MAX):
        if number % PENDING_FRAMES_MAX == 0:
            loop.turn()
        door.many(_SlowBatch([frame(float(number))], turn, loop.turn))
    loop.turn()
    assert door.dropped == 0
    assert len(taken) == 3 * PENDING_FRAMES_MAX
