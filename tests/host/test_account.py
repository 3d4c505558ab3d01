"""Root's commands become the account that owns the folder, before they touch it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.contract.errors import AgentError
from edge_agent.host.service import account
from edge_agent.host.service.account import SharedFolder, become_owner, first_owner

REPO = Path(__file__).parents[2]
FOLDER, LINK = stat.S_IFDIR, stat.S_IFLNK
SPEAKER = 990
"""An account."""


class Tree:
    """A file system of nothing but owners, modes and links."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entries: dict[str, tuple[int, int, int]] = {}
        self.links: dict[str, str] = {}
        tree = self

        def lstat(path: Path) -> SimpleNamespace:
            if str(path) not in tree.entries:
                raise FileNotFoundError(2, "No such file or directory")
            uid, gid, mode = tree.entries[str(path)]
            return SimpleNamespace(st_uid=uid, st_gid=gid, st_mode=mode)

        monkeypatch.setattr(Path, "lstat", lstat)
        monkeypatch.setattr(Path, "readlink", lambda path: Path(tree.links[str(path)]))

    def add(self, path: str, uid: int = 0, mode: int = 0o755, gid: int = 0) -> None:
        self.entries[path] = (uid, gid, FOLDER | mode)

    def link(self, path: str, to: str, uid: int = 0) -> None:
        self.entries[path] = (uid, 0, LINK | 0o777)
        self.links[path] = to


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch) -> Tree:
    tree = Tree(monkeypatch)
    tree.add("/var")
    tree.add("/var/lib")
    return tree


def owner(path: str) -> int | None:
    found = first_owner(Path(path))
    return None if found is None else found.st_uid


def test_the_first_on_the_way_that_is_not_roots_decides(tree: Tree) -> None:
    tree.add("/var/lib/speaker", SPEAKER)
    tree.add("/var/lib/speaker/deep", 0)
    assert owner("/var/lib/speaker") == SPEAKER
    assert owner("/var/lib/speaker/deep") == SPEAKER, "whoever owns the parent may swap it"
    assert owner("/var/lib") is None
    assert owner("/var/lib/not/yet/there") is None


def test_roots_links_are_followed_and_those_of_others_are_not(tree: Tree) -> None:
    tree.link("/var/lib/speaker", "private/speaker")
    tree.add("/var/lib/private")
    tree.add("/var/lib/private/speaker", SPEAKER)
    assert owner("/var/lib/speaker/x") == SPEAKER
    tree.add("/srv")
    tree.link("/srv/mine", "/var/lib", uid=1000)
    assert owner("/srv/mine") == 1000, "not root's, wherever it leads"


def test_links_in_a_circle_are_told(tree: Tree) -> None:
    tree.link("/var/lib/a", "b")
    tree.link("/var/lib/b", "a")
    with pytest.raises(AgentError, match="circle"):
        first_owner(Path("/var/lib/a"))


@pytest.mark.parametrize(
    ("mode", "gid", "is_refused"),
    [(0o777, 0, True), (0o1777, 0, True), (0o775, 44, True), (0o775, 0, False), (0o755, 44, False)],
)
def test_a_folder_of_roots_in_which_others_write_is_refused(
    tree: Tree, mode: int, gid: int, is_refused: bool
) -> None:
    tree.add("/var/lib/open", 0, mode, gid)
    if not is_refused:
        assert owner("/var/lib/open") is None
        return
    with pytest.raises(SharedFolder, match=r"/var/lib/open belongs to root.*others may write"):
        first_owner(Path("/var/lib/open"))


def test_a_sticky_folder_is_a_passage(tree: Tree) -> None:
    tree.add("/tmp", 0, 0o1777)
    tree.add("/tmp/roots")
    tree.add("/tmp/others", 1000)
    assert owner("/tmp/roots") is None
    assert owner("/tmp/others/x") == 1000


def test_whoever_is_not_root_stays_who_they_are(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.add("/var/lib/speaker", SPEAKER)
    taken: list[int] = []
    monkeypatch.setattr(account, "_become", lambda uid, _gid: taken.append(uid))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    become_owner(Path("/var/lib/speaker"))
    assert taken == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    become_owner(Path("/var/lib/speaker"))
    assert taken == [SPEAKER]


def test_an_account_that_cannot_be_taken_on_is_told(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_groups: list[int]) -> None:
        raise PermissionError(1, "Operation not permitted")

    tree.add("/var/lib/speaker", 4_000_000)  # nobody's number
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "setgroups", refused)
    with pytest.raises(AgentError, match="root cannot become the account 4000000"):
        become_owner(Path("/var/lib/speaker"))


# --- the real thing --------------------------------------------------------------------------


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder that an account other than root owns: for root one of nobody's, else our own."""
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        folder = Path(outer) / "state"
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, 65_534, 65_534)
        yield folder


def test_the_process_is_the_owner_of_the_folder_for_good(theirs: Path) -> None:
    program = (
        "import json, os, sys, pathlib\n"
        "from edge_agent.host.service import account\n"
        "os.access = lambda *_: True  # wherever this checkout is\n"
        "account.become_owner(pathlib.Path(sys.argv[1]))\n"
        "back = True\n"
        "try: os.setresuid(-1, 0, -1)\n"
        "except PermissionError: back = False\n"
        "print(json.dumps([os.getresuid(), 0 in os.getgroups(), back]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(theirs)],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    uid = theirs.stat().st_uid
    ids, has_roots_group, came_back = json.loads(done.stdout)
    assert ids == [uid] * 3
    assert not came_back
    assert not (os.geteuid() == 0 and has_roots_group)


def test_a_verb_of_root_leaves_roots_files_alone_whatever_the_account_planted(
    theirs: Path,
) -> None:
    """Links where the new file is written, in a file's place and in a folder's."""
    precious = theirs.parent / "precious"
    precious.mkdir()
    for name in ("only-roots", "2026-01-01.jsonl"):
        (precious / name).write_text("precious")
        (precious / name).chmod(0o640)
    (theirs / "messages.json.new").symlink_to(precious / "only-roots")
    (theirs / "facts.sqlite").symlink_to(precious / "only-roots")
    if os.geteuid() == 0:  # else the folder's owner may
        (theirs / "transcripts").symlink_to(precious)
    (theirs.parent / "edge-agent.toml").write_text(
        f'[state]\npath = "{theirs}/state.json"\n[control]\npath = "{theirs}/none.sock"\n'
    )
    message = {"id": "a1", "at": "2026-11-20T18:00:00+00:00", "text": "Milk"}
    (theirs / "messages.json").write_text(json.dumps({"version": 1, "messages": [message]}))
    if os.geteuid() == 0:
        os.chown(theirs / "messages.json", 65_534, 65_534)
    for verb in (["messages", "delete", "--all"], ["privacy", "--delete", "all", "--yes"]):
        program = (
            "import os, sys\n"
            "sys.argv[0] = 'edge-agent'\n"
            "os.access = lambda *_: True  # wherever this checkout is\n"
            "import edge_agent.host.stores.stored_data, edge_agent.host.service.control\n"
            "import edge_agent.host.stores.egress, edge_agent.host.stores.message_store\n"
            "import edge_agent.host.settings.load, edge_agent.cli.main\n"
            "edge_agent.cli.main.main()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, *verb],
            cwd=REPO,
            env={**os.environ, "EDGE_AGENT_CONFIG": str(theirs.parent / "edge-agent.toml")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "fault" not in done.stderr
        for name in ("only-roots", "2026-01-01.jsonl"):
            assert (precious / name).read_text() == "precious", done.stderr
            assert stat.S_IMODE((precious / name).stat().st_mode) == 0o640
            assert (precious / name).stat().st_uid == os.geteuid()
    assert not (theirs / "messages.json").exists()
