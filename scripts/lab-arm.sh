#!/usr/bin/env bash
# A Raspberry Pi to try the speaker on, without one: an arm64 Debian 13 in QEMU with Debian's own
# kernel, systemd, ALSA and GPIO lines, whose device tree says "Raspberry Pi 4".
#   scripts/lab-arm.sh                 all of it: build, install by the README, an evening; a table
#   scripts/lab-arm.sh build           the machine; once, cached
#   scripts/lab-arm.sh install         a fresh one: git clone, install.sh as pi, the upgrade
#   scripts/lab-arm.sh upgrade         the installed one to what is checked out here; five minutes
#   scripts/lab-arm.sh play [NAME...]  the evening, or single checks of it, on the installed one
#   scripts/lab-arm.sh cost [NAME...]  instructions per second, memory: benchmarks/boards.*
#   scripts/lab-arm.sh boards          tests/lab/boards.py: cards opened and busy, lines of GPIO
#   scripts/lab-arm.sh suite [PART...] the parts of the test suite that need no real time; --list
#   scripts/lab-arm.sh up [--icount]   a machine to look at; then: sh COMMAND, press [S], light, down
#
# Two clocks.  Installing and the suite take this machine's time, on two emulated cores.  The evening
# and the costs take the instruction clock: one instruction is a nanosecond, so that the guest is a
# processor of exactly 1000 million instructions a second, whose clock waits while we are slow.  A busy
# host changes no count.  But while the guest waits for nothing its clock is ours, and a host that wakes
# it late makes holes in its sound: with a load of 8 on two cores there were some in each evening.
#
# Needs: Debian 12 or 13 on amd64, root, some 400 MB from the archive, 6 GB of disk in
# $EDGE_AGENT_LAB_ARM (~/.cache/edge-agent-lab-arm; remove that folder to be rid of it).  To build it
# took eight and a half minutes on two cores; all the rest is emulated, and wants both of them for an
# hour or more.  Ends with 0 only if every check holds.
#
# How far it was tried, on two cores that others used as well: `build` (554 s), `install` (8 of 8 checks,
# 24 minutes), `upgrade` (3 of 3, three to five minutes), `play` (all 14 checks in one evening, ten minutes,
# with a load of 3 to 6), `cost` (15 to 25 minutes), `boards` (31 of 31, 3 minutes) and `suite` (45 to 65
# minutes) ran to their end.  Of the suite 162 files, 5,173 tests, passed in one run; what had failed in the
# four others passed in later ones, or asks foreign packages that are not there and is left out now.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

LAB=${EDGE_AGENT_LAB_ARM:-${XDG_CACHE_HOME:-$HOME/.cache}/edge-agent-lab-arm}
LOG=$LAB/setup.log
HERE=$ROOT/tests/lab_arm
OLDER=${EDGE_AGENT_LAB_ARM_OLDER:-HEAD~1} # what is installed first and upgraded from
HISTORY=30                                # commits that the clone in the machine has
mkdir -p -- "$LAB"
source "$HERE/build.sh"
source "$HERE/machine.sh"
source "$HERE/suite.sh"

CHECKS=$LAB/checks.jsonl
FAILED=0

# holds "what" command...: a check of ours on the host's side; a row like those of guest/play.py.
holds() {
    local what=$1 begun=$SECONDS status=0 said
    shift
    "$@" >"$LAB/last.txt" 2>&1 || status=$?
    said=$(tail -n 1 "$LAB/last.txt")
    if ((status)); then
        FAILED=1
        tail -n 25 "$LAB/last.txt" | sed 's/^/      /'
    fi
    printf '%s %7d s  %s\n' "$( ((status)) && echo BAD || echo 'ok ')" "$((SECONDS - begun))" "$what"
    "$PYTHON" -c 'import json, sys
what, status, seconds, said = sys.argv[1:]
print(json.dumps({"what": what, "holds": status == "0", "host_s": int(seconds), "said": said}))' \
        "$what" "$status" "$((SECONDS - begun))" "$said" >>"$CHECKS"
}

# checks NAME...: those of guest/play.py, in the machine.
checks() {
    inside "cd /srv/lab && rm -f /var/lib/lab/checks.jsonl && python3 -m lab_arm.guest.play $*" || FAILED=1
    inside cat /var/lib/lab/checks.jsonl >>"$CHECKS" || FAILED=1
}

table() {
    "$PYTHON" "$HERE/table.py" "$CHECKS"
}

# ------------------------------------------------------------------------------------- install

# clone COMMIT: the checkout as a household has it, a clone of pi's, at that commit.
clone() {
    local commit
    commit=$(git -C "$ROOT" rev-parse "$1")
    rm -rf -- "$LAB/checkout.git"
    git init -q --bare "$LAB/checkout.git"
    git -C "$LAB/checkout.git" fetch -q --depth "$HISTORY" "file://$ROOT" HEAD:refs/heads/lab
    tar -C "$LAB" -cf - checkout.git | inside 'rm -rf /srv/checkout.git /home/pi/edge-agent && tar -C /srv --no-same-owner -xf - && chown -R pi: /srv/checkout.git'
    as_pi_at /home/pi "git clone -q -b lab file:///srv/checkout.git edge-agent && cd edge-agent && git reset -q --hard $commit && git log --oneline -1"
}

as_pi_at() { inside "su - pi -c 'cd $1 && ${*:2}'"; }
as_pi() { as_pi_at /home/pi/edge-agent "$@"; }

first_install() { as_pi sudo scripts/install.sh | tee "$LAB/install.txt"; }

runs_version() { # the commit at HEAD of the clone is what runs
    inside 'at=$(su - pi -c "git -C edge-agent rev-parse --short=7 HEAD"); systemctl is-active edge-agent && edge-agent --version | grep "$at"'
}

install_it() {
    local disk=$LAB/installed.qcow2
    layer "$disk" "$LAB/disk.img"
    rm -f -- "$LAB/installed.commit" "$CHECKS"
    up "$disk"
    push_programs
    holds "a clone of the checkout, one commit old" clone "$OLDER"
    ((FAILED == 0)) || fail "without it there is nothing to install."
    holds "the board says what it is" inside "tr -d '\\0' </proc/device-tree/model | grep -x '$MODEL'"
    holds "sudo scripts/install.sh as pi, on a machine with nothing" first_install
    holds "it asks for a key, and for nothing else" grep 'Two lines are left for you' "$LAB/install.txt"
    holds "a provider that needs no key, and a restart" inside 'bash /srv/lab/lab_arm/guest/provision.sh && systemctl restart edge-agent && systemctl is-active edge-agent'
    holds "it runs the commit that was installed" runs_version
    holds "upgrade: git pull, sudo scripts/install.sh" as_pi 'git pull -q && sudo scripts/install.sh'
    holds "it runs the newer commit, with the settings of before" runs_version
    inside 'systemctl disable -q --now apt-daily.timer 2>/dev/null; sync' || true
    down
    ((FAILED)) || git -C "$ROOT" rev-parse HEAD >"$LAB/installed.commit"
}

# upgrade_it: nothing of it is kept unless all of it holds.
upgrade_it() {
    needs_installed
    layer "$LAB/upgraded.qcow2" "$LAB/installed.qcow2"
    rm -f -- "$CHECKS"
    up "$LAB/upgraded.qcow2"
    push_programs
    holds "a clone of what is checked out" clone HEAD
    holds "upgrade: sudo scripts/install.sh" as_pi sudo scripts/install.sh
    holds "it runs the newer commit, with the settings of before" runs_version
    inside sync
    down
    ((FAILED == 0)) || return 0
    rm -f -- "$LAB/installed.commit" "$LAB"/suite.* # those lie on the disk that changes now
    qemu-img commit -q "$LAB/upgraded.qcow2"
    rm -f -- "$LAB/upgraded.qcow2"
    git -C "$ROOT" rev-parse HEAD >"$LAB/installed.commit"
}

needs_installed() {
    [[ -e $LAB/installed.commit ]] || fail "nothing is installed in the machine yet; run: sudo $0 install"
    if [[ $(<"$LAB/installed.commit") != $(git -C "$ROOT" rev-parse HEAD) ]]; then
        say "note: $(cut -c1-7 "$LAB/installed.commit") is installed there, and not what is checked out here"
    fi
}

# evening [NAME...]: under the instruction clock, on a layer that is thrown away.
evening() {
    needs_installed
    layer "$LAB/play.qcow2" "$LAB/installed.qcow2"
    up "$LAB/play.qcow2" --icount
    push_programs
    if (($#)); then
        rm -f -- "$CHECKS"
        checks "$@"
    else
        checks before
        reboot_it
        checks after
        holds "uninstall --purge, as pi" as_pi sudo scripts/uninstall.sh --purge
        checks gone
    fi
    down
}

cost() {
    needs_installed
    layer "$LAB/play.qcow2" "$LAB/installed.qcow2"
    up "$LAB/play.qcow2" --icount
    push_programs
    inside "cd /srv/lab && python3 -m lab_arm.guest.cost $*" | tee "$LAB/cost.jsonl" || FAILED=1
    down
    # By its subject: a hash changes when a branch is moved.
    git -C "$ROOT" log -1 --format=%s "$(<"$LAB/installed.commit")" |
        "$PYTHON" -c 'import json, sys; print(json.dumps({"commit": sys.stdin.read().strip()}))' >>"$LAB/cost.jsonl"
    if ((FAILED == 0)); then (cd -- "$ROOT" && "$PYTHON" -m benchmarks.boards "$LAB/cost.jsonl"); fi
}

boards() {
    needs_installed
    layer "$LAB/play.qcow2" "$LAB/installed.qcow2"
    HDA=none # silence for its microphone, at the card's pace
    up "$LAB/play.qcow2" --icount
    push_programs
    inside 'systemctl stop edge-agent lab-room; cd /srv/lab && /opt/edge-agent/venv/bin/python lab/boards.py' || FAILED=1
    down
}

# ---------------------------------------------------------------------------------------- verbs

find_python
command=${1:-all}
(($# == 0)) || shift
case $command in
all)
    build
    install_it
    if ((FAILED == 0)); then evening; fi
    table || FAILED=1
    ;;
build) build ;;
install) build && install_it && table ;;
upgrade) upgrade_it && table ;;
play) evening "$@" && table ;;
cost) cost "$@" ;;
boards) boards ;;
suite) suite "$@" ;;
up)
    needs_installed
    layer "$LAB/play.qcow2" "$LAB/installed.qcow2"
    KEEP_RUNNING=yes
    up "$LAB/play.qcow2" "$@"
    push_programs
    ;;
sh) inside "$@" ;;
press) press "$@" ;;
light) light ;;
down) down ;;
-h | --help) sed -n '2,23s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
*) fail 2 "there is no $command; see: $0 --help" ;;
esac
exit "$FAILED"
