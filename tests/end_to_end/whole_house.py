"""What the end-to-end talks share: a stage, and what its room and its server really heard.

Nothing here asks the daemon how it did: sound is judged by samples, turns by what the simulated
model was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import cache
from typing import Any

from edge_agent.demo.judge import measure
from edge_agent.demo.judge.measure import Likeness, Sound
from edge_agent.demo.stage import POLL_S, Said, Stage
from edge_agent.demo.surroundings import Answered
from edge_agent.host.voice.sentences import Sentences
from edge_agent.simulation import clock
from edge_agent.simulation.brains import Brain, Part, Reply, Speech, Text, Turn
from edge_agent.simulation.sound import voices
from edge_agent.simulation.wire import MemoryNetwork

PATIENCE_S = 40.0
"""Virtual seconds; longer than the longest patience of the daemon."""

WAKE_END_S = {"wake_what_time": 1.0, "wake_tea_second_voice": 0.86, "hey_jarvis": 0.75}
"""Where the wake phrase ends in these clips, read off their waveforms."""

SENTENCES = Sentences("en")


def play(talk: Coroutine[Any, Any, None]) -> None:
    """Run a talk in virtual time."""
    clock.run(talk)


def memory_network(stage: Stage) -> MemoryNetwork:
    """The wires of a stage in virtual time, to be cut or blocked."""
    network = getattr(stage.network, "dial", None)
    assert isinstance(network, MemoryNetwork)
    return network


@cache
def compared(name: str) -> Sound:
    rate_hz, pcm = voices.load(name)
    return measure.sound(pcm, rate_hz)


def clip(name: str, *, from_s: float = 0.0) -> Sound:
    """A shipped clip, as all sound is compared."""
    return compared(name)[round(from_s * measure.COMPARE_RATE_HZ) :]


def words_of(name: str) -> Sound:
    """A household's clip without its wake phrase."""
    return clip(name, from_s=WAKE_END_S.get(name, 0.0))


def speech(name: str) -> Speech:
    """An answer's clip as a spoken part."""
    return Speech(voices.load(name)[1], voices.clips()[name].text)


class Answers(Brain):
    """Gives the parts in order, one reply per turn; the last one again and again."""

    def __init__(self, *replies: Sequence[Part] | str) -> None:
        self._replies = [
            (speech(reply),) if isinstance(reply, str) else tuple(reply) for reply in replies
        ]
        self._next = 0

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            return Reply((Text("nothing"),))
        parts = self._replies[min(self._next, len(self._replies) - 1)]
        self._next += 1
        return Reply(parts, delay_ms=200)


def answered(stage: Stage, after: float = 0.0) -> list[Answered]:
    """Turns that the model was asked to answer from a time on."""
    return [a for a in stage.brain.answered if a.at >= after and not a.turn.out_of_band]


def named_outputs(stage: Stage) -> list[tuple[str, str]]:
    """(tool, output) of everything that the model was told of its calls."""
    return [(o.name, o.output) for given in answered(stage) for o in given.turn.outputs]


def outputs(stage: Stage) -> list[str]:
    """What the model was told of its calls."""
    return [output for _name, output in named_outputs(stage)]


async def ready(stage: Stage) -> None:
    await stage.until(lambda: stage.link == "ready", PATIENCE_S, "the link is ready")


async def next_answer(stage: Stage, after: float) -> Answered:
    await stage.until(lambda: answered(stage, after), PATIENCE_S, "the model is asked")
    return answered(stage, after)[0]


async def first_sound(stage: Stage, after: float) -> float:
    """Wait until the loudspeaker sounds; returns when it began."""
    spoken = stage.room.spoken
    await stage.until(lambda: spoken.audible(after), PATIENCE_S, "the loudspeaker sounds")
    span = spoken.audible(after)
    assert span is not None
    return span[0]


async def silence(stage: Stage, after: float, hold_s: float = 1.0) -> float:
    """Wait until the loudspeaker has been silent for `hold_s`; returns when that began."""
    room = stage.room

    def newly_silent() -> bool:
        # What was loud a moment ago stays so: looking through all of it each time is dear.
        recent = max(after, room.spoken.end_s - hold_s - 2 * POLL_S)
        return room.silent_from(recent, hold_s=hold_s) is not None

    if room.silent_from(after, hold_s=hold_s) is None:
        await stage.until(newly_silent, PATIENCE_S, "silence")
    at = room.silent_from(after, hold_s=hold_s)
    assert at is not None
    return at


def spoken(stage: Stage, sound: Sound, begin: float, end: float | None = None) -> Likeness:
    """How much of `sound` the loudspeaker emitted in a span of time."""
    track = stage.room.spoken
    samples = track.samples(begin, stage.now() if end is None else end)
    return measure.likeness(sound, measure.sound(samples, track.rate_hz))


def times_spoken(stage: Stage, sound: Sound, begin: float) -> int:
    """How often the loudspeaker emitted `sound` since `begin`."""
    track = stage.room.spoken
    samples = track.samples(begin, stage.now())
    return len(measure.occurrences(sound, measure.sound(samples, track.rate_hz)))


def sentence(name: str) -> Sound:
    """One of the speaker's own sentences, by its own name: which code it is for is judged here."""
    assert "." not in name
    pcm24k = SENTENCES.pcm24k(name)
    assert pcm24k, f"there is no recording for {name}"
    return measure.sound(pcm24k, 24_000)


def said_sentence(stage: Stage, name: str, begin: float) -> bool:
    """Whether the loudspeaker spoke this sentence, whole."""
    like = spoken(stage, sentence(name), begin)
    return like.is_whole and like.correlation > 0.9


def heard(given: Answered, sound: Sound) -> Likeness:
    """How much of `sound` the model was given."""
    return measure.likeness(sound, measure.sound(b"".join(given.turn.heard), 24_000))


async def whole_turn(stage: Stage, said: Said, answer: str) -> Answered:
    """The words of `said` reach the model whole, and its answer is heard whole and once."""
    given = await next_answer(stage, said.start_at)
    assert heard(given, words_of(said.clip)).is_whole
    first = await first_sound(stage, max(said.offset_at, given.at))
    await silence(stage, first)
    assert spoken(stage, clip(answer), first - 0.5).is_whole
    assert times_spoken(stage, clip(answer), said.start_at) == 1
    assert len(answered(stage, said.start_at)) == 1
    return given


def faults(stage: Stage) -> list[str]:
    """What should never be in a journal or on the wire."""
    bad = ("agent.fault", "link.local_error", "link.internal_error", "shutdown.timeout")
    lines = [f"{n.code} {dict(n.fields)}" for n in stage.score.journal if n.code in bad]
    complaints = [str(e["code"]) for s in stage.server.sessions for e in s.errors]
    # A cancellation that crosses the end of the response it is for is nobody's mistake.
    return lines + [code for code in complaints if code != "response_cancel_not_active"]


async def still_works(stage: Stage) -> None:
    """A whole turn from the wake word to the end of its answer."""
    await stage.until_talk("asleep", PATIENCE_S)
    await ready(stage)
    await asyncio.sleep(0.5)
    said = await stage.say("wake_tea_second_voice")
    given = await next_answer(stage, said.start_at)
    assert heard(given, words_of(said.clip)).is_whole
    await first_sound(stage, given.at)
    await stage.until_talk("asleep", PATIENCE_S)
