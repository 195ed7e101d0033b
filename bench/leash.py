"""Starts another program so that the kernel ends it when the bench ends, however that comes about.

Use: leash.py PARENT_PID CPU|- PROGRAM [ARGUMENT ...].  Rule: it becomes the program, so the pid stays the same.
"""

import contextlib
import os
import sys
from pathlib import Path

from gateway.sandbox.processes import die_with_parent


def main(parent: str, cpu: str, *command: str) -> None:
    """Bind this process to its parent's life and to one core, then become the program."""
    die_with_parent(int(parent))
    nice = os.nice(0)
    if nice:
        # Linux weighs sessions against each other, and this one is new
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(nice), encoding="ascii")
    if cpu != "-":
        os.sched_setaffinity(0, {int(cpu)})
    os.execvp(command[0], command)  # noqa: S606 - without a shell is what is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
