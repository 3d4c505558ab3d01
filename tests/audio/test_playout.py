"""Playout: exact blocks, exact ledger, order, cut.

It must never wait for a clock: time is the count of rendered frames.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.audio.speaker.earcons import render_earcon
from edge_agent.audio.speaker.jitter import Prebuffer
from edge_agent.audio.speaker.mixing import volume_gain
from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract.events import (
    Event,
    PlaybackCut,
    PlaybackDrained,
    PlaybackStarted,
    SentenceDrained,
)

LATENCY_S = 0.03
E = TypeVar("E", bound=Event)
BLOCK = 240


def tone(level: int, samples: int) -> bytes:
    return np.full(samples, level, dtype="<i2").tobytes()


def ramp(samples: int, start: int = 1) -> bytes:
    return (np.arange(samples) + start).astype("<i2").tobytes()


@dataclass
class Rig:
    """A loudspeaker that takes what it is given and remembers all of it."""

    playout: Playout
    rate_hz: int = 24_000
    out: list[np.ndarray] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    frames: int = 0

    def __post_init__(self) -> None:
        self.playout.open(self.rate_hz, LATENCY_S)

    @property
    def now(self) -> float:
        return self.frames / self.rate_hz

    def render(self, frames: int = BLOCK, blocks: int = 1) -> np.ndarray:
        made = []
        for _ in range(blocks):
            block = self.playout.render(frames, self.now + LATENCY_S)
            assert len(block) == 2 * frames
            made.append(np.frombuffer(block, dtype="<i2"))
            self.frames += frames
            self.events += self.playout.collect(self.now)
        self.out += made
        return np.concatenate(made)

    @property
    def heard(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype=np.int16), *self.out])

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


def test_first_and_last_sample_are_there_and_in_order() -> None:
    rig = Rig(Playout())
    rig.playout.voice("a", ramp(3000))
    rig.playout.voice("a", ramp(1001, start=3001))
    rig.playout.end_voice("a")
    rig.render(blocks=25)
    sound = rig.heard[rig.heard != 0]
    assert sound.tolist() == list(range(1, 4002))
    assert rig.playout.underruns == 0
    (drained,) = rig.of(PlaybackDrained)
    assert isinstance(drained, PlaybackDrained)
    assert drained.played_ms == pytest.approx(4001 / 24)


@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 44_100, 48_000])
def test_a_sound_keeps_its_length_and_its_ends_at_every_rate(rate_hz: int) -> None:
    rig = Rig(Playout(), rate_hz=rate_hz)
    period = np.sin(2 * np.pi * 400 * np.arange(24_000) / 24_000) * 8000
    pcm = period.astype("<i2").tobytes()
    for start in range(0, len(pcm), 4801):  # odd: pieces may end inside a sample
        rig.playout.voice("a", pcm[start : start + 4801])
    rig.playout.end_voice("a")
    rig.render(frames=rate_hz // 100, blocks=110)
    (drained,) = rig.of(PlaybackDrained)
    assert isinstance(drained, PlaybackDrained)
    assert drained.played_ms == pytest.approx(1000, abs=0.1)
    wanted = np.sin(2 * np.pi * 400 * np.arange(rate_hz) / rate_hz) * 8000
    one_sample = 8000 * 2 * np.pi * 400 / rate_hz
    error = np.abs(rig.heard[:rate_hz] - wanted)[rate_hz // 500 : -rate_hz // 500]
    assert error.max() < 0.6 * one_sample
    assert np.abs(rig.heard[rate_hz:]).max() == 0


def test_nothing_starts_before_the_prebuffer_is_full_or_the_item_ended() -> None:
    rig = Rig(Playout(prebuffer_ms=40))
    rig.playout.voice("a", tone(5, 900))
    assert not rig.render(blocks=3).any()
    rig.playout.voice("a", tone(5, 60))
    assert rig.render().all()
    short = Rig(Playout(prebuffer_ms=40))
    short.playout.voice("b", tone(6, 100))
    short.playout.end_voice("b")
    assert (short.render() == 6).sum() == 100


def test_events_come_when_the_sound_is_audible_not_when_it_is_handed_over() -> None:
    rig = Rig(Playout())
    rig.playout.voice("a", tone(5, 1200))
    rig.playout.end_voice("a")
    rig.render(blocks=2)
    assert not rig.events  # 20 ms rendered, audible from 30 ms on
    rig.render(blocks=1)
    (started,) = rig.events
    assert isinstance(started, PlaybackStarted)
    assert started.at == pytest.approx(0.03)
    rig.render(blocks=4)
    assert not rig.of(PlaybackDrained)  # all of it is rendered, 80 ms are not over
    assert rig.playout.audible
    rig.render(blocks=2)
    (drained,) = rig.of(PlaybackDrained)
    assert drained.at == pytest.approx(0.08)
    assert not rig.playout.audible


def test_a_dry_item_is_an_underrun_and_more_of_it_a_gap_that_grows_the_prebuffer() -> None:
    rig = Rig(Playout(prebuffer_ms=40))
    rig.playout.voice("a", tone(5, 960))
    rig.render(blocks=6)
    assert (rig.playout.underruns, rig.playout.gaps) == (1, 0)
    rig.playout.voice("a", tone(5, 1000))
    assert rig.playout.prebuffer_ms == pytest.approx(60)
    assert not rig.render(blocks=2).any()  # it fills up again first
    rig.playout.voice("a", tone(5, 1000))
    assert rig.render().all()
    assert (rig.playout.underruns, rig.playout.gaps) == (1, 1)
    rig.playout.end_voice("a")
    rig.render(blocks=20)
    (drained,) = rig.of(PlaybackDrained)
    assert isinstance(drained, PlaybackDrained)
    assert drained.played_ms == pytest.approx(2960 / 24)
    assert len(rig.of(PlaybackStarted)) == 1


def test_an_end_that_comes_late_is_no_gap_and_drains_at_the_last_sound() -> None:
    rig = Rig(Playout())
    rig.playout.voice("a", tone(5, 960))
    rig.render(blocks=20)
    rig.playout.end_voice("a")
    rig.render()
    (drained,) = rig.of(PlaybackDrained)
    assert drained.at == pytest.approx(0.07)
    assert rig.playout.gaps == 0


def test_prebuffer_grows_to_its_cap_and_shrinks_slowly() -> None:
    buffer = Prebuffer(40, 250)
    for _ in range(10):
        buffer.gap(30)
    assert buffer.target_ms == 250
    buffer.played(9_999)
    assert buffer.target_ms == 250
    buffer.played(1)
    assert buffer.target_ms == 230
    for _ in range(20):
        buffer.played(10_000)
    assert buffer.target_ms == 40


def test_cut_counts_the_fade_and_nothing_comes_after_it() -> None:
    rig = Rig(Playout(fade_ms=5))
    rig.playout.voice("a", tone(1000, 24_000))
    rig.playout.voice("b", tone(2000, 4800))
    rig.playout.end_voice("b")
    rig.render(blocks=10)
    cut = rig.playout.cut(rig.now)
    assert cut == PlaybackCut(at=rig.now, item="a", played_ms=105.0, never_started=("b",))
    assert not rig.playout.voice("a", tone(1000, 100))
    assert not rig.playout.voice("b", tone(2000, 100))
    rig.playout.end_voice("a")
    after = rig.render(blocks=4)
    assert np.count_nonzero(after) == 120
    assert np.abs(np.diff(after[:121])).max() < 20  # a ramp, not a step
    assert rig.playout.dropped_ms == pytest.approx(200 / 24)
    assert [type(event) for event in rig.events] == [PlaybackStarted]


def test_cut_shorter_than_the_fade_and_before_the_start() -> None:
    rig = Rig(Playout(fade_ms=5))
    rig.playout.voice("a", tone(1000, 1000))
    rig.playout.end_voice("a")
    rig.render(frames=990)
    assert rig.playout.cut(0.1).played_ms == pytest.approx(1000 / 24)
    rig.render()
    fresh = Rig(Playout())
    fresh.playout.voice("a", tone(1000, 1000))
    assert fresh.playout.cut(0.1) == PlaybackCut(
        at=0.1, item=None, played_ms=0.0, never_started=("a",)
    )
    assert not fresh.render(blocks=3).any()
    assert fresh.playout.cut(0.2).never_started == ()


def test_an_item_rendered_to_its_end_is_drained_not_cut() -> None:
    rig = Rig(Playout())
    rig.playout.voice("a", tone(5, 1200))
    rig.playout.end_voice("a")
    rig.render(blocks=5)  # the last of it is audible 30 ms later
    assert rig.playout.cut(rig.now).item is None
    rig.render(blocks=4)
    assert len(rig.of(PlaybackDrained)) == 1


def test_one_voice_at_a_time_in_the_order_of_arrival() -> None:
    rig = Rig(Playout())
    rig.playout.sentence("offline", tone(7, 2400))
    rig.playout.voice("a", tone(5, 2400))
    rig.playout.end_voice("a")
    rig.playout.sentence("back", tone(8, 2400))
    rig.render(blocks=40)
    sound = rig.heard[rig.heard != 0]
    assert sound.tolist() == [7] * 2400 + [5] * 2400 + [8] * 2400
    names = [getattr(event, "name", getattr(event, "item", "")) for event in rig.events]
    assert names == ["offline", "a", "a", "back"]


def test_a_sentence_that_is_cut_is_reported() -> None:
    rig = Rig(Playout())
    rig.playout.sentence("offline", tone(700, 24_000))
    rig.playout.sentence("next", tone(800, 2400))
    rig.playout.voice("a", tone(5, 2400))
    rig.render(blocks=5)
    cut = rig.playout.cut(rig.now)
    assert (cut.item, cut.never_started) == (None, ("a",))
    assert np.count_nonzero(rig.render(blocks=5)) == 120
    assert [event.name for event in rig.of(SentenceDrained)] == ["offline", "next"]


def test_a_starving_answer_lets_a_sentence_through() -> None:
    rig = Rig(Playout())
    rig.playout.voice("a", tone(5, 960))
    rig.render(blocks=10)
    rig.playout.sentence("offline", tone(7, 2400))
    rig.render(blocks=50)
    assert 7 not in rig.heard
    rig.render(blocks=100)
    assert (rig.heard == 7).sum() == 2400
    cut = rig.playout.cut(rig.now)
    assert (cut.item, cut.played_ms) == ("a", 40.0)


def test_an_item_without_sound_drains_in_its_turn() -> None:
    rig = Rig(Playout())
    rig.playout.voice("a", tone(5, 2400))
    rig.playout.end_voice("silent")
    rig.playout.end_voice("a")
    rig.playout.end_voice("a")
    rig.render(blocks=20)
    drained = [(e.item, e.played_ms) for e in rig.events if isinstance(e, PlaybackDrained)]
    assert drained == [("a", 100.0), ("silent", 0.0)]


def test_a_full_buffer_ends_the_item_cleanly_and_counts() -> None:
    rig = Rig(Playout(max_buffer_s=1.0))
    assert rig.playout.voice("a", tone(5, 20_000))
    assert not rig.playout.voice("a", tone(6, 12_000))
    rig.render(blocks=50)
    assert not rig.playout.voice("a", tone(6, 100))  # room again, but it would follow a hole
    rig.playout.end_voice("a")
    rig.render(blocks=60)
    assert 6 not in rig.heard
    assert (rig.heard == 5).sum() == 20_000
    assert rig.playout.dropped_ms == pytest.approx(12_100 / 24)
    assert rig.playout.voice("b", tone(7, 100))


def test_alarm_loops_pauses_while_somebody_speaks_and_stops() -> None:
    rig = Rig(Playout())
    rig.playout.alarm(tone(900, 700) + tone(0, 100))
    first = rig.render(blocks=20)
    assert (first[200:] == 900).mean() == pytest.approx(0.875, abs=0.02)
    rig.playout.sentence("timer", tone(5, 4800))
    spoken = rig.render(blocks=20)
    assert set(spoken[120:4800].tolist()) == {5}
    assert not rig.render(blocks=30).any()  # not between two items
    assert rig.render(blocks=60).any()
    assert rig.playout.audible
    rig.playout.alarm(None)
    rig.render(blocks=1)
    assert not rig.render(blocks=10).any()
    assert not rig.playout.audible
    rig.playout.alarm(tone(900, 700))
    rig.render(blocks=3)
    rig.playout.cut(rig.now)
    rig.render(blocks=1)
    assert not rig.render(blocks=10).any()


def test_earcons_are_mixed_over_and_saturate() -> None:
    rig = Rig(Playout())
    rig.playout.voice("a", tone(30_000, 2400))
    rig.playout.earcon(tone(10_000, 100))
    block = rig.render()
    assert block[:100].tolist() == [32_767] * 100
    assert block[100:].tolist() == [30_000] * 140
    for _ in range(6):
        rig.playout.earcon(tone(1, 24))
    assert rig.playout.dropped_ms == pytest.approx(2.0)
    rig.playout.cut(rig.now)
    assert (rig.render()[120:] == 0).all()


def test_volume_is_ramped_and_perceptual() -> None:
    assert volume_gain(100) == 1.0
    assert volume_gain(50) == pytest.approx(0.25)
    assert volume_gain(0) == volume_gain(-5) == 0.0
    rig = Rig(Playout())
    rig.playout.voice("a", tone(10_000, 24_000))
    rig.render()
    rig.playout.set_volume(50)
    moving = rig.render(blocks=6)
    assert moving[-1] == 2500
    assert np.abs(np.diff(moving)).max() <= 10
    rig.playout.set_volume(0)
    rig.render(blocks=6)
    assert not rig.render().any()


def test_nothing_is_louder_than_the_limit_whoever_asks() -> None:
    loudest = round(10_000 * volume_gain(30))
    for start, then in ((20, 100), (100, 100), (100, 80)):
        rig = Rig(Playout(volume_percent=start, volume_max_percent=30))
        rig.playout.voice("answer", tone(10_000, 40 * BLOCK))
        rig.playout.end_voice("answer")
        rig.playout.set_volume(then)
        assert int(np.abs(rig.render(blocks=100)).max()) == loudest
        rig.playout.earcon(tone(10_000, BLOCK))
        assert int(np.abs(rig.render(blocks=100)).max()) == loudest
        rig.playout.text("q", tone(10_000, 40 * BLOCK), least_volume_percent=40)
        assert int(np.abs(rig.render(blocks=100)).max()) == loudest
        rig.playout.alarm(tone(10_000, BLOCK))
        assert int(np.abs(rig.render(blocks=100)).max()) == loudest
        rig.playout.alarm(None)
        rig.playout.set_volume(10)
        rig.playout.sentence("s", tone(10_000, 40 * BLOCK))
        quiet = rig.render(blocks=100)[20 * BLOCK :]
        assert int(np.abs(quiet).max()) == round(10_000 * volume_gain(10))


def test_a_sleepy_sink_is_woken_before_the_first_word() -> None:
    rig = Rig(Playout(warm_up_ms=50))
    rig.playout.voice("a", tone(500, 2400))
    rig.playout.end_voice("a")
    out = rig.render(blocks=16)
    assert np.abs(out[:1200]).max() == 1
    assert out[1200:3600].tolist() == [500] * 2400
    rig.playout.voice("b", tone(600, 2400))
    assert (rig.render() == 600).all()  # it was awake


def test_reference_gets_every_block_and_its_fault_does_not_matter() -> None:
    seen: list[tuple[bytes, float]] = []
    rig = Rig(Playout(reference_write=lambda block, at: seen.append((block, at))))
    rig.playout.voice("a", tone(5, 1000))
    rig.render(blocks=5)
    assert np.frombuffer(b"".join(b for b, _ in seen), "<i2").tolist() == rig.heard.tolist()
    assert [at for _, at in seen] == pytest.approx([0.03, 0.04, 0.05, 0.06, 0.07])

    def broken(_block: bytes, _at: float) -> None:
        raise RuntimeError("full")

    bad = Rig(Playout(reference_write=broken))
    bad.playout.voice("a", tone(5, 1000))
    assert bad.render().all()
    assert bad.playout.faults == 1


def test_render_survives_nonsense_and_a_closed_device() -> None:
    playout = Playout()
    assert playout.render(10, 0.0) == bytes(20)  # before open
    rig = Rig(playout)
    playout.voice("a", tone(5, 2000))
    assert len(playout.render(240, float("nan"))) == 480
    playout.close()
    assert playout.render(240, 1.0) == bytes(480)
    rig.playout.open(24_000, 0.03)
    assert rig.render().all()


def test_what_was_cut_while_the_device_was_gone_does_not_sound_when_it_is_back() -> None:
    rig = Rig(Playout())
    rig.playout.voice("a", tone(500, 2000))
    rig.render(blocks=5)
    rig.playout.close()
    rig.playout.cut(0.1)
    rig.playout.open(24_000, 0.03)
    assert not rig.render().any()


def test_reopening_at_another_rate_loses_nothing() -> None:
    rig = Rig(Playout())
    rig.playout.voice("a", tone(5000, 12_000))
    rig.render(blocks=10)
    again = Rig(rig.playout, rate_hz=48_000)
    rig.playout.voice("a", tone(5000, 12_000))
    rig.playout.end_voice("a")
    again.render(frames=480, blocks=100)
    (drained,) = again.of(PlaybackDrained)
    assert isinstance(drained, PlaybackDrained)
    assert drained.played_ms == pytest.approx(1000, abs=0.2)
    assert len(rig.of(PlaybackStarted) + again.of(PlaybackStarted)) == 1
    loud = np.abs(again.heard) > 4000
    assert loud.sum() == pytest.approx(2 * 21_600, abs=100)


def test_a_time_stamp_far_in_the_future_does_not_hold_events_back() -> None:
    playout = Playout()
    playout.open(24_000, 0.03)
    playout.sentence("x", tone(5, 240))
    playout.render(240, 1e9)
    (event,) = playout.collect(1.0)
    assert event.at == 1.0


def test_queueing_and_cutting_beside_the_callback_keeps_every_sample() -> None:
    playout = Playout(prebuffer_ms=10, fade_ms=0)
    playout.open(24_000, 0.03)
    stop = threading.Event()
    blocks: list[bytes] = []

    def device() -> None:
        while not stop.is_set() or len(blocks) < 5:
            blocks.append(playout.render(48, len(blocks) * 0.002))

    thread = threading.Thread(target=device)
    thread.start()
    played: dict[str, float] = {}
    for number in range(1, 61):
        name = str(number)
        for _ in range(5):
            playout.voice(name, tone(number, 300))
        wanted = len(blocks) + 7 * number % 40
        while len(blocks) < wanted:
            time.sleep(0)  # let the callback thread run
        if number % 3 == 0:
            cut = playout.cut(0.0)
            if cut.item is not None:
                played[cut.item] = cut.played_ms
        else:
            playout.end_voice(name)
    stop.set()
    thread.join()
    for _ in range(2000):
        blocks.append(playout.render(48, 1.0))
    for event in playout.collect(1e9):
        if isinstance(event, PlaybackDrained):
            played[event.item] = event.played_ms
    heard = np.frombuffer(b"".join(blocks), "<i2")
    assert playout.faults == 0
    assert len(played) > 10
    for name, played_ms in played.items():
        assert played_ms * 24 == pytest.approx((heard == int(name)).sum())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("voice"), st.integers(0, 3), st.integers(0, 3000)),
        st.tuples(st.just("end"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("cut"), st.just(0), st.just(0)),
        st.tuples(st.just("sentence"), st.just(0), st.integers(1, 1000)),
        st.tuples(st.just("render"), st.just(0), st.integers(1, 1500)),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(STEPS, st.sampled_from([0, 10, 40]))
def test_any_order_of_events_keeps_the_ledger(
    steps: list[tuple[str, int, int]], prebuffer_ms: float
) -> None:
    """Item k has the values 4000·(k+1) + n, n counting from 0: every sample tells where it
    belongs.  A fade is recognised by its place: directly after the cut."""
    rig = Rig(Playout(prebuffer_ms=prebuffer_ms))
    sent = dict.fromkeys("abcd", 0)
    ended: set[str] = set()
    cut_items: set[str] = set()
    ledger: dict[str, float] = {}
    fade_left = 0
    rendered: dict[str, list[int]] = {name: [] for name in "abcd"}
    order: list[str] = []
    sentences = 0

    def listen(block: np.ndarray) -> None:
        nonlocal fade_left
        skip, fade_left = min(fade_left, len(block)), max(0, fade_left - len(block))
        for value in block[skip:].tolist():
            if value <= 0:
                continue
            name = "abcd"[value // 4000 - 1] if value < 20_000 else ""
            if name:
                assert name not in cut_items, "sound of a cut item"
                rendered[name].append(value % 4000)
                if not order or order[-1] != name:
                    order.append(name)

    for kind, number, amount in steps:
        name = "abcd"[number]
        if kind == "voice":
            room = min(amount, 3999 - sent[name])
            values = 4000 * (number + 1) + sent[name] + np.arange(room)
            if rig.playout.voice(name, values.astype("<i2").tobytes()):
                assert name not in ended | cut_items
                sent[name] += room
        elif kind == "end":
            rig.playout.end_voice(name)
            ended.add(name)
        elif kind == "sentence":
            sentences += 1
            rig.playout.sentence("s", tone(20_000, amount))
        elif kind == "cut":
            before = rig.heard
            cut = rig.playout.cut(rig.now)
            assert cut.played_ms >= 0
            if cut.item is not None:
                fade = round(cut.played_ms * 24) - len(rendered[cut.item])
                assert 0 <= fade <= 120
                ledger[cut.item] = cut.played_ms
                cut_items.add(cut.item)
            cut_items.update(cut.never_started)
            assert all(not rendered[item] for item in cut.never_started)
            fade_left = 120  # of a voice or of a sentence: at most
            listen(rig.render(120))
            assert len(before) + 120 == len(rig.heard)
        else:
            listen(rig.render(amount))
    for name in "abcd":
        rig.playout.end_voice(name)
    for _ in range(30):
        listen(rig.render(1000))
    for event in rig.of(PlaybackDrained):
        assert isinstance(event, PlaybackDrained)
        assert event.item not in ledger
        ledger[event.item] = event.played_ms
    for name in "abcd":
        assert rendered[name] == list(range(len(rendered[name]))), "order within an item"
        if name not in cut_items:
            assert len(rendered[name]) == sent[name]
            assert ledger[name] * 24 == pytest.approx(sent[name])
    assert len(order) == len(set(order)) or rig.playout.underruns, "items do not interleave"
    assert len(rig.of(SentenceDrained)) == sentences
    assert rig.playout.faults == 0
    assert not rig.playout.audible


def test_earcon_is_soft_at_both_ends_and_as_long_as_its_notes() -> None:
    pcm = np.frombuffer(render_earcon([(660, 80, 1.0), (0, 20, 0), (880, 120, 0.5)]), "<i2")
    assert len(pcm) == 220 * 24
    assert np.abs(pcm[:3]).max() < 40
    assert np.abs(pcm[-3:]).max() < 40
    assert not pcm[80 * 24 : 100 * 24].any()
    assert 12_000 < np.abs(pcm).max() <= 16_384
    spectrum = np.abs(np.fft.rfft(pcm[: 80 * 24]))
    assert np.argmax(spectrum) * 24_000 / (80 * 24) == pytest.approx(660, abs=13)
    assert render_earcon([]) == b""
