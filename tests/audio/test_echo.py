"""Echo: the reference track, the double-talk detector, and all of it together."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from synthetic import FloatArray, babble, clip, echo_of, pcm, room_noise

from edge_agent.audio.cancel.canceller import Canceller
from edge_agent.audio.cancel.double_talk import DoubleTalkDetector
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.detectors import VoiceDetector, WakeDetector
from edge_agent.audio.device.sample_clock import SampleClock
from edge_agent.audio.front_end import FrontEnd
from edge_agent.audio.resample import pcm_to_array
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.events import HeardFrame
from edge_agent.contract.ports import EchoPath

RATE_HZ = 48_000
TAIL_S = 0.25
"""A living room."""
BLOCK = 480


def decibel(ratio: float) -> float:
    return float(10 * np.log10(ratio))


def power(samples: FloatArray) -> float:
    return float(np.mean(samples**2)) + 1e-9


# --- the clock -------------------------------------------------------------------------


def test_the_clock_averages_jitter_and_ignores_a_stall() -> None:
    clock = SampleClock(RATE_HZ)
    rng = np.random.default_rng(1)
    for block in range(500):
        stall = max(0.0, 0.04 - 0.01 * abs(block - 300)) if block >= 300 else 0.0
        assert clock.observe(block * BLOCK, block / 100 + rng.uniform(0, 0.01) + stall) == 0.0
        if block > 100:
            assert clock.time_of(block * BLOCK) == pytest.approx(block / 100 + 0.005, abs=0.003)
    assert clock.jumps == 0


def test_the_clock_follows_drift_and_says_jumps() -> None:
    clock = SampleClock(RATE_HZ)
    for block in range(6000):
        clock.observe(block * BLOCK, block / 100 * 1.0001)
    assert clock.time_of(6000 * BLOCK) == pytest.approx(60.006, abs=0.001)
    jumps = [
        clock.observe(block * BLOCK, block / 100 * 1.0001 + 0.03) for block in range(6000, 6050)
    ]
    assert [jump for jump in jumps if jump] == [pytest.approx(0.03, abs=0.012)]
    assert clock.observe(6050 * BLOCK, 100.0) > 30
    assert clock.index_of(clock.time_of(1234)) == pytest.approx(1234)


# --- the reference track ---------------------------------------------------------------


def ramp(first: int, count: int) -> bytes:
    return ((np.arange(first, first + count) % 20_000) + 1).astype("<i2").tobytes()


def filled(blocks: int, *, rate_hz: int = RATE_HZ) -> ReferenceTrack:
    """A track of a ramp, block by block from 10.0 s on."""
    track = ReferenceTrack(rate_hz, tail_s=TAIL_S)
    for block in range(blocks):
        track.write(ramp(block * BLOCK, BLOCK), 10.0 + block * BLOCK / rate_hz)
    return track


def test_a_read_gives_what_was_audible_then() -> None:
    track = filled(50)
    index = track.index_of(10.2)
    assert index == pytest.approx(9600, abs=0.01)
    got = track.read(9600, BLOCK).astype(int)
    assert got[0] == 9601
    assert np.all(np.diff(got) == 1)
    assert track.written == 50 * BLOCK


def test_nothing_rendered_reads_as_silence() -> None:
    track = ReferenceTrack(RATE_HZ, tail_s=TAIL_S)
    assert track.index_of(5.0) is None
    assert not track.audible(5.0)
    track.write(ramp(0, BLOCK), 10.0)
    around = track.read(-100, BLOCK + 200)
    assert not around[:100].any()
    assert around[100 : 100 + BLOCK].all()
    assert not around[100 + BLOCK :].any()
    assert not track.read(10_000, 10).any()


def test_what_is_older_than_the_ring_is_silence() -> None:
    track = filled(400)
    assert not track.read(24_000, BLOCK).any()
    assert track.read(168_000, BLOCK).all()
    half = track.read(400 * BLOCK - 96_000 - 10, 20)
    assert not half[:10].any()
    assert half[10:].all()


def test_a_pause_of_the_device_keeps_times_right() -> None:
    track = ReferenceTrack(RATE_HZ, tail_s=TAIL_S)
    for block in range(50):
        track.write(ramp(block * BLOCK, BLOCK), block / 100)
    for block in range(50, 100):
        track.write(ramp(block * BLOCK, BLOCK), block / 100 + 0.3)
    assert track.index_of(1.0) == pytest.approx(48_000, abs=1)
    assert track.read(48_000, 1)[0] == pytest.approx(0.7 * RATE_HZ + 1 - 20_000, abs=1)
    assert not track.read(round(0.6 * RATE_HZ), BLOCK).any()


def test_a_silence_longer_than_the_ring_leaves_nothing_of_what_was_before() -> None:
    track = ReferenceTrack(RATE_HZ, tail_s=TAIL_S)
    for block in range(700):
        sounding = block < 10 or block >= 690
        track.write(ramp(block * BLOCK, BLOCK) if sounding else bytes(960), block / 100)
    for start in (5.1, 6.0, 6.85):
        assert not track.read(round(start * RATE_HZ), BLOCK).any()
    assert track.read(round(6.95 * RATE_HZ), 1)[0] == round(6.95 * RATE_HZ) % 20_000 + 1


def test_audible_covers_the_lead_the_sound_and_the_tail() -> None:
    track = ReferenceTrack(RATE_HZ, tail_s=0.25)
    loud = np.full(BLOCK, 3000, dtype="<i2").tobytes()
    for block in range(300):
        sounding = 100 <= block < 120 or 200 <= block < 210
        track.write(loud if sounding else bytes(960), block / 100)
    heard = [block for block in range(300) if track.audible(block / 100 + 0.0005)]
    assert heard == [*range(99, 145), *range(199, 235)]


def test_dither_is_not_audible() -> None:
    track = ReferenceTrack(RATE_HZ, tail_s=TAIL_S)
    track.write(np.ones(BLOCK, dtype="<i2").tobytes(), 0.0)
    assert not track.audible(0.0)


def test_a_reopened_device_may_have_another_rate() -> None:
    track = ReferenceTrack(RATE_HZ, tail_s=TAIL_S)
    track.write(ramp(0, BLOCK), 0.0)
    track.restart(16_000)
    assert not track.audible(0.0)
    track.write(ramp(0, 160), 5.0)
    assert track.index_of(5.005) == pytest.approx(80)
    assert track.read(0, 160).tolist() == list(range(1, 161))


def test_writer_and_reader_may_be_two_threads() -> None:
    track = ReferenceTrack(RATE_HZ, tail_s=TAIL_S)
    failures: list[Exception] = []

    def write() -> None:
        try:
            for block in range(2000):
                track.write(ramp(block * BLOCK, BLOCK), block / 100)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    for block in range(2000):
        got = track.read(block * BLOCK, BLOCK).astype(int)
        inside = np.diff(got[got > 0])
        assert np.all((inside == 1) | (inside == -19_999))
    thread.join(10)
    assert not failures


# --- the double-talk detector -----------------------------------------------------------


def test_the_double_talk_detector_knows_our_own_residual() -> None:
    rate_hz = 16_000
    far = np.tile(clip("answer_story", rate_hz), 4)[: 13 * rate_hz]
    said = clip("stop_wait", rate_hz)[: 2 * rate_hz]
    near = np.zeros(far.size)
    near[10 * rate_hz : 10 * rate_hz + said.size] = said
    microphone = echo_of(far, rate_hz, 10) + near + room_noise(far.size, 13)
    canceller, detector = Canceller(), DoubleTalkDetector("normal")
    heard, played = ((sound / 32768).astype(np.float32) for sound in (microphone, far))
    first = canceller.process(heard[:160], played[:160])
    assert not detector.hear(first, last=True), "nothing is loaded"
    canceller.reset()
    detector.load()
    detector.reset()
    labels = np.array(
        [
            detector.hear(
                canceller.process(heard[i : i + 160], played[i : i + 160]), last=n % 2 == 1
            )
            for n, i in enumerate(range(0, far.size - 159, 160))
        ]
    )
    assert not labels[:1000].any()
    assert labels[1000:1050].any()


# --- together ----------------------------------------------------------------------------


class Talk:
    """A front end and a simulated room: what it labelled."""

    def __init__(
        self,
        echo: str,
        *,
        load: bool = True,
        wake: WakeDetector | None = None,
        stamp_s: float = 0.0,
        known: EchoPath | None = None,
    ) -> None:
        self.stamp_s = stamp_s
        """What the loudspeaker's time stamps are wrong by: positive is too late."""
        self.found_at = -1
        self.frames: list[HeardFrame] = []
        self.reference = ReferenceTrack(RATE_HZ, tail_s=TAIL_S)
        self.faults: list[Exception] = []
        self.front = FrontEnd(
            self.frames.append,
            wake=wake,
            voice=VoiceDetector(3),
            reference=self.reference,
            echo=echo,
            sensitivity="normal",
            on_fault=self.faults.append,
        )
        if load:
            self.front.load()
        self.front.start(RATE_HZ, threaded=False, echo_path=known)

    def play(
        self,
        far: FloatArray,
        microphone: FloatArray,
        wrong: tuple[FloatArray, FloatArray] | None = None,
    ) -> None:
        """`wrong`: by how many seconds the stamps of loudspeaker and microphone are, by block."""
        late, later = np.zeros((2, far.size // BLOCK)) if wrong is None else wrong
        played, heard = pcm(far), pcm(microphone)
        written = 0
        for block in range(far.size // BLOCK):
            while written <= min(block + 3, far.size // BLOCK - 1):
                part = played[written * 960 : written * 960 + 960]
                self.reference.write(part, written / 100 + self.stamp_s + float(late[written]))
                written += 1
            if self.found_at < 0 and self.front.echo == "found":
                self.found_at = block
            stamp = block / 100 + float(later[block])
            self.front.on_capture(heard[block * 960 : block * 960 + 960], stamp)

    def interruptions(self, first: int = 0, last: int | None = None) -> list[int]:
        """Frames at which 5 of the last 6 were speech over playback."""
        labels = [frame.speech and frame.over_playback for frame in self.frames]
        return [
            i for i in range(max(first, 5), len(labels))[:last] if sum(labels[i - 5 : i + 1]) >= 5
        ]


@pytest.fixture(scope="module")
def scene() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Our voice for 8 s, then silence for 2 s; its echo; a person from 6 s on, as loud."""
    far = babble(10, RATE_HZ, seed=21, pauses=False)
    far[8 * RATE_HZ :] = 0.0
    echo = echo_of(far, RATE_HZ, 15, gain=0.5) + room_noise(far.size, 22)
    near, said = np.zeros(far.size), clip("stop_wait", RATE_HZ)
    said = said[int(np.argmax(np.abs(said) > 300)) :][: round(1.5 * RATE_HZ)]
    near[6 * RATE_HZ : 6 * RATE_HZ + said.size] = said * np.sqrt(power(echo) / power(said))
    return far, echo, near


def test_our_own_voice_interrupts_nobody(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, _ = scene
    talk = Talk("linear")
    talk.play(far, echo)
    assert talk.interruptions() == []
    assert talk.front.erle_db > 10
    assert talk.front.echo == "found"
    playing = [frame.over_playback for frame in talk.frames]
    assert all(playing[5:800])
    assert not any(playing[830:])
    assert not talk.faults


def test_a_person_as_loud_as_the_echo_interrupts(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, near = scene
    talk = Talk("linear")
    talk.play(far, echo + near)
    hits = talk.interruptions()
    assert hits
    assert 600 <= hits[0] <= 630


def over_the_story(name: str, near_to_echo_db: float) -> tuple[FloatArray, FloatArray, int]:
    """A spoken answer, its echo with a shipped clip said over it, and the clip's first frame."""
    far = np.tile(clip("answer_story", RATE_HZ), 2)[: 12 * RATE_HZ]
    echo = echo_of(far, RATE_HZ, 20, gain=0.5)
    said = clip(name, RATE_HZ)
    said *= np.sqrt(power(echo) / power(said)) * 10 ** (near_to_echo_db / 20)
    first = 8 * RATE_HZ
    microphone = echo + room_noise(far.size, 31)
    microphone[first : first + said.size] += said[: far.size - first]
    return far, microphone, 800


@pytest.mark.parametrize("near_to_echo_db", [10, 0, -6])
def test_stop_said_over_an_answer_is_an_interruption(near_to_echo_db: float) -> None:
    far, microphone, first = over_the_story("stop_wait", near_to_echo_db)
    talk = Talk("linear")
    talk.play(far, microphone)
    hits = talk.interruptions()
    assert hits
    assert first <= hits[0] <= first + 40
    assert not talk.faults


def test_the_wake_word_is_heard_over_our_own_answer() -> None:
    far, microphone, first = over_the_story("wake_only", 6)
    talk = Talk("linear", wake=WakeDetector({"okay_nabu": None}))
    talk.play(far, microphone)
    heard = [i for i, frame in enumerate(talk.frames) if frame.wake]
    assert len(heard) == 1
    assert first < heard[0] < first + 150


def test_the_stream_is_the_bare_microphone_again_after_the_tail(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, _ = scene
    cancelled, bare = Talk("linear"), Talk("off")
    cancelled.play(far, echo)
    bare.play(far, echo)
    same = [a.pcm24k == b.pcm24k for a, b in zip(cancelled.frames, bare.frames, strict=True)]
    assert all(same[830:])
    assert not any(same[100:800])
    assert all(frame.over_playback for frame in bare.frames[5:800])


def test_an_echo_that_cannot_be_found_interrupts_nobody(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, _, _ = scene
    far = far[: 6 * RATE_HZ]
    late = echo_of(far, RATE_HZ, 700, gain=0.5) + room_noise(far.size, 24)
    talk = Talk("linear")
    talk.play(far, late)
    assert talk.front.echo == "searching"
    assert talk.interruptions() == []


def test_without_echo_control_the_microphone_is_believed(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, _ = scene
    talk = Talk("off")
    talk.play(far, echo)
    assert talk.interruptions()


def test_until_its_detector_is_loaded_nobody_interrupts(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, near = scene
    talk = Talk("linear", load=False)
    talk.play(far[: 7 * RATE_HZ], (echo + near)[: 7 * RATE_HZ])
    assert len(talk.frames) == 700
    assert talk.interruptions() == []


def test_damaged_weights_are_told_and_the_words_still_come(
    scene: tuple[FloatArray, FloatArray, FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    far, echo, near = scene
    talk = Talk("linear", load=False)
    monkeypatch.setattr("edge_agent.audio.cancel.speech_net.WEIGHTS", "there_is_no.npz")
    with pytest.raises(ConfigError) as caught:
        talk.front.load()
    assert caught.value.code == "config.no_speech_net"
    talk.play(far[: 7 * RATE_HZ], (echo + near)[: 7 * RATE_HZ])
    assert talk.front.echo == "deaf"
    assert talk.interruptions() == []
    assert len(talk.frames) == 700
    assert not talk.faults


def test_a_failing_detector_does_not_make_the_speaker_deaf(
    scene: tuple[FloatArray, FloatArray, FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    far, echo, _ = scene
    talk = Talk("linear")

    def broken(_cancelled: object, **_last: bool) -> bool:
        raise RuntimeError("numbers")

    monkeypatch.setattr(talk.front._stage._double_talk, "hear", broken)
    talk.play(far[:RATE_HZ], echo[:RATE_HZ])
    assert len(talk.frames) == 100
    assert talk.faults


def test_what_is_no_number_is_forgotten_and_the_echo_found_again(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, near = scene
    talk = Talk("linear")
    talk.play(far[: 2 * RATE_HZ], echo[: 2 * RATE_HZ])
    talk.front._stage._canceller._weights[:] = np.nan
    for block in range(200, 1000):
        talk.reference.write(pcm(far[block * BLOCK : (block + 1) * BLOCK]), (block + 3) / 100)
        heard = (echo + near)[(block - 3) * BLOCK : (block - 2) * BLOCK]
        talk.front.on_capture(pcm(heard), block / 100)
    assert len(talk.faults) == 1
    assert talk.front.echo == "found"
    assert talk.interruptions(600)


# --- how our voice reaches the microphone -----------------------------------------------


def test_without_any_echo_a_person_interrupts_at_once(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, _, near = scene
    talk = Talk("linear")
    talk.play(far, near + room_noise(far.size, 48))
    hits = talk.interruptions()
    assert hits
    assert 600 <= hits[0] <= 612
    assert talk.front.echo == "none"


def test_without_any_echo_a_person_who_cuts_every_answer_soon_is_heard_from_the_fourth_on(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    """Headphones, and a household that lets no answer speak for longer than a second."""
    _, _, near = scene
    said = near[6 * RATE_HZ : 7 * RATE_HZ]
    answer, pause = 2 * RATE_HZ, RATE_HZ
    far, heard = np.zeros(6 * (answer + pause)), room_noise(6 * (answer + pause), 48)
    for start in range(0, far.size, answer + pause):
        far[start : start + answer] = babble(2, RATE_HZ, seed=start, pauses=False)
        heard[start + RATE_HZ : start + RATE_HZ + said.size] += said
    talk = Talk("linear")
    talk.play(far, heard)
    assert talk.front.echo == "none"
    for number in (3, 4, 5):
        onset = number * (answer + pause) // BLOCK + 100
        assert talk.interruptions(onset, 25), number
    assert all(hit % 300 >= 100 for hit in talk.interruptions())


def hum(count: int, hertz: float, rms: float) -> FloatArray:
    return np.asarray(rms * np.sqrt(2) * np.sin(2 * np.pi * hertz * np.arange(count) / RATE_HZ))


@pytest.mark.parametrize(
    "below",
    [
        pytest.param(lambda count: np.full(count, 300.0), id="offset of a small microphone"),
        pytest.param(lambda count: np.full(count, -2000.0), id="offset of a bad one"),
        pytest.param(lambda count: hum(count, 8.0, 400.0), id="rumble"),
        pytest.param(lambda count: hum(count, 50.0, 200.0), id="hum"),
    ],
)
def test_what_is_below_all_voices_hides_neither_echo_nor_person(
    scene: tuple[FloatArray, FloatArray, FloatArray], below: Callable[[int], FloatArray]
) -> None:
    far, echo, near = scene
    talk = Talk("linear")
    talk.play(far, echo + near * 0.3 + below(far.size))
    assert talk.front.erle_db > 6
    assert talk.front.echo_path is not None
    hits = talk.interruptions()
    assert hits
    assert 600 <= hits[0] <= 640


@pytest.mark.parametrize("offset", [600.0, -3000.0])
def test_headphones_are_found_out_by_a_microphone_with_an_offset(
    scene: tuple[FloatArray, FloatArray, FloatArray], offset: float
) -> None:
    far, _, near = scene
    talk = Talk("linear")
    talk.play(far, near + room_noise(far.size, 48) + offset)
    assert talk.front.echo == "none"
    assert 600 <= talk.interruptions()[0] <= 612


def test_an_echo_louder_than_what_was_played_is_no_person() -> None:
    """A sensitive microphone beside a soft loudspeaker (20 dB), and a cold canceller."""
    for seed in (51, 52, 53):
        far = babble(4, RATE_HZ, seed=seed, pauses=False) * 0.1
        echo = echo_of(far, RATE_HZ, 5, gain=10.0, seed=seed) + room_noise(far.size, seed)
        talk = Talk("linear")
        talk.play(far, echo)
        assert talk.interruptions(first=25) == []


@pytest.mark.parametrize("stamp_s", [0.08, -0.08, -0.4])
def test_stamps_that_are_wrong_are_found_out(
    scene: tuple[FloatArray, FloatArray, FloatArray], stamp_s: float
) -> None:
    far, echo, near = scene
    talk = Talk("linear", stamp_s=stamp_s)
    talk.play(far, echo + near)
    assert 0 < talk.found_at < 450
    hits = talk.interruptions()
    assert hits
    assert 600 <= hits[0] <= 630
    path = talk.front.echo_path
    assert path is not None
    assert path.delay_s == pytest.approx(0.015 - stamp_s, abs=0.003)
    assert path.strength_db == pytest.approx(-7, abs=4)


def test_what_was_known_of_the_card_is_where_the_search_begins(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, _ = scene
    talk = Talk("linear", stamp_s=-0.4, known=EchoPath(0.415, -6.0))
    talk.play(far[: 4 * RATE_HZ], echo[: 4 * RATE_HZ])
    assert talk.interruptions() == []
    assert 0 < talk.found_at < 150
    assert talk.front._stage.alignment.delay_s == 0.415  # it was not searched for


def test_what_was_known_of_another_card_does_not_last(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, _ = scene
    talk = Talk("linear", known=EchoPath(0.3, -30.0))
    talk.play(far, echo)
    assert 0 < talk.found_at < 450
    assert talk.interruptions() == []
    assert talk.front.echo_path is not None
    assert talk.front.echo_path.delay_s == pytest.approx(0.015, abs=0.003)


def test_a_loudspeaker_that_is_turned_up_later_has_an_echo_again(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, _ = scene
    silent = room_noise(far.size, 48)
    silent[4 * RATE_HZ :] = echo[4 * RATE_HZ :]
    talk = Talk("linear")
    talk.play(far[: 4 * RATE_HZ], silent)
    assert talk.front.echo == "none"
    for block in range(400, 780):
        talk.reference.write(pcm(far[block * BLOCK : (block + 1) * BLOCK]), (block + 3) / 100)
        talk.front.on_capture(pcm(echo[(block - 3) * BLOCK : (block - 2) * BLOCK]), block / 100)
        if talk.front.echo == "found" and talk.found_at < 0:
            talk.found_at = len(talk.frames)
    assert 400 < talk.found_at < 600
    # What was taken for a person before is forgotten as soon as it is known whose voice it is.
    assert talk.interruptions(first=talk.found_at + 5) == []


def test_words_spoken_while_we_play_and_nothing_comes_back_stay_as_loud(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, _, near = scene
    talk, bare = Talk("linear"), Talk("off")
    for one in (talk, bare):
        one.play(far, np.roll(near, -4 * RATE_HZ) + room_noise(far.size, 48))
    for span in (slice(210, 240), slice(240, 340)):
        levels = [
            power(pcm_to_array(b"".join(frame.pcm24k for frame in one.frames[span])).astype(float))
            for one in (talk, bare)
        ]
        assert abs(decibel(levels[0] / levels[1])) < 1.0


def test_after_a_slip_nothing_is_believed_for_a_moment(
    scene: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    far, echo, _ = scene
    near = babble(10, RATE_HZ, seed=23, pitch_hz=200, pauses=False) * 0.5
    near[: 6 * RATE_HZ] = 0.0
    talk = Talk("linear")
    lost = round(5.9 * RATE_HZ)
    talk.play(far[:lost], echo[:lost])
    talk.front._stage.slipped()
    assert talk.front._stage.unsettled
    heard = len(talk.frames)
    for block in range(590, 700):
        played = pcm(far[(block + 3) * BLOCK : (block + 4) * BLOCK])
        talk.reference.write(played, (block + 3) / 100)
        talk.front.on_capture(pcm((echo + near)[block * BLOCK : (block + 1) * BLOCK]), block / 100)
    labels = [frame.speech for frame in talk.frames[heard:]]
    assert not any(labels[:29])
    assert sum(labels[30:80]) > 10
