"""The view: what a person at the terminal sees while the play goes on.

Thread: the event loop.  It must never slow the play down or take part in it: on a terminal a panel
of a dozen lines that fits 80 columns, elsewhere one timed line per thing that happens.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge_agent.demo.judge.verdict import ActResult
from edge_agent.demo.show import style
from edge_agent.demo.stage import Stage

REFRESH_S = 0.1
"""Ten pictures a second look alive and cost one percent of a core."""

EVENTS_SHOWN = 7
METER_CELLS = 24
METER_FLOOR_DBFS = -60.0
"""Left end of a meter: a quiet room."""

WIDTH = 78
TOLD_PLAINLY = frozenset({"act", "says", "answers", "button", "network", "signal", "state"})
"""Kinds that are worth a line; the journal has lines of its own."""

SPOKEN = frozenset({"says", "answers"})

MARKS = {
    "act": "▶",
    "says": "○",
    "answers": "◆",
    "button": "●",
    "network": "⚡",
    "signal": "■",
    "state": "·",
}


def _meter(level_dbfs: float) -> str:
    share = (level_dbfs - METER_FLOOR_DBFS) / -METER_FLOOR_DBFS
    cells = min(METER_CELLS, max(0, round(share * METER_CELLS)))
    return "█" * cells + "░" * (METER_CELLS - cells)


class View:
    """Follows a stage.  `async with view.follow(stage): …`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._is_live = console.is_terminal
        self._events: deque[Text] = deque(maxlen=EVENTS_SHOWN)
        self._act = ""
        self._last = ""

    @contextlib.asynccontextmanager
    async def follow(
        self, stage: Stage, levels: Callable[[], tuple[float, float]]
    ) -> AsyncIterator[None]:
        """Show what happens; `levels` gives microphone and loudspeaker in dBFS."""
        listener = self._teller(stage)
        stage.score.listeners.append(listener)
        try:
            if not self._is_live or stage.is_virtual:
                yield
                return
            with Live(console=self._console, auto_refresh=False, transient=True) as live:
                task = asyncio.create_task(self._refresh(live, stage, levels), name="view")
                try:
                    yield
                finally:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
        finally:
            stage.score.listeners.remove(listener)

    def _teller(self, stage: Stage) -> Callable[[str, str], None]:
        def tell(kind: str, text: str) -> None:
            if kind not in TOLD_PLAINLY or text in (self._last, "link: connecting"):
                return
            self._last = text
            at = stage.now() - stage.started_at
            if kind == "act":
                self._act = text
            line = Text.assemble(
                (f"{at:7.2f} s  ", "dim"),
                (f"{MARKS[kind]} ", "bold" if kind == "act" else "dim"),
                (
                    style.fit(f"“{text}”" if kind in SPOKEN else text, WIDTH - 13),
                    _style(kind, text),
                ),
            )
            self._events.append(line)
            if not self._is_live or stage.is_virtual:
                self._console.print(line, highlight=False, soft_wrap=True)

        return tell

    async def _refresh(
        self, live: Live, stage: Stage, levels: Callable[[], tuple[float, float]]
    ) -> None:
        while True:
            live.update(self._picture(stage, levels()), refresh=True)
            await asyncio.sleep(REFRESH_S)

    def _picture(self, stage: Stage, levels: tuple[float, float]) -> RenderableType:
        microphone, loudspeaker = levels
        light = stage.panel.light if stage.panel else ""
        at = stage.now() - stage.started_at
        states = Text.assemble("talk ", _state(stage.talk, 11), "link ", _state(stage.link, 11))
        states.append("microphone ")
        states.append(_state(stage.score.state("microphone"), 7))
        states.append(f"light {light}")
        meters = Table.grid(padding=(0, 1))
        meters.add_row("microphone ", Text(_meter(microphone), "blue"), f"{microphone:4.0f} dBFS")
        meters.add_row("loudspeaker", Text(_meter(loudspeaker), "yellow"), _level(loudspeaker))
        head = Text.assemble((f"{at:5.1f} s  ", "dim"), (style.fit(self._act, WIDTH - 10), "bold"))
        left_s = stage.window_left_s()
        window = "" if left_s is None else f"go on without the wake word: {left_s:.0f} s"
        return Group(
            Text("─" * WIDTH, "dim"), head, states, meters, Text(window, "cyan"), *self._events
        )


def _level(dbfs: float) -> str:
    return "  silent" if dbfs <= METER_FLOOR_DBFS else f"{dbfs:4.0f} dBFS"


def _state(state: str, width: int) -> Text:
    return Text(state.ljust(width), style.TERMINAL.get(state, ""))


def _style(kind: str, text: str) -> str:
    if kind == "state":
        return style.TERMINAL.get(text.rpartition(" ")[2], "")
    return {
        "act": "bold",
        "says": "italic blue",
        "answers": "italic yellow",
        "network": "bold red",
    }.get(kind, "")


VERDICTS: dict[str, Text] = {
    "good": Text("ok", "green"),
    "bad": Text("FAILED", "bold red"),
    "busy": Text("busy", "bold yellow"),
    "none": Text("—", "dim"),
}


def print_results(console: Console, acts: list[ActResult]) -> None:
    """The table of acts, and under it every check that did not pass."""
    table = Table(title=None, box=None, pad_edge=False, padding=(0, 1), width=WIDTH)
    table.add_column("", width=6)
    table.add_column("act", width=32, no_wrap=True)
    table.add_column("measured")
    for act in acts:
        verdict = VERDICTS[act.verdict]
        figures = "\n".join(f"{f.name}: {style.figure_text(f.value, f.unit)}" for f in act.figures)
        table.add_row(verdict, f"{act.number:2} {act.title}", Text(figures, "dim"))
    console.print(table)
    for act in acts:
        for check in act.checks:
            if check.ok:
                continue
            console.print(
                Text.assemble(
                    ("too busy: ", "bold yellow") if check.busy else ("failed: ", "bold red"),
                    f"{act.number} {act.title}: {check.text}\n",
                    ("  expected ", "dim"),
                    check.expected,
                    ("\n  seen     ", "dim"),
                    check.seen,
                ),
                highlight=False,
                soft_wrap=True,
            )
