"""Faults follow from the seed, and no two share a target."""

from collections import Counter

import pytest

from tests.checker.plan import DAEMONS, KINDS, QUIET_START, plan

SEEDS = range(1, 201)
SECONDS = 20.0


def test_the_same_seed_gives_the_same_faults() -> None:
    """And another one gives others."""
    assert plan(7, SECONDS) == plan(7, SECONDS)
    assert plan(7, SECONDS) != plan(8, SECONDS)


@pytest.mark.parametrize("seed", [1, 17, 200])
def test_one_target_has_one_fault_at_a_time(seed: int) -> None:
    """So that the end of a fault is the end of what it did."""
    ends: dict[str, float] = {}
    for fault in plan(seed, SECONDS):
        assert fault.at > ends.get(fault.lane, 0.0)
        assert QUIET_START <= fault.at < SECONDS
        assert fault.target in range(DAEMONS)
        ends[fault.lane] = fault.at + fault.lasts


def test_two_hundred_seeds_have_every_kind_of_fault_many_times() -> None:
    """What is rare is still tried; and no run is without a fault."""
    plans = [plan(seed, SECONDS) for seed in SEEDS]
    assert all(plans)
    many = Counter(fault.kind for faults in plans for fault in faults)
    assert set(many) == set(KINDS)
    assert min(many.values()) >= 40, many


def test_some_outages_outlast_the_run() -> None:
    """Then the others have to do."""
    assert any(fault.at + fault.lasts > SECONDS - 2.0 for seed in SEEDS for fault in plan(seed, SECONDS))
