"""Restarts: each rule has a history that violates it, and one like it that does not."""

from dataclasses import replace

import pytest

from tests.checker.evidence import Evidence, Row
from tests.checker.histories import SHOP, failed, fault, found, row
from tests.checker.history import Life
from tests.checker.judge import judge

# one daemon is ended at 20 and begun at 21, and has its wallet at 22
OLD = Life(0, 100, 5.0, 20.0)
NEW = Life(0, 101, 21.0, 90.0, by_checker=True)
LOADED = row(0, 22.0, "load_wallet", result=True)
WEDGED = fault("wedge", 15.0, 22.0, 0, stays=True)


def said(evidence: Evidence) -> list[str]:
    """What the judge says."""
    return [one.text for one in judge(evidence)]


def test_a_daemon_that_nobody_brings_back_is_seen() -> None:
    """Or that comes back too late; a gateway that was away meanwhile has longer."""
    assert found(Evidence(deeds=[replace(WEDGED, end=29.0)])) == set()
    assert found(Evidence(deeds=[replace(WEDGED, is_back=False)])) == {"9"}
    late = replace(WEDGED, end=33.0)
    assert found(Evidence(deeds=[late])) == {"9"}
    assert found(Evidence(deeds=[replace(late, stays=False)])) == set()
    assert found(Evidence(deeds=[replace(late, end=46.0), fault("gateway_kill", 16.0, 16.5, None)])) == {"9"}
    assert found(Evidence(deeds=[late, fault("gateway_kill", 16.0, 16.5, None)])) == set()
    assert found(Evidence(deeds=[late, replace(WEDGED, target=1, begin=14.0)])) == set()


def test_a_restart_without_a_reason_is_seen() -> None:
    """A fault of that daemon is a reason, an order is one, and the checker's own kill needs none."""
    lives = [OLD, NEW]
    assert found(Evidence(lives=lives)) == {"9"}
    assert found(Evidence(lives=lives, deeds=[WEDGED])) == set()
    assert found(Evidence(lives=lives, deeds=[replace(WEDGED, target=1)])) == {"9"}
    assert found(Evidence(lives=lives, deeds=[fault("restart", 19.0, 22.0, 0, stays=True)])) == set()
    assert found(Evidence(lives=lives, deeds=[fault("promote", 19.0, 20.0, 0)])) == {"9"}
    assert found(Evidence(lives=[replace(OLD, by_checker=True), NEW])) == set()


@pytest.mark.parametrize(
    ("other", "rows", "is_seen"),
    [
        # ended while the first has not begun, while it has no wallet, and once it has one
        (20.5, [LOADED], True),
        (21.5, [LOADED], True),
        (22.5, [LOADED], False),
        # a wallet that is not loaded in time keeps nobody waiting for ever
        (24.0, [], True),
        (26.5, [], False),
    ],
)
def test_two_restarts_at_once_are_seen(other: float, rows: list[Row], *, is_seen: bool) -> None:
    """Of one wallet; and a new gateway does not know what the one before had begun."""
    lives = [OLD, NEW, Life(1, 200, 11.0, other), Life(1, 201, other + 1, 90.0, by_checker=True)]
    deeds = [WEDGED, replace(WEDGED, target=1)]
    evidence = Evidence(lives=lives, deeds=deeds, rows=rows)
    assert said(evidence) == ["daemon 1 was restarted while daemon 0 had no wallet yet"] * is_seen
    killed = fault("gateway_kill", 20.2, 20.4, None)
    assert said(replace(evidence, deeds=[*deeds, killed])) == []


def test_who_has_its_turn_after_a_start_that_failed_is_no_second_one() -> None:
    """A process that did not live to say that it began leaves a gap between two that did."""
    lives = [OLD, replace(NEW, begin=31.0), Life(1, 200, 11.0, 29.0), Life(1, 201, 29.5, 90.0, by_checker=True)]
    evidence = Evidence(lives=lives, deeds=[replace(WEDGED, end=32.0), replace(WEDGED, target=1, end=30.0)])
    text = "daemon 1 was restarted while daemon 0 had no wallet yet"
    assert text not in said(evidence)
    assert text in said(replace(evidence, lives=[replace(OLD, end=28.5), *lives[1:]]))


def test_a_start_that_failed_on_a_full_disk_leaves_no_trace_and_holds_nobody_up() -> None:
    """It could not write down that it began; the gap is as short as that of a start that took its time."""
    lives = [OLD, NEW, Life(1, 200, 11.0, 20.6), Life(1, 201, 20.8, 90.0, by_checker=True)]
    evidence = Evidence(lives=lives, deeds=[WEDGED, replace(WEDGED, target=1)], rows=[LOADED])
    text = "daemon 1 was restarted while daemon 0 had no wallet yet"
    assert text in said(evidence)
    full = fault("disk_full", 19.9, 20.3, None)
    assert text not in said(replace(evidence, deeds=[*evidence.deeds, full]))
    assert text in said(replace(evidence, deeds=[*evidence.deeds, replace(full, begin=15.0, end=16.0)]))


def test_two_processes_of_one_daemon_are_seen() -> None:
    """They would write one wallet file."""
    assert found(Evidence(lives=[OLD, NEW], deeds=[WEDGED])) == set()
    assert found(Evidence(lives=[replace(OLD, end=21.5), NEW], deeds=[WEDGED])) == {"3"}


def test_a_restart_in_the_middle_of_a_payment_is_seen() -> None:
    """By the client who is told that nobody knows, at the moment in which the daemon ended."""
    order = fault("restart", 19.0, 22.0, 0, stays=True)
    slow = fault("slow", 10.0, 20.0, 0)
    evidence = Evidence(lives=[OLD, NEW], deeds=[order, slow])
    lost = failed("payto", SHOP, "0.1", name="outcome_unknown", executed="unknown", backend="ec-1", at=19.5, took=0.6)
    text = "daemon 0 was restarted while a payment was under way there"
    assert said(replace(evidence, ops=[lost])) == [text]
    # it had had its time; it ended for another reason, or at another moment; it was known to have been left undone
    assert said(replace(evidence, ops=[replace(lost, begin=17.9)])) == []
    assert said(replace(evidence, ops=[replace(lost, end=20.6)])) == []
    assert said(replace(evidence, ops=[lost], deeds=[order, slow, fault("kill", 19.9, 21.0, 1)])) == []
    undone = failed("payto", SHOP, "0.1", name="no_backend", executed="no", at=19.5, took=0.6)
    assert said(replace(evidence, ops=[undone])) == []
    # whoever waits in a wedged daemon has his time as well
    assert text in said(replace(evidence, ops=[lost], deeds=[order, replace(WEDGED, begin=18.0)]))
