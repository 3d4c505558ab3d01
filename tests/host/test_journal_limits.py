"""So many lines a minute: others cannot fill the journal, and nothing of theirs displaces ours."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

from edge_agent.host.journal.journal import (
    DEBUG_QUEUE_MAX_LINES,
    QUEUE_MAX_LINES,
    Journal,
    JournaldSink,
)
from edge_agent.host.journal.limits import (
    DEBUG_PER_MIN,
    OTHERS_PER_MIN,
    OUR_ROOMS,
    OURS,
    REPEATS_PER_MIN,
    is_ours,
)
from edge_agent.host.journal.messages import DEBUG, INFO, MESSAGES


class Paper:
    """A journal with a clock of its own, and its lines."""

    def __init__(self, level: int = DEBUG) -> None:
        self.now = 0.0
        self.lines: list[tuple[float, int, str, dict[str, str]]] = []
        self.journal = Journal(self, level=level, clock=lambda: self.now)

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        self.lines.append((self.now, level, code, dict(fields)))
        return True

    def codes(self) -> list[str]:
        return [code for _, _, code, _ in self.lines]


def most_in_a_minute(times: list[float]) -> int:
    return max((sum(at <= other < at + 60.0 for other in times) for at in times), default=0)


def test_others_write_sixty_lines_a_minute_and_the_rest_is_counted() -> None:
    paper = Paper()
    for number in range(4000):
        paper.now = number * 0.05  # 200 s
        paper.journal.note("server.complaint", code=f"odd_{number}", more="")
    assert most_in_a_minute([at for at, *_ in paper.lines]) <= OTHERS_PER_MIN
    told = [int(fields["count"]) for _, _, code, fields in paper.lines if code.endswith("left_out")]
    assert len(told) <= 4
    assert sum(told) + paper.codes().count("server.complaint") > 2500


def test_no_flood_displaces_a_line_about_us() -> None:
    paper = Paper(INFO)
    for number in range(1000):
        paper.journal.note("server.complaint", code=f"odd_{number}", more="")
    paper.journal.note("mic.muted")
    paper.journal.fault(ValueError())
    paper.journal.note("consent.given", tool="unlock", risk="high", by="button", waited_s=1.0)
    assert paper.codes()[-3:] == ["mic.muted", "agent.fault", "consent.given"]


def test_debug_has_a_bound_of_its_own() -> None:
    paper = Paper()
    debug = next(code for code, message in MESSAGES.items() if message.level == DEBUG)
    for _ in range(2 * DEBUG_PER_MIN):
        paper.journal.note(debug)
    paper.journal.note("server.complaint", code="odd", more="")
    assert paper.codes().count(debug) == DEBUG_PER_MIN
    assert paper.codes()[-1] == "server.complaint"


def test_a_line_of_ours_that_repeats_is_collapsed() -> None:
    paper = Paper()
    for number in range(100):
        paper.journal.note("talk.turn_sent", ms=number)
        paper.journal.note("mic.muted")
    assert paper.codes().count("talk.turn_sent") == REPEATS_PER_MIN
    assert paper.codes().count("mic.muted") == REPEATS_PER_MIN
    paper.now = 61.0
    paper.journal.note("mic.muted")
    assert paper.lines[-1][2:] == ("journal.repeated", {"count": str(100 - REPEATS_PER_MIN)})


def test_without_a_clock_there_is_no_bound() -> None:
    paper = Paper()
    paper.journal = Journal(paper)
    for _ in range(500):
        paper.journal.note("mic.muted")
    assert len(paper.lines) == 500


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("mic.muted", True),
        ("state.unwritable", True),
        ("consent.asked", True),
        ("agent.fault", True),
        ("link.down", True),
        ("talk.woken", True),
        ("server.complaint", False),
        ("response.failed", False),
        ("link.garbage", False),
        ("talk.answer_started", False),
        ("usage.response", False),
        ("mcp.left_out", False),
        ("tool.started", False),
        ("control.refused", False),
        ("library.complained", False),
        ("never.heard_of", False),
    ],
)
def test_whose_line_it_is(code: str, ours: bool) -> None:
    assert is_ours(code) is ours


def test_every_room_and_line_of_ours_exists() -> None:
    rooms = {code.partition(".")[0] for code in MESSAGES}
    assert rooms >= OUR_ROOMS
    assert MESSAGES.keys() >= OURS


def test_debug_lines_leave_half_of_the_queue_to_the_others() -> None:
    stuck = threading.Event()
    sink = JournaldSink(lambda **_fields: stuck.wait())
    try:
        taken = sum(sink.write(DEBUG, "", "a.thing", {}) for _ in range(QUEUE_MAX_LINES))
        assert DEBUG_QUEUE_MAX_LINES <= taken <= DEBUG_QUEUE_MAX_LINES + 1
        assert sink.write(INFO, "", "mic.muted", {})
    finally:
        stuck.set()
        sink.close()
