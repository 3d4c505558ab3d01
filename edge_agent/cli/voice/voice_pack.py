"""`edge-agent voice-pack`: have the speaker's own sentences spoken, and see which are.

Thread: main.  It must never print the key, and never leave a pack that is worse than before.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import guarded, harmless, note
from edge_agent.cli.voice.patience import patiently
from edge_agent.cli.voice.speech import read_settings, speech_api

if TYPE_CHECKING:
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.voice.pack_store import Pack, Recipe, SpeakFunction

app = typer.Typer(
    help="The voice of the speaker's own sentences.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


class Engine(StrEnum):
    """Who speaks."""

    PROVIDER = "provider"
    ESPEAK = "espeak"


@app.command()
@guarded
def build(
    language: Annotated[
        str, typer.Option("--language", "-l", help="en, de, fr …  Default: speech.language.")
    ] = "",
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine",
            help="provider: by the model of the talk, or the speech endpoint if speech.tts_model "
            "is set; costs some 20 cents at most.  espeak: espeak-ng.",
        ),
    ] = Engine.PROVIDER,
    voice: Annotated[
        str,
        typer.Option(
            "--voice", help="The provider's.  Default: the persona's, else realtime.voice."
        ),
    ] = "",
    config_file: ConfigOption = None,
) -> None:
    """Have every sentence of a language spoken and kept; go on where an earlier try broke off."""
    from edge_agent.app.session_start import with_persona
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.voice.pack_store import Pack, pack_root
    from edge_agent.host.voice.sentences import Sentences

    settings = with_persona(read_settings(config_file))
    found = _known_language(language or settings.speech.language)
    own = pack_root(settings.speech.voice_pack_dir)
    become_owner(own)
    texts = Sentences(found, own=own).texts
    pack = Pack(own, found)
    with _engine(engine, settings, found, voice) as (recipe, speak):
        done = _build_in_sight(pack, texts, recipe, speak)
    own_voice = "espeak-ng" if engine is Engine.ESPEAK else "the server's own voice"
    spoken_by = f"the voice {recipe.voice}" if recipe.voice else own_voice
    typer.echo(
        f"{len(texts)} sentences ({found}) by {spoken_by} are in {pack.folder}; "
        f"{done} of them are new."
    )
    if _known_or_empty(settings.speech.language) != found:
        note(f'to hear them, set speech.language = "{found}"')
    typer.echo("A speaker that runs takes them after: sudo systemctl restart edge-agent")


LATER = "once this is the language of the settings"


@app.command("list")
@guarded
def list_packs(
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show for every language whose voice says the sentences."""
    from edge_agent.app.session_start import with_persona
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.voice.espeak import is_installed
    from edge_agent.host.voice.pack_store import Pack, pack_root
    from edge_agent.host.voice.sentences import Sentences, languages

    settings = with_persona(read_settings(config_file))
    own = pack_root(settings.speech.voice_pack_dir)
    become_owner(own)
    rows: dict[str, dict[str, object]] = {}
    lines = []
    for name in languages():
        sentences = Sentences(name, own=own)
        state = Pack(own, name).state(sentences.texts)
        counts = Counter(sentences.sources().values())
        rows[name] = {
            "sentences": len(sentences.texts),
            "heard": dict(counts),
            "voice": state.voice or state.engine,
            "out_of_date": list(state.stale),
            "other_settings": state.differs(_manner(settings), settings.realtime.speed),
        }
        spoken_by = state.voice or state.engine
        is_chosen = name == _known_or_empty(settings.speech.language)
        words = {
            "own": f"in your own pack ({harmless(spoken_by) or 'recorded by hand'})",
            "shipped": "as shipped",
            "espeak": "by espeak-ng",
            "english": f"by espeak-ng, {'from its next start on' if is_chosen else LATER}"
            if is_installed() and settings.speech.offline_voice
            else "in English, for want of a recording and of espeak-ng",
            "none": "not at all",
        }
        heard = ", ".join(f"{counts[k]} {how}" for k, how in words.items() if counts[k])
        mark = "*" if is_chosen else " "
        lines.append(f"{mark} {name}  {heard}")
        if other := state.differs(_manner(settings), settings.realtime.speed):
            lines.append(
                f"      your pack is older than {' and '.join(other)} in the settings; run: "
                f"edge-agent voice-pack build --language {name}"
            )
        if state.stale:
            lines.append(
                f"      {len(state.stale)} of your pack are out of date; run: "
                f"edge-agent voice-pack build --language {name}"
            )
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if advice := Sentences(settings.speech.language, own=own).advice:
        note(advice)
    typer.echo("\n".join([*lines, f"Your own packs: {own}"]))


def _known_or_empty(language: str) -> str:
    from edge_agent.host.voice.sentences import find_language

    return find_language(language)


def _known_language(asked: str) -> str:
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.voice.sentences import languages

    if found := _known_or_empty(asked):
        return found
    raise AgentError(
        f'There are no sentences in "{asked}".',
        fix=f"There are: {', '.join(languages())}.",
        code="voice_pack.language",
    )


@contextlib.contextmanager
def _engine(
    engine: Engine, settings: Settings, language: str, voice: str
) -> Iterator[tuple[Recipe, SpeakFunction]]:
    """What the recordings depend on, and who makes them."""
    from edge_agent.host.voice.pack_store import Recipe

    if engine is Engine.ESPEAK:
        from edge_agent.audio.resample import Resampler
        from edge_agent.host.voice.espeak import Espeak

        espeak = Espeak(language, lambda pcm, hz, to_hz: Resampler(hz, to_hz).process(pcm))
        yield Recipe("espeak", language), espeak.speak
        return
    model = settings.speech.tts_model
    voice = voice or settings.realtime.voice
    manner, speed = _manner(settings), settings.realtime.speed
    if not model:
        from edge_agent.cli.voice.reading import reading

        recipe = Recipe("realtime", language, settings.realtime.model, voice, manner, speed)
        with reading(settings, voice, manner) as read:
            yield recipe, patient(read)
        return
    api = speech_api(settings)

    def speak(text: str) -> bytes:
        return api.speech(text, model=model, voice=voice, instructions=manner, speed=speed)

    yield Recipe("provider", language, model, voice, manner, speed), patient(speak)


def _manner(settings: Settings) -> str:
    speech = settings.speech
    # The documentation: tts-1 takes none.
    return "" if speech.tts_model.startswith("tts-1") else speech.voice_pack_manner.strip()


def patient(speak: SpeakFunction, wait: Callable[[float], None] | None = None) -> SpeakFunction:
    """`speak`, but again after a pause where a pause helps."""
    return lambda text: patiently(lambda: speak(text), even_if_lost=True, wait=wait)


def _build_in_sight(pack: Pack, texts: dict[str, str], recipe: Recipe, speak: SpeakFunction) -> int:
    """Build with a progress bar.  Returns how many sentences were not there already."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from edge_agent.contract.errors import AgentError

    ready = {True: 0, False: 0}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"speaking ({recipe.language})", total=len(texts))

            def progress(_name: str, was_there: bool) -> None:
                ready[was_there] += 1
                bar.advance(task)

            pack.build(texts, recipe, speak, progress)
    except (AgentError, KeyboardInterrupt):
        if count := sum(ready.values()):
            note(
                f"{count} of {len(texts)} sentences are recorded; the same command goes on there. "
                "The pack from before, if there is one, stays in use."
            )
        raise
    return ready[False]
