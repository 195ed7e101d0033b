"""Payments that come to nothing: each has a state that says so, a next step that works, and no hold for ever."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from gateway.ledger import broadcasts, outcomes
from gateway.ledger.schema import publications, spending
from gateway.rules.following import LOOKED_FOR, LOST_AFTER, STALE_AFTER
from gateway.rules.transaction import parse
from gateway.supervision.settle import CALM
from tests.flow.payments_world import NAME, STRANGER, Daemon, World, failure_of, limited, play, result_of

MISSING = "error: Transaction could not be broadcast due to missing, already-spent, or otherwise invalid inputs."
LOW_FEE = "error: min relay fee not met"

pytestmark = pytest.mark.long


def txid_of(tx: Any) -> str:
    """The transaction in an answer."""
    return parse(tx["hex"]).txid


def give_up(world: World, key: str) -> int:
    """Give a key up, as the operator's command does."""
    return world.ledger.transact(lambda c: outcomes.abandon(c, outcomes.find(c, key)[0], world.now))


def answers(world: World, method: str, answer: Callable[..., Any]) -> None:
    """Let every daemon answer a method so."""
    for daemon in world.fleet.values():
        daemon.methods[method] = answer


# -- bytes of others ----------------------------------------------------------------------------------------


def foreign(world: World, to: str = STRANGER) -> dict[str, Any]:
    """Bytes that another wallet has signed; whoever gives them to ours to sign gets them back as they were."""
    other = Daemon("other", world.chain, "another seed")
    world.chain.fund(other.wallet.receiving[0], 1_000_000)
    world.chain.mine(1)
    tx = json.loads(other.run("payto", [to, "0.001"]).result or b"")
    assert isinstance(tx, dict)
    answers(world, "signtransaction", lambda **_: tx)
    return tx


@pytest.mark.parametrize("key", [None, "order 1"])
@pytest.mark.parametrize("limits", [{}, {"max_per_call": "1"}])
def test_foreign_bytes_that_pass_through_block_no_payment(key: str | None, limits: dict[str, str]) -> None:
    """No history of this wallet will ever have them, so that no signer waits for them and no coin is held."""

    async def scene(world: World) -> None:
        tx, client = foreign(world), limited(**limits)
        await world.pay(key, method="signtransaction", params={"tx": tx["hex"]}, client=client)
        assert world.holds() == {}
        assert world.rows(spending) == []
        assert result_of(await world.broadcast(tx, client=client)) == [True, txid_of(tx)]
        result_of(await world.pay("order 2", wait=1.0))
        for _ in range(3):
            await world.settle(LOST_AFTER + 1)
        assert set(world.holds().values()) == {txid_of(world.told[-1][1])}
        assert "broadcast.lost" not in world.names()
        told = await world.ask(txid=txid_of(tx))
        assert (told["state"], told["next_step"].startswith("nothing")) == ("accepted", True)

    play(scene)


def test_bytes_of_which_nobody_could_say_whose_they_are_are_held_and_block_no_payment() -> None:
    """The signer answered none of the questions about their coins; later it turns out that they are others'."""

    async def scene(world: World) -> None:
        tx = foreign(world)
        world.fleet["ec-1"].mangle = lambda method, result: "?" if method == "listunspent" else result
        result_of(await world.pay("order 1", method="signtransaction", params={"tx": tx["hex"]}))
        assert set(world.holds().values()) == {txid_of(tx)}
        result_of(await world.broadcast(tx))
        world.fleet["ec-1"].mangle = lambda _method, result: result
        result_of(await world.pay("order 2", wait=1.0))
        for _ in range(2):
            await world.settle(LOST_AFTER + 1)
        assert txid_of(tx) not in world.holds().values()

    play(scene)


@pytest.mark.parametrize("key", [None, "order 1"])
def test_own_bytes_are_waited_for_as_before(key: str | None) -> None:
    """Signed by `signtransaction` too: a daemon that has not heard of them signs nothing."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        answers(world, "signtransaction", lambda **_: tx)
        assert result_of(await world.pay(key, method="signtransaction", params={"tx": tx["hex"]})) == tx
        result_of(await world.broadcast(tx))
        answers(world, "history", list)
        assert failure_of(await world.pay("order 2", wait=1.0)).kind.name == "no_backend"

    play(scene)


def test_the_wallets_own_coin_among_those_of_others_is_held_alone() -> None:
    """Whoever puts coins together with somebody else."""

    async def scene(world: World) -> None:
        theirs, ours = parse(foreign(world)["hex"]), result_of(await world.pay())
        own = parse(ours["hex"])
        # version, then both inputs; the rest is ours
        body = 4 + 1
        size = len(own.hex) // 2 - 4 - sum(8 + 1 + len(made.script) for made in own.outputs) - 1 - body
        first = bytes.fromhex(own.hex)[body : body + size]
        rest = bytes.fromhex(own.hex)[body + size :]
        length = len(theirs.hex) // 2 - 4 - sum(8 + 1 + len(made.script) for made in theirs.outputs) - 1 - body
        second = bytes.fromhex(theirs.hex)[body : body + length]
        text = (bytes.fromhex(own.hex)[:4] + b"\x02" + first + second + rest).hex()
        answers(world, "signtransaction", lambda **_: {"hex": text, "complete": True, "final": True})
        result_of(await world.pay("order 1", method="signtransaction", params={"tx": text}))
        assert set(world.holds()) == set(own.inputs)
        assert world.frozen() == set(own.inputs)

    play(scene)


def test_two_keys_do_not_get_the_same_bytes() -> None:
    """Foreign ones would be paid once, and two orders would count as paid."""

    async def scene(world: World) -> None:
        tx = foreign(world)
        result_of(await world.pay("order 1", method="signtransaction", params={"tx": tx["hex"]}))
        told = failure_of(await world.pay("order 2", method="signtransaction", params={"tx": tx["hex"]}))
        assert (told.kind.name, told.safe_to_repeat) == ("result_withheld", False)
        assert txid_of(tx) in told.next_step
        assert (await world.ask(key="order 2"))["state"] == "unknown_here"

    play(scene)


@pytest.mark.parametrize("key", [None, "order 1"])
def test_bytes_of_others_that_pay_this_wallet_are_seen_to_confirm(key: str | None) -> None:
    """They are in its history, and the outcome says so; they are looked for for a week."""

    async def scene(world: World) -> None:
        mine = world.fleet["ec-1"].wallet.receiving[1]
        tx = foreign(world, mine)
        result_of(await world.pay(key, method="signtransaction", params={"tx": tx["hex"]}))
        histories = {daemon.name: daemon.methods["history"] for daemon in world.fleet.values()}
        answers(world, "history", list)
        result_of(await world.broadcast(tx))
        await world.settle(LOST_AFTER + 1)
        assert "within a week" in (await world.ask(txid=txid_of(tx)))["next_step"]
        for daemon in world.fleet.values():
            daemon.methods["history"] = histories[daemon.name]
        await world.settle(CALM)
        assert "broadcast.lost" not in world.names()
        world.chain.mine(8)
        for _ in range(2):
            await world.settle(CALM)
        assert (await world.ask(txid=txid_of(tx)))["state"] == "confirmed"
        assert world.key_states() == ([] if key is None else ["confirmed"])

    play(scene)


def test_bytes_of_others_are_not_followed_for_ever() -> None:
    """Most of them never come into this wallet's history, and nothing is written down each time they are not there."""

    async def scene(world: World) -> None:
        tx = foreign(world)
        result_of(await world.broadcast(tx))
        await world.settle(LOST_AFTER + 1)
        statements: list[str] = []
        event.listen(world.ledger.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        for _ in range(3):
            await world.settle(CALM)
        assert [one for one in statements if one.startswith("DELETE")] == []
        followed = [world.ledger.transact(lambda c: broadcasts.followed(c, NAME, world.now))]
        await world.settle(broadcasts.WATCHED)
        followed.append(world.ledger.transact(lambda c: broadcasts.followed(c, NAME, world.now)))
        assert [len(one) for one in followed] == [1, 0]

    play(scene)


# -- the same bytes after their key was given up ------------------------------------------------------------


def test_the_same_bytes_of_a_new_key_are_sent() -> None:
    """A wallet that pays the same again with the same coin makes the same transaction."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        assert give_up(world, "order 1") == 1
        world.fleet["ec-1"].wallet.notes.frozen_coins.clear()
        assert result_of(await world.pay("order 2")) == tx
        assert (await world.ask(key="order 2"))["state"] == "signed"
        assert result_of(await world.broadcast(tx)) == [True, txid_of(tx)]
        assert (await world.ask(key="order 2"))["state"] == "accepted"
        assert (await world.ask(txid=txid_of(tx)))["state"] == "accepted"
        assert (await world.ask(key="order 1"))["state"] == "abandoned", "one payment is not two"

    play(scene, coins=1)


def test_the_same_bytes_without_a_key_are_told_to_nobody_and_a_key_helps() -> None:
    """They would be refused when they are to be sent."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        give_up(world, "order 1")
        world.fleet["ec-1"].wallet.notes.frozen_coins.clear()
        told = failure_of(await world.pay())
        assert told.kind.name == "result_withheld"
        assert "with a key that was never used" in told.next_step
        assert "with a key that was never used" in failure_of(await world.broadcast(tx)).message
        assert result_of(await world.broadcast(result_of(await world.pay("order 2")))) == [True, txid_of(tx)]

    play(scene, coins=1)


# -- a child of a dead parent -------------------------------------------------------------------------------


async def parent_and_child(world: World, key: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two payments, the second of which spends the change of the first."""
    parent = result_of(await world.pay("the parent"))
    result_of(await world.broadcast(parent))
    await world.settle(1.0)
    child = result_of(await world.pay(key))
    assert parse(child["hex"]).inputs[0].startswith(txid_of(parent))
    return parent, child


def conflicting(tx: dict[str, Any]) -> str:
    """Another transaction over the same coins."""
    text = str(tx["hex"])
    return text[:-8] + "01000000"


def forget(world: World, *txs: dict[str, Any]) -> None:
    """Let the chain and every daemon forget transactions that are in no block."""
    gone = {txid_of(tx) for tx in txs}
    world.chain.events[:] = [one for one in world.chain.events if one.tx is None or one.tx.txid not in gone]
    view = type(world.chain.view)
    world.chain.view = view()
    world.chain.view.apply(world.chain.events)
    for daemon in world.fleet.values():
        daemon.wallet.view = view()
        daemon.catch_up()
    assert not gone & set(world.chain.view.mempool)


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_child_of_a_parent_that_can_never_be_valid_is_never_valid_either(is_sent: bool) -> None:  # noqa: FBT001 - a case of two
    """Nobody spends its coin, which was never made: no other transaction would ever tell."""

    async def scene(world: World) -> None:
        parent, child = await parent_and_child(world, "the child")
        if is_sent:
            result_of(await world.broadcast(child))
        forget(world, parent, child)
        world.chain.accept(conflicting(parent))
        world.chain.mine(6)
        for _ in range(4):
            await world.settle(LOST_AFTER + 1)
        for key in ("the parent", "the child"):
            assert (await world.ask(key=key))["state"] == "never"
        assert (world.holds(), world.frozen()) == ({}, set())
        assert world.names().count("payment.conflict") == 2
        again = result_of(await world.pay("the child"))
        assert txid_of(again) != txid_of(child)
        assert result_of(await world.broadcast(again)) == [True, txid_of(again)]

    play(scene, coins=1)


def test_what_can_never_be_valid_stays_so_when_somebody_sends_it_once_more() -> None:
    """A refusal of today would hide that from its child, and from whoever asks."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        await world.broadcast(tx)
        forget(world, tx)
        world.chain.accept(conflicting(tx))
        world.chain.mine(6)
        for _ in range(4):
            await world.settle(LOST_AFTER + 1)
        assert (await world.ask(txid=txid_of(tx)))["state"] == "never"
        assert result_of(await world.broadcast(tx))[0] is False
        assert (await world.ask(txid=txid_of(tx)))["state"] == "never"
        assert world.ledger.transact(lambda c: broadcasts.dead(c, NAME, [txid_of(tx)])) == {txid_of(tx)}

    play(scene)


@pytest.mark.parametrize("is_silent", [True, False])
def test_what_can_never_be_valid_holds_no_other_coin_when_somebody_sends_it_once_more(is_silent: bool) -> None:  # noqa: FBT001 - a case of two
    """Those that nothing has spent are another payment's by then."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay(None, 1_500_000))
        coins = set(parse(tx["hex"]).inputs)
        await world.broadcast(tx)
        forget(world, tx)
        thief = Daemon("thief", world.chain, "seed")
        other = json.loads(thief.run("payto", [STRANGER, "0.005"]).result or b"")
        assert set(parse(other["hex"]).inputs) < coins
        world.chain.accept(other["hex"])
        world.chain.mine(6)
        for _ in range(4):
            await world.settle(LOST_AFTER + 1)
        assert ((await world.ask(txid=txid_of(tx)))["state"], world.holds()) == ("never", {})
        world.fleet["ec-1"].is_silent = is_silent
        for _ in range(2):
            await world.broadcast(tx)
            assert (world.holds(), world.frozen()) == ({}, set())
        world.fleet["ec-1"].is_silent = False
        for _ in range(4):
            await world.settle(LOST_AFTER + 1)
        assert (await world.ask(txid=txid_of(tx)))["state"] == "never"
        world.fleet["ec-1"].wallet.notes.frozen_coins.clear()
        again = parse(result_of(await world.pay("next", 1_200_000))["hex"])
        assert coins & set(again.inputs)

    play(scene, coins=2)


def test_an_outcome_names_the_parent_that_has_to_go_out_first() -> None:
    """A child that is refused for a missing coin is brought out by its parent."""

    async def scene(world: World) -> None:
        parent, child = await parent_and_child(world, "the child")
        forget(world, parent)
        answers(world, "broadcast", lambda _tx: [False, LOW_FEE])
        for _ in range(200):
            await world.settle(2.0)
        assert world.publication(txid_of(parent)) == "rejected"
        answers(world, "broadcast", lambda _tx: [False, MISSING])
        await world.broadcast(child)
        told = await world.ask(key="the child")
        assert (told["state"], told["parent"], told["parent_state"]) == ("conflict", txid_of(parent), "rejected")
        assert "bring that out first" in told["next_step"]
        for daemon in world.fleet.values():
            del daemon.methods["broadcast"]
            daemon.methods["broadcast"] = lambda tx: [True, world.chain.accept(tx)]
        for tx in (parent, child):
            assert result_of(await world.broadcast(tx)) == [True, txid_of(tx)]
        assert "parent" not in await world.ask(key="the child")

    play(scene, coins=1)


def test_a_conflict_without_a_key_holds_its_coins_for_a_week() -> None:
    """Its parent is somebody else's and gone, and no history will ever say so."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        answers(world, "broadcast", lambda _tx: [False, MISSING])
        assert result_of(await world.broadcast(tx)) == [False, MISSING]
        await world.settle(STALE_AFTER - 2 * CALM)
        assert set(world.holds().values()) == {txid_of(tx)}
        assert "for a week at most" in (await world.ask(txid=txid_of(tx)))["next_step"]
        await world.settle(3 * CALM)
        assert (world.holds(), world.frozen()) == ({}, set())

    play(scene)


def test_a_conflict_with_a_key_is_ended_by_the_operator() -> None:
    """An hour later; then a new key pays with the same coin."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        answers(world, "broadcast", lambda _tx: [False, MISSING])
        result_of(await world.broadcast(tx))
        told = await world.ask(key="order 1")
        assert (told["state"], "--abandon" in told["next_step"]) == ("conflict", True)
        await world.settle(STALE_AFTER + 1)
        assert set(world.holds().values()) == {txid_of(tx)}, "the key's own coins are the key's"
        assert give_up(world, "order 1") == 1
        assert (await world.ask(key="order 1"))["state"] == "abandoned"
        world.fleet["ec-1"].wallet.notes.frozen_coins.clear()
        result_of(await world.pay("order 2"))

    play(scene, coins=1)


# -- accepted, then refused ---------------------------------------------------------------------------------


def test_what_was_accepted_and_refused_later_is_told_so_and_can_be_given_up() -> None:
    """A mempool dropped it, and no server takes it any more: its key would hold its coins for ever."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        result_of(await world.broadcast(tx))
        await world.settle(1.0)
        assert world.key_states() == ["published"]
        forget(world, tx)
        answers(world, "broadcast", lambda _tx: [False, LOW_FEE])
        for _ in range(200):
            await world.settle(2.0)
        told = await world.ask(key="order 1")
        assert (told["state"], "--abandon" in told["next_step"]) == ("rejected", True)
        with pytest.raises(outcomes.CannotAbandonError, match="some server may have it"):
            give_up(world, "order 1")
        await world.settle(LOOKED_FOR)
        assert give_up(world, "order 1") == 1
        assert world.holds() == {}
        assert (await world.ask(key="order 1"))["state"] == "abandoned"

    play(scene)


async def refused_after_silence(world: World, refusal: str) -> Any:
    """A payment that one attempt may have brought out, and that servers refuse since."""
    tx = result_of(await world.pay("order 1"))
    for daemon in world.fleet.values():
        daemon.is_silent = True
    failure_of(await world.broadcast(tx))
    for daemon in world.fleet.values():
        daemon.is_silent = False
    answers(world, "broadcast", lambda _tx: [False, refusal])
    for _ in range(200):
        await world.settle(2.0)
    return tx


def test_an_hour_in_which_nobody_looked_does_not_count() -> None:
    """The bytes were out all the while; whoever gave the key up would have paid twice."""

    async def scene(world: World) -> None:
        tx = await refused_after_silence(world, MISSING)
        world.chain.accept(tx["hex"])
        for daemon in world.fleet.values():
            daemon.is_dead = True
        world.now += 2 * LOOKED_FOR
        await world.settle(CALM)
        with pytest.raises(outcomes.CannotAbandonError, match="nobody has looked at the histories"):
            give_up(world, "order 1")
        for daemon in world.fleet.values():
            daemon.is_dead = False
        await world.settle(CALM)
        with pytest.raises(outcomes.CannotAbandonError, match=r"was broadcast through this gateway \(accepted\)"):
            give_up(world, "order 1")

    play(scene, coins=1)


@pytest.mark.parametrize("away", ["ec-2", None])
def test_a_look_that_leaves_a_daemon_out_does_not_count(away: str | None) -> None:
    """It may be the one that has the bytes."""

    async def scene(world: World) -> None:
        await refused_after_silence(world, LOW_FEE)
        if away:
            world.fleet[away].is_dead = True
        for _ in range(3):
            await world.settle(LOOKED_FOR)
        if away:
            with pytest.raises(outcomes.CannotAbandonError, match="nobody has looked"):
                give_up(world, "order 1")
            world.fleet[away].is_dead = False
            await world.settle(CALM)
        assert give_up(world, "order 1") == 1

    play(scene, coins=1, daemons=2)


@pytest.mark.parametrize(("state", "refusal"), [("rejected", LOW_FEE), ("conflict", MISSING)])
def test_a_client_that_sends_again_does_not_put_off_the_end(state: str, refusal: str) -> None:
    """Servers say what they said before; the hour goes on from the first time."""

    async def scene(world: World) -> None:
        tx = await refused_after_silence(world, refusal)
        for _ in range(3):
            await world.settle(LOOKED_FOR / 3 + 1.0)
            told = failure_of(await world.broadcast(tx))
            assert (told.kind.name, "servers refused these bytes" in told.message) == ("outcome_unknown", True)
            assert world.publication(txid_of(tx)) == state
        assert give_up(world, "order 1") == 1

    play(scene, coins=1)


def test_a_client_that_sends_again_does_not_put_off_the_end_of_a_conflict() -> None:
    """Also where every attempt was answered."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        answers(world, "broadcast", lambda _tx: [False, MISSING])
        for _ in range(4):
            assert result_of(await world.broadcast(tx)) == [False, MISSING]
            await world.settle(LOOKED_FOR / 3 + 1.0)
        assert give_up(world, "order 1") == 1

    play(scene, coins=1)


def test_one_more_silence_begins_the_hour_anew() -> None:
    """That attempt may have brought the bytes out; one that never left may not."""

    async def scene(world: World) -> None:
        tx = await refused_after_silence(world, LOW_FEE)
        await world.settle(LOOKED_FOR)
        (sent,) = world.rows(publications)
        for daemon in world.fleet.values():
            daemon.is_dead = True
        failure_of(await world.broadcast(tx))
        assert world.rows(publications)[0].last_at == sent.last_at
        for daemon in world.fleet.values():
            daemon.is_dead, daemon.is_silent = False, True
        failure_of(await world.broadcast(tx))
        for daemon in world.fleet.values():
            daemon.is_silent = False
        answers(world, "broadcast", lambda _tx: [False, LOW_FEE])
        for _ in range(200):
            await world.settle(2.0)
        with pytest.raises(outcomes.CannotAbandonError, match="for another"):
            give_up(world, "order 1")
        await world.settle(LOOKED_FOR)
        assert give_up(world, "order 1") == 1

    play(scene, coins=1)


def test_a_silence_among_refusals_begins_the_hour_anew() -> None:
    """One server says what it said before, and the other one may have taken the bytes."""

    async def scene(world: World) -> None:
        tx = await refused_after_silence(world, LOW_FEE)
        await world.settle(LOOKED_FOR)
        world.fleet["ec-1"].is_silent = True
        failure_of(await world.broadcast(tx))
        assert world.publication(txid_of(tx)) == "unknown"
        world.fleet["ec-1"].is_silent = False
        for _ in range(200):
            await world.settle(2.0)
        assert world.publication(txid_of(tx)) == "rejected"
        with pytest.raises(outcomes.CannotAbandonError, match="for another"):
            give_up(world, "order 1")

    play(scene, coins=1, daemons=2)


def test_what_was_given_up_and_shows_up_on_the_chain_is_told() -> None:
    """Whoever paid anew must hear of it."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        result_of(await world.broadcast(tx))
        await world.settle(1.0)
        forget(world, tx)
        answers(world, "broadcast", lambda _tx: [False, LOW_FEE])
        for _ in range(200):
            await world.settle(2.0)
        await world.settle(LOOKED_FOR)
        give_up(world, "order 1")
        world.chain.accept(tx["hex"])
        world.chain.mine(1)
        await world.settle(CALM)
        assert "broadcast.out_after_all" in world.names()
        assert (await world.ask(key="order 1"))["state"] == "accepted"

    play(scene)
