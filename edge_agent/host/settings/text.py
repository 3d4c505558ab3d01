"""Settings as text: the documented default file, and what may be printed.

Thread: the main one, before and beside the daemon (command line, tests).  It must never print a
secret.  Reads the documentation strings out of the sections' source, so that the shipped file says
what the program does; done here and not while importing, which would slow every start.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator

from pydantic import BaseModel, SecretStr

from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.tables import row_type

COMMENT_WIDTH_CHARS = 92
"""Readable in a terminal of 100 columns beside line numbers."""

HEADER = """\
# edge-agent settings.  Every key is here with its default.  What is deleted, or has a # before
# it, follows the program's default, also that of a later version.
# Stronger than this file: config.d/*.toml beside it (in name order), then environment
# variables EDGE_AGENT_<SECTION>__<KEY>, then the systemd credential for the key, then what
# `edge-agent run --set SECTION.KEY=VALUE` says.
# Check with:  edge-agent config check      See the result:  edge-agent config show
"""


def section_names() -> list[str]:
    """Names of all sections, in the order of the file."""
    return list(Settings.model_fields)


def section_type(name: str) -> type[BaseModel]:
    """The model class of a section.  Raises KeyError for a name that is not one."""
    annotation = Settings.model_fields[name].annotation
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        raise KeyError(name)
    return annotation


def documentation() -> dict[str, dict[str, str]]:
    """`{section: {"": its purpose, key: its text}}` from the source of each section."""
    return {name: dict(_texts(_source(section_type(name)))) for name in section_names()}


def _source(section: type[BaseModel]) -> ast.ClassDef:
    node = ast.parse(inspect.getsource(section)).body[0]
    assert isinstance(node, ast.ClassDef)
    return node


def _texts(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    yield "", ast.get_docstring(node) or ""
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            yield field.target.id, " ".join(after.value.value.split())


def toml_value(value: object) -> str:
    """One value as TOML.  A `SecretStr` becomes stars, or "" when it is empty."""
    if isinstance(value, SecretStr):
        return '"********"' if value.get_secret_value() else '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, BaseModel):
        value = {key: getattr(value, key) for key in sorted(value.model_fields_set)}
    if isinstance(value, dict):
        inside = ", ".join(f"{_toml_key(k)} = {toml_value(v)}" for k, v in value.items())
        return "{ " + inside + " }" if inside else "{}"
    return repr(value)


def _toml_key(key: object) -> str:
    text = str(key)
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else json.dumps(text)


def plain_value(value: object) -> object:
    """One value for JSON, a `SecretStr` masked as in `toml_value`."""
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        return {key: plain_value(getattr(value, key)) for key in type(value).model_fields}
    if isinstance(value, dict):
        return {key: plain_value(inner) for key, inner in value.items()}
    return value


def default_file() -> str:
    """The text of `config/edge-agent.toml`: every key, its default and its meaning."""
    texts = documentation()
    defaults = Settings()
    lines = [HEADER]
    for name in section_names():
        lines.append(f"# {texts[name]['']}")
        lines.append(f"[{name}]")
        section = getattr(defaults, name)
        for key in type(section).model_fields:
            lines.extend(_comment(texts[name][key]))
            row = row_type(type(section).model_fields[key].annotation)
            if row is not None:  # a key here would forbid the tables that belong below it
                lines.extend(_example(f"{name}.{key}", row))
                continue
            # The key has no place in a file that is read by every account.
            secret = isinstance(getattr(section, key), SecretStr)
            lines.append(f"{'# ' if secret else ''}{key} = {toml_value(getattr(section, key))}")
        lines.append("")
    return "\n".join(lines)


def _comment(text: str) -> list[str]:
    wrapped = textwrap.wrap(text, COMMENT_WIDTH_CHARS, break_long_words=False)
    return [f"# {line}" for line in wrapped]


def _example(dotted: str, row: type[BaseModel]) -> list[str]:
    """A table of sections as one that is commented out: its head, and every key."""
    lines = ["#", f"# [{dotted}.NAME]"]
    texts = dict(_texts(_source(row)))
    for key, field in row.model_fields.items():
        lines.extend(f"# {line}" for line in _comment(texts[key]))
        lines.append(f"# {key} = {toml_value(field.default)}")
    return lines
