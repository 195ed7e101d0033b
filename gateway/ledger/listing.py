"""The whole list of a wallet's addresses, read without keeping anybody waiting.

Rule: the list only ever grows, in length and for as long as there is a shop, so it is never read in a transaction for
which others wait.  It is read a page at a time beside them.  Whoever needs all of it in a transaction reads there what
came since: addresses are appended and stay where they are, so what was read before is still so.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from gateway.ledger import addresses
from gateway.ledger.store import LedgerError

T = TypeVar("T")

PAGE = 20_000
"""Addresses that are read at once: some hundredths of a second."""


class Looking(Protocol):
    """A ledger that can be read while others write."""

    def look(self, work: Callable[[Connection], T]) -> T:
        """Read one moment and wait for it.  Raises LedgerError."""

    async def see(self, work: Callable[[Connection], T]) -> T:
        """Read one moment.  Raises LedgerError."""


async def read(ledger: Looking, wallet: str) -> list[str]:
    """Return every address that is known now, in the order of derivation.  Raises LedgerError."""
    found: list[str] = []
    while len(page := await ledger.see(_page(wallet, len(found)))) == PAGE:
        found += page
    return found + page


def read_now(ledger: Looking, wallet: str) -> list[str]:
    """Return the same, and wait for it.  Raises LedgerError."""
    found: list[str] = []
    while len(page := ledger.look(_page(wallet, len(found)))) == PAGE:
        found += page
    return found + page


def whole(connection: Connection, wallet: str, before: Sequence[str]) -> list[str]:
    """Return every address, inside a transaction.

    Args:
        before: what was read of the list before the transaction; it is not read again.

    Raises:
        LedgerError: the list does not begin like that any more, as after a failover to a copy that lagged.
    """
    if not before:
        return addresses.listed(connection, wallet)
    last, *rest = addresses.listed(connection, wallet, len(before) - 1) or [""]
    if last != before[-1]:
        raise LedgerError("the list of addresses is not what it was a moment ago; it has to be read again")
    return [*before, *rest]


def _page(wallet: str, start: int) -> Callable[[Connection], list[str]]:
    return lambda connection: addresses.page(connection, wallet, start, PAGE)
