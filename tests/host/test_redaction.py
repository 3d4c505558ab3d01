"""Redaction: what must not be kept is gone, what is harmless stays, and twice is as once."""

from __future__ import annotations

import re
import time
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.host.stores.redaction import Redactor, without_marks

ALL = Redactor(numbers=True, emails=True, names=("Anna", "Jürgen", "José", "Mary Ann", "Groß"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Call 0171 2345678 now", "Call [number] now"),
        ("+49 (0)30 1234-567", "[number]"),
        ("01.23.45.67.89", "[number]"),
        ("01.23 45 67", "[number]"),
        ("My card is 4111-1111-1111-1111.", "My card is [number]."),
        ("The PIN is 4711", "The PIN is [number]"),
        ("1, 2, 3, 4", "[number]"),
        ("1999 2001 2012 1984", "[number]"),
        ("IBAN DE89 3704 0044 0532 0130 00, please", "IBAN [number], please"),
        ("GB29 NWBK 6016 1331 9268 19", "[number]"),
        ("oh one seven one", "[number]"),
        ("Zero, one, double seven", "[number]"),
        ("triple 5 2", "[number]"),
        ("null eins sieben eins", "[number]"),
        ("null, fünf, zwo, drei", "[number]"),
        ("zéro six un deux", "[number]"),
        ("cero uno dos tres", "[number]"),
        ("zero uno due tre", "[number]"),
        ("zero 171 five", "[number]"),
        ("١٢٣٤", "[number]"),
    ],
)
def test_numbers_that_point_at_somebody_go(text: str, left: str) -> None:
    assert ALL.redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "At 18:30 or at 7.15.",
        "Oma was born on 24.12.1950.",
        "on 2026-11-20 at 18:30",
        "from 1914-1918",
        "Room 214 has 3 cups and 25 degrees",
        "Bake it at 180 degrees, 12 minutes",
        "one or two, three at most",
        "In 1999 and 2026",
        "(2026)",
    ],
)
def test_what_is_harmless_stays(text: str) -> None:
    assert ALL.redact(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to anna.b+x@mail.example.org!", "write to [e-mail]!"),
        ("anna @ example.org", "[e-mail]"),
        ("It's bob dot c at example dot org.", "It's [e-mail]."),
        ("bob underscore c at example.org", "[e-mail]"),
        ("bob Klammeraffe beispiel Punkt de", "[e-mail]"),
        ("bob ät mail minus post Punkt de", "[e-mail]"),
        ("bob arobase exemple point fr", "[e-mail]"),
        ("bob arroba ejemplo punto es", "[e-mail]"),
        ("bob chiocciola esempio punto it", "[e-mail]"),
        ("bob at example dot co dot uk", "[e-mail]"),
    ],
)
def test_addresses_go(text: str, left: str) -> None:
    assert ALL.redact(text) == left


@pytest.mark.parametrize("text", ["We meet at noon.", "at two point five", "He is at home. Good."])
def test_not_everything_with_at_is_an_address(text: str) -> None:
    assert ALL.redact(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ANNA, anna and Anna's cat", "[name], [name] and [name]'s cat"),
        ("Annas Auto", "[name] Auto"),
        ("Jürgen, Juergen, Jurgen, JÜRGEN", "[name], [name], [name], [name]"),
        ("Ju\u0308rgen and jose\u0301", "[name] and [name]"),
        ("Mary-Ann and mary  ann", "[name] and [name]"),
        ("Herr Gross und GROẞ", "Herr [name] und [name]"),
        ("Hannah, Annabel, Josefine", "Hannah, Annabel, Josefine"),
        ("anna_b", "[name]_b"),
    ],
)
def test_names_of_the_list_go(text: str, left: str) -> None:
    assert ALL.redact(text) == left


def test_each_kind_is_chosen_by_itself() -> None:
    text = "Anna: 0171 234567, anna@example.org"

    def left(*, numbers: bool = False, emails: bool = False, names: tuple[str, ...] = ()) -> str:
        return Redactor(numbers=numbers, emails=emails, names=names).redact(text)

    assert left() == text
    assert left(numbers=True) == "Anna: [number], anna@example.org"
    assert left(emails=True) == "Anna: 0171 234567, [e-mail]"
    assert left(names=("anna",)) == "[name]: 0171 234567, [name]@example.org"
    assert left(names=("", "-")) == text


# --- whatever is said ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Anna/Maria",
        "Anna, Maria",
        "Anna & Bob",
        "anna_maria",
        "O`Neil",
        "Anna (Mia)",
        "A -- . -- B",
    ],
)
def test_a_name_goes_as_it_is_listed_and_as_people_write_it(name: str) -> None:
    redactor = Redactor(numbers=False, emails=False, names=(name,))
    plainly = " ".join(re.findall(r"[^\W_]+", name))
    for said in (name, name.upper(), plainly):
        assert redactor.redact(f"I saw {said} today") in (
            "I saw [name] today",
            "I saw [name]) today",  # what encloses a part is none of it
        )


NAMES = st.text(st.sampled_from("abnAeñéüßsxÖø -'_/,&("), min_size=1, max_size=8)
PIECES = st.one_of(
    NAMES,
    st.text(max_size=6),
    st.text(st.sampled_from("0123456789 .-/:,"), max_size=10),
    st.sampled_from(
        ["one", "zwei", "double", "at", "dot", "org", "@", "[name]", "[number]", "a.b"]
    ),
)


def plain(text: str) -> str:
    """Written anew for the tests: without case and accents."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).casefold())
    return "".join(c for c in apart if not unicodedata.combining(c)).casefold().replace("ø", "o")


@given(st.lists(PIECES, max_size=8), st.lists(NAMES, max_size=3), st.sampled_from(["", " "]))
def test_twice_is_as_once_and_nothing_is_left(
    pieces: list[str], names: list[str], between: str
) -> None:
    redactor = Redactor(numbers=True, emails=True, names=tuple(names))
    once = redactor.redact(between.join(pieces))
    assert redactor.redact(once) == once
    assert not re.search(r"\d{5}", once)
    for four in re.findall(r"(?<!\d)\d{4}(?!\d)", once):
        assert four[:2] in ("19", "20"), "only a year may stay"
    assert not re.search(r"\w@\w+\.\w", once)
    words = re.findall(r"[^\W_]+", re.sub(r"\[(?:number|e-mail|name)\]", "|", plain(once)))
    for name in names:
        wanted = re.findall(r"[^\W_]+", plain(name))
        if len(wanted) == 1:
            assert wanted[0] not in words


@given(NAMES, st.lists(st.booleans(), min_size=8, max_size=8), st.text(max_size=5))
def test_no_listed_name_survives_in_any_casing(name: str, upper: list[bool], after: str) -> None:
    redactor = Redactor(numbers=False, emails=False, names=(name,))
    casing = zip(name, upper, strict=False)
    said = "".join(c.upper() if is_upper else c.lower() for c, is_upper in casing)
    words = re.findall(r"[^\W_]+", plain(name))
    left = redactor.redact(f"| {said} | {after}").split("|")[1]
    assert ("[name]" in left) is bool(words)
    assert not re.search(r"[^\W_]", left.replace("[name]", ""))


@given(st.text(max_size=200))
def test_nothing_is_an_error_and_only_marks_are_added(text: str) -> None:
    left = Counter(without_marks(ALL.redact(text)))
    assert left <= Counter(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    "piece", ["a", "a dot ", "a@", "b.", "1 2 ", "+4 ", "12:30 ", "one ", "Mary ", "AT61 1904 "]
)
def test_the_work_grows_as_the_text_does(piece: str) -> None:
    """A pattern that tries every start with every end would take 256 times as long, not 16."""

    def work_s(characters: int) -> float:
        """Processor time of this thread, the least of three: not how busy the machine is."""
        text = piece * (characters // len(piece))
        found = []
        for _ in range(3):
            start = time.thread_time()
            ALL.redact(text)
            found.append(time.thread_time() - start)
        return min(found)

    assert work_s(64_000) < 64 * work_s(4_000)
