"""Ports: the parts of the world that can be swapped.

It must never hold an implementation.  The adapters live in the rooms (`audio`, `realtime`, `panel`,
`host`) and their doubles in `simulation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from edge_agent.contract.commands import WireCommand
from edge_agent.contract.events import Event, PlaybackCut


@runtime_checkable
class Wire(Protocol):
    """One open message connection: JSON text in both directions.

    `receive` and `send` raise `contract.errors.WireClosed` once the other side is gone, also
    after a *clean* close: a loop that ends silently is how speakers go deaf.
    """

    async def send(self, text: str) -> None:
        """Send one text frame; waits while the network cannot take it."""

    async def receive(self) -> str | bytes:
        """Return the next frame, in order."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, waiting a bounded time for the other side.  Safe to call twice."""


class Dialer(Protocol):
    """Opens a `Wire`.

    Raises `LinkLost`, `LinkBusy` or `LinkRefused`, already translated from whatever the
    library underneath throws.
    """

    async def __call__(self, url: str, headers: Mapping[str, str]) -> Wire:
        """Dial `url` with the given extra HTTP headers (the key is among them)."""


CaptureCallback = Callable[[bytes, float], None]
"""`(pcm16 mono block at the device rate, loop time of its FIRST sample at the microphone)`."""

RenderCallback = Callable[[int, float], bytes]
"""`(frames wanted, loop time at which the FIRST of them becomes audible)` → exactly that many
frames of PCM16 mono at the device rate."""


@dataclass(frozen=True, slots=True)
class SoundDeviceInfo:
    """What a sound device turned out to be, once open."""

    capture_name: str
    render_name: str
    capture_rate_hz: int
    render_rate_hz: int
    block_frames: int
    input_latency_s: float
    output_latency_s: float
    capture_why: str = ""
    """Why it is this microphone …"""
    render_why: str = ""
    """… and this loudspeaker."""


@dataclass(frozen=True, slots=True)
class EchoPath:
    """How our own voice gets from a loudspeaker to a microphone."""

    delay_s: float
    """From where the time stamps say that a sound is audible, to the first of its echo.  Stamps are
    guesses: it may be negative."""
    strength_db: float
    """Level of the echo against what was played."""


class DeviceState(Enum):
    """How the sound device stands (`audio.device.supervisor` decides it)."""

    OPEN = "open"
    RESTING = "resting"
    """Open; the loudspeaker is not asked for sound, because nobody needs it."""
    STALLED = "stalled"
    """It was open and stands still: it is closed, and opened again."""
    HUNG = "hung"
    """Absent, and the driver does not come back from the attempt to open it."""
    ABSENT = "absent"
    """It cannot be opened now, and is looked for again and again."""


class SoundDevice(Protocol):
    """Microphone and loudspeaker as one thing with two callbacks.

    The callbacks run on the device's own thread (real sound card) or on the loop (virtual
    room); they must not raise, block or log.
    """

    def open(
        self, on_capture: CaptureCallback, on_render: RenderCallback, *, capture: bool = True
    ) -> SoundDeviceInfo:
        """Open both streams, without `capture` the loudspeaker's alone (the microphone's facts are
        then empty).  Raises `DeviceMissing`, `DeviceFormatRefused`, `DeviceLost`."""

    def close_capture(self) -> None:
        """Release the microphone, so that the system shows that nobody records.  The loudspeaker
        goes on.  Safe to call twice."""

    def open_capture(self) -> SoundDeviceInfo:
        """Open the microphone of an open device again.  Raises as `open` does; the loudspeaker
        goes on."""

    def close(self) -> None:
        """Stop and release both streams.  Safe to call twice, and after a loss."""

    @property
    def frames_captured(self) -> int:
        """Frames the microphone has delivered since the start of the process."""

    @property
    def frames_rendered(self) -> int:
        """Frames the loudspeaker has asked for since the start of the process."""


@runtime_checkable
class RestingDevice(Protocol):
    """A sound device whose loudspeaker can rest while nothing is to be heard (not all can).

    Half of the work of an idle speaker is to render silence.
    """

    def rest_render(self) -> None:
        """Ask for no more sound; what was handed over may be lost.  Does not block."""

    def resume_render(self) -> None:
        """Ask for sound again.  May block for some ten milliseconds.  Raises `DeviceError`."""


@runtime_checkable
class StretchableDevice(Protocol):
    """A sound device that can work in longer blocks (not all can)."""

    @property
    def overflows(self) -> int:
        """Times that sound of the microphone was lost since the start of the process."""

    def stretch_blocks(self) -> int:
        """Use longer blocks from the next opening on: their length in ms, 0 if they are as long as
        they may be."""


@runtime_checkable
class TellingDevice(Protocol):
    """A sound device that knows more of its microphone than its sound (not all do)."""

    def is_switched_off(self) -> bool | None:
        """What the card says of its own switch; None: nothing.  May take a moment."""

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of the microphone, and how many of them are dead (and left out)."""


class Panel(Protocol):
    """Button and light."""

    def show(self, light: str) -> None:
        """Show the light pattern of that name (see `panel.patterns.LIGHTS`)."""

    def close(self) -> None:
        """Release the pins.  Safe to call twice."""


class Speaker(Protocol):
    """The one owner of the loudspeaker, as the pump sees it (`audio.speaker.playout`)."""

    def voice(self, item: str, pcm24k: bytes) -> bool:
        """Queue a piece of an answer; False when it was not taken."""

    def end_voice(self, item: str) -> None:
        """No more will come for this item."""

    def sentence(self, name: str, pcm24k: bytes) -> None:
        """Queue a sentence of our own; `SentenceDrained(name)` follows."""

    def text(self, name: str, pcm24k: bytes, least_volume_percent: float = 0.0) -> None:
        """Queue a `SayText`; `TextStarted(name)` and `TextDrained(name)` follow."""

    def earcon(self, pcm24k: bytes) -> None:
        """Mix a short sound over whatever plays."""

    def cut(self, now: float | None = None) -> PlaybackCut:
        """Fall silent now, and say what was heard."""

    def collect(self, now: float) -> list[Event]:
        """What became audible or drained since the last call."""


class ModelLink(Protocol):
    """The link, as the pump sees it (`realtime.link.connection`)."""

    def execute(self, command: WireCommand) -> None:
        """Put a command on the wire, in order, without waiting."""

    def reopen(self, reason: str) -> None:
        """Drop the session and open a fresh one."""

    def set_active(self, active: bool) -> None:
        """A turn is going on: notice a dead line sooner."""

    def purge_audio(self) -> None:
        """Send nothing more of the sound that waits for the network."""


class ToolExecutor(Protocol):
    """The tools, as the pump sees them (`tools.runner`)."""

    def run(self, call_id: str, name: str, arguments: str) -> None:
        """Start a call; exactly one `ToolFinished` follows."""

    def cancel(self, call_id: str) -> None:
        """Nobody waits for it any more."""


class Summarizer(Protocol):
    """Makes summaries of a talk outside of its session."""

    def summarise(self, instructions: str, text: str) -> str:
        """The summary of `text`; blocks, so call it on a worker.  Raises `AgentError`."""
