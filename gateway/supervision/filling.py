"""The mirror's part for the ledger: derives what the pool wants, and hands in what every daemon in service lists.

Rule: how many addresses daemons are going to list is written down before the first of them is derived, and none is
handed in before every daemon in service lists it.  While all daemons are known to be level, the pool is filled by
`refill`, which reads one list instead of all; whatever is otherwise is left to a comparison.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from gateway.base.errors import LedgerError
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.supervision import refill
from gateway.supervision.lists import Lists, NotNow
from gateway.supervision.recall import Recall
from gateway.supervision.reign import Reign
from gateway.supervision.tidings import Tidings

T = TypeVar("T")

SOON = 0.25
"""Seconds for which a standby that does not answer keeps the others waiting."""

AT_ONCE = 500
"""Addresses derived in one go, so that a standby far behind does not keep its slot from reads for long."""


class Keeper(Protocol):
    """Who writes down what is listed; the ledger's keeper."""

    known: int
    """Addresses that are written down: any of them may have been given out."""

    def wanted(self, listed: int) -> int:
        """Return how many addresses a primary that lists so many should list; 0 for as many as it does."""

    async def plan(self, count: int) -> None:
        """Write down that daemons are about to list so many addresses.  Raises LedgerError, NotNow."""

    async def met(self, primary: Backend, listed: list[str]) -> None:
        """Hear what the primary lists, with prefixes."""

    async def mirrored(self, listed: list[str], ours: set[str]) -> bool:
        """Hear what every daemon in service lists, without prefixes, and which of it was derived for the pool.

        Return whether it is written down now.
        """

    async def filled(self, fresh: list[str]) -> bool:
        """Hear of addresses (bare) that were derived for the pool, and that every daemon in service lists at the end.

        Return whether they are written down now.
        """

    def only_strangers(self, names: Sequence[str]) -> None:
        """Hear which daemons list other addresses than the ledger, where none lists these; nobody where one may."""


class Filling:
    """The filling of one wallet's pool.

    Args:
        under: begins something with a standby that nothing else may be done with meanwhile.
    """

    def __init__(
        self, pool: Pool, keeper: Keeper, lists: Lists, recall: Recall, tidings: Tidings,
        reign: Reign, under: Callable[[Backend, Coroutine[Any, Any, None]], "asyncio.Task[None]"],
        loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Begin with nothing derived."""
        self.reign = reign
        self.pool = pool
        self.keeper = keeper
        self.lists = lists
        self.recall = recall
        self.tidings = tidings
        self.under = under
        self.loop = loop
        self.ours: set[str] = set()
        """Addresses that were derived for the pool and that the keeper has not written down yet."""
        self.owes = False
        """The last comparison, or the last refill, did not get as far as the ledger."""

    async def refill(self, primary: Backend, standbys: list[Backend]) -> bool:
        """Fill up the pool, as long as nothing but that is to be done; return whether it was.

        False is an order to compare: a daemon is not known to be level, or turned out not to be.  What was derived by
        then is kept for ours, so that the comparison finds it and loses none.

        Raises:
            NotNow: a daemon did not answer, the ledger could not be written, or the primary was replaced.
        """
        if not self._is_level(primary, standbys):
            return False
        listed = len(self.recall.known)
        missing = min(self.keeper.wanted(listed) - listed, refill.AT_ONCE)
        if missing <= 0:
            return False
        self.owes = True
        await self.tell(self.keeper.plan(listed + missing))
        try:
            fresh = await self.while_primary(primary, self._derive_alike(primary, standbys, missing))
        except refill.AstrayError:
            return False
        if self.pool.primary is not primary:
            raise NotNow(f"{primary.name} is no longer primary")
        self.recall.add(fresh)
        if await self.tell(self.keeper.filled(fresh)):
            self.ours.difference_update(fresh)
            self.owes = False
        return True

    def _is_level(self, primary: Backend, standbys: list[Backend]) -> bool:
        """Whether every daemon in service is known to list what the ledger does, no more and no less."""
        pool, recall = self.pool, self.recall
        return (
            primary.phase.is_serving
            and pool.is_primary_checked
            and not primary.is_stranger
            and all(map(pool.is_aligned, standbys))
            and not (self.owes or self.ours or recall.told)
            and self.keeper.known == len(recall.known) > 0
        )

    async def _derive_alike(self, primary: Backend, standbys: list[Backend], count: int) -> list[str]:
        """Make every daemon in service derive the next addresses, and return them.  Raises AstrayError, NotNow."""
        began, recall = self.loop.time(), self.recall

        async def derive_first(backend: Backend) -> str:
            self._see_primary(primary)
            return await self.lists.derive(backend)

        fresh = await refill.on_primary(primary, count, recall.known_set, derive_first, self.ours.add)
        await refill.derive_alike(primary, standbys, fresh, self.lists.derive, self.under, SOON)
        witness = standbys[0] if standbys else primary
        if not await refill.has_no_gap(witness, recall.known, fresh, self.lists.as_written):
            raise refill.AstrayError(f"{witness.name} lists other addresses than were derived")
        for one in (primary, *standbys):
            self.tidings.tell_derived(one, count, began)
        return fresh

    async def grow(self, primary: Backend, listed: list[str]) -> list[str]:
        """Make the primary derive what the pool wants; return its list then.

        Raises NotNow, also where it was restarted meanwhile and derives or lists less than it did.
        """
        began, before = self.loop.time(), len(listed)
        missing = min(self.keeper.wanted(before) - before, AT_ONCE)
        if missing <= 0:
            return listed
        await self.tell(self.keeper.plan(before + missing))
        for _ in range(missing):
            self._see_primary(primary)
            derived = await self.lists.derive(primary)
            if derived in self.recall.known_set:
                self.pool.doubt_primary()
                raise NotNow(f"{primary.name} derives addresses that are known")
            self.ours.add(derived)
        listed = await self.lists.of(primary)
        if len(listed) < before + missing:
            self.pool.doubt_primary()
            raise NotNow(f"{primary.name} lists less than it did")
        self.tidings.tell_derived(primary, len(listed) - before, began)
        return listed

    def _see_primary(self, primary: Backend) -> None:
        """Raise NotNow for one that is not the primary of now, which alone is first to derive."""
        if self.pool.primary is not primary:
            raise NotNow(f"{primary.name} is no longer primary")

    async def hand_in(self, primary: Backend, listed: list[str]) -> None:
        """Tell the keeper what every daemon in service lists.  Raises NotNow."""
        if await self.while_primary(primary, self.tell(self.keeper.mirrored(listed, self.ours))):
            self.ours.difference_update(listed)
        self.owes = False

    async def while_primary(self, primary: Backend, work: Coroutine[Any, Any, T]) -> T:
        """Do something that may ask the primary, for as long as it is the primary; raises NotNow after that.

        It may be frozen in the middle, and the one that takes over must not wait for its answer.
        """
        async with self.reign.over(primary, work) as task:
            await asyncio.wait({task})
            return self.reign.result(primary, task)

    async def tell(self, work: Awaitable[T]) -> T:
        """Let the keeper write something down; raises NotNow where that was not possible."""
        try:
            return await work
        except LedgerError as error:
            raise NotNow(f"the ledger could not be written: {error}") from error

    def look_for_strangers(self) -> None:
        """Tell the keeper where every daemon that was in service lists other addresses than are known."""
        met = [one.name for one in self.pool.backends if one.was_ready or one.phase.is_serving]
        self.keeper.only_strangers(met if self.tidings.strangers.issuperset(met) else ())
