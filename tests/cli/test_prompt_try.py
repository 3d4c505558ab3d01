"""`prompt try`: the same phrases before and after a change, side by side, over a real port."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from realtime_service import RealtimeService, hum
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.cli.voice import speech
from edge_agent.simulation.brains import Brain, Call, Reply, Speech, Text, Turn
from edge_agent.simulation.traits import TRAITS

KEY = "sk-test-1234567890"
SHORT = 'voice = "cedar"\n[role]\nrole = "Be terse."\n'


class Household(Brain):
    """Answers as the prompt has it: in two words, or in more."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.slips: list[Reply] = []

    def reply(self, turn: Turn) -> Reply:
        self.turns.append(turn)
        if self.slips:
            return self.slips.pop(0)
        about = turn.texts[0] if turn.texts else f"{len(turn.heard[0])} bytes"
        is_terse = "Be terse." in turn.instructions
        words = "Sure \x1b[2Jthing." if is_terse else f"Let me tell you all about {about}."
        parts = [Speech(hum(words), words)]
        calls = [] if is_terse or about != "tea" else [Call("set_timer", '{"minutes": 4}')]
        return Reply((*parts, *calls))


@pytest.fixture
def brain() -> Household:
    return Household()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(tmp_path / "edge-agent.toml"))
    monkeypatch.setattr(speech, "CREDENTIAL_FOLDER", tmp_path / "etc")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "openai_api_key").write_text(KEY + "\n")
    (tmp_path / "after.toml").write_text(SHORT)
    return tmp_path


@pytest.fixture
def service(brain: Household, house: Path) -> Iterator[RealtimeService]:
    with RealtimeService(brain, keys=frozenset({KEY})) as running:
        settle(house, running.url)
        yield running


def settle(house: Path, url: str, more: str = "") -> None:
    text = f'[realtime]\nurl = "{url}"\nbackoff_first_s = 0.05\n{more}'
    (house / "edge-agent.toml").write_text(text)


def run(*arguments: str | Path, columns: int = 80) -> Result:
    command = ["prompt", "try", *map(str, arguments)]
    result = CliRunner().invoke(cli.app, command, env={"COLUMNS": str(columns)})
    assert KEY not in result.output
    return result


def test_the_same_phrase_before_and_after_stands_side_by_side(
    service: RealtimeService, brain: Household, house: Path
) -> None:
    result = run("  when is \n tea", "tea", "--after", house / "after.toml")
    assert result.exit_code == 0, result.output
    first, second, total = result.stdout.split("\n## ")[1:]
    lines = first.splitlines()
    assert lines[0] == '1. "when is tea"'
    assert lines[2].startswith("before: current ")
    assert lines[2].partition(" | ")[2].startswith(f"after: {house}"[:20])
    left, right = (
        [line.ljust(80).split(" | ")[side].strip() for line in second.splitlines()[2:]]
        for side in (0, 1)
    )
    assert "Let me tell you all about tea." in left
    assert '[calls set_timer {"minutes": 4}]' in left
    assert "Sure [2Jthing." in right
    assert not any("set_timer" in line for line in right)
    for column in (left, right):
        assert any(line.startswith("first sound ") for line in column)
        assert " tokens in (" in " ".join(column)
        assert "$0." in " ".join(column)
    assert total.startswith("All 2\n")
    # One session for each side, and each phrase a talk of its own; no tool was run for it.
    assert service.server.sessions_begun == 2
    assert {turn.items_total for turn in brain.turns} == {1}
    assert {turn.outputs for turn in brain.turns} == {()}
    assert "# Role & Objective\n" in brain.turns[0].instructions
    assert brain.turns[1].instructions.startswith("# Role & Objective\n- Role: Be terse.")
    voices = [turn.session["audio"]["output"]["voice"] for turn in brain.turns]
    assert voices == ["marin", "cedar"] * 2
    assert {"set_timer", "get_volume"} <= {t["name"] for t in brain.turns[0].session["tools"]}
    assert "2 phrases go to gpt-realtime-2.1 of openai for 4 answers, each with about " in (
        result.stderr
    )
    assert "the service bills them" in result.stderr


@pytest.mark.usefixtures("service")
def test_phrases_come_from_a_file_and_instructions_may_be_plain_text(
    brain: Household, house: Path
) -> None:
    (house / "phrases").write_text("# for the kitchen\n\nrain\n  snow  \n")
    (house / "better.md").write_text("You are short. Be terse.\n")
    result = run("--file", house / "phrases", "--before", house / "better.md")
    assert result.exit_code == 0, result.output
    assert [turn.texts for turn in brain.turns] == [("rain",), ("snow",)]
    assert brain.turns[0].instructions == "You are short. Be terse."
    assert brain.turns[0].session["tools"]
    assert " | " not in result.stdout


def record(path: Path, pcm: bytes, rate_hz: int = 24_000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return path


@pytest.mark.usefixtures("service")
def test_a_recording_is_a_phrase_at_the_rate_of_the_session(brain: Household, house: Path) -> None:
    sound = hum("what time is it")
    plain = record(house / "plain.wav", sound)
    stereo = record(house / "stereo.wav", bytes(4 * 48_000), 48_000, 2)
    result = run("--wav", plain, "--wav", stereo)
    assert result.exit_code == 0, result.output
    assert [turn.heard for turn in brain.turns] == [(sound,), (bytes(48_000),)]
    assert "## 1. plain.wav" in result.stdout


@pytest.mark.parametrize("trait", ["xai", "speaches"])
def test_a_service_as_it_was_recorded_is_tried_too(
    brain: Household, house: Path, trait: str
) -> None:
    with RealtimeService(brain, traits=[TRAITS[trait]]) as running:
        settle(house, running.url, f'provider = "{trait}"\n')
        result = run("tea", "--after", house / "after.toml")
    assert result.exit_code == 0, result.output
    assert "Let me tell you all about" in result.stdout
    assert "[calls set_timer" in result.stdout
    assert "Sure [2Jthing." in result.stdout


@pytest.mark.usefixtures("service")
def test_what_is_no_spoken_answer_is_told_as_what_it_is(brain: Household) -> None:
    brain.slips = [
        Reply(()),
        Reply((Speech(hum("x"), ""),)),
        Reply(
            (Speech(hum("x" * 40), "And so"),),
            faults="incomplete_reason=max_output_tokens,incomplete_count=1",
        ),
    ]
    result = run("a", "b", "c")
    assert result.exit_code == 0, result.output
    assert "(it said nothing)" in result.stdout
    assert "s of speech; the service gave no words)" in result.stdout
    assert "(it ended early: incomplete)" in result.stdout


@pytest.mark.usefixtures("service")
def test_one_answer_that_fails_is_told_in_its_place(brain: Household) -> None:
    brain.slips = [
        Reply((Text("a"),)),
        Reply((Text("b"),), faults="fail_code=strange,fail_count=1"),
    ]
    result = run("a", "b", "c")
    assert result.exit_code == 69
    assert "(no answer: The answer failed (strange).)" in result.stdout
    assert "all about c." in result.stdout
    assert "1 answers did not come" in result.stderr


def test_a_service_that_is_not_there_or_lets_nobody_in_ends_it(
    service: RealtimeService, brain: Household, house: Path
) -> None:
    (house / "etc" / "openai_api_key").write_text("sk-test-another\n")
    wrong = run("a", "b")
    assert wrong.exit_code == 69
    assert "does not accept the key" in wrong.stderr
    (house / "etc" / "openai_api_key").unlink()
    without = run("a")
    assert without.exit_code == 69
    assert "mode 640)" in without.stderr
    settle(house, "ws://127.0.0.1:9/v1/realtime", 'provider = "local"\n')
    away = run("a", "b")
    assert away.exit_code == 69
    assert away.stdout == ""
    assert (service.server.sessions_begun, brain.turns) == (0, [])


def test_nothing_that_cannot_be_tried_is_sent(service: RealtimeService, house: Path) -> None:
    loud = record(house / "x.wav", bytes(2 * 100), 11_025)
    text = house / "no.wav"
    text.write_text("no sound")
    long = record(house / "long.wav", bytes(2 * 8_000 * 61), 8_000)
    short = record(house / "short.wav", bytes(48), 24_000)
    for arguments, code, words in (
        ((), 2, "say what to try"),
        (("x" * 2001,), 2, "at most 2000 characters"),
        (tuple("abc" * 17), 2, "51 phrases; at most 50"),
        (("--wav", loud), 78, "16 bits at 11025 Hz"),
        (("--wav", text), 78, "no WAV file"),
        (("--wav", long), 78, "it lasts 61.0 s; 60 s are the longest"),
        (("--wav", short), 78, "it lasts 0.0 s"),
        (("--wav", house / "none.wav"), 78, "No such file"),
        (("--file", house / "none"), 78, "No such file"),
        (("a", "--after", house / "none.md"), 78, "No such file"),
        (("a", "--after", "pirate"), 78, "there is no such persona"),
    ):
        result = run(*arguments, columns=200)
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        assert words in result.stderr
    assert service.server.dials == 0


@pytest.mark.usefixtures("service")
def test_nothing_is_kept(house: Path) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in house.rglob("*") if path.is_file()}

    before = files()
    assert run("a secret").exit_code == 0
    assert files() == before
