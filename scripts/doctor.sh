#!/usr/bin/env bash
# Is this machine fit for edge-agent?  Needs Python 3.11 or newer and nothing else, installs nothing
# and changes nothing.  Once edge-agent is installed, `edge-agent doctor` sees more.
set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
for python in python3 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        exec env PYTHONPATH="$ROOT" PYTHONDONTWRITEBYTECODE=1 \
            "$python" -m edge_agent.cli.doctor.before "$@"
    fi
done
echo "doctor.sh: edge-agent needs Python 3.11 or newer, and there is none here. Debian 12 and 13 and" \
    "today's Raspberry Pi OS have it: sudo apt-get install -y python3" >&2
exit 69
