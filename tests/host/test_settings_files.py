"""A file of settings that is no file, has no end or no bottom is a sentence and exit code 78."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.cli import main as cli
from edge_agent.host.price_list import ProvidersError, load_providers
from edge_agent.host.settings.files import (
    DEPTH_MAX,
    FILE_MAX_BYTES,
    UnreadableFile,
    read_bytes,
    read_toml,
)
from edge_agent.host.settings.load import SettingsError, load


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def a_text(text: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_text(text)

    return make


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (os.mkfifo, "is a pipe, not a file; put a plain file there"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "is a device, not a file"),
    "folder": (lambda path: path.mkdir(), "is a folder, not a file"),
    "socket": (a_socket, "is a socket, not a file"),
    "huge": (a_text("# much\n" * FILE_MAX_BYTES), "; nothing of this kind is"),
    "deep lists": (a_text("[listen]\nmode = " + "[" * 5000 + "]" * 5000), "is nested too deeply"),
    "deep keys": (a_text("[listen]\nmode" + ".a" * 5000 + " = 1\n"), "is nested too deeply"),
    "deep headers": (a_text("[listen" + ".a" * 5000 + "]\n"), "is nested too deeply"),
    "many digits": (a_text("[device]\nrate_hz = " + "9" * 5000), "a number that is too large"),
    "hexadecimal": (a_text("[device]\nrate_hz = 0x" + "f" * 5000), "a number that is too large"),
}
TABLES = ("edge-agent.toml", "config.d/10-bad.toml", "providers.toml")
PLACES = (*TABLES, "persona.toml", "key")


def settings_of(folder: Path, place: str) -> Path:
    main = folder / "edge-agent.toml"
    (folder / "config.d").mkdir()
    if place != main.name:
        names = {
            "providers.toml": f'[realtime]\nproviders_file = "{folder}/providers.toml"\n',
            "persona.toml": f'[realtime]\npersona = "{folder}/persona.toml"\n',
            "key": f'[realtime]\napi_key_file = "{folder}/key"\n',
        }
        main.write_text(names.get(place, ""))
    return main


CASES = [
    (kind, place)
    for kind in BAD
    for place in PLACES
    if place in TABLES or kind in ("pipe", "device", "huge")
]


@pytest.mark.parametrize(("kind", "place"), CASES)
def test_it_ends_with_78_and_says_which_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: str
) -> None:
    for name in ("OPENAI_API_KEY", "EDGE_AGENT_CONFIG", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    make, reason = BAD[kind]
    main = settings_of(tmp_path, place)
    make(tmp_path / place)
    result = CliRunner().invoke(cli.app, ["config", "check", "--config", str(main)])
    assert result.exit_code == 78, result.output
    assert str(tmp_path / place) in result.stderr
    assert reason in " ".join(result.stderr.split())
    assert len(result.stderr) < 1000


def test_what_settings_need_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("a" + ".a" * (DEPTH_MAX - 1) + f" = {2**63 - 1}\n", encoding="utf-8-sig")
    text, tree = read_toml(file)
    assert text.startswith("a.a")
    assert list(tree) == ["a"]
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    assert read_toml(link) == (text, tree), "an owner may keep settings elsewhere"
    with pytest.raises(UnreadableFile, match="longer than 5 bytes"):
        read_bytes(file, 5)


def test_a_pipe_that_takes_the_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, pipe = tmp_path / "plain", tmp_path / "pipe"
    plain.touch()
    os.mkfifo(pipe)
    mode = plain.stat()
    monkeypatch.setattr(Path, "stat", lambda _path: mode)  # as it was when it was looked at
    with pytest.raises(UnreadableFile, match="is a pipe"):
        read_bytes(pipe)


def test_an_environment_nested_too_deeply_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = tmp_path / "edge-agent.toml"
    main.touch()
    monkeypatch.setenv("EDGE_AGENT_LISTEN__WAKE_WORDS", "[" * 100_000)
    result = CliRunner().invoke(cli.app, ["config", "check", "--config", str(main)])
    assert result.exit_code == 78
    assert "EDGE_AGENT_LISTEN__WAKE_WORDS" in result.stderr


HEADERS = "[cnosent]\n#ask = true\n[listen]\n[relam]\n[mcp.servers]\n"
"""As the installer of another version leaves them: nothing below them counts."""


def test_an_empty_section_that_this_version_lacks_is_noted_and_not_refused(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text(HEADERS)
    loaded = load(file, environ={})
    noted = [warning for warning in loaded.warnings if "changes nothing" in warning]
    assert [note.partition(": there")[0] for note in noted] == [
        f"{file} line {line}: [{name}] is empty and changes nothing"
        for line, name in ((1, "cnosent"), (4, "relam"))
    ]
    for word in ('[relam]\nvoice = "x"\n', "[relam.voice]\n"):
        file.write_text(word)
        with pytest.raises(SettingsError, match=r"\[relam\]: there is no such section"):
            load(file, environ={})


def test_an_empty_table_of_providers_that_this_version_lacks_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text("[providers.openai]\n[providers.openai.of_another_version]\n[novelties]\n")
    assert load_providers(file).providers == load_providers(tmp_path / "none").providers
    file.write_text("[providers.openai.of_another_version]\nx = 1\n")
    with pytest.raises(ProvidersError, match="of_another_version: there is no such key"):
        load_providers(file)
