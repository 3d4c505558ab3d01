"""Usage store: tokens and money per answer and per day, kept over restarts (purpose).

Owner thread: the event loop for `add`; `save` may run in another, so that a slow card never holds
up a word.  Must never read a clock (the day comes in with each answer), hold anything that was
said, or stop the speaker: a file that is of no use is moved aside and counting begins anew.

The day is the one that the budget is in (`dialogue.money.budget`), which knows what a clock that
was set means; this file only keeps it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from edge_agent.contract.events import Usage
from edge_agent.host.stores.json_file import JsonFile, NoteFunction, state_folder

VERSION = 1
"""Grows when an older program could misread the file."""
FILE_MAX_BYTES = 262_144
"""Ours has at most some 20 kB: 31 days and 50 answers of less than 300 bytes each."""
DAYS_KEPT = 31
"""A month, so that one bill can be compared."""
ANSWERS_KEPT = 50
"""An evening of talk."""
COUNT_MAX = 10**15
"""More than any household; a larger number is not ours."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and money, of one answer or of a day.  `cached` is a part of the tokens in;
    `unpriced` counts the answers whose cost is not known and therefore not in it."""

    answers: int = 0
    text_in: int = 0
    audio_in: int = 0
    image_in: int = 0
    cached: int = 0
    text_out: int = 0
    audio_out: int = 0
    cost_microusd: int = 0
    unpriced: int = 0

    @property
    def tokens_in(self) -> int:
        """All that went in."""
        return self.text_in + self.audio_in + self.image_in

    @property
    def tokens_out(self) -> int:
        """All that came out."""
        return self.text_out + self.audio_out

    def plus(self, other: Spent) -> Spent:
        """The sum of both."""
        return Spent(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Spent)))


@dataclass(frozen=True, slots=True)
class Kept:
    """What the budget remembers, in this file's words (see `dialogue.money.budget.Purse`)."""

    day: date | None = None
    spent_microusd: int = 0
    unpriced: int = 0
    warned: bool = False


def usage_path(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    folder = Path(state_setting).parent if state_setting else state_folder(environ)
    return folder / "usage.json"


def spent_by(usage: Usage | None, cost_microusd: int | None) -> Spent:
    """One answer.  No figures at all are an answer of unknown cost."""
    if usage is None:
        return Spent(answers=1, unpriced=1)
    return Spent(
        answers=1,
        text_in=usage.text_in,
        audio_in=usage.audio_in,
        image_in=usage.image_in,
        cached=usage.cached_text_in + usage.cached_audio_in + usage.cached_image_in,
        text_out=usage.text_out,
        audio_out=usage.audio_out,
        cost_microusd=cost_microusd or 0,
        unpriced=int(cost_microusd is None),
    )


class UsageStore:
    """`load` once; `add` per answer, then `save`.  `note` is `Journal.note`."""

    def __init__(self, path: Path, note: NoteFunction) -> None:
        self._file = JsonFile(
            path,
            note,
            repaired="usage.repaired",
            unwritable="usage.unwritable",
            version=VERSION,
            max_bytes=FILE_MAX_BYTES,
        )
        self.kept = Kept()
        """What the budget remembered at the last `add`."""
        self.days: dict[date, Spent] = {}
        """The last days with any use, the oldest first."""
        self.answers: deque[Spent] = deque(maxlen=ANSWERS_KEPT)
        """The last answers, the newest last."""

    @property
    def today(self) -> Spent:
        """The budget's day so far."""
        return self.days.get(self.kept.day, Spent()) if self.kept.day else Spent()

    def load(self) -> Kept:
        """Read what is there.  A broken file, or one of a newer program, is moved aside."""
        try:
            raw = self._file.read()
        except OSError:
            return self.kept
        if raw is None:
            return self.kept
        try:
            entry = self._file.object_in(raw)
            kept = _kept(entry)
            days = {_day(text): _spent(of_day) for text, of_day in _table(entry, "days").items()}
            answers = [_spent(one) for one in _list(entry, "answers")]
        except ValueError as problem:
            self._file.set_aside(str(problem))
            return self.kept
        self.kept, self.days = kept, dict(sorted(days.items()))
        self.answers.extend(answers)
        return self.kept

    def add(self, answer: Spent, kept: Kept) -> None:
        """Count one answer on the budget's day, `kept` being what the budget remembers now."""
        self.kept = kept
        self.answers.append(answer)
        if kept.day is None:
            return
        days = {day: spent for day, spent in self.days.items() if day <= kept.day}
        # Days that have not come yet are of a clock that was ahead; their use stays today's.
        ahead = [spent for day, spent in self.days.items() if day > kept.day]
        today = days.pop(kept.day, Spent())
        for spent in (*ahead, answer):
            today = today.plus(spent)
        days[kept.day] = today
        self.days = dict(sorted(days.items())[-DAYS_KEPT:])

    def save(self) -> bool:
        """Write all of it.  False, and one note, if that is not possible."""
        kept = self.kept
        return self._file.save(
            {
                "day": kept.day.isoformat() if kept.day else None,
                "spent_microusd": kept.spent_microusd,
                "unpriced": kept.unpriced,
                "warned": kept.warned,
                "days": {day.isoformat(): asdict(spent) for day, spent in self.days.items()},
                "answers": [asdict(spent) for spent in tuple(self.answers)],
            }
        )


def _kept(entry: Mapping[str, Any]) -> Kept:
    day = entry.get("day")
    warned = entry.get("warned")
    if not isinstance(warned, bool):
        raise ValueError("the warning is not true or false")
    return Kept(
        None if day is None else _day(day),
        _count(entry, "spent_microusd"),
        _count(entry, "unpriced"),
        warned,
    )


def _spent(entry: object) -> Spent:
    if not isinstance(entry, dict):
        raise ValueError("a day or an answer is not an object")
    known = {field.name for field in fields(Spent)}
    return replace(Spent(), **{name: _count(entry, name) for name in known & entry.keys()})


def _count(entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= COUNT_MAX:
        raise ValueError(f"{name} is not a count")
    return value


def _day(text: object) -> date:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise ValueError("a day is not a date") from None


def _table(entry: Mapping[str, Any], name: str) -> dict[str, object]:
    value = entry.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    return value


def _list(entry: Mapping[str, Any], name: str) -> list[object]:
    value = entry.get(name)
    if not isinstance(value, list):
        raise ValueError(f"{name} is not a list")
    return value
