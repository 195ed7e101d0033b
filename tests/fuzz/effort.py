"""How many cases each property gets, and which: ten thousand together, or what FUZZ_CASES says.

Rule: the same FUZZ_SEED and the same FUZZ_CASES give the same cases, on every machine and each time; what fails is
printed with both.  `make test` takes seed 0, `make fuzz` one seed after the other.
"""

import os
from collections.abc import Callable
from typing import Any

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


def cases(name: str) -> Callable[[Any], Any]:
    """Return what gives a property its cases; how long one takes on a busy machine proves nothing."""
    chosen = settings(
        max_examples=max(10, round(CASES * SHARES[name])),
        deadline=None,
        # a database on disk would be shared by the processes of `make fuzz`; the seed is enough
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    return lambda check: seed(SEED)(chosen(check))


def show(*what: object) -> None:
    """Have a case printed should it fail; the beginning of it, for some are long."""
    note(f"the same again: FUZZ_SEED={SEED} FUZZ_CASES={CASES}")
    note("  ".join(repr(one) if len(repr(one)) < LONGEST else repr(one)[:LONGEST] + "..." for one in what))
