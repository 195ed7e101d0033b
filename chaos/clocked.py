"""A Python program under libfaketime, which refuses `time.sleep`: it is let sleep in another way.

    python -m chaos.clocked MODULE ARGUMENTS...

Rule: nothing else of the program is changed.  Python 3.11 sleeps until a time of the monotonic clock, which libfaketime
0.9.10 takes for one of the clock that it bends, and says that the argument is invalid.

The library keeps a semaphore and a memory for what the program may start, by names that only an orderly end takes away,
and ours are killed.  They are taken away as soon as the program has them open; what it starts has the right clock.
"""

import contextlib
import os
import runpy
import select
import sys
import time
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - where the C library keeps both


def be_alone(memory: Path = MEMORY) -> None:
    """Take the names away that the library has left in memory, and leave it out of what this program starts."""
    os.environ.pop("LD_PRELOAD", None)
    names = os.environ.pop("FAKETIME_SHARED", "").split()
    # as the library writes them: first the semaphore, then the memory
    for name, prefix in zip(names, ("sem.", ""), strict=False):
        with contextlib.suppress(FileNotFoundError):
            (memory / f"{prefix}{name.lstrip('/')}").unlink()


def sleep(seconds: float) -> None:
    """Sleep as `time.sleep` does."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


if __name__ == "__main__":
    be_alone()
    time.sleep = sleep  # type: ignore[assignment]  # it also takes what has __index__; nobody gives that
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
