"""Random histories of sick daemons and their launchers: what can be cured is cured, and nothing well is hurt.

Rule: never two restarts at once in a wallet, no storm of them, no daemon ended while it works, and after any fault
that ends the fleet is in full service within its bounds; a mutant that breaks one of these is caught.
"""

import os
from collections import Counter
from collections.abc import Callable

import pytest

from gateway.fleet.backend import Backend
from gateway.flow import runner as runner_room
from gateway.rules import health, restart
from gateway.rules.patients import Act, Cause, Patient, View
from gateway.rules.records import Limits, Record, next_try
from gateway.supervision.renewing import Renewing
from tests.simulation.care_world import RESTART, history
from tests.virtual_time import run_virtual

BLOCKS = 20
SHARE = max(1, int(os.environ.get("ECGW_HISTORIES", "500")) // BLOCKS)
"""Histories of one block."""

FIRST_SEED = int(os.environ.get("ECGW_SEED", "1"))

ENOUGH = 25
"""Histories in which every usual cause comes up."""

CAUSES = frozenset({"dead", "wedged", "order"})

PREVENTING = 25
"""Histories with preventive restarts by age and memory."""

MUTANT_HISTORIES = 60
"""Histories in which a mutant must be caught."""

Patch = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at waiting calls less often: they are not what these histories are about."""
    monkeypatch.setattr(runner_room, "SWEEP", 0.05)


@pytest.mark.simulation
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_history_ends_in_health(block: int) -> None:
    """Whatever went wrong."""
    first = FIRST_SEED + block * SHARE
    seen: Counter[str] = Counter()
    for seed in range(first, first + SHARE):
        world = run_virtual(history(seed))
        assert not world.violations(), f"seed {seed}: repeat it with ECGW_SEED={seed} ECGW_HISTORIES={BLOCKS}"
        seen.update(str(event.fields["cause"]) for _, _, event in world.told("restart.begun"))
    if SHARE >= ENOUGH:
        assert set(seen) >= CAUSES, f"never seen: {sorted(CAUSES - set(seen))}"


@pytest.mark.simulation
@pytest.mark.timeout(600)
def test_prevention_is_lived_through() -> None:
    """By age and by memory, beside all that goes wrong."""
    seen: Counter[str] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + PREVENTING):
        world = run_virtual(history(seed, prevention=True))
        assert not world.violations(), f"seed {seed}"
        seen.update(str(event.fields["cause"]) for _, _, event in world.told("restart.begun"))
    assert set(seen) >= {"age", "memory"}


# -- mutants ------------------------------------------------------------------------------------------------------


def two_at_once(patch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the restart of another one."""
    patch.setattr(restart, "_not_our_turn", lambda *_: None)


def busy_is_no_excuse(patch: pytest.MonkeyPatch) -> None:
    """A daemon that works on a call is like one that does nothing."""
    patch.setattr(health, "is_working", lambda *_: False)
    patch.setattr(Backend, "last_bound", property(lambda _self: None))


def no_cap(patch: pytest.MonkeyPatch) -> None:
    """A daemon may be restarted for ever, and without a pause."""

    def never(_record: Record, _limits: Limits, _now: float) -> bool:
        return False

    patch.setattr(restart, "is_beyond_cap", never)
    # as long as its launcher takes to refuse at least, or the loop's time would stand still
    patch.setattr(restart, "next_try", lambda record, _limits: record.ended_at + 0.05)


def failed_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Beyond the cap it is not tried any more."""
    honest = next_try
    patch.setattr(
        restart, "next_try", lambda record, limits: 1e12 if record.has_failed else honest(record, limits)
    )  # fmt: skip


def no_brake(patch: pytest.MonkeyPatch) -> None:
    """Who drifts is restarted, whoever else drifts."""
    patch.setattr(restart, "_others", lambda *_: None)


def a_cut_is_a_death(patch: pytest.MonkeyPatch) -> None:
    """Who cannot be reached is ended at once."""
    patch.setattr(restart, "_must_last", lambda *_: 0.0)
    patch.setattr(restart, "_cure_unseen", lambda *_: restart._Want(Act.RESTART, Cause.DEAD, "away"))
    patch.setattr(restart, "_others", lambda *_: None)


def a_hold_is_nothing(patch: pytest.MonkeyPatch) -> None:
    """An operator's hold is not asked for."""
    patch.setattr(restart, "_forbidden", lambda *_: None)


def well_is_no_excuse(patch: pytest.MonkeyPatch) -> None:
    """A daemon is restarted because it has been well for long."""
    honest = restart._cure

    def cure(patient: Patient, view: View, limits: Limits, now: float) -> "restart._Want | None":
        if patient.is_well and now - patient.ill_since >= RESTART.healthy_after:
            return restart._Want(Act.RESTART, Cause.DEAD, "well")
        return honest(patient, view, limits, now)

    patch.setattr(restart, "_cure", cure)


def memory_round_and_round(patch: pytest.MonkeyPatch) -> None:
    """A restart for memory that did not help is followed by the next one."""
    patch.setattr(restart, "NO_HELP", 0.0)


def launchers_are_believed(patch: pytest.MonkeyPatch) -> None:
    """A process that its launcher takes for gone is gone, whoever listens there."""

    async def nobody(_self: Renewing) -> bool:
        return False

    async def nothing(_self: Renewing) -> None:
        pass

    patch.setattr(Renewing, "_listens", nobody)
    patch.setattr(Renewing, "_end_hidden", nothing)


MUTANTS: dict[str, tuple[Patch, str]] = {
    "a cut is a death": (a_cut_is_a_death, "only the way to it was cut"),
    "a hold is nothing": (a_hold_is_nothing, "and is held"),
    "well is no excuse": (well_is_no_excuse, "nothing was the matter with it"),
    "launchers are believed": (launchers_are_believed, "a second time"),
    "memory round and round": (memory_round_and_round, "round and round"),
    "two at once": (two_at_once, "beside"),
    "busy is no excuse": (busy_is_no_excuse, "s into"),
    "no cap": (no_cap, "times from"),
    "failed for ever": (failed_for_ever, "not cured"),
    "no brake": (no_brake, "drift"),
}
"""What each breaks, and a word of the violation that it must cause."""

PREVENTIVE = frozenset({"memory round and round"})
"""Those that only a long history with preventive restarts shows."""


@pytest.mark.simulation
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that is taken away is missed by one of the first histories."""
    patch, word = MUTANTS[mutant]
    patch(monkeypatch)
    prevention, seconds = mutant in PREVENTIVE, 90.0 if mutant in PREVENTIVE else 40.0
    for seed in range(1, MUTANT_HISTORIES + 1):
        world = run_virtual(history(seed, prevention=prevention, seconds=seconds))
        if any(word in violation for violation in world.violations()):
            return
    pytest.fail(f"{mutant}: not caught in {MUTANT_HISTORIES} histories")
