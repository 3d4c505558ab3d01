"""What was said and what was heard on a stage, measured: the referee's records of whole utterances.

Sound alone decides, with the demo's measures: which words the model was given, how much of its
answer the loudspeaker emitted, how far an answer was when it was cut.

An utterance is a shipped clip that calls by the wake word and goes on.  One that nobody answered is
left out where something came between: another word, a button, a mute, a lost device, the end.

The owner is the test's loop; nothing is measured before `records`, when the play is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from referee.records import Emitted, Given, Heard, Record, Utterance

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.demo.judge import tape
from edge_agent.demo.stage import Said, Stage
from edge_agent.demo.surroundings import Answered
from edge_agent.simulation.brains import Speech

CALLS = ("wake_what_time", "wake_tea_second_voice")
"""Clips that call and ask in one breath."""
LOST_S = 20.0
"""An answer or a reason is owed by then, and later by as long as the line was down."""
AFTER_CUT_S = 0.2
"""A fade has ended by then."""
BETWEEN = (e.ButtonPressed, e.MuteRequested, e.DeviceDown, e.AlarmDue, e.StopRequested)
"""Who does this takes back what was said, or nobody can answer."""
SURE = 0.9
"""Likeness of a head of an answer from which its place is believed."""


@dataclass
class Cut:
    """An item that was cut at `at`, and what the server was told of it."""

    at: float
    item: str
    told_ms: float
    first: float


class TalkTape:
    """Give it every step and every `said`; `records` when all is over."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._said: list[Said] = []
        self._spoken_at: list[float] = []
        """When anybody spoke, also what is no utterance."""
        self._between: list[float] = []
        self._started: dict[str, float] = {}
        self._cuts: list[Cut] = []
        self._down: list[tuple[float, bool]] = []
        self._dark = False
        """The device is lost or about to be closed: nobody can tell its last sample."""

    def spoken(self, at: float) -> None:
        """Somebody will speak from then on, whatever it is."""
        self._spoken_at.append(at)

    def said(self, said: Said) -> None:
        """A clip will be said to a speaker that is open and called by word."""
        if said.clip in CALLS:
            self._said.append(said)

    def step(self, event: e.Event, commands: list[c.Command], at: float) -> None:
        """One step of the pump."""
        match event:
            case e.PlaybackStarted():
                self._started[event.item] = event.at
            case e.LinkDown() | e.LinkReady():
                self._down.append((at, isinstance(event, e.LinkDown)))
            case _ if isinstance(event, BETWEEN):
                self._between.append(at)
        match event:
            case e.DeviceDown() | e.StopRequested():
                self._dark = True
            case e.DeviceReady():
                self._dark = False
        for command in commands if not self._dark else []:
            if isinstance(command, c.TruncateItem) and command.item in self._started:
                first = self._started[command.item]
                self._cuts.append(Cut(at, command.item, command.audio_end_ms, first))

    # --- when it is over ------------------------------------------------------------------

    def records(self, until: float) -> Iterator[Record]:
        """What was measured, in order."""
        for number, said in enumerate(self._said, 1):
            yield from self._utterance(number, said, until)
        for cut in self._cuts:
            yield from self._cut(cut)

    def _utterance(self, number: int, said: Said, until: float) -> Iterator[Record]:
        later = [at for at in self._spoken_at if at > said.onset_at]
        end = min([until, *later])
        answers = [a for a in self._answers() if said.onset_at < a.at < end]
        heard = [(n, a, self._heard_ms(a, until)) for n, a in enumerate(answers)]
        is_over = end >= said.end_at + LOST_S + self._down_s(said.onset_at, end)
        is_over = is_over and not any(said.start_at <= at <= end for at in self._between)
        if not (is_over or any(ms > 0 for _, _, ms in heard)):
            return  # it may still have been answered, or nobody waits for that any more
        yield Utterance(said.onset_at, number, said.end_at, called=True)
        for place, answer, ms in heard:
            like = tape.words_in(said, b"".join(answer.turn.heard))
            share = 1.0 if like.is_whole else like.coverage
            is_question = answer.turn.session.get("tool_choice") == "none"
            anew = bool(answer.turn.heard) and not is_question
            yield Given(answer.at, 100 * number + place, number, share, anew)
            yield Heard(answer.at, 100 * number + place, ms)

    def _answers(self) -> list[Answered]:
        return [a for a in self._stage.brain.answered if not a.turn.out_of_band]

    def _heard_ms(self, answer: Answered, until: float) -> float:
        """So much of the answer's first spoken part was emitted before the next answer."""
        speech = _speech(answer)
        if speech is None:
            return 0.0
        ends = min([until, *(a.at for a in self._answers() if a.at > answer.at)])
        like = tape.played(self._stage.room, speech.pcm24k, answer.at, ends)
        return like.coverage * len(speech.pcm24k) / 48

    def _down_s(self, begin: float, end: float) -> float:
        total_s, since = 0.0, None
        for at, is_down in self._down:
            if is_down and since is None:
                since = at
            elif not is_down and since is not None:
                total_s += max(0.0, min(at, end) - max(since, begin))
                since = None
        return total_s + (max(0.0, end - max(since, begin)) if since is not None else 0.0)

    def _cut(self, cut: Cut) -> Iterator[Record]:
        speech = next((_speech(a) for a in reversed(self._answers()) if a.at <= cut.first), None)
        if speech is None or cut.told_ms < 1000 * tape.HEAD_S:
            return  # too little to know its place by
        room, end = self._stage.room, cut.at + AFTER_CUT_S
        head = tape.played(room, speech.pcm24k, cut.first, end, head_s=tape.HEAD_S)
        if head.correlation > SURE:
            silent = tape.silent_at(room, cut.first, end)
            ms = tape.emitted_ms(room, speech.pcm24k, cut.first, silent)
            yield Emitted(cut.at, cut.item, cut.told_ms, ms)


def _speech(answer: Answered) -> Speech | None:
    spoken = [part for part in answer.reply.parts if isinstance(part, Speech)]
    return spoken[0] if len(spoken) == 1 else None
