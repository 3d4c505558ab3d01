"""Parts: a talk is built here, its state, its helpers and its journeys.

What a journey needs is in its constructor; the order is that of who needs whom.

Thread: event loop; pure.  It never handles an event: `manager` tells the journeys.
"""

from __future__ import annotations

from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.journeys.alarms import Alarms
from edge_agent.dialogue.journeys.announcements import Announcements
from edge_agent.dialogue.journeys.appearance import Appearance
from edge_agent.dialogue.journeys.consent_question import ConsentQuestion
from edge_agent.dialogue.journeys.consent_reply import ConsentReply
from edge_agent.dialogue.journeys.costs import Costs
from edge_agent.dialogue.journeys.device import Device
from edge_agent.dialogue.journeys.ears import Ears
from edge_agent.dialogue.journeys.hands import Hands
from edge_agent.dialogue.journeys.link_watch import LinkWatch
from edge_agent.dialogue.journeys.notes import Notes
from edge_agent.dialogue.journeys.outage import Outage
from edge_agent.dialogue.journeys.server_ears import ServerEars
from edge_agent.dialogue.journeys.silence import Silence
from edge_agent.dialogue.journeys.tool_results import ToolResults
from edge_agent.dialogue.journeys.transcripts import Transcripts
from edge_agent.dialogue.journeys.turn_taking import TurnTaking
from edge_agent.dialogue.journeys.voice import Voice
from edge_agent.dialogue.labels import Labels
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.side_questions import SideQuestions
from edge_agent.dialogue.state import (
    TalkState,
)


class Parts:
    """All of one talk; `DialogueManager` takes from here."""

    def __init__(
        self,
        config: DialogueConfig,
        *,
        muted: bool,
        guest: bool,
        spending: Spending,
        strict: bool,
    ) -> None:
        self.state = state = TalkState(config, muted=muted, strict=strict)
        self.gate = gate = Gate(config.kept_ms)
        self.answers = answers = Answers()
        self.memory = memory = Memory(config.memory_turns, config.memory_audio_s)
        self.labels = Labels()
        self.tools = tools = ToolCalls(
            config.tool_risks, config.flow, config.tool_terms, window_s=config.confirm_s
        )
        tools.guest = guest
        barge_in = BargeIn(
            config.barge_in_window_frames,
            config.barge_in_speech_frames,
            config.barge_in_min_after_start_ms,
        )
        self.side_questions = side_questions = SideQuestions(state)
        self.moves = moves = Moves(state, gate, answers, tools)

        self.costs = costs = Costs(state, moves, spending=spending)
        self.alarms = alarms = Alarms(state, moves, answers=answers)
        self.announcements = Announcements(state, moves, bell=alarms)
        self.question = question = ConsentQuestion(
            state, moves, gate=gate, answers=answers, tools=tools, barge_in=barge_in
        )
        self.reply = reply = ConsentReply(
            state,
            moves,
            gate=gate,
            answers=answers,
            tools=tools,
            side_questions=side_questions,
            asking=question,
        )
        self.notes = notes = Notes(
            state,
            moves,
            answers=answers,
            memory=memory,
            side_questions=side_questions,
            costs=costs,
            tools=tools,
        )
        self.transcripts = Transcripts(
            state, memory=memory, side_questions=side_questions, items=notes.items, reader=reply
        )
        self.results = results = ToolResults(
            state, moves, answers=answers, tools=tools, memory=memory
        )
        self.outage = outage = Outage(state, moves, memory=memory)
        self.link = link = LinkWatch(
            state,
            moves,
            gate=gate,
            answers=answers,
            tools=tools,
            memory=memory,
            side_questions=side_questions,
            notes=notes,
            lost_calls=results,
            outage=outage,
        )
        self.ears = ears = Ears(
            state,
            moves,
            gate=gate,
            barge_in=barge_in,
            answers=answers,
            memory=memory,
            costs=costs,
            bell=alarms,
            reply=reply,
            explain_link=outage.explain,
        )
        self.server_ears = ServerEars(
            state, moves, gate=gate, answers=answers, memory=memory, listener=ears
        )
        self.turns = turns = TurnTaking(
            state,
            moves,
            answers=answers,
            tools=tools,
            memory=memory,
            costs=costs,
            listener=ears,
            question=question,
        )
        self.silence = silence = Silence(state, moves, settle=turns.settle)
        self.voice = Voice(
            state,
            moves,
            gate=gate,
            barge_in=barge_in,
            answers=answers,
            tools=tools,
            memory=memory,
            costs=costs,
            question=question,
            settle=turns.settle,
            silence=silence.chosen,
        )
        self.hands = Hands(
            state,
            moves,
            gate=gate,
            tools=tools,
            listener=ears,
            bell=alarms,
            reply=reply,
            sessions=link,
        )
        self.device = Device(state, moves, gate=gate)
        self.appearance = Appearance(state, bell=alarms)
