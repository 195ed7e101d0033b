"""What a report says of many runs, before it is a page: what was made, what was left out, and whether all held.

Rule: every number comes out of a run's result; what was not measured is a dash, and what was not made says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.machine import Machine
from chaos.result import SKIPPED, Result

GATEWAY = "gateway"
NAMES = {"gateway": "ec-gateway", "haproxy": "HAProxy", "nginx": "nginx"}
"""What a door is called."""


@dataclass(frozen=True)
class Play:
    """All runs of one scenario with one seed."""

    scenario: str
    seed: int
    words: str
    workload: str
    runs: tuple[Result, ...]
    """Those that were made, our gateway's first."""

    @property
    def anchor(self) -> str:
        """Where it is in a page."""
        return f"{self.scenario}-{self.seed}"

    @property
    def is_compared(self) -> bool:
        """Whether another door was tried as well."""
        return len(self.runs) > 1


@dataclass(frozen=True)
class Report:
    """All of a report."""

    plays: tuple[Play, ...]
    left_out: tuple[Result, ...]
    """With the reason in each."""
    about: Machine

    @property
    def runs(self) -> list[Result]:
        """Every run that was made."""
        return [run for play in self.plays for run in play.runs]

    @property
    def red(self) -> list[Result]:
        """Those that failed."""
        return [run for run in self.runs if run.has_failed]

    @property
    def doors(self) -> list[str]:
        """The doors that were tried, ours first."""
        return sorted({run.door for run in self.runs}, key=_place)

    @property
    def faults(self) -> dict[str, int]:
        """How often each fault was done."""
        found: dict[str, int] = {}
        for run in self.runs:
            for fault in run.faults:
                found[fault["name"]] = found.get(fault["name"], 0) + 1
        return dict(sorted(found.items()))

    @property
    def late(self) -> list[Result]:
        """Those that were left out for want of time."""
        return [one for one in self.left_out if one.is_late]

    @property
    def state(self) -> str:
        """`red` where something failed; else `held`, or `open` where too little was made to say so."""
        if self.red:
            return "red"
        return "open" if self.late or not any(run.door == GATEWAY for run in self.runs) else "held"

    @property
    def extent(self) -> str:
        """How much was made."""
        return f"{many(len(self.runs), 'run')} of {many(len(self.plays), 'scenario')}"

    @property
    def headline(self) -> str:
        """The first sentence, and what was not made for want of time."""
        return " ".join(filter(None, (self._held, out_of_time(self.left_out))))

    @property
    def _held(self) -> str:
        ours = [run for run in self.runs if run.door == GATEWAY]
        if not ours:
            return "No run was made before the gateway: nothing is proved, other doors are only compared."
        calls = f"{sum(len(run.calls) for run in ours):,} calls"
        if not self.red:
            slow = sum(run.is_slower_than_promised for run in ours)
            told = f" {slow} of them {'was' if slow == 1 else 'were'} slower than promised." if slow else ""
            return f"Every invariant held in {many(len(ours), 'run')} before the gateway, through {calls}.{told}"
        return f"{many(len(self.red), 'run')} of {len(ours)} before the gateway violated what must hold."


def out_of_time(results: Sequence[Result]) -> str:
    """Return how many runs were left out for want of time, before which doors; "" where none was."""
    doors: dict[str, int] = {}
    for one in results:
        if one.is_late:
            doors[one.door] = doors.get(one.door, 0) + 1
    if not doors:
        return ""
    told = ", ".join(f"{doors[door]} before {NAMES.get(door, door)}" for door in sorted(doors, key=_place))
    return f"NOT ALL WAS MADE: {many(sum(doors.values()), 'run')} left out for want of time ({told})."


def made(results: Sequence[Result], about: Machine) -> Report:
    """Return the report of some runs, in the order in which they came."""
    plays: dict[tuple[str, int], list[Result]] = {}
    for one in results:
        if one.verdict != SKIPPED:
            plays.setdefault((one.scenario, one.seed), []).append(one)
    return Report(
        tuple(
            Play(scenario, seed, runs[0].words, runs[0].workload or _workload(runs), tuple(sorted(runs, key=_order)))
            for (scenario, seed), runs in plays.items()
        ),
        tuple(one for one in results if one.verdict == SKIPPED),
        about,
    )


def _workload(runs: Sequence[Result]) -> str:
    return next((run.workload for run in runs if run.workload), "")


def _order(run: Result) -> int:
    return _place(run.door)


def _place(door: str) -> int:
    return list(NAMES).index(door) if door in NAMES else len(NAMES)


def many(count: int, what: str) -> str:
    """Return a count with its word, as "1 run" and "2 runs"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
