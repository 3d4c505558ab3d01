"""The table of checks: `python table.py checks.jsonl`; ends with 1 if one does not hold."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def rows_of(text: str) -> list[dict[str, object]]:
    """One check a line."""
    return [json.loads(line) for line in text.splitlines() if line]


def table(rows: list[dict[str, object]]) -> str:
    """In words, with the seconds of whichever clock it was."""
    lines = ["", f"{'':4} {'seconds':>10}  check"]
    for row in rows:
        mark = "ok" if row["holds"] else "BAD"
        seconds = f"{row['guest_s']} guest" if "guest_s" in row else f"{row['host_s']} host"
        lines.append(f"{mark:4} {seconds:>10}  {row['what']}")
    good = sum(row["holds"] is True for row in rows)
    return "\n".join([*lines, "", f"{good} of {len(rows)} checks hold"])


if __name__ == "__main__":
    kept = rows_of(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(table(kept))  # noqa: T201
    sys.exit(0 if kept and all(row["holds"] for row in kept) else 1)
