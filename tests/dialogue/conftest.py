"""Every talk of the dialogue's tests is judged by the referee when its test is over."""

from __future__ import annotations

from collections.abc import Iterator

import driver
import pytest


@pytest.fixture(autouse=True)
def refereed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No promise may be broken in a talk, whatever the test itself looks at."""
    talks: list[driver.House] = []
    build = driver.House.__init__

    def remembered(house: driver.House, *args: object, **kwargs: object) -> None:
        build(house, *args, **kwargs)  # type: ignore[arg-type]
        talks.append(house)

    monkeypatch.setattr(driver.House, "__init__", remembered)
    yield
    for house in talks:
        house.referee.end(house.now)
        house.referee.check()
