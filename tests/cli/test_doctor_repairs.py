"""`edge-agent doctor --fix`: what it mends, and what it must leave alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_agent.cli.doctor.findings import State
from edge_agent.cli.doctor.repairs import repaired

UID, GID = 4242, 4243


class House:
    """An installed machine below `root`, with a systemd that obeys."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = "active"
        self.commands: list[str] = []
        self.owned: dict[str, tuple[int, int]] = {}
        self.put("etc/passwd", f"edge-agent:x:{UID}:{GID}::/:/x\n")
        self.put("etc/group", f"edge-agent:x:{GID}:\naudio:x:29:edge-agent\n")
        self.put("etc/edge-agent/openai_api_key", "sk-0123456789abcdef").chmod(0o600)
        (root / "etc/edge-agent/config.d").mkdir()
        self.put("opt/edge-agent/build.txt")
        self.folder = root / "var/lib/edge-agent"
        self.folder.mkdir(parents=True, mode=0o700)

    def put(self, name: str, text: str = "") -> Path:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)
        return self.root / name

    def run(self, command: Sequence[str]) -> str:
        if command[:2] == ["systemctl", "show"]:
            return f"LoadState=loaded\nActiveState={self.state}\nNeedDaemonReload=no\n"
        self.commands.append(" ".join(command))
        if command[1] in ("start", "restart"):
            self.state = "active"
        return ""

    def own(self, handle: int, uid: int, gid: int) -> None:
        self.owned[str(Path(f"/proc/self/fd/{handle}").readlink())] = (uid, gid)

    def fix(self, *, is_root: bool = True) -> list[str]:
        found = list(
            repaired(self.root, self.run, own=self.own, is_root=is_root, roots_uid=os.getuid())
        )
        assert {one.state for one in found} <= {State.FIXED, State.NOT_SEEN, State.FAIL}
        return [f"{one.about}: {one.said}".replace(f"{self.root}/", "") for one in found]

    def own_all(self) -> None:
        """All that is in the folder is the account's: it is us."""
        self.put("etc/passwd", f"edge-agent:x:{os.getuid()}:{GID}::/:/x\n")


NOTHING = ["Fix: nothing that is safe to mend without you"]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_house_in_order_is_left_alone(house: House) -> None:
    house.own_all()
    assert house.fix() == NOTHING
    assert (house.commands, house.owned) == ([], {})


def test_only_root_may_and_only_where_it_is_installed(house: House) -> None:
    assert house.fix(is_root=False) == ["Fix: only root may mend"]
    (house.root / "opt/edge-agent/build.txt").unlink()
    (house.root / "opt/edge-agent").rmdir()
    assert house.fix() == ["Fix: the service is not installed here (sudo scripts/install.sh)"]
    assert (house.commands, house.owned) == ([], {})


def test_what_root_left_in_the_services_folder_goes_back(house: House) -> None:
    house.put("var/lib/edge-agent/state.json").chmod(0o644)
    house.put("var/lib/edge-agent/voice-pack/de/hello.wav")
    assert house.fix()[0] == "Folder: 4 entries of var/lib/edge-agent belong to edge-agent again"
    given = {Path(name).name for name, owner in house.owned.items() if owner == (UID, GID)}
    assert given == {"edge-agent", "state.json", "voice-pack", "de", "hello.wav"}
    assert (house.folder / "state.json").stat().st_mode & 0o777 == 0o600
    assert house.commands == []


def test_no_link_is_followed_and_no_file_with_two_names_given_away(house: House) -> None:
    secret = house.put("etc/shadow")
    secret.chmod(0o640)
    (house.folder / "link").symlink_to(secret)
    (house.folder / "folder").symlink_to(house.root / "etc")
    os.link(secret, house.folder / "second-name")
    house.fix()
    assert not [name for name in house.owned if "shadow" in name or "name" in name]
    assert {Path(name).name for name in house.owned} == {"edge-agent"}
    assert secret.stat().st_mode & 0o777 == 0o640


def test_a_key_that_others_can_read_is_closed_and_a_linked_one_left(house: House) -> None:
    house.own_all()
    key = house.root / "etc/edge-agent/openai_api_key"
    key.chmod(0o644)
    told = "Key: etc/edge-agent/openai_api_key can be read by root and edge-agent only now"
    assert house.fix()[0] == told
    assert key.stat().st_mode & 0o777 == 0o640
    key.rename(house.root / "elsewhere")
    (house.root / "elsewhere").chmod(0o644)
    key.symlink_to(house.root / "elsewhere")
    assert house.fix() == NOTHING
    assert (house.root / "elsewhere").stat().st_mode & 0o777 == 0o644


def test_groups_folders_and_leftovers(house: House) -> None:
    house.own_all()
    house.put("etc/group", f"edge-agent:x:{GID}:\naudio:x:29:pi\ngpio:x:997:\n")
    (house.root / "etc/edge-agent/config.d").rmdir()
    house.folder.rmdir()
    mine = house.put("etc/edge-agent/edge-agent.toml", "# mine\n")
    house.put("etc/edge-agent/edge-agent.toml.installing")
    house.put("etc/edge-agent/edge-agent.toml.new")
    assert house.fix() == [
        "Rights: edge-agent is in audio,gpio now",
        "Folder: made etc/edge-agent/config.d",
        "Folder: made var/lib/edge-agent",
        "Left over: removed etc/edge-agent/edge-agent.toml.installing",
        "Unit: restarted the service: active",
    ]
    assert house.commands[0] == "usermod -a -G audio,gpio edge-agent"
    assert house.folder.stat().st_mode & 0o777 == 0o700
    assert mine.read_text() == "# mine\n"
    assert (house.root / "etc/edge-agent/edge-agent.toml.new").exists()


def test_a_socket_at_which_nobody_listens(house: House) -> None:
    house.own_all()
    door = house.root / "run/edge-agent/control.sock"
    door.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(door))
        server.listen()
        assert house.fix() == NOTHING
    assert house.fix()[0] == "Left over: removed run/edge-agent/control.sock, " + (
        "at which nobody listened"
    )
    assert not door.exists()


def test_a_unit_that_failed_is_started_again(house: House) -> None:
    house.own_all()
    house.state = "failed"
    assert house.fix() == ["Unit: started the service: active"]
    assert house.commands == [
        "systemctl reset-failed edge-agent.service",
        "systemctl start edge-agent.service",
    ]
