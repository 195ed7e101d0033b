"""Keeps the ledger's list of addresses and the pool in step with what the daemons list.

Rule: the ledger learns of an address when every daemon in service lists it, and not before; so whatever is handed
out, no daemon in service is blind to it.

The mirror does the asking and deriving; this says how many addresses there should be, and writes down what is there.
How the wallet came into the ledger is in `account`, who else uses its pool in `use`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from gateway.base.events import Event
from gateway.fleet.pool import Pool
from gateway.ledger import epochs, takeover
from gateway.ledger.epochs import ADOPTED, DOUBTED
from gateway.ledger.store import Transacting
from gateway.ledger.takeover import Counted, Twin
from gateway.profiles import Profile
from gateway.supervision.account import Account
from gateway.supervision.lists import NotNow
from gateway.supervision.use import Use
from gateway.upstream.questions import CallOn

REFILL_BELOW = 2 / 3
"""The share of the pool below which it is filled up, so that not every allocation costs a derivation."""


class Keeper(Account):
    """The addresses of one wallet.

    Args:
        call_on: makes one upkeep call on one backend.
        size: of the pool.
        clock: seconds since 1970.
    """

    def __init__(
        self, pool: Pool, profile: Profile, ledger: Transacting, call_on: CallOn, size: int,
        clock: Callable[[], float], loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Know nothing; `load` reads the ledger."""
        super().__init__(pool, profile, ledger, call_on, clock, loop)
        self.size = size
        self.use = Use(pool, ledger, self.looks, self.took, clock, loop)
        self._filled = asyncio.Event()

    def __repr__(self) -> str:
        """Status line."""
        return f"<Keeper {self.pool.name} {self.state} known={self.known} free={self.free}/{self.size}>"

    # -- the list and the pool --------------------------------------------------------------------------------

    def wanted(self, listed: int) -> int:
        """Return how many addresses a primary that lists so many should list; 0 while there is nothing to fill.

        What it lists beyond the ledger at the first look is written down before any more is derived: afterwards
        nobody could tell by the plan whether it comes from this gateway.
        """
        if not self.is_adopted or self.trouble or (listed > self.known and not self.was_compared):
            return 0
        return self.known + max(0, self.size - self.free)

    async def plan(self, count: int) -> None:
        """Write down that daemons are about to list so many addresses, before the first of them is derived.

        Raises LedgerError, or NotNow where a promotion came between.
        """
        name, epoch = self.pool.name, self.pool.epoch
        if count <= self.planned:
            return
        if not await self.ledger.run(lambda c: epochs.plan(c, name, epoch, count)):
            raise NotNow("another primary was chosen meanwhile")
        self.planned = count

    async def mirrored(self, listed: list[str], ours: set[str]) -> bool:
        """Hear that every daemon in service lists these addresses (bare): what is new among them is written down.

        Those that were derived for the pool, as `ours` says, fill it.  Any other came about without us: somebody
        asked a daemon for it, or it was handed out before an older ledger was put back.  It counts as given out.
        So does the whole pool where the first list after a start shows such addresses: of an older ledger nobody
        knows which of its pool were handed out since.  Where there are more of them than this gateway had set out to
        derive, or than daemons list by themselves, the ledger is older indeed, and the wallet is doubted.
        Return whether it is written down; not where a promotion came between.

        Raises LedgerError, or NotNow when the primary did not say which of them are in use.
        """
        fresh = listed[self.known :]
        if not self.is_adopted:
            return False
        if not fresh:
            self.was_compared = True
            return True
        known, epoch = self.known, self.pool.epoch
        strays = set(fresh) - ours
        not_free = strays | await self.looks.in_use(self.pool.primary)
        is_first = not self.was_compared
        found = await self._append(known, epoch, fresh, not_free, strays if is_first else set())
        if found is None:
            return False
        self.was_compared = True
        if strays:
            self._tell_strays(len(strays), pool_given_up=is_first, is_older=found.is_older)
        return True

    def _tell_strays(self, count: int, *, pool_given_up: bool, is_older: bool) -> None:
        fields: dict[str, object] = {"addresses": count, "pool_given_up": pool_given_up, "doubted": is_older}
        if is_older:
            fields["remedy"] = self.why_no_key
        self.pool.emit(Event("address.foreign", self.pool.name, "", fields, "error" if is_older else "warning"))

    async def filled(self, fresh: list[str]) -> bool:
        """Hear of addresses (bare) that were derived for the pool, and that every daemon in service lists at the end.

        Nobody looks at them here: a daemon that has just derived an address has not heard yet what is on it.  `use`
        does, a moment later.
        Return whether they are written down; not where a promotion came between.  Raises LedgerError.
        """
        if not self.is_adopted or await self._append(self.known, self.pool.epoch, fresh, set(), set()) is None:
            return False
        self.use.grew.set()
        return True

    async def _append(
        self, known: int, epoch: int, fresh: list[str], not_free: set[str], strays: set[str]
    ) -> Counted | None:
        """Append addresses to the ledger's list; None where that was not to be done.  Raises LedgerError."""
        name, at = self.pool.name, self.clock()
        found = await self.ledger.run(
            lambda c: takeover.append(c, name, fresh, epoch, at, known=known, not_free=not_free, strays=strays)
        )
        if isinstance(found, Twin):
            self.meet_twin(found)
            return None
        self.known, self.free = found.known, found.free
        if not found.is_written:
            return None
        if found.is_older and self.state == ADOPTED:
            self.state = DOUBTED
        if self.free:
            self._filled.set()
        if self._is_low():
            # not all of it was for the pool, and whoever waits for an address must not wait for the next round
            self.pool.on_compare()
        return found

    # -- what allocations ask and tell --------------------------------------------------------------------

    def took(self, left: int) -> None:
        """Hear that an address was handed out and how many are left."""
        self.free = left
        if not left:
            self._filled.clear()
        if self._is_low():
            self.pool.on_compare()

    def _is_low(self) -> bool:
        return self.free <= self.size * REFILL_BELOW

    async def wait(self, deadline: float) -> bool:
        """Wait until there is something in the pool; False when the deadline (loop time) came first."""
        if self.free:
            return True
        self._filled.clear()
        self.pool.on_compare()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._filled.wait()
        return self.free > 0
