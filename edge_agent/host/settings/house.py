"""Settings of the house around the talk: own sentences, journal, state, budget, health.

It must never read a file, the environment or the clock.  The string under each field is its
documentation, as in `settings`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from edge_agent.host.settings.base import Name, PathText, Section, checked_address


class Speech(Section):
    """What the speaker says by itself, without the model."""

    language: str = Field(default="en", pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")
    """Language of its own sentences ("I can't reach the internet").  Texts: en, de, fr, es, it;
    only en comes with recordings, `edge-agent voice-pack build` makes the others."""
    sentences: bool = True
    """false: only lights and sounds, no spoken sentences."""
    voice_pack_dir: PathText = ""
    """Folder of your own recordings, one folder per language in it.  Empty: voice-pack in the
    service's state directory."""
    offline_voice: bool = True
    """Have espeak-ng, if it is installed, speak the sentences that have no recording in your
    language.  false: those are spoken in English."""
    api_url: Name = ""
    """Where `transcribe`, and `voice-pack build` with a tts_model, send their requests, e.g.
    `https://api.openai.com/v1`.  Empty: the https address that belongs to realtime.url."""
    tts_model: str = Field(default="", max_length=100)
    """Model of the speech endpoint that speaks the sentences of a voice pack.  Empty: the model of
    the talk reads them, in a Realtime session."""
    voice_pack_manner: str = Field(
        default="Speak calmly, warmly and clearly, at an even pace, like a helpful voice in a "
        "household.",
        max_length=1000,
    )
    """How the sentences of a voice pack are to be spoken, in your own words; so that forty single
    ones sound like one person.  Empty: as the model likes.  Older speech models take none.  They
    are spoken at realtime.speed, as the answers are."""
    transcription_model: str = Field(default="gpt-transcribe", min_length=1, max_length=100)
    """Model of `edge-agent transcribe`.  Subtitles (srt, vtt) need one that tells times, e.g.
    whisper-1, which OpenAI ends on 2027-02-26."""

    @field_validator("api_url")
    @classmethod
    def _is_a_web_address(cls, value: str) -> str:
        return checked_address(value, "http")


class Journal(Section):
    """What is written down about what it does."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important line that is written."""
    transcripts: bool = False
    """true: write the household's and the model's words into the journal.  Think twice."""


class State(Section):
    """What survives a reboot."""

    path: PathText = ""
    """File that remembers mute and volume; tokens and costs are in usage.json beside it.  Empty:
    state.json in the service's state directory, or /var/lib/edge-agent without systemd."""


class Budget(Section):
    """What a day of talking may cost."""

    daily_cap_usd: float = Field(default=0.0, ge=0, le=10_000)
    """US dollars a day after which it only answers while the button is held, 0: no limit.
    Counted from the provider's figures and the prices in providers.toml; the bill is theirs.
    Transcribers and the text model of [supervisor] count like answers; what the command line asks
    for (voice-pack, transcribe, prompt critique) does not.  See `edge-agent usage`."""
    warn_percent: int = Field(default=80, ge=1, le=100)
    """Part of it at which the household is warned, once a day."""


class Control(Section):
    """The socket behind `edge-agent status` and `edge-agent mute`."""

    path: PathText = ""
    """Empty: control.sock in the service's runtime directory, or in the account's own."""


class Health(Section):
    """When the program counts itself as sick."""

    stall_s: float = Field(default=5.0, ge=1, le=60)
    """Microphone or loudspeaker frames that stand still this long are a fault: systemd then
    restarts the program."""
    stop_s: float = Field(default=8.0, ge=2, le=60)
    """Longest orderly stop."""
