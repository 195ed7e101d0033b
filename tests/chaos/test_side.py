"""The scenarios by which doors are compared meet the fault that they are about."""

import pytest

from chaos.scenarios_side import SIDE_BY_SIDE
from chaos.script import ONE_AWAY, Scenario
from chaos.workloads import WORKLOADS, read

SELDOM = [one for one in SIDE_BY_SIDE if one.name.endswith("_seldom")]


@pytest.mark.parametrize("scenario", SIDE_BY_SIDE, ids=lambda one: one.name)
def test_each_promises_what_is_required_while_one_wallet_is_away(scenario: Scenario) -> None:
    """No error, no slow read, nothing felt: at forty reads a second as at six a minute."""
    assert set(ONE_AWAY) <= set(scenario.promises)


@pytest.mark.parametrize("scenario", SELDOM, ids=lambda one: one.name)
def test_a_read_begins_fifty_milliseconds_after_the_fault(scenario: Scenario) -> None:
    """Seconds later a probe has seen it, and the read would prove nothing."""
    parts = WORKLOADS[scenario.workload].parts
    [(place, part)] = [(n, one) for n, one in enumerate(parts) if one.work is read]
    first, every = place / len(parts) / part.rate, 1 / part.rate
    [fault] = scenario.line
    begins = [first + n * every for n in range(int(scenario.seconds / every))]
    after = [begin - fault.at for begin in begins if 0 < begin - fault.at < fault.lasts]
    assert after[0] == pytest.approx(0.05)
    assert len([begin for begin in begins if begin < fault.at]) >= 2, "what is usual is known before"
