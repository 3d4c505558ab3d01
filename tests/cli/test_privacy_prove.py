"""`privacy --prove`: the kernel's count says that nothing leaves, or the proof is void."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from other_ways import TELL, namespaces
from typer.testing import CliRunner

from edge_agent.cli import main as cli
from edge_agent.demo import proof
from edge_agent.demo.proof import HEARD_SHARE, Phase, household, measure, rows, verdict
from edge_agent.demo.proof_network import Capture, NoNetworkOfItsOwn, Passed
from edge_agent.host.service.sockets import Totals, connections_of
from edge_agent.host.settings.root import Settings

ROOT = Path(__file__).parents[2]
PROVE_MAX_S = 300
"""It takes 45 s; a busy machine may take its time to begin and to end."""

QUIET = Phase("before", 8.0, 30, 30, 0)
TALK = Phase("talk", 10.0, 400_000, 400_000, 0, words_s=4.0)

COUNTS = """
import json, socket, sys
from edge_agent.demo.proof_network import Capture, enter_own_network
enter_own_network()
capture = Capture()
door = socket.create_server((sys.argv[1], 0), family=int(sys.argv[2]))
capture.port = door.getsockname()[1]
near = socket.create_connection(door.getsockname()[:2])
far, _ = door.accept()
before = capture.look()
for count in (1, 1000, 100_003):
    near.sendall(bytes(count))
    while count:
        count -= len(far.recv(count))
        capture.look()
far.sendall(bytes(7))
near.recv(7)
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.bind(("127.0.0.1", 0))
other.sendto(b"x", other.getsockname())
since = capture.look() - before
interfaces = [name for _, name in socket.if_nameindex()]
print(json.dumps([since.up, since.down, since.others, capture.lost, interfaces]))
"""


class ByCounters(Capture):
    """In place of a capture, where the kernel gives none."""

    def __init__(self) -> None:
        self.port = self.packets = self.lost = 0
        self._totals = Totals()
        self._nothing = os.eventfd(0)

    def fileno(self) -> int:
        return self._nothing

    def look(self) -> Passed:
        ours = [one for one in connections_of(os.getpid()) if one.far[1] == self.port]
        self._totals.look(ours)
        return Passed(up=self._totals.out)

    def close(self) -> None:
        os.close(self._nothing)


def test_quiet_phases_and_a_control_that_is_seen_are_a_proof() -> None:
    code, why = verdict([QUIET, TALK, replace(QUIET, name="muted", seconds=0.0)], lost=0)
    assert (code, why.split(":")[0]) == (0, "proven")


def test_packets_of_the_talk_that_a_busy_machine_sent_again_are_no_disagreement() -> None:
    talk = replace(TALK, seconds=45.3, counted=2_299_938, captured=2_304_958)
    assert verdict([QUIET, talk], lost=0)[0] == 0


@pytest.mark.parametrize(
    ("phases", "lost", "code"),
    [
        ([replace(QUIET, counted=1_280, captured=1_280), TALK], 0, 1),  # 20 ms of sound
        ([QUIET, TALK, replace(QUIET, others=1)], 0, 1),
        ([QUIET, TALK], 1, 3),
        ([QUIET], 0, 3),
        ([QUIET, replace(TALK, counted=30, captured=30)], 0, 3),
        ([QUIET, replace(TALK, counted=0)], 0, 3),
        ([replace(QUIET, counted=1_280), TALK], 0, 3),  # the two counts do not agree
        ([QUIET, replace(TALK, counted=round(TALK.captured * 0.95))], 0, 3),
    ],
)
def test_what_is_no_proof(phases: list[Phase], lost: int, code: int) -> None:
    assert verdict(phases, lost)[0] == code


def test_the_budget_is_far_less_than_the_shortest_word() -> None:
    sound_ms = replace(QUIET, seconds=60.0).allowed / proof.SOUND_BYTES_PER_S * 1000
    assert sound_ms < 20
    assert 0.25 < HEARD_SHARE < 1
    assert all(len(row) < 100 for row in rows([QUIET, TALK]))


def test_the_second_speaker_has_the_households_settings_and_no_key() -> None:
    own = Settings.model_validate(
        {
            "listen": {"mode": "button", "follow_up_s": 3.0},
            "echo": {"mode": "off"},
            "realtime": {"api_key": "sk-this-must-never-be-seen", "ping_interval_idle_s": 7.0},
        }
    )
    overlay = household(own)
    assert overlay["listen"]["mode"] == "button"
    assert overlay["echo"]["mode"] == "off"
    assert overlay["realtime"]["ping_interval_idle_s"] == 7.0
    assert "sk-" not in str(overlay)
    assert not {"api_key", "api_key_file", "url", "fallbacks"} & overlay["realtime"].keys()


def test_a_speaker_that_always_listens_by_the_owners_wish_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text('[listen]\nmode = "always"\n')
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    done = CliRunner().invoke(cli.app, ["privacy", "--prove"])
    assert done.exit_code == 1
    assert "listen.mode" in done.output


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", 2), ("::1", 10)])
def test_the_capture_counts_every_byte_and_packets_of_others(
    host: str, family: int, another_way: TELL
) -> None:
    enter, why = namespaces("--net", "unshare --net true")
    if not enter:
        another_way(f"the kernel's counters alone, on this machine's own loopback ({why})")
        capture = ByCounters()
        door = socket.create_server((host, 0), family=socket.AddressFamily(family))
        near = socket.create_connection(door.getsockname()[:2])
        capture.port = door.getsockname()[1]
        with door, near, door.accept()[0]:
            capture.look()
            near.sendall(bytes(101_004))
            assert capture.look() == Passed(up=101_004)
        return
    done = subprocess.run(
        [*enter, sys.executable, "-c", COUNTS, host, str(family)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PROVE_MAX_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [101_004, 7, 1, 0, ["lo"]]


def test_nothing_but_pings_leaves_outside_of_a_talk(tmp_path: Path, another_way: TELL) -> None:
    enter, why = namespaces("--net", "unshare --net true")
    if not enter:
        another_way(f"the kernel's counters alone, on this machine's own loopback ({why})")
        phases = asyncio.run(measure(Settings(), ByCounters()))
        assert verdict(phases, lost=0)[0] == 0, list(rows(phases))
        return
    file = tmp_path / "edge-agent.toml"
    file.write_text(f'[state]\npath = "{tmp_path / "state.json"}"\n')
    done = subprocess.run(
        [*enter, sys.executable, "-m", "edge_agent.cli.main", "privacy", "--prove"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "EDGE_AGENT_CONFIG": str(file)},
        capture_output=True,
        text=True,
        timeout=PROVE_MAX_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(
        r"^  (\D+?) +[\d.]+ s +([\d,]+) B counted +([\d,]+) B cap", done.stdout, re.M
    )
    assert [name for name, *_ in lines] == [
        "before the wake word",
        "talk",
        "after the talk",
        "muted",
    ]
    # A busy machine may send packets of the talk twice.
    assert all(counted == captured for name, counted, captured in lines if name != "talk")
    assert not (tmp_path / "state.json").exists()


def test_without_root_the_proof_is_void_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        raise NoNetworkOfItsOwn("The kernel makes no network.", fix="sudo edge-agent …")

    file = tmp_path / "edge-agent.toml"
    file.touch()
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    monkeypatch.setattr(proof, "enter_own_network", refused)
    done = CliRunner().invoke(cli.app, ["privacy", "--prove"])
    assert done.exit_code == 3
    assert "sudo" in done.output
