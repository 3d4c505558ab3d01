"""The sounds that the hearing benchmark is made of: voices, music, noises, in three parts.

Call `build` once (minutes), then `Library(folder, part)`.  Whose voice, whose text and which
recording belongs to which part is decided here and nowhere else, so that training, tuning and
reporting share nothing.

Thread: the caller's.  It must never copy a recording into the project: what it makes stays in the
folder it was given.

Texts come from the documentation that Python carries, voices from whatever of espeak-ng, flite,
festival, RHVoice and hibari-tts is installed, recordings from folders named on the command line.
What is missing is left out and said.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import tempfile
import wave
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.hearing.noise_sources import AMBIENCE, FIRST, KITS, MUSIC, NOISES, what, where
from benchmarks.hearing.places import RATE_HZ, Sound
from benchmarks.hearing.sources import LETTERS, OWN, PEOPLE, Recorded, slot
from edge_agent.simulation.sound.acoustics import active_level_dbfs, from_pcm, resample

LEVEL_DBFS = -24.0
"""Active level that every clip of speech is brought to."""

LONGEST_CLIP_S = 16.0
FEWEST_S = 0.25
FEWEST_NOISE_S = 0.06
"""A click with the silence that is left around it."""

NEAR_CLIP_S = 5.0
NOISE_CLIP_S = 2.0
NOISE_PEAK = 0.7
AMBIENCE_S = (1.0, 30.0)
MANY = 20
"""Sources that the many people of one folder, whom nothing tells apart, count as in `draw`."""

CLIPS = {"people": 250, "own": 400, "noises": 400, "kit": 60}
"""Of one source at most."""

FAR_MINUTES = {"train": 9.0, "tune": 3.0, "report": 7.0}
"""Of our own voice, by each synthetic voice, as far as the texts reach."""

FAR_MINUTES_SLOW = 1.5
"""By one of festival's voices, which take as long as they speak."""

FURTHER_MINUTES = 6.0
"""By each of RHVoice's voices."""

NEAR_SENTENCES = {"train": 30, "tune": 12, "report": 0}
"""Of people made by a synthetic voice.  People of the report are recordings, and one voice."""


@dataclass(frozen=True)
class Voice:
    """A synthetic voice, and what it may be used for."""

    engine: str
    name: str
    part: str
    far: bool = True
    near: bool = False


VOICES = (
    Voice("espeak", "en-us", "train", near=True),
    Voice("espeak", "en-us+f2", "train", near=True),
    Voice("espeak", "en-gb+m3", "train", near=True),
    Voice("espeak", "de+f5", "train"),
    Voice("espeak", "en-us+belinda", "train", far=False, near=True),
    Voice("espeak", "en-gb-x-rp+boris", "train", far=False, near=True),
    Voice("espeak", "fr+linda", "train", far=False, near=True),
    Voice("espeak", "en-us+Andy", "train", far=False, near=True),
    Voice("flite", "awb", "train", near=True),
    Voice("flite", "rms", "train", near=True),
    Voice("festival", "kal_diphone", "train"),
    Voice("espeak", "en-gb-scotland+f4", "tune", near=True),
    Voice("flite", "kal16", "tune", near=True),
    Voice("flite", "slt", "report"),
    Voice("festival", "cmu_us_slt_arctic_hts", "report"),
    Voice("festival", "ked_diphone", "report"),
    Voice("hibari", "heart", "report"),
    Voice("espeak", "en-gb-x-gbclan+m7", "report", near=True),
    Voice("espeak", "en-us+m5", "train"),
    Voice("espeak", "it+f1", "train"),
    Voice("espeak", "sv+klatt4", "train"),
    Voice("festival", "lp_diphone", "train"),
    Voice("festival", "suo_fi_lj_diphone", "train"),
    Voice("espeak", "pl+f3", "tune"),
    Voice("festival", "hy_fi_mv_diphone", "tune"),
    Voice("espeak", "pt+m4", "report"),
    Voice("festival", "pc_diphone", "report"),
)

RHVOICES = Path("/usr/share/RHVoice/voices")

FURTHER = (
    Voice("rhvoice", "Alan", "train"),
    Voice("rhvoice", "Aleksandr", "train"),
    Voice("rhvoice", "Anatol", "train"),
    Voice("rhvoice", "Anna", "train"),
    Voice("rhvoice", "Azamat", "train"),
    Voice("rhvoice", "Bdl", "train"),
    Voice("rhvoice", "Clb", "train"),
    Voice("rhvoice", "Elena", "train"),
    Voice("rhvoice", "Irina", "train"),
    Voice("rhvoice", "Letícia-F123", "train"),
    Voice("rhvoice", "Natalia", "train"),
    Voice("rhvoice", "Nazgul", "train"),
    Voice("rhvoice", "Spomenka", "train"),
    Voice("festival", "czech_dita", "train"),
    Voice("festival", "czech_krb", "train"),
    Voice("festival", "czech_machac", "train"),
    Voice("festival", "czech_ph", "train"),
    Voice("festival", "msu_ru_nsh_clunits", "train"),
    Voice("festival", "upc_ca_ona_hts", "train"),
)
"""Our own voices of the kinds of session that came later (`Kind.further`), for training alone.  Of
RHVoice's those under free licences, and not Slt, who is a voice of the report."""

MODULES = {
    "tune": ("statistics", "difflib", "random", "calendar", "heapq", "shutil", "textwrap"),
    "report": ("turtle", "_pydecimal", "subprocess", "tarfile", "doctest", "string", "fractions"),
}
"""Of Python's library, whose descriptions are read aloud in the other two parts."""


def _sentences(text: str) -> list[str]:
    plain = re.sub(r"\s+", " ", text)
    form = re.compile(r"[A-Z][A-Za-z ,;'()-]{30,240}[.!?]")
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", plain) if form.fullmatch(sentence)]


def texts(part: str) -> list[str]:
    """Sentences of one part, each once: the language reference, or descriptions of modules."""
    from pydoc_data.topics import topics

    learned = [sentence for _, text in sorted(topics.items()) for sentence in _sentences(text)]
    if part == "train":
        return list(dict.fromkeys(learned))
    found: list[str] = []
    for name in MODULES[part]:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                    found += _sentences(paragraph)
    return [sentence for sentence in dict.fromkeys(found) if sentence not in learned]


# --------------------------------------------------------------------------- reading and speaking


def read(path: Path) -> Sound:
    """A recording, mono, at 16 kHz."""
    if path.suffix == ".wav":
        try:
            with wave.open(str(path), "rb") as file:
                if file.getsampwidth() == 2:
                    pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                    mono = pcm.reshape(-1, file.getnchannels())[:, 0]
                    return resample(from_pcm(mono.copy()), file.getframerate(), RATE_HZ)
        except (wave.Error, EOFError):
            pass
    import soundfile

    samples, rate_hz = soundfile.read(str(path), dtype="float32", always_2d=True)
    return resample(np.ascontiguousarray(samples.mean(axis=1)), int(rate_hz), RATE_HZ)


def _rhvoices() -> set[str]:
    """Names of the voices of RHVoice that are installed."""
    told = [info.read_text(encoding="utf-8") for info in RHVOICES.glob("*/voice.info")]
    return {line[5:] for text in told for line in text.splitlines() if line.startswith("name=")}


def speak(voice: Voice, lines: list[str]) -> Iterator[Sound]:
    """Sentences by a synthetic voice; nothing where the engine is not installed."""
    if voice.engine == "hibari":
        try:
            from hibari import SAMPLE_RATE, Hibari
        except ImportError:
            return
        model = Hibari(voice.name)
        for line in lines:
            yield resample(np.asarray(model(line), np.float32), SAMPLE_RATE, RATE_HZ)
        return
    program = {
        "espeak": "espeak-ng",
        "flite": "flite",
        "festival": "text2wave",
        "rhvoice": "RHVoice-test",
    }[voice.engine]
    if shutil.which(program) is None:
        return
    if voice.engine == "rhvoice" and voice.name not in _rhvoices():
        return  # it would speak with another voice and not say so
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.wav"
        for line in lines:
            if voice.engine == "espeak":
                order = [program, "-v", voice.name, "-s", "160", "-w", str(out), line]
            elif voice.engine == "flite":
                order = [program, "-voice", voice.name, "-t", line, "-o", str(out)]
            elif voice.engine == "rhvoice":
                order = [program, "-p", voice.name, "-o", str(out)]
            else:
                order = [program, "-o", str(out), "-eval", f"(voice_{voice.name})"]
            given = line.encode() if voice.engine in ("festival", "rhvoice") else None
            subprocess.run(order, input=given, capture_output=True, check=False)
            if out.is_file():
                yield read(out)
                out.unlink()


# --------------------------------------------------------------------------------- the library


def trimmed(sound: Sound, fewest_s: float) -> Sound | None:
    """The clip without silence around it; None where there is too little."""
    sound = sound[: round(LONGEST_CLIP_S * RATE_HZ)]
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.max(np.abs(sound), initial=0.0))
    if not len(loud):
        return None
    sound = sound[max(0, loud[0] - 320) : loud[-1] + 800]
    return sound if len(sound) >= fewest_s * RATE_HZ else None


def level_off(sound: Sound) -> Sound | None:
    """A clip of speech without silence around it, at the common level."""
    speech = trimmed(sound, FEWEST_S)
    if speech is None:
        return None
    factor = 10 ** ((LEVEL_DBFS - active_level_dbfs(speech, RATE_HZ)) / 20)
    return np.clip(speech * np.float32(factor), -1, 1).astype(np.float32)


def _recordings(folder: Path, pattern: str) -> Iterator[tuple[str, Sound]]:
    for path in sorted(folder.glob(pattern)):
        try:
            yield f"{path.parent.name}/{path.name}", read(path)
        except (OSError, RuntimeError, ValueError):
            continue


def _level_peak(sound: Sound) -> Sound | None:
    """A knock without silence around it, as loud as it may be without being cut off."""
    noise = trimmed(sound, FEWEST_NOISE_S)
    return None if noise is None else noise * np.float32(NOISE_PEAK / np.max(np.abs(noise)))


def _room(sound: Sound) -> Sound | None:
    """A room's noise at the common level; None where there is too little to go on with."""
    least, most = (round(seconds * RATE_HZ) for seconds in AMBIENCE_S)
    sound = sound[:most]
    rms = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0
    if len(sound) < least or rms < 1e-5:
        return None
    return np.clip(sound * np.float32(10 ** (LEVEL_DBFS / 20) / rms), -1, 1).astype(np.float32)


def _files(recorded: Recorded, paths: list[Path]) -> Iterator[tuple[str, Sound]]:
    for path in paths:
        try:
            yield f"{recorded.source}/{path.name}", read(path)
        except (OSError, RuntimeError, ValueError):
            continue


def _whole(
    part: str, more: Path, rows: tuple[Recorded, ...], most: int
) -> Iterator[tuple[str, Sound]]:
    """What belongs to a part as a whole: one speaker, one drum kit."""
    for row in rows:
        if slot(row.who or row.source) == part:
            yield from _files(row, row.found(more, most))


def _some(
    part: str, more: Path, rows: tuple[Recorded, ...], belongs: Callable[[Recorded, Path], str]
) -> Iterator[tuple[str, Sound]]:
    """Of each row the files that belong to a part by what `belongs` calls them."""
    for row in rows:
        paths = row.found(more, CLIPS["noises"])
        yield from _files(row, [path for path in paths if slot(belongs(row, path)) == part])


def _read_aloud(part: str, voices: list[Voice], minutes: float) -> Iterator[tuple[str, Sound]]:
    lines = texts(part)
    for number, voice in enumerate(voices):
        seconds = 0.0
        # Each voice begins elsewhere in the texts, so that two of them seldom say the same.
        turned = lines[number * 37 % len(lines) :] + lines[: number * 37 % len(lines)]
        for sound in speak(voice, turned):
            yield voice.name, sound
            seconds += len(sound) / RATE_HZ
            most = FAR_MINUTES_SLOW if voice.engine == "festival" else minutes
            if seconds > 60 * most:
                break


def _far(part: str, audio: Path, more: Path) -> Iterator[tuple[str, Sound]]:
    yield from _read_aloud(part, [v for v in VOICES if v.part == part and v.far], FAR_MINUTES[part])
    if part == "report":
        for path in sorted((audio / "far").glob("*.flac")):
            whole = read(path)
            size = 10 * RATE_HZ
            for start in range(0, len(whole) - size, size):
                yield path.stem, whole[start : start + size]
    prompts = {"train": "*_f_June", "tune": "*_m_Carlo", "report": "en_US_f_Allison"}[part]
    for name, sound in _recordings(more, f"usr/share/asterisk/sounds/{prompts}/*.wav"):
        if len(sound) > 2 * RATE_HZ:
            yield name, sound
    for name, sound in _whole(part, more, OWN, CLIPS["own"]):
        if len(sound) > 2 * RATE_HZ:
            yield name, sound


def _near(part: str, audio: Path, more: Path) -> Iterator[tuple[str, Sound]]:
    for name, sound in _recordings(audio / "near", "speech_to_intent/*.flac"):
        if slot(name) == part:
            yield f"commands {zlib.crc32(name.encode()) % MANY}/{name.split('/')[1]}", sound
    speaker = {"train": "nicolas", "tune": "jackson", "report": "yweweler"}[part]
    yield from _recordings(audio / "near", f"digits/*_{speaker}_*.flac")
    languages = sorted((more / "usr/share/klettres").glob("*/"))
    for folder in languages:
        if slot("letters " + folder.name) == part:
            for name, sound in _recordings(folder, "*/*.ogg"):
                yield f"{LETTERS}{folder.name} {name}", sound
    if part == "train":
        for name, sound in _recordings(more, "usr/share/asterisk/sounds/es_MX_f_Allison/*.wav"):
            yield name, sound[: 5 * RATE_HZ]
    if part == "report":
        for name, sound in _recordings(audio / "wake_real", "*/*.wav"):
            yield name, sound[: 5 * RATE_HZ]
    for name, sound in _whole(part, more, PEOPLE, CLIPS["people"]):
        yield name, sound[: round(NEAR_CLIP_S * RATE_HZ)]
    lines = texts(part)[::-1]
    for voice in VOICES:
        if voice.part == part and voice.near:
            short = [line.split(",")[0][:60] for line in lines]
            for sound in speak(voice, short[: NEAR_SENTENCES[part]]):
                yield voice.name, sound


def _music(part: str, more: Path) -> Iterator[tuple[str, Sound]]:
    for pattern in MUSIC:
        for path in sorted(more.glob(pattern)):
            if slot("music " + path.name) == part:
                yield path.name, read(path)[10 * RATE_HZ : 70 * RATE_HZ]


def _effects(part: str, more: Path) -> Iterator[tuple[str, Sound]]:
    for row in FIRST:
        paths = row.found(more, CLIPS["noises"])
        paths = [p for p in paths if slot(f"effect {p.parent.name}/{p.name}") == part]
        yield from _files(row, paths)
    yield from _some(part, more, NOISES, where)
    yield from _whole(part, more, KITS, CLIPS["kit"])


def build(folder: Path, part: str, audio: Path, more: Path) -> str:
    """Make the library of one part; returns what it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {
        "far": _far(part, audio, more),
        "further": _read_aloud(part, [v for v in FURTHER if v.part == part], FURTHER_MINUTES),
        "near": _near(part, audio, more),
        "music": _music(part, more),
        "effects": ((n, s[: round(NOISE_CLIP_S * RATE_HZ)]) for n, s in _effects(part, more)),
        "ambience": _some(part, more, AMBIENCE, what),
    }
    levels: dict[str, Callable[[Sound], Sound | None]] = {
        "music": lambda sound: sound,
        "effects": _level_peak,
        "ambience": _room,
    }
    told = []
    for kind, sounds in kinds.items():
        target = folder / f"{part}-{kind}.npz"
        if not target.exists():
            names, clips = [], []
            for name, sound in sounds:
                even = levels.get(kind, level_off)(sound)
                if even is not None and len(even):
                    names.append(name)
                    clips.append(np.clip(np.rint(even * 32767), -32768, 32767).astype(np.int16))
            ends = np.cumsum([len(clip) for clip in clips], dtype=np.int64)
            whole = np.concatenate(clips) if clips else np.zeros(0, np.int16)
            half_done = target.with_suffix(".part.npz")
            np.savez(half_done, sound=whole, ends=ends, names=np.array(names))
            half_done.rename(target)
        with np.load(target) as stored:
            told.append(
                f"{kind}: {len(stored['ends'])} clips, {len(stored['sound']) / RATE_HZ / 60:.1f} "
                f"minutes, {len({str(n).split('/')[0] for n in stored['names']})} sources"
            )
    return f"{part}: " + "; ".join(told)


KINDS = ("far", "further", "near", "music", "effects", "ambience")


class Library:
    """The clips of one part, by kind."""

    def __init__(self, folder: Path, part: str) -> None:
        self.part = part
        self._sounds: dict[str, NDArray[np.int16]] = {}
        self._bounds: dict[str, list[tuple[int, int]]] = {}
        self.sources: dict[str, dict[str, list[int]]] = {}
        """Kind → source (a voice, a folder of recordings) → its clips."""
        for kind in KINDS:
            with np.load(folder / f"{part}-{kind}.npz") as stored:
                self._sounds[kind] = stored["sound"]
                ends = [int(end) for end in stored["ends"]]
                self._bounds[kind] = list(zip([0, *ends[:-1]], ends, strict=True))
                sources: dict[str, list[int]] = {}
                for number, name in enumerate(stored["names"]):
                    sources.setdefault(str(name).split("/")[0], []).append(number)
                self.sources[kind] = sources
        people = self.sources["near"]
        # Of the people: those who say single letters and syllables.
        self.sources["letters"] = {n: people.pop(n) for n in list(people) if n.startswith(LETTERS)}
        self._sounds["letters"] = self._sounds["near"]
        self._bounds["letters"] = self._bounds["near"]

    def clip(self, kind: str, number: int) -> Sound:
        """One clip, full scale 1.0."""
        first, last = self._bounds[kind][number]
        return from_pcm(self._sounds[kind][first:last])

    def draw(self, kind: str, rng: np.random.Generator) -> tuple[str, Sound]:
        """A source at random, and one of its clips; folders of many people come more often."""
        sources = self.sources[kind]
        names = sorted(sources)
        weights = np.sqrt([len(sources[name]) for name in names])
        source = str(rng.choice(names, p=weights / weights.sum()))
        return source, self.clip(kind, int(rng.choice(sources[source])))
