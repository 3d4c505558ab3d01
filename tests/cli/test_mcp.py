"""`edge-agent mcp list`: what an installer sees before the allow-list is filled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.cli.outcome import EXIT_CONFIG, EXIT_FAILED, EXIT_UNAVAILABLE

PLAIN = str(Path(__file__).parents[1] / "tool_servers.py")


def invoke(tmp_path: Path, servers: str, *arguments: str) -> Result:
    file = tmp_path / "edge-agent.toml"
    file.write_text(servers)
    return CliRunner().invoke(cli.app, ["mcp", "list", "-c", str(file), *arguments])


def plain(name: str, more: str = "", behaviour: str = "{}") -> str:
    command = json.dumps([sys.executable, PLAIN, behaviour])
    return f"[mcp.servers.{name}]\ncommand = {command}\n{more}\n"


def test_tools_are_shown_with_what_they_may_do(tmp_path: Path) -> None:
    servers = plain("home", 'tools = { echo = "low", misspelt = "high" }\nenabled = false')
    result = invoke(tmp_path, servers)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "home  (switched off): 8 tools"
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:-1]}
    assert told["echo"] == "low Does echo."
    assert told["misspelt"] == "named in the settings, not there"
    assert told["hang"] == "not allowed Does hang."
    assert lines[-1] == '  To allow one: tools = { change = "high" } below [mcp.servers.home]'


def test_what_nobody_named_is_high_where_all_are_allowed(tmp_path: Path) -> None:
    result = invoke(tmp_path, plain("home", "allow_all = true"), "--json")
    [server] = json.loads(result.output)
    assert {tool["may"] for tool in server["tools"]} == {"high"}
    assert server["why_not"] == ""


def test_a_failure_is_told_with_the_programs_own_last_words(tmp_path: Path) -> None:
    script = "import sys; sys.exit('\\x1b[2JI need a token')"
    servers = f"[mcp.servers.bad]\ncommand = {json.dumps([sys.executable, '-c', script])}\n"
    result = invoke(tmp_path, plain("good") + servers)
    assert result.exit_code == EXIT_FAILED
    assert "bad: cannot be used: its program ended." in result.output
    assert "  its program says: [2JI need a token" in result.output
    assert "good: 8 tools" in result.output


def test_only_the_servers_that_are_named(tmp_path: Path) -> None:
    servers = plain("one") + plain("two")
    assert "two" not in invoke(tmp_path, servers, "one").output
    assert invoke(tmp_path, servers, "three").exit_code == 2


def test_a_server_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    servers = '[mcp.servers.deaf]\ncommand = ["sleep", "60"]\n'
    result = invoke(tmp_path, servers, "--wait", "1")
    assert result.exit_code == EXIT_FAILED
    assert "deaf: cannot be used: it did not answer within 1 s." in result.output


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "is empty"),
        ("two words", "holds more than a token"),
    ],
)
def test_a_token_that_cannot_be_had(tmp_path: Path, content: str | None, why: str) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    servers = f'[mcp.servers.web]\nurl = "https://h.example/"\ntoken_file = "{token}"\n'
    result = invoke(tmp_path, servers)
    assert result.exit_code == EXIT_FAILED
    assert f"web: cannot be used: {token} {why}." in result.output


def test_a_token_that_others_can_read_is_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("")
    token.chmod(0o644)
    servers = f'[mcp.servers.web]\nurl = "https://h.example/"\ntoken_file = "{token}"\n'
    assert f"run: chmod 600 {token}" in invoke(tmp_path, servers).output


def test_no_server_at_all(tmp_path: Path) -> None:
    result = invoke(tmp_path, "")
    assert result.exit_code == 0
    assert "the settings name no tool server" in result.output


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.tools.servers.mcp_server.is_installed", lambda: False)
    result = invoke(tmp_path, plain("home"))
    assert result.exit_code == EXIT_UNAVAILABLE
    assert "run scripts/install.sh once more" in result.output


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    assert invoke(tmp_path, "[mcp.servers.home]\n").exit_code == EXIT_CONFIG


def test_a_persona_may_name_the_tools_of_a_server(tmp_path: Path) -> None:
    persona = tmp_path / "mine.toml"
    persona.write_text('[role]\nrole = "You help."\n[tools.use]\nhome__on = "when it is dark."\n')
    file = tmp_path / "edge-agent.toml"
    lint = ["prompt", "lint", "-p", str(persona), "-c", str(file), "--json"]

    def unknown() -> bool:
        return "home__on" in CliRunner().invoke(cli.app, lint).output

    file.write_text('[mcp.servers.home]\ncommand = ["x"]\ntools = { off = "low" }\n')
    assert unknown()
    file.write_text('[mcp.servers.home]\ncommand = ["x"]\ntools = { on = "low", off = "low" }\n')
    assert not unknown()
