"""Real sound cards and GPIO lines of a kernel that has no hardware: which card is chosen, who holds
it, what a panel on a chip of no Raspberry Pi does.

    python tests/lab/boards.py          as root, on a machine with snd-aloop, gpio-sim and aplay

`scripts/lab.sh --boards` runs it in its lab kernel, `scripts/lab-arm.sh boards` in the arm64
machine.  Prints a line per check; the exit code is 1 if one of them failed.  It needs real time.

Cards: two of snd-aloop, with the ids `Mic` and `Spk`; one of a computer, where there is one.  GPIO:
made here by configfs.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge_agent.app.wiring import panel_config
from edge_agent.audio.device.cards import Kind, read_cards
from edge_agent.audio.device.choice import Wishes, choose
from edge_agent.audio.device.portaudio import PortAudioDevice
from edge_agent.audio.device.portaudio_library import list_devices
from edge_agent.contract.button_faults import ButtonFaulty, ButtonWorks
from edge_agent.contract.errors import DeviceError
from edge_agent.contract.events import ButtonPressed, ButtonReleased, Event
from edge_agent.host.settings.root import Settings
from edge_agent.panel import button_health
from edge_agent.panel.gpio import GpioPanel, NullPanel, open_panel

MIC, SPK = ("Mic", 1), ("Spk", 0)
"""Card and device that the speaker opens; the room is on the other side of each loop."""
BLOCK_MS = 20
"""snd-aloop runs on the kernel's tick."""
PATIENCE_S = 60.0
"""An emulated machine starts a program in seconds."""
BUTTON, LIGHT = 41, 7
"""Lines that no Raspberry Pi has, and one that is no light's default."""
LINES = 54
CONFIGFS = Path("/sys/kernel/config")

failures = 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def check(what: str, holds: bool, seen: object = "") -> None:
    global failures  # noqa: PLW0603 - a program of its own
    failures += not holds
    say(f"{'ok  ' if holds else 'FAIL'}  {what}" + (f": {seen}" if seen and not holds else ""))


def until(holds: Callable[[], bool]) -> bool:
    ends_at = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < ends_at:
        time.sleep(0.02)
    return holds()


# --- sound cards -----------------------------------------------------------------------


@contextmanager
def held(card_id: str, *, capture: bool = False) -> Iterator[list[int]]:
    """Programs play on its first device, or record, and have all of it: snd-aloop has several
    parts."""
    program, file, side = ("arecord", "/dev/null", "c") if capture else ("aplay", "/dev/zero", "p")
    command = [program, "-q", "-D", f"hw:{card_id},0", "-t", "raw"]
    command += ["-f", "S16_LE", "-r", "48000", "-c", "2", file]
    parts = list(Path(f"/proc/asound/{card_id}/pcm0{side}").glob("sub*"))
    players = [subprocess.Popen(command) for _part in parts]
    until(lambda: any(side.holder for side in read_cards().sides))
    try:
        yield [player.pid for player in players]
    finally:
        for player in players:
            player.send_signal(signal.SIGKILL)
            player.wait()


def name_of(card_id: str, device: int) -> str:
    """As it would be written into the settings; the loops are twins, told apart by their port."""
    numbers = {side.card_id: side.card for side in read_cards().sides}
    pcm = numbers.get(card_id, -1), device
    names = [entry.name for entry in list_devices() if entry.pcm == pcm]
    return names[0] if names else f"no device {device} of {card_id}"


def refusal(name: str, *, capture: bool = False) -> str:
    """Code and sentence with which a loudspeaker, or microphone, is not taken; "" if it is."""
    wishes = Wishes(capture=name) if capture else Wishes(render=name)
    try:
        choose(list_devices(), read_cards(), wishes, capture=capture)
    except DeviceError as problem:
        return f"{problem.code}: {problem.message}"
    return ""


def opens(device: PortAudioDevice) -> str:
    """Open and hear something.  "" if that goes well, else code and sentence."""
    heard = threading.Event()
    try:
        device.open(lambda _pcm, _at: heard.set(), lambda frames, _at: bytes(2 * frames))
        return "" if heard.wait(PATIENCE_S) else "nothing is heard"
    except DeviceError as problem:
        return f"{problem.code}: {problem.message}"
    finally:
        device.close()


def sound() -> None:
    cards = read_cards()
    ids = {side.card_id for side in cards.sides}
    check("two loop cards are seen", {"Mic", "Spk"} <= ids, ids)
    kinds = {side.kind for side in cards.sides if side.card_id in ("Mic", "Spk")}
    check("and known to be no real ones", kinds == {Kind.VIRTUAL}, kinds)
    mic, spk, other = name_of(*MIC), name_of(*SPK), name_of("Mic", 0)
    check("a free card is taken by its name", refusal(spk) == "", refusal(spk))
    device = PortAudioDevice(mic, spk, block_ms=BLOCK_MS)
    told = opens(device)
    check("it opens, and frames move", told == "", told)
    with held("Spk") as processes:
        names = [f"is in use by aplay (process {process})." for process in processes]
        told = refusal(spk)
        check("a held card is busy", told.startswith("device.busy"), told)
        check("and its holder is named", any(name in told for name in names), told)
        told = opens(device)
        check("opening it says the same", any(name in told for name in names), told)
        told = refusal(other)
        check("another card is not busy", told == "", told)
    check("let go, it is free", until(lambda: refusal(spk) == ""), refusal(spk))
    told = opens(device)
    check("and taken", told == "", told)


def built_in() -> None:
    """A computer's own card: the arm64 machine has one of Intel's HDA."""
    sides = [side for side in read_cards().sides if side.kind is Kind.BUILT_IN]
    if {side.is_capture for side in sides} != {True, False}:
        say("left out: a computer's own card, for there is none that hears and speaks")
        return
    card_id = sides[0].card_id
    name = name_of(card_id, 0)
    for capture, program in ((False, "aplay"), (True, "arecord")):
        what = "microphone" if capture else "loudspeaker"
        chosen = choose(list_devices(), read_cards(), Wishes(), capture=capture).why
        check(f"without a setting its {what} is taken", chosen.startswith("built in"), chosen)
        told = refusal(name, capture=capture)
        check(f"its {what} is taken by its name", told == "", told)
        with held(card_id, capture=capture) as processes:
            names = [f"is in use by {program} (process {process})." for process in processes]
            told = refusal(name, capture=capture)
            busy = told.startswith("device.busy") and any(each in told for each in names)
            check(f"held, its {what} is busy, and its holder named", busy, told)
            told = opens(PortAudioDevice(name, name, block_ms=BLOCK_MS))
            check("opening it says the same", any(each in told for each in names), told)
        free = until(lambda: refusal(name, capture=capture) == "")  # noqa: B023 - called here
        check(f"let go, its {what} is free", free)
    told = opens(PortAudioDevice(name, name, block_ms=BLOCK_MS))
    check("it opens, and frames move", told == "", told)


# --- GPIO ------------------------------------------------------------------------------


class Chip:
    """A GPIO chip of gpio-sim: its number, and levels from outside."""

    def __init__(self, name: str) -> None:
        if not (CONFIGFS / "gpio-sim").exists():
            subprocess.run(["mount", "-t", "configfs", "none", str(CONFIGFS)], check=True)
        folder = CONFIGFS / "gpio-sim" / name
        (folder / "bank").mkdir(parents=True)
        (folder / "bank/num_lines").write_text(str(LINES))
        (folder / "bank/label").write_text("lab-board")
        (folder / "live").write_text("1")
        self.name = (folder / "bank/chip_name").read_text().strip()
        self.number = int(self.name.removeprefix("gpiochip"))
        device = (folder / "dev_name").read_text().strip()
        self._sim = Path("/sys/devices/platform") / device / self.name

    def pull(self, line: int, up: bool) -> None:
        (self._sim / f"sim_gpio{line}/pull").write_text("pull-up" if up else "pull-down")

    def level(self, line: int) -> int:
        return int((self._sim / f"sim_gpio{line}/value").read_text())


def board() -> None:
    if importlib.util.find_spec("lgpio") is None:
        say("left out: GPIO, for the package lgpio is not installed here")
        return
    chip = Chip("lab")
    button_health.STUCK_S, button_health.STUCK_AT_START_S = 3.0, 1.0
    button_health.SETTLED_S = 1.0
    button_health.BURST_S = 3.0  # an emulated machine moves a line ten times a second, not thirty
    is_pi = Path("/proc/device-tree/system/linux,revision").exists()
    asyncio.run(panel_on(chip, is_pi=is_pi))


async def panel_on(chip: Chip, *, is_pi: bool) -> None:
    loop = asyncio.get_running_loop()
    told: list[Event] = []
    moved = asyncio.Event()

    def post(event: Event) -> None:
        told.append(event)
        moved.set()

    config = panel_config(Settings())
    if not is_pi:
        absent = open_panel(config, loop, post)
        why = absent.why if isinstance(absent, NullPanel) else "a panel"
        check("a board that is no Pi is told so", "no Raspberry Pi" in why, why)
        check("and which chips it has", chip.name in why, why)
    config = replace(config, chip=chip.number, button_pin=BUTTON, led_pin=LIGHT)

    async def comes(holds: Callable[[], bool]) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    moved.clear()
                    await moved.wait()
        return holds()

    async def seen(*kinds: type[Event]) -> bool:
        return await comes(lambda: [type(event) for event in told] == list(kinds))

    def faults() -> list[str]:
        return [event.fault for event in told if isinstance(event, ButtonFaulty)]

    chip.pull(BUTTON, up=True)
    panel = open_panel(config, loop, post)
    check("lines of a chip by number", isinstance(panel, GpioPanel), getattr(panel, "why", ""))
    panel.show("listening")
    check("the light is on", chip.level(LIGHT) == 1)
    panel.show("off")
    check("and off", chip.level(LIGHT) == 0)
    chip.pull(BUTTON, up=False)
    check("a press is told", await seen(ButtonPressed), told)
    chip.pull(BUTTON, up=True)
    check("and a release", await seen(ButtonPressed, ButtonReleased), told)
    told.clear()
    chip.pull(BUTTON, up=False)
    stuck = await seen(ButtonPressed, ButtonReleased, ButtonFaulty)
    check("a button that stays down is told", stuck, told)
    chip.pull(BUTTON, up=True)
    works = await seen(ButtonPressed, ButtonReleased, ButtonFaulty, ButtonWorks)
    check("and works again once it is up", works, told)
    told.clear()
    up, ends_at = True, time.monotonic() + PATIENCE_S
    while not faults() and time.monotonic() < ends_at:  # a busy machine moves it slowly
        up = not up
        chip.pull(BUTTON, up=up)
        await asyncio.sleep(button_health.CHATTER_S)
    chip.pull(BUTTON, up=True)
    works = await comes(lambda: isinstance(told[-1], ButtonWorks))
    check("a loose wire is told", faults() == ["bounces"], told)
    check("until it is quiet", works, told)
    panel.close()
    told.clear()
    # gpio-sim obeys the pull-up of the line: instead of a wire to ground, a button inverted.
    panel = open_panel(replace(config, button_inverted=True), loop, post)
    check("a button that is down since the start is told", await seen(ButtonFaulty), told)
    panel.close()


if __name__ == "__main__":
    sound()
    built_in()
    board()
    sys.exit(failures > 0)
