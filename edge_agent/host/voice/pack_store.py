"""Pack store: recordings of sentences in a folder, whole or not there at all.

Thread: whichever calls; never the event loop (it writes and syncs files).  It must never leave half
a recording or half a pack behind, and never lose the pack that was there before.

`ROOT/<language>/<name>.wav` with `pack.json` beside them is a pack.  `ROOT/.cache/<key>.wav` holds
what was rendered so far, so that a build that broke off goes on where it was.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import wave
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_agent.contract.errors import AgentError
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.host.stores.json_file import state_folder
from edge_agent.host.voice.verbatim import Misread

MANIFEST = "pack.json"
MANIFEST_MAX_BYTES = 1_000_000
"""Ours has some 5 kB; whatever is larger is not ours."""

UNREAD_MAX = 5
"""Sentences that were not read as they stand, after which no more are asked for: who reads so badly
would be paid for nothing."""

FOLDER_MODE, FILE_MODE = 0o755, 0o644
"""Whatever root's umask is: the daemon has an account of its own and must be able to read."""

SpeakFunction = Callable[[str], bytes]
"""Text to 24 kHz PCM16 mono; raises AgentError, and `Misread` if it concerns this text only."""
ProgressFunction = Callable[[str, bool], None]
"""Told the name of every sentence that is done, and whether it was there already."""


class PackError(AgentError):
    """A pack cannot be written."""

    code = "voice_pack.unwritable"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything but the text that a recording depends on."""

    engine: str
    language: str
    model: str = ""
    voice: str = ""
    instructions: str = ""
    speed: float = 1.0

    def key(self, text: str) -> str:
        """Name of the recording of `text` in the cache."""
        what = asdict(self)
        if self.speed == 1.0:  # recordings from before there was another speed are still good
            del what["speed"]
        parts = json.dumps([*what.values(), text])
        return hashlib.sha256(parts.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class PackState:
    """How far a pack covers the catalogue: sentence names."""

    engine: str
    voice: str
    current: tuple[str, ...]
    stale: tuple[str, ...]
    missing: tuple[str, ...]
    instructions: str = ""
    speed: float = 1.0

    def differs(self, instructions: str, speed: float) -> list[str]:
        """The settings that a model's recordings were made with other values of."""
        if self.engine not in ("realtime", "provider"):
            return []
        found = {"speech.voice_pack_manner": self.instructions != instructions}
        found["realtime.speed"] = self.speed != speed
        return [name for name, is_other in found.items() if is_other]


def pack_root(setting: str) -> Path:
    """Where the owner's packs are: the setting `speech.voice_pack_dir`, else in the state."""
    return Path(setting) if setting else state_folder() / "voice-pack"


def cache_root() -> Path:
    """Where the daemon keeps what it had rendered by itself: it may write nowhere else."""
    return state_folder() / "voice-cache"


def read_wav(path: Path) -> bytes:
    """24 kHz PCM16 mono of a recording; b"" if there is none or it is not of that format."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getparams()[:3] != (1, 2, WIRE_RATE_HZ):
                return b""
            return file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error):
        return b""


class Pack:
    """The pack of one language beneath `root`."""

    def __init__(self, root: Path, language: str) -> None:
        self._root = root
        self._language = language
        self.folder = root / language
        self._cache = root / ".cache"

    def pcm24k(self, name: str) -> bytes:
        """The sound of a sentence, b"" if it has none.  `name` must come from the catalogue."""
        return read_wav(self.folder / f"{name}.wav")

    def spoken_texts(self) -> dict[str, str]:
        """Sentence name → the text that was spoken; empty for recordings made by hand."""
        texts = self._manifest().get("texts")
        return {str(k): str(v) for k, v in texts.items()} if isinstance(texts, dict) else {}

    def state(self, texts: Mapping[str, str]) -> PackState:
        """Compare the pack with a catalogue."""
        manifest, spoken = self._manifest(), self.spoken_texts()
        speed = manifest.get("speed", 1.0)
        there = [name for name in texts if self.pcm24k(name)]
        stale = tuple(name for name in there if spoken.get(name, texts[name]) != texts[name])
        return PackState(
            engine=str(manifest.get("engine", "")),
            voice=str(manifest.get("voice", "")),
            current=tuple(name for name in there if name not in stale),
            stale=stale,
            missing=tuple(name for name in texts if name not in there),
            instructions=str(manifest.get("instructions", "")),
            speed=speed if isinstance(speed, (int, float)) else 1.0,
        )

    def build(
        self,
        texts: Mapping[str, str],
        recipe: Recipe,
        speak: SpeakFunction,
        progress: ProgressFunction = lambda _name, _was_there: None,
    ) -> None:
        """Speak what is not in the cache, then put the new pack in the place of the old one.

        Raises what `speak` raises, and `PackError`; the old pack is then still in its place and
        the next build asks for what has no recording yet.  After a `Misread` the other sentences
        are spoken all the same, until `UNREAD_MAX` have failed; the one that is raised in the end
        names them.
        """
        unread = list[str]()
        try:
            if not self._root.exists():
                self._root.mkdir(parents=True)
                self._root.chmod(FOLDER_MODE)
            self._cache.mkdir(exist_ok=True)
            for name, text in texts.items():
                path = self._cache / f"{recipe.key(text)}.wav"
                was_there = bool(read_wav(path))
                try:
                    if not was_there:
                        _write_wav(path, speak(text))
                except Misread as problem:
                    unread.append(f"{name} ({problem.message})")
                    if len(unread) == UNREAD_MAX:
                        break
                else:
                    progress(name, was_there)
            if not unread:
                self._publish(texts, recipe)
        except OSError as problem:
            raise _unwritable(self._root, problem) from problem
        if unread:
            raise Misread(
                f"Not read as they stand, also when asked again: {', '.join(unread)}.",
                fix="Start it again for these alone, or choose another voice or model.",
            )

    def _publish(self, texts: Mapping[str, str], recipe: Recipe) -> None:
        fresh = self._root / f".{self._language}.new-{os.getpid()}"
        old = self._root / f".{self._language}.old-{os.getpid()}"
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            for name, text in texts.items():
                _link_or_copy(self._cache / f"{recipe.key(text)}.wav", fresh / f"{name}.wav")
            manifest = {"version": 1, **asdict(recipe), "texts": dict(texts)}
            text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
            _write(fresh / MANIFEST, text.encode())
            fresh.chmod(FOLDER_MODE)
            with contextlib.suppress(FileNotFoundError):
                self.folder.rename(old)
            try:
                fresh.rename(self.folder)
            except OSError:
                with contextlib.suppress(FileNotFoundError):
                    old.rename(self.folder)
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)

    def _manifest(self) -> dict[str, object]:
        try:
            with (self.folder / MANIFEST).open("rb") as file:
                entry = json.loads(file.read(MANIFEST_MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return entry if isinstance(entry, dict) else {}


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, also after a power cut."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(FILE_MODE)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _write_wav(path: Path, pcm: bytes) -> None:
    size = len(pcm)
    # The 44 bytes of a RIFF header: PCM, one channel, 16 bits.
    header = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    header += (1).to_bytes(2, "little") * 2 + WIRE_RATE_HZ.to_bytes(4, "little")
    header += (WIRE_RATE_HZ * 2).to_bytes(4, "little") + (2).to_bytes(2, "little")
    header += (16).to_bytes(2, "little") + b"data" + size.to_bytes(4, "little")
    _write(path, header + pcm)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # FAT, or a network folder
        shutil.copy(source, target)


def _unwritable(root: Path, problem: OSError) -> PackError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return PackError(
            f"The disk is full: no recording can be written to {root}.",
            fix="Make room (a pack needs about 10 MB) and start it again; it goes on where it was.",
        )
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PackError(
            f"This account may not write to {root}.",
            fix="Start it with sudo, or name another folder in speech.voice_pack_dir.  What an "
            f"older version left there as root has to go first: sudo rm -r {root}",
        )
    return PackError(
        f"Nothing can be written to {root}: {problem.strerror or type(problem).__name__}.",
        fix="Look at the folder, or name another one in speech.voice_pack_dir.",
    )
