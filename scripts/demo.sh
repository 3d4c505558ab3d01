#!/usr/bin/env bash
# Set up what is missing, then show a household talking to the speaker: no key, no microphone,
# no hardware.  Options go to `edge-agent demo` (see --help): --fast in seconds, --live with this
# machine's own microphone and speaker.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

setup demo
install_voice
exec "$VENV/bin/edge-agent" demo "$@"
