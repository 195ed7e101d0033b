"""Payments against the sandbox's chain and wallets in this process, and a crash at every step of them."""

import asyncio
import json
from typing import Any

import pytest

from gateway.base.config import Client
from gateway.base.errors import Failure
from gateway.base.jsonrpc import Answer
from gateway.flow.carry import Carried
from gateway.ledger import broadcasts, epochs, payments
from gateway.ledger.schema import holds, intents, spending
from gateway.ledger.store import LedgerError
from gateway.rules.methods import Granted
from gateway.rules.transaction import parse
from tests.flow.payments_world import NAME, SHOP, STRANGER, World, failure_of, limited, play, result_of
from tests.virtual_time import run_virtual


async def sign(world: World, client: Client) -> Answer | Failure:
    """Have a transaction signed that the client made himself."""
    return await world.pay(method="signtransaction", params={"tx": "00"}, client=client)


def txid_of(answer: Answer | Failure) -> str:
    """The transaction in an answer."""
    return parse(result_of(answer)["hex"]).txid


# -- keys ---------------------------------------------------------------------------------------------------


def test_a_key_gives_the_same_bytes_again_without_asking_anybody() -> None:
    """Also when the daemon would sign something else by now."""

    async def scene(world: World) -> None:
        first = await world.pay("order 1")
        world.chain.mine(1)
        assert await world.pay("order 1") == first
        assert world.fleet["ec-1"].ran("payto") == 1
        assert world.key_states() == ["signed"]

    play(scene)


def test_twenty_payouts_at_once_take_twenty_coins_and_are_all_accepted() -> None:
    """Held in the ledger, frozen on the signer, signed one after the other."""

    async def scene(world: World) -> None:
        signed = await asyncio.gather(*(world.pay(f"order {n}") for n in range(20)))
        sent = await asyncio.gather(*(world.broadcast(result_of(one)["hex"]) for one in signed))
        assert [result_of(one)[0] for one in sent] == [True] * 20
        assert len({txid_of(one) for one in signed}) == 20
        assert world.fleet["ec-1"].ran("payto") == 20

    play(scene, coins=20)


def test_a_key_that_is_being_signed_is_in_progress() -> None:
    """For a second call that comes meanwhile, and not for one with another key."""

    async def scene(world: World) -> None:
        world.fleet["ec-1"].seconds = 1.0
        first = asyncio.create_task(world.pay("order 1"))
        await asyncio.sleep(0.5)
        assert failure_of(await world.pay("order 1")).kind.name == "key_in_progress"
        result_of(await first)

    play(scene)


def test_a_key_with_other_parameters_is_reused() -> None:
    """The password is no parameter; another client's key is another key."""

    async def scene(world: World) -> None:
        first = await world.pay("order 1")
        other = failure_of(await world.pay("order 1", 200_000))
        assert other.kind.name == "key_reused"
        assert not other.safe_to_repeat
        again = await world.pay("order 1", params={"destination": STRANGER, "amount": "0.001", "password": "x"})
        assert again == first
        stranger = world.payments.pay(
            limited(max_per_call="1").model_copy(update={"name": "till"}),
            world.granted("payto", [STRANGER, "0.002"]), world.loop.time() + 9, "order 1",
        )  # fmt: skip
        assert txid_of(await stranger) != txid_of(first)

    play(scene)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "a\x00b"])
def test_what_cannot_be_a_key_is_refused_before_anything_is_sent(key: str) -> None:
    """Empty, too long, with control characters."""

    async def scene(world: World) -> None:
        assert failure_of(await world.pay(key)).kind.name == "invalid_params"
        assert world.fleet["ec-1"].journal == []

    play(scene)


@pytest.mark.parametrize("answer", [{"error": "Password required"}, None, "Error: no"])
def test_an_error_frees_the_key_however_it_is_dressed(answer: Any) -> None:
    """Only signed bytes bind it, so another amount may be tried with it."""

    async def scene(world: World) -> None:
        daemon = world.fleet["ec-1"]
        daemon.mangle = lambda method, result: answer if method == "payto" else result
        told = await world.pay("order 1")
        assert isinstance(told, Answer)
        assert json.loads(told.result or b"") == answer
        assert world.key_states() == []
        daemon.mangle = lambda _method, result: result
        txid_of(await world.pay("order 1", 200_000))

    play(scene)


def test_an_error_of_the_daemon_passes_as_it_is_and_frees_the_key() -> None:
    """NotEnoughFunds in the daemon's own words."""

    async def scene(world: World) -> None:
        told = await world.pay("order 1", 10**10)
        assert isinstance(told, Answer)
        assert b"NotEnoughFunds" in (told.error or b"")
        assert world.key_states() == []

    play(scene)


def test_unsigned_bytes_bind_nothing() -> None:
    """They can be asked for again and again."""

    async def scene(world: World) -> None:
        params = {"destination": STRANGER, "amount": "0.001", "unsigned": True}
        assert not result_of(await world.pay("order 1", params=params))["complete"]
        assert (world.key_states(), world.holds()) == ([], {})

    play(scene)


def test_bytes_that_nobody_can_read_bind_nothing_and_are_told_to_nobody() -> None:
    """A daemon that calls garbage complete."""

    async def scene(world: World) -> None:
        garbage = {"hex": "00ff", "complete": True, "final": True}
        world.fleet["ec-1"].mangle = lambda method, result: garbage if method == "payto" else result
        assert failure_of(await world.pay("order 1")).kind.name == "result_withheld"
        assert world.key_states() == []
        assert result_of(await world.pay()) == garbage

    play(scene)


def test_a_password_by_position_is_handed_on_by_name() -> None:
    """Only so does the daemon take it; the others keep their values."""

    async def scene(world: World) -> None:
        await world.pay(params=[STRANGER, "0.001", None, None, None, None, False, False, "secret"])
        method, params = world.fleet["ec-1"].journal[0]
        assert (method, params["password"], params["destination"]) == ("payto", "secret", STRANGER)
        await world.pay(params=[STRANGER, "0.001"])
        assert world.fleet["ec-1"].journal[1] == ("payto", [STRANGER, "0.001"])

    play(scene)


def test_a_broken_off_signature_can_be_asked_for_again_with_its_key() -> None:
    """Nobody was told it, so it never was; without a key the client hears what he heard before."""

    async def scene(world: World) -> None:
        world.fleet["ec-1"].seconds = 20.0
        keyed, plain = failure_of(await world.pay("order 1", wait=1)), failure_of(await world.pay(wait=1))
        assert (keyed.kind.name, keyed.safe_to_repeat) == ("outcome_unknown", True)
        assert (plain.kind.name, plain.safe_to_repeat) == ("outcome_unknown", False)
        world.fleet["ec-1"].seconds = 0.001
        txid_of(await world.pay("order 1"))

    play(scene)


def test_a_turn_that_does_not_come_before_the_deadline_sends_nothing() -> None:
    """The lock is waited for no longer than the client waits."""

    async def scene(world: World) -> None:
        world.fleet["ec-1"].seconds = 5.0
        first = asyncio.create_task(world.pay("order 1", wait=6.0))
        await asyncio.sleep(0)
        late = failure_of(await world.pay("order 2", wait=2.0))
        assert late.kind.name == "deadline_before_send"
        await first
        assert world.fleet["ec-1"].ran("payto") == 1

    play(scene)


# -- coins --------------------------------------------------------------------------------------------------


def test_bytes_that_spend_a_held_coin_are_refused_and_signed_again_with_others() -> None:
    """The daemon forgot what it was told to freeze."""

    async def scene(world: World) -> None:
        first = await world.pay("order 1")
        world.fleet["ec-1"].wallet.notes.frozen_coins.clear()
        second = await world.pay("order 2")
        assert world.fleet["ec-1"].ran("payto") == 3
        plain = await world.pay()
        inputs = [set(parse(result_of(one)["hex"]).inputs) for one in (first, second, plain)]
        assert not inputs[0] & inputs[1]
        assert not (inputs[0] | inputs[1]) & inputs[2]
        assert "payment.signed_again" in world.names()

    play(scene)


def test_a_transaction_that_names_held_coins_itself_is_withheld() -> None:
    """Signing it once more would change nothing."""

    async def scene(world: World) -> None:
        signed = result_of(await world.pay("order 1"))
        other = parse(signed["hex"])
        # the same coin, another lock time
        text = other.hex[:-8] + "01000000"
        world.fleet["ec-1"].methods["signtransaction"] = lambda **_: {"hex": text, "complete": True, "final": True}
        told = failure_of(await world.pay(method="signtransaction", params={"tx": text}))
        assert told.kind.name == "result_withheld"
        assert sum(method == "signtransaction" for method, _ in world.fleet["ec-1"].journal) == 1

    play(scene)


def test_the_owners_freeze_is_not_taken_over() -> None:
    """A coin that the owner froze, and names in a transaction all the same, is not ours to lift."""

    async def scene(world: World) -> None:
        text = result_of(await world.pay())["hex"]
        coin = parse(text).inputs[0]
        world.fleet["ec-1"].wallet.notes.frozen_coins.append(coin)
        world.fleet["ec-1"].methods["signtransaction"] = lambda **_: {"hex": text, "complete": True, "final": True}
        result_of(await world.pay("order 1", method="signtransaction", params={"tx": text}))
        assert coin in world.holds()
        assert world.frozen() == set()

    play(scene)


def test_a_signer_that_has_not_heard_of_the_last_payment_waits() -> None:
    """It signs as soon as its history has it; where it never has, the client is told why."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())["hex"]
        world.fleet["ec-2"].lags = True
        result_of(await world.broadcast(tx))
        world.promote("ec-2")
        late = failure_of(await world.pay(wait=1.0))
        assert (late.kind.name, "ec-2 has not heard" in late.message) == ("no_backend", True)
        assert world.fleet["ec-2"].ran("payto") == 0
        waiting = asyncio.create_task(world.pay("order 1", wait=5.0))
        await asyncio.sleep(1.0)
        world.fleet["ec-2"].lags = False
        assert parse(result_of(await waiting)["hex"]).inputs != parse(tx).inputs

    play(scene, daemons=2)


def test_what_a_signer_signed_that_was_not_looked_at_is_told_to_nobody() -> None:
    """Promoted between the look and the call; that it was run is not called "not executed" afterwards."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())["hex"]
        world.fleet["ec-2"].lags = True
        result_of(await world.broadcast(tx))

        async def promoted(client: str, granted: Granted, deadline: float) -> Carried:
            world.payments.carry = world.carry
            world.promote("ec-2")
            return await world.carry(client, granted, deadline)

        world.payments.carry = promoted
        told = failure_of(await world.pay("order 1", wait=1.0))
        assert told.kind.name == "result_withheld"
        assert world.fleet["ec-2"].ran("payto") == 1
        assert world.key_states() == []

    play(scene, daemons=2)


def test_a_signer_that_lacks_freezes_waits() -> None:
    """The mirror says so."""

    async def scene(world: World) -> None:
        world.payments.may_sign = lambda _backend: False
        assert failure_of(await world.pay("order 1", wait=0.5)).kind.name == "no_backend"
        assert world.fleet["ec-1"].ran("payto") == 0

    play(scene)


# -- limits -------------------------------------------------------------------------------------------------

LARGE: list[tuple[str, Any]] = [
    ("payto", [STRANGER, "0.006"]),
    ("payto", [STRANGER, "!"]),
    ("paytomany", [[[STRANGER, "0.003"], [STRANGER, "0.003"]]]),
]


@pytest.mark.parametrize(("method", "params"), LARGE)
@pytest.mark.parametrize("key", [None, "order 1"])
def test_a_payment_above_the_limit_of_a_call_is_not_told(method: str, params: Any, key: str | None) -> None:
    """Whatever method made it; the key is free again and nothing is held."""

    async def scene(world: World) -> None:
        told = failure_of(await world.pay(key, method=method, params=params, client=limited(max_per_call="0.005")))
        assert told.kind.name == "limit_exceeded"
        assert (world.key_states(), world.holds(), world.rows(spending)) == ([], {}, [])

    play(scene)


def test_the_fee_counts() -> None:
    """A payment of exactly the limit is above it; what comes back to the wallet is not counted."""

    async def scene(world: World) -> None:
        client = limited(max_per_call="0.001")
        assert failure_of(await world.pay(client=client, sats=100_000)).kind.name == "limit_exceeded"
        result_of(await world.pay(client=client, sats=99_000))
        assert [row.satoshi for row in world.rows(spending)] == [99_219]

    play(scene)


def test_what_was_signed_today_counts_once_for_each_transaction() -> None:
    """The same bytes again cost nothing; the next day begins at nothing."""

    async def scene(world: World) -> None:
        client = limited(max_per_day="0.005")
        first = await world.pay("order 1", 300_000, client=client)
        assert await world.pay("order 1", 300_000, client=client) == first
        assert "max_per_day" in failure_of(await world.pay("order 2", 300_000, client=client)).message
        world.now += 86_400
        result_of(await world.pay("order 2", 300_000, client=client))

    play(scene)


def test_a_limit_is_no_guess() -> None:
    """Where nobody says what the coins are worth, a limited client gets nothing, and another one does."""

    async def scene(world: World) -> None:
        world.fleet["ec-1"].mangle = lambda method, result: "?" if method == "listunspent" else result
        told = failure_of(await world.pay("order 1", client=limited(max_per_call="1")))
        assert told.kind.name == "result_withheld"
        result_of(await world.pay("order 1"))

    play(scene)


def test_a_coin_that_is_spent_already_is_counted_all_the_same() -> None:
    """A signature over an old coin of the wallet: its value comes from the transaction that made it."""

    async def scene(world: World) -> None:
        first = result_of(await world.pay(sats=600_000))
        await world.broadcast(first["hex"])
        again = first | {"hex": first["hex"][:-8] + "01000000"}
        world.ledger.transact(lambda c: c.exec_driver_sql("delete from holds"))
        world.fleet["ec-1"].methods["signtransaction"] = lambda **_: again
        assert failure_of(await sign(world, limited(max_per_call="0.005"))).kind.name == "limit_exceeded"
        assert result_of(await sign(world, limited(max_per_call="0.01"))) == again

    play(scene)


def test_half_a_signature_cannot_be_counted() -> None:
    """For a limited client that did not ask for unsigned bytes."""

    async def scene(world: World) -> None:
        half = {"hex": "00", "complete": False, "final": True}
        world.fleet["ec-1"].methods["signtransaction"] = lambda **_: half
        assert failure_of(await sign(world, limited(max_per_call="1"))).kind.name == "result_withheld"
        assert result_of(await sign(world, SHOP)) == half

    play(scene)


# -- the ledger and the epoch -------------------------------------------------------------------------------


def test_a_signature_of_an_older_epoch_is_withheld() -> None:
    """Promoted while it was signed; the key is free for the new primary."""

    async def scene(world: World) -> None:
        world.fleet["ec-1"].seconds = 1.0
        tasks = [asyncio.create_task(world.pay(key)) for key in ("order 1", None)]
        await asyncio.sleep(0.5)
        epoch = world.pool.epoch
        world.ledger.transact(lambda c: epochs.promote(c, NAME, "ec-2", epoch, world.now))
        told = [failure_of(await task) for task in tasks]
        assert [one.kind.name for one in told] == ["result_withheld"] * 2
        assert all(one.safe_to_repeat for one in told)
        assert (world.key_states(), world.holds()) == ([], {})

    play(scene, daemons=2)


def test_with_the_ledger_away_keyed_payments_are_read_only_and_others_go_on() -> None:
    """A limit per day is counted there, so it needs it too; a limit per call does not."""

    async def scene(world: World) -> None:
        world.ledger.is_away = True
        assert failure_of(await world.pay("order 1")).kind.name == "read_only"
        assert failure_of(await world.pay(client=limited(max_per_day="1"))).kind.name == "read_only"
        assert world.fleet["ec-1"].journal == []
        tx = result_of(await world.pay())["hex"]
        result_of(await world.pay(client=limited(max_per_call="1")))
        assert result_of(await world.broadcast(tx)) == [True, parse(tx).txid]

    play(scene)


@pytest.mark.parametrize("is_new", [False, True])
def test_coins_of_a_key_are_kept_from_others_while_the_ledger_is_away(is_new: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Also where the daemon has forgotten what was frozen, and where another process bound the key."""

    async def scene(world: World) -> None:
        keyed = parse(result_of(await world.pay("order 1"))["hex"])
        if is_new:
            world.start()
        world.fleet["ec-1"].wallet.notes.frozen_coins.clear()
        world.ledger.is_away = True
        other = parse(result_of(await world.pay())["hex"])
        assert not set(keyed.inputs) & set(other.inputs)
        assert world.fleet["ec-1"].wallet.notes.frozen_coins == list(keyed.inputs)
        assert "payment.signed_again" in world.names()

    play(scene, coins=2)


def test_a_transaction_that_names_held_coins_is_withheld_while_the_ledger_is_away() -> None:
    """As it is with the ledger: no other signature would spend others."""

    async def scene(world: World) -> None:
        signed = result_of(await world.pay("order 1"))
        world.fleet["ec-1"].methods["signtransaction"] = lambda **_: signed
        world.ledger.is_away = True
        told = failure_of(await world.pay(method="signtransaction", params={"tx": signed["hex"]}))
        assert told.kind.name == "result_withheld"
        assert "another payment holds" in told.message

    play(scene)


def test_coins_that_were_freed_are_signed_with_while_the_ledger_is_away() -> None:
    """The settler hears of it each round, by whomever it was written."""

    async def scene(world: World) -> None:
        keyed = parse(result_of(await world.pay("order 1"))["hex"])
        world.ledger.transact(lambda c: payments.release(c, NAME, keyed.txid, world.now))
        await world.settle()
        world.fleet["ec-1"].wallet.notes.frozen_coins.clear()
        world.ledger.is_away = True
        assert parse(result_of(await world.pay())["hex"]).inputs == keyed.inputs

    play(scene, coins=1)


def test_coins_of_a_broadcast_are_kept_from_others_while_the_ledger_is_away() -> None:
    """Its bytes may be on their way."""

    async def scene(world: World) -> None:
        sent = parse(result_of(await world.pay())["hex"])
        world.fleet["ec-1"].is_silent = True
        assert failure_of(await world.broadcast(sent.hex)).kind.name == "outcome_unknown"
        world.fleet["ec-1"].wallet.notes.frozen_coins.clear()
        world.ledger.is_away = True
        other = parse(result_of(await world.pay())["hex"])
        assert not set(sent.inputs) & set(other.inputs)

    play(scene, coins=2)


def test_the_limit_of_a_call_holds_while_the_ledger_is_away() -> None:
    """It needs no ledger, so no trouble with one lifts it."""

    async def scene(world: World) -> None:
        world.ledger.is_away = True
        told = failure_of(await world.pay(client=limited(max_per_call="0.0005")))
        assert told.kind.name == "limit_exceeded"

    play(scene)


def test_a_wallet_whose_past_nobody_knows_binds_no_key_and_tells_what_was_bound() -> None:
    """A lost ledger would pay each key once more; what it has is told all the same, and what needs no key is signed."""

    async def scene(world: World) -> None:
        before = result_of(await world.pay("order 1"))
        world.payments.unbound = lambda: "nobody knows what was paid; look first"
        told = failure_of(await world.pay("order 2"))
        assert (told.kind.name, told.kind.executed) == ("read_only", "no")
        assert "look first" in told.message
        assert result_of(await world.pay("order 1")) == before
        result_of(await world.pay())
        world.payments.unbound = lambda: ""
        txid_of(await world.pay("order 2"))

    play(scene)


def test_a_signature_that_cannot_be_written_down_is_withheld() -> None:
    """The disk fills in between; afterwards the key signs anew."""

    async def scene(world: World) -> None:
        world.ledger.fail_at = 3
        assert failure_of(await world.pay("order 1")).kind.name == "result_withheld"
        txid_of(await world.pay("order 1"))
        world.ledger.fail_at = 3
        result_of(await world.pay())

    play(scene)


def test_every_call_leaves_an_intent_that_is_closed() -> None:
    """Answered, not executed, withheld, unknown: none stays open."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))["hex"]
        await world.pay(client=limited(max_per_call="0.0001"))
        await world.broadcast(tx)
        world.fleet["ec-1"].is_dead = True
        await world.pay(wait=0.5)
        states = [row.state for row in world.rows(intents)]
        assert states == ["answered", "withheld", "answered", "not_executed"]

    play(scene)


# -- broadcasts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("garbage", ["", "00", "zz", "01" * 100, {"hex": None}, {}, None, 7, ["00"]])
def test_garbage_is_refused_as_the_daemon_would_say_it(garbage: Any) -> None:
    """Nothing is sent, nothing is written down."""

    async def scene(world: World) -> None:
        assert result_of(await world.broadcast(garbage)) == [False, "error: The transaction could not be decoded."]
        assert world.fleet["ec-1"].journal == []

    play(scene)


def test_unsigned_bytes_are_garbage_too() -> None:
    """As for every server."""

    async def scene(world: World) -> None:
        unsigned = result_of(await world.pay(params={"destination": STRANGER, "amount": "0.001", "unsigned": True}))
        assert result_of(await world.broadcast(unsigned))[0] is False

    play(scene)


def test_the_same_bytes_again_are_success_each_time() -> None:
    """In the mempool, in a block, and six blocks deep without a call."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        txid = parse(tx["hex"]).txid
        for blocks in (0, 0, 1, 6):
            world.chain.mine(blocks)
            await world.settle()
            assert result_of(await world.broadcast(tx)) == [True, txid]
        assert world.fleet["ec-1"].ran("broadcast") == 3
        assert (world.publication(txid), world.key_states(), world.holds()) == ("confirmed", ["confirmed"], {})

    play(scene)


def test_a_conflict_is_told_as_a_conflict_and_holds_its_coins() -> None:
    """Until the chain has spoken for six blocks."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        other = tx["hex"][:-8] + "01000000"
        world.chain.accept(other)
        told = result_of(await world.broadcast(tx))
        assert told[0] is False
        assert "already-spent" in told[1]
        assert world.publication(parse(tx["hex"]).txid) == "conflict"
        assert set(world.holds().values()) == {parse(tx["hex"]).txid}

    play(scene)


def test_a_silent_server_is_left_for_another_daemon_before_the_deadline() -> None:
    """The second one says it; the coins are frozen on the primary before the first byte."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        world.fleet["ec-2"].is_silent = True
        world.publish_to = "ec-2"
        began = world.loop.time()
        assert result_of(await world.broadcast(tx))[0] is True
        assert world.loop.time() - began < 5.0
        coins = list(parse(tx["hex"]).inputs)
        assert world.fleet["ec-1"].wallet.notes.frozen_coins == coins
        assert world.frozen() == set(coins)

    play(scene, daemons=2)


def test_a_refusal_after_silence_is_not_the_last_word() -> None:
    """It is one server's policy; the one that was silent may have taken the bytes."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        world.publish_to = "ec-2"
        world.fleet["ec-2"].swallows = True
        world.fleet["ec-1"].methods["broadcast"] = lambda _tx: [False, "error: min relay fee not met"]
        assert failure_of(await world.broadcast(tx)).kind.name == "outcome_unknown"
        assert world.publication(parse(tx["hex"]).txid) == "unknown"

    play(scene, daemons=2)


TILL = SHOP.model_copy(update={"name": "till"})

MISSING = "error: Transaction could not be broadcast due to missing, already-spent, or otherwise invalid inputs."
REFUSALS = ["error: min relay fee not met", MISSING]


@pytest.mark.parametrize("key", [None, "order 1"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_of_bytes_that_an_earlier_call_may_have_brought_out_is_not_the_last_word(
    refusal: str, key: str | None
) -> None:
    """The chain may have them from then; whoever believes the second server would pay once more."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay(key))
        txid = parse(tx["hex"]).txid
        for daemon in world.fleet.values():
            daemon.lags = daemon.swallows = True
        assert failure_of(await world.broadcast(tx)).kind.name == "outcome_unknown"
        world.fleet["ec-2"].swallows = False
        world.fleet["ec-2"].methods["broadcast"] = lambda _tx: [False, refusal]
        world.publish_to = "ec-2"
        world.start()
        assert failure_of(await world.broadcast(tx)).kind.name == "outcome_unknown"
        assert (world.publication(txid), set(world.holds().values())) == ("unknown", {txid})
        for daemon in world.fleet.values():
            daemon.lags = False
        await world.settle(1.0)
        assert world.publication(txid) == "accepted"

    play(scene, daemons=2)


def test_missing_coins_after_silence_are_not_the_last_word_either() -> None:
    """They may be missing because the first server had the bytes put into a block."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        world.publish_to = "ec-2"
        world.fleet["ec-2"].swallows = world.fleet["ec-1"].lags = True
        world.fleet["ec-1"].methods["broadcast"] = lambda _tx: [False, MISSING]
        assert failure_of(await world.broadcast(tx)).kind.name == "outcome_unknown"
        assert world.publication(parse(tx["hex"]).txid) == "unknown"

    play(scene, daemons=2)


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_a_refusal_says_nothing_of_what_another_call_sends_meanwhile(delay: float) -> None:
    """Whichever of the two began first, and whichever hears first: the other one's server may have the bytes."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        txid = parse(tx["hex"]).txid
        world.fleet["ec-1"].swallows = True
        world.fleet["ec-2"].methods["broadcast"] = lambda _tx: [False, REFUSALS[0]]
        world.fleet["ec-2"].seconds = 1.0
        world.publish_to = "ec-2"
        refused = asyncio.create_task(world.broadcast(tx))
        await asyncio.sleep(delay)
        world.publish_to = "ec-1"
        silent = asyncio.create_task(world.broadcast(tx, client=TILL, wait=5.0))
        assert failure_of(await refused).kind.name == "outcome_unknown"
        assert failure_of(await silent).kind.name == "outcome_unknown"
        assert (world.publication(txid), set(world.holds().values())) == ("unknown", {txid})

    play(scene, daemons=2)


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_a_client_that_asks_once_more_meanwhile_hears_what_his_first_call_hears(delay: float) -> None:
    """As after a hang-up: sent twice at once, neither of them could believe that a server refuses the bytes."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        world.fleet["ec-1"].methods["broadcast"] = lambda _tx: [False, REFUSALS[0]]
        world.fleet["ec-1"].seconds = 1.0
        calls = [asyncio.create_task(world.broadcast(tx))]
        await asyncio.sleep(delay)
        calls += [asyncio.create_task(world.broadcast(tx)) for _ in range(2)]
        assert [result_of(await one) for one in calls] == [[False, REFUSALS[0]]] * 3
        assert world.fleet["ec-1"].ran("broadcast") == 1
        assert (world.holds(), world.frozen()) == ({}, set())

    play(scene)


def test_a_call_that_waits_for_another_one_tries_by_itself_once_that_has_no_answer() -> None:
    """The first one had no time; the second has, and one that has none is not told that nothing was sent."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        txid = parse(tx["hex"]).txid
        world.fleet["ec-1"].is_silent = True
        first = asyncio.create_task(world.broadcast(tx, wait=3.0))
        await asyncio.sleep(0.1)
        hasty = asyncio.create_task(world.broadcast(tx, wait=1.0))
        patient = asyncio.create_task(world.broadcast(tx, wait=20.0))
        told = failure_of(await hasty)
        assert (told.kind.name, told.safe_to_repeat) == ("outcome_unknown", True)
        assert "another call of yours is sending these bytes" in told.message
        assert failure_of(await first).kind.name == "outcome_unknown"
        world.fleet["ec-1"].is_silent = False
        assert result_of(await patient) == [True, txid]
        assert world.fleet["ec-1"].ran("broadcast") > 1

    play(scene)


def test_a_call_that_is_broken_off_leaves_the_next_one_to_send_the_bytes() -> None:
    """As when a wallet's rooms are closed under it."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        world.fleet["ec-1"].seconds = 1.0
        first = asyncio.create_task(world.broadcast(tx))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(world.broadcast(tx))
        await asyncio.sleep(0.1)
        first.cancel()
        assert result_of(await second) == [True, parse(tx["hex"]).txid]

    play(scene)


def test_bytes_that_went_out_while_the_ledger_was_away_may_be_out_for_the_next_call_too() -> None:
    """The process remembers what the ledger could not."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        world.fleet["ec-1"].swallows = world.fleet["ec-1"].lags = world.ledger.is_away = True
        assert failure_of(await world.broadcast(tx)).kind.name == "outcome_unknown"
        world.fleet["ec-1"].swallows = world.ledger.is_away = False
        world.fleet["ec-1"].methods["broadcast"] = lambda _tx: [False, REFUSALS[0]]
        assert failure_of(await world.broadcast(tx)).kind.name == "outcome_unknown"
        assert world.publication(parse(tx["hex"]).txid) == "unknown"

    play(scene)


def test_a_refusal_frees_no_coins_of_bytes_that_a_history_had_meanwhile() -> None:
    """Somebody else has sent the same bytes, and this call's server is late to hear of them."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        txid = parse(tx["hex"]).txid
        world.fleet["ec-1"].methods["broadcast"] = lambda _tx: [False, REFUSALS[0]]
        world.fleet["ec-1"].seconds = 1.0
        call = asyncio.create_task(world.broadcast(tx))
        await asyncio.sleep(2.5)
        world.ledger.transact(lambda c: broadcasts.spoke(c, NAME, txid, "accepted", world.now))
        await call
        assert (world.publication(txid), set(world.holds().values())) == ("accepted", {txid})

    play(scene)


def test_a_plain_refusal_is_told_and_frees_the_coins() -> None:
    """Nothing was sent that could be out, and the key keeps what it holds."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        refusal = [False, "error: min relay fee not met"]
        world.fleet["ec-1"].methods["broadcast"] = lambda _tx: refusal
        assert result_of(await world.broadcast(tx)) == refusal
        assert (world.holds(), world.frozen()) == ({}, set())

    play(scene)


def test_a_conflict_with_itself_is_none() -> None:
    """A server that knows only spent coins, of bytes that are in a block already."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        world.chain.accept(tx["hex"])
        text = "error: Transaction could not be broadcast due to missing, already-spent, or otherwise invalid inputs."
        world.fleet["ec-1"].methods["broadcast"] = lambda _tx: [False, text]
        assert result_of(await world.broadcast(tx)) == [True, parse(tx["hex"]).txid]

    play(scene)


def test_what_the_chain_took_stays_taken_when_another_daemon_misses_its_coins() -> None:
    """A server says so of whatever was spent; a shop that reads "conflict" would pay anew."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        txid = parse(tx["hex"]).txid
        assert result_of(await world.broadcast(tx)) == [True, txid]
        text = "error: Transaction could not be broadcast due to missing, already-spent, or otherwise invalid inputs."
        world.fleet["ec-2"].methods |= {"broadcast": lambda _tx: [False, text], "history": list}
        world.publish_to = "ec-2"
        assert result_of(await world.broadcast(tx)) == [True, txid]
        assert world.publication(txid) == "accepted"

    play(scene, daemons=2)


def test_a_key_that_is_given_up_while_its_broadcast_begins_stops_it() -> None:
    """Its coins may be another payment's by now; whatever the operator was told stays so."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        asked = world.payments.publisher._coins

        async def given_up(*arguments: Any) -> Any:
            world.ledger.transact(lambda c: c.exec_driver_sql("update keys set state = 'abandoned', result = null"))
            return await asked(*arguments)

        world.payments.publisher._coins = given_up  # type: ignore[assignment,method-assign]  # a moment that nothing else gives
        assert failure_of(await world.broadcast(tx)).kind.name == "method_refused"
        assert world.chain.view.mempool == []

    play(scene)


def test_what_the_chain_has_counts_before_what_was_given_up() -> None:
    """To take a new key then would be to pay twice."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        result_of(await world.broadcast(tx))
        world.ledger.transact(lambda c: c.exec_driver_sql("update keys set state = 'abandoned', result = null"))
        assert (await world.ask(key="order 1"))["state"] == "accepted"

    play(scene)


def test_a_ledger_that_hangs_does_not_hold_up_a_broadcast() -> None:
    """The bytes go out, and "not executed" is said of nothing that may still be written down and sent."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        run = world.ledger.run

        async def hangs(work: Any) -> Any:
            await asyncio.sleep(20.0)
            return await run(work)

        world.ledger.run = hangs  # type: ignore[method-assign]  # as with a disk that stalls
        began = world.loop.time()
        assert result_of(await world.broadcast(tx)) == [True, parse(tx["hex"]).txid]
        assert world.loop.time() - began < 4.0
        world.fleet["ec-1"].is_dead = True
        other = tx["hex"][:-8] + "01000000"
        writes = 0

        async def hangs_later(work: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes > 1:
                await asyncio.sleep(20.0)
            return await run(work)

        world.ledger.run = hangs_later  # type: ignore[method-assign]  # the first one only looks
        assert failure_of(await world.broadcast(other)).kind.name == "outcome_unknown"

    play(scene)


def test_an_unknown_broadcast_is_told_as_such_and_stays_held() -> None:
    """It does not keep others from signing, with other coins."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        world.fleet["ec-1"].swallows = True
        told = failure_of(await world.broadcast(tx))
        assert (told.kind.name, told.safe_to_repeat) == ("outcome_unknown", True)
        txid = parse(tx["hex"]).txid
        assert world.publication(txid) == "unknown"
        other = parse(txid_and_hex(await world.pay("order 1")))
        assert not set(other.inputs) & set(parse(tx["hex"]).inputs)
        world.fleet["ec-1"].swallows = False
        await world.settle()
        assert world.publication(txid) == "accepted"
        assert (await world.ask(txid=txid))["state"] == "accepted"

    play(scene)


def txid_and_hex(answer: Answer | Failure) -> str:
    """The bytes of an answer."""
    found = result_of(answer)["hex"]
    assert isinstance(found, str)
    return found


def test_what_provably_never_left_is_taken_back() -> None:
    """Told as not executed, and so never sent in the background."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay())
        world.fleet["ec-1"].is_dead = True
        assert failure_of(await world.broadcast(tx)).kind.name == "no_backend"
        world.fleet["ec-1"].is_dead = False
        await world.settle(5.0)
        assert world.chain.view.mempool == []
        assert (world.holds(), world.frozen()) == ({}, set())
        world.fleet["ec-1"].is_dead = True
        # the first transaction looks, the second writes, the third takes back
        world.ledger.fail_at = 3
        assert failure_of(await world.broadcast(tx)).kind.name == "outcome_unknown"

    play(scene)


def test_bytes_of_a_key_that_was_given_up_are_not_sent() -> None:
    """Their coins may be another payment's by now."""

    async def scene(world: World) -> None:
        tx = result_of(await world.pay("order 1"))
        world.ledger.transact(lambda c: c.exec_driver_sql("update keys set state = 'abandoned', result = null"))
        assert failure_of(await world.broadcast(tx)).kind.name == "method_refused"
        again = failure_of(await world.pay("order 1"))
        assert again.kind.name == "key_reused"
        assert parse(tx["hex"]).txid in again.message
        assert (await world.ask(key="order 1"))["state"] == "abandoned"

    play(scene)


# -- outcomes -----------------------------------------------------------------------------------------------


def test_an_outcome_says_what_to_do_next_at_each_stage() -> None:
    """Unknown, signed, accepted, confirmed; by key and by transaction."""

    async def scene(world: World) -> None:
        assert (await world.ask(key="order 1"))["state"] == "unknown_here"
        assert (await world.ask(txid="00" * 32))["state"] == "unknown_here"
        tx = result_of(await world.pay("order 1"))
        txid = parse(tx["hex"]).txid
        assert (await world.ask(key="order 1"))["state"] == (await world.ask(txid=txid))["state"] == "signed"
        await world.broadcast(tx)
        found = await world.ask(key="order 1")
        assert (found["state"], found["txid"], found["confirmations"]) == ("accepted", txid, 0)
        world.chain.mine(2)
        await world.settle()
        await world.settle()
        assert (await world.ask(key="order 1"))["confirmations"] == 2
        world.chain.mine(6)
        await world.settle()
        await world.settle()
        assert (await world.ask(txid=txid.upper()))["state"] == "confirmed"

    play(scene)


def test_a_key_that_looks_like_a_transaction_is_found_whichever_it_is() -> None:
    """Shops whose keys are hashes ask by position too, and are not told that theirs is unknown."""

    async def scene(world: World) -> None:
        async def ask(text: str) -> dict[str, Any]:
            found = result_of(await world.outcomes.handle(SHOP, json.dumps([text]).encode()))
            assert isinstance(found, dict)
            return found

        key = "AB" * 32
        told = (await ask(key))["next_step"]
        assert told.endswith("if it is a txid, look on the chain; if it is a key, it may be used")
        world.outcomes.unbound = lambda: "adopt the wallet"
        told = (await ask(key))["next_step"]
        assert told.endswith("if it is a txid, look on the chain; if it is a key, that says nothing: adopt the wallet")
        txid = txid_of(await world.pay(key))
        for text in (key, txid):
            assert ((await ask(text))["state"], (await ask(text))["txid"]) == ("signed", txid)
        assert (await world.ask(txid=key))["state"] == "unknown_here"

    play(scene)


def test_a_key_that_is_not_known_is_not_called_free_by_a_ledger_that_may_have_lost_keys() -> None:
    """Whoever used it then would pay once more; one that is known is told as always."""

    async def scene(world: World) -> None:
        await world.pay("order 1")
        world.outcomes.unbound = lambda: "the ledger is an older copy; adopt the wallet"
        for query in ({"key": "order 2"}, {"key": "ab" * 32}):
            found = await world.ask(**query)
            assert found["state"] == "unknown_here"
            assert "adopt the wallet" in found["next_step"]
            assert "may be used" not in found["next_step"]
        assert (await world.ask(key="order 1"))["state"] == "signed"

    play(scene)


@pytest.mark.parametrize("params", [b"", b"[]", b'["a", "b"]', b"[7]", b'{"key": "a", "txid": "b"}', b'{"who": "x"}'])
def test_a_question_that_is_none_is_told_how_to_ask(params: bytes) -> None:
    """And one to a ledger that is away is told so."""

    async def scene(world: World) -> None:
        told = failure_of(await world.outcomes.handle(limited(), params))
        assert "gateway.outcome takes" in told.message
        world.ledger.is_away = True
        assert failure_of(await world.outcomes.handle(limited(), b'["order 1"]')).kind.name == "read_only"

    play(scene)


# -- crashes ------------------------------------------------------------------------------------------------


async def pay_and_send(world: World, key: str) -> None:
    """What a client does: sign, and broadcast what was signed."""
    signed = await world.pay(key)
    if isinstance(signed, Answer) and signed.result is not None:
        await world.broadcast(json.loads(signed.result))


async def crash_at(step: int) -> bool:
    """Crash at a step of three payments, start again, let the clients repeat; return whether there was such a step."""
    world = World(asyncio.get_running_loop(), coins=4, daemons=2)
    world.crash_at = world.steps + step
    keys = ["order 1", "order 2", "order 3"]
    await asyncio.gather(*(pay_and_send(world, key) for key in keys), return_exceptions=True)
    has_crashed = world.has_crashed
    if step % 2:
        world.primary = "ec-2"
    world.start()
    if step % 3 == 0:
        # a daemon that was restarted has forgotten its freezes; the mirror, which gives them back, is not here
        world.fleet[world.primary].wallet.notes.frozen_coins.clear()
    held = [row.outpoint for row in world.rows(holds)]
    assert len(held) == len(set(held))
    await asyncio.gather(*(pay_and_send(world, key) for key in keys))
    for _ in range(3):
        await world.settle(2.0)
    check(world, keys)
    assert all(row.state != "open" for row in world.rows(intents))
    return has_crashed


def check(world: World, keys: list[str]) -> None:
    """One transaction for a key, no coin in two of them, all of them in the chain."""
    told: dict[str, set[str]] = {key: set() for key in keys}
    coins: dict[str, str] = {}
    for key, result in world.told:
        tx = parse(result["hex"])
        told[key].add(tx.txid)
        for coin in tx.inputs:
            assert coins.setdefault(coin, tx.txid) == tx.txid
    assert all(len(found) == 1 for found in told.values()), told
    assert {next(iter(found)) for found in told.values()} == set(world.chain.view.mempool)
    assert world.key_states() == ["published"] * len(keys)


@pytest.mark.simulation
def test_a_crash_at_any_step_costs_no_payment_and_makes_none_twice() -> None:
    """Every transaction and every call to a daemon, before and after it."""

    async def all_steps() -> int:
        step = 1
        while await crash_at(step):
            step += 1
        return step

    assert run_virtual(all_steps()) > 80


@pytest.mark.simulation
def test_a_ledger_that_fails_at_any_transaction_costs_no_payment_and_makes_none_twice() -> None:
    """Each of those that two payments make; whoever was told of it asks again."""

    async def fail_at(transaction: int) -> None:
        world = World(asyncio.get_running_loop(), coins=4)
        world.ledger.fail_at = transaction
        keys = ["order 1", "order 2"]
        await asyncio.gather(*(pay_and_send(world, key) for key in keys))
        await asyncio.gather(*(pay_and_send(world, key) for key in keys))
        await world.settle(2.0)
        await world.settle(2.0)
        check(world, keys)

    async def all_of_them() -> None:
        for transaction in range(1, 25):
            await fail_at(transaction)

    run_virtual(all_of_them())


def test_a_ledger_error_says_so() -> None:
    """The fake fails where it was told to."""

    async def scene(world: World) -> None:
        world.ledger.fail_at = 1
        with pytest.raises(LedgerError):
            await world.ledger.run(lambda _connection: None)

    play(scene)
