"""A wallet that gateways share, at one of them: rooms for each holding, a handover, and daemons that are gone."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.base.errors import LedgerError, OrderError
from gateway.base.events import Event
from gateway.ledger.migrations import bring_up
from gateway.ledger.store import InlineLedger
from gateway.money import Book
from gateway.rules.lease import Gateway, Holder
from gateway.rules.lifecycle import Phase
from gateway.seats import CUT_OFF, LOOK, PATIENCE, Seat
from gateway.supervision.tenancy import FOR_GOOD
from tests.virtual_time import run_virtual


class FakeTenancy:
    """A lease that a test gives and takes."""

    wallet = "main"
    clock = staticmethod(lambda: 1.0)
    me = Gateway("gw-1", "x", "http://gw-1", "c")

    def __init__(self, seat: Seat) -> None:
        """Hold nothing."""
        self.seat = seat
        self.loop = asyncio.get_running_loop()
        self.term = 0
        self.other: Holder | None = Holder("gw-2", "http://gw-2", 4, 9.0)
        self.handed: list[float | None] = []
        self.reaches_database = True
        self.age = 0.2

    @property
    def is_held(self) -> bool:
        """Whether it is held."""
        return bool(self.term)

    @property
    def holder(self) -> Holder | None:
        """Who has it."""
        return Holder("gw-1", "http://gw-1", self.term, 9.0) if self.term else self.other

    def holds(self, term: int) -> bool:
        """Whether that holding is the one of now."""
        return self.term == term

    async def run(self) -> None:
        """Do nothing by itself."""
        await asyncio.Event().wait()

    async def changed(self) -> None:
        """Tell no news."""
        await asyncio.Event().wait()

    async def handover(self, stand_back: float | None = None) -> bool:
        """Give it up, as the real one does."""
        self.handed.append(stand_back)
        if not self.term:
            return False
        self.term = 0
        await self.seat.lost()
        return self.reaches_database

    async def gain(self, term: int) -> None:
        """Give it."""
        self.term = term
        await self.seat.gained(term)


class FakePlant:
    """Rooms that remember what was done with them."""

    def __init__(self) -> None:
        """Have one daemon that serves."""
        self.calls = 0
        self.did: list[str] = []
        self.fails: list[LedgerError] = []
        self.closed: Any = SimpleNamespace(why="")
        self.daemon = SimpleNamespace(phase=Phase.READY, is_expected=False)
        self.pool = SimpleNamespace(backends=[self.daemon])

    def start(self) -> None:
        """Begin."""
        self.did.append("start")

    async def open_ledger(self, _book: Book) -> bool:
        """Fail as often as a test wants."""
        if self.fails:
            raise self.fails.pop()
        self.closed = None
        return True

    def give_up(self, *, moved: bool) -> None:
        """Remember it."""
        self.did.append(f"give up, moved={moved}")

    async def stop(self) -> None:
        """Remember it."""
        self.did.append("stop")

    def why_not_ready(self) -> list[str]:
        """Have a reason."""
        return ["its own reason"]


class Place:
    """A seat and everything around it."""

    def __init__(self) -> None:
        """Begin without the lease."""
        self.did: list[str] = []
        self.events: list[Event] = []
        self.plants: list[FakePlant] = []
        self.fails: list[LedgerError] = []
        ledger = InlineLedger(None)
        ledger.transact(bring_up)
        forwarder: Any = SimpleNamespace(holder_changed=lambda: self.did.append("news"), under_way=set())
        self.asks: Callable[[], bool] = lambda: False
        self.seat = Seat(
            "main", forwarder, Book(ledger, b"k" * 32, lambda: 1.0), self._build, self._wire,
            lambda _plant: self.did.append("admit"), lambda _name: self.did.append("dismiss"), self.events.append,
        )  # fmt: skip
        self.tenancy = FakeTenancy(self.seat)
        self.seat.tenancy = self.tenancy  # type: ignore[assignment]  # a fake with the same verbs

    def _build(self, _name: str, _wire: object, _book: Book, may: Callable[[], bool]) -> Any:
        self.asks = may
        plant = FakePlant()
        plant.fails = self.fails
        self.plants.append(plant)
        return plant

    def _wire(self, may: Callable[[], bool]) -> Any:
        assert may() is self.tenancy.is_held

        async def close() -> None:
            self.did.append("wire closed")

        return SimpleNamespace(close=close, may=may)


def play(scene: Callable[[Place], Coroutine[Any, Any, None]]) -> None:
    """Play a scene; the ledger's fence is left out, which has tests of its own."""

    async def live() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.seats.HeldLedger", lambda ledger, _tenancy, _term: ledger)
            place = Place()
            running = asyncio.create_task(place.seat.run())
            await scene(place)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run_virtual(live())


def test_calls_come_in_when_the_ledger_was_read_and_never_after_the_wallet_was_lost() -> None:
    """In this order; what may send and write asks for this holding, and for no later one."""

    async def scene(place: Place) -> None:
        place.fails = [LedgerError("away"), LedgerError("away")]
        began = asyncio.get_running_loop().time()
        await place.tenancy.gain(7)
        assert asyncio.get_running_loop().time() > began
        assert place.did == ["admit", "news"]
        assert place.asks()
        first = place.asks
        place.did.clear()
        place.tenancy.term = 0
        await place.seat.lost()
        assert place.did == ["dismiss", "wire closed", "news"]
        assert place.plants[0].did == ["start", "give up, moved=True", "stop"]
        await place.tenancy.gain(8)
        assert len(place.plants) == 2
        assert not first()
        assert place.asks()

    play(scene)


def test_a_lease_that_ends_while_the_ledger_is_read_lets_nobody_in() -> None:
    """The rooms are ended by whoever hears of the loss."""

    async def scene(place: Place) -> None:
        place.fails = [LedgerError("away")] * 1000
        gaining = asyncio.create_task(place.tenancy.gain(7))
        await asyncio.sleep(3.0)
        assert place.plants[0].closed.why == "away"
        assert place.seat.why_not_ready() == ["this gateway has just taken it over"]
        place.tenancy.term = 0
        await gaining
        assert "admit" not in place.did

    play(scene)


@pytest.mark.parametrize("is_long", [False, True])
def test_a_handover_waits_for_calls_under_way_and_not_for_ever(*, is_long: bool) -> None:
    """No new ones come in meanwhile."""

    async def scene(place: Place) -> None:
        await place.tenancy.gain(7)
        place.plants[0].calls = 3
        handing = asyncio.create_task(place.seat.hand_over())
        await asyncio.sleep(1.0)
        assert place.did[-1] == "dismiss"
        assert place.tenancy.handed == []
        if not is_long:
            place.plants[0].calls = 0
        await asyncio.sleep(0.1)
        assert handing.done() is not is_long
        await asyncio.sleep(PATIENCE)
        assert await handing == "main was given up; any other gateway may take it at once"
        (told,) = [one for one in place.events if one.name == "lease.handed_over"]
        assert told.fields["given_up"] == (3 if is_long else 0)
        assert place.tenancy.handed == [None]

    play(scene)


def test_a_handover_says_what_the_database_did_not_hear_and_who_has_what_is_not_held() -> None:
    """The lease runs out by itself then; and one for good is one also where nothing is held."""

    async def scene(place: Place) -> None:
        with pytest.raises(OrderError, match="gw-2 does"):
            await place.seat.hand_over()
        place.tenancy.other = None
        with pytest.raises(OrderError, match="no gateway is known to"):
            await place.seat.hand_over(for_good=True)
        assert place.tenancy.handed == [FOR_GOOD]
        await place.tenancy.gain(7)
        place.tenancy.reaches_database = False
        assert "runs out by itself" in await place.seat.hand_over()

    play(scene)


def test_a_gateway_that_reaches_no_daemon_lets_another_one_try_and_ever_more_seldom() -> None:
    """Not while one serves, is restarted or is expected; the pause doubles until one serves again."""

    async def scene(place: Place) -> None:
        async def gone(seconds: float) -> int:
            before = len(place.tenancy.handed)
            await asyncio.sleep(seconds)
            return len(place.tenancy.handed) - before

        await place.tenancy.gain(1)
        assert await gone(3 * CUT_OFF) == 0
        for state in ({"phase": Phase.RESTARTING}, {"is_expected": True}):
            vars(place.plants[-1].daemon).update({"phase": Phase.EJECTED} | state)
            assert await gone(3 * CUT_OFF) == 0
            place.plants[-1].daemon.is_expected = False
        place.plants[-1].daemon.phase = Phase.EJECTED
        assert await gone(CUT_OFF - 2 * LOOK) == 0
        assert await gone(4 * LOOK) == 1
        await place.tenancy.gain(2)
        place.plants[-1].daemon.phase = Phase.EJECTED
        assert await gone(2 * CUT_OFF - 2 * LOOK) == 0
        assert await gone(4 * LOOK) == 1
        await place.tenancy.gain(3)
        assert await gone(1.0) == 0
        place.plants[-1].daemon.phase = Phase.EJECTED
        assert await gone(CUT_OFF + 2 * LOOK) == 1
        assert [one.name for one in place.events].count("lease.stood_down") == 3

    play(scene)


def test_what_operators_are_told_of_a_lease() -> None:
    """Who has it, and whether calls can be answered through here."""

    async def scene(place: Place) -> None:
        assert place.seat.status() | {"address": ""} == {
            "held": False, "holder": "gw-2", "address": "", "term": 4, "answered_ago": 0.2, "forwarding": 0,
        }  # fmt: skip
        assert place.seat.why_not_ready() == []
        place.tenancy.other = None
        assert place.seat.status()["holder"] is None
        assert place.seat.why_not_ready() == ["no gateway is known to hold this wallet"]
        await place.tenancy.gain(7)
        assert place.seat.status()["held"]
        assert place.seat.why_not_ready() == ["its own reason"]

    play(scene)
