"""Opens a ledger: for the running gateway, whole and up to date, or for a command beside it.

Rule: a ledger that could forget, or that is not understood, is not opened; each refusal says the way out.  Nothing
is changed in a file before its place, its content and its version were found to be right, and what is missing in it
comes in one transaction.

    place     the folder is there, is writable, and outlasts container and machine, unless `may_be_lost`
    lock      no other gateway has it
    content   SQLite finds no damage; the tables are ours, and not of a newer gateway
    key       32 bytes in a file of their own, the same ones as when the first key was written down
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from gateway.base.config import Ledger as Settings
from gateway.ledger import lasting
from gateway.ledger.key_file import make_key, mark_of, read_key, sync_folder
from gateway.ledger.migrations import StrangeTablesError, UnknownVersionError, bring_up, version, versions
from gateway.ledger.schema import keys, meta
from gateway.ledger.store import BUSY, InlineLedger, LedgerError, SqliteLedger, reason

ID, CREATED_AT, KEY_MARK = "id", "created_at", "key_mark"
"""Rows of `meta`."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A ledger that can be relied on."""

    ledger: SqliteLedger
    key: bytes = field(repr=False)
    """What parameters of keyed calls are compared by."""
    id: str
    before: str | None
    """The version it had before it was opened; None for one that is new."""


def open_ledger(
    settings: Settings,
    at: float,
    mounts: Callable[[], str] = lasting.read_mounts,
    is_container: Callable[[], bool] = lasting.is_container,
) -> Opened:
    """Open the ledger of a gateway, and make it where there is none.

    Args:
        at: seconds since 1970.
        mounts, is_container: tell where a folder lies.

    Raises:
        LedgerError: it cannot be relied on; the text ends in what would be right.
    """
    path = Path(settings.path).absolute()
    secret = key_path(settings)
    table, in_container = mounts(), is_container()
    _check_place(path)
    _check_lasting(path, "ledger.path", settings, table, in_container=in_container)
    ledger = SqliteLedger(path)
    try:
        is_new = _make_file(path)
        before, name = _bring_up(ledger, at)
        # a key that is there may lie on a RAM disk, as secrets of containers do; one that we make may not
        key = _key(
            ledger,
            secret,
            lambda: _check_lasting(secret, "ledger.key_file", settings, table, in_container=in_container),
        )
        if is_new:
            sync_folder(path.parent)
    except OSError as error:
        ledger.close()
        raise LedgerError(f"{path} cannot be written ({error.strerror}); {WRITABLE}") from error
    except LedgerError:
        ledger.close()
        raise
    return Opened(ledger, key, name, before)


def open_beside(path: Path) -> InlineLedger:
    """Open a ledger for a command that may write, beside the gateway or without one.

    Raises:
        LedgerError: there is none, or it is not of this version.
    """
    _check_there(path)
    ledger = InlineLedger(path)
    try:
        with _explained(path):
            ledger.transact(lambda connection: _check_version(connection, path))
    except LedgerError:
        ledger.close()
        raise
    return ledger


def open_reader(path: Path) -> Engine:
    """Return an engine that only reads, and keeps nobody from writing meanwhile.

    Raises:
        LedgerError: there is no ledger there, or it is not of this version.
    """
    _check_there(path)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=StaticPool,
        hide_parameters=True,
        connect_args={"timeout": BUSY, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _only_read(connection: "object", _record: object) -> None:
        connection.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]  # a connection of sqlite3

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    try:
        with _explained(path), engine.begin() as connection:
            _check_version(connection, path)
    except LedgerError:
        engine.dispose()
        raise
    return engine


def key_path(settings: Settings) -> Path:
    """Return where the key of a ledger is."""
    return Path(settings.key_file or f"{settings.path}.key").absolute()


# -- place ----------------------------------------------------------------------------------------------------


WRITABLE = "make the folder, writable for this user, or name another in ledger.path"


def _check_place(path: Path) -> None:
    """Refuse a file that could not be written.  Raises LedgerError."""
    folder = path.parent
    if path.is_dir():
        raise LedgerError(f"{path} is a folder; name a file in it in ledger.path, like {path / 'ledger.db'}")
    if not folder.is_dir():
        raise LedgerError(f"there is no folder {folder}; {WRITABLE}")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise LedgerError(f"{folder} cannot be written; {WRITABLE}")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise LedgerError(f"{path} cannot be written; give it to this user, or name another in ledger.path")


def _check_lasting(path: Path, key: str, settings: Settings, mounts: str, *, in_container: bool) -> None:
    """Refuse a file that a restart takes away.  Raises LedgerError."""
    if settings.may_be_lost:
        return
    why = lasting.why_it_vanishes(path.resolve().parent, mounts, in_container=in_container)
    if why:
        remedy = "name a place on a volume or on a disk; ledger.may_be_lost: true takes it all the same, for a trial"
        raise LedgerError(f"{key}: {why}; {remedy}")


def _check_there(path: Path) -> None:
    """Refuse to make a ledger where a command expects one.  Raises LedgerError."""
    if not path.is_file():
        raise LedgerError(f"there is no ledger {path}; the gateway makes it when it starts, see ledger.path")
    if not os.access(path, os.R_OK | os.W_OK):
        raise LedgerError(f"{path} cannot be opened; run the command as the user that the gateway runs as")


def _make_file(path: Path) -> bool:
    """Make an empty file that its owner alone may read; False when there is one.  Raises OSError."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


# -- content --------------------------------------------------------------------------------------------------


def _bring_up(ledger: SqliteLedger, at: float) -> tuple[str | None, str]:
    """Look a ledger through and make the steps that are missing, in one transaction; return its version and id."""

    def work(connection: Connection) -> tuple[str | None, str]:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise LedgerError(f"{ledger.path} is damaged ({str(found).splitlines()[-1]}); {PUT_BACK}")
        before = bring_up(connection)
        name = _fact(connection, ID)
        if name is None:
            name = secrets.token_hex(16)
            _note(connection, ID, name)
            _note(connection, CREATED_AT, datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"))
        return before, name

    with _explained(ledger.path):
        return ledger.transact(work)


def _check_version(connection: Connection, path: Path) -> None:
    """Refuse a ledger that the gateway of this version has not opened yet.  Raises LedgerError."""
    found = version(connection)
    if found in versions()[:-1] or found is None:
        raise LedgerError(f"{path} is older than this ec-gateway; start the gateway, which brings it up to date")
    if found != versions()[-1]:
        raise UnknownVersionError(found, versions()[-1])


PUT_BACK = (
    "nothing was changed; keep a copy of it, put a backup in its place (or take it away for a new one), "
    "then run `ec-gateway ledger adopt`"
)

REMEDIES = {
    "not a database": PUT_BACK,
    "malformed": PUT_BACK,
    "full": "make room on that disk",
    "readonly": "give the file and its folder to this user",
    "unable to open": "give the file and its folder to this user",
    "locked": "find out which other program has it open",
    "disk I/O error": "look at the disk and at the system's log",
}
"""What helps, by what SQLite says."""


@contextmanager
def _explained(path: Path | None) -> Iterator[None]:
    """Say what would help against what SQLite and the migrations complain of.  Raises LedgerError."""
    try:
        yield
    except UnknownVersionError as error:
        remedy = "run the newer ec-gateway again, or put back a backup from before its start"
        raise LedgerError(f"{path} was written by a newer ec-gateway ({error}); {remedy}") from error
    except StrangeTablesError as error:
        remedy = "name a file of its own in ledger.path"
        raise LedgerError(f"{path} is another program's database (tables {error}); {remedy}") from error
    except SQLAlchemyError as error:
        raise LedgerError(_with_remedy(path, reason(error))) from error
    except LedgerError as error:
        if not isinstance(error.__cause__, SQLAlchemyError):
            raise
        raise LedgerError(_with_remedy(path, str(error))) from error


def _with_remedy(path: Path | None, why: str) -> str:
    remedy = next((text for words, text in REMEDIES.items() if words in why), "`ec-gateway ledger check` may tell more")
    return f"{path} cannot be used ({why}); {remedy}"


# -- key ------------------------------------------------------------------------------------------------------


def _key(ledger: SqliteLedger, path: Path, check_place: Callable[[], None]) -> bytes:
    """Return the key of a ledger; a new one only while nothing was compared by an older one.  Raises LedgerError."""
    key = read_key(path)

    def look(connection: Connection) -> tuple[str | None, int]:
        return _fact(connection, KEY_MARK), connection.scalar(select(func.count()).select_from(keys)) or 0

    with _explained(ledger.path):
        mark, bound = ledger.transact(look)
        is_right = key is not None and mark in (None, mark_of(key))
        if bound and mark is not None and not is_right:
            what = "is gone" if key is None else "is not the one of this ledger"
            remedy = (
                f"put it back from your backup; if it is lost for good, take {ledger.path} away, start the gateway, "
                "and run `ec-gateway ledger adopt`"
            )
            raise LedgerError(f"the key file {path} {what}, and {bound} keys of clients were written with it; {remedy}")
        if key is None:
            check_place()
            key = make_key(path)
        new = mark_of(key)
        if mark != new:
            ledger.transact(lambda connection: _note(connection, KEY_MARK, new))
    return key


def _fact(connection: Connection, key: str) -> str | None:
    return connection.scalar(select(meta.c.value).where(meta.c.key == key))


def _note(connection: Connection, key: str, value: str) -> None:
    if connection.execute(update(meta).where(meta.c.key == key).values(value=value)).rowcount == 0:
        connection.execute(insert(meta).values(key=key, value=value))
