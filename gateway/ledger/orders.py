"""What an operator's command asks the running gateway to do, and what it answers.

Rule: an order is carried out once and soon, or not at all: the command withdraws it when nobody took it, and one
that nobody took within a minute is refused, so that nothing happens on a day when nobody expects it.

    open -> taken -> done | failed
    open -> failed (withdrawn, or too old)
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from gateway.ledger.schema import orders
from gateway.ledger.store import Transacting

OPEN, TAKEN, DONE, FAILED = "open", "taken", "done", "failed"

TOO_OLD = 60.0
"""Seconds after which an order is not begun any more."""

WITHDRAWN = "withdrawn: the gateway did not take it in time; see whether its ledger can be written"

LATE = "too old: give it again"
"""What becomes of it then."""

PATIENCE = 30.0
"""Seconds that a command waits for its answer."""

LOOK = 0.1
"""Seconds between two looks of a waiting command."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order; `at` in seconds since 1970."""

    id: int
    wallet: str
    verb: str
    argument: str
    at: float
    state: str
    answer: str


# -- the command's side ---------------------------------------------------------------------------------------


def place(connection: Connection, wallet: str, verb: str, argument: str, at: float) -> int:
    """Write an order down and return its number."""
    row = insert(orders).values(wallet=wallet, verb=verb, argument=argument, at=at, state=OPEN)
    key = connection.execute(row).inserted_primary_key
    assert key is not None  # noqa: S101 - the table has one
    return int(key[0])


def read(connection: Connection, order: int) -> Order:
    """Return an order as it stands."""
    return _order(connection.execute(select(orders).where(orders.c.id == order)).one())


def withdraw(connection: Connection, order: int, at: float) -> bool:
    """Take an order back; False when a gateway took it meanwhile."""
    return _end(connection, order, OPEN, FAILED, WITHDRAWN, at)


def wait_for_answer(
    ledger: Transacting, order: int, clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep, patience: float = PATIENCE,
) -> Order:  # fmt: skip
    """Wait until an order is done or failed, and return it; one that nobody took in time is withdrawn.

    Args:
        clock: seconds since 1970.
        patience: seconds; an order that was taken by then is returned as it stands, `taken`.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    end = clock() + patience
    while True:
        found = ledger.transact(lambda connection: read(connection, order))
        if found.state in (DONE, FAILED):
            return found
        if clock() >= end:
            ledger.transact(lambda connection: withdraw(connection, order, clock()))
            return ledger.transact(lambda connection: read(connection, order))
        sleep(LOOK)


# -- the gateway's side ---------------------------------------------------------------------------------------


def take(connection: Connection, at: float, of: Collection[str] | None = None) -> list[Order]:
    """Take every open order, the oldest first; those that are too old fail.

    Args:
        of: wallets whose orders are taken; None for all.  Those that nobody takes are withdrawn by who gave them.
    """
    mine = () if of is None else (orders.c.wallet.in_(of),)
    rows = connection.execute(select(orders).where(orders.c.state == OPEN, *mine).order_by(orders.c.id)).all()
    taken = []
    for row in rows:
        if at - row.at > TOO_OLD:
            _end(connection, row.id, OPEN, FAILED, LATE, at)
        else:
            connection.execute(update(orders).where(orders.c.id == row.id).values(state=TAKEN))
            taken.append(_order(row, TAKEN))
    return taken


def finish(connection: Connection, order: int, answer: str, at: float, *, is_done: bool) -> bool:
    """Answer an order that was taken; False when it was answered before."""
    return _end(connection, order, TAKEN, DONE if is_done else FAILED, answer, at)


def give_up(connection: Connection, at: float, of: Collection[str] | None = None) -> int:
    """Fail what an earlier process took and never answered; for the start of a gateway.  Return how many.

    Args:
        of: wallets whose orders are meant; None for all.
    """
    mine = () if of is None else (orders.c.wallet.in_(of),)
    left = update(orders).where(orders.c.state == TAKEN, *mine)
    answer = "the gateway ended before it was done; see how things stand, then give it again"
    return connection.execute(left.values(state=FAILED, answer=answer, done_at=at)).rowcount


def _end(connection: Connection, order: int, before: str, state: str, answer: str, at: float) -> bool:
    found = update(orders).where(orders.c.id == order, orders.c.state == before)
    return connection.execute(found.values(state=state, answer=answer, done_at=at)).rowcount == 1


def _order(row: Row[Any], state: str = "") -> Order:
    return Order(row.id, row.wallet, row.verb, row.argument, row.at, state or row.state, row.answer)
