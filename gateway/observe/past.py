"""What is remembered of the history, here and in the ledger, and how it is asked for.

Rule: what was not written yet counts before what was, so that an answer is never older than what this gateway knows.
The memory is bounded; what has no room any more goes, the oldest first, and is counted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.observe.moments import Moments
from gateway.observe.reader import Reader
from gateway.observe.shelf import Shelf
from gateway.rules import telling
from gateway.rules.availability import DAY, Count, Key, Totals, both, newest_days, shares
from gateway.rules.deeds import Deed, Order, Restart
from gateway.rules.stories import Incident
from gateway.rules.telling import Row

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.ledger.history import Batch
    from gateway.ledger.store import Transacting

DAYS = 31
"""Days that are remembered without a ledger."""

MOST_COUNTS = 10_000
"""Rows of availability that are read of a ledger at once; of twice as many the garbage collector alone, which nobody
else runs beside, takes a tenth of a second."""

NO_LEDGER, UNREAD = "no_ledger", "unread"
"""Why an answer is not complete."""

T = TypeVar("T", Incident, Restart, Order)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows that were asked for.

    Args:
        complete: False where the ledger could not be asked, or there is none: only this start of the gateway is told.
        why: of an answer that is not complete: NO_LEDGER or UNREAD; else "".
        cut: the first day that is told of where there were too many, like 2026-11-29; else "".
        has_more: there are older ones that had no room in the answer.
    """

    rows: list[Row]
    complete: bool
    why: str = ""
    cut: str = ""
    has_more: bool = False


NOTHING = Answer([], complete=True)
"""What happened as far as a gateway without a history knows."""


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
        self.called = ""
        """How it is called to people where it shares no ledger, so that its rows have no name."""
        self.clock = clock
        self.totals: Totals = {}
        self.moments = Moments()
        self.ledger: Transacting | None = None
        self.has_ledger = False
        """Whether one is configured; it may not be open."""
        self.reader, self.light_reader = Reader("history"), Reader("lists")
        """Who answers programs, which may ask for a year, and who answers pages, which want a few rows at once."""
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

    def gauges(self) -> Iterable[tuple[str, dict[str, str], float]]:
        """Yield figures for metrics."""
        yield "history_rows_unwritten", {}, float(self.unwritten)
        yield "history_rows_dropped_total", {}, float(self.dropped)

    def close(self) -> None:
        """Answer nobody any more."""
        self.reader.close()
        self.light_reader.close()

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

    async def ask(self, what: str, span: Span, then: Callable[[Answer], R]) -> R:
        """Return what is made, in a thread, of the answer to one of QUESTIONS.  Raises BusyError."""
        return await self._ask(what, span, then, is_light=False)

    async def incidents(self, span: Span) -> Answer:
        """Return what went wrong in a time, what is open and then the newest first.  Raises BusyError."""
        return await self._ask("incidents", span, _itself, is_light=True)

    async def restarts(self, span: Span) -> Answer:
        """Return the restarts that began in a time, the newest first.  Raises BusyError."""
        return await self._ask("restarts", span, _itself, is_light=True)

    async def orders(self, span: Span) -> Answer:
        """Return what people ordered in a time, the newest first.  Raises BusyError."""
        return await self._ask("audit", span, _itself, is_light=True)

    async def availability(self, span: Span) -> Answer:
        """Return the days of each wallet and backend, the oldest first; the last of them is not over.

        Where there are more rows than were asked for the oldest days are missing, and whole.  Raises BusyError.
        """
        return await self._ask("availability", span, _itself, is_light=True)

    async def _ask(self, what: str, span: Span, then: Callable[[Answer], R], *, is_light: bool) -> R:
        read, tell = QUESTIONS[what](self, span)
        why = UNREAD if self.has_ledger or self.ledger is not None else NO_LEDGER

        def work(connection: "Connection") -> list[Any]:
            from gateway.ledger import history as rows  # noqa: PLC0415 - as above

            return read(rows, connection)

        def made(found: list[Any] | None) -> R:
            rows, has_more, cut = tell(found or [])
            return then(Answer(rows, found is not None, why if found is None else "", cut, has_more))

        reader = self.reader if not is_light else self.light_reader
        return await reader.look(self.ledger, work, made, is_light=is_light)

    def _about_incidents(self, span: Span) -> "Question":
        mine = [one for one in self._incidents.rows.values() if span.has(one.wallet, one.opened_at, one.closed_at)]
        now = self.clock()

        def tell(found: "list[tuple[str, Incident]]") -> Told:
            # what is open has to be seen, however much has come and gone since
            rows, has_more = self._newest(found, mine, lambda one: (one.closed_at is None, one.opened_at), span.most)
            return [telling.incident(gateway or self.called, one, now) for gateway, one in rows], has_more, ""

        return lambda rows, c: rows.read_incidents(c, span.since, span.until, span.wallet, span.most + 1), tell

    def _about_restarts(self, span: Span) -> "Question":
        mine = [one for one in self._restarts.rows.values() if span.has(one.wallet, one.began_at, one.began_at)]
        now = self.clock()

        def tell(found: "list[tuple[str, Restart]]") -> Told:
            rows, has_more = self._newest(found, mine, lambda one: one.began_at, span.most)
            return [telling.restart(gateway or self.called, one, now) for gateway, one in rows], has_more, ""

        return lambda rows, c: rows.read_restarts(c, span.since, span.until, span.wallet, span.most + 1), tell

    def _about_orders(self, span: Span) -> "Question":
        mine = [one for one in self._orders.rows.values() if span.has(one.wallet, one.at, one.at)]

        def tell(found: "list[tuple[str, Order]]") -> Told:
            rows, has_more = self._newest(found, mine, lambda one: one.at, span.most)
            return [telling.order(gateway or self.called, one) for gateway, one in rows], has_more, ""

        return lambda rows, c: rows.read_orders(c, span.since, span.until, span.wallet, span.most + 1), tell

    def _about_availability(self, span: Span) -> "Question":
        first, last, until = int(span.since // DAY), int(span.until // DAY), min(span.until, self.clock())
        # what this gateway knows better than the ledger
        known = self.totals if self._has_taken_over else {}
        mine = [
            (key, count)
            for key, count in self.totals.items()
            if first <= key[0] <= last and span.wallet in (None, key[1])
        ]

        def tell(found: list[tuple[str, Key, Count]]) -> Told:
            is_cut = len(found) >= MOST_COUNTS
            # the oldest day that was read may lack some of its rows
            begin = min(key[0] for _, key, _ in found) + 1 if is_cut else first
            others = [(key, one) for gateway, key, one in found if gateway != self.gateway or key not in known]
            counts = [(key, one) for key, one in (*others, *mine) if key[0] >= begin]
            days, whole_from = newest_days(shares(counts, until), span.most)
            cut_at = begin if whole_from is None and is_cut else whole_from
            cut = "" if cut_at is None else telling.day_of(cut_at)
            return [telling.share(one) for one in days], bool(cut), cut

        return lambda rows, c: rows.read_counts(c, first, last, span.wallet, MOST_COUNTS), tell

    def _newest(
        self, found: Iterable[tuple[str, T]], mine: Iterable[T], at: Callable[[T], Any], most: int
    ) -> tuple[list[tuple[str, T]], bool]:
        """Return the newest of what the ledger and this gateway know, and whether there are more.

        Of the same row this gateway knows the newer.
        """
        rows = {one.id: (gateway, one) for gateway, one in found} | {one.id: (self.gateway, one) for one in mine}
        return sorted(rows.values(), key=lambda pair: at(pair[1]), reverse=True)[:most], len(rows) > most


Told = tuple[list[Row], bool, str]
"""Rows, whether there are older ones, and the first day where days were cut off."""

Question = tuple[Callable[[Any, "Connection"], list[Any]], Callable[[list[Any]], Told]]
"""How rows are read of the ledger (one more than is wanted, to know whether there is one), and how they are told
together with what is remembered.  The second runs in a thread, and so it touches nothing that changes."""

QUESTIONS: Mapping[str, Callable[[Past, Span], Question]] = {
    "incidents": Past._about_incidents,  # noqa: SLF001 - of this room
    "availability": Past._about_availability,  # noqa: SLF001 - as above
    "restarts": Past._about_restarts,  # noqa: SLF001 - as above
    "audit": Past._about_orders,  # noqa: SLF001 - as above
}


def _itself(answer: Answer) -> Answer:
    return answer
