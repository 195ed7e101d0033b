"""Random histories of a fleet in virtual time keep the invariants that the design numbers 1, 2, 4 to 7 and 9."""

import os
from collections import Counter

import pytest

from tests.simulation.world import ENDS, history
from tests.virtual_time import run_virtual

BLOCKS = 20
SHARE = max(1, int(os.environ.get("ECGW_HISTORIES", "500")) // BLOCKS)
"""Histories of one block; each has one at least, or nothing would be proved."""

FIRST_SEED = int(os.environ.get("ECGW_SEED", "1"))

ENOUGH = 25
"""Histories in which every kind of end comes up."""


@pytest.mark.simulation
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_history_breaks_an_invariant(block: int) -> None:
    """Every random history of faults is answered in time, honestly, and never twice."""
    first = FIRST_SEED + block * SHARE
    seen: Counter[str] = Counter()
    for seed in range(first, first + SHARE):
        world = run_virtual(history(seed))
        assert not world.violations(), f"seed {seed}: repeat it with ECGW_SEED={seed} ECGW_HISTORIES={BLOCKS}"
        seen += world.recorder.ends
    if SHARE >= ENOUGH:
        assert set(seen) >= ENDS, f"these ends never came up: {sorted(ENDS - set(seen))}"
