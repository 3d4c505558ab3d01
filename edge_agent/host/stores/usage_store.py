"""Usage store: tokens and money per answer and per day, kept over restarts.

Thread: the event loop for `add`; `save` may run in another, so that a slow card never holds up a
word.  It must never read a clock (the day comes in with each answer), hold anything that was said,
or stop the speaker: a file that is of no use is moved aside and counting begins anew.

The day is the one that the budget is in (`dialogue.money.budget`), which knows what a clock that
was set means; this file only keeps it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from functools import reduce
from pathlib import Path

from edge_agent.contract.events import Usage
from edge_agent.host.stores.json_file import Count, JsonFile, NoteFunction, look_into, state_folder

VERSION = 1
"""Grows when an older program could misread the file."""
FILE_MAX_BYTES = 262_144
"""Ours has at most some 25 kB: 31 days and 50 answers of less than 300 bytes each."""
DAYS_KEPT = 31
"""A month, so that one bill can be compared."""
LATER = frozenset({"beside", "beside_microusd", "sound_ms"})
"""Keys that the program before did not know."""
ANSWERS_KEPT = 50
"""An evening of talk."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and money, of one answer or of a day.  `cached` is a part of the tokens in;
    `unpriced` counts the answers whose cost is not known and therefore not in it.

    `beside`: uses of models beside the answers (notes, transcripts, the text model), whose tokens
    and money are in the sums like those of answers; `beside_microusd` is their part of the cost.
    """

    answers: Count = 0
    text_in: Count = 0
    audio_in: Count = 0
    image_in: Count = 0
    cached: Count = 0
    text_out: Count = 0
    audio_out: Count = 0
    cost_microusd: Count = 0
    unpriced: Count = 0
    beside: Count = 0
    beside_microusd: Count = 0
    sound_ms: Count = 0
    """Of the household, written down by a transcriber that bills time."""

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
    """What the budget remembers, in this file's words (see `dialogue.money.budget.BudgetState`)."""

    day: date | None = None
    spent_microusd: Count = 0
    unpriced: Count = 0
    warned: bool = False


@dataclass(frozen=True, slots=True)
class _File:
    day: date | None
    spent_microusd: Count
    unpriced: Count
    warned: bool
    days: dict[date, Spent]
    answers: list[Spent]


def usage_path(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    folder = Path(state_setting).parent if state_setting else state_folder(environ)
    return folder / "usage.json"


def spent_by(usage: Usage | None, cost_microusd: int | None, *, beside: bool = False) -> Spent:
    """One answer, or one use of a model `beside` it.  Without a cost it is of unknown cost."""
    usage = usage or Usage()
    return Spent(
        answers=int(not beside),
        text_in=usage.text_in,
        audio_in=usage.audio_in,
        image_in=usage.image_in,
        cached=usage.cached_text_in + usage.cached_audio_in + usage.cached_image_in,
        text_out=usage.text_out,
        audio_out=usage.audio_out,
        cost_microusd=cost_microusd or 0,
        unpriced=int(cost_microusd is None),
        beside=int(beside),
        beside_microusd=(cost_microusd or 0) if beside else 0,
        sound_ms=usage.sound_ms,
    )


@dataclass(frozen=True, slots=True)
class Used:
    """What the file tells: the days, the oldest first, and the last answers."""

    days: Mapping[date, Spent]
    answers: tuple[Spent, ...]

    @property
    def total(self) -> Spent:
        """Of all days."""
        return reduce(Spent.plus, self.days.values(), Spent())


def read_used(path: Path) -> Used:
    """Look into the file of a speaker that may be running.  Raises AgentError."""
    found = look_into(path, _File, version=VERSION, max_bytes=FILE_MAX_BYTES)
    if found is None:
        return Used({}, ())
    return Used(dict(sorted(found.days.items())), tuple(found.answers))


def plain(spent: Spent) -> dict[str, int]:
    """For JSON.  What came later than the file's first form is left out where it is 0."""
    return {key: n for key, n in asdict(spent).items() if n or key not in LATER}


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
        found = self._file.load(_File)
        if found is not None:
            self.kept = Kept(found.day, found.spent_microusd, found.unpriced, found.warned)
            self.days = dict(sorted(found.days.items()))
            self.answers.extend(found.answers)
        return self.kept

    def add(self, answer: Spent, kept: Kept) -> None:
        """Count one answer, or what was used beside it, on the budget's day, `kept` being what the
        budget remembers now."""
        self.kept = kept
        if answer.answers:
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
                "days": {day.isoformat(): plain(spent) for day, spent in self.days.items()},
                "answers": [plain(spent) for spent in tuple(self.answers)],
            }
        )
