# shellcheck shell=bash
# Set-up shared by the scripts in this folder: what it needs, Python, `.venv`, the locked packages;
# system packages are in lib_apt.sh.  Sourced, never run.  Call `setup run|demo|dev` and then use
# `$VENV/bin/...`.
#
# It may be stopped at any step, also by a power cut: the next run makes good what is half done.
# Must never: print a traceback to a person, touch anything outside the checkout except through
# apt, remove a system package, or use the network when everything is already there.

set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV="${EDGE_AGENT_VENV:-$ROOT/.venv}" # the installer puts it elsewhere
STATE="$VENV/edge-agent.setup"         # what is in the venv: one small file per fact
LOG="$VENV/setup.log"
WHEELS=              # --wheels: a folder that scripts/wheels.sh made, in place of the registry
PROFILE=demo         # what is set up: run, demo or dev
REUSE=               # another venv, whose packages are taken over if they are those of the lock
TAKEN=               # they are
HEARTBEAT_S=15       # a person takes a minute of silence for a hang
EXIT_UNAVAILABLE=69  # sysexits.h EX_UNAVAILABLE: something this machine must get first

# Megabytes of disk, measured on a bare Debian 13 (amd64); arm64 needs no more.
declare -A VENV_MB=([run]=160 [demo]=260 [dev]=430) # the finished venv
PROGRAM_MB=15                                       # ours alone, where the other packages are there
TMP_MB=40                                           # what pip unpacks and builds in, at most
LISTS_MB=165     # package lists and apt's caches of them
COMPILER_MB=365  # gcc, headers and libraries, with their archives
SOUND_SERVER_MB=305 # what the tests call: PulseAudio, systemd and the rest, with their archives

# A stranger's Python settings would leak into the venv; a pip "user = true" breaks every venv.
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX PIP_REQUIRE_HASHES PIP_NO_BINARY PIP_ONLY_BINARY
export PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }

# One sentence on stderr, with the remedy in it, and a non-zero end.
fail() {
    local status=1
    if [[ $1 =~ ^[0-9]+$ ]]; then
        status=$1
        shift
    fi
    printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
    exit "$status"
}

# Ctrl-C.  Programs that we wait for get it too; what they leave half done the next run mends.
on_stop() {
    trap - INT
    fail 130 "stopped; start it again whenever you like."
}
trap on_stop INT

# quietly "what it does" command...: output to the log, a line now and then so that nobody waits
# in the dark.  Returns the command's own status.
quietly() {
    local what=$1 beat status=0
    shift
    say "$what"
    # Waiting on a pipe that stays silent, not in `sleep`: killing this leaves nothing behind that
    # would hold our output open.
    (
        exec 8<&- 9<&- {silent}<> <(:)
        until read -r -t "$HEARTBEAT_S" -u "$silent"; do
            kill -0 $$ 2>/dev/null || exit 0 # the script was killed
            say "still $what"
        done
    ) &
    beat=$!
    # shellcheck disable=SC2064 # the id of now is meant
    trap "kill $beat 2>/dev/null || true" EXIT
    # Our locks (8, 9) stay with it: should we be killed, the next run waits until it has ended.
    # A shell of its own: what Ctrl-C makes us say must not go into the log.
    ("$@") >>"$LOG" 2>&1 </dev/null || status=$?
    kill "$beat" 2>/dev/null || true
    wait "$beat" 2>/dev/null || true
    trap - EXIT
    ((status != 130)) || on_stop
    return "$status"
}

# ---------------------------------------------------------------------------------- Python

# Prints "3.11.2" when "$1" is an interpreter we support, nothing otherwise.
python_version() {
    "$1" -c 'import sys
if (3, 11) <= sys.version_info[:2] <= (3, 13):
    print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || true
}

# Sets PYTHON to the interpreter to build with: the one asked for, else the system's.
find_python() {
    local candidate
    if [[ -n ${PYTHON:-} ]]; then
        [[ -n $(python_version "$PYTHON") ]] ||
            fail $EXIT_UNAVAILABLE "PYTHON=$PYTHON is not a working Python 3.11, 3.12 or 3.13; leave PYTHON unset or name one."
        return
    fi
    # The distribution's own first: its headers and venv module are one apt package away.
    for candidate in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if [[ -n $(python_version "$candidate") ]]; then
            PYTHON=$candidate
            return
        fi
    done
    if command -v python3 >/dev/null; then
        fail $EXIT_UNAVAILABLE "Python 3.11, 3.12 or 3.13 is needed and this machine has $(python3 -V 2>&1); use Debian 12 or newer, or name another one: PYTHON=/path/to/python3.11 $0"
    fi
    fail $EXIT_UNAVAILABLE "Python is missing; run: sudo apt-get update && sudo apt-get install -y python3 python3-venv python3-dev"
}

# ------------------------------------------------------------------------------ what it needs

# system_mb packages...: what they take below /usr and /var, at most.
system_mb() {
    local mb=0
    (($#)) && mb=$LISTS_MB
    if [[ " $* " == *" gcc "* ]]; then mb=$((mb + COMPILER_MB)); fi
    if [[ " $* " == *" pulseaudio "* ]]; then mb=$((mb + SOUND_SERVER_MB)); fi
    echo "$mb"
}

# Prints the nearest folder above "$1" that is there.
existing() {
    local place=$1
    while [[ ! -e $place ]]; do place=$(dirname -- "$place"); done
    echo "$place"
}

used_mb() { if [[ -d $1 ]]; then du -sm -- "$1" 2>/dev/null | cut -f1; else echo 0; fi; }

# unmet_needs MB packages...: a line for everything that stands in the way.
unmet_needs() {
    local mb=$1 place need free mount
    shift
    local -A needs=() free_mb=()
    place=$(existing "$VENV")
    [[ -d $place && -w $place ]] ||
        echo "cannot write to $VENV; name a folder of your own: EDGE_AGENT_VENV=\"\$HOME/edge-agent-venv\" $0"
    for need in "$mb $place" "$TMP_MB ${TMPDIR:-/tmp}" "$(system_mb "$@") /usr"; do
        read -r _ _ _ free _ mount < <(df -Pm -- "${need#* }" 2>/dev/null | tail -n 1) || continue
        needs[$mount]=$((${needs[$mount]:-0} + ${need%% *}))
        free_mb[$mount]=$free
    done
    for mount in "${!needs[@]}"; do
        ((needs[$mount] <= free_mb[$mount])) ||
            echo "about ${needs[$mount]} MB are needed in $mount, and ${free_mb[$mount]} MB are free; make room and start again."
    done
    if (($#)); then (can_install "$@") 2>&1 >/dev/null | sed "s/^${0##*/}: //" || true; fi
}

# Says what is needed, and fails with all that is missing at once, before anything is changed.
check_needs() {
    local profile=$1 mb unmet from="the network"
    shift
    mb=$((VENV_MB[$profile] - $(used_mb "$VENV")))
    ((mb > 0)) || mb=0
    if [[ -n $TAKEN ]]; then
        mb=$PROGRAM_MB
        from="the packages of the version before"
    elif [[ -n $WHEELS ]]; then
        check_wheels "$profile"
        from="wheels from $WHEELS"
    fi
    if (($#)); then from+=", from Debian $*"; fi
    say "needs $mb MB in $VENV, $from"
    unmet=$(unmet_needs "$mb" "$@")
    if [[ $unmet == *$'\n'* ]]; then
        fail $EXIT_UNAVAILABLE "this is missing:"$'\n    '"${unmet//$'\n'/$'\n    '}"
    elif [[ -n $unmet ]]; then
        fail $EXIT_UNAVAILABLE "$unmet"
    fi
}

# ---------------------------------------------------------------------------- wheels at hand

# take_wheels FOLDER: the value of --wheels.
take_wheels() {
    [[ -n ${1:-} && -d $1 ]] || fail 2 "--wheels needs a folder that scripts/wheels.sh made."
    WHEELS=$(cd -- "$1" && pwd -P)
}

# What a folder of wheels is good for: this machine's Python, and what is locked.
wheels_fit() {
    "$1" -c 'import platform, sys; print("Python %d.%d" % sys.version_info[:2], "on", platform.machine())'
    echo "locks $(lock_hash demo) $(lock_hash mcp)"
}

check_wheels() {
    local python=${PYTHON:-$VENV/bin/python} wanted found
    wanted=$(wheels_fit "$python")
    found=$(cat -- "$WHEELS/fits" 2>/dev/null) || fail 2 "$WHEELS is no finished folder of wheels; make it on a machine with network: scripts/wheels.sh $WHEELS"
    [[ $wanted == "$found" ]] || fail 2 "the wheels in $WHEELS are for ${found%%$'\n'*}, or for another version of edge-agent; make them anew, on a machine like this (${wanted%%$'\n'*}) and from this version: scripts/wheels.sh $WHEELS"
}

# Prints the file of requirements for a lock.
lock_file() { echo "${WHEELS:-$ROOT/requirements}/$1.txt"; }

# ------------------------------------------------------------------------------------ venv

show_log() {
    # On a build machine the log is gone when somebody wants to read it.
    if [[ -n ${CI:-} ]]; then tail -n 60 -- "$LOG" >&2; fi
}

pip_failed() {
    show_log
    if grep -q 'Operation cancelled by user' "$LOG"; then
        fail 130 "stopped; start it again whenever you like."
    elif grep -q 'DO NOT MATCH THE HASHES' "$LOG"; then
        fail "a downloaded package is not the one that was locked, so nothing of it was installed; try again, and from another network if it stays (details in $LOG)."
    elif grep -q 'No space left on device' "$LOG"; then
        fail $EXIT_UNAVAILABLE "the disk is full: about ${VENV_MB[$PROFILE]} MB are needed in $VENV, and $TMP_MB MB in ${TMPDIR:-/tmp}; make room and start again."
    elif grep -qi 'Failed to establish a new connection\|name resolution\|Network is unreachable\|Max retries exceeded\|timed out\|ProxyError\|ConnectionResetError\|IncompleteRead' "$LOG"; then
        fail $EXIT_UNAVAILABLE "the Python package registry cannot be reached; connect this machine to the internet and start again."
    elif grep -qi 'failed building wheel\|failed-wheel-build\|fatal error: ' "$LOG"; then
        fail "a package could not be compiled (details in $LOG)."
    fi
    fail "the Python packages could not be installed (details in $LOG)."
}

# The smaller profiles are parts of the larger ones, so a larger one serves.
profiles_with() {
    case $1 in
    run) echo run demo dev ;;
    demo) echo demo dev ;;
    dev) echo dev ;;
    *) fail "setup knows run, demo and dev, not $1." ;;
    esac
}

lock_hash() { cat -- "$ROOT/requirements/build.txt" "$ROOT/requirements/$1.txt" | sha256sum | cut -c1-16; }
project_hash() { cat -- "$ROOT/pyproject.toml" "$ROOT/setup.py" | sha256sum | cut -c1-16; }
fact() { cat -- "$STATE/$1" 2>/dev/null || true; }

# Prints "ready", "add" (the venv is sound, packages are to be added) or "make".
venv_state() {
    local profile=$1 version stamped
    version=$(python_version "$VENV/bin/python")
    if [[ -z $version || -e $STATE/unfinished ]]; then
        echo make
        return
    fi
    if [[ -n ${PYTHON:-} && $(python_version "$PYTHON") != "$version" ]]; then
        echo make
        return
    fi
    if [[ ! -d $STATE ]]; then
        # Somebody made it by hand: keep it if pip works there, and bring it to the lock.
        if "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then echo add; else echo make; fi
        return
    fi
    # A venv knows its own path, and a distribution upgrade changes the Python beneath it.
    if [[ $(fact home) != "$ROOT $VENV $version" ]]; then
        echo make
        return
    fi
    for stamped in run demo dev; do
        # Another lock: start afresh, or packages that left the lock would stay.
        if [[ -e $STATE/$stamped && $(fact "$stamped") != "$(lock_hash "$stamped")" ]]; then
            echo make
            return
        fi
    done
    for stamped in $(profiles_with "$profile"); do
        if [[ -e $STATE/$stamped && $(fact project) == "$(project_hash)" ]]; then
            echo ready
            return
        fi
    done
    echo add
}

pip_install() {
    local from=()
    if [[ -n $WHEELS ]]; then from=(--no-index --find-links "$WHEELS"); fi
    "$VENV/bin/python" -m pip install --no-build-isolation "${from[@]}" "$@"
}
pip_locked() { pip_install --require-hashes -r "$(lock_file "$1")"; }

# Whether $VENV may be removed: not there, one that Python or we made, or nothing but our log.
is_venv() {
    local place
    for place in / "$ROOT" "${HOME:-/}"; do
        if [[ $VENV -ef $place ]]; then return 1; fi
    done
    [[ ! -e $VENV || -f $VENV/pyvenv.cfg || -d $STATE ]] ||
        [[ -d $VENV && -z $(find "$VENV/" -mindepth 1 ! -path "$VENV/setup.log" -print -quit) ]]
}

# Leaves $VENV with nothing but our word that it is unfinished, which comes first: whoever is stopped
# here or later finds it.
clear_venv() {
    mkdir -p -- "$STATE" && touch -- "$STATE/unfinished" &&
        find "$VENV/" -mindepth 1 -maxdepth 1 ! -path "$VENV/edge-agent.setup" -exec rm -rf -- {} + &&
        find "$STATE/" -mindepth 1 ! -name unfinished -delete && : >"$LOG"
}

imports() { "$1/bin/python" -c 'import pyaudio, systemd.journal, webrtcvad, numpy'; }

# Whether the packages in $REUSE are what profile "$1" needs, for this Python.
can_reuse() {
    [[ -n $REUSE && ! -e $REUSE/edge-agent.setup/unfinished ]] &&
        [[ $(python_version "$REUSE/bin/python") == "$(python_version "$PYTHON")" ]] &&
        [[ $(cat -- "$REUSE/edge-agent.setup/$1" 2>/dev/null) == "$(lock_hash "$1")" ]] && imports "$REUSE" 2>/dev/null
}

packages_of() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

# The same files under a second name, which takes no time and no room: pip replaces whole files.
take_packages() {
    local from to
    from=$(packages_of "$REUSE") to=$(packages_of "$VENV")
    cp -al -- "$from/." "$to/" || cp -a -- "$from/." "$to/" || return
    if [[ -e $REUSE/edge-agent.setup/mcp ]]; then cp -- "$REUSE/edge-agent.setup/mcp" "$STATE/"; fi
}

make_venv() {
    if [[ -n $TAKEN ]]; then
        quietly "making the virtual environment with the packages of the one before" "$PYTHON" -m venv --without-pip "$VENV" &&
            take_packages >>"$LOG" 2>&1
    else
        quietly "making the virtual environment" "$PYTHON" -m venv "$VENV"
    fi || fail "the virtual environment could not be made (details in $LOG)."
}

link_program() {
    quietly "installing edge-agent from this checkout" pip_install --no-index --no-deps -e "$ROOT" || pip_failed
}

# fill_venv PROFILE COMMAND: the locked packages, then COMMAND installs the program.
fill_venv() {
    local profile=$1 count
    touch -- "$STATE/unfinished"
    count=$(grep -c '==' "$(lock_file "$profile")")
    if [[ -z $TAKEN ]]; then
        # What builds the few packages without wheels is locked like everything else.
        quietly "installing the build tools" pip_locked build || pip_failed
        quietly "installing $count packages" pip_locked "$profile" || pip_failed
    fi
    "$2"
    imports "$VENV" >>"$LOG" 2>&1 || pip_failed
    printf '%s\n' "$(lock_hash "$profile")" >"$STATE/$profile"
    printf '%s\n' "$(project_hash)" >"$STATE/project"
    printf '%s\n' "$ROOT $VENV $(python_version "$VENV/bin/python")" >"$STATE/home"
    sync -f -- "$STATE" # a power cut must not leave empty files below a finished mark
    rm -- "$STATE/unfinished"
}

# A 64-bit kernel may carry a 32-bit system (older Raspberry Pi OS): numpy, msgspec, the echo
# canceller and the wake words are made for 64 bits only.
refuse_32_bits() {
    [[ $(getconf LONG_BIT) != 32 ]] || fail $EXIT_UNAVAILABLE "this system has 32 bits, and edge-agent needs 64: install Raspberry Pi OS (64-bit) or 64-bit Debian."
}

# setup run|demo|dev [COMMAND that installs the program]: everything that profile needs, or a
# sentence.  Says nothing and uses no network when it is all there already.
setup() {
    local profile=$1 program=${2:-link_program} state packages
    PROFILE=$profile
    refuse_32_bits
    if command -v flock >/dev/null; then
        # Two scripts started together: the second waits, then finds everything done.
        exec 9<"$ROOT"
        flock -n 9 || { say "waiting for another set-up of this checkout" && flock 9; }
    fi
    state=$(venv_state "$profile")
    if [[ $state == make ]]; then find_python; fi
    if [[ $state == ready ]]; then
        packages=$(if [[ $profile == dev ]]; then missing_test_packages; fi)
    else
        packages=$(missing_packages "$profile" "${PYTHON:-$VENV/bin/python}")
        if [[ $state == make ]]; then
            say "setting up in $VENV with $("$PYTHON" -V)"
            if can_reuse "$profile"; then TAKEN=yes; fi
            is_venv || fail 2 "$VENV is no virtual environment, and nothing in it is touched; name another folder: EDGE_AGENT_VENV=/path/to/folder $0"
        fi
        # shellcheck disable=SC2086 # a list of names
        check_needs "$profile" $packages
        if [[ $state == make ]]; then clear_venv; else : >"$LOG"; fi 2>/dev/null ||
            fail $EXIT_UNAVAILABLE "cannot write to $VENV; remove that folder, or name another: EDGE_AGENT_VENV=\"\$HOME/edge-agent-venv\" $0"
    fi
    mend_dpkg
    # shellcheck disable=SC2086 # a list of names
    install_packages $packages
    if [[ $state == make ]]; then make_venv; fi
    if [[ $state != ready ]]; then
        fill_venv "$profile" "$program"
        say "set-up done"
    fi
    if command -v flock >/dev/null; then exec 9<&-; fi
}

source "$ROOT/scripts/lib_apt.sh"
