"""Payments and executions: each rule has a history that violates it, and one like it that does not."""

from dataclasses import replace

from tests.checker.evidence import Evidence, Row
from tests.checker.histories import (
    OTHER,
    SHOP,
    failed,
    fault,
    found,
    mined,
    op,
    row,
    signature,
    transaction,
)
from tests.checker.history import BROKEN, REFUSED, Block

# -- 2: payments --------------------------------------------------------------------------------------------------


def test_a_key_with_two_transactions_is_seen() -> None:
    """The same call under the same key, another coin."""
    one, other = transaction(), transaction(coin="bb")
    ops = [
        op("payto", SHOP, "0.1", key="k", result=signature(one)),
        op("payto", SHOP, "0.1", key="k", result=signature(other), at=11.0),
    ]
    assert found(Evidence(ops=ops)) == {"2"}


def test_a_key_with_its_bytes_again_is_fine() -> None:
    """Asked twice, answered the same."""
    ops = [op("payto", SHOP, "0.1", key="k", result=signature(transaction()), at=at) for at in (10.0, 11.0)]
    assert found(Evidence(ops=ops)) == set()


def test_a_key_may_sign_again_when_a_conflict_is_six_blocks_deep() -> None:
    """And not when it is five deep."""
    one, other, winner = transaction(), transaction(coin="bb"), transaction(OTHER)
    ops = [
        op("payto", SHOP, "0.1", key="k", result=signature(one)),
        op("payto", SHOP, "0.1", key="k", result=signature(other), at=30.0),
    ]
    blocks = [Block(121 + n, 11.0 + n) for n in range(6)]
    evidence = Evidence(ops=ops, chain=mined(winner), blocks=blocks)
    assert found(evidence) == set()
    assert found(replace(evidence, blocks=blocks[:5])) == {"2"}


def test_a_key_with_other_parameters_must_not_be_answered() -> None:
    """Even with the same bytes: the client believes that it pays another amount."""
    ops = [
        op("payto", SHOP, amount, key="k", result=signature(transaction()), at=at)
        for at, amount in ((10.0, "0.1"), (11.0, "0.2"))
    ]
    assert found(Evidence(ops=ops)) == {"2"}


def test_two_live_keys_on_one_coin_are_seen() -> None:
    """Only one of the two can be broadcast."""
    keyed = op("payto", SHOP, "0.1", key="k", result=signature(transaction()))
    same_coin = op("payto", OTHER, "0.1", key="l", result=signature(transaction(OTHER)), at=11.0)
    other_coin = op("payto", OTHER, "0.1", key="l", result=signature(transaction(OTHER, coin="bb")), at=11.0)
    assert found(Evidence(ops=[keyed, same_coin])) == {"2"}
    assert found(Evidence(ops=[keyed, other_coin])) == set()


def test_one_payment_that_is_twice_on_the_chain_is_seen() -> None:
    """The customer has the money twice."""
    asked = [op("payto", SHOP, "0.1", key="k", how=BROKEN)]
    assert found(Evidence(ops=asked, chain=mined(transaction(), transaction(coin="bb")))) == {"2"}
    assert found(Evidence(ops=asked, chain=mined(transaction(), transaction(OTHER, coin="bb")))) == set()


def test_one_call_that_ran_twice_is_seen() -> None:
    """On two daemons or on one; an unsigned one is the mirror's."""
    asked = [op("payto", SHOP, "0.1", how=BROKEN)]
    once = [row(0, 10.05, "payto", SHOP, "0.1")]
    unsigned = Row(1, 10.3, "g3", "payto", {"destination": SHOP, "amount": "0.1", "unsigned": True})
    again = Row(1, 10.4, "g0", "payto", {"destination": SHOP, "amount": "0.1"})
    calm = [fault("freeze", 9.0, 10.0)]
    assert found(Evidence(ops=asked, rows=[*once, unsigned], deeds=calm)) == set()
    assert found(Evidence(ops=asked, rows=[*once, again], deeds=calm)) == {"2"}


def test_a_signature_may_be_made_again_after_it_was_answered() -> None:
    """Twice, where others hold its coins: the requests run in the order of their numbers."""
    asked = [op("payto", SHOP, "0.1", result=signature(transaction()))]
    rows = [row(0, 10.05 + n / 100, "payto", SHOP, "0.1", id=f"g{n + 8}") for n in range(4)]
    assert found(Evidence(ops=asked, rows=rows[:3])) == set()
    assert found(Evidence(ops=asked, rows=rows)) == {"2"}


def test_a_key_that_was_answered_does_not_run_again() -> None:
    """The stored bytes are the answer; some signatures may have been thrown away before."""
    ops = [op("payto", SHOP, "0.1", key="k", result=signature(transaction()), at=at) for at in (10.0, 11.0)]
    rows = [row(0, 10.05, "payto", SHOP, "0.1")]
    assert found(Evidence(ops=ops, rows=rows)) == set()
    more = [row(0, 11.05 + n / 100, "payto", SHOP, "0.1") for n in range(3)]
    assert found(Evidence(ops=ops, rows=[*rows, *more])) == {"2"}


# -- 4: not executed ----------------------------------------------------------------------------------------------


def test_a_payment_that_ran_and_was_denied_is_seen() -> None:
    """Unless it was an error that comes after the signature, which nobody was shown."""
    ran = [row(0, 10.05, "payto", SHOP, "0.1")]
    denied = failed("payto", SHOP, "0.1", name="no_backend", executed="no")
    assert found(Evidence(ops=[denied], rows=ran)) == {"4"}
    assert found(Evidence(ops=[denied])) == set()
    for name, executed in (("outcome_unknown", "unknown"), ("limit_exceeded", "no")):
        ended = failed("payto", SHOP, "0.1", name=name, executed=executed)
        assert found(Evidence(ops=[ended], rows=ran, deeds=[fault("freeze", 9.0, 10.0)])) == set()


def test_a_call_that_nobody_let_in_must_not_run() -> None:
    """No connection, no execution."""
    ran = [row(0, 10.05, "payto", SHOP, "0.1")]
    assert found(Evidence(ops=[op("payto", SHOP, "0.1", how=REFUSED)], rows=ran)) == {"4"}


def test_a_label_or_broadcast_that_ran_and_was_denied_is_seen() -> None:
    """By its text and by its bytes."""
    denied = failed("setlabel", "legacy", "mine", name="no_backend", executed="no")
    assert found(Evidence(ops=[denied], rows=[row(1, 10.05, "setlabel", "legacy", "mine")])) == {"4"}
    assert found(Evidence(ops=[denied], rows=[row(1, 10.05, "setlabel", "legacy", "another")])) == set()
    sent = failed("broadcast", "00ff", name="overloaded", executed="no")
    ran = [row(1, 10.05, "broadcast", "00ff")]
    assert found(Evidence(ops=[sent], rows=ran)) == {"4"}
    again = failed("broadcast", "00ff", name="outcome_unknown", executed="unknown", at=11.0)
    assert found(Evidence(ops=[sent, again], rows=ran, deeds=[fault("freeze", 9.0, 12.0)])) == set()
