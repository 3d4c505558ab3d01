"""Settings of the desk: the stronger model that is asked, and messages for the owner.

It must never read a file, the environment or the clock.  The string under each field is its
documentation, as in `settings`.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edge_agent.contract.hosts import is_loopback
from edge_agent.host.settings.base import Name, PathText, Section, checked_address


class Supervisor(Section):
    """A stronger text model that the voice may ask (tool `answer`)."""

    model: str = Field(default="", max_length=100)
    """Its name at that service.  Empty: off.  Only the question and what the voice writes beside it
    are sent, never sound, and the talk only if conversation.summarise is text.  What it costs
    counts in budget, and past the day's limit it is not asked."""
    url: Name = ""
    """Address of its service, up to the version: `https://api.openai.com/v1`.  Empty: the https
    address that belongs to realtime.url."""
    api: Literal["responses", "chat"] = "responses"
    """How it is asked: `responses` as OpenAI and Azure document it, `chat` (chat/completions) for
    most servers at home."""
    api_key_file: PathText = ""
    """A file that holds nothing but its key.  Empty: realtime's key where the address is of the
    same host, else none."""
    max_seconds: float = Field(default=20.0, ge=2, le=120)
    """Longest wait for an answer; then the household hears that there is none."""
    max_output_tokens: int = Field(default=2000, ge=16, le=32_000)
    """Longest answer, the model's thinking included."""
    instructions: str = Field(default="", max_length=4000)
    """What it is told on top, in your own words."""

    @field_validator("url")
    @classmethod
    def _is_a_web_address(cls, value: str) -> str:
        return checked_address(value, "http")


class Messages(Section):
    """Messages that people leave for the owner (tool `leave_message`)."""

    keep: int = Field(default=100, ge=1, le=500)
    """How many are kept in messages.json beside state.path; then delivered ones make room, the
    oldest first.  See `edge-agent messages`."""
    redact: bool = False
    """true: numbers, e-mail addresses and names are taken out before a message is kept, as
    privacy.redact_numbers and its sisters say; then nobody can leave a number to call."""
    per_hour: int = Field(default=10, ge=1, le=100)
    """How many it takes within an hour, whoever speaks."""
    webhook_url: Name = ""
    """Where each message is sent as JSON, e.g. `https://home.example/hooks/speaker`.  Empty: they
    only wait here."""
    webhook_token_file: PathText = ""
    """A file that holds nothing but the token for `Authorization: Bearer`.  Empty: none is sent."""
    webhook_timeout_s: float = Field(default=10.0, ge=1, le=60)
    """Longest wait for the other side; it is tried again until it answers."""

    @field_validator("webhook_url")
    @classmethod
    def _is_a_web_address(cls, value: str) -> str:
        return checked_address(value, "http")

    @model_validator(mode="after")
    def _leaves_the_machine_encrypted(self) -> Messages:
        parts = urlsplit(self.webhook_url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError(
                "webhook_url is not encrypted (http://) and goes to another machine; use https://"
            )
        return self
