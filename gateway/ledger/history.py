"""The history in the ledger: incidents, restarts, orders, the seconds of each day, and when which gateway ran.

Rule: a row is written whole under an id that only one life of one gateway makes, so that a batch which is written twice
is there once, and several gateways write side by side.  What a life has left open is closed by whoever comes after it:
its own gateway at the next start, any other one after it was silent for long.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Table, and_, bindparam, delete, insert, or_, select, update

from gateway.ledger.among import chunks, is_among
from gateway.ledger.schema import audit, availability, incidents, lives, restarts
from gateway.rules.availability import Count, Key
from gateway.rules.deeds import BROKEN_OFF, OPEN, Order, Restart
from gateway.rules.stories import Incident, Line

RUNNING, STOPPED, KILLED = "", "stopped", "killed"
"""How a life ended."""

SILENT = 600.0
"""Seconds after which another gateway that has written nothing counts as gone."""

ENDED = "the gateway ended while this was open, and nobody knows how it went on"

BROKEN = "the gateway ended before this was done; see how things stand"


@dataclass(frozen=True, slots=True)
class Life:
    """One start of one gateway; seconds since 1970."""

    id: str
    gateway: str
    began_at: float


@dataclass(frozen=True, slots=True)
class Before:
    """What a gateway finds of its earlier self.

    Args:
        seen_at: when that was last seen; None for the very first start.
        was_killed: it said nothing when it ended.
        counts: what it has counted of today and yesterday.
    """

    seen_at: float | None
    was_killed: bool
    counts: Mapping[Key, Count]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written at once."""

    incidents: Mapping[str, Incident] = field(default_factory=dict)
    restarts: Mapping[str, Restart] = field(default_factory=dict)
    orders: Mapping[str, Order] = field(default_factory=dict)
    counts: Mapping[Key, Count] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ran:
    """A life as others read it; `ending` "" while it runs."""

    gateway: str
    began_at: float
    seen_at: float
    ending: str


# -- writing ----------------------------------------------------------------------------------------------------


def begin(connection: Connection, life: Life, today: int) -> Before:
    """Write down that a gateway has started, and close what its earlier self left open.

    Done again it does the same: whoever is not told whether it was done does it anew.
    """
    last = connection.execute(
        select(lives)
        .where(lives.c.gateway == life.gateway, lives.c.id != life.id)
        .order_by(lives.c.began_at.desc())
        .limit(1)
    ).one_or_none()
    give_up(connection, life, life.began_at)
    connection.execute(delete(lives).where(lives.c.id == life.id))
    connection.execute(
        insert(lives).values(id=life.id, gateway=life.gateway, began_at=life.began_at, seen_at=life.began_at)
    )
    mine = and_(availability.c.gateway == life.gateway, availability.c.day >= today - 1)
    counts = {(row.day, row.wallet, row.backend): _count(row) for row in connection.execute(_counts(mine))}
    if last is None:
        return Before(None, was_killed=False, counts=counts)
    return Before(last.seen_at, was_killed=last.ending != STOPPED, counts=counts)


def write(connection: Connection, life: Life, batch: Batch, at: float, ending: str = RUNNING) -> None:
    """Write a batch, and that the gateway lives; `at` in seconds since 1970."""
    head = {"life": life.id, "gateway": life.gateway}
    _replace(connection, incidents, {one.id: head | _incident_row(one) for one in batch.incidents.values()})
    _replace(connection, restarts, {one.id: head | _row(one) for one in batch.restarts.values()})
    _replace(connection, audit, {one.id: head | _row(one) for one in batch.orders.values()})
    _replace_counts(connection, life.gateway, batch.counts)
    connection.execute(update(lives).where(lives.c.id == life.id).values(seen_at=at, ending=ending))


def write_order(connection: Connection, order: Order) -> None:
    """Write down what somebody did past every gateway, in the transaction that does it; it belongs to no life."""
    _replace(connection, audit, {order.id: {"life": "", "gateway": ""} | _row(order)})


def give_up(connection: Connection, life: Life, at: float) -> int:
    """Close what lives have left open that are over; return how many rows of it.  `at` in seconds since 1970."""
    is_mine = lives.c.gateway == life.gateway
    is_over = and_(lives.c.ending == RUNNING, lives.c.id != life.id, or_(is_mine, lives.c.seen_at < at - SILENT))
    closed = 0
    for row in connection.execute(select(lives).where(is_over)).all():
        closed += _close(connection, row.id, row.seen_at, at)
        connection.execute(update(lives).where(lives.c.id == row.id).values(ending=KILLED))
    return closed


def _close(connection: Connection, life: str, seen_at: float, at: float) -> int:
    """Close what one life has left open."""
    left = connection.execute(select(incidents).where(incidents.c.life == life, incidents.c.closed_at.is_(None))).all()
    for row in left:
        story = _incident(row).with_line(ENDED, at).ended(max(seen_at, row.opened_at))
        connection.execute(update(incidents).where(incidents.c.id == row.id).values(_incident_row(story)))
    ended: dict[str, object] = {"outcome": BROKEN_OFF, "ended_at": seen_at, "detail": BROKEN}
    found = update(restarts).where(restarts.c.life == life, restarts.c.outcome == OPEN)
    closed = connection.execute(found.values(ended)).rowcount
    answered: dict[str, object] = {"outcome": BROKEN_OFF, "done_at": seen_at, "answer": BROKEN}
    given = update(audit).where(audit.c.life == life, audit.c.outcome == OPEN)
    return len(left) + closed + connection.execute(given.values(answered)).rowcount


def _replace(connection: Connection, table: Table, rows: Mapping[str, Mapping[str, object]]) -> None:
    """Write rows in place of those of the same ids."""
    for ids in chunks(rows):
        connection.execute(delete(table).where(is_among(table.c.id, ids)))
        connection.execute(insert(table), [_fitting(table, rows[one]) for one in ids])


def _replace_counts(connection: Connection, gateway: str, counts: Mapping[Key, Count]) -> None:
    """Write the seconds that one gateway has counted in place of what it wrote before: two statements for all."""
    if not counts:
        return
    is_it = and_(*(availability.c[name] == bindparam(f"of_{name}") for name in OF_COUNT))
    keys = [dict(zip(OF_COUNT, (*key, gateway), strict=True)) for key in counts]
    connection.execute(
        delete(availability).where(is_it), [{f"of_{name}": value for name, value in key.items()} for key in keys]
    )
    rows = zip(keys, counts.values(), strict=True)
    connection.execute(
        insert(availability), [key | _row(one) | {"reasons": _json(dict(one.reasons))} for key, one in rows]
    )


OF_COUNT = ("day", "wallet", "backend", "gateway")


# -- reading ----------------------------------------------------------------------------------------------------


def read_incidents(
    connection: Connection, since: float, until: float, wallet: str | None = None, most: int = 500
) -> list[tuple[str, Incident]]:
    """Return the incidents that lasted into a time, the open ones and then the newest first, each with its gateway."""
    rows: list[Row[Any]] = []
    # two questions, so that the many that are over are found by their index
    for lasted in (incidents.c.closed_at.is_(None), incidents.c.closed_at >= since):
        found = select(incidents).where(incidents.c.opened_at < until, lasted, *_of(incidents, wallet))
        newest = found.order_by(incidents.c.opened_at.desc(), incidents.c.id).limit(most - len(rows))
        rows += connection.execute(newest)
    return [(row.gateway, _incident(row)) for row in rows]


def read_restarts(
    connection: Connection, since: float, until: float, wallet: str | None = None, most: int = 500
) -> list[tuple[str, Restart]]:
    """Return the restarts that were begun in a time, the newest first, each with its gateway."""
    begun = and_(restarts.c.began_at >= since, restarts.c.began_at < until, *_of(restarts, wallet))
    found = select(restarts).where(begun).order_by(restarts.c.began_at.desc(), restarts.c.id).limit(most)
    return [(row.gateway, Restart(**_without(row, "life", "gateway"))) for row in connection.execute(found)]


def read_orders(
    connection: Connection, since: float, until: float, wallet: str | None = None, most: int = 500
) -> list[tuple[str, Order]]:
    """Return the orders of a time, the newest first, each with its gateway."""
    given = and_(audit.c.at >= since, audit.c.at < until, *_of(audit, wallet))
    found = select(audit).where(given).order_by(audit.c.at.desc(), audit.c.id).limit(most)
    return [(row.gateway, Order(**_without(row, "life", "gateway"))) for row in connection.execute(found)]


def read_counts(
    connection: Connection, first: int, last: int, wallet: str | None = None, most: int | None = None
) -> list[tuple[str, Key, Count]]:
    """Return what each gateway has counted from one day to another, both included; at most so many, newest first."""
    within = and_(availability.c.day >= first, availability.c.day <= last, *_of(availability, wallet))
    rows = connection.execute(_counts(within).order_by(availability.c.day.desc()).limit(most))
    return [(row.gateway, (row.day, row.wallet, row.backend), _count(row)) for row in rows]


def read_lives(connection: Connection, since: float, most: int = 500) -> list[Ran]:
    """Return when which gateway ran, the newest first."""
    found = select(lives).where(lives.c.seen_at >= since).order_by(lives.c.began_at.desc()).limit(most)
    return [Ran(row.gateway, row.began_at, row.seen_at, row.ending) for row in connection.execute(found)]


def _of(table: Table, wallet: str | None) -> Iterable[ColumnElement[bool]]:
    return () if wallet is None else (table.c.wallet == wallet,)


# -- rows -------------------------------------------------------------------------------------------------------


def _row(one: Count | Restart | Order) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}


def _incident_row(one: Incident) -> dict[str, Any]:
    return {
        "id": one.id, "kind": one.kind, "severity": one.severity, "wallet": one.wallet, "backend": one.backend,
        "title": one.title, "opened_at": one.opened_at, "closed_at": one.closed_at, "times": one.times,
        "alerts": _json(one.alerts), "done": _json([(line.at, line.text) for line in one.done]),
    }  # fmt: skip


def _incident(row: Row[Any]) -> Incident:
    done = tuple(Line(at, text) for at, text in msgspec.json.decode(row.done))
    alerts = tuple(msgspec.json.decode(row.alerts))
    return Incident(
        row.id, row.kind, row.severity, row.wallet, row.backend, row.title, row.opened_at, row.closed_at, done,
        row.times, alerts,
    )  # fmt: skip


def _counts(where: ColumnElement[bool]) -> Any:
    return select(availability).where(where)


def _count(row: Row[Any]) -> Count:
    reasons = msgspec.json.decode(row.reasons, type=dict[str, float])
    return Count(row.watched, row.available, row.stood_still, row.first_at, row.last_at, reasons)


def _without(row: Row[Any], *names: str) -> dict[str, Any]:
    return {str(name): value for name, value in row._mapping.items() if name not in names}  # noqa: SLF001 - SQLAlchemy's public name for it


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _fitting(table: Table, row: Mapping[str, object]) -> dict[str, object]:
    """Return a row as every engine takes it: no text longer than its column, and no zero byte in one."""
    return {name: _cut(value, getattr(table.c[name].type, "length", None)) for name, value in row.items()}


def _cut(value: object, length: int | None) -> object:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")[:length] if isinstance(value, str) else value
