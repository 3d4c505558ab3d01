"""What all tests share: no real sound card, no settings of the machine, no leaked thread.

A test module names the fixture it wants (`pulse`, `text_service`, `hook`).  Fixtures that only one
module needs stand in that module.  All works alike in one process and in the workers of
pytest-xdist, each of which has its own sound folder and, if it needs one, its own sound server.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from pulse import PulseServer, alone, prepare_environment, real_time_priority
from text_service import TextService
from webhook_service import Hook

from edge_agent.contract import secrets
from edge_agent.host.service import place

pytest_plugins = ("other_ways", "workers")

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
# A busy machine is slow at drawing examples, too; that says nothing about the code under test.  The
# build machine judges a change by the same examples each time; new ones are drawn by developers.
settings.register_profile(
    "house",
    settings(),
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
# Emulated, each takes twenty times as long: `scripts/lab-arm.sh suite` asks for this one with
# `--hypothesis-profile=lab`.  Tests that say how many they want get as many there, too.
settings.register_profile("lab", settings.get_profile("house"), max_examples=20, derandomize=True)
settings.load_profile("house")
# Neither another worker nor the speaker of this machine stands in the place of a test's.
place.NAME += f"/test-{os.getpid()}"


def pytest_collection_finish() -> None:
    """Take what is loaded out of the garbage collector's sight.

    Each `clock.run` collects all garbage to find leaked tasks, and would walk through every
    module, test and clip again and again: a third of the suite's time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def pulse_session() -> Iterator[PulseServer]:
    server = PulseServer(_sound_folder)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def pulse(pulse_session: PulseServer) -> Iterator[PulseServer]:
    """The suite's own sound server, running; see `pulse.py` for its devices.

    The test goes before ordinary work: its callbacks would wait for the interpreter's lock as long
    as a main thread that has it gets no turn.
    """
    if not pulse_session.running:
        pulse_session.start()
    with alone(), real_time_priority():
        yield pulse_session


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
def no_key_in_use() -> None:
    """The keys of one test are hidden in no other."""
    secrets._in_use.clear()


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
