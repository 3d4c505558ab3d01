"""Fixtures of the end-to-end plays (purpose).

Owner thread: the test's.  Must never leave a service running.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from text_service import TextService
from webhook_service import Hook


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """All services are on this machine, whatever proxies it is told to use."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def service() -> Iterator[TextService]:
    with TextService() as running:
        yield running


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as running:
        yield running
