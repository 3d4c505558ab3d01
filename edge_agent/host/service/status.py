"""Status: what the speaker is doing, as data and in plain words.

It must never hold a word that was said, or a key. `app` fills it in, the control socket carries it,
the command line prints it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.host.journal.messages import MESSAGES
from edge_agent.host.journal.reasons import REASONS, SAME_AS

MICROUSD_PER_USD = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong last: code and sentences of an error of ours, and how long ago."""

    code: str
    message: str = ""
    fix: str = ""
    ago_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A look at the speaker.  Names of states are those of `dialogue.state`."""

    version: str = ""
    talk: str = "asleep"
    microphone: str = "open"
    """open · muted"""
    guest: bool = False
    """Guest mode: only what is harmless is done."""
    link: str = "down"
    """down · connecting · ready"""
    link_code: str = ""
    """Why it is down."""
    link_refused: bool = False
    """Only a person can fix it."""
    link_retry_in_s: float = 0.0
    provider: str = ""
    model: str = ""
    endings: tuple[str, ...] = ()
    """Models of the settings that have ended or end soon, a sentence each."""
    pongs: int = 0
    """Answers to pings that the following three are known from, of the present provider."""
    pong_p50_ms: int = 0
    pong_p99_ms: int = 0
    pong_limit_s: float = 0.0
    """Silence after a ping that was delivered, with which a session ends during a turn."""
    healthy_cuts: int = 0
    """Sessions that were given up and answered after all."""
    device_present: bool = False
    capture_closed: bool = False
    """The microphone is muted, and its stream is closed: nobody records."""
    capture_name: str = ""
    capture_why: str = ""
    """Why it is this one."""
    render_name: str = ""
    render_why: str = ""
    hears_badly: bool = False
    """The sound system loses sound of the microphone all the time."""
    faulty_buttons: tuple[str, ...] = ()
    """Buttons whose presses do not count, each with its fault, as `talk: stuck`."""
    sound_signs: tuple[str, ...] = ()
    """What is wrong with the microphone or the streams now, by the codes of their lines."""
    mic_silent_s: float = 0.0
    """So long the microphone has given one value alone.  In a quiet room a noise gate does so."""
    volume_percent: int = 0
    volume_max_percent: int = 100
    """The loudest that is allowed."""
    unsaved: bool = False
    """Microphone, guest mode and volume could not be saved: a restart brings back the old ones."""
    failure: Failure | None = None
    uptime_s: float = 0.0
    answers: int = 0
    """Today, like the following six."""
    beside: int = 0
    """Uses of models beside the answers: notes, transcripts, the text model."""
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    cost_microusd: int = 0
    unpriced: int = 0
    """Answers and uses beside them whose cost is not known, and not in it."""
    cap_microusd: int = 0
    """0: no limit."""
    underruns: int = 0
    """Times the loudspeaker ran dry inside an answer, since the start."""
    echo: str = ""
    """found · none · searching · off"""
    echo_quieter_db: int = 0
    """How much of our own voice was taken out of the microphone at the end of the last answer."""
    mic_clipped: int = 0
    """Seconds in which the microphone was too loud, since the start, like the following two."""
    mic_lost: int = 0
    """Times the sound system lost sound of the microphone …"""
    underflows: int = 0
    """… and had nothing to play."""
    faults: int = 0
    """Faults in the program that it survived, since the start, like the following."""
    slips: int = 0
    """Moves of the talk that its table does not have."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """Queue → entries that were dropped, since the start."""
    oddities: Mapping[str, int] = field(default_factory=dict)
    """What was odd in the sessions with the provider, by kind, since the start: most of it is
    harmless and for programs only."""
    tool_servers: Mapping[str, str] = field(default_factory=dict)
    """Name → why it cannot be used; "" if nothing is known against it."""
    unwritten: int = 0
    """Turns of the household that should have been written down and were not, since the start."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        counts = {"drops": dict(self.drops), "oddities": dict(self.oddities)}
        tool_servers = {"tool_servers": dict(self.tool_servers)}
        return dataclasses.asdict(self) | counts | tool_servers


def from_plain(entry: Mapping[str, Any]) -> Status:
    """A status out of JSON, also of an older or a newer program: what is not known is skipped,
    what is missing has its default."""
    known = {
        name: entry[name] for name in (f.name for f in dataclasses.fields(Status)) if name in entry
    }
    failure = known.get("failure")
    if isinstance(failure, Mapping):
        names = {f.name for f in dataclasses.fields(Failure)}
        known["failure"] = Failure(
            **{"code": "", **{name: value for name, value in failure.items() if name in names}}
        )
    for name in ("endings", "faulty_buttons", "sound_signs"):
        if isinstance(told := known.get(name), (list, tuple)):
            known[name] = tuple(map(str, told))
    return Status(**known)


_TALK = {
    "asleep": "asleep; it waits for its wake word or the button, and nothing leaves the house",
    "listening": "listening to you",
    "thinking": "waiting for the answer",
    "speaking": "speaking",
    "confirming": "waiting for your yes, in words or by the button",
}


def usd(microusd: int) -> str:
    """An amount in dollars: cents where that is enough, finer where it is not."""
    amount = microusd / MICROUSD_PER_USD
    return f"{amount:.2f} USD" if amount >= 1 or microusd == 0 else f"{amount:.4f} USD"


def duration(seconds: float) -> str:
    """A time span in the two largest units that count."""
    whole = max(0, round(seconds))
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts = []
    for name, length in units:
        count, whole = divmod(whole, length)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def in_words(status: Status) -> list[tuple[str, str]]:
    """`(what, how it is)` per line, what matters most first."""
    muted = status.microphone == "muted"
    talk = _TALK.get(status.talk, status.talk)
    if muted and status.talk == "asleep":
        talk = "asleep, and its microphone is off"
    closed = ", and closed: nothing records" if status.capture_closed else ""
    lines = [
        ("Doing", talk),
        (
            "Microphone",
            f"off (muted{closed}); `edge-agent mute off` opens it" if muted else _mic(status),
        ),
        ("Connection", _link(status)),
        ("Sound", _sound(status)),
        ("Volume", _volume(status)),
    ]
    if status.device_present and status.echo:
        lines.insert(4, ("Echo", _echo(status)))
    if status.device_present and (choice := _choice(status)):
        lines.insert(4, ("Chosen", choice))
    if status.pongs:
        lines.insert(3, ("Pings", _pongs(status)))
    if status.guest:
        lines.insert(2, ("Guests", "guest mode is on; `edge-agent guest off` ends it"))
    if status.failure is not None:
        lines.append(("Last trouble", _failure(status.failure)))
        if status.failure.fix:
            lines.append(("What to do", status.failure.fix))
        elif meaning := _meaning(status.failure.code):
            lines.append(("What it means", meaning))
    lines += [("Today", _today(status)), ("Running for", duration(status.uptime_s))]
    lines.append(("Hitches", _hitches(status)))
    if status.version:
        lines.append(("Program", f"edge-agent {status.version}"))
    return lines


def _mic(status: Status) -> str:
    if not status.mic_silent_s:
        return "on"
    since = duration(status.mic_silent_s)
    return f"on; for {since} all silent: a noise gate in a quiet room, or it is switched off"


def _link(status: Status) -> str:
    where = status.provider + (f", {status.model}" if status.model else "")
    if status.link == "ready":
        return f"ready ({where})"
    if status.link == "connecting":
        return f"connecting ({where})"
    why = f": {status.link_code}" if status.link_code else ""
    if status.link_refused:
        return f"refused{why}; somebody has to fix that, it keeps trying now and then"
    again = f"; next try in {duration(status.link_retry_in_s)}" if status.link_retry_in_s else ""
    return f"down{why}; it keeps trying{again}"


def _pongs(status: Status) -> str:
    known = f"answered within {status.pong_p50_ms} ms as a rule, 99 of 100 within "
    known += f"{status.pong_p99_ms} ms; a turn waits {status.pong_limit_s:g} s for one"
    if status.healthy_cuts:
        known += f"; too little {_times(status.healthy_cuts)}"
    return known


def _sound(status: Status) -> str:
    if not status.device_present:
        return "no sound device; it looks for one (names: edge-agent devices)"
    microphone = "nothing" if status.capture_closed else status.capture_name or "default"
    return f"{microphone} in, {status.render_name or 'default'} out"


def _choice(status: Status) -> str:
    """Why it is these devices; "" where that is not known."""
    reasons = [("microphone", status.capture_why), ("loudspeaker", status.render_why)]
    if status.capture_closed:
        del reasons[0]
    return "; ".join(f"{what}: {why}" for what, why in reasons if why)


def _echo(status: Status) -> str:
    if status.echo == "found":
        return f"our own voice is {status.echo_quieter_db} dB quieter in the microphone"
    words = {
        "none": "our own voice does not reach the microphone",
        "searching": "not found yet; it is looked for while the speaker talks",
        "off": "not cancelled (echo.mode)",
        "deaf": "nobody is heard over our own voice: the detector cannot be used",
    }
    return words.get(status.echo, status.echo)


def _volume(status: Status) -> str:
    limit = status.volume_max_percent
    return f"{status.volume_percent} %" + (f" ({limit} % at most)" if limit < 100 else "")


def _failure(failure: Failure) -> str:
    text = failure.message or "no words for it"
    return f"{text} [{failure.code}] {duration(failure.ago_s)} ago"


def _meaning(code: str) -> str:
    """What the journal would explain, for a failure that came without a remedy."""
    known = REASONS.get(SAME_AS.get(code, code), "")
    return known or (MESSAGES[code].explanation if code in MESSAGES else "")


def _today(status: Status) -> str:
    if not status.answers and not status.beside:
        return "no answers yet"
    answers = f"{status.answers} answer{'s' if status.answers != 1 else ''}"
    if status.beside:
        answers += f", models were asked {_times(status.beside)} beside them"
    cached = f" ({status.tokens_cached} of them cached)" if status.tokens_cached else ""
    tokens = f"{status.tokens_in} tokens in{cached} and {status.tokens_out} out"
    cap = status.cap_microusd
    if status.unpriced == status.answers + status.beside:
        cost = "at a cost that is not known (no price for the model)"
    else:
        cost = usd(status.cost_microusd)
        if status.unpriced:
            cost += f", and {status.unpriced} of unknown cost"
    if cap:
        cost += f", of {usd(cap)} a day"
        if status.cost_microusd >= cap:
            cost += ": spent, until midnight only with the button held"
        elif status.unpriced:
            cost += ", which cannot be kept to without all prices"
    return f"{answers}, {tokens}, {cost}"


def _odd_sessions(status: Status) -> list[str]:
    """What somebody should look into; races and late frames belong to every long talk."""
    odd, parts = status.oddities, []
    if status.unwritten:
        times = _times(status.unwritten)
        parts.append(f"what was said was not written down {times} (see realtime.transcription)")
    if failed := odd.get("transcription_failed", 0):
        parts.append(f"the provider's transcriber failed {_times(failed)}")
    garbage = odd.get("malformed", 0) + odd.get("unread", 0)
    if garbage:
        parts.append(f"the provider sent what makes no sense {_times(garbage)}")
    if too_much := sum(count for kind, count in odd.items() if kind.startswith("over ")):
        parts.append(f"the provider sent too much of something {_times(too_much)}")
    return parts


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _hitches(status: Status) -> str:
    parts = []
    if status.underruns:
        parts.append(f"the loudspeaker ran dry {_times(status.underruns)}")
    for count, what in (
        (status.mic_clipped, "the microphone was too loud (turn its gain down)"),
        (status.mic_lost, "sound of the microphone was lost"),
        (status.underflows, "the sound system had nothing to play"),
    ):
        if count:
            parts.append(f"{what} {_times(count)}")
    if status.faults + status.slips:
        times = _times(status.faults + status.slips)
        parts.append(f"a fault in the program {times} (journalctl: agent.fault, dialogue)")
    parts += _odd_sessions(status)
    parts += [f"{count} dropped in {name}" for name, count in status.drops.items() if count]
    return "; ".join(parts) or "none"
