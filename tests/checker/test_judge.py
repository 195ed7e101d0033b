"""Addresses, and what was told: each rule has a history that violates it, and one like it that does not."""

from dataclasses import replace

from tests.checker.evidence import Evidence
from tests.checker.histories import (
    CALM,
    INVOICE,
    failed,
    found,
    mined,
    op,
    transaction,
)
from tests.checker.history import ERROR, LEFT, Paid
from tests.checker.judge import FINAL

# -- 1: addresses -------------------------------------------------------------------------------------------------


def test_an_address_of_two_methods_is_seen() -> None:
    """Whatever the prefix and the shape of the answer, it is the same address."""
    ops = [op("createnewaddress", result="bchreg:A"), op("addrequest", "0.1", result=INVOICE, at=11.0)]
    assert found(Evidence(ops=ops, finals=CALM)) == {"1"}


def test_two_addresses_are_fine_and_so_is_one_that_nobody_heard() -> None:
    """A client that left was told nothing."""
    ops = [
        op("createnewaddress", result="bchreg:A"),
        op("getunusedaddress", result="bchreg:B"),
        op("createnewaddress", how=LEFT),
        op("addrequest", "0.1", result={"error": "an error dressed as a result"}, how=LEFT),
    ]
    assert found(Evidence(ops=ops, finals=CALM)) == set()


# -- 3: what was told is so ---------------------------------------------------------------------------------------


def test_an_aligned_daemon_that_is_blind_is_seen() -> None:
    """One that the gateway does not call aligned may be."""
    told = [op("createnewaddress", result="bchreg:D")]
    knows = CALM.listed | {0: frozenset({"D"})}
    assert found(Evidence(ops=told, finals=replace(CALM, listed=knows))) == {"3"}
    assert found(Evidence(ops=told, finals=replace(CALM, listed=knows, aligned=frozenset({0})))) == set()


def test_a_read_past_the_horizon_is_seen() -> None:
    """By ismine and by the list itself; a read that began before the address was told proves nothing."""
    told = op("createnewaddress", result="bchreg:A", at=10.0)
    for read in (op("ismine", "A", result=False, at=12.0), op("listaddresses", True, result=["bchreg:B"], at=12.0)):  # noqa: FBT003 - the daemon's
        assert found(Evidence(ops=[told, read], finals=CALM)) == {"3"}
        assert found(Evidence(ops=[told, replace(read, begin=10.05)], finals=CALM)) == set()
    knows = op("listaddresses", True, result=["bchreg:A"], at=12.0)  # noqa: FBT003 - the same
    assert found(Evidence(ops=[told, knows, op("ismine", "A", result=True, at=12.0)], finals=CALM)) == set()


def test_a_lost_invoice_is_seen() -> None:
    """Not listed, or not found; a removed one must not be listed."""
    made = op("addrequest", "0.1", result=INVOICE)
    shown = op("listrequests", result=[INVOICE], at=12.0)
    empty = op("listrequests", result=[], at=12.0)
    removed = op("rmrequest", "A", result=True, at=11.0)
    missing = op("getrequest", "A", how=ERROR, error={"code": -32603, "message": "Request not found"}, at=12.0)
    assert found(Evidence(ops=[made, shown], finals=CALM)) == set()
    assert found(Evidence(ops=[made, empty], finals=CALM)) == {"3"}
    assert found(Evidence(ops=[made, missing], finals=CALM)) == {"3"}
    assert found(Evidence(ops=[made, removed, empty, missing], finals=CALM)) == set()
    assert found(Evidence(ops=[made, removed, shown], finals=CALM)) == {"3"}


def test_a_paid_invoice_turns_paid_in_the_end() -> None:
    """Only the last look counts."""
    made = op("addrequest", "0.1", result=INVOICE)
    paid = [Paid("A", 1000, "t", 11.0)]
    last = op("listrequests", result=[INVOICE], at=20.0, note=FINAL)
    good = replace(last, result=[INVOICE | {"status": "Paid"}])
    assert found(Evidence(ops=[made, last], paid=paid, finals=CALM)) == {"3"}
    assert found(Evidence(ops=[made, replace(last, note="")], paid=paid, finals=CALM)) == set()
    assert found(Evidence(ops=[made, good], paid=paid, finals=CALM)) == set()


def test_an_invoice_that_goes_back_is_seen() -> None:
    """Paid, then pending; looks at the same time may differ."""
    paid = op("getrequest", "A", result=INVOICE | {"status": "Paid"})
    back = op("listrequests", result=[INVOICE], at=12.0)
    assert found(Evidence(ops=[paid, back])) == {"3"}
    assert found(Evidence(ops=[paid, replace(back, begin=10.05)])) == set()
    assert found(Evidence(ops=[back, replace(paid, begin=13.0, end=13.1)])) == set()


def test_a_broadcast_that_never_was_is_seen() -> None:
    """True was answered, and the chain does not have it."""
    tx = transaction()
    told = [op("broadcast", tx.hex, result=[True, tx.txid])]
    assert found(Evidence(ops=told)) == {"3"}
    assert found(Evidence(ops=told, chain=mined(tx, height=0))) == set()
    assert found(Evidence(ops=[op("broadcast", tx.hex, result=[False, "error: no"])])) == set()


def test_a_label_that_a_daemon_lacks_is_seen() -> None:
    """Taken means that every aligned daemon has it in the end."""
    told = [op("setlabel", "legacy", "mine")]
    some = replace(CALM, labels={0: {"A": "mine"}, 1: {"A": "mine"}})
    assert found(Evidence(ops=told, finals=some)) == {"3"}
    assert found(Evidence(ops=told, finals=replace(some, aligned=frozenset({0, 1})))) == set()


# -- errors -------------------------------------------------------------------------------------------------------


def test_an_error_inside_the_gateway_is_seen() -> None:
    """Any other one is an answer."""
    assert found(Evidence(ops=[failed("getbalance", name="internal_error", executed="unknown")])) == {"error"}
    assert found(Evidence(ops=[failed("getbalance", name="no_backend", executed="no")])) == set()
