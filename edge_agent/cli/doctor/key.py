"""The key's form: what can be wrong with it before anybody is asked.

Call `key_file` for the file it is kept in, `key_text` for one from the environment.  It must never
show any part of a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edge_agent.cli.doctor.findings import Finding, fail, not_seen, ok, warn
from edge_agent.host.secret_files import is_open_to_others, read_text, why_not

MADE_BY: dict[str, tuple[str, ...]] = {
    "sk-ant-": ("anthropic",),
    "sk-or-": ("openrouter",),
    "sk-": ("openai",),
    "xai-": ("xai",),
    "gsk_": ("groq",),
    "AIza": ("google", "gemini"),
    "hf_": ("huggingface",),
    "ghp_": ("github",),
    "sk_": ("elevenlabs",),
}
"""How the keys of some makers begin, the longer beginnings first, and who takes them."""
KNOWN = frozenset(name for names in MADE_BY.values() for name in names)
KEY_MIN_CHARS = 16
"""Shorter ones are a piece of a key: no maker's is."""


def key_file(path: Path, provider: str, *, needs_key: bool) -> Iterator[Finding]:
    """The file with the key, and whether others can read it."""
    store = (
        f"sudo install -m 640 -g edge-agent /dev/stdin {path}     (paste the key, Enter, Ctrl-D)"
    )
    try:
        text = read_text(path)
    except FileNotFoundError:
        if needs_key:
            yield fail("Key", f"there is no {path}", store)
        return
    except OSError as problem:
        yield not_seen("Key", f"{path} {why_not(problem)}; run this with sudo")
        return
    except ValueError as problem:
        yield fail("Key", f"{path} {why_not(problem)}", store)
        return
    if is_open_to_others(path):
        close = f"sudo chgrp edge-agent {path} && sudo chmod 640 {path}"
        yield warn("Key", f"{path} can be read by others", close)
    wrong = key_form(text, provider)
    if wrong and (needs_key or text):
        yield fail("Key", f"{path} {wrong}", store)
    elif text:
        yield ok("Key", f"{path} holds one key of the usual form")


def key_text(key: str, provider: str) -> Finding:
    """A key that came from the environment."""
    wrong = key_form(key, provider)
    if wrong:
        return fail("Key", f"the one in the environment {wrong}", "Correct OPENAI_API_KEY")
    return ok("Key", "one of the usual form, from the environment")


def key_form(text: str, provider: str) -> str:
    """What is wrong with it, as the end of a sentence; "" if nothing is."""
    text = text.strip()
    if not text:
        return "is empty"
    if len(text.splitlines()) > 1:
        return "has a line break inside: the key belongs on one line"
    if "\N{LEFT DOUBLE QUOTATION MARK}" in text or text[0] in "\"'`" or text[-1] in "\"'`":
        return "has quotation marks around the key"
    if re.match(r"(export\s+)?[A-Z_]+=", text):
        return "holds NAME=key: the key alone belongs there"
    if text.lower().startswith("bearer "):
        return "begins with Bearer: the key alone belongs there"
    if len(text.split()) > 1:
        return "has a space inside"
    if not (text.isascii() and text.isprintable()):
        return "holds a character that no key has"
    maker = next((names for start, names in MADE_BY.items() if text.startswith(start)), ())
    if maker and provider in KNOWN and provider not in maker:
        return f"holds a key of {maker[0]}, and the settings name {provider}"
    if len(text) < KEY_MIN_CHARS and maker:
        return f"holds a piece of a key ({len(text)} characters)"
    return ""
