"""The tokens that retries and hedges of one wallet share.

Rule: repeats stay a small share of the calls, yet a wallet with six calls a minute can always repeat one.
Each call earns `ratio` of a token and each second `floor` of one, up to `burst` (the retry budget of Finagle).
"""


class Budget:
    """A token bucket; one token pays one repeat."""

    __slots__ = ("_stamp", "_tokens", "burst", "floor", "ratio")

    def __init__(self, ratio: float, floor: float, burst: float, now: float) -> None:
        """Start full, so that the first fault after a start finds tokens."""
        self.ratio = ratio
        self.floor = floor
        self.burst = burst
        self._tokens = burst
        self._stamp = now

    def earn(self) -> None:
        """Count one call."""
        self._tokens = min(self.burst, self._tokens + self.ratio)

    def balance(self, now: float) -> float:
        """Return the tokens there are at `now`."""
        self._tokens = min(self.burst, self._tokens + max(0.0, now - self._stamp) * self.floor)
        self._stamp = now
        return self._tokens

    def has_token(self, now: float) -> bool:
        """Whether one repeat could be paid."""
        return self.balance(now) >= 1.0

    def spend(self, now: float) -> bool:
        """Take one token; False and nothing taken when there is none."""
        if self.balance(now) < 1.0:
            return False
        self._tokens -= 1.0
        return True
