"""Settings: every value an owner may choose, with its unit, its bounds and its meaning.

It must never read a file, the environment or the clock (`load` does), and must never show the key:
it is a `SecretStr`.

The string under each field is its documentation: `text` turns it into
`config/edge-agent.toml`, so the shipped file cannot drift from the program.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edge_agent.contract.hosts import is_loopback
from edge_agent.contract.persona import VOLUME_LIMIT_MIN_PERCENT
from edge_agent.contract.voices import SPEED_MAX, SPEED_MIN
from edge_agent.host.price_list import NAME_FORM
from edge_agent.host.settings.base import Name, PathText, Section, VoiceName, checked_address
from edge_agent.host.settings.consent import Consent, Guest
from edge_agent.host.settings.desk import Messages, Supervisor
from edge_agent.host.settings.house import Budget, Control, Health, Journal, Speech, State
from edge_agent.host.settings.mcp import Mcp
from edge_agent.host.settings.privacy import Facts, Privacy
from edge_agent.host.settings.talk import Conversation
from edge_agent.host.settings.transcription import Transcription

WakeWord = Literal["alexa", "hey_jarvis", "hey_mycroft", "okay_nabu"]
"""The phrases whose models come with pymicro-wakeword (Apache-2.0, models included)."""

OptionalPin = Annotated[int, Field(ge=-1, le=1023)]
"""A GPIO line, -1 for "not connected" (TOML has no null)."""
Pin = Annotated[int, Field(ge=0, le=1023)]
HEADER_PIN_MAX = 27
"""The last BCM pin of a Raspberry Pi's header."""


class Device(Section):
    """Microphone and loudspeaker."""

    capture_device: Name = ""
    """Microphone: its name, or a part of it that no other device has, as `edge-agent devices`
    prints it.  Empty: the best card there is, which `edge-agent devices` marks with its reason.
    Never a number: numbers move."""
    render_device: Name = ""
    """Loudspeaker, named in the same way."""
    rate_hz: int = Field(default=0, ge=0, le=192_000)
    """Sample rate of both, 0: each device's own (best; the program resamples)."""
    capture_channel: int = Field(default=0, ge=0, le=31)
    """Which channel of a microphone array is listened to, counted from 0."""
    volume_percent: int = Field(default=70, ge=0, le=100)
    """Loudness of the voice at the first start; later changes are remembered in `state.path`."""
    volume_max_percent: int = Field(default=100, ge=VOLUME_LIMIT_MIN_PERCENT, le=100)
    """The loudest it gets, whoever asks for more: nothing that it plays is louder, alarms and
    questions included.  A persona may lower it further (kids)."""
    warm_up_ms: int = Field(default=0, ge=0, le=2000)
    """Silence played before the first sound after a pause, for loudspeakers that fall asleep
    (HDMI, Bluetooth) and swallow the first syllable."""
    block_ms: int = Field(default=10, ge=5, le=40)
    """Length of one sound block.  10 is quickest; 20 spares a small board some work."""
    rest_after_s: float = Field(default=10.0, ge=0, le=3600)
    """Asleep for so long, the loudspeaker's stream pauses, which halves the work of waiting and
    ends the hiss of many amplifiers.  0: it always runs, for a card that clicks as it starts."""


class Listen(Section):
    """When the speaker listens, and when a turn is over."""

    mode: Literal["wake", "button", "always"] = "wake"
    """`wake`: wake word or button.  `button`: button only, no wake word runs.
    `always`: an open microphone, for a desk or a test: everything said leaves the house."""
    wake_words: tuple[WakeWord, ...] = Field(default=("okay_nabu",), max_length=4)
    """Phrases that wake it: okay_nabu, hey_jarvis, hey_mycroft, alexa.  Two at once are fine."""
    wake_cutoffs: dict[WakeWord, Annotated[float, Field(ge=0.05, le=0.999)]] = Field(default={})
    """Certainty that a phrase needs, per phrase, e.g. `{ okay_nabu = 0.8 }`: lower hears more
    and errs more.  Not named: the model's own."""
    vad_mode: int = Field(default=2, ge=0, le=3)
    """Strictness of the local voice detector: 0 takes much for speech, 3 little."""
    pre_roll_ms: int = Field(default=800, ge=600, le=3000)
    """Sound from before the wake decision that is sent first, so that "okay nabu what time is
    it" in one breath arrives whole."""
    follow_up_s: float = Field(default=6.0, ge=0, le=60)
    """After an answer, how long one may go on without wake word; 0: not at all."""
    quiet_end_s: float = Field(default=5.0, ge=1, le=30)
    """After a wake without any speech, when it goes back to sleep without a word."""
    utterance_max_s: float = Field(default=30.0, ge=5, le=300)
    """Longest single turn: a television that talks on is cut off here."""
    end_of_turn: Literal["server_vad", "semantic_vad", "local"] = "server_vad"
    """Who decides that you have finished: the provider by silence, the provider by meaning, or
    this device by silence."""
    local_silence_ms: int = Field(default=700, ge=200, le=5000)
    """`local`: silence that ends a turn."""
    server_threshold: float = Field(default=0.5, ge=0, le=1)
    """`server_vad`: how sure the provider must be that it hears speech."""
    server_prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    """`server_vad`: sound kept from before the speech it found."""
    server_silence_ms: int = Field(default=500, ge=100, le=10_000)
    """`server_vad`: silence that ends a turn."""
    semantic_eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    """`semantic_vad`: low waits up to 8 s for you to go on, medium 4 s, high 2 s."""
    chime: Literal["on_pause", "always", "never"] = "on_pause"
    """A short sound after a wake word or a press: it listens.  `on_pause`: when you pause there;
    who speaks on at once does not hear it.  `always`: then too, softly, for those who cannot see
    the light.  `never`: the light alone tells.  true and false mean on_pause and never."""

    @field_validator("chime", mode="before")
    @classmethod
    def _once_it_was_on_or_off(cls, given: object) -> object:
        """Settings from before there were three ways, environment variables among them."""
        words = {"true": True, "yes": True, "on": True, "1": True}
        words |= {"false": False, "no": False, "off": False, "0": False}
        given = words.get(given.strip().lower(), given) if isinstance(given, str) else given
        return {True: "on_pause", False: "never"}[given] if isinstance(given, bool) else given

    @model_validator(mode="after")
    def _wake_needs_a_word(self) -> Listen:
        if self.mode == "wake" and not self.wake_words:
            raise ValueError(
                'mode = "wake" needs at least one of wake_words; for a speaker without wake word '
                'use mode = "button"'
            )
        if len(set(self.wake_words)) != len(self.wake_words):
            raise ValueError("wake_words holds the same phrase twice")
        return self


class BargeIn(Section):
    """Talking over the speaker's own voice."""

    enabled: bool = True
    """Whether an answer can be interrupted at all.  The button always can."""
    by_speech: bool = True
    """Interrupt by just talking.  false: only wake word and button interrupt."""
    sensitivity: Literal["cautious", "normal", "eager"] = "normal"
    """How easily a voice over the speaker's own is believed.  In an hour of its own voice in harsh
    simulated rooms `cautious` interrupts itself once and hears 88 of 100 people who speak as loud
    as that, `normal` 3 times and 96, `eager` 9 times and 99 (benchmarks/hearing.md)."""
    window_frames: int = Field(default=1, ge=1, le=100)
    """How many of the last 10 ms frames are looked at."""
    speech_frames: int = Field(default=1, ge=1, le=100)
    """How many of them must be speech.  One is enough, as the detector has weighed what it heard
    before; each more makes every interruption 10 ms later and hardly any rarer: `sensitivity` is
    for that."""
    min_after_start_ms: int = Field(default=250, ge=0, le=5000)
    """No interruption by speech in the first moments of an answer, while the echo canceller
    still learns the room."""

    @model_validator(mode="after")
    def _the_window_holds_the_frames(self) -> BargeIn:
        if self.speech_frames > self.window_frames:
            raise ValueError("speech_frames must not be more than window_frames")
        return self


class Echo(Section):
    """Removing our own voice from what the microphone hears."""

    mode: Literal["linear", "off"] = "linear"
    """`linear`: our own canceller.  `off`: only for headphones or a microphone that cancels echo
    itself.  `aec3`, an older canceller, means linear."""
    tail_ms: int = Field(default=200, ge=50, le=1000)
    """How long after our last sound the room may still carry it."""

    @field_validator("mode", mode="before")
    @classmethod
    def _once_there_were_two(cls, given: object) -> object:
        return "linear" if given == "aec3" else given


ProviderName = Annotated[str, Field(pattern=NAME_FORM)]


class Fallback(Section):
    """One service to fall back to.  Its key must be in a file of its own."""

    provider: ProviderName
    model: str = Field(min_length=1, max_length=100)
    url: Name = ""
    voice: VoiceName = ""
    api_key_file: PathText = ""


class Realtime(Section):
    """The model that is talked to."""

    provider: ProviderName = "openai"
    """Whose service it is: openai, azure, xai, speech-to-speech, localai, speaches, local (any
    other server that speaks the same protocol), or any other record of the table of providers."""
    providers_file: PathText = ""
    """Your table of providers, models and prices, laid over the program's own.  Empty:
    /etc/edge-agent/providers.toml, if it is there."""
    url: Name = ""
    """Address of the service.  Empty: the provider's own.  azure and local need one, e.g.
    `wss://NAME.openai.azure.com/openai/v1/realtime` or `ws://127.0.0.1:8765/v1/realtime`."""
    allow_insecure_url: bool = False
    """Allow `ws://` (not encrypted: sound and key in the clear) to another machine."""
    ca_file: PathText = ""
    """A PEM file with authorities that are trusted besides the system's, for a service of your own
    whose certificate none of those has signed.  It holds for every service that is spoken to by
    wss:// or https://, tool servers excepted."""
    model: str = Field(default="gpt-realtime-2.1", min_length=1, max_length=100)
    """Model (azure: the deployment's name).  `gpt-realtime-2.1-mini` costs about a third.  Not
    set, it is the one that the provider's record names."""
    voice: VoiceName = "marin"
    """Voice of the answers: marin, cedar, alloy, ash, ballad, coral, echo, sage, shimmer, verse;
    xai: eve, ara, leo, rex, sal.  One that was made for you: `id:` and its id, e.g.
    `id:voice_123abc`.  Empty: the server's own.  Not set, it is the one that the provider's record
    names.  A persona that names a voice or a speed wins."""
    persona: str = Field(default="household", pattern=r"^([a-z0-9][a-z0-9_-]{0,63}|/.+\.toml)$")
    """Its manners: household, kids, language-tutor, concise, bedtime, a name of your own from
    /etc/edge-agent/personas, or the whole path of a file.  See `edge-agent prompt show`."""
    instructions: str = Field(default="", max_length=20_000)
    """What the model is told on top of that, in your own words; it is told last."""
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")
    """Language it is told to speak, as a code like en, de, fr or pt-BR."""
    noise_reduction: Literal["near_field", "far_field", "none"] = "far_field"
    """The provider's noise filter: near_field for a headset, far_field for a room."""
    transcription: Literal["off", "builtin", "out_of_band"] = "off"
    """Who writes down what you say, so that a fresh session is told words instead of sound, and
    the journal if you asked for that.  `off`: nobody.  `builtin`: a transcriber of the provider's
    beside the model, the cheapest.  `out_of_band`: the model itself,
    asked once per turn; it needs no transcriber.  benchmarks/transcription.md compares them."""
    transcription_model: str = Field(default="", max_length=100)
    """Which model the provider transcribes with (azure: the deployment's name).  Empty: the one
    that the provider's record names.  Set alone, without transcription, it means "builtin"."""
    transcription_language: str = Field(default="", pattern=r"^([a-z]{2,3})?$")
    """Language of what is said, told to whoever writes it down.  Empty: those of
    transcription.languages, else it guesses."""
    max_output_tokens: int = Field(default=0, ge=0, le=4096)
    """Longest answer in tokens (20 are about one second of speech), 0: the model's own limit."""
    reasoning_effort: Literal["", "minimal", "low", "medium", "high", "xhigh"] = ""
    """How long the model thinks; only sent to models that can.  Empty: the model's own."""
    speed: float = Field(default=1.0, ge=SPEED_MIN, le=SPEED_MAX)
    """Speed of the voice, 0.25 to 1.5; a persona that names one wins."""
    api_key: SecretStr = SecretStr("")
    """The key.  Never in this file: put it into api_key_file, the environment or the systemd
    credential `openai_api_key`."""
    api_key_file: PathText = ""
    """A file that holds nothing but the key, readable by the program only; another key in it is
    taken up by itself.  Empty: /etc/edge-agent/openai_api_key (root:edge-agent, mode 640)."""
    dial_timeout_s: float = Field(default=10.0, ge=1, le=120)
    """Longest wait for a connection, name lookup and encryption included."""
    ping_interval_active_s: float = Field(default=1.0, ge=0.2, le=60)
    """During a turn, how often it is asked whether the line still lives."""
    ping_timeout_active_s: float = Field(default=1.8, ge=0.5, le=60)
    """During a turn, silence that counts as a dead line after a ping that was not delivered; one
    that was is waited for longer (see `edge-agent status`).  Not set, a provider's record may be
    more patient (a server of your own on a busy box)."""
    ping_interval_idle_s: float = Field(default=5.0, ge=1, le=120)
    """The same while nothing goes on."""
    ping_timeout_idle_s: float = Field(default=4.0, ge=1, le=120)
    """The same while nothing goes on."""
    close_timeout_s: float = Field(default=1.0, ge=0.1, le=10)
    """Longest wait for the other side to say goodbye."""
    backoff_first_s: float = Field(default=0.25, ge=0.05, le=10)
    """Upper end of the first random pause before connecting again; it doubles every time."""
    backoff_max_s: float = Field(default=30.0, ge=1, le=600)
    """Where the doubling ends."""
    refused_retry_s: float = Field(default=60.0, ge=5, le=3600)
    """Pause between tries when only a person can help (wrong key, no quota)."""
    fallbacks: tuple[Fallback, ...] = Field(default=(), max_length=4)
    """Services to try, in this order, when the first one refuses or cannot be reached, e.g.
    `[{ provider = "xai", model = "grok-voice-latest", api_key_file = "/etc/edge-agent/xai" }]`.
    It goes back to the first one by itself.  Proxies come from the environment: WSS_PROXY,
    SOCKS_PROXY (needs python-socks), HTTPS_PROXY, then ALL_PROXY; hosts in NO_PROXY and this
    machine are dialled directly."""
    outbox_max_s: float = Field(default=30.0, ge=5, le=120)
    """Speech kept for later while the line is down."""

    @model_validator(mode="before")
    @classmethod
    def _a_model_alone_means_builtin(cls, given: object) -> object:
        """Before there was a choice, naming the model was what switched it on."""
        if isinstance(given, dict) and given.get("transcription_model"):
            return {"transcription": "builtin", **given}
        return given

    @field_validator("url")
    @classmethod
    def _is_a_websocket_address(cls, value: str) -> str:
        return checked_address(value, "ws")

    @field_validator("api_key")
    @classmethod
    def _key_fits_a_header(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value()
        if not key.isascii() or any(not c.isprintable() or c == " " for c in key):
            raise ValueError("holds a space, a line break or a letter that no key has")
        return value

    @model_validator(mode="after")
    def _address_and_times_fit(self) -> Realtime:
        if self.url.startswith("ws://") and not (
            self.allow_insecure_url or is_loopback(urlsplit(self.url).hostname or "")
        ):
            raise ValueError(
                "url is not encrypted (ws://) and goes to another machine; use wss://, or set "
                "allow_insecure_url = true if you trust every device on that network"
            )
        if self.backoff_first_s > self.backoff_max_s:
            raise ValueError("backoff_first_s must not be more than backoff_max_s")
        return self


def _three_different_pins_or_none(pins: tuple[int, ...]) -> tuple[int, ...]:
    if pins and (len(pins) != 3 or len(set(pins)) != 3):
        raise ValueError("must be empty or three different pins (red, green, blue)")
    return pins


class Panel(Section):
    """Button and light on GPIO pins."""

    enabled: Literal["auto", "on", "off"] = "auto"
    """`auto`: when the machine has GPIO lines.  `on`: complain when it has none."""
    chip: int = Field(default=-1, ge=-1, le=255)
    """-1: a Raspberry Pi's header, and pins are BCM numbers (0 to 27).  On other boards the number
    of the GPIO chip (1 for gpiochip1), whose line numbers the pins are: gpioinfo tells them."""
    button_pin: Pin = 17
    """Talk button, to ground."""
    mute_button_pin: OptionalPin = -1
    """A second button only for mute, -1: none (a long press of the talk button mutes)."""
    led_pin: OptionalPin = 27
    """Light of one colour, -1: none."""
    rgb_pins: Annotated[tuple[Pin, ...], AfterValidator(_three_different_pins_or_none)] = ()
    """Coloured light instead: red, green and blue pin, e.g. `[5, 6, 13]`."""
    led_active_high: bool = True
    """false: the light is wired to 3.3 V and glows when its pin is low."""
    pull_up: bool = True
    """true: the buttons connect their pin to ground.  false: to 3.3 V."""
    button_inverted: bool = False
    """true: the buttons are closed at rest and open while they are pressed."""
    long_press_ms: int = Field(default=1500, ge=400, le=10_000)
    """Holding the talk button this long mutes or opens the microphone."""
    bounce_ms: int = Field(default=20, ge=0, le=200)
    """Contact chatter that is not taken for presses."""

    @model_validator(mode="after")
    def _no_pin_twice(self) -> Panel:
        pins = [self.button_pin, self.mute_button_pin, self.led_pin, *self.rgb_pins]
        used = [pin for pin in pins if pin >= 0]
        beyond = [pin for pin in used if self.chip < 0 and pin > HEADER_PIN_MAX]
        if beyond:
            raise ValueError(
                f"pin {beyond[0]} is not on a Raspberry Pi's header (0 to {HEADER_PIN_MAX}); for "
                "the lines of another board set chip"
            )
        twice = sorted({pin for pin in used if used.count(pin) > 1})
        if twice:
            raise ValueError(f"pin {twice[0]} is used for two things")
        return self


_layers: ContextVar[tuple[PydanticBaseSettingsSource, ...]] = ContextVar("layers", default=())


class Settings(BaseSettings):
    """All settings.  `Settings()` is the defaults; `load.load` reads the layers."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    device: Device = Device()
    listen: Listen = Listen()
    barge_in: BargeIn = BargeIn()
    echo: Echo = Echo()
    realtime: Realtime = Realtime()
    transcription: Transcription = Transcription()
    consent: Consent = Consent()
    guest: Guest = Guest()
    panel: Panel = Panel()
    conversation: Conversation = Conversation()
    speech: Speech = Speech()
    supervisor: Supervisor = Supervisor()
    messages: Messages = Messages()
    mcp: Mcp = Mcp()
    journal: Journal = Journal()
    state: State = State()
    budget: Budget = Budget()
    control: Control = Control()
    health: Health = Health()
    facts: Facts = Facts()
    privacy: Privacy = Privacy()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (the signature is pydantic's)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is handed in, and the layers while `layered` reads them: `Settings()` in code is
        the defaults, whatever the environment says."""
        return (init_settings, *_layers.get())


def layered(sources: Iterable[PydanticBaseSettingsSource]) -> Settings:
    """The settings of all these sources, the strongest first.  Raises `ValidationError`."""
    before = _layers.set(tuple(sources))
    try:
        return Settings()
    finally:
        _layers.reset(before)
