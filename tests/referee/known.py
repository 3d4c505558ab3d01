"""Known breaks: codes of rules that today's speaker breaks, each with the number of its finding.

The numbers are those of the reviews (F1 to F20: broken promises, S1 to S14: the services), N1
and on are what the referee found itself.  Each
has a strict expected failure in `tests/known_breaks` that shows it with no excuse.  The table only
ever shrinks: whoever mends a break deletes its line.
"""

from __future__ import annotations

EXCUSED: dict[str, str] = {}
"""Code of a rule → the finding that explains it."""
