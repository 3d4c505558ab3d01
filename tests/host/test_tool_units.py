"""Tool servers as units: systemd reads them, they are tight, and hold no secret.

What they do in a booted machine is tried by `scripts/lab.sh --units`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edge_agent.contract.errors import AgentError
from edge_agent.host.service import tool_units
from edge_agent.host.service.tool_units import tool_socket, units, write
from edge_agent.host.settings.mcp import McpServer
from edge_agent.host.settings.root import Settings

EXPOSURE_TENTHS_MAX = 11
"""`systemd-analyze security` says 0.7, with a network 1.1."""
SYSTEMCTL: list[str] = []


def server(**fields: object) -> McpServer:
    return McpServer.model_validate({"command": ("/bin/true", 'a "b"', "$HOME %n \\ \n"), **fields})


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine's systemd is touched; what it would be told is in `SYSTEMCTL`."""
    SYSTEMCTL.clear()
    for name in ("UNIT_FOLDER", "SOCKET_FOLDER"):
        monkeypatch.setattr(tool_units, name, tmp_path / name)
    (tmp_path / "UNIT_FOLDER").mkdir()
    monkeypatch.setattr(tool_units, "_systemctl", lambda *words: SYSTEMCTL.append(" ".join(words)))
    return tmp_path


@pytest.mark.parametrize("network", [False, True])
def test_systemd_finds_no_mistake_and_finds_it_tight(tmp_path: Path, network: bool) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is missing; run: sudo apt-get install -y systemd"
    for path, text in units({"home": server(network=network)}).items():
        (tmp_path / path.name).write_text(text)
    both = [tmp_path / "edge-agent-tool-home@.service", tmp_path / "edge-agent-tool-home.socket"]
    done = subprocess.run([analyze, "verify", *both], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "edge-agent-tool" in line] == []
    command = [analyze, "security", "--offline=true", f"--threshold={EXPOSURE_TENTHS_MAX}"]
    done = subprocess.run([*command, both[0]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_network_is_there_only_if_it_is_granted() -> None:
    for network, line in ((False, "PrivateNetwork=yes"), (True, "PrivateNetwork=no")):
        [text] = [
            text
            for path, text in units({"home": server(network=network)}).items()
            if path.suffix == ".service"
        ]
        assert line in text.splitlines()


def test_words_arrive_as_they_are_written() -> None:
    files = units({"home": server()}, python="/opt/my python")
    [text] = [text for path, text in files.items() if path.suffix == ".service"]
    [line] = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert line.startswith('ExecStart="/opt/my python" "-I" "-S" ')
    assert line.endswith(' "/bin/true" "a \\"b\\"" "$$HOME %%n \\\\ \\x0a"')


def test_no_secret_is_in_a_unit_and_its_file_is_roots(folders: Path) -> None:
    secrets = folders / "env"
    secrets.write_text('TOKEN=s3"c$tok\n')
    files = units({"home": server(env={"PLAIN": "p1ain"}, env_file=str(secrets))})
    write(files)
    for path in (folders / "UNIT_FOLDER").iterdir():
        assert "p1ain" not in path.read_text()
        assert "s3" not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o644
    variables = folders / "SOCKET_FOLDER" / "home.env"
    assert variables.read_text() == 'PLAIN="p1ain"\nTOKEN="s3\\"c\\$tok"\n'
    assert variables.stat().st_mode & 0o777 == 0o600


def test_only_programs_that_are_switched_on_have_units(folders: Path) -> None:
    assert tool_socket("home") == folders / "SOCKET_FOLDER" / "home.sock"
    web = McpServer.model_validate({"url": "https://home.example/mcp"})
    assert units({"web": web, "off": server(enabled=False)}) == {}
    assert len(units({"home": server(), "web": web})) == 3
    assert units(Settings().mcp.servers) == {}


def test_what_changed_is_written_and_what_is_gone_goes(folders: Path) -> None:
    assert write(units({"a": server(), "b": server()}))
    assert SYSTEMCTL == [
        "daemon-reload",
        "restart edge-agent-tool-a.socket",
        "restart edge-agent-tool-b.socket",
    ]
    SYSTEMCTL.clear()
    assert not write(units({"a": server(), "b": server()}))
    assert SYSTEMCTL == [], "each start of the speaker comes here"
    assert write(units({"a": server(network=True)}))
    assert SYSTEMCTL[0] == "stop edge-agent-tool-b.socket"
    left = {path.name for path in folders.rglob("*") if path.is_file()}
    assert left == {"edge-agent-tool-a.socket", "edge-agent-tool-a@.service", "a.env"}


def test_a_place_that_cannot_be_written_is_told(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders / "SOCKET_FOLDER").write_text("in the way")
    with pytest.raises(AgentError, match="cannot be written"):
        write(units({"a": server()}))
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(AgentError, match="has no systemd"):
        tool_units._systemctl("daemon-reload")
