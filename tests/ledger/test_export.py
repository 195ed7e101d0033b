"""The export holds every row of every table, as JSON, a line each."""

import json

from sqlalchemy import Connection, func, insert, select

from gateway.ledger.export import AT_ONCE, lines
from gateway.ledger.migrations import versions
from gateway.ledger.schema import addresses, metadata
from gateway.ledger.store import InlineLedger

from .conftest import AT, fill


def exported(ledger: InlineLedger) -> list[dict[str, object]]:
    """Return what the lines say."""
    return [json.loads(line) for line in ledger.transact(lambda connection: list(lines(connection)))]


def test_every_row_is_there_with_its_table(ledger: InlineLedger) -> None:
    """The first line says which version of the tables it is."""
    ledger.transact(fill)
    found = exported(ledger)
    assert found[0] == {"table": None, "schema": versions()[-1]}

    def counts(connection: Connection) -> dict[str, int]:
        tables = metadata.sorted_tables
        return {one.name: connection.scalar(select(func.count()).select_from(one)) or 0 for one in tables}

    told: dict[str, int] = {}
    for row in found[1:]:
        told[str(row["table"])] = told.get(str(row["table"]), 0) + 1
    assert told == {name: count for name, count in ledger.transact(counts).items() if count}
    (invoice,) = [row for row in found if row["table"] == "invoices"]
    assert invoice == {
        "table": "invoices", "wallet": "main", "address": "qa1", "id": "i1", "client": "shop", "amount": 900_000,
        "memo": "m", "time": int(AT), "exp": 3600, "removed_at": None, "status": "Paid", "place": 1,
    }  # fmt: skip


def test_a_table_of_any_size_is_told_piece_by_piece(ledger: InlineLedger) -> None:
    """In the order of its keys."""
    rows = [
        {"wallet": "main", "place": n, "address": f"q{n}", "state": "foreign", "at": AT} for n in range(3 * AT_ONCE)
    ]
    ledger.transact(lambda connection: connection.execute(insert(addresses), rows))
    places = [row["place"] for row in exported(ledger) if row["table"] == "addresses"]
    assert places == list(range(3 * AT_ONCE))
