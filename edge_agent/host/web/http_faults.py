"""HTTP faults: what can go wrong between us and a service of the owner's, in sentences.

`refused` for an answer, `unreachable` for none; the causes are the rows of `contract.net_faults`.

Owner: a worker's thread or the command line's; pure functions (and the clock, for a `Retry-After`
that is a date).  What the server said is never quoted: it may repeat the request, and half of the
key.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
from email.message import Message

from edge_agent.contract import net_faults
from edge_agent.contract.errors import AgentError, LinkError, LinkLost
from edge_agent.contract.net_faults import Fault, Peer, error_for

ERROR_MAX_BYTES = 65_536
"""The documented errors have some 300 bytes."""
_CODE = re.compile(r"[a-z0-9_.]{1,60}")
"""What a code or a parameter looks like; anything else may be words, or a key."""
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
"""What `urllib` says of a proxy that refuses."""
_INSIDE = {"server_error": net_faults.LATER}
"""Codes within a good answer that mean more there than anywhere else."""


def error_in(refusal: urllib.error.HTTPError) -> tuple[str, str]:
    """`(code, parameter)` of the documented error body, "" for what is not there.

    Its message is not read: it may quote the request, and half of the key.
    """
    try:
        error = json.loads(refusal.read(ERROR_MAX_BYTES))["error"]
        found = (error.get("code") or error.get("type"), error.get("param"))
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError, RecursionError):
        return "", ""
    except AttributeError:  # `error` is no object
        return "", ""
    code, parameter = (
        word if isinstance(word, str) and _CODE.fullmatch(word) else "" for word in found
    )
    return code, parameter


def refused(
    peer: Peer, status: int, headers: Message[str, str], error: tuple[str, str]
) -> AgentError:
    """What an answer that is no 2xx means."""
    code, parameter = error
    said = ", ".join(word for word in (f"HTTP {status}", code) if word)
    fault = net_faults.of_status(status, code)
    wait_s = net_faults.retry_after_s(headers.get("Retry-After"), time.time())
    return _error(peer, fault, said, parameter, wait_s)


def refused_inside(peer: Peer, code: str) -> AgentError:
    """What an error means that came inside of a good answer (`status: failed`)."""
    plain = code if _CODE.fullmatch(code) else ""
    fault = _INSIDE.get(plain) or net_faults.of_word(plain)
    return _error(peer, fault, plain or "no code")


def _error(
    peer: Peer, fault: Fault | None, said: str, about: str = "", wait_s: float | None = None
) -> AgentError:
    if fault is not None:
        return error_for(fault, peer, said, wait_s=wait_s)
    about = f", about {about}" if about else ""
    return AgentError(
        f"The service does not understand the request ({said}{about}).",
        fix=peer.doubt,
        code=f"{peer.code}.refused",
    )


def web_page(peer: Peer) -> LinkError:
    """An answer for a browser: no service of ours gives one."""
    return error_for(net_faults.PORTAL, peer)


def garbage(peer: Peer, what: str) -> LinkError:
    """An answer that makes no sense."""
    return LinkLost(
        f"The service sent {what}.", fix=f"Try again; is {peer.url} right?", code="link.garbage"
    )


def unreachable(peer: Peer, problem: Exception) -> LinkError:
    """What a failure below HTTP means."""
    if isinstance(problem, urllib.error.URLError) and isinstance(problem.reason, Exception):
        problem = problem.reason
    if tunnel := _TUNNEL.search(str(problem)):
        status = int(tunnel[1])
        return error_for(net_faults.of_tunnel(status), peer, f"HTTP {status}")
    fault = net_faults.of_exception(problem) or net_faults.BAD_ADDRESS
    return error_for(fault, peer, net_faults.detail_of(problem))
