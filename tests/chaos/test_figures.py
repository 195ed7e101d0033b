"""What a run comes to in figures."""

from dataclasses import replace
from typing import Any

import pytest

from chaos.callers import BATCH
from chaos.figures import AUDITOR, Call, call_of, double_executions, felt, felt_for, figures, outcomes, strong_for_good
from chaos.line import Done
from chaos.strength import PROBE
from gateway.base.errors import NO_BACKEND, OUTCOME_UNKNOWN
from gateway.sandbox import addresses
from gateway.sandbox.transactions import Input, Outpoint, Output, Transaction
from tests.checker.evidence import Evidence, Mined
from tests.checker.history import BROKEN, ERROR, LEFT, REFUSED, RESULT, Deed, Op


def reads(*took: float, every: float = 0.1, wrong: tuple[int, ...] = ()) -> list[Call]:
    """Return reads one after the other, the first at 0.0."""
    return [Call(n * every, n * every + one, "read", "error" if n in wrong else "ok") for n, one in enumerate(took)]


def op(method: str, begin: float, took: float = 0.01, **more: Any) -> Op:
    """Return a call that was answered, if nothing else is said."""
    fields: dict[str, Any] = {"how": RESULT, "params": [], **more}
    return Op("shop", "desk", method, begin=begin, end=begin + took, **fields)


CUSTOMER = addresses.derive("customers", change=False, index=0)

FAULT = Done("freeze", 0, 1.0, 2.0, 0.0, back=2.5)


def test_a_fault_that_no_read_meets_is_not_felt() -> None:
    """Every read is as quick as before."""
    assert felt_for(reads(*[0.01] * 40), 1.0, 4.0) == 0.0


def test_a_fault_is_felt_from_the_first_late_read_to_the_end_of_the_last() -> None:
    """Two late ones with good ones between them."""
    took = [0.01] * 40
    took[12], took[20] = 0.2, 0.3
    assert felt_for(reads(*took), 1.0, 4.0) == pytest.approx(1.1)


def test_a_read_that_was_under_way_at_the_fault_counts_from_the_fault() -> None:
    """It began before, and was late because of it."""
    calls = [*reads(*[0.01] * 9), Call(0.9, 1.5, "read", "ok")]
    assert felt_for(calls, 1.0, 4.0) == pytest.approx(0.5)


def test_a_wrong_read_is_felt_however_quick_it_is() -> None:
    """A refusal at once is no answer."""
    assert felt_for(reads(*[0.01] * 40, wrong=(15,)), 1.0, 4.0) == pytest.approx(0.01)


def test_fifty_milliseconds_above_what_was_usual_are_not_late() -> None:
    """Usual is the median before the fault, so a slow machine is slow before it as well."""
    took = [0.1] * 10 + [0.14] * 30
    assert felt_for(reads(*took), 1.0, 4.0) == 0.0
    assert felt_for(reads(*([0.1] * 10 + [0.16] * 30)), 1.0, 4.0) > 0.0


def test_one_late_read_long_after_the_others_is_another_story() -> None:
    """More than two seconds without any."""
    took = [0.01] * 60
    took[12], took[40] = 0.2, 0.2
    assert felt_for(reads(*took), 1.0, 6.0) == pytest.approx(0.2)


def test_for_clients_that_ask_seldom_two_reads_in_a_row_are_one_outage() -> None:
    """Ten seconds apart, each of them wrong: felt for as long as that."""
    calls = reads(*[0.01] * 8, every=10.0, wrong=(3, 4, 5))
    assert felt_for(calls, 25.0, 80.0) == pytest.approx(20.01)


def test_each_fault_is_felt_until_the_next_begins() -> None:
    """What comes after the second is the second's."""
    took = [0.01] * 60
    took[12], took[41] = 0.2, 0.4
    later = Done("kill", 1, 4.0, 5.0, 0.0)
    assert felt(reads(*took), [FAULT, later], 6.0) == pytest.approx([0.2, 0.4])
    assert felt(reads(*took), [], 6.0) == []


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({}, "ok"),
        ({"how": ERROR, "error": {"data": {"name": NO_BACKEND.name}}}, "error"),
        ({"how": ERROR, "error": {"data": {"name": OUTCOME_UNKNOWN.name}}}, "timeout"),
        ({"result": {"error": "dressed"}}, "error"),
        ({"how": BROKEN, "note": "silence"}, "timeout"),
        ({"how": BROKEN, "note": "reset"}, "error"),
        ({"how": REFUSED}, "refused"),
        ({"how": LEFT}, "left"),
    ],
)
def test_a_call_ends_in_one_of_five_ways(more: dict[str, Any], outcome: str) -> None:
    """As the client knows it."""
    assert call_of(op("getbalance", 0.0, **more)).outcome == outcome


@pytest.mark.parametrize(
    ("method", "note", "kind"),
    [
        ("createnewaddress", "", "allocate"),
        ("addrequest", "", "allocate"),
        ("payto", "", "pay"),
        ("setlabel", "", "write"),
        ("getbalance", "", "read"),
        ("getbalance", BATCH, "batch"),
    ],
)
def test_a_call_is_of_one_kind(method: str, note: str, kind: str) -> None:
    """By its method, and by how it came."""
    assert call_of(op(method, 0.0, note=note)).kind == kind


def test_figures_count_what_clients_were_told_while_they_worked() -> None:
    """Not what was asked before they began or after they stopped."""
    ops = [
        op("createnewaddress", 0.5, result="a"),
        *[op("getbalance", 1.0 + n / 10, result={}) for n in range(20)],
        op("getbalance", 3.2, 0.5, how=ERROR),
        op("createnewaddress", 3.3, result="b"),
        op("addrequest", 3.4, result={"address": "b"}),
        op("createnewaddress", 9.0, result="c"),
        replace(op("getbalance", 3.0, how=ERROR), client=AUDITOR),
    ]
    found = figures(
        Evidence(ops=ops), [Done("freeze", 0, 3.1, 3.6, 0.0)], began=1.0, ends=5.0, strong_at=4.6, settled_at=4.7
    )
    assert (found["reads"], found["read_errors"], found["slowest_read_ms"]) == (21, 1, 500.0)
    assert (found["allocations"], found["addresses"], found["duplicates"]) == (2, 2, 1)
    assert (found["full_strength_after_s"], found["restored_after_s"]) == (1.0, 1.6)
    assert found["felt_for_s"] == pytest.approx(0.5)


def test_an_address_that_was_given_before_the_clients_began_is_a_duplicate_too() -> None:
    """Somebody has it."""
    ops = [op("createnewaddress", 0.5, result="a"), op("createnewaddress", 2.0, result="a")]
    assert figures(Evidence(ops=ops), [], began=1.0, ends=5.0, strong_at=None)["duplicates"] == 1


def test_an_address_that_only_the_run_itself_was_given_is_nobodys() -> None:
    """What it asks to see whether all is well again makes no customer share an address."""
    ops = [
        replace(op("createnewaddress", 1.5, result="a"), client=AUDITOR, note=PROBE),
        op("createnewaddress", 2.0, result="a"),
        op("createnewaddress", 2.5, result="a"),
    ]
    assert figures(Evidence(ops=ops), [], began=1.0, ends=5.0, strong_at=None)["duplicates"] == 1


def test_full_strength_is_what_lasts() -> None:
    """A door that answered well at first and then failed had it only afterwards; one that fails to the end, never."""
    calls = reads(*[0.01] * 40, wrong=(5, 22))
    assert strong_for_good(calls, 1.0, 1.2) == pytest.approx(2.21)
    assert strong_for_good(calls, 1.0, 3.0) == 3.0
    assert strong_for_good(calls, 2.5, 2.6) == 2.6, "what was wrong during the fault is the fault's"
    assert strong_for_good(reads(*[0.01] * 40, wrong=(39,)), 1.0, 1.2) is None
    assert strong_for_good([], 1.0, 1.2) == 1.2
    lost = replace(calls[0], kind="allocate", begin=4.5, end=4.6, outcome="error")
    assert strong_for_good([*calls, lost], 1.0, 1.2) is None


def test_a_wallet_that_never_came_back_has_no_time() -> None:
    """And no number that looks like one."""
    found = figures(Evidence(), [FAULT], began=0.0, ends=5.0, strong_at=None)
    assert "full_strength_after_s" not in found
    assert "restored_after_s" not in found
    assert "slowest_read_ms" not in found


def test_liveness_leaves_out_what_a_fault_excuses() -> None:
    """A door that was killed excuses what was asked then, and not what is asked long after it."""
    killed = Deed("gateway_kill", None, 10.0, 11.0)
    ops = [
        op("createnewaddress", 10.5, how=REFUSED),
        op("createnewaddress", 40.0, how=ERROR, error={"data": {"name": NO_BACKEND.name}}),
        op("createnewaddress", 41.0, result="a"),
    ]
    found = figures(Evidence(ops=ops, deeds=[killed]), [FAULT], began=0.0, ends=50.0, strong_at=12.0)
    assert (found["allocations_outside_faults"], found["answered_outside_faults_percent"]) == (2, 50.0)


def test_all_allocations_after_the_first_fault_are_counted_with_those_that_count() -> None:
    """Those asked for when all served again count as well; who hung up waits for nothing."""
    killed, settled = Deed("gateway_kill", None, 10.0, 11.0), Deed("settled", None, 14.0, 15.0)
    ops = [op("createnewaddress", at, result=f"{at}") for at in (5.0, 12.0, 16.0, 17.0)]
    ops.append(op("createnewaddress", 18.0, how=LEFT))
    found = figures(
        Evidence(ops=ops, deeds=[killed, settled]), [FAULT], began=0.0, ends=14.0, strong_at=12.0, settled_at=12.0
    )
    assert (found["allocations_after_fault"], found["allocations_counted"]) == (3, 2)


def test_an_allocation_that_fails_after_long_is_the_slowest() -> None:
    """To be told after eight seconds that there is none is no quicker than to be given one."""
    ops = [
        op("createnewaddress", 1.0, result="a"),
        op("createnewaddress", 2.0, 8.0, how=ERROR),
        op("createnewaddress", 3.0, 9.0, how=LEFT),
    ]
    found = figures(Evidence(ops=ops), [], began=0.0, ends=20.0, strong_at=None, settled_at=None)
    assert (found["failed_allocations"], found["slowest_allocation_ms"]) == (1, 8000.0)
    assert "failed_allocations" not in figures(Evidence(), [], began=0.0, ends=20.0, strong_at=None, settled_at=None)


def paying(coin: str) -> Transaction:
    """Return a payment to the customer out of a coin."""
    return Transaction((Input(Outpoint(coin * 64, 0)),), (Output(5, CUSTOMER.script),))


def test_two_transactions_for_one_payment_are_one_too_many() -> None:
    """One was told to the client, another one is on the chain."""
    told, other = paying("a"), paying("b")
    asked = op("payto", 0.0, params=[CUSTOMER.text, "0.1"], result={"complete": True, "hex": told.hex})
    assert double_executions(Evidence(ops=[asked], chain={told.txid: Mined(told, 1)})) == 0
    assert double_executions(Evidence(ops=[asked], chain={other.txid: Mined(other, 1)})) == 1


def test_outcomes_are_counted_by_kind() -> None:
    """For the page about a run."""
    assert outcomes(reads(0.1, 0.1, wrong=(1,))) == {"read": {"error": 1, "ok": 1}}
