"""Keepsakes: words and sound of the talk, for an owner who wants them, and no longer.

Thread: the worker's for the disk; it blocks.  It must never be in the way of talk (trouble costs a
note), never delete a file that is not of its own kind, and never keep what the owner gave no days
for.

    transcripts/2026-11-20.jsonl                           one line per turn and per answer
    recordings/2026-11-20/18-30-05-250-household.wav       one file per turn and per answer
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from edge_agent.contract.pcm import BYTES_PER_SAMPLE, WIRE_RATE_HZ
from edge_agent.host.stores.json_file import NoteFunction, state_folder

TRANSCRIPTS, RECORDINGS = "transcripts", "recordings"
FILE_MODE, FOLDER_MODE = 0o600, 0o700
"""The speaker's account alone."""
ROOM_LEFT = 0.9
"""Too many recordings are deleted down to this part of their limit, so that not every turn has
to look through all of them."""

PART = ".part"
"""The end of a file's name as long as it is not whole."""

_DAY = r"\d{4}-\d{2}-\d{2}"
_TRANSCRIPT = re.compile(rf"({_DAY})\.jsonl")
_RECORDING = re.compile(r"\d{2}-\d{2}-\d{2}-\d{3}-[a-z]+\.wav(\.part)?")


@dataclass(frozen=True, slots=True)
class KeepTerms:
    """For how many days, 0: not at all; and how much sound at most."""

    transcripts_days: int
    audio_days: int
    audio_max_bytes: int


def keepsakes_folder(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    return Path(state_setting).parent if state_setting else state_folder(environ)


class Keepsakes:
    """`sweep` at the start and every day; `note` is `Journal.note`."""

    def __init__(self, folder: Path, terms: KeepTerms, note: NoteFunction) -> None:
        self.transcripts = folder / TRANSCRIPTS
        self.recordings = folder / RECORDINGS
        self._terms = terms
        self._note = note
        self._complained = False
        self._sound_bytes = 0
        """Size of all recordings, as of the last look and what was written since."""

    def words(self, at: datetime, who: str, text: str) -> None:
        """Keep one line of what was said; `at` is local time with its zone."""
        line = {"at": at.isoformat(timespec="seconds"), "who": who, "text": text}
        raw = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        self._try(lambda: _append(self.transcripts / f"{at.date()}.jsonl", raw))

    def sound(self, at: datetime, who: str, pcm24k: bytes) -> None:
        """Keep one turn or answer; `who` is one lower-case word."""
        name = f"{at:%H-%M-%S}-{at.microsecond // 1000:03}-{who}.wav"
        path = self.recordings / str(at.date()) / name
        if self._try(lambda: _write_wav(path, pcm24k)):
            self._sound_bytes += len(pcm24k)
            if self._sound_bytes > self._terms.audio_max_bytes:
                self._tell_deleted(self._make_room())

    def sweep(self, today: date) -> None:
        """Delete what is older than the owner wants, and what a power cut left half-written.

        What bears a day to come, because the clock was wrong, waits for that day.
        """
        words_days, sound_days = self._terms.transcripts_days, self._terms.audio_days
        old = [path for path in transcripts(self.transcripts) if _is_old(path, today, words_days)]
        old += [
            path
            for path in recordings(self.recordings)
            if path.suffix == PART or _is_old(path.parent, today, sound_days)
        ]
        self._tell_deleted(delete(old) + self._make_room())

    def _make_room(self) -> int:
        """Delete the oldest recordings, if there are too many; how many."""
        sizes = [(path, size(path)) for path in recordings(self.recordings)]
        self._sound_bytes = sum(bytes_of for _, bytes_of in sizes)
        if self._sound_bytes <= self._terms.audio_max_bytes:
            return 0
        gone = []
        for path, bytes_of in sizes:
            if self._sound_bytes <= self._terms.audio_max_bytes * ROOM_LEFT:
                break
            gone.append(path)
            self._sound_bytes -= bytes_of
        return delete(gone)

    def _tell_deleted(self, count: int) -> None:
        if count:
            self._note("keepsakes.deleted", count=count)

    def _try(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except OSError as problem:
            if not self._complained:  # once: a full disk must not fill the journal as well
                self._note("keepsakes.unwritable", why=problem.strerror or type(problem).__name__)
            self._complained = True
            return False
        self._complained = False
        return True


# --- the files -------------------------------------------------------------------------------


def transcripts(folder: Path) -> list[Path]:
    """All transcripts, the oldest first."""
    return [path for path in _inside(folder) if _is_day(_TRANSCRIPT.fullmatch(path.name))]


def recordings(folder: Path) -> list[Path]:
    """All recordings, also half-written ones, the oldest first."""
    days = [day for day in _inside(folder) if _is_day(re.fullmatch(f"({_DAY})", day.name))]
    return [path for day in days for path in _inside(day) if _RECORDING.fullmatch(path.name)]


def size(path: Path) -> int:
    """In bytes; 0 for a file that is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def delete(paths: list[Path]) -> int:
    """Delete these files and the folders that are empty then; how many files are gone."""
    count = 0
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
            count += 1
    for folder in {path.parent for path in paths}:
        with contextlib.suppress(OSError):
            folder.rmdir()  # refuses where something is left in it
    return count


def _is_old(path: Path, today: date, days: int) -> bool:
    """Whether the day that is its name is over for more than so many days."""
    return not days or (today - date.fromisoformat(path.stem)).days > days


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_day(found: re.Match[str] | None) -> bool:
    try:
        return found is not None and date.fromisoformat(found[1]) is not None
    except ValueError:
        return False


def _append(path: Path, raw: bytes) -> None:
    """All of it or nothing."""
    number = _opened(path, os.O_APPEND)
    try:
        before = os.fstat(number).st_size
        try:
            if os.write(number, raw) < len(raw):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(number, before)
            raise
    finally:
        os.close(number)


def _write_wav(path: Path, pcm24k: bytes) -> None:
    part = path.with_name(path.name + PART)
    try:
        with os.fdopen(_opened(part, os.O_TRUNC), "wb") as file, wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(BYTES_PER_SAMPLE)
            wav.setframerate(WIRE_RATE_HZ)
            wav.writeframes(pcm24k)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _opened(path: Path, flags: int) -> int:
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, FILE_MODE)
