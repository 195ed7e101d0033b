"""Seeded runs of real processes: every invariant holds, whatever fails."""

import os
from pathlib import Path

import pytest

from tests.checker.report import page
from tests.checker.run import Options, run
from tests.integration.postgres_server import WAY_OUT, binaries

pytestmark = [pytest.mark.checker, pytest.mark.timeout(180)]

SEEDS = (1, 2)
"""Two of the two hundred that `make checker` runs."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_under_faults_violates_nothing(seed: int, tmp_path: Path) -> None:
    """Twenty seconds of clients, faults from the seed, then the verdict."""
    summary = run(Options(seed, 20.0, folder=tmp_path))
    assert not summary.is_red, page(summary)
    assert summary.counts["addresses"] > 50
    assert summary.counts["signatures"] > 10
    assert sum(summary.faults.values()) > 2


CLUSTER_SEEDS = (1, 2, 3)
"""Three of the hundred with three gateways: a minute of them."""


def needs_postgresql() -> None:
    """Skip a test loudly where there is no PostgreSQL; fail it where there must be one."""
    if (binaries() / "initdb").exists():
        return
    told = f"PostgreSQL is not installed; the way out: {WAY_OUT}"
    if os.environ.get("ECGW_REQUIRE_REAL") == "1":
        pytest.fail(told)
    pytest.skip(told)


@pytest.mark.parametrize("seed", CLUSTER_SEEDS)
def test_a_run_of_three_gateways_violates_nothing(seed: int, tmp_path: Path) -> None:
    """The same, with one database, and faults of gateways, ways and the database among the others."""
    needs_postgresql()
    summary = run(Options(seed, 20.0, gateways=3, folder=tmp_path))
    assert not summary.is_red, page(summary)
    assert summary.counts["addresses"] > 50
    assert summary.counts["signatures"] > 0
    assert summary.counts["changes of the holder"] > 0
    assert summary.counts["calls of gateways"] > 200


def test_without_a_ledger_the_checker_sees_addresses_twice(tmp_path: Path) -> None:
    """The methods of the daemon itself give one address to several callers: the reason for all this."""
    summary = run(Options(1, 2.0, faults=(), only=frozenset({"desk-1", "desk-2"}), has_ledger=False, folder=tmp_path))
    assert "1" in {violation.invariant for violation in summary.violations}
    assert summary.counts["duplicates"] > 0
