"""The addresses of a wallet: what was given out, and the pool of those that will be.

Rule: an address leaves the pool in the transaction that says to whom; the list has no gap, so that it can be laid
beside the list of any daemon.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by

from gateway.ledger.schema import addresses
from gateway.rules.cashaddr import bare

FOREIGN, POOL, HANDED, BURNT = "foreign", "pool", "handed", "burnt"

_IS_FREE = (addresses.c.wallet == bindparam("of"), addresses.c.state == POOL)
# each allocation asks these; to build them anew would cost more than to run them
_NEXT = select(addresses.c.place, addresses.c.address).where(*_IS_FREE).order_by(addresses.c.place).limit(1)
_FREE = select(func.count()).where(*_IS_FREE)
_TAKE = (
    update(addresses)
    .where(*_IS_FREE, addresses.c.place == bindparam("at_place"))
    .values(
        state=HANDED, client=bindparam("to"), method=bindparam("by"), epoch=bindparam("in_epoch"), at=bindparam("when")
    )
)


def listed(connection: Connection, wallet: str, start: int = 0) -> list[str]:
    """Return every address from a place on, in the order of derivation."""
    found = select(addresses.c.address).where(addresses.c.wallet == wallet, addresses.c.place >= start)
    return list(connection.scalars(found.order_by(addresses.c.place)))


def page(connection: Connection, wallet: str, start: int, most: int) -> list[str]:
    """Return so many addresses from a place on, or those that there are, in the order of derivation."""
    here = (addresses.c.wallet == wallet, addresses.c.place >= start, addresses.c.place < start + most)
    if connection.dialect.name == "postgresql":
        # rows cost the process seven times as much as one value, and everybody waits while they are made
        ordered = aggregate_order_by(addresses.c.address, addresses.c.place)
        return list(connection.scalar(select(func.array_agg(ordered)).where(*here)) or ())
    return list(connection.scalars(select(addresses.c.address).where(*here).order_by(addresses.c.place)))


def count(connection: Connection, wallet: str) -> int:
    """Return how many addresses are known."""
    # the list has no gap, and its last place is one step in an index where counting would be a walk over all
    last = connection.scalar(select(func.max(addresses.c.place)).where(addresses.c.wallet == wallet))
    return 0 if last is None else last + 1


def handed_places(connection: Connection, wallet: str) -> int:
    """Return how many addresses a daemon must list to see every one that was given out: the last place plus one."""
    last = select(func.max(addresses.c.place)).where(addresses.c.wallet == wallet, addresses.c.state != POOL)
    found = connection.scalar(last)
    return 0 if found is None else found + 1


def in_pool(connection: Connection, wallet: str) -> int:
    """Return how many addresses wait to be handed out."""
    return connection.scalar(_FREE, {"of": wallet}) or 0


def pooled(connection: Connection, wallet: str) -> set[str]:
    """Return the addresses that wait to be handed out."""
    waiting = select(addresses.c.address).where(addresses.c.wallet == wallet, addresses.c.state == POOL)
    return set(connection.scalars(waiting))


def add(connection: Connection, wallet: str, found: Sequence[str], state: str, epoch: int, at: float) -> None:
    """Append addresses behind the last place; raises IntegrityError for one that is known already."""
    start = count(connection, wallet)
    rows = [
        {"wallet": wallet, "place": start + n, "address": bare(one), "state": state, "epoch": epoch, "at": at}
        for n, one in enumerate(found)
    ]
    if rows:
        connection.execute(insert(addresses), rows)


def take(connection: Connection, wallet: str, client: str, method: str, epoch: int, at: float) -> str | None:
    """Hand out the next address of the pool; None when it is dry."""
    row = connection.execute(_NEXT, {"of": wallet}).one_or_none()
    if row is None:
        return None
    given = {"of": wallet, "at_place": row.place, "to": client, "by": method, "in_epoch": epoch, "when": at}
    done = connection.execute(_TAKE, given)
    assert done.rowcount == 1, "an address was taken twice in one transaction"  # noqa: S101 - the last line of defence
    return str(row.address)


def burn(connection: Connection, wallet: str, used: Iterable[str], at: float) -> int:
    """Let nobody have addresses of the pool that are in use by somebody else; return how many there were."""
    burnt = 0
    for one in used:
        burnt += connection.execute(
            update(addresses)
            .where(addresses.c.wallet == wallet, addresses.c.address == bare(one), addresses.c.state == POOL)
            .values(state=BURNT, at=at)
        ).rowcount
    return burnt
