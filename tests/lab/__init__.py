"""Parts that only tests, benchmarks and scripts need: `long_talk`, `note_taker`, `wake_check`.

The package never imports them.  A benchmark or script puts `tests/` on its path first.
"""
