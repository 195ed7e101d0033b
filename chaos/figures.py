"""What a run comes to in figures: for the table in which doors are compared, and for promises.

Rule: counted from what clients were told, from the daemons' journals and from the chain, never from what a door says of
itself; a figure that nothing was measured for is left out.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaos.callers import BATCH
from chaos.line import Done
from chaos.strength import PROBE
from gateway.base.errors import DEADLINE_BEFORE_SEND, OUTCOME_UNKNOWN
from tests.checker.evidence import Evidence, transaction
from tests.checker.excuses import after_faults, countable
from tests.checker.history import ALLOCATIONS, BROKEN, ERROR, LEFT, REFUSED, Op, address_of

AUDITOR = "auditor"
"""The client by which the run itself asks."""

LATE = 0.05
"""Seconds above the median before the fault, from which a read counts as one that felt it."""

APART = 2.0
"""Seconds, at least, without a late or wrong read after which a fault is no longer felt."""

SPACES = 2.5
"""The same in spaces between two reads, for clients that ask seldom."""

KINDS = {
    "createnewaddress": "allocate", "getunusedaddress": "allocate", "addrequest": "allocate",
    "payto": "pay", "broadcast": "pay",
    "setlabel": "write", "rmrequest": "write",
}  # fmt: skip
"""What a method counts as; the others are reads."""

OUT_OF_TIME = frozenset({DEADLINE_BEFORE_SEND.name, OUTCOME_UNKNOWN.name})
"""Errors of the gateway that tell of a deadline."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as a plot shows it."""

    begin: float
    end: float
    kind: str
    outcome: str

    @property
    def took(self) -> float:
        """Seconds."""
        return self.end - self.begin


def worked(evidence: Evidence, began: float, ends: float) -> list[Op]:
    """Return what clients asked while they worked; what the run itself asks is no work."""
    return [op for op in evidence.ops if began <= op.begin <= ends and op.client != AUDITOR]


def call_of(op: Op) -> Call:
    """Return a call of a history as figures take it."""
    return Call(op.begin, op.end, _kind(op), _outcome(op))


def _kind(op: Op) -> str:
    return "batch" if op.note.startswith(BATCH) else KINDS.get(op.method, "read")


def _outcome(op: Op) -> str:
    if op.is_answered:
        return "ok"
    if op.how in {LEFT, REFUSED}:
        return op.how
    if (op.how == BROKEN and "silence" in op.note) or (op.how == ERROR and op.kind in OUT_OF_TIME):
        return "timeout"
    return "error"


def felt_for(calls: Sequence[Call], begin: float, until: float) -> float:
    """Return for how many seconds a fault was felt by readers: from the first read that was late or wrong to the last.

    Args:
        calls: reads, in the order of their beginnings.
        begin: of the fault.
        until: when the next fault begins, or the clients stop.
    """
    before = [one.took for one in calls if one.end < begin and one.outcome == "ok"]
    usual = statistics.median(before) if before else 0.0
    during = [one for one in calls if one.end >= begin and one.begin < until]
    spaces = [later.begin - one.begin for one, later in pairwise(calls)]
    apart = max(APART, SPACES * statistics.median(spaces)) if spaces else APART
    first: float | None = None
    last = 0.0
    for one in during:
        if one.outcome == "ok" and one.took <= usual + LATE:
            continue
        if first is not None and one.begin - last > apart:
            break
        first = max(begin, one.begin) if first is None else first
        last = max(last, one.end)
    return 0.0 if first is None else last - first


def felt(calls: Sequence[Call], faults: Sequence[Done], ends: float) -> list[float]:
    """Return for each fault, in the order of their beginnings, for how long readers felt it."""
    if not faults:
        return []
    reads = [one for one in calls if one.kind == "read"]
    begins = [*(one.begin for one in faults[1:]), ends]
    return [felt_for(reads, one.begin, max(until, one.end)) for one, until in zip(faults, begins, strict=True)]


def strong_for_good(calls: Sequence[Call], over: float, strong_at: float) -> float | None:
    """Return since when all were at full strength and stayed so while the clients worked; None where they did not.

    A door that stood still takes some calls well, and may fail with the ones that waited behind them.

    Args:
        calls: in the order of their beginnings.
        over: when the last fault ended.
        strong_at: when it was first seen.
    """
    for kind in ("read", "allocate"):
        after = [one for one in calls if one.kind == kind and one.begin >= over and one.outcome != LEFT]
        if after and after[-1].outcome != "ok":
            return None
        strong_at = max([strong_at, *(one.end for one in after if one.outcome != "ok")])
    return strong_at


def figures(
    evidence: Evidence, faults: Sequence[Done], *, began: float, ends: float, strong_at: float | None,
    settled_at: float | None = None,
) -> dict[str, float]:  # fmt: skip
    """Return the figures of a run.

    Args:
        began: when the clients began, and `ends` when they stopped.
        strong_at: since when all were at full strength, None where that was not seen.
        settled_at: when our gateway had every wallet in service by its own word; None before another door.
    """
    ops = worked(evidence, began, ends)
    calls = [call_of(op) for op in ops]
    reads = [one for one in calls if one.kind == "read" and one.outcome != LEFT]
    good = sorted(one.took for one in reads if one.outcome == "ok")
    found: dict[str, float] = {
        "reads": len(reads),
        "read_errors": sum(one.outcome != "ok" for one in reads),
        "batches": sum(one.kind == "batch" for one in calls),
        "batch_errors": sum(one.kind == "batch" and one.outcome not in {"ok", LEFT} for one in calls),
        **_money(evidence, ops),
    }
    if reads:
        found["slowest_read_ms"] = _ms(max(one.took for one in reads))
    if good:
        found["median_read_ms"] = _ms(statistics.median(good))
        found["p99_read_ms"] = _ms(good[min(len(good) - 1, int(0.99 * len(good)))])
    if faults:
        found["felt_for_s"] = round(max(felt(calls, faults, ends)), 3)
    over = max((one.end for one in faults), default=0.0)
    strong_for_good_at = strong_for_good(calls, over, strong_at) if faults and strong_at is not None else None
    if strong_for_good_at is not None:
        found["full_strength_after_s"] = round(max(0.0, strong_for_good_at - over), 2)
    if faults and settled_at is not None:
        found["restored_after_s"] = round(max(0.0, settled_at - faults[0].begin), 2)
    return found


def _money(evidence: Evidence, ops: Sequence[Op]) -> dict[str, float]:
    asked = [op for op in ops if op.method in ALLOCATIONS]
    answered = [address for op in asked if (address := address_of(op)) is not None]
    within = {id(op) for op in asked}
    countables = [op for op in countable(evidence) if id(op) in within] if evidence.has_ledger else []
    found: dict[str, float] = {
        "allocations": len(asked),
        "addresses": len(answered),
        **_asked(asked),
        "duplicates": _duplicates(evidence, within),
        "payments": len({str(op.params[0]) for op in ops if op.method == "payto"}),
        "signatures": sum(op.method == "payto" and op.is_answered for op in ops),
        "double_executions": double_executions(evidence),
        "unknown_outcomes": sum(op.how == ERROR and op.executed == "unknown" for op in ops),
    }
    if countables:
        good = sum(address_of(op) is not None for op in countables)
        # invariant 9, of those calls that no fault excuses
        found["allocations_outside_faults"] = len(countables)
        found["answered_outside_faults_percent"] = round(100 * good / len(countables), 2)
    if evidence.has_ledger:
        # those that were asked for when all served again are among them
        found["allocations_after_fault"] = len(after_faults(evidence.of(*ALLOCATIONS), evidence))
        found["allocations_counted"] = len(after_faults(countable(evidence), evidence))
    return found


def _asked(allocations: Sequence[Op]) -> dict[str, float]:
    """Return what became of allocations whose client waited for the answer."""
    waited = [op for op in allocations if op.how != LEFT]
    if not waited:
        return {}
    return {
        "failed_allocations": sum(address_of(op) is None for op in waited),
        "slowest_allocation_ms": _ms(max(op.end - op.begin for op in waited)),
    }


def _duplicates(evidence: Evidence, within: set[int]) -> int:
    """Return how many of some allocations were answered with an address that a call, whichever, had been given."""
    seen: set[str] = set()
    found = 0
    for op in sorted(evidence.of(*ALLOCATIONS), key=lambda one: one.end):
        address = address_of(op)
        if address is None:
            continue
        found += address in seen and id(op) in within
        if op.note != PROBE:
            seen.add(address)
    return found


def double_executions(evidence: Evidence) -> int:
    """Return how many transactions too many there are, by which somebody may be paid twice.

    For one payment only one may have been told to its client, or be on the chain.
    """
    made: dict[str, set[str]] = defaultdict(set)
    asked = {str(op.params[0]) for op in evidence.of("payto")}
    for op in evidence.of("payto"):
        if op.is_answered and isinstance(op.result, dict):
            tx = transaction(op.result.get("hex"))
            if tx is not None:
                made[str(op.params[0])].add(tx.txid)
    for txid, mined in evidence.chain.items():
        for output in mined.tx.outputs:
            if output.address in asked:
                made[output.address].add(txid)
    return sum(len(found) - 1 for found in made.values())


def outcomes(calls: Sequence[Call]) -> dict[str, dict[str, int]]:
    """Return how the calls of each kind ended."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in calls:
        found[one.kind][one.outcome] += 1
    return {kind: dict(sorted(ends.items())) for kind, ends in sorted(found.items())}


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)
