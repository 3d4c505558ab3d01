"""The play: performs acts on a stage, and holds what several acts do alike.

Thread: the event loop, real or virtual.  It must never ask the daemon whether it did well: what is
checked are samples in the room and what the server received.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from edge_agent.demo.judge import measure, tape
from edge_agent.demo.judge.pressure import Pressure
from edge_agent.demo.judge.verdict import ActResult
from edge_agent.demo.stage import Said, Stage, StageError
from edge_agent.demo.surroundings import Answered
from edge_agent.simulation.brains import Speech

FIRST_SOUND_LIMIT_MS = 2500.0
"""From the last word to the first sound of the answer: 0.5 s of silence that the server waits
for, up to 0.65 s of thinking in the play, transport and prebuffer, and room for a busy board."""

PATIENCE_S = 15.0
"""Longest wait for anything in the play; the daemon's own patience with a model is as long."""


@dataclass(frozen=True, slots=True)
class Act:
    """An act of the play: `run(play, result)` performs it and writes down what was seen."""

    key: str
    title: str
    story: str
    run: Callable[[Play, ActResult], Awaitable[None]]


class Play:
    """Performs acts on a stage, in order; `results` has one entry per act.

    `really_kill`: the last act sends this process a real SIGTERM (real time only; the caller has
    installed the handler), else it calls `Daemon.stop`.  `pressure`, in real time, tells what was
    the machine's fault.
    """

    def __init__(
        self,
        stage: Stage,
        acts: Sequence[Act],
        *,
        really_kill: bool = False,
        pressure: Pressure | None = None,
    ) -> None:
        self.stage = stage
        self.really_kill = really_kill
        self._pressure = pressure
        self.results = [
            ActResult(n, act.key, act.title, act.story) for n, act in enumerate(acts, 1)
        ]
        self._acts = acts
        self.last_said: Said | None = None
        self.last_answered: Answered | None = None
        self.answers_heard: list[tuple[str, Speech]] = []

    async def perform(self) -> bool:
        """Play all acts; True if each went as it must.  An act that gets stuck ends the play."""
        for act, result in zip(self._acts, self.results, strict=True):
            result.begin, result.played = self.stage.now(), True
            self.stage.score.mark("act", f"{result.number} {act.title}")
            try:
                await act.run(self, result)
            except StageError as stuck:
                result.check("the act can be played to its end", False, "it goes on", str(stuck))
                return False
            finally:
                result.end = self.stage.now()
                self._excuse(result)
        return all(result.ok for result in self.results)

    def _excuse(self, act: ActResult) -> None:
        pressure = self._pressure
        if pressure is not None and act.failed:
            pressure.look()
            act.excuse(pressure.waited_s, crowded=pressure.crowded(act.begin, act.end))

    # --- what several acts do ---------------------------------------------------------------

    async def next_answer(self, after: float) -> Answered:
        """Wait until the model was asked for an answer (side questions do not count)."""
        stage = self.stage
        await stage.until(
            lambda: self._answers(after), PATIENCE_S, "the model is asked for an answer"
        )
        self.last_answered = self._answers(after)[0]
        return self.last_answered

    def _answers(self, after: float) -> list[Answered]:
        return [a for a in self.stage.brain.answered if a.at >= after and not a.turn.out_of_band]

    async def first_sound(self, after: float) -> float:
        """Wait for the first sound of the loudspeaker after a time; returns when it was."""
        stage = self.stage
        await stage.until(
            lambda: stage.room.spoken.audible(after), PATIENCE_S, "the loudspeaker sounds"
        )
        span = stage.room.spoken.audible(after)
        assert span is not None
        return span[0]

    async def answered_to_the_end(self, act: ActResult, said: Said, name: str) -> None:
        """The usual course of a turn: words arrive whole, one answer, heard whole, in time."""
        stage = self.stage
        await stage.sleep_until(said.end_at)
        answered = await self.next_answer(said.start_at)
        self.words_arrived(act, said, answered)
        first = await self.first_sound(said.offset_at)
        act.within(
            "the answer begins in time",
            (said.offset_at, first),
            FIRST_SOUND_LIMIT_MS,
            name="end of speech → first sound",
        )
        await stage.until(
            lambda: stage.score.codes("talk.answer_done", first), PATIENCE_S, "the answer ends"
        )
        self.answer_is_whole(act, answered, first, name)
        self.answered_once(act, said)

    def words_arrived(self, act: ActResult, said: Said, answered: Answered) -> None:
        """What the model heard holds the whole clip (without its wake phrase)."""
        like = tape.words_in(said, b"".join(answered.turn.heard))
        act.check(
            "the words reached the model whole",
            like.is_whole,
            "first and last syllable, over 90 % between",
            seen(like),
        )

    def answer_is_whole(self, act: ActResult, answered: Answered, first: float, name: str) -> None:
        """The loudspeaker emitted the whole answer, from its first to its last syllable."""
        speech = speech_of(answered)
        like = tape.played(self.stage.room, speech.pcm24k, first, self.stage.now())
        act.check(
            "the answer was heard whole",
            like.is_whole and like.correlation > 0.9,
            "first and last syllable, no hole",
            seen(like),
        )
        self.answers_heard.append((name, speech))

    def answered_once(self, act: ActResult, said: Said) -> None:
        """One request for an answer since the person began to speak."""
        count = len(self._answers(said.start_at))
        act.check("answered exactly once", count == 1, "1 answer", f"{count}")

    async def until_asleep(self) -> None:
        """Let the follow-up window pass."""
        await self.stage.until_talk("asleep", PATIENCE_S)


def speech_of(answered: Answered) -> Speech:
    return next(part for part in answered.reply.parts if isinstance(part, Speech))


def seen(like: measure.Likeness) -> str:
    """A likeness in words."""
    if like.correlation == 0:
        return "nothing of it"
    text = "all of it" if like.coverage == 1 else f"{like.coverage:.0%} of it"
    for missing_ms, where in (
        (like.missing_head_ms, "at its start"),
        (like.missing_tail_ms, "at its end"),
    ):
        if missing_ms > 0:
            text += f", {missing_ms:.0f} ms missing {where}"
    return f"{text} (likeness {like.correlation:.2f})"
