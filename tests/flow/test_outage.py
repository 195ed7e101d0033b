"""What is remembered of coins and bytes while the ledger is away, and what becomes of it when it is back.

Each of these was a way to two payments with one coin, or to a coin that nobody could spend any more.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.base.errors import LedgerError
from gateway.flow.held_coins import HeldCoins
from gateway.ledger.store import UncertainError, _written
from gateway.rules.transaction import parse
from tests.flow.payments_world import World, failure_of, play, result_of

COIN = "aa:0"


class Line:
    """The ledger's thread: one transaction after another; a caller that leaves changes nothing."""

    def __init__(self, world: World) -> None:
        """Stand before a world's ledger."""
        self.world, self.gate, self.fails = world, asyncio.Event(), 0
        self.slow, self.done = 0.01, []  # type: ignore[var-annotated]
        self.gate.set()
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        world.ledger.run = self.run  # type: ignore[method-assign, assignment]  # of any transaction
        self.task = asyncio.create_task(self.work())

    async def work(self) -> None:
        """Do one after the other."""
        while True:
            do, done = await self.queue.get()
            await self.gate.wait()
            await asyncio.sleep(self.slow)
            self.done.append(do)
            if self.world.ledger.is_away or self.fails > 0:
                self.fails = max(0, self.fails - 1)
                done.set_exception(LedgerError("the disk is full"))
                done.exception()  # whoever asked may have left
            else:
                done.set_result(self.world.ledger.transact(do))

    async def run(self, do: Callable[[Connection], Any]) -> Any:
        """Wait for its turn."""
        done = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((do, done))
        return await asyncio.shield(done)


def forget(world: World) -> None:
    """Let every daemon forget what it was told to freeze, as one that was restarted does."""
    for daemon in world.fleet.values():
        daemon.wallet.notes.frozen_coins.clear()


def test_a_hold_counts_also_where_the_memory_was_stale() -> None:
    """An ended payment held the coin, and nobody has read since."""
    coins = HeldCoins([COIN])  # an ended payment held it, and nobody has read since
    with coins.holding([COIN]):  # another one's hold is being written
        coins.learn([], 0)  # what was read before that
    assert coins.of([COIN]) == [COIN]


def test_one_that_failed_does_not_undo_anothers_hold() -> None:
    """Two transactions hold the same coin, and one of them fails."""
    coins = HeldCoins()
    first, second = coins.holding([COIN]), coins.holding([COIN])
    first.__enter__()
    second.__enter__()
    with contextlib.suppress(LedgerError):
        first.__exit__(LedgerError, LedgerError("full"), None)
    second.__exit__(None, None, None)
    assert coins.of([COIN]) == [COIN]


def test_a_broadcast_that_was_not_written_takes_no_keys_coin_out_of_the_memory() -> None:
    """Its transaction fails while the key's, which comes behind it, is written."""

    async def scene(world: World) -> None:
        unkeyed = parse(result_of(await world.pay())["hex"])  # spends X; nobody holds it
        line, coins = Line(world), world.payments.binder.coins
        world.fleet["ec-1"].seconds = 0.04
        keyed = asyncio.create_task(world.pay("order 1", 200_000))
        world.fleet["ec-1"].methods["broadcast"] = lambda _tx: [False, "error: min relay fee not met"]
        broadcast = None

        async def take(call: Any, carried: Any) -> Any:  # the broadcast comes just before the key is bound
            nonlocal broadcast
            broadcast = asyncio.create_task(world.broadcast(unkeyed.hex))
            while not coins.of(unkeyed.inputs):  # noqa: ASYNC110 - virtual time costs nothing
                await asyncio.sleep(0.001)
            line.fails = 1  # the disk is full, and has room a moment later
            return await was(call, carried)

        was, world.payments.binder.take = world.payments.binder.take, take  # type: ignore[method-assign]
        line.slow = 0.1
        tx = parse(result_of(await keyed)["hex"])
        assert broadcast is not None
        await broadcast
        assert set(tx.inputs) == set(unkeyed.inputs) == set(world.holds())
        world.ledger.is_away = True
        forget(world)
        world.payments.binder.take = was  # type: ignore[method-assign]
        told = await world.pay(None, 300_000)  # the only coin is order 1's
        assert getattr(told, "result", None) is None, told

    play(scene, coins=1)


def test_of_two_broadcasts_of_the_same_bytes_one_is_enough() -> None:
    """The first finds a full disk, the second finds room."""

    async def scene(world: World) -> None:
        sent = parse(result_of(await world.pay())["hex"])
        world.fleet["ec-1"].is_silent = True
        line = Line(world)
        tasks = [asyncio.create_task(world.broadcast(sent.hex, wait=3)) for _ in range(2)]
        while len(line.done) < 2:  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.001)
        line.fails = 1  # the first note fails, the second finds room
        for task in tasks:
            failure_of(await task)
        assert set(world.holds()) == set(sent.inputs)
        world.ledger.is_away = True
        forget(world)
        other = parse(result_of(await world.pay())["hex"])
        assert not set(sent.inputs) & set(other.inputs)

    play(scene, coins=2)


def test_what_was_read_before_a_slow_note_does_not_undo_it() -> None:
    """The broadcast waits no longer for the disk, and its note is written all the same."""

    async def scene(world: World) -> None:
        sent = parse(result_of(await world.pay())["hex"])
        world.fleet["ec-1"].is_silent = True
        line = Line(world)
        task = asyncio.create_task(world.broadcast(sent.hex, wait=4))
        while len(line.done) < 1:  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.0001)
        line.gate.clear()  # the disk hangs for more than a second
        asked = asyncio.create_task(world.settler.round())  # reads just before the note
        await asyncio.sleep(1.5)
        assert line.queue.qsize() >= 1
        line.gate.set()
        await asyncio.sleep(0.1)
        assert set(world.holds()) == set(sent.inputs), "it was written late"
        world.ledger.is_away = True
        forget(world)
        other = parse(result_of(await world.pay())["hex"])
        await task
        asked.cancel()
        assert not set(sent.inputs) & set(other.inputs)

    play(scene, coins=2)


def test_a_coin_that_the_ledger_does_not_hold_is_not_frozen_for_good() -> None:
    """What was frozen on the word of the memory comes to have a mark, and with that an end."""

    async def scene(world: World) -> None:
        real = world.ledger.run
        lost: list[Any] = []

        async def run(work: Callable[[Connection], Any]) -> Any:
            if len(lost) < 3:
                lost.append(work)
                if len(lost) == 3:
                    raise UncertainError("the disk failed while it was committed")
            return await real(work)

        world.ledger.run = run  # type: ignore[method-assign]
        assert failure_of(await world.pay("order 1")).kind.name == "result_withheld"
        assert (world.holds(), world.frozen()) == ({}, set())
        world.ledger.is_away = True
        result_of(await world.pay())
        world.ledger.is_away = False
        await world.settle(5)
        await world.settle(5000)
        (coin,) = world.fleet["ec-1"].wallet.notes.frozen_coins
        assert (coin in world.holds(), coin in world.frozen()) == (False, False)
        assert world.marked[-1] == ("", coin, "")  # the mirror has it lifted on every daemon
        before = len(world.marked)
        await world.settle(5)
        assert len(world.marked) == before

    play(scene, coins=2)


def test_what_the_log_may_hold_is_kept_from_others_until_it_is_known() -> None:
    """A disk loses a commit, takes nothing more and can be read; the next start believes the log."""

    async def scene(world: World) -> None:
        log: list[Any] = []
        is_broken = [False]

        async def run(work: Callable[[Connection], Any]) -> Any:
            await asyncio.sleep(0)
            if not is_broken[0]:
                return world.ledger.transact(work)
            with world.ledger.engine.connect() as connection:
                transaction = connection.begin()
                before = _written(connection)
                result = work(connection)
                wrote = _written(connection) != before
                transaction.rollback()
            if not wrote:
                return result
            if not log:
                log.append(work)
                raise UncertainError("disk I/O error while it was committed")
            raise LedgerError("disk I/O error")

        world.ledger.run = run  # type: ignore[method-assign]
        world.fleet["ec-1"].seconds = 1.0
        task = asyncio.create_task(world.pay("order 1"))
        await asyncio.sleep(0.5)
        is_broken[0] = True  # while it is signed
        assert failure_of(await task).kind.name == "result_withheld"
        with contextlib.suppress(LedgerError):
            await world.settle(1)  # it can be read
        other = parse(result_of(await world.pay(sats=150_000))["hex"])
        # the gateway starts again, and what stands in the log is committed
        is_broken[0] = False
        world.ledger.transact(log[0])
        world.start()
        keyed = parse(result_of(await world.pay("order 1"))["hex"])
        assert not set(keyed.inputs) & set(other.inputs)

    play(scene, coins=2)


@pytest.mark.parametrize("keyed", [True, False])
def test_coins_of_what_went_out_without_a_ledger_are_nobody_elses(keyed: bool) -> None:  # noqa: FBT001
    """Also once the ledger is back: it is written down as accepted, and a signer waits until it has heard of it."""

    async def scene(world: World) -> None:
        sent = parse(result_of(await world.pay())["hex"])
        world.fleet["ec-1"].lags = True  # for some seconds it has not heard of its own broadcast
        world.ledger.is_away = True
        assert result_of(await world.broadcast(sent.hex)) == [True, sent.txid]
        if keyed:
            world.ledger.is_away = False
            await world.settle(2)
            assert world.publication(sent.txid) == "accepted"
            assert set(world.holds()) == set(sent.inputs)
            told = failure_of(await world.pay("order 1", 200_000))
            assert "has not heard of 1 payments" in told.message
            world.fleet["ec-1"].lags = False
        other = parse(result_of(await world.pay("order 1" if keyed else None, 200_000))["hex"])
        assert not set(sent.inputs) & set(other.inputs)

    play(scene, coins=2)


def test_coins_of_what_perhaps_went_out_without_a_ledger_bind_no_key() -> None:
    """A payment comes before the settler has written them down."""

    async def scene(world: World) -> None:
        sent = parse(result_of(await world.pay())["hex"])
        world.fleet["ec-1"].swallows = world.fleet["ec-1"].lags = True
        world.ledger.is_away = True
        assert failure_of(await world.broadcast(sent.hex, wait=3)).kind.name == "outcome_unknown"
        world.ledger.is_away = False
        other = parse(result_of(await world.pay("order 1", 200_000))["hex"])  # before the settler's next round
        assert not set(sent.inputs) & set(other.inputs)

    play(scene, coins=2)


def test_a_signature_in_part_with_a_keys_coin_is_not_told() -> None:
    """Whoever completes it would spend what another payment holds."""

    async def scene(world: World) -> None:
        signed = result_of(await world.pay("order 1"))
        part = {"hex": signed["hex"], "complete": False}
        world.fleet["ec-1"].methods["signtransaction"] = lambda **_: part
        told = await world.pay(method="signtransaction", params={"tx": signed["hex"]})
        assert failure_of(told).kind.name == "result_withheld"

    play(scene)
