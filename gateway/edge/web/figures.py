"""Numbers, times and lines as the page shows them.

Rule: `static/figures.js` writes the same figures from the same values, so that nothing changes its look when the
script takes over.  Pure.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

STEPS = ((86_400, 3), (3_600, 2), (60, 1))
"""Seconds of a unit, and its place among a language's words for units."""

WIDTH, HEIGHT = 120.0, 24.0
"""Of the drawing of a sparkline, in its own units."""

GAP = 5
"""Samples without a value that a line goes across: not every second has a call."""

MIB = 1 << 20
GIB = 1 << 30


def number(value: object) -> str:
    """Return a whole number with its thousands apart; "" for what is none."""
    return f"{value:,.0f}" if _is_number(value) else ""


def decimal(value: object, places: int = 2) -> str:
    """Return a number with so many places; "" for what is none."""
    return f"{value:.{places}f}" if _is_number(value) else ""


def rate(value: object) -> str:
    """Return how often per second: one place while it is small."""
    if not isinstance(value, int | float) or not _is_number(value):
        return "0"
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def milliseconds(value: object) -> str:
    """Return a latency, from milliseconds, in the unit that a person would take; a dash for none, which 0 is too."""
    if not isinstance(value, int | float) or not _is_number(value) or value == 0:
        return "–"  # noqa: RUF001 - it stands where a number would
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def size(value: object) -> str:
    """Return bytes in a unit that is read at a glance; "" for none."""
    if not isinstance(value, int | float) or not _is_number(value):
        return ""
    return f"{value / GIB:.1f} GiB" if value >= 10 * GIB else f"{value / MIB:,.0f} MiB"


def share(value: object) -> str:
    """Return a part of one in per cent; "" for none."""
    return f"{value:.0%}" if _is_number(value) else ""


def duration(seconds: float, units: Sequence[str]) -> str:
    """Return a time in the unit that a person would take.

    Args:
        units: second, minute, hour, day, and what is said of less than a second: nothing lasts for none.
    """
    for step, place in STEPS:
        if seconds >= 2 * step:
            return f"{math.floor(seconds / step)}{units[place]}"
    return f"{math.floor(seconds)}{units[0]}" if seconds >= 1 else units[4]


def iso(at: float) -> str:
    """Return a time (seconds since 1970) for machines."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(at: float, now: float, *, exact: bool = False) -> str:
    """Return a time for a person who has no script to put it into his zone: the day is left out while it is today.

    Args:
        exact: with seconds, for what follows within seconds.
    """
    when = datetime.fromtimestamp(at, UTC)
    day = "" if when.date() == datetime.fromtimestamp(now, UTC).date() else "%Y-%m-%d "
    return when.strftime(f"{day}%H:%M{':%S' if exact else ''} UTC")


def sparkline(samples: object) -> str:
    """Return the path of an SVG that draws latencies, with gaps where there was none; "" where there is no line."""
    if not isinstance(samples, Sequence) or isinstance(samples, str):
        return ""
    values = [float(one) if isinstance(one, int | float) and _is_number(one) else None for one in samples]
    known = [one for one in values if one is not None]
    if len(known) < 2:
        return ""
    # a line that only trembles is no alarm: the scale begins at 0 and ends at 5 ms at least
    top = max(*known, 5.0)
    step = WIDTH / (len(values) - 1)
    path, last = [], -2 * GAP
    for place, value in enumerate(values):
        if value is None:
            continue
        y = HEIGHT - 1 - value / top * (HEIGHT - 2)
        path.append(f"{'L' if place - last <= GAP else 'M'}{place * step:.1f} {y:.1f}")
        last = place
    return "".join(path)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
