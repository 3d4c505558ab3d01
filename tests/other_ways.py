"""Tests that need a favour of the kernel, and what they do where it is refused.

A test asks `namespaces` for a command that enters fresh namespaces.  Where there is none (a
chroot, an ordinary container) it establishes the same fact another way and tells the fixture
`another_way`; the end of the run lists what was told.  A plugin that `conftest.py` loads.

It must never change the machine's own network or mounts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence

import pytest

PROPERTY = "another way"
"""Name in `user_properties`, which a parallel worker hands to the process that reports."""

PROBE_TIMEOUT_S = 30
"""A probe is over in milliseconds; a machine that is busy may need far longer."""

TELL = Callable[[str], None]


@pytest.fixture
def another_way(request: pytest.FixtureRequest) -> TELL:
    """Call it with what was done instead, and why."""
    return lambda told: request.node.user_properties.append((PROPERTY, told))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what went another way; says nothing when nothing did."""
    lines = sorted(
        f"{report.nodeid}: {value}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    )
    if lines:
        terminalreporter.section("other ways taken")
        for line in lines:
            terminalreporter.write_line(line)


def namespaces(kind: str, probe: str) -> tuple[list[str], str]:
    """The command that enters a fresh namespace, and an empty text; or no command, and why.

    `kind` is an option of `unshare`, for instance `--net`.  `probe` is shell code for what the
    test will do in there: a kernel may grant the namespace and refuse what it is wanted for.
    """
    program = shutil.which("unshare")
    if program is None:
        return [], "unshare is missing"
    ways = [[program, "--user", "--map-root-user", kind]]
    if os.geteuid() == 0:
        ways.insert(0, [program, kind])
    refusals = []
    for way in ways:
        refusal = _refusal([*way, "sh", "-c", probe])
        if not refusal:
            return way, ""
        refusals.append(refusal)
    return [], "; ".join(dict.fromkeys(refusals))


def _refusal(command: Sequence[str]) -> str:
    """The last line of complaint; empty: the command succeeded."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
    )
    lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
    return lines[-1] if done.returncode else ""
