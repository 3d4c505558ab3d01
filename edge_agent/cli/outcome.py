"""Outcome: how a verb ends, in an exit code and at most a few lines.

Thread: main.  It must never print a secret, and a traceback only with `--debug`.
"""

from __future__ import annotations

import errno
import functools
import os
import select
import sys
import traceback
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import typer

from edge_agent.contract.errors import AgentError, ConfigError, DeviceError, LinkError

EXIT_FAILED = 1
EXIT_UNAVAILABLE = 69  # sysexits.h EX_UNAVAILABLE
EXIT_FAULT = 70  # sysexits.h EX_SOFTWARE
EXIT_CONFIG = 78  # sysexits.h EX_CONFIG; the unit file does not restart after it
EXIT_INTERRUPTED = 130  # what shells make of Ctrl-C

EXIT_CODES_TEXT = (
    "Exit codes: 0 done · 1 a check failed · 2 wrong command line · 3 a proof is void · 69 device, "
    "service or running speaker not available · 70 fault in the program · 78 settings are wrong · "
    "130 interrupted"
)

P = ParamSpec("P")
_state = {"debug": False}


def debugging(wanted: bool) -> None:
    """Remember `--debug`."""
    _state["debug"] = wanted


def note(text: str) -> None:
    """One line on standard error that is no failure."""
    typer.echo(f"edge-agent: note: {text}", err=True)


def say_pause(problem: AgentError, pause_s: float) -> None:
    """Why nothing happens on the screen for a while."""
    note(f"{problem.message} Trying again in {pause_s:.0f} s.")


def harmless(text: str) -> str:
    """Words of somebody else's without control characters, which a terminal would obey."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def agreed(question: str, *, yes: bool) -> None:
    """Go on only after a yes on a terminal, or `--yes`.  Ends the verb otherwise, exit code 1 after
    a no, 2 where nobody can be asked."""
    if yes:
        return
    if not _is_terminal():
        raise typer.BadParameter("this needs your yes on a terminal; a script says --yes")
    if not typer.confirm(question):
        typer.echo("Nothing was changed.")
        raise typer.Exit(EXIT_FAILED)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def exit_code(error: AgentError) -> int:
    """The exit code of an error of ours."""
    if isinstance(error, ConfigError):
        return EXIT_CONFIG
    if error.code.startswith("control.") or isinstance(error, (DeviceError, LinkError)):
        return EXIT_UNAVAILABLE
    return EXIT_FAILED


SYSTEM_SAYS = {
    errno.ENOSPC: ("The disk is full: {place}.", "Make room (df -h shows where), then try again."),
    errno.EDQUOT: ("Your share of the disk is full: {place}.", "Make room, then try again."),
    errno.EROFS: (
        "It is mounted read-only: {place}.",
        "Name another folder, or mount it for writing.",
    ),
    errno.EACCES: (
        "This account has no right to it: {place}.",
        "Start it with sudo, or name a file or folder of your own.",
    ),
    errno.ENOENT: ("There is no such file or folder: {place}.", "See that the name is right."),
    errno.ENOTDIR: ("That is no folder: {place}.", "Name another one."),
    errno.EISDIR: ("That is a folder, not a file: {place}.", "Name a file."),
    errno.ENOTTY: ("That is no terminal.", "Start it in one."),
}
"""What the system refuses, in words, and what helps."""
SYSTEM_SAYS[errno.EPERM] = SYSTEM_SAYS[errno.EACCES]


def of_system(problem: OSError) -> tuple[str, str]:
    """What the system refused and what helps.  Of its text only what the system wrote: no name of
    a host, and of a file no more than its path."""
    place = str(problem.filename or problem.filename2 or "what it was about to use")
    reason = problem.strerror or type(problem).__name__
    other = (f"The system refuses: {reason} ({place}).", "See that it is there and can be used.")
    told, remedy = SYSTEM_SAYS.get(problem.errno or 0, other)
    return told.format(place=place), remedy


def reader_has_gone() -> bool:
    """Whether nobody reads our output any more (`… | head`), which is no failure; it goes nowhere
    from then on."""
    look = select.poll()
    try:
        look.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # no descriptor of its own
        return False
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in look.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def guarded(verb: Callable[P, int | None]) -> Callable[P, None]:
    """A verb whose errors become sentences: what, where, what to do.  What the verb returns is
    the exit code (None: 0)."""

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = verb(*args, **kwargs) or 0
        except AgentError as error:
            _traceback_if_asked()
            typer.echo(f"edge-agent: {harmless(error.message)}", err=True)
            if error.fix:
                typer.echo(harmless(error.fix).strip("\n"), err=True)
            code = exit_code(error)
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except OSError as problem:  # the machine's doing, or the account's: no fault of ours
            code = 0
            if not reader_has_gone():
                _traceback_if_asked()
                told, remedy = of_system(problem)
                typer.echo(f"edge-agent: {harmless(told)}\n{remedy}", err=True)
                code = EXIT_FAILED
        except Exception as fault:
            _traceback_if_asked()
            place = traceback.extract_tb(fault.__traceback__)[-1]
            # Kind and place only: the text of a foreign exception may hold anything.
            typer.echo(
                f"edge-agent: a fault in the program: {type(fault).__name__} at "
                f"{Path(place.filename).name}:{place.lineno}.\n"
                "Please report it; `edge-agent --debug …` shows where it came from.",
                err=True,
            )
            code = EXIT_FAULT
        raise typer.Exit(code)

    return wrapped


def _traceback_if_asked() -> None:
    if _state["debug"]:
        traceback.print_exc(file=sys.stderr)
