"""What the processes of the sandbox do alike: say that they serve, and end when their parent ends.

The rule: no process of the sandbox outlives whoever started it, however that one ended.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def report_ready(**ports: int) -> None:
    """Print the line that a starter waits for, ``ready port=P control=P``."""
    sys.stdout.write("ready " + " ".join(f"{name}={port}" for name, port in ports.items()) + "\n")
    sys.stdout.flush()


def read_ready(line: str) -> dict[str, int]:
    """The ports in a line that report_ready wrote; raises ValueError for any other line."""
    word, *pairs = line.split()
    if word != "ready":
        raise ValueError(f"not a ready line: {line!r}")
    return {name: int(port) for name, port in (pair.split("=") for pair in pairs)}


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when the parent (its pid) ends; Linux only, elsewhere it does nothing."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the request was made; then nobody would kill us.
    if os.getppid() != parent:
        os._exit(1)
