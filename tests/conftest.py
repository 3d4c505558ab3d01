"""What all tests share: no real sound card, no settings of the machine, no leaked thread.

A test module names the fixture it wants (`pulse`, `text_service`, `hook`).  Fixtures that only one
module needs stand in that module.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator

import pytest
from pulse import PulseServer, prepare_environment
from text_service import TextService
from webhook_service import Hook

LEAK_PATIENCE_S = 2.0
"""A thread that was told to stop may need a moment on a loaded machine."""

_sound_folder = prepare_environment()  # before anything loads ALSA

# Nor do the tests know this machine's proxies, keys, settings or service manager.
_FOREIGN = re.compile(
    r".*_proxy|EDGE_AGENT_(?!VENV$).*|OPENAI_.*|NOTIFY_SOCKET|XDG_RUNTIME_DIR"
    r"|(CREDENTIALS|RUNTIME|STATE)_DIRECTORY",
    re.IGNORECASE,
)
for _name in filter(_FOREIGN.fullmatch, list(os.environ)):
    del os.environ[_name]


@pytest.fixture(scope="session")
def pulse_session() -> Iterator[PulseServer]:
    server = PulseServer(_sound_folder)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def pulse(pulse_session: PulseServer) -> PulseServer:
    """The suite's own sound server, running; see `pulse.py` for its devices."""
    if not pulse_session.running:
        pulse_session.start()
    return pulse_session


@pytest.fixture
def text_service() -> Iterator[TextService]:
    """A text model's HTTP service on this machine."""
    with TextService() as running:
        yield running


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook's receiver on this machine."""
    with Hook() as running:
        yield running


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail the test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    leaked = [thread for thread in threading.enumerate() if thread not in before]
    # Threads which a library started outside Python stay listed after their end.
    leaked = [thread for thread in leaked if not isinstance(thread, threading._DummyThread)]
    for thread in leaked:
        thread.join(LEAK_PATIENCE_S)
    names = [thread.name for thread in leaked if thread.is_alive()]
    assert not names, f"threads left behind: {names}"


def pytest_unconfigure() -> None:
    shutil.rmtree(_sound_folder, ignore_errors=True)
