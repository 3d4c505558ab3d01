"""HTTP faults: what can go wrong between us and a service of the owner's, in sentences (purpose).

Owner thread: none, pure functions (and the clock, for a `Retry-After` that is a date).  Must never
quote what the server said: it may repeat the request, and half of the key.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
import urllib.error
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime

from edge_agent.contract.errors import AgentError, LinkBusy, LinkError, LinkLost, LinkRefused

ERROR_MAX_BYTES = 65_536
"""The documented errors have some 300 bytes."""
_CERT_NOT_YET_VALID, _CERT_EXPIRED = 9, 10  # X509_V_ERR_* of OpenSSL
_CODE = re.compile(r"[a-z0-9_.]{1,60}")
"""What a code or a parameter looks like; anything else may be words, or a key."""
_MODEL_CODES = ("model_not_found", "model_not_available", "model_access_denied")
_QUOTA_CODES = (
    *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"),
    *("credit_balance_exhausted", "quota_exceeded"),
)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is called, in words for a sentence, and where the owner can correct what is wrong."""

    name: str
    """As in: there is no ... at this address."""
    code: str
    """First part of the codes of its own faults: `speech` makes `speech.refused`."""
    url: str
    """The setting with its address."""
    example: str
    """What that looks like."""
    model: str = ""
    """What to do about a model that is refused."""
    key: str = "Put a valid one into /etc/edge-agent/openai_api_key (mode 600)."
    doubt: str = ""
    """What to look at when the service does not understand a request."""


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
    peer: Peer,
    status: int,
    headers: Message[str, str],
    error: tuple[str, str],
    *,
    inside: bool = False,
) -> AgentError:
    """What an answer that is no 2xx means; `inside`: it was one, and told an error."""
    code, parameter = error
    said = ", ".join(word for word in ("" if inside else f"HTTP {status}", code) if word)
    said = said or "no code"
    if code in _QUOTA_CODES:
        return LinkRefused(
            f"The account has no credit left ({said}).",
            fix="Look at the account's billing page; start it again afterwards.",
            code="link.no_quota",
        )
    if code in _MODEL_CODES:
        return LinkRefused(
            f"The account may not use this model, or there is none of that name ({said}).",
            fix=peer.model,
            code="link.no_model",
        )
    if status == 401:
        return LinkRefused(
            f"The service does not accept the key ({said}).",
            fix=peer.key,
            code="link.bad_key",
        )
    if status == 403:
        return LinkRefused(
            f"The service refuses this account ({said}).",
            fix="Look at the account: its region, project and permissions.",
        )
    if status == 407:
        return _proxy()
    if status == 429:
        wait_s = _retry_after_s(headers)
        when = f"in {wait_s:.0f} s" if wait_s else "in a minute"
        return LinkBusy(
            f"Too much was asked in a short time ({said}).",
            fix=f"Try again {when}.",
            retry_after_s=wait_s,
        )
    if status >= 500:
        return LinkBusy(
            f"The service has trouble of its own ({said}).",
            fix="Try again later.",
            retry_after_s=_retry_after_s(headers),
        )
    if status in (404, 405):
        return LinkRefused(
            f"There is no {peer.name} at this address ({said}).",
            fix=f"Correct {peer.url}.",
            code="link.bad_url",
        )
    if 300 <= status < 400:
        return LinkLost(
            f"The answer leads somewhere else ({said}), which is not followed.",
            fix=f"Correct {peer.url}, or sign in to this network with a browser.",
            code="link.captive_portal",
        )
    about = f", about {parameter}" if parameter else ""
    return AgentError(
        f"The service does not understand the request ({said}{about}).",
        fix=peer.doubt,
        code=f"{peer.code}.refused",
    )


def refused_inside(peer: Peer, code: str) -> AgentError:
    """What an error means that came inside of a good answer (`status: failed`)."""
    known = {"rate_limit_exceeded": 429, "server_error": 500}
    plain = code if _CODE.fullmatch(code) else ""
    return refused(peer, known.get(code, 400), Message(), (plain, ""), inside=True)


def web_page(peer: Peer) -> LinkError:
    """An answer for a browser: no service of ours gives one."""
    return LinkLost(
        "A web page came instead of the service.",
        fix=f"Sign in to this network with a browser, or correct {peer.url}.",
        code="link.captive_portal",
    )


def garbage(peer: Peer, what: str) -> LinkError:
    """An answer that makes no sense."""
    return LinkLost(
        f"The service sent {what}.", fix=f"Try again; is {peer.url} right?", code="link.garbage"
    )


def _proxy() -> LinkRefused:
    return LinkRefused(
        "The proxy refuses.",
        fix="Correct HTTPS_PROXY or its password, or list the host in NO_PROXY.",
        code="link.proxy",
    )


def _retry_after_s(headers: Message[str, str]) -> float | None:
    """`Retry-After` in seconds: a number, or a date (RFC 9110 section 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,6}(\.\d+)?", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def unreachable(peer: Peer, problem: Exception) -> LinkError:
    """What a failure below HTTP means."""
    if isinstance(problem, urllib.error.URLError) and isinstance(problem.reason, Exception):
        problem = problem.reason
    if isinstance(problem, ssl.SSLCertVerificationError):
        if problem.verify_code in (_CERT_NOT_YET_VALID, _CERT_EXPIRED):
            return LinkRefused(
                "The certificate is not valid at the time of this machine's clock.",
                fix="See: timedatectl",
                code="link.clock",
            )
        return LinkRefused(
            "The certificate of the other side is not to be trusted.",
            fix="Another device may be answering; or install: ca-certificates. A service of your "
            "own needs its authority in realtime.ca_file.",
            code="link.tls",
        )
    if isinstance(problem, socket.gaierror):
        return LinkLost(
            "The service's name could not be looked up.",
            fix=f"Is the network up, and {peer.url} right?",
            code="link.dns",
        )
    if isinstance(problem, TimeoutError):
        return LinkLost(
            "The service did not answer in time.", fix="Try again.", code="link.timeout"
        )
    if "Tunnel connection failed" in str(problem):
        return _proxy()
    if isinstance(problem, ssl.SSLError):
        return LinkRefused(
            "No secure connection could be made.",
            fix=f"Is {peer.url} right, and does it speak https?",
            code="link.tls",
        )
    if isinstance(problem, (ConnectionResetError, BrokenPipeError, http.client.HTTPException)):
        return LinkLost("The connection broke.", fix="Try again.")
    if isinstance(problem, OSError):
        return LinkLost(
            "The service could not be reached.",
            fix=f"Is the network up, and {peer.url} right?",
            code="link.unreachable",
        )
    return LinkRefused(
        f"{peer.url} is not an address that can be called.",
        fix=f"It looks like {peer.example}",
        code="link.bad_url",
    )
