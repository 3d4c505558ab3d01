"""`edge-agent prompt try`: sample phrases answered before and after a change, side by side.

Thread: main, which runs an event loop while an answer is waited for.  It must never run a tool,
keep an answer, or print the key; what was said is printed because the owner asked for it.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import EXIT_UNAVAILABLE, guarded, harmless, note
from edge_agent.contract.errors import ConfigError, LinkError, LinkRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.contract.events import Usage
    from edge_agent.dialogue.money.budget import Money
    from edge_agent.host.settings.root import Settings
    from edge_agent.realtime.protocol.config import SessionConfig
    from edge_agent.realtime.reading import Answer, Reader

CURRENT = "current"
"""What stands for the persona of the settings."""
PHRASES_MAX = 50
"""Each costs an answer on either side."""
PHRASE_MAX_CHARS = 2000
"""Two minutes of speech: whatever is longer is no phrase."""
FILE_MAX_BYTES = 200_000
"""As for a persona: more is another file."""
WAV_MIN_MS, WAV_MAX_S = 100, 60
"""Services take no turn of less than 0.1 s; one minute is a long turn."""
PLAIN_TEXT = (".txt", ".md")
"""Files that are the instructions themselves, such as what `prompt critique` writes."""
COLUMN_MIN_CHARS = 30
"""Narrower columns break in every second word."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One turn of a person's: typed, or spoken."""

    title: str
    text: str = ""
    pcm24k: bytes = b""


@guarded
def try_(
    *,
    phrases: Annotated[
        list[str] | None, typer.Argument(help="What somebody says to the speaker.")
    ] = None,
    before: Annotated[
        str,
        typer.Option(
            "--before",
            help=f"Name or path of a persona, or a .txt or .md file that is the instructions "
            f"themselves.  {CURRENT}: the settings' persona.",
        ),
    ] = CURRENT,
    after: Annotated[
        str, typer.Option("--after", help="The same with your change.  Default: only --before.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option("--file", help="More phrases, one in each line; # is a remark.")
    ] = None,
    wav: Annotated[
        list[Path] | None,
        typer.Option("--wav", help="A recording as a phrase (16-bit WAV); repeatable."),
    ] = None,
    config_file: ConfigOption = None,
) -> int:
    """Have sample phrases answered by the voice service, with one prompt or two, side by side.

    Each phrase is a talk of its own.  Tools are named and not run; of a guided talk the first step
    answers.  It costs what such answers cost, and is not counted in the day's limit of the speaker.
    """
    from edge_agent.cli.voice.speech import read_settings
    from edge_agent.dialogue.prompting.prompt import estimate_tokens

    asked = [*_typed(phrases or [], file), *map(_recorded, wav or [])]
    if not asked:
        raise typer.BadParameter("say what to try: a phrase, --file or --wav")
    if len(asked) > PHRASES_MAX:
        raise typer.BadParameter(f"{len(asked)} phrases; at most {PHRASES_MAX} are tried at once")
    settings = read_settings(config_file)
    titles = [f"before: {before}", f"after: {after}"] if after else [before]
    configs = [_config(settings, which) for which in ([before, after] if after else [before])]
    told = [estimate_tokens(f"{config.instructions}{config.tools}") for config in configs]
    note(
        f"{len(asked)} phrases go to {settings.realtime.model} of {settings.realtime.provider} "
        f"for {len(asked) * len(configs)} answers, each with about {' or '.join(map(str, told))} "
        "tokens of instructions and tools; the service bills them"
    )
    return _run(settings, titles, configs, asked)


def _run(
    settings: Settings, titles: list[str], configs: list[SessionConfig], asked: list[Phrase]
) -> int:
    import asyncio

    from edge_agent.cli.voice.reading import open_reader

    cost = _pricing(settings)
    width = max(
        COLUMN_MIN_CHARS,
        (shutil.get_terminal_size((100, 24)).columns - 3 * (len(titles) - 1)) // len(titles),
    )
    columns = [_Column(open_reader(settings, config, outbox_s=WAV_MAX_S)) for config in configs]
    with asyncio.Runner() as loop:
        try:
            for number, phrase in enumerate(asked, 1):
                cells = [loop.run(column.answer(phrase, cost)) for column in columns]
                typer.echo(f"\n## {number}. {harmless(phrase.title)}\n")
                _show(
                    [[title, "", *cell] for title, cell in zip(titles, cells, strict=True)], width
                )
        finally:
            for column in columns:
                loop.run(column.reader.close())
    if len(asked) > 1:
        typer.echo(f"\n## All {len(asked)}\n")
        _show(
            [[title, "", *column.sum()] for title, column in zip(titles, columns, strict=True)],
            width,
        )
    failed = sum(column.failed for column in columns)
    if failed:
        note(f"{failed} answers did not come")
    return EXIT_UNAVAILABLE if failed else 0


class _Column:
    """One prompt: its session, and what its answers came to."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.failed = 0
        self._answers: list[Answer] = []
        self._costs: list[Money | None] = []

    async def answer(
        self, phrase: Phrase, cost: Callable[[Usage | None], Money | None]
    ) -> list[str]:
        """The lines that tell of one answer.  Raises `LinkError` where no other would come."""
        try:
            answer = await self.reader.ask(phrase.text, phrase.pcm24k)
        except LinkRefused:
            raise
        except LinkError as problem:
            if not self._answers:
                raise
            self.failed += 1
            return [f"(no answer: {harmless(problem.message)})"]
        self._answers.append(answer)
        self._costs.append(cost(answer.usage))
        first = f"first sound {answer.first_s:.1f} s, " if answer.first_s is not None else ""
        return [
            *_words(answer),
            "",
            f"{first}whole {answer.whole_s:.1f} s",
            _tokens([answer], [self._costs[-1]]),
        ]

    def sum(self) -> list[str]:
        """All answers together."""
        firsts = [a.first_s for a in self._answers if a.first_s is not None]
        mean = f"first sound {sum(firsts) / len(firsts):.1f} s on average" if firsts else ""
        return [_tokens(self._answers, self._costs), *filter(None, [mean])]


def _words(answer: Answer) -> Iterator[str]:
    reading = answer.reading
    seconds = len(reading.pcm24k) / 48_000
    if reading.words.strip():
        yield harmless(reading.words.strip())
    elif reading.pcm24k:
        yield f"({seconds:.1f} s of speech; the service gave no words)"
    for call in answer.calls:
        yield harmless(f"[calls {call.name} {call.arguments}]")
    if not (reading.words.strip() or reading.pcm24k or answer.calls):
        yield "(it said nothing)"
    if reading.status != "completed":
        yield f"(it ended early: {reading.status})"


def _tokens(answers: list[Answer], costs: list[Money | None]) -> str:
    from edge_agent.dialogue.money.budget import MICROUSD_PER_USD

    usages = [answer.usage for answer in answers if answer.usage is not None]
    if not usages:
        return "the service counted no tokens"
    went_in = sum(u.text_in + u.audio_in + u.image_in for u in usages)
    cached = sum(u.cached_text_in + u.cached_audio_in + u.cached_image_in for u in usages)
    came_out = sum(u.text_out + u.audio_out for u in usages)
    known = [cost for cost in costs if cost is not None]
    price = f"${sum(known) / MICROUSD_PER_USD:.4f}"
    if len(known) < len(costs):
        price = "price not known"
    return f"{went_in} tokens in ({cached} cached), {came_out} out, {price}"


def _show(cells: list[list[str]], width: int) -> None:
    """Cells side by side; a cell is a list of paragraphs."""
    wrapped = [
        [line for text in cell for line in textwrap.wrap(text, width) or [""]] for cell in cells
    ]
    for row in zip_longest(*wrapped, fillvalue=""):
        typer.echo(" | ".join(f"{line:<{width}}" for line in row).rstrip())


def _pricing(settings: Settings) -> Callable[[Usage | None], Money | None]:
    from edge_agent.dialogue.money.budget import Prices, cost_of
    from edge_agent.host.price_list import load_providers, owners_path

    realtime = settings.realtime
    table = load_providers(owners_path(realtime.providers_file))
    found = table.prices(realtime.provider, realtime.model)
    prices = Prices(**found.model_dump()) if found is not None else None
    return lambda usage: cost_of(usage, prices)


def _config(settings: Settings, which: str) -> SessionConfig:
    """The session that a prompt makes; only the turns are ended by us."""
    from edge_agent.app.session_start import SessionStart, session_start, with_persona
    from edge_agent.app.tools.offer import known_schemas, offer
    from edge_agent.app.wiring import session_config

    if which != CURRENT and not which.endswith(PLAIN_TEXT):
        realtime = settings.realtime.model_copy(update={"persona": which})
        settings = settings.model_copy(update={"realtime": realtime})
    settings = with_persona(settings)  # the voice and the speed are a part of what is compared
    there = offer(settings)
    there = replace(there, schemas=(*there.schemas, *known_schemas(settings, there)[0]))
    if which.endswith(PLAIN_TEXT):
        begin = SessionStart(_text(Path(which)), there.schemas)
    else:
        begin = session_start(settings, there)
    return replace(session_config(settings, begin), turn_detection=None, transcription_model=None)


def _text(path: Path) -> str:
    from edge_agent.host.settings.files import UnreadableFile, read_bytes

    try:
        text = read_bytes(path, FILE_MAX_BYTES).decode("utf-8-sig").strip()
    except OSError as problem:
        raise ConfigError(f"{path} cannot be read: {problem.strerror}.") from problem
    except (UnreadableFile, UnicodeDecodeError):
        raise ConfigError(f"{path} is no text of at most {FILE_MAX_BYTES} bytes.") from None
    if not text:
        raise ConfigError(f"{path} is empty.")
    return text


def _typed(given: list[str], file: Path | None) -> Iterator[Phrase]:
    lines = _text(file).splitlines() if file is not None else []
    rest = (line for line in lines if not line.lstrip().startswith("#"))
    for text in (" ".join(phrase.split()) for phrase in (*given, *rest)):
        if len(text) > PHRASE_MAX_CHARS:
            raise typer.BadParameter(f"a phrase has at most {PHRASE_MAX_CHARS} characters")
        if text:
            yield Phrase(f'"{text}"', text)


def _recorded(path: Path) -> Phrase:
    """A WAV file as it is sent."""
    import wave
    from array import array

    from edge_agent.audio.resample import RATES_HZ, Resampler
    from edge_agent.contract.pcm import WIRE_RATE_HZ

    def unfit(why: str) -> ConfigError:
        fix = f"Convert it: ffmpeg -i {path.name} -ac 1 -ar {WIRE_RATE_HZ} -c:a pcm_s16le out.wav"
        return ConfigError(f"{path} cannot be tried: {why}.", fix=fix)

    try:
        with wave.open(str(path), "rb") as sound:
            rate_hz, channels = sound.getframerate(), sound.getnchannels()
            if sound.getsampwidth() != 2 or rate_hz not in RATES_HZ:
                raise unfit(f"it has {8 * sound.getsampwidth()} bits at {rate_hz} Hz")
            length_ms = 1000 * sound.getnframes() / rate_hz
            if not WAV_MIN_MS <= length_ms <= 1000 * WAV_MAX_S:
                raise unfit(f"it lasts {length_ms / 1000:.1f} s; {WAV_MAX_S} s are the longest")
            pcm = sound.readframes(sound.getnframes())
    except OSError as problem:
        raise ConfigError(f"{path} cannot be read: {problem.strerror}.") from problem
    except (wave.Error, EOFError):
        raise unfit("it is no WAV file with plain samples") from None
    samples: Any = array("h", pcm[: len(pcm) // (2 * channels) * 2 * channels])
    left = samples[::channels].tobytes()  # what a household's microphone is: one channel
    return Phrase(path.name, pcm24k=Resampler(rate_hz, WIRE_RATE_HZ).process(left))
