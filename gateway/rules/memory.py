"""How fast a daemon's memory grows, by a straight line through what was sampled.

Rule: too few samples, or all of one moment, say nothing.
"""

from collections.abc import Sequence

ENOUGH = 10
"""Samples below which a line would be guessed."""


def slope(samples: Sequence[tuple[float, int]]) -> float | None:
    """Return bytes per second by least squares, None where nothing can be said.

    Args:
        samples: (seconds of any one clock, bytes).
    """
    count = len(samples)
    if count < ENOUGH:
        return None
    # differences to the first keep the sums small, whatever clock it is
    first_at, first_used = samples[0]
    times = [at - first_at for at, _ in samples]
    sizes = [float(used - first_used) for _, used in samples]
    middle, height = sum(times) / count, sum(sizes) / count
    spread = sum((at - middle) ** 2 for at in times)
    if not spread:
        return None
    return sum((at - middle) * (size - height) for at, size in zip(times, sizes, strict=True)) / spread
