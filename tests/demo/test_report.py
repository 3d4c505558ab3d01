"""The report can be read by everybody, and is whole or not there.

Thread: the test's, virtual time.  A browser and axe-core judge the
page in `scripts/interop.sh axe`.
"""

from __future__ import annotations

import errno
import io
import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from rich.console import Console

from edge_agent.contract.errors import AgentError
from edge_agent.demo import main
from edge_agent.demo.acts import ACTS
from edge_agent.demo.run import make_folder
from edge_agent.demo.show import style

Usage = namedtuple("Usage", "total used free")


def play(folder: Path) -> str:
    text = io.StringIO()
    acts = tuple(act for act in ACTS if act.key in ("not_called", "one_breath", "answer"))
    assert main(fast=True, out=folder, acts=acts, console=Console(file=text, width=100)) == 0
    return text.getvalue()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What the terminal said, and the page."""
    folder = tmp_path_factory.mktemp("report")
    said = play(folder)
    return said, (folder / "report.html").read_text(encoding="utf-8")


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2.2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_contrast_is_measured_right() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#7b8794", "#ffffff") == pytest.approx(3.66, abs=0.01)


@pytest.mark.parametrize("colours", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_words_stand_out_from_the_paper(colours: dict[str, str]) -> None:
    for name in style.WORDS:
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
        if name in ("ink", "bad"):
            assert contrast(colours[name], colours["wrong"]) >= 4.5, name


def test_states_are_dark_words_on_light_bands() -> None:
    for state, fill in style.STATES.items():
        assert contrast(style.INK, fill) >= 4.5, state


def test_day_and_night_have_the_same_colours() -> None:
    assert style.LIGHT.keys() == style.DARK.keys()


def test_every_button_says_what_it_plays(played: tuple[str, str]) -> None:
    names = re.findall(r'<button[^>]*aria-label="([^"]*)"', played[1])
    assert len(names) == played[1].count("<button")
    assert "Listen to act 3: It answers" in names
    assert "Listen to act 2: Asked in one breath" in names


def test_what_was_said_and_answered_stands_in_words(played: tuple[str, str]) -> None:
    said, page = played
    for words in ("Okay Nabu, what time is it in Lisbon?", "It is ten past nine in Lisbon."):
        assert words in page.partition("What was said")[2]
        assert words in said


def test_the_screen_says_how_to_open_it(played: tuple[str, str]) -> None:
    assert re.search(r"open file:///\S+/report\.html in a browser", played[0])


def test_a_table_has_named_heads(played: tuple[str, str]) -> None:
    assert "<th></th>" not in played[1]
    heads = re.findall(r"<th\b[^>]*>", played[1])
    assert heads
    assert all("scope=" in head for head in heads)


# --- where it cannot be kept --------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_told_before_the_play(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AgentError, match="cannot be written") as told:
        make_folder(tmp_path / "file" / "demo")
    assert "--out" in told.value.fix
    with pytest.raises(AgentError, match="cannot be written"):
        main(fast=True, out=Path("/proc/nowhere"), acts=(), console=Console(file=io.StringIO()))


def test_a_full_disk_is_told_before_the_play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(100, 98, 2 * 2**20))
    with pytest.raises(AgentError, match="2 MiB left"):
        make_folder(tmp_path)


def test_a_disk_that_fills_up_leaves_the_old_report_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edge_agent.demo.run.write_report", lambda *_a, **_k: "another page")
    monkeypatch.setattr("edge_agent.demo.run.write_sound", full)
    monkeypatch.setattr("edge_agent.demo.run.draw_picture", full)
    with pytest.raises(AgentError, match="No space left"):
        play(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
