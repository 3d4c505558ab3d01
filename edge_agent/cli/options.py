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
