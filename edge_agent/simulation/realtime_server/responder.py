"""Which responses run: one for the conversation, any number beside it.

Thread: the event loop that serves the session.  It must never let two responses write into the
default conversation at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edge_agent.simulation.brains import ToolOutput, Turn
from edge_agent.simulation.realtime_server.checks import BadParameter
from edge_agent.simulation.realtime_server.conversation import Item, item_from_client
from edge_agent.simulation.realtime_server.peer import Peer
from edge_agent.simulation.realtime_server.response import Response
from edge_agent.simulation.realtime_server.schemas import Json, merged, takes_reasoning
from edge_agent.simulation.realtime_server.usage import PromptCache, context_pieces

_OWN_SETTINGS = frozenset({"conversation", "input", "metadata", "prompt"})


class Responder:
    """Creates, paces and ends the responses of one session; `on_end` hears of every end, and
    has to call `ended`."""

    def __init__(self, session: Peer, on_end: Callable[[Response], None]) -> None:
        self._session = session
        self._on_end = on_end
        self._tasks: dict[Response, asyncio.Task[None]] = {}
        self._cache = PromptCache()
        self._turn_waits = False
        self.active: Response | None = None
        """The response that writes into the default conversation."""
        self.all: list[Response] = []
        """Every response of the session, oldest first."""

    def create(self, request: Json) -> Response:
        """Start a response; raises `BadParameter` when the conversation has one already."""
        session = self._session
        out_of_band = request.get("conversation") == "none"
        if not out_of_band and self.active is not None:
            raise BadParameter(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{self.active.id}. Wait until the response is finished before creating a new one.",
                None,
            )
        if "reasoning" in request and not takes_reasoning(session.model):
            raise _no_reasoning("response.reasoning")
        context = self._context(request)
        turn = _turn(session.config, request, context, session.conversation.items)
        pieces = context_pieces(turn.instructions, turn.session.get("tools"), context)
        cached = self._cache.read(pieces, asyncio.get_running_loop().time())
        response = Response(session, turn, pieces, cached, self._on_end)
        self.all.append(response)
        if not out_of_band:
            self.active = response
            self._turn_waits = False
        steps = response.steps()
        next(steps)  # announced at once: a cancellation may be the client's very next event
        task = asyncio.create_task(self._pace(response, steps))
        task.add_done_callback(session.watch)
        self._tasks[response] = task
        return response

    def answer_turn(self) -> None:
        """Answer a turn that the server cut itself; after the answer in progress, if any."""
        if self.active is not None:
            self._turn_waits = True
        else:
            self.create({})

    def cancel(self, response_id: str | None) -> None:
        """Cancel on the client's wish; raises `BadParameter` when there is nothing to cancel."""
        wanted = self.active
        if response_id is not None:
            wanted = next((r for r in self._tasks if r.id == response_id), None)
        if wanted is None or wanted.status != "in_progress":
            raise BadParameter(
                "response_cancel_not_active",
                "Cancellation failed: no active response found",
                None,
            )
        self._end(wanted, "client_cancelled")

    def interrupt(self) -> None:
        """The household spoke: end the conversation's response, side responses go on."""
        if self.active is not None:
            self._end(self.active, "turn_detected")

    def ended(self, response: Response) -> None:
        """A response has sent its `response.done`; the next turn may be answered."""
        if self.active is response:
            self.active = None
        if self._turn_waits and self.active is None:
            self.answer_turn()

    async def aclose(self) -> None:
        """Stop all work; tell the brain about an answer that was not completed."""
        if self.active is not None:
            self._session.brain.abandoned(self.active.turn)
            self.active = None
        self._turn_waits = False
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, response: Response, reason: str) -> None:
        self._tasks.pop(response).cancel()
        response.cancel(reason)

    async def _pace(self, response: Response, steps: Iterator[float]) -> None:
        """Run the steps on schedule: lateness of one step does not move the next."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            for wait_s in steps:
                due += wait_s
                await self._session.outbox.room()
                await asyncio.sleep(max(0.0, due - loop.time()))
        finally:
            self._tasks.pop(response, None)

    def _context(self, request: Mapping[str, Any]) -> list[Item]:
        """The items a response is given: the conversation, or what the request names."""
        session = self._session
        if "input" not in request:
            return list(session.conversation)
        items: list[Item] = []
        for index, raw in enumerate(request["input"]):
            path = f"response.input[{index}]"
            if raw["type"] != "item_reference":
                own_id = session.ids.new("item")
                items.append(item_from_client(raw, own_id, session.ids.new("call"), path))
                continue
            found = session.conversation.find(raw["id"])
            if found is None:
                raise BadParameter(
                    "invalid_value", f"Item with id '{raw['id']}' not found.", f"{path}.id"
                )
            items.append(found)
        return items


def _no_reasoning(path: str) -> BadParameter:
    return BadParameter(
        "invalid_value", f"'{path}' is not supported with the model of this session.", path
    )


def check_reasoning(session_patch: Mapping[str, Any], model: str) -> None:
    """Raise `BadParameter` when `reasoning` is set for a model that does not reason."""
    if "reasoning" in session_patch and not takes_reasoning(model):
        raise _no_reasoning("session.reasoning")


def _turn(config: Json, request: Json, context: list[Item], all_items: list[Item]) -> Turn:
    """What the brain is told about this response."""
    own = {key: value for key, value in request.items() if key not in _OWN_SETTINGS}
    if own.get("instructions") is None:
        own.pop("instructions", None)  # null: as if it were not there
    effective = merged(config, own)
    assert isinstance(effective, dict)
    fresh: list[Item] = []
    for item in reversed(context):
        if item.role == "assistant" or item.kind == "function_call":
            break
        fresh.insert(0, item)
    names = {
        str(item.body.get("call_id")): str(item.body.get("name"))
        for item in (*all_items, *context)
        if item.kind == "function_call"
    }
    outputs = [item for item in fresh if item.kind == "function_call_output"]
    users = [item for item in fresh if item.role == "user"]
    metadata = request.get("metadata")
    modalities = effective["output_modalities"]
    return Turn(
        heard=tuple(bytes(pcm) for item in users for pcm in item.audio.values()),
        texts=tuple(str(p["text"]) for item in users for p in item.content if p.get("text")),
        outputs=tuple(
            ToolOutput(
                str(item.body["call_id"]),
                names.get(str(item.body["call_id"]), ""),
                str(item.body["output"]),
            )
            for item in outputs
        ),
        items_total=len(context),
        transcript=tuple((item.role, item.text) for item in context if item.role),
        session=effective,
        request=request,
        metadata=metadata if isinstance(metadata, dict) else {},
        instructions=str(effective["instructions"]),
        modalities=tuple(modalities) if isinstance(modalities, list) else (),
        out_of_band=request.get("conversation") == "none",
    )
