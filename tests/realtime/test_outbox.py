"""What gives way when the uplink is slow.

It must never need a network.
"""

from __future__ import annotations

import asyncio
import json
import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from link_world import World, play

from edge_agent.contract import commands as cmd
from edge_agent.realtime.link.outbox import Outbox, SilenceJudge, mean_level

PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("audio"), st.integers(1, 40), st.booleans()),
        st.tuples(st.just("control"), st.just(0), st.just(False)),
        st.tuples(st.just("pop"), st.just(0), st.just(False)),
    ),
    max_size=200,
)


@given(PIECES, st.integers(5, 200))
def test_control_passes_in_order_and_what_is_lost_is_counted(
    story: list[tuple[str, int, bool]], limit_ms: int
) -> None:
    box = Outbox(limit_ms)
    sent: list[int] = []
    put: dict[int, tuple[str, int, bool]] = {}
    for number, (kind, ms, is_silence) in enumerate(story):
        if kind == "pop":
            if len(box):
                sent.append(int(box.pop()))
            continue
        put[number] = (kind, ms, is_silence)
        box.put(str(number), ms, is_silence=is_silence)
        assert box.audio_ms <= limit_ms
    while len(box):
        sent.append(int(box.pop()))
    assert sent == sorted(sent)
    assert {n for n, (kind, _, _) in put.items() if kind == "control"} <= set(sent)
    lost_ms = sum(ms for n, (_, ms, _) in put.items() if n not in sent)
    assert box.dropped_ms == lost_ms
    assert box.audio_ms == 0
    episode = box.take_episode(at_end=True)
    assert (episode is None) == (lost_ms == 0)
    assert box.take_episode(at_end=True) is None


@given(PIECES)
def test_a_purge_leaves_control_in_order_and_no_audio(story: list[tuple[str, int, bool]]) -> None:
    box = Outbox(1_000_000)
    waiting: list[tuple[str, int]] = []
    for number, (kind, ms, is_silence) in enumerate(story):
        if kind == "pop":
            if waiting:
                assert box.pop() == waiting.pop(0)[0]
            continue
        waiting.append((str(number), ms))
        box.put(str(number), ms, is_silence=is_silence)
    assert box.purge_audio() == sum(ms for _text, ms in waiting)
    assert box.audio_ms == 0
    box.put("later", 5)
    assert [box.pop() for _ in range(len(box))] == [t for t, ms in waiting if not ms] + ["later"]
    assert box.take_episode(at_end=True) is None, "no network was too slow"


def test_silence_goes_first_then_the_oldest_words() -> None:
    box = Outbox(100)
    for n in range(10):
        box.put(f"word {n}", 10, is_silence=False)
        box.put(f"pause {n}", 10, is_silence=True)
    assert box.audio_ms == 100
    assert [box.pop() for _ in range(10)] == [f"word {n}" for n in range(10)]
    for n in range(12):
        box.put(f"word {n}", 10)
    assert box.pop() == "word 2"
    episode = box.take_episode(at_end=True)
    assert episode is not None
    assert (episode.dropped_ms, episode.silence_ms) == (120, 100)


def test_an_episode_is_told_once_when_half_is_free_again() -> None:
    box = Outbox(100)
    for n in range(15):
        box.put(str(n), 10)
    told = []
    while len(box):
        box.pop()
        episode = box.take_episode()
        if episode is not None:
            told.append((box.audio_ms, episode.dropped_ms))
    assert told == [(50, 50)]


def tone(level: float, ms: int = 10) -> bytes:
    samples = [int(level * math.sin(n / 3)) for n in range(24 * ms)]
    return array("h", samples).tobytes()


def test_levels() -> None:
    assert mean_level(b"") == 0
    assert mean_level(bytes(480)) == 0
    assert abs(mean_level(tone(10_000)) - 6366) < 300
    assert mean_level(array("h", [-32768] * 240).tobytes()) == 32768


def test_silence_is_judged_against_the_room() -> None:
    judge = SilenceJudge()
    assert judge.is_silence(bytes(480), 10)
    assert not judge.is_silence(tone(5000), 10)
    for _ in range(2000):  # a loud fan, for twenty seconds
        judge.is_silence(tone(400), 10)
    assert judge.is_silence(tone(400), 10)
    assert not judge.is_silence(tone(5000), 10)
    assert judge.is_silence(tone(20), 10)
    assert not judge.is_silence(tone(0, 500), 500), "a long piece holds words"


def test_a_sentence_with_pauses_is_not_taken_for_silence() -> None:
    judge = SilenceJudge()
    taken = 0
    for _sentence in range(20):
        for _ in range(300):  # three seconds without a breath
            taken += judge.is_silence(tone(2500), 10)
        for _ in range(10):
            judge.is_silence(tone(60), 10)
    assert taken == 0


def test_a_slow_uplink_loses_pauses_first_and_says_so_once() -> None:
    async def act(world: World) -> None:
        await world.ready()
        (near,) = world.home.links
        world.home.black_hole()
        for second in range(80):
            for n in range(100):
                is_word = n < 40
                pcm = tone(5000) if is_word else bytes(480)
                world.link.execute(cmd.SendAudio(pcm))
            near.stall(second < 79)
        world.link.execute(cmd.CommitAudio())
        assert world.link.queued_ms <= 30_000
        world.home.up()
        await asyncio.sleep(1)
        assert world.link.queued_ms == 0

    world = play(act)
    losses = [fields for code, fields in world.note_fields if code == "link.audio_dropped"]
    assert len(losses) == 1
    assert losses[0]["silence_ms"] > 40_000  # type: ignore[operator]
    assert world.link.dropped_ms == losses[0]["dropped_ms"]


def test_what_waits_is_purged_at_a_mute_and_told_and_control_still_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def act(world: World) -> None:
        await world.ready()
        (near,) = world.home.links
        world.home.black_hole()
        filler = bytes(24_000 * 2)
        for _second in range(90):  # the wire's own buffer is full now, and the outbox fills
            world.link.execute(cmd.SendAudio(filler))
            await asyncio.sleep(0)
        given_up_ms = world.link.queued_ms
        assert given_up_ms > 5_000
        before_ms = world.link.dropped_ms
        world.link.purge_audio()
        assert world.link.queued_ms == 0
        assert world.link.dropped_ms - before_ms == given_up_ms
        world.link.purge_audio()  # nothing waits: nothing to tell
        sent: list[str] = []
        send = near.send

        async def watched(text: str | bytes) -> None:
            sent.append(json.loads(text)["type"])
            await send(text)

        monkeypatch.setattr(near, "send", watched)
        world.link.execute(cmd.ClearAudio())
        world.home.up()
        await asyncio.sleep(1)
        assert "input_audio_buffer.clear" in sent
        assert "input_audio_buffer.append" not in sent
        purges = [fields for code, fields in world.note_fields if code == "link.audio_purged"]
        assert purges == [{"ms": round(given_up_ms)}]

    play(act)
