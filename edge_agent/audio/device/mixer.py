"""Mixer: is the microphone switched off at its card?

Call `is_capture_off` with the name of an ALSA control (`hw:1`, `default`).  Thread: that of the
devices; a sound server behind the control may take a moment.  It must never open a PCM or change a
control: reading one neither wakes a card nor takes it from anybody.

A key on a speakerphone that stops the sound inside the device is not seen here; `signs` hears it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from ctypes import byref, c_int, c_void_p

SIDES = (0, 1)
"""Left and right; mono is left."""


def is_capture_off(control: str) -> bool | None:
    """Whether all of its capture switches are off; None where it has none, or cannot be asked."""
    with suppress(OSError, AttributeError):  # no ALSA on this machine
        return all_off(list(_switches(ctypes.CDLL("libasound.so.2"), control)))
    return None


def all_off(switches: list[bool]) -> bool | None:
    """A card with several inputs has one of them on: off is only what has none."""
    return not any(switches) if switches else None


def _switches(alsa: ctypes.CDLL, control: str) -> Iterator[bool]:
    alsa.snd_mixer_first_elem.restype = alsa.snd_mixer_elem_next.restype = c_void_p
    mixer = c_void_p()
    if alsa.snd_mixer_open(byref(mixer), 0) < 0:
        return
    try:
        failed = (
            alsa.snd_mixer_attach(mixer, control.encode()) < 0
            or alsa.snd_mixer_selem_register(mixer, None, None) < 0
            or alsa.snd_mixer_load(mixer) < 0
        )
        element = None if failed else alsa.snd_mixer_first_elem(mixer)
        while element:
            one = c_void_p(element)
            if alsa.snd_mixer_selem_has_capture_switch(one):
                yield any(_is_on(alsa, one, side) for side in SIDES)
            element = alsa.snd_mixer_elem_next(one)
    finally:
        alsa.snd_mixer_close(mixer)


def _is_on(alsa: ctypes.CDLL, element: c_void_p, side: int) -> bool:
    value = c_int()
    has_side = alsa.snd_mixer_selem_has_capture_channel(element, side)
    asked = has_side and alsa.snd_mixer_selem_get_capture_switch(element, side, byref(value)) == 0
    return bool(asked and value.value)
