"""One page about a run, and one about many.

Rule: it says what was done before it says that nothing was found, so that a run which did nothing is seen.
"""

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.checker.evidence import Evidence
from tests.checker.excuses import after_faults, countable
from tests.checker.history import ALLOCATIONS, LEFT, address_of
from tests.checker.judge_cluster import may_come
from tests.checker.judge_time import READS
from tests.checker.plan import KINDS
from tests.checker.verdict import Violation


@dataclass(frozen=True)
class Summary:
    """What a run came to."""

    seed: int
    seconds: float
    counts: dict[str, int]
    faults: dict[str, int]
    ends: dict[str, int] = field(default_factory=dict)
    """How the calls of each method ended."""
    violations: list[Violation] = field(default_factory=list)
    folder: str = ""
    """Where its evidence is; "" when it was taken away."""

    @property
    def is_red(self) -> bool:
        """Whether anything was violated."""
        return bool(self.violations)

    def line(self) -> str:
        """Return the run in one line."""
        found = Counter(one.invariant for one in self.violations)
        verdict = "green" if not found else "RED " + " ".join(f"{name}:{n}" for name, n in sorted(found.items()))
        counts = self.counts
        return (
            f"seed {self.seed}: {verdict}; {counts['calls']} calls, {counts['addresses']} addresses, "
            f"{counts['signatures']} signatures, {sum(self.faults.values())} faults, {counts['unknown']} unknown"
        )


def summarize(seed: int, seconds: float, evidence: Evidence, violations: list[Violation], folder: str) -> Summary:
    """Count what happened in a run."""
    answered = [address for op in evidence.of(*ALLOCATIONS) if (address := address_of(op)) is not None]
    counted = countable(evidence)
    signed = [op for op in evidence.of("payto") if op.is_answered]
    took = sorted(op.end - op.begin for op in evidence.of(*ALLOCATIONS) if address_of(op) is not None)
    counts = {
        "calls": len(evidence.ops),
        "hung up": sum(op.how == LEFT for op in evidence.ops),
        "allocations": len(evidence.of(*ALLOCATIONS)),
        "addresses": len(answered),
        "duplicates": len(answered) - len(set(answered)),
        "allocations outside faults": len(counted),
        "of these answered": sum(address_of(op) is not None for op in counted),
        "allocations after the first fault": len(after_faults(evidence.of(*ALLOCATIONS), evidence)),
        "of these outside faults": len(after_faults(counted, evidence)),
        "allocation, median ms": round(1000 * statistics.median(took)) if took else 0,
        "invoices paid": len(evidence.paid),
        "payto": len(evidence.of("payto")),
        "signatures": len(signed),
        "keys": len({(op.client, op.key) for op in signed if op.key is not None}),
        "broadcasts told": sum(op.is_answered for op in evidence.of("broadcast")),
        "transactions on the chain": len(evidence.chain),
        "blocks": len(evidence.blocks),
        "unknown": sum(op.executed == "unknown" and op.how == "error" for op in evidence.ops),
        "not executed": sum(op.executed == "no" for op in evidence.ops),
        "calls in journals": len(evidence.rows),
        "promotions done": sum(deed.kind == "promote" and deed.is_done for deed in evidence.deeds),
        "addresses derived again": _derived_again(evidence),
    }
    if evidence.lives:
        cures = sorted(deed.end - deed.begin for deed in evidence.deeds if deed.stays and deed.is_back)
        counts |= {
            "daemons started": len(evidence.lives),
            "daemons ended by the gateway": sum(not one.by_checker for one in evidence.lives),
            "cures": len(cures),
            "cure, median ms": round(1000 * statistics.median(cures)) if cures else 0,
            "cure, longest ms": round(1000 * max(cures, default=0.0)),
        }
    if evidence.holdings:
        counts |= {
            "holdings": len(evidence.holdings),
            "changes of the holder": sum(one.gateway != then.gateway for one, then in pairwise(evidence.holdings)),
            "handovers done": sum(deed.kind == "handover" and deed.is_done for deed in evidence.deeds),
            "reads outside faults": len(countable(evidence, READS)),
            "calls of gateways": sum(bool(row.gateway) for row in evidence.rows),
            "calls without the wallet": sum(bool(row.gateway) and not may_come(evidence, row) for row in evidence.rows),
        }
    faults = Counter(deed.kind for deed in evidence.deeds if deed.kind in KINDS)
    return Summary(seed, seconds, counts, dict(faults), _ends(evidence), violations, folder)


def _derived_again(evidence: Evidence) -> int:
    """Return how often a daemon derived an address that it had derived before, and lost."""
    made = (row for row in evidence.rows if row.method == "createnewaddress" and isinstance(row.result, str))
    derived = Counter((row.daemon, row.result) for row in made)
    return sum(times - 1 for times in derived.values())


def _ends(evidence: Evidence) -> dict[str, int]:
    ends = Counter(f"{op.method}: {op.kind or op.how}" for op in evidence.ops)
    return dict(sorted(ends.items()))


def page(summary: Summary) -> str:
    """Return a page about one run, as Markdown."""
    lines = [f"## Seed {summary.seed}, {summary.seconds:g} s: {'RED' if summary.is_red else 'green'}", ""]
    if summary.folder:
        lines += [f"Evidence: `{summary.folder}`", ""]
    lines += ["| what | how many |", "|---|---|"]
    lines += [f"| {name} | {count} |" for name, count in summary.counts.items()]
    lines += [f"| fault: {name} | {count} |" for name, count in sorted(summary.faults.items())]
    lines += [f"| {name} | {count} |" for name, count in summary.ends.items()]
    lines.append("")
    for violation in summary.violations:
        lines += [f"### Invariant {violation.invariant}: {violation.text}", ""]
        lines += [f"    {json.dumps(one, default=str)}" for one in violation.evidence()]
        lines.append("")
    return "\n".join(lines)


def overview(summaries: Sequence[Summary]) -> str:
    """Return a page about all runs, as Markdown; the red ones in full."""
    red = [one for one in summaries if one.is_red]
    total: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for one in summaries:
        total.update({name: count for name, count in one.counts.items() if not name.endswith(" ms")})
        faults.update(one.faults)
        ends.update(one.ends)
        found.update({violation.invariant for violation in one.violations})
    lines = [f"# {len(summaries)} runs, {len(red)} red", "", "| what | how many |", "|---|---|"]
    lines += [f"| {name} | {count} |" for name, count in total.items()]
    lines += [f"| fault: {name} | {count} |" for name, count in sorted(faults.items())]
    lines += [f"| {name} | {count} |" for name, count in sorted(ends.items())]
    lines += [f"| runs that violate invariant {name} | {count} |" for name, count in sorted(found.items())]
    return "\n".join([*lines, "", *(page(one) for one in red)])
