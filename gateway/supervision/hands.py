"""What a restart works with, handed to each of its parts.

Rule: nothing is done here; whoever begins a restart fills it in once, and a reload does not change it under way.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.base.care import Restart as Limits
from gateway.fleet.pool import Pool
from gateway.supervision.asking import Asking
from gateway.upstream.launchers import Launcher, limit

MARGIN = 1.0
"""Seconds that a launcher may take beyond its own limit."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What a restart works with.

    Args:
        limits: of each step.
        start_grace: seconds after which a daemon that alone is loaded serves though it is not synced.
        launcher_timeout: of one order to the launcher, where that tells no limit of its own.
        clock: seconds since 1970.
        known_since: since when, in loop time, a life of the process is known; given its instance.
        promote: makes another backend primary; None without a ledger.
        is_ours: whether the launcher is the backend's still, and not changed by a reload.
    """

    pool: Pool
    launcher: Launcher
    asking: Asking
    limits: Limits
    start_grace: float
    launcher_timeout: float
    clock: Callable[[], float]
    loop: asyncio.AbstractEventLoop
    promote: Callable[[str], Awaitable[str]] | None = None
    is_ours: Callable[[], bool] = lambda: True
    known_since: Callable[[str], float] = lambda _instance: 0.0

    def patience(self, order: str) -> float:
        """Return the seconds after which the launcher must have ended an order; the grace of a `stop` comes on top."""
        return limit(self.launcher, order, self.launcher_timeout) + MARGIN
