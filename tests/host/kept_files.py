"""A household's files: `make` has the program write them, `read` has it read them.

Thread: a test's.  It must never write any of them itself.  The files in `fixtures_944647c` were
made by the program of commit 944647c, and so was `read.json`, which holds what it read in them:

    git worktree add ../old 944647c
    PYTHONPATH=../old python tests/host/kept_files.py tests/host/fixtures_944647c ../old
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from edge_agent.contract.events import Usage
from edge_agent.host.settings.load import load
from edge_agent.host.stores.fact_store import FactStore, facts_path
from edge_agent.host.stores.message_store import MessageBox, MessageStore, messages_path
from edge_agent.host.stores.state import Saved, StateFile
from edge_agent.host.stores.timer_store import (
    SavedRang,
    SavedTimer,
    SavedTimers,
    TimerStore,
    timers_path,
)
from edge_agent.host.stores.usage_store import Kept, UsageStore, plain, spent_by, usage_path

DAY = date(2026, 11, 20)
SETTINGS = "edge-agent.toml"
CHANGED = {
    'capture_device = ""': 'capture_device = "CARD=Array"',
    "volume_percent = 70": "volume_percent = 55",
    'wake_words = ["okay_nabu"]': 'wake_words = ["okay_nabu", "hey_jarvis"]',
    "wake_cutoffs = {}": "wake_cutoffs = { okay_nabu = 0.8 }",
    "follow_up_s = 6.0": "follow_up_s = 4.5",
    "utterance_max_s = 30.0": "utterance_max_s = 20.0",
    "rest_after_s = 10.0": "rest_after_s = 0.0",
    "pre_roll_ms = 800": "pre_roll_ms = 900",
}
"""Lines of the shipped settings, and what this household made of them."""


def note(code: str, **fields: object) -> None:
    raise AssertionError(f"{code}: {fields}")


def make(folder: Path, shipped: Path) -> None:
    """Everything that a household has after a week; `shipped` are the settings it began with."""
    place = str(folder / "state.json")
    StateFile(Path(place), note).save(Saved(muted=True, volume_percent=35, guest=True))

    usage = UsageStore(usage_path(place), note)
    for number in range(3):
        day = DAY + timedelta(days=number)
        tokens = Usage(text_in=100, audio_in=2000 + number, cached_audio_in=500, audio_out=700)
        usage.add(spent_by(tokens, 12_345 + number), Kept(day, 12_345 + number, 0, number == 2))
    usage.add(spent_by(None, None), Kept(DAY + timedelta(days=2), 12_347, 1, True))
    usage.save()

    TimerStore(timers_path(place), note).save(
        SavedTimers(
            (
                SavedTimer("Nudeln", "timer", 600.0, 1_795_900_000.25),
                SavedTimer("école", "alarm", due_wall="2026-11-23T06:45:00", repeat="weekdays"),
            ),
            (SavedRang("tea", "timer", "2026-11-20T18:00:00.250000"),),
        )
    )

    box = MessageBox(keep=50, per_hour=10)
    noon = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    for number, (text, sender, urgency) in enumerate(
        [
            ("The parcel is at the neighbours'.", "Anna", "normal"),
            ("Bitte ruf zurück, es eilt 📞", "", "urgent"),
            ("Milk\nand bread", "Jörg", "normal"),
        ]
    ):
        box.add(text, sender, urgency, noon + timedelta(hours=number))
    box.sent(box.messages[0].id, noon + timedelta(minutes=1))
    box.not_sent(box.messages[1].id, "http.timeout")
    MessageStore(messages_path(place), note).save(box.messages)

    facts = FactStore(facts_path(place), note)
    for text in ("My sister is Odile.", "Der Müll wird am Dienstag geholt.", "Gone again"):
        facts.add(text, DAY.isoformat(), limit=20)
    facts.remove(3)

    text = shipped.read_text(encoding="utf-8")
    for before, after in CHANGED.items():
        assert text.count(f"\n{before}\n") == 1, before
        text = text.replace(f"\n{before}\n", f"\n{after}\n")
    (folder / SETTINGS).write_text(text, encoding="utf-8")


def read(folder: Path) -> Any:
    """All that the program finds in these files, as plain JSON values."""
    place = str(folder / "state.json")
    usage = UsageStore(usage_path(place), note)
    kept = usage.load()
    found = {
        "state": asdict(StateFile(Path(place), note).load()),
        "usage": asdict(kept),
        "usage days": {day.isoformat(): plain(spent) for day, spent in usage.days.items()},
        "usage answers": [plain(spent) for spent in usage.answers],
        "timers": asdict(TimerStore(timers_path(place), note).load()),
        "messages": [asdict(one) for one in MessageStore(messages_path(place), note).load()],
        "facts": [asdict(one) for one in FactStore(facts_path(place), note).all()],
        "settings": load(folder / SETTINGS, environ={}).settings.model_dump(mode="json"),
    }
    return json.loads(json.dumps(found, default=str))


if __name__ == "__main__":
    where, program = map(Path, sys.argv[1:])
    make(where, program / "config" / SETTINGS)
    (where / "read.json").write_text(json.dumps(read(where), indent=1, ensure_ascii=False) + "\n")
