"""Payments: what payto promises, what broadcast answers, and how two daemons get in each other's way."""

from typing import Any

import pytest

from gateway.sandbox.addresses import Address
from gateway.sandbox.fleet import Fleet, RpcError
from tests.sandbox.conftest import COIN, change, fund, receiving

pytestmark = pytest.mark.integration

SHOP = Address("p2pkh", b"\x11" * 20).text
"""An address that no wallet of these tests owns."""

IN_MEMPOOL = [False, "error: The transaction already exists in the server's mempool."]
IN_CHAIN = [False, "error: The transaction already exists in the blockchain."]
CONFLICT = [
    False,
    "error: Transaction could not be broadcast due to missing, already-spent, or otherwise invalid inputs.",
]
GARBAGE = [False, "error: The transaction could not be decoded."]


def payto(fleet: Fleet, index: int, amount: object, **options: Any) -> Any:
    """An answer of payto to an address outside the wallet."""
    return fleet.rpc(index, "payto", destination=SHOP, amount=amount, **options)


def inputs(fleet: Fleet, made: dict[str, Any]) -> list[str]:
    """The coins that a payment spends."""
    told = fleet.rpc(0, "deserialize", made["hex"])
    return [f"{each['prevout_hash']}:{each['prevout_n']}" for each in told["inputs"]]


def outputs(fleet: Fleet, made: dict[str, Any]) -> dict[str, int]:
    """Where a payment goes, in satoshis."""
    told = fleet.rpc(0, "deserialize", made["hex"])
    return {each["address"]: each["value"] for each in told["outputs"]}


def test_payto_is_deterministic_and_changes_nothing(two: Fleet) -> None:
    """The same call gives the same bytes on both daemons, sends and reserves nothing, and follows height not labels."""
    txid = fund(two, receiving(two)[0])
    made = payto(two, 0, "0.1")
    assert (made["complete"], made["final"]) == (True, True)
    two.rpc(0, "setlabel", txid, "name")
    two.rpc(0, "createnewaddress")
    assert payto(two, 0, "0.1") == payto(two, 1, "0.1") == made
    assert two.chain("mempool") == {"mempool": []}
    assert two.rpc(0, "getbalance") == {"confirmed": "1"}
    assert len(two.rpc(0, "history")) == 1
    two.chain("mine")
    assert payto(two, 0, "0.1") != made
    assert payto(two, 0, "0.1", locktime=121) == made


def test_two_payments_before_a_broadcast_take_the_same_coins(two: Fleet) -> None:
    """One daemon's is accepted, the other's is refused with the words for spent inputs, from both doors."""
    fund(two, receiving(two)[0])
    fund(two, receiving(two)[1])
    ours, theirs = payto(two, 0, "0.1"), payto(two, 1, "0.2")
    assert inputs(two, ours) == inputs(two, theirs)
    accepted, txid = two.rpc(0, "broadcast", ours["hex"])
    assert accepted is True
    assert [two.rpc(index, "broadcast", theirs["hex"]) for index in (0, 1)] == [CONFLICT, CONFLICT]
    assert [two.rpc(index, "history")[0]["txid"] for index in (0, 1)] == [txid, txid]


def test_the_same_bytes_again_are_refused_in_words_that_mean_success(two: Fleet) -> None:
    """Known in the mempool and known in a block have a text each, the same from every daemon."""
    fund(two, receiving(two)[0])
    made = payto(two, 0, "0.1")
    assert two.rpc(0, "broadcast", made["hex"])[0] is True
    assert [two.rpc(index, "broadcast", made["hex"]) for index in (0, 1)] == [IN_MEMPOOL] * 2
    assert two.rpc(0, "broadcast", made) == IN_MEMPOOL
    two.chain("mine")
    assert [two.rpc(index, "broadcast", made["hex"]) for index in (0, 1)] == [IN_CHAIN] * 2


def test_broadcast_of_what_is_no_transaction_is_a_result_and_no_error(one: Fleet) -> None:
    """Garbage, cut and unsigned transactions cannot be decoded; nothing at all has a text of its own."""
    fund(one, receiving(one)[0])
    made, unsigned = payto(one, 0, "0.1"), payto(one, 0, "0.1", unsigned=True)
    for text in ("garbage", "00", "ff" * 200, made["hex"][:-2], made["hex"] + "00", unsigned["hex"], unsigned):
        assert one.rpc(0, "broadcast", text) == GARBAGE
    for nothing in ("", None):
        assert one.rpc(0, "broadcast", nothing) == [False, "error: object of type 'NoneType' has no len()"]
    with pytest.raises(RpcError, match=r"BaseException: \('cannot initialize transaction', 5\)"):
        one.rpc(0, "broadcast", 5)
    assert one.chain("mempool") == {"mempool": []}


def test_a_transaction_out_of_nothing_is_refused(one: Fleet) -> None:
    """Outputs that exceed the inputs are for the chain what spent inputs are."""
    fund(one, receiving(one)[0])
    honest = payto(one, 0, "0.1")["hex"]
    more = (10_000_000).to_bytes(8, "little").hex(), (90_000_001).to_bytes(8, "little").hex()
    assert honest.count(more[0]) == 1
    assert one.rpc(0, "broadcast", honest.replace(*more)) == CONFLICT


def test_frozen_coins_are_not_spent(one: Fleet) -> None:
    """Both freeze and freeze_utxo make payto choose others, unknown coins can be frozen too; unfreeze ends it."""
    txids = [fund(one, address) for address in receiving(one)[:2]]
    assert inputs(one, payto(one, 0, "0.1"))[0].partition(":")[0] in txids
    for txid in txids:
        assert one.rpc(0, "freeze_utxo", f"{txid}:0") is True
        (other,) = set(txids) - {txid}
        assert inputs(one, payto(one, 0, "0.1")) == [f"{other}:0"]
        assert one.rpc(0, "unfreeze_utxo", f"{txid}:0") is True
    assert one.rpc(0, "freeze_utxo", "0" * 64 + ":7") is True
    with pytest.raises(RpcError, match="AssertionError: invalid outpoint"):
        one.rpc(0, "freeze_utxo", "x")
    assert [one.rpc(0, "freeze", address) for address in receiving(one)[:2]] == [True, True]
    with pytest.raises(RpcError, match="NotEnoughFunds"):
        payto(one, 0, "0.1")
    assert one.rpc(0, "freeze", SHOP) is False
    assert one.rpc(0, "unfreeze", receiving(one)[0]) is True
    assert inputs(one, payto(one, 0, "0.1")) == [f"{txids[0]}:0"]


def test_addtransaction_changes_the_daemon_alone(two: Fleet) -> None:
    """Any true value books the payment here, unsent; the next builds on it; stop and start forget it."""
    fund(two, receiving(two)[0])
    first = payto(two, 0, "0.05", addtransaction="no")
    assert two.rpc(0, "getbalance") == {"confirmed": "1", "unconfirmed": "-0.05000219"}
    assert two.rpc(1, "getbalance") == {"confirmed": "1"}
    assert two.chain("mempool") == {"mempool": []}
    second = payto(two, 0, "0.05", addtransaction=True)
    spent = {coin.partition(":")[0] for coin in inputs(two, second)}
    assert spent == {two.rpc(0, "history")[1]["txid"]}
    assert two.rpc(0, "broadcast", second["hex"]) == CONFLICT
    assert two.rpc(0, "broadcast", first["hex"])[0] is True
    assert two.rpc(0, "broadcast", second["hex"])[0] is True
    assert two.rpc(0, "getbalance") == two.rpc(1, "getbalance")
    balance = two.rpc(0, "getbalance")
    payto(two, 0, "0.05", addtransaction=True)
    assert two.rpc(0, "getbalance") != balance
    two.rpc(0, "stop")
    two.wait_end(0)
    two.start(0)
    assert two.rpc(0, "getbalance") == balance


def test_a_local_payment_vanishes_when_its_coins_are_spent_elsewhere(two: Fleet) -> None:
    """B spends the coin; what A had booked on it is gone, and A agrees with B."""
    fund(two, receiving(two)[0])
    payto(two, 0, "0.05", addtransaction=1)
    assert two.rpc(1, "broadcast", payto(two, 1, "0.2")["hex"])[0] is True
    assert two.rpc(0, "getbalance") == two.rpc(1, "getbalance")
    assert two.rpc(0, "history") == two.rpc(1, "history")


@pytest.mark.parametrize("unsigned", [False, True])
def test_change_addresses_diverge_unless_the_other_daemon_makes_them_too(two: Fleet, *, unsigned: bool) -> None:
    """After 30 payouts in one block's time B has lost the change from sight; an unsigned payto after each keeps it."""
    fund(two, receiving(two)[0])
    for _ in range(30):
        assert two.rpc(0, "broadcast", payto(two, 0, "0.001")["hex"])[0] is True
        if unsigned:
            payto(two, 1, "0.001", unsigned=True)
    assert len(change(two, 0)) == 30
    assert two.rpc(0, "getbalance") == {"confirmed": "1", "unconfirmed": "-0.0300657"}
    assert two.rpc(1, "is_synchronized") is True
    if unsigned:
        assert len(change(two, 1)) >= 30
        assert two.rpc(1, "getbalance") == two.rpc(0, "getbalance")
        assert payto(two, 1, "0.001")["complete"] is True
        return
    assert len(change(two, 1)) == 20
    assert two.rpc(1, "getbalance") == {"confirmed": "1", "unconfirmed": "-1"}
    with pytest.raises(RpcError, match="NotEnoughFunds"):
        payto(two, 1, "0.001")


@pytest.fixture(scope="module")
def rich(shop: Fleet) -> Fleet:
    """A daemon with two coins of 1, and calls that leave them there."""
    for address in receiving(shop)[:2]:
        fund(shop, address)
    return shop


def test_payments_are_put_together_as_the_real_one_does_it(rich: Fleet) -> None:
    """Truncated numbers, all there is, several outputs, a chosen coin, a rest too small to keep, fees."""
    first, second, third, *_ = receiving(rich)
    assert outputs(rich, payto(rich, 0, 0.009))[SHOP] == 899_999
    assert outputs(rich, payto(rich, 0, "0.009"))[SHOP] == 900_000
    assert outputs(rich, payto(rich, 0, "!")) == {SHOP: 2 * COIN - 326}
    assert outputs(rich, payto(rich, 0, "0.999995")) == {SHOP: 99_999_500}
    assert outputs(rich, payto(rich, 0, "0", change_addr=third)) == {SHOP: 0, third: COIN - 219}
    assert outputs(rich, payto(rich, 0, "0.1", fee="0.0001", change_addr=third))[third] == 89_990_000
    assert outputs(rich, payto(rich, 0, "0.1", feerate=2, change_addr=third))[third] == 90_000_000 - 438
    assert outputs(rich, payto(rich, 0, "0.1", op_return="hi", change_addr=third))[third] == 90_000_000 - 232
    for owner in (first, second):
        told = rich.rpc(0, "deserialize", payto(rich, 0, "0.1", from_addr=owner)["hex"])
        assert [each["address"] for each in told["inputs"]] == [owner]
    many = rich.rpc(0, "paytomany", outputs=[[SHOP, "!"], [third, "0.2"]])
    assert outputs(rich, many) == {SHOP: 2 * COIN - 20_000_000 - 360, third: 20_000_000}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"amount": "5"}, "NotEnoughFunds"),
        ({"amount": "abc"}, r"InvalidOperation: \[<class 'decimal.ConversionSyntax'>\]"),
        ({"amount": None}, "AssertionError"),
        ({"amount": "-1"}, "OverflowError: can't convert negative int to unsigned"),
        ({"amount": "0.1", "fee": "0.001"}, "ExcessiveFee"),
        ({"amount": "0.1", "feerate": 2000}, "ExcessiveFee"),
        ({"amount": "0.1", "from_addr": SHOP}, "NotEnoughFunds"),
        ({"amount": "0.1", "password": "x"}, "InvalidPassword: Incorrect password"),
        ({"amount": "0.1", "destination": "x"}, r"RuntimeWarning: \('Invalid Bitcoin address or alias', 'x'\)"),
    ],
)
def test_payto_refuses_in_the_words_of_the_real_one(rich: Fleet, options: dict[str, Any], error: str) -> None:
    """Each mistake has the name and the text that clients know."""
    with pytest.raises(RpcError, match=error):
        rich.rpc(0, "payto", **{"destination": SHOP, **options})


def test_a_payment_that_asks_twice_for_all_is_refused(rich: Fleet) -> None:
    """Only one output may take what there is."""
    with pytest.raises(RpcError, match="BaseException: More than one output set to spend max"):
        rich.rpc(0, "paytomany", [[SHOP, "!"], [receiving(rich)[3], "!"]])
