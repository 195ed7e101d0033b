"""A wallet that gateways share, at one of them: rooms for each holding, a handover, and daemons that are gone."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.base.errors import LedgerError, OrderError
from gateway.base.events import Event
from gateway.base.levels import Level
from gateway.ledger.migrations import bring_up
from gateway.ledger.store import InlineLedger, OlderError
from gateway.money import Book
from gateway.rules.health import Kind
from gateway.rules.lease import Gateway, Holder, Lease
from gateway.rules.lifecycle import Phase
from gateway.seats import CUT_OFF, LAST_WORDS, LOOK, PATIENCE, TWIN, Seat
from gateway.supervision.schedule import Seen
from gateway.supervision.tenancy import FOR_GOOD
from gateway.upstream.launchers import State, Status
from tests.virtual_time import run_virtual

GRACE = 60.0


class FakeTenancy:
    """A lease that a test gives and takes."""

    wallet = "main"
    clock = staticmethod(lambda: 1.0)
    me = Gateway("gw-1", "x", "http://gw-1", "c")

    ttl = 3.0

    def __init__(self, seat: Seat) -> None:
        """Hold nothing."""
        self.seat = seat
        self.loop = asyncio.get_running_loop()
        self.term = 0
        self.other: Holder | None = Holder("gw-2", "http://gw-2", 4, 9.0)
        self.handed: list[float | None] = []
        self.reaches_database = True
        self.age = 0.2
        self.has_answer = True
        self.has_twin = False
        self.former: Lease | None = None
        self.change = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether it is held."""
        return bool(self.term)

    @property
    def holder(self) -> Holder | None:
        """Who has it."""
        return Holder("gw-1", "http://gw-1", self.term, 9.0, is_elsewhere=False) if self.term else self.other

    def holds(self, term: int) -> bool:
        """Whether that holding is the one of now."""
        return self.term == term

    async def run(self) -> None:
        """Do nothing by itself."""
        await asyncio.Event().wait()

    async def changed(self) -> None:
        """Tell of what the test says has changed."""
        await self.change.wait()
        self.change.clear()

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


@dataclass
class Daemon:
    """What is known of one."""

    name: str = "ec-1"
    phase: Phase = Phase.READY
    kind: Kind = Kind.OK
    level: Level = Level.SYNCED
    refused_since: float | None = None
    unanswered_since: float | None = None
    is_expected: bool = True

    @property
    def diagnosis(self) -> Any:
        """What is the matter with it."""
        return SimpleNamespace(kind=self.kind)


class FakePlant:
    """Rooms that remember what was done with them."""

    def __init__(self) -> None:
        """Have one daemon that serves."""
        self.immovable = 0
        self.did: list[str] = []
        self.fails: list[LedgerError] = []
        self.is_being_opened = False
        self.closed: Any = SimpleNamespace(why="")
        self.daemon = Daemon()
        self.pool = SimpleNamespace(backends=[self.daemon, Daemon("ec-2", Phase.EJECTED, Kind.DEAD)])
        self.seen = Seen()
        self.settings = SimpleNamespace(wallets={"main": SimpleNamespace(start_grace=GRACE)})
        self.supervisor = SimpleNamespace(watching=SimpleNamespace(of=self._of))

    def _of(self, name: str) -> Seen:
        return self.seen if name == self.daemon.name else Seen()

    def start(self) -> None:
        """Begin."""
        self.did.append("start")

    def take_over(self) -> None:
        """Remember it."""
        self.did.append("take over")

    async def open_ledger(self, _book: Book) -> bool:
        """Fail as often as a test wants."""
        if self.is_being_opened:
            return False
        if self.fails:
            raise self.fails.pop()
        assert self.closed is not None
        self.closed = None
        return True

    def move_on(self) -> None:
        """Remember it."""
        self.did.append("move on")

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
        self.unreached = ""
        self.greets_at = 0.0
        self.not_ready: list[str] = []
        self.remembered: list[list[str]] = []
        reach = SimpleNamespace(
            run=self._wait, cut_off_from=lambda ttl: self.unreached if ttl == 3.0 else "?",
            not_ready=lambda: self.not_ready, remember=self.remembered.append,
        )  # fmt: skip
        forwarder: Any = SimpleNamespace(holder_changed=lambda: self.did.append("news"), under_way=set(), reach=reach)
        self.asks: Callable[[], bool] = lambda: False
        self.seat = Seat(
            "main", forwarder, Book(ledger, b"k" * 32, lambda: 1.0), self._build, self._wire,
            lambda _plant: self.did.append("admit"), self._dismiss, self.events.append,
        )  # fmt: skip
        self.tenancy = FakeTenancy(self.seat)
        self.seat.tenancy = self.tenancy  # type: ignore[assignment]  # a fake with the same verbs

    async def _wait(self, ttl: float) -> None:
        self.greets_at = ttl
        await asyncio.Event().wait()

    def _dismiss(self, plant: object) -> None:
        assert plant is self.plants[-1]
        self.did.append("dismiss")

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
        told = "this gateway has just taken it over, and could not read its ledger so far: away"
        assert place.seat.why_not_ready() == [told]
        place.tenancy.term = 0
        await gaining
        assert "admit" not in place.did

    play(scene)


def test_a_ledger_that_cannot_be_read_for_a_while_is_done_without_and_then_left_to_others_ever_more_seldom() -> None:
    """Reads come in after a ttl; what is the matter is told at once."""

    async def scene(place: Place) -> None:
        place.fails = [LedgerError("slow")] * 1000
        loop = asyncio.get_running_loop()
        lasted = []
        for term in (7, 8, 9):
            began = loop.time()
            gaining = asyncio.create_task(place.tenancy.gain(term))
            await asyncio.sleep(1.0)
            assert "admit" not in place.did
            assert [(one.name, one.level, one.fields["reason"]) for one in place.events] == [
                ("lease.ledger_unread", "warning", "slow")
            ]
            await asyncio.sleep(6.0)
            assert place.did == ["admit", "news"]
            assert [one.level for one in place.events] == ["warning", "error"]
            assert place.seat.why_not_ready() == ["its own reason"]
            with pytest.raises(LedgerError, match=r"could not be read for .* slow"):
                await gaining
            lasted.append(loop.time() - began)
            await place.tenancy.handover()
            place.did.clear()
            place.events.clear()
        assert [0.9 < one / (3.0 * stays) < 1.5 for one, stays in zip(lasted, (3, 6, 12), strict=True)] == [True] * 3
        place.fails = [LedgerError("slow")]
        await place.tenancy.gain(10)
        assert place.did == ["admit", "news"]
        place.fails = [LedgerError("slow")] * 1000
        await place.tenancy.handover()
        with pytest.raises(LedgerError, match=r"for (9|1.) s"):
            await place.tenancy.gain(11)

    play(scene)


def test_a_wallet_whose_database_has_lost_something_is_kept_for_its_reads() -> None:
    """For as long as it takes an operator to look; no gateway could read the ledger.  Then it has its rooms."""

    async def scene(place: Place) -> None:
        place.fails = [OlderError("it has lost what was written last")] * 1000
        gaining = asyncio.create_task(place.tenancy.gain(7))
        await asyncio.sleep(1.0)
        assert place.did == ["admit", "news"]
        assert place.seat.why_not_ready() == ["its own reason"]
        await asyncio.sleep(600.0)
        assert not gaining.done()
        assert place.plants[0].closed.why == "it has lost what was written last"
        place.fails.clear()
        await gaining
        assert place.plants[0].closed is None
        assert place.did == ["admit", "news"] * 2
        assert [one.level for one in place.events] == ["warning", "error"]

    play(scene)


def test_a_ledger_that_somebody_else_has_opened_is_not_opened_again() -> None:
    """As the room does that opens what was closed; nor is one waited for in vain that is being opened."""

    async def scene(place: Place) -> None:
        place.fails = [LedgerError("away")] * 3
        gaining = asyncio.create_task(place.tenancy.gain(7))
        await asyncio.sleep(0.3)
        place.plants[0].is_being_opened = True
        await asyncio.sleep(3.0)
        assert not gaining.done()
        place.plants[0].closed = None
        await gaining
        assert place.did[-2:] == ["admit", "news"]

    play(scene)


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("is_long", [False, True])
def test_a_handover_keeps_nobody_waiting_for_a_call_under_way_and_does_not_wait_for_ever(
    *, is_long: bool, for_good: bool
) -> None:
    """Others come in until it has ended, or no longer; one that ends late is given up."""

    async def scene(place: Place) -> None:
        await place.tenancy.gain(7)
        plant = place.plants[0]
        plant.immovable = 3
        handing = asyncio.create_task(place.seat.hand_over(for_good=for_good))
        await asyncio.sleep(PATIENCE - 0.1)
        assert place.did[-1] == "news", "calls come in as ever"
        assert (plant.did, place.tenancy.handed) == (["start"], [])
        if is_long:
            await asyncio.sleep(0.2)
            assert (place.did[-1], plant.did[-1], place.tenancy.handed) == ("dismiss", "move on", [])
            await asyncio.sleep(LAST_WORDS)
        else:
            plant.immovable = 0
            await asyncio.sleep(0.1)
        assert handing.done()
        words = "any other gateway may take it at once" if for_good else "gw-2 has it now"
        assert await handing == f"main was given up; {words}"
        assert plant.did[1:] == ["move on", "give up, moved=True", "stop"]
        (told,) = [one for one in place.events if one.name == "lease.handed_over"]
        assert told.fields["given_up"] == (3 if is_long else 0)
        assert place.tenancy.handed == [FOR_GOOD if for_good else None]

    play(scene)


def test_calls_that_end_just_after_the_last_one_came_in_are_not_given_up() -> None:
    """Where there was never a moment without any."""

    async def scene(place: Place) -> None:
        await place.tenancy.gain(7)
        place.plants[0].immovable = 3
        handing = asyncio.create_task(place.seat.hand_over())
        await asyncio.sleep(PATIENCE + 0.1)
        assert place.did[-1] == "dismiss"
        place.plants[0].immovable = 0
        await handing
        assert place.events[-1].fields["given_up"] == 0

    play(scene)


def test_a_wallet_that_is_lost_while_it_is_handed_over_is_not_waited_for() -> None:
    """Its rooms are gone, and so are their calls."""

    async def scene(place: Place) -> None:
        await place.tenancy.gain(7)
        place.plants[0].immovable = 3
        handing = asyncio.create_task(place.seat.hand_over())
        await asyncio.sleep(0.1)
        place.tenancy.term = 0
        await place.seat.lost()
        await asyncio.sleep(0.1)
        assert handing.done()
        assert place.events[-1].fields["given_up"] == 0

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


@pytest.mark.parametrize(
    ("taken_by", "words"),
    [
        ("gw-2", "gw-2 has it now"),
        ("gw-1", "no other gateway took it, so that this one has it again: see whether another one is up"),
        ("", "no gateway has taken it yet"),
    ],
)
def test_a_handover_says_who_has_it_then_and_waits_a_lease_at_most_to_hear_it(taken_by: str, words: str) -> None:
    """It promises nothing of gateways that may not be there."""

    async def scene(place: Place) -> None:
        tenancy = place.tenancy
        tenancy.other = None
        await tenancy.gain(7)
        began = tenancy.loop.time()
        handing = asyncio.create_task(place.seat.hand_over())
        await asyncio.sleep(0.5)
        assert not handing.done()
        if taken_by == "gw-2":
            tenancy.other = Holder("gw-2", "http://gw-2", 8, 9.0)
        elif taken_by:
            tenancy.term = 8
        tenancy.change.set()
        assert await handing == f"main was given up; {words}"
        assert tenancy.loop.time() - began < (0.6 if taken_by else tenancy.ttl + 0.1)

    play(scene)


def test_who_hands_over_because_no_daemon_is_reached_waits_for_nobody() -> None:
    """There may be no other gateway."""

    async def scene(place: Place) -> None:
        place.tenancy.other = None
        await place.tenancy.gain(7)
        began = place.tenancy.loop.time()
        assert "any other gateway may" in await place.seat.hand_over(patience=0.0)
        assert place.tenancy.loop.time() == began

    play(scene)


GONE = Seen(Status(State.EXITED))


def test_a_gateway_that_reaches_no_daemon_lets_another_one_try_and_ever_more_seldom() -> None:
    """Not while one serves; the pause doubles until one serves again."""

    async def scene(place: Place) -> None:
        async def gone(seconds: float) -> int:
            before = len(place.tenancy.handed)
            await asyncio.sleep(seconds)
            return len(place.tenancy.handed) - before

        def fails() -> None:
            vars(place.plants[-1].daemon).update(phase=Phase.EJECTED, kind=Kind.DEAD)

        await place.tenancy.gain(1)
        assert await gone(3 * CUT_OFF) == 0
        fails()
        assert place.plants[-1].supervisor.may_be_cut_off()
        assert await gone(CUT_OFF - 2 * LOOK) == 0
        assert await gone(4 * LOOK) == 1
        await place.tenancy.gain(2)
        fails()
        assert not place.plants[-1].supervisor.may_be_cut_off(), "they may be restarted now, and there is time for it"
        assert await gone(GRACE + 2 * CUT_OFF - 2 * LOOK) == 0
        assert await gone(4 * LOOK) == 1
        await place.tenancy.gain(3)
        fails()
        assert await gone(2 * (GRACE + 2 * CUT_OFF) - 2 * LOOK) == 0
        place.plants[-1].daemon.phase = Phase.READY
        assert await gone(1.0) == 0
        fails()
        assert place.plants[-1].supervisor.may_be_cut_off()
        assert await gone(CUT_OFF + 2 * LOOK) == 1
        assert [one.name for one in place.events].count("lease.stood_down") == 3

    play(scene)


@pytest.mark.parametrize(
    ("daemon", "seen", "is_cut_off"),
    [
        # its launcher could start it: that says nothing about the way to it
        (Daemon(phase=Phase.EJECTED, kind=Kind.DEAD), Seen(), True),
        (Daemon(phase=Phase.EJECTED, kind=Kind.WEDGED), Seen(), True),
        (Daemon(phase=Phase.FAILED, kind=Kind.DEAD), GONE, True),
        (Daemon(phase=Phase.RESTARTING, kind=Kind.WEDGED), Seen(Status(State.RUNNING)), True),
        (Daemon(phase=Phase.RESTARTING, kind=Kind.STARTING, level=Level.NOTHING), Seen(Status(State.RUNNING)), True),
        (Daemon(phase=Phase.STARTING, kind=Kind.STARTING, refused_since=1.0), Seen(), True),
        (Daemon(phase=Phase.STARTING, kind=Kind.STARTING, unanswered_since=1.0), Seen(), True),
        # it is reached: another gateway would find the same
        (Daemon(phase=Phase.EJECTED, kind=Kind.ADRIFT, level=Level.LOADED), Seen(), False),
        (Daemon(phase=Phase.EJECTED, kind=Kind.BUSY), Seen(), False),
        (Daemon(phase=Phase.RESTARTING, kind=Kind.STARTING, level=Level.ANSWERS), Seen(Status(State.RUNNING)), False),
    ],
)
def test_what_is_no_daemon_that_is_reached(daemon: Daemon, seen: Seen, *, is_cut_off: bool) -> None:
    """Whatever is being done about it; one that says anything is."""

    async def scene(place: Place) -> None:
        await place.tenancy.gain(1)
        place.plants[0].daemon, place.plants[0].seen = daemon, seen
        place.plants[0].pool.backends[0] = daemon
        await asyncio.sleep(CUT_OFF + 2 * LOOK)
        assert len(place.tenancy.handed) == is_cut_off

    play(scene)


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_daemon_that_is_gone_while_it_is_restarted_is_reached_by_nobody(*, is_alone: bool) -> None:
    """That is no reason to hand over; the others that are not reached are one all the same."""

    async def scene(place: Place) -> None:
        await place.tenancy.gain(1)
        plant = place.plants[0]
        vars(plant.daemon).update(phase=Phase.RESTARTING, kind=Kind.DEAD)
        plant.seen = GONE
        del plant.pool.backends[1 if is_alone else 2 :]
        await asyncio.sleep(CUT_OFF + 2 * LOOK)
        assert len(place.tenancy.handed) == (not is_alone)
        if is_alone:
            plant.seen = Seen(Status(State.RUNNING))
            await asyncio.sleep(CUT_OFF + 2 * LOOK)
            assert len(place.tenancy.handed) == 1

    play(scene)


def test_what_operators_are_told_of_a_lease() -> None:
    """Who has it, and whether calls can be answered through here."""

    async def scene(place: Place) -> None:
        assert place.seat.status() | {"address": ""} == {
            "held": False, "holder": "gw-2", "address": "", "term": 4, "answered_ago": 0.2, "forwarding": 0,
        }  # fmt: skip
        assert place.seat.why_not_ready() == []
        await asyncio.sleep(0.1)
        assert place.greets_at == 3.0
        place.not_ready = ["gw-2, which holds it: ec-1: dead"]
        assert place.seat.why_not_ready() == place.not_ready
        assert place.seat.why_no_daemon() == [], "it is not held here, and nobody repeats what others repeat"
        place.unreached = "gw-2"
        assert place.seat.why_not_ready() == ["gw-2, which holds it, is not reached from here"]
        place.tenancy.other = Holder("gw-1", "http://gw-1", 5, 9.0, is_elsewhere=False)
        assert place.seat.why_not_ready() == [], "it may be what an earlier life of this gateway left behind"
        place.tenancy.has_twin = True
        assert place.seat.why_not_ready() == [TWIN]
        place.tenancy.has_answer, place.tenancy.other = False, None
        assert place.seat.status()["answered_ago"] is None
        assert place.seat.status()["holder"] is None
        assert place.seat.why_not_ready() == ["no gateway is known to hold this wallet"]
        await place.tenancy.gain(7)
        assert place.seat.status()["held"]
        assert place.seat.why_not_ready() == place.seat.why_no_daemon() == ["its own reason"]
        await place.seat.lost()
        assert place.remembered == [["its own reason"]]
        await place.seat.lost()
        assert place.remembered[1:] == [[]]

    play(scene)


def test_who_vanished_with_the_wallet_may_hold_its_daemons() -> None:
    """Not one that gave it up; and who gave it up and has it again himself knows as much as before."""

    async def scene(place: Place) -> None:
        def lease(instance: str, until: float) -> Lease:
            return Lease("gw-2", instance, "http://gw-2", "c", 4, until, 1.0, 2.0)

        cases = [
            (None, False),
            (lease("y", 9.0), True),
            (lease(FakeTenancy.me.instance, 0.0), True),
            (lease("y", 0.0), False),
            (lease(FakeTenancy.me.instance, 9.0), False),
        ]
        for term, (former, vanished) in enumerate(cases, start=1):
            place.tenancy.former = former
            await place.tenancy.gain(term)
            assert (place.plants[-1].did[0] == "take over") is vanished, former
            await place.seat.lost()

    play(scene)
