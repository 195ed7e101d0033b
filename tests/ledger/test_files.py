"""The files of an open ledger: what SQLite holds open is what a restart finds, or nothing is acknowledged."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError

from gateway.base.errors import LedgerError
from gateway.ledger.schema import meta, metadata
from gateway.ledger.store import SqliteLedger


def put(ledger: SqliteLedger, *names: str) -> None:
    """Write facts, each in a transaction of its own."""
    for name in names:
        fact = insert(meta).values(key=name, value="x")
        ledger.transact(lambda c, fact=fact: c.execute(fact))  # type: ignore[misc]  # bound where it is made


def found(path: Path) -> list[str]:
    """What a process finds that opens the file now."""
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("select key from meta order by key")]


def names(connection: Connection) -> list[str]:
    """What the ledger has."""
    return list(connection.scalars(select(meta.c.key).order_by(meta.c.key)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a ledger file."""
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    """A ledger on this disk, with its tables and two facts."""
    with closing(SqliteLedger(path)) as made:
        metadata.create_all(made.engine)
        put(made, "a", "b")
        yield made


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_log_that_is_gone_stops_the_ledger_and_loses_nothing(ledger: SqliteLedger, path: Path, end: str) -> None:
    """What was acknowledged is brought into the file itself, where the restart finds it."""
    Path(f"{path}{end}").unlink()
    with pytest.raises(LedgerError, match=f"{end} is gone .*restart"):
        put(ledger, "c")
    beside = path.with_name("as a restart finds it")
    beside.write_bytes(path.read_bytes())
    assert found(beside)[:2] == ["a", "b"]


def test_a_log_that_another_took_the_place_of_stops_it_too(ledger: SqliteLedger, path: Path) -> None:
    """As when a backup is put back under a running gateway."""
    log = Path(f"{path}-wal")
    other = log.with_name("other")
    other.write_bytes(log.read_bytes())
    other.replace(log)
    with pytest.raises(LedgerError, match="another file"):
        put(ledger, "c")


@pytest.mark.parametrize("end", ["", "-wal"])
def test_what_was_cut_off_stays_refused_when_it_grows_again(ledger: SqliteLedger, path: Path, end: str) -> None:
    """SQLite would write on behind the hole."""
    ledger.checkpoint()
    put(ledger, "aa")
    cut = Path(f"{path}{end}")
    size = cut.stat().st_size
    os.truncate(cut, size // 2)
    with pytest.raises(LedgerError, match=r"was cut off; .*ledger restore"):
        put(ledger, "c")
    os.truncate(cut, size)
    with pytest.raises(LedgerError, match="was cut off"):
        put(ledger, "d")


def test_what_goes_during_a_transaction_is_not_acknowledged(ledger: SqliteLedger, path: Path) -> None:
    """Between the look before and the commit."""

    def work(connection: Connection) -> None:
        connection.execute(insert(meta).values(key="c", value="x"))
        path.rename(path.with_name("elsewhere"))

    with pytest.raises(LedgerError, match="is gone"):
        ledger.transact(work)
    path.with_name("elsewhere").rename(path)
    # back again it is the same file, and goes on
    put(ledger, "d")
    assert ledger.transact(names) == ["a", "b", "c", "d"]


def test_a_second_name_of_the_file_is_refused(ledger: SqliteLedger, path: Path) -> None:
    """Each name would have a log of its own."""
    path.with_name("second").hardlink_to(path)
    with pytest.raises(LedgerError, match="hard link"):
        put(ledger, "c")


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_without_its_lock_it_stops(ledger: SqliteLedger, path: Path, is_made_anew: bool) -> None:  # noqa: FBT001 - a case of two
    """A second gateway could have it."""
    lock = Path(f"{path}.lock")
    lock.unlink()
    if is_made_anew:
        lock.touch()
    with pytest.raises(LedgerError, match="gateway may have"):
        put(ledger, "c")


def test_a_link_to_the_ledger_has_the_same_lock(ledger: SqliteLedger, path: Path) -> None:
    """So that a second gateway is kept out by whatever name."""
    put(ledger, "c")
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(LedgerError, match="in use by another gateway"):
        SqliteLedger(link)


def test_a_file_that_is_no_ledger_any_more_stays_refused(ledger: SqliteLedger) -> None:
    """What still succeeds comes out of the engine's memory, and nobody will ever read it again."""

    def work(_connection: Connection) -> None:
        raise DatabaseError("statement", None, sqlite3.DatabaseError("database disk image is malformed"))

    with pytest.raises(LedgerError, match="malformed"):
        ledger.transact(work)
    with pytest.raises(LedgerError, match=r"malformed; .*ledger restore"):
        put(ledger, "c")
    assert "malformed" in ledger.last_error
