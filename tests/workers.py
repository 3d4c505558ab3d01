"""Which tests share a worker when the suite runs on several cores (pytest-xdist).

A plugin that `conftest.py` loads; without xdist it does nothing.  Tests are handed out one by one;
only those of the files in `TOGETHER` stay together.  The marks of xdist (`xdist_group`) would do
the same, but xdist 3.8 hides them in the names of tests, which pytest 9.2 no longer lets it do.
Thread: the controller's.  It must never change what a test proves, only where it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

REAL_TIME = "real time"
"""Sound that must flow and promises about seconds: two of these at once disturb each other."""

TOGETHER: dict[str, str] = {
    "tests/audio/test_portaudio.py": REAL_TIME,
    "tests/demo/test_live_sound.py": REAL_TIME,
    "tests/end_to_end/test_bad_input.py": REAL_TIME,
    "tests/end_to_end/test_real_sound.py": REAL_TIME,
    "tests/realtime/test_namespaces.py": REAL_TIME,
    # These read the whole checkout once for all their tests.
    "tests/test_house_rules.py": "checkout",
}


def file_of(nodeid: str) -> str:
    return nodeid.split("::", maxsplit=1)[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that uses the sound server beside the others that do."""
    for item in items:
        needs_sound = isinstance(item, pytest.Function) and "pulse" in item.fixturenames
        if needs_sound and TOGETHER.get(file_of(item.nodeid)) != REAL_TIME:
            raise pytest.UsageError(
                f"{item.nodeid} uses the sound server: name its file in tests/workers.py."
            )


@pytest.hookimpl(optionalhook=True)  # without xdist nobody asks
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Test by test, the largest group first."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return TOGETHER.get(file_of(nodeid), nodeid)

    return Scheduling(config, log)
