"""The bill of a long talk: what the table says is what the provider counted.

Thread: the test's, in virtual time.
"""

from __future__ import annotations

from house_config import household_summaries

from benchmarks.summaries import MODELS, Day, measure, prices_of

TURNS = 30
DAY = Day("one talk", TURNS, 0.0)


def test_notes_keep_the_input_short_and_the_cache_serves_the_question() -> None:
    without = measure(DAY, household_summaries("off"), TURNS)
    noted = measure(DAY, household_summaries("session", after_turns=10, keep_turns=3), TURNS)
    assert (without.summaries, noted.summaries) == (0, 3)
    assert without.known
    assert noted.known
    assert noted.longest_in < without.longest_in / 1.4
    assert noted.asides.audio_in == noted.asides.cached_audio_in > 0
    # Every turn's own sound is read fresh once, whatever is done about the old ones.
    fresh = [b.answers.audio_in - b.answers.cached_audio_in for b in (without, noted)]
    assert fresh[0] <= fresh[1], "removing old items empties the cache behind them"
    price = prices_of(MODELS)[MODELS[0]]
    assert noted.usd(price, cached=False) < without.usd(price, cached=False)
