"""Install and uninstall: what lands where, twice, and what is never touched."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from edge_agent.host.price_list import load_providers

REPO = Path(__file__).parents[2]
LAID_OUT = {
    "etc/edge-agent/edge-agent.toml",
    "etc/edge-agent/providers.toml",
    "etc/systemd/system/edge-agent.service",
    "etc/systemd/system/edge-agent-tools.service",
    "opt/edge-agent/edge-agent.toml",
    "opt/edge-agent/folders-made.txt",
    "opt/edge-agent/providers.toml",
    "opt/edge-agent/personas/README.md",
    "usr/local/bin/edge-agent",
    "usr/local/lib/systemd/catalog/edge-agent.catalog",
}
DOCUMENTS = {"opt/edge-agent/README.md", "opt/edge-agent/LICENSE"}


def script(name: str, *arguments: str, repo: Path = REPO) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(repo / "scripts" / name), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"]},
    )


def good(name: str, *arguments: str, repo: Path = REPO) -> str:
    answer = script(name, *arguments, repo=repo)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    return answer.stdout


def files(root: Path) -> set[str]:
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the installer reads, to be changed."""
    copy = tmp_path / "checkout"
    for name in ("scripts", "systemd", "config"):
        shutil.copytree(REPO / name, copy / name)
    return copy


def test_everything_lands_in_its_place_and_twice_is_once(root: Path) -> None:
    good("install.sh", "--root", str(root))
    first = {name: os.lstat(root / name).st_mode for name in files(root)}
    assert set(first) - DOCUMENTS == LAID_OUT
    good("install.sh", "--root", str(root))
    assert {name: os.lstat(root / name).st_mode for name in files(root)} == first
    for name in LAID_OUT - {"usr/local/bin/edge-agent"}:
        assert stat.S_IMODE(first[name]) == 0o644
    program = (root / "usr/local/bin/edge-agent").readlink()
    unit = (root / "etc/systemd/system/edge-agent.service").read_text()
    assert f"ExecStart={program} run" in unit


def test_installed_settings_name_every_key_and_pin_none(root: Path) -> None:
    good("install.sh", "--root", str(root))
    text = (root / "etc/edge-agent/edge-agent.toml").read_text()
    assert not any(tomllib.loads(text).values())
    chosen = re.sub(r"(?m)^#([a-z0-9_]+ = |\[\[)", r"\1", text)
    assert chosen == (REPO / "config/edge-agent.toml").read_text()


def test_installed_providers_change_nothing_until_somebody_edits_them(root: Path) -> None:
    good("install.sh", "--root", str(root))
    installed = root / "etc/edge-agent/providers.toml"
    assert load_providers(installed).providers == load_providers(root / "none").providers
    chosen = re.sub(r"(?m)^#([a-z0-9_]+ = |\[\[)", r"\1", installed.read_text())
    assert chosen == (REPO / "config/providers.toml").read_text()


def test_settings_and_key_are_never_overwritten(root: Path) -> None:
    etc = root / "etc/edge-agent"
    etc.mkdir(parents=True)
    (etc / "edge-agent.toml").write_text("# mine\n")
    (etc / "openai_api_key").write_text("key\n")
    (etc / "openai_api_key").chmod(0o644)
    good("install.sh", "--root", str(root))
    assert (etc / "edge-agent.toml").read_text() == "# mine\n"
    assert (etc / "openai_api_key").read_text() == "key\n"
    assert stat.S_IMODE((etc / "openai_api_key").stat().st_mode) == 0o640


def test_new_defaults_are_put_beside_changed_settings_once(root: Path, checkout: Path) -> None:
    etc = root / "etc/edge-agent"
    good("install.sh", "--root", str(root), repo=checkout)
    (etc / "edge-agent.toml").write_text("# mine\n")
    assert ".new" not in good("install.sh", "--root", str(root), repo=checkout)
    assert not (etc / "edge-agent.toml.new").exists()
    shipped = checkout / "config/edge-agent.toml"
    shipped.write_text(shipped.read_text() + "# a new default\n")
    said = good("install.sh", "--root", str(root), repo=checkout)
    assert "/etc/edge-agent/edge-agent.toml.new" in said
    assert (etc / "edge-agent.toml.new").read_text().endswith("# a new default\n")
    assert (etc / "edge-agent.toml").read_text() == "# mine\n"
    (etc / "edge-agent.toml.new").unlink()
    good("install.sh", "--root", str(root), repo=checkout)
    assert not (etc / "edge-agent.toml.new").exists()


def test_new_defaults_that_are_no_news_go_away(root: Path, checkout: Path) -> None:
    mine = root / "etc/edge-agent/edge-agent.toml"
    new = mine.with_name("edge-agent.toml.new")
    shipped = checkout / "config/edge-agent.toml"
    first = shipped.read_text()

    def install(text: str) -> str:
        shipped.write_text(text)
        return good("install.sh", "--root", str(root), repo=checkout)

    install(first)
    mine.write_text(mine.read_text().replace("#pre_roll_ms", "pre_roll_ms"))
    os.utime(mine, (1, 1))
    assert ".new" in install(first + "# another version\n")
    assert new.exists()
    assert ".new" not in install(first + "# another version\n"), "said once"
    assert new.exists(), "and kept until it is read"
    assert ".new" not in install(first), "back again: yours knows it all"
    assert not new.exists()
    install(first + "# another version\n")
    os.utime(new, (1, 1))
    mine.write_text(mine.read_text() + "# read it\n")
    assert ".new" not in install(first + "# another version\n")
    assert not new.exists(), "you have changed yours since"


def test_untouched_settings_follow_the_new_defaults(root: Path, checkout: Path) -> None:
    etc = root / "etc/edge-agent"
    good("install.sh", "--root", str(root), repo=checkout)
    shipped = checkout / "config/edge-agent.toml"
    shipped.write_text(shipped.read_text() + "# a new default\n")
    assert ".new" not in good("install.sh", "--root", str(root), repo=checkout)
    assert (etc / "edge-agent.toml").read_text().endswith("# a new default\n")
    assert not (etc / "edge-agent.toml.new").exists()


def test_a_command_of_somebody_else_stays(root: Path) -> None:
    command = root / "usr/local/bin/edge-agent"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    assert "somebody else's file" in good("install.sh", "--root", str(root))
    good("uninstall.sh", "--purge", "--root", str(root))
    assert files(root) == {"usr/local/bin/edge-agent"}


def test_uninstall_leaves_what_is_yours_and_purge_nothing(root: Path) -> None:
    good("install.sh", "--root", str(root))
    state = root / "var/lib/edge-agent/state.json"
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    good("uninstall.sh", "--root", str(root))
    yours = {"edge-agent.toml", "providers.toml"}
    assert files(root) == {*(f"etc/edge-agent/{n}" for n in yours), "var/lib/edge-agent/state.json"}
    good("uninstall.sh", "--root", str(root))
    good("uninstall.sh", "--root", str(root), "--purge")
    assert files(root) == set()
    good("uninstall.sh", "--root", str(root), "--purge")


@pytest.mark.parametrize("name", ["install.sh", "uninstall.sh"])
@pytest.mark.parametrize(
    "arguments",
    [["--nonsense"], ["--root"], ["--root", "relative"], ["--root", "/"], ["--root", "/nowhere"]],
)
def test_wrong_options_are_a_sentence(name: str, arguments: list[str]) -> None:
    answer = script(name, *arguments)
    assert answer.returncode == 2
    assert re.fullmatch(rf"{name}: .+\n", answer.stderr)
    assert answer.stdout == ""


@pytest.mark.parametrize("name", ["install.sh", "uninstall.sh"])
def test_help_is_the_head_of_the_script(name: str) -> None:
    text = good(name, "--help")
    assert f"sudo scripts/{name}" in text
    assert "source" not in text


def test_a_disk_that_cannot_be_written_is_a_sentence(root: Path) -> None:
    (root / "etc").write_text("in the way")
    answer = script("install.sh", "--root", str(root))
    assert answer.returncode != 0
    assert "etc" in answer.stderr


def test_no_yes_becomes_a_no_in_a_closed_pipe() -> None:
    """With pipefail, `program | grep -q` says no whenever grep has left before the program ends
    (seen: an installed service with a provider of its own was taken for one without a key)."""
    text = (REPO / "scripts/install.sh").read_text()
    assert not re.search(r"\|\s*grep -\w*q", text)
    function = re.search(r"(?ms)^prints\(\) \{$.*?^\}$", text)
    assert function
    # A megabyte after the first line is far more than a pipe holds.
    chatty = "chatty() { echo wanted; head -c 999999 /dev/zero | tr '\\0' '\\n'; }"
    for pattern, status in (("^wanted$", 0), ("other", 1)):
        play = f"set -euo pipefail; {function[0]}\n{chatty}\nprints '{pattern}' chatty"
        answer = subprocess.run(["bash", "-c", play], capture_output=True, text=True, check=False)
        assert (answer.returncode, answer.stderr) == (status, "")


def test_the_journal_takes_the_catalogue(tmp_path: Path) -> None:
    journalctl = shutil.which("journalctl")
    assert journalctl, "journalctl is missing; run: sudo apt-get install -y systemd"
    for folder in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(REPO / "systemd/edge-agent.catalog", tmp_path / "usr/lib/systemd/catalog")
    command = [journalctl, f"--root={tmp_path}"]
    subprocess.run([*command, "--update-catalog"], check=True, capture_output=True)
    answer = subprocess.run(
        [*command, "--list-catalog"], check=True, capture_output=True, text=True
    )
    from edge_agent.host.journal.catalog import message_id
    from edge_agent.host.journal.messages import MESSAGES

    listed = {line.split()[0] for line in answer.stdout.splitlines()}
    assert {message_id(code) for code in MESSAGES} <= listed


@pytest.mark.parametrize("name", ["install.sh", "uninstall.sh"])
@pytest.mark.parametrize("part", ["opt", "etc", "var/lib", "usr/local/bin"])
def test_a_folder_that_leads_back_to_the_running_system_is_refused(
    root: Path, tmp_path: Path, name: str, part: str
) -> None:
    """The options alone are run: nothing here could touch what they would let pass."""
    (root / part).parent.mkdir(parents=True, exist_ok=True)
    (root / part).symlink_to(f"/{part}")
    text = (REPO / "scripts" / name).read_text()
    guard, found, _ = text.partition("\nname_places\n")
    assert found
    (tmp_path / name).write_text(guard + "\necho passed\n")
    for library in (REPO / "scripts").glob("lib*.sh"):
        shutil.copy(library, tmp_path)
    (tmp_path / "scripts").symlink_to(tmp_path)
    command = ["bash", str(tmp_path / "scripts" / name), "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "leads to no part of it" in done.stderr
    (root / part).unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "passed\n"


@pytest.mark.parametrize(
    ("inside", "may_go"),
    [
        ((), True),
        (("setup.log",), True),
        (("pyvenv.cfg", "bin/python"), True),
        (("edge-agent.setup/unfinished",), True),
        (("thesis.txt",), False),
        (("setup.log", "thesis.txt"), False),
        (("sub/pyvenv.cfg",), False),
    ],
)
def test_only_a_virtual_environment_is_removed(
    tmp_path: Path, inside: tuple[str, ...], may_go: bool
) -> None:
    venv = tmp_path / "a folder"
    venv.mkdir()
    for name in inside:
        (venv / name).parent.mkdir(parents=True, exist_ok=True)
        (venv / name).touch()
    assert _is_venv(venv, home=tmp_path) is may_go
    assert not _is_venv(venv, home=venv), "not even a home with one in it"


def _is_venv(folder: Path, home: Path) -> bool:
    lib = REPO / "scripts/lib.sh"
    done = subprocess.run(
        ["bash", "-c", f'source "{lib}"; if is_venv; then echo yes; else echo no; fi'],
        env={"PATH": os.environ["PATH"], "EDGE_AGENT_VENV": str(folder), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout == "yes\n"


@pytest.mark.parametrize("name", ["install.sh", "demo.sh", "test.sh"])
def test_a_32_bit_system_is_refused_before_anything_is_done(tmp_path: Path, name: str) -> None:
    asked = tmp_path / "getconf"
    asked.write_text("#!/bin/sh\necho 32\n")
    asked.chmod(0o755)
    venv = tmp_path / "venv"
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "EDGE_AGENT_VENV": str(venv)}
    done = subprocess.run(
        [REPO / "scripts" / name], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (69, "")
    assert "this system has 32 bits, and edge-agent needs 64" in done.stderr
    assert not venv.exists()


@pytest.mark.parametrize("has_wheel", [True, False], ids=["wheel", "source"])
def test_gpio_support_is_built_only_where_there_is_no_wheel(
    tmp_path: Path, *, has_wheel: bool
) -> None:
    text = (REPO / "scripts" / "install.sh").read_text()
    function = text[text.index("install_gpio() {") : text.index("# Tool servers are an extra")]
    done = subprocess.run(
        ["bash", "-c", f'source "{REPO}/scripts/lib.sh"\n{STAND_INS}\n{function}\ninstall_gpio'],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "EDGE_AGENT_VENV": str(tmp_path),
            "PYTHON": "/usr/bin/python3",
            "HAS_WHEEL": "yes" if has_wheel else "",
        },
    )
    assert done.returncode == 0, done.stderr
    steps = done.stdout.split()
    assert steps == (["pip:wheel"] if has_wheel else ["pip:wheel", "apt:swig", "pip:source"])


STAND_INS = """
compgen() { true; }
quietly() { shift; "$@"; }
apt_install() { echo "apt:$1"; }
pip_install() {
    case " $* " in
    *" --only-binary lgpio "*) echo pip:wheel; [[ $HAS_WHEEL ]] ;;
    *" --no-binary lgpio "*) echo pip:source ;;
    *) echo pip:anything; [[ $HAS_WHEEL ]] ;;
    esac
}
"""
"""A machine with GPIO lines, on which the steps of an installation are only named."""
