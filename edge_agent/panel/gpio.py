"""GPIO: a real button and a real light, through gpiozero.

Call `open_panel`.  On a Raspberry Pi pins are BCM numbers of its header; with `panel.chip` they are
line numbers of that GPIO chip, on any board.

Thread: the event loop for light and buttons; those of `line_events`, or gpiozero's own where the
kernel is too old for them, only hand it their edges.  It
must never decide what a press means, and never stop the speaker because a wire is loose.

gpiozero is imported only when there is a panel: most desks have none.
"""

from __future__ import annotations

import contextlib
import os
import sys
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from edge_agent.contract.errors import DeviceMissing
from edge_agent.contract.events import Event
from edge_agent.panel.button_health import ButtonJudge
from edge_agent.panel.line_events import LineEvents
from edge_agent.panel.patterns import DARK, Colour, LightPlayer

GPIO_CHIPS = "gpiochip*"
NO_PIN = -1
NO_CHIP = -1
BOARD_MODEL = Path("/proc/device-tree/model")


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelConfig:
    """Pins and how they are wired."""

    enabled: str
    """`auto`, `on` or `off`."""
    chip: int
    """Number of a GPIO chip, whose line numbers the pins are; -1: a Raspberry Pi's header."""
    button_pin: int
    mute_button_pin: int
    led_pin: int
    rgb_pins: Sequence[int]
    """Empty, or red, green, blue; then `led_pin` is not used."""
    led_active_high: bool
    pull_up: bool
    button_inverted: bool
    """Closed at rest, open while pressed."""
    bounce_ms: int


class NullPanel:
    """No button, no light."""

    def __init__(self, why: str, fix: str = "") -> None:
        self.why = why
        self.fix = fix
        """For the journal's `panel.absent`."""

    def show(self, light: str) -> None:
        """Nothing to show it with."""

    def close(self) -> None:
        """Nothing to release."""


class GpioPanel:
    """Buttons that post events, and a light that plays patterns on the loop's timer."""

    def __init__(
        self,
        config: PanelConfig,
        loop: AbstractEventLoop,
        post: Callable[[Event], None],
        factory: Any,
        dev: Path,
    ) -> None:
        """Claims the pins.  `post` is called on the loop.  Raises `DeviceMissing`."""
        from gpiozero import DigitalOutputDevice

        self._loop = loop
        self._post = post
        self._factory = factory
        self._player = LightPlayer()
        self._timer: TimerHandle | None = None
        self._closed = False
        self._buttons: list[Any] = []
        self._judges: dict[str, ButtonJudge] = {}
        self._looks: dict[str, TimerHandle] = {}
        self._leds: list[Any] = []
        try:
            for name, pin in (("talk", config.button_pin), ("mute", config.mute_button_pin)):
                if pin != NO_PIN:
                    inverted = config.button_inverted
                    moved = self._moved(name, is_inverted=inverted)
                    button = _button(config, pin, factory, dev, moved)
                    self._buttons.append(button)
                    is_down = button.is_active is not inverted
                    self._judges[name] = ButtonJudge(name, loop.time(), is_down=is_down)
                    self._tell(name, [])
            pins = list(config.rgb_pins) or [config.led_pin]
            self._leds = [
                DigitalOutputDevice(pin, active_high=config.led_active_high, pin_factory=factory)
                for pin in pins
                if pin != NO_PIN
            ]
        except _pin_errors() as problem:
            self.close()
            raise _missing(problem) from problem

    @property
    def factory_name(self) -> str:
        """Which of gpiozero's pin factories is used."""
        return type(self._factory).__name__

    def show(self, light: str) -> None:
        """Play the pattern of that name (`patterns.LIGHTS`) until the next one.  Loop only."""
        if not self._closed:
            self._apply(*self._player.show(light, self._loop.time()))

    def close(self) -> None:
        """Dark, and all pins released.  Safe to call twice."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for look in self._looks.values():
            look.cancel()
        for device in (*self._buttons, *self._leds):
            # A USB GPIO expander may be gone by now; there is nothing left to release then.
            with contextlib.suppress(*_pin_errors()):
                device.close()
        self._buttons, self._leds = [], []
        with contextlib.suppress(*_pin_errors()):
            self._factory.close()

    def _step(self) -> None:
        self._timer = None
        self._apply(*self._player.step(self._loop.time()))

    def _apply(self, colour: Colour, next_at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if next_at is None else self._loop.call_at(next_at, self._step)
        if len(self._leds) == 1:
            self._leds[0].value = int(colour != DARK)
        else:
            for led, value in zip(self._leds, colour, strict=False):
                led.value = value

    def _moved(self, name: str, *, is_inverted: bool) -> Callable[[bool], None]:
        def moved(is_active: bool) -> None:  # runs in another thread
            at = self._loop.time()
            is_down = is_active is not is_inverted
            with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon has ended
                self._loop.call_soon_threadsafe(self._edge, name, at, is_down)

        return moved

    def _edge(self, name: str, at: float, is_down: bool) -> None:
        if not self._closed:
            self._tell(name, self._judges[name].edge(at, is_down=is_down))

    def _look(self, name: str) -> None:
        self._tell(name, self._judges[name].look(self._loop.time()))

    def _tell(self, name: str, events: list[Event]) -> None:
        """Post what the judge makes of a button, and look at it again when that is due."""
        for event in events:
            self._post(event)
        if name in self._looks:
            self._looks.pop(name).cancel()
        due = self._judges[name].due
        if due is not None:
            self._looks[name] = self._loop.call_at(due, self._look, name)


def _button(
    config: PanelConfig, pin: int, factory: Any, dev: Path, moved: Callable[[bool], None]
) -> Any:
    """A watched input; `moved` is called from another thread."""
    from gpiozero import DigitalInputDevice

    if (chip := getattr(factory, "chip", None)) is not None:  # it is lgpio's
        # Where the kernel refuses, gpiozero watches the line, or finds out why it is not to be had.
        with contextlib.suppress(OSError):
            return LineEvents(
                dev / f"gpiochip{chip}",
                pin,
                pull_up=config.pull_up,
                bounce_ms=config.bounce_ms,
                moved=moved,
            )
    # Not gpiozero's Button: that one starts a thread to time long presses.
    button = DigitalInputDevice(
        pin,
        pull_up=config.pull_up,
        bounce_time=config.bounce_ms / 1000 or None,
        pin_factory=factory,
    )
    button.when_activated = lambda: moved(True)
    button.when_deactivated = lambda: moved(False)
    return button


def open_panel(
    config: PanelConfig,
    loop: AbstractEventLoop,
    post: Callable[[Event], None],
    *,
    factory: Any = None,
    dev: Path = Path("/dev"),
    model: Path = BOARD_MODEL,
) -> GpioPanel | NullPanel:
    """The panel that fits machine and settings.

    `factory`: a gpiozero pin factory to use (tests: `MockFactory()`); None: lgpio where there are
    GPIO lines.  With `enabled = "on"` a missing panel raises `DeviceMissing`, with `auto` it is a
    `NullPanel` that says why.
    """
    if config.enabled == "off":
        return NullPanel("switched off")
    chips = sorted(chip.name for chip in dev.glob(GPIO_CHIPS))
    try:
        if factory is None:
            _check_chip(config.chip, chips, dev)
            factory = _real_factory(config.chip, chips, model)
        return GpioPanel(config, loop, post, factory, dev)
    except DeviceMissing as missing:
        if config.enabled == "on":
            raise
        # Most machines have no GPIO lines, and nothing is to be done about it.
        return NullPanel(missing.message, missing.fix if chips else "")


def with_lines(factory: type) -> Any:
    """A kind of pin factory whose pins are line numbers, instead of those of a Raspberry Pi's
    header: what gpiozero asks of a board is which pin a name stands for."""
    board = SimpleNamespace(find_pin=_line)
    return type(factory.__name__, (factory,), {"_get_board_info": lambda _factory: board})


def _line(name: int | str) -> Iterator[tuple[None, Any]]:
    """Header and pin.  gpiozero takes the line's number from the pin's name."""
    from gpiozero.pins import PinInfo

    number = int(str(name).removeprefix("GPIO"))
    names = frozenset({number, f"GPIO{number}"})
    yield None, PinInfo(number, f"GPIO{number}", names, "", 1, number, frozenset({"gpio"}))


def _check_chip(chip: int, chips: Sequence[str], dev: Path) -> None:
    """Raises `DeviceMissing` if there is none, or not this one, or it is not for us."""
    if not chips:
        raise DeviceMissing(
            "This machine has no GPIO lines.",
            fix='Set panel.enabled = "off", or use a board that has them.',
            code="panel.missing",
        )
    if chip != NO_CHIP and f"gpiochip{chip}" not in chips:
        raise DeviceMissing(
            f"There is no gpiochip{chip} here: this machine has {', '.join(chips)}.",
            fix="Set panel.chip to the number of one of them.",
            code="panel.missing",
        )
    if chip != NO_CHIP and not os.access(dev / f"gpiochip{chip}", os.R_OK | os.W_OK):
        raise DeviceMissing(
            f"This account may not open gpiochip{chip}.",
            fix="Only Raspberry Pi OS has a group for that; elsewhere: sudo groupadd -fr gpio && "
            """echo 'SUBSYSTEM=="gpio", GROUP="gpio", MODE="0660"' | """
            "sudo tee /etc/udev/rules.d/90-gpio.rules && sudo udevadm control --reload && "
            "sudo udevadm trigger -s gpio, then run scripts/install.sh again.",
            code="panel.missing",
        )


def _real_factory(chip: int, chips: Sequence[str], model: Path) -> Any:
    try:
        from gpiozero import PinUnknownPi
        from gpiozero.pins.lgpio import LGPIOFactory

        return LGPIOFactory() if chip == NO_CHIP else with_lines(LGPIOFactory)(chip=chip)
    except ImportError as problem:
        raise DeviceMissing(
            "The lgpio package is not installed.",
            fix="Run scripts/install.sh again, or: pip install 'edge-agent[pi]'.",
            code="panel.missing",
        ) from problem
    except PinUnknownPi as problem:
        raise DeviceMissing(
            f"{_board(model)} is no Raspberry Pi, and which of its GPIO lines are meant is not "
            f"set; it has {', '.join(chips)}.",
            fix="Set panel.chip to the chip's number, and panel.button_pin and panel.led_pin to "
            "line numbers of it (-1: none); `gpioinfo`, of the package gpiod, lists them.",
            code="panel.missing",
        ) from problem
    except _pin_errors() as problem:
        raise _missing(problem) from problem


def _board(model: Path) -> str:
    """The board's own name, where it has one."""
    with contextlib.suppress(OSError):
        if name := model.read_text(encoding="utf-8", errors="replace").rstrip("\0\n"):
            return f"This board ({name})"
    return "This machine"


def _pin_errors() -> tuple[type[Exception], ...]:
    """What pins may raise; lgpio has an `error` of its own, derived from Exception only."""
    from gpiozero import GPIOZeroError

    own = getattr(sys.modules.get("lgpio"), "error", OSError)
    return (GPIOZeroError, OSError, own)


def _missing(problem: BaseException) -> DeviceMissing:
    return DeviceMissing(
        f"The GPIO pins cannot be used ({type(problem).__name__}: {problem}).",
        fix="Check the pins in the [panel] settings, that no other program uses them, and that "
        "the account is in the group gpio.",
        code="panel.missing",
    )
