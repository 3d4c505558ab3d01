"""Imports: how long the command line and the daemon take to load.

Thread: main.  It must never import what it measures into its own process.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.figures import Figure, Sheet

TITLE = "Import time"
SETTING = "A fresh interpreter each, compiled files and disk cache warm."

MODULES = {"cli": "edge_agent.cli.main", "daemon": "edge_agent.app.daemon"}
PROGRAM = (
    "import time; begin = time.perf_counter(); import {0}; "
    "print((time.perf_counter() - begin) * 1000)"
)
TIMEOUT_S = 60.0


def figures() -> list[Figure]:
    """One per module, and the bare interpreter beside them."""
    return [
        Figure("imports.cli", "import of the command line", "ms"),
        Figure("imports.daemon", "import of the daemon", "ms"),
    ]


def measure(sheet: Sheet, n: int, brief: bool = False) -> None:
    """One import to warm the caches, then `n` that count."""
    del brief
    for key, module in MODULES.items():
        for trial in range(n + 1):
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM.format(module)],
                capture_output=True,
                text=True,
                check=True,
                timeout=TIMEOUT_S,
            )
            if trial:
                sheet[f"imports.{key}"].add(float(done.stdout))
