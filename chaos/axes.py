"""Where things lie in a plot of a run: time to the right, how long calls took upwards, bars that do not overlap.

Rule: pure; takes a result and gives numbers, so that what a plot shows can be tested without looking at it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.faults import FAULTS
from chaos.line import OF_WALLETS
from chaos.result import Result

FASTEST, SLOWEST = 0.001, 10.0
"""Seconds at the ends of the upward axis, at least."""

STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""Seconds between two marks on the axis of time."""

MARKS = 14
"""The most that there are."""

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Span:
    """A bar: seconds since the clients began, and what it says."""

    begin: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Axes:
    """The frame of a plot, in units of the drawing.

    Args:
        seconds: at the right end.
        slowest: seconds at the upper end.
    """

    left: float
    right: float
    top: float
    bottom: float
    seconds: float
    slowest: float = SLOWEST

    def x(self, seconds: float) -> float:
        """Return how far to the right a moment is; what lies outside is put at the edge."""
        part = min(1.0, max(0.0, seconds / self.seconds))
        return round(self.left + part * (self.right - self.left), 1)

    def y(self, seconds: float) -> float:
        """Return how far down a call of so many seconds is, by its logarithm."""
        within = min(self.slowest, max(FASTEST, seconds))
        part = math.log(within / FASTEST) / math.log(self.slowest / FASTEST)
        return round(self.bottom - part * (self.bottom - self.top), 1)

    def marks(self) -> list[float]:
        """Return the seconds that are marked on the axis of time."""
        step = next((one for one in STEPS if self.seconds / one <= MARKS), STEPS[-1])
        return [n * step for n in range(int(self.seconds / step) + 1)]

    def heights(self) -> list[float]:
        """Return the seconds that are marked upwards, each ten times the one before."""
        return [10.0**n for n in range(-3, math.floor(math.log10(self.slowest) + 1e-9) + 1)]


def length(result: Result) -> float:
    """Return how many seconds a plot shows: until the clients stopped, or the last fault, call or return after it."""
    ends = [result.began + result.seconds]
    ends += [max(one["end"], one.get("back") or 0.0) for one in result.faults]
    ends += [one[1] for one in result.calls]
    return max(1.0, max(ends) - result.began)


def slowest(result: Result) -> float:
    """Return the seconds at the upper end: ten, or a hundred where a call took longer."""
    return SLOWEST if all(end - begin <= SLOWEST for begin, end, _, _ in result.calls) else 10 * SLOWEST


def faults(result: Result) -> list[Span]:
    """Return what was done, with the name of what it was done to."""
    found = []
    for one in result.faults:
        value = f" {one['value']:g}" if one["value"] else ""
        text = f"{one['name']}{value}{aim(one['name'], one['target'])}"
        found.append(Span(one["begin"] - result.began, one["end"] - result.began, text))
    return found


def aim(name: str, target: int) -> str:
    """Return which wallet a fault was done to, as ": ec-1"; "" where it was none, or the fault is gone."""
    fault = FAULTS.get(name)
    return f": ec-{target + 1}" if fault is not None and fault.lane in OF_WALLETS else ""


def rows(spans: Sequence[Span], room: float = 0.0) -> list[list[Span]]:
    """Return bars in rows in which none meets another.

    Args:
        room: seconds between two, at least.
    """
    found: list[list[Span]] = []
    for one in sorted(spans, key=lambda span: (span.begin, span.end)):
        for row in found:
            if row[-1].end + room <= one.begin:
                row.append(one)
                break
        else:
            found.append([one])
    return found


def phases(result: Result, seconds: float) -> dict[str, list[Span]]:
    """Return for each backend the phases it went through, without a gap from the beginning to the end of a plot."""
    found: dict[str, list[Span]] = {}
    for backend in sorted({str(one["backend"]) for one in result.phases}):
        changes = [(one["at"] - result.began, str(one["phase"])) for one in result.phases if one["backend"] == backend]
        found[backend] = list(_spans(changes, seconds))
    return found


def _spans(changes: Iterable[tuple[float, str]], seconds: float) -> Iterable[Span]:
    at, now = 0.0, UNKNOWN
    for moment, phase in sorted(changes):
        if moment >= seconds:
            break
        if moment > at and phase != now:
            yield Span(at, moment, now)
            at = moment
        now = phase
    yield Span(at, seconds, now)
