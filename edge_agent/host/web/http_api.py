"""HTTP API: one request to a service of the owner's, and its answer or an error of ours.

Thread: the command line's main one or a worker's; never the event loop (every call blocks). It must
never follow a redirect (the key would go along), never put the key, what was sent or the server's
own words into an error, and never read without a limit of size and time.

Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY; this machine is called directly.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit, urlunsplit

from edge_agent.contract.errors import AgentError, ConfigError, LinkLost
from edge_agent.contract.hosts import is_loopback
from edge_agent.contract.net_faults import Peer
from edge_agent.contract.secrets import in_use
from edge_agent.host.web.http_bounds import (
    HEAD_MAX_BYTES,
    BoundedRequest,
    Bounds,
    TooMuch,
    handlers,
)
from edge_agent.host.web.http_faults import error_in, garbage, refused, unreachable
from edge_agent.host.web.http_retry import AT_ONCE, Patience

SILENCE_TIMEOUT_S = 60.0
"""Longest wait for the next byte: a model may think that long over a long question."""
CALL_TIMEOUT_S = 600.0
"""Longest call: 25 MB over a slow uplink and back."""
_CHUNK_BYTES = 65_536

Special = Callable[[int, str], AgentError | None]
"""What a status and the parameter that is complained of mean to one caller alone."""


def api_base(
    realtime_url: str,
    api_url: str = "",
    *,
    allow_insecure: bool = False,
    setting: str = "speech.api_url",
) -> str:
    """The address before `/audio/…`: `api_url` if it is set, else the Realtime address turned
    into a web one (`wss://host/v1/realtime` → `https://host/v1`).  Raises ConfigError."""
    if api_url:
        base = api_url.rstrip("/")
    else:
        parts = urlsplit(realtime_url)
        scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
        path = parts.path.rstrip("/").removesuffix("/realtime")
        base = urlunsplit((scheme, parts.netloc, path, "", ""))
    if base.startswith("http://") and not (
        allow_insecure or is_loopback(urlsplit(base).hostname or "")
    ):
        raise ConfigError(
            f"{setting} is not encrypted (http://) and goes to another machine.",
            fix="Use https://, or set realtime.allow_insecure_url = true if you trust every "
            "device on that network.",
        )
    return base


def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """Trusts the system's authorities and those of `ca_file`.  Raises ConfigError."""
    context = ssl.create_default_context()
    try:
        if ca_file:
            context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as problem:
        why = "it holds no certificate" if isinstance(problem, ssl.SSLError) else problem.strerror
        raise ConfigError(
            f"The file of authorities {ca_file} cannot be used: {why}.",
            fix="Correct realtime.ca_file: it must be a readable PEM file.",
        ) from problem
    return context


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other, and one that we do not want."""

    def redirect_request(self, *_question: object) -> None:
        """As `urllib` wants it: None is "no other request"."""


class HttpApi:
    """One service.  `auth`: `bearer`, `api-key` (that header) or `none`; `key` may be empty.

    `ca_file` as in `tls_context`, which says what is raised for it.  `call_timeout_s` holds for
    all tries that `patience` allows, and the pauses between them.
    """

    def __init__(
        self,
        base: str,
        key: str,
        *,
        peer: Peer,
        auth: str = "bearer",
        ca_file: str = "",
        silence_timeout_s: float = SILENCE_TIMEOUT_S,
        call_timeout_s: float = CALL_TIMEOUT_S,
        patience: Patience = AT_ONCE,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base = base
        self.peer = peer
        self._headers: dict[str, str] = {}
        in_use(key)
        if key and auth == "api-key":
            self._headers["api-key"] = key
        elif key and auth != "none":
            self._headers["Authorization"] = f"Bearer {key}"
        self._silence_timeout_s = silence_timeout_s
        self._call_timeout_s = call_timeout_s
        self._patience = patience
        self._seconds = seconds
        here = is_loopback(urlsplit(base).hostname or "")
        # Without an argument it reads the proxies of the environment.
        proxies = urllib.request.ProxyHandler({}) if here else urllib.request.ProxyHandler()
        bounded = handlers(tls_context(ca_file))
        self._opener = urllib.request.build_opener(proxies, *bounded, _NoRedirect)

    def __repr__(self) -> str:
        return f"HttpApi({self.base!r})"

    def post(
        self,
        path: str,
        body: bytes,
        kind: str,
        limit_bytes: int,
        *,
        headers: Mapping[str, str] | None = None,
        special: Special = lambda _status, _parameter: None,
    ) -> tuple[str, bytes]:
        """The content type and the body of a good (2xx) answer to `body` of content type `kind`.

        `path` is put behind the base, "" is the base itself.  `limit_bytes` 0: its body is not
        read.  `special` may know a better error for a refusal.  Raises AgentError.
        """
        until_s = self._seconds() + self._call_timeout_s

        def request() -> BoundedRequest:
            url = f"{self.base}/{path}" if path else self.base
            made = BoundedRequest(url, data=body, method="POST")
            limit = HEAD_MAX_BYTES + 2 * limit_bytes
            made.bounds = Bounds(self._silence_timeout_s, until_s, limit, self._seconds)
            made.add_header("Content-Type", kind)
            made.add_header("User-Agent", "edge-agent")
            for name, value in (headers or {}).items():
                made.add_header(name, value)
            for name, value in self._headers.items():
                made.add_unredirected_header(name, value)
            return made

        return self._patience.run(
            lambda: self._answer(request, limit_bytes, special),
            lambda: until_s - self._seconds(),
        )

    def _answer(
        self, request: Callable[[], BoundedRequest], limit_bytes: int, special: Special
    ) -> tuple[str, bytes]:
        try:
            with self._opener.open(request(), timeout=self._silence_timeout_s) as answer:
                content = self._read(answer, limit_bytes) if limit_bytes else b""
                return answer.headers.get_content_type(), content
        except urllib.error.HTTPError as refusal:
            with refusal:
                error = error_in(refusal)
                known = special(refusal.code, error[1])
                raise known or refused(self.peer, refusal.code, refusal.headers, error) from None
        except TooMuch:
            raise self._too_much(limit_bytes) from None
        except (OSError, http.client.HTTPException, ValueError) as problem:
            # `from None`: these quote addresses and headers, and so might quote the key.
            raise unreachable(self.peer, problem) from None

    def _read(self, answer: http.client.HTTPResponse, limit_bytes: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while chunk := answer.read1(_CHUNK_BYTES):
            size += len(chunk)
            chunks.append(chunk)
            if size > limit_bytes:
                raise self._too_much(limit_bytes)
        if answer.length:  # read1 takes a line that breaks off for the end
            raise LinkLost("The connection broke within the answer.", fix="Try again.")
        return b"".join(chunks)

    def _too_much(self, limit_bytes: int) -> AgentError:
        limit = f"{limit_bytes // 1_000_000} MB" if limit_bytes else "an answer needs"
        return garbage(self.peer, f"more than {limit}")
