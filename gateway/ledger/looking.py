"""A ledger that this gateway cannot open, for who wants to see no more in it than who holds what.

Rule: nothing is written: each look is a transaction that the server itself keeps from writing.  Nothing is believed but
the leases, for the rest may be of a newer version, behind, or under another key.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from gateway.base.cluster import Ledger as Settings
from gateway.ledger.database import FOLLOWER
from gateway.ledger.opening_postgres import database_of
from gateway.ledger.postgres import PostgresLedger
from gateway.ledger.store import Transacting, heard

T = TypeVar("T")


class Looking:
    """A ledger as a follower has it.

    Args:
        ledger: is this one's to close.
    """

    def __init__(self, ledger: Transacting) -> None:
        """Begin with no look under way."""
        self.ledger = ledger
        self._looks: set[asyncio.Future[object]] = set()

    @property
    def last_error(self) -> str:
        """Why the ledger did not answer; looks leave nothing there."""
        return self.ledger.last_error

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Look, where a ledger that is open would do a transaction; who leaves ends nothing.  Raises LedgerError."""
        look = asyncio.ensure_future(self.ledger.see(work))
        self._looks.add(look)  # type: ignore[arg-type]  # only waited for
        look.add_done_callback(self._looks.discard)
        return await asyncio.shield(heard(look))

    async def end(self) -> None:
        """Let go of the database once the looks under way are done; nobody may begin another."""
        if self._looks:
            await asyncio.wait(self._looks)
        await asyncio.to_thread(self.ledger.close)

    def close(self) -> None:
        """Let go of it now; looks under way fail."""
        self.ledger.close()


def looking_at(settings: Settings) -> Looking:
    """Return the ledger that the settings name, for looks alone; nothing is connected yet.  Raises MisplacedError."""
    return Looking(PostgresLedger(database_of(settings), FOLLOWER))
