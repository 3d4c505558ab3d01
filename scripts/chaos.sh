#!/usr/bin/env bash
# Faults at every phase of a talk, thousands of times; figures go to benchmarks/chaos.{json,md}.
#   scripts/chaos.sh [--schedules N] [--seconds S] [--first SEED]   random schedules (default 10000)
#   scripts/chaos.sh --seed N                                       one schedule again, told in full
#   scripts/chaos.sh --as xai [--schedules N] [--seed N]            against a service as it was recorded
#   scripts/chaos.sh --sockets                                      real sockets, dropped by nftables
# Delay, loss and slow lines on real sockets (netem): scripts/lab.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

setup dev
cd -- "$ROOT"
export PYTHONPATH="$ROOT:$ROOT/tests/chaos"
if [[ ${1:-} == --sockets ]]; then
    shift
    exec "$VENV/bin/python" tests/chaos/chaos_sockets.py --out benchmarks "$@"
fi
if [[ " $* " == *" --seed "* || " $* " == *" --as "* ]]; then
    exec "$VENV/bin/python" tests/chaos/chaos_run.py "$@"
fi
exec "$VENV/bin/python" tests/chaos/chaos_run.py --out benchmarks "$@"
