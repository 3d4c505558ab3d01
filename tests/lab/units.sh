#!/usr/bin/env bash
# The installed service in a booted Debian 12 or 13: confinement, tool servers as units, root's commands.
# Called by `scripts/lab.sh --units [bookworm|trixie]`.  Needs root, mmdebstrap and systemd-container
# (both from apt); the container's root is made once in $EDGE_AGENT_LAB/SUITE (a minute).
set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)"
LAB=${EDGE_AGENT_LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/edge-agent-lab}
SUITE=${1:-trixie}
TREE=$LAB/$SUITE
SECURITY_TENTHS_MAX=15
FAILED=0
mkdir -p -- "$LAB"

fail() {
    printf 'units.sh: %s\n' "$*" >&2
    exit 69
}

((EUID == 0)) || fail "a container needs root; run: sudo $ROOT/scripts/lab.sh --units"
[[ $SUITE == bookworm || $SUITE == trixie ]] || fail "there is a lab of bookworm (Debian 12) and trixie (Debian 13), not of $SUITE"
for tool in mmdebstrap systemd-nspawn; do
    command -v "$tool" >/dev/null || fail "$tool is missing; run: sudo apt-get install -y mmdebstrap systemd-container"
done

# ------------------------------------------------------------------------- the machine, once

PACKAGES=systemd,systemd-sysv,dbus,git,python3,python3-venv,python3-dev,gcc,libc6-dev,pkg-config
PACKAGES+=,portaudio19-dev,libsystemd-dev,ca-certificates,procps,pulseaudio,libasound2-plugins
if [[ ! -e $TREE/etc/lab.made ]]; then
    mirror=$(grep -hE '^(URIs:|deb )' /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -oE 'https?://[^ ]+' | head -n 1) || true
    rm -rf -- "$TREE"
    mmdebstrap --quiet --variant=minbase --include="$PACKAGES" "$SUITE" "$TREE" "$mirror"
    # This machine's way to the package registries.
    cp -rL --remove-destination /etc/ssl/certs/. "$TREE/etc/ssl/certs/" || true
    cp -r /etc/apt/apt.conf.d/. "$TREE/etc/apt/apt.conf.d/"
    for file in /etc/pip.conf /etc/hosts /etc/resolv.conf; do
        if [[ -e $file ]]; then cp --remove-destination -L "$file" "$TREE$file"; fi
    done
    if [[ -d ${PIP_FIND_LINKS:-} ]]; then mkdir -p -- "$TREE$PIP_FIND_LINKS" && cp -r -- "$PIP_FIND_LINKS/." "$TREE$PIP_FIND_LINKS/"; fi
    touch -- "$TREE/etc/lab.made"
fi
rm -rf -- "$TREE/srv/checkout"
mkdir -p -- "$TREE/srv/checkout"
git -C "$ROOT" ls-files -z | tar -C "$ROOT" --null -cf - -T - | tar -xf - -C "$TREE/srv/checkout"
# A commit of its own, so that the build has a name.
git -C "$TREE/srv/checkout" init -q
git -C "$TREE/srv/checkout" add -A
git -C "$TREE/srv/checkout" -c user.name=lab -c user.email=lab@localhost commit -qm lab
built=$(git -C "$TREE/srv/checkout" rev-parse --short=7 HEAD)
cp -- "$ROOT/tests/lab/probing_server.py" "$TREE/opt/"

# Sound: two null sinks, one of which is heard as the microphone.
cat >"$TREE/etc/lab.pa" <<'PA'
load-module module-native-protocol-unix auth-anonymous=1 socket=/run/lab-pulse
load-module module-null-sink norewinds=1 sink_name=spk rate=48000 format=s16le channels=1
load-module module-null-sink norewinds=1 sink_name=feed rate=48000 format=s16le channels=1
load-module module-remap-source master=feed.monitor source_name=mic
set-default-sink spk
set-default-source mic
PA
printf '%s { type pulse }\n' pcm.pulse ctl.pulse pcm.default ctl.default >"$TREE/etc/lab-alsa.conf"
units=$TREE/etc/systemd/system
mkdir -p -- "$units/edge-agent.service.d" "$TREE/etc/edge-agent/config.d"
printf '[Service]\nEnvironment=HOME=/srv\nExecStart=/usr/bin/pulseaudio -n -F /etc/lab.pa --exit-idle-time=-1 --daemonize=no\n' >"$units/lab-pulse.service"
printf '[Service]\nDynamicUser=yes\nExecStart=/opt/edge-agent/venv/bin/edge-agent simulate-server --port 8765 --key sk-lab\n' >"$units/lab-server.service"
printf '[Service]\nEnvironment=PULSE_SERVER=unix:/run/lab-pulse ALSA_CONFIG_PATH=/etc/lab-alsa.conf\n' >"$units/edge-agent.service.d/lab.conf"
cat >"$TREE/etc/edge-agent/config.d/lab.toml" <<'TOML'
[realtime]
url = "ws://127.0.0.1:8765/v1/realtime"
[mcp.servers.plain]
command = ["/usr/bin/python3", "/opt/probing_server.py"]
tools = { probe = "low" }
env = { PLAIN = 'a "b" $HOME %n \ `x`' }
[mcp.servers.stubborn]
command = ["/usr/bin/python3", "/opt/probing_server.py", "stubborn", '$HOME %n "q"']
env_file = "/etc/edge-agent/stubborn.env"
network = true
tools = { probe = "low" }
TOML
echo sk-lab >"$TREE/etc/edge-agent/openai_api_key"
printf 'SECRET=it'"'"'s "so" $ec\\ret\n' >"$TREE/etc/edge-agent/stubborn.env"
chmod 600 "$TREE"/etc/edge-agent/{openai_api_key,stubborn.env}

# ------------------------------------------------------------------------------ it is booted

inside() {
    nsenter -t "$leader" -m -p -u -i "${own_net[@]}" -C env -i HOME=/srv LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        PIP_FIND_LINKS="${PIP_FIND_LINKS:-}" PIP_CERT=/etc/ssl/certs/ca-certificates.crt "$@"
}

# boot [nspawn options]: sets $leader, its first process.
boot() {
    own_net=()
    if [[ " $* " == *" --private-network "* ]]; then own_net=(-n); fi
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn -q -D "$TREE" --boot --register=no --keep-unit \
        --machine="lab$$" "$@" </dev/null >"$LAB/nspawn.log" 2>&1 &
    container=$!
    trap halt EXIT
    leader=
    for _ in $(seq 100); do
        leader=$(tr ' ' '\n' <"/proc/$container/task/$container/children" 2>/dev/null | head -n 1) || true
        if [[ -n $leader ]] && inside systemctl is-system-running 2>/dev/null | grep -q 'running\|degraded'; then return; fi
        sleep 0.2
    done
    fail "the container does not boot; see $LAB/nspawn.log"
}

halt() {
    trap - EXIT
    inside systemctl poweroff 2>/dev/null || true
    for _ in $(seq 50); do
        kill -0 "$container" 2>/dev/null || return 0
        sleep 0.2
    done
    kill "$container" || true
}

# holds "what" command...: one line with the seconds it took, and a red end if it does not.
holds() {
    local what=$1 status=0 began=$SECONDS
    shift
    inside bash -c "$*" >"$LAB/last.txt" 2>&1 || status=$?
    if ((status)); then
        FAILED=1
        printf 'BAD  %3d s  %s\n' "$((SECONDS - began))" "$what"
        tail -n 8 "$LAB/last.txt"
    else
        printf 'ok   %3d s  %s\n' "$((SECONDS - began))" "$what"
    fi
}

boot # with this machine's network, to install
holds "the installer runs" 'cd /srv/checkout && scripts/install.sh'
halt
boot --private-network # in which systemd can give and take networks
inside systemctl start lab-pulse lab-server
inside systemctl restart edge-agent
found() { printf 'python3 -c "import json; f = json.load(open(\\"/var/cache/private/edge-agent-tools/%s/found.json\\")); assert %s, f"' "$1" "$2"; }
wait_for='for _ in $(seq 60); do edge-agent status | grep -q "ready (openai" && break; sleep 0.5; done'
tenths="--threshold=$SECURITY_TENTHS_MAX --no-pager"

holds "the speaker is ready and connected" "$wait_for; edge-agent status | grep -q 'ready (openai'"
holds "program, status and journal name the build" "edge-agent --version | grep -q $built && edge-agent status --json | grep -q $built && journalctl -u edge-agent | grep -q $built"
holds "it has sound" "for _ in \$(seq 60); do edge-agent status | grep -q 'default in, default out' && break; sleep 0.5; done; edge-agent status | grep -q 'default in, default out'"
holds "muted, its microphone is closed" "edge-agent mute on && for _ in \$(seq 20); do edge-agent status | grep -q 'nothing records' && break; sleep 0.5; done; edge-agent status | grep -q 'nothing records'"
holds "unmuted, it is open" "edge-agent mute off && for _ in \$(seq 20); do edge-agent status | grep -q 'Microphone:  *on' && break; sleep 0.5; done; edge-agent status | grep -q 'default in, default out'"

state_of=/var/lib/edge-agent
# Key, settings and log level of a speaker that goes on running.
key=/etc/edge-agent/openai_api_key
more=/etc/edge-agent/config.d/more.toml
# within SECONDS command...: it holds before they are over.
within() { printf '( for _ in $(seq %d); do if %s; then exit 0; fi; sleep 0.5; done; systemctl show -P StatusText edge-agent; journalctl -b -u edge-agent -n 12; exit 1 )' $(($1 * 2)) "$2"; }
status_says() { printf 'systemctl show -P StatusText edge-agent | grep -q "%s"' "$1"; }
pid_before=$(inside systemctl show -P MainPID edge-agent)
holds "its key is root's, and its group may read it" "stat -c %U:%G:%a $key | tee /dev/stderr | grep -qx root:edge-agent:640"
holds "the journal names the host" "journalctl -b -u edge-agent | grep -q 'Connected to .* at 127.0.0.1:8765'"
holds "another key in the file: refused within 10 s, and STATUS says wrong key" "echo sk-wrong >$key; $(within 10 "$(status_says 'wrong key')")"
holds "the right one: connected within 10 s" "echo sk-lab >$key; $(within 10 "edge-agent status | grep -q 'ready (openai'")"
holds "a key that only root may read: told, and the session stands" "rm $key; echo sk-lab2 | install -m 600 /dev/stdin $key; $(within 10 "journalctl -b -u edge-agent EDGE_CODE=link.key_unreadable | grep -q 'Permission denied'") && edge-agent status | grep -q 'ready (openai'"
holds "systemctl reload mends its rights and takes it at once" "systemctl reload edge-agent && stat -c %G:%a $key | grep -qx edge-agent:640; $(within 10 "$(status_says 'wrong key')")"
holds "the right one once more" "echo sk-lab >$key; $(within 10 "edge-agent status | grep -q 'ready (openai'")"
holds "no restart in all that" "[[ \$(systemctl show -P MainPID edge-agent) == $pid_before && \$(systemctl show -P NRestarts edge-agent) == 0 ]]"
holds "edge-agent reload says what is in force and what wants a restart" "printf '[listen]\nfollow_up_s = 9\n[device]\nwarm_up_ms = 50\n' >$more; edge-agent reload >/tmp/said; cat /tmp/said; grep -q 'In force: listen.follow_up_s' /tmp/said && grep -q 'After a restart (sudo systemctl restart edge-agent): device.warm_up_ms' /tmp/said"
holds "systemctl reload says it in the journal" "printf '[listen]\nfollow_up_s = 8\n' >$more; systemctl reload edge-agent; $(within 5 "journalctl -b -u edge-agent EDGE_CODE=settings.reloaded | grep -q 'in force: listen.follow_up_s'") && systemctl -q is-active edge-agent"
holds "wrong settings: a reload refuses them at err, with file and line, and it runs on" "printf '[listen]\nmdoe = 1\n' >$more; edge-agent reload; [[ \$? == 78 ]] && journalctl -b -p err -u edge-agent EDGE_CODE=settings.wrong | grep -q 'more.toml line 2: listen.mdoe' && systemctl -q is-active edge-agent"
holds "and a start ends with 78, the mistake in STATUS and at err, with an explanation" "systemctl restart edge-agent; sleep 3; systemctl show -P ExecMainStatus edge-agent | grep -qx 78 && $(status_says 'more.toml line 2') && journalctl -b -x -p err -u edge-agent -n 5 | tee /dev/stderr | grep -q 'Defined-By: edge-agent\|First stands where'"
holds "down, status --json is JSON" "edge-agent status --json 2>/dev/null | python3 -c 'import json, sys; assert json.load(sys.stdin)[\"running\"] is False'"
holds "corrected, it starts" "rm $more; systemctl start edge-agent; $(within 20 "edge-agent status | grep -q 'ready (openai'")"
holds "debug lines for a while, without a restart" "edge-agent log-level debug --for 20s && edge-agent mute on && edge-agent mute off && sleep 1 && journalctl -b -u edge-agent EDGE_CODE=dialogue.state | grep -q 'microphone muted'"
holds "a second speaker is refused, root's and anybody's" "edge-agent run; [[ \$? == 69 ]] && su -s /bin/sh nobody -c 'edge-agent run' 2>&1 | tee /dev/stderr | grep -q 'A speaker runs on this machine already' && ! journalctl -b -u edge-agent | grep -q 'not a request'"
holds "who is in the group may ask and mute, and is told what else wants sudo" "{ id -u anna >/dev/null 2>&1 || useradd anna; } && usermod -a -G edge-agent anna; su anna -c 'edge-agent status && edge-agent mute on && edge-agent mute off && edge-agent log-level' && su anna -c 'edge-agent facts list' 2>&1 | tee /dev/stderr | grep -q 'Start it with sudo'"
holds "who is not is told of the group" "su -s /bin/sh nobody -c 'edge-agent status' 2>&1 | grep -q 'not in the group edge-agent'"
holds "root's commands leave nothing of root's behind" "edge-agent voice-pack build --engine espeak; edge-agent facts list; edge-agent usage; edge-agent privacy >/dev/null; edge-agent messages list; edge-agent timers list; edge-agent mcp list >/dev/null; ! find /var/lib/edge-agent /run/edge-agent -user root | grep . && rm -r /var/lib/edge-agent/voice-pack"
strange="'facts list' 'messages list' usage 'timers list' privacy 'config check' 'config show' 'prompt show' 'mcp list' 'voice-pack list' 'voice-pack build --engine espeak' 'transcribe /etc/shadow' devices reload log-level"
holds "nobody's troubles are not called a fault of the program" "cd /; for verb in $strange; do echo \"== \$verb\"; su -s /bin/sh nobody -c \"edge-agent \$verb\" </dev/null; done >/tmp/walk 2>&1; cat /tmp/walk; ! grep 'fault in the program' /tmp/walk"
holds "no library writes into its state, or its own lines into the journal" "! ls -d $state_of/.config && ! journalctl -b -u edge-agent | grep -i 'cookie\|ALSA lib\|\[pulseaudio'"

# A disk of the speaker's own for its state: full, then read-only, then as it should be.
state=/var/lib/edge-agent
says() { printf 'for _ in $(seq 60); do edge-agent status | grep -q "%s" && break; sleep 0.5; done; edge-agent status | grep -q "%s"' "$1" "$1"; }
# becomes true|false: within a minute the file says so.
becomes() { printf "for _ in \$(seq 120); do grep -q 'muted.: %s' %s/state.json && exit 0; sleep 0.5; done; edge-agent status; cat %s/state.json; exit 1" "$1" "$state" "$state"; }
holds "its state moves to a disk of 1 MB" "systemctl stop edge-agent && cp -a $state /srv/state && mount -t tmpfs -o size=1m,mode=700 tmpfs $state && chown edge-agent: $state && cp -a /srv/state/. $state/ && systemctl start edge-agent && $(says 'ready (openai')"
verbs="'facts list' 'facts forget --all --yes' 'messages delete --all' usage 'timers add 10m' 'volume 40' 'voice-pack build --engine espeak' 'privacy --delete usage --yes' 'guest off'"
holds "on a full disk no verb calls that a fault of the program" "head -c 2M /dev/zero >$state/fill; for verb in $verbs; do echo \"== \$verb\"; edge-agent \$verb; done >/tmp/walk 2>&1; cat /tmp/walk; rm -rf $state/fill $state/voice-pack; ! grep 'fault in the program' /tmp/walk"
holds "a full disk: muting is refused as not saved, by exit code and in status, and is in force" "head -c 2M /dev/zero >$state/fill; ! edge-agent mute on && $(says 'cannot be saved') && $(says 'Microphone: *off .muted') && $(status_says 'mute and volume cannot be saved') && grep -Eq '\"muted\": ?false' $state/state.json"
holds "with room again it is saved by itself" "rm $state/fill; ( $(becomes true) ) && $(within 3 "! $(status_says 'cannot be saved')")"
holds "a read-only disk: the same for opening the microphone" "mount -o remount,ro $state && ! edge-agent mute off && $(says 'cannot be saved') && $(says 'Microphone: *on') && mount -o remount,rw $state; $(becomes false)"
holds "the journal tells of both, and the speaker ran on" "journalctl -u edge-agent | grep -q 'cannot be saved (No space left on device)' && journalctl -u edge-agent | grep -q 'cannot be saved (Read-only file system)' && systemctl show -P NRestarts edge-agent | grep -qx 0"
holds "its state moves back" "systemctl stop edge-agent && cp -a $state/. /srv/state/ && umount $state && cp -a /srv/state/. $state/ && rm -r /srv/state && systemctl start edge-agent && $(says 'ready (openai')"
# A backup of this machine, and that of the other Debian if its lab has run, put back beside the
# installed service.  Each holds the same: muted, volume 35, a timer, follow_up_s 7, the key.
backup=/srv/backup.tar.gz
ours="printf '[listen]\nfollow_up_s = 7\n' >$more && edge-agent mute on && edge-agent volume 35 && edge-agent timers add 9h bread && sleep 1"
others="printf '[listen]\nfollow_up_s = 9\n' >$more && edge-agent mute off && edge-agent volume 60 && edge-agent timers cancel bread && sleep 1"
is_ours="edge-agent status | tee /dev/stderr | grep -q 'Microphone: *off .muted' && edge-agent status | grep -q 'Volume: *35' && edge-agent timers list | grep -q bread && edge-agent config show | grep -q 'follow_up_s = 7'"
is_as_it_was="stat -c %U:%G:%a $key | tee /dev/stderr | grep -qx root:edge-agent:640 && ! find $state ! -user edge-agent | grep ."
put_back() { printf "echo sk-other >%s; printf '[listen]\\nfollow_up_s = 5\\n' >/etc/edge-agent/config.d/since.toml; systemctl stop edge-agent && edge-agent restore %s --yes && systemctl start edge-agent && %s && grep -qx sk-lab %s && { %s; } && { %s; }" "$key" "$1" "$(says 'ready (openai')" "$key" "$is_ours" "$is_as_it_was"; }
holds "a backup of a speaker that runs, for root alone to read" "rm -f /srv/*.tar.gz; $ours; edge-agent backup $backup --with-key && stat -c %U:%a $backup | grep -qx root:600"
holds "beside a speaker that runs nothing is restored" "$others; edge-agent restore $backup --yes 2>/tmp/said; [[ \$? != 0 ]] && grep -q 'sudo systemctl stop edge-agent' /tmp/said && grep -q 'follow_up_s = 9' $more && edge-agent status | grep -q 'Volume: *60' && ! ls /srv/edge-agent-before-restore*"
holds "stopped, restored and started it is as it was: microphone, volume, timer, settings, key" "$(put_back $backup)"
holds "what was there before is kept in a backup, which can be put back" "systemctl stop edge-agent && edge-agent restore /srv/edge-agent-before-restore*.tar.gz --yes && grep -q 'follow_up_s = 9' $more && echo sk-lab >$key && systemctl start edge-agent && $(says 'Volume: *60')"
for other in "$LAB"/backup-*.tar.gz; do
    if [[ ! -e $other || $other == */backup-$SUITE.tar.gz ]]; then continue; fi
    from=${other##*/backup-}
    cp -- "$other" "$TREE/srv/other.tar.gz"
    holds "and so is that of a ${from%.tar.gz} machine" "$(put_back /srv/other.tar.gz)"
done
cp -- "$TREE$backup" "$LAB/backup-$SUITE.tar.gz"
holds "the lab's own settings once more" "rm -f $more /srv/*.tar.gz; edge-agent mute off; edge-agent timers cancel bread; systemctl restart edge-agent; $(says 'ready (openai')"
holds "root sees the bytes on the speaker's connections" "edge-agent privacy --watch --seconds 2 | tee /dev/stderr | grep -q 'link ready: .* port 8765'"
holds "nothing but pings leaves outside of a talk" "edge-agent privacy --prove"
holds "systemd finds it tight" "systemd-analyze security $tenths edge-agent"
holds "a group for devices counts in its user namespace" \
    'touch /run/probe && chgrp audio /run/probe && chmod 640 /run/probe && systemd-run -q --wait --pipe -p User=edge-agent -p PrivateUsers=yes cat /run/probe'
for name in plain stubborn; do
    holds "$name: a unit of its own, connected" "for _ in \$(seq 60); do systemctl -q is-active 'edge-agent-tool-$name@*' && break; sleep 0.5; done; systemctl -q is-active 'edge-agent-tool-$name@*'"
    holds "$name: mcp list reaches it beside the speaker, and says how it runs" "edge-agent mcp list $name | grep -q 'confined by systemd'"
    holds "$name: an account of its own" "$(found "$name" "f['uid'] not in (0, $(inside id -u edge-agent))")"
    holds "$name: no key, no settings, no state, no socket" "$(found "$name" "f['reads'] == [] and f['inherited'] == []")"
    holds "$name: no sound, no GPIO; less urgent than sound" "$(found "$name" "f['devices'] == [] and f['nice'] == 5")"
done
here=$(inside readlink /proc/1/ns/net)
holds "plain: no network" "$(found plain "f['network'] != '$here' and f['interfaces'] == ['lo']")"
holds "stubborn: the network it was granted" "$(found stubborn "f['network'] == '$here'")"
holds "plain: its variables arrive as they are" "python3 - <<'PY'
import json
f = json.load(open('/var/cache/private/edge-agent-tools/plain/found.json'))
assert f['variables'] == {'PLAIN': 'a \"b\" \$HOME %n \\\\ \`x\`'}, f
f = json.load(open('/var/cache/private/edge-agent-tools/stubborn/found.json'))
assert f['variables'] == {'SECRET': 'it\\'s \"so\" \$ec\\\\ret'}, f
PY"
holds "stubborn: its arguments too" "tr '\\0' '|' </proc/\$(pgrep -f '^/usr/bin/python3 /opt/probing_server.py stubborn' | head -n 1)/cmdline | grep -qF 'stubborn|\$HOME %n \"q\"|'"
holds "no secret in what every account may read" "! grep -r 'ec.*ret' /run/systemd/system && ! su -s /bin/sh nobody -c 'cat /run/edge-agent-tools/stubborn.env'"
holds "nobody else may use the tools" "! su -s /bin/sh nobody -c 'python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect(\\\"/run/edge-agent-tools/plain.sock\\\")\"'"
holds "a program that will not end ends with the speaker" "systemctl stop edge-agent && for _ in \$(seq 20); do pgrep -f '^/usr/bin/python3 /opt/probing' >/dev/null || break; sleep 0.5; done; ! pgrep -f '^/usr/bin/python3 /opt/probing'"
holds "a server that left the settings leaves no unit" "sed -i '/servers.stubborn/,\$d' /etc/edge-agent/config.d/lab.toml && systemctl start edge-agent && ! systemctl -q is-active edge-agent-tool-stubborn.socket && ! ls /run/systemd/system/*stubborn* /run/edge-agent-tools/stubborn*"
holds "root's commands follow no link of the account's" 'systemctl stop edge-agent; echo precious >/srv/only && chmod 640 /srv/only && su -s /bin/sh edge-agent -c "ln -sf /srv/only /var/lib/edge-agent/messages.json.new; ln -sfn /srv /var/lib/edge-agent/transcripts; echo \"{\\\"version\\\": 1, \\\"messages\\\": [{\\\"id\\\": \\\"a\\\", \\\"at\\\": \\\"2026-11-20T18:00:00+00:00\\\", \\\"text\\\": \\\"x\\\"}]}\" >/var/lib/edge-agent/messages.json" && edge-agent messages delete --all && [[ $(cat /srv/only) == precious && $(stat -c %a.%U /srv/only) == 640.root && $(stat -c %U /var/lib/edge-agent/messages.json) == edge-agent ]]'
holds "uninstalled with --purge, nothing of it is left" 'rm /var/lib/edge-agent/transcripts; /srv/checkout/scripts/uninstall.sh --purge && ! ls -d /run/edge-agent* /run/systemd/system/edge-agent* /var/cache/private/edge-agent-tools /var/lib/edge-agent /opt/edge-agent 2>/dev/null'
halt
exit "$FAILED"
