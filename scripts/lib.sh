# shellcheck shell=bash
# Set-up shared by the scripts in this folder: system packages, Python, `.venv`, the locked
# packages.  Sourced, never run.  Call `setup run|demo|dev` and then use `$VENV/bin/...`.
#
# Must never: print a traceback to a person, touch anything outside the checkout except through
# apt, remove a system package, or use the network when everything is already there.

set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV="${EDGE_AGENT_VENV:-$ROOT/.venv}" # the installer puts it elsewhere
STATE="$VENV/edge-agent.setup"         # what is in the venv: one small file per fact
LOG="$VENV/setup.log"
HEARTBEAT_S=15       # a person takes a minute of silence for a hang
APT_LOCK_WAIT_S=300  # a fresh machine runs unattended upgrades in its first minutes
NO_REMOVE_ERROR='Packages need to be removed but remove is disabled' # apt's own words
EXIT_UNAVAILABLE=69  # sysexits.h EX_UNAVAILABLE: something this machine must get first

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

# quietly "what it does" command...: output to the log, a line now and then so that nobody waits
# in the dark.  Returns the command's own status.
quietly() {
    local what=$1 beat status=0
    shift
    say "$what"
    # Waiting on a pipe that stays silent, not in `sleep`: killing this leaves nothing behind that
    # would hold our output open.
    (
        exec 9<&- {silent}<> <(:)
        until read -r -t "$HEARTBEAT_S" -u "$silent"; do say "still $what"; done
    ) &
    beat=$!
    # shellcheck disable=SC2064 # the id of now is meant
    trap "kill $beat 2>/dev/null || true" EXIT
    "$@" >>"$LOG" 2>&1 9<&- </dev/null || status=$?
    kill "$beat" 2>/dev/null || true
    wait "$beat" 2>/dev/null || true
    trap - EXIT
    ((status != 130)) || fail 130 "stopped; start it again whenever you like."
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

# ------------------------------------------------------------------------- system packages

# Prints the Debian packages that are missing for profile "$1" built with interpreter "$2".
# What is asked is whether the thing works, not whether a package of that name is installed.
missing_packages() {
    local profile=$1 python=$2 dotted
    if ! echo '#include <stdio.h>' | gcc -E - >/dev/null 2>&1; then echo gcc libc6-dev; fi
    command -v pkg-config >/dev/null || echo pkg-config
    if ! echo '#include <portaudio.h>' | gcc -E - >/dev/null 2>&1; then echo portaudio19-dev; fi
    if ! pkg-config --exists libsystemd 2>/dev/null; then echo libsystemd-dev; fi
    dotted=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    "$python" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || echo "$dotted-dev"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "$dotted-venv"
    # Without certificates no provider can be trusted, and the speaker stays alone.
    if [[ $profile == run ]]; then compgen -G '/etc/ssl/certs/?*' >/dev/null || echo ca-certificates; fi
    if [[ $profile == dev ]]; then missing_test_packages; fi
}

# The programs that tests call; looked at in every run, because nothing in the venv shows them.
missing_test_packages() {
    command -v pulseaudio >/dev/null || [[ -x $VENV/bin/pulseaudio ]] || echo pulseaudio
    command -v pactl >/dev/null || echo pulseaudio-utils
    compgen -G '/usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so' >/dev/null || echo libasound2-plugins
    command -v espeak-ng >/dev/null || echo espeak-ng
    command -v openssl >/dev/null || echo openssl
    command -v ip >/dev/null || echo iproute2
    # The program alone: nothing here starts systemd.
    command -v systemd-analyze >/dev/null && command -v journalctl >/dev/null || echo systemd
}

# The voice of questions for consent.  Without it what needs a yes is refused and all else works, so
# nothing here is fatal.
install_voice() {
    if command -v espeak-ng >/dev/null; then return 0; fi
    (install_packages espeak-ng) || say "note: without espeak-ng, tools that need your yes are refused"
}

# Runs apt-get as root, however root is to be had here.
as_root() {
    if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -y \
        -o "DPkg::Lock::Timeout=$APT_LOCK_WAIT_S" -o Dpkg::Use-Pty=0 "$@"
}

# `apt-get update` has no waiting of its own for the lock on its lists.
apt_update() {
    local until=$((SECONDS + APT_LOCK_WAIT_S)) mark
    while true; do
        mark=$(wc -l <"$LOG")
        if apt_get update; then return 0; fi
        if ! tail -n "+$((mark + 1))" "$LOG" | grep -q 'Could not get lock\|Unable to lock'; then return 1; fi
        ((SECONDS < until)) || return 1
        sleep 2
    done
}

# No package of the machine may go for ours: --no-remove turns that into an error.
apt_install() { apt_get install --no-install-recommends --no-remove "$@"; }

install_packages() {
    (($#)) || return 0
    local line="sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    command -v apt-get >/dev/null ||
        fail $EXIT_UNAVAILABLE "this is not a Debian system, so install what these Debian packages hold by hand and start again: $*"
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail $EXIT_UNAVAILABLE "system packages are missing; run as root: ${line//sudo /}"
        # With a person at the keyboard sudo may ask; without one it must not hang.
        if [[ -t 0 ]]; then
            sudo -p "sudo password, to install $*: " -v || fail $EXIT_UNAVAILABLE "system packages are missing; run: $line"
        fi
        sudo -n true 2>/dev/null || fail $EXIT_UNAVAILABLE "system packages are missing; run: $line"
    fi
    if compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null &&
        quietly "installing system packages: $*" apt_install "$@"; then
        return 0
    fi
    # No package lists, or lists so old that their files are gone.
    quietly "refreshing the package lists" apt_update || apt_failed "$line"
    if quietly "installing system packages: $*" apt_install "$@"; then return 0; fi
    # A desktop with PipeWire excludes the sound server of the tests, and its owner's sound stays.
    if [[ " $* " == *" pulseaudio "* ]] && grep -q "$NO_REMOVE_ERROR" "$LOG"; then
        private_pulseaudio "$@" || apt_failed "$line"
        return 0
    fi
    apt_failed "$line"
}

# PulseAudio unpacked into the venv beside the machine's own sound server: the libraries come from
# apt, the server itself is only started by the tests.  Takes the whole list that was refused.
private_pulseaudio() {
    local others=() name multiarch home=$VENV/pulseaudio modules
    for name in "$@" $(apt-cache depends --important pulseaudio | sed -n 's/^  Depends: \(lib[^ ]*\)$/\1/p'); do
        if [[ $name != pulseaudio ]]; then others+=("$name"); fi
    done
    quietly "installing the libraries of PulseAudio" apt_install "${others[@]}" || return 1
    mkdir -p -- "$home" "$VENV/bin"
    (cd -- "$home" && quietly "fetching PulseAudio into the venv" apt-get -q download pulseaudio) || return 1
    dpkg-deb -x "$home"/pulseaudio_*.deb "$home" || return 1
    multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
    modules=$(dirname -- "$(find "$home" -name module-null-sink.so | head -n 1)")
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH="%s"\nexec "%s" --dl-search-path="%s" "$@"\n' \
        "$home/usr/lib/$multiarch/pulseaudio:$home/usr/lib/$multiarch:$modules" "$home/usr/bin/pulseaudio" "$modules" \
        >"$VENV/bin/pulseaudio"
    chmod +x -- "$VENV/bin/pulseaudio"
}

apt_failed() {
    show_log
    if grep -q 'Could not get lock\|Unable to lock' "$LOG"; then
        fail $EXIT_UNAVAILABLE "another program keeps apt busy; wait for it to end and start again."
    elif grep -q "$NO_REMOVE_ERROR" "$LOG"; then
        fail $EXIT_UNAVAILABLE "a system package that we need would replace one that this machine uses, which is for you to decide; run: $1"
    elif grep -qi 'Could not resolve\|Temporary failure resolving\|Could not connect\|Network is unreachable' "$LOG"; then
        fail $EXIT_UNAVAILABLE "the package archive cannot be reached; connect this machine to the internet and start again."
    fi
    fail $EXIT_UNAVAILABLE "apt could not install the system packages (details in $LOG); run: $1"
}

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
        fail "the disk is full; about 700 MB are needed in $VENV."
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

pip_install() { "$VENV/bin/python" -m pip install --no-build-isolation "$@"; }

# Whether $VENV may be removed: not there, one that Python or we made, or nothing but our log.
is_venv() {
    local place
    for place in / "$ROOT" "${HOME:-/}"; do
        if [[ $VENV -ef $place ]]; then return 1; fi
    done
    [[ ! -e $VENV || -f $VENV/pyvenv.cfg || -d $STATE ]] ||
        [[ -d $VENV && -z $(find "$VENV/" -mindepth 1 ! -path "$VENV/setup.log" -print -quit) ]]
}

fill_venv() {
    local profile=$1 count
    touch -- "$STATE/unfinished"
    count=$(grep -c '==' "$ROOT/requirements/$profile.txt")
    # What builds the few packages without wheels is locked like everything else.
    quietly "installing the build tools" pip_install --require-hashes -r "$ROOT/requirements/build.txt" || pip_failed
    quietly "installing $count packages" pip_install --require-hashes -r "$ROOT/requirements/$profile.txt" || pip_failed
    quietly "installing edge-agent from this checkout" pip_install --no-index --no-deps -e "$ROOT" || pip_failed
    "$VENV/bin/python" -c 'import pyaudio, systemd.journal, webrtcvad, numpy' >>"$LOG" 2>&1 || pip_failed
    printf '%s\n' "$(lock_hash "$profile")" >"$STATE/$profile"
    printf '%s\n' "$(project_hash)" >"$STATE/project"
    printf '%s\n' "$ROOT $VENV $(python_version "$VENV/bin/python")" >"$STATE/home"
    rm -- "$STATE/unfinished"
}

# setup run|demo|dev: everything that profile needs, or a sentence.  Says nothing and uses no
# network when it is all there already.
# A 64-bit kernel may carry a 32-bit system (older Raspberry Pi OS): numpy, msgspec, the echo
# canceller and the wake words are made for 64 bits only.
refuse_32_bits() {
    [[ $(getconf LONG_BIT) != 32 ]] || fail $EXIT_UNAVAILABLE "this system has 32 bits, and edge-agent needs 64: install Raspberry Pi OS (64-bit) or 64-bit Debian."
}

setup() {
    local profile=$1 state packages
    refuse_32_bits
    if command -v flock >/dev/null; then
        # Two scripts started together: the second waits, then finds everything done.
        exec 9<"$ROOT"
        flock -n 9 || { say "waiting for another set-up of this checkout" && flock 9; }
    fi
    state=$(venv_state "$profile")
    if [[ $state == make ]]; then
        find_python
        say "setting up in $VENV with $("$PYTHON" -V)"
        is_venv || fail 2 "$VENV is no virtual environment, and nothing in it is touched; name another folder: EDGE_AGENT_VENV=/path/to/folder $0"
        rm -rf -- "$VENV" 2>/dev/null || fail "cannot remove $VENV; use a checkout of your own."
    fi
    if [[ $state != ready ]] && ! { mkdir -p -- "$STATE" && : >"$LOG"; } 2>/dev/null; then
        fail "cannot write to $VENV; use a checkout of your own, or remove that folder."
    fi
    if [[ $state == make ]]; then touch -- "$STATE/unfinished"; fi
    if [[ $state == ready ]]; then
        packages=$(if [[ $profile == dev ]]; then missing_test_packages; fi)
    else
        packages=$(missing_packages "$profile" "${PYTHON:-$VENV/bin/python}")
    fi
    # shellcheck disable=SC2086 # a list of names
    install_packages $packages
    if [[ $state == make ]]; then
        quietly "making the virtual environment" "$PYTHON" -m venv "$VENV" ||
            fail "the virtual environment could not be made (details in $LOG)."
    fi
    if [[ $state != ready ]]; then
        fill_venv "$profile"
        say "set-up done"
    fi
    if command -v flock >/dev/null; then exec 9<&-; fi
}
