"""The history of a gateway: hears every event, looks at every wallet once a second, and writes down what came of both.

Rule: nobody who emits an event ever waits; what is worth keeping goes into the ledger in the background, in one small
transaction every few seconds at most, so that payments have the ledger for themselves.  Orders of people alone are
written at once, and whoever answers one may wait for that (`recorded`).  Without a ledger, or while it cannot be
written, the newest of it is kept in memory, and what there is no room for is counted.

What is decided is in `rules/incidents.py`, `rules/deeds.py` and `rules/availability.py`; here is time and writing.  A
gateway that is killed says nothing: it is the next one that closes what was open (`ledger/history.py`), and the time in
between is an incident of its own.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.base.errors import LedgerError
from gateway.base.events import Emit, Event
from gateway.observe.past import Past
from gateway.rules import availability, deeds, incidents, service, telling
from gateway.rules.availability import DAY
from gateway.rules.conditions import WalletView
from gateway.rules.deeds import REFUSED, Deed, Deeds, Order
from gateway.rules.incidents import Stories
from gateway.rules.service import Services
from gateway.rules.stories import KILLED, PUT_BACK, STOPPED, Incident, absence

if TYPE_CHECKING:
    from gateway.ledger.history import Before, Life
    from gateway.ledger.store import Transacting

LOOK = 1.0
"""Seconds between two looks."""

STOOD_STILL = 2.0
"""Seconds by which a look may be late; beyond them this process itself stood still, and watched nothing."""

FIRST = 1.0
"""Seconds until the first try, in which also nothing but the start may be written."""

EVERY = 5.0
"""Seconds between two transactions at least."""

HEARTBEAT = 30.0
"""Seconds after which something is written also where nothing happened: that the gateway lives, and the seconds."""

AGAIN_MOST = 60.0
"""Seconds between two tries of a ledger that cannot be written, at the most."""

TIDY = 3600.0
"""Seconds between two looks for what other gateways have left open for good."""

LAST = 2.0
"""Seconds for the last transaction."""

RECORDED = 1.0
"""Seconds for which the answer to an order waits until the order is in the ledger; then it goes out all the same."""

GONE = "the gateway was stopped while this was open"


class History:
    """What happened, from now on.

    Args:
        views: returns what is seen of each wallet now.
        tell: where a mistake of ours is written down; not `emit`, which comes back here.
        clock: seconds since 1970.
        gateway: its name among those that share a ledger, "" where it is alone.
        life: begins the ids of this start.
    """

    def __init__(
        self, views: Callable[[], Iterable[WalletView]], tell: Emit, clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop, gateway: str = "", life: str | None = None,
    ) -> None:  # fmt: skip
        """Know of nothing yet."""
        self.views = views
        self.tell = tell
        self.clock = clock
        self.loop = loop
        self.gateway = gateway
        self.life = life or secrets.token_hex(6)
        self.past = Past(gateway, clock)
        self.listeners: list[Callable[[telling.Row], None]] = []
        """Called with each incident that was opened, changed or closed."""
        self.services = Services()
        self.stories = Stories(self.life)
        self.deeds = Deeds(self.life)
        self.began_at = clock()
        self._counted_at: float | None = None
        self._places = self.services.places()
        self._written_at = float("-inf")
        self._tidied_at = float("-inf")
        self._is_failing = False
        self._is_begun = self._is_copy = False
        self._ordered = self._tried = 0
        """How often an order was taken in, and how many of those times were written, or could not be."""
        self._is_due, self._has_tried = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        """Status line."""
        where = "memory" if self.past.ledger is None else "ledger"
        return f"<History in {where} open={len(self.stories.open)} unwritten={self.past.unwritten}>"

    def start(self) -> None:
        """Begin to look and to write."""
        self._counted_at = self.loop.time()
        works = {"looks": self._look_for_ever, "writes": self._write_for_ever}
        self._tasks = [self.loop.create_task(work(), name=f"history-{name}") for name, work in works.items()]

    def open(self, ledger: "Transacting", *, is_copy: bool = False) -> None:
        """Write into a ledger from now on.

        Args:
            is_copy: a backup that was put back, which knows nothing of what happened since it was made.
        """
        self.past.ledger, self._is_copy = ledger, is_copy

    # -- what happens ---------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """Take note of an event; never raises, and never waits."""
        self._guarded(lambda: self._take_in(event))

    def look(self) -> None:
        """Count the time since the last look, and set right what is known by what is seen."""
        self._count()
        self._serve(service.look(self.services, list(self.views())), None)

    def _take_in(self, event: Event) -> None:
        self.past.moments.hear(event, self.clock())
        after = service.hear(self.services, event)
        if after is not self.services:
            self._count()
        if after is not self.services or incidents.is_of_interest(event):
            self._serve(after, event)
        self.deeds, done = deeds.hear(self.deeds, event, self.clock())
        self._keep((), done)

    def _serve(self, after: Services, event: Event | None) -> None:
        """Take in how everything serves now."""
        if after is not self.services:
            self.services, self._places = after, after.places()
        self.stories, changed = incidents.step(self.stories, self._places, self.clock(), event)
        self._keep(changed, ())

    def _count(self) -> None:
        """Count the seconds since they were counted last, in which nothing has changed."""
        now, at = self.loop.time(), self.clock()
        before, self._counted_at = self._counted_at, now
        if before is None or now <= before:
            return
        is_late = now - before > LOOK + STOOD_STILL
        past = self.past
        past.totals = availability.add(past.totals, self._places, now - before, at, stood_still=is_late)
        if is_late:
            self.stories, changed = incidents.stand_still(self.stories, at - (now - before), at)
            self._keep(changed, ())

    def _keep(self, changed: Iterable[Incident], done: Iterable[Deed]) -> None:
        for story in changed:
            self.past.keep(story)
            told = telling.incident(self.gateway or self.past.called, story, self.clock())
            for listener in self.listeners:
                listener(told)
        for deed in done:
            self.past.keep(deed)
            if isinstance(deed, Order) and deed.outcome != REFUSED:
                self._ordered += 1
                self._is_due.set()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do something that must not harm whoever it is done for; a mistake of ours is told once."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a history that fails must not take the gateway along
            if not self._is_failing:
                self._is_failing = True
                what = f"{type(error).__name__}: {error}"[:500]
                self.tell(Event("room.failed", "", "", {"room": "history", "error": what}, "error"))
        else:
            self._is_failing = False

    async def _look_for_ever(self) -> None:
        while True:
            self._guarded(self.look)
            await asyncio.sleep(LOOK)

    # -- the ledger -----------------------------------------------------------------------------------------

    async def recorded(self) -> None:
        """Wait until the orders that were given or answered so far are in the ledger.

        A second at the most, and no longer than a try to write them takes; what fails is written later.  Never raises.
        """
        mine = self._ordered
        with suppress(TimeoutError):
            async with asyncio.timeout(RECORDED):
                while self._tried < mine and self.past.ledger is not None and self._tasks:
                    await self._has_tried.wait()

    async def _write_for_ever(self) -> None:
        pause = FIRST
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._is_due.wait()
            self._is_due.clear()
            ordered = self._ordered
            try:
                await self._write()
                pause = EVERY
            except LedgerError:
                # the ledger's own rooms tell that it fails; nothing is lost here but what memory has no room for
                pause = min(2 * pause, AGAIN_MOST)
            except Exception as error:  # noqa: BLE001 - a room that nobody watches would be dead in silence
                what = f"{type(error).__name__}: {error}"[:500]
                self.tell(Event("room.failed", "", "", {"room": "history", "error": what}, "error"))
                pause = AGAIN_MOST
            self._tried = ordered
            self._has_tried.set()
            self._has_tried.clear()

    async def _write(self) -> None:
        """Write what is due.  Raises LedgerError."""
        ledger, now = self.past.ledger, self.loop.time()
        if ledger is None:
            self.past.forget_days(self._today())
            return
        if not self._is_begun:
            await self._begin(ledger)
        if now - self._tidied_at >= TIDY:
            await self._tidy(ledger)
            self._tidied_at = now
        if is_due := now - self._written_at >= HEARTBEAT:
            self._written_at = now
        if self.past.unwritten or is_due:
            await self._write_batch(ledger, with_counts=is_due)

    async def _begin(self, ledger: "Transacting") -> None:
        """Write down that this gateway has started, and take over what its earlier self has counted today."""
        from gateway.ledger import history as rows  # noqa: PLC0415 - the engine takes 12 MiB; it is here by now

        life, today = self._life(), self._today()
        before: Before = await ledger.run(lambda connection: rows.begin(connection, life, today))
        self._is_begun = True
        self.past.take_over(before.counts)
        if before.seen_at is not None:
            kind = KILLED if before.was_killed else STOPPED
            kind = PUT_BACK if self._is_copy else kind
            self._keep([absence(kind, self.life, before.seen_at, self.began_at)], ())

    async def _tidy(self, ledger: "Transacting") -> None:
        """Close what gateways that are gone have left open, and throw out a little of what is too old."""
        from gateway.ledger import history as rows  # noqa: PLC0415 - as above
        from gateway.ledger import retention  # noqa: PLC0415 - as above

        life, at = self._life(), self.clock()
        await ledger.run(lambda connection: rows.give_up(connection, life, at))
        await ledger.run(lambda connection: retention.prune(connection, at, parts=retention.HISTORY))

    async def _write_batch(self, ledger: "Transacting", ending: str = "", *, with_counts: bool = True) -> None:
        from gateway.ledger import history as rows  # noqa: PLC0415 - as above

        life, at, batch = self._life(), self.clock(), self.past.batch(with_counts=with_counts)
        await ledger.run(lambda connection: rows.write(connection, life, batch, at, ending))
        self.past.written(batch, self._today())

    async def stop(self) -> None:
        """Close what is open, for nobody will later, and write it down."""
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._guarded(self._end)
        ledger = self.past.ledger
        if ledger is None:
            return
        with suppress(LedgerError, TimeoutError):
            async with asyncio.timeout(LAST):
                if not self._is_begun:
                    await self._begin(ledger)
                await self._write_batch(ledger, "stopped")

    def _end(self) -> None:
        at = self.clock()
        self._count()
        self.stories, changed = incidents.end(self.stories, at, GONE)
        self.deeds, done = deeds.end(self.deeds, at, GONE)
        self._keep(changed, done)

    def _life(self) -> "Life":
        from gateway.ledger import history as rows  # noqa: PLC0415 - as above

        return rows.Life(self.life, self.gateway, self.began_at)

    def _today(self) -> int:
        return int(self.clock() // DAY)
