"""`voice-pack build` by the model of the talk: one session, each sentence as it stands, or not.

The verb runs as in a terminal, against the simulated server on a real port.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from realtime_service import ReadsAloud, RealtimeService, hum
from typer.testing import CliRunner, Result

from edge_agent.cli.voice import patience, speech, voice_pack
from edge_agent.host.voice.sentences import Sentences
from edge_agent.simulation.brains import Reply, Speech

KEY = "sk-test-1234567890"
GERMAN = dict(list(Sentences("de").texts.items())[:4])
"""Enough of them: each costs a voice of its own."""
COUNT = len(GERMAN)
FIRST, SECOND, *_ = GERMAN.values()
NAMES = list(GERMAN)

waited: list[float] = []


@pytest.fixture(autouse=True)
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: settings, state, a key where the service has it, no waiting."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(speech, "CREDENTIAL_FOLDER", tmp_path / "etc")
    monkeypatch.setattr(patience, "_wait", waited.append)
    monkeypatch.setattr(Sentences, "texts", GERMAN)
    waited.clear()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "openai_api_key").write_text(KEY + "\n")
    return tmp_path


@pytest.fixture
def brain() -> ReadsAloud:
    return ReadsAloud()


@pytest.fixture
def service(
    brain: ReadsAloud, house: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RealtimeService]:
    with RealtimeService(brain, keys=frozenset({KEY})) as running:
        text = f'[realtime]\nurl = "{running.url}"\nbackoff_first_s = 0.05\n'
        (house / "edge-agent.toml").write_text(f'{text}[speech]\nlanguage = "de"\n')
        monkeypatch.setenv("EDGE_AGENT_CONFIG", str(house / "edge-agent.toml"))
        yield running


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.add_typer(voice_pack.app, name="voice-pack")
    result = CliRunner().invoke(app, ["voice-pack", *arguments], env={"COLUMNS": "100"})
    assert KEY not in result.output
    return result


def said(text: str, words: str) -> Reply:
    return Reply((Speech(hum(text), words),))


def test_the_model_of_the_talk_reads_every_sentence_in_one_session(
    service: RealtimeService, brain: ReadsAloud, house: Path
) -> None:
    result = run("build")
    assert result.exit_code == 0, result.output
    assert f"{COUNT} sentences (de) by the voice marin are in" in result.output
    assert brain.texts == list(GERMAN.values())
    assert service.server.sessions_begun == 1
    [session] = service.server.sessions
    assert session.model == "gpt-realtime-2.1"
    config: dict[str, Any] = session.config
    assert config["audio"]["output"]["voice"] == "marin"
    assert config["audio"]["input"]["turn_detection"] is None
    assert config["tools"] == []
    assert "word for word" in brain.turns[0].instructions
    # Nothing that was read stays in the conversation, to be paid for again.
    assert max(turn.items_total for turn in brain.turns) == 1
    for name, text in GERMAN.items():
        assert Sentences("de").pcm24k(name) == hum(text)
    manifest = json.loads((house / "state" / "voice-pack" / "de" / "pack.json").read_text())
    assert (manifest["engine"], manifest["model"]) == ("realtime", "gpt-realtime-2.1")
    assert "0 of them are new" in run("build").output
    assert service.server.sessions_begun == 1  # nothing was left to ask for


@pytest.mark.usefixtures("service")
def test_another_voice_is_another_pack(brain: ReadsAloud) -> None:
    assert run("build").exit_code == run("build", "--voice", "cedar").exit_code == 0
    assert len(brain.texts) == 2 * COUNT
    voices = {turn.session["audio"]["output"]["voice"] for turn in brain.turns}
    assert voices == {"marin", "cedar"}
    assert "(cedar)" in run("list").output


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    "slip",
    [
        pytest.param(said(FIRST, f"Sure, here you go: {FIRST}"), id="a word of its own"),
        pytest.param(Reply((Speech(b"", FIRST),)), id="nothing"),
        pytest.param(
            Reply(
                (Speech(hum(FIRST), FIRST),),
                faults="incomplete_reason=content_filter,incomplete_count=1",
            ),
            id="cut off",
        ),
    ],
)
def test_a_sentence_that_was_not_read_as_it_stands_is_asked_for_once_more(
    brain: ReadsAloud, slip: Reply
) -> None:
    brain.slips[FIRST] = [slip]
    result = run("build")
    assert result.exit_code == 0, result.output
    assert brain.texts[:3] == [FIRST, FIRST, SECOND]
    assert Sentences("de").pcm24k(NAMES[0]) == hum(FIRST)


@pytest.mark.usefixtures("service")
def test_a_sentence_that_fails_twice_is_named_and_costs_no_other(
    brain: ReadsAloud, house: Path
) -> None:
    brain.slips[SECOND] = [said(SECOND * 9, SECOND)] * 2
    result = run("build")
    assert result.exit_code == 1
    assert f"{NAMES[1]} (" in result.output
    assert "s of sound are too many" in result.output
    assert f"{COUNT - 1} of {COUNT} sentences are recorded; the same command" in result.output
    assert not (house / "state" / "voice-pack" / "de").exists()
    assert len(brain.texts) == COUNT + 1
    result = run("build")
    assert result.exit_code == 0, result.output
    assert "1 of them are new" in result.output
    assert brain.texts[COUNT + 1 :] == [SECOND]


def test_a_session_that_dies_in_a_sentence_is_followed_by_another(
    service: RealtimeService, brain: ReadsAloud
) -> None:
    broken = Reply((Speech(hum(SECOND), SECOND),), faults="close_after_deltas=3,close_code=1006")
    brain.slips[SECOND] = [broken]
    result = run("build")
    assert result.exit_code == 0, result.output
    assert "Trying again in 1 s." in result.output
    assert waited == [1.0]
    assert service.server.sessions_begun == 2
    assert Sentences("de").pcm24k(NAMES[1]) == hum(SECOND)
    assert len(brain.texts) == COUNT + 1


def test_a_wrong_key_is_told_at_once(service: RealtimeService, house: Path) -> None:
    (house / "etc" / "openai_api_key").write_text("sk-test-another\n")
    result = run("build")
    assert result.exit_code == 69
    assert "does not accept the key" in result.output
    assert "sk-test-another" not in result.output
    assert (service.server.dials, waited) == (1, [])


def test_a_server_that_is_busy_is_asked_again(service: RealtimeService) -> None:
    service.server.faults.refuse_status, service.server.faults.refuse_count = 503, 2
    result = run("build")
    assert result.exit_code == 0, result.output
    assert len(waited) == 2


def test_a_server_that_stays_away_is_given_up(service: RealtimeService) -> None:
    service.server.faults.refuse_status = 503
    result = run("build")
    assert result.exit_code == 69
    assert len(waited) == 3


@pytest.mark.usefixtures("service")
def test_without_credit_it_stops_and_keeps_what_it_has(brain: ReadsAloud) -> None:
    brain.slips[SECOND] = [Reply((Speech(b"", ""),), faults="fail_code=insufficient_quota")]
    result = run("build")
    assert result.exit_code == 69
    assert "no credit left" in result.output
    assert f"1 of {COUNT} sentences are recorded" in result.output
    assert waited == []
    assert len(brain.texts) == 2


def test_without_a_key_nobody_is_dialled(service: RealtimeService, house: Path) -> None:
    (house / "etc" / "openai_api_key").unlink()
    result = run("build")
    assert result.exit_code == 69
    assert "mode 640)" in result.output
    assert service.server.dials == 0


@pytest.mark.usefixtures("service")
def test_what_the_service_does_not_take_is_told() -> None:
    result = run("build", "--voice", "nobody")
    assert "the service does not take voice" in result.output
