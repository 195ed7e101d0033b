"""How daemons that end with their launcher are let go: each is told to save its wallet first.

Rule: whatever ends a child of the gateway does so after its own `stop`, which alone saves the wallet; nobody is told
so twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.supervision.asking import Asking
from gateway.supervision.renewing import GONE
from gateway.supervision.upkeep import NoAnswerError
from gateway.upstream.launchers import Launcher, LauncherError, heard

LOOK = 0.1
"""Seconds between two looks at whether it is gone."""

CLOSING = 10.0
"""Seconds that a launcher may take to let go."""


class Parting:
    """The launchers of one wallet that are let go.

    Args:
        patience: seconds until a daemon that was told to stop is gone.
    """

    def __init__(
        self, pool: Pool, asking: Asking, patience: Callable[[], float], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Have let go of none."""
        self.pool = pool
        self.asking = asking
        self.patience = patience
        self.loop = loop
        self._saved: set[int] = set()
        """Whose daemon was told to save and end."""

    async def close(self, left: Sequence[tuple[Backend | None, Launcher]]) -> None:
        """Close launchers that are no longer used, one after the other; what ends with one saves its wallet first."""
        for backend, launcher in left:
            if launcher.takes_along:
                await self.save(backend, launcher)
            with suppress(LauncherError, TimeoutError):
                async with asyncio.timeout(CLOSING):
                    await heard(launcher.close)

    async def save(self, backend: Backend | None, launcher: Launcher) -> None:
        """Tell a daemon to save and end, once, and wait until it is gone."""
        patience = self.patience()
        if backend is None or id(launcher) in self._saved:
            return
        self._saved.add(id(launcher))
        began = self.loop.time()
        with suppress(LauncherError, TimeoutError, NoAnswerError):
            async with asyncio.timeout(patience):
                if await self.asking.stop(backend, patience):
                    # what is ended in the middle of saving has not saved
                    while (await heard(launcher.status)).state not in GONE:  # noqa: ASYNC110 - asked on the way out
                        await asyncio.sleep(LOOK)
                    fields: dict[str, object] = {"took": round(self.loop.time() - began, 3)}
                    self.pool.emit(Event("backend.stopped", self.pool.name, backend.name, fields))
