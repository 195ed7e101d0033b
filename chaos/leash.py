"""Starts another program so that the kernel ends it when the run ends, however that comes about.

Use: python -m chaos.leash PARENT_PID PROGRAM [ARGUMENT ...].  Rule: it becomes the program, so the pid stays the same.
"""

import os
import sys

from gateway.sandbox.processes import die_with_parent


def leashed(*command: str) -> list[str]:
    """Return the command that starts another one as a child that does not outlive this process."""
    return [sys.executable, "-m", "chaos.leash", str(os.getpid()), *command]


def main(parent: str, *command: str) -> None:
    """Bind this process to its parent's life, then become the program."""
    die_with_parent(int(parent))
    os.execvp(command[0], command)  # noqa: S606 - without a shell is what is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
