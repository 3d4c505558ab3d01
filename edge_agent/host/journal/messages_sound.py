"""Messages, sound: the lines about microphone, loudspeaker and echo (purpose).

Owner thread: none, a table.  Must never hold a field for sound; see `messages`.
"""

from __future__ import annotations

from edge_agent.host.journal.message import ERROR, INFO, WARNING, Message

SOUND: dict[str, Message] = {
    "device.ready": Message(
        INFO,
        "Microphone and loudspeaker are open[: {capture} and {render}].",
        "Both could be opened. Whether frames move is watched from here on.",
    ),
    "device.down": Message(
        ERROR,
        "No sound device ({code}); looking for it.[ {message}][ {fix}]",
        "The microphone or the loudspeaker is missing or was lost. The program opens it as soon "
        "as it is there. Names: edge-agent devices.",
    ),
    "audio.underrun": Message(
        WARNING,
        "Gaps in an answer, because the loudspeaker ran dry: {count}.",
        "The network or this machine was too slow; the answer had gaps.",
    ),
    "audio.fault": Message(
        ERROR,
        "{count} blocks for the loudspeaker could not be made; it was silent instead.",
        "A fault in the program. If none can be made any more, the watchdog restarts it.",
    ),
    "audio.dropped": Message(
        WARNING,
        "{ms} ms of sound were not played: too late, or too much waited for the loudspeaker.",
        "The model answered at far greater length than it was asked to, and its end was left out; "
        "or pieces came after the end.",
    ),
    "audio.clipped": Message(
        WARNING,
        "The microphone is too loud: it has clipped {count} times. Turn its gain down.",
        "Clipped sound is understood badly, and its echo cannot be cancelled. Lower the capture "
        "level, by alsamixer (F4) or `wpctl set-volume @DEFAULT_SOURCE@ 70%`, until nobody who "
        "speaks close to it makes this line come back. It comes once in six hours at most; "
        "edge-agent status counts.",
    ),
    "audio.mic_lost": Message(
        WARNING,
        "Holes in the microphone's sound, lost by the sound system: {count}.",
        "This machine was too busy, or its power is weak. Words may be missing; device.block_ms "
        "makes blocks longer, which spares it work.",
    ),
    "audio.underflow": Message(
        WARNING,
        "Holes in what was played, because the sound system had nothing: {count}.",
        "A short hole in what was heard: this machine was too busy. device.block_ms makes blocks "
        "longer, which spares it work.",
    ),
    "echo.unavailable": Message(
        ERROR,
        "Echo cannot be cancelled as set[: {message}][ {fix}]",
        "Talking over the speaker is not safe to notice without it: wake word and button still "
        "interrupt.",
    ),
    "echo.found": Message(
        INFO,
        "The echo of our own voice was found; it is {erle_db} dB quieter now.",
        "Talking over the speaker interrupts it from now on. Below 10 dB look for a loudspeaker "
        "that distorts or a microphone that clips.",
    ),
    "echo.none": Message(
        INFO,
        "Our own voice does not reach the microphone.",
        "Headphones, a device that cancels echo by itself, or a loudspeaker far away: nothing has "
        "to be cancelled.",
    ),
    "echo.not_found": Message(
        WARNING,
        "The echo of our own voice was not found in {seconds} s of speaking.",
        "Until it is, mostly the wake word and the button interrupt. Microphone and loudspeaker "
        "may be on different machines or links (Bluetooth adds and changes delay), or one of "
        "them was chosen wrongly: see edge-agent devices.",
    ),
    "queue.overflow": Message(
        WARNING,
        "Queue {queue} was full; {count} entries were dropped.",
        "This machine could not keep up.",
    ),
}
