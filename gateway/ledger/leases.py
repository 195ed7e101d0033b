"""Leases of wallets, as statements: taken when free or ended, renewed and given up by their holder alone.

Rule: the clock of the database says what has ended, in the very statement that writes; a lease that runs is never
taken from its holder.  Each statement names the term that it goes by, so that one which is carried out late, after
whoever sent it has given up waiting, changes nothing that came after it.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Float,
    Row,
    and_,
    bindparam,
    cast,
    extract,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from gateway.ledger.key_of import note
from gateway.ledger.schema import leases, meta
from gateway.rules.lease import Gateway, Lease

Clock = Callable[[], float]
"""Seconds since 1970: what SQLite goes by, which is never shared between machines."""

POSTGRESQL = "postgresql"

T = TypeVar("T")


@dataclass(slots=True)
class OfLease(Generic[T]):
    """A transaction about a lease and about nothing else.

    A database that has lost something does it: somebody has to hold a wallet for reads to go on.  All else is refused
    there as ever, and whatever goes by a lease has transactions of its own.
    """

    work: Callable[[Connection], T]
    older: str = ""
    """Once it is done: what the database has lost, in words with the way out; "" where it has not."""

    def __call__(self, connection: Connection) -> T:
        """Do it."""
        return self.work(connection)


def acquire(
    connection: Connection, wallet: str, me: Gateway, seen: int, term: int, ttl: float, clock: Clock = time.time
) -> Lease | None:
    """Take a lease that is free, has ended, or is an earlier one of this very process; None where that was not so.

    Args:
        seen: the term that the lease had when it was looked at; 0 where there was none.
        term: the one of the new holding; higher than any that was seen.
        ttl: seconds.
    """
    values = {**_names(wallet, me.instance, term), **_published(me), "_holder": me.name, "_seen": seen, "_ttl": ttl}
    row = _execute(connection, "acquire", values, clock).one_or_none()
    if row is None:
        return None
    return Lease(me.name, me.instance, me.address, me.config, term, row.until, row.since, row.since, me.sections)


def renew(
    connection: Connection, wallet: str, me: Gateway, term: int, ttl: float, clock: Clock = time.time
) -> float | None:
    """Let a lease run for another ttl, and return its new end; None when it has ended or is another's.

    Address and configuration of the holder are written anew: a reload may have changed them.
    """
    values = {**_names(wallet, me.instance, term), **_published(me), "_ttl": ttl}
    row = _execute(connection, "renew", values, clock).one_or_none()
    return None if row is None else float(row.until)


def publish(connection: Connection, wallet: str, me: Gateway) -> None:
    """Write down how the holder of a wallet is configured, in the transaction in which it took or renewed its lease.

    It stands in `meta`: the hash in `leases` stays what an older version compares it with, and no table changes.
    """
    note(connection, _place(wallet), f"{me.instance} {me.sections}")


def release(connection: Connection, wallet: str, instance: str, term: int) -> bool:
    """Give a lease up, so that anybody may take it at once; False when it was not this holding's any more."""
    return _execute(connection, "release", _names(wallet, instance, term)).one_or_none() is not None


def read(connection: Connection, wallet: str, clock: Clock = time.time) -> Lease | None:
    """Return a lease as it stands, None where nobody ever had one."""
    row = _execute(connection, "read", {"_wallet": wallet, "_place": _place(wallet)}, clock).one_or_none()
    if row is None:
        return None
    instance, _, sections = (row.sections or "").partition(" ")
    # an older version publishes none, and leaves those of the holder before it
    return replace(_lease(row), sections=sections if instance == row.instance else "")


def read_all(connection: Connection, clock: Clock = time.time) -> dict[str, Lease]:
    """Return every lease by wallet, for whoever asks who has what."""
    return {row.wallet: _lease(row) for row in _execute(connection, "read_all", {}, clock)}


def is_current(connection: Connection, wallet: str, instance: str, term: int, clock: Clock = time.time) -> bool:
    """Whether a holding still is the wallet's, and runs: the fence."""
    return _execute(connection, "is_current", _names(wallet, instance, term), clock).one_or_none() is not None


# -- statements -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Statements:
    """What is said to one kind of database; built once, for the fence stands before every transaction."""

    acquire: Executable
    renew: Executable
    release: Executable
    read: Executable
    read_all: Executable
    is_current: Executable


@cache
def _statements(dialect: str) -> _Statements:
    now = database_clock(dialect)
    mine = (
        leases.c.wallet == bindparam("_wallet"),
        leases.c.instance == bindparam("_instance"),
        leases.c.term == bindparam("_term"),
    )
    until = now + bindparam("_ttl", type_=Float)
    published: dict[str, Any] = {"address": bindparam("_address"), "config": bindparam("_config")}
    taken = {
        **published, "holder": bindparam("_holder"), "instance": bindparam("_instance"), "term": bindparam("_term"),
        "until": until, "since": now,
    }  # fmt: skip
    insert = postgresql.insert if dialect == POSTGRESQL else sqlite.insert
    is_free = or_(leases.c.until <= now, leases.c.instance == bindparam("_instance"))
    returned = leases.c.until, leases.c.since
    rows = select(leases, now.label("now"))
    sections = select(meta.c.value).where(meta.c.key == bindparam("_place")).scalar_subquery().label("sections")
    return _Statements(
        acquire=insert(leases)
        .values(wallet=bindparam("_wallet"), **taken)
        .on_conflict_do_update(
            index_elements=[leases.c.wallet],
            set_=taken,
            where=and_(leases.c.term == bindparam("_seen"), is_free),
        )
        .returning(*returned),
        renew=update(leases).where(*mine, leases.c.until > now).values(until=until, **published).returning(*returned),
        release=update(leases).where(*mine).values(until=0.0).returning(*returned),
        read=rows.add_columns(sections).where(leases.c.wallet == bindparam("_wallet")),
        read_all=rows.order_by(leases.c.wallet),
        is_current=select(leases.c.term).where(*mine, leases.c.until > now),
    )


def database_clock(dialect: str) -> ColumnElement[float]:
    """Return the time at which a statement is carried out, in seconds since 1970, as an expression.

    PostgreSQL has a clock, the same for all gateways; SQLite is told one, as `_now`.
    """
    if dialect == POSTGRESQL:
        # of the statement, not of the transaction: that may have waited for its turn
        return cast(extract("epoch", func.clock_timestamp()), Float)
    return bindparam("_now", type_=Float)


def _execute(connection: Connection, name: str, values: dict[str, object], clock: Clock | None = None) -> Any:
    dialect = connection.dialect.name
    if clock is not None and dialect != POSTGRESQL:
        values = {**values, "_now": clock()}
    return connection.execute(getattr(_statements(dialect), name), values)


def _place(wallet: str) -> str:
    """Return the row of `meta` for the configuration of a wallet's holder; its key is no longer than any wallet's."""
    return f"lease {hashlib.sha256(wallet.encode()).hexdigest()[:32]}"


def _names(wallet: str, instance: str, term: int) -> dict[str, object]:
    return {"_wallet": wallet, "_instance": instance, "_term": term}


def _published(me: Gateway) -> dict[str, object]:
    return {"_address": me.address, "_config": me.config}


def _lease(row: Row[Any]) -> Lease:
    return Lease(row.holder, row.instance, row.address, row.config, row.term, row.until, row.since, row.now)
