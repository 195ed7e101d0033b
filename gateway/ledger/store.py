"""The store: one transaction after another on one SQLite file, durable before it returns.

Rule: a transaction is a function of an open connection; it is committed whole, with everything it needs on the
disk, or nothing of it happened.  Whatever goes wrong with the engine is a LedgerError, and the next transaction
tries again: a disk that was full is a disk that may have room now.

SQLite: WAL, synchronous FULL, BEGIN IMMEDIATE.  One thread owns the connection, so that no call waits on the loop
and transactions follow each other; a second gateway on the same file is kept out by a lock beside it.
"""

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from gateway.base.errors import LedgerError

__all__ = ("BUSY", "InlineLedger", "Ledger", "LedgerError", "SqliteLedger", "reason", "sqlite_engine")

T = TypeVar("T")

BUSY = 5.0
"""Seconds that a transaction waits for a command of the operator that writes the same file."""


class Ledger(Protocol):
    """What rooms know of the ledger."""

    last_error: str
    """Why the last transaction failed; "" when it did not."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction and return what it returns, once it is durable.

        Whatever `work` raises ends the transaction undone and is raised here.  Raises LedgerError.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file."""
        raise NotImplementedError


class InlineLedger:
    """The ledger on the caller's own thread: for commands, tests and histories in virtual time.

    Args:
        path: of the file; None keeps everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the engine; the schema is `migrations.bring_up`'s business.  Raises LedgerError."""
        self.path = path
        self.last_error = ""
        self.engine = sqlite_engine(path)
        self._one_at_a_time = threading.Lock()
        self._file: tuple[int, int] | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction here and now.  Raises LedgerError."""
        return self.transact(work)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction.  Raises LedgerError."""
        try:
            self._see_file()
            with self._one_at_a_time, self.engine.begin() as connection:
                result = work(connection)
        except SQLAlchemyError as error:
            self.last_error = reason(error)
            raise LedgerError(self.last_error) from error
        except LedgerError as error:
            self.last_error = str(error)
            raise
        self.last_error = ""
        return result

    def _see_file(self) -> None:
        """See that the file is still the one that was opened.  Raises LedgerError.

        SQLite goes on writing into a file that was deleted or replaced, and all of that is gone at the next start.
        """
        if self.path is None:
            return
        try:
            found = self.path.stat()
        except OSError as error:
            if self._file is None:
                return
            raise LedgerError(f"{self.path} is gone ({error.strerror}); put it back and restart the gateway") from error
        place = found.st_dev, found.st_ino
        if self._file is not None and place != self._file:
            raise LedgerError(f"{self.path} is another file than the one that was opened; restart the gateway")
        self._file = place

    def close(self) -> None:
        """Let go of the file."""
        self.engine.dispose()


class SqliteLedger(InlineLedger):
    """The ledger of a running gateway: on a thread of its own, locked against a second gateway.

    Raises LedgerError when another gateway holds the file.
    """

    def __init__(self, path: Path) -> None:
        """Lock the file, then open it."""
        self._lock = _lock(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        super().__init__(path)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction on the ledger's thread.

        A caller that is cancelled leaves; the transaction is done all the same.  Raises LedgerError.
        """
        try:
            done = asyncio.get_running_loop().run_in_executor(self._thread, self.transact, work)
        except RuntimeError as error:
            raise LedgerError("the ledger is closed, for the gateway is stopping") from error
        # unshielded, one that still waits for the thread would be taken back when its caller leaves
        return await asyncio.shield(done)

    def close(self) -> None:
        """Wait for the transaction under way, then let go of file and lock."""
        self._thread.shutdown(wait=True)
        super().close()
        os.close(self._lock)


def sqlite_engine(path: Path | None) -> Engine:
    """Return an engine with one connection that keeps what it was told to keep."""
    engine = create_engine(
        URL.create("sqlite", database=None if path is None else str(path)),
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": BUSY, "isolation_level": None},
        hide_parameters=True,  # signed bytes and keys do not belong into a traceback
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: "object", _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]  # a connection of sqlite3
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # the driver would begin with the first write, and two readers that both go on to write would fail
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reason(error: SQLAlchemyError) -> str:
    """Return in one line what the engine says, without the statement and its values."""
    original = getattr(error, "orig", None)
    return (str(original or error).splitlines() or [type(original or error).__name__])[0]


def _lock(path: Path) -> int:
    """Lock a ledger against a second gateway and return the descriptor that holds it.  Raises LedgerError."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = f"{path.parent} cannot be written ({error.strerror})"
        raise LedgerError(f"{why}; make the folder, writable for this user, or name another in ledger.path") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise LedgerError(f"{path} is in use by another gateway; give each its own, or stop the other") from error
    with suppress(OSError):
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
