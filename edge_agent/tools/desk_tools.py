"""Desk tools: ask a stronger model, leave a message, say the last answer again.

Thread: event loop.  It must never block, reach into another room, or tell the model more than what
is true of a message: effects go through `Desk`, which `app.desk` implements.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from edge_agent.contract.errors import AgentError, LinkBusy, LinkRefused, ToolError
from edge_agent.contract.risk import Risk
from edge_agent.tools.last_answer import LastAnswer
from edge_agent.tools.registry import Behaviour, Tool, tool

QUESTION_MAX_CHARS = 2000
"""Two minutes of speech: whatever is longer is no question."""
GRACE_S = 2.0
"""The wire's own limit comes first, because its error says more than the runner's."""
MESSAGE_LIMIT_S = 8.0
"""The disk, and the first try to send it."""

SAY_IT = (
    "Tell this in your own words and in the language of the talk, as your own answer: a few words "
    "to open, the gist in one sentence, at most three details in another, and if there is more or "
    "something to choose, a quick question such as: shall I go on? No lists, links or signs that "
    "only make sense in writing; numbers, times and dates as people say them."
)


THINKING = {
    "de": ["Einen Moment, ich überlege.", "Ich sehe mal nach.", "Einen kleinen Augenblick."],
    "fr": ["Un instant, je réfléchis.", "Je regarde ça.", "Une petite seconde."],
    "es": ["Un momento, lo pienso.", "Déjame ver.", "Un segundo."],
    "it": ["Un momento, ci penso.", "Fammi vedere.", "Solo un attimo."],
}
PASSING_ON = {
    "de": ["Ich richte aus, dass es um sechs Essen gibt. Stimmt das so?", "Soll ich das so sagen?"],
    "fr": ["Je transmets qu'on mange à huit heures. C'est bien ça ?", "Je transmets comme ça ?"],
    "es": ["Le digo que se cena a las nueve. ¿Está bien así?", "¿Se lo digo así?"],
    "it": ["Riferisco che si cena alle otto. Va bene così?", "Lo riferisco così?"],
}
"""What is said before a call, in the languages that our own sentences have."""


class Asked(Protocol):
    """A stronger model's answer; `is_whole`: it was not cut at its longest length."""

    @property
    def text(self) -> str: ...
    @property
    def is_whole(self) -> bool: ...


class Desk(Protocol):
    """What the tools may do."""

    async def ask(self, question: str, context: str) -> Asked:
        """The stronger model's answer.  Raises AgentError."""

    async def leave(self, text: str, sender: str, urgency: str) -> tuple[str, bool]:
        """Keep a message; what has become of it: `sent`, `stored` (sent later), `kept` (never
        sent, it waits here) or `memory` (the disk failed); True if parts of it were left out.
        Raises ToolError."""


LEFT = {
    "sent": "Sent to the owner.",
    "stored": "Stored. It could not be sent yet; it will be sent as soon as that is possible.",
    "kept": "Stored on this speaker, where the owner can read it. It is not sent anywhere: say so.",
    "memory": "Noted, but it could not be written to the disk: it is lost if the speaker is "
    "switched off. Say so.",
}
"""What is true of a message, for the model."""
PARTS_LEFT_OUT = (
    " Parts were left out, because the owner of this speaker wants no such numbers, addresses or "
    "names kept: say so."
)


def answer_tool(desk: Desk, max_seconds: float) -> Tool:
    """The tool that asks the stronger model; only for a speaker that has one."""

    @tool(
        risk=Risk.LOW,
        timeout_s=max_seconds + GRACE_S,
        speakable="the question",
        behaviour=Behaviour.PREAMBLE,
        samples=["One moment, I'll think about it.", "Let me look into that.", "Just a second."],
        translated=THINKING,
        cancellable=True,
        concurrency=2,
    )
    async def answer(
        question: Annotated[
            str,
            Field(
                min_length=1,
                max_length=QUESTION_MAX_CHARS,
                description="The question as a whole, understandable without this talk",
            ),
        ],
        context: Annotated[
            str,
            Field(
                max_length=QUESTION_MAX_CHARS,
                description="What else has to be known, such as today's date. No names of people "
                "and nothing private",
            ),
        ] = "",
    ) -> dict[str, Any]:
        """Ask a stronger model that thinks longer: for what needs knowledge, reckoning or care
        beyond a quick answer. It hears nothing of this talk. Not for small talk, the time, or
        anything that another tool does. First say one short neutral sentence; afterwards tell
        the result as it asks to be told. Never mention another model: you are who answers."""
        try:
            asked = await desk.ask(question, context)
        except AgentError as error:
            raise ToolError(no_answer(error), code=error.code) from error
        note = {} if asked.is_whole else {"note": "It breaks off: it was too long."}
        return {"how_to_say": SAY_IT, "answer": asked.text, **note}

    return answer


def no_answer(error: AgentError) -> str:
    """Why there is no answer, in words that the voice can speak as its own trouble: the household
    hears of no second model."""
    if error.code == "link.timeout":
        why = "Looking into it took too long."
    elif error.code == "text_model.filtered":
        return "This question is declined. Say that you cannot help with it."
    elif error.code == "text_model.cut":
        why = "Looking into it came to no end."
    elif error.code == "budget.spent":
        why = "The money for today is spent, so it cannot be looked into."
    elif isinstance(error, LinkBusy):
        why = "The service for hard questions is overloaded right now."
    elif isinstance(error, LinkRefused) or not error.code.startswith("link."):
        why = (
            "The service for hard questions is not set up rightly; only the owner can change that."
        )
    else:
        why = "The service for hard questions cannot be reached right now."
    return (
        f"{why} Say so in one sentence as a trouble of your own, without a word of other models, "
        "and answer yourself if you are sure enough."
    )


def leave_message_tool(desk: Desk) -> Tool:
    """The tool that takes a message for the owner.

    LOW: a guest, who can be asked for no consent, must be able to use it, and all that it can do
    is to fill a bounded file of the owner's, so many times an hour.
    """

    @tool(
        risk=Risk.LOW,
        timeout_s=MESSAGE_LIMIT_S,
        speakable="the message",
        behaviour=Behaviour.CONFIRM,
        samples=["I'll say that dinner is at six. Is that right?", "Shall I pass it on like that?"],
        translated=PASSING_ON,
        concurrency=1,
    )
    async def leave_message(
        text: Annotated[
            str,
            Field(
                min_length=1,
                max_length=1000,
                description="The message, in the person's words, with the number and the time to "
                "call back if there are any",
            ),
        ],
        sender: Annotated[
            str, Field(max_length=100, description="Who leaves it, if they said so; do not guess")
        ] = "",
        urgency: Literal["normal", "urgent"] = "normal",
    ) -> str:
        """Leave a message for the owner of this speaker: when somebody asks for it, wants a person
        rather than you, or needs something that you are not allowed to do. If they want an
        answer, ask once for a number and a good time to call back. It calls no help in an
        emergency. Tell truthfully what the result says has become of it."""
        plain = " ".join(text.split())
        if not plain:
            raise ToolError("The message is empty. Ask for it.", code="tool.bad_arguments")
        fate, is_shortened = await desk.leave(plain, " ".join(sender.split()), urgency)
        return LEFT[fate] + (PARTS_LEFT_OUT if is_shortened else "")

    return leave_message


def repeat_tool(last: LastAnswer) -> Tool:
    """The tool that knows what was really heard of the last answer."""

    @tool(risk=Risk.LOW, speakable="my last answer")
    def repeat_last_answer() -> dict[str, Any] | str:
        """What you said before this turn, and how much of it was heard before you were
        interrupted. Use it for: what did you say? say that again; go on."""
        said = last.said
        if said is None:
            return "You have not said anything yet."
        if not said.unheard:
            return {"heard": said.heard}
        return {"heard": said.heard, "cut_off": True, "not_heard": said.unheard}

    return repeat_last_answer
