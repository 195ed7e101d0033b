"""How long the ledger keeps what, so that it stays small for years.

Rule: whatever keeps an address or a payment from happening twice stays for ever, as small as it can be; the rest
goes after a time that is written here.  One run is many small transactions: no call waits for it noticeably.

    what                                                   kept
    addresses                                              for ever, about 150 bytes each
    hash and txid of a key (tombstone)                     for ever, about 400 bytes each
    stored bytes and text of a key                         six confirmations and 90 days
    a key that was signed and not broadcast                until it is given up
    intents that were answered, withheld or not executed   30 days, about 200 bytes each
    intents of unknown outcome                             400 days
    publications: bytes                                    90 days after the chain has spoken; those refused go whole,
                                                           once no key holds coins for them
    publications: txid and state                           for ever, about 250 bytes each
    what was spent, per transaction                        400 days
    invoices that were removed, and their receipts         90 days after removal; the address stays taken
    labels and freezes that were taken off                 90 days; a daemon that was away for longer may keep them
    orders that were answered                              30 days
    events                                                 the newest 10,000
    incidents, restarts, orders of people, starts          400 days, and of each the newest 10,000
    seconds of each day and backend                        400 days, about 100 bytes each

A shop with 1,000 invoices and 100 payouts a day comes to some 150 MB in a year, most of it invoices that it does
not remove: about 300 bytes each, with what was paid.  docs/money.md tells the same to whoever runs the shop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Delete,
    Select,
    Table,
    Update,
    and_,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from gateway.base.events import Emit, Event
from gateway.ledger import intents as intent_rules
from gateway.ledger.events import KEPT
from gateway.ledger.orders import DONE, FAILED
from gateway.ledger.schema import (
    audit,
    availability,
    events,
    holds,
    incidents,
    intents,
    invoices,
    keys,
    lives,
    marks,
    orders,
    publications,
    receipts,
    restarts,
    spending,
)
from gateway.ledger.store import Ledger, LedgerError

DAY = 86_400.0

ANSWERED_DAYS, UNKNOWN_DAYS, KEY_DAYS, PUBLICATION_DAYS = 30, 400, 90, 90
SPENDING_DAYS, REMOVED_DAYS, LIFTED_DAYS, ORDER_DAYS = 400, 90, 90, 30
HISTORY_DAYS, HISTORY_ROWS = 400, 10_000

AT_ONCE = 200
"""Rows of each kind in one transaction; some milliseconds."""

EVERY = 3600.0
"""Seconds between two runs."""

PAUSE = 0.2
"""Seconds between two transactions of one run, in which calls have the ledger for themselves."""


def prune(
    connection: Connection, at: float, most: int = AT_ONCE, parts: "Sequence[Part] | None" = None
) -> int:  # fmt: skip
    """Do a few rows of everything that is due and return how many it was; 0 when nothing is due any more.

    Args:
        at: seconds since 1970.
        most: rows of each kind.
        parts: what of it; all when None.
    """
    return sum(connection.execute(part(at, most)).rowcount for part in parts or PARTS)


async def prune_all(ledger: Ledger, at: float, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> int:
    """Do all that is due, a few rows of one kind in each transaction; return how many rows it was.

    Raises LedgerError.
    """
    total = 0
    for part in PARTS:

        def work(connection: Connection, part: Part = part) -> int:
            return connection.execute(part(at, AT_ONCE)).rowcount

        while done := await ledger.run(work):
            total += done
            await sleep(PAUSE)
    return total


async def keep_small(
    ledger: Ledger, clock: Callable[[], float], emit: Emit, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> None:
    """Prune once an hour for ever; a ledger that cannot now is tried again an hour later.

    Args:
        clock: seconds since 1970.
    """
    while True:
        await sleep(EVERY)
        try:
            done = await prune_all(ledger, clock(), sleep)
        except LedgerError as error:
            emit(Event("ledger.not_pruned", fields={"error": str(error)}, level="warning"))
            continue
        if done:
            emit(Event("ledger.pruned", fields={"rows": done}))


# -- what is due, one statement each ----------------------------------------------------------------------------


def _old_intents(at: float, most: int) -> Delete:
    ended = [intent_rules.ANSWERED, intent_rules.NOT_EXECUTED, intent_rules.WITHHELD, intent_rules.RESOLVED]
    closed = intents.c.closed_at
    known = and_(intents.c.state.in_(ended), closed < at - ANSWERED_DAYS * DAY)
    unknown = and_(intents.c.state == intent_rules.UNKNOWN, closed < at - UNKNOWN_DAYS * DAY)
    return _drop(intents, or_(known, unknown), most)


def _tombstones(at: float, most: int) -> Update:
    """Take text and bytes out of keys whose transaction is six blocks deep since long."""
    is_due = and_(keys.c.state == "confirmed", keys.c.updated_at < at - KEY_DAYS * DAY)
    return update(keys).where(_few(keys, is_due, most)).values(state="tombstone", key=None, result=None)


def _refused_publications(at: float, most: int) -> Delete:
    is_old = publications.c.last_at < at - PUBLICATION_DAYS * DAY
    mine = and_(holds.c.wallet == publications.c.wallet, holds.c.txid == publications.c.txid)
    # a key whose bytes were refused is told so, and can be given up, for as long as it holds its coins
    is_over = ~select(holds.c.outpoint).where(mine).exists()
    return _drop(publications, and_(publications.c.state == "rejected", is_old, is_over), most)


def _settled_publications(at: float, most: int) -> Update:
    spoken = and_(publications.c.state.in_(["confirmed", "conflict"]), publications.c.hex != "")
    is_due = and_(spoken, publications.c.last_at < at - PUBLICATION_DAYS * DAY)
    return update(publications).where(_few(publications, is_due, most)).values(hex="")


def _old_spending(at: float, most: int) -> Delete:
    return _drop(spending, spending.c.day < int(at / DAY) - SPENDING_DAYS, most)


def _receipts_of_removed(at: float, most: int) -> Delete:
    old = select(invoices.c.wallet, invoices.c.address).where(_was_removed(at))
    return _drop(receipts, tuple_(receipts.c.wallet, receipts.c.address).in_(old), most)


def _removed_invoices(at: float, most: int) -> Delete:
    mine = and_(receipts.c.wallet == invoices.c.wallet, receipts.c.address == invoices.c.address)
    return _drop(invoices, and_(_was_removed(at), ~select(receipts.c.txid).where(mine).exists()), most)


def _marks_taken_off(at: float, most: int) -> Delete:
    return _drop(marks, and_(marks.c.value == "", marks.c.at < at - LIFTED_DAYS * DAY), most)


def _old_orders(at: float, most: int) -> Delete:
    is_old = and_(orders.c.state.in_([DONE, FAILED]), orders.c.done_at < at - ORDER_DAYS * DAY)
    return _drop(orders, is_old, most)


def _old_events(_at: float, most: int) -> Delete:
    return _drop(events, events.c.seq <= select(func.max(events.c.seq) - KEPT).scalar_subquery(), most)


def _old_history(table: Table, moment: Column[float]) -> "Part":
    """Return what removes the rows of a table that are too old or too many; what is open is among them one day."""

    def part(at: float, most: int) -> Delete:
        first = select(moment).order_by(moment.desc()).offset(HISTORY_ROWS - 1).limit(1).scalar_subquery()
        return _drop(table, or_(moment < at - HISTORY_DAYS * DAY, moment < first), most)

    return part


def _old_days(at: float, most: int) -> Delete:
    return _drop(availability, availability.c.day < int(at / DAY) - HISTORY_DAYS, most)


Part = Callable[[float, int], Delete | Update]

HISTORY: tuple[Part, ...] = (
    _old_history(incidents, incidents.c.opened_at),
    _old_history(restarts, restarts.c.began_at),
    _old_history(audit, audit.c.at),
    _old_history(lives, lives.c.began_at),
    _old_days,
)
"""Of what happened; a gateway does some of it at its start too, for one that never lives an hour would grow it."""

PARTS: tuple[Part, ...] = (
    _old_intents,
    _tombstones,
    _refused_publications,
    _settled_publications,
    _old_spending,
    _receipts_of_removed,
    _removed_invoices,
    _marks_taken_off,
    _old_orders,
    _old_events,
    *HISTORY,
)
"""Each takes the time and how many rows; done again and again, each comes to none."""


def _was_removed(at: float) -> ColumnElement[bool]:
    return invoices.c.removed_at < at - REMOVED_DAYS * DAY


def _drop(table: Table, is_due: ColumnElement[bool], most: int) -> Delete:
    return delete(table).where(_few(table, is_due, most))


def _few(table: Table, is_due: ColumnElement[bool], most: int) -> ColumnElement[bool]:
    """Return a condition that holds for the first few rows of those that are due."""
    key = list(table.primary_key)
    due: Select[Any] = select(*key).where(is_due).limit(most)
    return key[0].in_(due) if len(key) == 1 else tuple_(*key).in_(due)
