"""What is handed to somebody who helps holds no secret, and is whole where a part cannot be had.

Thread: the test's.  It must never ask the journal of the machine that it runs on.
"""

from __future__ import annotations

import stat
import sys
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.cli import main as cli
from edge_agent.cli.owner import support

KEY = "sk-proj-AbCdEf0123456789AbCdEf0123456789"


def invoke(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, words)
    return done.exit_code, done.output


def texts(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        found = {}
        for entry in archive:
            part = archive.extractfile(entry)
            assert part is not None
            found[Path(entry.name).name] = part.read().decode()
    return found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two verbs, and a program that says what it should not."""
    monkeypatch.setattr(
        support, "OURS", {"version.txt": ("version",), "settings.toml": ("config", "show")}
    )
    leak = (sys.executable, "-c", f"print('the key is {KEY}')")
    monkeypatch.setattr(support, "OTHERS", {"leak.txt": leak, "none.txt": ("no-such-program",)})
    monkeypatch.setattr(support, "FILES", {"os.txt": "/etc/os-release", "no.txt": "/none"})


def test_it_is_whole_private_and_without_keys(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del few
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    settings = tmp_path / "edge-agent.toml"
    settings.write_text('[realtime]\nvoice = "cedar"\n')
    file = tmp_path / "support.tar.gz"
    code, said = invoke("support", str(file), "-c", str(settings))
    assert code == 0, said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = texts(file)
    assert found["version.txt"].startswith("edge-agent ")
    assert 'voice = "cedar"' in found["settings.toml"]
    assert found["none.txt"] == "no-such-program is not on this machine\n"
    assert "No such file" in found["no.txt"]
    assert "the key is" in found["leak.txt"]
    assert not [name for name, text in found.items() if KEY in text]
    for name in found:
        assert name in said


def test_a_program_that_fails_says_how_it_ended() -> None:
    ended = support.asked([sys.executable, "-c", "import sys; print('so'); sys.exit(7)"])
    assert ended == "so\nexit code 7\n"


def test_a_place_that_cannot_be_written_is_told(few: None, tmp_path: Path) -> None:
    del few
    code, said = invoke("support", str(tmp_path / "none" / "x.tar.gz"))
    assert code == 1
    assert "cannot be written" in said


@pytest.mark.parametrize("verb", support.OURS.values(), ids=" ".join)
def test_every_verb_that_is_asked_is_one(verb: tuple[str, ...]) -> None:
    code, said = invoke(*verb, "--help")
    assert code == 0, said
    for option in verb:
        if option.startswith("--"):
            assert option in said
