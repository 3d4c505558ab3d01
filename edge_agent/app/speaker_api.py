"""What the tools and the owner's commands may do to the running speaker.

Thread: event loop; the state file is written where `disk` puts it.  It must never decide: wishes go
to the dialogue as events.  `SpeakerApi` is the tools' `SpeakerControls`; `owner_commands` is what
the control socket answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

from edge_agent.app.spoken_status import spoken_status
from edge_agent.contract.backoff import Backoff
from edge_agent.contract.events import Event, GuestRequested, MuteRequested, StateUnsaved
from edge_agent.dialogue.state import Link, Microphone, Talk
from edge_agent.host.service.control import ControlError
from edge_agent.host.service.status import Status
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.fact_store import facts_path
from edge_agent.host.stores.json_file import NoteFunction
from edge_agent.host.stores.message_store import messages_path
from edge_agent.host.stores.state import Saved, StateFile, state_path
from edge_agent.host.stores.timer_store import timers_path
from edge_agent.host.stores.usage_store import usage_path

Handler = Callable[[dict[str, Any]], dict[str, Any] | Awaitable[dict[str, Any]]]
"""A request of the control socket to its answer."""

SAVE_AGAIN_S = 5.0
"""After the first failed save; a disk that is full for a moment costs no more."""
SAVE_AGAIN_MAX_S = 300.0
"""A disk that stays full is not worn out by our tries."""
SAVED_WITHIN_S = 1.0
"""The owner waits so long for the disk: a write takes tens of ms, and an asker gives up after 2 s.
"""


class TalkView(Protocol):
    """The dialogue, as far as it can be looked at."""

    @property
    def talk(self) -> Talk:
        """Where the conversation stands."""

    @property
    def microphone(self) -> Microphone:
        """What the household has allowed."""

    @property
    def link(self) -> Link:
        """The session with the model."""

    @property
    def guest(self) -> bool:
        """Guest mode is on."""


class SavedState:
    """The little that survives a reboot, in memory and on its way to the disk.

    `look` is called now and then: what the disk refused is tried again until it is saved.  `post`
    is called on the disk's thread.
    """

    def __init__(
        self,
        settings: Settings,
        disk: Worker,
        note: NoteFunction,
        *,
        post: Callable[[Event], None],
        time: Callable[[], float],
    ) -> None:
        setting = settings.state.path
        others = (facts_path, messages_path, timers_path, usage_path)
        self._file = StateFile(state_path(setting), note, beside=[at(setting) for at in others])
        self._disk = disk
        self._note = note
        self._post = post
        self._time = time
        self._backoff = Backoff(SAVE_AGAIN_S, SAVE_AGAIN_MAX_S)
        self._again_at: float | None = None
        """When it is tried again; None: nothing has failed."""
        self.volume_max_percent = 100
        """The loudest that is allowed; one that was saved before may be louder."""
        self.follow(settings)
        self.saved: Saved = self._file.load()

    def follow(self, settings: Settings) -> None:
        """Take the settings' volumes."""
        self._volume_percent = settings.device.volume_percent
        self.volume_max_percent = settings.device.volume_max_percent

    @property
    def is_unsaved(self) -> bool:
        """The disk refused what was last given to it."""
        return not self._file.is_written

    @property
    def volume_percent(self) -> int:
        """Voice volume, 0 to 100."""
        saved = self.saved.volume_percent
        wanted = self._volume_percent if saved is None else saved
        return min(wanted, self.volume_max_percent)

    def save(self, **changes: Any) -> None:
        """Change fields of `Saved` and write them down."""
        self.saved = saved = replace(self.saved, **changes)
        is_promise = bool(changes.keys() & {"muted", "guest"})

        def write() -> None:
            if not self._file.save(saved) and is_promise:
                self._post(StateUnsaved(at=self._time()))

        self._disk.put(write)

    def look(self) -> None:
        """Try again what could not be saved, if it is time."""
        if not self.is_unsaved:
            if self._again_at is not None:
                self._again_at = None
                self._backoff.reset()
                self._note("state.saved")
            return
        now = self._time()
        if self._again_at is not None and now >= self._again_at:
            saved = self.saved
            self._disk.put(lambda: self._file.save(saved))
        if self._again_at is None or now >= self._again_at:
            self._again_at = now + self._backoff.next_s()

    async def settled(self) -> bool:
        """Whether what was asked for is on the disk; False too if the disk takes too long."""
        try:
            async with asyncio.timeout(SAVED_WITHIN_S):
                await self._disk.drain()
        except TimeoutError:
            return False
        return not self.is_unsaved


class SpeakerApi:
    """The speaker as its tools (`tools.builtin.SpeakerControls`) see it."""

    def __init__(
        self,
        state: SavedState,
        *,
        set_loudness: Callable[[float], None],
        status: Callable[[], Status],
        post: Callable[[Event], None],
        time: Callable[[], float],
    ) -> None:
        self._state = state
        self._set_loudness = set_loudness
        self._status = status
        self._post = post
        self._time = time

    def volume(self) -> int:
        """The volume in percent."""
        return self._state.volume_percent

    def volume_max(self) -> int:
        """The loudest that is allowed, in percent."""
        return self._state.volume_max_percent

    def set_volume(self, percent: int) -> None:
        """Set the volume, no louder than is allowed; it survives a reboot."""
        allowed = min(percent, self.volume_max())
        self._state.save(volume_percent=allowed)
        self._set_loudness(allowed)

    def mute(self) -> None:
        """Mute the microphone, as the button does."""
        self.want_mute(True)

    def want_mute(self, muted: bool) -> None:
        """Mute the microphone, or open it (which no tool may ask for)."""
        self._post(MuteRequested(at=self._time(), muted=muted))

    def want_guest(self, on: bool) -> None:
        """Begin or end guest mode (which no tool may ask for)."""
        self._post(GuestRequested(at=self._time(), on=on))

    async def saved(self) -> bool:
        """Whether mute, guest mode and volume would survive a restart."""
        return await self._state.settled()

    def snapshot(self) -> Status:
        """Everything, as data."""
        return self._status()

    def status(self) -> str:
        """Everything in words that can be said."""
        return spoken_status(self.snapshot())


def owner_commands(speaker: SpeakerApi, talk: TalkView, forget: Handler) -> dict[str, Handler]:
    """What the control socket answers; `forget` deletes messages."""

    async def mute(request: dict[str, Any]) -> dict[str, Any]:
        muted = talk.microphone is Microphone.MUTED
        speaker.want_mute(_wish(request, muted, "the microphone"))
        saved = await speaker.saved()
        return {"muted": talk.microphone is Microphone.MUTED, "saved": saved}

    async def guest(request: dict[str, Any]) -> dict[str, Any]:
        speaker.want_guest(_wish(request, talk.guest, "guest mode"))
        saved = await speaker.saved()
        return {"guest": talk.guest, "saved": saved}

    return {
        "status": lambda _request: speaker.snapshot().plain(),
        "mute": mute,
        "guest": guest,
        "forget_messages": forget,
    }


def _wish(request: dict[str, Any], is_on: bool, what: str) -> bool:
    """What a request of on, off or toggle wants."""
    wish = {"on": True, "off": False, "toggle": not is_on}.get(str(request.get("to")))
    if wish is None:
        raise ControlError(f"There is no such state of {what}.", fix="on, off, toggle.")
    return wish
