"""Reading: the model reads texts aloud or answers turns, one after the other, in one session.

`Reader.read` for each text or `Reader.ask` for each turn, `close` at the end.  What came is not
judged here, and no tool is run.

Thread: the event loop's.  It must never keep a turn in the conversation once that was answered
(every answer pays for what stands there), and never log: what goes wrong is raised as a
`LinkError`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.contract import commands as cmd
from edge_agent.contract import error_codes, net_faults
from edge_agent.contract import events as ev
from edge_agent.contract.errors import LinkBusy, LinkError, LinkLost, LinkRefused
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.protocol.faults import PROVIDER

SILENT_MAX_S = 30.0
"""Without any event after a request: a model that reasons begins within some seconds."""

ANSWER_MAX_S = 120.0
"""From the request to the end of the answer, whatever else is said meanwhile."""

READ_MAX_BYTES = 60 * 48_000
"""One minute of sound: the longest sentence takes a tenth of it.  More is no sentence, and a model
that does not stop must not be paid for going on."""

REQUEST = (error_codes.ABOUT_REQUEST, "conversation.item.create", error_codes.ABOUT_COMMIT)
"""What a complaint is about that leaves a turn unanswered."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What came for one text: 24 kHz PCM16, the words by the model's own account ("" without one),
    and how the answer ended (`completed`, `incomplete`, `cancelled`)."""

    pcm24k: bytes
    words: str
    status: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came for one turn: `reading`, the calls of tools, what was counted (None: nothing),
    and the seconds from the request to the first sound (None without one) and to the end."""

    reading: Reading
    calls: tuple[ev.ToolCall, ...]
    usage: ev.Usage | None
    first_s: float | None
    whole_s: float


class Reader:
    """Has texts read over the link that `open_link` makes, given where its events go.

    The session's instructions say how to read.  The link redials by itself; a session that breaks
    in a text ends that `read`, and the next one waits for the next session.
    """

    def __init__(self, open_link: Callable[[Callable[[ev.Event], None]], RealtimeLink]) -> None:
        self._events: asyncio.Queue[ev.Event] = asyncio.Queue()
        self._link = open_link(self._events.put_nowait)
        self._running: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)

    async def read(self, text: str) -> Reading:
        """Have `text` read.  Raises the `LinkError` of whatever prevented it."""
        return (await self._turn(text, b"", may_call=False)).reading

    async def ask(self, text: str = "", pcm24k: bytes = b"") -> Answer:
        """Have one turn answered, typed or spoken.  Raises as `read` does."""
        return await self._turn(text, pcm24k, may_call=True)

    async def _turn(self, text: str, pcm24k: bytes, *, may_call: bool) -> Answer:
        await self._until_ready()
        self._link.set_active(True)
        leftovers = list[str]()
        try:
            if pcm24k:
                self._link.execute(cmd.SendAudio(pcm24k))
                self._link.execute(cmd.CommitAudio())
            else:
                item = f"edge_text_{next(self._numbers)}"
                leftovers.append(item)
                self._link.execute(cmd.AddMessage(item, "user", text))
            self._link.execute(cmd.RequestResponse(may_call=may_call))
            return await self._answer(leftovers)
        finally:
            self._link.set_active(False)
            if self._link.is_ready:
                for name in leftovers:
                    self._link.execute(cmd.DeleteItem(name))

    async def close(self) -> None:
        """Say goodbye.  Nothing can be read afterwards."""
        if self._running is not None:
            await self._link.close()
            await self._running

    async def _until_ready(self) -> None:
        if self._running is None:
            self._running = asyncio.create_task(self._link.run(), name="reading link")
        while not self._link.is_ready:
            event = await self._events.get()
            if isinstance(event, ev.LinkDown):
                raise _error_of(event)
        while not self._events.empty():
            self._events.get_nowait()  # about an earlier text

    async def _answer(self, leftovers: list[str]) -> Answer:
        sound, words = bytearray(), list[str]()
        time = asyncio.get_running_loop().time
        began, first_s = time(), None

        def answer(status: str, ended: ev.ResponseEnded | None = None) -> Answer:
            return Answer(
                Reading(bytes(sound), "".join(words), status),
                ended.calls if ended is not None else (),
                ended.usage if ended is not None else None,
                first_s,
                time() - began,
            )

        while True:
            match await self._next(began + ANSWER_MAX_S):
                case ev.VoiceChunk(pcm24k=pcm, response=response):
                    sound += pcm
                    first_s = time() - began if first_s is None else first_s
                    if len(sound) > READ_MAX_BYTES:
                        self._link.execute(cmd.CancelResponse(response))
                        await self._drop("reads without end")
                        return answer("cancelled")
                case ev.UserTurnCommitted(item=item):
                    leftovers.append(item)
                case ev.VoiceText(text=more):
                    words.append(more)
                case ev.ResponseEnded() as ended:
                    leftovers += ended.items
                    if ended.status == "failed":
                        raise _failure_of(ended)
                    return answer(ended.status, ended)
                case ev.ServerComplained(code=code, about=about) if (
                    code == error_codes.SERVER_ERROR or about.startswith(REQUEST)
                ):
                    await self._drop("request refused")
                    raise LinkLost(f"The request was refused ({code}).", code="voice_pack.not_read")
                case ev.LinkDown() as down:
                    raise _error_of(down)

    async def _next(self, until: float) -> ev.Event:
        left_s = until - asyncio.get_running_loop().time()
        try:
            if left_s <= 0:  # a full queue would be read without a look at the time
                raise TimeoutError
            async with asyncio.timeout(min(SILENT_MAX_S, left_s)):
                return await self._events.get()
        except TimeoutError:
            await self._drop("no answer")
            raise net_faults.error_for(net_faults.TIMEOUT, PROVIDER) from None

    async def _drop(self, reason: str) -> None:
        """Leave a session that is of no more use; the next text gets a fresh one."""
        self._link.reopen(reason)
        while not isinstance(await self._events.get(), ev.LinkDown):
            pass


def _error_of(down: ev.LinkDown) -> LinkError:
    """The session's end as the error that it was."""
    if down.refused:
        return LinkRefused(down.message, fix=down.fix, code=down.code)
    if down.code == net_faults.LATER.code:
        return LinkBusy(down.message, fix=down.fix, code=down.code, retry_after_s=down.retry_in_s)
    return LinkLost(down.message, fix=down.fix, code=down.code)


def _failure_of(ended: ev.ResponseEnded) -> LinkError:
    """What a failed answer means."""
    if fault := net_faults.of_word(ended.code):
        return net_faults.error_for(fault, PROVIDER, wait_s=ended.retry_in_s)
    return LinkLost(f"The answer failed ({ended.code or 'no reason'}).", code="voice_pack.not_read")
