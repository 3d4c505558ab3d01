"""The hostile cases use the harnesses of several rooms; this puts them within reach."""

from __future__ import annotations

import sys
from pathlib import Path

for room in ("hostile", "dialogue", "realtime", "known_breaks"):
    folder = str(Path(__file__).parents[1] / room)
    if folder not in sys.path:
        sys.path.append(folder)
