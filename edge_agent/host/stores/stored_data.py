"""Inventory: what of the household is on this machine, where, for how long, and away with it.

Thread: main, in the command line; the speaker may run meanwhile.  It must never show a word of what
is kept, and never delete a file that is not in the list it shows.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.contract.errors import AgentError
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.echo_store import echo_path_file
from edge_agent.host.stores.fact_store import FactsError, FactStore, count_facts, facts_path
from edge_agent.host.stores.keepsakes import delete, keepsakes_folder, recordings, size, transcripts
from edge_agent.host.stores.message_store import messages_path
from edge_agent.host.stores.pong_store import pongs_path
from edge_agent.host.stores.state import KNOWN, state_path
from edge_agent.host.stores.timer_store import timers_path
from edge_agent.host.stores.tool_store import tools_path
from edge_agent.host.stores.usage_store import ANSWERS_KEPT, DAYS_KEPT, usage_path
from edge_agent.host.voice.pack_store import cache_root, pack_root


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of thing that is kept, or could be."""

    key: str
    """What `edge-agent privacy --delete` calls it; "" where it cannot be deleted so."""
    what: str
    how_long: str
    files: tuple[Path, ...] = ()
    """Those that are there."""
    count: int = 0
    """How many things are in them."""
    unit: str = ""
    """What each of them is called."""
    is_held: bool = False
    """A speaker that runs has it in memory too, until it is restarted."""
    bytes: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bytes", sum(map(size, self.files)))


def stored_data(settings: Settings) -> list[Kept]:
    """Everything that is kept in files.  Raises `AgentError` where this account may not look."""
    setting, privacy = settings.state.path, settings.privacy
    folder = keepsakes_folder(setting)
    if folder.exists() and not os.access(folder, os.R_OK | os.X_OK):
        raise AgentError(
            f"This account may not look into {folder}.",
            fix="Ask as root: sudo edge-agent privacy",
            code="privacy.refused",
        )
    words, sound = transcripts(folder / "transcripts"), recordings(folder / "recordings")
    facts, timers = facts_path(setting), timers_path(setting)
    messages, usage = messages_path(setting), usage_path(setting)
    voices = (pack_root(settings.speech.voice_pack_dir), cache_root())
    pack = [path for root in voices for path in root.rglob("*") if path.is_file()]
    return [
        Kept(
            "facts",
            "Facts that somebody asked it to remember",
            "until they are forgotten" if settings.facts.enabled else "off (facts.enabled)",
            _with_leftovers(facts),
            count_facts(facts),
            "fact",
        ),
        Kept(
            "transcripts",
            "Words of both sides",
            _days(privacy.keep_transcripts_days, "keep_transcripts_days"),
            tuple(words),
            len(words),
            "day",
        ),
        Kept(
            "audio",
            "Sound of both sides",
            _days(privacy.keep_audio_days, "keep_audio_days")
            + (f", {privacy.keep_audio_max_mb} MB at most" if privacy.keep_audio_days else ""),
            tuple(sound),
            len(sound),
            "recording",
        ),
        Kept(
            "timers",
            "Timers and alarms with their names",
            "until they are over; of the last ten that rang, name and time",
            _with_leftovers(timers),
            _count_in(timers, "timers"),
            "timer",
            is_held=True,
        ),
        Kept(
            "messages",
            "Messages that people left for you",
            f"until you delete them, the last {settings.messages.keep}",
            _with_leftovers(messages),
            _count_in(messages, "messages"),
            "message",
            is_held=True,
        ),
        Kept(
            "usage",
            "Tokens and costs, without a word",
            f"{DAYS_KEPT} days by day, the last {ANSWERS_KEPT} answers one by one",
            _with_leftovers(usage),
            is_held=True,
        ),
        Kept(
            "",
            "Mute, volume and guest mode",
            "until they are changed",
            _with_leftovers(state_path(setting)),
        ),
        Kept(
            "",
            "How late each provider answers pings, as counts",
            "until other pings have taken their place, after weeks",
            _with_leftovers(pongs_path(setting)),
        ),
        Kept(
            "",
            "How late and how loud its own voice reaches the microphone, per sound card",
            "until it is measured again",
            _with_leftovers(echo_path_file(setting)),
        ),
        Kept(
            "",
            "How tools of tool servers were described when you accepted them",
            "until you accept others",
            _with_leftovers(tools_path(setting)),
        ),
        Kept(
            "",
            "What confined programs of tool servers keep for themselves",
            "until you delete it (/var/cache/private/edge-agent-tools)",
        ),
        Kept("", "Recordings of its own sentences", "until you make others", tuple(pack)),
    ]


def erase(kept: Kept) -> None:
    """Delete the files of one kind.  Raises `AgentError` if some cannot be."""
    files = list(kept.files)
    for path in kept.files:
        if path.suffix == ".sqlite":
            with contextlib.suppress(FactsError):  # in trouble it goes as it is
                FactStore(path, lambda _code, **_fields: None).remove_all()  # overwritten first
            files += _with_leftovers(path)
    delete(files)
    left = [path for path in files if path.exists()]
    if left:
        raise AgentError(
            f"{left[0]} cannot be deleted" + (f", and {len(left) - 1} more." if left[1:] else "."),
            fix="Is the disk read-only? Else ask as root (sudo).",
            code="privacy.undeletable",
        )


def _count_in(path: Path, key: str) -> int:
    """How many entries a list of a JSON file has; not with its store, which would tidy it up."""
    try:
        entries = json.loads(path.read_bytes()).get(key)
    except (OSError, ValueError, RecursionError, AttributeError):
        return 0
    return len(entries) if isinstance(entries, list) else 0


def _with_leftovers(path: Path) -> tuple[Path, ...]:
    """The file, and beside it what was put aside, half-written, of the version before or left by
    a power cut, and the state's mark."""
    beside = (".unusable*", ".new", ".v*", "-journal", KNOWN)
    found = [path, *(one for end in beside for one in sorted(path.parent.glob(path.name + end)))]
    return tuple(one for one in found if one.is_file())


def _days(days: int, key: str) -> str:
    if not days:
        return f"not kept (privacy.{key})"
    return "for one day after that day" if days == 1 else f"for {days} days after that day"
