"""Settings, read: file, drop-ins, environment, credentials, and one complaint for all (purpose).

Owner thread: the main one, before anything else runs.  Must never print the value of a key, and
never stop at the first mistake: an owner who edits a file wants to hear them all.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from edge_agent.contract.errors import ConfigError
from edge_agent.contract.secrets import holds_a_key
from edge_agent.host.settings.advice import advice
from edge_agent.host.settings.files import UnreadableFile, read_bytes, read_toml
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.services import look_up
from edge_agent.host.settings.tables import merged, places, row_type
from edge_agent.host.settings.text import section_names, section_type

DEFAULT_PATH = Path("/etc/edge-agent/edge-agent.toml")
DROP_IN_FOLDER = "config.d"
ENV_PREFIX = "EDGE_AGENT_"
ENV_CONFIG = "EDGE_AGENT_CONFIG"
ENV_RESERVED = frozenset({ENV_CONFIG, "EDGE_AGENT_VENV"})
"""Variables of this family that are no settings; the second belongs to the scripts."""
CREDENTIAL_NAME = "openai_api_key"
"""Name under which the unit file hands the key over (LoadCredential)."""
SHOWN_MAX_CHARS = 60
"""Enough of a wrong value to find it again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands, which key, what is wrong, what would be right."""

    where: str
    key: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.reason) if part)


class SettingsError(ConfigError):
    """All mistakes of all layers at once, in `problems`."""

    code = "config.invalid"

    def __init__(self, problems: list[Problem]) -> None:
        head = (
            "The settings have a mistake:"
            if len(problems) == 1
            else f"The settings have {len(problems)} mistakes:"
        )
        super().__init__(
            "\n  ".join([head, *map(str, problems)]),
            fix="\nEvery key and its default: edge-agent config template",
        )
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for every key that is not a default where it came from."""

    settings: Settings
    origins: Mapping[str, str] = field(default_factory=dict)
    """`realtime.url` → `/etc/edge-agent/edge-agent.toml line 12`, `environment NAME` …"""
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    def origin(self, key: str) -> str:
        """Where the value of `section.key` came from."""
        return self.origins.get(key, "default")


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    default_path: Path = DEFAULT_PATH,
) -> Loaded:
    """Read all layers, the weakest first.

    `path` (or `$EDGE_AGENT_CONFIG`) must exist if it is named; `default_path` may be missing.
    Raises `SettingsError` with every mistake found.
    """
    layers = _Layers(os.environ if environ is None else environ)
    layers.read_files(path, default_path)
    layers.read_environment()
    layers.read_key()
    layers.read_services()
    return layers.result()


class _Layers:
    """Collects values, origins and mistakes while the layers are read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.values: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.files: list[Path] = []
        self.needs_key = True

    # --- files -------------------------------------------------------------------------

    def read_files(self, path: Path | None, default_path: Path) -> None:
        named = path or (Path(text) if (text := self.environ.get(ENV_CONFIG)) else None)
        main = named or default_path
        if named is not None or main.exists():
            self.read_file(main)
        folder = main.parent / DROP_IN_FOLDER
        try:
            drop_ins = sorted(folder.glob("*.toml"))
        except OSError as problem:
            self.complain(str(folder), "", f"cannot be listed: {problem.strerror}")
            return
        for drop_in in drop_ins:
            self.read_file(drop_in)

    def read_file(self, path: Path) -> None:
        try:
            text, tree = read_toml(path)
        except FileNotFoundError:
            self.complain(str(path), "", "there is no such file")
        except OSError as problem:
            self.complain(str(path), "", f"cannot be read: {problem.strerror}")
        except UnicodeDecodeError as problem:
            self.complain(str(path), "", f"is not UTF-8 text (byte {problem.start})")
        except UnreadableFile as problem:
            self.complain(str(path), "", str(problem))
        else:
            self.files.append(path)
            lines = _line_numbers(text)
            for name, section in tree.items():
                self.take_section(str(path), lines, name, section)

    def take_section(self, file: str, lines: Mapping[str, int], name: str, section: Any) -> None:
        where = _at(file, lines.get(name))
        if name not in section_names():
            key = name if not isinstance(section, dict) else f"[{name}]"
            self.complain(where, key, _unknown(name, section_names(), "section"))
        elif not isinstance(section, dict):
            self.complain(where, name, f"is a section; write [{name}] and its keys below it")
        else:
            for key, value in section.items():
                dotted = f"{name}.{key}"
                self.take(_at(file, lines.get(dotted)), name, key, value)
                for place in places(dotted, _annotation(name, key), value):
                    self.origins[place] = _at(file, lines.get(place))

    def take(self, where: str, name: str, key: str, value: Any) -> None:
        dotted = f"{name}.{key}"
        if key not in section_type(name).model_fields:
            self.complain(where, dotted, _unknown(dotted, all_keys(), "key"))
        elif dotted == "realtime.api_key" and not where.startswith("environment"):
            self.complain(
                where,
                dotted,
                "the key must not stand in a settings file. Put it alone into a file that only "
                "the service reads (realtime.api_key_file) and make a new key if others saw it",
            )
        else:
            values = self.values.setdefault(name, {})
            values[key] = merged(_annotation(name, key), values.get(key), value)
            self.origins[dotted] = where

    # --- environment and key -----------------------------------------------------------

    def read_environment(self) -> None:
        known = {_env_name(key): key for key in all_keys()}
        for variable in sorted(self.environ):
            if not variable.startswith(ENV_PREFIX) or variable in ENV_RESERVED:
                continue
            where = f"environment {variable}"
            dotted = known.get(variable)
            if dotted is None:
                self.complain(where, "", _unknown(variable, list(known), "setting"))
                continue
            name, key = dotted.split(".")
            text = self.environ[variable]
            if dotted == "realtime.api_key":
                self.take_key(where, text)
                continue
            try:
                value = _from_text(text, _annotation(name, key))
            except ValueError as problem:
                self.complain(where, dotted, f"{problem} ({_shown(dotted, text)})")
            else:
                self.take(where, name, key, value)

    def read_key(self) -> None:
        """The key's own order: OPENAI_API_KEY < api_key_file < EDGE_AGENT_… < credential."""
        realtime = self.values.get("realtime", {})
        folder = self.environ.get("CREDENTIALS_DIRECTORY")
        credential = Path(folder) / CREDENTIAL_NAME if folder else None
        if credential is not None and credential.is_file():
            self.take_key_file(f"credential {CREDENTIAL_NAME}", credential)
        if realtime.get("api_key") or self.key_taken():
            return
        file = realtime.get("api_key_file")
        if isinstance(file, str) and file:
            where = f"file {file}"
            self.take_key_file(where, Path(file))
            self.check_mode(Path(file))
        # Another provider's server must never be shown an OpenAI key by accident.
        elif realtime.get("provider", "openai") == "openai":
            text = self.environ.get("OPENAI_API_KEY", "")
            if text:
                self.take_key("environment OPENAI_API_KEY", text)

    def key_taken(self) -> bool:
        return bool(self.values.get("realtime", {}).get("api_key"))

    def take_key_file(self, where: str, path: Path) -> None:
        try:
            self.take_key(where, read_bytes(path).decode("utf-8-sig"))
        except OSError as problem:
            self.complain(where, "realtime.api_key", f"cannot be read: {problem.strerror}")
        except UnicodeDecodeError:
            self.complain(where, "realtime.api_key", "is not text")
        except UnreadableFile as problem:
            self.complain(where, "realtime.api_key", str(problem))

    def take_key(self, where: str, text: str) -> None:
        if key := text.strip():
            self.values.setdefault("realtime", {})["api_key"] = SecretStr(key)
            self.origins["realtime.api_key"] = where

    def check_mode(self, path: Path) -> None:
        try:
            mode = path.stat().st_mode
        except OSError:
            return  # already complained about
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            self.warnings.append(f"{path} can be read by others; run: chmod 600 {path}")

    def read_services(self) -> None:
        """The providers are data: their names are looked up in the table."""
        realtime = self.values.get("realtime", {})
        found = look_up(realtime)
        for finding in found.findings:
            key = finding.key.partition("[")[0]
            # A value that is not there is missed where the provider was chosen.
            where = self.origins.get(key) or self.origins.get("realtime.provider", "")
            self.complain(finding.file or where, finding.key, finding.reason)
        self.needs_key = found.needs_key
        if found.model and "model" not in realtime:
            self.values.setdefault("realtime", {})["model"] = found.model
            self.origins["realtime.model"] = "the provider's record"

    # --- the end -----------------------------------------------------------------------

    def complain(self, where: str, key: str, reason: str) -> None:
        self.problems.append(Problem(where, key, reason))

    def result(self) -> Loaded:
        settings: Settings | None = None
        try:
            settings = Settings(**self.values)  # type: ignore[arg-type]
        except ValidationError as refused:
            for error in refused.errors(include_url=False):
                self.problems.append(self.explain(error))
        if self.problems or settings is None:
            # `from None`: pydantic's own text quotes the input, which may be a key.
            raise SettingsError(self.problems) from None
        return Loaded(
            settings,
            dict(self.origins),
            tuple(self.files),
            (*self.warnings, *advice(settings, needs_key=self.needs_key)),
        )

    def explain(self, error: ErrorDetails) -> Problem:
        loc = [str(part) for part in error["loc"]]
        reason = _reason(error)
        named = (".".join(loc[:length]) for length in range(len(loc), 2, -1))
        dotted = next((name for name in named if name in self.origins), ".".join(loc[:2]))
        if len(loc) > 1:
            where = self.origins.get(dotted, "")
            return Problem(where, dotted, f"{reason} ({_shown(dotted, error['input'])})")
        # A rule about a whole section: name the places of the keys that the rule speaks of.
        spoken = {
            self.origins[f"{loc[0]}.{key}"]: None
            for key in section_type(loc[0]).model_fields
            if f"{loc[0]}.{key}" in self.origins and re.search(rf"\b{key}\b", reason)
        }
        places = list(spoken) or [w for k, w in self.origins.items() if k.startswith(loc[0] + ".")]
        return Problem(" and ".join(places), dotted, reason)


def all_keys() -> list[str]:
    """Every `section.key` there is."""
    return [f"{name}.{key}" for name in section_names() for key in section_type(name).model_fields]


def _annotation(name: str, key: str) -> Any:
    """The type of `name.key`; None where there is no such key."""
    field = section_type(name).model_fields.get(key)
    return field.annotation if field is not None else None


def _env_name(dotted: str) -> str:
    return ENV_PREFIX + dotted.replace(".", "__").upper()


def _at(file: str, line: int | None) -> str:
    return f"{file} line {line}" if line else file


def _unknown(name: str, valid: list[str], what: str) -> str:
    key = name.partition(".")[2]
    same_key = [v for v in valid if what == "key" and v.partition(".")[2] == key]
    loose = name.replace("__", "_")
    respelt = [v for v in valid if v.replace("__", "_") == loose]
    near = same_key or respelt or difflib.get_close_matches(name, valid, n=1, cutoff=0.65)
    if near:
        return f"there is no such {what}. Did you mean {near[0]}?"
    if what == "section":
        return f"there is no such section. There are: {', '.join(valid)}"
    return f"there is no such {what}"


def _from_text(text: str, annotation: Any) -> Any:
    """A value of an environment variable, as TOML would have given it."""
    kind = get_origin(annotation) or annotation
    text = text.strip()
    if kind is bool:
        words = {"1": True, "true": True, "yes": True, "on": True}
        words |= {"0": False, "false": False, "no": False, "off": False}
        if text.lower() not in words:
            raise ValueError("must be true or false")
        return words[text.lower()]
    if kind in (int, float):
        try:
            return int(text) if kind is int else float(text)
        except ValueError:
            raise ValueError("must be a number") from None
    if kind in (tuple, dict):
        if text[:1] in ("[", "{"):
            try:
                return json.loads(text)
            except (json.JSONDecodeError, RecursionError):
                raise ValueError("is not JSON; write a,b or [1, 2]") from None
        if row_type(annotation) is not None:
            raise ValueError("must be JSON, an object of objects")
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if kind is dict:
            try:
                return {k.strip(): float(v) for k, v in (part.split("=") for part in parts)}
            except ValueError:
                raise ValueError("must look like okay_nabu=0.8,alexa=0.9") from None
        numbers = int in get_args(get_args(annotation)[0]) or get_args(annotation)[0] is int
        try:
            return [int(part) for part in parts] if numbers else parts
        except ValueError:
            raise ValueError("must be numbers, as in 5,6,13") from None
    return text


def _reason(error: ErrorDetails) -> str:
    """pydantic's finding in the words of this project."""
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        near = difflib.get_close_matches(str(error["input"]), allowed, n=1)
        hint = f". Did you mean {near[0]}?" if near else ""
        return "must be one of " + ", ".join(a or '""' for a in allowed) + hint
    words = {
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "string_pattern_mismatch": "does not have the right form",
        "string_too_short": "must not be empty",
        "string_too_long": "is longer than {max_length} letters",
        "string_type": "must be text in quotes",
        "too_long": "must not have more than {max_length} entries",
        "int_from_float": "must be a whole number",
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "finite_number": "must be a number",
        "tuple_type": 'must be a list, like ["a", "b"]',
        "dict_type": "must be a table, like {{ okay_nabu = 0.8 }}",
        "model_type": "must be a section",
    }
    return words[kind].format(**context) if kind in words else error["msg"]


def _shown(dotted: str, value: object) -> str:
    text = repr(value)
    # People paste keys into the wrong line; addresses may carry one in their query.
    told = dotted in ("realtime.api_key", "realtime.url") or dotted.startswith("mcp.")
    if told or holds_a_key(text):
        return "value not shown"
    return "it is " + (text if len(text) <= SHOWN_MAX_CHARS else text[:SHOWN_MAX_CHARS] + "…")


def _line_numbers(text: str) -> dict[str, int]:
    """`section` and `section.key` → line, for plainly written files; a hint, not a parser."""
    numbers: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[\s*([\w.\"'-]+)\s*\]", line):
            section = head[1]
            numbers.setdefault(section, number)
        elif entry := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            name = f"{section}.{entry[1]}" if section else entry[1]
            numbers.setdefault(name, number)
    return numbers
