"""Our own sentences for this speaker: recorded ones, and the rest rendered by its own voice.

Thread: event loop; rendering runs where `voices` works.  It must never hold up a start: a sentence
that is not rendered yet is not spoken.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.audio.resample import Resampler
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.house import Speech
from edge_agent.host.stores.json_file import NoteFunction
from edge_agent.host.voice.espeak import Espeak, is_installed
from edge_agent.host.voice.pack_store import pack_root
from edge_agent.host.voice.sentences import FALLBACK_LANGUAGE, Sentences, find_language


def own_voice(speech: Speech, note: NoteFunction) -> Callable[[str], bytes] | None:
    """The voice for words that nobody recorded; None, and one line, if there is none here."""
    if not is_installed():
        if speech.sentences:  # else nothing would be said anyway
            note("voice.missing")
        return None
    language = find_language(speech.language) or FALLBACK_LANGUAGE
    return Espeak(
        language, lambda pcm, from_hz, to_hz: Resampler(from_hz, to_hz).process(pcm)
    ).speak


def own_sentences(
    speech: Speech,
    *,
    voices: Worker | None,
    note: NoteFunction,
    wanted: Callable[[], bool],
) -> Sentences | None:
    """The sentences, None if they are switched off.

    What has no recording is rendered on `voices` (None: not at all) while it is `wanted`.
    """
    if not speech.sentences:
        return None
    sentences = Sentences(speech.language, own=pack_root(speech.voice_pack_dir))
    if sentences.advice:
        note("settings.advice", advice=sentences.advice.rstrip("."))
    if voices is not None and speech.offline_voice and is_installed():
        voice = Espeak(
            sentences.language,
            lambda pcm, from_hz, to_hz: Resampler(from_hz, to_hz).process(pcm),
            wanted=wanted,
        )
        sentences.awaited = True
        voices.put(lambda: sentences.prepare(voice.speak))
    return sentences
