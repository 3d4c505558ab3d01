"""Tool door: runs a tool server's program on a connection, and ends with either.

Run by systemd as `python -I -S tool_door.py PROGRAM…` with the connection as standard input and
output.  When the speaker hangs up the program sees its input end; when it stays all the same, this
process goes first, and systemd ends what is left in the unit.

Thread: main.  It must never import the package (a start should cost nothing), or read a byte.
"""

import os
import select
import subprocess
import sys

GOODBYE_MS = 500
"""For a program to end by itself once its input has ended."""
HANG_UP = 0x2000
"""POLLRDHUP, which `select` names in newer Pythons only."""
CANNOT_RUN = 127


def main() -> int:
    """The program's own end, or 0 once the speaker has gone."""
    try:
        program = subprocess.Popen(sys.argv[1:])  # noqa: S603  (as root's settings name it)
    except OSError:
        return CANNOT_RUN
    connection = select.poll()
    connection.register(0, HANG_UP)
    life = os.pidfd_open(program.pid)
    connection.register(life, select.POLLIN)
    events = dict(connection.poll())
    if life not in events:
        connection.unregister(0)
        connection.poll(GOODBYE_MS)
    return program.poll() or 0


if __name__ == "__main__":
    sys.exit(main())
