"""Random histories of gateways that go after one lease: never two hold, nobody stale writes, and somebody does.

Rule: each gateway has a clock of its own, up to a hundredth fast or slow; statements are slow, lost before or after
their commit, or carried out long after they were given up; gateways are killed, frozen, cut off and stopped.  A
mutant that takes one rule away is caught.
"""

import asyncio
import os
from collections.abc import Callable

import pytest

from gateway.ledger.held import HeldLedger
from gateway.rules import lease as rules
from gateway.supervision.tenancy import Tenancy
from tests.simulation.lease_world import FAULTS, history

BLOCKS = 20
SHARE = max(1, int(os.environ.get("ECGW_HISTORIES", "500")) // BLOCKS)
"""Histories of one block."""

FIRST_SEED = int(os.environ.get("ECGW_SEED", "1"))

ENOUGH = 25
"""Histories in which every kind of fault comes up."""

KINDS = frozenset({*FAULTS, "an answer was lost"})

MUTANT_HISTORIES = 60
"""Histories in which a mutant must be caught."""

Patch = Callable[[pytest.MonkeyPatch], None]

pytestmark = [
    pytest.mark.simulation,
    # a task that is killed before its first step leaves a coroutine behind that nobody began
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_never_two_hold_and_somebody_does(block: int) -> None:
    """Whatever fails."""
    first = FIRST_SEED + block * SHARE
    seen: set[str] = set()
    for seed in range(first, first + SHARE):
        world = history(seed)
        assert not world.violations, f"seed {seed}: repeat it with ECGW_SEED={seed} ECGW_HISTORIES={BLOCKS}"
        seen |= world.seen
    if SHARE >= ENOUGH:
        assert seen >= KINDS, f"never seen: {sorted(KINDS - seen)}"


# -- mutants ------------------------------------------------------------------------------------------------------


def no_margin(patch: pytest.MonkeyPatch) -> None:
    """The holder counts as long as the database does, by its own clock."""
    patch.setattr(rules, "MARGIN", 0.0)


def a_flag_says_who_holds(patch: pytest.MonkeyPatch) -> None:
    """It is set with the lease and taken back by a timer."""
    patch.setattr(Tenancy, "is_held", property(lambda self: self._term != 0))


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """A transaction does not look whether the lease is still held."""
    patch.setattr(HeldLedger, "_fenced", lambda _self, work: work)


def counted_from_the_answer(patch: pytest.MonkeyPatch) -> None:
    """The lease counts from when it is heard of."""

    def counts_until(sent_at: float, ttl: float) -> float:
        # 0 is asked for the length of it
        begins = asyncio.get_running_loop().time() if sent_at else 0.0
        return begins + ttl - rules.margin(ttl)

    patch.setattr(rules, "counts_until", counts_until)


MUTANTS: list[tuple[Patch, str, str]] = [
    (no_margin, "two hold", "cut"),
    (a_flag_says_who_holds, "two hold", "freeze"),
    (no_fence, "wrote in term", "hang the database"),
    (counted_from_the_answer, "two hold", "late, then cut"),
]
"""Each mutant, words of the violation that it must cause, and the fault that brings it out soonest."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("mutant", "words", "plot"), MUTANTS, ids=[mutant.__name__ for mutant, _, _ in MUTANTS])
def test_a_rule_of_leases_taken_away_is_missed(
    mutant: Patch, words: str, plot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least one history breaks what the rule keeps."""
    mutant(monkeypatch)
    for seed in range(1, 1 + MUTANT_HISTORIES):
        if any(words in violation for violation in history(seed, plot).violations):
            return
    pytest.fail(f"{MUTANT_HISTORIES} histories without this rule, and it was not missed")
