"""Summaries: what a hundred turns cost with and without them.

Thread: the event loop, in virtual time.  It must never estimate: tokens are what the simulated
provider bills for the items that its conversation really holds, money is those times the shipped
prices.

    python -m benchmarks.summaries            # writes benchmarks/summaries.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from edge_agent.app.session_start import session_start
from edge_agent.app.tools.offer import offer
from edge_agent.app.wiring import memory_turns, session_config, summary_terms
from edge_agent.contract.events import Usage
from edge_agent.dialogue.money.budget import Prices, cost_of
from edge_agent.dialogue.recall.summaries import SummaryTerms
from edge_agent.host.price_list import load_providers
from edge_agent.host.settings.root import Settings
from edge_agent.simulation import clock
from edge_agent.tools.catalogue import shipped_tools

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from lab.long_talk import LongTalk
from lab.note_taker import NoteTaker

RESULT = Path(__file__).parent / "summaries.md"
TURNS = 100
SPEECH_MS = 3000
ANSWER_MS = 6000
"""A question and two spoken sentences."""
NOTES_CHARS = 1600
"""A synopsis of 120 words and a dozen facts."""
MODELS = ("gpt-realtime-2.1", "gpt-realtime-2.1-mini")
LIMIT_S = 200_000.0

NO_PRICES = Path("/nonexistent")  # the program's own table, whatever this machine's owner wrote


@dataclass(frozen=True)
class Day:
    """How a hundred turns are spread: in talks of `turns`, `pause_s` after the end of each."""

    name: str
    turns: int
    pause_s: float


DAYS = (
    Day("one talk without a pause", TURNS, 0.0),
    Day("talks of 5 turns, 2 minutes apart", 5, 120.0),
    Day("talks of 5 turns, 15 minutes apart", 5, 900.0),
)


@dataclass(frozen=True)
class Bill:
    """What the provider counted, answers and side questions."""

    answers: Usage
    asides: Usage
    summaries: int
    longest_in: int
    """Input tokens of the longest answer."""
    known: bool
    """The model still knew at the end what it was told in the third turn."""

    def usd(self, prices: Prices, *, cached: bool = True) -> float:
        """US dollars; not `cached`: as if every token were read anew."""
        used = [self.answers, self.asides]
        if not cached:
            none = {"cached_text_in": 0, "cached_audio_in": 0, "cached_image_in": 0}
            used = [replace(usage, **none) for usage in used]
        costs = [cost_of(usage, prices) for usage in used]
        return sum(cost or 0 for cost in costs) / 1_000_000


def measure(day: Day, terms: SummaryTerms, turns: int = TURNS) -> Bill:
    """Live it."""
    return clock.run(_live(day, terms, turns), limit_s=LIMIT_S)


async def _live(day: Day, terms: SummaryTerms, turns: int) -> Bill:
    settings = Settings()
    every_tool = replace(offer(settings, shipped_tools()), preambles=(), off={})
    begin = session_start(settings, every_tool)
    session = replace(
        session_config(settings, begin),
        turn_detection=None,
        transcription_model="whisper-1",
    )
    dialogue = {
        "summaries": terms,
        "memory_turns": memory_turns(settings) if terms.how != "off" else 12,
    }
    talk = LongTalk(brain, dialogue, session=session)
    async with talk:
        for number in range(1, turns + 1):
            words = f"Tell me something about the number {number}, please."
            words = {3: "My sister is Odile Maret.", turns: "What is my sister?"}.get(number, words)
            await talk.say(words, speech_ms=SPEECH_MS)
            if number % day.turns == 0 and number < turns:
                await talk.asleep()
                await talk.pause(day.pause_s)
                await talk.ready()
        known = isinstance(talk.brain, NoteTaker) and "Odile" in talk.brain.answers[-1]
        longest = max(use.text_in + use.audio_in for use in talk.used)
        return Bill(
            _sum(talk.used),
            _sum(talk.asides_used),
            len(talk.told("memory.summarised")),
            longest,
            known,
        )


def brain(words: Callable[[bytes], str]) -> NoteTaker:
    """The model: it answers from what its conversation holds."""
    return NoteTaker(words, answer_ms=ANSWER_MS, notes_chars=NOTES_CHARS)


def _sum(usages: Iterable[Usage]) -> Usage:
    usages = list(usages)
    total = {f.name: sum(getattr(use, f.name) for use in usages) for f in fields(Usage)}
    return Usage(**total)


def _row(name: str, bill: Bill, prices: dict[str, Prices]) -> str:
    both = _sum((bill.answers, bill.asides))
    numbers: list[object] = [
        bill.summaries,
        bill.longest_in,
        both.text_in - both.cached_text_in,
        both.audio_in - both.cached_audio_in,
        both.cached_text_in + both.cached_audio_in,
        both.text_out + both.audio_out,
    ]
    money = [f"{bill.usd(price):.2f}" for price in prices.values()]
    money += [f"{bill.usd(next(iter(prices.values())), cached=False):.2f}"]
    cells = [f"{n:,}".replace(",", " ") for n in numbers]
    return "| " + " | ".join([name, *cells, *money, "yes" if bill.known else "**no**"]) + " |"


def prices_of(models: Sequence[str]) -> dict[str, Prices]:
    """What the shipped table says; raises `KeyError` for a model without a price."""
    table = load_providers(NO_PRICES)
    found = {model: table.prices("openai", model) for model in models}
    return {model: Prices(**price.model_dump()) for model, price in found.items() if price}


def report(rows: list[str], models: Sequence[str], command: str) -> str:
    """The page."""
    heads = [
        "",
        "summaries",
        "longest input of an answer",
        "text in",
        "audio in",
        "of input cached",
        "out",
        *(f"USD, {model}" for model in models),
        f"USD, {models[0]}, nothing cached",
        "turn 3 known at the end",
    ]
    terms = summary_terms(Settings())
    return "\n".join(
        (
            "# What summaries save",
            "",
            f"`{command}`: {TURNS} turns of {SPEECH_MS / 1000:g} s of speech and "
            f"{ANSWER_MS / 1000:g} s of answer, shipped persona and tools, transcripts on; real "
            "dialogue, link and wire, in virtual time. The simulated provider counts what its "
            "conversation holds: 1 token per 100 ms of the household's sound, 1 per 50 ms of its "
            "own, about 1 per 4 characters of text; what a response shares with one of the last "
            "few, from the beginning on, is cached for five minutes. Tokens are sums of all "
            "responses, side questions included; money is those times `config/providers.toml`. "
            f"Notes have about {NOTES_CHARS // 4} tokens. With summaries: after "
            f"{terms.after_turns} turns, or when nobody has spoken for four minutes and six turns "
            f"are old enough, the last {terms.keep_turns} stay.",
            "",
            "| " + " | ".join(heads) + " |",
            "|---" * len(heads) + "|",
            *rows,
            "",
            "How to read it:",
            "",
            "* **The cache decides.** What is cached costs an eightieth of fresh sound here, so a "
            "long talk without pauses is not expensive to begin with. Removing old items changes "
            "the beginning of the conversation: the next answer reads the turns that stay anew "
            "(that is why *audio in* is higher with summaries in the first two days). So notes "
            "are rare, and the question for them is put behind the unchanged conversation, where "
            "the cache serves all that was said.",
            "* **After a pause the cache is empty** and the whole history costs its full price "
            "once. That is a home's usual day, and there both *audio in* and money go down.",
            "* **Nothing cached** is what a service without a price for cached input would bill.",
            "* The bill is not the only reason: the longest input stays bounded (a context ends "
            "somewhere, and reading takes time), and what was said early survives the provider's "
            "session limit of an hour, after which a fresh session is told only of the last "
            "turns.",
            "",
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.summaries", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args(arguments)
    prices = prices_of(MODELS)
    shipped = summary_terms(Settings())
    rows: list[str] = []
    for day in DAYS:
        for name, terms in (("without", replace(shipped, how="off")), ("with", shipped)):
            rows.append(_row(f"{day.name}, {name}", measure(day, terms), prices))
            print(rows[-1])
    chosen.out.write_text(report(rows, MODELS, "python -m benchmarks.summaries"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
