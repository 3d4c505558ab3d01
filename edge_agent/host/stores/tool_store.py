"""Tool store: how each tool of a tool server was described when it was accepted.

`changed` compares what a server lists now; a tool that is seen for the first time is accepted as
it is, for the owner has just named it in the settings.  `accept` takes what an owner has agreed to.
After trouble with the file nothing new is taken on trust: the owner is asked.

Thread: whichever calls; it blocks, so the daemon calls it on `io_pool`.  The daemon and the
command line both write the file, each whole and freshly read.  It must never accept a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_agent.host.stores.json_file import JsonFile, NoteFunction, state_folder

VERSION = 1
"""Grows when an older program could misread the file."""
FILE_MAX_BYTES = 20_000_000
"""16 servers of 64 tools, each with a schema of 8000 bytes, quoted, and a description."""

Shape = tuple[str, str]
"""Description and parameters (JSON), as the model gets them."""
Shapes = dict[str, Shape]


def tools_path(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    folder = Path(state_setting).parent if state_setting else state_folder(environ)
    return folder / "tools.json"


class ToolStore:
    """Holds nothing between two calls.  `note` is `Journal.note`."""

    def __init__(self, path: Path, note: NoteFunction) -> None:
        self._file = JsonFile(
            path,
            note,
            repaired="tools.repaired",
            unwritable="tools.unwritable",
            version=VERSION,
            max_bytes=FILE_MAX_BYTES,
        )

    def changed(
        self, server: str, now: Mapping[str, Shape], *, learn: bool
    ) -> dict[str, Shape | None]:
        """Tools that are not as they were accepted → how they were; None: never accepted.

        `learn`: keep what is seen for the first time.  Raises OSError if the file is out of reach.
        """
        known, trusts_new = self._load()
        of_server = known.get(server, {})
        new = {tool: shape for tool, shape in now.items() if tool not in of_server}
        if learn and new and trusts_new:
            known[server] = of_server | new
            self._save(known, trusts_new=True)
        return {
            tool: of_server.get(tool)
            for tool, shape in now.items()
            if of_server.get(tool, shape if trusts_new else None) != shape
        }

    def accept(self, server: str, shapes: Mapping[str, Shape]) -> bool:
        """Take these as they are.  False, and a note, if that cannot be kept."""
        known, trusts_new = self._load()
        known[server] = known.get(server, {}) | dict(shapes)
        return self._save(known, trusts_new=trusts_new)

    def shapes(self) -> dict[str, Shapes]:
        """All that was accepted, per server; nothing of a damaged file, which is left as it is.

        Raises OSError if the file is out of reach.
        """
        raw = self._file.read()
        try:
            return {} if raw is None else _known(self._file.object_in(raw).get("servers"))
        except ValueError:
            return {}

    def _load(self) -> tuple[dict[str, Shapes], bool]:
        raw = self._file.read()
        if raw is None:
            return {}, True
        try:
            entry = self._file.object_in(raw)
            return _known(entry.get("servers")), entry.get("trusts_new") is True
        except ValueError as problem:
            self._file.set_aside(str(problem))
            self._save({}, trusts_new=False)  # also after the next start
            return {}, False

    def _save(self, known: Mapping[str, Shapes], *, trusts_new: bool) -> bool:
        return self._file.save({"trusts_new": trusts_new, "servers": known})


def _known(entry: object) -> dict[str, Shapes]:
    if not isinstance(entry, dict) or not all(isinstance(one, dict) for one in entry.values()):
        raise ValueError("servers is not an object of objects")
    return {
        server: {tool: _shape(shape) for tool, shape in tools.items()}
        for server, tools in entry.items()
    }


def _shape(entry: object) -> Shape:
    if not isinstance(entry, list) or [type(one) for one in entry] != [str, str]:
        raise ValueError("a tool is not two texts")
    return entry[0], entry[1]
