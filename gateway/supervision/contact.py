"""First contact with a wallet: who of its daemons was used, and whether they have one seed.

Rule: every daemon in service is asked, for invoices, labels and addresses that nobody paid to are each one's own; and
those that have not come up yet are waited for a little, because one of them may have given out addresses alone.
"""

import asyncio
from dataclasses import dataclass

from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.rules.lifecycle import Phase
from gateway.supervision.lists import NotNow
from gateway.supervision.looks import Looks

FIRST_LOOK = 5.0
"""Seconds for which a wallet that is met for the first time waits for daemons that have not come up yet: one of them
may have given out addresses that the primary does not list."""


@dataclass(frozen=True, slots=True)
class Met:
    """What first contact found."""

    longest: list[str]
    """The longest list of the primary's seed, with prefixes."""
    used: list[str]
    """The backends that show use."""
    sides: list[list[str]]
    """The backends that list alike, the primary's first; more than one where there are several seeds."""


class Contact:
    """First contact with one wallet."""

    def __init__(self, pool: Pool, looks: Looks, loop: asyncio.AbstractEventLoop) -> None:
        """Have met nobody."""
        self.pool = pool
        self.looks = looks
        self.loop = loop
        self._looks_until: float | None = None
        """When nobody waits any more for daemons that are starting."""

    async def look(self, primary: Backend, listed: list[str]) -> Met:
        """Look at every daemon in service.  `listed` is by the primary, with prefixes.

        Raises:
            NotNow: a daemon did not answer, or is waited for.
        """
        if self._looks_until is None:
            self._looks_until = self.loop.time() + FIRST_LOOK
        unseen = [one.name for one in self.pool.backends if one.phase is Phase.STARTING]
        if unseen and self.loop.time() < self._looks_until:
            raise NotNow(f"{', '.join(unseen)} may know more of the wallet and is not yet in service")
        seeds = await self.looks.by_seed(primary, listed)
        used = [one.name for one, held in seeds[0].items() if not await self.looks.is_fresh(one, held)]
        sides = [[one.name for one in side] for side in seeds]
        return Met(max(seeds[0].values(), key=len), used, sides)
