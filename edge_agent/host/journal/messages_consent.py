"""Messages about tools, consent and guests: what was asked, decided and done, never what about
(purpose).

Owner thread: none, data; a part of `messages`.  Must never hold a field for arguments or words.
"""

from __future__ import annotations

from edge_agent.host.journal.message import DEBUG, INFO, NOTICE, Message

CONSENT: dict[str, Message] = {
    "tool.started": Message(
        INFO, "Tool {name} started[ (risk: {risk})].", "The model asked for it, and it might."
    ),
    "tool.finished": Message(
        INFO,
        "Tool {name} finished[ in {ms} ms][ (ok: {ok})].",
        "Its result went back to the model. RISK is that of its start.",
    ),
    "tool.refused": Message(
        NOTICE,
        "Tool {name} was not run[ ({why})].",
        "The model was told so in words. RISK is low, medium or high. WHY: no, unclear: that was "
        "the household's answer; expired: nobody answered; unheard: the question could not be "
        "heard; guest: guest mode is on; interrupted, "
        "gone, connection lost: the question was withdrawn; asked already, refused before, runs "
        "already: it was the same call again; changed: the tool became more dangerous while it was "
        "asked about; no such tool: the model made it up, or its server has gone.",
    ),
    "consent.asked": Message(
        INFO,
        "The household has to agree to {name} (risk: {risk}, by {by}).",
        "A tool of medium risk needs a yes in words, one of high risk the button. See consent in "
        "the settings.",
    ),
    "consent.given": Message(
        NOTICE,
        "The household agreed to {name} by {by}[ after {seconds} s] (risk: {risk}).",
        "Exactly the call that was asked about runs now.",
    ),
    "consent.press_ignored": Message(
        NOTICE,
        "A press of the button came too early to agree to anything.",
        "Only a press that begins 0.4 s after the end of the question agrees to it, and only once "
        "the button is up again: what was pressed before meant something else.",
    ),
    "guest.on": Message(
        NOTICE,
        "Guest mode is on.",
        "Only what is harmless is done until it is off again, also after a restart: "
        "`edge-agent guest off`, or two quick presses of the talk button while it sleeps.",
    ),
    "guest.off": Message(NOTICE, "Guest mode is off.", "Consent is asked for again where needed."),
    "transcript.failed": Message(
        DEBUG,
        "A turn could not be written down.",
        "The talk does not need it. If it is always so, the provider answers no side questions: "
        'set realtime.transcription to "builtin" or "off".',
    ),
}
