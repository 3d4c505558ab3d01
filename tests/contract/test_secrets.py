"""What looks like a key is hidden, and what is none stays as it is.

It must never hold a key that is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_agent.contract.hosts import is_loopback
from edge_agent.contract.secrets import HIDDEN, hide_keys, holds_a_key
from edge_agent.host.journal.journal import Journal
from edge_agent.host.settings.load import SettingsError, load
from edge_agent.realtime.protocol.faults import in_short

KEYS = [
    "sk-abcdefgh12345",
    "sk_live_1234",
    "ek_0123",
    "xai-0123456789",
    "pk-abcd",
    "rk_abcd",
    "sk-ab***yz",
    "Bearer abc.def",
    "bearer x",
    "BEARER\tabc",
]
HARMLESS = ["", "task-force", "sk-", "ask-me-anything", "skill", "xai", "the bearer", "ek-1"]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_hidden_and_the_words_around_it_stay(key: str) -> None:
    text = f"Incorrect key ({key}) was given"
    assert holds_a_key(text)
    found = hide_keys(text)
    assert found.startswith(f"Incorrect key ({HIDDEN}")
    assert found.endswith("was given")
    assert key not in found
    assert not holds_a_key(found)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_key_stays(text: str) -> None:
    assert not holds_a_key(text)
    assert hide_keys(text) == text


class Lines:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def write(self, _level: int, _text: str, _code: str, fields: Mapping[str, str]) -> bool:
        self.fields = dict(fields)
        return True


@pytest.mark.parametrize("key", KEYS)
def test_journal_link_and_settings_hide_the_same_keys(key: str, tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text(f"[speech]\nlanguage = {json.dumps(key)}\n")
    lines = Lines()
    Journal(lines).note("a.thing", name=key)
    with pytest.raises(SettingsError) as refused:
        load(file, environ={})
    for told in (lines.fields["name"], in_short(key), str(refused.value)):
        assert key not in told


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_known_by_its_address(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("192.168.1.5", "10.0.0.1", "::2", "", "example.com"),
        *("localhost.example.org", "127.0.0.1.example.org"),
    ],
)
def test_a_name_that_only_looks_like_this_machine_is_another(host: str) -> None:
    assert not is_loopback(host)
