"""Spoken status: how the speaker does, in sentences that the voice can say.

Thread: event loop; pure.  It must never hold a command, a code or a sign that is only for the eye:
the owner has `edge-agent status`, which prints `host.service.status.in_words`.  `speaker_api` gives
this to the tool `device_status`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_agent.host.service.status import Status, in_words
from edge_agent.host.service.troubles import troubles
from edge_agent.tools.spoken import duration, us_dollars, without_iso_dates

_ASIDE = re.compile(r" ?\([^()]*\)| ?\[[^\[\]]*\]|`")
"""What stands in brackets is for the admin: codes, commands, names of settings."""
_SENTENCE = re.compile(r"(?<=[.;!?])\s+")
_TO_TYPE = re.compile(
    r"\b(?:journalctl|resolvectl|systemctl|edge-agent)\b|\S/\w|--|\w_\w|[a-z]\.[a-z]"
)
"""A command, a path, a setting or an address: a sentence with one is not said."""


def spoken_status(status: Status) -> str:
    """Everything that can be told, what is wrong first."""
    told = [text.rstrip(".;: ") for text in _sentences(status)]
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in told if text)


def _sentences(status: Status) -> Iterator[str]:
    written = dict(in_words(status))
    for trouble in troubles(status):
        yield _plain(f"{trouble.said} {trouble.fix}")
    if status.microphone == "muted":
        yield "the microphone is off, and only the button on the speaker opens it"
    else:
        yield f"the microphone is {written['Microphone']}"
    if status.guest:
        yield "guest mode is on: only what is harmless is done"
    yield _connection(status)
    if status.device_present:
        yield f"the sound is there: {_plain(written['Sound'])}"
        yield _plain(written.get("Chosen", ""))
    limit = status.volume_max_percent
    most = f", and {limit} at most" if limit < 100 else ""
    yield f"the volume is {status.volume_percent} percent{most}"
    if status.failure is not None:
        message = _plain(status.failure.message) or "no words for it"
        yield f"the last trouble was {duration(status.failure.ago_s)} ago: {message}"
        for key in ("What to do", "What it means"):
            yield _plain(written.get(key, ""))
    yield _today(status)
    yield f"it has been running for {duration(status.uptime_s)}"
    if written["Hitches"] != "none":
        yield f"hitches: {_plain(written['Hitches'])}"
    if status.device_present and status.echo:
        yield _plain(written["Echo"])
    if status.pongs:
        yield f"pings are answered within {status.pong_p50_ms} milliseconds as a rule"
    if status.version:
        yield f"the program is version {status.version}"


def _connection(status: Status) -> str:
    with_model = f", with the model {status.model}" if status.model else ""
    if status.link == "ready":
        return f"the connection to {status.provider or 'the service'} is ready{with_model}"
    if status.link == "connecting":
        return f"it is connecting to {status.provider or 'the service'}"
    if status.link_refused:
        return "the service refuses the connection; somebody has to fix that"
    again = f", again in {duration(status.link_retry_in_s)}" if status.link_retry_in_s else ""
    return f"the connection is down; it keeps trying{again}"


def _today(status: Status) -> str:
    if not status.answers:
        return "no answers yet today"
    answers = "1 answer" if status.answers == 1 else f"{status.answers} answers"
    told = f"today {answers}, {status.tokens_in} tokens in and {status.tokens_out} out"
    told += (
        ", at a cost that is not known"
        if status.unpriced == status.answers
        else (
            f", for {us_dollars(status.cost_microusd)}"
            + (f" and {status.unpriced} of unknown cost" if status.unpriced else "")
        )
    )
    if not status.cap_microusd:
        return told
    return f"{told}; the limit of the day is {us_dollars(status.cap_microusd)}"


def _plain(text: str) -> str:
    """Without what is only for the eye."""
    bare = _ASIDE.sub("", text).replace(" %", " percent").replace(" dB", " decibels")
    said = [part for part in _SENTENCE.split(without_iso_dates(bare)) if not _TO_TYPE.search(part)]
    return " ".join(" ".join(said).split())
