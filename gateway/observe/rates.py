"""What clients called in each of the last seconds, for charts: calls, errors and latency of wallets, and of daemons.

Rule: to take a call in costs an addition and a place in a list; what a second was like is worked out once, when it is
over.  All of it is bounded: ten minutes of each wallet, one minute of each daemon, and in a second so many latencies.
"""

from collections import deque
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

from gateway.base.errors import KINDS

KEPT = 600
"""Seconds that are kept of a wallet."""

SPARKS = 60
"""Seconds that are kept of a daemon."""

MOST: Final = 2048
"""Latencies that are kept of one second; the last ones, where there were more."""

FAULTS: Final = frozenset(kind.name for kind in KINDS if kind.status >= 500)
"""Ends of calls that somebody on call would want to know of: what a client may not do, or the daemon's own "no" to what
it was asked (an invoice that is not there, too little money), are answers."""

RECENT = 10
"""Seconds that make up "now" for whoever reads one number."""


class Row:
    """One second of a wallet: how many calls ended, how many of them badly, and how long they took.

    Args:
        slow, usual: 95th percentile and median in milliseconds; None where nothing was called.
    """

    __slots__ = ("calls", "errors", "slow", "usual")

    def __init__(self, calls: int = 0, errors: int = 0, usual: float | None = None, slow: float | None = None) -> None:
        """Keep them."""
        self.calls = calls
        self.errors = errors
        self.usual = usual
        self.slow = slow

    def shown(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {"calls": self.calls, "errors": self.errors, "p50_ms": self.usual, "p95_ms": self.slow}


IDLE = Row()
"""A second without a call; the same one for all of them."""


class Course:
    """What became of one wallet's calls."""

    __slots__ = ("calls", "errors", "rows", "taken")

    def __init__(self) -> None:
        """Know nothing."""
        self.calls = 0
        self.errors = 0
        self.taken: list[float] = []
        """Seconds that the calls of this second took."""
        self.rows: deque[Row] = deque(maxlen=KEPT)

    def turn(self, missed: int) -> None:
        """End a second, and count the missed ones after it as idle: nobody was there to count."""
        if self.calls:
            taken = sorted(self.taken)
            self.rows.append(Row(self.calls, self.errors, quantile(taken, 0.5), quantile(taken, 0.95)))
            self.calls = self.errors = 0
            self.taken = []
        else:
            self.rows.append(IDLE)
        self.rows.extend([IDLE] * missed)


class Rates:
    """The last minutes of all wallets of a gateway.

    Args:
        at: seconds since 1970.
    """

    def __init__(self, at: float) -> None:
        """Know nothing."""
        self.until = int(at)
        """The second that ended last; since 1970."""
        self._wallets: dict[str, Course] = {}
        self._answers: dict[tuple[str, str], float] = {}
        """The slowest answer of each daemon in this second."""
        self._sparks: dict[tuple[str, str], deque[float | None]] = {}

    # -- taking in --------------------------------------------------------------------------------------------

    def call_ended(self, wallet: str, outcome: str, seconds: float) -> None:
        """Take in how a client's call ended."""
        course = self._wallets.get(wallet)
        if course is None:
            course = self._wallets[wallet] = Course()
        if len(course.taken) < MOST:
            course.taken.append(seconds)
        else:
            course.taken[course.calls % MOST] = seconds
        course.calls += 1
        if outcome in FAULTS:
            course.errors += 1

    def answered(self, wallet: str, backend: str, seconds: float) -> None:
        """Take in an answer of a daemon, to a call or to a probe."""
        place = (wallet, backend)
        if seconds > self._answers.get(place, -1.0):
            self._answers[place] = seconds

    def turn(self, at: float, places: Iterable[tuple[str, Collection[str]]]) -> None:
        """End a second at `at`, in seconds since 1970.

        Args:
            places: the wallets there are and their daemons; the others are forgotten.
        """
        # a clock that was put back counts as one second, as does one that is early
        passed = int(at) - self.until
        missed = min(passed, KEPT) - 1 if passed > 1 else 0
        self.until = int(at)
        answers, self._answers = self._answers, {}
        wallets, self._wallets = self._wallets, {}
        sparks, self._sparks = self._sparks, {}
        for wallet, backends in places:
            course = self._wallets[wallet] = wallets.get(wallet) or Course()
            course.turn(missed)
            for backend in backends:
                place = (wallet, backend)
                line = self._sparks[place] = sparks.get(place) or deque([None] * SPARKS, SPARKS)
                line.extend([None] * missed)
                seconds = answers.get(place)
                line.append(None if seconds is None else milliseconds(seconds))

    # -- telling ----------------------------------------------------------------------------------------------

    def last(self, wallet: str) -> dict[str, object]:
        """Return the second that ended last: calls, errors, p50_ms, p95_ms."""
        return self._last(wallet).shown()

    def last_answer(self, wallet: str, backend: str) -> float | None:
        """Return the slowest answer of a daemon in the second that ended last, in milliseconds; None without one."""
        line = self._sparks.get((wallet, backend))
        return line[-1] if line else None

    def now(self, wallet: str) -> dict[str, object]:
        """Return the last ten seconds as one: calls and errors per second, p50_ms and p95_ms.

        The percentiles are those of the seconds, each weighed by its calls: to keep every latency would be dearer.
        """
        course = self._wallets.get(wallet)
        rows = [] if course is None else list(islice(reversed(course.rows), RECENT))
        calls = sum(row.calls for row in rows)
        return {
            "calls": round(calls / RECENT, 1),
            "errors": round(sum(row.errors for row in rows) / RECENT, 1),
            "p50_ms": weighed([(row.usual, row.calls) for row in rows if row.usual is not None]),
            "p95_ms": weighed([(row.slow, row.calls) for row in rows if row.slow is not None]),
        }

    def samples(self, wallet: str, seconds: int) -> dict[str, object]:
        """Return the last seconds of a wallet, the oldest first; shorter while less is known.

        {"wallet", "step": 1, "until": seconds since 1970, "calls": [...], "errors": [...], "p50_ms": [...],
        "p95_ms": [...]}, with null where nothing was called.
        """
        course = self._wallets.get(wallet)
        rows = [] if course is None else list(course.rows)[-seconds:]
        return {
            "wallet": wallet,
            "step": 1,
            "until": self.until,
            "calls": [row.calls for row in rows],
            "errors": [row.errors for row in rows],
            "p50_ms": [row.usual for row in rows],
            "p95_ms": [row.slow for row in rows],
        }

    def sparkline(self, wallet: str, backend: str) -> list[float | None]:
        """Return the slowest answer of each of the last sixty seconds in milliseconds, the oldest first."""
        return list(self._sparks.get((wallet, backend)) or [None] * SPARKS)

    def _last(self, wallet: str) -> Row:
        course = self._wallets.get(wallet)
        return course.rows[-1] if course is not None and course.rows else IDLE


def quantile(ordered: list[float], share: float) -> float | None:
    """Return a quantile of seconds, already in order, in milliseconds; None of nothing."""
    if not ordered:
        return None
    return milliseconds(ordered[min(len(ordered) - 1, int(len(ordered) * share))])


def weighed(values: list[tuple[float, int]]) -> float | None:
    """Return the mean of values by their weights; None of nothing."""
    weight = sum(count for _, count in values)
    return round(sum(value * count for value, count in values) / weight, 2) if weight else None


def milliseconds(seconds: float) -> float:
    """Return milliseconds, as exact as anybody looks."""
    return round(seconds * 1000, 2)
