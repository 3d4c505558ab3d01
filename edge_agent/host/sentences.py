"""Sentences: what the speaker says by itself, when the model cannot (purpose).

Owner thread: the event loop; a recording is read once (some 100 kB) and kept.  Must never need
the network, and never stop anything: a sentence that is missing is silence.

Texts and recordings are in `voice_pack/`; `scripts/make_sentences.py` makes the recordings.
"""

from __future__ import annotations

import tomllib
import wave
from pathlib import Path

from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.host.reasons import SAME_AS

PACK_FOLDER = Path(__file__).parent / "voice_pack"
FALLBACK_LANGUAGE = "en"
"""The pack that is always there: the wrong language is better than a dumb silence."""

SENTENCE_FOR_CODE: dict[str, str] = {
    "device.missing": "device_lost",
    "device.lost": "device_lost",
    "device.error": "device_lost",
    "device.busy": "device_busy",
    "device.no_microphone": "no_microphone",
    "device.no_speaker": "no_speaker",
    "device.format_refused": "device_format",
    "link.connecting": "connecting",
    "link.lost": "offline",
    "link.closed": "offline",
    "link.error": "offline",
    "link.protocol": "offline",
    "link.frame_too_big": "offline",
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
    "link.no_quota": "no_quota",
    "link.no_model": "no_model",
    "link.dialect": "wrong_dialect",
    "link.refused": "refused",
    "link.busy": "busy",
    "link.session_expired": "session_renewed",
    "response.insufficient_quota": "no_quota",
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


class Sentences:
    """The voice pack of one language."""

    def __init__(self, language: str = FALLBACK_LANGUAGE, folder: Path = PACK_FOLDER) -> None:
        """Takes `de` for `de-AT` where there is no such pack, and English where there is none."""
        candidates = (language, language.partition("-")[0], FALLBACK_LANGUAGE)
        self.language = next(
            (name for name in candidates if (folder / f"{name}.toml").is_file()),
            FALLBACK_LANGUAGE,
        )
        """The language that was found."""
        self._folder = folder
        self._texts: dict[str, str] | None = None
        self._pcm: dict[str, bytes] = {}

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

        b"" if there is no such recording, or it is not of that format.
        """
        key = sentence_for(name)
        if key not in self._pcm:
            self._pcm[key] = self._read(key)
        return self._pcm[key]

    def _read(self, key: str) -> bytes:
        # The name comes from outside (a server's error code): only names in the catalogue.
        if key not in self.texts:
            return b""
        try:
            with wave.open(str(self._folder / self.language / f"{key}.wav"), "rb") as file:
                if file.getparams()[:3] != (1, 2, WIRE_RATE_HZ):
                    return b""
                return file.readframes(file.getnframes())
        except (OSError, EOFError, wave.Error):
            return b""
