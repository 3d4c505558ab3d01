"""What others say is made fit to be written: codes, sentences, and so many lines a minute."""

from __future__ import annotations

import pytest

from edge_agent.contract.foreign import OTHER, code_of, printable, text_of_others
from edge_agent.contract.quota import Quota
from edge_agent.contract.secrets import HIDDEN, IN_USE_MAX, hide_keys, in_use


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("server_error", "server_error"),
        ("v1.invalid_request", "v1.invalid_request"),
        ("a" * 64, "a" * 64),
        ("a" * 65, OTHER),
        ("the PIN is 4711", OTHER),
        ("sk-abcdefgh", OTHER),
        ("code\n", OTHER),
        ("", ""),
        (None, ""),
        (4711, ""),
    ],
)
def test_a_code_is_a_code_or_other(said: object, code: str) -> None:
    assert code_of(said) == code


@pytest.mark.parametrize("sign", ["\x1b", "\n", "\x9b", "\u202e", "\u2066", "\u200f", "\u2028"])
def test_what_is_not_meant_to_be_seen_is_a_space(sign: str) -> None:
    assert printable(f"a{sign}{sign}b") == "a b"


def test_a_key_in_use_is_hidden_whatever_it_looks_like() -> None:
    key = in_use("correct-horse-battery-staple")
    assert hide_keys(f"Wrong: {key}!") == f"Wrong: {HIDDEN}!"
    assert key not in text_of_others("x" * 190 + key, 200)
    assert "horse" not in text_of_others("x" * 190 + key, 200)


def test_of_two_keys_that_begin_alike_both_are_hidden_whole() -> None:
    in_use("household")
    in_use("household-of-three")
    assert hide_keys("household-of-three") == HIDDEN


def test_a_word_is_no_key_and_the_table_is_bounded() -> None:
    in_use("yes")
    for number in range(IN_USE_MAX + 1):
        in_use(f"number-{number:03}")
    assert hide_keys("yes") == "yes"
    assert hide_keys("number-000") == "number-000"
    assert hide_keys(f"number-{IN_USE_MAX:03}") == HIDDEN


def test_a_quota_takes_so_many_in_any_stretch_and_counts_the_rest() -> None:
    quota = Quota(3, 60.0)
    taken = [at for at in range(0, 130, 10) if quota.takes(float(at))]
    assert taken == [0, 10, 20, 60, 70, 80, 120]
    assert quota.left_out() == 6
    assert quota.left_out() == 0
