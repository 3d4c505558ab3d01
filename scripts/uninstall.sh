#!/usr/bin/env bash
# Take the speaker off this machine.
#   sudo scripts/uninstall.sh             the service and the program; settings, key and state stay
#   sudo scripts/uninstall.sh --purge     those as well, and the account
#   scripts/uninstall.sh --root DIR       what `install.sh --root DIR` laid out
# Safe to run again.  System packages stay: others may use them.
set -euo pipefail

fail() {
    local status=1
    if [[ $1 =~ ^[0-9]+$ ]]; then
        status=$1
        shift
    fi
    printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
    exit "$status"
}

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
PURGE=
while (($#)); do
    case $1 in
    --purge)
        PURGE=yes
        shift
        ;;
    --root)
        if [[ ${2:-} != /* || ! -d $2 ]] || is_live "$2"; then
            fail 2 "--root needs an existing folder, as a whole path, that is not / itself and leads to no part of it."
        fi
        SCRATCH=$(cd -- "$2" && pwd -P)
        shift 2
        ;;
    -h | --help)
        sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail 2 "there is no option $1; see: $0 --help" ;;
    esac
done

if [[ -z $SCRATCH ]]; then
    ((EUID == 0)) || fail "uninstalling needs root; run: sudo $0"
    if command -v systemctl >/dev/null; then
        systemctl disable --now --quiet edge-agent.service 2>/dev/null || true # may be gone already
        systemctl stop --quiet 'edge-agent-tool-*' 2>/dev/null || true
        rm -rf -- /run/systemd/system/edge-agent-tool-* /run/edge-agent-tools
    fi
fi

COMMAND=$SCRATCH/usr/local/bin/edge-agent
if [[ -L $COMMAND && $(readlink -- "$COMMAND") == /opt/edge-agent/* ]]; then rm -f -- "$COMMAND"; fi
rm -f -- "$SCRATCH/etc/systemd/system/edge-agent.service" \
    "$SCRATCH/etc/systemd/system/edge-agent-tools.service" \
    "$SCRATCH/usr/local/lib/systemd/catalog/edge-agent.catalog"
rm -rf -- "$SCRATCH/opt/edge-agent"
# What install.sh --card made: the desktop has the card back.
RULE=$SCRATCH/etc/udev/rules.d/90-edge-agent-card.rules
if [[ -e $RULE ]]; then
    rm -f -- "$RULE" "$SCRATCH/etc/edge-agent/config.d/card.toml"
    if [[ -z $SCRATCH ]] && command -v udevadm >/dev/null; then
        udevadm control --reload 2>/dev/null && udevadm trigger --action=change --subsystem-match=sound || true
    fi
fi
if [[ -n $PURGE ]]; then
    rm -rf -- "$SCRATCH/etc/edge-agent" "$SCRATCH/etc/systemd/system/edge-agent.service.d" \
        "$SCRATCH/var/lib/edge-agent" "$SCRATCH/var/cache/edge-agent-tools" \
        "$SCRATCH/var/cache/private/edge-agent-tools"
fi

if [[ -z $SCRATCH ]]; then
    if command -v systemctl >/dev/null; then
        systemctl daemon-reload || true
        systemctl reset-failed edge-agent.service 2>/dev/null || true
        journalctl --update-catalog >/dev/null 2>&1 || true
    fi
    if [[ -n $PURGE ]]; then
        if getent passwd "$ACCOUNT" >/dev/null; then
            userdel "$ACCOUNT" 2>/dev/null || fail "the account $ACCOUNT could not be removed; is something of it still running?"
        fi
        # userdel leaves the group where other accounts joined it to ask the speaker.
        if getent group "$ACCOUNT" >/dev/null; then groupdel "$ACCOUNT"; fi
    fi
fi

if [[ -n $PURGE ]]; then
    echo "edge-agent is gone, with settings, key and state."
else
    echo "edge-agent is gone.  Left: ${SCRATCH}/etc/edge-agent and ${SCRATCH}/var/lib/edge-agent (remove them with --purge)."
fi
