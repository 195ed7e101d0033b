"""The whole ledger as lines of JSON, for keeping and for other programs.

Rule: one row after another, so that no size is too large; all of one moment.  The ledger holds no password, seed or
private key, and the key of comparisons is not in it; but signed transactions are, and addresses with what was paid.
"""

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, select

from gateway.ledger.migrations import version
from gateway.ledger.schema import metadata

AT_ONCE = 500
"""Rows in memory at a time."""


def lines(connection: Connection) -> Iterator[bytes]:
    """Yield each row as one JSON object with its `table`, without a newline; the first line says the version."""
    yield msgspec.json.encode({"table": None, "schema": version(connection)})
    for table in metadata.sorted_tables:
        rows = connection.execution_options(yield_per=AT_ONCE).execute(select(table).order_by(*table.primary_key))
        for row in rows.mappings():
            yield msgspec.json.encode({"table": str(table.name)} | {str(name): value for name, value in row.items()})
