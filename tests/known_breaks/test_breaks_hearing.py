"""Rule 7, nobody interrupts who does not exist: rooms other than our own, once broken (R7)."""

from __future__ import annotations

import pytest
from own_voice import Place, cuts

SECONDS = 13.0


def test_in_a_plain_room_with_right_stamps_nobody_interrupts() -> None:
    assert cuts(Place(), SECONDS) == []


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(Place(stamps_late_s=0.05), id="late-stamps"),
        pytest.param(Place(noise_dbfs=-60.0, swell_db=15.0, swell_s=5.0), id="swelling-noise"),
    ],
)
def test_our_own_voice_is_nobody(place: Place) -> None:
    found = cuts(place, SECONDS)
    assert found == []
