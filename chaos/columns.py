"""What a report says of one run: the columns by which doors are compared, the verdict, and what else is known.

Rule: every number comes out of the run's result; what was not measured is a dash and not a zero.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chaos.plot import time
from chaos.result import Result, counted

SERVING = frozenset({"READY", "WARMING"})
"""Phases in which a backend serves; a slow start is service."""

NONE = "-"
"""What stands where nothing was measured."""


@dataclass(frozen=True)
class Cell:
    """One figure of the comparison.

    Args:
        is_bad: whether it is something that must not be, such as an error or an address given twice.
    """

    text: str
    is_bad: bool = False


@dataclass(frozen=True)
class Column:
    """One column of the comparison.

    Args:
        words: for whoever reads it.
        explained: a sentence.
    """

    title: str
    explained: str
    cell: Callable[[Result], Cell]


def verdict(run: Result) -> Cell:
    """Return what became of a run in a word or two."""
    if run.has_failed:
        return Cell("VIOLATED", is_bad=True)
    if not run.is_judged:
        return Cell("compared")
    return Cell("held, slower than promised" if run.is_slower_than_promised else "held")


def _share(figure: str, of: str) -> Callable[[Result], Cell]:
    def cell(run: Result) -> Cell:
        if figure not in run.figures or not run.figures.get(of):
            return Cell(NONE)
        value = int(run.figures[figure])
        return Cell(f"{value:,} of {int(run.figures[of]):,}", is_bad=value > 0)

    return cell


def _count(figure: str) -> Callable[[Result], Cell]:
    def cell(run: Result) -> Cell:
        value = run.figures.get(figure)
        return Cell(NONE) if value is None else Cell(f"{int(value):,}", is_bad=value > 0)

    return cell


def _time(figure: str, unit: float = 1.0) -> Callable[[Result], Cell]:
    def cell(run: Result) -> Cell:
        value = run.figures.get(figure)
        return Cell(NONE) if value is None else Cell(time(value * unit) if value else "0")

    return cell


def _slowest(run: Result) -> Cell:
    value = run.figures.get("slowest_read_ms")
    if value is None:
        return Cell(NONE)
    calm = calm_slowest(run)
    return Cell(time(value / 1000) + ("" if calm is None else f" ({time(calm)})"))


def calm_slowest(run: Result) -> float | None:
    """Return the seconds of the slowest read before the first fault, which is the machine's noise; None without any."""
    if not run.faults:
        return None
    begin = min(fault["begin"] for fault in run.faults)
    return max((end - at for at, end, kind, _ in run.calls if kind == "read" and end < begin), default=None)


def _strength(run: Result) -> Cell:
    if not run.faults:
        return Cell(NONE)
    if "full_strength_after_s" not in run.figures:
        return Cell("never", is_bad=True)
    return _time("full_strength_after_s")(run)


def _failed_allocations(run: Result) -> Cell:
    asked = int(run.figures.get("allocations", 0))
    if not asked:
        return Cell(NONE)
    failed = asked - int(run.figures.get("addresses", 0))
    return Cell(f"{failed:,} of {asked:,}", is_bad=failed > 0)


COLUMNS = (
    Column(
        "read errors",
        "Reads that were answered with an error or not at all. Our gateway restarts a wallet that needs it; no other "
        "door restarts any, so that before them such a wallet is away until the clients stop.",
        _share("read_errors", "reads"),
    ),
    Column(
        "slowest read",
        "The longest that a read took, answered or not; in brackets the same before the fault, which is the machine's "
        "own noise.",
        _slowest,
    ),
    Column(
        "fault felt for",
        "From the first read that was wrong, or 50 ms slower than the median before the fault, to the last such one.",
        _time("felt_for_s"),
    ),
    Column(
        "addresses given twice",
        "Addresses that a second customer was given too, of all that were given.",
        _share("duplicates", "addresses"),
    ),
    Column(
        "allocations failed",
        "Requests for an address or an invoice that were not answered with one.",
        _failed_allocations,
    ),
    Column(
        "double executions",
        "Payments for which more than one transaction was handed out or mined.",
        _count("double_executions"),
    ),
    Column(
        "full strength",
        "From the end of the last fault until each wallet answered for itself and, through the door, six reads and "
        "then an allocation were good one after the other, each within 0.4 s; the same for every door. "
        "Whether the door asks each wallet already is not seen by it.",
        _strength,
    ),
)  # fmt: skip


def promise(one: dict[str, Any]) -> str:
    """Return what was promised and what came of it, as "slowest read 40 ms, at most 50 ms promised"."""
    words, unit = str(one["figure"]), ""
    for ending, its in (("_ms", " ms"), ("_s", " s"), ("_percent", " %")):
        if words.endswith(ending):
            words, unit = words.removesuffix(ending), its
    said = f"{words.replace('_', ' ')} {one['value']:g}{unit}, at most {one['most']:g}{unit} promised"
    return said if one["is_strict"] else f"{said} (a time: told, not judged)"


def facts(run: Result) -> Iterator[tuple[str, str]]:
    """Yield what else is known of a run, as pairs of words."""
    for fault in run.faults:
        if fault["note"]:
            yield "not as planned", fault["note"]
    back = back_after(run)
    if back is not None:
        yield "all back in service, as the gateway saw it", f"{time(back)} after the fault began"
    for figure, words in (
        ("median_read_ms", "median read"),
        ("p99_read_ms", "99 % of reads within"),
        ("slowest_allocation_ms", "slowest allocation"),
    ):
        if figure in run.figures:
            yield words, time(run.figures[figure] / 1000)
    if run.figures.get("payments"):
        yield "payments asked for", f"{int(run.figures['payments']):,}"
    if run.figures.get("unknown_outcomes"):
        yield "told that the outcome is unknown", f"{int(run.figures['unknown_outcomes']):,}"
    if "answered_outside_faults_percent" in run.figures:
        yield "allocations answered outside faults", f"{run.figures['answered_outside_faults_percent']:g} %"
    if "allocations_counted" in run.figures:
        yield "liveness", counted(run.figures)
    for one in run.left_out:
        yield "not done", one


def back_after(run: Result) -> float | None:
    """Return after how many seconds from the first fault the gateway had all wallets in service again.

    None where it tells nothing, or took none out, or one never came back.
    """
    if not run.faults:
        return None
    begin = min(fault["begin"] for fault in run.faults)
    serves: dict[str, bool] = {}
    was_out, back = False, begin
    for change in sorted(run.phases, key=lambda one: float(one["at"])):
        before = all(serves.values())
        serves[change["backend"]] = change["phase"] in SERVING
        if change["at"] < begin:
            continue
        if not all(serves.values()):
            was_out = True
        elif not before:
            back = change["at"]
    return back - begin if was_out and all(serves.values()) else None
