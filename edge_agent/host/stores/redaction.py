"""Redaction: numbers, addresses and names taken out of what was said.

It must never make a text say more than before, and never guess: what is covered stands here, and
the rest is not.

- **numbers** become `[number]` from four digits on: telephone, card and account numbers, codes.
  Digits belong together with at most three separators (spaces, dots, dashes, slashes, brackets,
  commas, colons) between them, so that numbers told one after another count as one; IBANs go
  whole.  Digits said one by one count like digits (en, de, fr, es, it; also "double", "triple").
  Kept are numbers of up to three digits, times of day, whole dates and the years 1900 to 2099,
  unless more than three of these stand in a row.
  *Not* covered: numbers in words of two digits and more ("forty-seven eleven").
- **emails**: `anna@example.org`, and as it is said, "anna dot b at example dot org" (at, ät,
  Klammeraffe, arobase, arroba, chiocciola), become `[e-mail]`.
- **names**: each name of the owner's list in any casing, with or without its accents, umlauts
  also as ae, oe and ue, also with "s" or "'s" behind it, becomes `[name]`.  Not inside of longer
  words, and not other forms of it: list each that people use.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

NUMBER, EMAIL, NAME = "[number]", "[e-mail]", "[name]"

DIGITS_MIN = 4
"""A PIN has four; what is shorter is an amount, a house, a bus."""
HARMLESS_MAX = 3
"""A date, a time and a year may stand together; four years in a row may be a card."""

_DIGIT_WORDS = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine"
    "|null|eins|zwei|zwo|drei|vier|fünf|sechs|sieben|acht|neun"
    "|zéro|un|deux|trois|quatre|cinq|sept|huit|neuf"
    "|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve"
    "|due|tre|quattro|cinque|sei|sette|otto|nove"
)
_MANY = {"double": 2, "doppel": 2, "triple": 3}
_ONE = rf"(?:\d|\b(?:{_DIGIT_WORDS})\b)"
_DIGIT = rf"(?:\b(?:{'|'.join(_MANY)})[\s-]+)?{_ONE}"
_DIGITS = re.compile(rf"(?:\b(?P<many>{'|'.join(_MANY)})[\s-]+)?{_ONE}", re.I)
_RUN = re.compile(rf"\+?{_DIGIT}(?:[\s.,;:/()+\u2013\u2014-]{{0,3}}{_DIGIT})*", re.I)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")

_TIME = r"(?:[01]?\d|2[0-4])[:.][0-5]\d(?::[0-5]\d)?"
_YEAR = r"(?:19|20)\d\d"
_DAY, _MONTH = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_DATE = rf"{_DAY}[./-]{_MONTH}[./-]{_YEAR}|{_MONTH}/{_DAY}/{_YEAR}|{_YEAR}-{_MONTH}-{_DAY}"
_MOMENT = rf"(?:{_DATE}|{_TIME}|{_YEAR})"
_MOMENTS = re.compile(_MOMENT)
_HARMLESS = re.compile(rf"{_MOMENT}(?:[-\u2013\u2014/]{_MOMENT})?[.,;:]?")

# At most eight joints: more than an address has, and a long text stays quick to search.
_JOINT = r"(?:dot|punkt|point|punto|underscore|unterstrich|tiret|guion|dash|hyphen|minus|plus)"
_DOMAIN = rf"[\w-]+(?:\s+{_JOINT}\s+[\w-]+){{0,8}}?(?:\.|\s+(?:DOT)\s+)[^\W\d_]{{2,}}"
_DOMAIN += r"(?:(?:\.|\s+(?:DOT)\s+)[\w-]+)*"
_AT = r"(?:at|ät|klammeraffe|arroba|chiocciola|arobase)"
_EMAILS = (
    re.compile(r'(?<![^\s<>\[\](),;:"])[^\s@<>\[\](),;:"]+\s*@\s*[\w-]+(?:\.[\w-]+)+'),
    re.compile(
        rf"(?<![\w.+-])[\w.+-]+(?:\s+{_JOINT}\s+[\w.+-]+){{0,8}}\s+"
        rf"(?:{_AT}\s+{_DOMAIN.replace('DOT', 'dot|punkt|punto')}"
        rf"|arobase\s+{_DOMAIN.replace('DOT', 'point')})",
        re.I,
    ),
)

_MARK = r"\[(?:number|e-mail|name)\]"
_UNACCENTED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "\u0131": "i", "æ": "ae", "œ": "oe"})
"""Letters that Unicode does not take apart into a letter and its accent."""
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})


class Redactor:
    """`redact` takes out what it was made for; doing it twice changes nothing more."""

    def __init__(self, *, numbers: bool, emails: bool, names: tuple[str, ...]) -> None:
        self._numbers = numbers
        self._emails = emails
        self._names = _names_pattern(names)

    def redact(self, text: str) -> str:
        """`text` with marks in place of what is to be left out."""
        text = unicodedata.normalize("NFC", text)
        if self._emails:
            for pattern in _EMAILS:
                text = pattern.sub(EMAIL, text)
        if self._numbers:
            text = _RUN.sub(_number, _IBAN.sub(NUMBER, text))
        if self._names is not None:
            text = _without_names(text, self._names)
        return text


def without_marks(text: str) -> str:
    """What is left of a redacted text beside its marks."""
    return re.sub(_MARK, "", text)


def _number(run: re.Match[str]) -> str:
    """The mark, or the run as it is where all of it is harmless."""
    pieces = [piece.strip("()+") for piece in run[0].split()]
    moments = [piece for piece in pieces if _HARMLESS.fullmatch(piece)]
    rest = " ".join(piece for piece in pieces if piece not in moments)
    digits = sum(_MANY.get((one["many"] or "").lower(), 1) for one in _DIGITS.finditer(rest))
    harmless = sum(len(_MOMENTS.findall(piece)) for piece in moments)
    return NUMBER if digits >= DIGITS_MIN or harmless > HARMLESS_MAX else run[0]


def _names_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Finds the names in a folded text; None if there are none."""
    spellings = set[str]()
    for name in names:
        lowered = unicodedata.normalize("NFC", name).lower()
        for spelling in (lowered, lowered.translate(_SPELLED_OUT)):
            folded = _folded(spelling)[0]
            if words := re.findall(r"[^\W_]+", folded):
                # What people put between two names, or what the owner did.
                listed = re.findall(r"(?<=[^\W_])[\W_]+(?=[^\W_])", folded)
                between = "|".join([r"[\s.'\u2019-]{1,3}", *map(re.escape, listed)])
                spellings.add(f"(?:{between})".join(map(re.escape, words)))
    if not spellings:
        return None
    longest_first = "|".join(sorted(spellings, key=lambda one: (-len(one), one)))
    # Letters and digits only make a longer word of it; marks of ours stay as they are.
    return re.compile(rf"{_MARK}|(?P<name>(?<![^\W_])(?:{longest_first})s?(?![^\W_]))")


def _without_names(text: str, names: re.Pattern[str]) -> str:
    folded, origin = _folded(text)
    kept, end = [], 0
    for found in names.finditer(folded):
        if found["name"]:
            kept += [text[end : origin[found.start()]], NAME]
            end = origin[found.end()]
    return "".join([*kept, text[end:]])


def _folded(text: str) -> tuple[str, list[int]]:
    """`text` without case and accents, and for each letter of it (and its end) the place in
    `text` where it came from."""
    letters, origin = [], []
    for place, char in enumerate(text):
        apart = unicodedata.normalize("NFKD", char.casefold())
        plain = "".join(one for one in apart if not unicodedata.combining(one))
        for letter in plain.casefold().translate(_UNACCENTED):
            letters.append(letter)
            origin.append(place)
    return "".join(letters), [*origin, len(text)]
