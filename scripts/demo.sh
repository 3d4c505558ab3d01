#!/usr/bin/env bash
# Set up what is missing, then show a household talking to the speaker: no key, no microphone,
# no hardware.  Options go to `edge-agent demo` (see --help): --fast in seconds, --live with this
# machine's own microphone and speaker.  The set-up itself has one:
#   scripts/demo.sh --wheels FOLDER …    Python packages from a folder that scripts/wheels.sh made
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

if [[ ${1:-} == --wheels ]]; then
    take_wheels "${2:-}"
    shift 2
fi
setup demo
install_voice
exec "$VENV/bin/edge-agent" demo "$@"
