"""Terms: what this server has turned out to accept.

One `Terms` outlives the sessions with one provider, so that a reconnect does not repeat every
refusal: `begin` with each session, `concede` when its opening is refused, `agreed` when it is
acknowledged.

Thread: the event loop's, but pure.  It must never send anything itself, nor give an option up for
good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_agent.contract.foreign import code_of
from edge_agent.realtime.protocol.config import (
    Capabilities,
    Dialect,
    SessionConfig,
    ignored_options,
    least_missed,
    option_named,
    session_object,
    wanted_options,
)

Note = tuple[str, dict[str, object]]
"""A journal code and its fields."""

TRY_AGAIN_S = 6 * 3600.0
"""An option that was refused is asked for again after so long: the server may be another one, and
a refusal costs one round trip of one session."""


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
        self._now = float("-inf")
        self._refused: dict[str, float] = {}
        """Option → when it was refused."""
        self._tried_again: frozenset[str] = frozenset()
        self._ignored: frozenset[str] = frozenset()
        self.answers_aside = capabilities.side_questions
        """Whether side questions are known to work: the record says so, until an answer shows
        otherwise."""
        self.transcribes = True
        """Whether the server writes down what it hears, where that is asked for."""

    @property
    def dialect(self) -> Dialect:
        """The dialect being tried, or agreed upon."""
        return self._dialects[0]

    @property
    def refused(self) -> frozenset[str]:
        """Names of `config.OPTIONS` that the server does not take."""
        return frozenset(self._refused)

    @property
    def _used(self) -> frozenset[str]:
        return wanted_options(self.config, self._can) - self.refused

    def begin(self, now: float) -> None:
        """A session begins at this loop time: what was refused long ago is tried again."""
        self._now = now
        old = {option for option, at in self._refused.items() if now - at >= TRY_AGAIN_S}
        self._tried_again |= old
        for option in old:
            del self._refused[option]

    def session_object(self) -> dict[str, Any]:
        """The `session` of the next opening `session.update`."""
        return session_object(self.config, self._used, self.dialect)

    def concede(self, param: str, message: str, code: str) -> Note | None:
        """The last opening was refused: give something up.  None: nothing is left to give up.

        The option that the refusal names.  One that names none is about the dialect, where there
        is another; else the least missed option goes.
        """
        option = option_named(param, message, self._used)
        if option is None and len(self._dialects) > 1:
            self._dialects = self._dialects[1:]
            self._refused.clear()
            return "link.dialect_changed", {"dialect": self.dialect, "error": code_of(code)}
        option = option or least_missed(self._used)
        if option is None:
            return None
        self._refused[option] = self._now
        self._tried_again -= {option}
        return "link.option_dropped", {"option": option, "error": code_of(code)}

    def agreed(self, echo: Mapping[str, Any]) -> list[Note]:
        """The opening was acknowledged, with `echo` as the configuration in force.

        Returns what has changed: options that are taken again, and those that are acknowledged
        and yet not in force, each told once.
        """
        used = self._used
        back, self._tried_again = self._tried_again & used, frozenset()
        ignored = ignored_options(self.config, used, echo)
        news, self._ignored = ignored - self._ignored, self._ignored | ignored
        self.transcribes = self.config.transcription_model is None or (
            "transcription" in used - ignored
        )
        notes: list[Note] = []
        if back:
            notes.append(("link.options_back", {"options": ", ".join(sorted(back))}))
        if news:
            notes.append(("link.options_ignored", {"options": ", ".join(sorted(news))}))
        return notes
