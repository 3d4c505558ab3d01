# shellcheck shell=bash disable=SC2034 # names for the scripts that source this
# What install.sh and uninstall.sh share: where things are, and how a file or a program comes into
# place.  Sourced after lib.sh, never run.
#
# The program lives in a folder of its own per version, /opt/edge-agent/venv.a or venv.b, and
# /opt/edge-agent/venv is a link to the one in use.  From `keep_before` until `commit`, $OPT/before
# holds what was there before: whoever finds it goes back to that with `restore_before`, be it this
# run or the next.
#
# Must never: leave half a file under its final name, or take the program away that runs.

ACCOUNT=edge-agent
LIVE=yes # this machine itself, and not files below --root
SCRATCH=
DRY=     # --dry-run

# The running system in other words: `//`, a link, a bind mount, or a part of it in the folder.
is_live() {
    local part
    for part in / /opt /opt/edge-agent /etc /etc/edge-agent /etc/systemd/system /var /var/lib \
        /var/lib/edge-agent /usr /usr/local /usr/local/bin /usr/local/lib; do
        if [[ $1$part -ef $part ]]; then return 0; fi
    done
    return 1
}

# take_root DIR: the value of --root.
take_root() {
    if [[ ${1:-} != /* || ! -d $1 ]] || is_live "$1"; then
        fail 2 "--root needs an existing folder, as a whole path, that is not / itself and leads to no part of it."
    fi
    SCRATCH=$(cd -- "$1" && pwd -P)
    LIVE=
}

name_places() {
    OPT=$SCRATCH/opt/edge-agent
    ETC=$SCRATCH/etc/edge-agent
    UNITS=$SCRATCH/etc/systemd/system
    CATALOG=$SCRATCH/usr/local/lib/systemd/catalog/edge-agent.catalog
    COMMAND=$SCRATCH/usr/local/bin/edge-agent
    COMPLETION=$SCRATCH/usr/local/share/bash-completion/completions/edge-agent
    MANUAL=$SCRATCH/usr/local/share/man/man1/edge-agent.1
    CARD_RULE=$SCRATCH/etc/udev/rules.d/90-edge-agent-card.rules # of --card
    KEY=$ETC/openai_api_key
    BEFORE=$OPT/before
    FOLDERS=$OPT/folders-made.txt  # those that were not there before us
    PACKAGES=$ETC/debian-packages.txt # those that we had installed; stays with your settings
}

# act "what it does" command...: done, or only said with --dry-run.
act() {
    local what=$1
    shift
    if [[ -n $DRY ]]; then echo "would $what"; else "$@"; fi
}

# -------------------------------------------------------------------------------------- files

# A folder for a file of ours; that it was not there is written down first.
our_folder() {
    local place=$1 missing=()
    [[ ! -d $place ]] || return 0
    while [[ ! -d $place ]]; do
        missing+=("$place")
        place=$(dirname -- "$place")
    done
    mkdir -p -- "$OPT" && printf '%s\n' "${missing[@]#"$SCRATCH"}" >>"$FOLDERS" && mkdir -p -- "$1"
}

# put MODE SOURCE TARGET: into place in one step, so that nobody ever reads half of it.
put() {
    local words=write
    if cmp -s -- "$2" "$3" && [[ $(stat -c %a -- "$3") == "$1" ]]; then
        [[ -n $DRY ]] || rm -f -- "$3.installing" # of a run that was stopped
        return 0
    fi
    if [[ -e $3 ]]; then words=replace; fi
    act "$words ${3#"$SCRATCH"}" put_now "$@"
}

put_now() {
    if ! { our_folder "$(dirname -- "$3")" && install -m "$1" -- "$2" "$3.installing" &&
        sync -- "$3.installing" && mv -f -- "$3.installing" "$3"; }; then
        fail "cannot write $3; is the disk full or mounted read-only?"
    fi
}

# ---------------------------------------------------------------------- the program in use

# Prints the folder in $OPT that holds the program in use: venv.a, venv.b, nothing, or venv (made by
# an installer that knew no versions).
in_use() {
    if [[ -L $OPT/venv ]]; then
        readlink -- "$OPT/venv"
    elif [[ -d $OPT/venv ]]; then
        echo venv
    fi
}

# use SLOT: the link points there from now on, in one step.
use() {
    ln -sfn -- "$1" "$OPT/venv.link" && mv -fT -- "$OPT/venv.link" "$OPT/venv"
}

# The files that a new version brings.  Yours first, which are only put back while they are as the
# new version left them.
kept_files() {
    printf '%s\n' "$ETC"/{edge-agent,providers}.toml "$ETC"/{edge-agent,providers}.toml.new \
        "$OPT"/{edge-agent,providers}.toml "$UNITS"/edge-agent{,-tools}.service "$CATALOG"
}

# keep_before: what `restore_before` needs.  There from one moment to the next.
keep_before() {
    local file number=0
    rm -rf -- "$BEFORE.making"
    mkdir -p -- "$BEFORE.making"
    in_use >"$BEFORE.making/in-use"
    while read -r file; do
        number=$((number + 1))
        if [[ -e $file ]]; then cp -p -- "$file" "$BEFORE.making/$number"; fi
    done < <(kept_files)
    sync -f -- "$OPT"
    mv -T -- "$BEFORE.making" "$BEFORE"
}

restore_before() {
    local file slot number=0
    slot=$(<"$BEFORE/in-use")
    while read -r file && [[ -n $slot ]]; do # a first installation has no way back
        number=$((number + 1))
        if [[ $file == "$ETC"/*.toml ]] && ! cmp -s -- "$file" "$OPT/${file##*/}"; then
            continue
        elif [[ -e $BEFORE/$number ]]; then
            put "$(stat -c %a -- "$BEFORE/$number")" "$BEFORE/$number" "$file"
        else
            rm -f -- "$file"
        fi
    done < <(kept_files)
    if [[ $slot == venv ]]; then # of before there were versions; `switch` moved it aside
        if [[ -d $OPT/venv.old ]]; then
            rm -f -- "$OPT/venv"
            mv -T -- "$OPT/venv.old" "$OPT/venv"
        fi
    elif [[ -n $slot ]]; then
        use "$slot"
    fi
    forget_before
}

# The way back is closed.
forget_before() {
    sync -f -- "$OPT"
    rm -rf -- "$BEFORE.making"
    if [[ -d $BEFORE ]]; then mv -T -- "$BEFORE" "$BEFORE.making"; fi
    rm -rf -- "$BEFORE.making"
}

# switch SLOT: the program in use, with the way back kept.
switch() {
    if [[ $(in_use) == venv ]]; then mv -T -- "$OPT/venv" "$OPT/venv.old"; fi
    use "$1"
}

# What is installed is settled, be it the new program or the one before: the others may go.
commit() {
    local slot
    forget_before
    for slot in venv.a venv.b venv.old; do
        if [[ $slot != "$(in_use)" ]]; then rm -rf -- "${OPT:?}/$slot"; fi
    done
}
