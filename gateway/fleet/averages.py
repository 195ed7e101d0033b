"""Running figures of latency: a peak-sensitive average per backend and a recent quantile per method.

Rule: both forget.  An average that is not fed decays, so that a backend once slow is tried again.
"""

from bisect import bisect_left, insort
from collections import deque
from math import exp
from typing import Final

STILL: Final = 1e-4
"""Part of the time constant for which a value counts as just measured: it decays by as small a part in that time."""

SAMPLE_EVERY: Final = 0.001
"""Seconds between two values of a quantile that `sample` takes: a thousand a second tell as much as ten thousand."""


class PeakEwma:
    """Exponentially weighted moving average of seconds that follows a rise at once and a fall slowly.

    As in Finagle's and Linkerd's load balancers: a slow answer counts from the moment it is seen.
    """

    __slots__ = ("_stamp", "_value", "tau")

    def __init__(self, tau: float) -> None:
        """Start unmeasured; `tau` is the time constant in seconds."""
        self.tau = tau
        self._value = 0.0
        self._stamp = 0.0

    def add(self, seconds: float, now: float) -> None:
        """Take in one latency."""
        if seconds >= self._value:
            self._value = seconds
        else:
            idle = now - self._stamp
            weight = exp(-idle / self.tau) if idle > 0.0 else 1.0
            self._value = self._value * weight + seconds * (1 - weight)
        self._stamp = now

    def value(self, now: float) -> float:
        """Return seconds; an average that nothing feeds decays towards zero."""
        idle = now - self._stamp
        if idle <= self.tau * STILL or not self._value:
            return self._value
        return self._value * exp(-idle / self.tau)

    def reset(self) -> None:
        """Forget everything: the daemon that comes back is not the one that was measured."""
        self._value = 0.0
        self._stamp = 0.0


class Quantile:
    """The quantile of the last `size` values; None until `least` of them are known.

    It is the value at the place `(count - 1) * quantile`, rounded down (Hyndman and Fan, type 7, not interpolated):
    of few values the largest is never taken, for one slow call must not decide how long the next ones are waited for.
    """

    __slots__ = ("_sampled_at", "_sorted", "_window", "least", "quantile", "size")

    def __init__(self, quantile: float, *, size: int = 100, least: int = 5) -> None:
        """Keep `size` values; cost per value is one bisection."""
        self.quantile = quantile
        self.size = size
        self.least = least
        self._sampled_at = float("-inf")
        self._window: deque[float] = deque()
        self._sorted: list[float] = []

    def sample(self, value: float, now: float) -> None:
        """Take in a value, unless another one was taken in this very millisecond; `now` in seconds."""
        if now - self._sampled_at >= SAMPLE_EVERY:
            self._sampled_at = now
            self.add(value)

    def add(self, value: float) -> None:
        """Take in a value and let the oldest go."""
        if len(self._window) == self.size:
            del self._sorted[bisect_left(self._sorted, self._window.popleft())]
        self._window.append(value)
        insort(self._sorted, value)

    def value(self) -> float | None:
        """Return the quantile, None while too little is known."""
        count = len(self._sorted)
        if count < self.least:
            return None
        return self._sorted[int((count - 1) * self.quantile)]
