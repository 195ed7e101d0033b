"""How long the ledger takes for its transactions: those that failed count, and so does one that is still under way.

Rule: what is shown is what a caller feels now.  One that has waited for seconds says more than the last that was done,
and a database that answers nothing any more is not shown with how fast it was before.

Times are those of one transaction without its wait for others of this process, which a queue would count twice; one
that never had its turn took as long as it waited.
"""

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.base.errors import LedgerError

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; from a fast disk to a database that nobody waits for any longer."""

MINUTE = 60
"""Seconds that are summed up for a person."""

STUCK = 2.0
"""Seconds under way after which a transaction counts as one that fails, as a statement does that takes so long."""

DONE, FAILED = "done", "failed"


@dataclass(slots=True)
class Under:
    """A transaction under way."""

    asked_at: float
    began_at: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What a person is shown.

    Args:
        count, failed: transactions of the last minute.
        usual: their mean time; None without any.
        slowest: their longest time, one that is under way included.
        waiting: transactions under way; waits: for how long the oldest has been.
    """

    count: int
    failed: int
    usual: float | None
    slowest: float
    waiting: int
    waits: float


@dataclass(slots=True)
class _Second:
    at: int
    count: int = 0
    failed: int = 0
    total: float = 0.0
    slowest: float = 0.0


@dataclass(slots=True)
class Spread:
    """How many transactions took how long: `counts` are those between each of BOUNDS and the one before."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0


class Timing:
    """The times of one ledger.

    Args:
        now: seconds of a clock that only goes on.
    """

    bounds = (*map(str, BOUNDS), "+Inf")
    """BOUNDS as Prometheus writes them."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing done."""
        self.now = now
        self.spreads = {DONE: Spread(), FAILED: Spread()}
        self._last = 0.0
        self._under: dict[int, Under] = {}
        self._number = 0
        self._seconds: deque[_Second] = deque(maxlen=MINUTE)
        # transactions end on the ledger's thread, and are read on another
        self._lock = threading.Lock()

    @contextmanager
    def measured(self) -> Iterator[Under]:
        """Measure one transaction; it failed where the ledger says so, not where its own work refuses something.

        Whoever has to wait for its turn sets `began_at` when that comes.
        """
        now = self.now()
        one = Under(now, now)
        with self._lock:
            self._number += 1
            number = self._number
            self._under[number] = one
        outcome = FAILED
        try:
            yield one
            outcome = DONE
        except LedgerError:
            raise
        except Exception:
            outcome = DONE
            raise
        finally:
            now = self.now()
            with self._lock:
                del self._under[number]
                self._note(now, now - one.began_at, outcome)

    @property
    def last(self) -> float:
        """Seconds that the last transaction took, or that one has waited by now, where that is longer."""
        return max(self._last, self.waits)

    @property
    def waits(self) -> float:
        """Seconds for which the oldest transaction under way has been."""
        with self._lock:
            return self._waits(self.now())

    @property
    def is_stuck(self) -> bool:
        """Whether one has been under way for longer than any should."""
        return self.waits > STUCK

    @property
    def waiting(self) -> int:
        """Transactions under way."""
        return len(self._under)

    def figures(self) -> Figures:
        """Return what a person is shown."""
        now = self.now()
        with self._lock:
            last_minute = [one for one in self._seconds if one.at > int(now) - MINUTE]
            waits, waiting = self._waits(now), len(self._under)
        count = sum(one.count for one in last_minute)
        usual = sum(one.total for one in last_minute) / count if count else None
        slowest = max((one.slowest for one in last_minute), default=0.0)
        failed = sum(one.failed for one in last_minute)
        return Figures(count, failed, usual, max(slowest, waits), waiting, waits)

    def _waits(self, now: float) -> float:
        return max((now - one.asked_at for one in self._under.values()), default=0.0)

    def _note(self, now: float, took: float, outcome: str) -> None:
        spread = self.spreads[outcome]
        spread.counts[bisect_left(BOUNDS, took)] += 1
        spread.total += took
        self._last = took
        if not self._seconds or self._seconds[-1].at != int(now):
            self._seconds.append(_Second(int(now)))
        second = self._seconds[-1]
        second.count += 1
        second.failed += outcome == FAILED
        second.total += took
        second.slowest = max(second.slowest, took)
