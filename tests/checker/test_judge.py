"""Each invariant has a history that violates it, and a history like it that does not."""

from dataclasses import replace
from typing import Any

from gateway.sandbox import addresses
from gateway.sandbox.transactions import Input, Outpoint, Output, Transaction
from tests.checker.evidence import Evidence, Finals, Mined, Row
from tests.checker.history import BROKEN, ERROR, LEFT, REFUSED, RESULT, Block, Crowd, Deed, Op, Paid
from tests.checker.judge import FINAL, judge

SHOP = addresses.derive("customers", change=False, index=0).text
OTHER = addresses.derive("customers", change=False, index=1).text
CALM = Finals(aligned=frozenset({0, 1, 2}), listed={n: frozenset({"A", "B", "C"}) for n in range(3)})
INVOICE = {"address": "A", "status": "Pending"}


def op(method: str, *params: Any, at: float = 10.0, took: float = 0.1, **more: Any) -> Op:
    """One call, answered with `result` unless told otherwise."""
    how = more.pop("how", RESULT)
    return Op("till", "task", method, list(params), at, at + took, how, deadline=4.0, **more)


def failed(method: str, *params: Any, name: str, executed: str, **more: Any) -> Op:
    """One call that ended in an error of the gateway."""
    data = {"name": name, "executed": executed, "request": more.pop("request", "")}
    return op(method, *params, how=ERROR, error={"code": -32000, "data": data}, **more)


def row(daemon: int, at: float, method: str, *params: Any, result: Any = None, id: str = "g1") -> Row:  # noqa: A002 - as in the journal
    """One line of a journal."""
    return Row(daemon, at, id, method, list(params), result)


def transaction(destination: str = SHOP, *, sats: int = 1000, coin: str = "aa") -> Transaction:
    """A signed payment that spends one coin."""
    spent = Input(Outpoint(coin * 32, 0), "51")
    return Transaction((spent,), (Output(sats, addresses.parse(destination).script),))


def signature(tx: Transaction) -> dict[str, Any]:
    """What payto answers."""
    return {"hex": tx.hex, "complete": True, "final": True}


def found(evidence: Evidence) -> set[str]:
    """The invariants that are violated."""
    return {violation.invariant for violation in judge(evidence)}


def mined(*found: Transaction, height: int = 121) -> dict[str, Mined]:
    """A chain with these in one block."""
    return {tx.txid: Mined(tx, height) for tx in found}


def fault(kind: str, begin: float, end: float, target: int | None = 0, **more: Any) -> Deed:
    """One fault."""
    return Deed(kind, target, begin, end, **more)


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


# -- 5: one call at a time ----------------------------------------------------------------------------------------


def test_two_calls_in_a_frozen_daemon_are_seen() -> None:
    """Both were sent while it stood still, and both ran when it went on."""
    frozen = fault("freeze", 10.0, 15.0)
    calls = [
        failed("payto", to, "0.1", name="outcome_unknown", executed="unknown", request=name, at=11.0 + n)
        for n, (to, name) in enumerate(((SHOP, "g7"), (OTHER, "g8")))
    ]
    rows = [row(0, 15.1, "payto", SHOP, "0.1", id="g7"), row(0, 15.2, "payto", OTHER, "0.1", id="g8")]
    # and of 9, for nobody could be unlucky twice in one freeze
    assert found(Evidence(ops=calls, rows=rows, deeds=[frozen])) == {"5", "9"}
    late = [rows[0], replace(rows[1], at=17.0)]
    assert found(Evidence(ops=calls, rows=late, deeds=[frozen])) == {"9"}


def test_a_crowd_is_seen() -> None:
    """As the kernel listed it."""
    assert found(Evidence(crowds=[Crowd(0, 11.0, 3, 2)], deeds=[fault("freeze", 10.0, 15.0)])) == {"5"}


# -- 6: one primary -----------------------------------------------------------------------------------------------


def test_two_primaries_that_nothing_explains_are_seen() -> None:
    """One signs, then the other, then the first; a fault, an order or a start explains one change."""
    ops = [op("payto", to, "0.1", result=signature(transaction(to))) for to in (SHOP, OTHER)]
    rows = [row(0, 10.1, "payto", SHOP, "0.1"), row(1, 40.0, "payto", OTHER, "0.1")]
    assert found(Evidence(ops=ops, rows=rows)) == {"6"}
    for deed in (
        fault("kill", 20.0, 21.0, 0),
        fault("promote", 20.0, 21.0, 1),
        fault("gateway_kill", 20.0, 21.0, None),
    ):
        assert found(Evidence(ops=ops, rows=rows, deeds=[deed])) == set()
    for deed in (fault("kill", 20.0, 21.0, 1), fault("promote", 20.0, 21.0, 1, is_done=False)):
        assert found(Evidence(ops=ops, rows=rows, deeds=[deed])) == {"6"}


def test_two_that_derive_first_are_seen() -> None:
    """The second derivation of an address is the mirror's; one that another daemon lists by itself proves nothing."""
    mirrored = [
        row(0, 10.0, "createnewaddress", result="bchreg:A"),
        row(1, 10.1, "createnewaddress", result="bchreg:A"),
        row(2, 10.2, "createnewaddress", result="bchreg:A"),
    ]
    assert found(Evidence(rows=mirrored, finals=CALM)) == set()
    other = [row(n, 40.0 + n, "createnewaddress", result="bchreg:B") for n in (1, 0, 2)]
    assert found(Evidence(rows=sorted([*mirrored, *other], key=lambda one: one.at), finals=CALM)) == set()
    first = [replace(one, at=30.0 - one.daemon) for one in other]
    evidence = Evidence(rows=[*mirrored, *sorted(first, key=lambda one: one.at)], finals=CALM)
    assert found(evidence) == {"6"}
    by_itself = Evidence(rows=[*mirrored, *(one for one in evidence.rows[3:] if one.daemon == 2)], finals=CALM)
    assert found(by_itself) == set()


def test_what_a_daemon_works_off_after_a_freeze_is_no_act() -> None:
    """It was sent before; and if it is answered, the next test sees it."""
    ops = [op("payto", to, "0.1", how=BROKEN) for to in (SHOP, OTHER)]
    rows = [row(1, 14.0, "payto", OTHER, "0.1"), row(0, 15.1, "payto", SHOP, "0.1")]
    assert found(Evidence(ops=ops, rows=rows)) == {"6"}
    assert found(Evidence(ops=ops, rows=rows, deeds=[fault("freeze", 10.0, 15.0, 0)])) == set()


def test_an_answer_of_an_older_epoch_is_seen() -> None:
    """The promotion was acknowledged before the old primary signed."""
    tx = transaction()
    asked = op("payto", SHOP, "0.1", took=4.0, result=signature(tx))
    signed = [row(0, 13.0, "payto", SHOP, "0.1", result=signature(tx))]
    slow = fault("slow", 9.0, 13.5, 0)
    promoted = fault("promote", 10.5, 11.0, 1)
    assert found(Evidence(ops=[asked], rows=signed, deeds=[slow, promoted])) == {"6"}
    withheld = failed("payto", SHOP, "0.1", name="result_withheld", executed="yes", took=4.0)
    assert found(Evidence(ops=[withheld], rows=signed, deeds=[slow, promoted])) == set()
    assert found(Evidence(ops=[asked], rows=signed, deeds=[slow, replace(promoted, end=14.0)])) == set()
    back = fault("promote", 12.0, 12.5, 0)
    assert found(Evidence(ops=[asked], rows=signed, deeds=[slow, promoted, back])) == set()
    assert found(Evidence(ops=[asked], rows=signed, deeds=[slow, promoted, fault("kill", 11.5, 12.0, 1)])) == set()


def test_an_epoch_with_two_primaries_is_seen() -> None:
    """As clients are told by gateway.status."""
    looks = [op("gateway.status", result={"epoch": 3, "primary": name}, at=10.0 + n) for n, name in enumerate("ab")]
    assert found(Evidence(ops=looks)) == {"6"}
    assert found(Evidence(ops=[looks[0], replace(looks[1], result={"epoch": 4, "primary": "b"})])) == set()


# -- 7 and 9: in time, and alive ----------------------------------------------------------------------------------


def test_a_late_answer_and_none_at_all_are_seen() -> None:
    """A connection that breaks is an end too."""
    assert found(Evidence(ops=[op("getbalance", took=7.5, result={})])) == {"7"}
    assert found(Evidence(ops=[op("getbalance", took=12.0, how=BROKEN, note="silence")])) == {"7"}
    assert found(Evidence(ops=[op("getbalance", took=6.5, result={}), op("getbalance", how=BROKEN)])) == set()


def test_an_unknown_outcome_without_a_fault_is_seen() -> None:
    """And more of them than were in flight at faults."""
    lost = [
        failed("setlabel", "x", f"{n}", name="outcome_unknown", executed="unknown", at=10.0 + n / 10) for n in range(4)
    ]
    assert found(Evidence(ops=lost[:1])) == {"9"}
    assert found(Evidence(ops=lost[:1], deeds=[fault("kill", 10.0, 11.0)])) == set()
    assert found(Evidence(ops=lost, deeds=[fault("kill", 10.05, 11.0)])) == {"9"}


def test_allocations_that_fail_outside_faults_are_seen() -> None:
    """More than one in a hundred, whatever the reason is said to be."""
    good = [op("createnewaddress", result=f"bchreg:{n}", at=10.0 + n) for n in range(120)]
    listed = {n: frozenset(str(one) for one in range(120)) for n in range(3)}
    finals = replace(CALM, listed=listed)
    bad = [failed("createnewaddress", name="no_backend", executed="no", at=50.0 + n) for n in range(2)]
    assert found(Evidence(ops=[*good, *bad[:1]], finals=finals)) == set()
    assert found(Evidence(ops=[*good, *bad], finals=finals)) == {"9"}
    assert found(Evidence(ops=[*good, *bad], finals=finals, deeds=[fault("disk_full", 40.0, 45.0, None)])) == set()


def test_a_lost_primary_excuses_allocations_for_nine_seconds_only() -> None:
    """If the others are well; when they are not, until all is over."""
    bad = [failed("createnewaddress", name="no_backend", executed="no", at=50.0)]
    gone = fault("kill", 30.0, 60.0, 0)
    assert found(Evidence(ops=bad, deeds=[gone])) == {"9"}
    assert found(Evidence(ops=bad, deeds=[replace(gone, begin=45.0)])) == set()
    others = [fault("freeze", 30.0, 60.0, 1), fault("wedge", 31.0, 32.0, 2)]
    assert found(Evidence(ops=bad, deeds=[gone, *others])) == set()


def test_a_fleet_that_does_not_come_back_is_seen() -> None:
    """Healed and given its time, and a backend is still out."""
    assert found(Evidence(finals=Finals(is_settled=False, note="ec-2"))) == {"9"}


def test_a_client_past_its_limit_is_seen() -> None:
    """What counts is what was signed, once for each transaction."""
    ops = [
        replace(op("payto", to, "0.1", result=signature(transaction(to, sats=700, coin=coin))), client="kiosk")
        for to, coin in ((SHOP, "aa"), (OTHER, "bb"))
    ]
    assert found(Evidence(ops=ops, day_limit=1000)) == {"limit"}
    assert found(Evidence(ops=ops, day_limit=1400)) == set()
    assert found(Evidence(ops=[ops[0], replace(ops[0], key=None, begin=12.0)], day_limit=1000)) == set()


def test_nothing_at_all_is_fine() -> None:
    """An empty run violates nothing; the report shows that it was empty."""
    assert judge(Evidence()) == []
