"""What systemd and its journal know of the service: unit, restarts, watchdog, errors.

Call `service`.  Each check is a function of what a program printed; `run` is the one place that
starts programs.  It must never change a unit: `repairs` does.

Thread: main.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_agent.cli.doctor.findings import Finding, fail, not_seen, ok, warn
from edge_agent.cli.doctor.rights import PROGRAM_FOLDER

UNIT = "edge-agent.service"
PROGRAM_MAX_S = 15.0
SYSTEM_JOURNAL = "system.journal"
PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts"),
    *("WatchdogUSec", "ExecMainStatus", "NeedDaemonReload"),
)
RESET = "sudo systemctl reset-failed edge-agent; sudo systemctl restart edge-agent"
SHOWN_CODES = 5
JOURNAL_LINES = 1000
"""Of errors in a day; more of them is the same trouble again and again."""
SETTINGS_WRONG = "78"
"""Exit status of the service where only a person can help (sysexits.h, EX_CONFIG)."""

Run = Callable[[Sequence[str]], str]
"""A program with its arguments → what it printed; "" where it is missing, fails or hangs."""


def run(command: Sequence[str]) -> str:
    """Start a program of the system's."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - names of our own
            [program, *command[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROGRAM_MAX_S,
            check=False,
            env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def service(root: Path, run: Run) -> Iterator[Finding]:
    """Unit, watchdog and journal."""
    known = properties(run)
    is_installed = (root / PROGRAM_FOLDER).exists()
    yield unit_finding(known, is_installed=is_installed)
    if known.get("LoadState") != "loaded":
        return
    yield from watchdog(known)
    yield from journal(root, run)


def properties(run: Run) -> dict[str, str]:
    """What `systemctl show` says of the unit; empty where no systemd runs."""
    told = run(["systemctl", "show", UNIT, *(f"--property={name}" for name in PROPERTIES)])
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def unit_finding(known: dict[str, str], *, is_installed: bool = False) -> Finding:
    """Is the service installed, and does it run?"""
    if not known:
        return not_seen("Unit", "systemd does not run here")
    load = known.get("LoadState")
    if load == "masked":
        fix = "sudo systemctl unmask edge-agent; sudo systemctl enable --now edge-agent"
        return fail("Unit", "it is masked: nothing can start it", fix)
    if load != "loaded" and is_installed:
        fix = "sudo scripts/install.sh puts it back"
        return fail("Unit", "the program is installed and its unit is missing", fix)
    if load != "loaded":
        return not_seen("Unit", "the service is not installed (scripts/install.sh)")
    state, result = known.get("ActiveState", ""), known.get("Result", "success")
    again = known.get("NRestarts", "0")
    if state == "failed" and known.get("ExecMainStatus") == SETTINGS_WRONG:
        fix = "edge-agent config check, correct them, then: sudo systemctl restart edge-agent"
        return fail("Unit", "it stopped because its settings are wrong (exit code 78)", fix)
    if state == "failed" or (state != "active" and result != "success"):
        return fail(
            "Unit",
            f"it failed ({result}, {again} restarts)",
            f"journalctl -u edge-agent -p err -n 20, then: {RESET}",
        )
    if state != "active":
        return warn("Unit", f"it does not run ({state})", "sudo systemctl start edge-agent")
    said = f"{state} ({known.get('SubState', '')})"
    if known.get("UnitFileState") == "disabled":
        return warn("Unit", f"{said}, not started at boot", "sudo systemctl enable edge-agent")
    if known.get("NeedDaemonReload") == "yes":
        fix = "sudo systemctl daemon-reload; sudo systemctl restart edge-agent"
        return warn("Unit", f"{said}, by an older unit file than there is now", fix)
    if again not in ("", "0"):
        return warn("Unit", f"{said}, restarted {again} times", "journalctl -u edge-agent -p err")
    return ok("Unit", said)


def watchdog(known: dict[str, str]) -> Iterator[Finding]:
    """Would a speaker that has gone deaf be restarted?"""
    interval = known.get("WatchdogUSec", "")
    if interval in ("0", "infinity", ""):
        yield warn(
            "Watchdog",
            "off: a deaf speaker is not restarted",
            "sudo systemctl revert edge-agent; sudo scripts/install.sh",
        )
    else:
        yield ok("Watchdog", f"restarts it after {interval} without moving sound")


def journal(root: Path, run: Run) -> Iterator[Finding]:
    """Is it kept over a reboot, how large is it, and which errors are in it?"""
    size = run(["journalctl", "--disk-usage"]).strip().removesuffix(".")
    taken = size.rpartition(" take up ")[2].partition(" in ")[0]
    said = f", {taken}" if taken and taken != size else ""
    if any((root / "var/log/journal").glob("*/*.journal")):
        yield ok("Journal", f"kept over a reboot{said}")
    else:
        yield warn(
            "Journal",
            f"in memory only, gone after a reboot{said}",
            "sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
        )
    kept = [*(root / "var/log/journal").glob("*/*"), *(root / "run/log/journal").glob("*/*")]
    if kept and not any(os.access(file, os.R_OK) for file in kept if file.name == SYSTEM_JOURNAL):
        yield not_seen("Errors", "this account may not read the journal; run this with sudo")
        return
    printed = run(
        [
            *("journalctl", "-u", UNIT, "-p", "err", "--since=-1day", "-o", "json"),
            *("--output-fields=EDGE_CODE", "-n", str(JOURNAL_LINES), "--quiet"),
        ]
    )
    yield errors(printed)


def errors(printed: str) -> Finding:
    """The errors of the last day, by code."""
    codes: Counter[str] = Counter()
    for line in printed.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        code = entry.get("EDGE_CODE") if isinstance(entry, dict) else None
        codes[code if isinstance(code, str) else "systemd's own"] += 1
    if not codes:
        return ok("Errors", "none in the journal of the last day")
    told = ", ".join(f"{code} {count}" for code, count in codes.most_common(SHOWN_CODES))
    return warn(
        "Errors",
        f"{codes.total()} in the last day: {told}",
        "journalctl -u edge-agent -p err --since=-1day -x",
    )
