"""Random histories of a fleet in virtual time keep the invariants that the design numbers 4, 5 and 7 (and 2, 6)."""

import os

import pytest

from tests.simulation.world import history
from tests.virtual_time import run_virtual

HISTORIES = int(os.environ.get("ECGW_HISTORIES", "500"))
BLOCKS = 20
FIRST_SEED = int(os.environ.get("ECGW_SEED", "1"))


@pytest.mark.simulation
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_history_breaks_an_invariant(block: int) -> None:
    """Every random history of faults is answered in time, honestly, and never twice."""
    share = HISTORIES // BLOCKS
    first = FIRST_SEED + block * share
    for seed in range(first, first + share):
        world = run_virtual(history(seed))
        assert not world.violations(), f"seed {seed}: repeat it with ECGW_SEED={seed} ECGW_HISTORIES={BLOCKS}"
