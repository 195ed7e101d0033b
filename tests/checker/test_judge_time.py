"""Daemons, primaries, seconds: each rule has a history that violates it, and one like it that does not."""

from dataclasses import replace

from tests.checker.evidence import Evidence, Finals
from tests.checker.histories import (
    CALM,
    OTHER,
    SHOP,
    failed,
    fault,
    found,
    op,
    row,
    signature,
    transaction,
)
from tests.checker.history import BROKEN, Crowd
from tests.checker.judge import judge

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
    # a standby that catches up may come past the end of the primary's list, in the same breath
    catching_up = row(1, 10.15, "createnewaddress", result="bchreg:B")
    mirrored[1:] = [replace(mirrored[2], at=10.05), mirrored[1]]
    late = [row(n, 10.2 + n, "createnewaddress", result="bchreg:B") for n in (0, 2)]
    assert found(Evidence(rows=[*mirrored, catching_up, *late], finals=CALM)) == set()
    a_breath_later = [*mirrored, replace(catching_up, at=10.25), *(replace(one, at=one.at + 1.0) for one in late)]
    assert found(Evidence(rows=a_breath_later, finals=CALM)) == {"6"}
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


def test_the_only_gateway_excuses_late_answers_while_it_stands_still() -> None:
    """And for as long as an answer may take after that; one that is killed refuses, and excuses none."""
    late = replace(op("getbalance"), begin=10.0, end=20.0)
    assert found(Evidence(ops=[late], deeds=[fault("gateway_freeze", 11.0, 18.0, None)])) == set()
    assert found(Evidence(ops=[late], deeds=[fault("gateway_freeze", 2.0, 5.0, None)])) == {"7"}
    assert found(Evidence(ops=[late], deeds=[fault("gateway_kill", 11.0, 18.0, None)])) == {"7"}


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


def test_no_excuse_lasts_longer_than_until_all_serves_again() -> None:
    """Whatever it was, a fault excuses nothing of what is asked for afterwards."""
    bad = [failed("createnewaddress", name="no_backend", executed="no", at=50.0)]
    many = [op("createnewaddress", result=f"bchreg:{n}", at=51.0 + n / 10) for n in range(30)]
    finals = replace(CALM, listed={n: frozenset(str(one) for one in range(30)) for n in range(3)})
    gone = [fault("kill", 45.0, 46.0, 0), fault("gateway_kill", 45.0, 46.0, None), fault("freeze", 47.0, 48.0, 1)]
    settled = fault("settled", 48.5, 49.0, None)
    assert found(Evidence(ops=[*bad, *many], deeds=gone, finals=finals)) == set()
    assert found(Evidence(ops=[*bad, *many], deeds=[*gone, settled], finals=finals)) == {"9"}
    assert found(Evidence(ops=many, deeds=[*gone, settled], finals=finals)) == set()
    early = replace(bad[0], begin=48.0, end=48.5)
    assert found(Evidence(ops=[early, *many], deeds=[*gone, settled], finals=finals)) == set()
    late = replace(settled, is_done=False)
    assert found(Evidence(ops=[*bad, *many], deeds=[*gone, late], finals=finals)) == set()


def test_a_run_in_which_hardly_an_allocation_counts_is_seen() -> None:
    """It tells nothing of liveness; without a ledger nothing was promised."""
    few = [op("createnewaddress", result=f"bchreg:{n}", at=51.0 + n / 10) for n in range(19)]
    before = [replace(one, result=f"bchreg:{20 + n}", begin=30.0, end=30.1) for n, one in enumerate(few)]
    finals = replace(CALM, listed={n: frozenset(str(one) for one in range(60)) for n in range(3)})
    deeds = [fault("kill", 45.0, 46.0, 0), fault("settled", 48.5, 49.0, None)]
    assert found(Evidence(ops=[*before, *few], deeds=deeds, finals=finals)) == {"9"}
    assert found(Evidence(ops=[*before, *few], deeds=deeds, finals=finals, has_ledger=False)) == set()
    one_more = op("createnewaddress", result="bchreg:59", at=55.0)
    assert found(Evidence(ops=[*before, *few, one_more], deeds=deeds, finals=finals)) == set()
    assert found(Evidence(ops=[*before, *few], deeds=deeds[1:], finals=finals)) == set()


def test_a_fleet_that_does_not_come_back_is_seen() -> None:
    """Healed and given its time, and a backend is still out."""
    assert found(Evidence(finals=Finals(is_settled=False, note="ec-2"))) == {"9"}
    assert found(Evidence(deeds=[fault("gateway_kill", 10.0, 11.0, None, is_done=False)])) == {"9"}
    assert found(Evidence(deeds=[fault("gateway_kill", 10.0, 11.0, None)])) == set()


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
