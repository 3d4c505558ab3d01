"""`voice-pack` by the speech endpoint, where `speech.tts_model` names one: forty sentences, each
asked for once, and never a worse pack than before."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from speech_service import KEY, SOUND, Handler, SpeechService, tone
from typer.testing import CliRunner, Result

from edge_agent.cli.voice import patience, speech, voice_pack
from edge_agent.contract.errors import LinkBusy, LinkError, LinkLost, LinkRefused
from edge_agent.host.settings.root import Settings
from edge_agent.host.voice.pack_store import Pack, PackError, Recipe
from edge_agent.host.voice.sentences import Sentences

GERMAN = Sentences("de").texts
COUNT = len(GERMAN)


@pytest.fixture(autouse=True)
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: settings, state, no key in the environment, no waiting."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(speech, "CREDENTIAL_FOLDER", tmp_path / "etc")
    monkeypatch.setattr(patience, "_wait", waited.append)
    monkeypatch.setenv("EDGE_AGENT_SPEECH__TTS_MODEL", "gpt-4o-mini-tts")
    waited.clear()
    return tmp_path


waited: list[float] = []


@pytest.fixture
def service(house: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpeechService]:
    with SpeechService() as running:
        (house / "etc").mkdir()
        (house / "etc" / "openai_api_key").write_text(KEY + "\n")
        configure(house, monkeypatch, f'[speech]\nlanguage = "de"\n{near(running)}')
        yield running


def near(service: SpeechService) -> str:
    return f'[realtime]\nurl = "{service.base.replace("http", "ws")}/realtime"\n'


def configure(house: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (house / "edge-agent.toml").write_text(text)
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(house / "edge-agent.toml"))


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.add_typer(voice_pack.app, name="voice-pack")
    result = CliRunner().invoke(app, ["voice-pack", *arguments], env={"COLUMNS": "100"})
    assert KEY not in result.output
    return result


def test_the_providers_voice(service: SpeechService, house: Path) -> None:
    result = run("build")
    assert result.exit_code == 0, result.output
    assert f"{COUNT} sentences (de) by the voice marin are in" in result.output
    assert [r["json"]["input"] for r in service.requests] == list(GERMAN.values())
    assert {r["json"]["voice"] for r in service.requests} == {"marin"}
    assert {r["json"]["model"] for r in service.requests} == {"gpt-4o-mini-tts"}
    folder = house / "state" / "voice-pack" / "de"
    assert {f.stem for f in folder.glob("*.wav")} == set(GERMAN)
    assert oct((folder / "muted.wav").stat().st_mode)[-3:] == "644"
    assert oct(folder.stat().st_mode)[-3:] == "755"
    # The daemon hears it without being told anything.
    assert Sentences("de").pcm24k("link.lost") == SOUND
    assert "* de  " in run("list").output
    assert f"{COUNT} in your own pack (marin)" in run("list").output


def test_the_sentences_are_in_the_voice_of_the_persona(
    service: SpeechService, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = house / "mine.toml"
    mine.write_text('voice = "id:voice_1"\n[role]\nrole = "A voice."\n')
    text = f'[speech]\nlanguage = "de"\n{near(service)}persona = "{mine}"\n'
    configure(house, monkeypatch, text)
    assert "by the voice id:voice_1 are in" in run("build").output
    assert [r["json"]["voice"] for r in service.requests] == [{"id": "voice_1"}] * COUNT


def test_a_second_build_asks_for_nothing(service: SpeechService) -> None:
    run("build")
    result = run("build")
    assert "0 of them are new" in result.output
    assert len(service.requests) == COUNT
    run("build", "--voice", "cedar")
    assert len(service.requests) == 2 * COUNT
    assert "(cedar)" in run("list").output
    run("build", "--voice", "marin")  # the first voice is still in the cache
    assert len(service.requests) == 2 * COUNT
    assert "(marin)" in run("list").output


def test_the_manner_and_the_speed_are_the_settings(
    service: SpeechService, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("build")
    shipped = Settings().speech.voice_pack_manner
    assert {request["json"]["instructions"] for request in service.requests} == {shipped}
    assert all("speed" not in request["json"] for request in service.requests)
    assert "older than" not in run("list").output
    manner, speed = "speech.voice_pack_manner", "realtime.speed"
    monkeypatch.setenv("EDGE_AGENT_SPEECH__VOICE_PACK_MANNER", "Whisper.")
    monkeypatch.setenv("EDGE_AGENT_REALTIME__SPEED", "1.2")
    words = f"your pack is older than {manner} and {speed} in the settings; run: edge-agent"
    assert words in " ".join(run("list").output.split())
    assert json.loads(run("list", "--json").stdout)["de"]["other_settings"] == [manner, speed]
    assert run("build").exit_code == 0
    asked = [request["json"] for request in service.requests[COUNT:]]
    assert len(asked) == COUNT
    assert {(one["instructions"], one["speed"]) for one in asked} == {("Whisper.", 1.2)}
    assert "older than" not in run("list").output
    monkeypatch.setenv("EDGE_AGENT_SPEECH__VOICE_PACK_MANNER", "")
    assert f"older than {manner} in the settings" in " ".join(run("list").output.split())
    monkeypatch.delenv("EDGE_AGENT_SPEECH__VOICE_PACK_MANNER")
    monkeypatch.delenv("EDGE_AGENT_REALTIME__SPEED")
    run("build")  # the first recordings are still in the cache
    assert len(service.requests) == 2 * COUNT
    # A pack from before the speed was written down was spoken at 1.
    manifest = house / "state" / "voice-pack" / "de" / "pack.json"
    entry = json.loads(manifest.read_text())
    del entry["speed"]
    manifest.write_text(json.dumps(entry))
    assert "older than" not in run("list").output


def test_another_language_and_folder(
    service: SpeechService, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = house / "mine"
    configure(house, monkeypatch, f'[speech]\nvoice_pack_dir = "{own}"\n{near(service)}')
    result = run("build", "--language", "fr-CA")
    assert result.exit_code == 0, result.output
    assert 'set speech.language = "fr"' in result.output
    assert Sentences("fr", own=own).pcm24k("muted") == SOUND
    assert run("build", "-l", "it", "--engine", "espeak").exit_code == 0
    rows = json.loads(run("list", "--json").stdout)
    assert rows["fr"]["heard"] == {"own": COUNT}
    assert rows["it"]["voice"] == "espeak"
    assert rows["en"]["heard"] == {"shipped": COUNT}
    assert rows["es"]["heard"] == {"english": COUNT}


@pytest.mark.usefixtures("service")
def test_a_text_that_has_changed_is_out_of_date(house: Path) -> None:
    run("build")
    manifest = house / "state" / "voice-pack" / "de" / "pack.json"
    entry = json.loads(manifest.read_text())
    entry["texts"]["muted"] = "Früher einmal."
    manifest.write_text(json.dumps(entry))
    assert "1 of your pack are out of date" in run("list").output
    assert Sentences("de").pcm24k("muted") != SOUND
    assert run("build").exit_code == 0
    assert Sentences("de").pcm24k("muted") == SOUND


# --- when it does not go well -----------------------------------------------------------


def test_it_goes_on_where_it_broke_off(service: SpeechService, house: Path) -> None:
    quota = lambda h: h.error(429, "No money", "insufficient_quota")  # noqa: E731
    service.answers = [Handler.answer] * 5 + [quota]
    result = run("build")
    assert result.exit_code == 69
    assert "no credit left" in result.output
    assert "billing page" in result.output
    assert f"5 of {COUNT} sentences are recorded; the same command goes on there" in result.output
    assert len(service.requests) == 6
    assert waited == []
    assert not (house / "state" / "voice-pack" / "de").exists()
    result = run("build")
    assert f"{COUNT - 5} of them are new" in result.output
    assert len(service.requests) == COUNT + 1


def test_a_failed_build_leaves_the_old_pack(service: SpeechService, house: Path) -> None:
    run("build", "--engine", "espeak")
    before = Sentences("de").pcm24k("muted")
    service.answers = [lambda h: h.error(401, f"Wrong: {KEY}", "invalid_api_key")]
    result = run("build")
    assert result.exit_code == 69
    assert "does not accept the key" in result.output
    assert Sentences("de").pcm24k("muted") == before
    assert [f.name for f in (house / "state" / "voice-pack").iterdir() if "new" in f.name] == []


def test_it_waits_as_long_as_it_is_told(service: SpeechService) -> None:
    service.answers = [
        lambda h: h.error(429, "Slow down", "rate_limit_exceeded", Retry_After="7"),
        lambda h: h.error(500, "Oh", "server_error"),
        lambda h: h.connection.close(),
    ]
    result = run("build")
    assert result.exit_code == 0, result.output
    assert waited == [7.0, 2.0, 4.0]
    assert "Trying again in 7 s." in result.output


def test_it_does_not_wait_for_ever(service: SpeechService) -> None:
    service.answers = [lambda h: h.error(503, "Down", None) for _ in range(9)]
    assert run("build").exit_code == 69
    assert waited == [1.0, 2.0, 4.0]
    assert len(service.requests) == 4
    service.answers = [lambda h: h.error(429, "Tomorrow", None, Retry_After="86400")]
    result = run("build")
    assert "Try again in 86400 s" in result.output
    assert len(waited) == 3


@pytest.mark.parametrize(
    ("problem", "pauses"),
    [
        (LinkLost("a", code="link.dns"), [1.0, 2.0, 4.0]),
        (LinkLost("a", code="link.garbage"), []),
        (LinkRefused("a", code="link.bad_key"), []),
        (LinkBusy("a", retry_after_s=0.0), [1.0, 2.0, 4.0]),
        (LinkBusy("a", retry_after_s=91.0), []),
    ],
)
def test_where_a_pause_helps(problem: LinkError, pauses: list[float]) -> None:
    def speak(_text: str) -> bytes:
        raise problem

    heard: list[float] = []
    with pytest.raises(LinkError):
        voice_pack.patient(speak, heard.append)("x")
    assert heard == pauses


def test_without_a_key(service: SpeechService, house: Path) -> None:
    (house / "etc" / "openai_api_key").unlink()
    result = run("build")
    assert result.exit_code == 69
    assert "no key" in result.output
    assert "mode 640)" in result.output
    assert service.requests == []
    assert run("build", "--engine", "espeak").exit_code == 0  # needs none


@pytest.mark.usefixtures("service")
def test_an_unreadable_key_names_sudo(house: Path) -> None:
    file = house / "etc" / "openai_api_key"
    file.unlink()
    file.mkdir()  # what even root cannot read as a file
    result = run("build")
    assert result.exit_code == 69
    assert "sudo" in result.output


@pytest.mark.usefixtures("service")
def test_the_key_of_the_environment_is_taken(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (house / "etc" / "openai_api_key").write_text("sk-wrong")
    monkeypatch.setenv("EDGE_AGENT_REALTIME__API_KEY", KEY)
    assert run("build").exit_code == 0


@pytest.mark.usefixtures("service")
def test_a_language_without_catalogue() -> None:
    result = run("build", "--language", "tlh")
    assert result.exit_code == 1
    assert 'no sentences in "tlh"' in result.output
    assert "There are: de, en, es, fr, it." in result.output


def test_without_espeak(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(house, monkeypatch, "")
    monkeypatch.setenv("PATH", str(house))
    result = run("build", "-l", "de", "--engine", "espeak")
    assert result.exit_code == 1
    assert "apt-get install -y espeak-ng" in result.output


def test_an_address_in_the_clear_is_refused(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(house, monkeypatch, '[speech]\napi_url = "http://tts.example/v1"\n')
    result = run("build")
    assert result.exit_code == 78
    assert "not encrypted" in result.output


# --- the disk ---------------------------------------------------------------------------


def test_a_full_disk_is_told_and_leaves_no_halves(tmp_path: Path) -> None:
    root = tmp_path / "packs"
    pack, recipe = Pack(root, "de"), Recipe("x", "de")
    texts = {"a": "one", "b": "two", "c": "three"}
    (root / ".cache").mkdir(parents=True)
    # The kernel itself refuses what is written into this device, for want of space.
    part = f"{recipe.key('three')}.wav.{os.getpid()}.part"
    (root / ".cache" / part).symlink_to("/dev/full")
    with pytest.raises(PackError, match=f"The disk is full: no recording .* {root}"):
        pack.build(texts, recipe, lambda _text: SOUND)
    assert [path.name for path in root.iterdir()] == [".cache"]
    names = {path.name for path in (root / ".cache").iterdir()}
    assert names == {f"{recipe.key(text)}.wav" for text in ("one", "two")}


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PackError, match="Nothing can be written"):
        Pack(tmp_path / "file", "de").build({}, Recipe("x", "de"), lambda _text: b"")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_arguments: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number))

    # Root may write anywhere, and what is read-only differs from machine to machine.
    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(PackError, match="may not write") as error:
        Pack(tmp_path / "packs", "de").build({}, Recipe("x", "de"), lambda _text: b"")
    assert "sudo" in error.value.fix


def test_the_daemon_can_read_what_a_careful_root_made(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        pack = Pack(tmp_path / "packs", "de")
        pack.build({"a": "one"}, Recipe("x", "de"), lambda _text: SOUND)
    finally:
        os.umask(before)
    modes = {f.name: f.stat().st_mode & 0o777 for f in [*pack.folder.iterdir(), pack.folder]}
    assert modes == {"a.wav": 0o644, "pack.json": 0o644, "de": 0o755}
    assert (tmp_path / "packs").stat().st_mode & 0o777 == 0o755


def test_a_broken_recording_in_the_cache_is_made_again(tmp_path: Path) -> None:
    said: list[str] = []

    def speak(text: str) -> bytes:
        said.append(text)
        return tone(0.2)

    pack, recipe = Pack(tmp_path, "de"), Recipe("x", "de")
    pack.build({"a": "one", "b": "two"}, recipe, speak)
    (tmp_path / ".cache" / f"{recipe.key('one')}.wav").write_bytes(b"RIFF")
    pack.build({"a": "one", "b": "two"}, recipe, speak)
    assert said == ["one", "two", "one"]
    assert pack.pcm24k("a") == tone(0.2)


def test_a_recording_depends_on_all_of_its_recipe() -> None:
    recipes = [
        Recipe("a", "b", "c", "d", "e"),
        Recipe("a", "b", "c", "d"),
        Recipe("a", "b", "cd"),
        Recipe("ab", "c", "d"),
    ]
    assert len({recipe.key("x") for recipe in recipes}) == len(recipes)
    assert recipes[0].key("x") != recipes[0].key("y")
