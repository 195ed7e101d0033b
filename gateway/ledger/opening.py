"""Opens a ledger: for the running gateway, whole and up to date, or for a command beside it.

Rule: a ledger that could forget, or that is not understood, is not opened; each refusal says the way out.  Nothing
is changed in a file before its place, its content and its version were found to be right, and what is missing in it
comes in one transaction.

    place     the folder is there, is writable, and outlasts container and machine, unless `may_be_lost`
    lock      no other gateway has it
    content   SQLite finds no damage; the tables are ours, and not of a newer gateway; a file without tables is a new
              one and no copy that lost them
    key       32 bytes in a file of their own, the same ones as when the first key was written down

An older copy, also one that was made since the last start, is opened, and whatever may have happened since is taken for
granted: all of its pool counts as given out, and no payment is bound to a key before an operator has looked.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, delete, event, update
from sqlalchemy.engine import URL
from sqlalchemy.pool import StaticPool

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import lasting, seen
from gateway.ledger.addresses import BURNT, POOL
from gateway.ledger.epochs import ADOPTED, DOUBTED
from gateway.ledger.key_file import read_key, sync_folder
from gateway.ledger.key_of import CREATED_AT, ID, MOVED, fact, judge_key, key_facts, key_of, note
from gateway.ledger.migrations import UnknownVersionError, bring_up, version, versions
from gateway.ledger.place import check_lasting, check_place, check_there, key_path, make_file
from gateway.ledger.remedies import PUT_BACK, empty_copy, explained, lone_log, stale_wal
from gateway.ledger.schema import addresses, meta, wallets
from gateway.ledger.store import BUSY, InlineLedger, LedgerError, SqliteLedger

WRITABLE = "give the file and its folder to this user, and look whether the disk has room"


@dataclass(frozen=True, slots=True)
class Opened:
    """A ledger that can be relied on."""

    ledger: SqliteLedger
    key: bytes = field(repr=False)
    """What parameters of keyed calls are compared by."""
    id: str
    before: str | None
    """The version it had before it was opened; None for one that is new."""
    copied: str = ""
    """When it was copied from the ledger that was in use, in words; "" for that one itself."""


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
        MisplacedError: it lies in a wrong place, or another gateway has it.
        LedgerError: it cannot be relied on; the text ends in what would be right.
    """
    path = Path(settings.path).absolute()
    secret = key_path(settings)
    table, in_container = mounts(), is_container()
    check_place(path)
    check_lasting(path, "ledger.path", settings, table, in_container=in_container)
    ledger = SqliteLedger(path)
    found = seen.look(path)
    kept = found.kept
    if found.has_log and (found.is_mixture or not path.exists()):
        ledger.close()
        raise LedgerError(stale_wal(path) if path.exists() else lone_log(path))
    try:
        if not path.exists():
            kept = seen.BEGUN
            seen.keep(path, kept)
        is_new = make_file(path)
        if not is_new:
            _look_through(ledger, found, secret, is_handed_in=settings.key_file is not None)
            seen.keep(path, found.meanwhile())
        before, name = _bring_up(ledger, at)
        # a key that is there may lie on a RAM disk, as secrets of containers do; one that we make may not
        key = key_of(
            ledger,
            secret,
            lambda: check_lasting(secret, "ledger.key_file", settings, table, in_container=in_container),
        )
        if is_new:
            sync_folder(path.parent)
        is_copy = found.is_copy or (not is_new and not found.is_begun and found.counted > commits_of(ledger))
        _mark(ledger, path, at, found.counted, is_copy=is_copy)
    except OSError as error:
        _let_go(ledger, path, kept)
        raise LedgerError(f"{path} cannot be written ({error.strerror}); {WRITABLE}") from error
    except LedgerError:
        _let_go(ledger, path, kept)
        raise
    return Opened(ledger, key, name, before, (found.made or "an unknown time") if is_copy else "")


def _let_go(ledger: SqliteLedger, path: Path, kept: str) -> None:
    """Close a ledger that was not opened, and leave behind what was known of it."""
    seen.keep(path, kept)
    ledger.close()


def open_beside(path: Path) -> InlineLedger:
    """Open a ledger for a command that may write, beside the gateway or without one.

    Raises:
        LedgerError: there is none, or it is not of this version.
    """
    check_whole(path)
    ledger = InlineLedger(path)
    try:
        with explained(path):
            ledger.transact(lambda connection: check_version(connection, path))
        ledger.counts = True
    except LedgerError:
        ledger.close()
        raise
    return ledger


def open_reader(path: Path, *, may_be_older: bool = False, patience: float = BUSY) -> Engine:
    """Return an engine that only reads, and keeps nobody from writing meanwhile.

    Args:
        may_be_older: also a ledger that a gateway of this version would bring up to date when it starts.
        patience: seconds that each statement waits for whoever keeps the file locked.

    Raises:
        LedgerError: there is no ledger there, or it is not of this version.
    """
    check_whole(path)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=StaticPool,
        hide_parameters=True,
        connect_args={"timeout": patience, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _only_read(connection: "object", _record: object) -> None:
        connection.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]  # a connection of sqlite3

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    try:
        with explained(path), engine.begin() as connection:
            check_version(connection, path, may_be_older=may_be_older)
    except LedgerError:
        engine.dispose()
        raise
    return engine


def look(settings: Settings) -> None:
    """See whether a gateway could rely on the ledger that is there, if there is one; nothing is changed.

    Raises LedgerError.
    """
    path, secret = Path(settings.path).absolute(), key_path(settings)
    if not path.exists():
        return
    found = seen.look(path)
    is_empty = (found.inside is None and not path.stat().st_size) or (found.inside and not found.inside.has_tables)
    if is_empty and not found.has_log and not found.is_begun and (found.kept or secret.exists()):
        raise LedgerError(empty_copy(path, secret))
    engine = open_reader(path, may_be_older=True)
    try:
        with explained(path), engine.begin() as connection:
            _check_pages(connection, path)
            _check_moved(connection, path)
            judge_key(read_key(secret), *key_facts(connection), path, secret)
    finally:
        engine.dispose()


def check_whole(path: Path) -> None:
    """Refuse to open a ledger that is not there, or that another one's log lies beside.  Raises LedgerError."""
    check_there(path)
    if seen.look(path).is_mixture:
        raise LedgerError(stale_wal(path))


# -- content --------------------------------------------------------------------------------------------------


def _look_through(ledger: SqliteLedger, found: seen.Found, secret: Path, *, is_handed_in: bool) -> None:
    """Refuse a file that is damaged, newer or somebody else's, or that is empty where a ledger was before.

    Args:
        is_handed_in: whether the key may be there before the ledger is.

    Raises LedgerError.
    """
    assert ledger.path is not None  # noqa: S101 - a gateway's ledger is a file
    path, is_filled = ledger.path, found.inside is not None
    there_was_one = found.kept not in ("", seen.BEGUN)
    has_key = secret.exists() and (is_filled or not is_handed_in)

    def work(connection: Connection) -> None:
        _check_pages(connection, path)
        before = version(connection)
        if before is None and not found.is_begun and (there_was_one or has_key):
            raise LedgerError(empty_copy(path, secret))
        if before is not None and before not in versions():
            raise UnknownVersionError(before, versions()[-1])
        if before is not None:
            _check_moved(connection, path)

    with explained(path):
        ledger.transact(work)


def _check_moved(connection: Connection, path: Path) -> None:
    """Refuse a ledger that is in a database now: what was done there is not in it.  Raises LedgerError."""
    place = fact(connection, MOVED)
    if place is not None:
        raise LedgerError(
            f"{path} was moved into the database {place}, and what was done since is there alone; name that in "
            "ledger.url. If the move was broken off, give `ec-gateway ledger move` again"
        )


def _check_pages(connection: Connection, path: Path) -> None:
    """Refuse a file in which SQLite finds damage.  Raises LedgerError."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise LedgerError(f"{path} is damaged ({str(found).splitlines()[-1]}); {PUT_BACK}")


def _bring_up(ledger: SqliteLedger, at: float) -> tuple[str | None, str]:
    """Make the steps that are missing, in one transaction; return the version that was there, and the ledger's id."""

    def work(connection: Connection) -> tuple[str | None, str]:
        before = bring_up(connection)
        name = fact(connection, ID)
        if name is None:
            name = secrets.token_hex(16)
            note(connection, ID, name)
            note(connection, CREATED_AT, datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"))
        return before, name

    with explained(ledger.path):
        return ledger.transact(work)


def commits_of(ledger: SqliteLedger) -> int:
    """Return how many transactions have written, as the ledger has it with its log.  Raises LedgerError."""
    return int(ledger.transact(lambda connection: fact(connection, seen.COMMITS)) or 0)


def _mark(ledger: SqliteLedger, path: Path, at: float, counted: int, *, is_copy: bool) -> None:
    """Mark the file as the one that is open here, and take for granted what may have happened since a copy was made.

    Args:
        counted: the number of the last commit that is known from beside it; no later one gets the same.
    """
    before = commits_of(ledger)
    mark, commits = secrets.token_hex(8), max(counted, before)

    def work(connection: Connection) -> None:
        note(connection, seen.MARK, mark)
        note(connection, seen.COMMITS, f"{commits:0{seen.DIGITS}d}")
        if is_copy:
            connection.execute(update(addresses).where(addresses.c.state == POOL).values(state=BURNT, at=at))
            connection.execute(update(wallets).where(wallets.c.state == ADOPTED).values(state=DOUBTED))

    def forget(connection: Connection) -> None:
        connection.execute(delete(meta).where(meta.c.key == seen.COMMITS))

    with explained(path):
        if commits > before:
            # a number that jumps looks like the log of a later moment, where a kill or a reader keeps it from the file;
            # a file without a number is not judged by it, and is a copy all the same
            ledger.transact(forget)
            ledger.checkpoint()
        ledger.counts = True
        ledger.transact(work)
        # only what is in the file itself can be told from what another one's log would bring
        seen.keep(path, mark if ledger.checkpoint() else "")


def check_version(connection: Connection, path: Path, *, may_be_older: bool = False) -> None:
    """Refuse a ledger that the gateway of this version has not opened yet, or never could.  Raises LedgerError."""
    found = version(connection)
    if may_be_older and found in versions():
        return
    if found in versions()[:-1] or found is None:
        raise LedgerError(f"{path} is older than this ec-gateway; start the gateway, which brings it up to date")
    if found != versions()[-1]:
        raise UnknownVersionError(found, versions()[-1])
