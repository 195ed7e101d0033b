"""Whether a series of samples grows: a robust line through it, and a picture of it.

Rule: a line through the median of all pairs (Theil and Sen) does not see what a few samples did, however far out they
are; it says "grows" only if three of four pairs say so as well, for a series that jumps has some slope or other.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 400
"""Samples that are paired with each other; more are thinned out."""

Samples = Sequence[tuple[float, float]]
"""Seconds and value."""


@dataclass(frozen=True)
class Trend:
    """What became of a series after its warm-up.

    Args:
        first, last: where the line begins and ends.
        growth: between the two, in the unit of the series.
        per_hour: its slope.
        is_flat: whether the growth is below what was allowed, or no growth at all by most pairs.
    """

    first: float
    last: float
    growth: float
    per_hour: float
    highest: float
    is_flat: bool


def trend(samples: Samples, allowed: float) -> Trend:
    """Lay the line; `allowed` is the growth from the first to the last sample that still counts as flat."""
    step = max(1, len(samples) // MOST)
    some = list(samples[::step])
    slopes = sorted((b[1] - a[1]) / (b[0] - a[0]) for n, a in enumerate(some) for b in some[n + 1 :] if b[0] > a[0])
    if not slopes:
        value = some[0][1] if some else 0.0
        return Trend(value, value, 0.0, 0.0, value, is_flat=True)
    slope, lower = slopes[len(slopes) // 2], slopes[len(slopes) // 4]
    start = statistics.median(value - slope * at for at, value in some)
    first, last = (start + slope * at for at in (some[0][0], some[-1][0]))
    growth = last - first
    return Trend(
        first, last, growth, slope * 3600, max(value for _, value in samples), is_flat=growth <= allowed or lower <= 0
    )


BARS = " .:-=+*#%@"


def sparkline(samples: Samples, width: int = 60) -> str:
    """Return a row of signs: the mean of each span between the lowest and the highest."""
    if not samples:
        return ""
    begin, end = samples[0][0], samples[-1][0]
    spans: list[list[float]] = [[] for _ in range(width)]
    for at, value in samples:
        spans[min(width - 1, int((at - begin) / max(1e-9, end - begin) * width))].append(value)
    means = [statistics.mean(span) if span else None for span in spans]
    known = [mean for mean in means if mean is not None]
    low, high = min(known), max(known)
    return "".join(
        " " if mean is None else BARS[round((mean - low) / ((high - low) or 1.0) * (len(BARS) - 1))] for mean in means
    )


def svg(rows: Sequence[tuple[str, Samples, str]], marks: Sequence[tuple[float, float, str]]) -> str:
    """Return a picture: one row for each series (name, samples, unit), and the faults as stripes (begin, end, name)."""
    width, height, left = 900, 70, 130
    begin = min(samples[0][0] for _, samples, _ in rows)
    end = max(samples[-1][0] for _, samples, _ in rows)

    def x(at: float) -> float:
        return left + (at - begin) / max(1e-9, end - begin) * (width - left - 10)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height * len(rows) + 30}" '
            'font-family="sans-serif" font-size="11">'
        )
    ]
    for since, until, name in marks:
        since, until = (min(max(at, begin), end) for at in (since, until))  # noqa: PLW2901 - kept inside the picture
        parts.append(
            f'<rect x="{x(since):.1f}" y="0" width="{max(1.0, x(until) - x(since)):.1f}" '
            f'height="{height * len(rows)}" fill="#d33" opacity="0.12"><title>{name}</title></rect>'
        )
    for number, (name, samples, unit) in enumerate(rows):
        values = [value for _, value in samples]
        low, high = min(values), max(values)
        top = number * height + 8
        points = " ".join(
            f"{x(at):.1f},{top + (height - 20) * (1 - (value - low) / ((high - low) or 1.0)):.1f}"
            for at, value in samples
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="#246" stroke-width="1.2"/>')
        parts.append(f'<text x="4" y="{top + 14}">{name}</text>')
        parts.append(f'<text x="4" y="{top + 30}" fill="#666">{low:.4g} to {high:.4g} {unit}</text>')
    parts.append(f'<text x="{left}" y="{height * len(rows) + 20}">{(end - begin) / 60:.1f} minutes; red: faults</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
