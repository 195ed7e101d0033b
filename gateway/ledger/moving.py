"""Moves a ledger from its file into a database, for a gateway that is to have company.

Rule: at any moment one of the two can be used, or none; never both.  The file says that it was moved before the rows
are there, so that a move which is broken off is begun again by the same command, and no gateway opens the file then.

The rows come in one transaction, as they are: addresses keep their places, wallets their epochs, keys what they bound.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, delete, func, insert, select, text

from gateway.base.cluster import Ledger as Settings
from gateway.base.events import Event
from gateway.ledger import events, seen
from gateway.ledger.database import COMMAND
from gateway.ledger.key_file import mark_of, read_key
from gateway.ledger.key_of import ID, KEY_MARK, MOVED, fact, note
from gateway.ledger.opening import check_version, check_whole, commits_of, open_reader
from gateway.ledger.opening_postgres import database_of, is_in_use, open_database
from gateway.ledger.remedies import explained
from gateway.ledger.schema import events as happened
from gateway.ledger.schema import intents, leases, meta, metadata, orders
from gateway.ledger.store import LedgerError, MisplacedError, SqliteLedger, UncertainError

FROM, DONE = "moved_from", "moved"
"""Rows of `meta`: in the database, the id of the ledger that came; in the file, the database where it surely is."""

AT_ONCE = 500
"""Rows in memory at a time."""

LONG = 3600.0
"""Seconds that a move may take; some ten thousand rows a second."""

COUNTED = ((intents, "id"), (orders, "id"), (happened, "seq"))
"""Columns that the database numbers."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A ledger that is in its database: where that is, in words, and how many rows came (0: they were there before)."""

    where: str
    rows: int


def move(settings: Settings, source: Path, at: float) -> Moved:
    """Move the ledger in a file into the database that the settings name; no gateway may have either open.

    Args:
        at: seconds since 1970.

    Raises:
        LedgerError: it cannot be done.  The file is what it was, except where the text says to give the command again.
    """
    source = source.absolute()
    check_whole(source)
    found = seen.look(source)
    if found.is_copy:
        raise _copy(source)
    try:
        lock = SqliteLedger(source)
    except MisplacedError as error:
        raise LedgerError(f"{source} is in use by a gateway; stop it first") from error
    with closing(lock), explained(source):
        lock.transact(lambda connection: check_version(connection, source))
        if found.counted > commits_of(lock):
            raise _copy(source)
        _check_key(settings, source, lock.transact(lambda connection: fact(connection, KEY_MARK)))
        return _move(settings, lock, source, at)


def _copy(source: Path) -> LedgerError:
    return LedgerError(
        f"{source} is a copy and not the ledger that was in use; put it back by `ec-gateway ledger restore`, start "
        "the gateway with it, adopt its wallets and stop it; then move it"
    )


def _move(settings: Settings, file: SqliteLedger, source: Path, at: float) -> Moved:
    where = database_of(settings).where
    name = file.transact(lambda connection: fact(connection, ID)) or ""
    with closing(open_database(settings, at, COMMAND).ledger) as target:
        if target.look(lambda connection: fact(connection, FROM)) == name:
            file.transact(lambda connection: note(connection, DONE, where))
            return Moved(where, 0)
        target.look(lambda connection: _check_unused(connection, where))
        file.transact(lambda connection: _begin(connection, source, where))
        try:
            rows = target.transact(lambda connection: _take(connection, source, name, where, at), LONG)
        except UncertainError as error:
            raise LedgerError(f"{error}; give the command again, and start no gateway before it was done") from error
        except LedgerError:
            file.transact(lambda connection: connection.execute(delete(meta).where(meta.c.key == MOVED)))
            raise
    file.transact(lambda connection: note(connection, DONE, where))
    return Moved(where, rows)


def _begin(connection: Connection, source: Path, where: str) -> None:
    """Let the file say where its ledger goes.  Raises LedgerError where that went somewhere before."""
    if (place := fact(connection, DONE)) is not None:
        raise LedgerError(
            f"{source} was moved into the database {place}, and what was done since is not in it; name that database, "
            "or play back a dump of it"
        )
    place = fact(connection, MOVED)
    if place not in (None, where):
        raise LedgerError(
            f"a move of {source} into the database {place} was broken off, and may have been done; name that one"
        )
    note(connection, MOVED, where)


def _check_key(settings: Settings, source: Path, mark: str | None) -> None:
    """Refuse a key that is not the one of the file.  Raises LedgerError."""
    secret = Path(settings.key_file or "")
    key = read_key(secret)
    if mark is not None and (key is None or mark != mark_of(key)):
        what = "is not there" if key is None else "is not the one of that ledger"
        raise LedgerError(
            f"the key file {secret} {what}: copy the key of {source} there ({source}.key, unless its configuration "
            "named another), and to every gateway"
        )


def _check_unused(connection: Connection, where: str) -> None:
    """Refuse a database that somebody uses, or that something is in.  Raises LedgerError."""
    if is_in_use(connection):
        raise LedgerError(f"a gateway has the database {where} open; stop it first")
    for table in metadata.sorted_tables:
        if table not in (meta, leases) and connection.scalar(select(func.count()).select_from(table)):
            raise LedgerError(
                f"the database {where} has a ledger that was used already (table {table}), and two do not become one; "
                "name an empty database in ledger.url"
            )


def _take(connection: Connection, source: Path, name: str, where: str, at: float) -> int:
    """Copy every row of a file; return how many there were."""
    # it may have been used since it was looked at
    _check_unused(connection, where)
    rows = 0
    reader = open_reader(source)
    try:
        with reader.begin() as reading:
            for table in metadata.sorted_tables:
                for some in _rows(reading, table):
                    connection.execute(insert(table), some)
                    rows += len(some)
    finally:
        reader.dispose()
    for table, column in COUNTED:
        highest = connection.scalar(select(func.max(table.c[column])))
        if highest is not None:
            move_on = text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)")
            connection.execute(move_on, {"table": table.name, "column": column, "highest": highest})
    note(connection, FROM, name)
    events.add(connection, Event("ledger.moved", fields={"from": str(source), "rows": rows}), at)
    return rows


def _rows(reading: Connection, table: Table) -> Iterator[list[dict[str, object]]]:
    """Yield the rows of a table, some at a time; what a ledger says of itself and who holds it stay behind."""
    if table in (meta, leases):
        return
    found = reading.execution_options(yield_per=AT_ONCE).execute(select(table).order_by(*table.primary_key))
    for some in found.mappings().partitions():
        yield [{str(key): _storable(value) for key, value in row.items()} for row in some]


def _storable(value: object) -> object:
    """Return a value as PostgreSQL takes it: its text has no zero byte, which a label in a file may have."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
