"""Texts: words of our own that nobody recorded, spoken by the voice of this machine.

`say` a `SayText` command; the words are rendered where `worker` works and then queued in the
speaker, whose events follow.  `drop` what is still being rendered when the speaker is cut.

Owner thread: event loop; rendering is the worker's.  It never speaks a text in part, nor one that
nobody could hear: that is told by `TextFailed`, and nothing sounds.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.contract.commands import SayText
from edge_agent.contract.errors import AgentError
from edge_agent.contract.events import Event, TextDrained, TextFailed
from edge_agent.contract.pcm import bytes_to_ms
from edge_agent.contract.ports import Speaker
from edge_agent.host.service.worker import Worker

SPOKEN_MAX_S = 12.0
"""Nobody listens to a longer question, nor remembers its beginning at its end."""
WAITING_MAX = 8
"""So many may be rendered at once; more is somebody's mistake."""

Voice = Callable[[str], bytes]
"""Words to 24 kHz PCM16 mono.  Blocks; raises AgentError."""


class Texts:
    """Our own words on their way to the loudspeaker.  `voice` None: there is none here."""

    def __init__(
        self,
        voice: Voice | None,
        speaker: Speaker,
        worker: Worker,
        *,
        volume: Callable[[], float],
        post: Callable[[Event], None],
        post_from_thread: Callable[[Callable[[], None]], None],
        time: Callable[[], float],
        enabled: bool,
    ) -> None:
        self._voice = voice
        self._speaker = speaker
        self._worker = worker
        self._volume = volume
        self._post = post
        self._post_from_thread = post_from_thread
        self._time = time
        self._enabled = enabled
        self._wanted: dict[str, SayText] = {}
        """Being rendered, by name."""

    def say(self, text: SayText) -> None:
        """Have it spoken."""
        voice = self._voice
        if not self._enabled or self._volume() <= 0:
            self._fail(text, "text.inaudible")
        elif voice is None:
            self._fail(text, "text.no_voice")
        elif len(self._wanted) >= WAITING_MAX:
            self._fail(text, "text.failed")
        else:
            self._wanted[text.name] = text
            self._worker.put(lambda: self._render(voice, text))

    def drop(self) -> None:
        """The speaker was cut: what is not in it yet is over too."""
        dropped, self._wanted = list(self._wanted), {}
        for name in dropped:
            self._post(TextDrained(at=self._time(), name=name, whole=False))

    def _render(self, voice: Voice, text: SayText) -> None:
        """On the worker."""
        try:
            pcm24k = voice(text.text)
        except AgentError:
            pcm24k = b""
        self._post_from_thread(lambda: self._rendered(text, pcm24k))

    def _rendered(self, text: SayText, pcm24k: bytes) -> None:
        if self._wanted.get(text.name) is not text:
            return  # dropped meanwhile
        del self._wanted[text.name]
        if not pcm24k:
            self._fail(text, "text.failed")
        elif bytes_to_ms(len(pcm24k)) > SPOKEN_MAX_S * 1000:
            self._fail(text, "text.too_long")
        elif self._volume() <= 0:
            self._fail(text, "text.inaudible")
        else:
            self._speaker.text(text.name, pcm24k, text.least_volume_percent)

    def _fail(self, text: SayText, code: str) -> None:
        self._post(TextFailed(at=self._time(), name=text.name, code=code))
