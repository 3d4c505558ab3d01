"""Reload: settings that take effect without dropping a talk.

`Reloader.reload` reads all layers anew, and puts in force what `LIVE` names; whatever else has
changed is told to want a restart.  `look` (once a second) does what waits for a quiet moment.

Thread: event loop; files are read where `disk` works.  It must never put half of wrong settings in
force: they are refused whole, and the running ones stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edge_agent.app.keepsakes import Recorder
from edge_agent.app.log_level import LogLevel
from edge_agent.app.session_start import SessionStart, session_start, with_persona
from edge_agent.app.speaker_api import SavedState
from edge_agent.app.tools.offer import Offer
from edge_agent.app.wiring import dialogue_config
from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract.errors import AgentError, ConfigError
from edge_agent.dialogue.money.budget import MICROUSD_PER_USD, Budget
from edge_agent.dialogue.state import TalkState
from edge_agent.host.service.systemd import Notifier
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.load import SettingsError
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.sources import API_KEY, all_keys
from edge_agent.host.stores.json_file import NoteFunction

KEY_FILE = "realtime.api_key_file"
PutOff = Callable[[str, Callable[[], None]], None]
"""Has something done as soon as nobody talks; the last of the same name counts."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a changed setting takes effect on, and `later`, for what waits until nobody talks."""

    talk: TalkState
    state: SavedState
    playout: Playout
    budget: Budget
    recorder: Recorder
    log_level: LogLevel
    offer: Callable[[], Offer]
    """The tools that run."""
    tell_model: Callable[[str], None]
    """Instructions for this session and all that follow."""
    later: PutOff


Apply = Callable[[Reach, Settings], bool]
"""Puts the new value in force; False: it wants a restart after all."""


def _talk(*fields: str) -> Apply:
    """Fields of `DialogueConfig`, which every part of the dialogue reads when it needs them."""

    def apply(reach: Reach, settings: Settings) -> bool:
        config = reach.talk.config
        fresh = dialogue_config(settings, config.tool_risks, has_button=config.has_button)
        changes = {name: getattr(fresh, name) for name in fields}
        reach.talk.config = replace(config, **changes)
        return True

    return apply


def _volume(reach: Reach, settings: Settings) -> bool:
    reach.state.follow(settings)
    reach.playout.set_limit(settings.device.volume_max_percent)
    reach.playout.set_volume(reach.state.volume_percent)
    return True


def _budget(reach: Reach, settings: Settings) -> bool:
    budget = settings.budget
    reach.budget.limit(round(budget.daily_cap_usd * MICROUSD_PER_USD), budget.warn_percent)
    return True


def _keepsakes(reach: Reach, settings: Settings) -> bool:
    reach.recorder.follow(settings)
    return True


def _log_level(reach: Reach, settings: Settings) -> bool:
    reach.log_level.follow(settings.journal.level)
    return True


def _words(reach: Reach, settings: Settings) -> bool:
    """The persona in words.  A guided talk keeps its steps, and a persona with other tools its
    session: both want a restart."""
    if reach.talk.config.flow is not None:
        return False
    begin: SessionStart = session_start(settings, reach.offer())
    if begin.flow is not None:
        return False
    reach.later("instructions", lambda: reach.tell_model(begin.instructions))
    return True


LIVE: Mapping[str, Apply] = {
    "device.volume_percent": _volume,
    "device.volume_max_percent": _volume,
    "listen.chime": _talk("chime"),
    "listen.follow_up_s": _talk("follow_up_s"),
    "listen.quiet_end_s": _talk("quiet_end_s"),
    "listen.utterance_max_s": _talk("utterance_max_s"),
    "listen.local_silence_ms": _talk("local_silence_ms"),
    "barge_in.enabled": _talk("barge_in_by_speech"),
    "barge_in.by_speech": _talk("barge_in_by_speech"),
    "panel.long_press_ms": _talk("long_press_s"),
    "consent.by_voice": _talk("consent_by_voice"),
    "guest.end_by_button": _talk("guest_end_by_button"),
    "conversation.forget_after_h": _talk("forget_after_h"),
    "realtime.persona": _words,
    "realtime.instructions": _words,
    "realtime.language": _words,
    "budget.daily_cap_usd": _budget,
    "budget.warn_percent": _budget,
    "journal.level": _log_level,
    "privacy.keep_transcripts_days": _keepsakes,
    "privacy.keep_audio_days": _keepsakes,
    "privacy.keep_audio_max_mb": _keepsakes,
}
"""The settings that take effect while it runs.  The key in its file does too, by `key_watch`; all
others want a restart, and a reload says so."""


@dataclass(slots=True)
class Report:
    """What came of a reload: names of settings, and mistakes."""

    live: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    """In force as soon as nobody talks."""
    restart: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "live": self.live,
            "later": self.later,
            "restart": self.restart,
            "problems": self.problems,
        }


class Reloader:
    """`read` reads all layers; None: there are none to read (a simulated house)."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings] | None,
        *,
        reach: Callable[[PutOff], Reach],
        instructions: str,
        look_at_keys: Callable[[], None],
        disk: Worker,
        notifier: Notifier,
        ready: asyncio.Event,
        note: NoteFunction,
        is_quiet: Callable[[], bool],
    ) -> None:
        self.settings = settings
        """Those in force, where they are live; those of the start, where they want a restart."""
        self._read = read
        self._reach = reach(self._put_off)
        self._instructions = instructions
        self._look_at_keys = look_at_keys
        self._disk = disk
        self._notifier = notifier
        self._ready = ready
        self._note = note
        self._is_quiet = is_quiet
        self._waiting: dict[str, Callable[[], None]] = {}
        self._one_at_a_time = asyncio.Lock()

    def _put_off(self, what: str, do: Callable[[], None]) -> None:
        self._waiting[what] = do

    def look(self) -> None:
        """Do what has waited, if nobody talks."""
        while self._waiting and self._is_quiet():
            self._waiting.pop(next(iter(self._waiting)))()

    async def reload(self) -> Report:
        """Read the settings anew.  Never raises for a mistake in them: it is in the report."""
        async with self._one_at_a_time:
            self._notifier.reloading()
            try:
                self._look_at_keys()
                return await self._reload()
            finally:
                if self._ready.is_set():
                    self._notifier.ready()

    async def _reload(self) -> Report:
        if self._read is None:
            raise AgentError("This speaker was not started from settings.", code="control.refused")
        try:
            fresh = with_persona(await self._disk.run(self._read))
            # All that can be wrong with them is found here, before anything is changed.
            begin = session_start(fresh, self._reach.offer())
        except ConfigError as problem:
            return self._refused(problem)
        report = Report()
        now = self.settings
        changed = [key for key in all_keys() if value_of(fresh, key) != value_of(now, key)]
        if begin.instructions != self._instructions and not any(
            LIVE.get(k) is _words for k in changed
        ):
            changed.append("realtime.persona")  # the same name, and other words in its file
        for key in changed:
            if key in (API_KEY, KEY_FILE) and _file(fresh) == _file(now):
                continue  # the key in the file: not ours to tell
            apply = LIVE.get(key)
            if apply is None or not apply(self._reach, fresh):
                report.restart.append(key)
                continue
            if apply is _words:
                self._instructions = begin.instructions
            self.settings = with_value(self.settings, key, fresh)
            (report.later if self._waiting and apply is _words else report.live).append(key)
        self.look()
        if not self._waiting:
            report.live += report.later
            report.later = []
        self._tell(report)
        return report

    def _refused(self, problem: ConfigError) -> Report:
        note_mistakes(problem, self._note)
        self._note("settings.kept")
        return Report(problems=mistakes(problem))

    def _tell(self, report: Report) -> None:
        self._note(
            "settings.reloaded",
            live=", ".join(report.live),
            later=", ".join(report.later),
            restart=", ".join(report.restart),
        )


def value_of(settings: Settings, dotted: str) -> object:
    """The value of `section.key`."""
    section, key = dotted.split(".")
    return getattr(getattr(settings, section), key)


def with_value(settings: Settings, dotted: str, fresh: Settings) -> Settings:
    """`settings`, but for one value, which is that of `fresh`."""
    name, key = dotted.split(".")
    section = getattr(settings, name).model_copy(update={key: value_of(fresh, dotted)})
    return settings.model_copy(update={name: section})


def _file(settings: Settings) -> str:
    return settings.realtime.api_key_file


def mistakes(problem: ConfigError) -> list[str]:
    """One sentence per mistake."""
    if isinstance(problem, SettingsError):
        return [str(one) for one in problem.problems]
    return [f"{problem.message} {problem.fix}".strip()]


def note_mistakes(problem: ConfigError, note: NoteFunction) -> None:
    """A line of the journal per mistake: where it stands, what is wrong, what would be right."""
    if isinstance(problem, SettingsError):
        for one in problem.problems:
            note("settings.wrong", where=one.where, setting=one.key, why=one.reason)
    else:
        note("settings.wrong", where="", setting="", why=problem.message, fix=problem.fix)
