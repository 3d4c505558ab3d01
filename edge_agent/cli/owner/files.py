"""The speaker's own files: whether this account may look at them.

Call `check_may_read` before a file of the state folder is opened: a refusal names its cause.
Thread: main.  It must never open the file.
"""

from __future__ import annotations

import os
from pathlib import Path


def check_may_read(path: Path) -> None:
    """Raises `AgentError` where another account's rights keep this one away; a file that is not
    there is none of them."""
    from edge_agent.contract.errors import AgentError

    try:
        path.stat()
        may_read = os.access(path, os.R_OK)
    except PermissionError:
        may_read = False
    except OSError:
        return
    if not may_read:
        raise AgentError(
            f"This account may not read {path}, which is the speaker's own.",
            fix="Start it with sudo.  (Who is in the group edge-agent may ask the running speaker: "
            "status, mute, guest, volume, say, timers.)",
            code="account.may_not_read",
        )
