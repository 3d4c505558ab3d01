"""One speaker on a machine: a second is refused, whoever starts it, however the first ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from edge_agent.host.service import place
from edge_agent.host.service.place import PlaceTaken, taken_place

HOLD = """
import socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
sock.bind(sys.argv[1].replace("@", "\\0"))
sock.listen(8)
print("here", flush=True)
sys.stdin.read()
"""


def test_a_second_speaker_is_refused_and_told_who_holds_the_place() -> None:
    with taken_place({}) or pytest.fail("it was free"):
        for _ in range(3):
            with pytest.raises(PlaceTaken) as refused:
                taken_place({})
        assert f"process {os.getpid()} of " in refused.value.message
        assert "--beside" in refused.value.fix
    with taken_place({}) or pytest.fail("it is free again"):
        pass


def test_a_process_that_is_killed_leaves_nothing_behind() -> None:
    name = place.NAME.replace("\0", "@")
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"here\n"
        with pytest.raises(PlaceTaken, match=f"process {first.pid} of "):
            taken_place({})
        first.kill()
    with taken_place({}) or pytest.fail("it is free"):
        pass


@pytest.mark.parametrize(
    ("service", "holder", "refused"),
    [
        (True, 0, True),
        (True, os.geteuid(), True),
        (True, 12345, False),
        (True, None, False),
        (False, 12345, True),
        (False, None, True),
    ],
)
def test_only_root_and_its_own_account_keep_the_service_away(
    monkeypatch: pytest.MonkeyPatch, service: bool, holder: int | None, refused: bool
) -> None:
    monkeypatch.setattr(place, "_holder", lambda: None if holder is None else (1, holder))
    environ = {"NOTIFY_SOCKET": "/run/systemd/notify"} if service else {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as squatter:
        squatter.bind(place.NAME)
        if refused:
            with pytest.raises(PlaceTaken):
                taken_place(environ)
        else:
            assert taken_place(environ) is None
