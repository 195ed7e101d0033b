"""The history of a gateway in virtual time: it hears, counts, writes seldom, and outlives its own death."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, select

from gateway.base.errors import LedgerError
from gateway.base.events import Event
from gateway.ledger.migrations import bring_up
from gateway.ledger.schema import audit, incidents, lives
from gateway.ledger.store import InlineLedger
from gateway.observe.history import AGAIN_MOST, EVERY, HEARTBEAT, LOOK, RECORDED, STOOD_STILL, History
from gateway.observe.past import DAYS, Span
from gateway.observe.shelf import MOST, Shelf
from gateway.rules.availability import DAY
from gateway.rules.conditions import BackendView, WalletView
from gateway.rules.deeds import Restart
from gateway.rules.health import Kind
from tests.virtual_time import run_virtual

T = TypeVar("T")

WALL = 1_800_000_000.0 - 1_800_000_000.0 % DAY + 3600.0
"""One in the morning."""

IS_SERVING = {"backend.ejected": False, "backend.restarting": False, "backend.warming": True, "backend.ready": True}

WELL = WalletView("main", (BackendView("ec-1"), BackendView("ec-2")))


class Books(InlineLedger):
    """A ledger in memory that counts, and that may fail."""

    def __init__(self) -> None:
        """Make its tables."""
        super().__init__(None)
        self.transact(bring_up)
        self.written: list[float] = []
        self.fails = False
        self.forgets = False
        self.takes = 0.0

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction; one that is forgotten was done, and nobody is told."""
        if self.fails:
            raise LedgerError("the disk is full")
        await asyncio.sleep(self.takes)
        self.written.append(asyncio.get_running_loop().time())
        result = await super().run(work)
        if self.forgets:
            self.forgets = False
            raise LedgerError("the connection was lost")
        return result

    async def see(self, work: Callable[[Connection], T]) -> T:
        """Read one moment."""
        if self.fails:
            raise LedgerError("the disk is full")
        return self.transact(work)


@pytest.fixture
def books() -> Iterator[Books]:
    """One with its tables."""
    with closing(Books()) as made:
        yield made


class Rig:
    """A history with fakes around it."""

    def __init__(self, life: str = "aa", ledger: Books | None = None, gateway: str = "", late: float = 0.0) -> None:
        """Start; `late` seconds after the first rig of the test began."""
        self.loop = asyncio.get_running_loop()
        self.late = late
        self.seen: list[WalletView] = [WELL]
        self.told: list[Event] = []
        self.heard: list[dict[str, object]] = []
        self.history = History(self._views, self.told.append, self.clock, self.loop, gateway, life)
        self.history.listeners.append(self.heard.append)
        if ledger is not None:
            self.history.open(ledger)
        self.history.start()

    def clock(self) -> float:
        """Seconds since 1970."""
        return WALL + self.loop.time() - 1000.0 + self.late

    def _views(self) -> list[WalletView]:
        return self.seen

    def say(self, name: str, backend: str = "ec-1", **fields: object) -> None:
        """Something happens, and is so from then on."""
        if name in IS_SERVING:
            views = {one.name: one for one in self.seen[0].backends}
            views[backend] = BackendView(backend, is_serving=IS_SERVING[name], kind=Kind.DEAD)
            self.seen = [WalletView("main", tuple(views.values()))]
        self.history.hear(Event(name, "main", backend, fields))

    async def kill(self) -> None:
        """End it without a word, as a signal would."""
        for task in self.history._tasks:
            task.cancel()
        await asyncio.gather(*self.history._tasks, return_exceptions=True)

    async def rows(self, what: str = "incidents") -> list[dict[str, Any]]:
        """What is answered now."""
        span = Span(0.0, 9e9)
        return (await getattr(self.history.past, what)(span)).rows  # type: ignore[no-any-return]  # each answers rows


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scene in virtual time."""
    run_virtual(scene())


def test_a_moment_out_of_service_is_in_the_ledger_and_told_to_who_listens(books: Books) -> None:
    """With the restart that was made of it, and the seconds that it cost."""

    async def scene() -> None:
        rig = Rig(ledger=books)
        await asyncio.sleep(10.5)
        rig.say("backend.ejected", kind="wedged", reason="silent")
        await asyncio.sleep(2.0)
        rig.say("restart.begun", cause="wedged", reason="silent")
        rig.say("backend.restarting")
        await asyncio.sleep(0.25)
        rig.say("backend.warming")
        rig.say("restart.done", took=0.25)
        await asyncio.sleep(30)
        (story,) = await rig.rows()
        assert (story["kind"], story["seconds"], story["gateway"]) == ("out_of_service", 2.25, "")
        assert rig.heard[0]["closed_at"] is None
        assert rig.heard[-1] == story
        (restart,) = await rig.rows("restarts")
        assert (restart["cause"], restart["by"], restart["outcome"], restart["seconds"]) == (
            "wedged", "gateway", "done", 0.25,
        )  # fmt: skip
        day = next(one for one in await rig.rows("availability") if one["backend"] == "ec-1")
        assert day["reasons"] == {"wedged": 2.0, "restarting": 0.2}
        assert day["not_running"] == 0.0
        rig.history.past.totals = {}
        assert next(one for one in await rig.rows("availability") if one["backend"] == "ec-1")["reasons"] == {
            "wedged": 2.0, "restarting": 0.2,
        }  # fmt: skip
        assert "in ledger" in repr(rig.history)
        await rig.history.stop()

    play(scene)


def test_a_gateway_that_is_alone_is_told_by_the_name_of_its_machine(books: Books) -> None:
    """To who listens and to who asks; its rows have none, for the machine may be called differently tomorrow."""

    async def scene() -> None:
        rig = Rig(ledger=books)
        rig.history.past.called = "machine-1"
        rig.say("backend.ejected", kind="wedged")
        await asyncio.sleep(2 * EVERY)
        assert {row["gateway"] for row in [*rig.heard, *await rig.rows()]} == {"machine-1"}
        assert books.transact(lambda c: set(c.scalars(select(incidents.c.gateway)))) == {""}
        await rig.history.stop()

    play(scene)


def test_payments_have_the_ledger_for_themselves(books: Books) -> None:
    """However much happens, one small transaction in five seconds; and where nothing does, one in half a minute."""

    async def scene() -> None:
        rig = Rig(ledger=books)
        await asyncio.sleep(600)
        begin = len(books.written)
        await asyncio.sleep(600)
        assert len(books.written) - begin <= 21, "one in half a minute"
        begin = len(books.written)
        for _ in range(600):
            rig.say("backend.ejected", kind="wedged")
            rig.say("backend.warming")
            await asyncio.sleep(0.1)
        assert len(books.written) - begin <= 13, "one in five seconds"
        await rig.history.stop()

    play(scene)


def test_an_order_is_in_the_ledger_before_it_is_answered(books: Books) -> None:
    """A gateway that is killed right after its answer has it in the trail; nobody waits for the next round."""

    async def scene() -> None:
        rig = Rig("aa", books)
        # before the first round, and in the middle between two later ones
        for number in range(3):
            begin = rig.loop.time()
            rig.say("order.given", verb="hold", who="kim", order=f"door-{number}")
            rig.say("order.done", verb="hold", answer="held", order=f"door-{number}")
            await rig.history.recorded()
            assert rig.loop.time() == begin
            given = books.transact(lambda c: c.execute(select(audit.c.who, audit.c.answer)).all())
            assert given == [("kim", "held")] * (number + 1)
            await asyncio.sleep(12.3)
        await rig.kill()

    play(scene)


def test_a_ledger_that_is_slow_or_fails_keeps_no_order_back(books: Books) -> None:
    """A second at the most, nothing where it is known to fail or where there is none; the row follows."""

    async def scene() -> None:
        without = Rig("bb")
        without.say("order.given", verb="hold")
        begin = without.loop.time()
        await without.history.recorded()
        rig = Rig("aa", books)
        await asyncio.sleep(10)
        books.fails = True
        rig.say("order.given", verb="hold")
        await rig.history.recorded()
        assert rig.loop.time() == begin + 10.0
        books.fails, books.takes = False, 30.0
        rig.say("order.done", verb="hold")
        await rig.history.recorded()
        assert rig.loop.time() == begin + 10.0 + RECORDED
        await asyncio.sleep(60)
        assert rig.history.past.unwritten == 0
        await rig.history.stop()
        rig.say("order.given", verb="hold")
        await rig.history.recorded()
        await without.history.stop()

    play(scene)


def test_who_guesses_tokens_makes_nobody_write(books: Books) -> None:
    """A refused order waits for the next round as all else does."""

    async def scene() -> None:
        rig = Rig("aa", books)
        await asyncio.sleep(2 * HEARTBEAT)
        begin = len(books.written)
        for _ in range(100):
            rig.say("order.refused", why="wrong token")
            await asyncio.sleep(0.1)
        assert len(books.written) - begin <= 3
        await rig.history.stop()

    play(scene)


def test_what_was_open_when_the_gateway_was_killed_is_closed_at_the_next_start(books: Books) -> None:
    """The time in between is a story of its own; seconds go on being counted where they were."""

    async def scene() -> None:
        rig = Rig("aa", books)
        await asyncio.sleep(60)
        rig.say("backend.ejected", kind="dead")
        rig.say("restart.begun", cause="dead")
        rig.say("order.given", verb="drain", who="kim")
        await asyncio.sleep(40)
        await rig.kill()
        await asyncio.sleep(120)
        after = Rig("bb", books)
        await asyncio.sleep(30)
        stories = {one["id"]: one for one in await after.rows()}
        assert set(stories) == {"aa-s1", "bb-s0"}
        assert "nobody knows how it went on" in stories["aa-s1"]["done"][-1]["text"]
        assert (stories["bb-s0"]["kind"], stories["bb-s0"]["severity"]) == ("gateway_killed", "critical")
        assert 120.0 <= stories["bb-s0"]["seconds"] <= 120.0 + HEARTBEAT + EVERY
        assert [one["outcome"] for one in await after.rows("restarts")] == ["broken off"]
        assert [one["outcome"] for one in await after.rows("orders")] == ["broken off"]
        (day, *_) = await after.rows("availability")
        assert (day["backend"], day["elapsed"]) == ("", pytest.approx(250.0, abs=LOOK))
        assert day["watched"] == pytest.approx(130.0, abs=HEARTBEAT + EVERY)
        assert day["watched"] + day["not_running"] == pytest.approx(day["elapsed"], abs=0.2)
        await after.history.stop()

    play(scene)


def test_a_gateway_that_stops_in_order_closes_what_is_open(books: Books) -> None:
    """And the next one says that it was stopped, which is no fault."""

    async def scene() -> None:
        rig = Rig("aa", books)
        await asyncio.sleep(20)
        rig.say("backend.ejected", kind="dead")
        await rig.history.stop()
        await rig.history.stop()
        (story,) = await rig.rows()
        assert story["closed_at"] is not None
        assert story["done"][-1]["text"] == "the gateway was stopped while this was open"
        assert books.transact(lambda c: c.scalars(select(lives.c.ending)).all()) == ["stopped"]
        after = Rig("bb", books)
        await asyncio.sleep(20)
        assert {one["kind"] for one in await after.rows()} == {"gateway_stopped", "out_of_service"}
        await after.history.stop()

    play(scene)


def test_a_ledger_that_was_put_back_is_told(books: Books) -> None:
    """Nobody was killed; what happened since the copy was made is not known."""

    async def scene() -> None:
        rig = Rig("aa", books)
        await asyncio.sleep(40)
        await rig.kill()
        after = Rig("bb")
        after.history.open(books, is_copy=True)
        await asyncio.sleep(10)
        assert [one["kind"] for one in await after.rows()] == ["ledger_put_back"]
        await after.history.stop()

    play(scene)


def test_a_gateway_that_stops_at_once_has_been_there(books: Books) -> None:
    """It had no time to write anything before."""

    async def scene() -> None:
        rig = Rig("aa", books)
        await rig.history.stop()
        assert books.transact(lambda c: c.scalars(select(lives.c.ending)).all()) == ["stopped"]

    play(scene)


def test_without_a_ledger_the_newest_is_remembered(books: Books) -> None:
    """So much and no more; it is said that it is not all, and what is opened later gets all that is left."""

    async def scene() -> None:
        rig = Rig()
        for number in range(MOST + 20):
            rig.say("order.given", f"ec-{number}", verb="drain")
        await asyncio.sleep(2 * EVERY)
        answer = await rig.history.past.orders(Span(0.0, 9e9, most=10_000))
        assert (len(answer.rows), answer.complete) == (MOST, False)
        assert rig.history.past.dropped == 20
        assert "in memory" in repr(rig.history)
        rig.history.open(books)
        # in pieces, so that no transaction is a long one
        await asyncio.sleep(MOST / 100 * EVERY + 2 * EVERY)
        assert rig.history.past.unwritten == 0
        answer = await rig.history.past.orders(Span(0.0, 9e9, most=10_000))
        assert (len(answer.rows), answer.complete) == (MOST, True)
        await rig.history.stop()

    play(scene)


def test_days_without_a_ledger_are_bounded() -> None:
    """A month of them."""

    async def scene() -> None:
        rig = Rig()
        rig.history.past.totals = {(day, "main", ""): count for day in range(DAYS + 30) for count in [None]}  # type: ignore[misc]  # nobody looks into them
        today = DAYS + 29
        rig.history.past.forget_days(today)
        rig.history.past.forget_days(today)
        assert len(rig.history.past.totals) == DAYS
        await rig.history.stop()

    play(scene)


def test_a_ledger_that_cannot_be_written_loses_nothing(books: Books) -> None:
    """It is tried ever more seldom, and gets all of it when it can again; answers come from memory meanwhile."""

    async def scene() -> None:
        rig = Rig(ledger=books)
        await asyncio.sleep(10)
        books.fails = True
        rig.say("backend.ejected", kind="dead")
        await asyncio.sleep(3600)
        answer = await rig.history.past.incidents(Span(0.0, 9e9))
        assert (len(answer.rows), answer.complete) == (1, False)
        rig.say("backend.warming")
        books.fails = False
        await asyncio.sleep(AGAIN_MOST + EVERY)
        assert rig.history.past.unwritten == 0
        (story,) = (await rig.history.past.incidents(Span(0.0, 9e9))).rows
        assert story["seconds"] == 3600.0
        await rig.history.stop()

    play(scene)


def test_a_commit_of_which_nobody_knows_is_done_again_and_counts_once(books: Books) -> None:
    """Its rows are whole, and of this life alone."""

    async def scene() -> None:
        rig = Rig(ledger=books)
        books.forgets = True
        await asyncio.sleep(2 * EVERY)
        books.forgets = True
        rig.say("backend.ejected", kind="dead")
        await asyncio.sleep(100)
        assert len(await rig.rows()) == 1
        (day, *_) = await rig.rows("availability")
        assert day["watched"] == pytest.approx(day["elapsed"], abs=0.2)
        await rig.history.stop()

    play(scene)


def test_two_gateways_on_one_ledger_count_each_second_once(books: Books) -> None:
    """The one that holds the wallet watches it; the other sees nothing of it until it takes over."""

    async def scene() -> None:
        one, two = Rig("aa", books, "gw-1"), Rig("bb", books, "gw-2")
        two.seen = []
        await asyncio.sleep(100)
        one.seen, two.seen = [], [WELL]
        await asyncio.sleep(100)
        for rig in (one, two):
            (day, *_) = await rig.rows("availability")
            assert day["watched"] == pytest.approx(200.0, abs=HEARTBEAT + EVERY)
            assert day["watched"] <= day["elapsed"]
        await one.history.stop()
        await two.history.stop()
        (day, *_) = await two.rows("availability")
        assert day["watched"] == pytest.approx(200.0, abs=2 * LOOK)
        assert {story["gateway"] for story in await two.rows()} <= {"gw-1", "gw-2"}

    play(scene)


def test_a_process_that_stands_still_watches_nothing(books: Books) -> None:
    """Its seconds are told apart, and the standing still is a story; nothing is called unavailable for it."""

    async def scene() -> None:
        rig = Rig(ledger=books)
        await asyncio.sleep(10.5)
        # nothing runs meanwhile, as under SIGSTOP
        rig.loop._jumping.now += 60.0  # type: ignore[attr-defined]  # the loop of virtual time
        await asyncio.sleep(10)
        (day, *_) = await rig.rows("availability")
        assert day["stood_still"] == pytest.approx(60.0, abs=LOOK + STOOD_STILL)
        assert day["share"] == 1.0
        (story,) = await rig.rows()
        assert (story["kind"], story["seconds"]) == ("stood_still", pytest.approx(60.0, abs=LOOK + STOOD_STILL))
        await rig.history.stop()

    play(scene)


def test_a_clock_that_is_set_spoils_no_count() -> None:
    """Seconds are counted by a clock that nobody sets."""

    async def scene() -> None:
        rig = Rig()
        await asyncio.sleep(10)
        rig.late = -7200.0
        await asyncio.sleep(10)
        assert sum(one["watched"] for one in await rig.rows("availability") if not one["backend"]) <= 20.0
        await rig.history.stop()

    play(scene)


def test_a_mistake_of_ours_is_told_once_and_takes_nobody_along() -> None:
    """Whoever emits an event hears nothing of it, and the next look may do better."""

    async def scene() -> None:
        rig = Rig()

        def broken(_row: dict[str, object]) -> None:
            raise RuntimeError("tea")

        rig.history.listeners.append(broken)
        rig.say("backend.ejected", kind="dead")
        rig.say("backend.warming")
        assert [event.fields["error"] for event in rig.told] == ["RuntimeError: tea"]
        rig.history.listeners.pop()
        await asyncio.sleep(5)
        rig.say("backend.ready")
        await rig.history.stop()

    play(scene)


def test_a_ledger_that_breaks_in_an_unknown_way_is_told(books: Books) -> None:
    """And tried again."""

    async def scene() -> None:
        rig = Rig(ledger=books)
        whole = books.run

        async def broken(_work: Callable[[Connection], T]) -> T:
            raise RuntimeError("tea")

        books.run = broken  # type: ignore[assignment]  # for a while
        await asyncio.sleep(10)
        assert [event.name for event in rig.told] == ["room.failed"]
        books.run = whole  # type: ignore[method-assign]  # as it was
        await asyncio.sleep(2 * AGAIN_MOST)
        assert books.written
        await rig.history.stop()

    play(scene)


def test_a_row_that_changed_while_it_was_written_is_written_again() -> None:
    """The older version counts for nothing."""
    old = Restart("a", "main", "ec-1", "dead", "gone", "gateway", WALL)
    new = replace(old, outcome="done")
    shelf = Shelf[Restart]()
    shelf.keep("a", old)
    batch = shelf.some()
    shelf.keep("a", new)
    shelf.written(batch)
    assert shelf.unwritten == {"a": new}
    shelf.written(shelf.some())
    assert (shelf.unwritten, shelf.rows) == ({}, {"a": new})


def test_what_is_asked_for_is_what_is_answered(books: Books) -> None:
    """Of one wallet, of a time, and no more than so many; the ledger and memory together."""

    async def scene() -> None:
        rig = Rig(ledger=books)
        for number in range(3):
            rig.say("backend.ejected", f"ec-{number}", kind="dead")
            rig.history.hear(Event("order.given", "other", "x", {"verb": "drain"}))
            await asyncio.sleep(40)
        past, now = rig.history.past, rig.clock()
        # the last of them took the wallet along
        assert {row["backend"] for row in (await past.incidents(Span(0.0, 9e9, "main", 2))).rows} == {"", "ec-2"}
        assert (await past.incidents(Span(0.0, 9e9, "tea"))).rows == []
        assert (await past.incidents(Span(0.0, WALL))).rows == []
        assert len((await past.orders(Span(now - 41.0, 9e9, "other"))).rows) == 1
        assert len((await past.restarts(Span(0.0, 9e9))).rows) == 0
        assert (await past.availability(Span(0.0, now, "tea"))).rows == []
        await rig.history.stop()

    play(scene)
