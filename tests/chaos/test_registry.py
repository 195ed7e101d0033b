"""Every fault is in the registry, and every one is done in a scenario."""

import importlib
import inspect
import itertools
import pkgutil

import pytest

import chaos.faults
from chaos.doors import DOORS
from chaos.drawn import DRAWS
from chaos.faults import FAULTS, LANES, Fault
from chaos.line import OF_WALLETS, ONE_AT_A_TIME, counts_as
from chaos.needs import DOORS as DOOR_NEEDS
from chaos.needs import NEEDS
from chaos.scenarios import SCENARIOS
from chaos.script import At, Scenario
from chaos.workloads import WORKLOADS
from tests.checker.plan import DAEMONS, KINDS

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
