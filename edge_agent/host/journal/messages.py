"""Messages: the catalogue of every line that the journal may hold (purpose).

Owner thread: none, a table.  Must never hold a field for a household's words, a key or sound.
The code is stable: scripts filter on it and the message id is made from it.  `explanation` is
what `journalctl -x` shows; `systemd/edge-agent.catalog` is generated from here.
"""

from __future__ import annotations

import re
import uuid

from edge_agent.host.journal.message import DEBUG, ERROR, INFO, NOTICE, WARNING, Message
from edge_agent.host.journal.messages_consent import CONSENT
from edge_agent.host.journal.messages_desk import DESK
from edge_agent.host.journal.messages_kept import KEPT
from edge_agent.host.journal.messages_mcp import MCP
from edge_agent.host.journal.messages_sound import SOUND
from edge_agent.host.journal.reasons import REASONS

__all__ = [
    "DEBUG",
    "ERROR",
    "INFO",
    "MESSAGES",
    "NAMESPACE",
    "NOTICE",
    "WARNING",
    "Message",
    "catalog",
    "field_name",
    "message_id",
]

NAMESPACE = uuid.UUID("3f0c6a0e-6b5e-4d0b-9f6c-2f7f2d1f5c41")
"""Drawn at random once; message ids are name-based UUIDs in it, so none is typed by hand."""


def message_id(code: str) -> str:
    """The 128-bit MESSAGE_ID of a code, as journald wants it: 32 hexadecimal digits."""
    return uuid.uuid5(NAMESPACE, code).hex


MESSAGES: dict[str, Message] = {
    # --- the talk ----------------------------------------------------------------------
    "talk.woken": Message(
        INFO,
        "Woken by {cause}[ ({word})].",
        "From here on what is spoken leaves the house until the talk is asleep again. "
        "CAUSE is wake word, button or speech; speech wakes where listen.mode is always.",
    ),
    "talk.turn_sent": Message(
        INFO, "A turn of {ms} ms went to the model.", "Somebody finished speaking."
    ),
    "talk.answer_started": Message(
        INFO,
        "Answering; the first sound came {latency_ms} ms after the end of the turn.",
        "LATENCY_MS is what a household feels as slowness; most of it is the provider's.",
    ),
    "talk.answer_done": Message(
        INFO, "The answer was heard to its end ({ms} ms).", "The loudspeaker is silent again."
    ),
    "talk.interrupted": Message(
        INFO,
        "Interrupted by {cause}[ within {latency_ms} ms][; {audio_end_ms} ms of the answer had "
        "been heard].",
        "Playing stopped and the provider was told how much was heard. CAUSE is speech, wake word, "
        "button or server; server: the provider heard somebody speak. Many of them by speech while "
        "nobody spoke mean that the echo canceller does not fit the room: see barge_in and echo in "
        "the settings.",
    ),
    "talk.asleep": Message(
        INFO, "Asleep[ ({why})].", "The gate is closed: nothing leaves the house."
    ),
    "talk.false_wake": Message(
        NOTICE,
        "Woken without anybody speaking; asleep again.",
        "No speech followed the wake word or the button. If a wake word does it often, raise "
        "listen.wake_cutoffs for that word.",
    ),
    "talk.utterance_capped": Message(
        NOTICE,
        "A turn was cut off[ after {ms} ms]: too long.",
        "listen.utterance_max_s was reached; usually a television that talks on.",
    ),
    "talk.kept_for_later": Message(
        NOTICE,
        "Kept[ {ms} ms of] speech until the connection is back.",
        "The line was down while somebody spoke.",
    ),
    "talk.replayed": Message(
        INFO,
        "Sent[ {ms} ms of] kept speech after the connection came back.",
        "It is sent and answered once.",
    ),
    "talk.dropped_old": Message(
        WARNING,
        "Dropped[ {ms} ms of] kept speech: it was too old to be answered.",
        "The line has been down for a minute since it was said; the household was told.",
    ),
    "talk.dropped_muted": Message(
        NOTICE,
        "Dropped[ {ms} ms of] kept speech: the microphone was muted.",
        "It had been kept for a session that was not there. While the microphone is muted no "
        "session is told anything of the talk; the household was told.",
    ),
    "talk.continued": Message(
        INFO,
        "Going on with an answer that a lost connection had cut.",
        "The model was told how much of it had been heard.",
    ),
    "talk.no_answer": Message(
        WARNING,
        "No answer came.",
        "The provider was silent for too long. A new session is opened and asked once more; if "
        "that is in vain too, the household is told.",
    ),
    "memory.summarised": Message(
        INFO,
        "Notes took the place of {turns} old turns ({items} items) within {seconds} s.",
        "The model reads them instead of the turns, which makes every answer cheaper. See "
        "conversation in the settings.",
    ),
    "memory.no_summary": Message(
        NOTICE,
        "No notes of the older talk could be made ({why}; {failures} times in a row).",
        "Nothing is lost: the talk goes on with all of its turns, and it is tried again later, "
        "less and less often. A server that answers no side questions never makes any.",
    ),
    "memory.no_text_model": Message(
        WARNING,
        "The text model made no notes of the older talk: {message}[ {fix}] ({code})",
        "conversation.summarise is text, so that the model of supervisor is asked. The talk goes "
        "on with all of its turns, and it is tried again later.",
    ),
    "memory.closed": Message(
        INFO,
        "The old talk ({turns} turns) was closed and forgotten.",
        "Nobody had gone on with it for conversation.forget_after_h hours.",
    ),
    "talk.words": Message(
        INFO,
        "{who}: {text}",
        "Written only while journal.transcripts is true.",
    ),
    # --- the microphone ----------------------------------------------------------------
    "mic.muted": Message(
        NOTICE, "The microphone is muted.", "Nothing is sent until it is opened, also after a boot."
    ),
    "mic.open": Message(
        NOTICE, "The microphone is open.", "It listens again, as listen.mode says."
    ),
    "mic.streams": Message(
        INFO,
        "Sound of the room goes out ({cause}).",
        "CAUSE says why: one breath (somebody went on after the wake word or the button), speech "
        "(in a window that is open), server (the provider heard the rest of what had been sent, "
        "and our own detector heard somebody too).",
    ),
    # --- the link ----------------------------------------------------------------------
    "link.ready": Message(
        INFO,
        "Connected[ to {model}][ after {seconds} s].",
        "A session is configured and acknowledged by the provider.",
    ),
    "link.down": Message(
        WARNING,
        "The connection is down ({code})[; next try in {retry_in_s} s].",
        "Network or provider trouble; MESSAGE and FIX say it in words. The program keeps trying "
        "for ever, at growing random intervals, and notes each reason three times, then once a "
        "minute; what is said meanwhile is kept for a while.",
    ),
    "link.refused": Message(
        ERROR,
        "The provider refuses ({code}); only a person can fix this[; next try in {retry_in_s} s].",
        "EDGE_REASON_CODE says why, and is explained by itself where it is known. MESSAGE and FIX "
        "say it in words. "
        "The program keeps trying at long intervals and recovers by itself once it is fixed.",
    ),
    "server.complaint": Message(
        NOTICE,
        "The provider complained: {code}[; {more} such lines before it were left out].",
        "An error event that does not end the session.",
    ),
    "response.failed": Message(
        WARNING,
        "The answer failed ({code})[; {more} such lines before it were left out].",
        "The provider gave up on it; the household was told.",
    ),
    "response.unasked": Message(
        WARNING,
        "An answer that nobody had asked for was refused ({state})[; {more} such lines before "
        "it were left out].",
        "The provider began to answer although nobody had said anything. It is not played, none of "
        "its tools runs, and the microphone stays as it was. STATE tells whether the house slept.",
    ),
    "usage.response": Message(
        INFO,
        "Tokens: {text_in} text and {audio_in} audio in, {text_out} text and {audio_out} audio "
        "out.",
        "What one answer used. CACHED_IN of the tokens that went in were known to the provider "
        "already, and cost less.",
    ),
    "usage.cost": Message(
        INFO,
        "This answer cost {usd} USD, today {today_usd} USD[ of {cap_usd}].",
        "Tokens times the prices in providers.toml; the provider's bill is what counts.",
    ),
    "usage.unpriced": Message(
        WARNING,
        "The cost of an answer is not known: no price for {model}.",
        "Put the price into /etc/edge-agent/providers.toml. Until then a daily cap cannot count "
        "it, and status says so. Written once for each model until the next start.",
    ),
    "budget.warning": Message(
        WARNING,
        "{percent} % of today's budget are spent ({today_usd} of {cap_usd} USD).",
        "The household was told. See budget.daily_cap_usd and budget.warn_percent.",
    ),
    "budget.spent": Message(
        WARNING,
        "Today's budget is spent ({today_usd} of {cap_usd} USD, {percent} %).",
        "Until midnight only a press of the button buys a turn; the household was told. "
        "See budget.daily_cap_usd.",
    ),
    "control.unavailable": Message(
        WARNING,
        "No control socket[ at {path}]: {why}.",
        "edge-agent status and edge-agent mute do not work; the speaker does. See control.path.",
    ),
    "control.refused": Message(
        NOTICE,
        "A control request was refused: {why}[; {more} before it were not noted].",
        "Somebody on this machine sent something that is not a request.",
    ),
    "link.audio_dropped": Message(
        WARNING,
        "{dropped_ms} ms of waiting sound were dropped, {silence_ms} ms of it silence.",
        "The network took less than was said; silence goes first, and the limit is "
        "realtime.outbox_max_s.",
    ),
    "link.audio_purged": Message(
        INFO,
        "{ms} ms of sound that waited for the network were dropped at the mute.",
        "They were said before the microphone was muted and had not left yet. What the socket's "
        "buffers in this program and in the kernel had taken already, half a second at most, "
        "cannot be called back.",
    ),
    "link.rolled_over": Message(
        INFO,
        "A fresh session[ with {provider}] took the place of the old one.",
        "Before the provider's time limit, or on the way back to the preferred provider. It was "
        "told of the talk so far; nothing of it was audible.",
    ),
    "link.roll_over_failed": Message(
        NOTICE,
        "No second session could be opened ({error}); the present one goes on.",
        "It is tried again. At worst the session ends at the provider's limit and is followed by "
        "another.",
    ),
    "link.provider_changed": Message(
        NOTICE,
        "Connected to the provider {provider} now.",
        "Another one than before: the order is that of the settings, and the first is tried "
        "again after a while.",
    ),
    "link.option_dropped": Message(
        NOTICE,
        "The provider does not know the option {option} ({error}); going on without it.",
        "Another model or provider than the settings were made for.",
    ),
    "link.dialect_changed": Message(
        NOTICE,
        "The provider speaks the dialect {dialect} ({error}).",
        "An older or another server; the program follows it.",
    ),
    "link.key_unreadable": Message(
        ERROR,
        "The key cannot be read ({error}).",
        "See that the key's file or credential is there and is text.",
    ),
    "network.unwatched": Message(
        NOTICE,
        "The kernel does not tell of network changes ({error}).",
        "After an outage the program comes back a little later, by its timers alone. In a "
        "container or a tight sandbox that is usual; the shipped unit allows AF_NETLINK.",
    ),
    "link.unknown_event": Message(
        DEBUG, "An unknown kind of event came: {type}.", "Newer than this program; it is skipped."
    ),
    "link.garbage": Message(
        WARNING,
        "An event of kind {type} made no sense.",
        "The server's slip; it is skipped. REASON is what could not be read.",
    ),
    "link.too_much": Message(
        WARNING,
        "The server sends too many {what}; the rest is left out.",
        "What a server can make us keep has a bound, far above what an honest one needs. It is "
        "noted once in a session.",
    ),
    "link.local_error": Message(
        WARNING,
        "The program was about to send something wrong: {error}",
        "It was left out. This should not happen; please report it with this line.",
    ),
    "link.internal_error": Message(
        ERROR,
        "A fault in the program in the connection: {error}.",
        "A session that ended by it is followed by a new one. This should not happen; please "
        "report it with this line.",
    ),
    # --- the sound device --------------------------------------------------------------
    **SOUND,
    # --- tools -------------------------------------------------------------------------
    **CONSENT,
    # --- timers and alarms ---------------------------------------------------------------
    "alarm.ringing": Message(
        INFO,
        "A timer or an alarm rings[ ({count} at once)].",
        "It rings until the wake word, the button or the model stops it, five minutes at most; "
        "it needs no internet. What it is for is not written here.",
    ),
    "alarm.stopped": Message(
        INFO,
        "The ringing was stopped by {cause}.",
        "CAUSE is wake word, button, speech, tool, or nobody: then it was given up after five "
        "minutes.",
    ),
    "alarm.missed": Message(
        NOTICE,
        "A timer or an alarm was due {minutes} minutes ago, while this speaker was off.",
        "The household was told; it rings only if that is not long ago.",
    ),
    "timers.restored": Message(
        INFO, "{count} timers and alarms go on.", "They were set before the last restart."
    ),
    # --- the panel ---------------------------------------------------------------------
    "panel.ready": Message(
        INFO,
        "Button and light are there[ ({factory})].",
        "The GPIO lines are in use by this program now.",
    ),
    "panel.absent": Message(
        INFO, "No button and light[: {why}].", "panel.enabled is off, or there are no GPIO lines."
    ),
    # --- the program -------------------------------------------------------------------
    "agent.start": Message(
        NOTICE,
        "edge-agent[ {version}] starts[ with provider {provider}].",
        "The first line of every run.",
    ),
    "agent.ready": Message(
        NOTICE,
        "Ready[ after {seconds} s].",
        "It listens. Being connected is not part of it: offline is not sick.",
    ),
    "agent.stopping": Message(NOTICE, "Stopping[ ({why})].", "In order, producers first."),
    "agent.stopped": Message(
        NOTICE, "Stopped[ after {seconds} s].", "The last line of a good run."
    ),
    "dialogue.illegal_move": Message(
        ERROR,
        "A fault in the program: the talk is {state}, where there is no move '{cause}'.",
        "The talk stays as it is and goes on. Noted once for each kind until the next start. "
        "This should not happen; please report it with this line.",
    ),
    "dialogue.unknown_event": Message(
        WARNING,
        "A part of the program tells of {kind}, which the dialogue does not know.",
        "It is left out and the talk goes on. Noted once for each kind until the next start. Parts "
        "of two versions are mixed: run scripts/install.sh once more.",
    ),
    "agent.fault": Message(
        ERROR,
        "A fault in the program: {kind}[ at {place}].",
        "It was left out and the program goes on; one that comes again and again is noted once. "
        "This should not happen; please report it with this line. Nothing of what was said is in "
        "it.",
    ),
    "watchdog.stalled": Message(
        ERROR,
        "Nothing moves in {part}; letting systemd restart the program.",
        "Sound frames or the event loop stood still for longer than health.stall_s. A deaf "
        "speaker is worse than a restart.",
    ),
    "shutdown.timeout": Message(
        WARNING, "{part} did not stop in time.", "The stop goes on without it."
    ),
    # --- what is kept, in a file of its own ----------------------------------------------
    **KEPT,
    **MCP,
    **DESK,
    "settings.advice": Message(
        NOTICE, "Settings: {advice}.", "Allowed, but probably not what was wanted."
    ),
    "journal.dropped": Message(
        WARNING,
        "{count} lines before this one were lost: the journal could not take them.",
        "The program never waits for the journal; a household waits for nobody's log.",
    ),
    "journal.left_out": Message(
        WARNING,
        "{count} lines about what others do were left out: there were too many in a minute.",
        "A server, a tool server or somebody at the control socket does the same thing over and "
        "over. Lines about the speaker itself are never left out for that.",
    ),
    "journal.repeated": Message(
        NOTICE,
        "The line before this one came {count} times more, and was left out.",
        "Something goes on and off, or fails again and again.",
    ),
    "journal.plain": Message(
        NOTICE,
        "Journal lines come without fields: {why}.",
        "They are still there to read, but cannot be filtered by EDGE_CODE or explained by "
        "journalctl -x. scripts/install.sh puts what is missing in place.",
    ),
    "library.complained": Message(
        WARNING,
        "{logger}: {template}",
        "A library underneath logged a warning; its arguments are left out.",
    ),
}


def catalog() -> str:
    """The text of `systemd/edge-agent.catalog`, for `journalctl --update-catalog`."""
    parts = ["# Generated from edge_agent/host/journal/messages.py; do not edit.\n"]
    for code, message in MESSAGES.items():
        # The subject is for all entries of this kind: without the optional parts.
        subject = re.sub(r"\[[^\[\]]*\]", "", message.text).rstrip(".")
        subject = re.sub(r"\{(\w+)\}", lambda m: f"@{field_name(m[1])}@", subject)
        parts.append(_catalog_entry(code, subject, message.explanation))
    for code, explanation in REASONS.items():
        if code not in MESSAGES:
            parts.append(_catalog_entry(code, f"Trouble: {code}", explanation))
    return "\n".join(parts)


def _catalog_entry(code: str, subject: str, explanation: str) -> str:
    return (
        f"-- {message_id(code)}\n"
        f"Subject: {subject}\n"
        "Defined-By: edge-agent\n\n"
        f"{code}: {explanation}\n"
    )


def field_name(name: str) -> str:
    """The journal field of a note's field: `latency_ms` → `EDGE_LATENCY_MS`.

    A field called `code` (why a link is down) must not hide the line's own EDGE_CODE.
    """
    if name == "code":
        return "EDGE_REASON_CODE"
    return "EDGE_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()
