"""Registry: declare a tool from a typed function, and describe it to the model.

It must never run a tool: `runner` does. The JSON schema and the check of arguments come from the
same signature, so they can't differ.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from edge_agent.contract.errors import ConfigError, ToolError
from edge_agent.contract.events import ToolTerms
from edge_agent.contract.persona import ToolPreamble
from edge_agent.contract.risk import Risk

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""Function names that the Realtime API takes."""

DEFAULT_TIMEOUT_S = 10.0
"""Longer than this and a household thinks that the speaker has died."""

DEFAULT_CONCURRENCY = 4
"""Calls of one tool at once: a model asks for two or three things in a breath, never for ten."""


class Behaviour(Enum):
    """How the model brings a call before the household."""

    PROACTIVE = "proactive"
    """It calls at once, without a word."""
    PREAMBLE = "preamble"
    """It says a short sentence first, because the result takes a while."""
    CONFIRM = "confirm"
    """It tells what it is about to do and waits for a yes; the model's own courtesy, which
    replaces no consent.  Only with a low risk: the others are asked about anyway."""


@dataclass(frozen=True, slots=True)
class Finish:
    """A tool's result when the talk shall end after the answer."""

    output: str


@dataclass(frozen=True, slots=True)
class Tool:
    """One declared tool.  `speakable` is its name in a spoken sentence, `samples` are phrases for
    its behaviour; `cancellable`: nothing is half done when it is stopped; `concurrency`: how many
    calls of it run at once, the others wait for their turn."""

    name: str
    description: str
    function: Callable[..., Any]
    arguments: type[BaseModel]
    risk: Risk
    timeout_s: float
    speakable: str
    behaviour: Behaviour = Behaviour.PROACTIVE
    samples: tuple[str, ...] = ()
    translated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The samples in other languages, by code."""
    cancellable: bool = False
    concurrency: int = DEFAULT_CONCURRENCY
    risk_because: str = "it is one of ours"
    """Where the risk comes from, for the journal."""

    def schema(self) -> dict[str, Any]:
        """How `session.update` describes it (GA shape)."""
        parameters = _without_titles(self.arguments.model_json_schema())
        parameters.setdefault("properties", {})
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": parameters,
        }

    def validate(self, arguments: str) -> dict[str, Any]:
        """Keyword arguments from the model's JSON text; no text at all means none.

        Raises `ToolError`, worded for the model, without repeating the values.
        """
        try:
            given = self.arguments.model_validate_json(arguments.strip() or "{}")
        except ValidationError as error:
            raise ToolError(
                f"The arguments do not fit: {_complaints(error)}. Call it again correctly.",
                code="tool.bad_arguments",
            ) from error
        return {name: getattr(given, name) for name in type(given).model_fields}


def tool(
    *,
    risk: Risk = Risk.HIGH,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    speakable: str = "",
    name: str = "",
    behaviour: Behaviour = Behaviour.PROACTIVE,
    samples: Iterable[str] = (),
    translated: Mapping[str, Iterable[str]] | None = None,
    cancellable: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> Callable[[Callable[..., Any]], Tool]:
    """Declare the function below as a tool.

    Its name, docstring and annotated parameters become the description; use
    `Annotated[int, Field(ge=0, description=…)]` for limits.  It may be `async`; one that is
    not runs on the event loop and so must return within 5 ms.  Raises `ConfigError` when no
    schema can be made of it, or when the declaration cannot work.
    """
    phrases = tuple(samples)

    def declare(function: Callable[..., Any]) -> Tool:
        tool_name = name or function.__name__
        description = inspect.cleandoc(function.__doc__ or "")
        if not NAME.fullmatch(tool_name):
            raise ConfigError(f"{tool_name!r} can't be the name of a tool.")
        if not description:
            raise ConfigError(f"The tool {tool_name} has no docstring: no model could use it.")
        if timeout_s <= 0:
            raise ConfigError(f"The tool {tool_name} has a time limit of {timeout_s} s.")
        if concurrency < 1:
            raise ConfigError(f"The tool {tool_name} could never run: concurrency {concurrency}.")
        if (behaviour is Behaviour.PROACTIVE) == bool(phrases):
            raise ConfigError(
                f"The tool {tool_name} needs sample phrases for a word before the call, and "
                "none without."
            )
        if behaviour is Behaviour.CONFIRM and risk is not Risk.LOW:
            raise ConfigError(f"The tool {tool_name} would be asked about twice ({risk.value}).")
        return Tool(
            name=tool_name,
            description=description,
            function=function,
            arguments=_arguments_model(tool_name, function),
            risk=risk,
            timeout_s=timeout_s,
            speakable=speakable or tool_name.replace("_", " "),
            behaviour=behaviour,
            samples=phrases,
            translated={code: tuple(said) for code, said in (translated or {}).items()},
            cancellable=cancellable,
            concurrency=concurrency,
        )

    return declare


class Registry:
    """The tools of this speaker, by name."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for declared in tools:
            self.add(declared)

    def add(self, declared: Tool) -> None:
        """Add one; raises `ConfigError` for a name that is taken."""
        if declared.name in self._tools:
            raise ConfigError(f"There are two tools called {declared.name}.")
        self._tools[declared.name] = declared

    def replace(self, gone: Iterable[Tool], come: Iterable[Tool]) -> None:
        """Take some away and add others: a tool server's, which may change at any time."""
        for tool_gone in gone:
            self._tools.pop(tool_gone.name, None)
        for declared in come:
            self.add(declared)

    def get(self, name: str) -> Tool | None:
        """The tool of that name, if there is one."""
        return self._tools.get(name)

    def tools(self) -> tuple[Tool, ...]:
        """All of them."""
        return tuple(self._tools.values())

    def schemas(self) -> tuple[Mapping[str, Any], ...]:
        """All tools as `session.update` wants them."""
        return tuple(declared.schema() for declared in self._tools.values())

    def risks(self) -> Mapping[str, Risk]:
        """Name → what the tool can do to a household."""
        return MappingProxyType({name: t.risk for name, t in self._tools.items()})

    def terms(self) -> Mapping[str, ToolTerms]:
        """Name → what the dialogue has to know of it besides its risk."""
        return MappingProxyType(
            {
                name: ToolTerms(
                    cancellable=t.cancellable, speakable=t.speakable, risk_because=t.risk_because
                )
                for name, t in self._tools.items()
            }
        )

    def preambles(self) -> tuple[ToolPreamble, ...]:
        """How the model should bring calls before the household, where that is not "at once"."""
        return tuple(
            ToolPreamble(t.name, t.behaviour is Behaviour.CONFIRM, t.samples, t.translated)
            for t in self._tools.values()
            if t.behaviour is not Behaviour.PROACTIVE
        )


def _arguments_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    try:
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ConfigError(f"The tool {name} takes *args or **kwargs.")
            required = parameter.default is parameter.empty
            fields[parameter.name] = (
                hints[parameter.name],
                ... if required else parameter.default,
            )
        model: type[BaseModel] = create_model(
            f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields
        )
        model.model_json_schema()
    except ConfigError:
        raise
    except KeyError as error:
        raise ConfigError(f"The tool {name} has a parameter without type.") from error
    except Exception as error:  # pydantic has many ways to say that a type has no schema
        raise ConfigError(f"No schema can be made for the tool {name}.") from error
    return model


def _without_titles(schema: Any, *, names: bool = False) -> Any:
    """A schema without pydantic's titles, which only cost tokens; `names`: keys are names."""
    if isinstance(schema, dict):
        return {
            key: _without_titles(value, names=key in ("properties", "$defs") and not names)
            for key, value in schema.items()
            if names or key != "title"
        }
    if isinstance(schema, list):
        return [_without_titles(value) for value in schema]
    return schema


def _complaints(error: ValidationError) -> str:
    return "; ".join(
        ".".join(str(part) for part in detail["loc"]) + ": " + detail["msg"]
        if detail["loc"]
        else detail["msg"]
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    )
