"""A new address is new in the ledger, or the call is not answered with one."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, select

from gateway.base.config import Client
from gateway.base.effects import GRANTABLE, Bound, Effect
from gateway.base.errors import DEADLINE_BEFORE_SEND, NO_BACKEND, READ_ONLY, Executed, Failure
from gateway.base.jsonrpc import Answer
from gateway.flow.allocate import AGAIN, Allocator
from gateway.ledger import addresses, epochs
from gateway.ledger.epochs import ADOPTED, NEW, UNADOPTED
from gateway.ledger.schema import addresses as rows
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger, LedgerError, T
from gateway.profiles import load
from gateway.rules.methods import Granted
from gateway.supervision.keeper import Keeper
from tests.fleet.test_pool import well
from tests.virtual_time import run_virtual

CLOCK = 1_800_000_000.0
SHOP = Client(name="shop", username="shop", password=SecretStr("x"), effects=GRANTABLE)
PROFILE = load("electron-cash")
NEW_ADDRESS = Granted(PROFILE.methods["createnewaddress"], Effect.ALLOCATE, Bound.FAST, b"[]")


class Disk(InlineLedger):
    """A ledger that takes its time and may be full."""

    seconds = 0.0
    is_full = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction when its turn comes."""
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if self.is_full:
            raise LedgerError("disk is full")
        return self.transact(work)


class Counter:
    """An allocator over a keeper that nobody fills but the test."""

    def __init__(self, pooled: int = 5, state: str = ADOPTED) -> None:
        """Begin in epoch 1."""
        self.loop = asyncio.get_running_loop()
        self.pool, self.events = well()
        self.ledger = Disk(None)
        metadata.create_all(self.ledger.engine)
        self.ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1"], CLOCK))
        self.ledger.transact(lambda c: epochs.settle(c, "main", state, "bchreg:qa0"))
        self.pool.epoch = 1
        self.filled = 0
        self.fill(pooled, tell=False)

        async def nobody(*_args: object) -> Failure:
            return Failure(NO_BACKEND, "no_backend: nobody", safe_to_repeat=True)

        self.keeper = Keeper(self.pool, PROFILE, self.ledger, nobody, 5, lambda: CLOCK, self.loop)
        self.ledger.transact(self.keeper.load)
        self.allocator = Allocator(self.pool, self.keeper, self.ledger, lambda: CLOCK, self.loop)

    def fill(self, count: int, *, tell: bool = True) -> None:
        """Put addresses into the pool, as the mirror would."""
        found = [f"qa{self.filled + n}" for n in range(count)]
        self.filled += count
        self.ledger.transact(lambda c: addresses.add(c, "main", found, addresses.POOL, 1, CLOCK))
        if tell:
            self.keeper.free = self.ledger.transact(lambda c: addresses.in_pool(c, "main"))
            self.keeper._filled.set()

    async def ask(self, patience: float = 1.0) -> Answer | Failure:
        """Ask for an address."""
        return await self.allocator.handle(SHOP, NEW_ADDRESS, self.loop.time() + patience, None)

    async def address(self, patience: float = 1.0) -> str:
        """Ask for one that must come."""
        answer = await self.ask(patience)
        assert isinstance(answer, Answer), answer
        assert answer.result is not None
        return str(json.loads(answer.result))

    async def refused(self, patience: float = 1.0) -> Failure:
        """Ask for one that must not come."""
        answer = await self.ask(patience)
        assert isinstance(answer, Failure), answer
        assert answer.safe_to_repeat
        assert answer.wallet == "main"
        assert answer.message.startswith(f"{answer.kind.name}: ")
        return answer


def scenario(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scenario in virtual time."""
    run_virtual(play())


def test_it_is_told_as_the_daemon_writes_it_and_written_down_for_whom() -> None:
    """With the prefix of the network, where the daemon's own lists have it."""

    async def play() -> None:
        counter = Counter()
        assert [await counter.address() for _ in range(2)] == ["bchreg:qa0", "bchreg:qa1"]
        row = counter.ledger.transact(lambda c: c.execute(select(rows).where(rows.c.place == 0)).one())
        assert (row.state, row.client, row.method, row.epoch, row.at) == (
            "handed",
            "shop",
            "createnewaddress",
            1,
            CLOCK,
        )
        assert (counter.allocator.handed, counter.keeper.free) == (2, 3)

    scenario(play)


def test_hundred_at_once_get_hundred_different_ones() -> None:
    """Whatever the pool holds at first; those who find it dry wait for the next filling, and nobody is forgotten."""

    async def play() -> None:
        counter = Counter()
        counter.ledger.seconds = 0.001
        asking = [counter.loop.create_task(counter.address(60.0)) for _ in range(100)]
        while not all(one.done() for one in asking):
            await asyncio.sleep(0.5)
            counter.fill(7)
        told = [await one for one in asking]
        assert len(set(told)) == 100

    scenario(play)


def test_a_dry_pool_is_waited_for_within_the_deadline() -> None:
    """Then it is no_backend, with what ails the daemons, and nothing was given out."""

    async def play() -> None:
        counter = Counter(pooled=0)
        counter.pool.refused(counter.pool.primary, counter.loop.time(), "refused")
        began = counter.loop.time()
        failure = await counter.refused(2.0)
        assert failure.kind is NO_BACKEND
        assert counter.loop.time() - began == pytest.approx(2.0)
        assert "no daemon filled it in time (ec-1: dead, refuses connections)" in failure.message
        waiting = counter.loop.create_task(counter.address(2.0))
        await asyncio.sleep(1.0)
        counter.fill(1)
        assert await waiting == "bchreg:qa0"

    scenario(play)


def test_a_wallet_that_nobody_was_ever_heard_of_says_so() -> None:
    """All its daemons are down since the first start."""

    async def play() -> None:
        failure = await Counter(pooled=0, state=NEW).refused(0.5)
        assert failure.kind is NO_BACKEND
        assert "no daemon of this wallet was heard of yet" in failure.message

    scenario(play)


def test_a_wallet_that_waits_for_an_operator_gives_out_nothing_and_names_the_command() -> None:
    """At once; also to those who waited when that was found out."""

    async def play() -> None:
        counter = Counter(state=UNADOPTED)
        failure = await counter.refused()
        assert failure.kind is READ_ONLY
        assert "`ec-gateway ledger adopt -c FILE --wallet main`" in failure.message
        assert counter.loop.time() == 1000.0
        counter.keeper.state = ADOPTED
        assert await counter.address() == "bchreg:qa0"

    scenario(play)


def test_whoever_waits_when_it_is_found_out_that_nothing_may_be_given_out_is_told() -> None:
    """The pool was dry, and no daemon that came was one of this seed."""

    async def play() -> None:
        counter = Counter(pooled=0)
        counter.loop.call_later(0.5, counter.keeper.only_strangers, ["ec-1"])
        failure = await counter.refused()
        assert failure.kind is READ_ONLY
        assert "no daemon lists the addresses that the ledger has for main (ec-1: another seed)" in failure.message
        counter.fill(1)
        assert (await counter.refused()).kind is READ_ONLY
        counter.keeper.only_strangers([])
        assert await counter.address() == "bchreg:qa0"

    scenario(play)


def test_a_full_disk_gives_out_nothing_and_says_why() -> None:
    """read_only, at once; when there is room again the same address goes to the next who asks."""

    async def play() -> None:
        counter = Counter()
        counter.ledger.is_full = True
        failure = await counter.refused()
        assert failure.kind is READ_ONLY
        assert "the ledger cannot be written (disk is full); nothing was given out" in failure.message
        counter.ledger.is_full = False
        assert await counter.address() == "bchreg:qa0"

    scenario(play)


def test_a_ledger_that_comes_to_it_after_the_deadline_writes_nothing() -> None:
    """Its client has left, and nobody would ever ask for that address."""

    async def play() -> None:
        counter = Counter()
        counter.ledger.seconds = 2.0
        failure = await counter.refused(patience=1.0)
        assert (failure.kind, failure.kind.executed) == (DEADLINE_BEFORE_SEND, Executed.NO)
        assert counter.ledger.transact(lambda c: addresses.in_pool(c, "main")) == 5
        assert counter.ledger.last_error == "", "the ledger is well"
        assert await counter.address(patience=3.0) == "bchreg:qa0"

    scenario(play)


def test_a_deadline_that_passes_while_it_is_written_undoes_it() -> None:
    """A database may take its time for each statement."""

    async def play() -> None:
        counter = Counter()
        moments = iter([0.0, 1.0])
        counter.allocator.loop = SimpleNamespace(time=lambda: next(moments))  # type: ignore[assignment]  # all that is asked of it
        answer = await counter.allocator.handle(SHOP, NEW_ADDRESS, 1.0, None)
        assert isinstance(answer, Failure)
        assert answer.kind is DEADLINE_BEFORE_SEND
        assert counter.ledger.transact(lambda c: addresses.in_pool(c, "main")) == 5

    scenario(play)


def test_a_promotion_between_asking_and_writing_costs_a_moment() -> None:
    """The ledger has the new epoch before the pool; the address is then handed out in the new one."""

    async def play() -> None:
        counter = Counter()
        counter.ledger.transact(lambda c: epochs.promote(c, "main", "ec-2", 1, CLOCK))
        began = counter.loop.time()
        counter.loop.call_later(0.005, counter.pool.set_primary, counter.pool.by_name["ec-2"], 2)
        assert await counter.address() == "bchreg:qa0"
        assert counter.loop.time() - began <= 2 * AGAIN
        assert counter.ledger.transact(lambda c: c.scalar(select(rows.c.epoch).where(rows.c.place == 0))) == 2

    scenario(play)


def test_a_gateway_whose_epoch_is_over_gives_out_nothing() -> None:
    """Another one has the wallet; this one tries until the deadline, for a promotion looks the same."""

    async def play() -> None:
        counter = Counter()
        counter.ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1"], CLOCK))
        began = counter.loop.time()
        failure = await counter.refused(0.5)
        assert failure.kind is READ_ONLY
        assert "another gateway has this wallet" in failure.message
        assert counter.loop.time() - began <= 0.5
        assert counter.ledger.transact(lambda c: addresses.in_pool(c, "main")) == 5

    scenario(play)


def test_what_belongs_to_an_address_is_in_the_same_transaction() -> None:
    """An invoice that cannot be written down hands out no address."""

    async def play() -> None:
        counter = Counter()

        def fail(_connection: Connection, _address: str, _at: float) -> None:
            raise LedgerError("no room for it")

        found = await counter.allocator.hand_out("shop", "addrequest", counter.loop.time() + 1.0, fail)
        assert isinstance(found, Failure)
        assert counter.ledger.transact(lambda c: addresses.in_pool(c, "main")) == 5
        seen: list[str] = []
        given = await counter.allocator.hand_out(
            "shop", "addrequest", counter.loop.time() + 1.0, lambda _c, one, _at: seen.append(one)
        )
        assert [given] == seen == ["qa0"]

    scenario(play)


def test_a_count_that_says_full_while_the_pool_is_dry_does_not_stop_the_loop() -> None:
    """Whoever took the last address was ended before he could say so: no reason to spin for ever."""

    async def play() -> None:
        counter = Counter(pooled=1)
        counter.ledger.seconds = 0.001
        leaving = counter.loop.create_task(counter.ask())
        await asyncio.sleep(0)
        counter.ledger.transact(lambda c: addresses.take(c, "main", "shop", "x", 1, CLOCK))
        leaving.cancel()
        counter.ledger.seconds = 0.0
        assert counter.keeper.free == 1
        failure = await counter.refused(0.5)
        assert failure.kind is NO_BACKEND
        assert counter.keeper.free == 0

    scenario(play)
