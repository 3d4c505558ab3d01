"""MCP server: one tool server, kept connected; its tools and their calls.

Thread: event loop (it also runs in virtual time).  It must never block, raise at its caller
anything but `ToolError`, or take its tools away while it is only out of reach: a model that still
knows them can say what is wrong.

    run:  connect → list the tools → look again, often → lost → wait → connect …

The tools are listed anew when the server says that they changed, when something seems wrong, and
every minute, which finds out about servers that hang and about those that tell nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from edge_agent.contract.backoff import Backoff
from edge_agent.contract.errors import AgentError, ToolError
from edge_agent.contract.quota import Quota
from edge_agent.tools.servers.mcp_results import in_words
from edge_agent.tools.servers.mcp_tools import (
    Judge,
    LeftOut,
    Listed,
    McpTool,
    ServerPlan,
    judged,
    offered,
    plain,
)
from edge_agent.tools.servers.mcp_wire import FLOODS, OpenWire

CONNECT_MAX_S = 60.0
"""A first start may fetch a package; one that needs longer hangs."""
LOOK_EVERY_S = 60.0
"""How long a server may hang without anybody noticing, if nobody calls it."""
LIST_MAX_S = 10.0
"""For one page of the list of tools; a server that needs longer would be too slow to be asked."""
PAGES_MAX = 20
LISTED_MAX = 500
"""A list without end is a mistake."""
CHANGES_MAX = 30
"""Of the list, in one connection; the package keeps the names of all tools that it ever saw."""
LOOKS_PER_MIN = 12
"""How often the list is asked for because of news or trouble; one that changes all the time is
looked at every minute."""
CLOSE_MAX_S = 3.0
"""A connection that does not end within this is left behind; the whole daemon has 8 s to stop."""
PAUSE_FIRST_S = 0.5
PAUSE_MAX_S = 60.0
"""Between two attempts: a server that starts again is back soon, one that is gone costs little."""
HEALTHY_S = 30.0
"""A connection that lasted so long starts the pauses anew."""
BACK_SOON_S = 3.0
"""How long a call waits for a server that is being connected; then the model is told."""
REASON_MAX_CHARS = 200
"""Of a server's own error text, for the model."""
CONNECTION_CLOSED = -32000
REQUEST_TIMEOUT = -32001
SESSION_OVER = -32600
"""Codes that the package gives to a call whose connection ended, that took too long, or whose
session the server does not know (any more)."""
CLIENT_NAME = "edge-agent"
LOADED_EARLY = (
    *("mcp", "mcp.client.streamable_http", "mcp.client.subscriptions"),
    *("jsonschema", "anyio._backends._asyncio"),
)
"""What the package imports when it is first needed, in the middle of a call."""


class Watcher(Protocol):
    """What the outside wants to know of a server."""

    def tools_changed(self) -> None:
        """The tools are others now."""

    def connected(self, server: ToolServer) -> None:
        """It can be used (again), or its tools are others now."""

    def lost(self, server: ToolServer, why: str, retry_in_s: float) -> None:
        """It cannot be used; told for every attempt in vain."""

    def flooded(self, server: ToolServer) -> None:
        """It says more than it is read; told once for each connection."""


class ToolServer:
    """One tool server.  `run` keeps it connected until cancelled."""

    def __init__(
        self,
        plan: ServerPlan,
        open_wire: OpenWire,
        watcher: Watcher,
        rng: random.Random,
        judge: Judge | None = None,
    ) -> None:
        self.plan = plan
        self.tools: tuple[McpTool, ...] = ()
        """What the model may be offered; kept while the server is out of reach."""
        self.left_out: tuple[LeftOut, ...] = ()
        self.listed: tuple[Listed, ...] = ()
        """All that the server has."""
        self._open_wire = open_wire
        self._watcher = watcher
        self._rng = rng
        self._judge = judge
        self._client: Any = None
        self._is_up = asyncio.Event()
        self._look = asyncio.Event()
        self._looks = Quota(LOOKS_PER_MIN)
        self._wanted = asyncio.Event()
        """Somebody calls it: no time to wait for the next attempt."""
        self._trouble = ""
        self._since = 0.0
        self._offer: tuple[object, ...] = ()

    @property
    def is_up(self) -> bool:
        """Whether calls reach it now."""
        return self._is_up.is_set()

    # --- for ever -----------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, serve, wait, again."""
        loop = asyncio.get_running_loop()
        pauses = Backoff(PAUSE_FIRST_S, PAUSE_MAX_S, uniform=self._rng.uniform, least=0.5)
        while True:
            self._since, self._trouble = 0.0, ""
            serving = loop.create_task(self._serve(), name=f"tool server {self.plan.name}")
            try:
                await asyncio.wait({serving})
            finally:
                await _ended(serving)
            if self._since and loop.time() - self._since >= HEALTHY_S:
                pauses.reset()
            wait_s = pauses.next_s()
            self._watcher.lost(self, self._why(serving), wait_s)
            self._wanted.clear()
            await _within(wait_s, self._wanted)

    async def _serve(self) -> None:
        """One connection, from its begin to its end."""
        from mcp import Client
        from mcp_types import Implementation

        client = Client(
            _Wire(self._open_wire(self._has_trouble)),
            read_timeout_seconds=CONNECT_MAX_S,
            message_handler=self._told,
            client_info=Implementation(name=CLIENT_NAME, version="1"),
            cache=None,
        )
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(CONNECT_MAX_S):
                await stack.enter_async_context(client)
                await self._list(client)
            stack.callback(self._is_down, client)
            self._since = asyncio.get_running_loop().time()
            self._client, self._trouble = client, ""
            self._is_up.set()
            self._watcher.connected(self)
            listening = asyncio.create_task(self._listen(client), name="tool server's news")
            stack.callback(listening.cancel)
            changes = 0
            while True:
                self._look.clear()
                if self._looks.takes(asyncio.get_running_loop().time()):
                    await _within(LOOK_EVERY_S, self._look)
                else:
                    await asyncio.sleep(LOOK_EVERY_S)
                if await self._list(client):
                    self._watcher.connected(self)
                    changes += 1
                if changes > CHANGES_MAX:
                    raise ToolError("its tools never stay the same")
                self._trouble = ""

    def _is_down(self, client: Any) -> None:
        if self._client is client:  # not that of an older connection that would not end
            self._client = None
            self._is_up.clear()

    async def _list(self, client: Any) -> bool:
        """Ask for the tools, and pass them on.  Are they others than before?"""
        found: list[Listed] = []
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            async with asyncio.timeout(LIST_MAX_S):
                page = await client.list_tools(cursor=cursor, cache_mode="bypass")
            await asyncio.sleep(0)  # it took a while to read
            found += [
                Listed(
                    one.name,
                    one.description or one.title or "",
                    one.input_schema,
                    bool(one.annotations and one.annotations.read_only_hint),
                ).looked_at()
                for one in page.tools[: LISTED_MAX - len(found)]
            ]
            cursor = page.next_cursor
            if cursor is None or len(found) >= LISTED_MAX:
                break
        self.listed = tuple(found)
        tools, self.left_out = offered(self.plan, found, self.call)
        if cursor is not None:
            why = f"only the first {len(found)} are looked at"
            self.left_out = (*self.left_out, LeftOut("(the rest)", why))
        if self._judge is not None:
            named = {one.own_name: one.shape for one in tools if one.own_name in self.plan.tools}
            tools = judged(tools, await self._judge(self.plan.name, named))
        offer = tuple((tool.risk, tool.cancellable, tool.schema()) for tool in tools)
        if offer == self._offer:
            return False
        self.tools, self._offer = tools, offer
        self._watcher.tools_changed()
        return True

    async def _listen(self, client: Any) -> None:
        """News of the tools, as servers of 2026 and later tell them; others need no question."""
        from mcp import MCPError
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

        with contextlib.suppress(
            ListenNotSupportedError, SubscriptionLost, MCPError, TimeoutError, RuntimeError
        ):
            async with client.listen(tools_list_changed=True) as news:
                async for _ in news:
                    self._look.set()

    async def _told(self, message: Any) -> None:
        """News, as older servers tell them."""
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            self._look.set()

    def _has_trouble(self, why: str) -> None:
        if why == FLOODS:
            self._watcher.flooded(self)
            return
        self._trouble = why
        self._look.set()

    def _why(self, serving: asyncio.Task[None]) -> str:
        """In words why a connection ended, or could not be made."""
        error = None if serving.cancelled() or not serving.done() else serving.exception()
        for leaf in _leaves(error):
            if isinstance(leaf, AgentError):
                return leaf.message
        if self._trouble:
            return self._trouble
        if any(isinstance(leaf, TimeoutError) for leaf in _leaves(error)):
            return "it did not answer in time"
        codes = [getattr(leaf, "code", None) for leaf in _leaves(error)]
        if REQUEST_TIMEOUT in codes:
            return "it did not answer in time"
        return "it does not answer as an MCP server does"

    # --- calls --------------------------------------------------------------------------

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Run a tool of the server; its result in words.  Raises `ToolError` for the model."""
        name = self.plan.name
        if not self.is_up:
            self._wanted.set()
            await _within(BACK_SOON_S, self._is_up)
        client = self._client
        if client is None:
            raise ToolError(
                f"The tool server {name} cannot be reached just now. Nothing was done.",
                code="tool.unreachable",
            )
        try:
            result = await client.call_tool(
                tool, dict(arguments), read_timeout_seconds=self.plan.timeout_s
            )
        except asyncio.CancelledError:
            self._look.set()  # it was too slow, perhaps: does it still live?
            raise
        except Exception as error:
            raise self._call_failed(error) from error
        return in_words(result.content, result.structured_content, is_error=bool(result.is_error))

    def _call_failed(self, error: Exception) -> ToolError:
        self._look.set()
        name, code = self.plan.name, getattr(error, "code", None)
        if code == CONNECTION_CLOSED or self._client is None:
            return ToolError(
                f"The tool server {name} stopped in the middle of the call. Whether it was done "
                "is not known. It is being started again; ask before you try once more.",
                code="tool.lost",
            )
        if code == REQUEST_TIMEOUT:
            return ToolError(
                f"The tool server {name} gave no answer within {self.plan.timeout_s:g} seconds.",
                code="tool.timeout",
            )
        if code == SESSION_OVER:
            return ToolError(
                f"The tool server {name} was started anew and did not take the call. Nothing was "
                "done; try once more.",
                code="tool.unreachable",
            )
        if code is not None:
            text = plain(getattr(error, "message", ""), REASON_MAX_CHARS)
            return ToolError(f"The tool server {name} refused the call: {text or 'no reason'}")
        return ToolError(f"The tool server {name} gave an answer that cannot be read.")


class _Wire:
    """A connection as the package wants it: entered in the task that leaves it."""

    def __init__(self, wire: contextlib.AbstractAsyncContextManager[Any]) -> None:
        self._wire = wire

    async def __aenter__(self) -> Any:
        return await self._wire.__aenter__()

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._wire.__aexit__(*error)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for `event`, but no longer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel it and wait a bounded time; also when we are cancelled ourselves."""
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({task}, timeout=CLOSE_MAX_S)


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    """The errors in a group of groups of errors."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif error is not None:
        yield error


def load_library() -> None:
    """Import the package with all that it would import later; it takes a second, so not on the
    loop.  It logs what servers send, which may be words of the household: it must not.

    Raises `ImportError`.
    """
    import logging
    from importlib import import_module

    for name in LOADED_EARLY:
        import_module(name)
    for name in ("mcp", "client", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def is_installed() -> bool:
    """Whether the package is here."""
    from importlib.util import find_spec

    return find_spec("mcp") is not None
