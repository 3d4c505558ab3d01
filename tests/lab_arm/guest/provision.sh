#!/bin/bash
# Around the installed service: a provider of our own in a network of its own, the room, settings.
# Runs as root in the machine, once, after `scripts/install.sh`.
set -euo pipefail

units=/etc/systemd/system
cat >/usr/local/sbin/lab-network <<'NET'
#!/bin/sh
# A network of its own for the provider, behind a cable that can be pulled (`ip link set lab0 down`).
ip netns add provider
ip link add lab0 type veth peer name eth0 netns provider
ip addr add 10.99.0.1/24 dev lab0
ip link set lab0 up
ip -n provider addr add 10.99.0.2/24 dev eth0
ip -n provider link set eth0 up
ip -n provider link set lo up
NET
chmod +x /usr/local/sbin/lab-network
cat >$units/lab-network.service <<'UNIT'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-network
[Install]
WantedBy=multi-user.target
UNIT
cat >$units/lab-provider.service <<'UNIT'
[Unit]
Requires=lab-network.service
After=lab-network.service
[Service]
ExecStart=/usr/sbin/ip netns exec provider /opt/edge-agent/venv/bin/edge-agent simulate-server --host 10.99.0.2 --events
StandardOutput=file:/run/lab-provider.log
[Install]
WantedBy=multi-user.target
UNIT
cat >$units/lab-room.service <<'UNIT'
[Unit]
After=sound.target
[Service]
ExecStart=/opt/edge-agent/venv/bin/python /srv/lab/lab_arm/guest/room.py /run/lab
Restart=always
[Install]
WantedBy=multi-user.target
UNIT
# The loopback cards' clock is the kernel's tick (4 ms): blocks of 20 ms suit it.
mkdir -p /etc/edge-agent/config.d
cat >/etc/edge-agent/config.d/lab.toml <<'TOML'
[realtime]
provider = "local"
url = "ws://10.99.0.2:8765/v1/realtime"
allow_insecure_url = true
[device]
capture_device = "snd_aloop.0,1"
render_device = "Loopback: PCM @ snd_aloop.1"
block_ms = 20
TOML
# Nobody here is asked for the time: under the instruction clock it would jump.
ln -sf /dev/null $units/systemd-timesyncd.service
systemctl daemon-reload
systemctl enable -q lab-network lab-provider lab-room
systemctl start lab-network lab-provider lab-room
