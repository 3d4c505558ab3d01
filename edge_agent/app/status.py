"""What is told of the running speaker: to whoever asks, and to the service manager.

Thread: event loop.  It must never hold a word that was said.  `SpeakerStatus.on_event` is an
observer of the pump and remembers what only passes by; `snapshot` asks the parts for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edge_agent.app.health import Watch
from edge_agent.app.money import Ledger
from edge_agent.app.sound.chain import SoundChain
from edge_agent.app.speaker_api import SavedState, TalkView
from edge_agent.contract.button_faults import ButtonFaulty, ButtonWorks
from edge_agent.contract.commands import Command, Note
from edge_agent.contract.events import (
    DeviceDown,
    DeviceReady,
    Event,
    LinkDown,
    LinkReady,
    MicrophoneFailed,
    ResponseEnded,
)
from edge_agent.host.journal.journal import filled
from edge_agent.host.journal.messages import MESSAGES
from edge_agent.host.service.status import Failure, Status
from edge_agent.host.service.systemd import Notifier
from edge_agent.host.service.troubles import name_of
from edge_agent.host.voice.sentences import SENTENCE_FOR_CODE
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.version import this_build

UNANSWERED = ("talk.no_answer", "talk.dropped_old")
"""What leaves somebody without an answer and is no failure of a response, the line or a device."""


ANSWERS = {"no_quota": "no quota", "bad_key": "wrong key", "refused": "account refused"}
"""What the household is told of an answer that failed → the same for the service manager."""


class StatusLine:
    """What the service manager shows beside the unit's name.

    `lacks`: what the dialogue's line does not say, and whether it is so.  Call `look` now and then.
    """

    def __init__(self, notifier: Notifier, lacks: Mapping[str, Callable[[], bool]]) -> None:
        self._notifier = notifier
        self._lacks = lacks
        self._text = self._trouble = self._answers = ""
        self._shown: tuple[str, ...] = ()

    def on_event(self, event: Event, _commands: list[Command], _at: float) -> None:
        """An observer of the pump: why answers fail though there is a session."""
        if isinstance(event, ResponseEnded):
            known = SENTENCE_FOR_CODE.get(f"response.{event.code}", "")
            answers = ANSWERS.get(known, "") if event.status == "failed" else ""
            if answers != self._answers:
                self._answers = answers
                self.show()

    def show(self, text: str | None = None, trouble: str = "") -> None:
        """The dialogue's line and the code of its trouble (None: the last ones), and what it cannot
        know."""
        if text is not None:
            self._text, self._trouble = text, trouble
        parts = [self._text]
        if self._trouble:
            parts.append(name_of(self._trouble))
        elif self._answers:
            parts.append(self._answers)
        self._shown = self._lacking()
        self._notifier.status("; ".join((*parts, *self._shown)) if self._text else "")

    def look(self) -> None:
        """Show what has come to be lacking, or is there again."""
        if self._lacking() != self._shown:
            self.show()

    def _lacking(self) -> tuple[str, ...]:
        return tuple(words for words, is_so in self._lacks.items() if is_so())


class SpeakerStatus:
    """How the speaker does; `provider` and `model` hold until a session says otherwise."""

    def __init__(
        self,
        provider: str,
        model: str,
        *,
        talk: TalkView,
        sound: SoundChain,
        ledger: Ledger,
        link: RealtimeLink,
        watch: Watch,
        saved_state: SavedState,
        faults: Callable[[], int],
        slips: Callable[[], int],
        endings: Callable[[], list[str]],
        tool_servers: Callable[[], dict[str, str]],
        time: Callable[[], float],
        started_at: float,
    ) -> None:
        self._talk = talk
        self._sound = sound
        self._ledger = ledger
        self._link = link
        self._watch = watch
        self._saved_state = saved_state
        self._faults = faults
        self._slips = slips
        self._endings = endings
        self._tool_servers = tool_servers
        self._time = time
        self._started_at = started_at
        self._status = Status(version=this_build(), provider=provider, model=model)
        self._failure_at = 0.0
        self._buttons: dict[str, str] = {}
        """Those that do not work, and why."""

    def on_event(self, event: Event, commands: list[Command], at: float) -> None:
        """An observer of the pump: keeps what `status` will be asked for."""
        for command in commands:
            if isinstance(command, Note) and command.code in UNANSWERED:
                text = filled(MESSAGES[command.code].text, {})
                self._failed(Failure(code=command.code, message=text), at)
            elif isinstance(command, Note) and command.code == "transcript.failed":
                self._note(unwritten=self._status.unwritten + 1)
        match event:
            case LinkReady():
                self._note(link_code="", link_refused=False, model=event.model)
            case LinkDown():
                self._note(
                    link_code=event.code,
                    link_refused=event.refused,
                    link_retry_in_s=event.retry_in_s,
                )
                self._failed(Failure(code=event.code, message=event.message, fix=event.fix), at)
            case DeviceReady():
                self._note(
                    capture_name=event.capture_name,
                    capture_why=event.capture_why,
                    render_name=event.render_name,
                    render_why=event.render_why,
                )
            case ButtonFaulty():
                self._buttons[event.button] = event.fault
            case ButtonWorks():
                self._buttons.pop(event.button, None)
            case DeviceDown() | MicrophoneFailed():
                self._failed(Failure(code=event.code, message=event.message, fix=event.fix), at)
            case ResponseEnded(status="failed"):
                self._failed(Failure(code=f"response.{event.code}", message=event.message), at)

    def snapshot(self) -> Status:
        """How things stand."""
        talk, today = self._talk, self._ledger.store.today
        failure, now = self._status.failure, self._time()
        sound, pongs = self._sound.counters(), self._link.pongs
        return replace(
            self._status,
            talk=talk.talk.value,
            microphone=talk.microphone.value,
            guest=talk.guest,
            link=talk.link.value,
            device_present=self._sound.supervisor.works,
            capture_closed=self._sound.supervisor.is_deaf,
            volume_percent=self._saved_state.volume_percent,
            volume_max_percent=self._saved_state.volume_max_percent,
            unsaved=self._saved_state.is_unsaved,
            failure=replace(failure, ago_s=now - self._failure_at) if failure else None,
            pongs=pongs.count,
            pong_p50_ms=round(pongs.quantile_s(0.5) * 1000),
            pong_p99_ms=round(pongs.quantile_s(0.99) * 1000),
            pong_limit_s=round(self._link.pong_limit_s, 1),
            healthy_cuts=pongs.healthy_cuts,
            uptime_s=now - self._started_at,
            answers=today.answers,
            beside=today.beside,
            tokens_in=today.tokens_in,
            tokens_cached=today.cached,
            tokens_out=today.tokens_out,
            cost_microusd=today.cost_microusd,
            unpriced=today.unpriced,
            cap_microusd=self._ledger.spending.budget.cap,
            underruns=self._sound.playout.gaps,
            echo=sound.echo,
            echo_quieter_db=round(sound.erle_db),
            mic_clipped=self._watch.sound_judge.loud_looks,
            faulty_buttons=tuple(f"{name}: {fault}" for name, fault in self._buttons.items()),
            hears_badly=self._sound.supervisor.hears_badly,
            sound_signs=self._sound.ears.codes + self._watch.sound_judge.signs,
            mic_silent_s=self._sound.ears.silent_s,
            mic_lost=sound.overflows,
            underflows=self._watch.sound_judge.underflows,
            faults=self._faults(),
            slips=self._slips(),
            endings=tuple(self._endings()),
            tool_servers=self._tool_servers(),
            drops=self._sound.drops,
            oddities=self._link.counts,
        )

    def _note(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)

    def _failed(self, failure: Failure, at: float) -> None:
        self._note(failure=failure)
        self._failure_at = at
