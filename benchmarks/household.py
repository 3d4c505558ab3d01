"""The household of the benchmarks: a stage in real time, with what several families need.

Thread: the event loop.  It must never ask the daemon how quick it was: times come from samples in
the room and from what the server saw.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.proxy import Proxy
from edge_agent.audio.speaker.mixing import volume_gain
from edge_agent.demo.stage import Stage
from edge_agent.simulation.brains import Brain, Reply, Speech, Turn
from edge_agent.simulation.sound import acoustics, voices
from edge_agent.simulation.sound.room_people import Utterance

Pcm = NDArray[np.int16]

PATIENCE_S = 20.0
"""Longest wait for anything; a machine that needs longer has no figures worth writing down."""

DITHER = 32
"""Steps of 16 bits, 30 dB under a quiet voice: with it our answers hold no digital silence, so
that every sample of digital silence at the loudspeaker was put there by the program."""

GAP_S = 0.001
"""Digital silence inside an answer that counts as a hole."""

CHIME_S = 0.75
"""Who presses a button waits for the chime, and then speaks."""

CUT_CLIP_S = 1.3
"""Interruptions are cut to this: longer than any detector takes, short enough to try often."""

ONSET_BELOW_DB = 25.0
"""Speech begins where it comes so near to the speaker's own active level: a weak fricative counts,
breath that no microphone could tell from the room's noise does not."""

ONSET_WINDOW_S = 0.010

ANSWERS = ("answer_lisbon", "answer_story", "answer_train", "answer_weather")
INTERRUPTIONS = ("said_while_muted", "follow_up", "thanks", "stop_wait", "button_question")
"""Shipped clips of three voices, with different first sounds."""


def _trimmed(sound: acoustics.Sound) -> acoustics.Sound:
    """Without the silence around it (30 dB under the loudest sample)."""
    loud = np.flatnonzero(np.abs(sound) > np.max(np.abs(sound)) * 10 ** (-30 / 20))
    return sound[loud[0] : loud[-1] + 1]


def answer(seconds: float, *, pause_s: float = 0.0, first: int = 0) -> bytes:
    """The shipped answers one after the other, dithered: PCM16 24 kHz, loud from its start."""
    pieces: list[acoustics.Sound] = []
    length = 0
    number = first
    while length < seconds * 24_000:
        rate_hz, pcm = voices.load(ANSWERS[number % len(ANSWERS)])
        sound = _trimmed(acoustics.resample(acoustics.from_pcm(pcm), rate_hz, 24_000))
        pieces += [sound, np.zeros(round(pause_s * 24_000), np.float32)]
        length += len(sound) + round(pause_s * 24_000)
        number += 1
    whole = acoustics.to_pcm(np.concatenate(pieces)[: round(seconds * 24_000)])
    signs = np.random.default_rng(1).choice([-DITHER, DITHER], len(whole))
    dithered: Pcm = np.clip(whole.astype(np.int32) + signs, -32768, 32767).astype("<i2")
    return dithered.tobytes()


def interruption(number: int) -> tuple[int, bytes]:
    """`(rate in Hz, PCM16)` of a shipped clip of the household, cut to `CUT_CLIP_S`."""
    rate_hz, pcm = voices.load(INTERRUPTIONS[number % len(INTERRUPTIONS)])
    samples = np.frombuffer(pcm, "<i2")[: round(CUT_CLIP_S * rate_hz)].astype(np.float64)
    fade = min(len(samples), rate_hz // 50)
    samples[len(samples) - fade :] *= np.linspace(1, 0, fade)
    return rate_hz, samples.astype("<i2").tobytes()


def onset_s(number: int) -> float:
    """Where speech begins in an `interruption`, seconds from its first sample."""
    rate_hz, pcm = interruption(number)
    sound = acoustics.from_pcm(pcm)
    least = acoustics.active_level_dbfs(sound, rate_hz) - ONSET_BELOW_DB
    step = round(ONSET_WINDOW_S * rate_hz)
    for begin in range(0, len(sound) - step, step // 10):
        if acoustics.level_dbfs(sound[begin : begin + step]) >= least:
            return begin / rate_hz
    raise ValueError(f"clip {number} is silent")


class SteadyBrain(Brain):
    """Says the same to everybody, always."""

    def __init__(self, pcm24k: bytes) -> None:
        self._speech = Speech(pcm24k, "")

    def reply(self, turn: Turn) -> Reply:
        """The answer."""
        del turn
        return Reply((self._speech,))


class Ears:
    """Keeps what the server received and when it began to answer."""

    def __init__(self) -> None:
        self.stage: Stage | None = None
        self.received: list[tuple[float, bytes]] = []
        """(loop time, PCM16 24 kHz) per append."""
        self.first_deltas: list[float] = []
        """Loop time at which the first audio of each response was handed to the wire."""
        self._responses: set[str] = set()

    def see(self, side: str, event: Mapping[str, object], at: float) -> None:
        """For `RealtimeServer.on_event`."""
        kind = event.get("type")
        if kind == "input_audio_buffer.append" and side == "client":
            self.received.append((at, base64.b64decode(str(event["audio"]))))
        elif kind == "response.output_audio.delta":
            response = str(event["response_id"])
            if response not in self._responses:
                self._responses.add(response)
                self.first_deltas.append(at)
        if self.stage is not None:
            self.stage.score.see_wire(side, event, at)


class Household:
    """A stage, what its server heard, and the proxy between the two if there is one."""

    def __init__(self, stage: Stage, ears: Ears, proxy: Proxy | None) -> None:
        self.stage = stage
        self.ears = ears
        self.proxy = proxy

    @property
    def room(self) -> Any:
        """The virtual room."""
        return self.stage.room

    # --- sound at the loudspeaker ---------------------------------------------------------

    def sounds(self, t0: float, t1: float | None = None) -> tuple[float, float] | None:
        """Loop times of the first and (just after) the last sample that is not digital silence."""
        track = self.stage.room.spoken
        loud = np.flatnonzero(track.samples(t0, t1))
        if not len(loud):
            return None
        # `samples` rounds to the same grid.
        base = track.start_s + round((max(t0, track.start_s) - track.start_s) * track.rate_hz) / (
            track.rate_hz
        )
        return base + loud[0] / track.rate_hz, base + (loud[-1] + 1) / track.rate_hz

    def holes(self, t0: float, t1: float) -> int:
        """Holes of at least `GAP_S` of digital silence inside the sound between two times."""
        track = self.stage.room.spoken
        loud = np.flatnonzero(track.samples(t0, t1))
        return int(np.count_nonzero(np.diff(loud) - 1 >= GAP_S * track.rate_hz))

    async def first_sound(self, after: float, within_s: float = PATIENCE_S) -> float:
        """Wait for the first sample of the loudspeaker after a time; returns when it was."""
        await self.stage.until(
            lambda: self.sounds(after) is not None, within_s, "the loudspeaker sounds"
        )
        span = self.sounds(after)
        assert span is not None
        return span[0]

    # --- what people do -------------------------------------------------------------------

    def speak(self, number: int, *, in_s: float = 0.03) -> Utterance:
        """Somebody says an `interruption`."""
        rate_hz, pcm = interruption(number)
        return self.stage.room.say(pcm, rate_hz, at=self.stage.now() + in_s)

    def set_near_to_echo(self, ratio_db: float | None, near: int, far24k: bytes) -> None:
        """Make `interruption(near)` that much louder at the microphone than our own answer.

        None: our voice does not reach the microphone.
        """
        room = self.stage.room
        if ratio_db is None:
            room.echo_gain_db = None
            return
        rate_hz, pcm = interruption(near)
        voice = acoustics.resample(acoustics.from_pcm(pcm), rate_hz, 24_000)
        ours = acoustics.from_pcm(far24k) * volume_gain(self.stage.settings.device.volume_percent)
        room.near_to_echo(
            ratio_db, near=acoustics.to_pcm(voice).tobytes(), far=acoustics.to_pcm(ours).tobytes()
        )


@contextlib.asynccontextmanager
async def household(
    brain: Brain,
    *,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    room: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
    proxy: bool = False,
    delay_s: float = 0.0,
    seed: int = 1,
) -> AsyncIterator[Household]:
    """Open a stage (see `Stage`), with a proxy of `delay_s` each way if asked for."""
    ears = Ears()
    sections = {name: dict(values) for name, values in (settings or {}).items()}
    async with contextlib.AsyncExitStack() as stack:
        between: Proxy | None = None
        if proxy or delay_s:
            between = await stack.enter_async_context(Proxy(delay_s))
            sections.setdefault("realtime", {})["url"] = between.url
        stage = Stage(
            brain=brain,
            settings=sections,
            room=room,
            server={"on_event": ears.see, **(server or {})},
            seed=seed,
        )
        ears.stage = stage
        if between is not None:
            between.target = lambda: stage.network.url
        await stack.enter_async_context(stage)
        await stage.until(lambda: stage.link == "ready", PATIENCE_S, "the link is ready")
        yield Household(stage, ears, between)
