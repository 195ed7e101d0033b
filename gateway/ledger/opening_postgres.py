"""Opens a ledger in PostgreSQL: for the running gateway, whole and up to date, or for a command beside it.

Rule: as for a file: a ledger that could forget, or that is not understood, is not opened, and each refusal says the way
out.  Nothing is changed before the server, the rights and the version were found to be right.

    server   it answers, is new enough, is the primary, and its standbys are waited for, unless `may_be_asynchronous`
    tables   ours, and not of a newer gateway; missing steps come in one transaction, and a second gateway that starts
             at the same time waits for that
    whole    nothing that was committed is known to be missing (see `seal`); a dump that was played back is taken for
             the older copy that it is: pools count as given out, no payment is bound to a key before an operator looked
    key      the file that all gateways share; it is never made here, for each would make its own

What is known to have lost something is opened for its leases, where somebody may want that: reads go on then, and each
transaction about anything else is refused until an operator has looked.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, delete, text, update

from gateway.base.cluster import Ledger as Settings
from gateway.ledger.addresses import BURNT, POOL
from gateway.ledger.database import COMMAND, GATEWAY, Database
from gateway.ledger.epochs import ADOPTED, DOUBTED
from gateway.ledger.key_file import mark_of, read_key
from gateway.ledger.key_of import CREATED_AT, ID, KEY_MARK, fact, note
from gateway.ledger.migrations import StrangeTablesError, UnknownVersionError, bring_up, version, versions
from gateway.ledger.postgres import PostgresLedger
from gateway.ledger.schema import addresses, meta, wallets
from gateway.ledger.seal import ERA, LOST, OLD, OWN, SEQUENCE
from gateway.ledger.server import asked, judge_server
from gateway.ledger.store import LedgerError, MisplacedError, OlderError

LONG = 60.0
"""Seconds that the steps to a newer version may take, and that a second gateway waits for them."""

PLACE = "relation"
"""The row of `meta` that holds the number of its own table: a dump that is played back gets another one."""

LEAP = 1000
"""Epochs that are passed over where some may have been begun in what was lost: none of them comes again."""


@dataclass(frozen=True, slots=True)
class OpenedDatabase:
    """A ledger that can be relied on; as `opening.Opened` of a file."""

    ledger: PostgresLedger
    key: bytes = field(repr=False)
    id: str
    before: str | None
    copied: str = ""
    """Of which moment it is where a dump was played back; "" for the one that was in use."""
    warnings: tuple[str, ...] = ()
    """What may lose payments, each in a sentence with the way out; empty where nothing may."""


def database_of(settings: Settings) -> Database:
    """Return the database that the settings name."""
    return Database(
        settings.url,
        settings.password.get_secret_value(),
        settings.pool,
        settings.statement_timeout,
        settings.connect_timeout,
        settings.tls,
    )


def open_database(settings: Settings, at: float, name: str = GATEWAY, *, may_be_behind: bool = False) -> OpenedDatabase:
    """Open the ledger of a gateway, and make it where there is none.

    Args:
        at: seconds since 1970.
        name: what the server calls its connections.
        may_be_behind: also one that has lost something, for its leases: nothing else is done with it.

    Raises:
        MisplacedError: the configuration names what cannot be a ledger.
        LedgerError: it cannot be relied on now; the text ends in what would be right.
    """
    database = database_of(settings)
    ledger = PostgresLedger(database, name)
    try:
        with _explained(database):
            unsafe = ledger.look(lambda c: judge_server(c, database, is_lax=settings.may_be_asynchronous))
            try:
                before, copied = ledger.transact(lambda connection: _bring_up(connection, at), LONG)
                key = key_of(ledger, Path(settings.key_file or ""))
                ledger.memory.id = ledger.look(lambda c: fact(c, ID)) or ""
            except OlderError as error:
                if not may_be_behind:
                    raise
                before, copied = versions()[-1], ""
                key = _remember(ledger, Path(settings.key_file or ""), error)
    except BaseException:
        ledger.close()
        raise
    return OpenedDatabase(ledger, key, ledger.memory.id, before, copied, unsafe)


def open_beside(settings: Settings, *, may_be_behind: bool = False) -> PostgresLedger:
    """Open a ledger for a command, beside the gateways or without one.

    Args:
        may_be_behind: also one that has lost something.

    Raises:
        LedgerError: there is none, or it is not of this version.
    """
    database = database_of(settings)
    ledger = PostgresLedger(database, COMMAND, may_be_behind=may_be_behind)
    try:
        with _explained(database):
            ledger.look(lambda connection: _check_version(connection, database))
    except BaseException:
        ledger.close()
        raise
    return ledger


def look(settings: Settings) -> tuple[str, ...]:
    """See whether a gateway could rely on the ledger that is there, if there is one; nothing is changed.

    Return what may lose payments, in words.  Raises LedgerError.
    """
    database = database_of(settings)
    ledger = PostgresLedger(database, COMMAND)
    try:
        with _explained(database):
            unsafe = ledger.look(lambda c: judge_server(c, database, is_lax=settings.may_be_asynchronous))
            if ledger.look(version) is not None:
                ledger.look(lambda connection: _check_version(connection, database, may_be_older=True))
                _judge_key(ledger.look(lambda c: fact(c, KEY_MARK)), Path(settings.key_file or ""), database)
    finally:
        ledger.close()
    return unsafe


def is_in_use(connection: Connection) -> bool:
    """Return whether a gateway has the ledger open now."""
    found = connection.execute(
        text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name"),
        {"name": GATEWAY},
    )
    return bool(found.scalar_one())


def take_for_granted(connection: Connection, at: float) -> bool:
    """Go on with a ledger that has lost something, where an operator wants it; False where it has not.

    Whatever may have been done since is taken for granted: pools count as given out, and no payment is bound to a key
    before each wallet was adopted.
    """
    lost = fact(connection, LOST)
    if lost is None:
        return False
    _doubt(connection, at)
    note(connection, SEQUENCE, str(max(int(fact(connection, SEQUENCE) or 0), int(lost)) + LEAP))
    note(connection, ERA, str(int(fact(connection, ERA) or 0) + 1))
    connection.execute(delete(meta).where(meta.c.key == LOST))
    return True


# -- content ----------------------------------------------------------------------------------------------------


def _bring_up(connection: Connection, at: float) -> tuple[str | None, str]:
    """Make the steps that are missing; return the version that was there, and of which moment a played-back dump is."""
    before = bring_up(connection)
    if fact(connection, ID) is None:
        note(connection, ID, secrets.token_hex(16))
        note(connection, CREATED_AT, datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"))
    number = int(fact(connection, SEQUENCE) or 0)
    note(connection, SEQUENCE, str(number))
    place, here = fact(connection, PLACE), str(asked(connection, "SELECT 'meta'::regclass::oid"))
    copied = ""
    if place != here:
        note(connection, PLACE, here)
        if place is not None:
            _doubt(connection, at)
            copied = "an unknown time"
    old = text("DELETE FROM meta WHERE starts_with(key, :own) AND value::bigint < :before")
    connection.execute(old, {"own": OWN, "before": number - OLD})
    return before, copied


def _doubt(connection: Connection, at: float) -> None:
    """Take for granted what may have been done since a ledger was as it is."""
    connection.execute(update(addresses).where(addresses.c.state == POOL).values(state=BURNT, at=at))
    connection.execute(update(wallets).values(epoch=wallets.c.epoch + LEAP))
    connection.execute(update(wallets).where(wallets.c.state == ADOPTED).values(state=DOUBTED))


def key_of(ledger: PostgresLedger, secret: Path) -> bytes:
    """Return the key that the gateways share; the first that opens a ledger binds it.  Raises LedgerError."""

    def work(connection: Connection) -> bytes:
        key = _judge_key(fact(connection, KEY_MARK), secret, ledger.database)
        note(connection, KEY_MARK, mark_of(key))
        return key

    return ledger.transact(work)


def _judge_key(mark: str | None, secret: Path, database: Database) -> bytes:
    """Return the key in a file.  Raises LedgerError where there is none, or it is not the ledger's."""
    key = read_key(secret)
    if key is None and mark is None:
        make = f"`head -c 32 /dev/urandom > {secret} && chmod 600 {secret}`"
        raise LedgerError(f"the key file {secret} is not there; make it by {make}, and copy it to every other gateway")
    if key is None or (mark is not None and mark != mark_of(key)):
        what = "is not there" if key is None else "is not the one of this ledger"
        raise LedgerError(
            f"the key file {secret} {what}, and the ledger in {database.where} was written with another; "
            "copy it from another gateway, or from your backup"
        )
    return key


def _remember(ledger: PostgresLedger, secret: Path, error: OlderError) -> bytes:
    """Take for seen what a ledger should have that has lost something, and return its key; nothing is written.

    So a process that never saw it whole knows as much as those that did: where it shows less later, and says nothing
    of that any more, it is refused all the same.  One that wants steps or a key first stays closed.

    Raises LedgerError.
    """
    found = ledger.look(lambda c: [version(c), *(fact(c, name) for name in (LOST, ERA, ID, KEY_MARK))])
    is_of, lost, era, name, mark = found
    if is_of != versions()[-1] or lost is None or name is None or mark is None:
        raise error
    key = _judge_key(mark, secret, ledger.database)
    ledger.memory.id, ledger.memory.highest, ledger.memory.era = name, int(lost), int(era or 0)
    return key


def _check_version(connection: Connection, database: Database, *, may_be_older: bool = False) -> None:
    """Refuse a ledger that a gateway of this version has not opened yet, or never could.  Raises LedgerError."""
    found = version(connection)
    if may_be_older and found in versions():
        return
    if found is None:
        raise LedgerError(f"there is no ledger in the database {database.where}; the gateway makes it when it starts")
    if found in versions()[:-1]:
        raise LedgerError(f"the ledger in {database.where} is older than this ec-gateway; start the gateway")
    if found != versions()[-1]:
        raise UnknownVersionError(found, versions()[-1])


@contextmanager
def _explained(database: Database) -> Iterator[None]:
    """Say what would help against what the migrations complain of.

    Raises:
        MisplacedError: it is another program's database.
        LedgerError: any other complaint.
    """
    try:
        yield
    except UnknownVersionError as error:
        remedy = "run the newer ec-gateway again, or play back a dump from before its start"
        raise LedgerError(
            f"the ledger in {database.where} was written by a newer ec-gateway ({error}); {remedy}"
        ) from error
    except StrangeTablesError as error:
        remedy = "make a database of its own and name it in ledger.url"
        raise MisplacedError(f"{database.where} is another program's database (tables {error}); {remedy}") from error
