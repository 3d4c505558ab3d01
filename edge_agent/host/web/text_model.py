"""Text model: one question over HTTPS to a model that reads and writes.

Thread: the command line's main one or a worker's; never the event loop (it blocks). It must never
put the key, the question, the answer or the server's words into an error or a log.

The wire is the provider's documented API: `POST BASE/responses`, with `store` false so that
nothing is kept there; or, for servers at home, `POST BASE/chat/completions`.  The limits and the
errors below HTTP are those of `http_api`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from edge_agent.contract import net_faults
from edge_agent.contract.errors import AgentError, LinkRefused
from edge_agent.contract.events import Usage
from edge_agent.contract.net_faults import Peer, error_for
from edge_agent.host.price_list import load_providers, owners_path
from edge_agent.host.secret_files import NOT_A_KEY, KeySource, read_token
from edge_agent.host.web.http_api import HttpApi, api_base
from edge_agent.host.web.http_faults import garbage, refused_inside, web_page
from edge_agent.host.web.http_retry import TALK_PATIENCE, Patience

if TYPE_CHECKING:
    from edge_agent.host.settings.root import Settings

Dialect = Literal["responses", "chat"]
UsedFunction = Callable[[Usage | None], None]
"""Told on the calling thread what an answer has used, also one that is of no use; None: a good one
came without figures."""

PEER = Peer(
    name="text model",
    code="text_model",
    url="supervisor.url",
    example="https://api.openai.com/v1",
    model="Correct supervisor.model.",
    key="Put a valid one into /etc/edge-agent/openai_api_key (mode 640), or into the file of "
    "supervisor.api_key_file if that is set.",
    doubt="Does the model take this request? Servers at home often want supervisor.api = "
    '"chat", and some models a larger supervisor.max_output_tokens.',
)
ANSWER_MAX_BYTES = 2_000_000
"""More than any model writes within its limit of tokens, its hidden thoughts included."""
NO_SENSE = "an answer that makes no sense"
COUNT_MAX = 10**9
"""More tokens than any context holds: a larger figure is a slip of the server's."""
OUTPUT_MIN_TOKENS = 16
"""The Responses API takes no smaller limit."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back.  `is_whole`: it was not cut at the limit of tokens."""

    text: str
    is_whole: bool = True
    tokens_in: int = 0
    tokens_out: int = 0


class TextModel:
    """One model of one service.  `options` are those of `HttpApi`: `auth`, `ca_file`, times,
    `patience`.

    `used` is told what each answer has cost.  A call that breaks off tells nothing, although the
    service may bill it.  `peer` names the settings that an error's remedy speaks of.
    """

    def __init__(
        self,
        base: str,
        key: str,
        *,
        model: str,
        dialect: Dialect = "responses",
        peer: Peer = PEER,
        used: UsedFunction = lambda _usage: None,
        **options: Any,
    ) -> None:
        self.base = base
        self.model = model
        self.dialect = dialect
        self._peer = peer
        self._used = used
        self._http = HttpApi(base, key, peer=peer, **options)

    def __repr__(self) -> str:
        return f"TextModel({self.model!r} at {self.base!r})"

    def answer(self, instructions: str, question: str, *, max_output_tokens: int) -> str:
        """The whole answer.  Raises AgentError: the codes of `http_faults`, and
        `text_model.cut`, `text_model.refused`, `text_model.filtered`."""
        answered = self.ask(instructions, question, max_output_tokens=max_output_tokens)
        if not answered.is_whole:
            raise _cut(self._peer)
        return answered.text

    def ask(self, instructions: str, question: str, *, max_output_tokens: int) -> Answered:
        """As `answer`, but an answer that reached its limit is returned as far as it goes."""
        limit = max(OUTPUT_MIN_TOKENS, max_output_tokens)
        is_chat = self.dialect == "chat"
        entry: dict[str, Any] = {"model": self.model}
        if is_chat:
            entry["messages"] = [
                {"role": "system", "content": instructions},
                {"role": "user", "content": question},
            ]
            entry["max_tokens"] = limit
        else:
            entry |= {"instructions": instructions, "input": question}
            entry |= {"max_output_tokens": limit, "store": False}
        kind, raw = self._http.post(
            "chat/completions" if is_chat else "responses",
            json.dumps(entry).encode(),
            "application/json",
            ANSWER_MAX_BYTES,
        )
        if "html" in kind:
            raise web_page(self._peer)
        try:
            told = json.loads(raw)
        except (ValueError, RecursionError):
            raise garbage(self._peer, NO_SENSE) from None
        if (usage := usage_in(told)) is not None:
            self._used(usage)
        try:
            answered = self._from_chat(told) if is_chat else self._from_response(told)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            raise garbage(self._peer, NO_SENSE) from None
        if usage is None:
            self._used(None)
        if not answered.text:
            raise garbage(self._peer, "no answer") if answered.is_whole else _cut(self._peer)
        return answered

    def _from_response(self, told: Any) -> Answered:
        status, details = told["status"], told.get("incomplete_details") or {}
        if status == "failed":
            error = told.get("error") or {}
            raise refused_inside(self._peer, str(error.get("code")))
        if details.get("reason") == "content_filter":
            raise _filtered()
        content = [
            part for item in told["output"] if item["type"] == "message" for part in item["content"]
        ]
        if any(part["type"] == "refusal" for part in content):
            raise _filtered()
        text = "".join(part["text"] for part in content if part["type"] == "output_text")
        return _answered(text, told, is_whole=status == "completed")

    def _from_chat(self, told: Any) -> Answered:
        choice = told["choices"][0]
        if choice.get("finish_reason") == "content_filter" or choice["message"].get("refusal"):
            raise _filtered()
        text = choice["message"].get("content") or ""
        return _answered(text, told, is_whole=choice.get("finish_reason") != "length")


def text_model(
    settings: Settings,
    *,
    model: str = "",
    max_seconds: float = 0.0,
    peer: Peer = PEER,
    patience: Patience = TALK_PATIENCE,
    used: UsedFunction = lambda _usage: None,
    shared_key: KeySource | None = None,
) -> TextModel:
    """The model of the settings' `[supervisor]`; `model` in its place, `max_seconds` (0: the
    settings') for the whole call, `patience` for when it is busy; `used` as in `TextModel`.  Reads
    the key's file.  `shared_key`: that of the Realtime service, from before its file may have
    changed; None: as the settings were read.

    Raises ConfigError for an address or a file that will not do, and LinkRefused where a key is
    needed and there is none (`link.no_key`), or it cannot be read (`link.key_unreadable`).
    """
    realtime, desk = settings.realtime, settings.supervisor
    record = load_providers(owners_path(realtime.providers_file)).record(realtime.provider)
    realtime_url = realtime.url or record.url
    base = api_base(
        realtime_url,
        desk.url,
        allow_insecure=realtime.allow_insecure_url,
        setting=peer.url,
    )
    # Another house than the Realtime service's speaks the usual way, and is not shown its key.
    is_same = urlsplit(base).netloc == urlsplit(realtime_url).netloc
    auth = record.auth if is_same else "bearer"
    if desk.api_key_file:
        key = read_token(Path(desk.api_key_file), "supervisor.api_key_file")
    else:
        key = _shared(shared_key or KeySource.of(realtime), peer) if is_same else ""
        if not key and is_same and record.needs_key:
            raise LinkRefused(
                "There is no key for the text model.",
                fix="Put it into /etc/edge-agent/openai_api_key (mode 640) or OPENAI_API_KEY, or "
                "name a file with it: supervisor.api_key_file.",
                code="link.no_key",
            )
    seconds = max_seconds or desk.max_seconds
    return TextModel(
        base,
        key,
        model=model or desk.model,
        dialect=desk.api,
        peer=peer,
        used=used,
        auth=auth,
        ca_file=realtime.ca_file,
        silence_timeout_s=seconds,
        call_timeout_s=seconds,
        patience=patience,
    )


def _shared(source: KeySource, peer: Peer) -> str:
    try:
        key = source() or ""
    except OSError as problem:
        raise LinkRefused(
            f"The key cannot be read: {problem.strerror or type(problem).__name__}.",
            fix="Let the service read it: sudo systemctl reload edge-agent",
            code="link.key_unreadable",
        ) from None
    if key == NOT_A_KEY:
        raise error_for(net_faults.BAD_KEY, peer)
    return key


def usage_in(told: Any) -> Usage | None:
    """The figures of an answer in either dialect; what is odd is 0, None: there are none."""
    used = told.get("usage") if isinstance(told, dict) else None
    if not isinstance(used, dict):
        return None
    went_in = _count(used.get("input_tokens", used.get("prompt_tokens")))
    details = used.get("input_tokens_details", used.get("prompt_tokens_details"))
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    return Usage(
        text_in=went_in,
        cached_text_in=min(cached, went_in),
        text_out=_count(used.get("output_tokens", used.get("completion_tokens"))),
    )


def _answered(text: str, told: Any, *, is_whole: bool) -> Answered:
    usage = usage_in(told) or Usage()
    return Answered(text.strip(), is_whole, usage.text_in, usage.text_out)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 < value <= COUNT_MAX else 0


def _cut(peer: Peer) -> AgentError:
    return AgentError(
        "The answer was cut at its longest length.",
        fix=f"Allow more tokens, or ask for less; see {peer.url.partition('.')[0]} in the "
        "settings.",
        code="text_model.cut",
    )


def _filtered() -> AgentError:
    return AgentError(
        "The model declines to answer this.", fix="Ask differently.", code="text_model.filtered"
    )
