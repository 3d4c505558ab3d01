"""The evening of an installed speaker on the arm64 machine: each check prints a line and is kept.

    python3 -m lab_arm.guest.play before|after|…   the checks of that part, in order

Runs as root in the guest; a line of /var/lib/lab/checks.jsonl is one check.  A check that fails is
told with the speaker's last journal lines, and the next one begins with a speaker started anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab_arm.guest import house as h

CHECKS = h.OUT / "checks.jsonl"
MICROPHONE = "snd_aloop.0"
DRIVER = Path("/sys/bus/platform/drivers/snd_aloop")
NET = ("ip", "link", "set", "dev", "lab0")
NO_WAY = ("ip", "route", "replace", "unreachable", "10.99.0.0/24", "metric", "4000")
"""Or QEMU's network answers for the provider.  One that is made at boot is gone once it is up."""
OWN_WORDS_S = 6.0
"""Longer than it takes to say that nobody can be reached; what was asked is kept for a minute."""
WATCHDOG_S = 20
"""WatchdogSec of the unit."""

SILENT = """
[device]
capture_device = "HDA"
render_device = "HDA"
"""
"""Its microphone opens and never delivers: QEMU has nothing to give it."""


def starts() -> str:
    """It is up after a boot, by itself."""
    h.settle(120.0)
    h.expect(h.restarts() == 0, f"{h.restarts()} restarts")
    (ready,) = h.journal(0.0, "agent.ready")[-1:]
    return str(ready["MESSAGE"])


def wakes() -> str:
    """The wake word by ALSA, words in one breath, an answer, sleep."""
    begun, wall = time.monotonic(), time.time()
    h.say("wake_what_time.wav")
    h.wait_for("a wake word", lambda: h.noted(wall, "talk.woken"), 20.0)
    sounded = h.answer(begun)
    return f"{sounded:.1f} s of answer"


def button() -> str:
    """A press wakes it: the light at once, then words and their answer."""
    begun, wall = time.monotonic(), time.time()
    h.expect(not h.is_lit(), "the light is on while it sleeps")
    h.press()
    lit_s = h.wait_for("the light", h.is_lit, 5.0)
    h.say("button_question.wav")
    sounded = h.answer(begun)
    (woken,) = h.journal(wall, "talk.woken")[:1]
    h.expect("button" in str(woken["MESSAGE"]), str(woken["MESSAGE"]))
    h.wait_for("a dark light", lambda: not h.is_lit(), 5.0)
    return f"lit within {lit_s:.2f} s of letting go, {sounded:.1f} s of answer"


def mutes() -> str:
    """A long press mutes: the light is nearly steady, the card is closed; another one opens it."""
    h.press(2.0)
    h.wait_for("a closed microphone", lambda: h.state("capture_closed") is True, 10.0)
    h.expect(card_is_closed(), "the microphone's card is still open")
    share, rises = h.light(6.0)
    h.expect(share > 0.9 and rises >= 1, f"muted, the light is on for {share:.0%}, {rises} rises")
    h.press(2.0)
    h.wait_for("an open microphone", lambda: h.state("capture_closed") is False, 10.0)
    h.settle()
    h.expect(not card_is_closed(), "the microphone's card is closed")
    return f"the light was on for {share:.0%} of the time"


def card_is_closed() -> bool:
    """By the kernel's word."""
    return "closed" in Path("/proc/asound/Mic/pcm1c/sub0/status").read_text(encoding="ascii")


def unplugs() -> str:
    """The card goes and comes back: told, shown, healed; no restart."""
    before, wall = h.pid(), time.time()
    h.run("systemctl", "stop", "lab-room")
    # The kernel lets go of a card when everybody has closed it.
    going = subprocess.Popen(["/bin/sh", "-c", f"echo {MICROPHONE} >{DRIVER}/unbind"])
    gone_s = h.wait_for("the loss", lambda: h.state("device_present") is False, 30.0)
    going.wait(60.0)
    share, rises = h.light(7.0)
    h.expect(rises in (4, 5, 6) and share < 0.3, f"no three flashes: {share:.0%}, {rises}")
    (DRIVER / "bind").write_text(MICROPHONE, encoding="ascii")
    h.run("systemctl", "start", "lab-room")
    back_s = h.wait_for("the return", h.is_settled, 60.0)
    h.expect(h.pid() == before, "it was started anew")
    h.expect(h.noted(wall, "device.down"), "no line about the loss")
    wakes()
    return f"noticed after {gone_s:.1f} s, back {back_s:.1f} s after it was plugged, hears again"


def silent() -> str:
    """A card that opens and never delivers: READY, light and timers alive, no restart."""
    wall, count = time.time(), h.restarts()
    h.configure(SILENT)
    try:
        took_s = h.restart()
        before = h.pid()
        ready_s = h.wait_for("READY", lambda: h.unit("SubState") == "running", 60.0)
        h.wait_for("the line", lambda: h.noted(wall, "device.down"), 60.0)
        h.expect(h.ask(do="set_timer", name="tea", seconds=3).get("ok") is True, "no timer")
        rings_s = h.wait_for("an alarm", lambda: h.noted(wall, "alarm.ringing"), 30.0)
        h.press()
        h.wait_for("its end", lambda: h.noted(wall, "alarm.stopped"), 10.0)
        time.sleep(3 * WATCHDOG_S + 5)
        h.expect(h.pid() == before, "systemd has started it anew")
        h.expect(h.restarts() == count, f"{h.restarts() - count} restarts")
        share, rises = h.light(7.0)
        h.expect(rises > 0, f"the light tells nothing: {share:.0%}")
        h.expect(h.state("device_present") is False, "status says that it has sound")
    finally:
        h.configure("")
        h.restart()
    h.settle()
    return f"started in {took_s:.1f} s, READY after {ready_s:.1f} s, alarm after {rings_s:.1f} s"


def watchdog() -> str:
    """Frozen, it is replaced by systemd's watchdog."""
    before, count = h.pid(), h.restarts()
    h.run("kill", "-STOP", str(before))
    new_s = h.wait_for("a new process", lambda: h.pid() not in (0, before), 3.0 * WATCHDOG_S)
    h.settle(90.0)
    h.expect(h.restarts() == count + 1, f"{h.restarts() - count} restarts")
    return f"a new process after {new_s:.1f} s"


def network() -> str:
    """The line to the provider goes: shown; what is said meanwhile is answered once it is back."""
    h.run(*NO_WAY)
    h.run(*NET, "down")
    lost_s = h.wait_for("the loss", lambda: h.state("link") != "ready", 30.0)
    _share, rises = h.light(7.0)
    h.expect(rises in (2, 3), f"no flash each 3 s: {rises}")
    asked, wall = time.monotonic(), time.time()
    h.say("wake_what_time.wav")
    h.wait_for("a wake word", lambda: h.noted(wall, "talk.woken"), 20.0)
    h.wait_for("what it keeps", lambda: h.noted(wall, "talk.kept_for_later"), 20.0)
    h.wait_for("its own words", lambda: h.heard(asked) >= 1.0, 20.0)
    time.sleep(OWN_WORDS_S)
    h.run(*NET, "up")
    begun = time.monotonic()
    back_s = h.wait_for("the return", lambda: h.state("link") == "ready", 60.0)
    sounded = h.answer(begun)
    h.settle()
    return (
        f"noticed after {lost_s:.1f} s, back after {back_s:.1f} s, then {sounded:.1f} s of answer"
    )


def mutes_for_the_night() -> str:
    """Muted before a reboot."""
    h.expect(h.ask(do="mute", to="on").get("saved") is True, "the mute is not saved")
    h.wait_for("a closed microphone", lambda: h.state("capture_closed") is True, 10.0)
    return "muted, and saved"


def is_muted_still() -> str:
    """After a reboot it is muted, shows it, and opens when asked."""
    h.wait_for("the speaker", lambda: h.state("link") == "ready", 120.0)
    h.expect(h.state("microphone") == "muted", "the mute was forgotten")
    share, _rises = h.light(6.0)
    h.expect(share > 0.9, f"muted, the light is on for {share:.0%}")
    h.ask(do="mute", to="off")
    h.settle()
    return f"muted, the light was on for {share:.0%}"


def is_gone() -> str:
    """After uninstall.sh --purge nothing of it is left."""
    left = [
        place
        for place in (
            *("/opt/edge-agent", "/etc/edge-agent", "/var/lib/edge-agent", "/run/edge-agent"),
            *("/etc/systemd/system/edge-agent.service", "/usr/local/bin/edge-agent"),
        )
        if Path(place).exists()
    ]
    h.expect(not left, f"left: {', '.join(left)}")
    h.expect(h.run("systemctl", "is-active", h.SERVICE, check=False) != "active", "it runs")
    h.expect(not h.run("getent", "passwd", "edge-agent", check=False), "the account is left")
    h.expect(not h.is_lit(), "the light is on")
    return "no file, unit, account or light"


PARTS: dict[str, tuple[Callable[[], str], ...]] = {
    "before": (
        starts,
        wakes,
        button,
        mutes,
        unplugs,
        silent,
        watchdog,
        network,
        mutes_for_the_night,
    ),
    "after": (is_muted_still, starts, wakes),
    "gone": (is_gone,),
}


def play(check: Callable[[], str]) -> bool:
    """One check: its line, and what is kept of it."""
    begun, wall = time.monotonic(), time.time()
    try:
        said, holds = check(), True
    except (h.Wrong, OSError, ValueError, KeyError, subprocess.SubprocessError) as problem:
        said, holds = f"{type(problem).__name__}: {problem}", False
    what = " ".join((check.__doc__ or "").split("\n")[0].split())
    row = {
        "what": what,
        "holds": holds,
        "guest_s": round(time.monotonic() - begun, 1),
        "said": said,
    }
    with CHECKS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    h.tell(f"{'ok ' if holds else 'BAD'} {row['guest_s']:7.1f} s  {what}  {said}")
    if not holds:
        for entry in h.journal(wall)[-25:]:
            h.tell(f"      {entry.get('EDGE_CODE', '')}  {entry.get('MESSAGE')}")
        h.configure("")
    return holds


def main(names: list[str]) -> int:
    """Play the parts, or single checks, of these names."""
    h.OUT.mkdir(parents=True, exist_ok=True)
    every = {check.__name__: (check,) for checks in PARTS.values() for check in checks} | PARTS
    results = [play(check) for name in names for check in every[name]]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
