#!/usr/bin/env bash
# Set up what is missing, then measure: latencies, cut-off, reconnect, load, start time.
# Options go to the benchmark runner (see --help).  Leave the machine alone while it runs.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

setup dev
cd -- "$ROOT"
exec "$VENV/bin/python" -m benchmarks.run "$@"
