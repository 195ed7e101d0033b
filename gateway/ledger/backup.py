"""Copies of a ledger that are whole: made while the gateway runs, and put back while it does not.

Rule: a copy is one moment of the ledger with nothing beside it that it needs but its key; it appears under its name
only when it is on the disk and was looked through, and so does a restored ledger.  Nothing that was there is lost: the
file that a copy takes the place of stays beside it.

A copy says in itself that it is one and when it was made, so whoever opens it knows that things may have happened
since (see `seen`).
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import seen
from gateway.ledger.key_file import mark_of, read_key, sync_folder
from gateway.ledger.key_of import KEY_MARK
from gateway.ledger.migrations import VERSION_TABLE, versions
from gateway.ledger.opening import check_whole
from gateway.ledger.place import check_place, check_there, key_path
from gateway.ledger.store import BUSY, LedgerError, MisplacedError, SqliteLedger

OF_UNKNOWN_TIME = f"{seen.COPY}an unknown time"
"""Marks a copy that another tool made."""

RESTORING = "restoring"
"""Stands in the lock file while files are exchanged; whatever is opened after that is no ledger that was in use."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup: where, how many bytes, and of which moment."""

    path: Path
    key: Path
    size: int
    moment: str


@dataclass(frozen=True, slots=True)
class Restored:
    """A ledger that was put back: of which moment it is, and where what was there before is kept ("" for nothing)."""

    path: Path
    moment: str
    kept: str


def back_up(settings: Settings, to: Path, at: float, *, force: bool = False) -> Made:
    """Copy the ledger and its key to `to` and `to`.key; the gateway may be running.

    Args:
        at: seconds since 1970.
        force: take the place of files that are there.

    Raises:
        LedgerError: it cannot be done; no file has appeared or changed.
    """
    path, secret, to = Path(settings.path).absolute(), key_path(settings), to.absolute()
    beside = Path(f"{to}.key")
    check_whole(path)
    _check_target(path, secret, to, beside, force=force)
    key = read_key(secret)
    if key is None:
        raise LedgerError(f"the key file {secret} is not there, and a copy without it is of no use; put it back first")
    moment = _words(at)
    with _complained(f"{path} could not be copied to {to}"), _draft(to) as copy, _draft(beside) as key_copy:
        _copy(path, copy, seen.COPY + moment)
        _check(copy, key, beside)
        _write(key_copy, key)
        size = copy.stat().st_size
        # the key first: one without a ledger harms nobody
        key_copy.replace(beside)
        copy.replace(to)
        sync_folder(to.parent)
    return Made(to, beside, size, moment)


def restore(settings: Settings, backup: Path, at: float) -> Restored:
    """Put a backup and its key in the place of the ledger; no gateway may have that open.

    Args:
        at: seconds since 1970.

    Raises:
        LedgerError: it cannot be done, and the ledger is as it was.
    """
    path, secret, backup = Path(os.path.realpath(settings.path)), key_path(settings), backup.absolute()
    check_place(path)
    check_there(backup)
    if path.exists() and path.samefile(backup):
        raise LedgerError(f"{backup} is the ledger itself; name a copy of it")
    beside = Path(f"{backup}.key")
    key = read_key(beside) or read_key(secret)
    if key is None:
        raise LedgerError(f"there is neither {beside} nor {secret}; a ledger without its key is of no use")
    try:
        lock = SqliteLedger(path)
    except MisplacedError as error:
        raise LedgerError(f"{path} is in use by a gateway; stop it, restore, and start it again") from error
    try:
        with _complained(f"{backup} could not be put in the place of {path}"), _draft(path) as copy:
            _copy(backup, copy, "")
            _check(copy, key, beside if beside.exists() else secret)
            moment = _moment_of(copy)
            kept = _exchange(path, copy, secret, key, _stamp(at))
    finally:
        lock.close()
    return Restored(path, moment, kept)


# -- what is right --------------------------------------------------------------------------------------------


def _check_target(path: Path, secret: Path, to: Path, beside: Path, *, force: bool) -> None:
    """Refuse a place where a copy must not appear.  Raises LedgerError."""
    if to.is_dir():
        raise LedgerError(f"{to} is a folder; name a file in it, like {to / 'ledger-backup.db'}")
    if not to.parent.is_dir():
        raise LedgerError(f"there is no folder {to.parent}; make it first, readable by its owner alone")
    for one in (to, beside):
        if one in (path, secret):
            raise LedgerError(f"{one} belongs to the ledger itself; name another file, best on another disk")
        if one.exists() and not force:
            raise LedgerError(f"{one} is there already; name another file, or overwrite it by --force")


def _check(copy: Path, key: bytes, named: Path) -> None:
    """Refuse a copy that is no whole ledger, or not the one of a key.  Raises LedgerError or sqlite3.Error."""
    with closing(_connect(copy)) as connection:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise LedgerError(f"the copy is damaged ({str(found).splitlines()[-1]})")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {VERSION_TABLE, "meta"} <= tables:
            what = "it has no tables, as a file that `cp` copied from a ledger in use" if not tables else "it is none"
            raise LedgerError(f"it is no ledger: {what}")
        version = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 - ours
        if version is None or version[0] > versions()[-1]:
            raise LedgerError(f"it is of a newer ec-gateway (schema {version and version[0]}); run that one")
        mark = _fact(connection, KEY_MARK)
        if mark not in ("", mark_of(key)):
            raise LedgerError(f"{named} is not the key that this ledger was written with")


# -- files ----------------------------------------------------------------------------------------------------


def _copy(source: Path, copy: Path, mark: str) -> None:
    """Copy one moment of a ledger, its log included, into a file that needs none.

    Args:
        mark: what the copy says of itself; "" keeps what it says, as long as that is a copy's.
    """
    with closing(_connect(source)) as reading, closing(_connect(copy)) as writing:
        reading.execute("PRAGMA query_only = ON")
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode = DELETE")
        tables = {name for (name,) in writing.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "meta" in tables:
            before = _fact(writing, seen.MARK)
            mark = mark or (before if before.startswith(seen.COPY) else OF_UNKNOWN_TIME)
            writing.execute("DELETE FROM meta WHERE key = ?", (seen.MARK,))
            writing.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (seen.MARK, mark))
    descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(path: Path, copy: Path, secret: Path, key: bytes, stamp: str) -> str:
    """Put a checked copy in the place of a ledger; return where that is kept, "" where there was none."""
    if read_key(secret) != key:
        if secret.exists():
            secret.rename(secret.with_name(f"{secret.name}.before-{stamp}"))
        with _draft(secret) as draft:
            _write(draft, key)
            draft.replace(secret)
            sync_folder(secret.parent)
    seen.keep(path, RESTORING)
    kept = path.with_name(f"{path.name}.before-{stamp}")
    was_there = path.exists()
    # the log goes with its file, where both can still be read together; one beside the copy would spoil that
    for ending in ("-wal", "") if was_there else ():
        with suppress(FileNotFoundError):
            Path(f"{path}{ending}").rename(f"{kept}{ending}")
    for ending in ("-wal", "-shm", "-journal"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    copy.replace(path)
    sync_folder(path.parent)
    return str(kept) if was_there else ""


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Give an empty file beside another one, readable by its owner alone; it goes unless it was renamed."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield draft
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(f"{draft}{ending}").unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def _complained(what: str) -> Iterator[None]:
    """Tell what could not be done.  Raises LedgerError."""
    try:
        yield
    except LedgerError as error:
        raise LedgerError(f"{what}: {error}") from error
    except sqlite3.Error as error:
        raise LedgerError(f"{what}: {error}; `ec-gateway ledger check` may tell more") from error
    except OSError as error:
        raise LedgerError(f"{what}: {error.strerror}; look at that disk and its room") from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY, isolation_level=None)


def _fact(connection: sqlite3.Connection, key: str) -> str:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return "" if row is None else str(row[0])


def _moment_of(copy: Path) -> str:
    with closing(_connect(copy)) as connection:
        return _fact(connection, seen.MARK).removeprefix(seen.COPY)


def _words(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M%S")
