"""Where settings come from: one pydantic-settings source for each layer.

`load` hands them to `Settings`, and pydantic-settings lays them over one another.  What it does
not do, each source adds: it notes in `Findings` where every value came from, and complains of
names that do not exist instead of ignoring them.

Thread: the main one, before anything else runs.  It must never print the value of a key, and never
stop at the first mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import (
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)

from edge_agent.host.secret_files import is_open_to_others, read_text, why_not
from edge_agent.host.settings.complaints import Problem, shown, unknown
from edge_agent.host.settings.files import UnreadableFile, read_toml
from edge_agent.host.settings.root import Realtime, Settings
from edge_agent.host.settings.services import look_up
from edge_agent.host.settings.tables import cells, places, row_type
from edge_agent.host.settings.text import section_names, section_type

ENV_PREFIX = "EDGE_AGENT_"
ENV_NESTED = "__"
ENV_CONFIG = "EDGE_AGENT_CONFIG"
ENV_RESERVED = frozenset({ENV_CONFIG, "EDGE_AGENT_VENV"})
"""Variables of this family that are no settings; the second belongs to the scripts."""
CREDENTIAL_NAME = "openai_api_key"
"""Name under which a unit may hand the key over (LoadCredential), and of the file that the service
reads itself, beside its settings."""
API_KEY = "realtime.api_key"
KEY_RIGHTS = "run: sudo chgrp edge-agent {file} && sudo chmod 640 {file}"
"""What makes the key's file one that the service may read, and others may not."""


def all_keys() -> list[str]:
    """Every `section.key` there is."""
    return [f"{name}.{key}" for name in section_names() for key in section_type(name).model_fields]


class Findings:
    """What the sources found beside values: origins, mistakes, warnings."""

    def __init__(self) -> None:
        self.origins: dict[str, str] = {}
        self.said: dict[str, str] = {}
        """Those that the command line has settled: no weaker layer may put its name there."""
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.files: list[Path] = []
        self.needs_key = True
        """Whether the provider refuses everybody without a key."""
        self.key_problem = ""
        """Why the service's own key file cannot be used, as the end of a sentence."""

    def complain(self, where: str, key: str, reason: str) -> None:
        self.problems.append(Problem(where, key, reason))


class TomlFile(TomlConfigSettingsSource):
    """The settings file, or a drop-in."""

    def __init__(self, path: Path, findings: Findings) -> None:
        self._findings = findings
        super().__init__(Settings, path)

    def _read_files(self, files: Any, deep_merge: bool = False) -> dict[str, Any]:  # noqa: ARG002
        # pydantic-settings leaves out what is not there or no file; for an owner it is a mistake.
        return self._read_file(files)

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        complain = self._findings.complain
        try:
            text, tree = read_toml(file_path)
        except FileNotFoundError:
            complain(str(file_path), "", "there is no such file")
        except OSError as problem:
            complain(str(file_path), "", f"cannot be read: {problem.strerror}")
        except UnicodeDecodeError as problem:
            complain(str(file_path), "", f"is not UTF-8 text (byte {problem.start})")
        except UnreadableFile as problem:
            complain(str(file_path), "", str(problem))
        else:
            self._findings.files.append(file_path)
            return checked(tree, str(file_path), line_numbers(text), self._findings)
        return {}


def checked(
    tree: Mapping[str, Any], file: str, lines: Mapping[str, int], findings: Findings
) -> dict[str, Any]:
    """The sections and keys of a file that exist; the others are complained of."""
    values: dict[str, dict[str, Any]] = {}
    for name, section in tree.items():
        where = _at(file, lines.get(name))
        if name not in section_names() and section == {}:
            # The installer writes every header of its version: another version may lack some.
            why = unknown(name, section_names(), "section")
            findings.warnings.append(f"{where}: [{name}] is empty and changes nothing: {why}")
        elif name not in section_names():
            key = name if not isinstance(section, dict) else f"[{name}]"
            findings.complain(where, key, unknown(name, section_names(), "section"))
        elif not isinstance(section, dict):
            findings.complain(where, name, f"is a section; write [{name}] and its keys below it")
        else:
            values[name] = _checked_section(name, section, file, lines, findings)
    return values


def _checked_section(
    name: str,
    section: Mapping[str, Any],
    file: str,
    lines: Mapping[str, int],
    findings: Findings,
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in section.items():
        dotted = f"{name}.{key}"
        where = _at(file, lines.get(dotted))
        if key not in section_type(name).model_fields:
            findings.complain(where, dotted, unknown(dotted, all_keys(), "key"))
        elif dotted == API_KEY:
            findings.complain(
                where,
                dotted,
                "the key must not stand in a settings file. Put it alone into a file that only "
                "the service reads (realtime.api_key_file) and make a new key if others saw it",
            )
        else:
            values[key] = cells(annotation(dotted), value)
            findings.origins[dotted] = where
            for place in places(dotted, annotation(dotted), value):
                findings.origins[place] = _at(file, lines.get(place))
    return values


class Environment(EnvSettingsSource):
    """`EDGE_AGENT_SECTION__KEY`, in the words that TOML would have."""

    def __init__(self, environ: Mapping[str, str], findings: Findings) -> None:
        self._environ = environ
        self._findings = findings
        super().__init__(
            Settings, case_sensitive=True, env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_NESTED
        )

    def _load_env_vars(self) -> Mapping[str, str | None]:
        """The variables that are settings, spelt as pydantic-settings looks for them."""
        known = {_variable(dotted): dotted for dotted in all_keys()}
        found: dict[str, str | None] = {}
        for variable in sorted(self._environ):
            if not variable.startswith(ENV_PREFIX) or variable in ENV_RESERVED:
                continue
            if (dotted := known.get(variable)) is None:
                where = f"environment {variable}"
                self._findings.complain(where, "", unknown(variable, list(known), "setting"))
                continue
            found[ENV_PREFIX + dotted.replace(".", ENV_NESTED)] = self._environ[variable]
        return found

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002
        """Left as it is: `prepare_field_value` knows more forms than JSON."""
        return value

    def prepare_field_value(
        self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool
    ) -> Any:
        """The section's values, of their own types."""
        texts = super().prepare_field_value(field_name, field, value, value_is_complex) or {}
        values: dict[str, Any] = {}
        for key, text in texts.items():
            dotted = f"{field_name}.{key}"
            where = f"environment {_variable(dotted)}"
            if dotted == API_KEY:
                found = _key(text, where, self._findings) if not _has_key(self) else {}
                values.update(found)
                continue
            try:
                values[key] = cells(annotation(dotted), from_text(text, annotation(dotted)))
                self._findings.origins[dotted] = self._findings.said.get(dotted, where)
            except ValueError as problem:
                self._findings.complain(where, dotted, f"{problem} ({shown(dotted, text)})")
        return values or None


class Credential(PydanticBaseSettingsSource):
    """The key as systemd hands it over: a file in `$CREDENTIALS_DIRECTORY`.

    Not pydantic-settings' source for such folders, which looks for files named after settings.
    """

    def __init__(self, environ: Mapping[str, str], findings: Findings) -> None:
        super().__init__(Settings)
        self._folder = environ.get("CREDENTIALS_DIRECTORY")
        self._findings = findings

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Nothing but the key; see `__call__`."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The key, if it is there."""
        path = Path(self._folder) / CREDENTIAL_NAME if self._folder else None
        if path is None or not path.is_file():
            return {}
        where = f"credential {CREDENTIAL_NAME}"
        return {"realtime": _key_file(path, where, self._findings)}


class OtherKeys(PydanticBaseSettingsSource):
    """Where else the key may be, once all other layers are known: `realtime.api_key_file`, or
    `OPENAI_API_KEY` for OpenAI, or the service's own file."""

    def __init__(self, environ: Mapping[str, str], findings: Findings, own_file: Path) -> None:
        super().__init__(Settings)
        self._environ = environ
        self._findings = findings
        self._own_file = own_file

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Nothing but the key; see `__call__`."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The key, unless a stronger layer has one."""
        realtime = self.current_state.get("realtime", {})
        file = realtime.get("api_key_file")
        if _has_key(self):
            return {}
        if isinstance(file, str) and file:
            found = _key_file(Path(file), f"file {file}", self._findings)
            if is_open_to_others(Path(file)):
                self._findings.warnings.append(
                    f"{file} can be read by others; run: chmod 600 {file}"
                )
            return {"realtime": found}
        # Another provider's server must never be shown an OpenAI key by accident.
        if realtime.get("provider", "openai") == "openai" and (
            found := _key(
                self._environ.get("OPENAI_API_KEY", ""),
                "environment OPENAI_API_KEY",
                self._findings,
            )
        ):
            return {"realtime": found}
        return self._own()

    def _own(self) -> dict[str, Any]:
        """The file of an installed speaker, followed from now on though it may not be there yet."""
        file, findings = self._own_file, self._findings
        if not file.parent.is_dir():
            return {}
        found: dict[str, Any] = {"api_key_file": str(file)}
        try:
            found |= _key(read_text(file), f"file {file}", findings)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as problem:
            findings.key_problem = f"{file} {why_not(problem)}; {KEY_RIGHTS.format(file=file)}"
        if is_open_to_others(file):
            findings.warnings.append(
                f"{file} can be read by others; {KEY_RIGHTS.format(file=file)}"
            )
        return {"realtime": found}


class Services(PydanticBaseSettingsSource):
    """What the table of providers says about the chosen ones: the weakest layer."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(Settings)
        self._findings = findings

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Nothing but model and voice; see `__call__`."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The provider's usual model and voice.  The providers themselves are looked up as well."""
        origins = self._findings.origins
        realtime = self.current_state.get("realtime", {})
        found = look_up(realtime)
        for finding in found.findings:
            key = finding.key.partition("[")[0]
            # A value that is not there is missed where the provider was chosen.
            where = origins.get(key) or origins.get("realtime.provider", "")
            self._findings.complain(finding.file or where, finding.key, finding.reason)
        self._findings.needs_key = found.needs_key
        usual: dict[str, Any] = {"model": found.model} if found.model else {}
        if found.voice not in (None, Realtime.model_fields["voice"].default):
            usual["voice"] = found.voice
        given = {key: value for key, value in usual.items() if key not in realtime}
        origins |= dict.fromkeys((f"realtime.{key}" for key in given), "the provider's record")
        return {"realtime": given} if given else {}


def _has_key(source: PydanticBaseSettingsSource) -> bool:
    """Whether a stronger layer has the key."""
    return bool(source.current_state.get("realtime", {}).get("api_key"))


def _key_file(path: Path, where: str, findings: Findings) -> dict[str, Any]:
    try:
        return _key(read_text(path), where, findings)
    except (OSError, ValueError) as problem:
        findings.complain(where, API_KEY, why_not(problem))
    return {}


def _key(text: str, where: str, findings: Findings) -> dict[str, Any]:
    """An empty one is none."""
    if not (key := text.strip()):
        return {}
    findings.origins[API_KEY] = where
    return {"api_key": SecretStr(key)}


def annotation(dotted: str) -> Any:
    """The type of `section.key`; None where there is no such key."""
    name, _, key = dotted.partition(".")
    field = section_type(name).model_fields.get(key)
    return field.annotation if field is not None else None


def _variable(dotted: str) -> str:
    return ENV_PREFIX + dotted.replace(".", ENV_NESTED).upper()


def _at(file: str, line: int | None) -> str:
    return f"{file} line {line}" if line else file


def from_text(text: str, kind_of: Any) -> Any:
    """A value of an environment variable, as TOML would have given it."""
    kind = get_origin(kind_of) or kind_of
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
        if row_type(kind_of) is not None:
            raise ValueError("must be JSON, an object of objects")
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if kind is dict:
            try:
                return {k.strip(): float(v) for k, v in (part.split("=") for part in parts)}
            except ValueError:
                raise ValueError("must look like okay_nabu=0.8,alexa=0.9") from None
        numbers = int in get_args(get_args(kind_of)[0]) or get_args(kind_of)[0] is int
        try:
            return [int(part) for part in parts] if numbers else parts
        except ValueError:
            raise ValueError("must be numbers, as in 5,6,13") from None
    return text


def line_numbers(text: str) -> dict[str, int]:
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
