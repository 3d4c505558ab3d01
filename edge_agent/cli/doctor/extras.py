"""What is beside the talk: the model's end, our own sentences, tool servers.

Call `model_ends`, `voice` and `tool_servers`.  Pure but for reading files.  It must never contact
anybody or start a tool server.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.cli.doctor.findings import Finding, fail, not_seen, ok, warn

if TYPE_CHECKING:
    from edge_agent.host.price_list import PriceList
    from edge_agent.host.settings.mcp import McpServer
    from edge_agent.host.settings.root import Settings


def model_ends(settings: Settings, table: PriceList, today: date) -> Iterator[Finding]:
    """Is a model of the settings switched off soon?"""
    from edge_agent.app.endings import endings

    found = endings(settings, table, today)
    for sentence in found:
        is_over = "has ended" in sentence
        fix = "Choose another one: realtime.model (its provider's own pages list them)"
        told = sentence.removesuffix(": choose another one")
        yield (fail if is_over else warn)("Model", told, fix)
    if not found:
        name = settings.realtime.model
        record = table.providers.get(settings.realtime.provider)
        known = record.model(name) if record else None
        ends = known.ends if known else None
        yield ok("Model", f"{name} " + (f"ends on {ends}" if ends else "has no end that is known"))


def voice(settings: Settings) -> Iterator[Finding]:
    """Can it say what has to be said without the service, and in its language?"""
    from edge_agent.host.voice.espeak import is_installed
    from edge_agent.host.voice.pack_store import pack_root
    from edge_agent.host.voice.sentences import Sentences

    speech = settings.speech
    if not speech.sentences:
        yield not_seen("Voice", "sentences of its own are switched off (speech.sentences)")
        return
    can_render = is_installed()
    if not can_render:
        yield fail(
            "Voice",
            "espeak-ng is not installed: nobody can be asked before a tool acts",
            "sudo apt-get install -y espeak-ng; sudo systemctl restart edge-agent",
        )
    sentences = Sentences(speech.language, own=pack_root(speech.voice_pack_dir))
    if sentences.advice:
        yield warn("Voice", sentences.advice, "edge-agent config show --changed")
    try:
        sources = Counter(sentences.sources().values())
    except OSError as problem:
        yield not_seen("Voice", f"the voice pack: {problem.strerror}; run this with sudo")
        return
    yield pack(sentences.language, sources, renders=can_render and speech.offline_voice)


def pack(language: str, sources: Mapping[str, int], *, renders: bool) -> Finding:
    """How complete the recordings of a language are."""
    whole = sum(sources.values())
    missing = sources.get("english", 0) + sources.get("none", 0)
    build = f"sudo edge-agent voice-pack build --language {language}"
    if not missing:
        return ok("Voice", f"all {whole} sentences are there in {language}")
    said = f"{missing} of {whole} sentences have no recording in {language}"
    if renders:
        return ok("Voice", f"{said}: espeak-ng speaks them once the speaker runs")
    return warn("Voice", f"{said}: they are heard in English or not at all", build)


def tool_servers(
    servers: Mapping[str, McpServer], standing: Mapping[str, str] | None
) -> Iterator[Finding]:
    """Can they be used?  `standing`: what the running speaker says of each; None: it does not run,
    and nobody is started or called."""
    for name, server in servers.items():
        see = f"edge-agent mcp list {name}"
        if not server.enabled:
            yield not_seen("Tools", f"{name} is switched off")
        elif standing is not None:
            why = standing.get(name)
            if why is None:
                fix = "sudo systemctl restart edge-agent"
                yield warn("Tools", f"the speaker does not know {name} yet", fix)
            elif not why:  # what is wrong stands among the speaker's troubles
                yield ok("Tools", f"{name} can be used")
        elif server.command and shutil.which(server.command[0]) is None:
            yield warn("Tools", f"{name}: there is no program {server.command[0]}", see)
        elif missing := _missing(server):
            yield warn("Tools", f"{name}: {missing} cannot be read", see)
        else:
            what = server.command[0] if server.command else "its address"
            yield not_seen(
                "Tools", f"{name}: {what} is not tried, the speaker does not run ({see})"
            )


def _missing(server: McpServer) -> str:
    """A file with secrets that is not there."""
    for file in (server.env_file, server.headers_file, server.token_file):
        if file and not Path(file).exists():
            return file
    return ""
