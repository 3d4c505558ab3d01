"""Messages about the stronger model and what people left: a part of the catalogue (purpose).

Owner thread: none, a table.  Must never hold a field for a question, an answer or a message, as
`messages`.
"""

from __future__ import annotations

from edge_agent.host.journal.message import INFO, NOTICE, WARNING, Message

DESK: dict[str, Message] = {
    "supervisor.answered": Message(
        INFO,
        "The stronger model answered after {seconds} s ({tokens_in} tokens in, {tokens_out} out).",
        "The voice had asked it by the tool answer. These tokens are not in the day's costs.",
    ),
    "supervisor.failed": Message(
        WARNING,
        "The stronger model gave no answer: {message}[ {fix}] ({code})",
        "The household was told so. See supervisor in the settings. Nothing is tried again by "
        "itself; the next question is a new try, with the key as it is in its file then.",
    ),
    "messages.taken": Message(
        INFO,
        "Somebody left a message for the owner ({count} are kept).",
        "Read it: sudo edge-agent messages list.",
    ),
    "messages.sent": Message(
        INFO,
        "A message was sent[; {waiting} wait].",
        "The other side of messages.webhook_url has it.",
    ),
    "messages.undelivered": Message(
        WARNING,
        "{waiting} messages cannot be sent: {message}[ {fix}] ({code})",
        "They are kept, also over a restart, and tried again until they are taken: soon where "
        "that can help, every half to whole hour where only the owner can. Each is sent with an "
        "id of its own, so that one that arrives twice can be told.",
    ),
    "messages.deleted": Message(
        NOTICE, "{count} messages were deleted.", "Asked for by edge-agent messages delete."
    ),
    "messages.repaired": Message(
        WARNING,
        "The messages could not be read ({why}); the old file is kept as {path}.",
        "What people left is in that file; new messages begin a new one.",
    ),
    "messages.unwritable": Message(
        WARNING,
        "The messages cannot be saved ({why}).",
        "They will be sent if there is a webhook, but are forgotten at a restart; who left them "
        "was told so. See state.path in the settings: the file is beside it.",
    ),
}
