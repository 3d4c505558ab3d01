"""MCP results in words: text is passed on, anything else is described.

It must never pass on binary data, which would cost tokens and say nothing, and must never fail on a
content that is not known yet.  What comes out is data for the model; it allows nothing and orders
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from edge_agent.contract.errors import ToolError
from edge_agent.tools.servers.mcp_shorten import cut_bytes
from edge_agent.tools.servers.mcp_tools import plain

NAME_MAX_CHARS = 100
"""Of a resource that is only named."""
NOTHING = "Done."
"""What the model is told when a tool succeeded without a word."""


def in_words(content: Iterable[Any], structured: Any, *, is_error: bool) -> str:
    """One text out of a `tools/call` result.

    Structured content is told where there is no text: servers send both for older clients.
    Raises `ToolError` with the text when the server says that the tool failed.
    """
    parts = [_block(block) for block in content]
    text = "\n".join(part for part in parts if part)
    has_text = any(getattr(block, "type", "") == "text" for block in content)
    if structured is not None and not has_text:
        told = json.dumps(structured, ensure_ascii=False, separators=(",", ":"), default=str)
        text = f"{text}\n{told}" if text else told
    if is_error:
        raise ToolError(f"The tool failed: {text or 'it did not say why.'}")
    return text or NOTHING


def _block(block: Any) -> str:
    kind = getattr(block, "type", "")
    if kind == "text":
        return str(block.text)
    if kind == "image":
        return f"[an image, {_size(block.data)}]"
    if kind == "audio":
        return f"[a sound, {_size(block.data)}]"
    if kind == "resource":
        inside = block.resource
        if isinstance(getattr(inside, "text", None), str):
            return str(inside.text)
        return f"[a file, {_size(getattr(inside, 'blob', ''))}]"
    if kind == "resource_link":
        return f"[a link to {plain(getattr(block, 'name', ''), NAME_MAX_CHARS) or 'a file'}]"
    return "[something that cannot be told in words]"


def _size(base64_text: str) -> str:
    """How long the data is that a Base64 text stands for."""
    count = (len(base64_text) + cut_bytes(base64_text)) * 3 // 4
    if count < 1000:
        return f"{count} bytes"
    return f"{count // 1000} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
