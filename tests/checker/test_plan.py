"""Faults follow from the seed, and no two share a target."""

from collections import Counter

import pytest

from tests.checker.plan import ALONE, CUTS, DAEMONS, KINDS, QUIET_START, STAYS, Fault, plan

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
    alone = {name for name, kind in KINDS.items() if kind.weight or name == "restart"}
    assert set(many) == alone - (set() if restarts else {"restart"})
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


GATEWAYS = 3

KNOWN = [
    (1.43, "lose_chain", 0, 1.44),
    (3.54, "promote", 0, 0.0),
    (4.38, "disk_full", 0, 1.3),
    (4.76, "freeze", 2, 4.0),
    (4.84, "kill", 0, 4.0),
]


def cluster(seed: int, **more: frozenset[str]) -> list[Fault]:
    """Faults of several gateways."""
    return plan(seed, SECONDS, gateways=GATEWAYS, **more)  # type: ignore[arg-type]  # there is no other keyword left


def test_several_gateways_have_faults_of_their_own() -> None:
    """Every kind, at every gateway, one at a time at each; none of what one alone has."""
    many: Counter[str] = Counter()
    struck: set[tuple[str, int]] = set()
    for seed in range(1, 101):
        ends: dict[str, float] = {}
        for fault in cluster(seed):
            assert fault.at > ends.get(fault.lane, 0.0)
            ends[fault.lane] = fault.at + fault.lasts
            many[fault.kind] += 1
            if KINDS[fault.kind].lane == "gateway":
                struck.add((fault.kind, fault.target))
    assert set(many) == set(KINDS) - ALONE
    assert min(many.values()) >= 10, many
    kinds = {name for name, kind in KINDS.items() if kind.lane == "gateway"} - ALONE
    assert struck == {(kind, n) for kind in kinds for n in range(GATEWAYS)}


def test_what_cannot_be_had_is_left_out() -> None:
    """And nothing else of it happens otherwise."""
    for seed in range(1, 21):
        without = cluster(seed, without=CUTS)
        assert not {fault.kind for fault in without} & CUTS
        assert [fault for fault in cluster(seed) if KINDS[fault.kind].lane == "daemon"] == [
            fault for fault in without if KINDS[fault.kind].lane == "daemon"
        ]


def test_one_gateway_has_the_faults_that_it_always_had() -> None:
    """A seed that somebody wrote down stays what it was."""
    assert [(one.at, one.kind, one.target, one.lasts) for one in plan(7, 6.0)] == KNOWN
