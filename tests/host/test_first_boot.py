"""The example for a machine without a screen does what the project can do.

`cloud-init schema --config-file config/cloud-init/user-data` judges its form; it is Debian's and
not on every machine.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from edge_agent.host.settings.load import load

ROOT = Path(__file__).resolve().parents[2]
USER_DATA = ROOT / "config" / "cloud-init" / "user-data"


def test_it_is_taken_for_what_it_is() -> None:
    assert USER_DATA.read_text(encoding="utf-8").startswith("#cloud-config\n")


def test_its_settings_are_right(tmp_path: Path) -> None:
    [content] = re.findall(r"content: \|\n((?:      .*\n)+)", USER_DATA.read_text(encoding="utf-8"))
    file = tmp_path / "10-first-boot.toml"
    file.write_text(textwrap.dedent(content))
    assert load(file).origin("speech.language").startswith(str(file))


def test_it_runs_what_is_there_and_holds_no_key() -> None:
    text = USER_DATA.read_text(encoding="utf-8")
    [script] = re.findall(r"- \[/usr/local/src/edge-agent/(\S+)\]", text)
    assert (ROOT / script).stat().st_mode & 0o100
    assert "sk-" not in text
