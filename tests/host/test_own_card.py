"""`install.sh --card`: which card is meant, what is written for it, and that it is undone."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from machines import LAYOUTS, Machine

from edge_agent.audio.device.cards import read_cards
from edge_agent.audio.device.choice import Wishes, choose
from edge_agent.cli import own_card
from edge_agent.cli.own_card import DROP_IN, RULE, NoSuchCard, find, give_back, take

REPO = Path(__file__).parents[2]
SPEAKERPHONE = "pi4-speakerphone"
MATCH = 'SUBSYSTEM=="sound", KERNEL=="card*", '
IGNORED = ', ENV{ACP_IGNORE}="1", ENV{PULSE_IGNORE}="1"'

TWINS: dict[str, Any] = {
    "cards": (
        " 0 [Device         ]: USB-Audio - USB Audio Device\n                      C-Media\n"
        " 1 [Device_1       ]: USB-Audio - USB Audio Device\n                      C-Media\n"
    ),
    "pcms": [
        [f"card{n}/pcm0{side}", "USB Audio", "USB Audio", ""] for n in (0, 1) for side in "pc"
    ],
    "usb": [0, 1],
    "device": ["pci0000:00/usb1/1-1/1-1:1.0", "pci0000:00/usb1/1-2/1-2:1.0"],
    "offered": [],
}


def rules(root: Path) -> list[str]:
    return [line for line in (root / RULE).read_text().splitlines() if not line.startswith("#")]


def device(root: Path) -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((root / DROP_IN).read_text())["device"]
    return settings


@pytest.fixture
def house(tmp_path: Path) -> Machine:
    return Machine(tmp_path, LAYOUTS[SPEAKERPHONE])


@pytest.mark.parametrize("name", ["USB", "jabra", "Jabra SPEAK 510 USB", " speak 510"])
def test_a_card_is_meant_by_its_name_its_id_or_a_part(house: Machine, name: str) -> None:
    assert {side.card for side in find(house.cards, name)} == {3}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("jabbra", "There is no sound card 'jabbra'. Did you mean 'Jabra SPEAK 510 USB'?"),
        ("hedphones", "Did you mean 'bcm2835 Headphones'?"),
        ("zebra", "There is no sound card 'zebra'. There are: 'bcm2835 Headphones' (Headphones), "),
        ("vc4", "'vc4' fits several cards; name one as it is here: "),
        (" ", "There is no sound card ' '. There are: "),
    ],
)
def test_a_card_that_is_not_there_is_refused(house: Machine, name: str, said: str) -> None:
    with pytest.raises(NoSuchCard) as refused:
        find(house.cards, name)
    assert said in str(refused.value)


def test_without_any_card_nothing_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(NoSuchCard, match="knows of no sound card"):
        find(read_cards(tmp_path), "USB")


def test_the_card_is_ignored_by_the_desktop_and_named_in_the_settings(house: Machine) -> None:
    take(house.root, find(house.cards, "jabra"))
    assert rules(house.root) == [f'{MATCH}ATTR{{id}}=="USB"{IGNORED}']
    names = {"capture_device": "Jabra SPEAK 510 USB", "render_device": "Jabra SPEAK 510 USB"}
    assert device(house.root) == names
    for capture in (True, False):
        chosen = choose(house.entries, house.cards, Wishes(*names.values()), capture=capture)
        assert chosen.entry.name.startswith("Jabra")
    give_back(house.root)
    give_back(house.root)
    assert not (house.root / RULE).exists()
    assert not (house.root / DROP_IN).exists()


def test_a_card_that_only_speaks_is_no_microphone(house: Machine) -> None:
    take(house.root, find(house.cards, "headphones"))
    assert device(house.root) == {"render_device": "bcm2835 Headphones"}


def test_twins_are_told_apart_by_their_port(tmp_path: Path) -> None:
    house = Machine(tmp_path, TWINS)
    with pytest.raises(NoSuchCard, match="fits several"):
        find(house.cards, "USB Audio Device")
    take(house.root, find(house.cards, "device_1"))
    assert rules(house.root) == [f'{MATCH}KERNELS=="1-2:1.0"{IGNORED}']
    assert device(house.root)["capture_device"] == "@ 1-2:1.0"


def script(name: str, *arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(REPO / "scripts" / name), *arguments, "--root", str(root)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_scripts_give_a_card_and_take_it_back(house: Machine) -> None:
    before = {path for path in house.root.rglob("*") if path.is_file()}
    refused = script("install.sh", "--card", "jabbra", root=house.root)
    assert refused.returncode == own_card.EXIT_UNAVAILABLE
    assert "Did you mean 'Jabra SPEAK 510 USB'?" in refused.stderr
    assert {path for path in house.root.rglob("*") if path.is_file()} == before
    given = script("install.sh", "--card", "jabra", root=house.root)
    assert (given.returncode, given.stderr) == (0, "")
    assert rules(house.root)
    again = script("install.sh", root=house.root)
    assert again.returncode == 0
    assert rules(house.root), "an update leaves it so"
    assert script("uninstall.sh", root=house.root).returncode == 0
    assert not (house.root / RULE).exists()
    assert not (house.root / DROP_IN).exists()


def test_without_a_card_nothing_of_the_desktop_is_touched(house: Machine) -> None:
    assert script("install.sh", root=house.root).returncode == 0
    assert not (house.root / "etc/udev").exists()
    assert not (house.root / DROP_IN).exists()
