"""What a history says about payments, and when silence counts."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.invoices import Receipt
from gateway.rules.receipts import GRACE, Doubt, doubt, hexadecimal, lines, missing, news, recipients, shown, values

PAID: dict[str, dict[str, Receipt]] = {
    "qa": {"t1": Receipt("qa", "t1", 5, 0), "t2": Receipt("qa", "t2", 6, 10)},
    "qb": {},
}


def line(txid: str, height: int, confirmations: int, *addresses: str) -> dict[str, object]:
    """One line of a history; what else is in it is of no interest."""
    return {"txid": txid, "height": height, "confirmations": confirmations, "label": "", "value": "--",
            "input_addresses": ["bchreg:qb"], "output_addresses": list(addresses)}  # fmt: skip


def test_a_history_shows_payments_by_their_outputs_and_verified_heights() -> None:
    """With or without prefix; a height that the daemon has not verified is none; what is spent is no payment."""
    history = json.dumps(
        [
            line("t1", 10, 3, "bchreg:qa", "bchreg:qz"), line("t2", 10, 0, "qa"), line("t3", 0, 0, "qb", "qa"),
            line("t4", -1, 0, "qb"), line("t5", 9, 4, "qz"), {"txid": "t6"}, {"txid": "t7", "output_addresses": None},
        ]
    ).encode()  # fmt: skip
    assert shown(lines(history), PAID) == {
        ("qa", "t1"): 10, ("qa", "t2"): 0, ("qb", "t3"): 0, ("qa", "t3"): 0, ("qb", "t4"): 0,
    }  # fmt: skip
    assert recipients(lines(history)) == ["qa", "qz", "qb"]


@pytest.mark.parametrize("history", [b"", b"null", b"{}", b"[1]", b"[{}]", b'[{"txid": 5}]', b'"x"'])
def test_what_is_no_history_is_an_error(history: bytes) -> None:
    """And never an empty one."""
    with pytest.raises(msgspec.MsgspecError):
        lines(history)


def test_a_transaction_is_worth_the_sum_of_its_outputs_to_an_address() -> None:
    """Each address for itself; others and scripts do not count."""
    assert hexadecimal(b'{"hex": "00ff", "complete": true}') == "00ff"
    outputs = [(3, "bchreg:qa"), (4, "qa"), (5, "qb"), (9, "SCRIPT 6a"), (9, None)]
    told = {"outputs": [{"value": value, "address": address} for value, address in outputs] + [{"value": 9}]}
    assert values(json.dumps(told).encode(), "t", {"qa": 12, "qb": 0, "qc": 1}) == [
        Receipt("qa", "t", 7, 12), Receipt("qb", "t", 5, 0), Receipt("qc", "t", 0, 1),
    ]  # fmt: skip
    with pytest.raises(msgspec.MsgspecError):
        values(b'{"outputs": 5}', "t", {})
    with pytest.raises(msgspec.MsgspecError):
        hexadecimal(b"null")


def test_news_are_new_payments_and_those_that_came_into_a_block() -> None:
    """One that left its block is no news, but a doubt."""
    found = {("qa", "t1"): 12, ("qa", "t2"): 0, ("qb", "t9"): 0, ("qa", "t9"): 0}
    assert news(found, PAID, is_ahead=True) == ({"t9": {"qb": 0, "qa": 0}}, [Receipt("qa", "t1", 5, 12)])
    assert news({("qa", "t1"): 0, ("qa", "t2"): 10}, PAID, is_ahead=True) == ({}, [])


def test_another_block_counts_only_from_a_daemon_that_is_not_behind() -> None:
    """The chain was written anew, or this one has not heard of it."""
    assert news({("qa", "t2"): 11}, PAID, is_ahead=True) == ({}, [Receipt("qa", "t2", 6, 11)])
    assert news({("qa", "t2"): 11}, PAID, is_ahead=False) == ({}, [])


def test_missing_is_what_is_not_shown_and_what_lost_its_block() -> None:
    """An unconfirmed one that is shown unconfirmed is there."""
    both = list(PAID["qa"].values())
    assert set(missing({}, both)) == {("qa", "t1"), ("qa", "t2")}
    assert set(missing({("qa", "t1"): 0, ("qa", "t2"): 0}, both)) == {("qa", "t2")}
    assert missing({("qa", "t1"): 10, ("qa", "t2"): 99}, both) == {}


LOST = {("qa", "t2"): PAID["qa"]["t2"]}


def test_a_payment_is_gone_after_a_block_and_a_minute() -> None:
    """Not after one of the two."""
    doubts, ripe = doubt({}, LOST, 20, 100.0)
    assert (doubts, ripe) == ({("qa", "t2"): Doubt(100.0, 20)}, [])
    assert doubt(doubts, LOST, 20, 100.0 + 10 * GRACE)[1] == []
    assert doubt(doubts, LOST, 21, 99.0 + GRACE)[1] == []
    assert doubt(doubts, LOST, 21, 100.0 + GRACE) == (doubts, [PAID["qa"]["t2"]])


def test_a_payment_that_is_shown_again_is_doubted_from_the_beginning() -> None:
    """One look at it is enough."""
    doubts, _ = doubt({}, LOST, 20, 100.0)
    doubts, _ = doubt(doubts, {}, 20, 150.0)
    assert doubts == {}
    doubts, ripe = doubt(doubts, LOST, 21, 200.0)
    assert (doubts, ripe) == ({("qa", "t2"): Doubt(200.0, 21)}, [])


def test_a_daemon_below_the_block_of_a_payment_cannot_miss_it() -> None:
    """It does not know that block yet; a doubt of before is dropped with it."""
    assert doubt({("qa", "t2"): Doubt(0.0, 5)}, LOST, 9, 1000.0) == ({}, [])
    assert doubt({}, LOST, 10, 1000.0) == ({("qa", "t2"): Doubt(1000.0, 10)}, [])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.floats(0, 40)), max_size=20))
def test_nobody_below_the_block_of_a_payment_makes_it_doubtful(looks: list[tuple[bool, int, float]]) -> None:
    """Whatever is shown or not: gone needs two looks from above its block, a minute and a block apart."""
    doubts: dict[tuple[str, str], Doubt] = {}
    now = 0.0
    missed: list[tuple[int, float]] = []
    for is_lost, height, step in looks:
        now += step
        doubts, ripe = doubt(doubts, LOST if is_lost else {}, height, now)
        missed = [*missed, (height, now)] if is_lost and height >= 10 else []
        if ripe:
            assert missed[-1][0] > missed[0][0]
            assert missed[-1][1] - missed[0][1] >= GRACE
