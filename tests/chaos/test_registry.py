"""Every fault is in the registry, and every one is done in a scenario."""

import importlib
import inspect
import itertools
import pkgutil

import pytest

import chaos.faults
from chaos import drawn
from chaos.doors import DOORS
from chaos.drawn import DRAWS
from chaos.faults import FAULTS, LANES, Fault
from chaos.line import OF_WALLETS, ONE_AT_A_TIME, counts_as
from chaos.needs import DOORS as DOOR_NEEDS
from chaos.needs import NEEDS
from chaos.phases import EVENTS
from chaos.scenarios import SCENARIOS
from chaos.script import At, Scenario
from chaos.workloads import WORKLOADS, buy, pay
from gateway.base.config import Health
from gateway.supervision.balances import DOUBTFUL, GRACE
from gateway.supervision.reconcile import PERIOD
from tests.checker.plan import DAEMONS, KINDS

LOGGED = {*EVENTS, "backend.reloaded", "backend.diverged", "backend.unaligned"}
"""What scenarios may expect: changes of a phase, and what is told of a wallet's content."""

MARGIN = 2.0
"""Seconds that a busy machine may take besides."""

FILES = [one.name for one in pkgutil.iter_modules(chaos.faults.__path__)]


def test_each_file_of_a_fault_has_its_line() -> None:
    """A class that has a name of its own is a fault; what only helps has none."""
    made = {
        one
        for file in FILES
        for _, one in inspect.getmembers(importlib.import_module(f"chaos.faults.{file}"), inspect.isclass)
        if one.__module__ == f"chaos.faults.{file}" and isinstance(vars(one).get("name"), str)
    }
    assert made == {type(fault) for fault in FAULTS.values()}


def test_every_fault_has_a_scenario() -> None:
    """One that is never done proves nothing."""
    done = {name for scenario in SCENARIOS.values() for name in scenario.faults}
    assert set(FAULTS) - done == set()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda one: one.name)
def test_a_fault_names_what_is_known(fault: Fault) -> None:
    """Its lane, its needs, and what the judge takes it for."""
    assert fault.lane in LANES
    assert fault.needs <= set(NEEDS)
    assert counts_as(fault) in {None, *KINDS}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda one: one.name)
def test_a_scenario_can_be_played(scenario: Scenario) -> None:
    """Its workload and its faults exist, each fault begins in time and has a target that there is."""
    assert scenario.workload in WORKLOADS
    for one in scenario.line:
        assert 0.0 <= one.at < scenario.seconds
        assert FAULTS[one.fault].lane not in OF_WALLETS or 0 <= one.target < DAEMONS
        assert not one.stays or FAULTS[one.fault].lane in OF_WALLETS


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda one: one.name)
def test_one_process_has_one_fault_at_a_time(scenario: Scenario) -> None:
    """A second one would be left out."""
    by_target: dict[tuple[str, int], list[At]] = {}
    for one in sorted(scenario.line, key=lambda at: at.at):
        lane = FAULTS[one.fault].lane
        by_target.setdefault((lane if lane in ONE_AT_A_TIME else one.fault, one.target), []).append(one)
    for found in by_target.values():
        for before, after in itertools.pairwise(found):
            assert before.stays or before.at + before.lasts <= after.at


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda one: one.name)
def test_a_scenario_expects_what_the_gateway_logs(scenario: Scenario) -> None:
    """Before no fault can a sign be seen, and of no backend that there is not."""
    assert not scenario.expects or scenario.line
    for one in scenario.expects:
        assert one.event in LOGGED
        assert one.backend in {"", *(f"ec-{n + 1}" for n in range(DAEMONS))}
    clocks = {"gateway_clock"} & set(scenario.faults)
    assert not (scenario.expects and clocks), "the times of its log are its clock's"


@pytest.mark.parametrize(
    "name",
    ["lose_chain", "silent_chain", "wrong_seed", "wrong_seed_primary", "full_queue", "height_stuck", "wrong_balance",
     "rollback", "rollback_all", "unload", "sigterm", "rpc_stop", "kill", "freeze", "half_sent", "incident"],
)  # fmt: skip
def test_where_the_effect_is_what_is_shown_a_sign_of_it_is_expected(name: str) -> None:
    """Else a fault that came to nothing would count as one that was withstood."""
    assert SCENARIOS[name].expects


def test_a_fault_that_is_noticed_late_lasts_longer_than_that() -> None:
    """A height may lag for a while; a balance is compared now and then, and counts as odd if it stays so."""
    [stuck] = SCENARIOS["height_stuck"].line
    assert stuck.lasts > Health().lag_grace + MARGIN
    [odd] = SCENARIOS["wrong_balance"].line
    assert odd.lasts > PERIOD + GRACE + DOUBTFUL + MARGIN
    assert not any(part.work in {pay, buy} for part in WORKLOADS[SCENARIOS["wrong_balance"].workload].parts)


def test_a_wallet_that_is_told_to_end_is_compared_before_every_door() -> None:
    """A container that is stopped, and an operator's `stop`, befall whoever balances."""
    assert SCENARIOS["sigterm"].peers
    assert SCENARIOS["rpc_stop"].peers


def test_what_is_drawn_is_told_as_drawn() -> None:
    """A fault of it may be left out, and the gateway itself is away at times."""
    drawn_one = drawn.scenario(1)
    assert drawn_one.is_drawn
    assert drawn_one.addresses_may_wait
    assert not any(one.is_drawn for one in SCENARIOS.values())


def test_the_incident_is_there_by_its_name() -> None:
    """Six calls a minute, a daemon that a silent connection took away, and nobody but the gateway to end it."""
    incident = SCENARIOS["incident"]
    assert incident.workload == "trickle"
    assert [(one.fault, one.stays) for one in incident.line] == [("wedge", True)]
    assert incident.peers


def test_what_is_drawn_needs_nothing_of_the_machine() -> None:
    """So that a seed gives the same run everywhere."""
    assert all(not FAULTS[name].needs for name in DRAWS)


def test_every_other_door_says_what_it_needs() -> None:
    """So that a run through it is left out with a reason where that is missing."""
    assert set(DOOR_NEEDS) >= set(DOORS) - {"gateway"}
    assert all(found <= set(NEEDS) for found in DOOR_NEEDS.values())
