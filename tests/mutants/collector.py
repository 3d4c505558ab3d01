"""Collector: a pytest plugin that writes down, line by line, what a run of the net has noticed.

`pytest -p collector` with `MUTANTS_NET_RECORD` naming a file: one JSON object per line, written
when it happens, so that a run which is killed has still told what it saw.  `read` gives a record
back.  Thread: main.  It must never make a test pass that fails without it.

A test that computes for longer than `TEST_CPU_MAX_S` is broken off as failed: processor time of
this process, so that a busy machine changes nothing.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TextIO

import pytest

RECORD = "MUTANTS_NET_RECORD"

TEST_CPU_MAX_S = 25.0
"""Five times what the longest test of the net takes on a small machine."""
AGAIN_CPU_S = 1.0
"""A loop that swallows the first alarm meets another one."""

BROKEN = re.compile(r"^(?:E\s+)?rule (\d+) \(([^)]*)\)", re.MULTILINE)
"""How each violation that the referee reports begins: number and code."""


class OutOfTimeError(BaseException):
    """The test computes without end.  No `Exception`: the code under test must not keep it."""


@dataclass(frozen=True)
class Failure:
    """One test that did not pass, and what the referee named there, as `6 cut.late`."""

    test: str
    codes: tuple[str, ...] = ()
    is_time: bool = False


@dataclass
class Record:
    """What a run has told."""

    failures: list[Failure] = field(default_factory=list)
    passed: int = 0
    unfinished: str = ""
    """The test under way when the run was killed."""
    is_whole: bool = False
    """The run came to its end."""

    def joined(self, other: Record) -> Record:
        """Both runs as one."""
        return Record(
            [*self.failures, *other.failures],
            self.passed + other.passed,
            self.unfinished or other.unfinished,
            self.is_whole and other.is_whole,
        )


def read(path: Path) -> Record:
    """The record of a run, whole or not."""
    record = Record()
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            break  # killed while it wrote this line
        match entry:
            case {"begun": str(test)}:
                record.unfinished = test
            case {"passed": str()}:
                record.passed += 1
                record.unfinished = ""
            case {"failed": str(test), "codes": list(codes), "time": bool(is_time)}:
                record.failures.append(Failure(test, tuple(codes), is_time))
                record.unfinished = ""
            case {"end": int()}:
                record.is_whole = True
    return record


def broken_rules(problem: BaseException) -> set[str]:
    """The rules that an exception, or one it holds or follows from, names."""
    found = (pair for text in _texts(problem) for pair in BROKEN.findall(text))
    return {f"{number} {code}" for number, code in found}


def _texts(problem: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [problem]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield str(one)
        yield from getattr(one, "__notes__", ())
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


# --- the plugin ---------------------------------------------------------------------------------


class _Recorder:
    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._codes: set[str] = set()
        self._is_time = False

    def _write(self, **entry: object) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._codes, self._is_time = set(), False
        self._write(begun=item.nodeid)
        signal.setitimer(signal.ITIMER_VIRTUAL, TEST_CPU_MAX_S, AGAIN_CPU_S)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[object]) -> None:
        if call.excinfo is not None:
            self._codes |= broken_rules(call.excinfo.value)
            self._is_time |= isinstance(call.excinfo.value, OutOfTimeError)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._write(failed=report.nodeid, codes=sorted(self._codes), time=self._is_time)
        elif report.when == "call":
            self._write(passed=report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(failed=report.nodeid or "collection", codes=[], time=False)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._write(end=int(exitstatus))


def _out_of_time(_number: int, _frame: FrameType | None) -> None:
    raise OutOfTimeError(f"more than {TEST_CPU_MAX_S:g} s of processor time")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to record, and have Hypothesis try the same examples in every run."""
    from hypothesis import Phase, settings

    # Shrinking tells a person more and this run nothing; a data base would remember other mutants.
    settings.register_profile(
        "net", database=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("net")
    signal.signal(signal.SIGVTALRM, _out_of_time)
    path = os.environ.get(RECORD)
    if path is None:
        raise pytest.UsageError(f"{RECORD} must name the file to write")
    file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 (closed with the process)
    config.pluginmanager.register(_Recorder(file), "net-recorder")
