"""Options that several verbs have in common.

Thread: main.  It must never import what a verb needs only when it runs: `--help` shows these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Settings file.  Default: $EDGE_AGENT_CONFIG, else /etc/edge-agent/edge-agent.toml "
        "if it exists, else the built-in defaults.",
    ),
]

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="A setting for this once, stronger than file and environment; may be repeated: "
        "--set realtime.voice=cedar --set listen.follow_up_s=8",
    ),
]
