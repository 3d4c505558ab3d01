#!/usr/bin/env bash
# Install the speaker on this machine as a service, or bring an installed one up to date.
# Debian 12/13 and Raspberry Pi OS.
#   sudo scripts/install.sh               packages, account, /opt/edge-agent, /etc/edge-agent, service
#   scripts/install.sh --dry-run          only say what would be done
#   sudo scripts/install.sh --wheels DIR  Python packages from a folder that scripts/wheels.sh made
#   sudo scripts/install.sh --card NAME   also gives it that sound card alone: a desktop leaves it
#                                         (--card none: the desktop has it back)
#   scripts/install.sh --root DIR         only lay the files out below DIR: no packages, no Python
#                                         environment, no account, no systemctl (to look, to package)
# Safe to run again, also after it was stopped at any step.  Never asks, never overwrites your
# settings or your key.  The version that runs stays until the new one has read your settings and
# has started; if it does not start, the one before comes back.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
source "$(dirname -- "${BASH_SOURCE[0]}")/lib_install.sh"

umask 022 # the service's account must be able to read what root installs
CARD=
while (($#)); do
    case $1 in
    --root)
        take_root "${2:-}"
        shift 2
        ;;
    --wheels)
        take_wheels "${2:-}"
        shift 2
        ;;
    --dry-run)
        DRY=yes
        shift
        ;;
    --card)
        [[ -n ${2:-} ]] || fail 2 "--card needs a sound card's name, or none; these are there: aplay -l"
        CARD=$2
        shift 2
        ;;
    -h | --help)
        sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail 2 "there is no option $1; see: $0 --help" ;;
    esac
done

name_places

if [[ -n $LIVE ]]; then
    refuse_32_bits
    is_root || [[ -n $DRY ]] || fail "installing needs root; run: sudo $0"
    command -v systemctl >/dev/null || fail $EXIT_UNAVAILABLE "this machine has no systemd; run the speaker by hand: scripts/demo.sh shows how."
fi

# own_card [--check]: the card that was named, refused before anything is changed.
own_card() {
    if [[ -z $CARD ]]; then return 0; fi
    "$ROOT/scripts/card.sh" "$CARD" "$@" ${SCRATCH:+--root "$SCRATCH"} || exit
}
own_card --check

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
    if [[ ! -x $PYTHON ]]; then install_packages python3 python3-venv; fi
    real=$(readlink -f -- "$(command -v -- "$PYTHON")")
    case $real in
    /home/* | ~root/* | /run/user/*) fail "$PYTHON is in a home folder, which the service cannot see; use the system's: PYTHON=/usr/bin/python3 $0" ;;
    esac
}

# Set-up links to the checkout; a service needs a copy that stays when the checkout goes.
copy_program() {
    local source=$VENV/source file
    mkdir -p -- "$source"
    cp -R -- "$ROOT/pyproject.toml" "$ROOT/setup.py" "$ROOT/edge_agent" "$source/"
    # The copy has no history of its own: without this, --version would not know the commit.
    PYTHONPATH=$ROOT "$VENV/bin/python" -B -c \
        'from edge_agent.version import this_build; print(this_build())' >"$source/edge_agent/build.txt"
    for file in README.md LICENSE; do
        if [[ -e $ROOT/$file ]]; then cp -- "$ROOT/$file" "$source/"; fi
    done
    quietly "copying edge-agent to $VENV" pip_install --no-index --no-deps --force-reinstall "$source" || pip_failed
    rm -rf -- "$source"
}

# The folder that is not in use, in which the new program is made.
free_slot() { if [[ $(in_use) == venv.a ]]; then echo venv.b; else echo venv.a; fi; }

# install_program SLOT: complete, and not yet in use.
install_program() {
    VENV=$OPT/$1 STATE=$OPT/$1/edge-agent.setup
    if [[ -n $(in_use) ]]; then REUSE=$OPT/$(in_use); fi
    choose_python
    if [[ -e $VENV ]]; then clear_venv; fi # left by a run that was stopped
    setup run copy_program # packages, $VENV, locked Python packages
    install_voice
    install_gpio
    install_mcp
}

say_program() {
    local packages="python3 python3-venv, and what compiles for it" python=${PYTHON:-/usr/bin/python3}
    if [[ -x $python ]]; then packages=$(missing_packages run "$python" | xargs); fi
    if [[ -n $packages ]]; then echo "would install from Debian: $packages"; fi
    if ! command -v espeak-ng >/dev/null; then echo "would install from Debian, if it can be had: espeak-ng"; fi
    if dpkg_interrupted; then echo "would finish what apt was stopped in: dpkg --configure -a"; fi
    echo "would make the program in $OPT/$1, with $(grep -c '==' "$ROOT/requirements/run.txt") Python packages from ${WHEELS:-the network}"
    echo "would read your settings with it, and stop there if it does not take them"
}

# The panel is an extra: without it the speaker works, so nothing here is fatal.
install_gpio() {
    compgen -G '/dev/gpiochip*' >/dev/null || return 0
    if "$VENV/bin/python" -c 'import lgpio' 2>/dev/null; then return 0; fi
    local install=(pip_install --require-hashes --no-deps -r "$(lock_file pi)")
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
    if quietly "installing support for tool servers" pip_install --require-hashes --no-deps -r "$(lock_file mcp)"; then
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

# The settings are read by the new program before anything that runs is touched.
check_settings() {
    local now="nothing of it was installed"
    if "$VENV/bin/edge-agent" config check >/dev/null 2>&1; then return 0; fi
    "$VENV/bin/edge-agent" config check >/dev/null || true # its mistakes, on stderr
    rm -rf -- "$VENV"
    if [[ -n $(in_use) ]]; then
        now="the installed one ($("$OPT/venv/bin/edge-agent" --version 2>/dev/null || echo "of before")) stays as it is"
        if systemctl is-active --quiet edge-agent.service; then now+=" and goes on running"; fi
    fi
    fail 78 "this version does not take the settings above, so $now; correct them, then start again: sudo $0"
}

# -------------------------------------------------------------------------------- its files

# news NOW LAST MINE: the lines of NOW that neither LAST nor MINE has.
news() { grep -vxFf "$2" -- "$1" | grep -vxFf "$3" || true; }

no_news() {
    if [[ -e $1 ]]; then act "remove ${1#"$SCRATCH"}, which is news no longer" rm -f -- "$1"; fi
}

# defaults NAME: a file of settings that the owner may change, and we never.
defaults() {
    local mine=$ETC/$1 last=$OPT/$1 now
    now=$(mktemp)
    # Each key with a # before it: what nobody changed follows the defaults of the next version.
    sed -E 's/^([a-z0-9_]+ = |\[\[)/#\1/' "$ROOT/config/$1" >"$now"
    if [[ ! -e $mine ]] || cmp -s -- "$mine" "$last"; then # as we left it: nobody's words are in it
        put 644 "$now" "$mine"
        no_news "$mine.new"
    elif [[ -e $last && -n $(news "$now" "$last" "$mine") ]]; then
        # Only what is new since the last time, not at every run.
        put 644 "$now" "$mine.new"
        say "your $1 stays as it is; the new defaults are in ${mine#"$SCRATCH"}.new"
    elif [[ $mine -nt $mine.new || -z $(grep -vxFf "$mine" -- "$mine.new" 2>/dev/null) ]] || ! cmp -s -- "$now" "$mine.new"; then
        # You have changed yours since, or all of it is in there, or the defaults are others by now.
        no_news "$mine.new"
    fi
    put 644 "$now" "$last"
    rm -f -- "$now"
}

install_settings() {
    if [[ ! -d $ETC/config.d ]]; then act "make ${ETC#"$SCRATCH"}/config.d" our_folder "$ETC/config.d"; fi
    defaults edge-agent.toml
    defaults providers.toml
    if [[ -e $KEY ]]; then act "let only root and the service read ${KEY#"$SCRATCH"}" close_key; fi
}

close_key() {
    if [[ -n $LIVE ]]; then chgrp -- "$(id -gn "$ACCOUNT")" "$KEY"; fi
    chmod 640 -- "$KEY"
}

link_command() {
    our_folder "$(dirname -- "$COMMAND")"
    ln -sfn -- "$1" "$COMMAND.installing" && mv -fT -- "$COMMAND.installing" "$COMMAND"
}

install_command() {
    local target=/opt/edge-agent/venv/bin/edge-agent
    if [[ -L $COMMAND && $(readlink -- "$COMMAND") == "$target" ]]; then return 0; fi
    if [[ ! -e $COMMAND || -L $COMMAND ]]; then
        act "link ${COMMAND#"$SCRATCH"}" link_command "$target"
    else
        say "note: $COMMAND is somebody else's file and stays; use $target"
    fi
}

# The words of --help for a shell's Tab key and for man(1).  Without them nothing is lacking.
install_help() {
    local now
    now=$(mktemp)
    if _EDGE_AGENT_COMPLETE=source_bash "$VENV/bin/edge-agent" >"$now" 2>/dev/null; then put 644 "$now" "$COMPLETION"; fi
    if "$VENV/bin/python" -m edge_agent.cli.manual >"$now" 2>/dev/null; then put 644 "$now" "$MANUAL"; fi
    rm -f -- "$now"
}

install_files() {
    local file
    install_settings
    put 644 "$ROOT/systemd/edge-agent.service" "$UNITS/edge-agent.service"
    put 644 "$ROOT/systemd/edge-agent-tools.service" "$UNITS/edge-agent-tools.service"
    put 644 "$ROOT/systemd/edge-agent.catalog" "$CATALOG"
    for file in README.md LICENSE; do
        if [[ -e $ROOT/$file ]]; then put 644 "$ROOT/$file" "$OPT/$file"; fi
    done
    put 644 "$ROOT/config/personas/README.md" "$OPT/personas/README.md"
    if [[ -n $CARD ]]; then act "give the sound card $CARD to the speaker alone" own_card; fi
    install_command
    if [[ -n $LIVE && -z $DRY ]]; then install_help; fi
}

# -------------------------------------------------------------------------------- its start

# Whether it could say anything: a key, or a provider that asks for none.
can_talk() {
    [[ -s $KEY ]] || ! prints 'note: no key for provider' "$VENV/bin/edge-agent" config check
}

# It is installed; whether it starts is all that is left.  `systemctl restart` waits for READY.
start_service() {
    local missing_key="sudo install -m 640 -g $ACCOUNT /dev/stdin $KEY     (paste the key, press Enter, then Ctrl-D)"
    local how=restart
    journalctl --update-catalog >/dev/null 2>&1 || true # only the explanations of `journalctl -x`
    systemctl daemon-reload
    systemctl enable --quiet edge-agent.service
    can_talk || how=try-restart # what runs already must not go on with the code of before
    if [[ $how == restart ]]; then say "starting the service"; fi
    systemctl "$how" edge-agent.service || go_back
    commit
    if [[ $how == restart ]]; then
        say "it runs.  Watch it: journalctl -fu edge-agent     Its state: systemctl status edge-agent"
        return
    fi
    say "installed; to talk it needs a key.  Two lines are left for you:"
    printf '    %s\n    %s\n' "$missing_key" "sudo systemctl restart edge-agent"
}

# The new program does not start: the one before takes its place again.
go_back() {
    local see="see: journalctl -u edge-agent -n 50"
    if [[ -z $(<"$BEFORE/in-use") ]]; then
        commit
        fail $EXIT_UNAVAILABLE "installed, but the service does not start; $see"
    fi
    say "the new version does not start; going back to the one before"
    restore_before
    commit
    systemctl daemon-reload
    systemctl restart edge-agent.service ||
        fail $EXIT_UNAVAILABLE "neither the new version starts nor the one before, which is in place again; $see"
    fail $EXIT_UNAVAILABLE "the new version does not start, so the one before runs again, with its files; $see"
}

# --------------------------------------------------------------------------------- all of it

install_live() {
    local slot
    LOG=$OPT/setup.log
    { mkdir -p -- "$OPT" && : >>"$LOG"; } 2>/dev/null || fail "cannot write $OPT; is the disk full or mounted read-only?"
    our_folder "$ETC/config.d"
    PACKAGE_RECORD=$PACKAGES
    if command -v flock >/dev/null; then
        exec 8<"$OPT"
        flock -n 8 || { say "waiting for another installation" && flock 8; }
    fi
    if [[ -d $BEFORE ]]; then
        if [[ -s $BEFORE/in-use ]]; then say "the last run was stopped before its program had started: going back to the one before"; fi
        restore_before
    fi
    slot=$(free_slot)
    install_program "$slot"
    check_settings
    install_account
    keep_before
    switch "$slot"
    install_files
    start_service
}

if [[ -z $LIVE ]]; then
    install_files
    if [[ -z $DRY ]]; then say "files laid out below $SCRATCH; packages, account and service are left out"; fi
elif [[ -n $DRY ]]; then
    say_program "$(free_slot)"
    getent passwd "$ACCOUNT" >/dev/null || echo "would add the account $ACCOUNT"
    echo "would point $OPT/venv to $(free_slot)"
    install_files
    echo "would enable and restart edge-agent.service, and go back to the version before if it does not start"
else
    install_live
fi
if [[ -n $DRY ]]; then echo "Nothing was changed."; fi
