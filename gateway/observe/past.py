"""What is remembered of the history, here and in the ledger, and how it is asked for.

Rule: what was not written yet counts before what was, so that an answer is never older than what this gateway knows.
The memory is bounded; what has no room any more goes, the oldest first, and is counted.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gateway.base.errors import LedgerError
from gateway.rules import telling
from gateway.rules.availability import DAY, Count, Key, Totals, both, shares
from gateway.rules.deeds import Deed, Order, Restart
from gateway.rules.stories import Incident
from gateway.rules.telling import Row

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.ledger.history import Batch
    from gateway.ledger.store import Transacting

MOST = 500
"""Rows of each kind that are remembered; some 500 kB of each at the most."""

AT_ONCE = 100
"""Rows of each kind that one transaction writes."""

DAYS = 31
"""Days that are remembered without a ledger."""

T = TypeVar("T", Incident, Restart, Order)
R = TypeVar("R")


@dataclass(slots=True)
class Shelf(Generic[T]):
    """The newest rows of one kind by id, and which of them are not in the ledger."""

    rows: dict[str, T] = field(default_factory=dict)
    unwritten: dict[str, T] = field(default_factory=dict)
    dropped: int = 0
    """Rows that were never written."""

    def keep(self, key: str, row: T) -> None:
        """Take in a row that is new or has changed."""
        self.rows.pop(key, None)
        self.rows[key] = self.unwritten[key] = row
        if len(self.rows) > MOST:
            del self.rows[next(iter(self.rows))]
        if len(self.unwritten) > MOST:
            del self.unwritten[next(iter(self.unwritten))]
            self.dropped += 1

    def some(self) -> dict[str, T]:
        """Return a few of those that are not in the ledger, the oldest first."""
        return dict(list(self.unwritten.items())[:AT_ONCE])

    def written(self, rows: Mapping[str, T]) -> None:
        """Take in that rows are in the ledger; those that changed meanwhile are not."""
        for key, row in rows.items():
            if self.unwritten.get(key) is row:
                del self.unwritten[key]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows that were asked for; not `complete` where the ledger could not be asked, or there is none."""

    rows: list[Row]
    complete: bool


@dataclass(frozen=True, slots=True)
class Span:
    """What is asked for: from one moment until another (seconds since 1970), of one wallet or of all, at most so many.

    Raises nothing: one that ends before it begins holds nothing.
    """

    since: float
    until: float
    wallet: str | None = None
    most: int = 500

    def has(self, wallet: str, begin: float, end: float | None) -> bool:
        """Whether something that lasted from one moment to another (None: it lasts) is asked for."""
        is_meant = self.wallet in (None, wallet)
        return is_meant and begin < self.until and (end is None or end >= self.since)


class Past:
    """The history of one gateway, for whoever asks.

    Args:
        gateway: its name among those that share a ledger.
        clock: seconds since 1970.
    """

    def __init__(self, gateway: str, clock: Callable[[], float]) -> None:
        """Remember nothing yet."""
        self.gateway = gateway
        self.clock = clock
        self.totals: Totals = {}
        self.ledger: Transacting | None = None
        self._counted: dict[Key, Count] = {}
        """The seconds as they are in the ledger."""
        self._has_taken_over = False
        self._incidents = Shelf[Incident]()
        self._restarts = Shelf[Restart]()
        self._orders = Shelf[Order]()

    # -- remembering ----------------------------------------------------------------------------------------

    def keep(self, row: Incident | Deed) -> None:
        """Take in a row that is new or has changed."""
        match row:
            case Incident():
                self._incidents.keep(row.id, row)
            case Restart():
                self._restarts.keep(row.id, row)
            case Order():
                self._orders.keep(row.id, row)

    @property
    def unwritten(self) -> int:
        """How many rows are not in the ledger."""
        return len(self._incidents.unwritten) + len(self._restarts.unwritten) + len(self._orders.unwritten)

    @property
    def dropped(self) -> int:
        """How many rows will never be."""
        return self._incidents.dropped + self._restarts.dropped + self._orders.dropped

    def batch(self, *, with_counts: bool = True) -> "Batch":
        """Return what is to be written next; of the seconds those that have changed since."""
        from gateway.ledger.history import Batch  # noqa: PLC0415 - the engine takes 12 MiB; it is here by now

        counts = {key: count for key, count in self.totals.items() if with_counts and self._counted.get(key) != count}
        return Batch(self._incidents.some(), self._restarts.some(), self._orders.some(), counts)

    def written(self, batch: "Batch", today: int) -> None:
        """Take in that a batch is in the ledger, and forget the days before yesterday that were among it."""
        self._incidents.written(batch.incidents)
        self._restarts.written(batch.restarts)
        self._orders.written(batch.orders)
        counted = self._counted | dict(batch.counts)
        self.totals = {
            key: count for key, count in self.totals.items() if key[0] >= today - 1 or counted.get(key) != count
        }
        self._counted = {key: count for key, count in counted.items() if key in self.totals}

    def take_over(self, counts: Totals) -> None:
        """Go on with what an earlier start of this gateway has counted today."""
        self._has_taken_over = True
        mine = dict(self.totals)
        for key, count in counts.items():
            mine[key] = both(count, mine[key]) if key in mine else count
        self.totals = mine

    def forget_days(self, today: int) -> None:
        """Keep no more days than there is room for."""
        if any(key[0] <= today - DAYS for key in self.totals):
            self.totals = {key: count for key, count in self.totals.items() if key[0] > today - DAYS}

    # -- asking ---------------------------------------------------------------------------------------------

    async def incidents(self, span: Span) -> Answer:
        """Return what went wrong in a time, the newest first."""
        from_ledger, complete = await self._asked(
            lambda rows, connection: rows.read_incidents(connection, span.since, span.until, span.wallet, span.most)
        )
        found = {one.id: (gateway, one) for gateway, one in from_ledger or ()}
        for one in self._incidents.rows.values():
            if span.has(one.wallet, one.opened_at, one.closed_at):
                found[one.id] = (self.gateway, one)
        newest = sorted(found.values(), key=lambda pair: pair[1].opened_at, reverse=True)[: span.most]
        return Answer([telling.incident(gateway, one, self.clock()) for gateway, one in newest], complete)

    async def restarts(self, span: Span) -> Answer:
        """Return the restarts that began in a time, the newest first."""
        from_ledger, complete = await self._asked(
            lambda rows, connection: rows.read_restarts(connection, span.since, span.until, span.wallet, span.most)
        )
        found = {one.id: (gateway, one) for gateway, one in from_ledger or ()}
        for one in self._restarts.rows.values():
            if span.has(one.wallet, one.began_at, one.began_at):
                found[one.id] = (self.gateway, one)
        newest = sorted(found.values(), key=lambda pair: pair[1].began_at, reverse=True)[: span.most]
        return Answer([telling.restart(gateway, one, self.clock()) for gateway, one in newest], complete)

    async def orders(self, span: Span) -> Answer:
        """Return what people ordered in a time, the newest first."""
        from_ledger, complete = await self._asked(
            lambda rows, connection: rows.read_orders(connection, span.since, span.until, span.wallet, span.most)
        )
        found = {one.id: (gateway, one) for gateway, one in from_ledger or ()}
        for one in self._orders.rows.values():
            if span.has(one.wallet, one.at, one.at):
                found[one.id] = (self.gateway, one)
        newest = sorted(found.values(), key=lambda pair: pair[1].at, reverse=True)[: span.most]
        return Answer([telling.order(gateway, one) for gateway, one in newest], complete)

    async def availability(self, span: Span) -> Answer:
        """Return the days of each wallet and backend, the oldest first; the last of them is not over."""
        first, last = int(span.since // DAY), int(span.until // DAY)
        from_ledger, complete = await self._asked(
            lambda rows, connection: rows.read_counts(connection, first, last, span.wallet)
        )
        others = [(key, count) for gateway, key, count in from_ledger or () if not self._has_counted(gateway, key)]
        mine = [
            (key, count)
            for key, count in self.totals.items()
            if first <= key[0] <= last and span.wallet in (None, key[1])
        ]
        days = shares([*others, *mine], min(span.until, self.clock()))
        return Answer([telling.share(one) for one in days], complete)

    def _has_counted(self, gateway: str, key: Key) -> bool:
        """Whether a row of the ledger is what this gateway knows better."""
        return self._has_taken_over and gateway == self.gateway and key in self.totals

    async def _asked(self, read: "Callable[[Any, Connection], list[R]]") -> tuple[list[R] | None, bool]:
        """Read one moment of the ledger; None where it cannot be read."""
        ledger = self.ledger
        if ledger is None:
            return None, False
        from gateway.ledger import history as rows  # noqa: PLC0415 - as above

        def work(connection: "Connection") -> list[R]:
            return read(rows, connection)

        try:
            path = getattr(ledger, "path", None)
            if path is None:
                return await ledger.see(work), True
            # beside the ledger's own thread: whoever asks for a year must not let a payment wait
            return await asyncio.to_thread(_read_beside, path, work), True
        except LedgerError:
            return None, False


def _read_beside(path: Path, work: "Callable[[Connection], list[R]]") -> "list[R]":
    """Read one moment of the file of a ledger that is in use.  Raises LedgerError."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - as above

    from gateway.ledger.opening import open_reader  # noqa: PLC0415 - as above
    from gateway.ledger.store import reason  # noqa: PLC0415 - as above

    engine = open_reader(path)
    try:
        with engine.begin() as connection:
            return work(connection)
    except SQLAlchemyError as error:
        raise LedgerError(reason(error)) from error
    finally:
        engine.dispose()
