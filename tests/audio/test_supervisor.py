"""Supervisor: how often a device is opened that will not work, and when its loudspeaker rests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from edge_agent.audio.device.overruns import Overruns
from edge_agent.audio.device.standby import Standby
from edge_agent.audio.device.supervisor import (
    DELIVERS_S,
    OPEN_MAX_S,
    STALL_S,
    TELL_S,
    UNMUTE_LOOK_S,
    UNMUTE_MAX_S,
    DeviceSupervisor,
)
from edge_agent.contract.commands import Command, PlayEarcon, SaveMute, ShowLight
from edge_agent.contract.errors import DeviceLost, DeviceMissing
from edge_agent.contract.events import DeviceDown, DeviceReady, Event, MicrophoneFailed, Tick
from edge_agent.contract.ports import (
    CaptureCallback,
    DeviceState,
    RenderCallback,
    SoundDeviceInfo,
)
from edge_agent.simulation.clock import run

RESTS_AFTER_S = 10.0
BLOCKS_PER_S = 100


class Card:
    """A card whose frames follow the clock; `moves` and `opens` break it."""

    def __init__(self) -> None:
        self.opened_at: list[float] = []
        self.opens = True
        self.captures = self.renders = True
        self.wakes = True
        self.recorded = False
        """Somebody has its microphone open."""
        self._frozen = [0, 0]

    def _count(self, side: int, moves: bool) -> int:
        if moves:
            self._frozen[side] = int(asyncio.get_running_loop().time() * BLOCKS_PER_S)
        return self._frozen[side]

    @property
    def frames_captured(self) -> int:
        return self._count(0, self.captures and self.recorded)

    @property
    def frames_rendered(self) -> int:
        return self._count(1, self.renders)

    def open(
        self, on_capture: CaptureCallback, on_render: RenderCallback, *, capture: bool = True
    ) -> SoundDeviceInfo:
        if not self.opens:
            raise DeviceMissing("It is gone.", fix="Plug it in.")
        self.opened_at.append(asyncio.get_running_loop().time())
        self.recorded = capture
        return SoundDeviceInfo("", "", 48_000, 48_000, 480, 0.0, 0.0)

    def close(self) -> None:
        self.renders = True
        self.recorded = False

    def close_capture(self) -> None:
        self.recorded = False

    def open_capture(self) -> SoundDeviceInfo:
        if not self.opens:
            raise DeviceMissing("It is gone.", fix="Plug it in.", code="device.no_microphone")
        self.recorded = True
        return SoundDeviceInfo("it", "", 48_000, 48_000, 480, 0.0, 0.0)

    def rest_render(self) -> None:
        self.renders = False

    def resume_render(self) -> None:
        if not self.wakes:
            raise DeviceLost("It does not wake.", fix="Pull it out.")
        self.renders = True


class Scanty(Card):
    """A card of which one side gives so many blocks at each opening, and then no more."""

    def __init__(self, side: str, blocks: int) -> None:
        super().__init__()
        self.is_scanty = True
        self._side = 0 if side == "captures" else 1
        self._blocks = blocks

    def _count(self, side: int, moves: bool) -> int:
        if self.is_scanty and side == self._side and self.opened_at:
            return min(super()._count(side, moves), self._first + self._blocks)
        return super()._count(side, moves)

    @property
    def _first(self) -> int:
        return int(self.opened_at[-1] * BLOCKS_PER_S)


async def at_once(work: Callable[[], object]) -> object:
    return work()


class House:
    """A supervised card, and what decides about its rest."""

    def __init__(
        self,
        card: Card,
        in_thread: Callable[..., Awaitable[object]] = at_once,
        *,
        muted: bool = False,
    ) -> None:
        self.card = card
        self.told: list[Event] = []
        self.news = asyncio.Event()
        """Something was posted since this was cleared."""
        self.awake = self.audible = False
        self.muted = muted
        self.ears: list[str] = []
        """What the front end is told of its microphone."""
        self.made = 0
        loop = asyncio.get_running_loop()
        self.supervisor = DeviceSupervisor(
            card,
            on_capture=lambda _pcm, _at: None,
            on_render=lambda _frames, _at: b"",
            opened=lambda _info: None,
            capture_opened=lambda info: self.ears.append(info.capture_name),
            capture_closed=lambda: self.ears.append("closed"),
            is_muted=lambda: self.muted,
            post=self._post,
            in_thread=in_thread,
            standby=Standby(
                RESTS_AFTER_S,
                loop.time(),
                is_awake=lambda: self.awake,
                is_audible=lambda: self.audible,
                frames_made=lambda: self.made or card.frames_rendered,
            ),
        )
        self.task = asyncio.ensure_future(self.supervisor.run())

    def _post(self, event: Event) -> None:
        self.told.append(event)
        self.news.set()

    @property
    def state(self) -> DeviceState:
        return self.supervisor.state

    def command(self, *commands: Command) -> None:
        now = asyncio.get_running_loop().time()
        self.supervisor.on_event(Tick(at=now), list(commands), now)

    def mute(self, on: bool) -> None:
        self.muted = on
        self.command(SaveMute(on))

    def codes(self) -> list[str]:
        """What was told, in short."""
        return [getattr(event, "code", "ready") for event in self.told]

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def test_a_microphone_that_stays_silent_is_opened_less_and_less_often() -> None:
    card = Card()
    card.captures = False

    async def evening() -> House:
        house = House(card)
        await asyncio.sleep(60.0)
        await house.end()
        return house

    house = run(evening())
    pauses = [b - a for a, b in zip(card.opened_at, card.opened_at[1:], strict=False)]
    pauses[1] -= TELL_S  # then the loudspeaker says so
    assert pauses == sorted(pauses)
    assert len(card.opened_at) < 12
    assert sum(isinstance(event, DeviceDown) for event in house.told) >= 5


@pytest.mark.parametrize(
    ("side", "code"), [("captures", "device.silent"), ("renders", "device.speaker_stalled")]
)
@pytest.mark.parametrize("blocks", [0, 3])
def test_a_card_that_opens_and_delivers_nothing_is_absent_at_its_second_try(
    side: str, code: str, blocks: int
) -> None:
    card = Scanty(side, blocks)

    async def evening() -> House:
        house = House(card)
        await asyncio.sleep(3 * STALL_S)
        assert (house.state, house.supervisor.present) == (DeviceState.ABSENT, False)
        for _ in range(600):
            await asyncio.sleep(0.1)
            assert not house.supervisor.present, "an opening alone says nothing"
        first = "device.lost" if side == "captures" else code
        assert house.codes()[:3] == ["ready", first, "ready"]
        assert set(house.codes()[3:]) == {code}
        said = [event.code for event in house.told if isinstance(event, MicrophoneFailed)]
        assert said == ["device.silent"] * (side == "captures"), "once, and only if it can be heard"
        sides = {"captures": "microphone delivers", "renders": "loudspeaker takes"}
        assert isinstance(told := house.told[-1], DeviceDown)
        assert told.message == f"The {sides[side]} no sound, although it can be opened."
        card.is_scanty = False  # somebody has switched it on
        await asyncio.sleep(20.0)
        assert house.state.name in ("OPEN", "RESTING")
        assert house.codes()[-1] == "ready"
        await house.end()
        return house

    house = run(evening())
    assert house.codes().count("ready") == 3


def test_a_loudspeaker_that_stalls_while_the_microphone_goes_on_is_named_and_opened_again() -> None:
    card = Card()

    async def evening() -> House:
        house = House(card)
        house.awake = True
        await asyncio.sleep(2 * DELIVERS_S)
        card.renders = False
        await asyncio.sleep(STALL_S + 1.0)
        assert house.codes() == ["ready", "device.speaker_stalled", "ready"]
        assert house.supervisor.works
        card.renders = card.captures = False  # a card that is pulled out
        await asyncio.sleep(STALL_S + 1.0)
        assert house.codes()[3] == "device.lost"
        await house.end()
        return house

    run(evening())


def test_a_device_that_gives_no_sound_is_opened_again_when_asked_and_says_that_it_is_deaf() -> None:
    card = Card()

    async def evening() -> House:
        house = House(card)
        await asyncio.sleep(1.0)
        house.supervisor.is_numb = True
        house.supervisor.renew(DeviceDown(at=0.0, code="device.switched_off", message="Zeros."))
        await asyncio.sleep(2.0)
        house.supervisor.is_numb = False
        house.supervisor.tell_ready()
        await house.end()
        return house

    house = run(evening())
    assert len(card.opened_at) == 2
    assert house.codes() == ["ready", "device.switched_off", "ready", "ready"]
    assert [one.hears for one in house.told if isinstance(one, DeviceReady)] == [True, False, True]


class Losing(Card):
    """Loses sound of the microphone several times a second, in blocks below `good_ms`."""

    def __init__(self, per_s: float, good_ms: int) -> None:
        super().__init__()
        self.block_ms = 10
        self._per_s = per_s
        self._good_ms = good_ms

    @property
    def overflows(self) -> int:
        loses = self.block_ms < self._good_ms
        return int(asyncio.get_running_loop().time() * self._per_s) if loses else 0

    def stretch_blocks(self) -> int:
        if self.block_ms == 40:
            return 0
        self.block_ms *= 2
        return self.block_ms


@pytest.mark.parametrize(
    ("per_s", "good_ms", "blocks_ms", "hears_badly"),
    [(28.0, 20, 20, False), (28.0, 40, 40, False), (28.0, 80, 40, True), (1.0, 80, 10, False)],
)
def test_a_microphone_that_keeps_losing_sound_gets_longer_blocks(
    per_s: float, good_ms: int, blocks_ms: int, hears_badly: bool
) -> None:
    async def evening() -> None:
        card = Losing(per_s, good_ms)
        house = House(card)
        house.awake = True
        await asyncio.sleep(20.0)
        assert card.block_ms == 10, "nobody is cut off for it"
        house.awake = False
        await asyncio.sleep(60.0)
        assert card.block_ms == blocks_ms
        times = {10: 0, 20: 1, 40: 2}[blocks_ms]
        assert house.codes() == ["ready", *["device.overruns", "ready"] * times]
        assert house.supervisor.hears_badly is hears_badly
        await house.end()

    run(evening())


def test_a_burst_of_holes_is_not_what_goes_on() -> None:
    overruns = Overruns()
    totals = [40 * min(look, 8) for look in range(40)]  # 80 a second, for 4 s
    assert not any(overruns.keeps_on(total, look * 0.5) for look, total in enumerate(totals))
    assert any(overruns.keeps_on(320 + 3 * look, 20.0 + look * 0.5) for look in range(20))


def test_a_card_that_worked_and_delivers_no_more_stays_a_matter_for_the_watchdog() -> None:
    async def evening() -> None:
        card = Card()
        house = House(card)
        await asyncio.sleep(DELIVERS_S + STALL_S)
        card.captures = False
        await asyncio.sleep(STALL_S + 1.0)
        for _ in range(300):
            await asyncio.sleep(0.1)
            assert house.supervisor.present
        await house.end()

    run(evening())


def test_the_state_says_how_the_card_stands() -> None:
    async def evening() -> None:
        card = Card()
        house = House(card)
        house.awake = True  # no rest
        assert (house.state, house.supervisor.present) == (DeviceState.ABSENT, False)
        await asyncio.sleep(1.0)
        assert (house.state, house.supervisor.present) == (DeviceState.OPEN, True)
        house.news.clear()
        card.captures, card.opens = False, False
        await house.news.wait()
        assert (house.state, house.supervisor.present) == (DeviceState.STALLED, True)
        await asyncio.sleep(2.0)
        assert (house.state, house.supervisor.present) == (DeviceState.ABSENT, False)
        card.captures, card.opens = True, True
        await asyncio.sleep(10.0)
        assert house.state.name == "OPEN"
        await house.end()

    run(evening())


def test_a_driver_that_hangs_in_open_is_not_taken_for_an_absent_card() -> None:
    async def evening() -> None:
        never = asyncio.Event()

        async def hangs(_work: Callable[[], object]) -> object:
            return await never.wait()

        house = House(Card(), in_thread=hangs)
        await asyncio.sleep(OPEN_MAX_S - 1.0)
        assert house.state.name == "ABSENT"
        await asyncio.sleep(2.0)
        assert (house.state, house.supervisor.present) == (DeviceState.HUNG, False)
        house.task.cancel()
        never.set()
        await asyncio.gather(house.task, return_exceptions=True)

    run(evening())


@pytest.mark.parametrize("needed_by", ["talk", "sound", "earcon"])
def test_it_rests_when_nobody_needs_it_and_wakes_for_whoever_does(needed_by: str) -> None:
    async def evening() -> None:
        house = House(Card())
        await asyncio.sleep(RESTS_AFTER_S - 1.0)
        assert house.state.name == "OPEN"
        await asyncio.sleep(2.0)
        assert (house.state, house.supervisor.present) == (DeviceState.RESTING, True)
        house.command(ShowLight("ready"))
        await asyncio.sleep(60.0)
        assert house.state.name == "RESTING"
        if needed_by == "earcon":
            house.command(PlayEarcon("wake"))
            assert house.state.name == "OPEN"
        else:
            house.awake, house.audible = needed_by == "talk", needed_by == "sound"
            await asyncio.sleep(1.0)
            assert house.state.name == "OPEN"
            await asyncio.sleep(2 * RESTS_AFTER_S)
            assert house.state.name == "OPEN"
        house.awake = house.audible = False
        await asyncio.sleep(RESTS_AFTER_S + 1.0)
        assert house.state.name == "RESTING"
        assert not any(isinstance(event, DeviceDown) for event in house.told)
        await house.end()

    run(evening())


def test_sound_that_is_not_made_is_no_reason_to_rest() -> None:
    async def evening() -> None:
        house = House(Card())
        house.made = 480  # and never more
        await asyncio.sleep(RESTS_AFTER_S + 5.0)
        assert house.state.name == "OPEN"
        await house.end()

    run(evening())


def test_a_card_that_does_not_wake_is_opened_anew_and_rests_no_more() -> None:
    async def evening() -> None:
        card = Card()
        house = House(card)
        await asyncio.sleep(RESTS_AFTER_S + 1.0)
        assert house.state.name == "RESTING"
        card.wakes = False
        house.command(PlayEarcon("wake"))
        await asyncio.sleep(STALL_S + 2.0)
        assert house.state.name == "OPEN"
        assert len(card.opened_at) == 2
        await asyncio.sleep(2 * RESTS_AFTER_S)
        assert house.state.name == "OPEN"
        await house.end()

    run(evening())


def test_muted_nobody_records_and_the_loudspeaker_goes_on() -> None:
    async def evening() -> None:
        card = Card()
        house = House(card)
        await asyncio.sleep(RESTS_AFTER_S + 2.0)
        assert house.state is DeviceState.RESTING
        house.mute(True)
        await asyncio.sleep(0.01)
        assert not card.recorded
        assert house.supervisor.is_deaf
        assert house.ears == ["closed"]
        await asyncio.sleep(10 * RESTS_AFTER_S)  # its frames are all that shows that the card lives
        assert card.renders
        assert not card.recorded
        assert house.codes() == ["ready"]
        await house.end()

    run(evening())


def test_unmuted_it_records_at_once_and_the_front_end_is_told() -> None:
    async def evening() -> None:
        card = Card()
        house = House(card)
        await asyncio.sleep(1.0)
        house.mute(True)
        await asyncio.sleep(60.0)
        house.mute(False)
        assert not house.supervisor.is_deaf
        await asyncio.sleep(UNMUTE_MAX_S)
        assert card.recorded
        assert house.ears == ["closed", "it"]
        assert house.codes() == ["ready", "ready"]
        assert house.told[-1] == DeviceReady(at=house.told[-1].at, capture_name="it")
        await asyncio.sleep(10.0)
        assert len(card.opened_at) == 1
        await house.end()

    run(evening())


def test_a_speaker_that_starts_muted_never_opens_its_microphone() -> None:
    async def evening() -> None:
        card = Card()
        house = House(card, muted=True)
        await asyncio.sleep(5.0)
        assert not card.recorded
        assert house.told == [DeviceReady(at=house.told[0].at, capture=False)]
        card.renders = False  # the loudspeaker is lost, found again, and still nobody records
        await asyncio.sleep(5.0)
        assert house.codes() == ["ready", "device.lost", "ready"]
        assert not card.recorded
        assert len(card.opened_at) == 2
        house.mute(False)
        await asyncio.sleep(1.0)
        assert card.recorded
        await house.end()

    run(evening())


@pytest.mark.parametrize(
    ("broken", "code"), [("opens", "device.no_microphone"), ("captures", "device.silent")]
)
def test_a_microphone_that_fails_after_a_mute_is_told_before_the_loudspeaker_is_closed(
    broken: str, code: str
) -> None:
    async def evening() -> None:
        card = Card()
        house = House(card)
        await asyncio.sleep(1.0)
        house.mute(True)
        await asyncio.sleep(1.0)
        setattr(card, broken, False)
        house.mute(False)
        begin = asyncio.get_running_loop().time()
        await asyncio.sleep(TELL_S)
        assert house.codes() == ["ready", code]
        assert isinstance(house.told[1], MicrophoneFailed)
        assert house.told[1].at - begin <= UNMUTE_MAX_S + UNMUTE_LOOK_S
        assert not house.supervisor.is_deaf  # nobody is excused
        await asyncio.sleep(STALL_S + 1.0)
        assert house.codes()[2] == "device.lost"  # both are looked for
        setattr(card, broken, True)
        await asyncio.sleep(10.0)
        assert house.codes()[-1] == "ready"
        assert card.recorded
        await house.end()

    run(evening())


def test_a_microphone_that_comes_late_is_told_and_used() -> None:
    async def evening() -> None:
        card = Card()
        house = House(card)
        await asyncio.sleep(1.0)
        house.mute(True)
        await asyncio.sleep(1.0)
        card.captures = False
        house.mute(False)
        await asyncio.sleep(2.0)
        card.captures = True
        await asyncio.sleep(20.0)
        assert house.codes() == ["ready", "device.silent", "ready"]
        assert len(card.opened_at) == 1
        await house.end()

    run(evening())


def test_mute_and_open_in_haste_end_as_they_were_wanted_last() -> None:
    worker = asyncio.Lock()

    async def slowly(work: Callable[[], object]) -> object:
        async with worker:  # one thread
            await asyncio.sleep(0.1)
            return work()

    async def evening() -> None:
        card = Card()
        house = House(card, slowly)
        await asyncio.sleep(1.0)
        for wanted in (True, False, True, False):
            house.mute(wanted)
            await asyncio.sleep(0.05)
        await asyncio.sleep(2.0)
        assert card.recorded
        house.mute(True)
        await asyncio.sleep(0.05)
        house.mute(False)
        await asyncio.sleep(0.05)
        house.mute(True)
        await asyncio.sleep(2.0)
        assert not card.recorded
        assert set(house.codes()) == {"ready"}
        await house.end()

    run(evening())


def test_a_driver_that_hangs_while_the_microphone_opens_is_told_and_not_excused() -> None:
    hangs = asyncio.Event()

    async def slowly(work: Callable[[], object]) -> object:
        await hangs.wait()
        return work()

    async def evening() -> None:
        card = Card()
        hangs.set()
        house = House(card, slowly)
        await asyncio.sleep(1.0)
        house.mute(True)
        await asyncio.sleep(1.0)
        hangs.clear()
        house.mute(False)
        await asyncio.sleep(1.0)
        assert house.codes() == ["ready", "device.silent"]
        assert not house.supervisor.is_deaf
        hangs.set()
        await asyncio.sleep(1.0)
        assert card.recorded
        assert house.codes() == ["ready", "device.silent", "ready"]
        await house.end()

    run(evening())


def test_whoever_unmutes_while_the_device_is_being_opened_is_told_nothing_false() -> None:
    async def slowly(work: Callable[[], object]) -> object:
        await asyncio.sleep(0.1 if opened.is_set() else 3.0)
        opened.set()
        return work()

    async def evening() -> None:
        card = Card()
        house = House(card, slowly, muted=True)
        await asyncio.sleep(1.0)
        house.mute(False)
        await asyncio.sleep(5.0)
        assert card.recorded
        assert house.codes() == ["ready", "ready"]
        await house.end()

    opened = asyncio.Event()
    run(evening())
