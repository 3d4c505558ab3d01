"""Barge-in: from the first sound of a person to silence, and what the model is told.

Thread: the event loop.  It must never ask the daemon: onset and silence are samples in the room,
the truncation is what the server received.

One long chain of people who interrupt: each interruption is the next question, so every trial
also begins an answer (first delta → speaker).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.figures import Figure, Sheet, Target
from benchmarks.household import PATIENCE_S, Household, SteadyBrain, answer, household, onset_s
from edge_agent.simulation.faults import Faults

TITLE = "Answers and interruptions"
SETTING = (
    "Virtual room (RT60 0.35 s, noise -65 dBFS, 20 ms output and 10 ms input latency), local "
    "WebSocket, threads on. Onset is the first 10 ms of the person within 25 dB of "
    "their own active level, silence the last sample of the loudspeaker that is not zero."
)

ANSWER_S = 4.0
"""Longer than a person listens here and then talks over it; after a miss it is waited for."""

LISTEN_S = (0.9, 1.7)
"""How long the person listens first, at random: the hold-off after an answer's start (0.25 s) is
over, and the canceller is as warm as it is in the first seconds of any answer."""

SLOW_THINKING_MS = 2000
SLOW_EVENTS_MS = 60
"""Every event of the server that much later: audio then comes hardly faster than it is played."""

FAR_S = 0.100

ARRIVES_S = 0.25
"""After the person's last word, until the truncation is with the server, over a far network too."""

OUTLIVES_S = 0.005
"""The answer still sounds so shortly before the person ends: it was not cut."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A room and a network."""

    key: str
    words: str
    near_to_echo_db: float | None
    limit_ms: float | None
    faults: Mapping[str, int] = field(default_factory=dict)
    delay_s: float = 0.0


def _settings() -> tuple[Setting, ...]:
    slow = {"thinking_extra_ms": SLOW_THINKING_MS, "events_delay_ms": SLOW_EVENTS_MS}
    rooms: tuple[tuple[str, str, float | None, float | None], ...] = (
        ("quiet", "no echo", None, 130.0),
        ("echo0", "near-to-echo 0 dB", 0.0, 220.0),
        ("echo10", "near-to-echo -10 dB", -10.0, None),
    )
    return tuple(
        Setting(f"{key}{tail}", f"{words}{more}", ratio, limit, faults, delay_s)
        for key, words, ratio, limit in rooms
        for tail, more, faults, delay_s in (
            ("", "", {}, 0.0),
            (".slow", ", slow server (2 s of thinking, events late)", slow, 0.0),
            (".far", ", network 100 ms each way", {}, FAR_S),
        )
    )


SETTINGS = _settings()


def figures() -> list[Figure]:
    """First delta, gaps, one cut per setting, and the truncation."""
    rows = [
        Figure("answer.first", "first delta → loudspeaker", "ms", Target("median", "≤", 40)),
        Figure("answer.gaps", "holes inside an answer", "", Target("max", "=", 0)),
    ]
    for setting in SETTINGS:
        target = None if setting.limit_ms is None else Target("median", "≤", setting.limit_ms)
        name = f"barge-in: onset → silence, {setting.words}"
        rows.append(Figure(f"barge_in.{setting.key}", name, "ms", target))
    rows.append(
        Figure(
            "barge_in.quiet.faintest",
            "the same, no echo, from the first sample over -60 dBFS",
            "ms",
        )
    )
    rows.append(
        Figure(
            "truncate.error",
            "audio_end_ms minus what the loudspeaker emitted",
            "ms",
            Target("worst", "≤", 10),
        )
    )
    rows.append(
        Figure("answer.uncalled", "answers cut before anybody spoke", "", Target("max", "=", 0))
    )
    return rows


def measure(sheet: Sheet, n: int, brief: bool = False) -> None:
    """`n` interruptions in the plain settings, half as many (brief: none) in the others."""
    for number, setting in enumerate(SETTINGS):
        is_plain = not (setting.faults or setting.delay_s)
        if brief and not is_plain:
            continue
        trials = n if is_plain else max(1, n // 2)
        asyncio.run(_measure(sheet, setting, trials, seed=100 + number))


async def _measure(sheet: Sheet, setting: Setting, n: int, seed: int) -> None:
    rng = random.Random(seed)
    far24k = answer(ANSWER_S)
    faults = Faults(**setting.faults)  # type: ignore[arg-type]
    async with household(
        SteadyBrain(far24k),
        # An open microphone: no chime whose echo could be taken for the next person.
        settings={"listen": {"mode": "always", "server_silence_ms": 300, "follow_up_s": 0}},
        room={"seed": seed},
        server={"faults": faults, "first_delta_ms": 100},
        delay_s=setting.delay_s,
        seed=seed,
    ) as home:
        chain = _Chain(home, sheet, setting, far24k, rng)
        home.stage.daemon.sound.front_end.load()  # not left to a thread, which may be late
        for trial in range(n):
            await chain.interrupt(trial)
        uncalled = sheet["answer.uncalled"]
        uncalled.add(chain.uncalled)
        uncalled.note = "one value per setting"


class _Chain:
    def __init__(
        self,
        home: Household,
        sheet: Sheet,
        setting: Setting,
        far24k: bytes,
        rng: random.Random,
    ) -> None:
        self._home = home
        self._sheet = sheet
        self._setting = setting
        self._far24k = far24k
        self._rng = rng
        self._asked_until: float | None = None
        """When the last interruption ended; None: a question has to be asked first."""
        self.uncalled = 0

    async def interrupt(self, trial: int) -> None:
        """One answer, and somebody who talks over it."""
        home, stage, setting = self._home, self._home.stage, self._setting
        home.set_near_to_echo(setting.near_to_echo_db, trial, self._far24k)
        if self._asked_until is None:
            asked = home.speak(trial)
            await stage.sleep_until(asked.end_at)
            self._asked_until = asked.end_at
        first = await home.first_sound(self._asked_until)
        plain = not (setting.faults or setting.delay_s)
        if plain:
            delta = max(at for at in home.ears.first_deltas if at <= first)
            self._sheet["answer.first"].add((first - delta) * 1000)
        await stage.sleep_until(first + self._rng.uniform(*LISTEN_S))
        said = home.speak(trial)
        await stage.sleep_until(said.end_at + ARRIVES_S)
        figure = self._sheet[f"barge_in.{setting.key}"]
        truncated = stage.score.sent("conversation.item.truncate", up=True, after=first)
        early = [cut for cut in truncated if cut.at < said.onset_at]
        if early:
            self.uncalled += len(early)
            await self._start_over()
            return
        span = home.sounds(first, said.end_at)
        assert span is not None
        silent_at = span[1]
        if silent_at > said.end_at - OUTLIVES_S:
            figure.trials_failed += 1
            await self._start_over()
            return
        self._asked_until = said.end_at
        figure.add((silent_at - said.start_at - onset_s(trial)) * 1000)
        if setting.key == "quiet":
            self._sheet["barge_in.quiet.faintest"].add((silent_at - said.onset_at) * 1000)
        if plain:
            self._sheet["answer.gaps"].add(home.holes(first, silent_at))
        error = self._sheet["truncate.error"]
        if len(truncated) == 1:
            error.add(truncated[0].audio_end_ms - (silent_at - first) * 1000)
        else:
            error.trials_failed += 1

    async def _start_over(self) -> None:
        """After a trial that went wrong: let it finish, and somebody asks anew."""
        self._asked_until = None
        stage = self._home.stage
        self._home.room.hush()
        await stage.until_talk("asleep", PATIENCE_S)
