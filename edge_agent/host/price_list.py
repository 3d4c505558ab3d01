"""Price list: what providers are, what they understand and what they cost, as data.

Thread: the main one, at start.  It must never hold a key, guess a price, or know how any of it is
used: `app` translates the records into the words of `realtime` and `dialogue`.

The program's table is `providers.toml` beside this file (the same as `config/providers.toml`); the
owner's file is laid over it key by key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from edge_agent.contract.errors import ConfigError
from edge_agent.contract.net_faults import NAMED
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.host.settings.files import UnreadableFile, read_toml

BUILT_IN = Path(__file__).with_name("providers.toml")
OWNERS_PATH = Path("/etc/edge-agent/providers.toml")
VERSION = 1
"""Grows when an older program could misread the table."""

WARN_DAYS = 60
"""Before a model ends the owner is told: long enough for a household that is looked after twice a
season."""

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")
"""Providers freeze a model under its name and a date, at the same price."""


_SECRET = re.compile(r"key|secret|token$|password|authorization", re.IGNORECASE)
"""Names under which people try to keep a key."""


class ProvidersError(ConfigError):
    """The table has mistakes, all of them in `problems`."""

    code = "config.providers"

    def __init__(self, file: Path, problems: list[str]) -> None:
        many = "a mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__(
            "\n  ".join([f"The table of providers in {file} has {many}:", *problems]),
            fix="Correct it, or delete the line: then the program's own value counts.",
        )
        self.problems = tuple(problems)


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError("must be a number, without quotes")
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError("must be a number; leave the line out if you do not know the price")
    if value < 0:
        raise ValueError("must not be negative")
    return value


def _websocket(value: str) -> str:
    if not value:
        return value
    # Azure's place for the name of the resource would not pass as a host.
    parts = urlsplit(value.replace("{resource}", "resource"))
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("must look like wss://host/path")
    if parts.username or parts.password or parts.query:
        raise ValueError("must not carry a name, a password or anything after a question mark")
    return value


def _spoken_rate(value: int) -> int:
    if value != WIRE_RATE_HZ:
        raise ValueError(f"must be {WIRE_RATE_HZ}, the only rate that the program speaks")
    return value


def _meaning(value: str) -> str:
    if value not in NAMED:
        raise ValueError(f"must be one of {', '.join(sorted(NAMED))}")
    return value


NAME_FORM = r"^[a-z0-9][a-z0-9_.-]{0,49}$"
"""How a provider may be called: it stands in settings, in the journal and in file names."""

ProviderName = Annotated[str, Field(pattern=NAME_FORM)]
Usd = Annotated[Decimal, BeforeValidator(_number), Field(le=100_000)]
Code = Annotated[str, AfterValidator(_meaning)]
Seconds = Annotated[float, Field(ge=0, le=7 * 86_400)]
Tokens = Annotated[int, Field(gt=0, le=100_000_000)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenPrices(_Record):
    """US dollars per million tokens; None is unknown, not free.  `*_cached` is a part of what
    went in that the provider had seen before."""

    text_in: Usd | None = None
    text_cached: Usd | None = None
    text_out: Usd | None = None
    audio_in: Usd | None = None
    audio_cached: Usd | None = None
    audio_out: Usd | None = None
    image_in: Usd | None = None
    image_cached: Usd | None = None


class Prices(TokenPrices):
    """All that is known of a model; `sound_minute`: US dollars per minute that it writes down."""

    sound_minute: Usd | None = None


FREE = Prices(**dict.fromkeys(Prices.model_fields, Decimal(0)))


class Model(_Record):
    """One model of a provider."""

    context_tokens: Tokens | None = None
    output_max_tokens: Tokens | None = None
    reasoning: bool | None = None
    """Whether it takes the option `reasoning`; None: as `unknown_models_reason` says."""
    ends: date | None = None
    """When the provider switches it off."""
    price_of: str = ""
    """`provider/model` whose prices hold for this one too."""
    usd_per_million: TokenPrices | None = None
    usd_per_minute: Usd | None = None
    """Of sound that is written down, where the provider bills that and not tokens."""

    @property
    def prices(self) -> Prices | None:
        """Its own; None: none is known."""
        if self.usd_per_million is None and self.usd_per_minute is None:
            return None
        of_tokens = self.usd_per_million or TokenPrices()
        return Prices(**of_tokens.model_dump(), sound_minute=self.usd_per_minute)


class Can(_Record):
    """What a provider's servers understand; see `realtime.protocol.config.Capabilities`."""

    truncate: bool = True
    side_questions: bool = True
    noise_reduction: bool = True
    semantic_vad: bool = True
    transcription: bool = True
    truncation: bool = True
    greets: bool = True
    acknowledges: bool = True
    probe: bool = False
    voice: bool = True
    speed: bool = True
    vad_options: bool = True


MISSING = {
    "truncate": "it is not told where an answer was cut, and remembers it as said to the end",
    "side_questions": "it is asked nothing beside the talk: no notes of a long one, and no "
    'transcripts with realtime.transcription = "out_of_band"',
    "noise_reduction": "it has no noise filter (realtime.noise_reduction)",
    "semantic_vad": 'it ends turns by silence only (not listen.end_of_turn = "semantic_vad")',
    "transcription": 'it has no transcriber (realtime.transcription = "builtin")',
    "voice": "its voice is its own choice (realtime.voice)",
    "speed": "it speaks at its own speed (realtime.speed)",
    "vad_options": "its voice detector cannot be tuned (listen.server_*)",
}
"""Capability → what a household does without."""


class Source(_Record):
    """Where the values of a record come from, and when they were looked up.  `of`: keys, or the
    beginnings of dotted keys; the longest that fits counts."""

    of: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    source: str = Field(min_length=1)
    checked: date


class ProviderRecord(_Record):
    """One service."""

    url: Annotated[str, AfterValidator(_websocket)] = ""
    """Empty, or with a place for the name of a resource: the settings must give one."""
    model_param: str = Field(default="model", min_length=1, max_length=50)
    auth: Literal["bearer", "api-key", "bearer-optional", "none"] = "bearer"
    dialects: tuple[Literal["ga", "beta", "xai"], ...] = Field(default=("ga",), min_length=1)
    default_model: str = ""
    default_voice: str | None = None
    """Where the settings name none; empty: the server's own, None: the settings' default."""
    transcription_model: str = "gpt-transcribe"
    """Where the settings name none; empty: the owner has to.  A service that does not know the name
    ignores or refuses it, and the session goes on without."""
    rate_hz: Annotated[int, AfterValidator(_spoken_rate)] = WIRE_RATE_HZ
    session_max_s: Seconds = 3600.0
    append_max_bytes: int = Field(default=15 * 1024 * 1024, ge=480)
    """At least 10 ms: less would be more wrapping than sound."""
    pong_active_s: float | None = Field(default=None, ge=0.5, le=60)
    """How long its servers may take to answer a ping during a turn; None: the settings' value."""
    unknown_models_reason: bool = False
    free: bool = False
    """Nobody sends a bill, whatever the model."""
    can: Can = Can()
    close_hints: Mapping[Annotated[int, Field(ge=1000, le=4999)], Code] = {}
    models: Mapping[str, Model] = {}
    sources: tuple[Source, ...] = ()
    """The shipped table has one for every value (tested)."""

    @property
    def needs_url(self) -> bool:
        """Whether the settings must say where it is."""
        return not self.url or "{" in self.url

    @property
    def needs_key(self) -> bool:
        """Whether it refuses everybody without a key."""
        return self.auth in ("bearer", "api-key")

    def model(self, name: str) -> Model | None:
        """The record of a model, or of the one that it is a dated snapshot of."""
        return self.models.get(name) or self.models.get(_SNAPSHOT.sub("", name))

    def reasons(self, name: str) -> bool:
        """Whether this model may be sent the option `reasoning`."""
        model = self.model(name)
        if model is None or model.reasoning is None:
            return self.unknown_models_reason
        return model.reasoning


class _Table(_Record):
    version: Literal[1]
    providers: Mapping[ProviderName, ProviderRecord]


class PriceList:
    """All providers.  Make one with `load_providers`."""

    def __init__(self, providers: Mapping[str, ProviderRecord], owners: Path = OWNERS_PATH) -> None:
        self.providers = providers
        self._owners = owners
        """Where the owner may add to it."""

    def record(self, provider: str) -> ProviderRecord:
        """The record of that name.  Raises `ConfigError` with the nearest one there is."""
        try:
            return self.providers[provider]
        except KeyError:
            raise ConfigError(
                f"There is no provider {provider[:50]!r}.", fix=self.nearest(provider)
            ) from None

    def nearest(self, provider: str) -> str:
        """What may have been meant by a name that is in no record, as a sentence."""
        near = difflib.get_close_matches(provider, self.providers, n=1)
        if near:
            return f"Did you mean {near[0]}?"
        return f"There are: {', '.join(self.providers)}."

    def prices(self, provider: str, model: str) -> Prices | None:
        """What `model` costs there; None: unknown.  Single prices in it may be unknown too."""
        record = self.providers.get(provider)
        if record is None:
            return None
        if record.free:
            return FREE
        found = record.model(model)
        if found is None:
            return None
        if not found.price_of:
            return found.prices
        # One step only, which `load_providers` has made sure of.
        other, _, name = found.price_of.partition("/")
        return self.providers[other].models[name].prices

    def endings(self, provider: str, models: Iterable[str], today: date) -> list[str]:
        """Which of these models have ended there or end within `WARN_DAYS`, in sentences without a
        full stop."""
        record, hints = self.providers.get(provider), []
        for model in models:
            found = record.model(model) if record else None
            if found is None or found.ends is None or (found.ends - today).days > WARN_DAYS:
                continue
            when = "has ended on" if found.ends <= today else "ends on"
            hints.append(f"the model {model} {when} {found.ends}: choose another one")
        return hints

    def missing(self, provider: str) -> list[str]:
        """What does not work with this provider, in sentences without a full stop."""
        record = self.providers.get(provider)
        lacks = [name for name in MISSING if record and not getattr(record.can, name)]
        return [f"{provider}: {MISSING[name]}" for name in lacks]

    def unpriced(self, provider: str, model: str) -> list[str]:
        """What to do about a price that is not known, as a sentence without a full stop."""
        if self.prices(provider, model) is not None:
            return []
        return [
            f"the price of {provider}/{model} is not known: its cost is not counted; "
            f"add it to {self._owners}"
        ]


def owners_path(setting: str) -> Path:
    """Where the owner's table is, by the setting `realtime.providers_file`."""
    return Path(setting) if setting else OWNERS_PATH


def load_providers(path: Path = OWNERS_PATH, *, built_in: Path = BUILT_IN) -> PriceList:
    """The program's table with the owner's laid over it; `path` may be missing.

    Raises `ProvidersError` with every mistake found.
    """
    tree = _read(built_in)
    if path.exists():
        tree = _laid_over(tree, _read(path))
    try:
        table = _Table.model_validate(tree)
    except ValidationError as refused:
        problems = [
            f"{place}: {_words(error['type'], error['msg'], place)}"
            for error in refused.errors(include_url=False)
            for place in [".".join(str(part)[:60] for part in error["loc"])]
        ]
        raise ProvidersError(path, problems) from None
    problems = list(_dangling(table.providers))
    if problems:
        raise ProvidersError(path, problems)
    return PriceList(table.providers, path)


def _read(path: Path) -> dict[str, Any]:
    try:
        # Decimal: money is counted, not estimated.
        _, tree = read_toml(path, parse_float=Decimal)
    except OSError as problem:
        raise ProvidersError(path, [f"it cannot be read: {problem.strerror}"]) from problem
    except UnicodeDecodeError as problem:
        raise ProvidersError(path, ["it is not UTF-8 text"]) from problem
    except UnreadableFile as problem:
        raise ProvidersError(path, [f"it {problem}"]) from None
    version = tree.get("version", VERSION)
    if version != VERSION:
        raise ProvidersError(path, [f"version: this program reads version {VERSION}"])
    return tree


def _laid_over(below: dict[str, Any], above: Mapping[str, Any], inside: str = "") -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        # The installer writes the header of every table that its version knows, and an older one
        # may lack some.  Providers and models are named by the owner.
        if value == {} and old is None and inside not in ("providers", "models"):
            continue
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _laid_over(old, value, key) if isinstance(old, dict) and both else value
    return merged


def _dangling(providers: Mapping[str, ProviderRecord]) -> list[str]:
    problems = []
    for provider, record in providers.items():
        for name, model in record.models.items():
            if not model.price_of:
                continue
            where = f"providers.{provider}.models.{name}.price_of"
            other, _, target = model.price_of.partition("/")
            found = providers[other].models.get(target) if other in providers else None
            if found is None:
                problems.append(f"{where}: there is no {model.price_of}")
            elif found.price_of:
                problems.append(f"{where}: {model.price_of} has no prices of its own either")
            elif model.prices is not None:
                problems.append(f"{where}: has prices of its own as well; keep one of the two")
    return problems


def _words(kind: str, text: str, place: str) -> str:
    """pydantic's finding in the words of this project."""
    if kind == "value_error":
        return text.removeprefix("Value error, ")
    if kind == "extra_forbidden" and _SECRET.search(place):
        return (
            "a secret must not stand in this file. Put the key alone into a file that only the "
            "service reads (api_key_file in the settings) and make a new one if others saw it"
        )
    known = {
        "extra_forbidden": "there is no such key",
        "missing": "is missing",
        "string_pattern_mismatch": "does not have the right form",
    }
    return known.get(kind, text[:1].lower() + text[1:])
