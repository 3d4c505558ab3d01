"""GPIO: presses become events, lights become pins; with gpiozero's own mock pins."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory
from house_config import household_panel

from edge_agent.contract.errors import DeviceMissing
from edge_agent.contract.events import ButtonPressed, ButtonReleased, Event
from edge_agent.contract.ports import Panel
from edge_agent.panel.gpio import GpioPanel, NullPanel, PanelConfig, open_panel
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
    panel = GpioPanel(household_panel(), loop, posted.append, factory)
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


def open_without_factory(config: PanelConfig, dev: Path) -> GpioPanel | NullPanel:
    loop = asyncio.new_event_loop()
    try:
        return open_panel(config, loop, lambda event: None, dev=dev)
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


def test_a_board_whose_lines_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    (tmp_path / "gpiochip0").write_text("not a device")
    panel = open_without_factory(household_panel(), tmp_path)
    assert isinstance(panel, NullPanel)
    assert panel.why
