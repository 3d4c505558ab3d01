"""Word errors: how much of recorded speech each way to write it down gets right.

Thread: main, and an event loop for a session.  It must never count what was not heard: a row is of
the recordings that were really given to that way, and names what failed.

    python -m benchmarks.word_errors --way builtin --source kitchen --speech FOLDER

FOLDER holds 16-bit mono WAV files and `words.tsv`: a file's name, a tab, what is said in it.  Ways:
`builtin` and `out_of_band` in a session with the service of your settings, `transcribe` over HTTPS,
`pocketsphinx` on this machine (pip install pocketsphinx; its English model comes with it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import tempfile
import unicodedata
import wave
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS, WIRE_RATE_HZ, silence
from edge_agent.contract.transcript import Hints
from edge_agent.dialogue.prompting.scribe import written_down
from edge_agent.host.settings.root import Settings
from edge_agent.realtime.link.connection import RealtimeLink

FOLDER = Path(__file__).parent
WAYS = ("builtin", "out_of_band", "transcribe", "pocketsphinx")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NUMBER_DIGITS = 10
"""Of one telephone number."""
BETWEEN_MS = 250
"""Between two of its digits, as people dictate."""
LOCAL_RATE_HZ = 16_000
LATE_S = 30.0
PIECE_BYTES = 100 * WIRE_BYTES_PER_MS


# --- scoring -----------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """Words as they count: without case, punctuation and labels, digits one by one."""
    one_sign = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    plain = re.sub(r"\[[^\]]*\]|\([^)]*\)", " ", one_sign)
    spelled = re.sub(r"[0-9]", lambda digit: f" {DIGITS[int(digit[0])]} ", plain)
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", spelled)


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest words put in, left out or taken for others."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(heard, 1):
            best = min(row[place] + 1, row[place - 1] + 1, before + (word != other))
            before, row[place] = row[place], best
    return row[-1]


# --- what is said ------------------------------------------------------------------------


@dataclass(frozen=True)
class Utterance:
    """One recording, 24 kHz PCM16, and its words."""

    words: str
    pcm24k: bytes


def read_wav(path: Path) -> bytes:
    """24 kHz PCM16 mono."""
    from edge_agent.audio.resample import Resampler

    with wave.open(str(path)) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise SystemExit(f"{path} is not 16-bit mono")
        rate_hz, pcm = file.getframerate(), file.readframes(file.getnframes())
    return Resampler(rate_hz, WIRE_RATE_HZ).process(pcm)


def recordings(folder: Path) -> list[Utterance]:
    """What `words.tsv` names."""
    lines = (folder / "words.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t", 1) for line in lines if line.strip()]
    return [Utterance(words, read_wav(folder / name)) for name, words in pairs]


def numbers(folder: Path) -> list[Utterance]:
    """Telephone numbers of single recorded digits, `DIGIT_SPEAKER_TAKE.wav`, of one speaker each,
    every recording once."""
    spoken: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("[0-9]_*_*.wav")):
        spoken.setdefault(path.stem.split("_")[1], []).append(path)
    chance, found = random.Random(1), []
    for paths in spoken.values():
        chance.shuffle(paths)
        for start in range(0, len(paths) - NUMBER_DIGITS + 1, NUMBER_DIGITS):
            dialled = paths[start : start + NUMBER_DIGITS]
            sound = silence(BETWEEN_MS).join(read_wav(path) for path in dialled)
            words = " ".join(DIGITS[int(path.stem[0])] for path in dialled)
            found.append(Utterance(words, silence(BETWEEN_MS) + sound + silence(BETWEEN_MS)))
    chance.shuffle(found)
    return found


# --- who writes it down ------------------------------------------------------------------

Heard = list[str | None]
"""A transcript for each utterance; None: there was none."""


def by_pocketsphinx(utterances: Iterable[Utterance]) -> Heard:
    """CMU PocketSphinx with its general English model."""
    from edge_agent.audio.resample import Resampler

    decoder = import_module("pocketsphinx").Decoder(samprate=LOCAL_RATE_HZ, loglevel="FATAL")
    heard = Heard()
    for one in utterances:
        pcm16k = Resampler(WIRE_RATE_HZ, LOCAL_RATE_HZ).process(one.pcm24k)
        decoder.start_utt()
        decoder.process_raw(pcm16k, no_search=False, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        heard.append(found.hypstr if found is not None else "")
    return heard


def by_https(utterances: Iterable[Utterance], settings: Settings) -> Heard:
    """The service's speech-to-text, as `edge-agent transcribe` asks it."""
    from edge_agent.app.wiring import transcription_hints
    from edge_agent.cli.voice.speech import speech_api

    api, heard = speech_api(settings), Heard()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "said.wav"
        for one in utterances:
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, WIRE_RATE_HZ, 0, "NONE", ""))
                file.writeframes(one.pcm24k)
            model, hints = settings.speech.transcription_model, transcription_hints(settings)
            heard.append(api.transcribe(path, model=model, hints=hints))
    return heard


async def by_session(
    open_link: Callable[[Callable[[e.Event], None]], RealtimeLink],
    utterances: Iterable[Utterance],
    way: str,
    hints: Hints,
) -> Heard:
    """As a talk has its turns written down, each alone, none of them answered."""
    events: asyncio.Queue[e.Event] = asyncio.Queue()
    link, heard = open_link(events.put_nowait), Heard()
    running = asyncio.create_task(link.run())
    try:
        while not isinstance(event := await events.get(), e.LinkReady):
            if isinstance(event, e.LinkDown) and event.refused:
                raise SystemExit(f"{event.message} {event.fix}")
        for number, one in enumerate(utterances):
            for start in range(0, len(one.pcm24k), PIECE_BYTES):
                link.execute(c.SendAudio(one.pcm24k[start : start + PIECE_BYTES]))
            link.execute(c.CommitAudio())
            try:
                async with asyncio.timeout(LATE_S):
                    heard.append(await _written(link, events, f"words_{number}", way, hints))
            except TimeoutError:
                heard.append(None)
    finally:
        await link.close()
        await running
    return heard


async def _written(
    link: RealtimeLink, events: asyncio.Queue[e.Event], tag: str, way: str, hints: Hints
) -> str | None:
    item = ""
    while True:
        match await events.get():
            case e.UserTurnCommitted(item=item):
                if way == "out_of_band":
                    link.execute(c.AskSideQuestion(tag, written_down(hints), (item,)))
            case e.UserTranscript(item=its, text=text) if way == "builtin" and its == item:
                return text
            case e.TranscriptionFailed(item=its) if way == "builtin" and its == item:
                return None
            case e.SideAnswer(tag=its, ok=ok, text=text) if its == tag:
                return text if ok else None
            case e.LinkDown() as down:
                raise SystemExit(down.message)


def real_link(settings: Settings, way: str) -> Callable[[Callable[[e.Event], None]], RealtimeLink]:
    """A session with the service of the settings, in which nobody answers."""
    from edge_agent.app.endpoints import endpoints
    from edge_agent.app.session_start import SessionStart
    from edge_agent.app.wiring import link_timings, session_config
    from edge_agent.app.world import real_dialer
    from edge_agent.host.price_list import load_providers, owners_path

    first = endpoints(settings, load_providers(owners_path(settings.realtime.providers_file)))[0]
    config = replace(session_config(settings, SessionStart("", ())), turn_detection=None)
    if way == "out_of_band":
        config = replace(config, transcription_model=None)
    return lambda post: RealtimeLink(
        dial=real_dialer(settings),
        provider=first.provider,
        config=config,
        key=first.key,
        post=post,
        note=lambda code, **fields: print(code, fields),
        rng=random.Random(),
        timings=link_timings(settings),
        url=settings.realtime.url,
        allow_insecure=settings.realtime.allow_insecure_url,
    )


# --- the page ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One way on one source."""

    source: str
    way: str
    utterances: int
    minutes: float
    words: int
    wrong: int
    failed: int
    command: str


def row(
    source: str,
    way: str,
    command: str,
    utterances: Sequence[Utterance],
    heard: Sequence[str | None],
) -> Row:
    """The score; an utterance without a transcript counts as all wrong."""
    pairs = [
        (words_of(one.words), words_of(text or ""))
        for one, text in zip(utterances, heard, strict=True)
    ]
    sound_bytes = sum(len(one.pcm24k) for one in utterances)
    return Row(
        source,
        way,
        len(pairs),
        round(sound_bytes / WIRE_BYTES_PER_MS / 60_000, 2),
        sum(len(said) for said, _ in pairs),
        sum(errors(said, text) for said, text in pairs),
        sum(text is None for text in heard),
        command,
    )


HEAD = """# Word errors: which way gets how much right

Recorded speech of people, given to each way as the speaker would, and compared with what was
said: words put in, left out or taken for others, as a share of the words said. Case, punctuation
and labels do not count; digits count one by one, however they are written ("0171" is four words).

| source | way | recordings | minutes | words | wrong | word errors | without transcript |
|---|---|---|---|---|---|---|---|
"""


def page(rows: Iterable[Row], tail: str) -> str:
    """The table and the commands."""
    rows = sorted(rows, key=lambda one: (one.source, WAYS.index(one.way)))
    table = [
        f"| {r.source} | {r.way} | {r.utterances} | {r.minutes:g} | {r.words} | {r.wrong} | "
        f"{r.wrong / r.words:.0%} | {r.failed} |"
        for r in rows
    ]
    commands = [f"* {r.source}, {r.way}: `{r.command}`" for r in rows]
    return HEAD + "\n".join((*table, "", *commands, "", tail.strip(), ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """Give recordings to one way and put its row into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.word_errors", description=__doc__)
    parser.add_argument("--way", choices=WAYS, required=True)
    parser.add_argument("--source", required=True, help="what the page calls the recordings")
    parser.add_argument("--speech", type=Path, help="WAV files and words.tsv")
    parser.add_argument("--digits", type=Path, help="single digits, joined to telephone numbers")
    parser.add_argument("--first", type=int, default=None, help="only so many recordings")
    parser.add_argument("--config", type=Path, default=None, help="settings, for a service")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of page and rows")
    chosen = parser.parse_args(arguments)
    utterances = recordings(chosen.speech) if chosen.speech else numbers(chosen.digits)
    utterances = utterances[: chosen.first]
    if chosen.way == "pocketsphinx":
        heard = by_pocketsphinx(utterances)
    else:
        from edge_agent.app.wiring import transcription_hints
        from edge_agent.cli.voice.speech import read_settings

        settings = read_settings(chosen.config)
        if chosen.way == "transcribe":
            heard = by_https(utterances, settings)
        else:
            opened = real_link(settings, chosen.way)
            hints = transcription_hints(settings)
            heard = asyncio.run(by_session(opened, utterances, chosen.way, hints))
    command = f"--way {chosen.way} --source {chosen.source}"
    command += " --speech FOLDER" if chosen.speech else " --digits FOLDER"
    command += f" --first {chosen.first}" if chosen.first else ""
    new = row(chosen.source, chosen.way, command, utterances, heard)
    kept = chosen.folder / "word_errors.json"
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {"rows": []}
    rows = [Row(**entry) for entry in known["rows"]]
    rows = [one for one in rows if (one.source, one.way) != (new.source, new.way)] + [new]
    tail = known.get("tail", "")
    entry = {"rows": [asdict(one) for one in rows], "tail": tail}
    kept.write_text(f"{json.dumps(entry, indent=1, ensure_ascii=False)}\n", encoding="utf-8")
    (chosen.folder / "word_errors.md").write_text(page(rows, tail), encoding="utf-8")
    print(f"{new.wrong} of {new.words} words wrong in {new.minutes:g} min")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
