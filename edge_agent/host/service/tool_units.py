"""Tool units: each tool server that is a program as a confined systemd unit of its own.

`units` turns the settings into files, `write` puts them in place as root; systemd then starts the
program for each connection to `tool_socket`.  `tool_door.py` stands between the two.

Thread: main, in the command line; `tool_socket` is for everybody.  It must never put a secret into
a unit, which every account may read: variables go into a file of root's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from edge_agent.contract.errors import AgentError
from edge_agent.host.secret_files import read_variables
from edge_agent.host.settings.mcp import McpServer

UNIT_FOLDER = Path("/run/systemd/system")
SOCKET_FOLDER = Path("/run/edge-agent-tools")
GROUP = "edge-agent"
"""The speaker's own: nobody else may use the household's tools."""
PREFIX = "edge-agent-tool-"
HERE = Path(__file__).parent
DOOR = HERE / "tool_door.py"
SYSTEMCTL_MAX_S = 30.0
OWNERS_ONLY, FOR_ALL = 0o600, 0o644


def tool_socket(name: str) -> Path:
    """Where the tool server of that name is reached, if systemd runs it."""
    return SOCKET_FOLDER / f"{name}.sock"


def units(servers: Mapping[str, McpServer], python: str = sys.executable) -> dict[Path, str]:
    """All files: two units for each program, and its variables.  Raises `ConfigError`."""
    files: dict[Path, str] = {}
    for name, server in servers.items():
        if not server.command or not server.enabled:
            continue
        unit, variables = PREFIX + name, SOCKET_FOLDER / f"{name}.env"
        own = {key: value.get_secret_value() for key, value in server.env.items()}
        if server.env_file:
            own |= read_variables(Path(server.env_file))
        command = (python, "-I", "-S", str(DOOR), *server.command)
        words = {
            "name": name,
            "unit": unit,
            "socket": str(tool_socket(name)),
            "group": GROUP,
            "user": f"eat-{name}",  # 31 characters at most
            "variables": str(variables),
            "command": " ".join(map(_quoted, command)),
            "is_alone": "no" if server.network else "yes",
        }
        for end, place in ((".socket", f"{unit}.socket"), (".service", f"{unit}@.service")):
            template = (HERE / f"tool_server{end}").read_text(encoding="utf-8")
            files[UNIT_FOLDER / place] = template.format_map(words)
        files[variables] = "".join(f"{key}={_value(value)}\n" for key, value in own.items())
    return files


def write(files: Mapping[Path, str]) -> bool:
    """Put exactly these in place and have systemd listen.  Were they others before?

    Raises `AgentError`.
    """
    old = {*UNIT_FOLDER.glob(f"{PREFIX}*.s*"), *SOCKET_FOLDER.glob("*.env")}
    changed = {path for path, text in files.items() if path not in old or _text(path) != text}
    if not changed and not old - files.keys():
        return False
    try:
        for path in old - files.keys():
            if path.suffix == ".socket":
                _systemctl("stop", path.name)
            path.unlink()
        for path in sorted(changed):
            _put(path, files[path], OWNERS_ONLY if path.suffix == ".env" else FOR_ALL)
    except OSError as problem:
        raise AgentError(
            f"The units of the tool servers cannot be written: {problem.strerror}.",
            fix="Start it as root.",
        ) from None
    _systemctl("daemon-reload")
    for path in sorted(files):
        if path.suffix == ".socket":
            _systemctl("restart", path.name)
    return True


def _put(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o755)
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
    beside.replace(path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _systemctl(*arguments: str) -> None:
    program = shutil.which("systemctl")
    if program is None:
        raise AgentError("This machine has no systemd.", fix="Its tool servers run by themselves.")
    done = subprocess.run(  # noqa: S603  (names of ours)
        [program, "--quiet", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=SYSTEMCTL_MAX_S,
        check=False,
    )
    if done.returncode:
        raise AgentError(
            f"systemctl {' '.join(arguments)} failed.", fix="See: journalctl -n 30 as root"
        )


def _quoted(word: str) -> str:
    """One word of ExecStart (systemd.service(5), "Command lines")."""
    kept = {'"': '\\"', "\\": "\\\\", "%": "%%", "$": "$$"}
    return '"' + "".join(kept.get(c, c if c.isprintable() else _escaped(c)) for c in word) + '"'


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "replace"))


def _value(text: str) -> str:
    """One value of an EnvironmentFile (systemd.exec(5))."""
    return '"' + "".join("\\" + c if c in '"\\`$' else c for c in text) + '"'
