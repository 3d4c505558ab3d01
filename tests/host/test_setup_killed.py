"""Set-up and installation on a machine of fakes: stopped in the middle, refused, taken back.

Steps of each kind are stopped here; `python tests/lab/killed.py` stops every one.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lab.killed import CARD, STOPPED, Machine

STOP_WORDS = "stopped; start it again whenever you like.\n"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine.bare(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def installed(bare: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The first version, which runs; the checkout holds the second."""
    machine = bare.copy(tmp_path_factory.mktemp("installed"))
    done = machine.run("install.sh")
    assert (done.status, machine.program()) == (0, "the first\nbuild\n"), done.said
    machine.version("the second")
    return machine


@pytest.fixture(scope="module")
def updated(installed: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = installed.copy(tmp_path_factory.mktemp("updated"))
    assert machine.run("install.sh").status == 0
    assert machine.runs() == "# of the second\nthe second\nbuild\n"
    return machine


def test_a_first_installation_that_is_stopped_again_and_again_is_finished_by_the_last(
    bare: Machine, installed: Machine, tmp_path: Path
) -> None:
    machine = bare.copy(tmp_path)
    said = []
    for step, by in (
        ("apt-get *install*", "INT"),
        ("dpkg *", "KILL"),
        ("python -m pip *run.txt", "INT"),
        ("python -m pip *source", "KILL"),
    ):
        stopped = machine.run("install.sh", kill_at=step, by=by)
        assert (stopped.status, bool(machine.killed_in())) == (STOPPED[by], True), stopped.said
        assert stopped.said.endswith(STOP_WORDS) == (by == "INT")
        said.append(stopped.said)
    assert ["dpkg --configure -a" in words for words in said] == [False, True, True, False]
    assert machine.run("install.sh").status == 0
    assert machine.problems(installed) == []


def test_an_update_that_is_stopped_leaves_a_program_and_is_finished_by_the_next(
    installed: Machine, updated: Machine, tmp_path: Path
) -> None:
    machine = installed.copy(tmp_path)
    for step in (
        "cp -al*",
        "mv *before.making*",
        "mv *venv.link*",
        "systemctl restart*",
        "rm -rf *venv.a",
    ):
        assert machine.run("install.sh", kill_at=step).status == STOPPED["KILL"]
        assert machine.program(), "after a power cut the speaker starts"
    assert machine.run("install.sh").status == 0
    assert machine.problems(updated) == []


def test_a_version_that_does_not_take_the_settings_changes_nothing(
    installed: Machine, tmp_path: Path
) -> None:
    machine = installed.copy(tmp_path)
    machine.version("not taken")
    refused = machine.run("install.sh")
    assert refused.status == 78
    assert refused.said.count("a mistake in your settings\n") == 1
    assert "(the first\nbuild) stays as it is and goes on running" in refused.said
    assert machine.problems(installed) == []


@pytest.mark.parametrize("killed", [False, True])
def test_a_version_that_does_not_start_gives_way_to_the_one_before(
    installed: Machine, tmp_path: Path, killed: bool
) -> None:
    machine = installed.copy(tmp_path)
    machine.version("does not start")
    if killed:  # and nobody was there to take it back
        assert machine.run("install.sh", kill_at="systemctl restart*").status == STOPPED["KILL"]
        assert machine.program().startswith("does not start")
    failed = machine.run("install.sh")
    assert failed.status == 69
    assert "the new version does not start, so the one before runs again" in failed.said
    assert machine.problems(installed) == []


def test_your_words_stay_when_a_version_is_taken_back(installed: Machine, tmp_path: Path) -> None:
    machine = installed.copy(tmp_path)
    machine.version("the third")
    machine.run("install.sh", kill_at="systemctl restart*")
    mine = machine.root / "etc/edge-agent/edge-agent.toml"
    mine.write_text("# mine\n")
    assert machine.run("install.sh").status == 0
    assert mine.read_text() == "# mine\n"


def test_a_program_of_before_there_were_versions_is_taken_over_and_given_back(
    installed: Machine, tmp_path: Path
) -> None:
    machine = installed.copy(tmp_path)
    opt = machine.root / "opt/edge-agent"
    (opt / "venv").unlink()
    (opt / "venv.a").rename(opt / "venv")
    machine.version("does not start")
    assert machine.run("install.sh").status == 69
    assert not (opt / "venv").is_symlink()
    assert machine.program() == "the first\nbuild\n"
    machine.version("the second")
    for step in ("mv *venv.old*", "systemctl restart*"):
        assert machine.run("install.sh", kill_at=step).status == STOPPED["KILL"]
    assert machine.run("install.sh").status == 0
    assert machine.program() == "the second\nbuild\n"
    assert sorted(path.name for path in opt.glob("venv*")) == ["venv", "venv.a"]


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh --purge"])
@pytest.mark.parametrize("origin", ["bare", "installed"])
def test_a_dry_run_says_much_and_changes_nothing(
    request: pytest.FixtureRequest, script: str, origin: str
) -> None:
    machine: Machine = request.getfixturevalue(origin)
    before = machine.tree()
    done = machine.run(*script.split(), "--dry-run")
    assert done.status == 0, done.said
    assert done.said.endswith("Nothing was changed.\n")
    assert [line for line in machine.did().splitlines() if "/tmp." not in line] == []
    assert machine.tree() == before
    if script == "install.sh":
        asked = "would install from Debian: gcc" in done.said
        assert (asked, "would write /etc/edge-agent/" in done.said) == ((origin == "bare"),) * 2
    else:
        assert ("would remove /opt/edge-agent\n" in done.said) == (origin == "installed")


def test_purge_leaves_nothing_and_names_what_stays(
    bare: Machine, installed: Machine, tmp_path: Path
) -> None:
    machine = installed.copy(tmp_path)
    (machine.root / "usr/local/lib/systemd/of-another").touch()
    assert machine.run("uninstall.sh").status == 0
    left = {"etc/edge-agent/debian-packages.txt", "usr/local/lib/systemd/of-another"}
    left |= {f"etc/edge-agent/{name}.toml" for name in ("edge-agent", "providers")}
    assert {name for name, what in machine.tree().items() if what != "folder"} == left
    gone = machine.run("uninstall.sh", "--purge")
    assert "stay, since others may use them: ca" not in gone.said
    assert "stay, since others may use them: gcc libc6-dev libsystemd-dev" in gone.said
    (machine.root / "usr/local/lib/systemd/of-another").unlink()
    # What was made is forgotten with the program; these were not empty then.
    kept = {"etc", "usr", "usr/local", "usr/local/lib", "usr/local/lib/systemd"}
    assert machine.tree().keys() - bare.tree().keys() <= kept
    assert not (machine.own / "account").exists()


def test_purge_takes_the_folders_that_it_made(
    bare: Machine, installed: Machine, tmp_path: Path
) -> None:
    machine = installed.copy(tmp_path)
    assert machine.run("uninstall.sh", "--purge").status == 0
    assert machine.tree() == bare.tree()


# ------------------------------------------------------------------------------- the demo's set-up


@pytest.mark.parametrize(
    ("step", "by"), [("apt-get *", "INT"), ("python -m pip *demo.txt", "KILL"), ("rm -rf*", "KILL")]
)
def test_a_set_up_that_was_stopped_is_made_good_by_the_next(
    bare: Machine, tmp_path: Path, step: str, by: str
) -> None:
    machine = bare.copy(tmp_path)
    if step == "rm -rf*":  # an environment of an older lock is cleared
        assert machine.run("demo.sh").status == 0
        (machine.folder / "venv/edge-agent.setup/demo").write_text("older\n")
    stopped = machine.run("demo.sh", kill_at=step, by=by)
    assert (stopped.status, bool(machine.killed_in())) == (STOPPED[by], True), stopped.said
    again = machine.run("demo.sh")
    assert again.status == 0, again.said
    assert (machine.folder / "venv/site/demo.txt").read_text() == "whole\n"
    assert machine.run("demo.sh").said == "", "now it is ready"


def test_all_that_is_missing_is_said_at_once_and_before_anything_is_done(
    bare: Machine, tmp_path: Path
) -> None:
    machine = bare.copy(tmp_path)
    (machine.own / "free-mb").write_text("100\n")
    venv = machine.folder / "venv"
    venv.write_text("in the way")
    done = machine.run("demo.sh")
    assert done.status == 2  # not ours to remove
    venv.unlink()
    done = machine.run("demo.sh")
    assert done.status == 69
    # The environment, pip's own, package lists and the compiler, on one disk.
    assert ": about 830 MB are needed in /, and 100 MB are free; make room" in done.said
    assert machine.did() == ""
    assert not venv.exists()
    (machine.folder / "venv.file").write_text("a file")
    done = machine.run("demo.sh", venv="venv.file/venv")
    assert done.status == 69
    assert [line.split()[0:2] for line in done.said.splitlines()[-2:]] == [
        ["cannot", "write"],
        ["about", "830"],
    ]
    assert 'EDGE_AGENT_VENV="$HOME/edge-agent-venv"' in done.said


def test_wheels_from_a_folder_are_all_that_is_used(bare: Machine, tmp_path: Path) -> None:
    machine = bare.copy(tmp_path)
    folder = tmp_path / "wheels"
    arguments = ("demo.sh", "--wheels", str(folder))
    assert "--wheels needs a folder" in machine.run(*arguments).said
    folder.mkdir()
    assert "no finished folder of wheels" in machine.run(*arguments).said
    (folder / "fits").write_text("Python 3.11 on that\n")
    done = machine.run(*arguments)
    assert done.status == 2
    assert "are for Python 3.11 on that" in done.said
    assert "on a machine like this (Python 3.12 on this)" in done.said
    assert not machine.did()
    machine.fitting(folder)
    done = machine.run(*arguments)
    assert done.status == 0, done.said
    pip = [line for line in machine.did().splitlines() if "pip install" in line]
    assert len(pip) == 3
    assert all(f"--no-index --find-links {folder}" in line for line in pip[:2])
    assert "--no-index --no-deps -e" in pip[2]
    assert "gcc" not in machine.did(), "nothing is compiled"


def test_without_a_network_the_packages_that_wheels_are_not_are_named(
    bare: Machine, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("W: Could not resolve 'archive'\n")
    code = f"""source {bare.checkout}/scripts/lib.sh; LOG={tmp_path}/log WHEELS=$1
        apt_failed "$(apt_line libportaudio2 python3.11-venv)" """
    said = [
        subprocess.run(
            ["bash", "-c", code, "demo.sh", wheels], capture_output=True, text=True, check=False
        )
        for wheels in ("", "/stick")
    ]
    assert [one.returncode for one in said] == [69, 69]
    assert "connect this machine to the internet" in said[0].stderr
    assert said[1].stderr.endswith("on this machine first: libportaudio2 python3.11-venv\n")


def test_a_card_that_was_half_given_to_the_speaker_is_its_own_after_the_next_run(
    installed: Machine, tmp_path: Path
) -> None:
    machine = installed.copy(tmp_path)
    rule, settings = (
        "etc/udev/rules.d/90-edge-agent-card.rules",
        "etc/edge-agent/config.d/card.toml",
    )
    stopped = machine.run("install.sh", "--card", CARD, kill_at="*own_card*")
    assert (stopped.status, "own_card" in machine.killed_in()) == (STOPPED["KILL"], True)
    assert (rule in machine.tree(), settings in machine.tree()) == (True, False)
    done = machine.run("install.sh", "--card", CARD)
    assert done.status == 0, done.said
    assert f'capture_device = "{CARD}"' in machine.tree()[settings]
