"""Which key belongs to a ledger, and the other facts that it keeps of itself.

Rule: a key is made only while nothing was compared by an older one, and never taken for another one's.
"""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, func, insert, select, update

from gateway.ledger.key_file import make_key, mark_of, read_key
from gateway.ledger.remedies import explained, lost_key
from gateway.ledger.schema import keys, meta
from gateway.ledger.store import LedgerError, SqliteLedger

ID, CREATED_AT, KEY_MARK, MOVED = "id", "created_at", "key_mark", "moved_to"
"""Rows of `meta`; `seen.MARK` is another one.  MOVED: the database that the ledger was moved into."""


def key_of(ledger: SqliteLedger, secret: Path, check_place: Callable[[], None]) -> bytes:
    """Return the key of a ledger, a new one where it has none and needs none of before.

    Args:
        secret: where it is.
        check_place: refuses a place where a new one would be lost.

    Raises LedgerError.
    """
    path = ledger.path
    assert path is not None  # noqa: S101 - a gateway's ledger is a file
    key = read_key(secret)
    with explained(path):
        mark, bound = ledger.transact(key_facts)
        judge_key(key, mark, bound, path, secret)
        if key is None:
            check_place()
            key = make_key(secret)
        new = mark_of(key)
        if mark != new:
            ledger.transact(lambda connection: note(connection, KEY_MARK, new))
    return key


def key_facts(connection: Connection) -> tuple[str | None, int]:
    """Return the mark of the key that a ledger was written with, and how many keys of clients were."""
    return fact(connection, KEY_MARK), connection.scalar(select(func.count()).select_from(keys)) or 0


def judge_key(key: bytes | None, mark: str | None, bound: int, path: Path, secret: Path) -> None:
    """Refuse a key that is not the ledger's, or that is gone while keys of clients need it.  Raises LedgerError."""
    if mark is not None and key is not None and mark != mark_of(key):
        raise LedgerError(lost_key(path, secret, "is not the one of this ledger", bound))
    if mark is not None and key is None and bound:
        raise LedgerError(lost_key(path, secret, "is gone", bound))


def fact(connection: Connection, key: str) -> str | None:
    """Return a row of `meta`."""
    return connection.scalar(select(meta.c.value).where(meta.c.key == key))


def note(connection: Connection, key: str, value: str) -> None:
    """Write a row of `meta`."""
    if connection.execute(update(meta).where(meta.c.key == key).values(value=value)).rowcount == 0:
        connection.execute(insert(meta).values(key=key, value=value))
