"""The wallets of a gateway that shares them with others: rooms while it holds a wallet, none while another does.

Rule: rooms belong to one holding.  They are built when the lease was gained, with a wire, a ledger and launchers that
refuse once it is over, and they are ended when it is lost; the next holding has rooms of its own.

    gained    rooms are built, daemons are probed, the ledger is read; then calls come in
    lost      calls that surely changed nothing go to the next holder, the rest is told as unknown; rooms are ended
    handover  no new calls, those under way finish, then the lease is given up
    cut off   no daemon is reached from here for a while: another gateway may reach them, so it is handed over; ever
              more seldom, for they may just as well all be dead
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.base.errors import LedgerError, OrderError
from gateway.base.events import Emit, Event
from gateway.flow.forward import Forwarder
from gateway.ledger import orders
from gateway.ledger.held import HeldLedger
from gateway.money import Book
from gateway.supervision.tenancy import FOR_GOOD, Tenancy
from gateway.upstream.wire import Wire

if TYPE_CHECKING:
    from gateway.plant import Plant

AGAIN = 0.25
"""Seconds between two tries to read the ledger of a wallet that was just gained."""

PATIENCE = 5.0
"""Seconds that a handover waits for calls under way; then it happens all the same."""

CUT_OFF, CUT_OFF_MOST = 10.0, 300.0
"""Seconds without any daemon after which another gateway may try; doubled with each time that it did not help."""

LOOK = 0.5
"""Seconds between two looks at whether daemons are reached."""

QUIET_POLL = 0.01
"""Seconds between two looks at whether the last call has ended."""

Build = Callable[[str, Wire, Book, Callable[[], bool]], "Plant"]
"""Builds the rooms of a wallet, closed: its name, wire and ledger of this holding, and whether it still is one."""


class Seat:
    """One wallet, as this gateway has it or not.

    Args:
        book: the ledger of the gateway, not fenced.
        make_wire: a wire of its own for each holding; sends only while the function given says so.
        admit: lets calls come to rooms; dismiss: lets none come any more.
    """

    def __init__(
        self, wallet: str, forwarder: Forwarder, book: Book, build: Build,
        make_wire: Callable[[Callable[[], bool]], Wire], admit: Callable[["Plant"], None],
        dismiss: Callable[[str], None], emit: Emit,
    ) -> None:  # fmt: skip
        """Begin without rooms; `tenancy` is set by whoever makes both."""
        self.wallet = wallet
        self.forwarder = forwarder
        self.book = book
        self.build = build
        self.make_wire = make_wire
        self.admit = admit
        self.dismiss = dismiss
        self.emit = emit
        self.tenancy: Tenancy
        self.plant: Plant | None = None
        self.wire: Wire | None = None
        self._bears = CUT_OFF

    def __repr__(self) -> str:
        """Status line."""
        return f"<Seat {self.wallet} {'held' if self.tenancy.is_held else 'not held'} term={self.tenancy.term}>"

    # -- what the lease calls ---------------------------------------------------------------------------------

    async def gained(self, term: int) -> None:
        """Build the rooms of a holding and let calls in."""
        tenancy = self.tenancy

        def may() -> bool:
            return tenancy.holds(term)

        book = replace(self.book, ledger=HeldLedger(self.book.ledger, tenancy, term))
        self.wire = self.make_wire(may)
        plant = self.plant = self.build(self.wallet, self.wire, book, may)
        plant.start()
        while not await self._read(plant, book):
            if not may():
                return
            await asyncio.sleep(AGAIN)
        self.admit(plant)
        self.forwarder.holder_changed()

    async def _read(self, plant: "Plant", book: Book) -> bool:
        """Give the rooms their ledger; False where that was not possible now."""
        wallet, at = self.wallet, book.clock()
        try:
            # what the last holder took and did not answer is not under way any more
            await book.ledger.run(lambda c: orders.give_up(c, at, (wallet,)))
            return await plant.open_ledger(book)
        except LedgerError as error:
            if plant.closed is not None:
                plant.closed.why = str(error)
            return False

    async def lost(self) -> None:
        """End the rooms: nobody may wait for them, and nothing may leave them."""
        plant, self.plant = self.plant, None
        wire, self.wire = self.wire, None
        self.dismiss(self.wallet)
        if plant is not None:
            plant.give_up(moved=True)
        if wire is not None:
            await wire.close()
        if plant is not None:
            await plant.stop()
        self.forwarder.holder_changed()

    # -- the shell --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go after the lease, and tell who waits for a holder of each change."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.tenancy.run(), name=f"tenancy-{self.wallet}")
            group.create_task(self._tell_news(), name=f"holder-{self.wallet}")
            group.create_task(self._see_daemons(), name=f"reach-{self.wallet}")

    async def _tell_news(self) -> None:
        while True:
            await self.tenancy.changed()
            self.forwarder.holder_changed()

    async def _see_daemons(self) -> None:
        """Hand the wallet over when none of its daemons is reached from here, and none is being restarted."""
        loop, since = self.tenancy.loop, None
        while True:
            await asyncio.sleep(LOOK)
            plant = self.plant
            if plant is None or not self.tenancy.is_held:
                since = None
            elif any(one.phase.is_serving for one in plant.pool.backends):
                since, self._bears = None, CUT_OFF
            elif any(one.phase.is_in_care or one.is_expected for one in plant.pool.backends):
                since = None
            elif since is None:
                since = loop.time()
            elif loop.time() - since >= self._bears:
                since, self._bears = None, min(2 * self._bears, CUT_OFF_MOST)
                reason = "no daemon is reached from this gateway, and another one may reach them"
                self.emit(Event("lease.stood_down", self.wallet, "", {"reason": reason}, "warning"))
                with suppress(OrderError):
                    await self.hand_over(patience=0.0)

    async def hand_over(self, *, for_good: bool = False, patience: float = PATIENCE) -> str:
        """Give the wallet to another gateway; return a sentence.

        New calls wait, and go where it is held next; those under way may finish.

        Args:
            for_good: it is not taken again.
            patience: seconds for calls under way.

        Raises OrderError.
        """
        tenancy = self.tenancy
        if not tenancy.is_held:
            holder = tenancy.holder
            who = "no gateway is known to" if holder is None else f"{holder.name} does"
            if for_good:
                await tenancy.handover(FOR_GOOD)
            raise OrderError(f"this gateway does not hold {self.wallet}; {who}")
        self.dismiss(self.wallet)
        if self.plant is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while self.plant is not None and self.plant.calls:  # noqa: ASYNC110 - no call pays for an event
                        await asyncio.sleep(QUIET_POLL)
        left = 0 if self.plant is None else self.plant.calls
        self.emit(Event("lease.handed_over", self.wallet, "", {"given_up": left, "for_good": for_good}))
        told = await tenancy.handover(FOR_GOOD if for_good else None)
        how = "any other gateway may take it at once" if told else "the database was not reached: it runs out by itself"
        return f"{self.wallet} was given up; {how}"

    # -- what it tells ----------------------------------------------------------------------------------------

    def status(self) -> dict[str, object]:
        """Return what an operator asks about the lease; `until` is the database's clock."""
        holder = self.tenancy.holder
        return {
            "held": self.tenancy.is_held,
            "holder": None if holder is None else holder.name,
            "address": None if holder is None else holder.address,
            "term": 0 if holder is None else holder.term,
            "answered_ago": round(self.tenancy.age, 2),
            "forwarding": len(self.forwarder.under_way),
        }

    def why_not_ready(self) -> list[str]:
        """Return why calls of this wallet cannot be answered through this gateway; empty when they can."""
        if self.plant is not None and self.plant.closed is None:
            return self.plant.why_not_ready()
        if self.tenancy.holder is None:
            return ["no gateway is known to hold this wallet"]
        return ["this gateway has just taken it over"] if self.tenancy.is_held else []
