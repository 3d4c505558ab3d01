#!/usr/bin/env bash
# Install the speaker on this machine as a service, or bring an installed one up to date.
# Debian 12/13 and Raspberry Pi OS.
#   sudo scripts/install.sh               packages, account, /opt/edge-agent, /etc/edge-agent, service
#   scripts/install.sh --root DIR         only lay the files out below DIR: no packages, no Python
#                                         environment, no account, no systemctl (to look, to package)
# Safe to run again.  Never asks, never overwrites your settings or your key.
# Read by lib.sh: the service has an environment of its own.
export EDGE_AGENT_VENV=/opt/edge-agent/venv
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

umask 022 # the service's account must be able to read what root installs
# The running system in other words: `//`, a link, a bind mount, or a part of it in the folder.
is_live() {
    local part
    for part in / /opt /opt/edge-agent /etc /etc/edge-agent /etc/systemd/system /var /var/lib \
        /var/lib/edge-agent /usr /usr/local /usr/local/bin /usr/local/lib; do
        if [[ $1$part -ef $part ]]; then return 0; fi
    done
    return 1
}

ACCOUNT=edge-agent
SCRATCH=
while (($#)); do
    case $1 in
    --root)
        if [[ ${2:-} != /* || ! -d $2 ]] || is_live "$2"; then
            fail 2 "--root needs an existing folder, as a whole path, that is not / itself and leads to no part of it."
        fi
        SCRATCH=$(cd -- "$2" && pwd -P)
        shift 2
        ;;
    -h | --help)
        sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail 2 "there is no option $1; see: $0 --help" ;;
    esac
done

OPT=$SCRATCH/opt/edge-agent
ETC=$SCRATCH/etc/edge-agent
UNIT=$SCRATCH/etc/systemd/system/edge-agent.service
CATALOG=$SCRATCH/usr/local/lib/systemd/catalog/edge-agent.catalog
COMMAND=$SCRATCH/usr/local/bin/edge-agent
KEY=$ETC/openai_api_key

if [[ -z $SCRATCH ]]; then
    refuse_32_bits
    ((EUID == 0)) || fail "installing needs root; run: sudo $0"
    command -v systemctl >/dev/null || fail $EXIT_UNAVAILABLE "this machine has no systemd; run the speaker by hand: scripts/demo.sh shows how."
fi

# ------------------------------------------------------------------------------ the program

# prints PATTERN command...: whether a line of its output matches.  Not a pipe into `grep -q`, which
# leaves at the first match: the command then dies of the closed pipe, and pipefail calls that a no.
prints() {
    local pattern=$1 words
    shift
    words=$("$@" 2>&1) || true
    grep -q -- "$pattern" <<<"$words"
}

# An interpreter in somebody's home is invisible to the service (ProtectHome).
choose_python() {
    local real
    export PYTHON=${PYTHON:-/usr/bin/python3}
    if [[ ! -x $PYTHON ]]; then
        mkdir -p -- "$VENV" && : >"$LOG" # what apt says goes there
        install_packages python3 python3-venv
    fi
    real=$(readlink -f -- "$(command -v -- "$PYTHON")")
    case $real in
    /home/* | ~root/* | /run/user/*) fail "$PYTHON is in a home folder, which the service cannot see; use the system's: PYTHON=/usr/bin/python3 $0" ;;
    esac
}

install_program() {
    local source
    mkdir -p -- "$OPT"
    choose_python
    setup run # packages, $VENV (below /opt), locked Python packages
    # Set-up links to the checkout; a service needs a copy that stays when the checkout goes.
    source=$(mktemp -d)
    cp -R -- "$ROOT/pyproject.toml" "$ROOT/setup.py" "$ROOT/edge_agent" "$source/"
    local file
    # The copy has no history of its own: without this, --version would not know the commit.
    PYTHONPATH=$ROOT "$VENV/bin/python" -B -c \
        'from edge_agent.version import this_build; print(this_build())' >"$source/edge_agent/build.txt"
    for file in README.md LICENSE; do
        if [[ -e $ROOT/$file ]]; then cp -- "$ROOT/$file" "$source/"; fi
    done
    quietly "copying edge-agent to $OPT" pip_install --no-index --no-deps --force-reinstall "$source" || pip_failed
    rm -rf -- "$source"
    install_voice
    install_gpio
    install_mcp
}

# The panel is an extra: without it the speaker works, so nothing here is fatal.
install_gpio() {
    compgen -G '/dev/gpiochip*' >/dev/null || return 0
    if "$VENV/bin/python" -c 'import lgpio' 2>/dev/null; then return 0; fi
    local install=(pip_install --require-hashes --no-deps -r "$ROOT/requirements/pi.txt")
    # Ready-made or not at all: before swig is there, its source would be built in vain.
    if quietly "installing GPIO support" "${install[@]}" --only-binary lgpio; then return 0; fi
    # No ready-made package for this Python: build it (PYPI=1 makes it bring its own C library).
    if quietly "installing what builds it" apt_install swig gcc libc6-dev "$(basename -- "$(readlink -f -- "$PYTHON")")-dev" &&
        PYPI=1 quietly "building GPIO support" "${install[@]}" --no-binary lgpio; then
        return 0
    fi
    say "note: GPIO support could not be installed (details in $LOG); button and light stay off"
}

# Tool servers are an extra of two dozen packages: only where the settings name one.
install_mcp() {
    local lock
    lock=$(lock_hash mcp)
    if ! prints '^mcp\.servers' "$VENV/bin/edge-agent" config show --changed || [[ $(fact mcp) == "$lock" ]]; then return 0; fi
    if quietly "installing support for tool servers" pip_install --require-hashes --no-deps -r "$ROOT/requirements/mcp.txt"; then
        printf '%s\n' "$lock" >"$STATE/mcp"
        return 0
    fi
    say "note: support for tool servers could not be installed (details in $LOG); their tools stay away"
}

install_account() {
    local group own=(--user-group)
    if ! getent passwd "$ACCOUNT" >/dev/null; then
        say "adding the account $ACCOUNT"
        if getent group "$ACCOUNT" >/dev/null; then own=(--gid "$ACCOUNT"); fi # left by somebody
        useradd --system "${own[@]}" --home-dir /var/lib/edge-agent --no-create-home \
            --shell /usr/sbin/nologin "$ACCOUNT" || fail "the account $ACCOUNT could not be added."
    fi
    for group in audio gpio; do
        if getent group "$group" >/dev/null; then usermod -a -G "$group" "$ACCOUNT"; fi
    done
}

# -------------------------------------------------------------------------------- its files

# put MODE SOURCE TARGET: into place in one step, so that nobody ever reads half of it.
put() {
    mkdir -p -- "$(dirname -- "$3")"
    if ! { install -m "$1" -- "$2" "$3.installing" && mv -f -- "$3.installing" "$3"; }; then
        fail "cannot write $3; is the disk full or mounted read-only?"
    fi
}

# defaults NAME: a file of settings that the owner may change, and we never.
defaults() {
    local mine=$ETC/$1 last=$OPT/$1 now
    now=$(mktemp)
    # Each key with a # before it: what nobody changed follows the defaults of the next version.
    sed -E 's/^([a-z0-9_]+ = |\[\[)/#\1/' "$ROOT/config/$1" >"$now"
    if [[ ! -e $mine ]] || cmp -s -- "$mine" "$last"; then # as we left it: nobody's words are in it
        put 644 "$now" "$mine"
    elif ! cmp -s -- "$now" "$mine" && ! cmp -s -- "$now" "$last"; then
        # Only when the defaults changed since the last time, not at every run.
        put 644 "$now" "$mine.new"
        say "your $1 stays as it is; the new defaults are in ${mine#"$SCRATCH"}.new"
    fi
    put 644 "$now" "$last"
    rm -f -- "$now"
}

install_settings() {
    mkdir -p -- "$ETC/config.d"
    defaults edge-agent.toml
    defaults providers.toml
    if [[ -e $KEY ]]; then chmod 600 -- "$KEY"; fi
}

install_files() {
    install_settings
    put 644 "$ROOT/systemd/edge-agent.service" "$UNIT"
    put 644 "$ROOT/systemd/edge-agent-tools.service" "$(dirname -- "$UNIT")/edge-agent-tools.service"
    put 644 "$ROOT/systemd/edge-agent.catalog" "$CATALOG"
    local file
    for file in README.md LICENSE; do
        if [[ -e $ROOT/$file ]]; then put 644 "$ROOT/$file" "$OPT/$file"; fi
    done
    put 644 "$ROOT/config/personas/README.md" "$OPT/personas/README.md"
    mkdir -p -- "$(dirname -- "$COMMAND")"
    if [[ ! -e $COMMAND || -L $COMMAND ]]; then
        ln -sfn -- /opt/edge-agent/venv/bin/edge-agent "$COMMAND"
    else
        say "note: $COMMAND is somebody else's file and stays; use /opt/edge-agent/venv/bin/edge-agent"
    fi
}

# -------------------------------------------------------------------------------- its start

# Whether it could say anything: a key, or a provider that asks for none.
can_talk() {
    [[ -s $KEY ]] || ! prints 'note: no key for provider' "$COMMAND" config check
}

start_service() {
    local missing_key="sudo install -m 600 /dev/stdin $KEY     (paste the key, press Enter, then Ctrl-D)"
    journalctl --update-catalog >/dev/null 2>&1 || true # only the explanations of `journalctl -x`
    systemctl daemon-reload
    systemctl enable --quiet edge-agent.service
    if ! "$COMMAND" config check >/dev/null 2>&1; then
        "$COMMAND" config check >/dev/null || true # its mistakes, on stderr
        fail 78 "installed, but not started anew: correct the settings above, then run: sudo systemctl restart edge-agent"
    fi
    if ! can_talk; then
        # What runs already must not go on with the code of before.
        systemctl try-restart edge-agent.service || true
        say "installed; to talk it needs a key.  Two lines are left for you:"
        printf '    %s\n    %s\n' "$missing_key" "sudo systemctl restart edge-agent"
        return
    fi
    say "starting the service"
    systemctl restart edge-agent.service ||
        fail $EXIT_UNAVAILABLE "installed, but the service does not start; see: journalctl -u edge-agent -n 30"
    say "it runs.  Watch it: journalctl -fu edge-agent     Its state: systemctl status edge-agent"
}

if [[ -n $SCRATCH ]]; then
    install_files
    say "files laid out below $SCRATCH; packages, account and service are left out"
else
    install_program
    install_account
    install_files
    start_service
fi
