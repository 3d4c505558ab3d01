"""A tool server that tells what it can reach; `python3 probing_server.py [stubborn]`.

Speaks as little MCP as a client of 2025 needs.  With `stubborn` it outlives its input and SIGTERM.
"""

import json
import os
import pathlib
import signal
import socket
import sys
import time
from typing import Any

DEVICES = ("snd", "gpiochip0", "mem")
PLACES = (
    "/etc/edge-agent/openai_api_key",
    "/etc/edge-agent/edge-agent.toml",
    "/var/lib/edge-agent",
    "/run/edge-agent",
    "/run/edge-agent-tools/stubborn.env",
)


def opens(place: str) -> bool:
    path = pathlib.Path(place)
    try:
        return bool(list(path.iterdir()) or True) if path.is_dir() else bool(path.read_bytes() or 1)
    except OSError:
        return False


def probe() -> None:
    """Into its own folder, which is all that it can write to."""
    found = {
        "uid": os.getuid(),
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "reads": [place for place in PLACES if opens(place)],
        "network": str(pathlib.Path("/proc/self/ns/net").readlink()),
        "devices": [name for name in DEVICES if pathlib.Path("/dev", name).exists()],
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "variables": {k: os.environ[k] for k in ("PLAIN", "SECRET") if k in os.environ},
        "inherited": sorted(k for k in os.environ if k.startswith(("CREDENTIALS", "EDGE_AGENT"))),
    }
    pathlib.Path("found.json").write_text(json.dumps(found))


def say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(message: dict[str, Any]) -> object:
    if message["method"] == "initialize":
        return {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "probe", "version": "1"},
        }
    probe()
    schema = {"type": "object", "properties": {}}
    return {"tools": [{"name": "probe", "description": "Tells.", "inputSchema": schema}]}


if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message and message.get("method") in ("initialize", "tools/list"):
        body = {"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}
        say(body)
    elif "id" in message:
        error = {"code": -32601, "message": "no such method"}
        say({"jsonrpc": "2.0", "id": message["id"], "error": error})
while "stubborn" in sys.argv:
    time.sleep(60)
