"""The recordings that the hearing benchmark is made of: which files, whose they are, which part.

Here: what a row is, how a file is read, and who speaks.  Noises, rooms and music: `noise_sources`.

Each row names files of a Debian package (`dpkg -x` of all of them into one folder; the archives
that some games keep their sounds in, `*.pk3` and `public.zip`, unpacked where they lie).  The
licence is what the package's copyright file says of its sounds.

Thread: none of its own.  It must never let a speaker, a drum kit or takes of one knock come into
two parts.
"""

from __future__ import annotations

import re
import wave
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.hearing.places import RATE_HZ, Sound
from edge_agent.simulation.sound.acoustics import from_pcm, resample

PARTS = ("train", "tune", "report")
SHARES = {"train": (0, 60), "tune": (60, 75), "report": (75, 100)}
"""Of a hundred recordings, by a hash of the name."""

LETTERS = "letters "
"""How the sources begin that say single letters: "s" is a hiss and "p" a knock, and nobody
interrupts with them."""


def slot(name: str) -> str:
    """The part that a name belongs to."""
    number = zlib.crc32(name.encode()) % 100
    return next(part for part, (low, high) in SHARES.items() if low <= number < high)


@dataclass(frozen=True)
class Recorded:
    """Files of one speaker, or of one package's noises."""

    source: str
    """What is drawn as one."""
    files: str
    """Below the folder of the packages."""
    package: str
    licence: str
    only: str = "."
    """Found in a file's name, or it stays out."""
    never: str = r"^\b$"
    who: str = ""
    """What decides the part, where another source may be the same person; else the source."""

    def found(self, more: Path, most: int) -> list[Path]:
        """The files in order; evenly chosen where there are too many."""
        only, never = re.compile(self.only), re.compile(self.never)
        paths = [
            path
            for path in sorted(more.glob(self.files))
            if only.search(path.name) and not never.search(path.name)
        ]
        if len(paths) <= most:
            return paths
        return [paths[number * len(paths) // most] for number in range(most)]


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


# ---------------------------------------------------------------------------------------- people


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _tuberling(language: str) -> Recorded:
    # Volunteers read a language for several of such programs: all of it is one person's.
    files = f"usr/share/ktuberling/sounds/{language}/*.*"
    who = LETTERS + language
    return Recorded(f"ktuberling {language}", files, "ktuberling-data", "GPL-2+", who=who)


def _stamps(language: str) -> Recorded:
    files = f"usr/share/tuxpaint/stamps/**/*_desc_{language}.ogg"
    who = LETTERS + language
    return Recorded(f"stamps {language}", files, "tuxpaint-stamps-default", "GPL-2", who=who)


def _hedgehog(voice: str, who: str) -> Recorded:
    return Recorded(
        f"hedgehog {voice}",
        f"usr/share/games/hedgewars/Data/Sounds/voices/{voice}/*.ogg",
        "hedgewars-data",
        "GFDL-1.3",
        never=r"^(Laugh|Ooff|Ow\d|Jump|Hmm|Poison|Firepunch|Nooo|Fire\.|Kamikaze)",
        who=who,
    )


def _fish(language: str, which: str) -> Recorded:
    return Recorded(
        f"fillets-ng {language} {which}",
        f"usr/share/games/fillets-ng/sound/*/{language}/*-{which}-*.ogg",
        "fillets-ng-data" + ("" if language == "en" else f"-{language}"),
        "GPL-2",
    )


def _kajongg(speaker: str, folder: str) -> Recorded:
    files = f"usr/share/kajongg/voices/{folder}/*.ogg"
    return Recorded(f"kajongg {speaker}", files, "kajongg", "GPL-2+")


def _unit(name: str, pattern: str) -> Recorded:
    return Recorded(
        f"megaglest {name}",
        f"usr/share/games/megaglest/techs/megapack/**/{pattern}",
        "megaglest-data",
        "CC-BY-SA-3.0",
        only=r"_?(ack|select)\d",
        who="megaglest",
    )


def _civilian(language: str, who: str) -> Recorded:
    return Recorded(
        f"0ad {language} {who}",
        f"usr/share/games/0ad/mods/public/audio/voice/{language}/civ/civ_{who}_*.ogg",
        "0ad-data",
        "CC-BY-SA-3.0",
        who=f"0ad {language}",
    )


TUBERLING = _words("ca da de el en es fi fr ga gl it lt nds nl nn pt ro ru sl sr sv uk wa")
STAMPS = _words("be bg ca da el es fr ro ru")
ENGLISH_HOGS = _words("British Classic Default HillBilly Mobster Pirate Russian Surfer")
"""Most of them one actor who puts on voices: one part."""

UNITS = _words("archer guard horseman swordman technician worker axe_thrower initiate summoner")

PEOPLE = (
    *(_tuberling(language) for language in TUBERLING),
    *(_stamps(language) for language in STAMPS),
    *(_hedgehog(voice, "hedgewars") for voice in ENGLISH_HOGS),
    *(_hedgehog(f"Default_{language}", f"hedgewars {language}") for language in ("es", "ru", "uk")),
    *(_hedgehog(voice, "hedgewars pl") for voice in ("Default_pl", "Russian_pl")),
    *(_fish(language, which) for language in ("cs", "nl") for which in ("m", "v")),
    *(_kajongg(who, who) for who in ("male1", "female1", "female2")),
    *(_kajongg(who, f"de/{who}") for who in ("male1", "male2", "female1", "female2")),
    *(_unit(name, f"{name}_*.wav") for name in UNITS),
    _unit("princess", "princess*/sounds/*.wav"),
    _unit("cudgel", "cudgel_*.wav"),
    *(
        _civilian(language, who)
        for language in ("greek", "latin", "napatan", "persian")
        for who in ("female", "male")
        if (language, who) != ("greek", "male")  # two or three, of four words
    ),
    Recorded(
        "pocketsphinx cards",
        "usr/share/pocketsphinx/test/data/cards/*.wav",
        "pocketsphinx-testdata",
        "BSD-2-clause",
    ),
    Recorded(
        "pocketsphinx librivox",
        "usr/share/pocketsphinx/test/data/librivox/*.wav",
        "pocketsphinx-testdata",
        "BSD-2-clause",
    ),
    Recorded("alsa", "usr/share/sounds/alsa/[FRS]*.wav", "alsa-utils", "GPL-2"),
)

OWN = (
    Recorded(
        "it_IT_f_Menardi",
        "usr/share/asterisk/sounds/it_IT_f_Menardi/*.wav",
        "asterisk-prompt-it-menardi-wav",
        "CC-BY-SA-3.0",
    ),
    Recorded(
        "ru_RU_f_IvrvoiceRU",
        "usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU/*.wav",
        "asterisk-core-sounds-ru-wav",
        "CC-BY-3.0",
    ),
)
