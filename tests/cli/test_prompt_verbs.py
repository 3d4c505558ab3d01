"""`edge-agent prompt`: what goes to the model, seen without a model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.host.personas import BUILT_IN


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "edge-agent.toml"
    file.write_text("")
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    return file


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["prompt", *arguments])


def test_show_prints_what_the_settings_make_of_it(settings: Path) -> None:
    settings.write_text('[realtime]\nlanguage = "de"\ninstructions = "The cat is called Minka."\n')
    result = invoke("show")
    assert result.exit_code == 0
    assert result.stdout.startswith("# Role & Objective\n")
    assert "German (de)" in result.stdout
    assert result.stdout.endswith("# The Household's Own Rules\nThe cat is called Minka.\n")
    about = re.search(r"about (\d+) tokens in every turn, and (\d+) for the tools", result.stderr)
    assert about is not None
    assert abs(int(about[1]) - len(result.stdout) / 4) < 20
    assert int(about[2]) > 300
    assert "(an estimate)" in result.stderr
    settings.write_text('[realtime]\npersona = "concise"\n')
    assert "You are a voice interface." in invoke("show").stdout
    assert "children" in invoke("show", "--persona", "kids").stdout


def test_show_lays_out_the_steps_of_a_guided_talk() -> None:
    text = invoke("show", "-p", "bedtime").stdout
    assert text.count("# The Present Step: ") == 6
    assert "# The Present Step: breathing\n" in text


def test_lint_is_1_with_errors_and_tells_them(tmp_path: Path) -> None:
    assert invoke("lint").exit_code == 0
    file = tmp_path / "mine.toml"
    file.write_text('[role]\nrole = "Use play_music. See www.example.org for more."\n')
    result = invoke("lint", "-p", str(file))
    assert result.exit_code == 1
    assert "there is no tool play_music. [tool.unknown]" in result.stdout
    assert "mine: 2 errors, " in result.stdout
    rows = json.loads(invoke("lint", "-p", str(file), "--json").stdout)
    assert [row["code"] for row in rows if row["level"] == "error"] == ["tool.unknown", "voice.url"]


def test_lint_judges_the_owners_additions(settings: Path) -> None:
    settings.write_text('[realtime]\ninstructions = "Speak only French."\n')
    result = invoke("lint")
    assert result.exit_code == 1
    assert "The Household's Own Rules" in result.stdout


def test_diff_of_two_and_against_the_shipped_one(tmp_path: Path) -> None:
    between = invoke("diff", "kids", "concise").stdout
    assert "+- Role: You are a kind talking companion" in between
    assert "-- Role: You are a voice interface." in between
    mine = tmp_path / "kids.toml"
    mine.write_text((BUILT_IN / "kids.toml").read_text().replace("Patient,", "Wild,"))
    lines = invoke("diff", str(mine)).stdout.splitlines()
    assert lines[:2] == [f"--- {BUILT_IN / 'kids.toml'}", f"+++ {mine}"]
    changed = [line for line in lines[2:] if line[0] in "+-"]
    assert [line.partition(",")[0] for line in changed] == [
        "-- Personality: Patient",
        "+- Personality: Wild",
    ]
    assert invoke("diff", "concise").stdout.startswith(f"--- {BUILT_IN / 'household.toml'}")
    assert "tell the model the same" in invoke("diff").stdout


def test_template_is_a_file_to_begin_with(tmp_path: Path) -> None:
    assert invoke("template", "kids").stdout == (BUILT_IN / "kids.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(invoke("template").stdout)
    assert "tell the model the same" in invoke("diff", str(mine)).stdout


def test_config_check_looks_at_the_persona_too(settings: Path, tmp_path: Path) -> None:
    def check() -> Result:
        return CliRunner().invoke(cli.app, ["config", "check"])

    settings.write_text('[realtime]\npersona = "bedtime"\n')
    assert check().exit_code == 0
    settings.write_text('[realtime]\npersona = "pirate"\n')
    result = check()
    assert result.exit_code == 78
    assert "there is no such persona" in result.stderr
    mine = tmp_path / "mine.toml"
    mine.write_text((BUILT_IN / "bedtime.toml").read_text().replace("get_volume", "get_moon"))
    settings.write_text(f'[realtime]\npersona = "{mine}"\n')
    result = check()
    assert result.exit_code == 78
    assert f"{mine}: flow.states.breathing.tools: there is no tool 'get_moon'." in result.stderr
    settings.write_text('[realtime]\npersona = "../x.toml"\n')
    assert check().exit_code == 78


@pytest.mark.parametrize(
    ("head", "realtime", "told"),
    [
        ('voice = "sage"\nspeed = 0.9', "", []),
        ('voice = "sage"', 'provider = "speaches"\nurl = "ws://127.0.0.1/v1/realtime"',
         ["the persona mine asks for the voice sage, but speaches chooses its own"]),
        ('voice = "id:v_1"\nspeed = 0.9', 'provider = "xai"',
         ["the persona mine asks for the speed 0.9, but xai has only one"]),
        ("speed = 1", 'provider = "xai"', []),
        ('voice = "sage"', 'fallbacks = [{ provider = "xai", model = "m" }]',
         ["the persona mine asks for the voice sage, which a fall-back to xai does not have: name "
          "one of its own in realtime.fallbacks"]),
        ('voice = "sage"', 'fallbacks = [{ provider = "xai", model = "m", voice = "leo" }]', []),
        ("", 'fallbacks = [{ provider = "xai", model = "m" }]', []),
    ],
)  # fmt: skip
def test_config_check_says_what_a_service_cannot_do_for_a_persona(
    head: str, realtime: str, told: list[str], settings: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(f'{head}\n[role]\nrole = "A voice."\n')
    settings.write_text(f'[realtime]\npersona = "{mine}"\n{realtime}\n')
    result = CliRunner().invoke(cli.app, ["config", "check"])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if "the persona mine" in line]
    assert lines == [f"edge-agent: note: {text}" for text in told]


@pytest.mark.parametrize("verb", ["show", "lint"])
def test_a_wrong_persona_is_78_with_file_and_key(verb: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[role]\nroel = 'x'\n")
    result = invoke(verb, "-p", str(file))
    assert result.exit_code == 78
    assert f"{file}: role.roel: there is no such key. Did you mean role?" in result.stderr
    assert "Traceback" not in result.output
    assert invoke(verb, "-p", "pirate").exit_code == 78
    assert invoke("template", "pirate").exit_code == 78
