"""The table of foreign peers fits the files beside it.

It must never install or start a peer: `scripts/interop.sh` does that.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from run import PEERS, Peer, table
from run import Row as TableRow

HERE = Path(__file__).resolve().parent


def files_of(peer: Peer) -> tuple[Path, list[Path]]:
    folder = HERE / f"{peer.role}s"
    if peer.runtime == "node":
        return folder / "node" / peer.script, [folder / "node" / "package-lock.json"]
    return folder / peer.script, sorted((folder / "locks").glob(f"{peer.package}*.txt"))


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_has_a_script_and_a_lock_with_hashes_and_without_hosts(peer: Peer) -> None:
    script, locks = files_of(peer)
    assert script.is_file()
    assert locks
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        if peer.runtime == "node":
            packages = json.loads(text)["packages"]
            assert f"node_modules/{peer.package}" in packages
            for name, package in packages.items():
                assert not name or package["integrity"].startswith("sha512-"), name
                assert "resolved" not in package, name
        else:
            pinned = re.findall(r"^[a-z0-9][\w.\[\]-]*==\S+", text, re.MULTILINE)
            assert pinned
            assert text.count("--hash=sha256:") >= len(pinned)
            assert "://" not in text
    if peer.runtime == "python":
        everything = "".join(lock.read_text(encoding="utf-8") for lock in locks)
        assert re.search(rf"^{re.escape(peer.package)}==", everything, re.MULTILINE)


def test_the_table_is_markdown() -> None:
    lines = list(table([TableRow(PEERS[0], "1.2", "text, voice", "ok")]))
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-1] == "| openai-agents | client | 1.2 | text, voice | ok |"
