"""What calls left open is settled: sent again, followed into the chain, released; and a crash at every step."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, update

from gateway.ledger import broadcasts, marks
from gateway.ledger.broadcasts import WATCHED
from gateway.ledger.schema import intents, publications
from gateway.rules.following import LOST_AFTER
from gateway.rules.transaction import parse
from gateway.supervision.settle import CALM, LONG
from tests.flow.payments_world import NAME, CrashError, World, failure_of, play, result_of
from tests.virtual_time import run_virtual


async def signed(world: World, key: str | None = "order 1") -> tuple[Any, str]:
    """An answer of payto and its txid."""
    answer = result_of(await world.pay(key))
    return answer, parse(answer["hex"]).txid


def conflicting(answer: Any) -> str:
    """Other bytes that spend the same coins."""
    text = answer["hex"]
    assert isinstance(text, str)
    return text[:-8] + "01000000"


def test_an_unknown_broadcast_is_sent_again_until_the_chain_has_spoken() -> None:
    """With growing pauses, on daemons that may be silent; the key is published then."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world)
        for daemon in world.fleet.values():
            daemon.is_silent = True
        failure_of(await world.broadcast(tx))
        sent = sum(daemon.ran("broadcast") for daemon in world.fleet.values())
        for _ in range(60):
            await world.settle(1.0)
        again = sum(daemon.ran("broadcast") for daemon in world.fleet.values()) - sent
        assert 2 <= again <= 8
        assert world.publication(txid) == "unknown"
        for daemon in world.fleet.values():
            daemon.is_silent = False
        for _ in range(61):
            await world.settle(1.0)
        assert world.publication(txid) == "accepted"
        assert world.chain.view.mempool == [txid]
        assert world.key_states() == ["published"]
        assert [row.state for row in world.rows(intents)] == ["answered", "resolved"]

    play(scene, daemons=2)


def test_what_was_sent_while_the_ledger_was_away_is_written_and_sent_again_when_it_is_back() -> None:
    """Nobody else knows of it; its coins are held, and its call is kept as one of unknown outcome."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world)
        daemon = world.fleet["ec-1"]
        daemon.is_silent = world.ledger.is_away = True
        assert failure_of(await world.broadcast(tx)).kind.name == "outcome_unknown"
        await world.settle(1.0)
        world.ledger.is_away = False
        assert broadcasts.UNKNOWN not in [row.state for row in world.rows(publications)]
        await world.settle(1.0)
        assert (world.publication(txid), set(world.holds().values())) == ("unknown", {txid})
        assert world.rows(intents)[-1].state == "unknown"
        daemon.is_silent = False
        for _ in range(61):
            await world.settle(1.0)
        assert world.publication(txid) == "accepted"
        assert world.chain.view.mempool == [txid]
        assert world.rows(intents)[-1].state == "resolved"

    play(scene)


def test_bytes_that_a_call_is_sending_are_left_to_it() -> None:
    """So that what it takes back was sent by nobody."""

    async def scene(world: World) -> None:
        tx, _ = await signed(world)
        world.fleet["ec-1"].is_silent = True
        call = asyncio.create_task(world.broadcast(tx))
        await asyncio.sleep(1.0)
        await world.settle()
        assert world.fleet["ec-1"].ran("broadcast") == 1
        await call
        await world.settle()
        assert world.fleet["ec-1"].ran("broadcast") == 2

    play(scene)


def test_what_the_history_has_was_accepted_whatever_the_broadcast_said() -> None:
    """The bytes went out and nobody answered."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world)
        world.fleet["ec-1"].swallows = True
        failure_of(await world.broadcast(tx))
        await world.settle(0.5)
        assert world.publication(txid) == "accepted"

    play(scene)


def test_a_refusal_of_every_server_ends_an_unknown_broadcast() -> None:
    """Three times in a row; the key keeps its coins, and a plain broadcast loses them."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world, None)
        world.fleet["ec-1"].is_silent = True
        failure_of(await world.broadcast(tx))
        world.fleet["ec-1"].is_silent = False
        refusal = [False, "error: min relay fee not met"]
        world.fleet["ec-1"].methods["broadcast"] = lambda _tx: refusal
        for _ in range(120):
            await world.settle(1.0)
        assert world.publication(txid) == "rejected"
        assert (world.holds(), world.frozen()) == ({}, set())
        assert ("", parse(tx["hex"]).inputs[0], "") in world.marked

    play(scene)


REFUSALS = [
    ("rejected", "error: min relay fee not met"),
    (
        "conflict",
        "error: Transaction could not be broadcast due to missing, already-spent, or otherwise invalid inputs.",
    ),
]


@pytest.mark.parametrize("key", [None, "order 1"])
@pytest.mark.parametrize(("state", "refusal"), REFUSALS)
def test_what_was_refused_after_silence_is_looked_for_in_the_histories(
    state: str, refusal: str, key: str | None
) -> None:
    """The server that said nothing may have brought it out; days later the wallet's history still settles it."""

    async def scene(world: World) -> None:
        tx, txid = await refused_after_silence(world, key, refusal)
        assert world.publication(txid) == state
        told = await world.ask(txid=txid)
        assert (told["state"], "was not answered" in told["next_step"]) == (state, True)
        await world.settle(WATCHED - 300.0)
        world.chain.accept(tx["hex"])
        world.chain.mine(1)
        for daemon in world.fleet.values():
            daemon.lags = False
        await world.settle(CALM)
        assert world.publication(txid) == "accepted"
        assert "broadcast.out_after_all" in world.names()
        world.chain.mine(6)
        await world.settle(CALM)
        assert (world.publication(txid), world.holds()) == ("confirmed", {})

    play(scene, daemons=2)


async def refused_after_silence(world: World, key: str | None, refusal: str) -> tuple[Any, str]:
    """A payment whose broadcast was not answered, and that every server refused since; no daemon hears of the chain."""
    tx, txid = await signed(world, key)
    for daemon in world.fleet.values():
        daemon.lags = daemon.is_silent = True
    failure_of(await world.broadcast(tx))
    for daemon in world.fleet.values():
        daemon.is_silent = False
        daemon.methods["broadcast"] = lambda _tx: [False, refusal]
    for _ in range(120):
        await world.settle(1.0)
    return tx, txid


def test_refused_bytes_whose_time_is_over_and_those_that_one_server_alone_refused_are_let_go() -> None:
    """Nothing of them is followed; the histories are not asked for them."""

    async def scene(world: World) -> None:
        _, late = await refused_after_silence(world, None, REFUSALS[0][1])
        tx, plain = await signed(world, None)
        assert result_of(await world.broadcast(tx)) == [False, REFUSALS[0][1]]
        rows = world.ledger.transact(lambda c: broadcasts.followed(c, NAME, world.now))
        assert [row.txid for row in rows] == [late]
        assert world.publication(plain) == "rejected"
        await world.settle(WATCHED + 1.0)
        assert world.ledger.transact(lambda c: broadcasts.followed(c, NAME, world.now)) == []

    play(scene, daemons=2)


def test_refused_bytes_alone_are_looked_for_once_a_block() -> None:
    """They wait for days, and a long history is much to ask for."""

    async def scene(world: World) -> None:
        await refused_after_silence(world, None, REFUSALS[0][1])
        asked = world.fleet["ec-1"].ran("history")
        for _ in range(100):
            await world.settle(CALM)
        assert world.fleet["ec-1"].ran("history") == asked
        world.chain.mine(1)
        world.fleet["ec-1"].lags = False
        await world.settle(1.0)
        await world.settle(1.0)
        assert world.fleet["ec-1"].ran("history") == asked + 1

    play(scene, daemons=2)


def test_a_freeze_is_over_when_every_daemon_has_the_transaction() -> None:
    """And not while one lags; the hold lasts until six confirmations."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world)
        world.fleet["ec-2"].lags = True
        result_of(await world.broadcast(tx))
        for _ in range(5):
            await world.settle(1.0)
        assert world.frozen() == set(parse(tx["hex"]).inputs)
        world.fleet["ec-2"].lags = False
        await world.settle(1.0)
        assert world.frozen() == set()
        assert set(world.holds().values()) == {txid}
        world.chain.mine(6)
        await world.settle(1.0)
        assert world.holds() == {}
        assert (world.publication(txid), world.key_states()) == ("confirmed", ["confirmed"])
        assert "payment.confirmed" in world.names()

    play(scene, daemons=2)


def test_the_owners_freeze_outlives_the_payment() -> None:
    """He froze it while it was held."""

    async def scene(world: World) -> None:
        tx, _ = await signed(world)
        coin = parse(tx["hex"]).inputs[0]
        world.ledger.transact(lambda c: marks.put(c, NAME, "freeze_utxo", coin, "1", "client", world.now))
        await world.broadcast(tx)
        world.chain.mine(6)
        await world.settle(1.0)
        kept = world.ledger.transact(lambda c: marks.every(c, NAME))
        assert [(one.key, one.value) for one in kept] == [(coin, "1")]

    play(scene)


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_conflict_six_blocks_deep_lets_the_key_be_signed_anew(is_sent: bool) -> None:  # noqa: FBT001 - a case of two
    """Whether its bytes were broadcast or not; five blocks are not enough."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world)
        world.chain.accept(conflicting(tx))
        if is_sent:
            assert result_of(await world.broadcast(tx))[0] is False
        world.chain.mine(5)
        await world.settle(31.0)
        assert result_of(await world.pay("order 1")) == tx
        world.chain.mine(1)
        await world.settle(31.0)
        assert (world.holds(), world.frozen()) == ({}, set())
        assert (await world.ask(key="order 1"))["state"] == "never"
        assert failure_of(await world.pay("order 1", 200_000)).kind.name == "key_reused"
        again, new = await signed(world)
        assert new != txid
        assert result_of(await world.broadcast(again)) == [True, new]
        assert "payment.conflict" in world.names()

    play(scene)


def test_what_the_chain_lost_is_sent_again() -> None:
    """A mempool that forgot it; signing goes on after that, with other coins."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world)
        result_of(await world.broadcast(tx))
        world.chain.events.pop()
        forgotten = world.chain.view
        world.chain.view = type(forgotten)()
        world.chain.view.apply(world.chain.events)
        for daemon in world.fleet.values():
            daemon.wallet.view = type(forgotten)()
            daemon.catch_up()
        await world.settle(LOST_AFTER + 1)
        assert "broadcast.lost" in world.names()
        await world.settle(1.0)
        assert world.chain.view.mempool == [txid]
        assert world.publication(txid) == "accepted"

    play(scene)


def test_one_daemon_that_has_not_heard_of_it_does_not_make_it_lost() -> None:
    """Not while another is away, and not in the first round after it was seen, however long ago it was sent."""

    async def scene(world: World) -> None:
        tx, _ = await signed(world)
        result_of(await world.broadcast(tx))
        await world.settle(LOST_AFTER + 1)
        await world.settle(LOST_AFTER + 1)
        for daemon in world.fleet.values():
            daemon.methods["history"] = list
        world.now += LOST_AFTER + 1
        await world.settler._follow(world.ledger.transact(lambda c: broadcasts.followed(c, NAME, world.now)))
        world.fleet["ec-2"].is_dead = True
        await world.settle(LOST_AFTER + 1)
        assert "broadcast.lost" not in world.names()
        world.fleet["ec-2"].is_dead = False
        await world.settle(LOST_AFTER + 1)
        assert "broadcast.lost" in world.names()

    play(scene, daemons=2)


def test_a_foreign_transaction_is_let_go() -> None:
    """Its owner was not known when it was sent, and no history has it."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world, None)
        world.fleet["ec-1"].mangle = lambda method, result: "?" if method == "listunspent" else result
        result_of(await world.broadcast(tx))
        assert set(world.holds().values()) == {txid}
        world.fleet["ec-1"].mangle = lambda method, result: [] if method == "history" else result
        await world.settle(LOST_AFTER + 1)
        assert world.holds() == {}
        assert world.publication(txid) == "accepted"

    play(scene)


def test_one_that_turns_out_to_be_ours_is_followed() -> None:
    """A signer must know of it from then on."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world, None)
        world.fleet["ec-1"].mangle = lambda method, result: "?" if method == "listunspent" else result
        result_of(await world.broadcast(tx))
        await world.settle(1.0)
        world.chain.mine(6)
        await world.settle(1.0)
        assert (world.publication(txid), world.holds()) == ("confirmed", {})

    play(scene)


def test_held_value_is_a_gauge_and_after_a_day_an_event() -> None:
    """Once for each; no longer when the chain has it."""

    async def scene(world: World) -> None:
        tx, _ = await signed(world)
        await world.settle()
        gauges = {name: value for name, _, value in world.settler.gauges()}
        assert gauges == {
            "broadcasts_unknown": 0.0,
            "calls_unknown": 0.0,
            "held_satoshis": 1_000_000.0,
            "held_oldest_age_seconds": 0.0,
        }
        for _ in range(2):
            await world.settle(LONG)
        assert world.names().count("payment.held_long") == 1
        await world.broadcast(tx)
        await world.settle()
        assert world.settler.held == 0

    play(scene)


def test_with_the_ledger_away_nothing_is_done_and_nothing_breaks() -> None:
    """It goes on when the ledger is back."""

    async def scene(world: World) -> None:
        tx, txid = await signed(world)
        world.fleet["ec-1"].swallows = True
        failure_of(await world.broadcast(tx))
        run = asyncio.create_task(world.settler.run())
        world.ledger.is_away = True
        await asyncio.sleep(5)
        world.ledger.is_away = False
        await asyncio.sleep(15)
        assert world.publication(txid) == "accepted"
        run.cancel()

    play(scene)


def test_signatures_that_an_earlier_process_left_open_are_closed_at_the_start() -> None:
    """Nobody was told them."""

    async def scene(world: World) -> None:
        world.fleet["ec-1"].seconds = 5.0
        task = asyncio.create_task(world.pay("order 1"))
        await asyncio.sleep(1.0)
        world.has_crashed = True
        await asyncio.gather(task, return_exceptions=True)
        world.start()
        assert [row.state for row in world.rows(intents)] == ["unknown"]
        run = asyncio.create_task(world.settler.run())
        await asyncio.sleep(0.1)
        assert [row.state for row in world.rows(intents)] == ["resolved"]
        run.cancel()

    play(scene)


def test_what_a_person_says_of_a_call_is_counted_soon() -> None:
    """Within a round, and not only when unknown calls are looked at anyway."""

    async def scene(world: World) -> None:
        row = {
            "wallet": "main",
            "epoch": 1,
            "client": "shop",
            "method": "setlabel",
            "state": "unknown",
            "opened_at": 1.0,
        }
        await world.ledger.run(lambda connection: connection.execute(insert(intents).values(row)))
        world.settler.look_again()
        await world.settle()
        assert world.settler.open_calls == 1
        await world.ledger.run(lambda connection: connection.execute(update(intents).values(state="resolved")))
        await world.settle()
        assert world.settler.open_calls == 1
        world.settler.look_again()
        await world.settle()
        assert world.settler.open_calls == 0

    play(scene)


async def crash_at(step: int) -> bool:
    """Crash at a step of settling one unknown, one accepted and one conflicting payment; return whether there was."""
    world = World(asyncio.get_running_loop(), coins=4)
    daemon = world.fleet["ec-1"]
    unknown, first = await signed(world, "order 1")
    accepted, second = await signed(world, "order 2")
    beaten, third = await signed(world, "order 3")
    daemon.is_silent = True
    failure_of(await world.broadcast(unknown))
    daemon.is_silent = False
    result_of(await world.broadcast(accepted))
    world.chain.accept(conflicting(beaten))
    world.chain.mine(6)
    world.crash_at = world.steps + step
    try:
        await world.settle(1.0)
    except CrashError:
        world.start()
    has_crashed, world.crash_at = world.crash_at == -1, -1
    for _ in range(3):
        await world.settle(31.0)
    assert [world.publication(txid) for txid in (first, second)] == ["accepted", "confirmed"]
    assert set(world.holds().values()) == {first}
    _, anew = await signed(world, "order 3")
    assert anew != third
    return has_crashed


@pytest.mark.simulation
def test_a_crash_at_any_step_of_settling_loses_nothing() -> None:
    """The next process does the rest."""

    async def all_steps() -> int:
        step = 1
        while await crash_at(step):
            step += 1
        return step

    assert run_virtual(all_steps()) > 10
