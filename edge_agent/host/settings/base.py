"""What every section of the settings stands on: its base and the shared kinds of value.

It must never know a section: `root`, `house` and their sisters do.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from edge_agent.contract.voices import VOICE_MAX_CHARS, voice_problem

Name = Annotated[str, Field(max_length=200)]


class Section(BaseModel):
    """Base of all sections: frozen, and deaf to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_silent_conversion(cls, value: object, info: ValidationInfo) -> object:
        # pydantic reads `true` as 1 and "70" as 70; in a settings file both are slips.
        field = cls.model_fields.get(info.field_name or "")
        kind = field.annotation if field is not None else None
        if kind in (int, float) and isinstance(value, (bool, str)):
            raise ValueError("must be a number, without quotes")
        if kind is bool and not isinstance(value, bool):
            raise ValueError("must be true or false, without quotes")
        return value


def _voice(value: str) -> str:
    if problem := voice_problem(value):
        raise ValueError(problem)
    return value


VoiceName = Annotated[str, Field(max_length=VOICE_MAX_CHARS), AfterValidator(_voice)]
"""A voice of a service, or `id:` and the id of one of one's own; empty: the service's choice."""


def _absolute_or_empty(value: str) -> str:
    if value and not PurePosixPath(value).is_absolute():
        raise ValueError("must be a whole path, beginning with /")
    return value


PathText = Annotated[str, Field(max_length=1000), AfterValidator(_absolute_or_empty)]
"""A path, or empty; never relative, because a service has no folder of its own."""


def checked_address(value: str, scheme: str) -> str:
    """Empty, or an address of `scheme` or its encrypted sister (an s behind it)."""
    if not value:
        return value
    try:
        parts = urlsplit(value)
        port_ok = parts.port is None or parts.port > 0
    except ValueError as problem:
        raise ValueError(f"not an address: {problem}") from None
    if parts.scheme not in (scheme, f"{scheme}s") or not parts.hostname or not port_ok:
        raise ValueError(
            f"must look like {scheme}s://host/path ({scheme}:// only for this machine)"
        )
    if parts.username or parts.password:
        raise ValueError("must not carry a name or password; the key has its own place")
    return value
