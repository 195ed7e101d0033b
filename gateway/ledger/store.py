"""The store: one transaction after another on one SQLite file, durable before it returns.

Rule: a transaction is a function of an open connection; it is committed whole, with everything it needs on the
disk, or nothing of it happened.  Whatever goes wrong with the engine is a LedgerError, and the next transaction
tries again: a disk that was full is a disk that may have room now.

SQLite: WAL, synchronous FULL, BEGIN IMMEDIATE.  One thread owns the connection, so that no call waits on the loop
and transactions follow each other; a second gateway on the same file is kept out by a lock beside it.
"""

import asyncio
import errno
import fcntl
import os
import re
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from gateway.base.errors import LedgerError
from gateway.ledger import seen
from gateway.ledger.files import Files, LogGoneError
from gateway.ledger.timing import Timing

__all__ = (
    "BUSY",
    "InlineLedger",
    "Ledger",
    "LedgerError",
    "MisplacedError",
    "OlderError",
    "SqliteLedger",
    "Transacting",
    "UncertainError",
    "reason",
    "sqlite_engine",
)

T = TypeVar("T")

BROKEN_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What a disk says that is full or broken; it may have room again, or be mounted anew, while the gateway runs."""

COUNT = f"UPDATE meta SET value = printf('%0{seen.DIGITS}d', value + 1) WHERE key = '{seen.COMMITS}'"  # noqa: S608 - ours
COUNTED = f"SELECT value FROM meta WHERE key = '{seen.COMMITS}'"  # noqa: S608 - ours
"""Raise the number of commits, and read it."""

CLASS = re.compile(r"^<class '[\w.]+'>: ")
"""What SQLAlchemy puts before the words of a driver that it runs on a loop."""

BUSY = 5.0
"""Seconds that a transaction waits for a command of the operator that writes the same file."""


class MisplacedError(LedgerError):
    """The ledger cannot be where the configuration says: a mistake that a start must not pass over."""


class UncertainError(LedgerError):
    """The database or the disk was lost while the transaction was committed, and nobody knows whether it was.

    SQLite undoes it when the disk fails then, but its log may have all of it, and a restart believes the log.  Whoever
    is about to tell a client that nothing was done has to look for this one first.
    """


class OlderError(LedgerError):
    """The database has lost what was committed, and an operator has to look before it is used; SQLite never says so."""


class Ledger(Protocol):
    """What rooms know of the ledger."""

    @property
    def last_error(self) -> str:
        """Why the last transaction failed; "" when it did not."""
        raise NotImplementedError

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction and return what it returns, once it is durable.

        Whatever `work` raises ends the transaction undone and is raised here.  Raises LedgerError.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file."""
        raise NotImplementedError


class Transacting(Ledger, Protocol):
    """A ledger that starts and commands may use without a loop."""

    @property
    def timing(self) -> Timing:
        """How long its transactions take."""
        raise NotImplementedError

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction, as `run` does, and wait for it.  Raises LedgerError."""
        raise NotImplementedError

    def look(self, work: Callable[[Connection], T]) -> T:
        """Read one moment and wait for it; in a database it keeps nobody from writing.  Raises LedgerError."""
        raise NotImplementedError

    async def see(self, work: Callable[[Connection], T]) -> T:
        """Read one moment, as `look` does.  Raises LedgerError."""
        raise NotImplementedError


DAMAGED = ("malformed", "not a database")
"""What SQLite says of a file that is no ledger any more."""


class InlineLedger:
    """The ledger on the caller's own thread: for commands, tests and histories in virtual time.

    Args:
        path: of the file; None keeps everything in memory.
        lock: the descriptor that keeps a second gateway out, where there is one.
    """

    def __init__(self, path: Path | None, lock: int | None = None) -> None:
        """Open the engine; the schema is `migrations.bring_up`'s business.  Raises LedgerError."""
        self.path = path
        self.last_error = ""
        self.timing = Timing()
        """How long transactions take, their fsync included."""
        self.damage = ""
        """Why nothing is written any more, until a restart looks the whole file through."""
        self._takes_none = ""
        """Why the disk took no write last; nothing says anything against it but a write, no other error either."""
        self.counts = False
        """Whether transactions that write are counted: once the ledger is known to have a number of them."""
        self.engine = sqlite_engine(path)
        self._one_at_a_time = threading.Lock()
        self._lock_file = lock
        self.files = None if path is None else Files(path, lock)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction here and now.  Raises LedgerError."""
        return self.transact(work)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction.  Raises LedgerError."""
        with self.timing.measured():
            return self._transact(work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        is_committing, has_written, commits = False, False, 0
        try:
            self._see_damage()
            self._see_files()
            with self._one_at_a_time, self.engine.begin() as connection:
                before = _written(connection)
                result = work(connection)
                has_written = _written(connection) != before
                commits = _count(connection) if self.counts and has_written else 0
                is_committing = True
            if commits and self._lock_file is not None:
                seen.count(self._lock_file, commits)
            # a file that went in between was written for nobody
            self._see_files()
        except SQLAlchemyError as error:
            self.last_error = reason(error)
            self._takes_none = self.last_error if _takes_none(error) else self._takes_none
            if is_committing and _is_of_the_disk(error):
                raise UncertainError(f"{self.last_error} while it was committed") from error
            if any(words in self.last_error for words in DAMAGED):
                # what still succeeds comes out of the engine's own memory, and goes into a file that nobody can read
                remedy = "stop the gateway and put a backup back by `ec-gateway ledger restore`"
                self.damage = f"{self.last_error}; {remedy}"
            raise LedgerError(self.last_error) from error
        except LedgerError as error:
            self.last_error = str(error)
            if is_committing:
                # it may have gone after the commit, and what it holds can be put back
                raise UncertainError(self.last_error) from error
            raise
        if has_written:
            self._takes_none = ""
        self.last_error = self._takes_none
        return result

    def look(self, work: Callable[[Connection], T]) -> T:
        """Read in a transaction like any other: a file has one user.  Raises LedgerError."""
        return self.transact(work)

    async def see(self, work: Callable[[Connection], T]) -> T:
        """Do the same as `run` does.  Raises LedgerError."""
        return await self.run(work)

    def _see_damage(self) -> None:
        """Refuse to go on with a file that is no ledger any more.  Raises LedgerError."""
        if self.damage:
            raise LedgerError(self.damage)

    def checkpoint(self) -> bool:
        """Bring all of the log into the file itself; False where a reader keeps it from that, or the disk does."""
        try:
            with self._one_at_a_time, closing(self.engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
                is_busy, pages, brought = cursor.fetchone() or (1, 0, 0)
                cursor.close()
        except (SQLAlchemyError, sqlite3.Error):
            return False
        return not is_busy and pages == brought

    def _see_files(self) -> None:
        """See that the files are still those that were opened.  Raises LedgerError."""
        if self.files is None:
            return
        try:
            self.files.look()
        except LogGoneError:
            # SQLite still has it open: what it holds is brought where a restart finds it
            self.checkpoint()
            raise

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
        super().__init__(path, self._lock)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction on the ledger's thread.

        A caller that is cancelled leaves; the transaction is done all the same.  Raises LedgerError.
        """
        try:
            done = asyncio.get_running_loop().run_in_executor(self._thread, self.transact, work)
        except RuntimeError as error:
            raise LedgerError("the ledger is closed, for the gateway is stopping") from error
        # unshielded, one that still waits for the thread would be taken back when its caller leaves
        return await asyncio.shield(heard(done))

    def close(self) -> None:
        """Wait for the transaction under way, then let go of file and lock."""
        self._thread.shutdown(wait=True)
        super().close()
        os.close(self._lock)


def heard(done: "asyncio.Future[T]") -> "asyncio.Future[T]":
    """Return a future whose error is no news for the log when whoever waited for it has left."""
    done.add_done_callback(lambda one: None if one.cancelled() else one.exception())
    return done


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
    line = (str(original or error).splitlines() or [type(original or error).__name__])[0]
    return CLASS.sub("", line)


def _written(connection: Connection) -> int:
    """Return how many rows were written since the engine was opened."""
    found = connection.connection.driver_connection
    return found.total_changes if isinstance(found, sqlite3.Connection) else 0


def _count(connection: Connection) -> int:
    """Count a transaction that has written, and return its number.  Raises SQLAlchemyError."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101 - it has counted rows
    try:
        # past the engine, whose way takes longer than the two statements
        raw.execute(COUNT)
        found = raw.execute(COUNTED).fetchone()
    except sqlite3.Error as error:
        raise OperationalError(COUNT, None, error) from error
    return 0 if found is None else int(found[0])


def _is_of_the_disk(error: SQLAlchemyError) -> bool:
    """Whether the disk failed; a full one is no such failure, for it takes nothing of what does not fit."""
    return str(getattr(getattr(error, "orig", None), "sqlite_errorname", "")).startswith("SQLITE_IOERR")


def _takes_none(error: SQLAlchemyError) -> bool:
    """Whether nothing can be written until somebody has made room or mended the disk."""
    name = str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))
    return name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY"))


def _lock(path: Path) -> int:
    """Lock a ledger against a second gateway and return the descriptor that holds it.  Raises LedgerError."""
    try:
        # behind a link the same ledger must have the same lock
        descriptor = os.open(f"{os.path.realpath(path)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = f"{path.parent} cannot be written ({error.strerror})"
        remedy = "make the folder, writable for this user, or name another in ledger.path"
        if error.errno in BROKEN_DISK:
            raise LedgerError(f"{why}; look at that disk") from error
        raise MisplacedError(f"{why}; {remedy}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise MisplacedError(f"{path} is in use by another gateway; give each its own, or stop the other") from error
    with suppress(OSError):
        # what stands behind the first line is the opening's: which file it was that was open here
        words = os.pread(descriptor, 4096, 0).partition(b"\n")[2].partition(b"\n")[0]
        seen.write_head(descriptor, b"%d" % os.getpid(), words)
    return descriptor
