"""Patches: one deliberate defect each, in a form that survives a file being moved or reformatted.

A chosen mutant (`chosen/*.toml`) replaces one piece of text, which must occur exactly once in
`where`: a file or a whole folder of the package.  Call `load_chosen`, then `Mutant.mutated` for the
new text of the one file it changes.  Thread: any, no state.  It must never write into the checkout.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGE = "edge_agent"

PROMISES = {
    1: "the gate",
    2: "mute",
    3: "consent",
    4: "calls",
    5: "answers",
    6: "the cut",
    7: "nobody interrupts who does not exist",
    8: "silence about people",
    9: "bounds",
    10: "truth",
    11: "the persona",
}
"""The rules of the referee; a chosen mutant breaks one of them."""


class PatchError(ValueError):
    """A patch does not fit the source any more; the text says which and why."""


@dataclass(frozen=True)
class Mutant:
    """One defect.  `change` takes the file's text and gives the mutated one."""

    name: str
    file: str
    what: str
    change: Callable[[str], str]
    promise: int | None = None
    """The rule that it breaks; None where nobody chose it."""

    def mutated(self, root: Path = ROOT) -> str:
        """The new text of `file`."""
        before = (root / self.file).read_text(encoding="utf-8")
        after = self.change(before)
        if after == before:
            raise PatchError(f"{self.name}: changes nothing in {self.file}")
        return after


@dataclass(frozen=True)
class Chosen:
    """An entry of `chosen/*.toml`, as it is written there."""

    name: str
    rule: int
    where: str
    what: str
    old: str
    new: str

    def mutant(self, root: Path = ROOT) -> Mutant:
        """The mutant, with the one file that holds the old text."""
        place = root / self.where
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        if not all(file.is_file() for file in files):
            raise PatchError(f"{self.name}: there is no {self.where}")
        counts = {file: file.read_text(encoding="utf-8").count(self.old) for file in files}
        if sum(counts.values()) != 1:
            raise PatchError(
                f"{self.name}: the old text occurs {sum(counts.values())} times in {self.where}"
            )
        found = next(file for file, count in counts.items() if count)
        return Mutant(
            self.name,
            found.relative_to(root).as_posix(),
            self.what,
            lambda text: text.replace(self.old, self.new),
            self.rule,
        )


def read_chosen(folder: Path = HERE / "chosen") -> list[Chosen]:
    """All entries, in the order of the rules.  Raises `PatchError` for one that is not whole."""
    found = []
    for file in sorted(folder.glob("*.toml")):
        for entry in tomllib.loads(file.read_text(encoding="utf-8"))["mutant"]:
            if entry.keys() != Chosen.__annotations__.keys():
                raise PatchError(f"{file.name}: {entry.get('name')}: has {sorted(entry)}")
            found.append(Chosen(**entry))
    return sorted(found, key=lambda one: one.rule)


def load_chosen(root: Path = ROOT) -> list[Mutant]:
    """All chosen mutants.  Raises `PatchError` for the first that does not fit the source."""
    return [entry.mutant(root) for entry in read_chosen()]
