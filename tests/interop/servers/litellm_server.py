"""`litellm`: its proxy, between our speaker and our own server.

    python litellm_server.py PORT UPSTREAM_URL

Thread: none, it becomes the proxy's process.  It must never reach beyond this machine.  What is
tried is the proxy: its handshake, its checks, its rewriting and its closing of connections.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

MODEL = "gpt-realtime-2.1"


def main() -> None:
    port, upstream = sys.argv[1:3]
    base = upstream.replace("ws://", "http://").removesuffix("/realtime")
    model = {"model": f"openai/{MODEL}", "api_base": base, "api_key": "sk-interop"}
    # JSON is YAML, and the standard library writes it.
    config = Path(tempfile.mkdtemp(prefix="edge-agent-interop-")) / "config.yaml"
    config.write_text(
        json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": model}]}),
        encoding="utf-8",
    )
    proxy = Path(sys.executable).with_name("litellm")
    environment = {
        **os.environ,
        "LITELLM_MASTER_KEY": os.environ["INTEROP_KEY"],
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
    }
    arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", port]
    os.execve(proxy, [str(proxy), *arguments], environment)


if __name__ == "__main__":
    main()
