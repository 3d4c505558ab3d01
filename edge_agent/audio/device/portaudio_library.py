"""PortAudio itself: start it, list its devices, keep it quiet, put its errors into our words.

Thread: whichever opens or lists devices, one at a time: hold `library`.  It must never write to
stderr or let another library do so: what it has to say is counted or raised.  `list_devices` is for
the command line; `portaudio.PortAudioDevice` uses the rest.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edge_agent.audio.device.cards import UNNAMED
from edge_agent.audio.device.devices import DeviceEntry, distinct
from edge_agent.contract.errors import DeviceError, DeviceLost, DeviceMissing

# PortAudio's error numbers (portaudio.h, PaErrorCode).
PA_INVALID_CHANNEL_COUNT = -9998
PA_INVALID_SAMPLE_RATE = -9997
PA_INVALID_DEVICE = -9996
PA_SAMPLE_FORMAT_NOT_SUPPORTED = -9994
PA_DEVICE_UNAVAILABLE = -9985
PA_INT16 = 8  # paInt16
PA_CONTINUE = 0  # paContinue
PA_ABORT = 2  # paAbort: the stream ends at once, without waiting for a suspended sink
PA_INPUT_OVERFLOW = 2  # paInputOverflow: microphone frames were lost before this block
PA_OUTPUT_UNDERFLOW = 4  # paOutputUnderflow: the loudspeaker had a hole before this block

library = threading.RLock()
"""PortAudio's start, stop, open and close are not thread-safe."""

_quiet_depth = 0


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep ALSA and JACK from writing to stderr: what they have to say is counted or raised.

    Through the libraries' own hooks, not by redirecting descriptor 2, which would swallow other
    threads' log lines.  The hook is a C function without arguments or effect, so a library
    thread never has to wait for Python.
    """
    global _quiet_depth  # noqa: PLW0603 - the hooks are global, so is the count of their users
    with suppress(ImportError):
        import pyaudio  # noqa: F401 - brings the libraries in, whose hooks are set here
    nothing = ctypes.cast(ctypes.CDLL(None).getppid, ctypes.c_void_p)
    with library:
        _quiet_depth += 1
        if _quiet_depth == 1:
            _set_hooks(nothing)
    try:
        yield
    finally:
        with library:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                _set_hooks(None)


def _set_hooks(handler: ctypes.c_void_p | None) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(handler)
    # JACK only where PortAudio has loaded it already; it has no way back to its default but
    # printing, and nothing it prints is of use here.
    if handler is not None:
        with suppress(OSError, AttributeError):
            jack = ctypes.CDLL("libjack.so.0", mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
            jack.jack_set_error_function(handler)
            jack.jack_set_info_function(handler)


def start_portaudio() -> Any:
    """A running PortAudio.  Raises `DeviceMissing` or `DeviceLost`."""
    try:
        import pyaudio
    except ImportError as error:
        raise DeviceMissing(
            "PyAudio cannot be loaded, so there is no sound.",
            fix="Install the package `libportaudio2` and PyAudio.",
        ) from error
    try:
        return pyaudio.PyAudio()
    except OSError as error:
        raise DeviceLost("PortAudio does not start.", fix="Is the sound system up?") from error


def scan(audio: Any) -> list[DeviceEntry]:
    """All devices of a running PortAudio."""
    defaults: dict[str, int] = {}
    for direction in ("input", "output"):
        with suppress(OSError):  # there is no default
            info = getattr(audio, f"get_default_{direction}_device_info")()
            defaults[direction] = int(info["index"])
    entries = []
    for index in range(audio.get_device_count()):
        info = audio.get_device_info_by_index(index)
        entries.append(
            DeviceEntry(
                name=str(info["name"]),
                host_api=str(audio.get_host_api_info_by_index(info["hostApi"])["name"]),
                capture_channels=int(info["maxInputChannels"]),
                render_channels=int(info["maxOutputChannels"]),
                default_rate_hz=round(info["defaultSampleRate"]),
                default_capture=defaults.get("input") == index,
                default_render=defaults.get("output") == index,
                index=index,
            )
        )
    return distinct(entries)


def list_devices() -> list[DeviceEntry]:
    """What can be named in the settings.  While a device is open, what was there when it was
    opened.  Raises `DeviceMissing` without PortAudio, `DeviceLost` if it does not start."""
    with library, quiet_libraries():
        audio = start_portaudio()
        try:
            return scan(audio)
        finally:
            audio.terminate()


def translated(error: OSError, name: str, holder: str = "") -> DeviceError:
    """PortAudio's number → our error.  `holder`: who has the card, if the kernel tells."""
    if error.errno == PA_INVALID_DEVICE:
        return DeviceMissing(f"The device {name!r} is gone.", fix="Plug it in again.")
    if error.errno == PA_DEVICE_UNAVAILABLE:
        return DeviceLost(
            f"The device {name!r} is in use by {holder or UNNAMED}.",
            fix="Close the other program, or share the device through PipeWire or PulseAudio.",
            code="device.busy",
        )
    return DeviceLost(
        f"The device {name!r} does not open (PortAudio error {error.errno}).",
        fix="Check that it is plugged in and that the sound server runs.",
    )
