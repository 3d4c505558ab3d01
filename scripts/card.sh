#!/usr/bin/env bash
# Give one sound card to the speaker alone: a desktop's PipeWire or PulseAudio leaves it.  Called by
# install.sh --card, before anything else is installed, so it needs Python's own library only.
#   sudo scripts/card.sh NAME [--check] [--root DIR]    none: the desktop has it back
set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
for python in python3 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi
    python=
done
if [[ -z $python ]]; then
    echo "card.sh: Python 3.11 or newer is needed; run: sudo apt-get install -y python3" >&2
    exit 69
fi
PYTHONPATH="$ROOT" PYTHONDONTWRITEBYTECODE=1 "$python" -m edge_agent.cli.own_card "$@"
if [[ " $* " != *" --root "* && " $* " != *" --check "* ]] && command -v udevadm >/dev/null; then
    udevadm control --reload 2>/dev/null && udevadm trigger --action=change --subsystem-match=sound || true
    echo "A desktop session that runs now keeps its cards until you log out, or: systemctl --user restart wireplumber"
fi
