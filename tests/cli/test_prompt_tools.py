"""`config check`, `prompt` and the speaker judge a persona by the tools that will really run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.app.session_start import session_start
from edge_agent.app.tools.offer import Absent, offer
from edge_agent.cli import main as cli
from edge_agent.contract.errors import ConfigError
from edge_agent.host.settings.load import load
from edge_agent.host.stores.tool_store import ToolStore, tools_path

GUIDE = """
[role]
role = "A guide."
[flow]
guided = true
start = "begin"
[flow.states.begin]
goal = "Begin."
exit = "It has begun."
next = ["end"]
tools = ["current_time", TOOL]
[flow.states.end]
goal = "End."
final = true
tools = []
"""
SERVER = '[mcp.servers.home]\ncommand = ["x"]\n'
LAMP = '{"type": "object", "properties": {"room": {"type": "string"}}}'


@pytest.fixture(autouse=True)
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings and state of its own."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(tmp_path / "edge-agent.toml"))
    settle(tmp_path)
    return tmp_path


def settle(house: Path, tool: str = "get_volume", *, realtime: str = "", others: str = "") -> None:
    (house / "mine.toml").write_text(GUIDE.replace("TOOL", f'"{tool}"'))
    persona = "" if "persona" in realtime else f'persona = "{house / "mine.toml"}"\n'
    (house / "edge-agent.toml").write_text(f"[realtime]\n{persona}{realtime}\n{others}")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


ON = '[facts]\nenabled = true\n[supervisor]\nmodel = "gpt-5"\n'
MISSED = [
    ("answer", "", "supervisor.model"),
    ("recall", "", "facts.enabled"),
    (
        "home__lamp",
        f'{SERVER}enabled = false\ntools = {{ lamp = "low" }}\n',
        "mcp.servers.home.enabled",
    ),
]


@pytest.mark.parametrize(("tool", "others", "setting"), MISSED)
def test_a_tool_that_is_switched_off_costs_its_step_the_tool_and_nobody_the_speaker(
    house: Path, tool: str, others: str, setting: str
) -> None:
    settle(house, tool, others=others)
    result = invoke("config", "check")
    assert result.exit_code == 0
    assert f"{tool} is switched off ({setting})" in result.stderr
    assert "go without it: begin" in result.stderr
    settings = load(None).settings
    begin = session_start(settings, offer(settings))
    assert list(begin.absent) == [Absent(tool, ("begin",), setting)]
    names = [schema["name"] for schema in begin.tools]
    assert names == ["current_time", "stay_silent", "set_conversation_state"]
    found = invoke("prompt", "lint")
    assert f"warning: step begin: {tool} is switched off ({setting})." in found.stdout


@pytest.mark.parametrize(
    ("tool", "others"),
    [
        ("answer", ON),
        ("recall", ON),
        ("home__lamp", f'{SERVER}tools = {{ lamp = "low" }}\n'),
        ("home__anything", f"{SERVER}allow_all = true\n"),
    ],
)
def test_a_tool_that_runs_or_may_come_is_no_matter(house: Path, tool: str, others: str) -> None:
    settle(house, tool, others=others)
    result = invoke("config", "check")
    assert result.exit_code == 0
    assert "switched off" not in result.stderr
    settings = load(None).settings
    assert session_start(settings, offer(settings)).absent == ()
    found = invoke("prompt", "lint")
    assert "tool.off" not in found.stdout
    assert "home__" not in found.stdout
    assert "mine: 0 errors, " in found.stdout


@pytest.mark.parametrize("tool", ["anwser", "home__lamp"])
def test_a_slip_ends_the_check_as_it_ends_the_start(house: Path, tool: str) -> None:
    settle(house, tool)
    problem = f"flow.states.begin.tools: there is no tool '{tool}'."
    result = invoke("config", "check")
    assert result.exit_code == 78
    assert problem in result.stderr
    settings = load(None).settings
    with pytest.raises(ConfigError) as caught:
        session_start(settings, offer(settings))
    assert problem in str(caught.value)
    assert problem in invoke("prompt", "lint").stdout


def test_a_tool_of_a_server_has_the_manner_that_the_owner_gives_it(house: Path) -> None:
    others = (
        f"{SERVER}allow_all = true\n"
        'tools = { lamp = "low", door = "low", news = "medium" }\n'
        'manners = { lamp = "proactive", door = "confirm", news = "preamble", else = "preamble" }\n'
    )
    settle(house, realtime='persona = "household"\n', others=others)
    settings = load(None).settings
    text = session_start(settings, offer(settings)).instructions
    ours, theirs = "leave_message", "home__door"
    [asks] = [line for line in text.splitlines() if line.startswith(f"- Before `{ours}`")]
    told = [line for line in text.splitlines() if line.startswith("- Before `home__")]
    assert [line.split("`")[1] for line in told] == [theirs, "home__news", "home__else"]
    # The same words as for a tool of our own, up to the samples.
    assert told[0].split(" For example")[0] == asks.split(" For example")[0].replace(ours, theirs)
    assert "then call it in the same turn" in told[1]
    assert invoke("prompt", "show").stdout.strip() == text
    assert "home__" not in invoke("prompt", "lint").stdout
    settle(house, realtime='persona = "household"\n', others=f"{others}enabled = false\n")
    settings = load(None).settings
    assert "home__" not in session_start(settings, offer(settings)).instructions


def test_lint_judges_the_owners_words_by_the_tools_that_run(house: Path) -> None:
    words = 'persona = "household"\ninstructions = "Call `remember` for every name."\n'
    settle(house, realtime=words)
    result = invoke("prompt", "lint")
    assert result.exit_code == 1
    assert "Own Rules: remember is switched off (facts.enabled). [tool.off]" in result.stdout
    settle(house, realtime=words, others=ON)
    result = invoke("prompt", "lint")
    assert result.exit_code == 0
    assert "0 errors, 0 warnings" in result.stdout


def test_show_counts_the_tools_that_each_step_sends(house: Path) -> None:
    counts = dict(re.findall(r"(\d+) for the (?:\d )?tools? of the step (\w+)", told(house)))
    by_step = {step: int(tokens) for tokens, step in counts.items()}
    assert set(by_step) == {"begin", "end"}
    assert 60 < by_step["end"] < 200
    assert by_step["end"] + 60 < by_step["begin"] < 400
    assert "the 4 tools of the step begin" in told(house)
    assert "the tool of the step end" in told(house)


def told(house: Path) -> str:
    result = invoke("prompt", "show")
    assert result.exit_code == 0, house
    return result.stderr


def test_show_counts_what_tool_servers_were_seen_to_have(house: Path) -> None:
    def tokens() -> int:
        found = re.search(r"and (\d+) for the tools", told(house))
        assert found is not None
        return int(found[1])

    household = 'persona = "household"\n'
    settle(house, realtime=household)
    ours = tokens()
    others = f'{SERVER}tools = {{ lamp = "low", radio = "low" }}\n'
    settle(house, realtime=household, others=others)
    assert tokens() == ours
    assert "not known here: home__lamp, home__radio" in told(house)
    state = load(None).settings.state.path
    store = ToolStore(tools_path(state), lambda *_a, **_f: pytest.fail("nothing is wrong"))
    tools_path(state).parent.mkdir()
    # Also one that is no longer allowed, and one that somebody has tampered with.
    assert store.accept("home", {"lamp": ("Turns a lamp on.", LAMP), "door": ("Opens.", LAMP)})
    assert 25 < tokens() - ours < 60
    assert "not known here: home__radio" in told(house)
    assert store.accept("home", {"radio": ("Plays.", "[1")})
    assert "not known here: home__radio" in told(house)
    settle(house, realtime=household, others=f"{others}allow_all = true\n")
    assert "not known here: home__radio, others of home" in told(house)
    tools_path(state).write_text("{")
    assert tokens() == ours
    assert tools_path(state).read_text() == "{"
