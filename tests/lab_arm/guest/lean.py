"""What the suite needs beside the installed speaker: `lean.py REQUIREMENTS > FILE`.

Linters, plots and foreign clients stay away: under emulation each package takes its time.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TEST_PACKAGES = {
    *("pytest", "pytest-xdist", "execnet", "iniconfig", "pluggy", "packaging", "pygments"),
    *("hypothesis", "sortedcontainers", "psutil"),
}


def locked(text: str) -> dict[str, str]:
    """Package → its lines in a lock file, hashes included."""
    blocks = re.findall(r"^[a-z0-9](?:[^\n]*\\\n)*[^\n]*", text, re.MULTILINE)
    return {block.split("==")[0]: block for block in blocks}


def lean(folder: Path) -> str:
    """The lock of it: tool servers and what tests, without what runs already."""
    runs, tools, every = (
        locked((folder / f"{name}.txt").read_text(encoding="utf-8"))
        for name in ("run", "mcp", "dev")
    )
    wanted = tools | {name: lines for name, lines in every.items() if name in TEST_PACKAGES}
    return "\n".join([*(wanted[name] for name in wanted if name not in runs), ""])


if __name__ == "__main__":
    sys.stdout.write(lean(Path(sys.argv[1])))
