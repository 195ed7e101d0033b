"""Whether a ledger agrees with itself: what its constraints cannot say, looked for row by row.

Rule: it only reads, and each finding is a sentence with numbers and names; addresses and keys are shown as places
and counts, so that the findings can be sent to somebody.
"""

from collections.abc import Callable, Iterator

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, or_, select

from gateway.ledger.addresses import BURNT, FOREIGN, HANDED, POOL
from gateway.ledger.epochs import ADOPTED, DOUBTED, NEW, UNADOPTED
from gateway.ledger.intents import ANSWERED, NOT_EXECUTED, RESOLVED, UNKNOWN, WITHHELD
from gateway.ledger.intents import OPEN as OPEN_INTENT
from gateway.ledger.orders import DONE, FAILED, TAKEN
from gateway.ledger.orders import OPEN as OPEN_ORDER
from gateway.ledger.schema import (
    addresses,
    holds,
    intents,
    invoices,
    keys,
    marks,
    orders,
    publications,
    receipts,
    spending,
    wallets,
)  # fmt: skip

SIGNED_STATES = ("signed", "published", "confirmed")
LIVE_KEYS = ("in_progress", *SIGNED_STATES)
GIVEN_UP = ("abandoned", "tombstone")

STATES = {
    wallets: {NEW, UNADOPTED, ADOPTED, DOUBTED},
    addresses: {FOREIGN, POOL, HANDED, BURNT},
    intents: {OPEN_INTENT, ANSWERED, NOT_EXECUTED, UNKNOWN, WITHHELD, RESOLVED},
    keys: {*LIVE_KEYS, *GIVEN_UP},
    publications: {"unknown", "accepted", "confirmed", "conflict", "rejected"},
    orders: {OPEN_ORDER, TAKEN, DONE, FAILED},
}
"""The words that each table knows for `state`."""


def check(connection: Connection) -> list[str]:
    """Return everything that is wrong with a ledger, nothing when all is well."""
    return [finding for look in LOOKS for finding in look(connection)]


# -- the looks ------------------------------------------------------------------------------------------------


def _file(connection: Connection) -> Iterator[str]:
    """SQLite's own look at its pages and indexes."""
    if connection.dialect.name == "sqlite":
        for row in connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars():
            if row != "ok":
                yield f"the file is damaged: {row}"


def _states(connection: Connection) -> Iterator[str]:
    for table, known in STATES.items():
        strange = select(table.c.state, func.count()).where(table.c.state.not_in(known)).group_by(table.c.state)
        for state, count in connection.execute(strange):
            yield f"{table.name}: {count} with the unknown state {state}"


def _wallets(connection: Connection) -> Iterator[str]:
    """Each has an epoch, a primary, and the first address that it had when it was met."""
    for row in connection.execute(select(wallets)):
        if row.epoch < 1:
            yield f"wallet {row.name}: its epoch is {row.epoch}, and the first one is 1"
        if not row.primary_backend:
            yield f"wallet {row.name}: no backend is named as primary"
        first = connection.scalar(
            select(addresses.c.address).where(addresses.c.wallet == row.name, addresses.c.place == 0)
        )
        if row.state in (ADOPTED, DOUBTED) and (first is None or row.fingerprint.rpartition(":")[2] != first):
            yield f"wallet {row.name}: its first address is not the one that it was met with"
        if row.state not in (ADOPTED, DOUBTED) and first is not None:
            yield f"wallet {row.name}: it has addresses and was never adopted"
    for table in (addresses, invoices, intents, keys, holds, publications, marks, spending):
        strange = select(table.c.wallet, func.count()).where(table.c.wallet.not_in(select(wallets.c.name)))
        for name, count in connection.execute(strange.group_by(table.c.wallet)):
            yield f"{table.name}: {count} of a wallet {name} that is not known"


def _addresses(connection: Connection) -> Iterator[str]:
    """Places are counted from 0 without a gap; no address is there twice, whatever the wallet."""
    spans = select(
        addresses.c.wallet, func.count(), func.min(addresses.c.place), func.max(addresses.c.place),
        func.count(addresses.c.address.distinct()),
    ).group_by(addresses.c.wallet)  # fmt: skip
    for name, count, first, last, different in connection.execute(spans):
        if (first, last) != (0, count - 1):
            yield f"wallet {name}: {count} addresses stand on the places {first} to {last}; there is a gap"
        if different != count:
            yield f"wallet {name}: {count - different} addresses are there twice"
    shared = select(addresses.c.address).group_by(addresses.c.address)
    count = _count(connection, shared.having(func.count(addresses.c.wallet.distinct()) > 1).subquery())
    if count:
        yield f"{count} addresses belong to two wallets; one seed is one wallet"
    for words, wrong in (
        ("have the prefix of a network", addresses.c.address.like("%:%")),
        ("were given out and nobody is named", and_(addresses.c.state == HANDED, addresses.c.client == "")),
        ("wait in the pool and name a client", and_(addresses.c.state == POOL, addresses.c.client != "")),
        ("are of an epoch that has not begun", _is_ahead(addresses)),
    ):
        if count := _count(connection, addresses, wrong):
            yield f"{count} addresses {words}"


def _invoices(connection: Connection) -> Iterator[str]:
    """Each has its address, given out, at its place; receipts have their invoice."""
    mine = select(addresses.c.place).where(
        addresses.c.wallet == invoices.c.wallet, addresses.c.address == invoices.c.address,
        addresses.c.place == invoices.c.place, addresses.c.state.in_([HANDED, FOREIGN]),
    )  # fmt: skip
    if count := _count(connection, invoices, ~mine.exists()):
        yield f"{count} invoices have no address that was given out at their place"
    if count := _count(connection, invoices, or_(invoices.c.amount < 0, invoices.c.exp < 0)):
        yield f"{count} invoices have an amount or a time below nothing"
    paid = select(invoices.c.id).where(invoices.c.wallet == receipts.c.wallet, invoices.c.address == receipts.c.address)
    if count := _count(connection, receipts, ~paid.exists()):
        yield f"{count} receipts have no invoice"


def _payments(connection: Connection) -> Iterator[str]:
    """Held coins belong to a live key or a broadcast; a key has its bytes as long as it lives."""
    by_key = select(keys.c.txid).where(
        keys.c.wallet == holds.c.wallet, keys.c.client == holds.c.client, keys.c.key_hash == holds.c.key_hash,
        keys.c.state.in_(LIVE_KEYS),
    )  # fmt: skip
    sent = select(publications.c.txid).where(
        publications.c.wallet == holds.c.wallet, publications.c.txid == holds.c.txid
    )
    if count := _count(connection, holds, and_(~by_key.exists(), ~sent.exists())):
        yield f"{count} coins are held by no live key and no broadcast"
    for words, wrong in (
        ("are signed and have no bytes", and_(keys.c.state.in_(SIGNED_STATES), keys.c.result.is_(None))),
        ("are signed and have no txid", and_(keys.c.state.in_(SIGNED_STATES), keys.c.txid.is_(None))),
        ("were given up and still have bytes or text", and_(keys.c.state.in_(GIVEN_UP), _has_content())),
        ("are of an epoch that has not begun", _is_ahead(keys)),
    ):
        if count := _count(connection, keys, wrong):
            yield f"{count} keys {words}"
    same = select(keys.c.txid).where(keys.c.state.in_(LIVE_KEYS), keys.c.txid.is_not(None))
    if count := _count(connection, same.group_by(keys.c.wallet, keys.c.txid).having(func.count() > 1).subquery()):
        yield f"{count} transactions belong to two live keys"
    if count := _count(connection, publications, and_(publications.c.state == "unknown", publications.c.hex == "")):
        yield f"{count} broadcasts of unknown fate have lost their bytes"
    if count := _count(connection, spending, spending.c.satoshi < 0):
        yield f"{count} transactions spent less than nothing"


def _intents(connection: Connection) -> Iterator[str]:
    ended = intents.c.state != OPEN_INTENT
    for words, wrong in (
        ("have ended and do not say when", and_(ended, intents.c.closed_at.is_(None))),
        ("are of an epoch that has not begun", _is_ahead(intents)),
    ):
        if count := _count(connection, intents, wrong):
            yield f"{count} intents {words}"


LOOKS: tuple[Callable[[Connection], Iterator[str]], ...] = (
    _file, _states, _wallets, _addresses, _invoices, _payments, _intents,
)  # fmt: skip


def _count(connection: Connection, table: FromClause, wrong: ColumnElement[bool] | None = None) -> int:
    found = select(func.count()).select_from(table)
    return connection.scalar(found if wrong is None else found.where(wrong)) or 0


def _is_ahead(table: FromClause) -> ColumnElement[bool]:
    now = select(wallets.c.epoch).where(wallets.c.name == table.c.wallet).scalar_subquery()
    return table.c.epoch > now


def _has_content() -> ColumnElement[bool]:
    return or_(keys.c.result.is_not(None), keys.c.key.is_not(None))
