"""Sound: cards, who else holds them, the mixer, and what microphone and loudspeaker really do.

Call `cards`, `rivals` and `mixer`, which open no stream; `listen` opens the card for some seconds
and must never be called beside a running speaker or while it is muted.  `level` and `heard` say
what was measured, here or by the running speaker (`app.checks`).

Thread: main.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_agent.cli.doctor.findings import Finding, fail, not_seen, ok, warn
from edge_agent.contract.errors import DeviceError
from edge_agent.contract.pcm import WIRE_RATE_HZ

if TYPE_CHECKING:
    from edge_agent.audio.device.cards import Cards, Side
    from edge_agent.audio.device.devices import DeviceEntry
    from edge_agent.audio.sound_check import Recording
    from edge_agent.contract.ports import SoundDevice, SoundDeviceInfo
    from edge_agent.host.settings.root import Settings

LISTEN_S = 2.0
"""Of the room, for its level; nothing of it is kept."""
OPEN_MAX_S = 5.0
"""A sound server that has just started takes a second or two until frames move."""
SILENT_DBFS = -90.0
"""Below it there is no microphone behind the card: even a quiet room gives noise."""
FAINT_DBFS = -75.0
LOUD_ROOM_DBFS = -35.0
CLIPPED_SAMPLES = 20
ECHO_LATEST_MS = 450.0
"""The front end looks for the echo up to 500 ms after its time stamps."""
ECHO_LOUD_DB = 6.0
"""Louder than it was played: speech over it drowns, and the microphone is near its limit."""
MANY_CHANNELS, MAX_PROBED_CHANNELS = 3, 8
"""A microphone array; what offers more is a plugin that takes any number."""
GAIN_LOW_PERCENT = 10
DESKTOPS = ("pipewire", "wireplumber", "pulseaudio")


def cards(entries: Sequence[DeviceEntry], known: Cards, settings: Settings) -> Iterator[Finding]:
    """Which microphone and loudspeaker would be taken.  Opens nothing."""
    from edge_agent.audio.device.choice import Wishes, choose

    wishes = Wishes(settings.device.capture_device, settings.device.render_device)
    for about, capture in (("Microphone", True), ("Loudspeaker", False)):
        try:
            chosen = choose(entries, known, wishes, capture=capture)
        except DeviceError as problem:
            yield fail(about, problem.message, problem.fix)
            continue
        entry = chosen.entry
        channels = entry.capture_channels if capture else entry.render_channels
        said = f"{entry.name} ({chosen.why})"
        number = settings.device.capture_channel
        if capture and number and number >= channels:
            fix = f"Choose device.capture_channel from 0 to {channels - 1}."
            yield warn(about, f"{said}: it has no channel {number}", fix)
            continue
        if capture and MANY_CHANNELS <= channels <= MAX_PROBED_CHANNELS:
            said += f"; channel {number} of its {channels}, unless it gives one alone"
        yield ok(about, said)


def rivals(known: Cards, own_process: int) -> Iterator[Finding]:
    """Who else holds a card with a microphone or loudspeaker."""
    from edge_agent.audio.device.cards import Kind

    held: dict[str, Side] = {}
    for side in known.sides:
        is_ours = own_process and side.holder.endswith(f"(process {own_process})")
        if side.holder and not is_ours and side.kind not in (Kind.HDMI, Kind.VIRTUAL):
            held.setdefault(side.holder, side)
    for holder, side in held.items():
        name, _, number = holder.removesuffix(")").rpartition(" (process ")
        fix = f"End it: sudo kill {number}; or name another card (edge-agent devices)"
        if name.startswith(DESKTOPS):
            fix = f"Have the desktop leave it: sudo scripts/install.sh --card {side.card_id}"
        yield warn("Rivals", f"{side.card_name} is held by {holder}", fix)
    if known.sides and not held:
        yield ok("Rivals", "no other program holds a sound card")


def mixer(card: int, printed: str) -> Iterator[Finding]:
    """What `amixer -c CARD scontents` says of gain and switches."""
    for block in re.split(r"^(?=Simple mixer control )", printed, flags=re.MULTILINE):
        title = re.match(r"Simple mixer control '([^']+)'", block)
        if title is None:
            continue
        name = title[1]
        for what, word, turn in (("Gain", "Capture", "cap"), ("Volume", "Playback", "unmute")):
            values = [
                (int(percent), decibels, switch)
                for percent, decibels, switch in re.findall(
                    rf"{word} \d+ \[(\d+)%\](?: \[(-?[\d.]+dB)\])?(?: \[(on|off)\])?", block
                )
            ]
            if not values:
                continue
            percent, decibels, switch = max(values)
            said = f"{name} of card {card} stands at {percent} %"
            said += f" ({decibels})" if decibels else ""
            set_it = f"amixer -c {card} sset '{name}'"
            if switch == "off":
                yield warn(what, f"{said} and is switched off", f"{set_it} {turn}")
            elif percent < GAIN_LOW_PERCENT:
                yield warn(what, said, f"{set_it} 70%; keep it: sudo alsactl store")
            else:
                yield ok(what, said)


class Player:
    """Gives the device silence, then the sample, then silence."""

    def __init__(self, pcm24k: bytes, volume_percent: float, quiet_s: float) -> None:
        self._pcm24k = pcm24k
        self._volume_percent = volume_percent
        self._quiet_s = quiet_s
        self._sound = b""
        self._at = 0
        self.seconds = quiet_s + len(pcm24k) / 2 / WIRE_RATE_HZ

    def render(self, frames: int, rate_hz: int) -> bytes:
        """The next block at the device's rate."""
        if not self._sound and self._pcm24k:
            from edge_agent.audio.sound_check import for_device
            from edge_agent.audio.speaker.mixing import volume_gain

            gain = volume_gain(self._volume_percent)
            self._sound = for_device(self._pcm24k, rate_hz, quiet_s=self._quiet_s, gain=gain)
        block = self._sound[self._at : self._at + 2 * frames]
        self._at += 2 * frames
        return block + bytes(2 * frames - len(block))


def pause(seconds: float) -> None:
    """Let the device's threads work."""
    threading.Event().wait(seconds)


def own_device(settings: Settings) -> SoundDevice:
    """The card of the settings; not open yet."""
    from edge_agent.audio.device.portaudio import PortAudioDevice

    own = settings.device
    return PortAudioDevice(
        own.capture_device,
        own.render_device,
        capture_rate_hz=own.rate_hz,
        render_rate_hz=own.rate_hz,
        block_ms=own.block_ms,
        capture_channel=own.capture_channel,
    )


def listen(
    device: SoundDevice, render: Callable[[int, int], bytes], seconds: float
) -> tuple[Recording, SoundDeviceInfo]:
    """Open the card, play what `render` gives (frames wanted, rate) and record for `seconds`.

    Raises `DeviceError`.
    """
    from edge_agent.audio.sound_check import Recording

    recording = Recording()
    moves = threading.Event()
    rate_hz = 0

    def hear(block: bytes, at: float) -> None:
        recording.heard(block, at)
        moves.set()

    def play(frames: int, at: float) -> bytes:
        # Blocks may be asked for before `open` has told the rate.
        block = render(frames, rate_hz) if rate_hz and moves.is_set() else bytes(2 * frames)
        recording.played(block, at)
        return block

    try:
        info = device.open(hear, play)
        rate_hz = info.render_rate_hz
        if moves.wait(OPEN_MAX_S):
            pause(seconds)
    finally:
        device.close()
    return recording, info


def level(found: Mapping[str, Any]) -> Finding:
    """What the level of the room means."""
    if not found["seconds"]:
        return fail(
            "Level",
            "the microphone opens and delivers nothing",
            "Try another card or USB port: edge-agent devices",
        )
    noise = float(found["noise_dbfs"])
    said = f"the room has {noise:.0f} dBFS"
    if noise < SILENT_DBFS and found["heard"]:
        return ok("Level", "digital silence between sounds: the device has a gate of its own")
    if noise < SILENT_DBFS:
        return fail(
            "Level",
            "the microphone delivers zeros",
            "Is it switched off at the device, or muted in the mixer? alsamixer, F4",
        )
    if found["clipped"] >= CLIPPED_SAMPLES:
        return warn("Level", f"{said}, and it clips", "Turn the gain down: alsamixer, F4")
    if noise < FAINT_DBFS:
        return warn("Level", f"{said}: faint", "Turn the gain up: alsamixer, F4")
    if noise > LOUD_ROOM_DBFS:
        fix = "Move it away from fans and music, or turn the gain down: alsamixer, F4"
        return warn("Level", f"{said}: a loud room, or too much gain", fix)
    return ok("Level", said)


def heard(found: Mapping[str, Any]) -> Iterator[Finding]:
    """What came back of our own sample: loudspeaker, echo, wake word."""
    yield echo(found)
    yield from _wake(found)


def echo(found: Mapping[str, Any]) -> Finding:
    """What came back of the loudspeaker."""
    if not found["heard"]:
        return warn(
            "Echo",
            "the microphone does not hear the loudspeaker",
            "With headphones that is right. Else: edge-agent volume; edge-agent devices; is the "
            "loudspeaker switched on?",
        )
    delay, strength = float(found["delay_ms"]), float(found["echo_db"])
    said = f"the loudspeaker is heard {delay:.0f} ms late, {strength:+.0f} dB"
    if delay > ECHO_LATEST_MS:
        return warn(
            "Echo",
            f"{said}: later than the echo canceller can follow ({ECHO_LATEST_MS:.0f} ms)",
            "Use a loudspeaker with a cable; Bluetooth and HDMI hold sound back.",
        )
    if strength > ECHO_LOUD_DB:
        fix = "Turn the microphone's gain or the volume down: alsamixer; edge-agent volume"
        return warn("Echo", f"{said}: louder than it was played", fix)
    return ok("Echo", said)


def _wake(found: Mapping[str, Any]) -> Iterator[Finding]:
    if "wake_word" not in found:
        yield not_seen("Wake word", "none is listened for, or no sample of it is shipped")
        return
    word, cutoff = str(found["wake_word"]), float(found["wake_cutoff"])
    direct, room = float(found["wake_direct_score"]), found.get("wake_score")
    fed = f"{word} scores {direct:.2f} fed directly to the detector"
    if direct <= cutoff:
        fix = "Lower listen.wake_cutoffs for it, or choose another of listen.wake_words."
        yield warn("Wake word", f"{fed}, and {cutoff:.2f} is asked for", fix)
    elif room is None:
        yield ok("Wake word", f"{fed} (above {cutoff:.2f}); it was not audible in the room")
    elif room <= cutoff:
        yield warn(
            "Wake word",
            f"{word} scores {room:.2f} through loudspeaker and room, {cutoff:.2f} is asked for; "
            f"fed directly {direct:.2f}",
            "Try again when the room is quiet, or louder (edge-agent volume); a person speaks "
            "clearer than the sample.",
        )
    else:
        yield ok("Wake word", f"{word} scores {room:.2f} through the room (above {cutoff:.2f})")
