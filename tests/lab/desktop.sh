#!/usr/bin/env bash
# What a desktop makes of `install.sh --card`: udev, PipeWire and WirePlumber of Debian 12 and 13 on
# two sound cards.  Called by `scripts/lab.sh --desktop [SUITE...]`.  Needs root and mmdebstrap; a
# system of each suite is made once in $EDGE_AGENT_LAB (a minute) and entered by chroot.
#
# A container has no sound cards of its own, so umockdev shows the programs two of them in /sys and
# in udev's database.  They cannot be opened: what is seen is which card PipeWire looks at.
set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)"
LAB=${EDGE_AGENT_LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/edge-agent-lab}
FAILED=0

fail() {
    printf 'desktop.sh: %s\n' "$*" >&2
    exit 69
}

((EUID == 0)) || fail "a system in a folder needs root; run: sudo $ROOT/scripts/lab.sh --desktop"
command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing; run: sudo apt-get install -y mmdebstrap"

make_system() {
    local mirror
    mirror=$(grep -hE '^(URIs:|deb )' /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -oE 'https?://[^ ]+' | head -n 1) || true
    rm -rf -- "$tree"
    mkdir -p -- "$LAB"
    mmdebstrap --quiet --variant=minbase --include=udev,dbus,dbus-user-session,pipewire,wireplumber,umockdev,python3 \
        "$suite" "$tree" "$mirror"
    touch -- "$tree/etc/lab.made"
}

inside() {
    unshare --mount --pid --fork bash -c 'mount --make-rprivate /; mount -t proc proc "$0/proc"
        mount -t sysfs sys "$0/sys"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"' "$tree" "$@"
}

# card NUMBER ID PLACE [PROPERTY...]: in umockdev's words.
card() {
    local place=/devices/platform/$3/sound/card$1 node
    printf 'P: %s\nE: DEVPATH=%s\nE: SUBSYSTEM=sound\nE: SOUND_INITIALIZED=1\n' "$place" "$place"
    if (($# > 3)); then printf 'E: %s\n' "${@:4}"; fi
    printf 'A: id=%s\\n\nA: number=%d\\n\n\n' "$2" "$1"
    for node in "controlC$1" "pcmC$1D0p"; do
        printf 'P: %s/%s\nN: snd/%s\nE: DEVNAME=/dev/snd/%s\nE: SUBSYSTEM=sound\n\n' "$place" "$node" "$node" "$node"
    done
}

# expect yes|no WHAT PATTERN FILE: is a line like that in it?
expect() {
    local found=no
    if grep -qE -- "$3" "$4"; then found=yes; fi
    if [[ $found == "$1" ]]; then
        printf '%-9s ok    %s\n' "$suite" "$2"
    else
        printf '%-9s FAIL  %s\n' "$suite" "$2"
        FAILED=1
    fi
}

# What PipeWire tells of cards while WirePlumber runs for six seconds.
LOOK='mkdir -p /run/systemd/seats /run/systemd/sessions /run/systemd/users /run/systemd/machines /tmp/run
export XDG_RUNTIME_DIR=/tmp/run HOME=/tmp/run PIPEWIRE_DEBUG=3; chmod 700 /tmp/run
pipewire >/tmp/pipewire.log 2>&1 & a=$!; sleep 2
WIREPLUMBER_DEBUG=3 wireplumber >/tmp/wireplumber.log 2>&1 & b=$!; sleep 6
kill $b $a; cat /tmp/wireplumber.log'

look() { inside timeout 60 umockdev-run -d /srv/cards -- dbus-run-session -- bash -c "$LOOK" 2>&1 || true; }

try() {
    local machine=$tree/srv/machine seen=$tree/srv/seen rule=etc/udev/rules.d/90-edge-agent-card.rules
    rm -rf -- "$machine" "${tree:?}/$rule" "$tree/run/udev" # where `udevadm test` leaves what it found
    mkdir -p -- "$machine"/proc/asound/card{0,1}/pcm0p "$tree/srv/checkout"
    printf ' 0 [USB            ]: USB-Audio - Speakerphone\n                      Speakerphone\n 1 [Headphones     ]: bcm2835 - Headphones\n                      Headphones\n' \
        >"$machine/proc/asound/cards"
    cp -R -- "$ROOT/edge_agent" "$ROOT/scripts" "$tree/srv/checkout/"
    (card 0 USB speaker.0 && card 1 Headphones other.0) >"$tree/srv/cards"

    look >"$seen"
    expect yes "without --card PipeWire looks at the speaker's card" '(card |hw:)0\b' "$seen"
    expect yes "and at the other one" '(card |hw:)1\b' "$seen"

    inside /srv/checkout/scripts/card.sh speakerphone --root /srv/machine >"$seen"
    install -D -m 644 -- "$machine/$rule" "$tree/$rule"
    inside umockdev-run -d /srv/cards -- udevadm test --action=change /devices/platform/speaker.0/sound/card0 >"$seen" 2>&1 || true
    expect yes "udev gives the speaker's card the property" 'ACP_IGNORE=1' "$seen"
    inside umockdev-run -d /srv/cards -- udevadm test --action=change /devices/platform/other.0/sound/card1 >"$seen" 2>&1 || true
    expect no "and the other one not" 'ACP_IGNORE=1' "$seen"

    (card 0 USB speaker.0 ACP_IGNORE=1 PULSE_IGNORE=1 && card 1 Headphones other.0) >"$tree/srv/cards"
    look >"$seen"
    expect no "with it PipeWire does not look at that card" '(card |hw:)0\b' "$seen"
    expect yes "and still at the other one" '(card |hw:)1\b' "$seen"
    inside sh -c 'dpkg-query -W pipewire wireplumber udev'
}

if (($# == 0)); then set -- bookworm trixie; fi
for suite in "$@"; do
    tree=$LAB/desktop-$suite
    if [[ ! -e $tree/etc/lab.made ]]; then make_system; fi
    try
done
exit "$FAILED"
