"""Has a page judged by a package that we did not write.

    host.py NAME COMMAND...     the command gets the demo's report as its last argument

Thread: main.  It must never need the network: the report is one file.  Prints a verdict as JSON on
its last line, as the hosts of the other roles do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

JUDGED_S = 200


def main(command: list[str]) -> dict[str, list[str]]:
    """Play the demo in virtual time and have its report judged."""
    with tempfile.TemporaryDirectory() as folder:
        demo = [sys.executable, "-m", "edge_agent.cli.main", "demo", "--fast", "--out", folder]
        subprocess.run(demo, capture_output=True, check=True)
        done = subprocess.run(
            [*command, str(Path(folder) / "report.html")],
            env={**os.environ, "CHROMIUM": shutil.which("chromium") or ""},
            capture_output=True,
            text=True,
            timeout=JUDGED_S,
            check=False,
        )
    if done.returncode:
        return {"held": [], "faults": [done.stderr.strip()[-500:]], "notes": []}
    judged = json.loads(done.stdout.splitlines()[-1])
    faults = judged["findings"] if judged["passes"] else ["no rule was tried"]
    return {"held": [f"{judged['passes']} rules"], "faults": faults, "notes": []}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[2:])) + "\n")
