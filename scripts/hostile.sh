#!/usr/bin/env bash
# The real daemon against hostile servers and askers; figures go to benchmarks/hostile.md.
#   scripts/hostile.sh [--only CASE ...] [--seconds S] [--frames N]
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

setup dev
cd -- "$ROOT"
export PYTHONPATH="$ROOT:$ROOT/tests:$ROOT/tests/hostile:$ROOT/tests/known_breaks:$ROOT/tests/dialogue"
exec "$VENV/bin/python" tests/hostile/hostile_run.py --out benchmarks/hostile.md "$@"
