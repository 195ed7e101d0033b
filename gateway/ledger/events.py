"""What happened, kept: the newest ten thousand events.

Rule: an event is added in the transaction of whatever it tells about, or in one of its own; with each new one the
oldest beyond the bound goes, so that the table never grows past it.  Events hold no secret by their own rule.
"""

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, delete, insert, select

from gateway.base.events import Event
from gateway.ledger.schema import events

KEPT = 10_000
LONGEST = 2000
"""Characters of the fields of one event; what is longer is cut: some 3 MB in all at 300 each, 20 MB at the most."""


@dataclass(frozen=True, slots=True)
class Past:
    """One event as the ledger has it; `at` in seconds since 1970."""

    seq: int
    at: float
    name: str
    wallet: str
    backend: str
    fields: dict[str, object]


def add(connection: Connection, event: Event, at: float) -> int:
    """Write an event down and return its number."""
    text = msgspec.json.encode(event.fields, enc_hook=str).decode()
    if len(text) > LONGEST:
        text = msgspec.json.encode({"cut": text[:LONGEST]}).decode()
    row = insert(events).values(at=at, name=event.name, wallet=event.wallet, backend=event.backend, fields=text)
    key = connection.execute(row).inserted_primary_key
    assert key is not None  # noqa: S101 - the table has one
    connection.execute(delete(events).where(events.c.seq <= key[0] - KEPT))
    return int(key[0])


def latest(connection: Connection, most: int = 100, wallet: str | None = None) -> list[Past]:
    """Return the newest events, the oldest of them first; of one wallet where it is named."""
    found = select(events).order_by(events.c.seq.desc()).limit(most)
    if wallet is not None:
        found = found.where(events.c.wallet == wallet)
    rows = connection.execute(found).all()
    return [
        Past(row.seq, row.at, row.name, row.wallet, row.backend, msgspec.json.decode(row.fields))
        for row in reversed(rows)
    ]
