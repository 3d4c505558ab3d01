# shellcheck shell=bash
# The parts of the test suite that need no real time, in the arm64 machine.  Sourced by
# `scripts/lab-arm.sh`.  What has passed at this commit is not run again: it may be stopped at any
# moment and goes on where it was.  Tests with made-up examples draw 20 of them there, not 100, but for
# those which say how many they want (profile `lab` in tests/conftest.py).
# shellcheck disable=SC2154 # LAB, ROOT and the functions of the others come from who sources this

PARTS=(dialogue host realtime audio tools cli contract panel) # the long ones first
LANES=2                                                       # parts at a time: the machine has two cores
LEFT_OUT=$HERE/left_out.txt
DONE=$LAB/suite # a file for each part: what has passed, and in how many seconds

suite() {
    if [[ ${1:-} == --list ]]; then
        printf 'parts: %s\nmade-up examples: 20 a test where it does not say how many\nleft out:\n' "${PARTS[*]}"
        sed 's/^/  /' "$LEFT_OUT"
        return
    fi
    needs_installed
    local commit packages part lanes=()
    commit=$(git -C "$ROOT" rev-parse HEAD)
    packages="$(<"$LAB/installed.commit") $(lean | sha256sum)"
    if [[ ! -e $LAB/suite.qcow2 || $(cat "$LAB/suite.packages" 2>/dev/null) != "$packages" ]]; then
        rm -rf -- "$DONE" "$LAB/suite.packages" "$LAB/suite.commit"
        layer "$LAB/suite.qcow2" "$LAB/installed.qcow2"
        up "$LAB/suite.qcow2"
        install_packages || fail "the suite's packages could not be installed (details in $LOG)."
        echo "$packages" >"$LAB/suite.packages"
    else
        up "$LAB/suite.qcow2"
    fi
    inside 'systemctl stop edge-agent lab-room lab-provider'
    push_programs
    if [[ $(cat "$LAB/suite.commit" 2>/dev/null) != "$commit" ]]; then
        rm -rf -- "$DONE" "$LAB/suite.commit"
        clone HEAD
        inside sync
        echo "$commit" >"$LAB/suite.commit"
    fi
    mkdir -p -- "$DONE"
    for part in "${@:-${PARTS[@]}}"; do
        [[ -d $ROOT/tests/$part ]] || fail 2 "there is no part $part; there are: ${PARTS[*]}"
        if ((${#lanes[@]} == LANES)); then next_lane; fi
        run_part "$part" &
        lanes+=("$!")
    done
    while ((${#lanes[@]})); do next_lane; done
    down
    suite_table
}

# What the tests need and the installed speaker has not.  Other tests need no other packages: they are
# installed again only with another speaker or another lock.
lean() { "$PYTHON" "$HERE/guest/lean.py" "$ROOT/requirements"; }

install_packages() {
    inside 'systemctl stop edge-agent lab-room lab-provider'
    lean | inside 'cat >/srv/suite.txt'
    # The product's own packages are taken as they are installed: what passes, passes with those.
    quietly "installing what the tests need" inside 'python3 -m venv /srv/suite &&
        echo /opt/edge-agent/venv/lib/python3*/site-packages >$(echo /srv/suite/lib/python3*/site-packages)/product.pth &&
        /srv/suite/bin/python -m pip install -q --no-compile --only-binary :all: --require-hashes --no-deps -r /srv/suite.txt' || return 1
    trap leave EXIT # `quietly` has one of its own
}

# next_lane: waits until one of suite's `lanes` is free.
next_lane() {
    local ended="" pid status=0 still=()
    wait -n -p ended "${lanes[@]}" 2>/dev/null || status=$?
    if [[ -z ${ended-} ]]; then # one had ended before: then `wait -n` knows none of them
        ended=${lanes[0]} status=0
        wait "$ended" || status=$?
    fi
    if ((status)); then FAILED=1; fi
    for pid in "${lanes[@]}"; do [[ $pid == "$ended" ]] || still+=("$pid"); done
    lanes=("${still[@]}")
}

# run_part PART: what of it has not passed yet; to its end, whatever fails.  Its exit code is pytest's.
run_part() {
    trap - EXIT # the machine is not ours to end
    local part=$1 known=$DONE/$1 ignored=() file rest
    touch -- "$known"
    sed -i '/^passed/!d' "$known"
    while read -r file rest; do
        if [[ $file == "tests/$part/"* ]]; then ignored+=("--$([[ $file == *::* ]] && echo deselect || echo ignore)=$file"); fi
    done < <(grep -v '^#' "$LEFT_OUT"; sed -n 's/^passed //p' "$known")
    say "$part: ${#ignored[@]} files have passed or are left out"
    : >"$known.txt" # `tail` may be there before ssh
    # Exit code 5: nothing is left to be run.
    inside "su pi -c 'cd /home/pi/edge-agent && PYTHONPATH=.:tests TESTS_PATIENCE=10 nice /srv/suite/bin/python -m pytest -p lab_arm.guest.progress -n 0 -rs --hypothesis-profile=lab tests/$part ${ignored[*]} 2>&1; exit \$((\$? == 5 ? 0 : \$?))'" \
        >"$known.txt" 2>&1 &
    local run=$! status=0
    tail -f --pid "$run" "$known.txt" 2>/dev/null | grep --line-buffered -E '^(passed|FAILED) tests/[^:]*$' | tee -a "$known" || true
    wait "$run" || status=$?
    if ((status)); then tail -n 30 "$known.txt"; fi
    return "$status"
}

# What is known of each part: a file that failed, or was never reached, is not among what passed.
suite_table() {
    local part
    printf '%-9s %6s %7s %9s %7s\n' part files tests skipped seconds
    for part in "${PARTS[@]}"; do
        [[ -e $DONE/$part ]] || continue
        awk -v part="$part" '/^passed/ {n++; tests += $3; s += $5; skipped += $7} /^FAILED/ {bad++}
            END {printf "%-9s %6d %7d %9d %7.0f%s\n", part, n, tests, skipped, s, bad ? "  FAILED: " bad : ""}' "$DONE/$part"
    done
}
