"""`edge-agent backup` and `edge-agent restore`: this speaker in one file, and back again.

Thread: main.  Root reads and writes its own settings; what lies in the account's folder is read by
a child that has become the account, and written after root has become it.  It must never overwrite
anything that is not in a file of its own first.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import agreed, guarded, harmless, note
from edge_agent.version import this_build

if TYPE_CHECKING:
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.stores.backup import Backup, Part

ACCOUNT = "edge-agent"
REFUSED = b"!"
"""First of what the child says where it could not read; an archive begins with a name."""
SETTINGS_MODE, SECRET_MODE, STATE_MODE = 0o644, 0o640, 0o600
"""Secrets are root's, for the service's group to read, as the installer leaves them."""


@guarded
def backup(
    file: Annotated[Path, typer.Argument(help="The file to make, e.g. edge-agent.tar.gz")],
    with_key: Annotated[
        bool, typer.Option("--with-key", help="With key and tokens: keep that file as one.")
    ] = False,
    config_file: ConfigOption = None,
) -> None:
    """Put settings, personas, state, facts, timers, messages and own recordings into one file."""
    from edge_agent.host.stores.backup import SECRETS, write

    at = datetime.now().astimezone()
    parts = _gathered(config_file, secrets=with_key, at=at)
    write(parts, file, at, this_build())
    typer.echo(f"{len(parts)} files are in {file}, which only you may read.")
    if not any(part.kind == SECRETS for part in parts):
        note("without key and tokens; --with-key takes them along")
    note("what was said (transcripts, recordings) is not in it")


@guarded
def restore(
    file: Annotated[Path, typer.Argument(help="What `edge-agent backup` made, here or elsewhere.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config_file: ConfigOption = None,
) -> None:
    """Put a backup in the place of this machine's settings and state; the speaker must be stopped.

    What is here now is put into a backup of its own first; what the other has not goes, but for
    keys and tokens.
    """
    from edge_agent.host.stores.backup import (
        SECRETS,
        SETTINGS,
        STATE,
        put_back,
        read,
        take_away,
        write,
    )

    brought = read(file)
    main = _main_file(config_file)
    new = _settings_of(brought, main)
    place = _stopped(config_file)
    counts = ", ".join(
        f"{words}: {len(brought.of(kind))}"
        for kind, words in (
            (SETTINGS, "files of settings"),
            (SECRETS, "keys and tokens"),
            (STATE, "files of state"),
        )
    )
    typer.echo(f"Made {harmless(brought.made_at)} by {harmless(brought.build)}; {counts}.")
    agreed("Put it in the place of what is here?", yes=yes)
    at = datetime.now().astimezone()
    before = _gathered(config_file, secrets=True, at=at)
    if before:
        kept = file.parent / f"edge-agent-before-restore-{at:%Y%m%d-%H%M%S}.tar.gz"
        write(before, kept, at, this_build())
        typer.echo(f"What was here is in {kept}.")
    settings = _places(brought.of(SETTINGS), main)
    put_back(settings, SETTINGS_MODE)
    gone = _others(_places([part for part in before if part.kind == SETTINGS], main), settings)
    take_away(gone)
    secrets = _places(brought.of(SECRETS), main)
    put_back(secrets, SECRET_MODE)
    _for_the_service([path for _, path in secrets])
    state = _state_file(new)
    _own_folder(state.parent)
    remembered = [(part, _state_place(part, state, new)) for part in brought.of(STATE)]
    put_back(remembered, STATE_MODE)
    was = [(part, _state_place(part, state, new)) for part in before if part.kind == STATE]
    take_away(stale := _others(was, remembered))
    if gone or stale:
        names = ", ".join(harmless(path.name) for path in (*gone, *stale))
        note(f"gone, because the backup has it not: {names}")
    if place is not None:
        place.close()
    typer.echo("It is back.  Start it: sudo systemctl restart edge-agent")
    if not brought.of(SECRETS):
        note("the backup had no key; the one of this machine, if there is one, stays")


def _main_file(config_file: Path | None) -> Path:
    from edge_agent.host.settings.load import DEFAULT_PATH
    from edge_agent.host.settings.sources import ENV_CONFIG

    return config_file or Path(os.environ.get(ENV_CONFIG) or DEFAULT_PATH)


def _gathered(config_file: Path | None, *, secrets: bool, at: datetime) -> list[Part]:
    """All parts of this machine."""
    from edge_agent.contract.errors import ConfigError
    from edge_agent.host.settings.load import load
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.stores.backup import settings_parts

    main = _main_file(config_file)
    try:
        settings = load(main if main.exists() else None).settings
    except ConfigError:
        note("the settings have a mistake (see: edge-agent config check); taken as they are")
        settings = Settings()
    parts = list(settings_parts(main, settings, secrets=secrets))
    return parts + _state_parts(settings, at)


def _state_parts(settings: Settings, at: datetime) -> list[Part]:
    """The account's files, read by a child that is the account: no link of its leads root away."""
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.stores.backup import BackupError, pack, state_parts, unpack
    from edge_agent.host.voice.pack_store import pack_root

    state, voice_pack = _state_file(settings), pack_root(settings.speech.voice_pack_dir)
    if os.geteuid() != 0:
        return list(state_parts(state, voice_pack))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writing, "wb") as out:
                try:
                    become_owner(state.parent)
                    found = list(state_parts(state, voice_pack))
                except AgentError as problem:
                    out.write(REFUSED + str(problem).encode())
                else:
                    pack(found, out, at, this_build())
        finally:
            os._exit(0)  # whatever happened: there is one parent
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        whole = stream.read()
    os.waitpid(child, 0)
    if whole.startswith(REFUSED):
        raise BackupError(whole.removeprefix(REFUSED).decode(errors="replace"))
    return list(unpack(io.BytesIO(whole), str(state.parent)).parts)


def _settings_of(brought: Backup, main: Path) -> Settings:
    """The settings of a backup, read where they cannot do harm.  Raises `BackupError`."""
    from edge_agent.contract.errors import ConfigError
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.backup import SETTINGS, BackupError, put_back

    folder = Path(tempfile.mkdtemp(prefix="edge-agent-restore-"))
    try:
        there = folder / main.name
        put_back(_places(brought.of(SETTINGS), there), SECRET_MODE)
        return load(there if there.exists() else None, default_path=there).settings
    except ConfigError as problem:
        text = problem.message.replace(str(folder), "backup")
        raise BackupError(
            f"Nothing was changed. This machine does not take the backup's settings: {text}",
            fix="Update edge-agent here, or correct them where the backup was made.",
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _places(parts: list[Part], main: Path) -> list[tuple[Part, Path]]:
    """Beside the settings file, which may have another name here than where the backup was made."""
    tops = [p for p in parts if len(p.place.parts) == 1 and p.place.suffix == ".toml"]
    others = [p for p in tops if p.place.name != "providers.toml"]
    return [
        (part, main if part in others and len(others) == 1 else main.parent / part.place)
        for part in parts
    ]


def _others(was: list[tuple[Part, Path]], now: list[tuple[Part, Path]]) -> list[Path]:
    """Places of the one that are none of the other's.  The sound card of `install.sh --card` is
    this machine's, as the rule is that a desktop follows."""
    from edge_agent.cli.own_card import DROP_IN

    taken = {path for _, path in now}
    return [path for _, path in was if path not in taken and path.name != DROP_IN.name]


def _state_file(settings: Settings) -> Path:
    from edge_agent.host.stores.state import state_path

    return state_path(settings.state.path)


def _state_place(part: Part, state: Path, settings: Settings) -> Path:
    from edge_agent.host.stores.backup import VOICE_PACK, state_place
    from edge_agent.host.voice.pack_store import pack_root

    if part.place.parts[0] == VOICE_PACK:
        return pack_root(settings.speech.voice_pack_dir).joinpath(*part.place.parts[1:])
    return state_place(state, part.place.name)


def _own_folder(folder: Path) -> None:
    """Root goes on as the account that owns the folder, which it makes on a fresh machine."""
    import pwd

    from edge_agent.host.service.account import become_owner

    if os.geteuid() == 0 and not folder.exists():
        try:
            account = pwd.getpwnam(ACCOUNT)
        except KeyError:
            return  # a speaker that runs as root; whoever starts it owns what it makes
        folder.mkdir(mode=0o700, parents=True)
        os.chown(folder, account.pw_uid, account.pw_gid)
    become_owner(folder)


def _for_the_service(secrets: list[Path]) -> None:
    """Root gives the service's group its keys; where there is none, they are root's alone."""
    import grp

    if os.geteuid() != 0:
        return
    try:
        group = grp.getgrnam(ACCOUNT).gr_gid
    except KeyError:
        group = 0
    for path in secrets:
        os.chown(path, 0, group)


def _stopped(config_file: Path | None) -> socket | None:
    """Raises `BackupError` while a speaker runs: it would write its own state over it.

    With this machine's own settings what it returns keeps a service from starting until it is
    closed; systemd tries again after some seconds.
    """
    from edge_agent.contract.errors import ConfigError
    from edge_agent.host.service.control import ControlError, NotRunning, ask, client_paths
    from edge_agent.host.service.place import PlaceTaken, taken_place
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.backup import BackupError

    setting = ""
    with contextlib.suppress(ConfigError):
        setting = load(config_file).settings.control.path
    try:
        ask({"do": "status"}, client_paths(setting))
    except NotRunning:
        # It may be about to start, and not answer yet.
        with contextlib.suppress(PlaceTaken):
            return taken_place({}) if config_file is None else None
    except ControlError:
        pass  # it is there, whatever it says
    raise BackupError(
        "The speaker runs, and would write its own state over what is restored.",
        fix="Stop it first: sudo systemctl stop edge-agent",
    )
