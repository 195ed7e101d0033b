"""The files of an open ledger: the database, its log (-wal), the log's index (-shm), and the lock beside them.

Rule: what SQLite holds open is what a restart will find, or nothing is acknowledged.  SQLite goes on writing into files
that were deleted, replaced or cut off, and all of that is gone at the next start; so each transaction looks before it
begins and once more before anybody hears that it is done.
"""

import os
from pathlib import Path

from gateway.base.errors import LedgerError

Place = tuple[int, int]
"""Device and inode: what stays when a file is written, and not when another takes its name."""

BACK = "put it back and restart the gateway"
SHRUNK = "stop the gateway and put a backup back by `ec-gateway ledger restore`; what was written last is lost"


class LogGoneError(LedgerError):
    """The log is no longer where SQLite wrote it; what it holds can still be brought into the database."""


class Files:
    """What was seen of the files since they were opened.

    Args:
        path: of the database, as SQLite resolves it: links followed.
        lock: the descriptor that holds the lock, None where nobody locks.
    """

    def __init__(self, path: Path, lock: int | None = None) -> None:
        """Have seen nothing; the first look takes what it finds."""
        self.path = Path(os.path.realpath(path))
        self._lock = lock
        self._lock_path = Path(f"{self.path}.lock")
        self._log = Path(f"{self.path}-wal")
        self._index = Path(f"{self.path}-shm")
        self._places: dict[Path, Place] = {}
        self._sizes: dict[Path, int] = {}
        self._lost = ""
        """Why no look succeeds any more: a file was cut off, and growing again does not heal that."""

    def look(self) -> None:
        """See that all of them are still what was opened.

        Raises:
            LogGoneError: the log or its index is not there any more, or is another file.
            LedgerError: the database or the lock is; or something was cut off.
        """
        if self._lost:
            raise LedgerError(self._lost)
        if self._lock is not None:
            self._look_at_lock(self._lock)
        self._look_at(self.path, LedgerError, BACK)
        for beside in (self._log, self._index):
            self._look_at(beside, LogGoneError, "restart the gateway")

    def _look_at(self, path: Path, kind: type[LedgerError], remedy: str) -> None:
        before = self._places.get(path)
        try:
            found = path.stat()
        except OSError as error:
            if before is None:
                return
            raise kind(f"{path} is gone ({error.strerror}); {remedy}") from error
        place = found.st_dev, found.st_ino
        if before is None:
            self._places[path] = place
        elif place != before:
            raise kind(f"{path} is another file than the one that was opened; restart the gateway")
        if found.st_nlink > 1 and path == self.path:
            # each name would have a log of its own
            raise LedgerError(f"{path} has a second name (a hard link); take that away and restart the gateway")
        if found.st_size < self._sizes.get(path, 0):
            # SQLite shortens neither while this gateway has them open
            self._lost = f"{path} was cut off; {SHRUNK}"
            raise LedgerError(self._lost)
        self._sizes[path] = found.st_size

    def _look_at_lock(self, lock: int) -> None:
        try:
            held, found = os.fstat(lock), self._lock_path.stat()
        except OSError as error:
            why = f"its lock {self._lock_path} is gone ({error.strerror})"
            raise LedgerError(f"{why}, so that a second gateway may have it; restart the gateway") from error
        if (held.st_dev, held.st_ino) != (found.st_dev, found.st_ino):
            raise LedgerError(f"another gateway may have made {self._lock_path} anew; stop one of the two")
