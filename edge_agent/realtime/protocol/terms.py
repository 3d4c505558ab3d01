"""Terms: what this server has turned out to accept.

Thread: the event loop's, but pure.  It must never send anything itself.  One `Terms` outlives the
sessions with one provider, so that a reconnect does not repeat every refusal.
"""

from __future__ import annotations

from typing import Any

from edge_agent.contract.foreign import code_of
from edge_agent.realtime.protocol.config import (
    Capabilities,
    Dialect,
    SessionConfig,
    option_at_fault,
    session_object,
    wanted_options,
)

Note = tuple[str, dict[str, object]]
"""A journal code and its fields."""


class Terms:
    """The dialect spoken with a server and the options it refused.

    `dialects`: those the provider may speak, most likely first (at least one).
    """

    def __init__(
        self,
        config: SessionConfig,
        capabilities: Capabilities,
        dialects: tuple[Dialect, ...] = ("ga",),
    ) -> None:
        self.config = config
        self._can = capabilities
        self._dialects = dialects
        self.refused: frozenset[str] = frozenset()
        """Names of `config.OPTIONS` that the server does not take."""

    @property
    def dialect(self) -> Dialect:
        """The dialect being tried, or agreed upon."""
        return self._dialects[0]

    @property
    def _used(self) -> frozenset[str]:
        return wanted_options(self.config, self._can) - self.refused

    def session_object(self) -> dict[str, Any]:
        """The `session` of the next opening `session.update`."""
        return session_object(self.config, self._used, self.dialect)

    def concede(self, param: str, message: str, code: str) -> Note | None:
        """The last opening was refused: give something up.  None: nothing is left to give up.

        First the option that the refusal names, else the least missed one, and when all are
        gone the next dialect with all of them.
        """
        option = option_at_fault(param, message, self._used)
        if option is not None:
            self.refused |= {option}
            return "link.option_dropped", {"option": option, "error": code_of(code)}
        if len(self._dialects) > 1:
            self._dialects = self._dialects[1:]
            self.refused = frozenset()
            return "link.dialect_changed", {"dialect": self.dialect, "error": code_of(code)}
        return None
