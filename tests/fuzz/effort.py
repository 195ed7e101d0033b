"""How many cases each property gets, and which: ten thousand together, or what FUZZ_CASES says.

Rule: the same FUZZ_SEED and the same FUZZ_CASES give the same cases, on every machine and each time; what fails is
printed with both.  `make test` takes seed 0, `make fuzz` one seed after the other.
"""

import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, note, seed, settings

CASES = int(os.environ.get("FUZZ_CASES", "10000"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))

LONGEST = 3000
"""Characters of a case that are printed."""

SHARES = {
    "envelope": 0.22, "batch": 0.03, "noise": 0.1, "answer": 0.15, "wire": 0.13, "kept": 0.02, "line": 0.25,
    "admin": 0.1,
}  # fmt: skip
"""Of all cases; together 1."""


ENDLESS = 20.0
"""Seconds of CPU after which a case counts as one that would never end; the slowest takes two."""


def _never_ends(_number: int, _frame: object) -> NoReturn:
    # no Exception: whoever answers for all that goes wrong must not take this for one of his errors and go on
    pytest.fail(f"it was not over after {ENDLESS:g} s of CPU, and would never be")


def bounded(check: Callable[..., None]) -> Callable[..., None]:
    """Return a check that fails where it would never end, with the line in which it was."""

    @wraps(check)
    def found(*given: Any, **named: Any) -> None:
        before = signal.signal(signal.SIGVTALRM, _never_ends)
        signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS)
        try:
            check(*given, **named)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
            signal.signal(signal.SIGVTALRM, before)

    return found


def cases(name: str) -> Callable[[Any], Any]:
    """Return what gives a property its cases; how long one takes on a busy machine proves nothing."""
    chosen = settings(
        max_examples=max(10, round(CASES * SHARES[name])),
        deadline=None,
        # a database on disk would be shared by the processes of `make fuzz`; the seed is enough
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )

    def of(check: Any) -> Any:
        check.hypothesis.inner_test = bounded(check.hypothesis.inner_test)
        return seed(SEED)(chosen(check))

    return of


def show(*what: object) -> None:
    """Have a case printed should it fail; the beginning of it, for some are long."""
    note(f"the same again: FUZZ_SEED={SEED} FUZZ_CASES={CASES}")
    note("  ".join(repr(one) if len(repr(one)) < LONGEST else repr(one)[:LONGEST] + "..." for one in what))
