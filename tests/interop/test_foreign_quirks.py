"""What foreign servers really say, as `scripts/interop.sh` heard it.

It must never need those servers: their words are written down here.
"""

from __future__ import annotations

from edge_agent.contract.errors import LinkBusy
from edge_agent.realtime.protocol import faults


def test_a_server_whose_slots_are_taken_is_asked_again_soon() -> None:
    """speech-to-speech 1.1.0, with one slot: our own last session keeps it for some seconds."""
    assert isinstance(faults.from_close(1008, "All session slots are in use"), LinkBusy)
    told = "All 1 session slots are in use. Disconnect an existing client first."
    assert faults.from_error_event("session_limit_reached", told) is None
