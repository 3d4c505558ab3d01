"""Every store damaged in every way, over three boots: mute and guest mode hold as they must."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.app.speaker_api import SavedState
from edge_agent.contract.events import Event
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.fact_store import FactsError, FactStore, facts_path
from edge_agent.host.stores.message_store import MessageStore, messages_path
from edge_agent.host.stores.timer_store import TimerStore, timers_path
from edge_agent.host.stores.usage_store import UsageStore, usage_path

MADE = Path(__file__).parent / "fixtures_944647c"
STORES = ("state.json", "usage.json", "timers.json", "messages.json", "facts.sqlite")
BOOTS = 3

Damage = Callable[[Path], None]


def write(content: bytes) -> Damage:
    def damage(path: Path) -> None:
        path.write_bytes(content)

    return damage


def flip_a_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[0] ^= 0xFF
    path.write_bytes(bytes(raw))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def put_a_folder_there(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


def put_a_link_there(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text('{"version": 1, "muted": false, "guest": false}')
    path.unlink()
    path.symlink_to(elsewhere)


DAMAGES: dict[str, Damage] = {
    "gone": Path.unlink,
    "empty": write(b""),
    "zeros": write(b"\0" * 200),
    "cut short": cut_short,
    "a byte flipped": flip_a_byte,
    "another type": write(b"[1, 2]"),
    "a much newer program": write(b'{"version": 99}'),
    "too large": write(b" " * 10_000_000),
    "a folder": put_a_folder_there,
    "a link": put_a_link_there,
}


def boot(folder: Path) -> tuple[bool, bool]:
    """What a start makes of its files: mute and guest mode.  All stores are opened, as it does."""
    setting = str(folder / "state.json")

    def note(_code: str, **_fields: object) -> None:
        """The journal is judged elsewhere."""

    def post(_event: Event) -> None:
        raise AssertionError("nothing asks for anything")

    async def start() -> tuple[bool, bool]:
        disk = Worker("disk", threads=False, on_fault=lambda problem: pytest.fail(repr(problem)))
        settings = Settings.model_validate({"state": {"path": setting}})
        state = SavedState(settings, disk, note, post=post, time=lambda: 0.0)
        usage = UsageStore(usage_path(setting), note)
        usage.load()
        usage.save()
        timers = TimerStore(timers_path(setting), note)
        timers.save(timers.load())
        messages = MessageStore(messages_path(setting), note)
        messages.save(messages.load())
        with contextlib.suppress(FactsError):  # whoever asks for a fact is told
            FactStore(facts_path(setting), note).all()
        return state.saved.muted, state.saved.guest

    return asyncio.run(start())


@pytest.mark.parametrize("was", [True, False], ids=["muted", "open"])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("store", STORES)
def test_mute_and_guest_mode_survive_every_damage(
    store: str, damage: str, was: bool, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(MADE, tmp_path / "household"))
    state = folder / "state.json"
    state.write_text(json.dumps({"version": 1, "muted": was, "guest": was}))
    assert boot(folder) == (was, was)
    DAMAGES[damage](folder / store)
    boots = [boot(folder) for _ in range(BOOTS)]
    # Unknown is muted and guest; what another store has lost says nothing of the microphone.
    must = True if store == "state.json" else was
    assert boots == [(must, must)] * BOOTS


@pytest.mark.parametrize("damage", DAMAGES)
def test_all_stores_damaged_at_once_is_a_mute(damage: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MADE, tmp_path / "household"))
    (folder / "state.json").write_text('{"version": 1, "muted": false, "guest": false}')
    assert boot(folder) == (False, False)
    for store in STORES:
        DAMAGES[damage](folder / store)
    assert [boot(folder) for _ in range(BOOTS)] == [(True, True)] * BOOTS


def test_a_first_start_is_open(tmp_path: Path) -> None:
    assert [boot(tmp_path) for _ in range(BOOTS)] == [(False, False)] * BOOTS
