"""Muted: nothing but the speaker itself, unmuted, opens the microphone.

Whatever verb would record calls `check_not_muted` first.

Thread: main thread.  It never opens a microphone, nor writes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.contract.errors import DeviceError

if TYPE_CHECKING:
    from edge_agent.host.settings.root import Settings


def check_not_muted(settings: Settings) -> None:
    """Raises `DeviceError` if the household's speaker is muted, running or not, and `ControlError`
    if it runs and cannot be asked."""
    from edge_agent.host.service.control import NotRunning, ask, client_paths
    from edge_agent.host.stores.state import is_saved_as_muted, state_path

    try:
        answer = ask({"do": "status"}, client_paths(settings.control.path))
        muted = answer.get("microphone") != "open"
    except NotRunning:
        muted = is_saved_as_muted(state_path(settings.state.path))
    if muted:
        raise DeviceError(
            "The microphone is muted, so nothing records.",
            fix="Open it first: edge-agent mute off",
            code="device.muted",
        )
