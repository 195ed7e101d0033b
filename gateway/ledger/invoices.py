"""Invoices and what was paid to them.

Rule: an invoice and the label of its address are written in the transaction that hands the address out.  A removed
invoice stays as a row, and its address stays taken.  What was paid is one row for each transaction and address; the
status in an invoice's own row is the furthest it came, and goes back only where a receipt is taken out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from gateway.ledger import marks
from gateway.ledger.among import is_among
from gateway.ledger.marks import FREEZES, GATEWAY, LABEL, LABELS, NONE, STEP, Change, Mark
from gateway.ledger.schema import addresses, invoices, receipts
from gateway.ledger.schema import marks as mark_rows
from gateway.rules.invoices import PENDING, UNCONFIRMED, Asked, Invoice, Receipt, furthest, label, label_key, make

AT_ONCE = 200
"""Invoices in one transaction of a long list, so that allocations need not wait for all of it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An invoice with its receipts."""

    invoice: Invoice
    place: int
    status: str
    """The furthest it came; expiry is not in it."""
    receipts: list[Receipt] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Moved:
    """An invoice whose status changed."""

    id: str
    before: str
    after: str


# -- calls of clients ---------------------------------------------------------------------------------------


def add(
    connection: Connection, wallet: str, client: str, address: str, asked: Asked, at: float
) -> tuple[Invoice, Change | None]:
    """Write down an invoice on an address (bare) that was just handed out, and its label; return both."""
    invoice = make(asked, address, at)
    _insert(connection, wallet, client, invoice, _place_of(connection, wallet, address))
    change = None
    if invoice.memo:
        change = marks.put(connection, wallet, LABEL, label_key(address), label(invoice.memo), GATEWAY, at)
    return invoice, change


def find(connection: Connection, wallet: str, candidates: Sequence[str]) -> Kept | None:
    """Return the invoice of the first of some addresses (bare) that has one."""
    here = and_(invoices.c.wallet == wallet, is_among(invoices.c.address, candidates), invoices.c.removed_at.is_(None))
    row = connection.execute(select(invoices).where(here).limit(1)).one_or_none()
    if row is None:
        return None
    kept = _kept(row)
    kept.receipts.extend(_receipts_at(connection, wallet, [row.address]))
    return kept


def page(connection: Connection, wallet: str, after: int, most: int = AT_ONCE) -> list[Kept]:
    """Return the next invoices behind a place, in the order of their addresses."""
    found = select(invoices).where(
        invoices.c.wallet == wallet, invoices.c.place > after, invoices.c.removed_at.is_(None)
    )  # fmt: skip
    listed = [_kept(row) for row in connection.execute(found.order_by(invoices.c.place).limit(most))]
    by_address = {one.invoice.address: one for one in listed}
    for one in _receipts_at(connection, wallet, list(by_address)):
        by_address[one.address].receipts.append(one)
    return listed


def remove(connection: Connection, wallet: str, candidates: Sequence[str], at: float) -> tuple[bool, list[Change]]:
    """Remove the invoice of one of some addresses (bare); return whether there was one, and what label went."""
    kept = find(connection, wallet, candidates)
    if kept is None:
        return False, []
    return True, _remove(connection, wallet, [kept], at)


def withdraw(
    connection: Connection, wallet: str, address: str, made: str, given_at: float | None, at: float
) -> tuple[bool, list[Change]]:  # fmt: skip
    """Remove an invoice that nobody was told; return whether it was there, and what label went.

    Its transaction may not have been committed, and then its address (bare) is in the pool still, or another invoice
    has it by now: that one stays.

    Args:
        made: its id.
        given_at: when its address was given out for it; None where that is known to be so.
    """
    kept = find(connection, wallet, [address])
    if kept is None or kept.invoice.id != made:
        return False, []
    # the id is that of its second
    given = select(addresses.c.at).where(addresses.c.wallet == wallet, addresses.c.address == address)
    if given_at is not None and connection.scalar(given) != given_at:
        return False, []
    return True, _remove(connection, wallet, [kept], at)


def last_place(connection: Connection, wallet: str) -> int:
    """Return the place of the last invoice that is not removed, -1 where there is none."""
    here = and_(invoices.c.wallet == wallet, invoices.c.removed_at.is_(None))
    last = connection.scalar(select(func.max(invoices.c.place)).where(here))
    return -1 if last is None else int(last)


def clear(
    connection: Connection, wallet: str, after: int, until: int, at: float, most: int = AT_ONCE
) -> tuple[int | None, list[Change]]:
    """Remove the next invoices behind a place up to another; return where to go on, and which labels went.

    None is where to go on when nothing is left.
    """
    found = [one for one in page(connection, wallet, after, most) if one.place <= until]
    return found[-1].place if found else None, _remove(connection, wallet, found, at)


def take_over(connection: Connection, wallet: str, found: Iterable[Invoice]) -> int:
    """Write down invoices that a daemon had before the gateway; return how many.

    Those whose address the ledger does not know, or that are there already, are left out.
    """
    taken = 0
    for invoice in found:
        place = connection.scalar(_place(wallet, invoice.address))
        is_known = exists().where(invoices.c.wallet == wallet, invoices.c.address == invoice.address)
        if place is not None and not connection.scalar(select(is_known)):
            _insert(connection, wallet, "", invoice, place)
            taken += 1
    return taken


# -- what was paid ------------------------------------------------------------------------------------------


def is_open(connection: Connection, wallet: str, at: float) -> bool:
    """Whether a payment is waited for: an invoice that is neither removed nor paid nor expired."""
    here = and_(invoices.c.wallet == wallet, invoices.c.removed_at.is_(None))
    is_running = or_(invoices.c.exp.is_(None), invoices.c.time + invoices.c.exp >= at)
    # by name, for an index knows what is equal and not what is other
    begun = exists().where(here, invoices.c.status == UNCONFIRMED)
    waits = exists().where(here, invoices.c.status == PENDING, is_running)
    return bool(connection.scalar(select(or_(begun, waits))))


def is_any(connection: Connection, wallet: str) -> bool:
    """Whether there is an invoice at all that is not removed: late payments count too."""
    here = and_(invoices.c.wallet == wallet, invoices.c.removed_at.is_(None))
    return bool(connection.scalar(select(exists().where(here))))


def watched(connection: Connection, wallet: str, among: Sequence[str]) -> dict[str, dict[str, Receipt]]:
    """Return which of some addresses have an invoice that is not removed, each with its receipts by txid."""
    found = select(invoices.c.address).where(
        invoices.c.wallet == wallet, is_among(invoices.c.address, among), invoices.c.removed_at.is_(None)
    )
    paid: dict[str, dict[str, Receipt]] = {address: {} for address in connection.scalars(found)}
    for one in _receipts_at(connection, wallet, list(paid)):
        paid[one.address][one.txid] = one
    return paid


def young(connection: Connection, wallet: str, above: int) -> list[Receipt]:
    """Return the receipts that are in no block, or in one above a height, of invoices that are not removed."""
    mine = and_(receipts.c.wallet == invoices.c.wallet, receipts.c.address == invoices.c.address)
    found = select(receipts).join(invoices, mine).where(
        receipts.c.wallet == wallet, invoices.c.removed_at.is_(None),
        or_(receipts.c.height == 0, receipts.c.height > above),
    )  # fmt: skip
    return list(map(_receipt, connection.execute(found)))


def receive(connection: Connection, wallet: str, seen: Sequence[Receipt], gone: Sequence[Receipt]) -> list[Moved]:
    """Write down receipts as they are now, take out those that are gone; return which invoices changed status."""
    for one in seen:
        done = connection.execute(update(receipts).where(_is(wallet, one)).values(value=one.value, height=one.height))
        if done.rowcount == 0:
            row = {"address": one.address, "txid": one.txid, "value": one.value, "height": one.height}
            connection.execute(insert(receipts).values(wallet=wallet, **row))
    for one in gone:
        connection.execute(delete(receipts).where(_is(wallet, one)))
    touched = dict.fromkeys(one.address for one in (*seen, *gone))
    moved = (_restate(connection, wallet, address) for address in touched)
    return [one for one in moved if one is not None]


def _restate(connection: Connection, wallet: str, address: str) -> Moved | None:
    kept = find(connection, wallet, [address])
    if kept is None:
        return None
    status = furthest(kept.invoice.amount, kept.receipts)
    if status == kept.status:
        return None
    here = and_(invoices.c.wallet == wallet, invoices.c.address == address)
    connection.execute(update(invoices).where(here).values(status=status))
    return Moved(kept.invoice.id, kept.status, status)


# -- rows ---------------------------------------------------------------------------------------------------


def _insert(connection: Connection, wallet: str, client: str, invoice: Invoice, place: int) -> None:
    connection.execute(
        insert(invoices).values(
            wallet=wallet, address=invoice.address, id=invoice.id, client=client, amount=invoice.amount,
            memo=invoice.memo, time=invoice.time, exp=invoice.exp, status=PENDING, place=place,
        )
    )  # fmt: skip


def _remove(connection: Connection, wallet: str, found: Sequence[Kept], at: float) -> list[Change]:
    """Remove invoices, and with each its label while that is still ours and nobody has paid there."""
    here = and_(invoices.c.wallet == wallet, is_among(invoices.c.address, (kept.invoice.address for kept in found)))
    if found:
        connection.execute(update(invoices).where(here).values(removed_at=at))
    texts = {
        label_key(kept.invoice.address): label(kept.invoice.memo)
        for kept in found
        if kept.invoice.memo and not kept.receipts
    }
    ours = select(mark_rows.c.key, mark_rows.c.value).where(
        mark_rows.c.wallet == wallet, mark_rows.c.kind == LABEL, is_among(mark_rows.c.key, texts),
        mark_rows.c.owner == GATEWAY,
    )  # fmt: skip
    gone = [row.key for row in connection.execute(ours) if row.value == texts[row.key]] if texts else []
    return _unlabel(connection, wallet, gone, at)


def _unlabel(connection: Connection, wallet: str, keys: Sequence[str], at: float) -> list[Change]:
    """Take labels away, each at a time of its own; what `marks.put` does, with one look at the newest for all."""
    changes = []
    before = marks.newest(connection, wallet, (*FREEZES, *LABELS)) if keys else 0.0
    for key in keys:
        moment = max(at, before + STEP)
        here = and_(mark_rows.c.wallet == wallet, mark_rows.c.kind == LABEL, mark_rows.c.key == key)
        connection.execute(update(mark_rows).where(here).values(value=NONE, at=moment))
        changes.append(Change(Mark(LABEL, key, NONE, GATEWAY, moment), before))
        before = moment
    return changes


def _receipts_at(connection: Connection, wallet: str, among: Sequence[str]) -> list[Receipt]:
    if not among:
        return []
    found = select(receipts).where(receipts.c.wallet == wallet, is_among(receipts.c.address, among))
    return list(map(_receipt, connection.execute(found)))


def _place(wallet: str, address: str) -> Select[int]:
    return select(addresses.c.place).where(addresses.c.wallet == wallet, addresses.c.address == address)


def _place_of(connection: Connection, wallet: str, address: str) -> int:
    place = connection.scalar(_place(wallet, address))
    assert place is not None, "an invoice on an address that nobody knows"  # noqa: S101 - the caller took it just now
    return int(place)


def _is(wallet: str, one: Receipt) -> ColumnElement[bool]:
    return and_(receipts.c.wallet == wallet, receipts.c.address == one.address, receipts.c.txid == one.txid)


def _kept(row: Row[Any]) -> Kept:
    invoice = Invoice(row.address, row.id, row.amount, row.memo, row.time, row.exp)
    return Kept(invoice, row.place, row.status)


def _receipt(row: Row[Any]) -> Receipt:
    return Receipt(row.address, row.txid, row.value, row.height)
