# shellcheck shell=bash
# How the arm64 machine of `scripts/lab-arm.sh` is made: tools, root, kernel, modules, disk.  Sourced, never
# run.  `build` makes what is not in $LAB yet; each step leaves a mark there.
# shellcheck disable=SC2154 # LAB, LOG and the functions of scripts/lib.sh come from who sources this

TREE=$LAB/root
MODEL='Raspberry Pi 4 Model B Rev 1.5'
REVISION=c03115 # 4 GB, as the boot loader writes it
GPIO_LINES=54
GPIO_LABEL=pinctrl-bcm2711 # gpiozero and lgpio take the chip by it

# The archive that this machine's apt is configured with.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep '/debian/$' | head -n 1
}

# An apt of our own in folder $1, for suites and processors that are not this machine's.
# private_apt FOLDER ARCHITECTURE SUITE... ; then `apt-get -c FOLDER/conf`.
private_apt() {
    local at=$1 arch=$2 suites=${*:3}
    mkdir -p -- "$at"/{lists,archives}/partial "$at/sources"
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: %s\nSigned-By: %s\n' "$(mirror)" \
        "$suites" "$arch" /usr/share/keyrings/debian-archive-keyring.gpg >"$at/sources/lab.sources"
    cat >"$at/conf" <<CONF
APT::Sandbox::User "root";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
Dir::State::status "$TREE/var/lib/dpkg/status";
Dir::State::lists "$at/lists";
Dir::Cache::archives "$at/archives";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$at/sources";
CONF
}

# ---------------------------------------------------------------------------------------- tools

TOOLS=(qemu-system-arm qemu-user-static qemu-utils mmdebstrap arch-test device-tree-compiler e2fsprogs
    openssh-client kmod cpio xz-utils make gcc-aarch64-linux-gnu libc6-dev-arm64-cross)

install_tools() {
    local suite options=()
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # Bookworm's QEMU is too old for the clock that we use; its backports have a newer one.
    if [[ $suite == bookworm ]]; then
        private_apt "$LAB/apt" "$(dpkg --print-architecture)" bookworm bookworm-backports
        sed -i 's,^Dir::State::status.*,Dir::State::status "/var/lib/dpkg/status";,' "$LAB/apt/conf"
        options=(-c "$LAB/apt/conf" -t bookworm-backports)
        quietly "refreshing the lists of bookworm-backports" apt_get -c "$LAB/apt/conf" update || apt_failed "sudo apt-get update"
    fi
    quietly "installing ${TOOLS[*]}" apt_get "${options[@]}" install --no-install-recommends --no-remove "${TOOLS[@]}" ||
        apt_failed "sudo apt-get install -y ${TOOLS[*]}"
}

# Programs for arm64 run here as if they were ours: the installation of the root needs it.
run_foreign_programs() {
    local at=/proc/sys/fs/binfmt_misc elf='\x7fELF\x02\x01\x01' machine='\x02\x00\xb7\x00'
    [[ -e $at/register ]] || mount -t binfmt_misc binfmt_misc "$at"
    if [[ -e $at/qemu-aarch64 ]]; then return; fi
    printf ':qemu-aarch64:M::%s%s%s:%s%s%s:/usr/bin/qemu-aarch64-static:OCF' \
        "$elf" '\x00\x00\x00\x00\x00\x00\x00\x00\x00' "$machine" \
        '\xff\xff\xff\xff\xff\xff\xff' '\x00\xff\xff\xff\xff\xff\xff\xff\xff' '\xfe\xff\xff\xff' >"$at/register"
}

# ----------------------------------------------------------------------------------------- root

GUEST_PACKAGES=systemd,systemd-sysv,udev,dbus,kmod,python3,git,sudo,openssh-server,alsa-utils,iproute2,procps

# Whatever runs in it is emulated, and slow: so there is no kernel package, which would index its
# modules and make an initrd, and no ca-certificates, which would link 140 files.
make_root() {
    run_foreign_programs
    [[ -e $LAB/key ]] || ssh-keygen -q -t ed25519 -N '' -f "$LAB/key"
    rm -rf -- "$TREE"
    SYSTEMD_HWDB_UPDATE_BYPASS=1 quietly "installing Debian 13 for arm64" mmdebstrap --mode=root --arch=arm64 \
        --variant=minbase --format=directory --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --include="$GUEST_PACKAGES" trixie "$TREE" "$(mirror)" ||
        fail "Debian for arm64 could not be installed (details in $LOG)."
}

# ---------------------------------------------------------------------------------------- kernel

MODULES_FOR_THE_DISK=(crypto/crc32c_generic lib/crc16 fs/mbcache fs/jbd2/jbd2 fs/ext4/ext4 drivers/block/virtio_blk)

# Debian's own kernel, unpacked and indexed by this machine's programs.
add_kernel() {
    local apt=$LAB/apt-arm64 image
    private_apt "$apt" arm64 trixie
    quietly "refreshing the lists for arm64" apt-get -q -c "$apt/conf" update || fail "the package archive cannot be reached."
    image=$(apt-cache -c "$apt/conf" depends linux-image-arm64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p')
    cd -- "$apt"
    quietly "fetching $image" apt-get -q -c "$apt/conf" download "$image" busybox-static || fail "the kernel could not be fetched (details in $LOG)."
    cd -- "$ROOT"
    dpkg-deb --fsys-tarfile "$apt/$image"_*.deb | tar -xf - -C "$TREE" --keep-directory-symlink
    depmod -b "$TREE" "${image#linux-image-}" # the same for every processor
    make_initrd "$apt" "$TREE/lib/modules/${image#linux-image-}/kernel"
    cp -- "$TREE"/boot/vmlinuz-* "$LAB/vmlinuz"
}

# The kernel's way to the disk, and nothing else.
make_initrd() { # APT MODULES
    local at=$LAB/initrd name
    rm -rf -- "$at"
    mkdir -p -- "$at"/{dev,proc,disk}
    dpkg-deb --fsys-tarfile "$1"/busybox-static_*.deb | tar -xOf - --wildcards './*bin/busybox' >"$at/busybox"
    chmod +x -- "$at/busybox"
    {
        echo '#!/busybox sh'
        echo '/busybox mount -t devtmpfs dev /dev && /busybox mount -t proc proc /proc'
        for name in "${MODULES_FOR_THE_DISK[@]}"; do
            xz -dc "$2/$name.ko.xz" >"$at/${name##*/}.ko"
            echo "/busybox insmod /${name##*/}.ko"
        done
        echo 'until /busybox mount -t ext4 /dev/vda /disk; do /busybox sleep 0.2; done'
        echo '/busybox umount /proc; /busybox mount --move /dev /disk/dev'
        echo 'exec /busybox switch_root /disk /sbin/init'
    } >"$at/init"
    chmod +x -- "$at/init"
    (cd -- "$at" && find . | cpio -o -H newc --quiet) | gzip -1 >"$LAB/initrd.img"
}

# What makes it a Raspberry Pi with two sound cards that are a room, and lets us in.
furnish() {
    local etc=$TREE/etc unit
    # This machine's certificates: making a store of its own takes minutes under emulation, and the
    # way to the registries may be through an authority that only this machine knows.
    mkdir -p -- "$etc/ssl/certs"
    cp -rL /etc/ssl/certs/. "$etc/ssl/certs/" 2>/dev/null || true
    if [[ -e /etc/pip.conf ]]; then cp -L /etc/pip.conf "$etc/pip.conf"; fi
    echo raspberrypi >"$etc/hostname"
    printf '127.0.0.1 localhost raspberrypi\n' >"$etc/hosts"
    printf '/dev/vda / ext4 defaults,noatime 0 1\n' >"$etc/fstab"
    printf 'nameserver 10.0.2.3\n' >"$etc/resolv.conf"
    printf '[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n' >"$etc/systemd/network/lab.network"
    ln -sf /usr/lib/systemd/system/systemd-networkd.service "$etc/systemd/system/multi-user.target.wants/"
    for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
        dpkg-db-backup.timer systemd-networkd-wait-online.service getty@tty1.service \
        systemd-hwdb-update.service systemd-journal-catalog-update.service ldconfig.service systemd-pstore.service; do
        ln -sf /dev/null "$etc/systemd/system/$unit"
    done
    touch -- "$etc/.updated" "$TREE/var/.updated" # or the first boot rebuilds what it has
    install -D -m 600 "$LAB/key.pub" "$TREE/root/.ssh/authorized_keys"
    printf 'UseDNS no\nPermitRootLogin prohibit-password\nPerSourcePenalties no\n' >"$etc/ssh/sshd_config.d/lab.conf"
    # As Raspberry Pi OS has them: a group for GPIO, and a person who may use sudo.
    chroot "$TREE" groupadd -f -r gpio
    printf 'SUBSYSTEM=="gpio", GROUP="gpio", MODE="0660"\n' >"$etc/udev/rules.d/99-com.rules"
    chroot "$TREE" useradd -m -s /bin/bash -G audio,gpio,sudo pi
    printf 'pi ALL=(ALL) NOPASSWD: ALL\n' >"$etc/sudoers.d/010_pi-nopasswd"
    # What is played into one end of a loopback card comes out of its other end: a microphone and a
    # loudspeaker whose air is a program (guest/room.py).
    echo snd-aloop >"$etc/modules-load.d/lab.conf"
    echo 'options snd-aloop enable=1,1 id=Mic,Spk index=2,3 pcm_substreams=2,2' >"$etc/modprobe.d/lab.conf"
}

# -------------------------------------------------------------------------------------- modules

# Debian builds neither gpio-sim nor snd-dummy, a card with a finer clock than snd-aloop's.  They are
# made from the kernel's own source, by this machine's compiler.
make_modules() {
    run_foreign_programs
    local version apt=$LAB/apt-arm64 source at=$LAB/gpio name deb link target
    version=$(basename "$TREE"/lib/modules/*)
    source=linux-source-$(cut -d. -f1,2 <<<"$version")
    rm -rf -- "$at"
    mkdir -p -- "$at/headers" "$at/src"
    cd -- "$apt"
    quietly "fetching the kernel's headers and source" apt-get -q -c "$apt/conf" download "linux-headers-$version" \
        "linux-headers-${version%-*}-common" "linux-kbuild-${version%-*}" "$source" || fail "the kernel's source could not be fetched (details in $LOG)."
    cd -- "$ROOT"
    for name in headers kbuild; do
        for deb in "$apt"/linux-"$name"-*.deb; do dpkg-deb -x "$deb" "$at/headers"; done
    done
    # They lead to /usr/lib of the machine that has them installed.
    while read -r link; do
        target=$(readlink "$link")
        ln -sfn -- "$at/headers/usr/lib/${target#../../lib/}" "$link"
    done < <(find "$at/headers/usr/src" -maxdepth 2 -type l -lname '../../lib/*')
    quietly "building gpio-sim and snd-dummy" unshare -m bash -euc "$(declare -f compile_modules); compile_modules '$at' '$version' '$TREE' '$apt/$source'_*.deb" ||
        fail "gpio-sim and snd-dummy could not be built (details in $LOG)."
    install -D -m 644 -t "$TREE/lib/modules/$version/updates" "$at"/src/*.ko
    depmod -b "$TREE" "$version"
    rm -rf -- "$at"
}

# compile_modules FOLDER VERSION TREE SOURCE.deb, with mounts of its own.
compile_modules() {
    local src=$1/src
    mount --bind "$1/headers/usr/src" /usr/src # its makefiles name this place
    dpkg-deb --fsys-tarfile "$4" | tar -xO --wildcards -f - './usr/src/linux-source-*.tar.xz' |
        tar -xJ -C "$src" --strip-components=1 --wildcards -f - '*/drivers/gpio/gpio-sim.c' '*/kernel/irq/irq_sim.c' '*/sound/drivers/dummy.c'
    mv -- "$src/drivers/gpio/gpio-sim.c" "$src/gpio_sim_main.c"
    mv -- "$src/sound/drivers/dummy.c" "$src/dummy.c"
    # The call is not exported to modules; this one is, and does the same by number.
    sed 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq(irqnum)/' "$src/kernel/irq/irq_sim.c" >"$src/irq_sim.c"
    printf 'obj-m := gpio-sim.o snd-dummy.o\ngpio-sim-y := gpio_sim_main.o irq_sim.o\nsnd-dummy-y := dummy.o\n' >"$src/Makefile"
    # Its small helpers are programs for arm64.  What only a newer compiler knows, and what needs
    # pahole, is left out.
    QEMU_LD_PREFIX=$3 make -s -C "/usr/src/linux-headers-$2" M="$src" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- \
        CC=aarch64-linux-gnu-gcc CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT= CONFIG_DEBUG_INFO_BTF_MODULES= modules
}

# ----------------------------------------------------------------------------------------- disk

make_disk() {
    rm -rf -- "$TREE"/var/cache/apt/archives/*.deb
    truncate -s 8G "$LAB/disk.new"
    quietly "making its disk" mke2fs -q -t ext4 -F -d "$TREE" "$LAB/disk.new" || fail "the disk could not be made (details in $LOG)."
    mv -- "$LAB/disk.new" "$LAB/disk.img" # whole, or not there
}

# step NAME function: once.
step() {
    if [[ ! -e $LAB/made-$1 ]]; then
        "$2"
        touch -- "$LAB/made-$1"
    fi
}

build() {
    local begun=$SECONDS
    if [[ -e $LAB/disk.img ]]; then return; fi
    ((EUID == 0)) || fail "building the machine needs root; run: sudo $0 build"
    [[ $LAB != *[[:space:]:,]* ]] || fail "EDGE_AGENT_LAB_ARM must be a folder without spaces, colons and commas in its name."
    command -v apt-get >/dev/null || fail $EXIT_UNAVAILABLE "the machine is made of Debian's packages; use Debian 12 or 13."
    step tools install_tools
    step root make_root
    step kernel add_kernel
    step furnished furnish
    step modules make_modules
    make_disk
    say "built in $((SECONDS - begun)) s"
}
