"""The tape: questions to what the room recorded, in loop time.

Thread: the event loop.  It must never ask the daemon: only tracks and the shipped clips. Used by
the acts and by the benchmarks.
"""

from __future__ import annotations

from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.demo.judge import measure
from edge_agent.demo.stage import Said
from edge_agent.simulation.sound import voices
from edge_agent.simulation.sound.room import Room

HEAD_S = 1.5
"""This much from its start identifies an answer that may be cut."""

LEAD_S = 0.5
"""Recording kept before a first sound when a clip is looked for: its own quiet start."""

WAKE_END_S = {
    "wake_what_time": 1.0,
    "wake_only": 0.97,
    "wake_tea_second_voice": 0.86,
    "hey_jarvis": 0.72,
}
"""Where the wake phrase ends in these clips, read off their waveforms."""


def wake_end(said: Said) -> float:
    """Loop time at which the wake phrase of a clip ended.  Raises `KeyError` for other clips."""
    return said.start_at + WAKE_END_S[said.clip]


def words_in(said: Said, heard_pcm24k: bytes) -> measure.Likeness:
    """How much of a clip, without its wake phrase, is in what somebody received of it."""
    rate_hz, pcm = voices.load(said.clip)
    clip = measure.sound(pcm, rate_hz)
    clip = clip[round(WAKE_END_S.get(said.clip, 0.0) * measure.COMPARE_RATE_HZ) :]
    return measure.likeness(clip, measure.sound(heard_pcm24k, WIRE_RATE_HZ))


def played(
    room: Room, pcm24k: bytes, first: float, end: float, *, head_s: float | None = None
) -> measure.Likeness:
    """How much of an answer the loudspeaker emitted between its first sound and `end`.

    `head_s`: look for its beginning only.  `at_s` of the result is a loop time.
    """
    answer = measure.sound(pcm24k, WIRE_RATE_HZ)
    if head_s is not None:
        answer = answer[: round(head_s * measure.COMPARE_RATE_HZ)]
    spoken = room.spoken
    recording = measure.sound(spoken.samples(first - LEAD_S, end), spoken.rate_hz)
    return measure.likeness(answer, recording).moved(first - LEAD_S)


def silent_at(room: Room, begin: float, end: float) -> float:
    """Just after the loudspeaker's last sample between two times (`begin`: there was none).

    Exact to the sample, where `Room.silent_from` goes by an audible level.
    """
    spoken = room.spoken
    return begin + measure.last_sound_s(spoken.samples(begin, end), spoken.rate_hz)


def emitted_ms(room: Room, pcm24k: bytes, first: float, silent: float) -> float:
    """Milliseconds of an answer that the loudspeaker emitted until it fell silent.

    Counts from the answer's first sample, which may be quieter than its first sound.
    """
    return (silent - played(room, pcm24k, first, silent, head_s=HEAD_S).at_s) * 1000
