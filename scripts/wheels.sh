#!/usr/bin/env bash
# Make a folder of Python packages, to set up edge-agent on a machine without network.
#   scripts/wheels.sh FOLDER                    on a machine with network: 70 MB, half a minute
#   sudo scripts/install.sh --wheels FOLDER     on the other one, from the same version of edge-agent
#   scripts/demo.sh --wheels FOLDER
# Both machines need the same Python (3.11, 3.12, 3.13) and processor.  Nothing is compiled on the
# second.  Packages of Debian are not in the folder: these must be on that machine before, with what
# they depend on (from its own medium, or as files that `apt-get download` fetched):
#   libportaudio2 python3-venv ca-certificates    and, for sentences of its own: espeak-ng
# What is fetched is held against the locks; what is compiled here the other machine holds against
# the sums that are written beside it.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
"" | -h | --help)
    sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit $(($# ? 0 : 2))
    ;;
-*) fail 2 "there is no option $1; see: $0 --help" ;;
esac
mkdir -p -- "$1" 2>/dev/null || fail "cannot write to $1; name a folder of your own."
folder=$(cd -- "$1" && pwd -P)
VENV=$folder/making STATE=$VENV/edge-agent.setup LOG=$VENV/setup.log

# one_lock NAME: the lock of what is in the folder, with its sums.
one_lock() {
    local spec name wheel
    while read -r spec _; do
        name=${spec%%==*}
        for wheel in "$folder/${name//[-.]/_}-${spec#*==}"-*.whl; do
            [[ ! -e $wheel ]] || printf '%s --hash=sha256:%s\n' "$spec" "$(sha256sum -- "$wheel" | cut -d' ' -f1)"
        done
    done < <(grep '==' "$ROOT/requirements/$1.txt")
}

fetch() { "$VENV/bin/python" -m pip wheel --no-build-isolation --require-hashes -w "$folder" -r "$ROOT/requirements/$1.txt"; }

rm -f -- "$folder/fits"
find_python
packages=$(missing_packages run "$PYTHON")
# shellcheck disable=SC2086 # a list of names
check_needs demo $packages
clear_venv
# shellcheck disable=SC2086
install_packages $packages
make_venv
quietly "installing the build tools" pip_locked build || pip_failed
names=(build demo mcp)
for name in "${names[@]}"; do
    quietly "fetching the packages of $name.txt" fetch "$name" || pip_failed
done
# The panel is an extra, and only some Pythons have it ready-made.
if [[ $(uname -m) == aarch64 ]]; then
    if quietly "fetching GPIO support" fetch pi; then names+=(pi); else say "note: no GPIO support in it"; fi
fi
for name in "${names[@]}" run; do one_lock "$name" >"$folder/$name.txt"; done
wheels_fit "$PYTHON" >"$folder/fits.new"
rm -rf -- "$VENV"
sync -f -- "$folder"
mv -- "$folder/fits.new" "$folder/fits"
say "done: $(du -sm -- "$folder" | cut -f1) MB in $folder, for $(head -n 1 "$folder/fits")"
say "not in it, and needed on that machine first: libportaudio2 python3-venv ca-certificates, and espeak-ng for a voice"
