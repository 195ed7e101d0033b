"""Makes another backend primary: because the one of now is sick, or because an operator says so.

Rule: the ledger decides.  A promotion is one transaction that raises the epoch; only when it is durable do calls go
to the new primary, and an answer that the old one still owes is withheld by whoever closes its intent.
"""

import asyncio
from collections.abc import Callable

from gateway.base.errors import OrderError
from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import epochs
from gateway.ledger.store import Ledger, LedgerError, UncertainError
from gateway.rules.election import Candidate, elect
from gateway.rules.lifecycle import Phase

LOOK = 0.05
"""Seconds between two looks at the primary."""


class CannotPromoteError(OrderError):
    """An operator's promotion that is not possible; the text says why."""


def reloaded_away(wallet: str, primary: str, before: str, epoch: int) -> Event:
    """Return what is told when a reload took the primary away and another one is written down."""
    fields: dict[str, object] = {"before": before, "reason": "no longer in the configuration", "epoch": epoch}
    return Event("primary.promoted", wallet, primary, fields, "warning")


class Election:
    """The primary of one wallet.

    Args:
        clock: seconds since 1970.
        may_sign: whether a backend lacks nothing that signing needs, change addresses above all.
    """

    def __init__(
        self, pool: Pool, ledger: Ledger, clock: Callable[[], float], loop: asyncio.AbstractEventLoop,
        may_sign: Callable[[Backend], bool] = lambda _backend: True,
    ) -> None:  # fmt: skip
        """Begin with the primary that the ledger names."""
        self.pool = pool
        self.ledger = ledger
        self.clock = clock
        self.loop = loop
        self.may_sign = may_sign
        self.promoted_at: list[float] = []
        self.replaced = ""
        """Primary that a reload took away and that the ledger still has; its epoch is behind the pool's."""
        self._is_unsure = False
        """A promotion may have been written without an answer; until that is known the pool may be an epoch behind."""
        self._started_at = loop.time()
        self._is_blind = False
        self._one_at_a_time = asyncio.Lock()

    @property
    def is_owed(self) -> bool:
        """Whether the ledger does not know yet who is primary."""
        return bool(self.replaced)

    async def run(self) -> None:
        """Watch the primary for ever."""
        while True:
            if self.is_owed:
                await self._pay_the_ledger()
            elif self._is_unsure:
                await self._catch_up()
            now = self.loop.time()
            chosen = elect(self._candidates(), self.promoted_at, self._started_at, now)
            if chosen is not None:
                await self._promote(self.pool.by_name[chosen], self.pool.primary.ailment or "out of service", now)
            await asyncio.sleep(LOOK)

    async def order(self, name: str) -> str:
        """Promote a backend because an operator wants it; return a sentence about it.

        Raises CannotPromoteError.
        """
        backend = self.pool.by_name.get(name)
        if backend is None:
            raise CannotPromoteError(f"there is no backend {name}; there are {', '.join(self.pool.by_name)}")
        if backend is self.pool.primary:
            return f"{name} is primary already"
        if not backend.may_serve:
            raise CannotPromoteError(f"{name} is not in service ({backend.ailment or backend.phase.value})")
        if not self._is_complete(backend):
            raise CannotPromoteError(
                f"{name} does not list every address that was given out yet; try again in a second"
            )
        if not await self._promote(backend, "an operator's order", self.loop.time()):
            if name not in self.pool.by_name:
                raise CannotPromoteError(f"{name} was taken out of the configuration meanwhile")
            raise CannotPromoteError(
                f"the ledger could not write it down ({self.ledger.last_error or 'another epoch'})"
            )
        return f"{name} is primary now, epoch {self.pool.epoch}"

    def _is_complete(self, backend: Backend) -> bool:
        return self.pool.is_aligned(backend) and self.may_sign(backend)

    def _candidates(self) -> list[Candidate]:
        primary = self.pool.primary
        return [
            Candidate(
                name=one.name,
                is_primary=one is primary,
                is_serving=one.may_serve,
                is_out=not one.phase.is_serving or one.is_stranger or one.is_drained,
                was_ready=one.was_ready,
                is_complete=self._is_complete(one),
                is_warm=one.phase is Phase.READY,
                score=one.score,
            )
            for one in self.pool.backends
        ]

    async def _promote(self, backend: Backend, reason: str, now: float) -> bool:
        """Write the promotion down, then carry it out; False when the ledger could not.

        Whoever gave the order may leave, but not between the two: the ledger would be an epoch ahead for ever.
        """
        work = self._write_and_carry_out(backend, reason, now, self.pool.epoch)
        return await asyncio.shield(self.loop.create_task(work, name=f"promotion-{self.pool.name}"))

    async def _write_and_carry_out(self, backend: Backend, reason: str, now: float, epoch: int) -> bool:
        """Do it, unless the epoch that it was decided in is over."""
        async with self._one_at_a_time:
            pool = self.pool
            new = await self._write(backend.name, epoch)
            if new is None:
                return False
            self.promoted_at.append(now)
            del self.promoted_at[:-100]
            chosen = pool.by_name.get(backend.name)
            if chosen is None:
                # a reload took it away meanwhile: the one that calls go to must be the ledger's as well
                pool.set_primary(pool.primary, await self._write(pool.primary.name, new) or new)
                return False
            before, took = pool.primary.name, round(self.loop.time() - now, 3)
            fields: dict[str, object] = {"before": before, "reason": reason, "epoch": new, "took": took}
            pool.emit(Event("primary.promoted", pool.name, chosen.name, fields, "warning"))
            pool.set_primary(chosen, new)
            return True

    async def _pay_the_ledger(self) -> None:
        """Write down which primary reloads have made, if that is possible now; what was written meanwhile counts."""
        async with self._one_at_a_time:
            pool, found = self.pool, await self._found()
            # a reload may come while this waits: what it wants is seen anew each time
            while found is not None and (found[1] < pool.epoch or found[0] not in pool.by_name):
                primary = pool.primary.name
                new = await self._write(primary, found[1])
                found = None if new is None else (primary, new)
            if found is not None:
                primary, epoch = found
                if (primary, epoch) != (pool.primary.name, pool.epoch):
                    pool.set_primary(pool.by_name[primary], epoch)
                pool.emit(reloaded_away(pool.name, primary, self.replaced, epoch))
                self.replaced = ""

    async def _found(self) -> tuple[str, int] | None:
        """Return primary and epoch as the ledger has them, None where it cannot be asked."""
        try:
            standing = await self.ledger.run(lambda c: epochs.current(c, self.pool.name))
        except LedgerError:
            return None
        self._is_unsure = False
        return None if standing is None else (standing.primary, standing.epoch)

    async def _catch_up(self) -> None:
        """Carry out what was written without an answer."""
        async with self._one_at_a_time:
            pool, now = self.pool, self.loop.time()
            try:
                standing = await self.ledger.run(lambda c: epochs.current(c, pool.name))
            except LedgerError:
                return
            self._is_unsure = False
            chosen = None if standing is None else pool.by_name.get(standing.primary)
            if standing is None or standing.epoch == pool.epoch or chosen is None:
                return
            self.promoted_at.append(now)
            reason = "it was written down, and the ledger could not say so at once"
            fields: dict[str, object] = {"before": pool.primary.name, "reason": reason, "epoch": standing.epoch}
            pool.emit(Event("primary.promoted", pool.name, chosen.name, fields, "warning"))
            pool.set_primary(chosen, standing.epoch)

    async def _written(self, primary: str, epoch: int) -> int | None:
        """Return an epoch that was written without an answer; None where that is not known, or is not so."""
        return epoch if await self._found() == (primary, epoch) else None

    async def _write(self, primary: str, epoch: int) -> int | None:
        """Write a promotion down and return its epoch; None where that was not possible, or somebody was faster."""
        name = self.pool.name
        try:
            new = await self.ledger.run(lambda c: epochs.promote(c, name, primary, epoch, self.clock()))
        except UncertainError:
            self._is_unsure = True
            return await self._written(primary, epoch + 1)
        except LedgerError as error:
            if not self._is_blind:
                self._is_blind = True
                fields: dict[str, object] = {"reason": str(error)}
                self.pool.emit(Event("primary.cannot_be_promoted", name, primary, fields, "error"))
            return None
        self._is_blind = False
        return new
