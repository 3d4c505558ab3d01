"""Keepsakes, on real files: kept as long as asked, never longer, and never in the way."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.app.keepsakes import SOUND_MAX_BYTES, AnswerSound
from edge_agent.contract.commands import PlayVoice
from edge_agent.contract.events import PlaybackDrained, Tick
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS
from edge_agent.host.stores.keepsakes import (
    Keepsakes,
    KeepTerms,
    keepsakes_folder,
    recordings,
    transcripts,
)

NOW = datetime(2026, 11, 20, 18, 30, 5, 250_000, tzinfo=ZoneInfo("Europe/Berlin"))
SOUND = bytes(range(256)) * 10


class Notes:
    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []

    def __call__(self, code: str, **fields: object) -> None:
        self.told.append((code, fields))


def keep(folder: Path, notes: Notes | None = None, **terms: int) -> Keepsakes:
    nothing = KeepTerms(transcripts_days=0, audio_days=0, audio_max_bytes=500_000_000)
    return Keepsakes(folder, replace(nothing, **terms), notes or Notes())


def days(folder: Path) -> list[str]:
    """What is there, without the times."""
    words = [path.stem for path in transcripts(folder / "transcripts")]
    return words + [path.parent.name for path in recordings(folder / "recordings")]


def test_words_and_sound_are_in_files_for_the_account_alone(tmp_path: Path) -> None:
    kept = keep(tmp_path)
    kept.words(NOW, "household", "What's the time?")
    kept.words(NOW, "speaker", "Grüße\u2028, half past")
    kept.sound(NOW, "household", SOUND)
    file = tmp_path / "transcripts" / "2026-11-20.jsonl"
    lines = [json.loads(line) for line in file.read_text().split("\n")[:-1]]
    assert lines == [
        {"at": "2026-11-20T18:30:05+01:00", "who": "household", "text": "What's the time?"},
        {"at": "2026-11-20T18:30:05+01:00", "who": "speaker", "text": "Grüße\u2028, half past"},
    ]
    sound = tmp_path / "recordings" / "2026-11-20" / "18-30-05-250-household.wav"
    with wave.open(str(sound)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (24_000, 1, 2)
        assert wav.readframes(10_000) == SOUND
    for path in (file, sound):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def filled(folder: Path, ages: range) -> None:
    kept = keep(folder, audio_max_bytes=10**9)
    for age in ages:
        kept.words(NOW - timedelta(days=age), "household", "x")
        kept.sound(NOW - timedelta(days=age), "household", SOUND)


def test_what_is_too_old_goes_and_nothing_else(tmp_path: Path) -> None:
    filled(tmp_path, range(-1, 6))
    theirs = [
        tmp_path / "transcripts" / "notes.txt",
        tmp_path / "transcripts" / "2020-13-45.jsonl",
        tmp_path / "recordings" / "2020-01-01" / "holiday.wav",
        tmp_path / "state.json",
    ]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    notes = Notes()
    keep(tmp_path, notes, transcripts_days=3, audio_days=1).sweep(NOW.date())
    left = [str(NOW.date() - timedelta(days=age)) for age in range(-1, 6)]
    assert days(tmp_path) == [*sorted(left[:5]), *sorted(left[:3])]
    assert all(path.read_text() == "mine" for path in theirs)
    assert notes.told == [("keepsakes.deleted", {"count": 6})]
    assert not (tmp_path / "recordings" / left[-1]).exists(), "nor is an empty folder left"


def test_no_days_means_that_nothing_stays(tmp_path: Path) -> None:
    filled(tmp_path, range(-1, 3))
    keep(tmp_path).sweep(NOW.date())
    assert days(tmp_path) == []


def test_what_a_power_cut_left_is_tidied_away(tmp_path: Path) -> None:
    filled(tmp_path, range(1))
    part = tmp_path / "recordings" / "2026-11-20" / "18-30-06-000-speaker.wav.part"
    part.write_bytes(b"RIFF")
    keep(tmp_path, transcripts_days=1, audio_days=1).sweep(NOW.date())
    assert not part.exists()
    assert len(days(tmp_path)) == 2


def test_sound_is_bounded_and_the_oldest_goes_first(tmp_path: Path) -> None:
    notes = Notes()
    kept = keep(tmp_path, notes, audio_days=99, audio_max_bytes=20 * len(SOUND))
    for minute in range(60):
        kept.sound(NOW + timedelta(minutes=minute), "speaker", SOUND)
        files = recordings(kept.recordings)
        assert sum(path.stat().st_size for path in files) <= 22 * len(SOUND)
        assert files[-1].name.startswith(f"{NOW + timedelta(minutes=minute):%H-%M}")
    assert len(files) >= 17
    assert {code for code, _ in notes.told} == {"keepsakes.deleted"}
    keep(tmp_path, audio_days=99, audio_max_bytes=5 * len(SOUND)).sweep(NOW.date())
    assert len(recordings(kept.recordings)) <= 5, "a limit that was lowered holds at the start"


@settings(max_examples=40)
@given(
    ages=st.sets(st.integers(-400, 4000), max_size=8),
    words_days=st.integers(0, 40),
    sound_days=st.integers(0, 40),
)
def test_never_longer_than_asked(
    tmp_path_factory: pytest.TempPathFactory, ages: set[int], words_days: int, sound_days: int
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    for age in ages:
        filled(folder, range(age, age + 1))
    keep(folder, transcripts_days=words_days, audio_days=sound_days).sweep(NOW.date())
    for wanted, found in (
        (words_days, [path.stem for path in transcripts(folder / "transcripts")]),
        (sound_days, [path.parent.name for path in recordings(folder / "recordings")]),
    ):
        left = {(NOW.date() - date.fromisoformat(day)).days for day in found}
        assert left == {age for age in ages if wanted and age <= wanted}


# --- trouble -------------------------------------------------------------------------------------


def test_a_place_that_cannot_be_written_costs_one_note(tmp_path: Path) -> None:
    (tmp_path / "transcripts").write_text("in the way")
    notes = Notes()
    kept = keep(tmp_path, notes, audio_days=1)
    for _ in range(3):
        kept.words(NOW, "household", "secret")
    kept.sweep(NOW.date())
    assert [code for code, _ in notes.told] == ["keepsakes.unwritable"]
    assert "secret" not in str(notes.told)
    kept.sound(NOW, "household", SOUND)
    assert days(tmp_path) == ["2026-11-20"], "the other kind goes on"


FULL = """
import resource, sys
from datetime import datetime
from pathlib import Path
from edge_agent.host.stores.keepsakes import Keepsakes, KeepTerms
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
kept = Keepsakes(Path(sys.argv[1]), KeepTerms(9, 9, 10**6), lambda code, **fields: print(code))
for number in range(100):
    kept.words(datetime(2026, 11, 20, 18, 30), "household", "word " * number)
kept.sound(datetime(2026, 11, 20, 18, 30), "household", bytes(9_000))
kept.sound(datetime(2026, 11, 20, 18, 31), "household", bytes(100))
"""


def test_a_disk_that_takes_no_more_leaves_whole_lines_and_no_halves(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert set(done.stdout.split()) == {"keepsakes.unwritable"}
    lines = (tmp_path / "transcripts" / "2026-11-20.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines][:3] == ["", "word ", "word word "]
    assert len(lines) > 10
    day = tmp_path / "recordings" / "2026-11-20"
    assert [path.name for path in day.iterdir()] == ["18-31-00-000-household.wav"]


def test_they_are_beside_the_state() -> None:
    assert keepsakes_folder("/srv/speaker/state.json") == Path("/srv/speaker")
    assert keepsakes_folder("", {"STATE_DIRECTORY": "/var/lib/x"}) == Path("/var/lib/x")


def test_answers_that_are_never_over_are_kept_within_a_bound() -> None:
    kept: list[bytes] = []
    answers = AnswerSound(lambda _who, pcm: kept.append(pcm))
    second = bytes(1000 * WIRE_BYTES_PER_MS)
    for number in range(1000):
        answers.on_event(Tick(at=0.0), [PlayVoice(f"item_{number}", second)])
    for number in range(1000):
        answers.on_event(PlaybackDrained(at=1.0, item=f"item_{number}", played_ms=1000), [])
    assert kept[-1] == second
    assert 1 <= sum(map(len, kept)) <= 2 * SOUND_MAX_BYTES
