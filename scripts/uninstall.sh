#!/usr/bin/env bash
# Take the speaker off this machine.
#   sudo scripts/uninstall.sh             the service and the program; settings, key and state stay
#   sudo scripts/uninstall.sh --purge     those as well, and the account
#   scripts/uninstall.sh --dry-run …      only say what would be done
#   scripts/uninstall.sh --root DIR       what `install.sh --root DIR` laid out
# Safe to run again, also after it was stopped.  System packages stay: others may use them.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
source "$(dirname -- "${BASH_SOURCE[0]}")/lib_install.sh"

PURGE=
while (($#)); do
    case $1 in
    --purge)
        PURGE=yes
        shift
        ;;
    --dry-run)
        DRY=yes
        shift
        ;;
    --root)
        take_root "${2:-}"
        shift 2
        ;;
    -h | --help)
        sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail 2 "there is no option $1; see: $0 --help" ;;
    esac
done

name_places

# gone PATH...: those that are there are removed.
gone() {
    local place
    for place in "$@"; do
        if [[ -e $place || -L $place ]]; then act "remove ${place#"$SCRATCH"}" rm -rf -- "$place"; fi
    done
}

stop_service() {
    systemctl disable --now --quiet edge-agent.service 2>/dev/null || true # may be gone already
    systemctl stop --quiet 'edge-agent-tool-*' 2>/dev/null || true
    rm -rf -- "$SCRATCH"/run/systemd/system/edge-agent-tool-* "$SCRATCH/run/edge-agent-tools"
}

# Folders that install.sh made, the deepest first; not those that something else lies in by now.
remove_folders() {
    local place
    for place in "$@"; do
        if [[ -d $SCRATCH$place ]]; then rmdir --ignore-fail-on-non-empty -- "$SCRATCH$place"; fi
    done
}

forget_service() {
    systemctl daemon-reload || true
    systemctl reset-failed edge-agent.service 2>/dev/null || true
    journalctl --update-catalog >/dev/null 2>&1 || true
}

# What install.sh --card made.
release_card() {
    rm -f -- "$CARD_RULE" "$ETC/config.d/card.toml"
    if [[ -n $LIVE ]] && command -v udevadm >/dev/null; then
        udevadm control --reload 2>/dev/null && udevadm trigger --action=change --subsystem-match=sound || true
    fi
}

remove_account() {
    if getent passwd "$ACCOUNT" >/dev/null; then
        userdel "$ACCOUNT" 2>/dev/null || fail "the account $ACCOUNT could not be removed; is something of it still running?"
    fi
    # userdel leaves the group where other accounts joined it to ask the speaker.
    if getent group "$ACCOUNT" >/dev/null; then groupdel "$ACCOUNT"; fi
}

if [[ -n $LIVE ]]; then
    is_root || [[ -n $DRY ]] || fail "uninstalling needs root; run: sudo $0"
    if command -v systemctl >/dev/null; then act "stop and disable edge-agent.service, and its tool servers" stop_service; fi
fi
folders=() packages=
if [[ -e $FOLDERS ]]; then mapfile -t folders < <(sort -ru -- "$FOLDERS"); fi
if [[ -e $PACKAGES ]]; then packages=$(sort -u -- "$PACKAGES" | xargs); fi

if [[ -L $COMMAND && $(readlink -- "$COMMAND") == /opt/edge-agent/* ]]; then gone "$COMMAND"; fi
gone "$UNITS/edge-agent.service" "$UNITS/edge-agent-tools.service" "$CATALOG" "$COMPLETION" "$MANUAL"
if [[ -e $CARD_RULE ]]; then act "give the desktop its sound card back" release_card; fi
if [[ -n $PURGE ]]; then
    gone "$ETC" "$UNITS/edge-agent.service.d" "$SCRATCH/var/lib/edge-agent" \
        "$SCRATCH/var/cache/edge-agent-tools" "$SCRATCH/var/cache/private/edge-agent-tools"
fi
if ((${#folders[@]})); then act "remove those that are empty of: ${folders[*]}" remove_folders "${folders[@]}"; fi
# Last, since it holds the two lists; the folders above it may be of our making as well.
gone "$OPT"
if [[ -z $DRY ]] && ((${#folders[@]})); then remove_folders "${folders[@]}"; fi

if [[ -n $LIVE ]]; then
    if command -v systemctl >/dev/null; then act "tell systemd and the journal" forget_service; fi
    if [[ -n $PURGE ]] && { getent passwd "$ACCOUNT" || getent group "$ACCOUNT"; } >/dev/null; then
        act "remove the account $ACCOUNT" remove_account
    fi
fi

if [[ -n $packages ]]; then
    echo "These Debian packages were installed for it and stay, since others may use them: $packages"
    echo "To be rid of them: sudo apt-get autoremove --purge $packages"
fi
if [[ -n $DRY ]]; then
    echo "Nothing was changed."
elif [[ -n $PURGE ]]; then
    echo "edge-agent is gone, with settings, key and state."
else
    echo "edge-agent is gone.  Left: ${SCRATCH}/etc/edge-agent and ${SCRATCH}/var/lib/edge-agent (remove them with --purge)."
fi
