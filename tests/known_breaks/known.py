"""What is known to be broken: the open numbers, and the mark for the tests that show them.

`known_break` makes a test a strict expected failure: it has to fail, by an assertion, as long as
its number is open.  Mending the break turns the test red; then remove the mark, and the number
from `OPEN` once no test bears it any more.  The test stays.  F numbers are broken promises of the
review, S numbers wrong assumptions about the model services, N numbers what the referee found
itself, R7 is rule 7 of the design.
"""

from __future__ import annotations

import pytest

OPEN: dict[str, str] = {}
"""Number → what should hold.  It only ever shrinks."""


def known_break(
    number: str, promise: str, raises: type[BaseException] = AssertionError
) -> pytest.MarkDecorator:
    """Mark a test of what should hold, and does not yet; `promise` says it in one line."""
    assert number in OPEN, f"{number} is not open"
    return pytest.mark.xfail(strict=True, raises=raises, reason=f"{number}: {promise}")


def given(condition: object, what: str) -> None:
    """Fail a test, known break or not, whose scene is not what it should be.

    For preconditions: their failure must never pass for the break itself.
    """
    if not condition:
        pytest.fail(f"the scene is wrong: {what}")
