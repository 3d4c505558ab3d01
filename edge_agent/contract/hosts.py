"""Hosts: which of them is this machine.

Call `is_loopback` before a key or a household's voice is sent without encryption.  It must never
ask the name service: its answer could be somebody else's.
"""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, without port) is this very machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
