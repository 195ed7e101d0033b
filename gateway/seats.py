"""The wallets of a gateway that shares them with others: rooms while it holds a wallet, none while another does.

Rule: rooms belong to one holding.  They are built when the lease was gained, with a wire, a ledger and launchers that
refuse once it is over, and they are ended when it is lost; the next holding has rooms of its own.

    gained    rooms are built, daemons are probed, the ledger is read; then calls come in.  Where it cannot be read for
              a while, what needs no ledger is served; then another gateway may try
    lost      calls that surely changed nothing go to the next holder, the rest is told as unknown; rooms are ended
    handover  calls come in until none is under way that could not be made elsewhere, for a while at most; then no new
              ones, and the lease is given up
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
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.flow.forward import Forwarder
from gateway.ledger import orders
from gateway.ledger.held import HeldLedger
from gateway.ledger.store import OlderError
from gateway.money import Book
from gateway.rules.health import Kind
from gateway.supervision.tenancy import FOR_GOOD, Tenancy
from gateway.upstream.wire import Wire

if TYPE_CHECKING:
    from gateway.plant import Plant

AGAIN, AGAIN_MOST = 0.25, 4.0
"""Seconds between two tries to read the ledger of a wallet that was just gained; doubled with each that failed."""

UNREAD, UNREAD_MOST = 3.0, 100.0
"""In ttls: for how long a wallet is kept whose ledger cannot be read from here; doubled each time."""

PATIENCE = 5.0
"""Seconds that a handover waits for a moment without a call that could not be made elsewhere; new ones still come."""

LAST_WORDS = 0.5
"""Seconds in which calls may still end once no new ones come in, where there was no such moment."""

CUT_OFF, CUT_OFF_MOST = 10.0, 300.0
"""Seconds without any daemon after which another gateway may try; doubled with each time that it did not help, and
after the first longer than `start_grace`, so that they are restarted before the next."""

LOOK = 0.5
"""Seconds between two looks at whether daemons are reached."""

HEIR = 4.0
"""Seconds that whoever ordered a handover waits to hear who has the wallet now, or a lease where that is shorter."""

TWIN = (
    "another gateway has this one's name and address and holds the wallet, so that no call can be sent there; give "
    "each gateway its own cluster.name and cluster.address, and restart it"
)
"""Why a gateway answers nothing that was set up as a copy of another one."""

QUIET_POLL = 0.01
"""Seconds between two looks at whether the last call has ended."""

Build = Callable[[str, Wire, Book, Callable[[], bool]], "Plant"]
"""Builds the rooms of a wallet, closed: its name, wire and ledger of this holding, and whether it still is one."""


class Seat:
    """One wallet, as this gateway has it or not.

    Args:
        book: the ledger of the gateway, not fenced; None while it cannot be opened, so that nothing is gained.
        make_wire: a wire of its own for each holding; sends only while the function given says so.
        admit: lets calls come to rooms; dismiss: lets none come any more.
    """

    def __init__(
        self, wallet: str, forwarder: Forwarder, book: Book | None, build: Build,
        make_wire: Callable[[Callable[[], bool]], Wire], admit: Callable[["Plant"], None],
        dismiss: Callable[["Plant"], None], emit: Emit,
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
        self._follows_vanished = False
        self._admitted: Plant | None = None
        """The rooms that calls come to, with their ledger or without."""
        self._unread = ""
        """Why the ledger could not be read so far."""
        self._stays = UNREAD

    def __repr__(self) -> str:
        """Status line."""
        return f"<Seat {self.wallet} {'held' if self.tenancy.is_held else 'not held'} term={self.tenancy.term}>"

    # -- what the lease calls ---------------------------------------------------------------------------------

    async def gained(self, term: int) -> None:
        """Build the rooms of a holding and let calls in."""
        tenancy, shared = self.tenancy, self.book
        assert shared is not None  # noqa: S101 - the lease is only looked at before

        def may() -> bool:
            return tenancy.holds(term)

        book = replace(shared, ledger=HeldLedger(shared.ledger, tenancy, term))
        self.wire = self.make_wire(may)
        plant = self.plant = self.build(self.wallet, self.wire, book, may)
        plant.supervisor.may_be_cut_off = self.may_be_cut_off
        if self._has_followed_a_vanished():
            plant.take_over()
        plant.start()
        self._unread = ""
        began, pause = tenancy.loop.time(), AGAIN
        while error := await self._read(plant, book):
            if not may():
                return
            self._do_without(plant, error, tenancy.loop.time() - began)
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_MOST)
        self._unread, self._stays = "", UNREAD
        self._let_in(plant)

    def _has_followed_a_vanished(self) -> bool:
        """Whether the last other gateway that held the wallet did not give it up: it is frozen, dead or cut off.

        Also where this one has given it up and taken it again since.
        """
        former = self.tenancy.former
        if former is None or former.instance != self.tenancy.me.instance:
            self._follows_vanished = former is not None and not former.is_given_up
        return self._follows_vanished

    def go_after(self, book: Book) -> None:
        """Take the wallet from now on where it is nobody's: the ledger could be opened at last."""
        self.book = book
        self.tenancy.go_after(book.ledger, book.clock)

    async def _read(self, plant: "Plant", book: Book) -> LedgerError | None:
        """Give the rooms their ledger; return why that was not possible now, None when they have it."""
        wallet, at = self.wallet, book.clock()
        if plant.closed is None:
            return None
        try:
            # what the last holder took and did not answer is not under way any more
            await book.ledger.run(lambda c: orders.give_up(c, at, (wallet,)))
            is_open = await plant.open_ledger(book)
        except LedgerError as error:
            plant.closed.why = str(error)
            return error
        return None if is_open else LedgerError("the ledger is being opened")

    def _do_without(self, plant: "Plant", error: LedgerError, lasts: float) -> None:
        """Have a ledger that could not be read for so many seconds: serve what needs none, then leave it to others.

        Where the database itself has lost something nobody could read it, and the wallet is kept for its reads.
        Raises LedgerError to give the lease up.
        """
        ttl, is_older = self.tenancy.ttl, isinstance(error, OlderError)
        if not self._unread:
            self._tell_unread(error, "warning", "nothing yet")
        self._unread = str(error)
        if self._admitted is not plant and (is_older or lasts >= ttl):
            self._tell_unread(error, "error", "reads and broadcasts")
            self._let_in(plant)
        if not is_older and lasts >= self._stays * ttl:
            self._stays = min(2 * self._stays, UNREAD_MOST)
            raise LedgerError(f"the ledger could not be read for {lasts:.0f} s: {error}")

    def _tell_unread(self, error: LedgerError, level: str, served: str) -> None:
        self.emit(Event("lease.ledger_unread", self.wallet, "", {"reason": str(error), "served": served}, level))

    def _let_in(self, plant: "Plant") -> None:
        self._admitted = plant
        self.admit(plant)
        self.forwarder.holder_changed()

    async def lost(self) -> None:
        """End the rooms: nobody may wait for them, and nothing may leave them."""
        self.forwarder.reach.remember(self.why_no_daemon())
        plant, self.plant = self.plant, None
        wire, self.wire = self.wire, None
        if plant is not None:
            self.dismiss(plant)
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
            group.create_task(self._see_daemons(), name=f"daemons-{self.wallet}")
            group.create_task(self.forwarder.reach.run(self.tenancy.ttl), name=f"reach-{self.wallet}")

    async def _tell_news(self) -> None:
        while True:
            await self.tenancy.changed()
            self.forwarder.holder_changed()

    async def _see_daemons(self) -> None:
        """Hand the wallet over when none of its daemons is reached from here."""
        loop, since = self.tenancy.loop, None
        while True:
            await asyncio.sleep(LOOK)
            plant = self.plant
            if plant is None or not self.tenancy.is_held:
                since = None
            elif any(one.phase.is_serving for one in plant.pool.backends):
                since, self._bears = None, CUT_OFF
            elif not _is_cut_off(plant):
                since = None
            elif since is None:
                since = loop.time()
            elif loop.time() - since >= self._bears:
                # whoever is back restarts them; he has to know them for so long before he does
                grace = plant.settings.wallets[self.wallet].start_grace + 2 * CUT_OFF
                since, self._bears = None, max(min(2 * self._bears, CUT_OFF_MOST), grace)
                reason = "no daemon is reached from this gateway, and another one may reach them"
                self.emit(Event("lease.stood_down", self.wallet, "", {"reason": reason}, "warning"))
                with suppress(OrderError):
                    await self.hand_over(patience=0.0)

    def may_be_cut_off(self) -> bool:
        """Whether no other gateway was let try since a daemon served here."""
        return self._bears == CUT_OFF

    async def hand_over(self, *, for_good: bool = False, patience: float = PATIENCE) -> str:
        """Give the wallet to another gateway; return a sentence.

        Calls come in until there is a moment in which none is under way that could not be made elsewhere, so that a
        slow one keeps nobody waiting.  After that, new ones and those that can go where it is held next.

        Args:
            for_good: it is not taken again.
            patience: seconds to wait for such a moment; 0.0 waits for nothing, also not to hear who takes it.

        Raises OrderError.
        """
        tenancy = self.tenancy
        if not tenancy.is_held:
            holder = tenancy.holder
            who = "no gateway is known to" if holder is None else f"{holder.name} does"
            if for_good:
                await tenancy.handover(FOR_GOOD)
            raise OrderError(f"this gateway does not hold {self.wallet}; {who}")
        plant = self.plant
        if plant is not None:
            await self._calm(plant, patience)
            self.dismiss(plant)
            plant.move_on()
            await self._calm(plant, min(patience, LAST_WORDS))
        left = 0 if plant is None or plant is not self.plant else plant.immovable
        self.emit(Event("lease.handed_over", self.wallet, "", {"given_up": left, "for_good": for_good}))
        told = await tenancy.handover(FOR_GOOD if for_good else None)
        if not told:
            how = "the database was not reached: it runs out by itself"
        elif for_good or not patience:
            how = "any other gateway may take it at once"
        else:
            how = await self._who_took_it()
        return f"{self.wallet} was given up; {how}"

    async def _who_took_it(self) -> str:
        """Wait until somebody has a wallet that was given up, for a while; return who."""
        tenancy = self.tenancy
        with suppress(TimeoutError):
            async with asyncio.timeout(min(tenancy.ttl, HEIR)):
                while tenancy.holder is None:
                    await tenancy.changed()
        holder = tenancy.holder
        if tenancy.is_held:
            return "no other gateway took it, so that this one has it again: see whether another one is up"
        return "no gateway has taken it yet" if holder is None else f"{holder.name} has it now"

    async def _calm(self, plant: "Plant", patience: float) -> None:
        """Wait for a moment without a call that could not be made elsewhere."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while plant is self.plant and plant.immovable:  # noqa: ASYNC110 - no call pays for an event
                    await asyncio.sleep(QUIET_POLL)

    # -- what it tells ----------------------------------------------------------------------------------------

    def status(self) -> dict[str, object]:
        """Return what an operator asks about the lease; `until` is the database's clock."""
        holder = self.tenancy.holder
        return {
            "held": self.tenancy.is_held,
            "holder": None if holder is None else holder.name,
            "address": None if holder is None else holder.address,
            "term": 0 if holder is None else holder.term,
            "answered_ago": round(self.tenancy.age, 2) if self.tenancy.has_answer else None,
            "forwarding": len(self.forwarder.under_way),
        }

    def why_not_ready(self) -> list[str]:
        """Return why calls of this wallet cannot be answered through this gateway; empty when they can."""
        if self.plant is not None and self.plant is self._admitted:
            return self.plant.why_not_ready()
        holder = self.tenancy.holder
        if holder is None:
            return ["no gateway is known to hold this wallet"]
        if self.tenancy.is_held:
            why = f", and could not read its ledger so far: {self._unread}" if self._unread else ""
            return [f"this gateway has just taken it over{why}"]
        if not holder.is_elsewhere:
            # an earlier life of this gateway may have left it: then it ends soon, and calls wait for that
            return [TWIN] if self.tenancy.has_twin else []
        unreached = self.forwarder.reach.cut_off_from(self.tenancy.ttl)
        if unreached:
            return [f"{unreached}, which holds it, is not reached from here"]
        return self.forwarder.reach.not_ready()

    def why_no_daemon(self) -> list[str]:
        """Return why no daemon takes calls here, so that none would through any gateway; empty when one does.

        While the wallet is just being taken over nobody says so: calls wait for that.
        """
        plant = self.plant
        return plant.why_not_ready() if plant is not None and plant is self._admitted else []


def _is_cut_off(plant: "Plant") -> bool:
    """Whether daemons are there and not one of them is reached, so that another gateway may do better.

    One that is being restarted and whose process is gone, as its launcher says, can be reached by nobody.
    """
    gone = plant.supervisor.watching.of
    there = [one for one in plant.pool.backends if not (one.phase.is_in_care and gone(one.name).is_gone)]
    return bool(there) and not any(map(_is_heard, there))


def _is_heard(backend: Backend) -> bool:
    """Whether a daemon said anything lately, be it well or not."""
    if backend.diagnosis.kind is Kind.STARTING:
        return backend.level > Level.NOTHING and backend.refused_since is None and backend.unanswered_since is None
    return backend.diagnosis.kind in (Kind.OK, Kind.BUSY, Kind.ADRIFT)
