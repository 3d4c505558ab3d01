#!/usr/bin/env bash
# Hours of household life in virtual time; figures and a picture go to benchmarks/soak.*.
#   scripts/soak.sh [--hours 24] [--seed N] [--full-minutes 10]
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

setup dev
cd -- "$ROOT"
export PYTHONPATH="$ROOT:$ROOT/tests/chaos"
exec "$VENV/bin/python" tests/chaos/chaos_soak.py --out benchmarks "$@"
