"""Network faults: what can go wrong between us and a service, one row per cause.

Ask `of_status` about an HTTP answer, `of_word` about a service's own word, `of_exception` about
what a library raised, `of_tunnel` about a proxy; `error_for` turns the row into an exception with a
sentence and a remedy for this `Peer`.  The Realtime dialer and the HTTPS client give the same
answer to the same trouble because both ask here.

What a service said never stands in an error: it may repeat half a key.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from edge_agent.contract.errors import LinkBusy, LinkError, LinkLost, LinkRefused


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
    key: str = "Put a valid one into /etc/edge-agent/openai_api_key (mode 640)."
    doubt: str = ""
    """What to look at when the service does not understand a request."""
    retries: bool = False
    """Whether the program tries again by itself, so that nobody is told to."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One cause.  `message` and `fix` may name fields of the `Peer` in braces.

    `again`: trying again is a remedy.
    """

    code: str
    kind: type[LinkError]
    message: str
    fix: str = ""
    again: bool = False


# --- what the service says -------------------------------------------------------------
BAD_KEY = Fault("link.bad_key", LinkRefused, "The service does not accept the key.", "{key}")
NO_QUOTA = Fault(
    "link.no_quota",
    LinkRefused,
    "The account has no credit left.",
    "Top up the account or raise its limit on its billing page.",
)
NO_MODEL = Fault(
    "link.no_model",
    LinkRefused,
    "The account may not use this model, or there is none of that name.",
    "{model}",
)
REFUSED = Fault(
    "link.refused",
    LinkRefused,
    "The service refuses this account.",
    "Look at the account: its region, project and permissions.",
)
DIALECT = Fault(
    "link.dialect",
    LinkRefused,
    "The server does not speak the Realtime protocol that we speak.",
    "Choose the right provider for this URL, or update the server.",
)
EXPIRED = Fault("link.session_expired", LinkLost, "The session reached the provider's time limit.")
TOO_MUCH = Fault("link.busy", LinkBusy, "Too much was asked in a short time.", again=True)
LATER = Fault("link.busy", LinkBusy, "The service asks to come back later.", again=True)

# --- what answers in its place ---------------------------------------------------------
NOT_THERE = Fault(
    "link.bad_url", LinkRefused, "There is no {name} at this address.", "Correct {url}."
)
BAD_ADDRESS = Fault(
    "link.bad_url",
    LinkRefused,
    "{url} is not an address that can be called.",
    "It looks like {example}",
)
PORTAL = Fault(
    "link.captive_portal",
    LinkLost,
    "A web page or another address came instead of the {name}.",
    "Correct {url}, or sign in to this network with a browser.",
)
PROXY_LOGIN = Fault(
    "link.proxy",
    LinkRefused,
    "The proxy wants a user name and a password.",
    "Put them into HTTPS_PROXY, or list the host in NO_PROXY.",
)
PROXY_TUNNEL = Fault(
    "link.proxy",
    LinkLost,
    "The proxy could not reach the {name}.",
    "Check HTTPS_PROXY and the network behind the proxy.",
)
BAD_PROXY = Fault(
    "link.proxy",
    LinkRefused,
    "The proxy cannot be used.",
    "Check HTTPS_PROXY and NO_PROXY; SOCKS needs the package python-socks.",
)

# --- encryption ------------------------------------------------------------------------
CLOCK = Fault(
    "link.clock",
    LinkLost,  # no refusal: a Pi without a clock battery gets the time from the network soon
    "The certificate is not valid at the time of this machine's clock.",
    "Check date and time of this device: timedatectl",
)
UNTRUSTED = Fault(
    "link.tls",
    LinkRefused,
    "The certificate of the other side is not to be trusted.",
    "Another device may be answering; or install: ca-certificates. A service of your own needs "
    "its authority in realtime.ca_file.",
)
NO_TLS = Fault(
    "link.tls",
    LinkRefused,
    "No secure connection could be made.",
    "Is {url} right, and does the server speak TLS on that port?",
)

# --- the way there ---------------------------------------------------------------------
NO_NAME = Fault(
    "link.dns",
    LinkLost,
    "The name of the {name} could not be looked up.",
    "Is the network up, and {url} right?",
)
TIMEOUT = Fault("link.timeout", LinkLost, "The {name} did not answer in time.", again=True)
CUT = Fault("link.lost", LinkLost, "The connection broke.", again=True)
UNREACHABLE = Fault(
    "link.unreachable",
    LinkLost,
    "The {name} could not be reached.",
    "Is the network up, and {url} right?",
)

WORDS: tuple[tuple[Fault, tuple[str, ...]], ...] = (
    (
        BAD_KEY,
        ("invalid_api_key", "incorrect_api_key", "missing_api_key", "authentication_error"),
    ),
    (
        NO_QUOTA,
        (
            *("insufficient_quota", "quota_exceeded", "credit_balance_exhausted"),
            *("account_deactivated", "billing_hard_limit_reached", "billing_not_active"),
        ),
    ),
    (DIALECT, ("beta_api_shape_disabled",)),
    (NO_MODEL, ("model_not_found", "model_not_available", "model_access_denied")),
    (EXPIRED, ("session_expired", "maximum duration")),
    (TOO_MUCH, ("rate_limit_exceeded", "too_many_requests")),
    # speech-to-speech closes with 1008 while the slot of our last session is not free yet.
    (LATER, ("server_overloaded", "session_limit_reached", "slots are in use")),
)
"""Words of services, as codes of errors and inside the reasons of close frames."""

NAMED: dict[str, Fault] = {
    fault.code: fault for fault in (BAD_KEY, NO_QUOTA, NO_MODEL, DIALECT, EXPIRED, LATER)
}
"""What a provider's table may say that a bare close code means (`close_hints`)."""

_STATUSES: dict[int, Fault] = {
    **dict.fromkeys(range(300, 400), PORTAL),
    401: BAD_KEY,
    403: REFUSED,
    **dict.fromkeys((404, 405), NOT_THERE),
    407: PROXY_LOGIN,
    **dict.fromkeys((408, 425), LATER),
    429: TOO_MUCH,
    **dict.fromkeys(range(500, 600), LATER),
    511: PORTAL,  # RFC 6585: a network that wants a sign-in
}

_CLASSES: tuple[tuple[Fault, frozenset[str]], ...] = (
    (BAD_ADDRESS, frozenset({"InvalidURI", "InvalidURL"})),
    (BAD_PROXY, frozenset({"ProxyError", "InvalidProxy"})),
    (
        CUT,
        frozenset(
            {
                *("SSLEOFError", "SSLZeroReturnError", "EOFError", "IncompleteRead"),
                *("ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError"),
            }
        ),
    ),
    (UNTRUSTED, frozenset({"SSLCertVerificationError"})),
    (NO_TLS, frozenset({"SSLError"})),
    (NO_NAME, frozenset({"gaierror"})),
    (TIMEOUT, frozenset({"TimeoutError"})),
    # Of `http.client` and `websockets`: what answers speaks something else.
    (NOT_THERE, frozenset({"HTTPException", "InvalidHandshake"})),
    (UNREACHABLE, frozenset({"OSError"})),
)
"""Exceptions by the names of their classes, the first that fits: the libraries themselves have no
place in this room."""

_CLOCK_CODES = {9: "not valid yet", 10: "expired"}
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED."""
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


def of_word(text: str) -> Fault | None:
    """The row for a word of the service within `text`: a code, a reason, a body."""
    return next((fault for fault, words in WORDS if any(w in text for w in words)), None)


def word_for(fault: Fault) -> str:
    """The word that most services have for this row."""
    return next(words[0] for row, words in WORDS if row is fault)


def of_status(status: int, text: str = "", *, html: bool = False) -> Fault | None:
    """The row for an HTTP answer that is not the one we want; None: it is about the request.

    `text`: the body, or the code in it.  `html`: the body is a web page.
    """
    found = of_word(text)
    if found in (BAD_KEY, NO_QUOTA, NO_MODEL, DIALECT):
        return found
    if html and status < 400:
        return PORTAL
    return _STATUSES.get(status)


def of_tunnel(status: int) -> Fault:
    """The row for a proxy that does not lead to the service, by its HTTP status."""
    return PROXY_LOGIN if status == 407 else PROXY_TUNNEL


def of_exception(error: BaseException) -> Fault | None:
    """The row for what a network library raised; None: it is none of the network."""
    names = {kind.__name__ for kind in type(error).__mro__}
    found = next((fault for fault, known in _CLASSES if not names.isdisjoint(known)), None)
    if found is UNTRUSTED and getattr(error, "verify_code", 0) in _CLOCK_CODES:
        return CLOCK
    # A line that broke in the middle of the handshake is no other service.
    return CUT if found is NOT_THERE and _is_cut(error) else found


def _is_cut(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (EOFError, ConnectionError)):
            return True
        cause = cause.__cause__
    return False


def detail_of(error: BaseException) -> str:
    """What the encryption library adds to the row, in its own fixed words."""
    clock = _CLOCK_CODES.get(getattr(error, "verify_code", 0))
    detail = clock or getattr(error, "verify_message", "") or getattr(error, "reason", "")
    is_tls = any(kind.__name__ == "SSLError" for kind in type(error).__mro__)
    return str(detail or "") if is_tls else ""


def error_for(
    fault: Fault, peer: Peer, said: str = "", *, wait_s: float | None = None
) -> LinkError:
    """The exception for `fault`.

    `said`: which status or code told it, in words that are not the service's; `wait_s`: when it
    wants to be asked again.
    """
    fields = {"name": peer.name, "url": peer.url, "example": peer.example}
    fields |= {"key": peer.key, "model": peer.model}
    message = fault.message.format(**fields)
    if said:
        message = f"{message.removesuffix('.')} ({said})."
    fix = fault.fix.format(**fields)
    if fault.again and not peer.retries:
        fix = f"Try again {_when(fault, wait_s)}."
    if issubclass(fault.kind, LinkBusy):
        return fault.kind(message, fix=fix, code=fault.code, retry_after_s=wait_s)
    return fault.kind(message, fix=fix, code=fault.code)


def _when(fault: Fault, wait_s: float | None) -> str:
    if wait_s:
        return f"in {wait_s:.0f} s"
    return "in a minute" if fault is TOO_MUCH else "later"


def retry_after_s(value: str | None, wall_s: float) -> float | None:
    """Seconds from a `Retry-After` header; None if it makes no sense.

    It holds a number or a date (RFC 9110 section 10.2.3), which is compared with `wall_s`, the
    time in Unix seconds.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - wall_s
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
