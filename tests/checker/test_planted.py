"""The checker is worth something: a gateway with one rule taken away turns its run red, for just that reason."""

from pathlib import Path

import pytest

from tests.checker.gateway import GATEWAY
from tests.checker.planted import BUGS, HARMLESS, launcher
from tests.checker.report import page
from tests.checker.run import run
from tests.checker.scenarios import SCENARIOS, Scenario
from tests.checker.test_runs import needs_postgresql

TIMES = 3

HARMFUL = [one for one in SCENARIOS if one.bug not in HARMLESS]

pytestmark = [pytest.mark.checker, pytest.mark.timeout(180)]


def test_every_bug_has_a_scenario() -> None:
    """And no scenario is for a bug that is gone."""
    assert {one.bug for one in SCENARIOS} == set(BUGS)


@pytest.mark.parametrize("scenario", HARMFUL, ids=lambda one: one.bug)
def test_a_planted_bug_is_caught(scenario: Scenario, tmp_path: Path) -> None:
    """By the invariant that it breaks; at the third time at the latest, for a fault must meet the right call."""
    if scenario.gateways > 1:
        needs_postgresql()
    for _ in range(TIMES):
        summary = run(scenario.options(launcher(scenario.bug), tmp_path))
        if any(one.invariant == scenario.invariant and scenario.says in one.text for one in summary.violations):
            return
    pytest.fail(page(summary))


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.bug in HARMLESS], ids=lambda one: one.bug)
def test_what_a_harmless_bug_breaks_is_mended(scenario: Scenario, tmp_path: Path) -> None:
    """It did its damage, and no client was told anything wrong."""
    if scenario.gateways > 1:
        needs_postgresql()
    summary = run(scenario.options(launcher(scenario.bug), tmp_path))
    assert {one.invariant for one in summary.violations} <= scenario.bears, page(summary)
    assert summary.counts[scenario.counts] > 0


@pytest.mark.parametrize("scenario", HARMFUL, ids=lambda one: one.bug)
def test_the_same_run_without_the_bug_is_green(scenario: Scenario, tmp_path: Path) -> None:
    """So it was the bug that was caught."""
    if scenario.gateways > 1:
        needs_postgresql()
    summary = run(scenario.options(GATEWAY, tmp_path))
    assert not summary.is_red, page(summary)
