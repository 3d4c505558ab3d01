"""Choice: which of the sound devices is the household's microphone, and which its loudspeaker.

Call `choose` for each direction, with both wishes.  Pure.  A name in the settings decides; without
one the first rule that fits does:

1. what the owner or the desktop has made ALSA's "default", if that opens;
2. the card that the other direction is set to, if it is USB or a sound board;
3. a USB card or sound board that both hears and speaks: its echo can be cancelled best;
4. another USB card or sound board, then a card of the computer;
5. the Raspberry Pi's headphone jack, which rarely has anything plugged in;
6. HDMI with a monitor;
7. where the kernel tells of no card (a container, another system): the sound system's own default.

A card that is ALSA's default anyway is opened by that name, which other programs can share.

A card that is taken by these rules and is in use elsewhere is waited for: going on to the next one
would speak into an empty jack.  It must never depend on the order in which cards were plugged in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.audio.device.cards import Cards, Kind, Side
from edge_agent.audio.device.devices import DeviceEntry
from edge_agent.contract.errors import DeviceError, DeviceLost, DeviceMissing

_TWIN = re.compile(r"\s*(?:\(hw:CARD=[^()]*\)|@ \S+)$")
"""How `devices.distinct` tells two cards of a model apart: by the card's id, or by its port."""

OWN_BUS = (Kind.USB, Kind.BOARD)
"""Bought for sound."""
DEFAULT = "default"
ALSA_DEFAULT = (0, 0)
"""Card and device behind that name, unless somebody made it something else.  By it the card is
shared with other programs (dmix); by its own name it is ours alone."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """`device.capture_device` and `device.render_device`; "" where the owner leaves it to us."""

    capture: str = ""
    render: str = ""

    def of(self, *, capture: bool) -> str:
        """The wish for one direction."""
        return self.capture if capture else self.render


@dataclass(frozen=True, slots=True)
class Choice:
    """A device, and why it is this one (words for the journal)."""

    entry: DeviceEntry
    why: str


def choose(
    entries: Sequence[DeviceEntry], cards: Cards, wishes: Wishes, *, capture: bool
) -> Choice:
    """The device for one direction.

    Raises `DeviceMissing` with the names there are, and `device.busy` with the program that holds
    the card which would be taken.
    """
    usable = [e for e in entries if (e.capture_channels if capture else e.render_channels) > 0]
    wanted = wishes.of(capture=capture)
    if wanted:
        return _by_name(usable, cards, wanted, capture=capture)
    made = _default(usable)
    if cards.default_from and made is not None:
        return Choice(made, f"{cards.default_from} makes it the default")
    by_pcm = {entry.pcm: entry for entry in usable if entry.pcm is not None}
    partner = _partner(entries, wishes, capture=not capture)
    ranked = [
        (rank, side.card_name, side.card_id, side.device, side, why)
        for side in cards.sides
        if side.is_capture is capture and (ranking := _rank(side, cards, partner))
        for rank, why in (ranking,)
    ]
    for *_order, side, why in sorted(ranked, key=lambda row: row[:4]):
        is_default = (side.card, side.device) == ALSA_DEFAULT and partner is None
        if is_default and made is not None:
            return Choice(made, f"{why}; shared with other programs")
        entry_or_none = by_pcm.get((side.card, side.device))
        if entry_or_none is not None:
            return Choice(entry_or_none, why)
        if side.holder:
            raise _busy(side)
    if defaults := [e for e in usable if (e.default_capture if capture else e.default_render)]:
        return Choice(defaults[0], "the sound system's default")
    if usable:
        return Choice(usable[0], "the first one there is")
    raise _none(cards, capture=capture)


def _default(usable: Sequence[DeviceEntry]) -> DeviceEntry | None:
    return next((entry for entry in usable if entry.name == DEFAULT), None)


def _rank(side: Side, cards: Cards, partner: int | None) -> tuple[int, str] | None:
    """The lower the better, and why; None: never taken by itself."""
    kind = side.kind.value
    if side.kind in OWN_BUS:
        if side.card == partner:
            return 0, f"{kind}, the card that is set for the other direction"
        if cards.is_two_way(side):
            return 1, f"{kind} with microphone and loudspeaker"
        return 2, kind
    if side.kind is Kind.BUILT_IN:
        return 3, kind
    if side.kind is Kind.JACK:
        return 4, f"{kind}; there is no better loudspeaker"
    if side.kind is Kind.HDMI and side.has_monitor:
        return 5, f"{kind} with a monitor; there is no other loudspeaker"
    return None


def _partner(entries: Sequence[DeviceEntry], wishes: Wishes, *, capture: bool) -> int | None:
    """The card that the settings name for the other direction."""
    wanted = wishes.of(capture=capture)
    found = _find(entries, wanted) if wanted else None
    return found.pcm[0] if found is not None and found.pcm is not None else None


def _find(entries: Sequence[DeviceEntry], wanted: str) -> DeviceEntry | None:
    """By the name or a part of it, any case; of several the first by name, so that the choice does
    not depend on what was plugged in first."""
    key = wanted.casefold()
    exact = [entry for entry in entries if entry.name.casefold() == key]
    partly = sorted((e for e in entries if key in e.name.casefold()), key=lambda e: e.name)
    return next(iter(exact + partly), None)


def _renamed(entries: Sequence[DeviceEntry], wanted: str) -> DeviceEntry | None:
    """The one device of the model that is named: a card that is pulled out in mid-sentence and put
    in again can come back with another id, or at another port."""
    same = [entry for entry in entries if _model(entry.name) == _model(wanted)]
    is_whole_name = _model(wanted) not in ("", wanted)
    return same[0] if is_whole_name and len(same) == 1 else None


def _model(name: str) -> str:
    """A device's name without what tells it from its twins."""
    return _TWIN.sub("", name)


def _by_name(usable: Sequence[DeviceEntry], cards: Cards, wanted: str, *, capture: bool) -> Choice:
    key = wanted.casefold()
    held = [side for side in cards.sides if side.is_capture is capture and side.holder]
    found = _find(usable, wanted)
    is_exact = found is not None and found.name.casefold() == key
    for side in held:
        # A part of a name may fit another device of a card; the one that is meant is waited for.
        if not is_exact and any(key.endswith(end.casefold()) for end in _ends(side)):
            raise _busy(side)
    if found is not None:
        return Choice(found, "named in the settings")
    if (back := _renamed(usable, wanted)) is not None:
        return Choice(back, f"the only {_model(wanted)}; {wanted!r} in the settings")
    for side in held:
        if key in f"{side.card_name} {_ends(side)[0]}".casefold():
            raise _busy(side)
    what, code = _words(capture=capture)
    if not usable:
        raise _none(cards, capture=capture)
    names = ", ".join(repr(entry.name) for entry in usable)
    raise DeviceMissing(
        f"There is no {what} named {wanted!r}.",
        fix=f"Name one of: {names}; or leave the name empty to have one chosen.",
        code=code,
    )


def _ends(side: Side) -> list[str]:
    """How the names of this device end: by the card's id, or by its port if it has a twin."""
    ends = [f"(hw:CARD={side.card_id},DEV={side.device})"]
    if side.port:
        ends.append(f"@ {side.port}" + (f",{side.device}" if side.device else ""))
    return ends


def _none(cards: Cards, *, capture: bool) -> DeviceError:
    what, code = _words(capture=capture)
    for side in cards.sides:
        if side.is_capture is capture and side.holder:
            return _busy(side)
    unseen = [s for s in cards.sides if s.is_capture is capture and s.kind is not Kind.VIRTUAL]
    hdmi = [side for side in unseen if side.kind is Kind.HDMI]
    if unseen and len(unseen) == len(hdmi):
        return DeviceMissing(
            f"No {what} was found: there is only HDMI, without a monitor.",
            fix=f"Plug in a {what}, or a monitor that has one.",
            code=code,
        )
    return DeviceMissing(
        f"No {what} was found.",
        fix=f"Plug in a {what}; `edge-agent devices` lists what the system offers.",
        code=code,
    )


def _busy(side: Side) -> DeviceError:
    what, _code = _words(capture=side.is_capture)
    return DeviceLost(
        f"The {what} of {side.card_name!r} is in use by {side.holder}.",
        fix="End that program, have it leave the card alone, or name another card in the settings; "
        "it is taken as soon as it is free.",
        code="device.busy",
    )


def _words(*, capture: bool) -> tuple[str, str]:
    if capture:
        return "microphone", "device.no_microphone"
    return "loudspeaker", "device.no_speaker"
