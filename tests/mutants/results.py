"""Results: what the net said about each mutant, kept in a file that survives an interruption.

Call `Result.take` with what a run recorded, and `Results.put`.  Thread: any; `put` locks. It must
never lose a row that was put.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

import collector
import net
from patches import ROOT

CHECK = "0 check"
"""Stands where a run failed by an assertion of its own, and the referee named nothing."""

NAMES_KEPT = 3
"""Failed checks that are named in a result; the rest is counted."""


@dataclass
class Result:
    """What the net said about one mutant."""

    name: str
    file: str
    what: str
    promise: int | None
    tree: str
    """Fingerprint of the source that it was made from."""
    checks: list[str] = field(default_factory=list)
    """The first checks that failed, the referee's runs left out."""
    checks_failed: int = 0
    judged: dict[str, list[str]] = field(default_factory=dict)
    """Runs of the referee that failed, with what it named there; `CHECK` for an assertion of the
    test itself."""
    codes: list[str] = field(default_factory=list)
    """All that the referee named, in whatever test."""
    is_time: bool = False
    """Something did not come to an end."""
    cpu_s: float = 0.0

    @property
    def rules(self) -> list[int]:
        """All rules that were named."""
        return sorted({rule_of(code) for code in self.codes})

    @property
    def is_caught(self) -> bool:
        """Did anything notice?"""
        return bool(self.checks_failed or self.judged)

    def take(self, record: collector.Record) -> None:
        """Take what a run recorded."""
        failures = list(record.failures)
        if not record.is_whole:
            lost = record.unfinished or "the run itself"
            failures.append(collector.Failure(lost, (), is_time=True))
        for failure in failures:
            self.is_time |= failure.is_time
            self.codes = sorted({*self.codes, *failure.codes})
            if net.is_referees(failure.test):
                named = {*self.judged.get(failure.test, ()), *(failure.codes or (CHECK,))}
                self.judged[failure.test] = sorted(named)
            else:
                self.checks_failed += 1
                if len(self.checks) < NAMES_KEPT:
                    self.checks.append(failure.test)


def rule_of(code: str) -> int:
    """The number of the rule in a code such as `6 cut.late`; 0 for `CHECK`."""
    return int(code.split(maxsplit=1)[0])


def fingerprint(root: Path = ROOT) -> str:
    """Changes with the package and with the tests, not with what is said about the results."""
    digest = hashlib.sha256()
    files = [file for folder in ("edge_agent", "tests") for file in (root / folder).rglob("*")]
    for file in sorted(files):
        if file.suffix in (".py", ".toml") and file.name != "explained.toml":
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


class Results:
    """The file of results; a row is written as soon as it is known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.sound = ""
        """Fingerprint of the source on which the net, without a mutant, found nothing."""
        self.rows: dict[str, Result] = {}
        with contextlib.suppress(FileNotFoundError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            self.sound = kept["sound"]
            self.rows = {row["name"]: Result(**row) for row in kept["rows"]}

    def put(self, *rows: Result) -> None:
        """Add rows and save."""
        with self._lock:
            self.rows |= {row.name: row for row in rows}
            self._save()

    def is_sound(self, tree: str) -> None:
        """The net is green on this source."""
        self.sound = tree
        self._save()

    def keep(self, names: set[str]) -> None:
        """Forget what is no mutant any more."""
        self.rows = {name: row for name, row in self.rows.items() if name in names}
        self._save()

    def _save(self) -> None:
        rows = [asdict(self.rows[name]) for name in sorted(self.rows)]
        beside = self._path.with_suffix(".new")
        text = json.dumps({"sound": self.sound, "rows": rows}, indent=1)
        beside.write_text(text + "\n", encoding="utf-8")
        beside.replace(self._path)
