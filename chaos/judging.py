"""The verdict about a run: the checker's judge, promises of figures, and whether what was planned came about.

Rule: one judge serves here, in the money issue and in the gateway issue; a door without a ledger is asked only whether
it gave an address twice or let somebody be paid twice.  A run of our gateway without its faults, or without what they
should have led to, proves nothing, and is violated.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from chaos.line import Done, LeftOut
from chaos.phases import unseen
from chaos.script import ADDRESSES, Promise, Scenario
from chaos.workloads import WORKLOADS
from tests.checker.evidence import Evidence
from tests.checker.judge import judge, once
from tests.checker.judge_money import executions, keys, payments
from tests.checker.verdict import Violation

OF_ANYBODY: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (once, keys, payments, executions)
"""What is asked of a door that promises nothing."""


def violations(
    evidence: Evidence, faults: Sequence[Done], kept: Sequence[dict[str, Any]], *, is_gateway: bool
) -> list[Violation]:
    """Return every violation of a run.

    Args:
        kept: as `promises` returns them.
    """
    if not is_gateway:
        return [one for look in OF_ANYBODY for one in look(evidence)]
    found = judge(evidence)
    found += [Violation("fault", one.note) for one in faults if not one.is_done]
    found += [
        Violation("promise", f"{one['figure']} is {one['value']:g}; {one['most']:g} at most was promised")
        for one in kept
        if one["is_strict"] and not one["is_kept"]
    ]
    return found


def unproved(
    scenario: Scenario, left_out: Sequence[LeftOut], figures: dict[str, float], log: Path, since: float
) -> list[Violation]:
    """Return what a run of our gateway should have had and had not.

    Args:
        left_out: what was not done of the line.
        log: the gateway's.
        since: when the first fault began, seconds since 1970.
    """
    found = [] if scenario.is_drawn else [Violation("fault", f"not done: {told(one)}") for one in left_out]
    found += [Violation("sign", f"never seen: {one.words}") for one in unseen(scenario.expects, log, since)]
    found += [
        Violation("sign", f"{one.figure} is below {one.least:g}: the fault had no effect")
        for one in scenario.effects
        if figures.get(one.figure, 0.0) < one.least
    ]
    found += [
        Violation("promise", f"{one.figure} was not measured; {one.most:g} at most was promised")
        for one in promised(scenario)
        if one.is_strict and one.figure not in figures
    ]
    return found


def told(one: LeftOut) -> str:
    """Return a fault that was not done, with the reason, in words."""
    return f"{one.at.fault} of {one.at.target} at {one.at.at:g} s: {one.why}"


def promised(scenario: Scenario) -> tuple[Promise, ...]:
    """Return all that a scenario promises; of addresses where somebody asks for some, and nothing stands in the way."""
    if scenario.addresses_may_wait or not WORKLOADS[scenario.workload].allocates:
        return scenario.promises
    return (*scenario.promises, *ADDRESSES)


def promises(scenario: Scenario, figures: dict[str, float]) -> list[dict[str, Any]]:
    """Return the promises of a scenario with what became of them; one whose figure was not measured is left out."""
    return [
        {
            "figure": one.figure,
            "most": one.most,
            "value": figures[one.figure],
            "is_kept": figures[one.figure] <= one.most,
            "is_strict": one.is_strict,
        }
        for one in promised(scenario)
        if one.figure in figures
    ]
