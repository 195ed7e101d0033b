"""Whether this gateway has a wallet: takes the lease when it is free, renews it, and stops in time when it cannot.

Rule: `is_held` asks the clock each time.  Nothing that is remembered makes it true, so a process that was frozen
and wakes after its lease has ended knows that with its first question, before any timer of its own has run.

    follows -> holds    the database gave the lease: `on_gained(term)` begins, as a task of its own
    holds -> follows    renewals were not answered in time, the database names another, or it was handed over:
                        `on_gained` is broken off if it still runs, `on_lost()` is awaited, and nothing is taken
                        before that is done

A holding that is over stays over: a renewal that is answered too late brings nothing back, and the next holding has
a higher term.  With the database away, a holder goes on until its lease ends by its own clock and tries all the while;
a follower goes on looking.  Why no two gateways hold one wallet, and what one of another configuration does, is told
in `rules/lease.py`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import Connection

from gateway.base.errors import LedgerError
from gateway.base.events import Emit
from gateway.ledger import leases
from gateway.ledger.store import Ledger
from gateway.rules import lease as rules
from gateway.rules.lease import Gateway, Holder, Lease, Sight
from gateway.supervision.lease_news import News, NoAnswer

FOR_GOOD = float("inf")
"""For `handover`: the lease is not taken again, because the gateway is about to stop."""


class Tenancy:
    """The lease of one wallet, as this gateway goes after it.

    Args:
        ledger: of the gateway, not fenced.
        me: this process; `instance` must be a new random one with each start.
        ttl: seconds that a lease lasts.
        on_gained: builds the rooms of a holding; where it fails, the lease is left to others for a while.
        on_lost: ends them; `is_held` is False and the fence is shut by then.  Neither of the two may hand over.
        clock: seconds since 1970, for SQLite alone.
        looks_alone: the lease is only looked at, until `go_after`.
    """

    def __init__(
        self, wallet: str, ledger: Ledger, me: Gateway, ttl: float, loop: asyncio.AbstractEventLoop,
        on_gained: Callable[[int], Awaitable[None]], on_lost: Callable[[], Awaitable[None]], emit: Emit,
        clock: leases.Clock = time.time, *, looks_alone: bool = False,
    ) -> None:  # fmt: skip
        """Begin as a follower that has seen nothing."""
        self.wallet = wallet
        self.me = me
        self.ttl = ttl
        self.loop = loop
        self.on_gained = on_gained
        self.on_lost = on_lost
        self.clock = clock
        self.news = News(wallet, me.name, ledger, emit)
        self._term = 0
        self._counts_until = self._until = 0.0
        self._over = ""
        """Why a holding is over before its time; "" while it is not."""
        self._renewed_at = self._tried_at = 0.0
        self._answered_at = loop.time()
        self.former: Lease | None = None
        """The lease as it was before this gateway took it last."""
        self._published = ""
        """How this gateway is configured, as the database has it by this holding."""
        self._renewals: set[asyncio.Task[None]] = set()
        self._begin: asyncio.Task[None] | None = None
        self._sight: Sight | None = None
        self._look_at = loop.time()
        self._stand_back_until = FOR_GOOD if looks_alone else loop.time()
        self._turns = asyncio.Lock()
        self._wake = asyncio.Event()
        self._change = asyncio.Event()

    # -- what others ask ------------------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """Whether this gateway has the wallet at this very moment."""
        return self._term != 0 and rules.does_count(self._counts_until, self.loop.time())

    def holds(self, term: int) -> bool:
        """Whether that holding is the one of this very moment."""
        return term == self._term and self.is_held

    @property
    def term(self) -> int:
        """Number of the holding of this moment; 0 without one."""
        return self._term if self.is_held else 0

    @property
    def holder(self) -> Holder | None:
        """Who has the wallet, as last seen; None where nobody is known to."""
        if self.is_held:
            return Holder(self.me.name, self.me.address, self._term, self._until, is_elsewhere=False)
        return rules.holder(self._sight, self.me, self.loop.time())

    @property
    def has_twin(self) -> bool:
        """Whether the holder of now is another process that is alive and has the name and address of this one."""
        return self._sight is not None and not self.is_held and rules.is_twin(self._sight, self.me)

    @property
    def has_answer(self) -> bool:
        """Whether the database ever answered about this lease."""
        return self._sight is not None

    @property
    def age(self) -> float:
        """Seconds since the database last answered about this lease, or since it was to be asked first."""
        return self.loop.time() - self._answered_at

    async def changed(self) -> None:
        """Wait until somebody gains or loses the wallet, as far as that is seen from here."""
        await self._change.wait()

    def look_now(self) -> None:
        """Look at once, as when somebody was told that the holder is another one."""
        if not self._term:
            self._look_at = self.loop.time()
            self._wake.set()

    def update(self, address: str, config: str, sections: str = "") -> None:
        """Take what a reload changed; the next renewal publishes it."""
        self.me = replace(self.me, address=address, config=config, sections=sections)

    def go_after(self, ledger: Ledger, clock: leases.Clock) -> None:
        """Take the lease from now on where it is nobody's, after it was only looked at; both as at the start."""
        self.news.ledger, self.clock = ledger, clock
        self._stand_back_until = self.loop.time()
        self.look_now()

    # -- the shell ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go after the lease for ever.

        Whoever ends this hands over FOR_GOOD before; otherwise others wait until the lease has run out.
        """
        try:
            while True:
                async with self._turns:
                    due = await self._turn()
                await self._sleep_until(due)
        finally:
            for task in (*self._renewals, *filter(None, (self._begin,))):
                task.cancel()

    async def handover(self, stand_back: float | None = None) -> bool:
        """Give the lease up now; False where there was none, or the database was not told and it has to run out.

        Calls under way are the caller's to wait for, before this: the fence is shut at once, and rooms are ended.

        Args:
            stand_back: seconds for which it is left to others; FOR_GOOD for ever; None for as long as one that lives
                needs, or for two ttls where the database was not told.
        """
        wait = self.ttl * rules.STAND_BACK if stand_back is None else stand_back
        self._stand_back_until = self.loop.time() + wait
        async with self._turns:
            # a look that was under way may just have brought it
            self._stand_back_until = self.loop.time() + wait
            if not self._term:
                return False
            return await self._hand_over("it was handed over", "info", rules.STAND_BACK, stand_back)

    async def _turn(self) -> float:
        """Do what is due, and return when something is due again."""
        now = self.loop.time()
        if self._term and not rules.does_count(self._counts_until, now):
            await self._lose(self._over or f"it was not renewed in time: {self.news.trouble or 'no answer yet'}")
        elif self._term and (why := self._why_not_begun()) is not None:
            is_ledger = isinstance(why, LedgerError)
            words = (str(why) or "the ledger") if is_ledger else type(why).__name__
            wait = rules.STAND_BACK if is_ledger else rules.RUN_OUT
            await self._hand_over(f"its rooms could not be begun: {words}", "error", wait)
        elif self._term:
            if now >= self._next_renewal():
                self._tried_at = now
                task = self.loop.create_task(self._renew(self._term, now), name=f"lease-{self.wallet}")
                self._renewals.add(task)
                task.add_done_callback(self._renewals.discard)
            return min(self._counts_until, self._next_renewal())
        elif now >= self._look_at:
            await self._look()
        return self.loop.time() if self._term else self._look_at

    async def _sleep_until(self, due: float) -> None:
        """Wait until then, or until something has come up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - self.loop.time())):
                await self._wake.wait()
        self._wake.clear()

    # -- the holder -----------------------------------------------------------------------------------------------

    def _next_renewal(self) -> float:
        return rules.next_renewal(self._renewed_at, self._tried_at, self.ttl)

    async def _renew(self, term: int, sent_at: float) -> None:
        """Send a renewal; what it brings counts from the sending, and only for a holding that still counts."""
        me, published = self.me, self._published

        def work(connection: Connection) -> float | None:
            until = leases.renew(connection, self.wallet, me, term, self.ttl, self.clock)
            if until is not None and me.sections != published:
                leases.publish(connection, self.wallet, me)
            return until

        found = await self.news.ask(work, self.ttl * rules.PATIENCE)
        if isinstance(found, NoAnswer) or not self.holds(term):
            pass  # whatever is due, the next turn sees it
        elif found is None:
            self._over, self._counts_until = "the database gave it to another, or says that it has ended", 0.0
        else:
            self._published = me.sections
            self._until = max(self._until, found)
            self._counts_until = max(self._counts_until, rules.counts_until(sent_at, self.ttl))
            self._renewed_at = max(self._renewed_at, sent_at)
            self._answered_at = self.loop.time()
        self._wake.set()

    async def _lose(self, reason: str, level: str = "warning") -> None:
        """End a holding."""
        term, self._term, self._counts_until, self._over = self._term, 0, 0.0, ""
        for task in self._renewals:
            task.cancel()
        self.news.tell("lease.lost", level, term=term, reason=reason)
        self._notify()
        begin, self._begin = self._begin, None
        if begin is not None:
            begin.cancel()
            await asyncio.gather(begin, return_exceptions=True)
        try:
            await self.on_lost()
        except Exception as error:  # noqa: BLE001 - the lease is lost, whatever the rooms say to it
            self.news.failed("on_lost", error)
        self._look_at = self.loop.time()
        self._wake.set()

    async def _hand_over(self, reason: str, level: str, ttls: float, seconds: float | None = None) -> bool:
        """End a holding and tell the database, so that others need not wait.

        Args:
            ttls: for how long it is left to the others, who need not wait for its end; seconds: the same, where it is
                said.
        """
        term = self._term
        await self._lose(reason, level)
        released = await self.news.ask(
            lambda c: leases.release(c, self.wallet, self.me.instance, term), self.ttl * rules.PATIENCE
        )
        is_told = released is True
        wait = self.ttl * (ttls if is_told else rules.RUN_OUT) if seconds is None else seconds
        # from now on: to end the rooms may have taken longer than all of it
        self._stand_back_until = self.loop.time() + wait
        return is_told

    # -- the follower ---------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """See who has it, and take it where it is nobody's."""
        sent_at = self.loop.time()
        before, me = self._sight, self.me
        tries = rules.may_try(before, me, self._stand_back_until, self.ttl, sent_at)

        def work(connection: Connection) -> tuple[bool, Lease | None]:
            if tries and before is not None:
                seen = 0 if before.lease is None else before.lease.term
                taken = leases.acquire(
                    connection, self.wallet, me, seen, before.highest + 1, self.ttl, self.clock
                )  # fmt: skip
                if taken is not None:
                    leases.publish(connection, self.wallet, me)
                    return True, taken
            return False, leases.read(connection, self.wallet, self.clock)

        found = await self.news.ask(work, self.ttl * rules.PATIENCE)
        now = self.loop.time()
        if isinstance(found, NoAnswer):
            self._look_at = rules.next_look(now, now, self.ttl)
            return
        self._answered_at = now
        is_taken, lease = found
        sight = self._sight = rules.see(before, lease, me, self.ttl, now)
        self.news.remark(rules.remarks(before, sight, me), lease, me, now)
        if rules.is_another(rules.holder(before, me, now), rules.holder(sight, me, now)):
            self._notify()
        if is_taken and lease is not None and rules.does_count(rules.counts_until(sent_at, self.ttl), now):
            self._gain(lease, sent_at, before)
        may_try = rules.may_try(sight, me, self._stand_back_until, self.ttl, now)
        ready = max(rules.ready_at(sight, me, self.ttl), self._stand_back_until)
        # what may be taken is taken at once; what others were faster at is looked at in its time
        self._look_at = now if may_try and not tries else rules.next_look(now, ready, self.ttl)

    def _gain(self, lease: Lease, sent_at: float, before: Sight | None) -> None:
        """Begin a holding."""
        self._term, self._until, self._over, self._published = lease.term, lease.until, "", lease.sections
        self._counts_until = rules.counts_until(sent_at, self.ttl)
        self._renewed_at = self._tried_at = sent_at
        self.former = former = None if before is None else before.lease
        self.news.tell("lease.gained", term=lease.term, former="" if former is None else former.holder)
        if former is not None and (names := rules.differing(former, self.me)):
            self.news.taken_with_other_config(former, names)
        self._notify()
        self._begin = self.loop.create_task(self._call_on_gained(lease.term), name=f"gain-{self.wallet}")

    async def _call_on_gained(self, term: int) -> None:
        try:
            await self.on_gained(term)
        finally:
            self.loop.call_soon(self._wake.set)

    def _why_not_begun(self) -> BaseException | None:
        """Why the rooms could not be built, None where they could; a mistake of ours is told."""
        begin = self._begin
        if begin is None or not begin.done():
            return None
        self._begin = None
        error = asyncio.CancelledError() if begin.cancelled() else begin.exception()
        if error is not None and not isinstance(error, LedgerError):
            self.news.failed("on_gained", error)
        return error

    def _notify(self) -> None:
        """Wake whoever waits for a change."""
        change, self._change = self._change, asyncio.Event()
        change.set()
