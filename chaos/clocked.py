"""A Python program under libfaketime, which refuses `time.sleep`: it is let sleep in another way.

    python -m chaos.clocked MODULE ARGUMENTS...

Rule: nothing else of the program is changed.  Python 3.11 sleeps until a time of the monotonic clock, which libfaketime
0.9.10 takes for one of the clock that it bends, and says that the argument is invalid.
"""

import runpy
import select
import sys
import time


def sleep(seconds: float) -> None:
    """Sleep as `time.sleep` does."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


if __name__ == "__main__":
    time.sleep = sleep  # type: ignore[assignment]  # it also takes what has __index__; nobody gives that
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
