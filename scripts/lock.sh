#!/usr/bin/env bash
# Remake the lock files in requirements/ from pyproject.toml, for Python 3.11-3.13 on x86_64 and
# aarch64: newest versions that fit, with the hash of every file the public registry has of them.
#   scripts/lock.sh             keep what is locked, add and remove what pyproject.toml says
#   scripts/lock.sh --upgrade   take the newest of everything
# Needs the network.  Uses no pip configuration of this machine, so no local mirror gets in.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

UV_VERSION=0.13.8 # only the maker of the lock needs it, so it is in no lock
find_python
cd -- "$ROOT"
tools=$(mktemp -d)
trap 'rm -rf -- "$tools"' EXIT
say "fetching the resolver"
"$PYTHON" -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip install --quiet "uv==$UV_VERSION"

unset "${!UV_@}" # a mirror named in the environment must not shape the lock
compile() { # compile OUTPUT arguments...
    local out=requirements/$1
    shift
    say "$out"
    "$tools/venv/bin/uv" pip compile --no-config --quiet --universal --python-version 3.11 \
        --fork-strategy fewest --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-annotate --custom-compile-command scripts/lock.sh --output-file "$out" "$@" >/dev/null
}

mkdir -p requirements
printf '%s\n' 'setuptools>=77' wheel >"$tools/build.in" # wheel: pip 23 builds setup.py projects with it
compile build.txt "$@" "$tools/build.in"
# The largest first; the others are cut from it, so that each is a part of the next.
compile dev.txt "$@" -c requirements/build.txt --extra demo --extra mcp --extra dev pyproject.toml
compile demo.txt -c requirements/dev.txt --extra demo pyproject.toml
compile run.txt -c requirements/dev.txt pyproject.toml
"$PYTHON" -c 'import tomllib
print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["pi"]))' >"$tools/pi.in"
compile mcp.txt -c requirements/dev.txt --extra mcp pyproject.toml
compile pi.txt "$@" -c requirements/dev.txt "$tools/pi.in"
say "done; run scripts/test.sh"
