# shellcheck shell=bash
# System packages, for lib.sh: what is missing, how it is installed, and a dpkg that somebody
# stopped in the middle.  Sourced, never run.
#
# Must never: remove a system package, hang for a password, or call apt when nothing is missing.

APT_LOCK_WAIT_S=300  # a fresh machine runs unattended upgrades in its first minutes
LOCKED='Could not get lock\|Unable to lock\|was locked by another process' # apt's and dpkg's own words
NO_REMOVE_ERROR='Packages need to be removed but remove is disabled'
DPKG_FOLDER=${DPKG_ADMINDIR:-/var/lib/dpkg} # dpkg's own variable
PACKAGE_RECORD= # a file for the names of what was installed; the installer wants one

# ---------------------------------------------------------------------------- what is missing

# Prints the Debian packages that are missing for profile "$1" built with interpreter "$2".
# What is asked is whether the thing works, not whether a package of that name is installed.
missing_packages() {
    local profile=$1 python=$2 dotted
    dotted=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    if [[ -n $WHEELS ]]; then # nothing is compiled
        compgen -G '/usr/lib/*/libportaudio.so.2' >/dev/null || echo libportaudio2
    else
        if ! gcc -E - <<<'#include <stdio.h>' >/dev/null 2>&1; then echo gcc libc6-dev; fi
        command -v pkg-config >/dev/null || echo pkg-config
        if ! gcc -E - <<<'#include <portaudio.h>' >/dev/null 2>&1; then echo portaudio19-dev; fi
        if ! pkg-config --exists libsystemd 2>/dev/null; then echo libsystemd-dev; fi
        "$python" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || echo "$dotted-dev"
    fi
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
    local status=0
    if command -v espeak-ng >/dev/null; then return 0; fi
    (trap 'exit 130' INT && install_packages espeak-ng) || status=$?
    ((status != 130)) || on_stop
    ((status == 0)) || say "note: without espeak-ng, tools that need your yes are refused, and its sentences are in English"
}

# ---------------------------------------------------------------------------- apt, as root

is_root() { [[ $(id -u) == 0 ]]; }

# Runs a command as root, however root is to be had here.  What a package starts in the background
# must not hold our locks (8, 9).
as_root() {
    if is_root; then "$@" 8<&- 9<&-; else sudo -n "$@" 8<&- 9<&-; fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -y \
        -o "DPkg::Lock::Timeout=$APT_LOCK_WAIT_S" -o Dpkg::Use-Pty=0 "$@"
}

# until_unlocked command...: again while another program holds apt's or dpkg's locks.  `apt-get
# update` and `dpkg` have no waiting of their own.
until_unlocked() {
    local until=$((SECONDS + APT_LOCK_WAIT_S)) mark
    while true; do
        mark=$(wc -l <"$LOG")
        if "$@"; then return 0; fi
        if ! tail -n "+$((mark + 1))" "$LOG" | grep "$LOCKED" >/dev/null; then return 1; fi
        ((SECONDS < until)) || return 1
        sleep 2
    done
}

apt_update() { until_unlocked apt_get update; }

# No package of the machine may go for ours: --no-remove turns that into an error.
apt_install() {
    [[ -z $PACKAGE_RECORD ]] || printf '%s\n' "$@" >>"$PACKAGE_RECORD"
    apt_get install --no-install-recommends --no-remove "$@"
}

# Whether dpkg was stopped in the middle.  The first is what apt refuses to go on with; the second
# is left when it was stopped between two steps.
dpkg_interrupted() {
    local states
    command -v dpkg-query >/dev/null || return 1
    if compgen -G "$DPKG_FOLDER/updates/[0-9]*" >/dev/null; then return 0; fi
    states=$(dpkg-query -W -f '${db:Status-Status}\n' 2>/dev/null) || return 1
    grep -q '^half-\|^unpacked' <<<"$states"
}

configure_all() {
    as_root env DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a
}

# Finishes what apt or dpkg was stopped in: by Ctrl-C, by a power cut, by us or by somebody else.
mend_dpkg() {
    if ! dpkg_interrupted || ! { is_root || sudo -n true 2>/dev/null; }; then return 0; fi
    quietly "apt was stopped in the middle here: finishing that (dpkg --configure -a)" until_unlocked configure_all || true
    if dpkg_interrupted; then # half unpacked, which only apt can do again
        quietly "unpacking anew what was half unpacked" apt_get install --fix-broken --no-remove || true
    fi
}

# The line that a person may run instead of us.
apt_line() { echo "sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"; }

# Fails with a sentence unless these packages can be installed: Debian, and root in some way.
can_install() {
    local line
    line=$(apt_line "$@")
    command -v apt-get >/dev/null ||
        fail "$EXIT_UNAVAILABLE" "this is not a Debian system, so install what these Debian packages hold by hand and start again: $*"
    if is_root; then return 0; fi
    if dpkg_interrupted; then line="sudo dpkg --configure -a && $line"; fi
    command -v sudo >/dev/null || fail "$EXIT_UNAVAILABLE" "system packages are missing; run as root: ${line//sudo /}"
    # With a person at the keyboard sudo may ask; without one it must not hang.
    if [[ -t 0 ]]; then
        sudo -p "sudo password, to install $*: " -v || fail "$EXIT_UNAVAILABLE" "system packages are missing; run: $line"
    fi
    sudo -n true 2>/dev/null || fail "$EXIT_UNAVAILABLE" "system packages are missing; run: $line"
}

install_packages() {
    (($#)) || return 0
    local line
    can_install "$@"
    mend_dpkg
    line=$(apt_line "$@")
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
    if grep -q "$LOCKED" "$LOG"; then
        fail "$EXIT_UNAVAILABLE" "another program keeps apt busy; wait for it to end and start again."
    elif grep -q "$NO_REMOVE_ERROR" "$LOG"; then
        fail "$EXIT_UNAVAILABLE" "a system package that we need would replace one that this machine uses, which is for you to decide; run: $1"
    elif grep -qi 'No space left on device\|enough free space' "$LOG"; then
        fail "$EXIT_UNAVAILABLE" "the disk is full; the system packages need $(system_mb "$1") MB below /usr and /var; make room and start again."
    elif grep -qi 'Could not resolve\|Temporary failure resolving\|Could not connect\|Network is unreachable' "$LOG"; then
        [[ -z $WHEELS ]] || fail "$EXIT_UNAVAILABLE" "the package archive cannot be reached, and wheels are Python packages alone; these Debian packages and what they depend on must be on this machine first: ${1##*-recommends }"
        fail "$EXIT_UNAVAILABLE" "the package archive cannot be reached; connect this machine to the internet and start again."
    fi
    fail "$EXIT_UNAVAILABLE" "apt could not install the system packages (details in $LOG); run: $1"
}
