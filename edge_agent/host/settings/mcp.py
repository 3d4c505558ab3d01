"""Settings of tool servers: which programs and addresses lend the model their tools.

It must never hold a secret that stood in a settings file: tokens have files of their own, read when
a connection is made.  The string under each field is its documentation, as in `settings`.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from edge_agent.contract.hosts import is_loopback
from edge_agent.host.settings.base import Name, PathText, Section, checked_address

ServerName = Annotated[str, Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=24)]
"""Part of every tool's name, of which the Realtime API takes 64 characters."""
Text = Annotated[str, Field(min_length=1, max_length=1000)]
SECRET_WORDS = re.compile(r"token|secret|passw|credential|api_?key|(\b|_)key(\b|=)", re.IGNORECASE)
"""What people call a secret; also in the names of a program's variables."""


class McpServer(Section):
    """One tool server."""

    enabled: bool = True
    """false: it is left alone."""
    command: tuple[Text, ...] = Field(default=(), max_length=50)
    """A program and its arguments, e.g. `["/opt/tools/bin/mcp-server-time"]`.  Under
    systemd it runs confined, under an account of its own, without sound, key and network; else
    under yours.  Programs in somebody's home are out of its reach."""
    network: bool = False
    """true: a confined program may use the network."""
    url: Name = ""
    """Or the address of a server that runs already, e.g. `https://homeassistant.local/api/mcp`
    (streamable HTTP)."""
    allow_insecure_url: bool = False
    """Allow `http://` (not encrypted: token and results in the clear) to another machine."""
    token_file: PathText = ""
    """File with the token that a server at `url` wants, and nothing else in it."""
    headers_file: PathText = ""
    """File with other headers for it, one `Name: value` in each line."""
    env: dict[Text, SecretStr] = Field(default={}, max_length=50)
    """Variables for the program of `command`, e.g. `{ LANG = "de_DE.UTF-8" }`."""
    env_file: PathText = ""
    """File with its secret variables, one `NAME=value` in each line."""
    tools: dict[Text, Literal["low", "medium", "high"]] = Field(default={}, max_length=64)
    """The tools that the model may use and what they can do to you: `low` runs at once, `medium`
    asks, `high` wants the button pressed.  `edge-agent mcp list` shows what there is."""
    manners: dict[Text, Literal["proactive", "preamble", "confirm"]] = Field(
        default={}, max_length=64
    )
    """How the model brings a tool before you: `proactive` calls at once (so do all that are not
    named here), `preamble` says a short sentence first, for what takes a while, `confirm` says what
    it is about to do and waits for a yes, for tools of low risk: the others are asked about
    anyway."""
    allow_all: bool = False
    """true: also the tools that are not named; each of them is `high`."""
    timeout_s: float = Field(default=10.0, ge=0.5, le=120)
    """Longest call; then the model is told that it took too long."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, value: Any) -> Any:
        # Said here, since pydantic would quote what may be a secret in the wrong place.
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields:
                near = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                hint = f". Did you mean {near[0]}?" if near else ""
                if SECRET_WORDS.search(str(key)) or str(key) == "headers":
                    hint = "; secrets have files of their own: token_file, headers_file, env_file"
                raise ValueError(f"there is no key {key!r} for a tool server{hint}")
        return value

    @field_validator("url")
    @classmethod
    def _is_a_web_address(cls, value: str) -> str:
        value = checked_address(value, "http")
        if SECRET_WORDS.search(urlsplit(value).query):
            raise ValueError("must not carry a token; put it alone into a file: token_file")
        return value

    @field_validator("env")
    @classmethod
    def _holds_no_secret(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} can't be the name of a variable")
            if SECRET_WORDS.search(name):
                raise ValueError(f"{name} looks like a secret; put it into a file: env_file")
        return value

    @model_validator(mode="after")
    def _manners_of_its_tools(self) -> McpServer:
        for name, manner in self.manners.items():
            if name not in self.tools and not self.allow_all:
                near = difflib.get_close_matches(name, self.tools, n=1)
                hint = f". Did you mean {near[0]}?" if near else ""
                raise ValueError(f"manners names {name!r}, which tools does not allow{hint}")
            risk = self.tools.get(name, "high")
            if manner == "confirm" and risk != "low":
                raise ValueError(
                    f"{name} would be asked about twice: it has {risk} risk; take it out of manners"
                )
        return self

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> McpServer:
        if bool(self.command) is bool(self.url):
            raise ValueError("needs command or url, and not both")
        if self.command and (self.token_file or self.headers_file):
            raise ValueError("token_file and headers_file are for a url; a command has env_file")
        if self.url and (self.env or self.env_file):
            raise ValueError("env and env_file are for a command; a url has token_file")
        if self.url.startswith("http://") and not (
            self.allow_insecure_url or is_loopback(urlsplit(self.url).hostname or "")
        ):
            raise ValueError(
                "url is not encrypted (http://) and goes to another machine; use https://, or set "
                "allow_insecure_url = true if you trust every device on that network"
            )
        return self


class Mcp(Section):
    """Tools from MCP servers, e.g. Home Assistant's.  Needs the extra `mcp`."""

    servers: dict[ServerName, McpServer] = Field(default={}, max_length=16)
    """The servers, each with a name of your choice, which becomes a part of its tools' names. Run
    scripts/install.sh again once the first is named: it brings the extra."""
