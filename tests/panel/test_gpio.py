"""GPIO: presses become events, lights become pins; with gpiozero's own mock pins."""

from __future__ import annotations

import asyncio
import os
import queue
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from gpiozero import PinUnknownPi
from gpiozero.pins.mock import MockFactory
from house_config import household_panel

from edge_agent.contract.button_faults import ButtonFaulty, ButtonWorks
from edge_agent.contract.errors import DeviceMissing
from edge_agent.contract.events import ButtonPressed, ButtonReleased, Event
from edge_agent.contract.ports import Panel
from edge_agent.panel.button_health import STUCK_S
from edge_agent.panel.gpio import (
    BOARD_MODEL,
    GpioPanel,
    NullPanel,
    PanelConfig,
    open_panel,
    with_lines,
)
from edge_agent.panel.line_events import (
    ACTIVE_LOW,
    FALLING,
    GET_VALUES,
    INPUT,
    PULL_UP,
    RISING,
)
from edge_agent.panel.patterns import DARK, LIGHTS
from edge_agent.simulation.clock import run


@pytest.fixture
def factory() -> Iterator[Any]:
    factory = MockFactory()
    yield factory
    factory.reset()


def with_panel(
    factory: Any,
    config: PanelConfig,
    body: Callable[[Panel, list[Event]], Any],
) -> list[Event]:
    events: list[Event] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        panel = open_panel(config, loop, events.append, factory=factory)
        try:
            await body(panel, events)
        finally:
            panel.close()
            panel.close()

    run(main())
    return events


def test_press_and_release_are_told_with_their_times(factory: Any) -> None:
    async def body(_panel: Panel, _events: list[Event]) -> None:
        await asyncio.sleep(1)
        factory.pin(17).drive_low()
        await asyncio.sleep(2)
        factory.pin(17).drive_high()
        await asyncio.sleep(0)

    events = with_panel(factory, household_panel(), body)
    assert [type(event) for event in events] == [ButtonPressed, ButtonReleased]
    assert events[1].at - events[0].at == pytest.approx(2.0)
    assert all(event.button == "talk" for event in events)  # type: ignore[attr-defined]


def test_a_second_button_is_mute_and_wiring_to_plus_is_understood(factory: Any) -> None:
    async def body(_panel: Panel, _events: list[Event]) -> None:
        factory.pin(22).drive_high()
        factory.pin(22).drive_low()
        await asyncio.sleep(0)

    config = household_panel(mute_button_pin=22, pull_up=False)
    events = with_panel(factory, config, body)
    assert [(type(e), e.button) for e in events] == [  # type: ignore[attr-defined]
        (ButtonPressed, "mute"),
        (ButtonReleased, "mute"),
    ]


def test_a_press_from_another_thread_arrives_on_the_loop(factory: Any) -> None:
    threads: list[threading.Thread] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def post(_event: Event) -> None:
            threads.append(threading.current_thread())
            arrived.set()

        panel = open_panel(household_panel(), loop, post, factory=factory)
        presser = threading.Thread(target=factory.pin(17).drive_low)
        presser.start()
        await asyncio.wait_for(arrived.wait(), 2)
        presser.join()
        panel.close()

    asyncio.run(main())
    assert threads == [threading.current_thread()]


def test_no_thread_is_started(factory: Any) -> None:
    before = threading.active_count()

    async def body(panel: Panel, _events: list[Event]) -> None:
        panel.show("thinking")
        await asyncio.sleep(5)
        assert threading.active_count() == before

    with_panel(factory, household_panel(mute_button_pin=22, rgb_pins=(5, 6, 13)), body)


def test_contact_chatter_is_left_to_the_pin(factory: Any) -> None:
    async def body(_panel: Panel, _events: list[Event]) -> None:
        assert factory.pin(17).bounce == pytest.approx(0.02)
        assert factory.pin(17).pull == "up"

    with_panel(factory, household_panel(), body)


def test_a_press_after_the_end_is_nobodys_business(factory: Any) -> None:
    loop = asyncio.new_event_loop()
    posted: list[Event] = []
    panel = GpioPanel(household_panel(), loop, posted.append, factory, Path("/dev"))
    loop.close()
    factory.pin(17).drive_low()
    panel.close()
    assert posted == []


@pytest.mark.parametrize("light", sorted(LIGHTS))
def test_a_single_light_follows_the_pattern(factory: Any, light: str) -> None:
    async def body(panel: Panel, _events: list[Event]) -> None:
        panel.show(light)
        elapsed = 0.0
        for colour, seconds in LIGHTS[light] * 2:
            await asyncio.sleep(seconds / 2)
            assert factory.pin(27).state == (colour != DARK), elapsed
            elapsed += seconds
            await asyncio.sleep(seconds / 2)

    with_panel(factory, household_panel(), body)


def test_a_coloured_light_shows_the_colour_and_goes_dark_at_the_end(factory: Any) -> None:
    pins = [factory.pin(number) for number in (5, 6, 13)]

    async def body(panel: Panel, _events: list[Event]) -> None:
        panel.show("muted")
        assert [pin.state for pin in pins] == [True, False, False]
        panel.show("listening")
        assert [pin.state for pin in pins] == [False, True, True]
        panel.show("no such light")
        assert [pin.state for pin in pins] == [False, False, False]
        panel.show("listening")

    with_panel(factory, household_panel(rgb_pins=(5, 6, 13)), body)
    assert all(pin.function == "input" for pin in pins)


def test_a_light_wired_to_plus_is_inverted(factory: Any) -> None:
    async def body(panel: Panel, _events: list[Event]) -> None:
        assert factory.pin(27).state
        panel.show("listening")
        assert not factory.pin(27).state

    with_panel(factory, household_panel(led_active_high=False), body)


def test_a_panel_without_light_works(factory: Any) -> None:
    async def body(panel: Panel, _events: list[Event]) -> None:
        panel.show("thinking")
        await asyncio.sleep(3)
        factory.pin(17).drive_low()
        await asyncio.sleep(0)

    assert len(with_panel(factory, household_panel(led_pin=-1), body)) == 1


# --- none ------------------------------------------------------------------------------


def open_without_factory(
    config: PanelConfig, dev: Path, model: Path = BOARD_MODEL
) -> GpioPanel | NullPanel:
    loop = asyncio.new_event_loop()
    try:
        return open_panel(config, loop, lambda event: None, dev=dev, model=model)
    finally:
        loop.close()


def test_a_machine_without_gpio_gets_a_silent_panel(tmp_path: Path) -> None:
    panel = open_without_factory(household_panel(), tmp_path)
    assert isinstance(panel, NullPanel)
    assert panel.why == "This machine has no GPIO lines."
    panel.show("muted")
    panel.close()


def test_it_can_be_switched_off_or_insisted_on(tmp_path: Path) -> None:
    panel = open_without_factory(household_panel(enabled="off"), tmp_path)
    assert isinstance(panel, NullPanel)
    assert panel.why == "switched off"
    with pytest.raises(DeviceMissing, match="no GPIO lines") as caught:
        open_without_factory(household_panel(enabled="on"), tmp_path)
    assert "panel.enabled" in caught.value.fix


def test_pins_that_cannot_be_had_are_released_again(factory: Any) -> None:
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(DeviceMissing, match="99"):
            open_panel(
                household_panel(enabled="on", led_pin=99), loop, lambda event: None, factory=factory
            )
        # The button's pin, claimed before the failure, is free for the next try.
        open_panel(household_panel(enabled="on"), loop, lambda event: None, factory=factory).close()
    finally:
        loop.close()


# --- buttons whose wiring is broken ------------------------------------------------------


def test_a_stuck_button_is_told_while_nothing_moves(factory: Any) -> None:
    async def body(_panel: Panel, _events: list[Event]) -> None:
        await asyncio.sleep(1)
        factory.pin(17).drive_low()
        await asyncio.sleep(STUCK_S + 1)
        factory.pin(17).drive_high()
        await asyncio.sleep(60)

    told = with_panel(factory, household_panel(), body)
    kinds = [ButtonPressed, ButtonReleased, ButtonFaulty, ButtonWorks]
    assert [type(event) for event in told] == kinds
    assert told[2].at - told[0].at == pytest.approx(STUCK_S)


def test_after_the_end_nothing_is_looked_at(factory: Any) -> None:
    posted: list[Event] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        panel = open_panel(household_panel(), loop, posted.append, factory=factory)
        factory.pin(17).drive_low()
        panel.close()
        await asyncio.sleep(STUCK_S + 1)

    run(main())
    assert posted == []


# --- other boards ------------------------------------------------------------------------


class FakeLgpio(ModuleType):
    """What gpiozero asks of lgpio, without a kernel: levels by `(chip, line)`, and who listens."""

    SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64
    BOTH_EDGES, RISING_EDGE, FALLING_EDGE = 3, 1, 2

    class error(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.levels: dict[tuple[int, int], int] = {}
        self.modes: dict[tuple[int, int], int] = {}
        self.listeners: dict[tuple[int, int], Any] = {}
        self.debounce_us: dict[tuple[int, int], int] = {}
        self.open_chips: list[int] = []

    def gpiochip_open(self, chip: int) -> int:
        self.open_chips.append(chip)
        return chip

    def gpiochip_close(self, chip: int) -> None:
        self.open_chips.remove(chip)

    def gpio_claim_input(self, chip: int, line: int, flags: int = 0) -> None:
        self.modes[chip, line] = flags
        self.levels.setdefault((chip, line), 1)

    def gpio_claim_output(self, chip: int, line: int) -> None:
        self.modes[chip, line] = 2

    def gpio_claim_alert(self, chip: int, line: int, _edges: int, flags: int) -> None:
        self.modes[chip, line] = flags

    def gpio_get_mode(self, chip: int, line: int) -> int:
        return self.modes[chip, line]

    def gpio_free(self, chip: int, line: int) -> None:
        del self.modes[chip, line]

    def gpio_read(self, chip: int, line: int) -> int:
        return self.levels[chip, line]

    def gpio_write(self, chip: int, line: int, level: int) -> None:
        self.levels[chip, line] = int(level)

    def gpio_set_debounce_micros(self, chip: int, line: int, micros: int) -> None:
        self.debounce_us[chip, line] = micros

    def callback(self, chip: int, line: int, _edges: int, call: Any) -> Any:
        self.listeners[chip, line] = call
        return SimpleNamespace(cancel=lambda: self.listeners.pop((chip, line)))

    def drive(self, chip: int, line: int, level: int) -> None:
        self.levels[chip, line] = level
        self.listeners[chip, line](chip, line, level, 0)


@pytest.fixture
def lgpio(monkeypatch: pytest.MonkeyPatch) -> FakeLgpio:
    """lgpio is not there where the suite runs, and gpiozero's part that imports it comes anew."""
    fake = FakeLgpio()
    monkeypatch.setitem(sys.modules, "lgpio", fake)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    return fake


class FakeKernel:
    """What `line_events` asks of the kernel; the line's file is a pipe."""

    def __init__(self) -> None:
        self.chip, self.line, self.flags, self.debounce_us = "", -1, 0, 0
        self.active = 0
        self._theirs, self.ours = os.pipe()

    def ioctl(self, file: Any, request: int, given: bytearray) -> int:
        if request == GET_VALUES:
            assert file == self._theirs
            given[:8] = struct.pack("Q", self.active)
            return 0
        assert request == 0xC250B407, "GPIO_V2_GET_LINE_IOCTL of linux/gpio.h"
        self.chip, self.line = Path(file.name).name, struct.unpack_from("I", given)[0]
        self.flags, attributes = struct.unpack_from("QI", given, 288)
        if attributes:
            _debounce, self.debounce_us, _lines = struct.unpack_from("=IxxxxQQ", given, 320)
        assert struct.unpack_from("I", given, 560) == (1,), "one line"
        struct.pack_into("i", given, 588, self._theirs)
        return 0

    def edge(self, active: bool) -> None:
        self.active = int(active)
        os.write(self.ours, struct.pack("QI", 1, 1 if active else 2).ljust(48, b"\0"))

    def is_let_go(self) -> bool:
        try:
            os.write(self.ours, b"?")
        except BrokenPipeError:
            return True
        return False


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKernel]:
    fake = FakeKernel()
    monkeypatch.setattr("edge_agent.panel.line_events.ioctl", fake.ioctl)
    yield fake
    os.close(fake.ours)


def board(tmp_path: Path, chips: int, model: str = "Radxa ROCK 4C+") -> dict[str, Path]:
    for number in range(chips):
        (tmp_path / f"gpiochip{number}").touch()
    (tmp_path / "model").write_text(f"{model}\0")
    return {"dev": tmp_path, "model": tmp_path / "model"}


def test_lines_of_a_chip_are_button_and_light_on_any_board(
    tmp_path: Path, lgpio: FakeLgpio
) -> None:
    told: list[Event] = []
    config = household_panel(chip=3, button_pin=41, led_pin=7)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        panel = open_panel(config, loop, told.append, **board(tmp_path, 5))
        assert isinstance(panel, GpioPanel)
        assert panel.factory_name == "LGPIOFactory"
        assert lgpio.open_chips == [3]
        assert lgpio.debounce_us[3, 41] == 20_000
        panel.show("listening")
        assert lgpio.levels[3, 7] == 1
        panel.show("off")
        assert lgpio.levels[3, 7] == 0
        lgpio.drive(3, 41, 0)
        await asyncio.sleep(1)
        lgpio.drive(3, 41, 1)
        await asyncio.sleep(0)
        panel.close()

    run(main())
    assert [type(event) for event in told] == [ButtonPressed, ButtonReleased]
    assert lgpio.open_chips == []


def test_the_kernel_wakes_us_for_an_edge_and_lgpio_looks_at_no_button(
    tmp_path: Path, lgpio: FakeLgpio, kernel: FakeKernel
) -> None:
    told: list[Event] = []
    config = household_panel(chip=3, button_pin=41, led_pin=7)
    came = queue.SimpleQueue[Event]()
    loop = asyncio.new_event_loop()

    def press(level: bool) -> Event:
        kernel.edge(level)
        loop.run_until_complete(asyncio.wait_for(loop.run_in_executor(None, came.get), 10))
        return told[-1]

    def post(event: Event) -> None:
        told.append(event)
        came.put(event)

    try:
        panel = open_panel(config, loop, post, **board(tmp_path, 5))
        assert (kernel.chip, kernel.line, kernel.debounce_us) == ("gpiochip3", 41, 20_000)
        assert kernel.flags == INPUT | RISING | FALLING | ACTIVE_LOW | PULL_UP
        assert isinstance(press(True), ButtonPressed)
        assert isinstance(press(False), ButtonReleased)
        panel.close()
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert lgpio.listeners == {}, "its thread would look 2,000 times a second"
    assert kernel.is_let_go()


@pytest.mark.usefixtures("lgpio")
def test_a_button_that_is_down_when_the_kernel_is_first_asked_counts_as_down(
    tmp_path: Path, kernel: FakeKernel
) -> None:
    kernel.active = 1
    told: list[Event] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        config = household_panel(chip=3, button_pin=41, led_pin=7)
        panel = open_panel(config, loop, told.append, **board(tmp_path, 5))
        await asyncio.sleep(STUCK_S)
        panel.close()

    run(main())
    assert [type(event) for event in told] == [ButtonFaulty]


def test_a_board_whose_lines_cannot_be_opened_is_explained(
    tmp_path: Path, lgpio: FakeLgpio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(chip: int) -> int:
        raise lgpio.error(f"gpiochip{chip} is no device")

    monkeypatch.setattr(lgpio, "gpiochip_open", refused)
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC03111)
    panel = open_without_factory(household_panel(), **board(tmp_path, 1))
    assert isinstance(panel, NullPanel)
    assert panel.why == "The GPIO pins cannot be used (error: gpiochip0 is no device)."


def test_a_board_without_the_package_for_its_lines_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    panel = open_without_factory(household_panel(), **board(tmp_path, 1))
    assert isinstance(panel, NullPanel)
    assert panel.why == "The lgpio package is not installed."
    assert "scripts/install.sh" in panel.fix


@pytest.mark.parametrize(
    ("model", "what"), [("Radxa ROCK 4C+", "This board (Radxa ROCK 4C+)"), ("", "This machine")]
)
def test_a_board_that_is_no_pi_is_told_what_was_found_and_what_to_set(
    tmp_path: Path, lgpio: FakeLgpio, model: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pi() -> int:  # the suite may run on one
        raise PinUnknownPi("unable to locate Pi revision")

    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", no_pi)
    loop = asyncio.new_event_loop()
    try:
        panel = open_panel(household_panel(), loop, print, **board(tmp_path, 2, model))
    finally:
        loop.close()
    assert isinstance(panel, NullPanel)
    assert panel.why == (
        f"{what} is no Raspberry Pi, and which of its GPIO lines are meant is not set; it has "
        "gpiochip0, gpiochip1."
    )
    assert "panel.chip" in panel.fix
    assert lgpio.open_chips == [], "nothing of an unknown board is driven"


def test_a_chip_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    try:
        panel = open_panel(household_panel(chip=4), loop, print, **board(tmp_path, 2))
    finally:
        loop.close()
    assert isinstance(panel, NullPanel)
    assert panel.why == "There is no gpiochip4 here: this machine has gpiochip0, gpiochip1."


def test_a_chip_that_is_only_for_root_is_told_with_the_rule_that_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    loop = asyncio.new_event_loop()
    try:
        panel = open_panel(household_panel(chip=1), loop, print, **board(tmp_path, 2))
    finally:
        loop.close()
    assert isinstance(panel, NullPanel)
    assert panel.why == "This account may not open gpiochip1."
    assert 'SUBSYSTEM=="gpio", GROUP="gpio"' in panel.fix


def test_the_mock_pins_take_lines_as_well() -> None:
    mock = with_lines(MockFactory)()

    async def body(_panel: Panel, _events: list[Event]) -> None:
        mock.pin(133).drive_low()
        await asyncio.sleep(0)

    events = with_panel(mock, household_panel(button_pin=133, led_pin=-1), body)
    assert [type(event) for event in events] == [ButtonPressed]
