"""Other people's secrets in small files: taken whole, never repeated in a complaint."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.contract.errors import ConfigError
from edge_agent.host.secret_files import (
    FILE_MAX_BYTES,
    NOT_A_KEY,
    KeySource,
    is_open_to_others,
    read_headers,
    read_token,
    read_variables,
)
from edge_agent.host.settings.load import SettingsError, load

SECRET = "hunter2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def test_a_token_is_taken_without_its_line_end(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbft0ken\r\n")
    assert read_token(file) == "t0ken"


def test_headers_and_variables(file: Path) -> None:
    file.write_text("# mine\n\nX-Key: a:b = c\n  Accept-Language:de\n")
    assert read_headers(file) == {"X-Key": "a:b = c", "Accept-Language": "de"}
    file.write_text("HASS_TOKEN=a=b\nNAME = ü \n")
    assert read_variables(file) == {"HASS_TOKEN": "a=b", "NAME": "ü"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f"{SECRET}".encode(), "line 1 is no name:value"),
        (f"a b: {SECRET}".encode(), "line 1 is no name:value"),
        (f"ok: 1\nX: {SECRET}\x07".encode(), "line 2 holds a strange letter"),
        (f"X: {SECRET}ü".encode(), "line 1 holds a strange letter"),
        (b"\xff\xfe", "is not text"),
        (f"X: {SECRET}\0".encode(), "is not text"),
        (b"x" * (FILE_MAX_BYTES + 1), "is longer than"),
    ],
)
def test_what_cannot_be_a_header_is_refused(file: Path, content: bytes, why: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_headers(file)
    assert why in str(caught.value)
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_second_header_cannot_be_smuggled_in(file: Path) -> None:
    file.write_text("t0ken\nX-Evil: 1")
    with pytest.raises(ConfigError, match="more than a token"):
        read_token(file)


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder, not a file"):
        read_token(tmp_path)


def test_who_may_read_it_is_known(file: Path) -> None:
    assert not is_open_to_others(file)
    file.write_text("x")
    file.chmod(0o600)
    assert not is_open_to_others(file)
    file.chmod(0o640)
    assert is_open_to_others(file)


@pytest.mark.parametrize(("mode", "is_open"), [(0o640, False), (0o644, True), (0o604, True)])
def test_the_services_own_group_may_read_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_open: bool
) -> None:
    file.write_text("x")
    file.chmod(mode)
    monkeypatch.setattr("grp.getgrgid", lambda _gid: SimpleNamespace(gr_name="edge-agent"))
    assert is_open_to_others(file) is is_open


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "is not text"),
        (b"key\0", "is not text"),
        (b"x" * (FILE_MAX_BYTES + 1), "is longer than"),
    ],
    ids=["no text", "a zero", "too long"],
)
def test_all_who_read_a_secret_take_and_refuse_the_same(
    file: Path, content: bytes, words: str
) -> None:
    file.write_bytes(b"\xef\xbb\xbf k3y \n")
    assert read_token(file) == load_key(file) == "k3y"
    assert KeySource("", str(file))() == "k3y"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_token(file)
    with pytest.raises(ConfigError, match=words):
        read_headers(file)
    with pytest.raises(SettingsError, match=words):
        load_key(file)
    assert KeySource("", str(file))() == NOT_A_KEY


def load_key(file: Path) -> str:
    config = file.with_name("edge-agent.toml")
    config.write_text(f"[realtime]\napi_key_file = {json.dumps(str(file))}\n")
    return load(config, environ={}).settings.realtime.api_key.get_secret_value()
