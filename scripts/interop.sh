#!/usr/bin/env bash
# Talk with realtime clients and servers from the package registries that we did not write, and
# have the demo's report judged by axe-core in a headless Chromium.
#   scripts/interop.sh                    all of them, and a table
#   scripts/interop.sh litellm pipecat    these (--help names them all)
#   scripts/interop.sh --lock             take the newest versions: remake the locks of the peers
# Not part of the tests: it needs the network and some 2 GB in .venv/interop for the first run.
# Ends with 0 if every talk was held, 1 if one was not, 69 if a peer could not be installed.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

UV_VERSION=0.13.8 # as in lock.sh

relock() {
    local tools=$1 list package
    "$VENV/bin/python" -m venv "$tools/venv"
    "$tools/venv/bin/python" -m pip install --quiet "uv==$UV_VERSION"
    unset "${!UV_@}" # a mirror named in the environment must not shape the lock
    compile() { # compile OUTPUT arguments...
        say "$1"
        "$tools/venv/bin/uv" pip compile --no-config --quiet --universal --python-version 3.11 --upgrade \
            --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
            --custom-compile-command "scripts/interop.sh --lock" --output-file "$@" >/dev/null
    }
    for list in tests/interop/{clients,servers}/locks/*.in; do
        if [[ $list == *.no-deps.in ]]; then compile "${list%.in}.txt" "$list" --no-deps; else compile "${list%.in}.txt" "$list"; fi
    done
    for package in clients servers toolservers pages; do # versions stand in package.json
        say "tests/interop/$package/node/package-lock.json"
        cp -- "tests/interop/$package/node/package.json" "$tools/"
        rm -f -- "$tools/package-lock.json"
        npm install --prefix "$tools" --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund >/dev/null 2>&1 ||
            fail $EXIT_UNAVAILABLE "npm could not resolve the packages for Node."
        cp -- "$tools/package-lock.json" "tests/interop/$package/node/"
    done
}

setup dev
cd -- "$ROOT"
if [[ ${1:-} == --lock ]]; then
    command -v npm >/dev/null || fail $EXIT_UNAVAILABLE "npm is missing; run: sudo apt-get install -y nodejs npm"
    tools=$(mktemp -d)
    trap 'rm -rf -- "$tools"' EXIT
    relock "$tools"
    say "done; run scripts/interop.sh"
    exit 0
fi
exec "$VENV/bin/python" tests/interop/run.py "$@"
