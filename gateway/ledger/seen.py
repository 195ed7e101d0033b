"""Which file it was that was last open here: tells an older copy that was put in its place, and a log of another file.

SQLite applies a log (`-wal`) to whatever database lies beside it, and opens yesterday's copy as readily as today's
file.  So each opening writes a mark of its own into the file and then, once it is there for good, into the second line
of the lock file, which no copy brings along.

Rule: what cannot be read proves nothing; a file is called another one only where both marks were read and differ.
"""

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

MARK = "opened"
"""The row of `meta` that holds the mark."""

BEGUN = "begun"
"""Stands in the lock file while the first opening is under way."""

COPY = "copy of "
"""Begins the mark of a backup; the time follows."""

PUT_BACK = "put back "
"""Stands before the mark of a copy while its first opening is under way."""

WAL_HEAD = 32
"""Bytes of a log that holds nothing."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What a file says by itself, without the log beside it."""

    has_tables: bool
    mark: str
    """"" where it has none."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a file before it is opened."""

    kept: str
    """What the lock file said."""
    inside: Inside | None
    """None where there is no file, or where it could not be read."""
    has_log: bool

    @property
    def is_begun(self) -> bool:
        """Whether its very first opening was broken off."""
        return self.kept == BEGUN

    @property
    def is_other(self) -> bool:
        """Whether it is another file than the one that was last open here."""
        known = self.kept not in ("", BEGUN) and not self.kept.startswith(PUT_BACK)
        return known and self.inside is not None and self.inside.mark != self.kept

    @property
    def is_mixture(self) -> bool:
        """Whether the log beside it is not its own."""
        return self.is_other and self.has_log

    @property
    def is_copy(self) -> bool:
        """Whether it is older than what was done here: a backup that was put back."""
        return self.is_other or self.kept.startswith(PUT_BACK) or self._mark.startswith(COPY)

    @property
    def made(self) -> str:
        """When the copy was made, in words; "" where that is not known."""
        return self._mark.removeprefix(COPY) if self._mark.startswith(COPY) else ""

    @property
    def _mark(self) -> str:
        return "" if self.inside is None else self.inside.mark

    def meanwhile(self) -> str:
        """Return what the lock file says while it is being opened, so that a broken opening is gone through again."""
        if self.inside is None or self.is_begun:
            return BEGUN
        return PUT_BACK + self._mark if self.is_copy else ""


def look(path: Path) -> Found:
    """Return what is known of a ledger's file; nothing is changed."""
    path = Path(os.path.realpath(path))  # where its log and its lock are, too
    log = Path(f"{path}-wal")
    has_log = False
    with suppress(OSError):
        has_log = log.stat().st_size > WAL_HEAD
    return Found(_kept(path), _inside(path), has_log)


def keep(path: Path, words: str) -> None:
    """Write into the lock file what is to be known at the next opening; where that fails nothing is known."""
    with suppress(OSError):
        descriptor = os.open(f"{os.path.realpath(path)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            first = os.pread(descriptor, 4096, 0).partition(b"\n")[0]
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%b\n%b\n" % (first, words.encode()), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _kept(path: Path) -> str:
    try:
        lines = Path(f"{path}.lock").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return lines[1] if len(lines) > 1 else ""


def _inside(path: Path) -> Inside | None:
    """Read a file without its log, and without a lock."""
    try:
        if not path.stat().st_size:
            return None
        address = f"file:{quote(str(path))}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found = None
            if "meta" in tables:
                found = connection.execute("SELECT value FROM meta WHERE key = ?", (MARK,)).fetchone()
            return Inside(bool(tables), "" if found is None else str(found[0]))
    except (OSError, sqlite3.Error):
        return None
