"""`edge-agent mcp list`: what an installer sees before the allow-list is filled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.cli.outcome import EXIT_CONFIG, EXIT_FAILED, EXIT_UNAVAILABLE
from edge_agent.host.stores.tool_store import ToolStore

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
    assert told["echo"] == "low: named in the settings Does echo."
    assert told["misspelt"] == "named in the settings, not there"
    assert told["hang"] == "not allowed Does hang."
    assert lines[-1] == '  To allow one: tools = { change = "high" } below [mcp.servers.home]'


def test_what_nobody_named_is_high_where_all_are_allowed(tmp_path: Path) -> None:
    result = invoke(tmp_path, plain("home", "allow_all = true"), "--json")
    [server] = json.loads(result.output)
    assert {tool["may"] for tool in server["tools"]} == {"high: not named in the settings"}
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


# --- what has changed ------------------------------------------------------------------------


def accept(tmp_path: Path, *arguments: str) -> Result:
    command = ["mcp", "accept", "home", "-c", str(tmp_path / "edge-agent.toml"), *arguments]
    return CliRunner().invoke(cli.app, command)


@pytest.fixture
def changed(tmp_path: Path) -> None:
    """`echo` was accepted with other words and without arguments."""
    store = ToolStore(tmp_path / "tools.json", lambda *_a, **_f: None)
    store.accept("home", {"echo": ("Says it again.", '{"type": "object"}')})


ALLOWED = 'tools = { echo = "low", hang = "medium" }'


def listed(tmp_path: Path, *arguments: str) -> Result:
    state = f'[state]\npath = "{tmp_path}/state.json"\n'
    return invoke(tmp_path, state + plain("home", ALLOWED), *arguments)


@pytest.mark.usefixtures("changed")
def test_a_tool_that_changed_is_shown_as_high(tmp_path: Path) -> None:
    output = listed(tmp_path).output
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in output.splitlines()}
    assert told["echo"] == "high: not as it was accepted Does echo."
    assert told["hang"] == "medium: named in the settings Does hang."
    assert "sudo edge-agent mcp accept home" in output
    [server] = json.loads(listed(tmp_path, "--json").output)
    assert server["changed"] == ["echo"]


@pytest.mark.usefixtures("changed")
def test_it_is_accepted_after_its_difference_was_shown(tmp_path: Path) -> None:
    listed(tmp_path)
    refused = accept(tmp_path)
    assert refused.exit_code == 2, "nobody can be asked"
    assert "- Says it again.\n" in refused.stdout
    assert "+ Does echo.\n" in refused.stdout
    assert '+  "properties": {\n' in refused.stdout
    assert "echo = " not in refused.stdout
    assert "high: not as it was accepted" in listed(tmp_path).output
    assert "Accepted: echo." in accept(tmp_path, "echo", "--yes").stdout
    assert "not as it was accepted" not in listed(tmp_path).output
    assert accept(tmp_path, "--yes").stdout == "Nothing has changed since it was accepted.\n"


@pytest.mark.usefixtures("changed")
def test_what_is_not_clear_accepts_nothing(tmp_path: Path) -> None:
    listed(tmp_path)
    before = (tmp_path / "tools.json").read_bytes()
    assert accept(tmp_path, "misspelt", "--yes").exit_code == 2
    command = ["mcp", "accept", "nobody", "-c", str(tmp_path / "edge-agent.toml"), "--yes"]
    assert CliRunner().invoke(cli.app, command).exit_code == 2
    (tmp_path / "edge-agent.toml").write_text('[mcp.servers.home]\ncommand = ["false"]\n')
    down = accept(tmp_path, "--yes")
    assert (down.exit_code, "cannot be used" in down.stdout) == (EXIT_FAILED, True)
    assert (tmp_path / "tools.json").read_bytes() == before


def test_without_servers_a_program_gets_an_empty_list(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text("")
    result = CliRunner().invoke(cli.app, ["mcp", "list", "--json", "-c", str(file)])
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
