"""Sentences: what the speaker says by itself, when the model cannot.

Thread: the event loop; a recording is read once (some 100 kB) and kept.  `prepare` belongs on a
worker.  It must never need the network, and never stop anything: a sentence that is missing is
silence.

Texts and recordings are in `voice_pack/`; `scripts/make_sentences.py` makes the shipped ones.
Whose voice is heard, the first that has the sentence: the owner's pack (`edge-agent voice-pack
build`), the shipped recording of the language, what espeak-ng spoke at an earlier start, the
shipped English recording.  The last never while espeak-ng is still at work: nobody is to hear
English by surprise, and the light tells of the trouble meanwhile.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from edge_agent.host.journal.reasons import SAME_AS
from edge_agent.host.voice.pack_store import (
    Pack,
    Recipe,
    SpeakFunction,
    cache_root,
    pack_root,
    read_wav,
)

PACK_FOLDER = Path(__file__).parent / "voice_pack"
FALLBACK_LANGUAGE = "en"
"""The pack that is always there: the wrong language is better than a dumb silence."""

SENTENCE_FOR_CODE: dict[str, str] = {
    "device.missing": "device_lost",
    "device.lost": "device_lost",
    "device.error": "device_lost",
    "device.silent": "mic_silent",
    "device.switched_off": "mic_off",
    "device.speaker_stalled": "device_lost",
    "audio.faint": "mic_faint",
    "audio.clipped": "mic_too_loud",
    "device.overruns": "device_lost",
    "device.busy": "device_busy",
    "device.no_microphone": "no_microphone",
    "device.no_speaker": "no_speaker",
    "device.format_refused": "device_format",
    "link.connecting": "connecting",
    "link.lost": "offline",
    "link.closed": "offline",
    "link.error": "offline",
    "link.protocol": "offline",
    "link.frame_too_big": "service_garbled",
    "link.dead": "offline",
    "link.dns": "no_internet",
    "link.unreachable": "no_internet",
    "link.no_answer": "service_silent",
    "link.timeout": "service_silent",
    "link.internal": "offline",
    "link.reopened": "connecting",
    "link.garbage": "service_garbled",
    "link.proxy": "proxy",
    "link.captive_portal": "captive_portal",
    "link.clock": "wrong_clock",
    "link.tls": "not_secure",
    "link.bad_url": "bad_url",
    "link.bad_key": "bad_key",
    "link.no_key": "setup_needed",
    "link.key_unreadable": "setup_needed",
    "link.no_quota": "no_quota",
    "link.no_model": "no_model",
    "link.dialect": "wrong_dialect",
    "link.refused": "refused",
    "link.busy": "busy",
    "link.session_expired": "session_renewed",
    "response.insufficient_quota": "no_quota",
    "response.quota_exceeded": "no_quota",
    "response.credit_balance_exhausted": "no_quota",
    "response.billing_hard_limit_reached": "no_quota",
    "response.account_deactivated": "refused",
    "response.invalid_api_key": "bad_key",
    "response.rate_limit_exceeded": "too_fast",
    "response.content_filter": "not_allowed",
    "response.max_output_tokens": "too_long",
    "response.session_expired": "session_renewed",
    "response.model_not_found": "no_model",
    "response.billing_not_active": "no_quota",
    "response.empty": "server_trouble",
    "response.server_error": "server_trouble",
}
"""Error code → sentence; several codes share one where a household would do the same."""

_SENTENCE_FOR_FAMILY = {"link": "offline", "device": "device_lost", "response": "answer_failed"}
"""For codes that are younger than this table."""


def sentence_for(name: str) -> str:
    """The sentence for a sentence name or an error code; "" if there is none."""
    name = SAME_AS.get(name, name)
    if name in SENTENCE_FOR_CODE:
        return SENTENCE_FOR_CODE[name]
    family, dot, _ = name.partition(".")
    return _SENTENCE_FOR_FAMILY.get(family, "") if dot else name


def languages(folder: Path = PACK_FOLDER) -> list[str]:
    """Languages that have a catalogue of texts."""
    return sorted(file.stem for file in folder.glob("*.toml"))


def find_language(asked: str, folder: Path = PACK_FOLDER) -> str:
    """`de` for `de-AT` where there is no such catalogue, "" where there is none at all."""
    candidates = (asked, asked.partition("-")[0])
    known = languages(folder)
    return next((name for name in candidates if name in known), "")


class Sentences:
    """The sentences of one language.

    `own`: the folder of the owner's packs; None: where it is without `speech.voice_pack_dir`.
    `cache`: the folder of what espeak-ng spoke; None: in the state directory.
    """

    def __init__(
        self,
        language: str = FALLBACK_LANGUAGE,
        folder: Path = PACK_FOLDER,
        *,
        own: Path | None = None,
        cache: Path | None = None,
    ) -> None:
        """Takes `de` for `de-AT` where there is no such catalogue, and English where none is."""
        found = find_language(language, folder)
        self.language = found or FALLBACK_LANGUAGE
        """The language that was found."""
        self.advice = (
            ""
            if found
            else f'There are no sentences in "{language}", so they are spoken in English. '
            f"speech.language may be: {', '.join(languages(folder))}."
        )
        """What an admin should be told; "" if all is well."""
        self._folder = folder
        self._own = Pack(pack_root("") if own is None else own, self.language)
        self._rendered = Pack(cache_root() if cache is None else cache, self.language)
        self._texts: dict[str, str] | None = None
        self._stale: frozenset[tuple[Pack, str]] | None = None
        self._pcm: dict[str, bytes] = {}
        self.awaited = False
        """What has no recording is being spoken by `prepare`: no English in its place meanwhile."""

    @property
    def texts(self) -> dict[str, str]:
        """Sentence name → text."""
        if self._texts is None:
            path = self._folder / f"{self.language}.toml"
            self._texts = dict(tomllib.loads(path.read_text(encoding="utf-8"))["text"])
        return self._texts

    def text(self, name: str) -> str:
        """The words of a sentence, named by itself or by an error code; "" if there are none."""
        return self.texts.get(sentence_for(name), "")

    def pcm24k(self, name: str) -> bytes:
        """The sound of a sentence, named by itself or by an error code: 24 kHz PCM16 mono.

        b"" if there is no such recording, or it is not of that format.  Renders nothing.
        """
        key, known = sentence_for(name), self._pcm
        if key not in known:
            # The name comes from outside (a server's error code): only names in the catalogue.
            sound = self._in_language(key) if key in self.texts else b""
            if not sound and self.awaited:
                return b""
            known[key] = sound or (self._english(key) if key in self.texts else b"")
        return known[key]

    def sources(self) -> dict[str, str]:
        """Whose voice says what: name → `own`, `shipped`, `espeak`, `english` or `none`."""
        return {name: self._source(name) for name in self.texts}

    def _source(self, key: str) -> str:
        if self._of(self._own, key):
            return "own"
        if self._recorded(key):
            return "shipped"
        if self._in_language(key):
            return "espeak"
        return "english" if self._english(key) else "none"

    def silent_texts(self) -> dict[str, str]:
        """The sentences that would be heard in English: name → text."""
        return {name: text for name, text in self.texts.items() if not self._in_language(name)}

    def prepare(self, speak: SpeakFunction) -> int:
        """Have `speak` (espeak-ng) say every sentence that has no recording in this language.

        Blocks for seconds: belongs on a worker thread, at start.  Kept in the state directory, so
        that it is done once.  Returns how many sentences were missing.  Raises AgentError.
        """
        try:
            missing = self.silent_texts()
            if missing:
                # All that only this pack can say, not just what is new: it is replaced whole.
                texts = {n: t for n, t in self.texts.items() if not self._recorded(n)}
                self._rendered.build(texts, Recipe("espeak", self.language), speak)
                self._stale = None
                self._pcm = {}  # a new one: the event loop may be reading the old
            return len(missing)
        finally:
            self.awaited = False

    def _in_language(self, key: str) -> bytes:
        return self._recorded(key) or self._of(self._rendered, key)

    def _recorded(self, key: str) -> bytes:
        return self._of(self._own, key) or read_wav(self._folder / self.language / f"{key}.wav")

    def _english(self, key: str) -> bytes:
        return read_wav(self._folder / FALLBACK_LANGUAGE / f"{key}.wav")

    def _of(self, pack: Pack, key: str) -> bytes:
        # After an upgrade a sentence may mean something else than what was recorded.
        return b"" if (pack, key) in self._stale_recordings() else pack.pcm24k(key)

    def _stale_recordings(self) -> frozenset[tuple[Pack, str]]:
        if self._stale is None:
            self._stale = frozenset(
                (pack, name)
                for pack in (self._own, self._rendered)
                for name, text in pack.spoken_texts().items()
                if self.texts.get(name) != text
            )
        return self._stale
