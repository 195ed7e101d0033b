"""An event loop on which sleeping is free: time jumps to the next thing that is due.

Rule: nothing real may be waited for; a loop that has nothing scheduled raises instead of sleeping for ever.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """A selector that never sleeps: it moves the clock instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Jump by `timeout` seconds."""
        if timeout == 0:
            # callbacks are ready, and threads put theirs beside them: the kernel has nothing that could not wait
            return []
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nothing is scheduled: this would sleep for ever")
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time, which begins at 1000.0 so that 0.0 is never a time of anything."""

    def __init__(self) -> None:
        """Begin at 1000.0."""
        self._jumping = _Jumping()
        self._jumping.now = 1000.0
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._jumping.now


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        try:
            pending = asyncio.all_tasks(loop)
            for task in pending:
                task.cancel()
            if pending:
                loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        finally:
            loop.close()
