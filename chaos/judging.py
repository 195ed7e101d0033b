"""The verdict about a run: the checker's judge, what could not be taken back, and promises of figures.

Rule: one judge serves here, in the money issue and in the gateway issue; a door without a ledger is asked only whether
it gave an address twice or let somebody be paid twice.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chaos.line import Done
from chaos.script import Scenario
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
        for one in scenario.promises
        if one.figure in figures
    ]
