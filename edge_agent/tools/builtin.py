"""Built-in tools: what every speaker can do without anybody else.

Thread: event loop.  It must never reach into another room: effects go through `SpeakerControls`,
which `app` implements, and time comes from the clock that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Protocol

from pydantic import Field

from edge_agent.contract.persona import SILENCE_TOOL
from edge_agent.contract.risk import Risk
from edge_agent.tools import spoken
from edge_agent.tools.registry import Finish, Tool, tool


class SpeakerControls(Protocol):
    """What the tools may do to this speaker.  Each returns at once."""

    def volume(self) -> int:
        """The volume in percent, 0 … 100."""

    def volume_max(self) -> int:
        """The loudest that is allowed, in percent."""

    def set_volume(self, percent: int) -> None:
        """Set the volume, 0 … 100, no louder than is allowed; it survives a reboot."""

    def mute(self) -> None:
        """Mute the microphone, as the button does (only the button opens it again)."""

    def status(self) -> str:
        """In plain words: is everything well, and what was the last trouble?"""


def builtin_tools(speaker: SpeakerControls, now: Callable[[], datetime]) -> tuple[Tool, ...]:
    """The built-in tools for one speaker.  `now` gives local time *with* its zone."""

    @tool(risk=Risk.LOW, speakable="the clock")
    def current_time() -> dict[str, str | int]:
        """Local time, date, weekday and time zone. Use it for every question about them."""
        moment = now()
        return {
            "time": spoken.clock(moment),
            "seconds": moment.second,
            "weekday": spoken.WEEKDAYS[moment.weekday()],
            "date": f"{spoken.date_in_year(moment)} {moment.year}",
            "timezone": spoken.zone(moment),
        }

    @tool(risk=Risk.LOW, speakable="the volume")
    def set_volume(
        percent: Annotated[int, Field(ge=0, le=100, description="0 is silent, 100 the loudest")],
    ) -> str:
        """Set how loud this speaker is. For louder or quieter, ask get_volume first."""
        before = speaker.volume()
        speaker.set_volume(percent)
        now, loudest = speaker.volume(), speaker.volume_max()
        if percent > loudest:
            return f"The loudest allowed is {loudest} percent; it is {now} now."
        return f"The volume is {now} percent now; it was {before}."

    @tool(risk=Risk.LOW, speakable="the volume")
    def get_volume() -> str:
        """How loud this speaker is, in percent."""
        return f"The volume is {speaker.volume()} percent."

    @tool(risk=Risk.LOW, speakable="the microphone")
    def mute_microphone() -> str:
        """Mute the microphone when the household asks for it in so many words. Nobody can talk
        to you then until the button on the speaker is pressed: say so."""
        speaker.mute()
        return "The microphone is muted. Only the button opens it again."

    @tool(risk=Risk.LOW, speakable="my own state")
    def device_status() -> str:
        """How this speaker is doing, in plain words: connection, sound, microphone, last
        trouble. Use it for questions such as: why didn't you answer?"""
        return speaker.status()

    @tool(risk=Risk.LOW, speakable="goodbye")
    def finish_session() -> Finish:
        """End the talk, when the household says goodbye, thanks you and wants no more, or tells
        you to stop. If you are not sure that the talk is meant, ask first. Then say a very short
        goodbye, or nothing."""
        return Finish("The talk ends after your next sentence.")

    @tool(risk=Risk.LOW, speakable="silence", name=SILENCE_TOOL)
    def stay_silent() -> str:
        """Say nothing this time. Call it alone, without a word before or after it, when what you
        heard needs no answer: people talking to each other, a television or music, echo, a cough,
        a noise, or somebody who asks you to wait. If it may have been meant for you and you did
        not understand it, ask instead."""
        return "Nothing is said."  # for other programs: the dialogue answers it itself

    return (
        current_time,
        set_volume,
        get_volume,
        mute_microphone,
        device_status,
        finish_session,
        stay_silent,
    )
