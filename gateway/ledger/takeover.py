"""First contact and what comes after it, as the ledger takes them: a wallet's list, taken over or added to.

Rule: whether it may be done is asked in the transaction that does it.  Two wallets of one ledger never give out
addresses of one seed, and a ledger that knows other addresses than the daemons list takes none of theirs.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from gateway.ledger import addresses, epochs, listing
from gateway.ledger.epochs import ADOPTED, NEW
from gateway.rules.adoption import GAP_LIMIT
from gateway.rules.cashaddr import bare


@dataclass(frozen=True, slots=True)
class Counted:
    """How many addresses the ledger has now."""

    known: int
    free: int
    is_written: bool = True
    """False where the list, or the epoch, was another one by then."""
    is_older: bool = False
    """The daemons showed that the ledger is older than what was done with it."""


@dataclass(frozen=True, slots=True)
class Twin:
    """Another wallet of this ledger has the same seed; nothing was written."""

    wallet: str


@dataclass(frozen=True, slots=True)
class OtherSeed:
    """The ledger knows other addresses than were shown; nothing was written."""


def take_over(
    connection: Connection, wallet: str, listed: Sequence[str], epoch: int, at: float,
    also: Callable[[Connection], None], before: Sequence[str] = (),
) -> Counted | Twin | OtherSeed:  # fmt: skip
    """Take a wallet over: everything that it lists, and its pool, counts as given out.

    Args:
        listed: receiving addresses with prefixes, at least one.
        also: writes what else is taken over.
        before: what was read of the ledger's own list before, see `listing`.

    Raises LedgerError where that list is another one by now.
    """
    known, shown = listing.whole(connection, wallet, before), [bare(one) for one in listed]
    shorter = min(len(known), len(shown))
    if known[:shorter] != shown[:shorter]:
        return OtherSeed()
    if (other := epochs.twin(connection, wallet, listed[0])) is not None:
        return Twin(other)
    addresses.burn(connection, wallet, addresses.pooled(connection, wallet), at)
    addresses.add(connection, wallet, shown[len(known) :], addresses.FOREIGN, epoch, at)
    also(connection)
    epochs.settle(connection, wallet, ADOPTED, listed[0])
    return _counted(connection, wallet)


def settle(connection: Connection, wallet: str, state: str, first: str) -> Twin | bool:
    """Note how first contact went; False where an operator's order was faster."""
    standing = epochs.current(connection, wallet)
    if standing is None or standing.state != NEW:
        return False
    if (other := epochs.twin(connection, wallet, first)) is not None:
        return Twin(other)
    epochs.settle(connection, wallet, state, first)
    return True


def append(
    connection: Connection, wallet: str, fresh: Sequence[str], epoch: int, at: float,
    *, known: int, not_free: Collection[str], strays: frozenset[str] | set[str],
) -> Counted | Twin:  # fmt: skip
    """Append addresses (bare) to the list, for the pool, unless it has changed meanwhile.

    With strays the whole pool is given up.  They need no more than a gateway that was killed in the middle of what it
    had planned, or daemons that went on by themselves behind a payment; those further out tell of a ledger that is
    older than what was done with it.

    Args:
        known, epoch: as they were when it was decided what is new.
        not_free: those of them that are not for the pool.
        strays: those that nobody derived for the pool, where no list has been laid beside the ledger's before.
    """
    standing = epochs.current(connection, wallet)
    if standing is None or standing.epoch != epoch or addresses.count(connection, wallet) != known:
        return _counted(connection, wallet, is_written=False)
    if (other := epochs.twin(connection, wallet, standing.fingerprint)) is not None:
        return Twin(other)
    is_older = False
    if strays:
        explained = max(standing.planned, addresses.handed_places(connection, wallet) + GAP_LIMIT)
        is_older = not strays.isdisjoint(fresh[max(0, explained - known) :])
        if is_older:
            epochs.doubt(connection, wallet)
        addresses.burn(connection, wallet, addresses.pooled(connection, wallet), at)
    addresses.add(connection, wallet, fresh, addresses.POOL, epoch, at)
    addresses.burn(connection, wallet, set(not_free) & set(fresh), at)
    return _counted(connection, wallet, is_older=is_older)


def _counted(connection: Connection, wallet: str, *, is_written: bool = True, is_older: bool = False) -> Counted:
    known, free = addresses.count(connection, wallet), addresses.in_pool(connection, wallet)
    return Counted(known, free, is_written, is_older)
