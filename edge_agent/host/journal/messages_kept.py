"""Messages about what is kept on this machine: a part of the catalogue (purpose).

Owner thread: none, a table.  Must never hold a field for a household's words, as `messages`.
"""

from __future__ import annotations

from edge_agent.host.journal.message import INFO, NOTICE, WARNING, Message

KEPT: dict[str, Message] = {
    "state.repaired": Message(
        WARNING,
        "The saved state could not be used ({why}); the old file is kept as {path}.",
        "The volume is at its default. Mute and guest mode are on where it could not be known, and "
        "stay on until somebody ends them.",
    ),
    "state.unwritable": Message(
        WARNING,
        "The state cannot be saved ({why}).",
        "Mute, guest mode and volume will not survive a reboot. The household is told so, and it "
        "is tried again until it is saved. See state.path in the settings.",
    ),
    "state.saved": Message(
        INFO,
        "The state could be saved again.",
        "Mute, guest mode and volume survive a reboot.",
    ),
    "usage.repaired": Message(
        WARNING,
        "The record of use could not be read ({why}); the old file is kept as {path}.",
        "Tokens and money are counted from zero again, also for a daily cap.",
    ),
    "usage.unwritable": Message(
        WARNING,
        "The record of use cannot be saved ({why}).",
        "Tokens and money of today will be forgotten at a restart. See state.path in the "
        "settings: the file is beside it.",
    ),
    "timers.repaired": Message(
        WARNING,
        "The timers and alarms could not be read ({why}); the old file is kept as {path}.",
        "None of them will ring: set them again.",
    ),
    "timers.unwritable": Message(
        WARNING,
        "The timers and alarms cannot be saved ({why}).",
        "They will ring, but will be forgotten at a restart. See state.path in the settings: the "
        "file is beside it.",
    ),
    "facts.repaired": Message(
        WARNING,
        "The facts could not be read ({why}); the old file is kept as {path}.",
        "What the household had asked to be remembered is in that file; the memory begins anew.",
    ),
    "facts.unusable": Message(
        WARNING,
        "The facts cannot be read or kept ({why}).",
        "The household is told so when it asks. Nothing is lost. The file is beside state.path.",
    ),
    "keepsakes.unwritable": Message(
        WARNING,
        "Transcripts or recordings cannot be kept ({why}).",
        "Talk goes on; what is said in the meantime is not kept. See privacy in the settings.",
    ),
    "keepsakes.dropped": Message(
        WARNING,
        "{count} turns were not kept: the disk is too slow.",
        "Nothing waits for the disk, least of all talk.",
    ),
    "keepsakes.deleted": Message(
        NOTICE,
        "Deleted {count} files of transcripts and recordings.",
        "They were older than privacy.keep_transcripts_days or keep_audio_days allow, or the "
        "recordings had grown beyond keep_audio_max_mb.",
    ),
}
