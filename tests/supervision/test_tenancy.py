"""The lease of a wallet as gateways go after it: one holds, stops in time, and the next goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.base.errors import LedgerError
from gateway.base.events import Event
from gateway.ledger import leases
from gateway.ledger.held import HeldLedger, LeaseError
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger, T
from gateway.rules.config_hash import AGAIN, SETTLES
from gateway.rules.lease import STAND_BACK, Gateway, Holder, Lease
from gateway.supervision.tenancy import FOR_GOOD, Tenancy
from tests.virtual_time import VirtualLoop, run_virtual

DAWN = 1_800_000_000.0
TTL = 3.0


class Line:
    """The ledger as one gateway reaches it."""

    def __init__(self, store: InlineLedger) -> None:
        """Begin with a line on which all is well."""
        self.store = store
        self.last_error = ""
        self.timing = store.timing
        self.before = 0.001
        """Seconds until a statement is carried out."""
        self.after = 0.001
        """Seconds until its answer is there."""
        self.is_away = False
        self.is_silent = False
        self.is_mistaken = False
        self.loses_answers = False
        self.statements = 0

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction; who leaves takes nothing back."""
        self.statements += 1
        if self.is_away:
            raise LedgerError("connection refused")
        if self.is_mistaken:
            raise ZeroDivisionError
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def arrive(result: T) -> None:
            if not answer.done():
                answer.set_result(result)

        def carry_out() -> None:
            result = self.store.transact(work)
            if not self.loses_answers:
                loop.call_later(self.after, arrive, result)

        if not self.is_silent:
            loop.call_later(self.before, carry_out)
        return await answer

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction here and now."""
        return self.store.transact(work)

    def look(self, work: Callable[[Connection], T]) -> T:
        """Read here and now."""
        return self.store.look(work)

    async def see(self, work: Callable[[Connection], T]) -> T:
        """Read as `run` does."""
        return await self.run(work)

    def close(self) -> None:
        """Have nothing to let go of."""


class Member:
    """One gateway."""

    def __init__(self, bench: "Bench", name: str, instance: str, config: str, sections: str) -> None:
        """Begin as a follower."""
        self.bench = bench
        self.line = Line(bench.store)
        self.calls: list[str] = []
        """What was called, in order."""
        self.begins = 0.0
        """Seconds that the rooms take to begin."""
        self.ends = 0.0
        """Seconds that they take to end."""
        self.fails = False
        self.trouble: Exception = LedgerError("the rooms want a ledger")
        self.tenancy = Tenancy(
            "main", self.line, Gateway(name, instance, f"http://{instance}:7777", config, sections), TTL,
            bench.loop,
            self.gained, self.lost, bench.events.append, lambda: DAWN + bench.loop.time(),
        )  # fmt: skip
        self.task = bench.loop.create_task(self.tenancy.run())

    async def gained(self, term: int) -> None:
        """Begin."""
        self.calls.append(f"gained {term}")
        try:
            await asyncio.sleep(self.begins)
        except asyncio.CancelledError:
            self.calls.append("broken off")
            raise
        if self.fails:
            raise self.trouble

    async def lost(self) -> None:
        """End."""
        assert not self.tenancy.is_held
        self.calls.append("lost")
        await asyncio.sleep(self.ends)
        if self.fails:
            raise ZeroDivisionError

    @property
    def is_held(self) -> bool:
        """Whether it says that it holds."""
        return self.tenancy.is_held

    def lines_down(self) -> None:
        """Cut it from the database."""
        self.line.is_silent = self.line.loses_answers = True


class Bench:
    """Gateways at one database."""

    def __init__(self) -> None:
        """Begin without any."""
        self.loop = asyncio.get_running_loop()
        self.store = InlineLedger(None)
        metadata.create_all(self.store.engine)
        self.events: list[Event] = []
        self.members: list[Member] = []

    def start(self, name: str = "", instance: str = "", config: str = "c", sections: str = "") -> Member:
        """Start another gateway."""
        number = len(self.members) + 1
        member = Member(self, name or f"gw-{number}", instance or f"i{number}", config, sections)
        self.members.append(member)
        return member

    def row(self) -> Lease:
        """The lease as the database has it."""
        found = self.store.transact(lambda c: leases.read(c, "main", lambda: DAWN + self.loop.time()))
        assert found is not None
        return found

    def told(self, name: str) -> list[Event]:
        """The events of one name."""
        return [event for event in self.events if event.name == name]

    def names(self) -> list[str]:
        """The names of all events, with who told them."""
        return [f"{event.fields['gateway']} {event.name}" for event in self.events]

    async def stops(self, member: Member) -> None:
        """Wait until a gateway does not hold any more."""
        while member.is_held:  # noqa: ASYNC110 - the end of a lease is nobody's event
            await asyncio.sleep(0.01)

    async def holds_within(self, member: Member, seconds: float) -> float:
        """Wait until a gateway holds, and return how long it took."""
        began = self.loop.time()
        while not member.is_held:
            assert self.loop.time() - began <= seconds, self.names()
            await asyncio.sleep(0.01)
        return self.loop.time() - began


def scenario(play: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    """Play a scenario in virtual time."""

    async def whole() -> None:
        bench = Bench()
        try:
            await play(bench)
        finally:
            bench.store.close()

    run_virtual(whole())


def freeze(bench: Bench, seconds: float) -> None:
    """Let time pass while nothing runs."""
    assert isinstance(bench.loop, VirtualLoop)
    bench.loop._jumping.now += seconds


def test_the_first_gateway_gains_the_lease_at_once_and_keeps_it() -> None:
    """Renewed each second, for ever, without another word."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        assert one.tenancy.holder is None
        await bench.holds_within(one, 0.05)
        assert one.tenancy.term == 1
        assert one.tenancy.holds(1)
        assert not one.tenancy.holds(2)
        before = one.line.statements
        for _ in range(600):
            await asyncio.sleep(0.1)
            assert one.is_held
            assert one.tenancy.age < 1.1
        assert 55 <= one.line.statements - before <= 62
        assert one.calls == ["gained 1"]
        assert bench.names() == ["gw-1 lease.gained"]
        assert one.tenancy.holder == Holder("gw-1", "http://i1:7777", 1, bench.row().until, is_elsewhere=False)

    scenario(play)


def test_a_follower_sees_the_holder_and_takes_over_when_it_is_killed() -> None:
    """Within the ttl and a little, with a higher term; whoever waits for a change hears of it."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        two = bench.start()
        await asyncio.sleep(1.7)
        seen = two.tenancy.holder
        assert seen is not None
        assert (seen.name, seen.address, seen.term) == ("gw-1", "http://i1:7777", 1)
        assert not two.is_held
        assert two.tenancy.term == 0
        change = bench.loop.create_task(two.tenancy.changed())
        one.task.cancel()
        one.lines_down()
        await asyncio.sleep(1.0)
        assert not change.done(), "a renewal is no change"
        assert await bench.holds_within(two, 2.2) > 0.9
        await asyncio.sleep(0.01)
        assert change.done()
        assert two.calls == ["gained 2"]
        assert not one.is_held

    scenario(play)


def test_with_the_database_away_a_holder_goes_on_and_stops_in_time() -> None:
    """It holds until its lease ends by its own clock, before it ends in the database, and comes back by itself."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        await asyncio.sleep(5.5)
        ends = bench.row().until - DAWN
        one.line.is_away = True
        await bench.stops(one)
        assert ends - 0.35 <= bench.loop.time() <= ends - 0.25
        await asyncio.sleep(0.01)
        assert one.calls == ["gained 1", "lost"]
        assert bench.loop.time() < ends
        await asyncio.sleep(20.0)
        assert bench.names()[1:] == ["gw-1 lease.database_away", "gw-1 lease.lost"], "each is told once"
        assert "refused" in str(bench.told("lease.lost")[0].fields["reason"])
        assert "refused" in one.tenancy.news.trouble
        one.line.is_away = False
        assert await bench.holds_within(one, 0.6) > 0.0
        assert one.calls == ["gained 1", "lost", "gained 2"]
        assert bench.names()[3:] == ["gw-1 lease.database_returned", "gw-1 lease.gained"]

    scenario(play)


def test_a_short_absence_costs_nothing() -> None:
    """Tries come fast enough, answers may be slow, and one that is lost holds up no other."""

    async def play(bench: Bench) -> None:
        one, two = bench.start(), bench.start()
        await bench.holds_within(one, 0.05)
        for trouble in ("is_away", "is_silent", "loses_answers"):
            await asyncio.sleep(1.3)
            setattr(one.line, trouble, True)
            await asyncio.sleep(1.2)
            setattr(one.line, trouble, False)
        await asyncio.sleep(1.0)
        one.line.before, one.line.after = 0.5, 0.5
        await asyncio.sleep(20.0)
        assert one.calls == ["gained 1"]
        assert two.calls == []

    scenario(play)


def test_a_process_that_was_frozen_knows_at_its_first_question() -> None:
    """Before any timer of its own has run; nothing goes through its fence, and its rooms are ended."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        held = HeldLedger(one.line, one.tenancy, 1)
        assert await held.run(lambda _: "written") == "written"
        freeze(bench, 2.8)
        assert not one.is_held
        assert one.tenancy.term == 0
        assert one.tenancy.holder is None
        with pytest.raises(LeaseError):
            held.transact(lambda _: "written")
        assert one.calls == ["gained 1"], "nothing has run yet"
        await bench.holds_within(one, 0.1)
        assert one.calls == ["gained 1", "lost", "gained 2"]
        with pytest.raises(LeaseError):
            await held.run(lambda _: "rooms of the first term write nothing in the second")

    scenario(play)


def test_a_renewal_that_is_answered_too_late_brings_nothing_back() -> None:
    """The lease counts from the sending; the next holding has another term."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        await asyncio.sleep(0.5)
        one.line.after = 2.5
        await asyncio.sleep(2.1)
        assert one.is_held
        await asyncio.sleep(0.2)
        assert not one.is_held
        await asyncio.sleep(1.2)
        assert not one.is_held, "the answer is there by now"
        one.line.after = 0.001
        await bench.holds_within(one, 3.0)
        assert one.tenancy.term > 1

    scenario(play)


def test_an_answer_that_takes_longer_than_the_lease_is_no_lease() -> None:
    """What the database gave is taken anew, with a new term, when answers are in time."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await asyncio.sleep(0.0025)
        one.line.after = 1.6
        await asyncio.sleep(10.0)
        assert not one.is_held
        assert one.calls == []
        assert bench.row().instance == "i1"
        one.line.after = 0.001
        await bench.holds_within(one, 2.1)
        assert one.tenancy.term == bench.row().term > 1

    scenario(play)


def test_a_holder_that_the_database_does_not_name_any_more_stops_at_once() -> None:
    """As after a fail-over to a copy that never knew of it."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        bench.store.transact(lambda c: leases.release(c, "main", "i1", 1))
        await asyncio.sleep(1.1)
        assert one.calls[:2] == ["gained 1", "lost"]
        assert "another" in str(bench.told("lease.lost")[0].fields["reason"])

    scenario(play)


def test_a_database_that_went_back_is_told_and_not_believed_for_a_ttl() -> None:
    """A gateway that has seen the lost lease does not take the wallet from whoever may still hold by it."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        two = bench.start()
        await asyncio.sleep(1.0)
        one.lines_down()
        bench.store.transact(lambda c: c.exec_driver_sql("DELETE FROM leases"))
        while one.is_held:
            assert not two.is_held
            await asyncio.sleep(0.01)
        await bench.holds_within(two, 3.0)
        assert two.tenancy.term == 2
        assert len(bench.told("lease.database_went_back")) == 1

    scenario(play)


def test_a_handover_lets_another_go_on_within_a_moment() -> None:
    """Without waiting for an end; whoever gave it up leaves it to the others, and takes it only if nobody did."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        two = bench.start()
        await asyncio.sleep(1.0)
        assert not await two.tenancy.handover(0.0), "it has nothing to give"
        assert await one.tenancy.handover()
        assert one.calls == ["gained 1", "lost"]
        assert await bench.holds_within(two, 0.55) < 0.55
        assert bench.told("lease.lost")[0].level == "info"
        assert await two.tenancy.handover(FOR_GOOD)
        await bench.holds_within(one, 7.0)
        assert await one.tenancy.handover()
        await asyncio.sleep(STAND_BACK * TTL - 0.05)
        assert not one.is_held
        await bench.holds_within(one, 0.1)
        assert two.calls == ["gained 2", "lost"]

    scenario(play)


@pytest.mark.parametrize("slow", [0.0, 0.25, 0.45])
def test_whoever_gave_it_up_stands_back_for_as_long_as_a_live_follower_needs(slow: float) -> None:
    """Also where its rooms take longer to end than it stands back, and the database is slow."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        two = bench.start()
        await asyncio.sleep(1.0)
        one.ends, one.line.after, two.line.after = 2.0, 0.001 + slow / 2, 0.001 + slow / 2
        one.line.before = two.line.before = 0.001 + slow / 2
        assert await one.tenancy.handover()
        await asyncio.sleep(2 * TTL)
        assert two.is_held
        assert one.calls == ["gained 1", "lost"]

    scenario(play)


def test_a_lone_gateway_that_handed_over_is_back_after_half_a_lease() -> None:
    """Nobody answered for so long, and no longer."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        assert await one.tenancy.handover()
        assert await bench.holds_within(one, TTL) < STAND_BACK * TTL + 0.05

    scenario(play)


def test_whoever_could_not_tell_the_database_leaves_the_lease_to_the_others_until_it_has_run_out() -> None:
    """It would take its own at once, and they have to wait for the end of it."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        two = bench.start()
        await asyncio.sleep(1.0)
        one.line.is_away = True
        assert not await one.tenancy.handover()
        one.line.is_away = False
        await bench.holds_within(two, TTL + 0.1)
        assert one.calls == ["gained 1", "lost"]

    scenario(play)


def test_who_only_looks_sees_the_holder_and_takes_nothing_until_it_may() -> None:
    """Its ledger cannot be opened; once it is, the lease is taken like anybody's."""

    async def play(bench: Bench) -> None:
        one, two = bench.start(), bench.start()
        two.task.cancel()
        open_line, two.line.is_away = two.line, True
        looks = Line(bench.store)
        two.tenancy = Tenancy(
            "main", looks, two.tenancy.me, TTL, bench.loop, two.gained, two.lost, bench.events.append,
            looks_alone=True,
        )  # fmt: skip
        assert not two.tenancy.has_answer
        two.tenancy.clock = lambda: DAWN + bench.loop.time()
        two.task = bench.loop.create_task(two.tenancy.run())
        await bench.holds_within(one, 0.05)
        await asyncio.sleep(1.0)
        assert two.tenancy.has_answer
        found = two.tenancy.holder
        assert found is not None
        assert found.name == "gw-1"
        await one.tenancy.handover(FOR_GOOD)
        await asyncio.sleep(10 * TTL)
        assert (bench.row().is_given_up, two.tenancy.holder, two.calls) == (True, None, [])
        assert looks.statements < 10 * TTL * 4, "it does not look all the time"
        open_line.is_away = False
        two.tenancy.go_after(open_line, two.tenancy.clock)
        await bench.holds_within(two, 0.05)
        await asyncio.sleep(TTL)
        before = looks.statements
        await asyncio.sleep(TTL)
        assert (looks.statements, two.calls) == (before, ["gained 2"])

    scenario(play)


def test_a_copy_of_a_gateway_that_lives_is_known_as_such_and_goes_last() -> None:
    """By the one that follows; a third one takes over before it does."""

    async def play(bench: Bench) -> None:
        one = bench.start("gw-1", "i1")
        await bench.holds_within(one, 0.05)
        copy = bench.start("gw-1", "copy")
        copy.tenancy.update("http://i1:7777", "c")
        third = bench.start("gw-3")
        assert not copy.tenancy.has_twin
        await asyncio.sleep(2.0)
        assert copy.tenancy.has_twin
        assert not any(each.tenancy.has_twin for each in (one, third))
        found = copy.tenancy.holder
        assert found is not None
        assert not found.is_elsewhere
        await one.tenancy.handover(FOR_GOOD)
        await bench.holds_within(third, 1.0)
        await asyncio.sleep(2 * TTL)
        assert copy.calls == []
        found = copy.tenancy.holder
        assert found is not None
        assert (found.name, found.is_elsewhere) == ("gw-3", True)

    scenario(play)


def test_a_follower_that_is_told_to_looks_at_once() -> None:
    """As after a forwarded call was answered that the holder is another one."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        two = bench.start()
        await asyncio.sleep(0.01)
        assert await one.tenancy.handover()
        two.tenancy.look_now()
        one.tenancy.look_now()
        await bench.holds_within(two, 0.05)
        two.tenancy.look_now()
        assert two.is_held

    scenario(play)


def test_a_handover_while_the_lease_is_being_taken_gives_it_back() -> None:
    """Nothing that was under way makes a gateway the holder that is about to stop."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await asyncio.sleep(0.0025)
        assert not one.is_held
        assert one.line.statements == 2, "it tries to take it"
        assert await one.tenancy.handover(FOR_GOOD)
        await asyncio.sleep(20.0)
        assert not one.is_held
        assert bench.row().is_given_up

    scenario(play)


def test_a_handover_with_the_database_away_ends_the_holding_all_the_same() -> None:
    """And says that others have to wait for the end."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        one.line.is_away = True
        assert not await one.tenancy.handover()
        assert not one.is_held
        assert one.calls == ["gained 1", "lost"]

    scenario(play)


def test_rooms_that_take_long_to_begin_are_broken_off_before_they_are_ended() -> None:
    """The lease is renewed meanwhile, and the two never overlap."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        one.begins = 60.0
        await bench.holds_within(one, 0.05)
        await asyncio.sleep(20.0)
        assert one.is_held
        one.line.is_away = True
        await asyncio.sleep(3.0)
        assert one.calls == ["gained 1", "broken off", "lost"]

    scenario(play)


@pytest.mark.parametrize("trouble", [LedgerError("the rooms want a ledger"), ArithmeticError("a mistake of ours")])
def test_rooms_that_cannot_begin_leave_the_wallet_to_another_gateway(trouble: Exception) -> None:
    """It is told, and tried again later; a failure to end them is told too."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        one.fails, one.trouble = True, trouble
        two = bench.start()
        await bench.holds_within(two, 1.0)
        assert one.calls == ["gained 1", "lost"]
        is_ours = isinstance(trouble, ArithmeticError)
        assert [event.fields["room"] for event in bench.told("room.failed")] == ["on_gained", "on_lost"][not is_ours :]
        (lost,) = bench.told("lease.lost")
        why = "ArithmeticError" if is_ours else "the rooms want a ledger"
        assert (lost.level, lost.fields["reason"]) == ("error", f"its rooms could not be begun: {why}")
        await asyncio.sleep(10.0)
        assert two.calls == ["gained 2"]
        assert await two.tenancy.handover(FOR_GOOD)
        await asyncio.sleep(1.0)
        assert one.calls[2:] == ["gained 3", "lost"]
        one.fails = False
        await asyncio.sleep(7.0)
        assert one.is_held
        assert one.calls[2:] == ["gained 3", "lost", "gained 4"]

    scenario(play)


def test_a_database_that_has_lost_something_is_told_once_while_the_lease_goes_on() -> None:
    """Each question says that it is one about a lease: such a database carries out no others."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        real, older = one.line.run, "it lacks what was written last"

        async def run(work: Any) -> Any:
            assert isinstance(work, leases.OfLease)
            work.older = older
            return await real(work)

        one.line.run = run  # type: ignore[method-assign]  # a database that went back
        await asyncio.sleep(10.0)
        assert one.is_held
        assert one.calls == ["gained 1"]
        assert [(event.level, event.fields["reason"]) for event in bench.told("lease.ledger_is_older")] == [
            ("error", older)
        ]
        older = ""
        await asyncio.sleep(5.0)
        older = "once more"
        await asyncio.sleep(5.0)
        assert len(bench.told("lease.ledger_is_older")) == 2

    scenario(play)


def test_a_mistake_of_ours_does_not_end_the_loop() -> None:
    """It is told as one, and counts as a database that is away."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        one.line.is_mistaken = True
        await asyncio.sleep(3.0)
        assert not one.is_held
        one.line.is_mistaken = False
        await bench.holds_within(one, 1.0)
        assert "ZeroDivisionError" in str(bench.told("room.failed")[0].fields["error"])

    scenario(play)


def test_two_gateways_with_one_name_never_both_hold_and_are_told() -> None:
    """Once for each process; a gateway that comes back after it was killed is no such case."""

    async def play(bench: Bench) -> None:
        one = bench.start(name="gw-1")
        await bench.holds_within(one, 0.05)
        one.task.cancel()
        again = bench.start(name="gw-1")
        await bench.holds_within(again, 4.0)
        assert bench.told("lease.name_taken") == []
        twin = bench.start(name="gw-1")
        for _ in range(1000):
            await asyncio.sleep(0.01)
            assert not twin.is_held
        assert again.is_held
        assert len(bench.told("lease.name_taken")) == 1
        told = bench.told("lease.name_taken")[0]
        assert (told.level, told.fields["address"]) == ("error", "http://i2:7777")
        assert "cluster.name" in str(told.fields["remedy"])

    scenario(play)


def test_a_gateway_with_another_configuration_goes_last_and_not_in_silence() -> None:
    """It says so once while it follows, lets others go first, and says so when it takes over."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        strange = bench.start(config="another")
        await asyncio.sleep(5.0)
        assert len(bench.told("lease.config_differs")) == 1
        assert bench.told("lease.config_differs")[0].level == "error"
        one.task.cancel()
        one.lines_down()
        two = bench.start()
        await bench.holds_within(two, 4.0)
        assert bench.told("lease.taken_with_other_config") == []
        two.task.cancel()
        two.lines_down()
        assert await bench.holds_within(strange, 7.0) > 4.9
        told = bench.told("lease.taken_with_other_config")
        assert [(event.level, event.fields["holder"]) for event in told] == [("error", "gw-3")]

    scenario(play)


def test_a_reload_publishes_the_new_configuration_with_the_next_renewal() -> None:
    """And what was told before is over."""

    async def play(bench: Bench) -> None:
        one = bench.start()
        await bench.holds_within(one, 0.05)
        two = bench.start(config="new")
        await asyncio.sleep(SETTLES + 1.0)
        one.tenancy.update("http://new:7777", "new")
        await asyncio.sleep(1.6)
        assert (bench.row().config, bench.row().address) == ("new", "http://new:7777")
        seen = two.tenancy.holder
        assert seen is not None
        assert seen.address == "http://new:7777"
        assert len(bench.told("lease.config_differs")) == 1
        assert one.calls == ["gained 1"]

    scenario(play)


def test_other_clients_are_told_by_whoever_follows_and_make_nobody_wait() -> None:
    """With what differs and the way out: while it lasts, half an hour apart; and when such a gateway takes over."""

    async def play(bench: Bench) -> None:
        one = bench.start(sections="clients=1 limits=1 wallets=1")
        await bench.holds_within(one, 0.05)
        two = bench.start(sections="clients=2 limits=2 wallets=1")
        await asyncio.sleep(SETTLES + 1.0)
        (told,) = bench.told("lease.config_differs")
        assert (told.level, told.fields["sections"]) == ("error", "clients, limits")
        assert "gw-1, which holds main, differs from this gateway in: clients, limits" in str(told.fields["reason"])
        assert "the same" in str(told.fields["remedy"])
        await asyncio.sleep(AGAIN)
        assert len(bench.told("lease.config_differs")) == 2
        one.task.cancel()
        one.lines_down()
        await bench.holds_within(two, TTL + 1.0)
        (taken,) = bench.told("lease.taken_with_other_config")
        assert taken.fields["sections"] == "clients, limits"

    scenario(play)


def test_files_that_are_changed_together_are_no_difference() -> None:
    """One gateway reads its own a second after the other; the next renewal publishes it."""

    async def play(bench: Bench) -> None:
        one = bench.start(sections="clients=1")
        await bench.holds_within(one, 0.05)
        two = bench.start(sections="clients=1")
        await asyncio.sleep(1.0)
        two.tenancy.update(two.tenancy.me.address, "c", "clients=2")
        await asyncio.sleep(1.0)
        one.tenancy.update(one.tenancy.me.address, "c", "clients=2")
        await asyncio.sleep(10.0)
        assert bench.row().sections == "clients=2"
        assert bench.told("lease.config_differs") == []

    scenario(play)


def test_an_older_version_that_tells_no_more_than_its_hash_is_compared_by_that() -> None:
    """As it compares itself: nothing is told where the hash is the same, also after it has taken over."""

    async def play(bench: Bench) -> None:
        old = bench.start()
        await bench.holds_within(old, 0.05)
        new = bench.start(sections="clients=1")
        await asyncio.sleep(SETTLES + 1.0)
        assert await old.tenancy.handover(FOR_GOOD)
        await bench.holds_within(new, 1.0)
        assert bench.row().sections == "clients=1"
        await asyncio.sleep(SETTLES + 1.0)
        assert bench.told("lease.config_differs") == bench.told("lease.taken_with_other_config") == []

    scenario(play)
