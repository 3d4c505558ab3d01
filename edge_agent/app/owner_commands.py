"""The owner's commands: everything that the control socket answers, in one table.

`volume` and the timers are here; the rest is handed in.

Thread: event loop.  It must never change a store beside its owner: the volume goes through
`SpeakerApi`, the timers through `Bell`.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from edge_agent.app.announcer import Announcer
from edge_agent.app.log_level import LogLevel
from edge_agent.app.reload import Reloader
from edge_agent.app.speaker_api import Handler, SpeakerApi, TalkView, owner_commands
from edge_agent.app.tools.toolbox import Toolbox
from edge_agent.host.journal.journal import LEVELS
from edge_agent.host.service.control import ControlError
from edge_agent.tools.timers import REPEATS, Entry


def all_commands(
    speaker: SpeakerApi, talk: TalkView, toolbox: Toolbox, announcer: Announcer
) -> dict[str, Handler]:
    """Request name to its handler."""
    bell = toolbox.bell

    async def volume(request: dict[str, Any]) -> dict[str, Any]:
        """Told, or set: `to` a percentage, or changed `by` some."""
        before = speaker.volume()
        wanted = _number(request, "to", None if "by" not in request else before)
        if wanted is None:
            return {"volume_percent": before}
        wanted = max(0, min(100, wanted + (_number(request, "by", 0) or 0)))
        speaker.set_volume(wanted)
        return {
            "volume_percent": speaker.volume(),
            "before_percent": before,
            "asked_percent": wanted,
            "saved": await speaker.saved(),
        }

    def timers(_request: dict[str, Any]) -> dict[str, Any]:
        now = bell.moment()
        return {"timers": [plain(one, bell.timers.left_s(one, now)) for one in bell.timers.list()]}

    def set_timer(request: dict[str, Any]) -> dict[str, Any]:
        seconds = _number(request, "seconds", 0) or 0
        entry = bell.timers.set_timer(_text(request, "name"), seconds, bell.moment())
        bell.changed()
        return {"timer": plain(entry, entry.length_s)}

    def set_alarm(request: dict[str, Any]) -> dict[str, Any]:
        now, repeat = bell.moment(), _text(request, "repeat") or "once"
        if repeat not in REPEATS:
            raise ControlError("It cannot ring so often.", fix=f"There are: {', '.join(REPEATS)}.")
        try:
            wall = dt.datetime.fromisoformat(_text(request, "wall"))
        except ValueError:
            raise ControlError("That is no time.", fix="Write: 07:30") from None
        entry = bell.timers.set_alarm(
            _text(request, "name"), wall.replace(tzinfo=None), now, repeat=repeat
        )
        bell.changed()
        return {"timer": plain(entry, bell.timers.left_s(entry, now))}

    def cancel_timer(request: dict[str, Any]) -> dict[str, Any]:
        name = _text(request, "name")
        if not name.strip():
            raise ControlError("Which one?", fix="Name it, or say: all")
        gone = bell.timers.cancel(name)
        if any(entry.ringing for entry in gone):
            bell.want_silence()
        bell.changed()
        return {"cancelled": [entry.name for entry in gone]}

    return {
        **owner_commands(speaker, talk, toolbox.desk.forget),
        "volume": volume,
        "say": announcer.say,
        "timers": timers,
        "set_timer": set_timer,
        "set_alarm": set_alarm,
        "cancel_timer": cancel_timer,
    }


def running_commands(reloader: Reloader, log_level: LogLevel) -> dict[str, Handler]:
    """What an admin asks of the running program."""

    async def reload(_request: dict[str, Any]) -> dict[str, Any]:
        return (await reloader.reload()).plain()

    def level(request: dict[str, Any]) -> dict[str, Any]:
        """Told, or set: `to` a level, `seconds` for how long."""
        wanted = _text(request, "to")
        if wanted:
            if wanted not in LEVELS:
                raise ControlError(
                    "There is no such level.", fix=f"There are: {', '.join(LEVELS)}."
                )
            log_level.want(wanted, _number(request, "seconds", 0) or 0)
        return {"level": log_level.level, "left_s": round(log_level.left_s)}

    return {"reload": reload, "log_level": level}


def plain(entry: Entry, left_s: float) -> dict[str, Any]:
    """One timer for JSON; `at` (an alarm's) is local time."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "left_s": round(left_s, 1),
        "at": entry.due_wall.isoformat() if entry.due_wall else "",
        "repeat": entry.repeat,
        "ringing": entry.ringing,
    }


def _number(request: dict[str, Any], key: str, missing: int | None) -> int | None:
    value = request.get(key, missing)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ControlError("That is no whole number.", fix="Write it in digits.")
    return value


def _text(request: dict[str, Any], key: str) -> str:
    value = request.get(key, "")
    if not isinstance(value, str):
        raise ControlError(f"{key} must be text.", fix="See: edge-agent timers --help")
    return value
