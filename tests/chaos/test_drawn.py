"""Random scenarios: the seed says all of it."""

from hypothesis import given
from hypothesis import strategies as st

from chaos.drawn import HEALS, LAST, SECONDS, scenario
from chaos.faults import FAULTS
from chaos.script import At

SEEDS = st.integers(0, 10_000)


@given(SEEDS)
def test_a_seed_gives_one_line(seed: int) -> None:
    """So that a failing run can be repeated."""
    assert scenario(seed) == scenario(seed)


@given(SEEDS)
def test_one_target_of_one_lane_has_one_fault_at_a_time(seed: int) -> None:
    """And what the gateway has to end is given the time for it."""
    by_lane: dict[tuple[str, int], list[At]] = {}
    for one in scenario(seed).line:
        by_lane.setdefault((FAULTS[one.fault].lane, one.target), []).append(one)
    for line in by_lane.values():
        ends = 0.0
        for one in line:
            assert one.at >= ends
            ends = one.at + (HEALS if one.stays else one.lasts)


@given(SEEDS)
def test_nothing_begins_just_before_the_end(seed: int) -> None:
    """There is to be something to see of it."""
    assert all(one.at <= SECONDS - LAST for one in scenario(seed).line)


def test_seeds_differ() -> None:
    """In their lines and in who works."""
    drawn = [scenario(seed) for seed in range(40)]
    assert len({one.line for one in drawn}) == 40
    assert len({one.workload for one in drawn}) == 3
    assert {at.fault for one in drawn for at in one.line} > {"freeze", "kill", "wedge", "gateway_kill", "rollback"}
