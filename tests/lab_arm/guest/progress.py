"""A pytest plugin: one line per file as soon as it is through, so that a long run can be resumed.

`passed tests/dialogue/test_gate.py 31 tests 4.2 s`, or `FAILED …`; `, 2 skipped` where some were.
The file at which a run was stopped is neither.
"""

from __future__ import annotations

import sys
import time

import pytest


class _File:
    """The file that is being run."""

    def __init__(self) -> None:
        self.name = ""
        self.begun = 0.0
        self.passed = self.failed = self.skipped = 0

    def begin(self, name: str) -> None:
        """Another one: tell of the one before."""
        if self.name:
            word = "FAILED" if self.failed else "passed"
            lasted = time.monotonic() - self.begun
            skipped = f", {self.skipped} skipped" if self.skipped else ""
            line = f"{word} {self.name} {self.passed} tests {lasted:.1f} s{skipped}"
            sys.__stdout__.write(f"\n{line}\n")  # type: ignore[union-attr]
            sys.__stdout__.flush()  # type: ignore[union-attr]
        self.name, self.begun = name, time.monotonic()
        self.passed = self.failed = self.skipped = 0


_file = _File()


def pytest_runtest_logstart(nodeid: str) -> None:
    """A test begins."""
    name = nodeid.split("::", maxsplit=1)[0]
    if name != _file.name:
        _file.begin(name)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A part of a test is over."""
    if report.failed:
        _file.failed += 1
    elif report.skipped:
        _file.skipped += 1
    elif report.when == "call":
        _file.passed += 1


def pytest_sessionfinish(exitstatus: int) -> None:
    """The last file, unless something stopped us in it."""
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        _file.begin("")
