"""Own card: gives one sound card to the speaker alone, so that a desktop leaves it.

`scripts/card.sh` runs `main`, with Python's own library alone: it is called before anything is
installed.  It must never import a package that is not installed yet, nor open a card.

Two files are written.  A udev rule sets `ACP_IGNORE` (PipeWire, of any version and for any session)
and `PULSE_IGNORE` (PulseAudio) for the card: both read them when they find it.  A drop-in of the
settings names the card.

Thread: main.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_agent.audio.device.cards import Cards, Side, read_cards

RULE = Path("etc/udev/rules.d/90-edge-agent-card.rules")
"""After those that describe cards (78-sound-card), so that it has the last word."""
DROP_IN = Path("etc/edge-agent/config.d/card.toml")
NONE = "none"
EXIT_UNAVAILABLE = 69
SIMILAR = 0.7
"""Of the letters of a word: a slip of the fingers, not another card."""


class NoSuchCard(Exception):
    """Why none is meant by a name, and what there is."""


def main() -> None:
    """The command line of `scripts/card.sh`."""
    parser = argparse.ArgumentParser(prog="card.sh", description="Have a desktop leave a card.")
    parser.add_argument("name", help="the card, or a part of its name; none: take it back")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR")
    parser.add_argument("--check", action="store_true", help="only say whether it is there")
    asked = parser.parse_args()
    root: Path = asked.root
    if asked.name.casefold() == NONE:
        if not asked.check:
            give_back(root)
        return
    try:
        card = find(read_cards(root), asked.name)
    except NoSuchCard as problem:
        sys.stderr.write(f"card.sh: {problem}\n")
        sys.exit(EXIT_UNAVAILABLE)
    if not asked.check:
        take(root, card)
        told = f"The card {card[0].card_name!r} is the speaker's alone: a desktop leaves it."
        sys.stdout.write(told + "\n")


def find(known: Cards, name: str) -> list[Side]:
    """The directions of the one card of that name, id, or part of them.  Raises `NoSuchCard`."""
    cards: dict[int, list[Side]] = {}
    for side in known.sides:
        cards.setdefault(side.card, []).append(side)
    if not cards:
        raise NoSuchCard("The kernel knows of no sound card; plug it in and start again.")
    names = {
        number: (sides[0].card_name.casefold(), sides[0].card_id.casefold())
        for number, sides in cards.items()
    }
    wanted = name.strip().casefold()
    exact = [number for number, both in names.items() if wanted in both]
    partly = [number for number, both in names.items() if any(wanted in one for one in both)]
    fitting = exact or partly if wanted else []
    if len(fitting) == 1:
        return cards[fitting[0]]
    there = ", ".join(f"{s[0].card_name!r} ({s[0].card_id})" for s in cards.values())
    if fitting:
        raise NoSuchCard(f"{name!r} fits several cards; name one as it is here: {there}.")
    words = {word: number for number, both in names.items() for word in (*both, *both[0].split())}
    near = difflib.get_close_matches(wanted, words, n=1, cutoff=SIMILAR)
    meant = f" Did you mean {cards[words[near[0]]][0].card_name!r}?" if near else ""
    raise NoSuchCard(f"There is no sound card {name!r}.{meant} There are: {there}.")


def take(root: Path, card: Sequence[Side]) -> None:
    """Write the rule and the settings for this card."""
    first = card[0]
    twins = [side for side in read_cards(root).sides if side.card_name == first.card_name]
    is_twin = any(side.card != first.card for side in twins)
    # Twins have their ids in the order in which they were found, and are told apart by their port.
    which = f'KERNELS=="{first.port}"' if is_twin else f'ATTR{{id}}=="{first.card_id}"'
    named = f"@ {first.port}" if is_twin else first.card_name
    _put(root / RULE, "\n".join(_rule(which)) + "\n")
    _put(root / DROP_IN, "\n".join(_settings(card, named)) + "\n")


def give_back(root: Path) -> None:
    """As if the card had never been taken."""
    for file in (RULE, DROP_IN):
        (root / file).unlink(missing_ok=True)


def _rule(which: str) -> Iterator[str]:
    yield "# Written by edge-agent's scripts/install.sh --card: PipeWire and PulseAudio leave this"
    yield "# card to the speaker.  scripts/install.sh --card none, or uninstall.sh, takes it away."
    match = f'SUBSYSTEM=="sound", KERNEL=="card*", {which}'
    yield f'{match}, ENV{{ACP_IGNORE}}="1", ENV{{PULSE_IGNORE}}="1"'


def _settings(card: Sequence[Side], named: str) -> Iterator[str]:
    yield "# Written by edge-agent's scripts/install.sh --card; --card none takes it away."
    yield "[device]"
    value = json.dumps(named, ensure_ascii=False)  # TOML's basic strings are quoted in this way
    if any(side.is_capture for side in card):
        yield f"capture_device = {value}"
    if not all(side.is_capture for side in card):
        yield f"render_device = {value}"


def _put(file: Path, text: str) -> None:
    """Into place in one step, so that nobody reads half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(file.name + ".installing")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)
    new.replace(file)


if __name__ == "__main__":
    main()
