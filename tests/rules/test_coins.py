"""What daemons tell of coins, and what bytes take out."""

from typing import Any

import pytest

from gateway.rules.cashaddr import REGTEST, Address
from gateway.rules.coins import Coin, Entry, address_of, read_history, read_unspent, taken_out
from gateway.rules.transaction import Output, Transaction

HASH, LONG = b"\x07" * 20, b"\x07" * 32
TO_KEY = b"\x76\xa9\x14" + HASH + b"\x88\xac"
TO_SCRIPT = b"\xa9\x14" + HASH + b"\x87"
TO_LONG_SCRIPT = b"\xaa\x20" + LONG + b"\x87"


def row(**changes: object) -> dict[str, object]:
    """A row of listunspent."""
    return {"prevout_hash": "ab", "prevout_n": 1, "value": "0.00000007", "is_frozen_coin": True, **changes}


def test_coins_are_read_with_their_value_and_freeze() -> None:
    """Electrum's rows say nothing of a freeze."""
    assert read_unspent([row()]) == {"ab:1": Coin(7, is_frozen=True)}
    plain = row()
    del plain["is_frozen_coin"]
    assert read_unspent([plain]) == {"ab:1": Coin(7, is_frozen=False)}


@pytest.mark.parametrize("answer", [None, {}, "x", [1], [{}], [row(value="x")], [row(prevout_n=None)]])
def test_coins_that_cannot_be_read_are_told(answer: Any) -> None:
    """Never taken for none."""
    with pytest.raises(ValueError, match=r"no list|cannot be read|no amount"):
        read_unspent(answer)


def test_histories_of_both_families_are_read() -> None:
    """A plain receipt spends nothing of ours; where a daemon does not say, it may."""
    rows = [
        {"txid": "a", "confirmations": 3, "fee": "--", "value": "--"},
        {"txid": "b", "confirmations": 0, "fee": "0.000002", "value": "-0.1"},
        {"txid": "c", "confirmations": None},
    ]
    found = {"a": Entry(3, spends_own=False), "b": Entry(0, spends_own=True), "c": Entry(0, spends_own=True)}
    assert read_history(rows) == read_history({"transactions": rows}) == found


@pytest.mark.parametrize("answer", [None, {}, [[]], [{}], [{"txid": "a", "confirmations": "x"}]])
def test_histories_that_cannot_be_read_are_told(answer: Any) -> None:
    """Never taken for empty."""
    with pytest.raises(ValueError, match=r"no list|cannot be read"):
        read_history(answer)


def test_scripts_have_addresses() -> None:
    """Of keys, of scripts, of scripts with a long hash; everything else has none."""
    for script, is_script, digest in ((TO_KEY, False, HASH), (TO_SCRIPT, True, HASH), (TO_LONG_SCRIPT, True, LONG)):
        assert address_of(Output(1, script), REGTEST) == Address(REGTEST, is_script, digest).bare
        assert address_of(Output(1, script), None) is None
        assert address_of(Output(1, script[:-1] + b"\x00"), REGTEST) is None
    assert address_of(Output(0, b"\x6a"), REGTEST) is None


def test_only_own_coins_go_out_and_only_own_addresses_keep() -> None:
    """Foreign inputs of a shared transaction are not counted; nothing is less than nothing."""
    own = Address(REGTEST, is_script=False, hash=HASH).bare
    outputs = (Output(30, TO_KEY), Output(50, TO_SCRIPT))
    tx = Transaction("t", "", ("a:0", "b:0"), outputs, is_signed=True)
    assert taken_out(tx, {"a:0": 100}, {own}, REGTEST) == 70
    assert taken_out(tx, {"a:0": 100}, set(), REGTEST) == 100
    assert taken_out(tx, {"a:0": 10, "other:1": 99}, {own}, REGTEST) == 0
