"""Bad weather on real sockets: delay, loss, reordering and a line that is too slow.

Thread: the event loop, real time.  It must never count a kernel without netem as good weather: what
was not run is said.

Weather that stands: a question in it, then our connection is reset so that the next session is
opened in it, then a second question.  Weather that passes strikes in the middle of a turn.  Both
end with a question in good weather, and with the judge.
"""

# ruff: noqa: T201 (a program's part: printing is its job)
from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos_cable import Cable, house
from chaos_house import Said
from chaos_judge import judge
from chaos_moments import Phase, answering, talking, thinking
from chaos_world import World

BLACKOUT_S = 5.0
PATIENCE_S = 90.0
"""For a talk to end: over the line that is too slow a sentence takes eight times its length."""


@dataclass(frozen=True)
class Weather:
    """netem arguments for what leaves the speaker and for what leaves the server."""

    name: str
    here: str
    there: str
    words_s: float = 2.0
    strikes: Phase | None = None
    """In the middle of what it strikes, for `BLACKOUT_S`; None: it stands."""
    may_tell: bool = False
    """Whether a sentence that says why there is no answer will do for one: TCP carries less than a
    voice needs.  The table counts them."""


BURSTS = "loss gemodel 2% 20% 80% 0.5%"
"""Gilbert and Elliott: every fiftieth packet begins a burst of five on average, of which four are
lost; between bursts one of two hundred is."""
UPLINK = "delay 20ms rate {}kbit limit 20"
"""The microphone needs 512 kbit/s as base64, and some more; the modem holds 20 packets."""

WEATHERS = (
    Weather("delay 100 ±30 ms each way", "delay 100ms 30ms", "delay 100ms 30ms"),
    Weather("loss 5 %", "loss 5%", "loss 5%"),
    Weather("loss 20 %", "loss 20%", "loss 20%", may_tell=True),
    Weather("loss in bursts", BURSTS, BURSTS, may_tell=True),
    Weather("reordering", "delay 20ms reorder 25% 50%", "delay 20ms reorder 25% 50%"),
    Weather("duplicates 10 %", "duplicate 10%", "duplicate 10%"),
    Weather("corruption 2 %", "corrupt 2%", "corrupt 2%"),
    Weather("uplink of 384 kbit/s", UPLINK.format(384), "delay 20ms"),
    Weather("uplink of 64 kbit/s", UPLINK.format(64), "delay 20ms", may_tell=True),
    Weather(
        "uplink of 64 kbit/s, 28 s of words",
        UPLINK.format(64),
        "delay 20ms",
        words_s=28.0,
        may_tell=True,
    ),
    Weather("5 s of nothing, mid sentence", "loss 100%", "loss 100%", strikes=talking),
    Weather("5 s of nothing, thinking", "loss 100%", "loss 100%", strikes=thinking),
    Weather("5 s of nothing, mid answer", "loss 100%", "loss 100%", strikes=answering),
)


LEGEND = f"""\
Loss, delay and the like hold in both directions; two questions each, our reset between them.
"In bursts": `{BURSTS}`.  "Answer after": from the last word to the first sound; 0.75 s is the
server's own time.  "READY after": after our reset, or after the 5 s of nothing.  "Links lost":
besides our reset.  "Told": instead of an answer a sentence said what is wrong, which is taken for
good at 20 % loss, in bursts and on lines of 64 kbit/s only: TCP carries less than a voice needs.
In its own time the kernel jumps to the next timer when all wait, and computing takes none."""


@dataclass
class WeatherRow:
    """One round in one weather; seconds, but for what says ms."""

    case: str
    answers_s: list[float] = field(default_factory=list)
    """From the end of each question's words to the first sound of its answer."""
    ready_s: float | None = None
    """From the end of our reset, or of the weather that passed, to READY; None: never lost."""
    lost: list[str] = field(default_factory=list)
    """Codes with which the link went down, our own reset not among them."""
    holes: int = 0
    """Heard in the answers: sound that came too late."""
    dropped_ms: int = 0
    silence_ms: int = 0
    """Sound given up for a slow line, and the part of it that was silence: as journalled."""
    told: int = 0
    verdict: str = ""


async def ask(world: World, row: WeatherRow, **about: float) -> Said:
    """One question and its answer, until everybody sleeps."""
    said = world.speak("wake", **about)
    await world.until(lambda: said not in world._planned, 60)
    await world.until_talk("asleep", within_s=PATIENCE_S)
    # The talk may have ended with its link, and the answer comes with the next session.
    await world.until(lambda: world.is_ready and world.talk == "asleep", PATIENCE_S)
    begun = [a.began_at for a in world.asked if a.primary == said.number and a.began_at]
    row.answers_s += [round(begun[0] - said.end_at, 2)] if begun else []
    return said


async def weather_round(cable: Cable, weather: Weather, seed: int) -> WeatherRow:
    """A speaker with a server, in this weather and after it."""
    row = WeatherRow(weather.name)
    async with house(cable, seed) as world:
        world.struck = True
        holes = world.playout.gaps
        if weather.strikes is not None:
            await weather.strikes(world)
            cable.weather(weather.here, weather.there)
            await asyncio.sleep(BLACKOUT_S)
        else:
            cable.weather(weather.here, weather.there)
            await ask(world, row, words_s=weather.words_s, answer_s=3.0)
            downs, readies = len(world.downs), len(world.readies)
            cable.reset()
            await world.until(lambda: len(world.downs) > downs, 20)
            cable.filter()
            healed_at = world.now()
            del world.downs[downs:]
            await world.until(lambda: len(world.readies) > readies and world.is_ready, PATIENCE_S)
            row.ready_s = round(max(0.0, world.readies[-1] - healed_at), 2)
            await ask(world, row, words_s=weather.words_s, answer_s=3.0)
        cable.weather()
        healed_at = world.now()
        await world.until(lambda: world.is_ready, 40)
        await world.until_talk("asleep", within_s=PATIENCE_S)
        if weather.strikes is not None and len(world.readies) > 1:
            row.ready_s = round(max(0.0, world.readies[-1] - healed_at), 2)
        row.holes = world.playout.gaps - holes
        await ask(world, WeatherRow(""), words_s=1.0, answer_s=1.0)
        _judge(world, weather, row)
    return row


def _judge(world: World, weather: Weather, row: WeatherRow) -> None:
    verdict = judge(world)
    row.lost, row.told = [code for _at, code in world.downs], verdict.told
    for _at, code, fields in world.notes:
        if code == "link.audio_dropped":
            row.dropped_ms += int(str(fields["dropped_ms"]))
            row.silence_ms += int(str(fields["silence_ms"]))
    is_fine = verdict.is_good and (weather.may_tell or not verdict.told)
    row.verdict = "good" if is_fine else f"{verdict}; told {verdict.told}"
    if not is_fine:
        print(world.told_timeline())


def markdown(rows: Iterable[WeatherRow]) -> list[str]:
    """The table."""
    rows = list(rows)
    lines = [
        "| weather | rounds | answer after | READY after | links lost | holes heard | "
        "given up (silence) | told | lost or doubled turns |",
        "|---|---:|---:|---:|---|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(row.case for row in rows):
        mine = [row for row in rows if row.case == name]
        codes = sorted({code for row in mine for code in row.lost})
        lost = sum(len(row.lost) for row in mine)
        dropped, silence = sum(r.dropped_ms for r in mine), sum(r.silence_ms for r in mine)
        cells = (
            name,
            len(mine),
            _median(a for row in mine for a in row.answers_s),
            _median(row.ready_s for row in mine if row.ready_s is not None),
            f"{lost} ({', '.join(codes)})" if lost else "0",
            sum(row.holes for row in mine),
            f"{dropped / 1000:.1f} s ({silence / 1000:.1f} s)" if dropped else "-",
            sum(row.told for row in mine),
            sum(row.verdict != "good" for row in mine),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _median(values: Iterable[float]) -> str:
    values = list(values)
    return f"{statistics.median(values):.2f} ({max(values):.2f})" if values else "-"
