"""Replay: a recorded run of the dialogue, played again and judged.

    python tests/replay.py FILE        from the checkout; prints what was broken, and when

`record` writes such a file: the configuration in its first line, then the events (`referee.tape`).
The answer of the loudspeaker to a cut is among the events, so nothing has to be simulated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from house_config import household_of
from referee import Referee, tape

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.manager import DialogueManager


def record(
    path: Path,
    config: DialogueConfig,
    events: Iterable[e.Event],
    *,
    muted: bool = False,
    guest: bool = False,
) -> None:
    """Write a run that can be played again."""
    head = {"config": msgspec.to_builtins(config), "muted": muted, "guest": guest}
    tape.write(path, events)
    path.write_text(json.dumps(head) + "\n" + path.read_text(encoding="utf-8"), encoding="utf-8")


def replay(path: Path) -> tuple[Referee, list[list[c.Command]]]:
    """Play a recorded run; returns who judged it, and the commands of each step."""
    head, _, events = path.read_text(encoding="utf-8").partition("\n")
    settings = json.loads(head)
    config = msgspec.convert(settings["config"], DialogueConfig)
    start = {"muted": settings["muted"], "guest": settings["guest"]}
    manager = DialogueManager(config, **start)
    referee = Referee(household_of(config, **start))
    steps = []
    for event in tape.parse(events):
        commands = manager.handle(event)
        referee.observe(event, commands, event.at)
        steps.append(commands)
    return referee, steps


if __name__ == "__main__":
    judge, _steps = replay(Path(sys.argv[1]))
    sys.stdout.write("\n".join(judge.told() or ["every promise was kept"]) + "\n")
    sys.exit(1 if judge.broken else 0)
