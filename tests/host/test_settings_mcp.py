"""Tool servers in the settings: every layer, and a sentence for every mistake."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_settings import InitSettingsSource

from edge_agent.host.settings import text as settings_text
from edge_agent.host.settings.load import Loaded, SettingsError, load, settled
from edge_agent.host.settings.mcp import Mcp, McpServer
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.sources import Findings, checked

SECRET = "hunter2-very-secret"
HOME = """
[mcp.servers.home]
url = "https://home.example/api/mcp"
token_file = "/etc/edge-agent/home_token"
tools = { turn_on = "low", "unlock.door" = "high" }
"""


def read(tmp_path: Path, text: str, drop_in: str = "", **environ: str) -> Loaded:
    file = tmp_path / "edge-agent.toml"
    file.write_text(text)
    (tmp_path / "config.d").mkdir()
    if drop_in:
        (tmp_path / "config.d" / "mine.toml").write_text(drop_in)
    return load(file, environ=environ)


def mistake(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, **environ)
    assert SECRET not in str(caught.value)
    [problem] = caught.value.problems
    return str(problem).removeprefix(str(tmp_path / "edge-agent.toml "))


def test_a_server_is_read_and_its_origin_known(tmp_path: Path) -> None:
    loaded = read(tmp_path, HOME)
    server = loaded.settings.mcp.servers["home"]
    assert server.tools == {"turn_on": "low", "unlock.door": "high"}
    assert (server.enabled, server.allow_all, server.timeout_s) == (True, False, 10.0)
    assert loaded.origin("mcp.servers.home.url").endswith("edge-agent.toml line 3")


def test_a_drop_in_changes_one_key_and_adds_a_server(tmp_path: Path) -> None:
    drop_in = '[mcp.servers.home]\nenabled = false\n[mcp.servers.clock]\ncommand = ["clock"]\n'
    servers = read(tmp_path, HOME, drop_in).settings.mcp.servers
    assert servers["home"].url == "https://home.example/api/mcp"
    assert not servers["home"].enabled
    assert servers["clock"].command == ("clock",)


def test_the_environment_is_the_strongest_layer(tmp_path: Path) -> None:
    value = json.dumps({"home": {"timeout_s": 3}, "clock": {"command": ["clock"]}})
    servers = read(tmp_path, HOME, EDGE_AGENT_MCP__SERVERS=value).settings.mcp.servers
    assert servers["home"].timeout_s == 3
    assert servers["home"].tools
    assert "clock" in servers


def test_an_environment_that_is_no_table_is_refused(tmp_path: Path) -> None:
    line = mistake(tmp_path, "", EDGE_AGENT_MCP__SERVERS=f"home={SECRET}")
    assert "EDGE_AGENT_MCP__SERVERS: mcp.servers: must be JSON, an object of objects" in line


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "line 1: mcp.servers.a: needs command or url, and not both"),
        ('command = ["x"]\nurl = "https://h/"', "needs command or url, and not both"),
        ('url = "http://h.example/mcp"', "line 1: mcp.servers.a: url is not encrypted"),
        ('url = "ftp://h/"', "line 2: mcp.servers.a.url: must look like https://host/path"),
        (f'url = "https://me:{SECRET}@h/"', "must not carry a name or password"),
        (f'url = "https://h/?key={SECRET}"', "must not carry a token"),
        ('command = ["x"]\ntoken_file = "/t"', "are for a url; a command has env_file"),
        ('url = "https://h/"\nenv = { A = "b" }', "are for a command; a url has token_file"),
        (f'url = "https://h/"\ntoken = "{SECRET}"', "no key 'token' for a tool server; secrets"),
        (f'url = "https://h/"\nheaders = {{ a = "{SECRET}" }}', "secrets have files"),
        ('command = ["x"]\ntimeot_s = 3', "Did you mean timeout_s?"),
        (f'command = ["x"]\nenv = {{ HASS_TOKEN = "{SECRET}" }}', "HASS_TOKEN looks like a secret"),
        ('command = ["x"]\nenv = { "A B" = "c" }', "can't be the name of a variable"),
        ('command = "x"', 'must be a list, like ["a", "b"]'),
        ('command = ["x"]\ntools = { a = "hgih" }', "must be one of low, medium, high"),
        ('command = ["x"]\ntools = { a = "low" }\nmanners = { a = "rude" }', "must be one of"),
        ('command = ["x"]\ntools = { lamp = "low" }\nmanners = { lamb = "confirm" }', "mean lamp?"),
        (
            'command = ["x"]\ntools = { a = "medium" }\nmanners = { a = "confirm" }',
            "a would be asked about twice: it has medium risk",
        ),
        ('command = ["x"]\nallow_all = true\nmanners = { a = "confirm" }', "it has high risk"),
        ('command = ["x"]\ntimeout_s = 0', "line 3: mcp.servers.a.timeout_s: must be at least 0.5"),
        ('command = ["x"]\ntimeout_s = "1"', "must be a number, without quotes"),
        ('command = ["x"]\nallow_all = 1', "must be true or false"),
        ('command = ["x"]\nenv_file = "secrets"', "must be a whole path"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, lines: str, words: str) -> None:
    assert words in mistake(tmp_path, f"[mcp.servers.a]\n{lines}\n")


@pytest.mark.parametrize("name", ["Home", "a__b", "a-", "_a", "a b", "a" * 25, ""])
def test_a_name_that_no_tool_could_carry_is_refused(tmp_path: Path, name: str) -> None:
    assert "mcp.servers" in mistake(tmp_path, f'[mcp.servers."{name}"]\ncommand = ["x"]\n')


@pytest.mark.parametrize("address", ["http://127.0.0.1:8123/mcp", "http://localhost/", "https://h"])
def test_this_machine_needs_no_encryption(address: str) -> None:
    assert McpServer(url=address).url == address


def test_an_insecure_address_can_be_wanted() -> None:
    assert McpServer(url="http://h.example/", allow_insecure_url=True).url


def test_the_variables_of_a_program_are_not_shown() -> None:
    server = McpServer.model_validate({"command": ["x"], "env": {"MODE": SECRET}})
    mcp = Mcp(servers={"a": server})
    assert SECRET not in settings_text.toml_value(mcp.servers)
    assert SECRET not in json.dumps(settings_text.plain_value(mcp.servers))
    assert 'a = { command = ["x"], env = { MODE = "********" } }' in settings_text.toml_value(
        mcp.servers
    )


def test_the_example_in_the_shipped_file_is_right_once_it_is_filled_in() -> None:
    text = settings_text.default_file()
    begin = text.index("# [mcp.servers.NAME]")
    example = text[begin : text.index("\n\n", begin)].replace("NAME]", "home]")
    lines = [line.removeprefix("# ") for line in example.splitlines()]
    table = tomllib.loads("\n".join(lines))["mcp"]["servers"]["home"]
    assert set(table) == set(McpServer.model_fields)
    assert McpServer.model_validate({**table, "command": ["x"]}) == McpServer(command=("x",))


ROWS = st.dictionaries(
    st.sampled_from(["home", "clock"]),
    st.fixed_dictionaries(
        {"command": st.just(["x"])},
        optional={
            "enabled": st.booleans(),
            "timeout_s": st.sampled_from([1.0, 2.0]),
            "tools": st.dictionaries(st.sampled_from("abc"), st.sampled_from(["low", "high"])),
        },
    ),
)


@given(ROWS, ROWS)
def test_a_stronger_layer_changes_only_the_keys_that_it_names(
    weaker: dict[str, dict[str, object]], stronger: dict[str, dict[str, object]]
) -> None:
    findings = Findings()
    layers = [
        InitSettingsSource(Settings, checked({"mcp": {"servers": rows}}, "file", {}, findings))
        for rows in (stronger, weaker)
    ]
    servers = settled(layers, findings).settings.mcp.servers
    assert set(servers) == set(weaker) | set(stronger)
    for name, server in servers.items():
        row = {**weaker.get(name, {}), **stronger.get(name, {})}
        assert server == McpServer.model_validate(row)


def test_a_table_that_is_one_value_is_replaced_as_a_whole(tmp_path: Path) -> None:
    text = "[listen]\nwake_cutoffs = { okay_nabu = 0.8 }\n"
    loaded = read(tmp_path, text, "[listen]\nwake_cutoffs = { alexa = 0.7 }\n")
    assert loaded.settings.listen.wake_cutoffs == {"alexa": 0.7}
