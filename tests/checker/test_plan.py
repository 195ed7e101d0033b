"""Faults follow from the seed, and no two share a target."""

from collections import Counter

import pytest

from tests.checker.plan import DAEMONS, KINDS, QUIET_START, STAYS, plan

SEEDS = range(1, 201)
SECONDS = 20.0


def test_the_same_seed_gives_the_same_faults() -> None:
    """And another one gives others."""
    assert plan(7, SECONDS) == plan(7, SECONDS)
    assert plan(7, SECONDS) != plan(8, SECONDS)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("seed", [1, 17, 200])
def test_one_target_has_one_fault_at_a_time(seed: int, *, restarts: bool) -> None:
    """So that the end of a fault is the end of what it did."""
    ends: dict[str, float] = {}
    for fault in plan(seed, SECONDS, restarts=restarts):
        assert fault.at > ends.get(fault.lane, 0.0)
        assert QUIET_START <= fault.at < SECONDS
        assert fault.target in range(DAEMONS)
        ends[fault.lane] = fault.at + fault.lasts


@pytest.mark.parametrize("restarts", [False, True])
def test_two_hundred_seeds_have_every_kind_of_fault_many_times(*, restarts: bool) -> None:
    """What is rare is still tried; and no run is without a fault.  Restarts are ordered where somebody makes them."""
    plans = [plan(seed, SECONDS, restarts=restarts) for seed in SEEDS]
    assert all(plans)
    many = Counter(fault.kind for faults in plans for fault in faults)
    assert set(many) == set(KINDS) - (set() if restarts else {"restart"})
    assert min(many.values()) >= 30, many


def test_some_outages_outlast_the_run() -> None:
    """Then the others have to do."""
    assert any(fault.at + fault.lasts > SECONDS - 2.0 for seed in SEEDS for fault in plan(seed, SECONDS))


def test_some_faults_are_left_to_the_gateway() -> None:
    """Each kind that a restart heals, and none where nobody restarts."""
    faults = [fault for seed in SEEDS for fault in plan(seed, SECONDS, restarts=True)]
    many = Counter(fault.kind for fault in faults if fault.stays)
    assert set(many) == {*STAYS, "restart"}
    assert min(many.values()) >= 30, many
    assert any(fault.kind == "freeze" and not fault.stays for fault in faults)
    assert not any(fault.stays for seed in SEEDS for fault in plan(seed, SECONDS))
