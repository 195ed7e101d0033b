"""The election: the ledger decides, calls follow, and nobody becomes primary by a decision of an older epoch."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.ledger import epochs
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger, LedgerError, T
from gateway.rules.election import CALM, PATIENCE
from gateway.supervision.election import LOOK, CannotPromoteError, Election
from tests.fleet.test_pool import build, fresh, probe
from tests.virtual_time import run_virtual

CLOCK = 1_800_000_000.0


class SlowLedger(InlineLedger):
    """A ledger that takes its time, on a thread of its own, and whose disk may be full."""

    seconds = 0.0
    is_full = False
    transactions = 0

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction when its turn comes; who leaves takes nothing back."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def now() -> None:
            try:
                result = self.transact(work)
            except LedgerError as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        loop.call_later(self.seconds, now)
        return await future

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction here and now."""
        self.transactions += 1
        if self.is_full:
            raise LedgerError("disk is full")
        return super().transact(work)


class Bench:
    """A pool whose daemons are all in service and whole, and its election."""

    def __init__(self, daemons: int = 3, *, is_up: bool = True) -> None:
        """Begin in epoch 1 with ec-1."""
        self.loop = asyncio.get_running_loop()
        self.pool, self.events = build(daemons, slow_start=0.0)
        self.ledger = SlowLedger(None)
        metadata.create_all(self.ledger.engine)
        self.ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", list(self.pool.by_name), CLOCK))
        self.pool.set_primary(self.pool.primary, 1)
        self.may_sign: dict[str, bool] = {}
        self.election = Election(
            self.pool, self.ledger, lambda: CLOCK, self.loop, lambda one: self.may_sign.get(one.name, True)
        )
        self.tasks: list[asyncio.Task[Any]] = []
        if is_up:
            for name in self.pool.by_name:
                self.up(name)

    def run(self) -> None:
        """Begin to watch."""
        self.tasks.append(self.loop.create_task(self.election.run()))

    def backend(self, name: str) -> Backend:
        """A backend by its name."""
        return self.pool.by_name[name]

    def up(self, name: str) -> None:
        """Let a daemon come into service with every address."""
        probe(self.pool, self.backend(name), self.loop.time())
        if self.backend(name) is self.pool.primary:
            self.pool.mark_primary_checked(self.pool.primary)
        else:
            self.pool.mark_aligned(self.backend(name), self.pool.written)

    def down(self, name: str) -> None:
        """Let a daemon refuse connections, and be out of service."""
        self.pool.refused(self.backend(name), self.loop.time(), "refused")

    def standing(self) -> tuple[int, str]:
        """Epoch and primary as the ledger has them."""
        found = self.ledger.transact(lambda c: epochs.current(c, "main"))
        assert found is not None
        return found.epoch, found.primary

    def now(self) -> tuple[int, str]:
        """Epoch and primary as calls go by them."""
        return self.pool.epoch, self.pool.primary.name

    def told(self) -> list[str]:
        """The events of the election."""
        return [f"{event.name} {event.backend}" for event in self.events if event.name.startswith("primary.")]


def scenario(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scenario in virtual time."""
    run_virtual(play())


def test_a_primary_out_of_service_is_replaced_at_the_next_look() -> None:
    """In the ledger and in the pool, by a new epoch, and an event says why and how long it took."""

    async def play() -> None:
        bench = Bench()
        bench.ledger.seconds = 0.01
        bench.run()
        await asyncio.sleep(1.0)
        assert bench.now() == (1, "ec-1")
        bench.down("ec-1")
        await asyncio.sleep(LOOK + 0.02)
        assert bench.now() == bench.standing() == (2, "ec-2")
        (event,) = [one for one in bench.events if one.name == "primary.promoted"]
        assert event.level == "warning"
        assert event.fields == {"before": "ec-1", "reason": "dead, refuses connections", "epoch": 2, "took": 0.01}

    scenario(play)


def test_calls_go_to_the_new_primary_only_when_the_ledger_has_it() -> None:
    """Before, nobody can know in which epoch an answer is."""

    async def play() -> None:
        bench = Bench()
        bench.ledger.seconds = 1.0
        bench.run()
        bench.down("ec-1")
        await asyncio.sleep(0.9)
        assert bench.now() == bench.standing() == (1, "ec-1")
        await asyncio.sleep(0.2)
        assert bench.now() == bench.standing() == (2, "ec-2")

    scenario(play)


def test_one_that_lacks_an_address_or_may_not_sign_is_passed_over() -> None:
    """It would be blind to payments, or lack change that others have spent from."""

    async def play() -> None:
        bench = Bench(4)
        bench.pool.lose_alignment(bench.backend("ec-2"), "restarted")
        bench.may_sign["ec-3"] = False
        bench.run()
        bench.down("ec-1")
        await asyncio.sleep(1.0)
        assert bench.now() == (2, "ec-4")

    scenario(play)


def test_where_nobody_is_whole_nobody_is_promoted_until_one_is() -> None:
    """And no transaction is tried in vain."""

    async def play() -> None:
        bench = Bench(2)
        bench.pool.lose_alignment(bench.backend("ec-2"), "restarted")
        bench.run()
        bench.down("ec-1")
        before = bench.ledger.transactions
        await asyncio.sleep(10.0)
        assert bench.ledger.transactions == before
        bench.pool.mark_aligned(bench.backend("ec-2"), bench.pool.written)
        await asyncio.sleep(2 * LOOK)
        assert bench.now() == (2, "ec-2")

    scenario(play)


def test_a_primary_that_never_came_up_is_waited_for_a_moment() -> None:
    """At the start of a gateway the standbys may be heard of first."""

    async def play() -> None:
        bench = Bench(2, is_up=False)
        bench.run()
        bench.up("ec-2")
        await asyncio.sleep(PATIENCE - LOOK)
        assert bench.now() == (1, "ec-1")
        await asyncio.sleep(3 * LOOK)
        assert bench.now() == (2, "ec-2")

    scenario(play)


@pytest.mark.parametrize("why", ["stranger", "drained"])
def test_a_primary_that_answers_but_must_not_serve_is_replaced(why: str) -> None:
    """Another seed, or an operator who drains it."""

    async def play() -> None:
        bench = Bench()
        bench.run()
        if why == "stranger":
            bench.pool.mark_stranger(bench.pool.primary, is_stranger=True)
        else:
            bench.pool.primary.is_drained = True
        await asyncio.sleep(2 * LOOK)
        assert bench.now() == (2, "ec-2")
        # what answers strange addresses is nobody to ask; the drained one still lists all there is
        assert bench.backend("ec-1").aligned_to == (None if why == "stranger" else bench.pool.written)

    scenario(play)


def test_the_old_primary_comes_back_as_a_standby() -> None:
    """Being configured first is no reason; two sick daemons do not hand the wallet to and fro."""

    async def play() -> None:
        bench = Bench(2)
        bench.run()
        bench.down("ec-1")
        await asyncio.sleep(1.0)
        bench.up("ec-1")
        await asyncio.sleep(100.0)
        assert bench.now() == (2, "ec-2")
        changes: list[float] = []
        for _ in range(400):
            before = bench.pool.epoch
            primary = bench.pool.primary.name
            other = "ec-1" if primary == "ec-2" else "ec-2"
            bench.up(other)
            bench.down(primary)
            await asyncio.sleep(0.25)
            if bench.pool.epoch > before:
                changes.append(bench.loop.time())
        assert min(later - earlier for earlier, later in pairwise(changes)) >= CALM - 0.25
        assert all(sum(at <= one < at + 59.0 for one in changes) <= 8 for at in changes)
        assert len(changes) >= 8

    scenario(play)


def test_a_full_disk_promotes_nobody_is_told_once_and_passes() -> None:
    """A promotion that is not durable is none; the gateway goes on trying."""

    async def play() -> None:
        bench = Bench()
        bench.run()
        bench.ledger.is_full = True
        bench.down("ec-1")
        await asyncio.sleep(2.0)
        assert bench.now() == (1, "ec-1")
        assert bench.told() == ["primary.cannot_be_promoted ec-2"]
        bench.ledger.is_full = False
        await asyncio.sleep(2 * LOOK)
        assert bench.now() == bench.standing() == (2, "ec-2")
        bench.ledger.is_full = True
        await asyncio.sleep(CALM)
        bench.down("ec-2")
        await asyncio.sleep(1.0)
        assert bench.told()[2:] == ["primary.cannot_be_promoted ec-3"]

    scenario(play)


# -- orders -----------------------------------------------------------------------------------------------------


def test_an_operator_promotes_whom_he_wants() -> None:
    """The old primary, which is well, goes on answering wallet reads."""

    async def play() -> None:
        bench = Bench()
        assert await bench.election.order("ec-3") == "ec-3 is primary now, epoch 2"
        assert bench.now() == bench.standing() == (2, "ec-3")
        assert bench.pool.is_primary_checked
        assert bench.pool.is_aligned(bench.backend("ec-1"))
        assert await bench.election.order("ec-3") == "ec-3 is primary already"
        assert bench.standing() == (2, "ec-3")

    scenario(play)


def test_an_order_counts_when_the_next_promotion_is_considered() -> None:
    """Else an operator and a sick daemon would flap together."""

    async def play() -> None:
        bench = Bench()
        bench.run()
        await bench.election.order("ec-3")
        bench.down("ec-3")
        await asyncio.sleep(CALM - 2 * LOOK)
        assert bench.now() == (2, "ec-3")
        await asyncio.sleep(4 * LOOK)
        assert bench.now() == (3, "ec-1")

    scenario(play)


@pytest.mark.parametrize(
    ("spoil", "name", "says"),
    [
        (lambda _bench: None, "ec-9", "there is no backend ec-9; there are ec-1, ec-2, ec-3"),
        (lambda bench: bench.down("ec-2"), "ec-2", r"ec-2 is not in service \(dead, refuses connections\)"),
        (
            lambda bench: bench.pool.lose_alignment(bench.backend("ec-2"), "x"),
            "ec-2",
            "does not list every address that was given out yet; try again in a second",
        ),
        (lambda bench: bench.may_sign.update({"ec-2": False}), "ec-2", "try again in a second"),
        (lambda bench: setattr(bench.ledger, "is_full", True), "ec-2", "the ledger could not write it down"),
    ],
)
def test_an_order_that_cannot_be_carried_out_says_why(spoil: Callable[[Bench], None], name: str, says: str) -> None:
    """And changes nothing."""

    async def play() -> None:
        bench = Bench()
        spoil(bench)
        with pytest.raises(CannotPromoteError, match=says):
            await bench.election.order(name)
        bench.ledger.is_full = False
        assert bench.now() == bench.standing() == (1, "ec-1")

    scenario(play)


# -- the worst moments --------------------------------------------------------------------------------------------


def test_a_decision_of_an_older_epoch_does_nothing() -> None:
    """While an order is being written down, the watch decides too; what the operator wanted stays."""

    async def play() -> None:
        bench = Bench()
        bench.ledger.seconds = 0.5
        order = bench.loop.create_task(bench.election.order("ec-3"))
        await asyncio.sleep(0.1)
        bench.down("ec-1")
        bench.run()
        assert await order == "ec-3 is primary now, epoch 2"
        await asyncio.sleep(5.0)
        assert bench.now() == bench.standing() == (2, "ec-3")
        assert bench.told() == ["primary.promoted ec-3"]

    scenario(play)


def test_of_two_orders_at_once_one_is_refused() -> None:
    """It was given before the other had taken effect; whoever gave it looks again."""

    async def play() -> None:
        bench = Bench()
        bench.ledger.seconds = 0.5
        one = bench.loop.create_task(bench.election.order("ec-2"))
        other = bench.loop.create_task(bench.election.order("ec-3"))
        assert await one == "ec-2 is primary now, epoch 2"
        with pytest.raises(CannotPromoteError, match="another epoch"):
            await other
        assert bench.now() == bench.standing() == (2, "ec-2")

    scenario(play)


def test_whoever_gave_an_order_may_leave_without_tearing_it_apart() -> None:
    """The ledger hangs and the operator's patience ends: what it then writes is carried out all the same."""

    async def play() -> None:
        bench = Bench()
        bench.ledger.seconds = 5.0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await bench.election.order("ec-2")
        await asyncio.sleep(10.0)
        assert bench.now() == bench.standing() == (2, "ec-2")
        bench.ledger.seconds = 0.0
        assert await bench.election.order("ec-3") == "ec-3 is primary now, epoch 3"

    scenario(play)


def test_a_doubted_primary_is_no_whole_standby_after_a_promotion() -> None:
    """It was killed and came back, and nobody has looked what it forgot: it must answer no wallet read."""

    async def play() -> None:
        bench = Bench()
        bench.down("ec-1")
        probe(bench.pool, bench.backend("ec-1"), bench.loop.time())
        assert bench.pool.primary.phase.is_serving
        assert not bench.pool.is_primary_checked
        await bench.election.order("ec-2")
        assert not bench.pool.is_aligned(bench.backend("ec-1"))
        assert bench.pool.is_primary_checked

    scenario(play)


def reload(bench: Bench, names: list[str], primary: str, *, anew: tuple[str, ...] = ()) -> None:
    """Take new settings: these backends, some of them with other settings than before."""
    backends = [fresh(name) if name in anew else bench.backend(name) for name in names]
    bench.pool.update(
        backends, primary=primary, limits=bench.pool.limits, start_grace=60.0, expect_return=0.0, slow_start=0.0,
        lag_blocks=1, mirror=True,
    )  # fmt: skip


def is_sound(pool: Pool) -> bool:
    """Whether the primary is one of the backends there are."""
    return any(one is pool.primary for one in pool.backends)


def test_a_reload_that_changes_the_chosen_one_in_the_middle_leaves_the_new_one_as_primary() -> None:
    """The old object is drained; a primary that no call can ever go to would be the end of the wallet."""

    async def play() -> None:
        bench = Bench()
        bench.ledger.seconds = 0.5
        bench.run()
        bench.down("ec-1")
        await asyncio.sleep(0.1)
        reload(bench, ["ec-1", "ec-2", "ec-3"], "ec-1", anew=("ec-2",))
        await asyncio.sleep(0.6)
        assert bench.now() == bench.standing() == (2, "ec-2")
        assert is_sound(bench.pool)
        assert not bench.pool.is_primary_checked
        for name in ("ec-2", "ec-3"):
            bench.up(name)
        bench.ledger.seconds = 0.0
        await asyncio.sleep(CALM)
        bench.down("ec-2")
        await asyncio.sleep(1.0)
        assert bench.now() == (3, "ec-3")

    scenario(play)


def test_a_reload_that_removes_the_chosen_one_in_the_middle_keeps_a_primary_that_exists() -> None:
    """In the epoch that the ledger has, so that allocations and answers count."""

    async def play() -> None:
        bench = Bench()
        bench.ledger.seconds = 0.5
        order = bench.loop.create_task(bench.election.order("ec-3"))
        await asyncio.sleep(0.1)
        reload(bench, ["ec-1", "ec-2"], "ec-1")
        with pytest.raises(CannotPromoteError, match="ec-3 was taken out of the configuration meanwhile"):
            await order
        assert bench.now() == bench.standing() == (3, "ec-1")
        assert bench.told() == []
        assert is_sound(bench.pool)
        bench.run()
        bench.up("ec-2")
        bench.down("ec-1")
        await asyncio.sleep(CALM + 1.0)
        assert bench.now() == bench.standing() == (4, "ec-2")

    scenario(play)


def test_a_long_memory_is_not_kept() -> None:
    """Of promotions only the last hundred."""

    async def play() -> None:
        bench = Bench(2)
        for number in range(150):
            bench.up("ec-1" if number % 2 else "ec-2")
            await bench.election.order("ec-1" if number % 2 else "ec-2")
        assert len(bench.election.promoted_at) == 100

    scenario(play)
