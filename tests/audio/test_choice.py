"""Which card is taken: recorded machines, what an owner may have set, and every busy card."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from machines import LAYOUTS, OURS, PROCESS, THREAD, Machine

from edge_agent.audio.device import portaudio
from edge_agent.audio.device.cards import Cards, Kind, name_holders, read_cards
from edge_agent.audio.device.choice import Wishes, choose
from edge_agent.audio.device.devices import DeviceEntry
from edge_agent.audio.device.portaudio import PortAudioDevice
from edge_agent.audio.device.portaudio_library import PA_DEVICE_UNAVAILABLE
from edge_agent.contract.errors import DeviceError

NONE = Wishes()


def outcome(house: Machine, *, capture: bool, wishes: Wishes = NONE) -> list[str]:
    """Name and reason, or code and sentence of the refusal."""
    entries = house.entries
    random.Random(len(entries)).shuffle(entries)
    try:
        chosen = choose(entries, house.cards, wishes, capture=capture)
    except DeviceError as problem:
        return [problem.code, problem.message]
    return [chosen.entry.name, chosen.why]


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Machine]:
    return lambda name: Machine(tmp_path / name, LAYOUTS[name])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_right_card_is_taken_without_a_setting(
    machine: Callable[[str], Machine], layout: str
) -> None:
    house = machine(layout)
    assert LAYOUTS[layout]["source"]
    assert outcome(house, capture=True) == LAYOUTS[layout]["capture"]
    assert outcome(house, capture=False) == LAYOUTS[layout]["render"]


def test_eight_machines_are_known_and_every_kind_of_card_is_among_them(
    machine: Callable[[str], Machine],
) -> None:
    kinds = {side.kind for layout in LAYOUTS for side in machine(layout).cards.sides}
    assert len(LAYOUTS) == 8
    assert kinds == set(Kind) - {Kind.VIRTUAL}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("etc/asound.conf", "pcm.!default {\n  type plug\n  slave.pcm softvol\n}\n"),
        ("etc/asound.conf", "  defaults.pcm.card 3\n"),
        ("etc/alsa/conf.d/99-pulse.conf", "@hooks [ { func pulse_load_if_running } ]\n"),
    ],
)
def test_a_default_that_somebody_made_comes_first(
    machine: Callable[[str], Machine], file: str, text: str
) -> None:
    house = machine("pi4-speakerphone")
    house.put(file, text)
    assert outcome(house, capture=False) == ["default", f"/{file} makes it the default"]
    assert outcome(house, capture=True)[0].startswith("Jabra"), "that default hears nothing"


def test_where_the_default_is_the_best_card_it_goes_on_being_shared(
    machine: Callable[[str], Machine],
) -> None:
    """Another program that plays by dmix holds the card, and takes nothing from us."""
    house = machine("pi4-usb-microphone")
    house.hold("card0/pcm0p", "librespot")
    told = LAYOUTS["pi4-usb-microphone"]["render"]
    assert outcome(house, capture=False) == told
    assert told[0] == "default"


@pytest.mark.parametrize("home", ["", "~", "/nonexistent"])
def test_an_account_without_a_home_has_no_settings_of_its_own(
    machine: Callable[[str], Machine], home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    assert machine("pi4-speakerphone").cards.default_from == ""


def test_a_comment_makes_no_default(machine: Callable[[str], Machine]) -> None:
    house = machine("pi4-speakerphone")
    house.put("etc/asound.conf", "# pcm.!default is what I might write\n")
    # As in Debian's libasound2-plugins: it refers to the default, and defines none.
    house.put(
        "etc/alsa/conf.d/60-a52-encoder.conf",
        "pcm.a52 {\n\t@args.CARD {\n\t\tdefault {\n\t\t\tname defaults.pcm.card\n\t\t}\n\t}\n}\n",
    )
    assert outcome(house, capture=False) == LAYOUTS["pi4-speakerphone"]["render"]


def test_the_loudspeaker_is_looked_for_where_the_microphone_was_set(
    machine: Callable[[str], Machine],
) -> None:
    house = machine("pc-two-usb-cards")
    told = outcome(house, capture=False, wishes=Wishes(capture="wireless controller"))
    assert told == [
        "Wireless Controller: USB Audio (hw:0,0)",
        "USB, the card that is set for the other direction",
    ]


def test_a_name_in_the_settings_decides(machine: Callable[[str], Machine]) -> None:
    house = machine("pi4-speakerphone")
    told = outcome(house, capture=False, wishes=Wishes(render="headphones"))
    assert told == ["bcm2835 Headphones: - (hw:0,0)", "named in the settings"]
    code, message = outcome(house, capture=True, wishes=Wishes(capture="Zebra"))
    assert (code, message) == ("device.no_microphone", "There is no microphone named 'Zebra'.")


USB = "USB Audio Device: - (hw:CARD={},DEV=0)"


@pytest.mark.parametrize(
    ("wanted", "there", "taken"),
    [
        (USB.format("Device"), [USB.format("Device_1")], 0),
        (USB.format("Device"), [USB.format("Device_1"), "HDMI: - (hw:CARD=vc4hdmi,DEV=0)"], 0),
        ("USB Audio Device: - @ 1-1.2:1.0", [USB.format("Device")], 0),
        (USB.format("Device"), ["USB Audio Device: - @ 1-1.4:1.0"], 0),
        (USB.format("Device"), [USB.format("Device_1"), USB.format("Device_2")], None),
        (USB.format("Device"), ["Jabra: USB (hw:CARD=Jabra,DEV=0)"], None),
        ("(hw:CARD=Device,DEV=0)", [USB.format("Device_1")], None),
        ("Device", ["Jabra: USB (hw:CARD=Jabra,DEV=0)"], None),
    ],
    ids=["id", "beside", "port to id", "id to port", "twins", "another", "no model", "a word"],
)
def test_a_named_card_that_comes_back_under_another_name_is_taken_if_there_is_only_one(
    wanted: str, there: list[str], taken: int | None
) -> None:
    entries = [DeviceEntry(name, "ALSA", 2, 2, 48_000) for name in there]
    for capture in (True, False):
        wishes = Wishes(wanted, wanted)
        if taken is None:
            with pytest.raises(DeviceError, match="named"):
                choose(entries, Cards(), wishes, capture=capture)
            continue
        chosen = choose(entries, Cards(), wishes, capture=capture)
        assert chosen.entry.name == there[taken]
        assert repr(wanted) in chosen.why


def test_a_card_by_name_that_is_held_is_named_with_its_holder(
    machine: Callable[[str], Machine],
) -> None:
    house = machine("pi4-card-held")
    for name in ("jabra", "Jabra SPEAK 510 USB (hw:CARD=USB,DEV=0)", "CARD=USB"):
        told = outcome(house, capture=True, wishes=Wishes(capture=name))
        assert told == LAYOUTS["pi4-card-held"]["capture"]


def test_a_twin_by_its_port_that_is_held_is_named_with_its_holder(
    machine: Callable[[str], Machine],
) -> None:
    house = machine("pi4-card-held")
    told = outcome(house, capture=True, wishes=Wishes(capture="Jabra: Audio @ 1-1.2:1.0"))
    assert told == LAYOUTS["pi4-card-held"]["capture"]


def test_a_held_device_is_not_mistaken_for_another_one_of_its_card(
    machine: Callable[[str], Machine],
) -> None:
    cards = machine("pi4-card-held").cards
    other = DeviceEntry("Jabra: Audio @ 1-1.2:1.0,1", "ALSA", 1, 2, 48_000)
    with pytest.raises(DeviceError, match="in use by pipewire") as busy:
        choose([other], cards, Wishes(capture="Jabra: Audio @ 1-1.2:1.0"), capture=True)
    assert busy.value.code == "device.busy"
    chosen = choose([other], cards, Wishes(capture=other.name), capture=True)
    assert chosen.entry is other


def test_a_card_that_we_hold_ourselves_is_not_busy(machine: Callable[[str], Machine]) -> None:
    house = machine("pi4-card-held")
    house.hold("card1/pcm0c", "edge-agent", thread=79, process=OURS)
    assert {side.holder for side in house.cards.sides if side.is_capture} == {""}


def test_a_card_with_a_free_part_is_not_held(machine: Callable[[str], Machine]) -> None:
    house = machine("pi4-speakerphone")
    house.hold("card0/pcm0p", "mpd")
    house.put("proc/asound/card0/pcm0p/sub1/status", "closed\n")
    assert all(not side.holder for side in house.cards.sides)


def test_a_holder_that_the_service_cannot_see_is_named_by_whoever_asks(
    machine: Callable[[str], Machine], tmp_path: Path
) -> None:
    """The service sees no other process (ProtectProc=invisible); the kernel tells it a thread."""
    confined, house = machine("pi4-card-held"), Machine(tmp_path, LAYOUTS["pi4-card-held"])
    shutil.rmtree(confined.root / f"proc/{PROCESS}")
    shutil.rmtree(confined.root / f"proc/{THREAD}")
    told = outcome(confined, capture=True)[1]
    assert told.endswith(f"is in use by another program (process {THREAD}).")
    assert name_holders(told, house.root) == LAYOUTS["pi4-card-held"]["capture"][1]
    assert name_holders(told, confined.root) == told, "it has ended meanwhile"


def test_a_holder_that_ends_meanwhile_is_a_program(machine: Callable[[str], Machine]) -> None:
    house = machine("pi4-card-held")
    (house.root / f"proc/{PROCESS}/comm").unlink()
    (house.root / f"proc/{THREAD}/status").unlink()
    assert outcome(house, capture=True)[1].endswith(
        f"in use by another program (process {THREAD})."
    )


def test_where_the_kernel_tells_of_no_card_the_system_decides(tmp_path: Path) -> None:
    entries = [
        DeviceEntry("front", "ALSA", 2, 2, 48_000),
        DeviceEntry("pulse", "ALSA", 32, 32, 48_000, True, True),
    ]
    cards = read_cards(tmp_path)
    assert cards == Cards()
    chosen = choose(entries, cards, Wishes(), capture=True)
    assert (chosen.entry.name, chosen.why) == ("pulse", "the sound system's default")
    plain = [replace(entry, default_render=False) for entry in entries]
    assert choose(plain, cards, Wishes(), capture=False).why == "the first one there is"
    with pytest.raises(DeviceError, match="No loudspeaker was found"):
        choose([], cards, Wishes(), capture=False)


def test_a_loopback_card_is_never_taken_by_itself(tmp_path: Path) -> None:
    layout = {
        "cards": " 0 [Loopback       ]: Loopback - Loopback\n                      Loopback 1\n",
        "pcms": [["card0/pcm0p", "Loopback PCM", "Loopback PCM", ""]],
        "device": ["platform/snd_aloop.0"],
        "offered": [["Loopback: PCM (hw:0,0)", 0, 32], ["default", 0, 32]],
    }
    house = Machine(tmp_path, layout)
    assert [side.kind for side in house.cards.sides] == [Kind.VIRTUAL]
    assert outcome(house, capture=False)[1] == "the first one there is"


class TakenMeanwhile:
    """A PortAudio that lists one free card, which somebody takes before it is opened."""

    def get_device_count(self) -> int:
        return 1

    def get_device_info_by_index(self, index: int) -> dict[str, object]:
        known = {"name": "Jabra SPEAK 510 USB: Audio (hw:1,0)", "index": index, "hostApi": 0}
        return known | {
            "maxInputChannels": 1,
            "maxOutputChannels": 2,
            "defaultSampleRate": 48_000.0,
        }

    def get_default_input_device_info(self) -> dict[str, object]:
        return self.get_device_info_by_index(0)

    get_default_output_device_info = get_default_input_device_info

    def get_host_api_info_by_index(self, _index: int) -> dict[str, object]:
        return {"name": "ALSA"}

    def open(self, **_wishes: object) -> None:
        raise OSError(PA_DEVICE_UNAVAILABLE, "Device unavailable")

    def terminate(self) -> None:
        pass


def test_a_card_that_is_taken_while_it_is_opened_is_named_with_its_holder(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = machine("pi4-card-held")
    monkeypatch.setattr(portaudio, "start_portaudio", TakenMeanwhile)
    monkeypatch.setattr(portaudio, "read_cards", lambda: house.cards)
    device = PortAudioDevice(block_ms=10)
    with pytest.raises(DeviceError, match=r"is in use by pipewire \(process 812\)\.") as busy:
        device.open(lambda _pcm, _at: None, lambda frames, _at: bytes(2 * frames))
    assert busy.value.code == "device.busy"
