"""Looks for ever, on every daemon, whether somebody else uses addresses that wait in the pool.

Rule: what shows use is given to nobody; a daemon that does not answer is looked at in the next round.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import addresses
from gateway.ledger.store import Ledger, LedgerError
from gateway.supervision.lists import NotNow
from gateway.supervision.looks import Looks

LOOK_FOR_USE = 10.0
"""Seconds between two looks."""

HEARD = 1.0
"""Seconds after which new addresses are looked at: by then a daemon has heard from its server what is on them."""

REST = 10.0
"""Times as long as the last look took, until the next: looks read whole lists, and daemons have customers."""


class Use:
    """The use of one wallet's pool by others.

    Args:
        took: hears how many addresses are left in the pool.
        clock: seconds since 1970.
    """

    def __init__(
        self, pool: Pool, ledger: Ledger, looks: Looks, took: Callable[[int], None], clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Look at nothing yet."""
        self.pool = pool
        self.ledger = ledger
        self.looks = looks
        self.took = took
        self.clock = clock
        self.loop = loop
        self.grew = asyncio.Event()
        """Addresses came into the pool that no look has seen."""

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._until_a_look_is_due()
            began = self.loop.time()
            for backend in [one for one in self.pool.backends if one.phase.is_serving]:
                with suppress(NotNow, LedgerError):
                    await self._burn(backend, await self.looks.in_use(backend))
            await asyncio.sleep(min(LOOK_FOR_USE, REST * (self.loop.time() - began)))

    async def _until_a_look_is_due(self) -> None:
        """Wait for the next round, or until daemons have heard what is on new addresses."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_FOR_USE):
                await self.grew.wait()
                await asyncio.sleep(HEARD)
        self.grew.clear()

    async def _burn(self, backend: Backend, in_use: set[str]) -> None:
        """Take out of the pool what shows use on a daemon.  Raises LedgerError."""
        name = self.pool.name

        def work(connection: Connection) -> tuple[int, int]:
            burnt = addresses.burn(connection, name, addresses.pooled(connection, name) & in_use, self.clock())
            return burnt, addresses.in_pool(connection, name)

        if not in_use:
            return
        burnt, left = await self.ledger.run(work)
        self.took(left)
        if burnt:
            self.pool.emit(Event("address.burnt", name, backend.name, {"addresses": burnt}, "error"))
