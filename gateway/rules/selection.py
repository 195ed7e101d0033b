"""Which of several backends gets a call: the cheaper of two drawn at random.

Rule: the cost of a backend grows with its latency and the calls there, and with every doubt about it.
Power of two choices (Mitzenmacher 2001) on a peak-sensitive latency average, as in Finagle: two draws find
a nearly best one at a cost that does not grow with the number of backends, and never send the whole herd to one.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

SLOW_START_FLOOR: Final = 0.1
"""The share that a backend gets in the first moment of its slow start; below it, it would hardly be tried."""

PRIMARY_SCORE_FLOOR: Final = 0.5
"""The primary keeps wallet reads until its score is below this part of the best one's."""

SCORE_FLOOR: Final = 0.01
"""Keeps a backend that is trusted in nothing from being infinitely dear."""

LATENCY_FLOOR: Final = 0.0001
"""Seconds; keeps a backend that has not been measured yet from being free of cost."""


def slow_start_weight(since: float, now: float, window: float) -> float:
    """Return the share, 0.1 to 1, that grows in a line over `window` seconds since the return."""
    if window <= 0:
        return 1.0
    return min(1.0, max(SLOW_START_FLOOR, (now - since) / window))


def cost(latency: float, in_flight: int, score: float, weight: float) -> float:
    """Return what sending one more call costs: seconds of expected wait, divided by the trust in the backend.

    Args:
        latency: peak-EWMA in seconds.
        in_flight: calls there now.
        score: health, 0 (excluded) to 1.
        weight: slow start, 0.1 to 1.
    """
    if latency < LATENCY_FLOOR:  # noqa: PLR1730 - each call comes through here, and `max` costs more than all the rest
        latency = LATENCY_FLOOR
    if score < SCORE_FLOOR:  # noqa: PLR1730 - the same
        score = SCORE_FLOOR
    return latency * (in_flight + 1) / (score * weight)


def pick(candidates: Sequence[T], price: Callable[[T], float], chance: Callable[[], float]) -> T:
    """Return the cheaper of two different candidates drawn by `chance` (numbers in [0, 1)).

    Raises:
        IndexError: there is no candidate.
    """
    if len(candidates) <= 1:
        return candidates[0]
    one, other = draw(candidates, chance)
    return one if price(one) <= price(other) else other


def draw(candidates: Sequence[T], chance: Callable[[], float]) -> tuple[T, T]:
    """Return two different candidates of at least two, each pair as likely as any other."""
    count = len(candidates)
    first = int(chance() * count)
    return candidates[first], candidates[(first + 1 + int(chance() * (count - 1))) % count]


def prefers_primary(*, is_settled_in: bool, is_stalled: bool, score: float, best_score: float) -> bool:
    """Return whether wallet reads belong to the primary now.

    Args:
        is_settled_in: in service and past its slow start.
        is_stalled: a call there takes unusually long, or it missed a deadline.
        score: the primary's health; best_score: the best of the wallet.
    """
    return is_settled_in and not is_stalled and score >= PRIMARY_SCORE_FLOOR * best_score
