"""Several gateways: each rule has a history that violates it, and one like it that does not."""

from dataclasses import replace

import pytest

from tests.checker.database import holdings
from tests.checker.evidence import Evidence, Row
from tests.checker.excuses import BACK, HEARD, countable
from tests.checker.histories import CALM, fault, found, op, row
from tests.checker.history import BROKEN, ERROR, REFUSED, Crowd, Holding
from tests.checker.judge import judge

FIRST, SECOND = Holding("gw-1", 1, 0.0, 20.0), Holding("gw-2", 2, 20.5, 90.0)
HELD = [FIRST, SECOND]


def came(at: float, by: str, *, ran: float | None = None, daemon: int = 0, method: str = "getinfo") -> Row:
    """One call of a gateway: when it came, and when it ran."""
    return replace(row(daemon, at if ran is None else ran, method), by=by, came=at)


# -- 5: who may call ----------------------------------------------------------------------------------------------


def test_a_call_of_somebody_who_does_not_have_the_wallet_is_seen() -> None:
    """While another one has it, or nobody."""
    for at, by in ((25.0, "gw-1.1"), (20.2, "gw-1.1"), (20.2, "gw-2.3"), (10.0, "gw-3.1")):
        assert found(Evidence(rows=[came(at, by)], holdings=HELD, finals=CALM)) == {"5"}


def test_calls_of_who_has_it_are_fine_and_so_are_the_checkers() -> None:
    """One that came in time may run later, for its daemon stood still."""
    rows = [came(10.0, "gw-1.1"), came(19.9, "gw-1.1", ran=30.0), came(21.0, "gw-2.1"), came(25.0, "user")]
    assert found(Evidence(rows=rows, holdings=HELD, finals=CALM)) == set()


@pytest.mark.parametrize("kind", ["gateway_freeze", "cut_wallets", "cut_off"])
def test_what_a_fault_held_back_may_come_late(kind: str) -> None:
    """A call and a probe at most; from no other gateway, and not for ever."""
    deeds = [fault(kind, 15.0, 24.0, target=0)]
    late = [came(24.1, "gw-1.1"), came(24.1, "gw-1.1")]
    assert found(Evidence(rows=late, deeds=deeds, holdings=HELD, finals=CALM)) == set()
    assert found(Evidence(rows=[*late, late[0]], deeds=deeds, holdings=HELD, finals=CALM)) == {"5"}
    other = [came(24.1, "gw-3.1")]
    assert found(Evidence(rows=other, deeds=deeds, holdings=HELD, finals=CALM)) == {"5"}
    assert found(Evidence(rows=[came(60.0, "gw-1.1")], deeds=deeds, holdings=HELD, finals=CALM)) == {"5"}


def test_what_a_cut_held_back_may_come_later_if_the_way_is_cut_again() -> None:
    """The kernel waits twice as long each time, and does not know when the way was open between two cuts."""
    first, second = fault("cut_off", 16.0, 18.0, target=0), fault("cut_wallets", 18.5, 19.5, target=0)
    late = [came(25.0, "gw-1.1")]
    assert found(Evidence(rows=late, deeds=[second, first], holdings=HELD, finals=CALM)) == set()
    for other in (replace(second, target=1), replace(second, kind="gateway_stop")):
        assert found(Evidence(rows=late, deeds=[first, other], holdings=HELD, finals=CALM)) == {"5"}
    assert found(Evidence(rows=late, deeds=[second], holdings=HELD, finals=CALM)) == {"5"}


def test_two_who_have_it_at_once_are_seen() -> None:
    """And a term that does not grow."""
    both = [FIRST, replace(SECOND, begin=19.0)]
    assert found(Evidence(holdings=both)) == {"5"}
    assert found(Evidence(holdings=[FIRST, replace(SECOND, term=1)])) == {"5"}
    again = [FIRST, Holding("gw-1", 2, 19.0, 30.0)]
    assert found(Evidence(holdings=again)) == set()


def test_each_holding_may_leave_a_call_and_a_probe_in_a_daemon_that_stands_still() -> None:
    """Those of the one before are closed, and the daemon has not looked."""
    deeds = [fault("freeze", 10.0, 30.0)]
    crowd = [Crowd(0, 25.0, 4, 2)]
    assert found(Evidence(deeds=deeds, crowds=crowd, holdings=HELD)) == set()
    assert found(Evidence(deeds=deeds, crowds=[replace(crowd[0], connections=5)], holdings=HELD)) == {"5"}
    assert found(Evidence(deeds=deeds, crowds=crowd)) == {"5"}


def test_a_witness_tells_holdings() -> None:
    """Renewals make one longer, giving up ends it."""
    seen: list[dict[str, object]] = [
        {"holder": "gw-1", "term": 1, "since": 1.0, "until": 2.0, "at": 1.0},
        {"holder": "gw-1", "term": 1, "since": 1.0, "until": 2.5, "at": 1.5},
        {"holder": "gw-1", "term": 1, "since": 1.0, "until": 0.0, "at": 1.7},
        {"holder": "gw-2", "term": 2, "since": 1.8, "until": 2.8, "at": 1.8},
    ]
    assert holdings(seen) == [Holding("gw-1", 1, 1.0, 1.7), Holding("gw-2", 2, 1.8, 2.8)]


# -- 9: what is excused -------------------------------------------------------------------------------------------


def counts(kind: str, target: int | None, at: float, door: int, held: list[Holding] | None = None) -> bool:
    """Whether an allocation at a door counts, after a fault of ten seconds that began at 100."""
    asked = replace(op("createnewaddress", how=REFUSED, at=at), door=door)
    doors = [replace(op("version", at=1.0), door=n) for n in range(3)]
    holder = held or [Holding("gw-1", 1, 0.0, 300.0)]
    deeds = [fault(kind, 100.0, 110.0, target=target)]
    return asked in countable(Evidence(ops=[asked, *doors], deeds=deeds, holdings=holder))


@pytest.mark.parametrize("kind", ["gateway_kill", "gateway_freeze", "cut_database", "cut_off"])
def test_a_lost_gateway_excuses_others_for_a_takeover_and_its_own_door_until_it_is_back(kind: str) -> None:
    """In its own time, not in that of the outage."""
    assert not counts(kind, 0, 100.5 + BACK - 1.0, door=1)
    assert counts(kind, 0, 100.5 + BACK, door=1)
    assert not counts(kind, 0, 109.9 + BACK, door=0)
    assert counts(kind, 0, 110.1 + BACK, door=0)


def test_a_gateway_that_hands_over_excuses_nobody_else() -> None:
    """Neither by an order, nor because it stops."""
    assert counts("gateway_stop", 0, 101.0, door=1)
    assert not counts("gateway_stop", 0, 101.0, door=0)
    assert counts("handover", None, 101.0, door=0)


def test_the_database_excuses_everybody() -> None:
    """Until it is back, and a takeover longer."""
    for door in range(3):
        assert not counts("database_stop", None, 109.9 + BACK, door=door)
        assert counts("database_stop", None, 110.1 + BACK, door=door)


def test_a_way_between_gateways_excuses_those_who_have_to_go_it() -> None:
    """The holder answers its own clients, and the others do when one that does not hold the wallet is cut off."""
    assert counts("cut_gateways", 0, 105.0, door=0)
    assert not counts("cut_gateways", 0, 105.0, door=1)
    assert not counts("cut_gateways", 1, 105.0, door=1)
    assert counts("cut_gateways", 1, 105.0, door=2)


def test_a_way_to_the_wallets_excuses_where_it_is_the_holders() -> None:
    """Nobody else goes it."""
    assert not counts("cut_wallets", 0, 105.0, door=1)
    assert counts("cut_wallets", 1, 105.0, door=1)


def test_reads_that_nothing_excuses_are_answered() -> None:
    """The daemon's own error is an answer."""
    away = op(
        "getbalance", how=ERROR, error={"code": -32001, "data": {"name": "no_backend", "executed": "no"}}, at=50.0
    )
    told = op("getrequest", "A", how=ERROR, error={"code": -32603, "message": "Request not found"}, at=50.0)
    assert found(Evidence(ops=[away], holdings=HELD, finals=CALM)) == {"9"}
    assert found(Evidence(ops=[told], holdings=HELD, finals=CALM)) == set()
    assert found(Evidence(ops=[away], deeds=[fault("database_stop", 48.0, 49.0, None)], holdings=HELD)) == set()
    assert found(Evidence(ops=[away], finals=CALM)) == set()


def test_a_gateway_is_no_help_when_it_is_lost_too() -> None:
    """Then the first counts as lost until it is back."""
    deeds = [fault("gateway_freeze", 100.0, 115.0, target=n) for n in range(3)]
    doors = [replace(op("version", at=1.0), door=n) for n in range(3)]
    late = replace(op("createnewaddress", how=REFUSED, at=114.0), door=1)
    evidence = Evidence(ops=[late, *doors], deeds=deeds, holdings=[Holding("gw-1", 1, 0.0, 300.0)])
    assert late not in countable(evidence)
    assert late in countable(replace(evidence, deeds=[deeds[0]]))


# -- 7: in time ---------------------------------------------------------------------------------------------------


def test_who_asks_a_gateway_that_stands_still_is_not_answered_in_time() -> None:
    """Whoever asks another one is."""
    silent = op("getbalance", how=BROKEN, note="silence", at=100.0, took=8.0)
    deeds = [fault("gateway_freeze", 99.0, 100.0 - HEARD + 4.0, target=0)]
    assert found(Evidence(ops=[silent], deeds=deeds, holdings=HELD)) == set()
    assert found(Evidence(ops=[replace(silent, door=1)], deeds=deeds, holdings=HELD)) == {"7"}
    assert found(Evidence(ops=[replace(silent, begin=105.0, end=113.0)], deeds=deeds, holdings=HELD)) == {"7"}


# -- 6 and 9: what a change of the holder explains ----------------------------------------------------------------


def test_unknown_outcomes_and_another_primary_are_explained_by_a_takeover() -> None:
    """By any fault of a gateway or the database, and by a handover."""
    data = {"name": "outcome_unknown", "executed": "unknown", "request": "", "backend": ""}
    lost = op("payto", "X", how=ERROR, error={"code": -32004, "data": data}, at=100.0)
    assert "9" in {one.invariant for one in judge(Evidence(ops=[lost], holdings=HELD, finals=CALM))}
    for kind in ("handover", "database_freeze", "cut_off", "gateway_stop"):
        deeds = [fault(kind, 99.0, 99.5, target=None)]
        assert found(Evidence(ops=[lost], deeds=deeds, holdings=HELD, finals=CALM)) == set()
