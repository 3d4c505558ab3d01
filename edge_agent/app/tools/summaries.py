"""Notes of a long talk by a text model: redacted, sent, and brought back to the dialogue.

Thread: event loop; the network is used by `io_pool`.  It must never put words of the talk into the
journal, and never send one that is not redacted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_agent.app.tools.facts import redactor
from edge_agent.contract.commands import Summarise
from edge_agent.contract.errors import AgentError
from edge_agent.contract.events import Event, SummaryMade
from edge_agent.contract.ports import Summarizer
from edge_agent.host.secret_files import KeySource
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.json_file import NoteFunction
from edge_agent.host.web.text_model import UsedFunction, text_model

MAX_S = 25.0
"""The dialogue gives up after 30 s: better an error with its reason than silence."""
MAX_TOKENS = 2000
"""Notes are about 1000; a model that thinks first needs as many again."""


class TextSummarizer(Summarizer):
    """The text model of the settings' `[supervisor]`, behind the owner's redaction."""

    def __init__(self, settings: Settings, used: UsedFunction) -> None:
        self._settings = settings
        self._used = used
        self._shared_key = KeySource.of(settings.realtime)
        self._redact = redactor(settings).redact

    def summarise(self, instructions: str, text: str) -> str:
        """As the port says; the model is made anew, so that a key put right works at once."""
        model = text_model(
            self._settings, max_seconds=MAX_S, used=self._used, shared_key=self._shared_key
        )
        return model.answer(instructions, self._redact(text), max_output_tokens=MAX_TOKENS)


class Notes:
    """Takes the dialogue's wishes for a summary; exactly one `SummaryMade` follows each.

    `summarizer`: who makes them; None: the text model of the settings, if there is one.  `used` is
    told what that has cost, on a thread of `io_pool`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        io_pool: Worker,
        post: Callable[[Event], None],
        note: NoteFunction,
        fault: Callable[[BaseException], None],
        time: Callable[[], float],
        summarizer: Summarizer | None = None,
        used: UsedFunction = lambda _usage: None,
    ) -> None:
        self._io_pool = io_pool
        self._post = post
        self._note = note
        self._fault = fault
        self._time = time
        self._summarizer = summarizer
        if summarizer is None and settings.supervisor.model:
            self._summarizer = TextSummarizer(settings, used)
        self._tasks: set[asyncio.Task[None]] = set()

    def want(self, wish: Summarise) -> bool:
        """Begin one; False when there is no text model."""
        if self._summarizer is None:
            return False
        work = self._make(wish, self._summarizer.summarise)
        task = asyncio.get_running_loop().create_task(work, name="notes of the talk")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Nobody waits for notes any more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, wish: Summarise, summarise: Callable[[str, str], str]) -> None:
        text = ""
        try:
            text = await self._io_pool.run(lambda: summarise(wish.instructions, wish.text))
        except AgentError as error:
            self._note(
                "memory.no_text_model", code=error.code, message=error.message, fix=error.fix
            )
        except Exception as problem:  # the dialogue has to hear of it whatever it was
            self._fault(problem)
        at = self._time()
        self._post(SummaryMade(at=at, tag=wish.tag, text=text, ok=bool(text.strip())))
