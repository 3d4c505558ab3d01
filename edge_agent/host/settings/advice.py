"""Advice: settings that are allowed and still probably not what somebody wants.

Thread: the main one, pure.  It must never refuse anything, or show the value of a key.
"""

from __future__ import annotations

from edge_agent.host.settings.root import Settings

NO_KEY = "no key for provider"
"""How the advice about a missing key begins: who knows of another place for it leaves it out."""


def advice(settings: Settings, key_problem: str = "", *, needs_key: bool = True) -> list[str]:
    """Settings that are allowed and still probably not what somebody wants.  `key_problem`: why the
    service's own key file cannot be used."""
    hints = []
    if settings.barge_in.enabled and settings.barge_in.by_speech and settings.echo.mode == "off":
        hints.append(
            'echo.mode = "off" with barge_in.by_speech: the speaker will interrupt itself unless '
            "the microphone cancels echo"
        )
    if settings.listen.mode == "always":
        hints.append('listen.mode = "always": everything said near it leaves the house')
    if not settings.speech.sentences:
        hints.append(
            "speech.sentences = false: nobody can be asked aloud, so tools of medium and high risk "
            "are refused"
        )
    if settings.journal.transcripts:
        hints.append("journal.transcripts: the household's words are written into the journal")
    if settings.privacy.keep_audio_days:
        hints.append("privacy.keep_audio_days: the sound of every turn is kept on the disk")
    if settings.privacy.keep_transcripts_days and settings.realtime.transcription == "off":
        hints.append(
            'privacy.keep_transcripts_days with realtime.transcription = "off": nobody writes down '
            "what the household says, so only the speaker's own words are kept"
        )
    if settings.conversation.summarise == "text":
        missing = "" if settings.supervisor.model else "supervisor.model is empty"
        if settings.realtime.transcription == "off":
            missing = missing or 'realtime.transcription = "off" leaves it no words to sum up'
        if missing:
            hints.append(f'conversation.summarise = "text", but {missing}: nobody takes notes')
    if needs_key and not settings.realtime.api_key.get_secret_value():
        todo = (
            key_problem or "put it into /etc/edge-agent/openai_api_key (root:edge-agent, mode 640)"
        )
        hints.append(f'{NO_KEY} "{settings.realtime.provider}": {todo}')
    return hints
