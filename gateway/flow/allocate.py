"""A new address: new in the ledger, or not answered.

Rule: an address leaves the pool in the transaction that names its client, and only then the answer leaves.  No daemon
is asked, so there is no unknown outcome and no standby that is blind to it; it works while every daemon is down.

A transaction that gets its turn only after the deadline writes nothing, for its client has been told so or has left.
What cannot be known is whether it is committed in time: one that is written before the deadline and takes longer than
that to become durable is there, and nobody was told.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from gateway.base.config import Client
from gateway.base.errors import DEADLINE_BEFORE_SEND, NO_BACKEND, READ_ONLY, RESULT_WITHHELD, Failure, Kind
from gateway.base.jsonrpc import Answer
from gateway.fleet.pool import Pool
from gateway.ledger import addresses, epochs
from gateway.ledger.store import Ledger, LedgerError, UncertainError
from gateway.rules.methods import Granted

T = TypeVar("T")

AGAIN = 0.01
"""Seconds until it is tried again when a promotion came between."""


class _TooLateError(Exception):
    """The deadline has passed inside the transaction; nothing of it happens."""


class Keeper(Protocol):
    """Who fills the pool."""

    prefix: str

    def took(self, left: int) -> None:
        """Hear that an address was handed out and how many are left."""

    async def wait(self, deadline: float) -> bool:
        """Wait until there is something in the pool; False when the deadline came first."""

    @property
    def is_adopted(self) -> bool:
        """Whether addresses may be given out."""

    @property
    def why_no_address(self) -> str:
        """Why nothing may be given out, with the way out; "" when something may, or when nobody was heard of yet."""


class Allocator:
    """The addresses of one wallet, as its clients get them.

    Args:
        clock: seconds since 1970.
    """

    def __init__(
        self, pool: Pool, keeper: Keeper, ledger: Ledger, clock: Callable[[], float], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Hand out from the keeper's pool."""
        self.pool = pool
        self.keeper = keeper
        self.ledger = ledger
        self.clock = clock
        self.loop = loop
        self.handed = 0
        """Addresses handed out by this process."""

    async def handle(self, client: Client, granted: Granted, deadline: float, _key: str | None) -> Answer | Failure:
        """Answer a call for a new address, in the form in which the daemon lists its own."""
        given = await self.hand_out(client.name, granted.method.name, deadline)
        return given if isinstance(given, Failure) else Answer(msgspec.json.encode(self.keeper.prefix + given), None)

    async def hand_out(
        self, client: str, method: str, deadline: float,
        also: Callable[[Connection, str, float], None] = lambda _connection, _address, _at: None,
    ) -> str | Failure:  # fmt: skip
        """Take an address (bare) out of the pool, waiting for one until the deadline (loop time).

        Args:
            also: writes what belongs to it, in the same transaction, with the moment that stands with the address.
        """
        name = self.pool.name

        def work(connection: Connection) -> tuple[str | None, int, bool]:
            self._see_time(deadline)
            standing = epochs.current(connection, name)
            if standing is None or standing.epoch != epoch:
                return None, 0, False
            at = self.clock()
            address = addresses.take(connection, name, client, method, epoch, at)
            if address is not None:
                also(connection, address, at)
            left = addresses.in_pool(connection, name)
            # a database may have taken its time for each of these
            self._see_time(deadline)
            return address, left, True

        while True:
            if why := self.keeper.why_no_address:
                return self._failure(READ_ONLY, f"{why}; nothing was given out")
            epoch = self.pool.epoch
            written = await self._in_ledger(work)
            if isinstance(written, Failure):
                return written
            address, left, is_current = written
            if address is not None:
                self.handed += 1
                self.keeper.took(left)
                return address
            if not is_current:
                if self.loop.time() + AGAIN >= deadline:
                    return self._failure(READ_ONLY, "another gateway has this wallet; nothing was given out")
                await asyncio.sleep(AGAIN)
                continue
            # whoever took the last one may have left before he could say so
            self.keeper.took(left)
            if not await self.keeper.wait(deadline):
                return self._dry()

    async def _in_ledger(self, work: Callable[[Connection], T]) -> T | Failure:
        """Do one transaction, or say why it was not done."""
        try:
            return await self.ledger.run(work)
        except _TooLateError:
            why = "the ledger was busy until the deadline; nothing was given out and nothing was written down"
            return self._failure(DEADLINE_BEFORE_SEND, why)
        except UncertainError as error:
            why = f"nobody knows whether it was written down ({error}); if so, nobody gets that address"
            return self._failure(RESULT_WITHHELD, why)
        except LedgerError as error:
            return self._failure(READ_ONLY, f"the ledger cannot be written ({error}); nothing was given out")

    def _see_time(self, deadline: float) -> None:
        """Raise _TooLateError once the deadline is over; called on the ledger's thread."""
        if self.loop.time() >= deadline:
            raise _TooLateError

    def _dry(self) -> Failure:
        if why := self.keeper.why_no_address:
            return self._failure(READ_ONLY, f"{why}; nothing was given out")
        return self._failure(NO_BACKEND, self._why_dry())

    def _why_dry(self) -> str:
        if not self.keeper.is_adopted:
            return "no daemon of this wallet was heard of yet, so that there is no address to give out"
        ailing = [f"{one.name}: {one.ailment}" for one in self.pool.backends if one.ailment]
        why = f" ({'; '.join(ailing[:5])})" if ailing else ""
        return f"the pool of addresses is empty and no daemon filled it in time{why}; nothing was given out"

    def _failure(self, kind: Kind, message: str) -> Failure:
        text = f"{kind.name}: {message}"
        return Failure(kind, text, safe_to_repeat=True, wallet=self.pool.name, next_step="send the same call again")
