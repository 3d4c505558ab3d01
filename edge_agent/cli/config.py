"""`edge-agent config`: are the settings right, and where did each come from.

Thread: main.  It must never print a secret.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.options import ConfigOption, SetOption
from edge_agent.cli.outcome import guarded, note

if TYPE_CHECKING:
    from edge_agent.host.settings.load import Loaded

app = typer.Typer(
    help="Look at the settings.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@app.command()
@guarded
def check(config_file: ConfigOption = None, said: SetOption = None) -> None:
    """Read all layers and tell every mistake; exit code 78 if there is one."""
    from edge_agent.cli.prompt import check_persona
    from edge_agent.cli.voice.speech import service_has_key
    from edge_agent.host.settings.advice import NO_KEY
    from edge_agent.host.settings.load import load
    from edge_agent.host.web.http_api import tls_context

    loaded = load(config_file, said=said or ())
    absent = check_persona(loaded.settings)
    tls_context(loaded.settings.realtime.ca_file)  # raises for a file that will not do
    for warning in (
        *loaded.warnings,
        *map(str, absent),
        *_voice_advice(loaded),
        *_service_advice(loaded),
        *_persona_advice(loaded),
        *_desk_advice(loaded),
    ):
        # The service is handed a key that this account may not read.
        if not (warning.startswith(NO_KEY) and service_has_key()):
            note(warning)
    read = ", ".join(map(str, loaded.files)) or "no file, only defaults"
    count = len(_rows(loaded, changed=True))
    typer.echo(f"The settings are right ({read}; {count} differ from their default).")


@app.command()
@guarded
def show(
    config_file: ConfigOption = None,
    said: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what differs from the default.")
    ] = False,
) -> None:
    """Print the settings in force and where each came from.  Secrets are masked."""
    from edge_agent.host.settings.load import load

    loaded = load(config_file, said=said or ())
    rows = list(_rows(loaded, changed))
    if as_json:
        typer.echo(json.dumps({k: {"value": v, "from": o} for k, v, _, o in rows}, indent=2))
        return
    width = max((len(f"{key} = {text}") for key, _, text, _ in rows), default=0)
    for key, _, text, origin in rows:
        typer.echo(f"{f'{key} = {text}':<{min(width, 60)}}  # {origin}")


@app.command()
@guarded
def template() -> None:
    """Print the settings file with every key, its default and its meaning."""
    from edge_agent.host.settings.text import default_file

    typer.echo(default_file(), nl=False)


def _voice_advice(loaded: Loaded) -> list[str]:
    """What nobody could be asked aloud, and what would be heard in another language."""
    from edge_agent.host.voice.espeak import is_installed
    from edge_agent.host.voice.pack_store import pack_root
    from edge_agent.host.voice.sentences import Sentences

    speech = loaded.settings.speech
    if is_installed() or not speech.sentences:
        return []
    remedy = "Run: sudo apt-get install -y espeak-ng"
    advice = [
        "espeak-ng is not installed, so nobody can be asked aloud: tools of medium and high risk "
        f"are refused.  {remedy}"
    ]
    sentences = Sentences(speech.language, own=pack_root(speech.voice_pack_dir))
    if english := len(sentences.silent_texts()):
        advice.append(
            f"{english} of {len(sentences.texts)} of the speaker's own sentences will be heard in "
            f"English: there is no voice for {sentences.language} on this machine.  {remedy}"
        )
    return advice


def _service_advice(loaded: Loaded) -> list[str]:
    """What to know about the chosen services; raises for one that could not be dialled."""
    from datetime import datetime

    from edge_agent.app.endings import endings
    from edge_agent.app.endpoints import endpoints
    from edge_agent.app.money import unpriced_beside
    from edge_agent.app.wiring import transcription_hints
    from edge_agent.host.price_list import load_providers, owners_path

    settings = loaded.settings
    realtime = settings.realtime
    table = load_providers(owners_path(realtime.providers_file))
    endpoints(settings, table)
    advice = endings(settings, table, datetime.now().astimezone().date())
    advice += table.unpriced(realtime.provider, realtime.model)
    advice += unpriced_beside(settings, table)
    for name in dict.fromkeys((realtime.provider, *(x.provider for x in realtime.fallbacks))):
        advice += table.missing(name)
    record = table.record(realtime.provider)
    asks = realtime.transcription == "builtin" and not realtime.transcription_model
    if asks and record.can.transcription and not record.transcription_model:
        advice.append(
            f"{realtime.provider}: nothing is transcribed before realtime.transcription_model "
            "names what your server has for it (azure: a deployment)"
        )
    if realtime.transcription == "builtin":
        transcriber = realtime.transcription_model or record.transcription_model
        lost = transcription_hints(settings).lost_on(transcriber)
        advice += [f"{transcriber} is not told transcription.{hint}" for hint in lost]
    return advice


def _persona_advice(loaded: Loaded) -> list[str]:
    """What the persona asks for and these services do not give."""
    from edge_agent.host.personas import load_persona
    from edge_agent.host.price_list import load_providers, owners_path

    realtime = loaded.settings.realtime
    persona = load_persona(realtime.persona)
    can = load_providers(owners_path(realtime.providers_file)).record(realtime.provider).can
    asks, advice = f"the persona {persona.name} asks for", []
    if persona.voice and not can.voice:
        advice.append(f"{asks} the voice {persona.voice}, but {realtime.provider} chooses its own")
    if persona.speed not in (None, 1.0) and not can.speed:
        advice.append(f"{asks} the speed {persona.speed:g}, but {realtime.provider} has only one")
    if persona.voice:
        advice += [
            f"{asks} the voice {persona.voice}, which a fall-back to {other.provider} does not "
            "have: name one of its own in realtime.fallbacks"
            for other in realtime.fallbacks
            if other.provider != realtime.provider and not other.voice
        ]
    return advice


def _desk_advice(loaded: Loaded) -> list[str]:
    """What would keep the stronger model and the webhook from working; nobody is asked."""
    from pathlib import Path

    from edge_agent.cli.voice.speech import service_has_key
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.secret_files import read_token
    from edge_agent.host.web.text_model import text_model

    settings, advice = loaded.settings, list[str]()
    try:
        if settings.supervisor.model:
            text_model(settings)
    except AgentError as problem:
        if not (problem.code == "link.no_key" and service_has_key()):
            advice.append(str(problem))
    try:
        if token_file := settings.messages.webhook_token_file:
            read_token(Path(token_file), "messages.webhook_token_file")
    except AgentError as problem:
        advice.append(str(problem))
    return advice


def _rows(loaded: Loaded, changed: bool) -> list[tuple[str, object, str, str]]:
    """`(key, value for JSON, value as TOML, origin)` of every key."""
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.settings.sources import all_keys
    from edge_agent.host.settings.text import plain_value, toml_value

    rows, defaults = [], Settings()
    for dotted in all_keys():
        section, key = dotted.split(".")
        value = getattr(getattr(loaded.settings, section), key)
        origin = loaded.origin(dotted)
        if not (changed and value == getattr(getattr(defaults, section), key)):
            rows.append((dotted, plain_value(value), toml_value(value), origin))
    return rows
