"""Checking raw JSON against a shape, with the service's own four complaints.

It must never change the value it checks.  A check is a function `(value, path)` that returns
nothing or raises `BadParameter`; shapes are made by combining them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Check = Callable[[object, str], None]


class BadParameter(Exception):
    """One value of a client event is wrong: `code`, a sentence, and the path of the value."""

    def __init__(self, code: str, message: str, param: str | None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def json_type(value: object) -> str:
    """Name of the JSON type of `value`, with its article, as the service words it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a decimal"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def wrong_type(value: object, path: str, wanted: str) -> BadParameter:
    """The complaint about a value of the wrong JSON type."""
    return BadParameter(
        "invalid_type",
        f"Invalid type for '{path}': expected {wanted}, but got {json_type(value)} instead.",
        path,
    )


def wrong_value(path: str, message: str) -> BadParameter:
    """The complaint about a value of the right type that cannot be."""
    return BadParameter("invalid_value", message, path)


def missing(path: str) -> BadParameter:
    """The complaint about a required key that is not there."""
    return BadParameter(
        "missing_required_parameter", f"Missing required parameter: '{path}'.", path
    )


def anything(value: object, path: str) -> None:
    """Accepts every JSON value."""


def string(
    *, max_length: int | None = None, min_length: int = 0, pattern: str | None = None
) -> Check:
    """A string, with a length in characters and perhaps a pattern for the whole of it."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, str):
            raise wrong_type(value, path, "a string")
        if max_length is not None and len(value) > max_length:
            raise wrong_value(
                path,
                f"Invalid '{path}': string too long. Expected a string with maximum length "
                f"{max_length}, but got a string with length {len(value)} instead.",
            )
        if len(value) < min_length:
            raise wrong_value(path, f"Invalid '{path}': empty string.")
        if pattern is not None and re.fullmatch(pattern, value) is None:
            raise wrong_value(path, f"Invalid '{path}': string does not match pattern '{pattern}'.")

    return check


def boolean(value: object, path: str) -> None:
    """`true` or `false`; `null` is a wrong type, as the real service has it."""
    if not isinstance(value, bool):
        raise wrong_type(value, path, "a boolean")


def _in_range(value: float, path: str, low: float | None, high: float | None) -> None:
    if (low is not None and value < low) or (high is not None and value > high):
        raise wrong_value(
            path, f"Invalid value: {value} for '{path}'. Expected a value in [{low}, {high}]."
        )


def integer(low: int | None = None, high: int | None = None) -> Check:
    """A whole number in a closed range."""

    def check(value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(value, path, "an integer")
        _in_range(value, path, low, high)

    return check


def number(low: float | None = None, high: float | None = None) -> Check:
    """A number in a closed range."""

    def check(value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(value, path, "a number")
        _in_range(value, path, low, high)

    return check


def one_of(*values: str) -> Check:
    """A string out of a fixed set."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, str):
            raise wrong_type(value, path, "a string")
        if value not in values:
            supported = ", ".join(f"'{v}'" for v in values)
            raise wrong_value(path, f"Invalid value: '{value}'. Supported values are: {supported}.")

    return check


def nullable(inner: Check) -> Check:
    """`null`, or what `inner` accepts."""

    def check(value: object, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def array(inner: Check, *, max_length: int | None = None) -> Check:
    """A list whose every element `inner` accepts."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, list):
            raise wrong_type(value, path, "an array")
        if max_length is not None and len(value) > max_length:
            raise wrong_value(path, f"Invalid '{path}': at most {max_length} elements.")
        for index, element in enumerate(value):
            inner(element, f"{path}[{index}]")

    return check


def table(fields: Mapping[str, Check], *, required: tuple[str, ...] = ()) -> Check:
    """An object with known keys only."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(value, path, "an object")
        for key in value:
            if key not in fields:
                where = f"{path}.{key}" if path else key
                raise BadParameter("unknown_parameter", f"Unknown parameter: '{where}'.", where)
        for key in required:
            if key not in value:
                raise missing(f"{path}.{key}" if path else key)
        for key, element in value.items():
            fields[key](element, f"{path}.{key}" if path else key)

    return check


def any_table(value: object, path: str) -> None:
    """An object with whatever keys (a JSON schema, tracing metadata)."""
    if not isinstance(value, dict):
        raise wrong_type(value, path, "an object")


def tagged(key: str, variants: Mapping[str, Check]) -> Check:
    """An object whose shape is chosen by the string under `key`."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(value, path, "an object")
        where = f"{path}.{key}" if path else key
        if key not in value:
            raise missing(where)
        one_of(*variants)(value[key], where)
        variants[value[key]](value, path)

    return check


def string_or(choice: Check, other: Check) -> Check:
    """`choice` for a string, `other` for everything else."""

    def check(value: object, path: str) -> None:
        (choice if isinstance(value, str) else other)(value, path)

    return check
