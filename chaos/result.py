"""What a run came to, as a file that reports are made of.

Rule: plain JSON, written once when all is judged; times are seconds since 1970.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "result.json"

HELD, VIOLATED, SKIPPED = "held", "violated", "skipped"


@dataclass
class Result:
    """One run of one scenario before one door.

    Args:
        faults: `{"name", "target", "begin", "end", "value", "back", "felt_for_s", "note"}` each.
        phases: `{"at", "backend", "phase"}` each, of our gateway alone.
        calls: `[begin, end, kind, outcome]` each, in the order of their beginnings.
        outcomes: how many calls of each kind ended in which way.
        promises: `{"figure", "most", "value", "is_kept", "is_strict"}` each.
        violations: `{"invariant", "text"}` each.
        left_out: faults that were planned and not done, each with the reason.
        is_judged: whether a violation is a failure; before a door without a ledger it is a figure.
        why: of what was skipped, or failed to run.
        is_late: whether it was skipped for want of time, and not because something is lacking here.
        folder: where the evidence is.
    """

    scenario: str
    door: str
    seed: int
    words: str
    workload: str = ""
    began: float = 0.0
    seconds: float = 0.0
    faults: list[dict[str, Any]] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[float, float, str, str]] = field(default_factory=list)
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    promises: list[dict[str, Any]] = field(default_factory=list)
    verdict: str = HELD
    violations: list[dict[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    is_judged: bool = True
    why: str = ""
    is_late: bool = False
    repeat: str = ""
    folder: str = ""

    @property
    def is_slower_than_promised(self) -> bool:
        """Whether a time was missed that is the machine's as well as the gateway's."""
        return any(not one["is_kept"] for one in self.promises)

    @property
    def has_failed(self) -> bool:
        """Whether this is red."""
        return self.verdict == VIOLATED and self.is_judged

    def line(self) -> str:
        """Return the run in one line."""
        verdict = self.verdict if self.is_judged or self.verdict == SKIPPED else f"not judged, {self.verdict}"
        told = [f"{self.scenario} through {self.door}: {verdict}" + (f" ({self.why})" if self.why else "")]
        shown = ("reads", "read_errors", "slowest_read_ms", "felt_for_s", "allocations", "duplicates",
                 "double_executions", "full_strength_after_s")  # fmt: skip
        told += [f"{name} {self.figures[name]:g}" for name in shown if name in self.figures]
        if "allocations_counted" in self.figures:
            told.append(counted(self.figures))
        told += [f"left out: {one}" for one in self.left_out]
        told += [f"[{one['invariant']}] {one['text']}" for one in self.violations[:3]] if self.is_judged else []
        return "; ".join(told)

    def save(self, folder: Path) -> Path:
        """Write it down."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path


def load(path: Path) -> Result:
    """Read what `save` wrote."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["calls"] = [tuple(one) for one in fields["calls"]]
    return Result(**fields)


def counted(figures: dict[str, float]) -> str:
    """Return how many allocations had to be answered, of those after the first fault."""
    asked, counts = figures["allocations_after_fault"], figures["allocations_counted"]
    return f"{counts:g} of {asked:g} allocations after the first fault counted"


def repeat(scenario: str, seed: int, door: str) -> str:
    """Return the command that makes a run again."""
    doors = "" if door == "gateway" else f" DOORS={door}"
    return f"make chaos SCENARIO={scenario} SEED={seed}{doors}"
