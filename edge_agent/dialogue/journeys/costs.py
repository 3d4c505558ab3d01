"""Costs: what each response and each model beside the talk used and cost, and the sentence when
the day's limit comes near.

`may_start_turn` is asked before the household's turn is taken; `response` counts one.

Thread: event loop; pure.  It never reads a clock: the day comes with `DayBegan`.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.details import TRANSCRIBER
from edge_agent.dialogue.money.spending import Counted, Spending
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.state import Commands, Talk, TalkState


class Costs:
    """The day's spending, as the talk sees it."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        spending: Spending,
    ) -> None:
        self._state = state
        self._moves = moves
        self._spending = spending

    def may_start_turn(self, *, by_button: bool) -> bool:
        """Past the day's limit only a press of the button buys one more turn."""
        return self._spending.may_start_turn(by_button=by_button)

    def day_began(self, event: e.DayBegan) -> Commands:
        """Another day's limit holds."""
        self._spending.day = event.day
        return []

    def link_ready(self, event: e.LinkReady) -> Commands:
        """The prices of this session's model hold."""
        self._spending.model = event.model or self._spending.model
        return []

    def response(self, usage: e.Usage | None) -> Commands:
        """Count a response of the talk."""
        out: Commands = []
        if usage is not None:
            out.append(c.Note("usage.response", _usage_fields(usage)))
        verdict, counted = self._spending.count(usage)
        out += counted
        if verdict:
            out.append(self._moves.say(verdict))
        return out

    def side_answered(self, event: e.SideAnswer) -> Commands:
        """Count a response beside the talk."""
        return self._beside(self._spending.count(event.usage, beside=True))

    def transcribed(self, event: e.UserTranscript) -> Commands:
        """Count what the server's own transcriber is paid for: where it was asked, and where an
        unasked one says what it cost."""
        if event.usage is None and self._state.config.transcription != "builtin":
            return []
        return self._beside(self._spending.count_beside(TRANSCRIBER, event.usage))

    def model_used(self, event: e.ModelUsed) -> Commands:
        """Count what a model outside of the session has used."""
        return self._beside(self._spending.count_beside(event.who, event.usage))

    def _beside(self, counted: Counted) -> Commands:
        """Nobody is woken by a bill."""
        verdict, out = counted
        if verdict and self._state.talk is not Talk.ASLEEP:
            out.append(self._moves.say(verdict))
        return out


def _usage_fields(usage: e.Usage) -> dict[str, object]:
    return {
        "text_in": usage.text_in,
        "audio_in": usage.audio_in,
        "cached_in": usage.cached_text_in + usage.cached_audio_in + usage.cached_image_in,
        "text_out": usage.text_out,
        "audio_out": usage.audio_out,
    }
