"""Texts of our own: rendered beside the loop, queued whole, or told that they cannot be heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge_agent.app.sound.texts import SPOKEN_MAX_S, Texts
from edge_agent.contract.commands import SayText
from edge_agent.contract.errors import AgentError
from edge_agent.contract.events import Event, TextDrained, TextFailed
from edge_agent.contract.pcm import silence

TEXT = SayText("q", "Shall I?", 40.0)


class Slow:
    """A worker that works when it is told to."""

    def __init__(self) -> None:
        self.works: list[Callable[[], object]] = []

    def put(self, work: Callable[[], object]) -> None:
        self.works.append(work)

    def work(self) -> None:
        works, self.works = self.works, []
        for one in works:
            one()


class Rig:
    def __init__(self, voice: Any = lambda _text: silence(500), enabled: bool = True) -> None:
        self.spoken: list[tuple[str, float]] = []
        self.events: list[Event] = []
        self.worker = Slow()
        self.volume = 50.0
        self.texts = Texts(
            voice,
            self,  # type: ignore[arg-type]
            self.worker,  # type: ignore[arg-type]
            volume=lambda: self.volume,
            post=self.events.append,
            post_from_thread=lambda do: do(),
            time=lambda: 1.0,
            enabled=enabled,
        )

    def text(self, name: str, pcm24k: bytes, least_volume_percent: float = 0.0) -> None:
        assert pcm24k
        self.spoken.append((name, least_volume_percent))


def failing(_text: str) -> bytes:
    raise AgentError("no")


def test_a_text_is_rendered_on_the_worker_and_then_queued() -> None:
    rig = Rig()
    rig.texts.say(TEXT)
    assert rig.spoken == []
    rig.worker.work()
    assert rig.spoken == [("q", 40.0)]
    assert rig.events == []


@pytest.mark.parametrize(
    ("voice", "options", "volume", "code"),
    [
        (None, {}, 50.0, "text.no_voice"),
        (failing, {}, 50.0, "text.failed"),
        (lambda _text: silence(SPOKEN_MAX_S * 1000 + 20), {}, 50.0, "text.too_long"),
        (lambda _text: silence(100), {"enabled": False}, 50.0, "text.inaudible"),
        (lambda _text: silence(100), {}, 0.0, "text.inaudible"),
    ],
)
def test_what_nobody_can_hear_is_told(
    voice: Any, options: dict[str, Any], volume: float, code: str
) -> None:
    rig = Rig(voice, **options)
    rig.volume = volume
    rig.texts.say(TEXT)
    rig.worker.work()
    assert rig.spoken == []
    assert rig.events == [TextFailed(at=1.0, name="q", code=code)]


def test_a_volume_turned_to_nothing_meanwhile_counts() -> None:
    rig = Rig()
    rig.texts.say(TEXT)
    rig.volume = 0.0
    rig.worker.work()
    assert rig.events == [TextFailed(at=1.0, name="q", code="text.inaudible")]


def test_what_is_rendered_after_a_cut_is_not_spoken() -> None:
    rig = Rig()
    rig.texts.say(TEXT)
    rig.texts.drop()
    rig.worker.work()
    assert rig.spoken == []
    assert rig.events == [TextDrained(at=1.0, name="q", whole=False)]
