#!/bin/sh
# Every program of tests/lab/killed.py: stands on PATH under many names, in place of what changes a
# machine.  $MACHINE holds what this machine is, and in `did` what was done.  At step $KILL_AT, a
# number or the first that matches a pattern, the whole process group gets $KILL_BY, with half of the
# work done.
name=${0##*/} PATH=$REAL_PATH
real() { exec "$name" "$@"; }
site=${0%/bin/*}/site

# step HALF…: one more; when it is the one, HALF is done first.
step() {
    read -r step <"$MACHINE/step"
    step=$((step + 1))
    echo "$step" >"$MACHINE/step"
    echo "$name $said" >>"$MACHINE/did"
    case $KILL_AT in
    [0-9]*) if [ "$step" != "$KILL_AT" ]; then return; fi ;;
    *) case "$name $said" in $KILL_AT) if [ -e "$MACHINE/killed-in" ]; then return; fi ;; *) return ;; esac ;;
    esac
    echo "$name $said" >"$MACHINE/killed-in"
    "$@"
    if [ "$name" = apt-get ]; then trap '' INT; fi # it says 100 then
    kill -s "$KILL_BY" 0
    if [ "$name" = apt-get ]; then exit 100; fi
}
# Neither pip nor install writes into a file that is there.
half_file() { rm -f "$last" && printf half >"$last"; }
half_tree() { find "$last" -type f 2>/dev/null | head -n 2 | xargs -r rm -f; }
# What gives a card to the speaker is real, and writes below $PLACE; it has written the one file.
own_card() { PYTHONPATH=$REPO PYTHONDONTWRITEBYTECODE=1 "$name" "$@"; }
half_card() { own_card "$@" && rm -f "$PLACE"/etc/edge-agent/config.d/card.toml; }
said=$*
for last in "$@"; do :; done

case "$name $*" in
"id -u") echo 0 ;;
id*) real "$@" ;;
gcc*) [ -e "$MACHINE/package.gcc" ] ;;
pkg-config*) [ -e "$MACHINE/package.libsystemd-dev" ] ;;
df*)
    read -r free <"$MACHINE/free-mb"
    printf 'head\ndisk 9 9 %s 9%% /\n' "$free"
    ;;
getconf*) echo 64 ;;
dpkg-query*)
    if [ -e "$MACHINE/half" ]; then echo half-installed; fi
    echo installed
    ;;
apt-get*)
    if [ -n "$(ls "$DPKG_ADMINDIR/updates")" ]; then
        echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"
        exit 100
    fi
    : >"$DPKG_ADMINDIR/updates/0001"
    : >"$MACHINE/half"
    step true
    for word in "$@"; do
        case $word in -* | */* | *=*) ;; *) : >"$MACHINE/package.$word" ;; esac
    done
    rm -f "$DPKG_ADMINDIR/updates/0001" "$MACHINE/half"
    ;;
"dpkg "*--configure*)
    step true
    rm -f "$DPKG_ADMINDIR"/updates/*
    if [ -e "$MACHINE/half" ]; then exit 1; fi # what is half unpacked only apt can mend
    ;;
"getent passwd edge-agent") [ -e "$MACHINE/account" ] ;;
getent*) exit 2 ;;
useradd*)
    step true
    : >"$MACHINE/account"
    ;;
userdel*)
    step true
    rm "$MACHINE/account"
    ;;
journalctl*) ;;
systemctl*restart*)
    step true
    echo "$(cat "$PLACE/etc/systemd/system/edge-agent.service" "$PLACE/opt/edge-agent/venv/site/program")" >"$MACHINE/runs.new"
    ! grep -q "does not start" "$MACHINE/runs.new" || exit 1
    mv "$MACHINE/runs.new" "$MACHINE/runs"
    ;;
"systemctl is-active"*) [ -e "$MACHINE/runs" ] ;;
systemctl*) step true ;;
sync*) ;;
"edge-agent config check"*)
    ! grep -q "not taken" "$site/program" || { echo "a mistake in your settings" >&2; exit 78; }
    ;;
"edge-agent --version") cat "$site/program" ;;
edge-agent*) ;;
python*own_card*--check*) own_card "$@" ;;
python*own_card*)
    step half_card "$@"
    own_card "$@"
    ;;
python*"-m venv"*)
    step mkdir -p "$last/bin"
    mkdir -p "$last/bin" "$last/site"
    : >"$last/pyvenv.cfg"
    ln -sf "$MACHINE/bin/python3" "$last/bin/python"
    ;;
python*"-m pip install"*.txt)
    last=$site/${last##*/}
    step half_file
    echo whole >"$last"
    ;;
python*"-m pip install"*)
    from=$last last=$site/program
    step half_file
    rm -f "$last" # as pip does
    cat "$from/edge_agent/words" >"$last"
    cat "$from/edge_agent/build.txt" 2>/dev/null >>"$last"
    ln -sf "$MACHINE/bin/edge-agent" "${site%/site}/bin/edge-agent"
    ;;
python*version_info*:3*) if [ -x "$0" ]; then echo 3.12.1; fi ;;
python*platform*) echo Python 3.12 on this ;;
python*python%d.%d*) echo python3.12 ;;
python*purelib*) echo "$site" ;;
python*this_build*) echo build ;;
python*"import pyaudio"*) grep -qx whole "$site/run.txt" "$site/demo.txt" 2>/dev/null ;;
python*-V) echo Python 3.12.1 ;;
python*) ;;
install* | cp*)
    step half_file
    real "$@"
    ;;
rm*)
    step half_tree
    real "$@"
    ;;
*)
    step true
    real "$@"
    ;;
esac
