"""Troubles: what is wrong with the speaker at this moment, worst first, each with its remedy.

Call `troubles` with a status, or `page` for all of it in words.  Pure.  `status --check` makes an
exit code of them, `edge-agent doctor` lists them beside its own checks.  What has passed is not a
trouble: that is the status's last failure, and its hitches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.host.journal.messages import MESSAGES
from edge_agent.host.journal.reasons import REASONS, SAME_AS
from edge_agent.host.service.status import Status, in_words

NAMES = {
    "link.bad_key": "wrong key",
    "link.no_key": "no key",
    "link.key_unreadable": "key unreadable",
    "link.no_quota": "no quota",
    "link.no_model": "no such model",
    "link.refused": "account refused",
    "link.dialect": "wrong protocol",
    "link.bad_url": "wrong address",
    "link.busy": "service busy",
    "link.no_answer": "service silent",
    "link.session_expired": "session over",
    "link.tls": "certificate not trusted",
    "link.clock": "wrong clock",
    "link.proxy": "proxy refuses",
    "link.captive_portal": "network wants a sign-in",
    "link.dns": "no network (name not found)",
    "link.unreachable": "no network",
    "link.timeout": "no network (no answer)",
    "link.lost": "connection broke",
    "link.dead": "connection dead",
    "link.connecting": "not connected yet",
    "link.reopened": "connecting anew",
}
"""Troubles in two words, for the line that `systemctl status` shows."""

BUTTON_FAULTS = {
    "stuck": (
        "has been down for more than half a minute",
        "See what lies on it, and whether its cap or contact is jammed.",
    ),
    "closed at the start": (
        "has been down since the start",
        "Look for a short circuit or a jammed cap. One that is closed at rest wants "
        "panel.button_inverted = true, one to 3.3 V or a touch module panel.pull_up = false.",
    ),
    "bounces": (
        "is pressed faster than fingers can",
        "Look for a loose wire or a worn contact; a longer panel.bounce_ms may help.",
    ),
}
"""Fault → what a button does, and what to do about it."""


SIGNS = {
    "device.switched_off": "The microphone is switched off at the device: it gives only zeros.",
    "device.silent": "The microphone gives no sound, only one and the same value.",
    "audio.speaker_pace": "The loudspeaker takes its sound at a wrong rate.",
    "audio.mic_pace": "The microphone gives its sound at a wrong rate.",
    "audio.faint": "The microphone is so faint that nobody is heard.",
    "audio.clipped": "The microphone is too loud: it clips.",
    "audio.dead_channel": "A channel of the microphone is dead; the others are used.",
}
"""Of microphone and streams, worst first; what helps stands in the journal's words."""
IS_MENDED = ("audio.dead_channel", "audio.clipped")
"""It does its work all the same."""


def name_of(code: str) -> str:
    """What a trouble is called in short; the code itself where it has no name."""
    return NAMES.get(code, code)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One of them.  `is_serious`: the speaker does not do its work; else it does, with a flaw."""

    code: str
    said: str
    fix: str
    is_serious: bool = True


def page(status: Status) -> list[tuple[str, str]]:
    """The whole status, `(what, how it is)` per line: what it does, what is wrong, all else."""
    doing, *rest = in_words(status)
    return [doing, *lines(troubles(status)), *rest]


def lines(found: list[Trouble]) -> list[tuple[str, str]]:
    """As lines of a status."""
    return [("Trouble", f"{trouble.said} {trouble.fix}".strip()) for trouble in found]


def troubles(status: Status) -> list[Trouble]:
    """Serious ones first; of these, what keeps most from working."""
    found = list(_found(status))
    return sorted(found, key=lambda trouble: not trouble.is_serious)


def _found(status: Status) -> Iterator[Trouble]:
    failure = status.failure
    if not status.device_present:
        code = failure.code if failure and failure.code.startswith("device.") else "device.missing"
        yield _known(status, code, "There is no sound device: nothing is heard, nothing sounds.")
    if status.link_refused:
        yield _known(status, status.link_code, f"{status.provider} refuses this speaker.")
    elif status.link == "down":
        yield _known(status, status.link_code, f"There is no connection to {status.provider}.")
    if status.cap_microusd and status.cost_microusd >= status.cap_microusd:
        yield Trouble(
            "budget.spent",
            "Today's budget is spent.",
            "Until midnight only a press of the button buys a turn; the limit is "
            "budget.daily_cap_usd.",
            is_serious=False,
        )
    for code in (code for code in SIGNS if code in status.sound_signs):
        words = REASONS.get(code) or MESSAGES[code].explanation
        yield Trouble(code, SIGNS[code], words, is_serious=code not in IS_MENDED)
    if status.hears_badly:
        yield Trouble(
            "device.overruns",
            "The sound system loses sound of the microphone all the time.",
            "Longer blocks did not help: see what else is busy on this machine, or try another "
            "card or USB port.",
        )
    for button in status.faulty_buttons:
        yield _button(button)
    if status.unsaved:
        yield Trouble(
            "state.unwritable",
            "Mute, guest mode and volume cannot be saved.",
            "After a restart they will be as before. Make room on the disk of state.path, or make "
            "it writable; it is tried again.",
            is_serious=False,
        )
    for name, why in status.tool_servers.items():
        if why:
            yield Trouble(
                "mcp.down",
                f"The tool server {name} cannot be used: {why.removesuffix('.')}.",
                f"It is tried again. See: edge-agent mcp list {name}",
                is_serious=False,
            )
    for ending in status.endings:
        yield Trouble("model.ends", f"{ending}.", "See realtime.model in the settings.", False)
    if status.faults + status.slips:
        yield Trouble(
            "agent.fault",
            f"There were faults in the program since its start: {status.faults + status.slips}.",
            "Please report their lines: journalctl -u edge-agent -p err",
            is_serious=False,
        )


def _button(told: str) -> Trouble:
    name, _, fault = told.partition(": ")
    said, fix = BUTTON_FAULTS.get(fault, (fault, ""))
    return Trouble(
        "panel.button_faulty",
        f"The {name} button {said}; its presses do not count.",
        f"{fix} It counts again once it has been up for 5 s.".strip(),
        is_serious=False,
    )


def _known(status: Status, code: str, said: str) -> Trouble:
    """With the words of the last failure if it is about this, else with those of the journal."""
    failure = status.failure
    if failure is not None and failure.code == code and failure.message:
        said = f"{said} {failure.message}"
    if failure is not None and failure.code == code and failure.fix:
        return Trouble(code, said, failure.fix)
    known = REASONS.get(SAME_AS.get(code, code), "")
    return Trouble(code, said, known or (MESSAGES[code].explanation if code in MESSAGES else ""))
