"""Errors: one tree, by what the program does about them.

It must never carry a secret, a transcript or audio in its text: errors are logged.  Library
exceptions are translated into these at a room's edge (`raise … from`).
"""

from __future__ import annotations


class AgentError(Exception):
    """Root of all errors this project raises on purpose.

    `code` is a stable identifier (`link.bad_key`), `message` says what was wrong and where,
    `fix` says what a person can do.
    """

    code = "agent.error"

    def __init__(self, message: str, *, fix: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class ConfigError(AgentError):
    """A setting is missing or wrong: exit 78 (EX_CONFIG), which systemd does not restart."""

    code = "config.invalid"


class DeviceError(AgentError):
    """A sound device or pin cannot be used now: it is opened again, with backoff."""

    code = "device.error"


class DeviceMissing(DeviceError):
    """No such device, or none at all."""

    code = "device.missing"


class DeviceLost(DeviceError):
    """It was there and stopped: unplugged, suspended, or frames no longer move."""

    code = "device.lost"


class DeviceFormatRefused(DeviceError):
    """The device does not offer the rate or sample format asked for."""

    code = "device.format_refused"


class LinkError(AgentError):
    """The connection to the model: dialled again for ever, with full-jitter backoff."""

    code = "link.error"


class LinkLost(LinkError):
    """Network trouble: DNS, refused, reset, black hole, close 1001/1006/1011 …"""

    code = "link.lost"


class LinkBusy(LinkError):
    """The provider asks to come back later (429, 5xx); `retry_after_s` if it said when."""

    code = "link.busy"

    def __init__(
        self,
        message: str,
        *,
        fix: str = "",
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, fix=fix, code=code)
        self.retry_after_s = retry_after_s


class LinkRefused(LinkError):
    """Only a person can fix this: long pauses, and the household is told why.

    Codes: `link.bad_key`, `link.no_quota`, `link.no_model`,
    `link.dialect`, `link.bad_url`, `link.tls`."""

    code = "link.refused"


class WireClosed(LinkLost):
    """The other side closed the wire, cleanly or not."""

    code = "link.closed"

    def __init__(self, close_code: int, reason: str = "") -> None:
        super().__init__(f"The connection was closed (code {close_code}).")
        self.close_code = close_code
        self.reason = reason


class LocalProtocolError(AgentError):
    """Our own mistake on the wire: the session raises it, the link leaves the command out and notes
    it."""

    code = "protocol.local"


class ToolError(AgentError):
    """A tool timed out, failed or was refused; the text is written for the model."""

    code = "tool.failed"
