"""What a microphone delivers, and what it means: off, stuck, faint, one dead channel, another rate.

No noise gate may be taken for a fault, so most of the tables are of what is no sign.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_agent.audio.device.channels import DEAD_LOOKS, LOOK_EVERY_BLOCKS, Channels
from edge_agent.audio.device.levels import GATE_S, NOTHING_DBFS, Levels
from edge_agent.audio.device.mixer import all_off, is_capture_off
from edge_agent.audio.device.pace import WINDOW_S, WINDOWS, Pace
from edge_agent.audio.device.signs import FAINT_CALLS, WELL_S, Ear, Sign, Signs

RATE_HZ = 48_000
EAR = Ear(at=0.0)


# --- levels --------------------------------------------------------------------------------


def run_of(value: int, seconds: float) -> np.ndarray:
    return np.full(round(seconds * RATE_HZ), value, dtype=np.int16)


def sound(seconds: float = 0.1, peak: int = 1000) -> np.ndarray:
    samples = np.zeros(round(seconds * RATE_HZ), dtype=np.int16)
    samples[1::2] = peak
    return samples


def levels(*pieces: np.ndarray) -> Levels:
    found = Levels()
    found.restart(RATE_HZ)
    for piece in pieces:
        found.take(piece)
    return found


@pytest.mark.parametrize(
    ("pieces", "flat_s", "value", "moves", "gaps"),
    [
        ([sound()], 0.0, 1000, 1, 0),
        ([run_of(0, 2.0), run_of(0, 1.0)], 3.0, 0, 0, 0),
        ([run_of(0, 2.0), run_of(7, 1.0)], 1.0, 7, 0, 1),
        ([run_of(0, 2.0), sound(), run_of(0, 0.5)], 0.5, 0, 1, 1),
        ([run_of(0, GATE_S), sound(), run_of(0, 1.0), sound()], 0.0, 1000, 2, 0),
    ],
    ids=["sound", "zeros go on", "another value", "a gate", "too short for a gate"],
)
def test_how_long_one_value_lasts(
    pieces: list[np.ndarray], flat_s: float, value: int, moves: int, gaps: int
) -> None:
    found = levels(*pieces)
    assert (found.flat_s, found.value, found.moves, found.gaps) == (flat_s, value, moves, gaps)


def test_the_peak_is_that_since_it_was_asked_and_an_opening_forgets_all() -> None:
    found = levels(sound(peak=3277), sound(peak=-32768))
    assert found.peak_dbfs() == 0.0
    found.take(sound(peak=3277))
    assert found.peak_dbfs() == pytest.approx(-20.0, abs=0.01)
    assert found.peak_dbfs() == NOTHING_DBFS
    found.restart(16_000)
    assert (found.flat_s, found.value, found.moves, found.gaps) == (0.0, None, 0, 0)


# --- signs ---------------------------------------------------------------------------------


class Watch:
    """Looks once a second; collects what is told."""

    def __init__(self) -> None:
        self.signs = Signs()
        self.at = 0.0
        self.told: list[str] = []
        self.flat_s = 0.0

    def look(self, seconds: int = 1, ear: Ear = EAR) -> Watch:
        """So long, with zeros unless the ear is live."""
        for _ in range(seconds):
            self.at += 1.0
            self.flat_s = 0.0 if ear.is_live else self.flat_s + 1.0
            found = self.signs.look(replace(ear, at=self.at, flat_s=self.flat_s))
            if found:
                assert self.signs.present is not None
                self.told.append(self.signs.present.value)
        return self

    def call(self, ear: Ear, seconds: int = 5) -> Watch:
        """Somebody presses the button, and is listened to for so long."""
        return self.look(seconds, replace(ear, called_at=self.at))


ZEROS = Ear(at=0.0, is_live=False, peak_dbfs=NOTHING_DBFS)


@pytest.mark.parametrize(
    "ear",
    [
        ZEROS,
        replace(ZEROS, gaps=50),
        replace(ZEROS, is_switched_off=False),
        replace(ZEROS, value=-1),
        replace(ZEROS, has_spoken=True),
        EAR,
    ],
    ids=["from the start", "a gate", "its switch is on", "one value", "after a talk", "a room"],
)
def test_silence_alone_proves_nothing(ear: Ear) -> None:
    watch = Watch().look(3600, ear)
    assert watch.signs.present is None
    assert watch.told == []


def test_what_we_play_proves_nothing_to_a_device_that_takes_it_out_by_itself() -> None:
    for ear in (ZEROS, replace(ZEROS, gaps=2, echo_found=True)):
        watch = Watch().look(2, EAR)
        for played in range(600):
            watch.look(1, replace(ear, played_s=float(played)))
        assert watch.signs.present is None


def test_zeros_while_we_speak_to_a_microphone_that_hears_us_are_a_switch() -> None:
    watch = Watch().look(2, replace(EAR, played_s=10.0, echo_found=True))
    silent = replace(ZEROS, echo_found=True)
    watch.look(60, replace(silent, played_s=12.9))
    assert watch.told == []
    watch.look(60, replace(silent, played_s=13.0))
    assert watch.signs.present is Sign.OFF
    assert watch.told == ["device.switched_off"]


@pytest.mark.parametrize(("value", "sign"), [(0, Sign.OFF), (-1, Sign.STUCK), (32767, Sign.STUCK)])
def test_a_call_in_which_not_one_sample_moves_is_a_switch_or_a_converter(
    value: int, sign: Sign
) -> None:
    watch = Watch().look(5, ZEROS).call(replace(ZEROS, value=value), 2)
    assert watch.told == []
    watch.call(replace(ZEROS, value=value))
    assert (watch.signs.present, watch.told) == (sign, [sign.value])


def test_where_there_is_a_gate_two_calls_are_needed_and_in_one_silence() -> None:
    gated = replace(ZEROS, gaps=2)
    watch = Watch().look(60, gated).call(gated).look(60, gated)
    watch.look(1, replace(EAR, gaps=3)).look(2, gated).call(gated)
    assert watch.told == []
    watch.look(60, gated).call(gated)
    assert watch.told == ["device.switched_off"]


def test_what_the_card_says_of_itself_is_believed_after_a_moment() -> None:
    off = replace(ZEROS, is_switched_off=True)
    watch = Watch().look(2, off)
    assert watch.told == []
    watch.look(1, replace(off, value=3))
    assert watch.told == ["device.switched_off"]


def test_it_is_told_once_and_again_only_after_it_was_well_for_a_while() -> None:
    off = replace(ZEROS, is_switched_off=True)
    watch = Watch().look(3600, off)
    assert watch.told == ["device.switched_off"]
    watch.look(int(WELL_S) - 3, EAR)
    assert watch.signs.present is None
    watch.look(30, off)
    assert watch.signs.present is Sign.OFF
    assert len(watch.told) == 1
    watch.look(int(WELL_S), EAR).look(30, off)
    assert len(watch.told) == 2


def test_opened_anew_it_stays_what_it_was_until_something_is_heard() -> None:
    watch = Watch().look(10, replace(ZEROS, is_switched_off=True))
    watch.flat_s = -1.0
    watch.look(20, ZEROS)
    assert watch.signs.present is Sign.OFF
    watch.look(1, EAR)
    assert watch.signs.present is None


FAINT = Ear(at=0.0, peak_dbfs=-66.0)


def test_three_calls_in_a_row_that_nobody_is_heard_in_are_a_faint_microphone() -> None:
    watch = Watch()
    for _ in range(FAINT_CALLS - 1):
        watch.call(FAINT).look(60, FAINT)
    assert watch.told == []
    watch.call(FAINT)
    assert (watch.signs.present, watch.told) == (Sign.FAINT, ["audio.faint"])
    watch.look(60, FAINT).call(FAINT)
    assert watch.told == ["audio.faint"]
    watch.call(replace(FAINT, has_spoken=True))
    assert watch.signs.present is None


@pytest.mark.parametrize(
    "between",
    [replace(FAINT, has_spoken=True), replace(FAINT, peak_dbfs=-40.0)],
    ids=["somebody is heard", "a room that can be heard"],
)
def test_a_call_that_is_heard_in_between_begins_the_count_anew(between: Ear) -> None:
    watch = Watch().call(FAINT).call(FAINT).call(between).call(FAINT).call(FAINT)
    assert watch.signs.present is None


def test_a_quiet_house_without_a_call_is_not_faint_nor_is_a_click_a_voice() -> None:
    assert Watch().look(36_000 // 10, FAINT).signs.present is None
    watch = Watch()
    for _ in range(FAINT_CALLS):
        pressed = watch.at
        watch.look(1, replace(EAR, called_at=pressed)).look(4, replace(FAINT, called_at=pressed))
    assert watch.signs.present is Sign.FAINT


# --- channels ------------------------------------------------------------------------------


def block(*channels: int) -> bytes:
    """Ten milliseconds; each channel a square wave of that height."""
    samples = np.zeros((480, len(channels)), dtype="<i2")
    samples[1::2] = channels
    return samples.tobytes()


def peak(pcm: bytes) -> int:
    return int(np.abs(np.frombuffer(pcm, "<i2")).max())


LONG = LOOK_EVERY_BLOCKS * DEAD_LOOKS


@pytest.mark.parametrize(
    ("wanted", "heights", "dead", "heard"),
    [
        (None, (1000,), (), 1000),
        (None, (1000, 500), (), 750),
        (None, (1000, 1), (), 500),
        (None, (1000, 0), (1,), 1000),
        (None, (0, 1000), (0,), 1000),
        (1, (1000, 500), (), 500),
        (1, (1000, 0), (1,), 1000),
        (0, (1000, 0), (1,), 1000),
        (None, (0, 0), (), 0),
        (None, (400, 400, 400, 400, 0, 0, 0, 0), (4, 5, 6, 7), 400),
        (9, (1000, 500), (), 750),
    ],
)
def test_a_dead_channel_is_left_out(
    wanted: int | None, heights: tuple[int, ...], dead: tuple[int, ...], heard: int
) -> None:
    channels = Channels(len(heights), wanted)
    for _ in range(LONG):
        last = channels.mono(block(*heights))
    assert (channels.dead, peak(last)) == (dead, heard)


def test_a_channel_that_comes_back_is_taken_again_and_a_pause_kills_none() -> None:
    channels = Channels(2)
    for _ in range(LONG - 1):
        channels.mono(block(1000, 0))
    for _ in range(LONG):
        channels.mono(block(0, 0))
    assert list(channels.dead) == []
    for _ in range(LOOK_EVERY_BLOCKS):
        channels.mono(block(1000, 0))
    assert list(channels.dead) == [1]
    for _ in range(LOOK_EVERY_BLOCKS):
        last = channels.mono(block(1000, 1000))
    assert (channels.dead, peak(last)) == ((), 1000)


# --- the card's switch -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switches", "off"),
    [([], None), ([True], False), ([False], True), ([False, True], False), ([False] * 3, True)],
)
def test_only_a_card_without_any_open_input_is_off(switches: list[bool], off: bool | None) -> None:
    assert all_off(switches) is off


def test_a_card_that_is_not_there_says_nothing() -> None:
    assert is_capture_off("hw:77") is None


# --- pace ------------------------------------------------------------------------------------


def paced(pace: Pace, share: float, seconds: float, *, begin: float = 0.0) -> Pace:
    """A look every half second at a stream that runs at `share` of its rate."""
    for step in range(round(2 * seconds) + 1):
        at = step / 2
        pace.look(round(at * RATE_HZ * share) // 4800 * 4800, begin + at)
    return pace


@pytest.mark.parametrize(
    ("share", "percent"),
    [(1.0, 0), (1.0005, 0), (0.99, 0), (44_100 / RATE_HZ, 92), (48 / 44.1, 109), (0.001, 1)],
)
def test_a_wrong_rate_is_seen_and_a_drift_is_none(share: float, percent: int) -> None:
    assert paced(Pace(RATE_HZ), share, WINDOWS * WINDOW_S + 1).wrong_percent == percent


def test_a_busy_minute_is_no_wrong_rate_and_it_is_over_when_it_is_right() -> None:
    pace = paced(Pace(RATE_HZ), 0.8, (WINDOWS - 1) * WINDOW_S)
    pace.pause()
    assert paced(pace, 1.0, WINDOW_S + 1, begin=100.0).wrong_percent == 0
    pace.pause()
    paced(pace, 0.9, WINDOWS * WINDOW_S, begin=200.0)
    assert pace.wrong_percent == 90
    pace.pause()
    assert paced(pace, 1.0, WINDOW_S, begin=300.0).wrong_percent == 0
