#!/usr/bin/env bash
# Deliberate defects, one at a time in a copy of the tree: does a test or the referee notice?
# Results go to benchmarks/mutants.{json,md}; an interrupted hunt goes on where it was.
#   scripts/mutants.sh                 all that has no result for the source as it is
#   scripts/mutants.sh --only NAME     one of them again
#   scripts/mutants.sh --jobs N        so many at once (default: the number of cores)
#   scripts/mutants.sh --page          write the page anew from the results there are
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

setup dev
cd -- "$ROOT"
export PYTHONPATH="$ROOT:$ROOT/tests/mutants"
exec "$VENV/bin/python" tests/mutants/hunt.py "$@"
