#!/usr/bin/env bash
# The chaos on real sockets in a lab kernel that has netem (delay, loss, reordering, slow lines),
# which many kernels of containers and of cloud machines have not.
#   scripts/lab.sh [--real-time] [options of chaos.sh --sockets]    figures: benchmarks/chaos_sockets.*
#   scripts/lab.sh --weather                                        only what needs netem
#   scripts/lab.sh --boards                                         real sound cards and GPIO lines
#   scripts/lab.sh --units [bookworm|trixie]                        the installed service, see below
#   scripts/lab.sh --desktop                                        PipeWire and install.sh --card
#   scripts/lab.sh --pulse                                          late, drifting sound servers
#   scripts/lab.sh --rounds 1 --only 'loss 20'                      what is measured; see --help
#
# The kernel is User Mode Linux from the distribution's own linux-source package: a program like
# any other, which needs no root, no KVM and no image of a disk.  Its root is this machine's `/`
# (hostfs, read-only), so it runs the same Python, the same packages and this checkout; only
# `benchmarks/` can be written.  It boots in half a second.
#
# Its time is its own (time-travel=inf-cpu): when everybody waits it jumps to the next timer, and
# computing takes none of it.  Three rounds of everything take minutes, and a busy machine changes
# no figure.  With --real-time it lives in ours.
#
# Needs: Debian 12 (with a linux-source-6.12 in reach of apt, else the newest there is) or newer on
# amd64; root, or sudo, for apt only; the first time 150 MB from the archive, 2 GB of disk and 5 to
# 15 minutes on two cores.  All of it stays in $EDGE_AGENT_LAB (~/.cache/edge-agent-lab); remove
# that folder to be rid of it.
#
# --units is another lab: a Debian 12 or 13 (bookworm, trixie; 13 unless named) booted in a container,
# in which the installer runs and what the units promise is tried (confinement, tool servers, root's
# commands).  Two minutes; needs root.
#
# --boards gets alsa-utils and lgpio: its cards are snd-aloop's, its chip is gpio-sim's, the checks are
# those of tests/lab/boards.py.
#
# --desktop looks at PipeWire and WirePlumber of Debian 12 and 13, see tests/lab/desktop.sh.
#
# --pulse is PulseAudio without a kernel of its own, see tests/lab/pulse_room.py: real time, so that
# it wants a quiet machine.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
--units) exec "$ROOT/tests/lab/units.sh" "${@:2}" ;;
--desktop) exec "$ROOT/tests/lab/desktop.sh" "${@:2}" ;;
--pulse)
    setup dev
    exec "$VENV/bin/python" "$ROOT/tests/lab/pulse_room.py" "${@:2}"
    ;;
esac

LAB=${EDGE_AGENT_LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/edge-agent-lab}
MEMORY=600M
# More than the kernel's smallest: what the chaos needs, and what Python and its tools do.
SYMBOLS=(
    64BIT HIGH_RES_TIMERS NO_HZ_IDLE UML_TIME_TRAVEL_SUPPORT HOSTFS PRINTK BUG
    STDERR_CONSOLE SSL NULL_CHAN TTY BINFMT_ELF BINFMT_SCRIPT PROC_FS PROC_SYSCTL SYSFS TMPFS
    SHMEM DEVTMPFS SYSVIPC POSIX_MQUEUE INOTIFY_USER NAMESPACES UTS_NS IPC_NS USER_NS PID_NS
    NET_NS NET PACKET UNIX INET IPV6 NETDEVICES NET_CORE VETH NETFILTER NETFILTER_ADVANCED
    NF_CONNTRACK NF_TABLES NF_TABLES_INET NF_TABLES_IPV4 NFT_CT NFT_REJECT NFT_REJECT_INET
    NET_SCHED NET_SCH_NETEM
    # Sound cards and GPIO chips that are software; SOUND wants a bus, which here is virtio's.
    VIRTIO_MENU VIRTIO_UML UML_PCI_OVER_VIRTIO SOUND SND SND_PROC_FS SND_VERBOSE_PROCFS SND_TIMER
    SND_PCM_TIMER SND_HRTIMER SND_DRIVERS SND_ALOOP CONFIGFS_FS GPIOLIB GPIO_CDEV GPIO_CDEV_V1 GPIO_SIM
)
# Another list of symbols is another kernel.
KERNEL=$LAB/linux-$(printf '%s\n' "${SYMBOLS[@]}" | sha256sum | cut -c1-8)

# Builds $KERNEL once.
build_kernel() {
    local packages=() tool source symbol tree
    for tool in flex bison bc make; do command -v "$tool" >/dev/null || packages+=("$tool"); done
    command -v xz >/dev/null || packages+=(xz-utils)
    install_packages "${packages[@]}"
    source=$(apt-cache search --names-only '^linux-source-[0-9.]+$' | cut -d' ' -f1 | sort -V | tail -n 1)
    [[ -n $source ]] || fail $EXIT_UNAVAILABLE "apt knows no linux-source package; run: sudo apt-get update"
    mkdir -p -- "$LAB/build"
    cd -- "$LAB/build"
    quietly "fetching $source" apt-get -q download "$source" || apt_failed "sudo apt-get install -y $source"
    quietly "unpacking it" unpack_source || fail "the kernel's source could not be unpacked (details in $LOG)."
    tree=$(echo "$LAB"/build/linux-source-*/)
    printf 'CONFIG_%s=y\n' "${SYMBOLS[@]}" >"$LAB/build/config"
    echo CONFIG_UML_PCI_OVER_VIRTIO_DEVICE_ID=-1 >>"$LAB/build/config" # none of them is real
    quietly "choosing what is in it" make -s -C "$tree" ARCH=um KCONFIG_ALLCONFIG="$LAB/build/config" allnoconfig ||
        fail "the kernel could not be configured (details in $LOG)."
    for symbol in "${SYMBOLS[@]}"; do
        grep -q "^CONFIG_$symbol=y" "$tree/.config" || say "$source has no $symbol"
    done
    quietly "building the kernel" make -s -C "$tree" -j"$(nproc)" ARCH=um linux ||
        fail "the kernel could not be built (details in $LOG)."
    strip -o "$KERNEL" "$tree/linux"
    cd -- "$ROOT"
    rm -rf -- "$LAB/build" # 2 GB
}

unpack_source() {
    dpkg-deb --fsys-tarfile linux-source-*.deb | tar -xO --wildcards -f - './usr/src/linux-source-*.tar.xz' |
        tar -xJ -f - --exclude='linux-source-*/Documentation/translations'
}

# The first process in the lab; $1: where it goes, the rest: the program and its options.
write_init() {
    local init=$1
    shift
    cat >"$init" <<INIT
#!/bin/bash
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
ln -sf /proc/self/fd /dev/fd; mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm
export HOME=/dev/shm TMPDIR=/dev/shm PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH=$(printf %q "$ROOT:$ROOT/tests/chaos")
stty -onlcr 2>/dev/null
# Kernels with the new mount API want a name before the path.
mount -t hostfs -o $(printf %q "$ROOT/benchmarks") none /mnt 2>/dev/null ||
    mount -t hostfs -o hostfs=$(printf %q "$ROOT/benchmarks") none /mnt
cd $(printf %q "$ROOT")
$(printf %q "$VENV/bin/python")$(printf ' %q' "$@")
echo \$? >/proc/exitcode
$(printf %q "$VENV/bin/python") -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)' # power off
INIT
    chmod +x -- "$init"
}

clock=time-travel=inf-cpu
if [[ ${1:-} == --real-time ]]; then
    clock=
    shift
fi
[[ $LAB != *[[:space:]]* ]] || fail "EDGE_AGENT_LAB must be a folder without spaces in its name."
[[ $(uname -m) == x86_64 ]] || fail $EXIT_UNAVAILABLE "User Mode Linux exists for x86_64 only."
setup dev
command -v apt-get >/dev/null || fail $EXIT_UNAVAILABLE "the kernel's source comes from apt; use Debian."
mkdir -p -- "$LAB"
[[ -x $KERNEL ]] || build_kernel
mkdir -p -- "$LAB/run"
cards=()
if [[ ${1:-} == --boards ]]; then
    command -v aplay >/dev/null || install_packages alsa-utils
    # Without a compiler: there are ready-made ones for Debian's Pythons on amd64.
    if ! "$VENV/bin/python" -c 'import lgpio' 2>/dev/null; then
        quietly "installing GPIO support" pip_install --require-hashes --no-deps -r "$(lock_file pi)" --only-binary lgpio ||
            say "note: GPIO support could not be installed (details in $LOG); its checks are left out"
    fi
    write_init "$LAB/run/init" tests/lab/boards.py
    cards=(snd-aloop.enable=1,1 snd-aloop.index=0,1 snd-aloop.id=Mic,Spk snd-aloop.pcm_substreams=1,1)
    clock= # devices and threads of libraries live in real time
else
    write_init "$LAB/run/init" tests/chaos/chaos_sockets.py --out /mnt "$@"
fi
exec env TMPDIR=/dev/shm "$KERNEL" mem="$MEMORY" root=/dev/root rootfstype=hostfs rootflags=/ ro \
    con=null con0=null,fd:1 ssl=null quiet panic=-1 $clock "${cards[@]}" uml_dir="$LAB/run/" umid="lab$$" \
    init="$LAB/run/init" </dev/null
