"""Transcription: what it costs per turn to have the household's words in text.

Thread: the event loop, in virtual time.  It must never estimate tokens: they are what the simulated
provider bills for what it was really sent; money is those times the shipped prices, and minutes of
sound times the transcribers' list prices below.

    python -m benchmarks.transcription        # writes benchmarks/transcription.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.app.session_start import session_start
from edge_agent.app.tools.offer import offer
from edge_agent.app.wiring import session_config
from edge_agent.contract.events import Usage
from edge_agent.dialogue.money.budget import Prices, cost_of
from edge_agent.host.price_list import load_providers
from edge_agent.host.settings.root import Settings
from edge_agent.simulation import clock
from edge_agent.simulation.brains import BYTES_PER_MS, Brain, Reply, Speech, Text, Turn
from edge_agent.tools.catalogue import shipped_tools

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from lab.long_talk import LongTalk

RESULT = Path(__file__).parent / "transcription.md"
TURNS = 20
ANSWER_MS = 6000
"""Two spoken sentences."""
SPEECH_MS = (1500, 3000, 6000, 12_000)
"""A command, a question, a longer one, a story told to it."""
WORDS_PER_S = 2.5
"""An unhurried speaker of English."""
MODELS = ("gpt-realtime-2.1", "gpt-realtime-2.1-mini")
TRANSCRIBERS = {"gpt-transcribe": 0.0045, "gpt-realtime-whisper": 0.017}
"""US dollars per minute of sound: developers.openai.com/api/docs/models, looked up 2026-11."""
LIMIT_S = 20_000.0
NO_PRICES = Path("/nonexistent")  # the program's own table, whatever this machine's owner wrote


class Scribe(Brain):
    """Answers with sound of a fixed length; beside the talk it writes down what it is given."""

    def __init__(self, words: Callable[[bytes], str]) -> None:
        self._words = words
        self.written: list[str] = []

    def transcribe(self, pcm24k: bytes) -> str:
        return self._words(pcm24k)

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            self.written.append(self._words(turn.heard[-1]))  # before it stands context
            return Reply((Text(self.written[-1]),))
        return Reply((Speech(bytes(ANSWER_MS * BYTES_PER_MS), "So it is, and so on. " * 6),))


@dataclass(frozen=True)
class Bill:
    """What the provider counted over all turns."""

    answers: tuple[Usage, ...]
    asides: tuple[Usage, ...]
    sound_s: float
    """Of the household, as committed: what a transcriber by the minute bills."""


def measure(how: str, speech_ms: float, turns: int = TURNS, *, context: int = 0) -> Bill:
    """Live it; `how` as in realtime.transcription, `context` as in transcription.context_items."""
    return clock.run(_live(how, speech_ms, turns, context), limit_s=LIMIT_S)


async def _live(how: str, speech_ms: float, turns: int, context: int) -> Bill:
    settings = Settings()
    every_tool = replace(offer(settings, shipped_tools()), preambles=(), off={})
    begin = session_start(settings, every_tool)
    session = replace(
        session_config(settings, begin),
        turn_detection=None,
        transcription_model="gpt-transcribe" if how == "builtin" else None,
    )
    wishes = {"transcription": how, "transcription_context": context}
    async with LongTalk(Scribe, wishes, session=session) as talk:
        for number in range(turns):
            words = " ".join(["word"] * round(speech_ms / 1000 * WORDS_PER_S))
            await talk.say(f"{words} {number}", speech_ms=speech_ms)
        heard = [item for item in talk.items if item.role == "user"]
        assert isinstance(talk.brain, Scribe)
        assert talk.brain.written == (talk.words[1:] if how == "out_of_band" else [])
        return Bill(
            tuple(talk.used),
            tuple(talk.asides_used),
            sum(item.audio_ms(index) for item in heard for index in item.audio) / 1000,
        )


def usd(usages: Sequence[Usage], prices: Prices) -> float:
    """US dollars."""
    return sum(cost_of(usage, prices) or 0 for usage in usages) / 1_000_000


def prices_of(models: Sequence[str]) -> dict[str, Prices]:
    """What the shipped table says of each model."""
    table = load_providers(NO_PRICES)
    found = {model: table.prices("openai", model) for model in models}
    assert all(price is not None for price in found.values())
    return {model: Prices(**price.model_dump()) for model, price in found.items() if price}


def rows(turns: int = TURNS, lengths: Sequence[int] = SPEECH_MS) -> list[str]:
    """One row per length of a turn."""
    prices = prices_of(MODELS)
    table = []
    for speech_ms in lengths:
        off, aside = measure("off", speech_ms, turns), measure("out_of_band", speech_ms, turns)
        assert len(aside.asides) == turns
        assert not off.asides
        in_context = measure("out_of_band", speech_ms, turns, context=1)
        built_in = measure("builtin", speech_ms, turns)
        assert not built_in.asides
        cells = [f"{speech_ms / 1000:g} s"]
        for what in ("text_in", "audio_in", "text_out"):
            cells.append(f"{sum(getattr(use, what) for use in aside.asides) / turns:.0f}")
        first = prices[MODELS[0]]
        cells.append(f"{100_000 * usd(off.answers, first) / turns:.0f}")
        cells += [f"{100_000 * usd(aside.asides, p) / turns:.0f}" for p in prices.values()]
        cells.append(f"{100_000 * usd(in_context.asides, first) / turns:.0f}")
        minutes = built_in.sound_s / 60 / turns
        cells += [f"{100_000 * minutes * price:.0f}" for price in TRANSCRIBERS.values()]
        table.append("| " + " | ".join(cells) + " |")
    return table


def report(table: Sequence[str], command: str) -> str:
    """The page."""
    heads = [
        "turn",
        "text in",
        "audio in",
        "text out",
        f"the answer itself, {MODELS[0]}",
        *(f"out of band, {model}" for model in MODELS),
        f"with one earlier item, {MODELS[0]}",
        *(f"built in, {name}" for name in TRANSCRIBERS),
    ]
    return "\n".join(
        (
            "# What a transcript costs",
            "",
            f"`{command}`: {TURNS} turns of each length, answers of {ANSWER_MS / 1000:g} s, "
            "shipped persona and tools; real dialogue, link and wire, in virtual time. Tokens are "
            "those of the side question of one turn (`usage` of its response), money is "
            "**thousandths of a US cent per turn**: tokens times `config/providers.toml`, minutes "
            "of committed sound times the transcribers' list prices ("
            + ", ".join(f"{name} {price:g} USD" for name, price in TRANSCRIBERS.items())
            + " per minute).",
            "",
            "| " + " | ".join(heads) + " |",
            "|---" * len(heads) + "|",
            *table,
            "",
            "How to read it:",
            "",
            "* **`builtin` with gpt-transcribe is the cheapest**, and it hears the turn alone. "
            "Another transcriber may cost more than the small model asked out of band.",
            "* Beside the answer itself either is small: a twelfth of it for a question of three "
            "seconds.",
            "* **Out of band** reads the turn's sound once more, at full price: a side question "
            "about one item shares nothing with the talk that a cache could serve. The tools are "
            "left out of it; with them each would cost several times as much.",
            "* **One earlier item** (`transcription.context_items`) is here the answer before, six "
            "seconds of sound: it is read at full price with every turn.",
            "* How much each way gets right is on another page: [word_errors.md](word_errors.md).",
            '* With `transcription = "off"` only turns that answer a question for consent are '
            "written down, each at the price of one out-of-band turn. What the provider's own "
            "transcriber costs is not in the `usage` of the answer; it is counted by the minute "
            "where providers.toml has its price.",
            "* The simulated provider counts 1 token per 100 ms of the household's sound and about "
            "1 per 4 characters of text; real counts of text differ by language.",
            "",
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transcription", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args(arguments)
    table = rows()
    print("\n".join(table))
    chosen.out.write_text(report(table, "python -m benchmarks.transcription"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
