# shellcheck shell=bash
# The arm64 machine of `scripts/lab-arm.sh`, running: up, in it, down.  Sourced, never run.
# shellcheck disable=SC2154 # LAB and the functions of scripts/lib.sh come from who sources this

SSH_PORT=${EDGE_AGENT_LAB_ARM_PORT:-2244}
MEMORY_MIB=2048
BOOT_MAX_S=1800 # of our time: a busy machine may be very slow
DOWN_MAX_S=120
PID=$LAB/qemu.pid
GPIO='at=$(echo /sys/devices/platform/gpio-sim*/gpiochip*);'

# QEMU's own device tree with what the boot loader of a Pi adds, and simulated GPIO lines.  QEMU's
# GPIO chip, which has a power button, goes: ours is gpiochip0 then, as on a Pi.
device_tree() { # CORES: prints the file
    local out=$LAB/pi-$1.dtb
    qemu-system-aarch64 -M "virt,dumpdtb=$out" -cpu cortex-a72 -smp "$1" -m "$MEMORY_MIB" -nodefaults -display none >/dev/null 2>&1
    fdtput -r "$out" /gpio-keys "$(fdtget -l "$out" / | sed -n 's,^\(pl061@.*\),/\1,p')"
    fdtput -t s "$out" / model "$MODEL"
    fdtput -cp "$out" /system
    fdtput -t x "$out" /system linux,revision "$REVISION"
    fdtput -cp "$out" /gpio-sim/bank0
    fdtput -t s "$out" /gpio-sim compatible gpio-simulator
    fdtput -t i "$out" /gpio-sim/bank0 ngpios "$GPIO_LINES"
    fdtput -t s "$out" /gpio-sim/bank0 gpio-sim,label "$GPIO_LABEL"
    fdtput -t i "$out" /gpio-sim/bank0 '#gpio-cells' 2
    fdtput "$out" /gpio-sim/bank0 gpio-controller
    echo "$out"
}

is_up() { [[ -e $PID ]] && kill -0 "$(<"$PID")" 2>/dev/null; }

# What is behind the HDA card: a file, and no sound for its microphone, which opens and never delivers.
HDA="wav,path=$LAB/hda.wav"

# up DISK [--icount]: boots it and waits until it lets us in.
up() {
    local disk=$1 cores=2 clock=(-accel tcg,thread=multi,tb-size=512)
    # One instruction is one nanosecond: the guest is a processor of exactly 1000 million instructions
    # a second whose clock waits for us.  (Not sleep=off: the clock would leap to the next timer, and
    # past every deadline, whenever the guest waits for its disk.)
    if [[ ${2:-} == --icount ]]; then
        cores=1
        clock=(-accel tcg,thread=single,tb-size=512 -icount shift=0,sleep=on)
    fi
    if is_up; then fail "the machine runs already; end it with: $0 down"; fi
    : >"$LAB/console.log"
    qemu-system-aarch64 -M virt "${clock[@]}" -cpu cortex-a72 -smp "$cores" -m "$MEMORY_MIB" \
        -display none -nodefaults -kernel "$LAB/vmlinuz" -initrd "$LAB/initrd.img" -dtb "$(device_tree "$cores")" \
        -append "console=ttyAMA0 root=/dev/vda rw quiet systemd.show_status=1 mitigations=off nokaslr audit=0" \
        -serial "file:$LAB/console.log" -drive "file=$disk,if=none,id=disk,format=qcow2,cache=unsafe" \
        -device virtio-blk-pci,drive=disk -device virtio-rng-pci \
        -netdev "user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:$SSH_PORT-:22" -device virtio-net-pci,netdev=net,romfile= \
        -audiodev "$HDA,id=hda" -device intel-hda -device hda-duplex,audiodev=hda >"$LAB/qemu.log" 2>&1 </dev/null &
    echo $! >"$PID"
    trap leave EXIT
    wait_for_it
}

# However we end, no machine is left running, but one that somebody asked for (`up`).
leave() {
    if [[ -z ${KEEP_RUNNING:-} ]] && is_up; then kill "$(<"$PID")"; fi
}

wait_for_it() {
    local until=$((SECONDS + BOOT_MAX_S))
    until inside -o ConnectTimeout=60 true 2>/dev/null; do
        is_up || fail "QEMU has ended: $(tail -n 3 "$LAB/qemu.log")"
        ((SECONDS < until)) || fail "the machine does not answer; see $LAB/console.log"
        sleep 1
    done
}

# inside command...: as root in the machine.
inside() {
    ssh -q -i "$LAB/key" -p "$SSH_PORT" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ServerAliveInterval=0 root@127.0.0.1 "$@"
}

# reboot_it: its own `systemctl reboot`; back when it lets us in again.
reboot_it() {
    local before
    before=$(inside cat /proc/sys/kernel/random/boot_id)
    inside systemctl reboot 2>/dev/null || true
    local until=$((SECONDS + BOOT_MAX_S))
    until [[ $(inside -o ConnectTimeout=60 cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo "$before") != "$before" ]]; do
        is_up || fail "QEMU has ended: $(tail -n 3 "$LAB/qemu.log")"
        ((SECONDS < until)) || fail "the machine did not come back; see $LAB/console.log"
        sleep 1
    done
}

down() {
    is_up || return 0
    local until=$((SECONDS + DOWN_MAX_S))
    inside systemctl poweroff 2>/dev/null || true
    while is_up && ((SECONDS < until)); do sleep 1; done
    if is_up; then kill "$(<"$PID")"; fi
    rm -f -- "$PID"
}

# layer NAME BELOW: a disk that keeps what changes over another one, which stays as it is.
layer() {
    local kind=qcow2
    [[ $2 == *.qcow2 ]] || kind=raw
    rm -f -- "$1"
    qemu-img create -q -f qcow2 -b "$2" -F "$kind" "$1"
}

# Our programs for the guest, as a package that needs nothing but its Python.
push_programs() {
    tar -C "$ROOT/tests" -cf - lab_arm lab/boards.py | inside 'rm -rf /srv/lab && mkdir -p /srv/lab && tar -C /srv/lab --no-same-owner -xf -'
}

press() { inside "$GPIO echo pull-down >\$at/sim_gpio17/pull; sleep ${1:-0.2}; echo pull-up >\$at/sim_gpio17/pull"; }
light() { inside "$GPIO cat \$at/sim_gpio27/value"; }
