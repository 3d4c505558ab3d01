# shellcheck shell=bash
# The parts of the test suite that need no real time, in the arm64 machine.  Sourced by
# `scripts/lab-arm.sh`.  What has passed at this commit is not run again: it may be stopped at any
# moment and goes on where it was.
# shellcheck disable=SC2154 # LAB, ROOT and the functions of the others come from who sources this

PARTS=(contract dialogue realtime host cli audio panel tools)
LEFT_OUT=$HERE/left_out.txt
DONE=$LAB/suite # one file a part: what has passed, and in how many seconds

suite() {
    if [[ ${1:-} == --list ]]; then
        printf 'parts: %s\nleft out:\n' "${PARTS[*]}"
        sed 's/^/  /' "$LEFT_OUT"
        return
    fi
    needs_installed
    local commit part
    commit=$(git -C "$ROOT" rev-parse HEAD)
    if [[ ! -e $LAB/suite.qcow2 || $(cat "$LAB/suite.commit" 2>/dev/null) != "$commit" ]]; then
        layer "$LAB/suite.qcow2" "$LAB/installed.qcow2"
        rm -rf -- "$DONE"
        up "$LAB/suite.qcow2"
        prepare_suite || fail "the suite's packages could not be installed (details in $LOG)."
        echo "$commit" >"$LAB/suite.commit"
    else
        up "$LAB/suite.qcow2"
    fi
    mkdir -p -- "$DONE"
    for part in "${@:-${PARTS[@]}}"; do run_part "$part"; done
    down
}

prepare_suite() {
    inside 'systemctl stop edge-agent lab-room lab-provider'
    push_programs
    clone HEAD
    # The product's own packages are taken as they are installed: what passes, passes with those.
    quietly "installing what the tests need" inside 'cd /home/pi/edge-agent && python3 -m venv /srv/suite &&
        echo /opt/edge-agent/venv/lib/python3*/site-packages >$(echo /srv/suite/lib/python3*/site-packages)/product.pth &&
        python3 /srv/lab/lab_arm/guest/lean.py requirements >/srv/suite.txt &&
        /srv/suite/bin/python -m pip install -q --no-compile --only-binary :all: --require-hashes --no-deps -r /srv/suite.txt' || return 1
    trap leave EXIT # `quietly` has one of its own
}

# run_part PART: what of it has not passed yet.
run_part() {
    local part=$1 known=$DONE/$1 ignored=() file rest
    [[ -d $ROOT/tests/$part ]] || fail 2 "there is no part $part; there are: ${PARTS[*]}"
    touch -- "$known"
    while read -r file rest; do
        if [[ $file == "tests/$part/"* ]]; then ignored+=("--$([[ $file == *::* ]] && echo deselect || echo ignore)=$file"); fi
    done < <(grep -v '^#' "$LEFT_OUT"; sed -n 's/^passed //p' "$known")
    say "$part: ${#ignored[@]} files have passed or are left out"
    # Exit code 5: nothing is left to be run.
    inside "su pi -c 'cd /home/pi/edge-agent && PYTHONPATH=.:tests nice /srv/suite/bin/python -m pytest -p lab_arm.guest.progress -x -n 0 tests/$part ${ignored[*]} 2>&1; exit \$((\$? == 5 ? 0 : \$?))'" \
        >"$LAB/suite.txt" 2>&1 &
    local run=$! status=0
    tail -f --pid "$run" "$LAB/suite.txt" 2>/dev/null | grep --line-buffered -E '^(passed|FAILED) ' | tee -a "$known" || true
    wait "$run" || status=$?
    if ((status)); then
        FAILED=1
        tail -n 30 "$LAB/suite.txt"
    fi
    say "$part: $(grep -c '^passed' "$known" || true) files, $(awk '/^passed/ {n += $3; s += $5} END {print n + 0 " tests passed in " s + 0 " s"}' "$known")"
}
