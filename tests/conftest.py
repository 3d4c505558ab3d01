"""What all tests share: no real sound card, no leaked thread, no time limits of Hypothesis.

Works alike in one process and in the workers of pytest-xdist, each of which has its own sound
folder and, if it runs a test that needs it, its own sound server.  Owner thread: the test's.  Must
never grow: fixtures of one room belong into its folder.
"""

from __future__ import annotations

import gc
import shutil
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from pulse import PulseServer, prepare_environment

pytest_plugins = ("other_ways", "workers")

LEAK_PATIENCE_S = 2.0
"""A thread that was told to stop may need a moment on a loaded machine."""

_sound_folder = prepare_environment()  # before anything loads ALSA

# A busy machine is slow at drawing examples, too; that says nothing about the code under test.
settings.register_profile(
    "house", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


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
def pulse(pulse_session: PulseServer) -> PulseServer:
    """The suite's own sound server, running; see `pulse.py` for its devices."""
    if not pulse_session.running:
        pulse_session.start()
    return pulse_session


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
