"""The repository keeps its promises to a fresh machine: locks, scripts, licence.

It must never use the network or touch `.venv`: set-up is judged on a folder of its own, with a
Python that is already there.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
SCRIPTS = sorted([*(ROOT / "scripts").glob("*.sh"), ROOT / ".ci" / "run"])
# Which extras of pyproject.toml each lock holds; `None` stands for the plain dependencies.
CONTENTS: dict[str, list[str | None]] = {
    "run": [None],
    "demo": [None, "demo"],
    "mcp": [None, "mcp"],
    "dev": [None, "demo", "mcp", "dev"],
    "pi": ["pi"],
}

COMES_ALONG = {"pydantic_core", "anyio", "httpx2", "mcp_types"}
"""Modules that are a part of the interface of another: of pydantic's, and of the MCP SDK's."""


def read_lock(path: Path) -> dict[str, tuple[Requirement, frozenset[str]]]:
    """Name -> (requirement, hashes) of every package in a lock file."""
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
    locked = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            spec, *hashes = re.split(r"\s+--hash=", line.strip())
            requirement = Requirement(spec)
            locked[requirement.name] = (requirement, frozenset(hashes))
    return locked


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_lock_is_versions_and_hashes_only(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(
            r"#.*"
            r"|[a-z0-9][a-z0-9._-]*==[^\s\\@/]+( ; [^\\@/]+)? \\"
            r"|    --hash=sha256:[0-9a-f]{64}( \\)?",
            line,
        ), f"{path.name}: {line}"
        assert "//" not in line, f"{path.name} names a host: {line}"
    for requirement, hashes in read_lock(path).values():
        assert hashes, f"{path.name}: {requirement} has no hash"


def test_every_lock_is_known() -> None:
    assert {path.stem for path in LOCKS} == {*CONTENTS, "build"}


@pytest.mark.parametrize("name", CONTENTS)
def test_lock_satisfies_the_project(name: str) -> None:
    locked = read_lock(ROOT / "requirements" / f"{name}.txt")
    for extra in CONTENTS[name]:
        listed = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
        for text in listed:
            wanted = Requirement(text)
            assert wanted.name in locked, f"{name}.txt lacks {wanted}; run scripts/lock.sh"
            (version,) = locked[wanted.name][0].specifier
            assert wanted.specifier.contains(version.version, prereleases=True), (
                f"{name}.txt has {locked[wanted.name][0]}, {wanted} is asked for"
            )


def test_smaller_locks_are_parts_of_larger_ones() -> None:
    run, demo, dev = (read_lock(ROOT / "requirements" / f"{n}.txt") for n in ("run", "demo", "dev"))
    assert run.items() <= demo.items()
    assert demo.items() <= dev.items()
    assert run.items() <= read_lock(ROOT / "requirements" / "mcp.txt").items() <= dev.items()
    build = read_lock(ROOT / "requirements" / "build.txt")
    for name in build.keys() & dev.keys():
        assert build[name] == dev[name], "set-up would install it twice"


def test_what_is_imported_is_named_as_a_dependency() -> None:
    named = {
        Requirement(text).name
        for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
        for text in texts
    }
    makers = packages_distributions()
    for path in (ROOT / "edge_agent").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules = [node.module]
            for module in {one.partition(".")[0] for one in modules}:
                if module in sys.stdlib_module_names or module in ("edge_agent", *COMES_ALONG):
                    continue
                makes = {one.lower().replace("_", "-") for one in makers.get(module, [module])}
                assert makes & named, f"{path.name} imports {module}, which is not named"


def test_every_dependency_has_a_reason() -> None:
    inside = False
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            inside = line in ("[project]", "[project.optional-dependencies]")
        if inside and re.search(r'"[a-z][\w-]*(\[\w+\])?>=', line):
            assert re.search(r"# \w+", line), f"no reason beside {line.strip()}"


def test_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["license"] == "Apache-2.0"


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_document_is_there(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) > 10


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_is_sound(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)
    if not path.name.startswith("lib"):
        assert os.access(path, os.X_OK), f"{path.name} is not executable"
        assert path.read_text(encoding="utf-8").startswith("#!")


def test_what_sets_up_runs_in_what_was_set_up() -> None:
    """Where everything is ready, `setup` looks for no Python, and leaves `$PYTHON` unset."""
    for path in SCRIPTS:
        text = path.read_text(encoding="utf-8")
        if re.search(r"^ *setup \w+", text, re.MULTILINE) and "find_python" not in text:
            ran = [line for line in text.splitlines() if re.match(r' *(exec )?"\$PYTHON"', line)]
            assert not ran, f"{path.name}: {ran}"


# ---------------------------------------------------------------------------------- set-up


def lib(code: str, venv: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `code` after sourcing lib.sh, with its venv in a folder of this test."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "CI")}
    return subprocess.run(
        ["bash", "-c", f'source "{ROOT}/scripts/lib.sh"\n{code}'],
        env={**clean, "EDGE_AGENT_VENV": str(venv), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """What a finished `setup demo` leaves, as far as the set-up itself looks at it."""
    venv = tmp_path / "a venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    code = """
    mkdir -p "$STATE"
    lock_hash demo >"$STATE/demo"
    project_hash >"$STATE/project"
    echo "$ROOT $VENV $(python_version "$VENV/bin/python")" >"$STATE/home"
    """
    assert lib(code, venv).returncode == 0
    return venv


def state(venv: Path, profile: str = "demo", **env: str) -> str:
    done = lib(f"venv_state {profile}", venv, **env)
    assert done.stderr == ""
    return done.stdout.strip()


def test_finished_setup_is_ready_at_once(venv: Path) -> None:
    assert state(venv, "demo") == "ready"
    assert state(venv, "run") == "ready", "a larger profile serves a smaller one"
    assert lib("setup demo", venv).stdout == "", "nothing to do is nothing to say"


def test_larger_profile_is_added(venv: Path) -> None:
    assert state(venv, "dev") == "add"


def test_changed_project_file_is_installed_again(venv: Path) -> None:
    (venv / "edge-agent.setup" / "project").write_text("another\n")
    assert state(venv) == "add"


@pytest.mark.parametrize("fact", ["unfinished", "demo", "home"])
def test_half_made_or_outdated_venv_is_made_anew(venv: Path, fact: str) -> None:
    (venv / "edge-agent.setup" / fact).write_text("another\n")
    assert state(venv) == "make"


def test_venv_without_its_python_is_made_anew(venv: Path) -> None:
    (venv / "bin" / "python").unlink()
    assert state(venv) == "make"


@pytest.mark.parametrize("python", ["/bin/false", "/nowhere/python3"])
def test_wrong_python_is_one_sentence(python: str, tmp_path: Path) -> None:
    done = lib("setup run", tmp_path / "venv", PYTHON=python)
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    assert python in done.stderr
    assert not (tmp_path / "venv").exists()


def test_old_python_is_one_sentence(tmp_path: Path) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        fake = tmp_path / name
        fake.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\nexit 0\n')
        fake.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    # The distribution's own is asked for by its full path as well; hide it.
    code = """
    eval "real_$(declare -f python_version)"
    python_version() { [[ $1 == /usr/* ]] || real_python_version "$1"; }
    setup run
    """
    done = lib(code, tmp_path / "venv", PATH=path)
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    assert "3.9.2" in done.stderr


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "not the one that was locked"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("NewConnectionError: Failed to establish a new connection", "connect this machine"),
        ("portaudio.h:1: fatal error: no such file", "could not be compiled"),
        ("ERROR: Operation cancelled by user", "start it again"),
        ("Traceback (most recent call last):", "could not be installed"),
    ],
)
def test_failed_installation_is_one_sentence(log: str, words: str, tmp_path: Path) -> None:
    done = lib(f"mkdir -p '{tmp_path}/venv'; echo '{log}' >\"$LOG\"; pip_failed", tmp_path / "venv")
    assert done.returncode != 0
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_who_may_not_install_is_told_the_line_for_root(tmp_path: Path) -> None:
    code = "is_root() { false; }; sudo() { false; }; check_needs demo gcc"
    done = lib(code, tmp_path / "venv")
    assert done.returncode == 69
    assert "system packages are missing; run: sudo apt-get update && sudo apt-get" in done.stderr


def test_progress_of_a_long_step_and_its_status(tmp_path: Path) -> None:
    code = "HEARTBEAT_S=0.05; mkdir -p \"$VENV\"; quietly waiting bash -c 'sleep 0.2; exit 7'"
    done = lib(code, tmp_path / "venv")
    assert done.returncode == 7
    assert "still waiting" in done.stdout


def test_every_program_that_tests_call_has_its_package(tmp_path: Path) -> None:
    done = lib("PATH=/nowhere; missing_test_packages", tmp_path / "venv")
    packages = {"pulseaudio", "pulseaudio-utils", "espeak-ng", "openssl", "iproute2", "systemd"}
    # The library beside them is looked for as a file, and may be there.
    assert set(done.stdout.split()) - {"libasound2-plugins"} == packages
    here = lib("missing_test_packages", tmp_path / "venv")
    assert (here.stdout, here.stderr) == ("", ""), "the machine that runs this has them all"


@pytest.mark.parametrize(
    ("installs", "said"),
    [("echo apt: $*", "apt: espeak-ng\n"), ("fail 69 no root", "are in English\n")],
)
def test_the_voice_of_questions_is_installed_and_its_lack_stops_nothing(
    installs: str, said: str, tmp_path: Path
) -> None:
    code = f"install_packages() {{ {installs}; }}; PATH=/nowhere; install_voice; echo goes on"
    done = lib(code, tmp_path / "venv")
    assert done.stdout.removesuffix("goes on\n").endswith(said)
    assert done.returncode == 0
    assert lib("install_voice", tmp_path / "venv").stdout == "", "it is here"


@pytest.mark.parametrize("script", ["install.sh", "demo.sh"])
def test_both_ways_in_bring_the_voice_of_questions(script: str) -> None:
    lines = (ROOT / "scripts" / script).read_text().splitlines()
    assert [line.strip() for line in lines].count("install_voice") == 1


def test_a_desktop_keeps_its_own_sound_server(tmp_path: Path) -> None:
    """Refused for the sake of another sound server, the rest of the list is still installed."""
    code = """
    apt_install() { echo "apt: $*"; return 1; }
    apt-cache() { echo '  Depends: libpulse0'; }
    quietly() { shift; "$@"; }
    private_pulseaudio pulseaudio pulseaudio-utils systemd || echo "told: $?"
    """
    done = lib(code, tmp_path / "venv")
    assert done.stdout.splitlines() == ["apt: pulseaudio-utils systemd libpulse0", "told: 1"]


def test_hooks_before_a_commit_use_only_what_set_up_brings() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"repo: (.+)", text)) == {"local"}
    assert set(re.findall(r"language: (.+)", text)) == {"system"}
    installed = set(read_lock(ROOT / "requirements" / "dev.txt"))
    for entry in re.findall(r"entry: (.+)", text):
        program, *words = entry.split()
        tool = words[1] if words[0] == "-m" else program.removeprefix(".venv/bin/")
        assert program.startswith(".venv/bin/"), entry
        assert tool in installed, entry
        assert all((ROOT / word).is_file() for word in words if "/" in word), entry
