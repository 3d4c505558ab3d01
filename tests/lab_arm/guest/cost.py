"""What the speaker costs, in instructions: asleep, in a talk, at its start; and its memory.

    python3 -m lab_arm.guest.cost NAME     one line of JSON

Under the instruction clock a nanosecond of processor time is an instruction, so that the figures
are exact and no other program can change them.  Runs as root in the guest.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from lab_arm.guest import house as h

WATCH_S = 12.0
SAMPLE_S = 0.25
PYTHON = "/opt/edge-agent/venv/bin/python"
"""The speaker's own."""
ASLEEP_S = 14.0
"""Longer than `device.rest_after_s`: the loudspeaker's stream rests then."""
TICK_SAFE_MS = 20
FINE = """
[device]
capture_device = "CARD=Fine"
render_device = "CARD=Fine"
block_ms = {block_ms}
"""
MILLION = 1e6
POLLS = "PortAudio, or a watched line"
PLACES = {
    "ep_poll": "event loop",
    "do_epoll_wait": "event loop",
    "do_sys_poll": POLLS,
    "poll_schedule_timeout": POLLS,
    "futex_wait_queue": "waits for work",
    "__futex_wait": "waits for work",
    "futex_do_wait": "waits for work",
}
"""Where a thread sleeps in the kernel tells which it is."""

Times = dict[str, tuple[int, int]]
"""Thread → instructions and wake-ups so far."""


def times(pid: int) -> Times:
    """All threads of the process."""
    found: Times = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            used = int((task / "schedstat").read_text().split()[0])
            words = (task / "status").read_text().split("\nvoluntary_ctxt_switches:")[1]
        except (OSError, IndexError):
            continue  # it has just ended
        found[task.name] = used, int(words.split()[0])
    return found


def place(pid: int, thread: str) -> str:
    """What a thread does, by where it sleeps."""
    seen: Counter[str] = Counter()
    for _ in range(20):
        seen[Path(f"/proc/{pid}/task/{thread}/wchan").read_text().strip()] += 1
        time.sleep(0.011)
    del seen["0"]
    where = seen.most_common(1)[0][0] if seen else "?"
    return PLACES.get(where, where)


def total(now: Times) -> int:
    """Instructions of all threads."""
    return sum(used for used, _ in now.values())


def watch(pid: int, seconds: float) -> dict[str, object]:
    """Million instructions a second, in all and by thread."""
    before, begun = times(pid), time.monotonic()
    time.sleep(seconds)
    after, lasted = times(pid), time.monotonic() - begun
    rows = by_thread(before, after, lasted, {thread: place(pid, thread) for thread in after})
    mips = (total(after) - total(before)) / lasted / MILLION
    return {"mips": round(mips, 1), "seconds": round(lasted, 1), "threads": rows}


def by_thread(
    before: Times, after: Times, seconds: float, places: Mapping[str, str]
) -> list[dict[str, object]]:
    """What each thread did between the two, the busiest first."""
    rows: list[dict[str, object]] = []
    for thread, (used, wakes) in after.items():
        was, woken = before.get(thread, (0, 0))
        mips = (used - was) / seconds / MILLION
        if mips >= 0.01:
            row = {"thread": places.get(thread, "?"), "mips": round(mips, 2)}
            rows.append(row | {"wakes_per_s": round((wakes - woken) / seconds, 1)})
    return sorted(rows, key=lambda row: -float(str(row["mips"])))


def memory(pid: int) -> dict[str, float]:
    """Resident memory in MiB."""
    words = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if ":" in line
    )
    return {
        name: round(int(words[key].split()[0]) / 1024, 1)
        for name, key in (("rss_mib", "VmRSS"), ("anonymous_mib", "RssAnon"))
    }


def idle(block_ms: int) -> dict[str, object]:
    """Asleep, the loudspeaker at rest, the wake model hearing a quiet room.

    Blocks of 10 ms need a card with a finer clock than the loopback's: snd-dummy has one, and
    zeros for sound, which cost the same.
    """
    if block_ms < TICK_SAFE_MS:
        h.run("modprobe", "snd-dummy", "id=Fine", "pcm_devs=1", "pcm_substreams=2")
        h.configure(FINE.format(block_ms=block_ms))
    else:
        h.configure(f"[device]\nblock_ms = {block_ms}\n")
    h.restart()
    h.settle()
    time.sleep(ASLEEP_S)
    found = watch(h.pid(), WATCH_S) | memory(h.pid())
    lost = h.state("mic_lost")
    h.configure("")
    return found | {"mic_lost": lost}


def talk() -> dict[str, object]:
    """From the button to the end of the answer: a story of 6 s, told again by the parrot."""
    h.restart()
    h.settle()
    time.sleep(5.0)  # it has finished starting
    pid = h.pid()
    rows: list[tuple[float, Times]] = []
    begun = time.monotonic()
    h.press()
    h.say("answer_lisbon.wav")
    slept = False
    while not slept and time.monotonic() - begun < 60.0:
        rows.append((time.monotonic(), times(pid)))
        time.sleep(SAMPLE_S)
        slept = h.heard(begun) > 1.0 and h.state("talk") == "asleep"
    h.expect(slept, f"no answer: {h.brief()}")
    levels = [row.split() for row in (h.ROOM / "loudspeaker").read_text().splitlines()]
    loud = [float(at) for at, level in levels if float(at) > begun and float(level) > h.LOUD]
    # The chime comes first: the answer begins after the longest quiet.
    gaps = [(after - before, after) for before, after in pairwise(loud)]
    first, last = max(gaps)[1], loud[-1]
    speaking = [row for row in rows if first + SAMPLE_S <= row[0] <= last]
    (at, before), (until, after) = speaking[0], speaking[-1]
    places = {thread: place(pid, thread) for thread in times(pid)}
    return {
        "talk_mips": rate([row for row in rows if row[0] <= last]),
        "talk_s": round(last - begun, 1),
        "speaking_mips": rate(speaking),
        "speaking_s": round(last - first, 1),
        "speaking_threads": by_thread(before, after, until - at, places),
        "echo": h.state("echo"),
        "echo_quieter_db": h.state("echo_quieter_db"),
        **memory(pid),
    }


def rate(rows: list[tuple[float, Times]]) -> float:
    """Million instructions a second between the first and the last sample."""
    h.expect(len(rows) >= 2, "too short to be measured")
    (begun, before), (ended, after) = rows[0], rows[-1]
    return round((total(after) - total(before)) / (ended - begun) / MILLION, 1)


def stages() -> dict[str, object]:
    """What the front end does while our voice sounds, by stage; the speaker is silent meanwhile."""
    h.run("systemctl", "stop", h.SERVICE)
    found = json.loads(h.run(PYTHON, "-m", "lab_arm.guest.stages"))
    h.restart()
    return dict(found)


def start() -> dict[str, object]:
    """From exec to READY; a second time, when its files are in the page cache."""
    seconds, used = [], []
    for _ in range(2):
        seconds.append(round(h.restart(), 2))
        used.append(round(int(h.unit("CPUUsageNSec")) / MILLION))
    h.settle()
    return {"million_instructions": used[-1], "first": used[0], "systemctl_s": seconds}


WHAT = {
    "idle-10": lambda: idle(10),
    "idle-20": lambda: idle(20),
    "talk": talk,
    "stages": stages,
    "start": start,
}

if __name__ == "__main__":
    h.OUT.mkdir(parents=True, exist_ok=True)
    # Not idle-10 by itself: snd-dummy built by an older compiler has been seen to fall.
    for name in sys.argv[1:] or ["idle-20", "talk", "stages", "start"]:
        h.tell(json.dumps({name: WHAT[name]()}))
