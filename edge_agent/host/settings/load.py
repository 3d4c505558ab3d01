"""Settings, read: every layer over the weaker ones, and one complaint for all mistakes.

Call `load`; `Loaded` says for every value where it came from.  The layers are `sources`.

Thread: the main one, before anything else runs.  It must never print the value of a key, and never
stop at the first mistake: an owner who edits a file wants to hear them all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import PydanticBaseSettingsSource

from edge_agent.contract.errors import ConfigError
from edge_agent.host.settings.advice import advice
from edge_agent.host.settings.command_line import CommandLine
from edge_agent.host.settings.complaints import Problem, reason, shown
from edge_agent.host.settings.root import Settings, layered
from edge_agent.host.settings.sources import (
    CREDENTIAL_NAME,
    ENV_CONFIG,
    Credential,
    Environment,
    Findings,
    OtherKeys,
    Services,
    TomlFile,
)
from edge_agent.host.settings.text import section_type

DEFAULT_PATH = Path("/etc/edge-agent/edge-agent.toml")
DROP_IN_FOLDER = "config.d"


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
    said: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    default_path: Path = DEFAULT_PATH,
) -> Loaded:
    """Read all layers, the weakest first.

    `path` (or `$EDGE_AGENT_CONFIG`) must exist if it is named; `default_path` may be missing.
    `said`: what the command line sets, as `section.key=value`.
    Raises `SettingsError` with every mistake found.
    """
    env = os.environ if environ is None else environ
    findings = Findings()
    files = [TomlFile(file, findings) for file in _files(path, default_path, env, findings)]
    environment = Environment(env, findings)
    return settled(
        (
            CommandLine(said, findings),
            Credential(env, findings),
            environment,
            *reversed(files),
            OtherKeys(env, findings, default_path.parent / CREDENTIAL_NAME),
            Services(findings),
        ),
        findings,
    )


def settled(sources: Sequence[PydanticBaseSettingsSource], findings: Findings) -> Loaded:
    """What the sources say together, the strongest first.  Raises `SettingsError`."""
    settings: Settings | None = None
    try:
        settings = layered(sources)
    except ValidationError as refused:
        for error in refused.errors(include_url=False):
            findings.problems.append(_explained(error, findings.origins))
    if findings.problems or settings is None:
        # `from None`: pydantic's own text quotes the input, which may be a key.
        raise SettingsError(findings.problems) from None
    return Loaded(
        settings,
        dict(findings.origins),
        tuple(findings.files),
        (*findings.warnings, *advice(settings, findings.key_problem, needs_key=findings.needs_key)),
    )


def _files(
    path: Path | None, default_path: Path, environ: Mapping[str, str], findings: Findings
) -> Iterator[Path]:
    """The main file and its drop-ins, the weakest first."""
    named = path or (Path(text) if (text := environ.get(ENV_CONFIG)) else None)
    main = named or default_path
    if named is not None or main.exists():
        yield main
    folder = main.parent / DROP_IN_FOLDER
    try:
        yield from sorted(folder.glob("*.toml"))
    except OSError as problem:
        findings.complain(str(folder), "", f"cannot be listed: {problem.strerror}")


def _explained(error: ErrorDetails, origins: Mapping[str, str]) -> Problem:
    loc = [str(part) for part in error["loc"]]
    why = reason(error)
    named = (".".join(loc[:length]) for length in range(len(loc), 2, -1))
    dotted = next((name for name in named if name in origins), ".".join(loc[:2]))
    if len(loc) > 1:
        where = origins.get(dotted, "")
        return Problem(where, dotted, f"{why} ({shown(dotted, error['input'])})")
    # A rule about a whole section: name the places of the keys that the rule speaks of.
    spoken = {
        origins[f"{loc[0]}.{key}"]: None
        for key in section_type(loc[0]).model_fields
        if f"{loc[0]}.{key}" in origins and re.search(rf"\b{key}\b", why)
    }
    places = list(spoken) or [w for k, w in origins.items() if k.startswith(loc[0] + ".")]
    return Problem(" and ".join(places), dotted, why)
