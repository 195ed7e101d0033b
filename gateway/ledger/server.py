"""Whether a server of PostgreSQL can keep a ledger, before anything is asked of it.

Rule: one that forgets what it said it had committed is refused, unless that is borne; so is one that takes no writes.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, text

from gateway.ledger.database import Database
from gateway.ledger.migrations import StrangeTablesError, version
from gateway.ledger.schema import metadata
from gateway.ledger.store import LedgerError, MisplacedError

OLDEST = 130_000
"""The first version of the server that tells whether a transaction has written anything."""

SYNCHRONOUS = (
    "wait for it by synchronous_standby_names on the server, or set ledger.may_be_asynchronous: true and know that "
    "payments may be forgotten when it takes over"
)


def judge_server(connection: Connection, database: Database, *, is_lax: bool) -> tuple[str, ...]:
    """Refuse a server that cannot keep a ledger; return what may lose payments and is borne.

    Args:
        is_lax: bear it.

    Raises LedgerError.
    """
    number = int(asked(connection, "SELECT current_setting('server_version_num')"))
    if number < OLDEST:
        raise MisplacedError(f"the database {database.where} is PostgreSQL {number // 10_000}; take 13 or a newer one")
    if asked(connection, "SELECT pg_is_in_recovery()"):
        raise LedgerError(
            f"the database {database.where} is a standby and takes no writes; let ledger.url name the primary"
        )
    if asked(connection, "SELECT current_setting('default_transaction_read_only')") == "on":
        raise LedgerError(
            f"the database {database.where} is read-only (default_transaction_read_only); see whether its disk is full"
        )
    if (encoding := asked(connection, "SELECT current_setting('server_encoding')")) != "UTF8":
        raise MisplacedError(f"the database {database.where} is in {encoding}; make it anew with ENCODING 'UTF8'")
    if missing := _rights_missing(connection):
        raise LedgerError(
            f"the user of ledger.url may not write in the database {database.where} ({missing}); "
            "let the owner grant it that, or make it the owner"
        )
    unsafe = tuple(f"the database {database.where} {why}" for why in _unsafe(connection))
    if unsafe and not is_lax:
        raise MisplacedError(unsafe[0])
    return unsafe


def _rights_missing(connection: Connection) -> str:
    """Return what the user may not do and must; "" where nothing is missing."""
    schema = asked(connection, "SELECT current_schema()")
    if schema is None:
        return "no schema of the search_path is open to it"
    found = connection.execute(
        text(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(:schema) AND relkind = 'r' AND NOT ("
            "has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT') AND "
            "has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')) ORDER BY relname"
        ),
        {"schema": schema},
    )
    if closed := [name for name in found.scalars() if name in metadata.tables]:
        return f"table {closed[0]}"
    is_empty = _version(connection) is None
    if is_empty and not asked(connection, f"SELECT has_schema_privilege('{schema}', 'CREATE')"):
        return f"no table can be made in schema {schema}"
    return ""


def _version(connection: Connection) -> str | None:
    """Return the version, "" where the tables are somebody else's; what that means is told later."""
    try:
        return version(connection)
    except StrangeTablesError:
        return ""


def _unsafe(connection: Connection) -> Iterator[str]:
    """Yield what may lose transactions that were committed, with the way out."""
    for name, loses in (("fsync", "a power failure"), ("full_page_writes", "a power failure")):
        if asked(connection, f"SELECT current_setting('{name}')") == "off":
            yield f"has {name} off, so that {loses} may lose or damage it; set {name} = on"
    how = asked(connection, "SELECT current_setting('synchronous_commit')")
    if how not in ("on", "remote_apply"):
        yield f"commits with synchronous_commit = {how}, whatever we ask for; see whether a pooler lies between"
    rows = connection.execute(
        text(
            "SELECT r.application_name AS name, r.sync_state AS sync FROM pg_stat_replication r "
            "LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid AND s.slot_type = 'logical' "
            # whoever takes a base backup is no standby, by whatever name
            "WHERE s.slot_name IS NULL AND r.state IS DISTINCT FROM 'backup' "
            "AND r.application_name NOT IN ('pg_basebackup', 'pg_receivewal') ORDER BY 1"
        )
    ).all()
    yield from unsafe_standbys([(row.name, row.sync) for row in rows])


def unsafe_standbys(standbys: list[tuple[str, str | None]]) -> Iterator[str]:
    """Yield why standbys, each with its name and sync_state, are not enough; nothing where they are, or are none."""
    # one that may be the next to be waited for, as while it catches up after a restart: then commits wait for it
    if not standbys or any(sync in ("sync", "quorum", "potential") for _, sync in standbys):
        return
    names = ", ".join(dict.fromkeys(name for name, _ in standbys))
    if all(sync is None for _, sync in standbys):
        yield "has standbys, and the user of ledger.url may not see whether they are waited for; GRANT pg_monitor to it"
    else:
        yield f"has the standby {names}, which is asynchronous: it may lack what was committed last; {SYNCHRONOUS}"


def asked(connection: Connection, question: str) -> Any:
    """Return the one value that answers a question."""
    return connection.exec_driver_sql(question).scalar_one()
