"""GPIO: a real button and a real light, through gpiozero.

Thread: the event loop for the light; gpiozero's own threads only post button events.  It must never
decide what a press means, and never stop the speaker because a wire is loose.

gpiozero is imported only when there is a panel: most desks have none.
"""

from __future__ import annotations

import contextlib
import sys
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.contract.errors import DeviceMissing
from edge_agent.contract.events import ButtonPressed, ButtonReleased, Event
from edge_agent.panel.patterns import DARK, Colour, LightPlayer

GPIO_CHIPS = "gpiochip*"
NO_PIN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelConfig:
    """Pins (BCM numbers) and how they are wired."""

    enabled: str
    """`auto`, `on` or `off`."""
    button_pin: int
    mute_button_pin: int
    led_pin: int
    rgb_pins: Sequence[int]
    """Empty, or red, green, blue; then `led_pin` is not used."""
    led_active_high: bool
    pull_up: bool
    bounce_ms: int


class NullPanel:
    """No button, no light."""

    def __init__(self, why: str) -> None:
        self.why = why
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
    ) -> None:
        """Claims the pins.  `post` is called on the loop.  Raises `DeviceMissing`."""
        from gpiozero import DigitalInputDevice, DigitalOutputDevice

        self._loop = loop
        self._post = post
        self._factory = factory
        self._player = LightPlayer()
        self._timer: TimerHandle | None = None
        self._closed = False
        self._buttons: list[Any] = []
        self._leds: list[Any] = []
        try:
            for name, pin in (("talk", config.button_pin), ("mute", config.mute_button_pin)):
                if pin != NO_PIN:
                    # Not gpiozero's Button: that one starts a thread to time long presses.
                    button = DigitalInputDevice(
                        pin,
                        pull_up=config.pull_up,
                        bounce_time=config.bounce_ms / 1000 or None,
                        pin_factory=factory,
                    )
                    self._buttons.append(button)
                    button.when_activated = self._poster(ButtonPressed, name)
                    button.when_deactivated = self._poster(ButtonReleased, name)
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

    def _poster(
        self, kind: type[ButtonPressed] | type[ButtonReleased], name: str
    ) -> Callable[[], None]:
        def posted() -> None:  # runs in gpiozero's thread
            event = kind(at=self._loop.time(), button=name)
            with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon has ended
                self._loop.call_soon_threadsafe(self._post, event)

        return posted


def open_panel(
    config: PanelConfig,
    loop: AbstractEventLoop,
    post: Callable[[Event], None],
    *,
    factory: Any = None,
    dev: Path = Path("/dev"),
) -> GpioPanel | NullPanel:
    """The panel that fits machine and settings.

    `factory`: a gpiozero pin factory to use (tests: `MockFactory()`); None: lgpio where there are
    GPIO lines.  With `enabled = "on"` a missing panel raises `DeviceMissing`, with `auto` it is a
    `NullPanel` that says why.
    """
    if config.enabled == "off":
        return NullPanel("switched off")
    try:
        return GpioPanel(config, loop, post, factory or _real_factory(dev))
    except DeviceMissing as missing:
        if config.enabled == "on":
            raise
        return NullPanel(missing.message)


def _real_factory(dev: Path) -> Any:
    if not any(dev.glob(GPIO_CHIPS)):
        raise DeviceMissing(
            "This machine has no GPIO lines.",
            fix='Set panel.enabled = "off", or use a board that has them.',
            code="panel.missing",
        )
    try:
        from gpiozero.pins.lgpio import LGPIOFactory

        return LGPIOFactory()
    except ImportError as problem:
        raise DeviceMissing(
            "The lgpio package is not installed.",
            fix="Run scripts/install.sh again, or: pip install 'edge-agent[pi]'.",
            code="panel.missing",
        ) from problem
    except _pin_errors() as problem:
        raise _missing(problem) from problem


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
