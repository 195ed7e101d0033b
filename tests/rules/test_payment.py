"""Keys, parameters, limits, and the words of broadcasts."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.payment import (
    ABANDONED,
    COIN,
    CONFIRMED,
    IN_PROGRESS,
    PUBLISHED,
    SIGNED,
    TOMBSTONE,
    Key,
    No,
    Said,
    Sign,
    Stored,
    check_key,
    coins,
    day_of,
    decide,
    hash_of,
    mac_of,
    over_limit,
    read_broadcast,
    satoshi,
)

SECRET = b"s" * 32
TXID = "ab" * 32


@pytest.mark.parametrize("key", ["a", "x" * 255, "order 7/é", "8e03978e-40d5-43e8-bc93-6894a57f9324"])
def test_what_may_be_a_key(key: str) -> None:
    """One to 255 characters that can be printed."""
    check_key(key)


@pytest.mark.parametrize(
    ("key", "why"), [("", "empty"), ("x" * 256, "256"), ("a\x07", "control"), ("a\n", "control"), ("\udc80", "control")]
)
def test_what_may_not_be_a_key_is_told(key: str, why: str) -> None:
    """Each with its words."""
    with pytest.raises(ValueError, match=why):
        check_key(key)


def named(**values: object) -> dict[str, bytes]:
    """Arguments as raw JSON."""
    return {name: json.dumps(value).encode() for name, value in values.items()}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(min_size=1), values, max_size=5), st.randoms())
def test_neither_order_nor_blanks_nor_what_is_null_make_another_call(given_: dict[str, Any], chance: Any) -> None:
    """Nor how a letter is escaped."""
    items = list(given_.items())
    chance.shuffle(items)
    other = {
        name: json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass") for name, value in items
    }
    assert mac_of(SECRET, "payto", named(**given_)) == mac_of(SECRET, "payto", {**other, "nothing": b"null"})


def test_what_makes_another_call() -> None:
    """A value, a method, a secret file; not a password."""
    one = mac_of(SECRET, "payto", named(destination="a", amount="1"))
    assert one != mac_of(SECRET, "payto", named(destination="a", amount="1.0"))
    assert one != mac_of(SECRET, "payto", named(destination="a", amount=1))
    assert one != mac_of(SECRET, "paytomany", named(destination="a", amount="1"))
    assert one != mac_of(b"t" * 32, "payto", named(destination="a", amount="1"))
    assert one == mac_of(SECRET, "payto", named(destination="a", amount="1", password="x", privkey="y"))


def test_a_number_is_kept_as_it_was_written() -> None:
    """No float comes between two amounts that differ in the twentieth place."""
    text = b"0.10000000000000000001"
    assert mac_of(SECRET, "x", {"a": text}) != mac_of(SECRET, "x", {"a": text[:-1] + b"2"})


def test_a_key_and_a_call_are_hashed_apart() -> None:
    """And each under the secret."""
    assert hash_of(SECRET, "a") != hash_of(b"t" * 32, "a")
    assert len(hash_of(SECRET, "a")) == len(mac_of(SECRET, "a", {})) == 64


def key(state: str, *, mac: str = "m", epoch: int = 3, result: str | None = None, txid: str | None = None) -> Key:
    """A key in the ledger."""
    return Key(state, mac, epoch, result, txid)


@pytest.mark.parametrize("state", [SIGNED, PUBLISHED, CONFIRMED])
def test_what_was_signed_is_answered_again(state: str) -> None:
    """Whoever works on it, in whatever epoch."""
    found = key(state, result="bytes", txid=TXID)
    assert decide(found, "m", 9, is_live=True) == decide(found, "m", 3, is_live=False) == Stored("bytes")


def test_a_new_key_is_signed() -> None:
    """The first row of the table."""
    assert decide(None, "m", 3, is_live=False) == Sign(again=False)


def test_a_key_in_progress_is_signed_again_where_nobody_works_on_it() -> None:
    """A crash, another epoch; nobody saw a signature."""
    assert decide(key(IN_PROGRESS), "m", 3, is_live=False) == Sign(again=True)
    assert decide(key(IN_PROGRESS), "m", 4, is_live=True) == Sign(again=True)
    busy = decide(key(IN_PROGRESS), "m", 3, is_live=True)
    assert isinstance(busy, No)
    assert busy.kind.name == "key_in_progress"


@pytest.mark.parametrize("state", [IN_PROGRESS, SIGNED, PUBLISHED, CONFIRMED, ABANDONED, TOMBSTONE])
def test_other_parameters_are_refused_in_every_state(state: str) -> None:
    """Also where nobody works on it."""
    told = decide(key(state, result="bytes"), "other", 9, is_live=False)
    assert isinstance(told, No)
    assert told.kind.name == "key_reused"


@pytest.mark.parametrize(("state", "how"), [(ABANDONED, "given up"), (TOMBSTONE, "long ago"), (CONFIRMED, "long ago")])
def test_a_key_that_ended_names_its_transaction(state: str, how: str) -> None:
    """Or says that there is none; confirmed bytes that are gone are the same."""
    for txid, word in ((TXID, TXID), (None, "nothing was signed")):
        told = decide(key(state, txid=txid), "m", 3, is_live=False)
        assert isinstance(told, No)
        assert (told.kind.name, how in told.message, word in told.message) == ("key_reused", True, True)


@given(st.integers(-(10**17), 10**17))
def test_satoshi_and_coins_are_exact(amount: int) -> None:
    """As the daemon writes them, and as a sentence has them."""
    assert satoshi(str(Decimal(amount) / COIN)) == amount
    assert satoshi(coins(amount)) == amount


@pytest.mark.parametrize("amount", ["", "x", None, "0.000000001", "1e999999999", "NaN", "Infinity", [1]])
def test_what_is_no_amount_is_told(amount: object) -> None:
    """Never another error than ValueError."""
    with pytest.raises(ValueError, match="is no"):
        satoshi(amount)


@pytest.mark.parametrize(
    ("spent", "today", "call", "day", "word"),
    [
        (100, 0, "0.000001", None, ""),
        (101, 0, "0.000001", None, "max_per_call"),
        (50, 50, None, "0.000001", ""),
        (51, 50, None, "0.000001", "max_per_day"),
        (101, 50, "0.000001", "0.000001", "max_per_call"),
        (10**15, 10**15, None, None, ""),
    ],
)
def test_a_limit_is_kept_to_the_satoshi(spent: int, today: int, call: str | None, day: str | None, word: str) -> None:
    """The limit itself is allowed."""
    told = over_limit(spent, today, None if call is None else Decimal(call), None if day is None else Decimal(day))
    assert word in told
    assert bool(told) == bool(word)


def test_days_begin_at_midnight_utc() -> None:
    """Counted from 1970."""
    assert (day_of(86_399.9), day_of(86_400.0)) == (0, 1)


SPENT = "Transaction could not be broadcast due to missing, already-spent, or otherwise invalid inputs."


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([True, TXID], Said.ACCEPTED),
        (TXID, Said.ACCEPTED),
        ([False, "error: The transaction already exists in the server's mempool."], Said.KNOWN),
        ([False, "error: The transaction already exists in the blockchain."], Said.KNOWN),
        ([False, "error: Server did not answer"], Said.UNKNOWN),
        ([False, "error: Server response does not match signed transaction ID."], Said.UNKNOWN),
        ([True, "cd" * 32], Said.UNKNOWN),
        ([False, f"error: {SPENT}"], Said.CONFLICT),
        ([False, "error: The transaction could not be decoded."], Said.REJECTED),
        ([False, None], Said.REJECTED),
        ("something else", Said.UNKNOWN),
        (None, Said.UNKNOWN),
        ([True], Said.UNKNOWN),
        ([1, TXID], Said.UNKNOWN),
        ({"error": "x"}, Said.UNKNOWN),
    ],
)  # fmt: skip
def test_what_a_result_means(answer: object, said: Said) -> None:
    """Both families; what nobody knows is unknown."""
    assert read_broadcast(answer, None, TXID) is said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"code": 1, "message": "transaction already in block chain"}, Said.KNOWN),
        ({"code": 1, "message": "the transaction was rejected ...\n\ntxn-mempool-conflict"}, Said.CONFLICT),
        ({"code": -32603, "message": "Server error (ref: 416e0df1)"}, Said.UNKNOWN),
        ({"code": 1, "message": "min relay fee not met"}, Said.REJECTED),
        ("bad-txns-inputs-missingorspent", Said.CONFLICT),
        ({}, Said.REJECTED),
    ],
)
def test_what_an_error_means(error: object, said: Said) -> None:
    """As Electrum answers, and as a daemon's library does that hides the text."""
    assert read_broadcast(None, error, TXID) is said
