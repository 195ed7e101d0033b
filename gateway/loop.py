"""The event loop that a gateway runs on.

Rule: uvloop where it can be imported, asyncio's own elsewhere; nothing else in the house knows which it is.  uvloop
saves a tenth of the CPU of a call, and more where each call has a connection of its own.

Its timers count whole milliseconds, so a callback may come a millisecond or two before or after its moment.  Nothing
here minds: deadlines and hedges are looked after by sweeps, which compare moments themselves.
"""

import asyncio
import gc
import time
from collections.abc import Callable

YOUNG = 10_000
"""New objects that are still there when the collector looks at them; with Python's 700 it looks once for every sixty
calls that wait at the same time, and finds nothing."""


def spare_the_collector() -> None:
    """Have the collector look seldom, and never at what was there before the first call.

    What a call leaves behind goes with its last reference; to look through all modules takes tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


try:
    import uvloop
except ImportError:  # there is no wheel for this machine
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:

    class Loop(uvloop.Loop):
        """uvloop with a clock that can be measured by.

        Its own clock counts whole milliseconds and stands still while callbacks run: a call would take 0 or 1 ms.
        Both read the kernel's monotonic clock, so the moments of one mean the same to the other.
        """

        time = staticmethod(time.monotonic)

    new_loop = Loop
