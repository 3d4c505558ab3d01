"""Set-up and installation, stopped at every step: what the next run makes of it.

`Machine` is a folder with a root, a checkout and programs of its own in place of apt, dpkg, pip,
systemctl and whatever else changes a machine (`fake_machine.sh`).  Call `run`, with the step at
which everything is stopped and by which signal; `problems` says what is not as after a run that
nobody stopped.  `python tests/lab/killed.py` does it for every step and both signals.

Thread: the caller's.  It must never touch the machine that runs it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("fake_machine.sh")
FAKED = (
    *("apt-get", "dpkg", "dpkg-query", "systemctl", "journalctl", "getent", "useradd", "userdel"),
    *("id", "sync", "df", "gcc", "pkg-config", "getconf", "python3", "edge-agent", "espeak-ng"),
    *("cp", "mv", "ln", "install", "rm", "rmdir", "mkdir", "touch"),
)
SIGNALS = ("KILL", "INT")
STOPPED = {"KILL": -signal.SIGKILL, "INT": 130}
CARD = "Jabra"
"""The sound card of every machine."""
DIFFERS = ("/setup.log", "/debian-packages.txt", "/edge-agent.setup/home")
"""A log, what apt was asked for (again after a stop), and a name of the machine's own folder."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended."""

    status: int
    said: str


class Machine:
    """A machine in a folder; `root` is its `/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.own = folder / "root", folder / "machine"
        self.checkout = folder / "checkout"

    @classmethod
    def bare(cls, folder: Path) -> Machine:
        """One with systemd and Python, and nothing else that is needed."""
        machine = cls(folder)
        for place in ("bin", "dpkg/updates"):
            (machine.own / place).mkdir(parents=True)
        # A copy: the checkout may lie in somebody's home, where the installer takes no Python from.
        shutil.copy(FAKE, machine.own / "fake")
        for name in FAKED:
            (machine.own / "bin" / name).symlink_to("../fake")
        (machine.own / "free-mb").write_text("9999\n")
        (machine.root / "opt").mkdir(parents=True)
        for side in ("pcm0p", "pcm0c"):
            (machine.root / "proc/asound/card0" / side).mkdir(parents=True)
            (machine.root / "proc/asound/card0" / side / "info").write_text("id: USB Audio\n")
        (machine.root / "proc/asound/cards").write_text(f" 0 [{CARD} ]: USB-Audio - {CARD}\n")
        for name in ("scripts", "systemd", "config", "requirements"):
            shutil.copytree(REPO / name, machine.checkout / name)
        for name in ("pyproject.toml", "setup.py"):
            shutil.copy(REPO / name, machine.checkout)
        # All that is live for the installer lies below our root.
        library = machine.checkout / "scripts/lib_install.sh"
        text = library.read_text()
        assert text.count("\nSCRATCH=\n") == 1
        library.write_text(text.replace("\nSCRATCH=\n", f'\nSCRATCH="{machine.root}"\n'))
        machine.version("the first")
        return machine

    def version(self, words: str) -> None:
        """What the checkout holds from now on; "not taken" and "does not start" are obeyed."""
        (self.checkout / "edge_agent").mkdir(exist_ok=True)
        (self.checkout / "edge_agent/words").write_text(f"{words}\n")
        unit = self.checkout / "systemd/edge-agent.service"
        unit.write_text(f"# of {words}\n")

    def copy(self, folder: Path) -> Machine:
        """The same machine once more.  The checkout is shared."""
        machine = Machine(folder)
        for name in ("root", "machine"):
            shutil.copytree(self.folder / name, folder / name, symlinks=True)
        machine.checkout.symlink_to(self.checkout)
        for link in (folder / "root").glob("opt/edge-agent/venv.*/bin/*"):
            link.unlink()
            link.symlink_to(
                machine.own / "bin" / ("edge-agent" if "edge" in link.name else "python3")
            )
        shutil.copytree(self.checkout, folder / "own", symlinks=True)
        machine.checkout.unlink()
        (folder / "own").rename(machine.checkout)
        library = machine.checkout / "scripts/lib_install.sh"
        library.write_text(library.read_text().replace(f'"{self.root}"', f'"{machine.root}"'))
        return machine

    def run(
        self,
        script: str,
        *arguments: str,
        kill_at: int | str = 0,
        by: str = "KILL",
        venv: str = "venv",
    ) -> Done:
        """Start a script; at step `kill_at`, by number or pattern, it and all that it started get
        the signal."""
        (self.own / "step").write_text("0\n")
        (self.own / "did").write_text("")
        (self.own / "killed-in").unlink(missing_ok=True)
        path = os.environ["PATH"]
        environ = {
            "PATH": f"{self.own / 'bin'}:{path}",
            "REAL_PATH": path,
            "MACHINE": str(self.own),
            "PLACE": str(self.root),
            "REPO": str(REPO),
            "DPKG_ADMINDIR": str(self.own / "dpkg"),
            "KILL_AT": str(kill_at),
            "KILL_BY": by,
            "PYTHON": str(self.own / "bin/python3"),
            "EDGE_AGENT_VENV": str(self.folder / venv),
            "HOME": "/nowhere",
            "TMPDIR": str(self.own),
        }
        with tempfile.TemporaryFile("w+") as out:
            # Into a file: a pipe would wait for the line that says that it still goes on.
            started = subprocess.Popen(
                # Whoever runs us in the background has Ctrl-C ignored, and that is inherited.
                ["env", "--default-signal=INT", self.checkout / "scripts" / script, *arguments],
                env=environ,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
            status = started.wait()
            out.seek(0)
            return Done(status, out.read())

    def fitting(self, folder: Path) -> None:
        """Make it a folder of wheels for this machine and version."""
        for lock in (self.checkout / "requirements").glob("*.txt"):
            shutil.copy(lock, folder)
        code = f'source "{self.checkout}/scripts/lib.sh"; wheels_fit "{self.own}/bin/python3"'
        environ = {
            "PATH": os.environ["PATH"],
            "MACHINE": str(self.own),
            "REAL_PATH": os.environ["PATH"],
        }
        with (folder / "fits").open("w") as fits:
            subprocess.run(["bash", "-c", code], env=environ, stdout=fits, check=True)

    def did(self) -> str:
        """What the last run had done, a line for each step."""
        return (self.own / "did").read_text()

    def killed_in(self) -> str:
        """The step at which the last run was stopped; "" if it came to its end before."""
        told = self.own / "killed-in"
        return told.read_text().strip() if told.exists() else ""

    def tree(self) -> dict[str, str]:
        """Every file of the root by its name, with what is in it."""
        return {str(path.relative_to(self.root)): what for path, what in self._files()}

    def _files(self) -> Iterator[tuple[Path, str]]:
        for path in sorted(self.root.rglob("*")):
            if path.is_relative_to(self.root / "proc"):
                continue
            if path.is_symlink():
                yield path, f"-> {str(path.readlink()).replace(str(self.folder), '')}"
            elif path.is_dir():
                yield path, "folder"
            else:
                yield path, path.read_text().replace(str(self.folder), "")

    def program(self) -> str:
        """The words of the program in use; "" if it could not be started."""
        venv = self.root / "opt/edge-agent/venv"
        if not all((venv / name).exists() for name in ("bin/python", "bin/edge-agent")):
            return ""
        return (venv / "site/program").read_text()

    def runs(self) -> str:
        """What the service was started with: unit and program."""
        told = self.own / "runs"
        return told.read_text() if told.exists() else ""

    def problems(self, whole: Machine) -> list[str]:
        """What is not as on a machine whose run nobody stopped."""
        found = []
        mine, wanted = (_by_use(machine.tree()) for machine in (self, whole))
        for name in sorted(mine.keys() | wanted.keys()):
            if not name.endswith(DIFFERS) and mine.get(name) != wanted.get(name):
                found.append(f"{name}: {mine.get(name)!r}, not {wanted.get(name)!r}"[:200])
        if any((self.own / "dpkg/updates").iterdir()) or (self.own / "half").exists():
            found.append("dpkg is still interrupted")
        if self.runs() != whole.runs():
            found.append(f"{self.runs()!r} runs")
        return found


def _by_use(tree: dict[str, str]) -> dict[str, str]:
    """With the folder in use under one name: which of the two it is does not matter."""
    used = tree.get("opt/edge-agent/venv", "")[3:] or "none"
    return {
        name.replace(used, "venv.used"): text.replace(used, "venv.used")
        for name, text in tree.items()
        if name != "opt/edge-agent/folders-made.txt"
    } | {"folders": str(sorted(set(tree.get("opt/edge-agent/folders-made.txt", "").split())))}


def sweep(folder: Path) -> int:
    """Every step of a first installation, of an update, and of one that takes and gives back a
    card, by both signals; tells of each."""
    bad = 0
    start = Machine.bare(folder / "bare")
    before = start.copy(folder / "before")
    before.run("install.sh")
    before.version("the second")
    has_card = before.copy(folder / "has-card")
    has_card.run("install.sh", "--card", CARD)
    for name, origin, arguments in (
        ("first", start, ()),
        ("update", before, ()),
        ("card", before, ("--card", CARD)),
        ("none", has_card, ("--card", "none")),
    ):
        whole = origin.copy(folder / f"{name}-whole")
        whole.run("install.sh", *arguments)
        for by in SIGNALS:
            for step in itertools.count(1):
                where, found = _tried(origin, whole, folder / "try", arguments, step, by)
                if not where:
                    break
                bad += bool(found)
                line = f"{name} {by:4} {step:3} {'BAD' if found else 'ok '} {where[:90]}"
                sys.stdout.write("\n    ".join([line, *found]) + "\n")
                sys.stdout.flush()
    return bad


def _tried(
    origin: Machine, whole: Machine, folder: Path, arguments: tuple[str, ...], step: int, by: str
) -> tuple[str, list[str]]:
    """Stopped at one step: which it was, and what is wrong afterwards."""
    machine = origin.copy(folder)
    stopped = machine.run("install.sh", *arguments, kill_at=step, by=by)
    where, between = machine.killed_in(), machine.program()
    again = machine.run("install.sh", *arguments)
    found = machine.problems(whole)
    if where and stopped.status != STOPPED[by]:
        found.append(f"ended with {stopped.status}")
    if again.status:
        found.append(f"the next run ended with {again.status}: {again.said}")
    if origin.program() and not between:
        found.append("no program in between")
    shutil.rmtree(folder)
    return where.replace(str(folder), ""), found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(min(1, sweep(Path(scratch))))
