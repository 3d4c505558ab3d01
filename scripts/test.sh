#!/usr/bin/env bash
# Set up what is missing, then the whole check: format, lint, types, tests.
#   scripts/test.sh                     everything
#   scripts/test.sh tests/dialogue -k gate    the rest of the line goes to pytest (paths from the checkout)
#   scripts/test.sh -n 0 tests/dialogue       one test after another, as plain `pytest` does: for a debugger
# Ends with 0 only if every check passed; pytest's own summary is the last of the tests' output.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

setup dev
cd -- "$ROOT"
export PATH="$VENV/bin:$PATH" # the tests' sound server may live there
unset PYTHONDONTWRITEBYTECODE  # sixty programs are started: each would compile the package anew

failed=()
check() { # check "name" command...
    local name=$1 start=$SECONDS
    shift
    if "$@"; then
        say "$name: passed ($((SECONDS - start)) s)"
    else
        failed+=("$name")
        say "$name: FAILED ($((SECONDS - start)) s)"
    fi
}

check "format (ruff format)" "$VENV/bin/ruff" format --check --quiet .
check "lint (ruff check)" "$VENV/bin/ruff" check --quiet .
check "types (mypy --strict)" "$VENV/bin/mypy" --no-error-summary
# Everything runs even when an early check failed: one run tells all.
# One worker per core; tests/workers.py says which tests stay together.
check "tests (pytest)" "$VENV/bin/python" -m pytest --numprocesses logical "$@"

if ((${#failed[@]})); then
    printf -v list '%s, ' "${failed[@]}"
    fail "not passed: ${list%, }."
fi
