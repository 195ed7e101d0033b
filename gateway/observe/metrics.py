"""Counts what happens and shows it to Prometheus.

Rule: recording costs a dictionary and an addition, everything that Prometheus wants is made at scrape time;
labels are names from the configuration and from profiles, never what a client wrote.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from prometheus_client import ProcessCollector

from gateway.base.jsonrpc import Answer
from gateway.base.levels import Level
from gateway.observe.exposition import Gauges, Page, number
from gateway.observe.rates import Rates

BUCKETS: Final[tuple[float, ...]] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 35.0)
"""Seconds; from a local call to the longest class bound."""

BOUNDS: Final = (*map(str, BUCKETS), "+Inf")

MOST_METHODS = 250
"""Method names that get a label of their own; a profile has fewer."""

MOST_REASONS = 60
"""Ends of tries, and of probes, that get a label of their own; a daemon that answers with an HTTP status of its own for
each call could make up hundreds."""

COUNTED = {
    "hedges": "hedges_total",
    "retries": "retries_total",
    "joined": "joined_reads_total",
    "overloaded": "overloaded_calls_total",
}
"""What `count` takes, and the metric of each."""

OTHER: Final = "other"
"""Stands for all names beyond a bound."""

ANSWERED: Final = "answered"
"""How an attempt ended that has no reason to tell."""

LEVELS = frozenset(level.name.lower() for level in Level)
"""How a probe ended that was answered."""


class _HasName(Protocol):
    name: str


class _HasWallet(Protocol):
    wallet: str


class AttemptLike(Protocol):
    """What is needed of an attempt."""

    @property
    def backend(self) -> _HasName:
        """Where it went."""

    @property
    def errand(self) -> _HasWallet:
        """What it was for."""

    started_at: float


class DoorLike(Protocol):
    """What is needed of the door's counters."""

    connections_open: int
    connections_refused: int
    requests: int
    auth_failures: int
    rate_limited: int
    slow_heads: int
    malformed: dict[str, int]


class _HasSpread(Protocol):
    counts: list[int]
    total: float


class TimingLike(Protocol):
    """What is needed of the times of a ledger's transactions: how they are spread, by how they ended."""

    bounds: tuple[str, ...]

    @property
    def spreads(self) -> Mapping[str, _HasSpread]:
        """By outcome."""


class Histogram:
    """Counts by bucket as plain integers."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Take in one duration."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Tally:
    """How often something ended in one way; how long it took is told together with its other ends."""

    __slots__ = ("count", "histogram")

    def __init__(self, histogram: Histogram) -> None:
        """Begin at zero."""
        self.count = 0
        self.histogram = histogram

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.count += 1
        self.histogram.observe(seconds)


class Names:
    """The first so many names of a kind; all that come later are one."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        """Know none."""
        self._known: set[str] = set()
        self._most = most

    def of(self, name: str, *, is_ours: bool = True) -> str:
        """Return what stands for a name; one that is not out of a table of ours has no label of its own."""
        if name in self._known:
            return name
        if not is_ours or len(self._known) >= self._most:
            return OTHER
        self._known.add(name)
        return name


class Metrics:
    """All counters of one gateway.

    Args:
        version: of the gateway.
        door: counters of the door for clients.
        dropped_lines: how many log lines could not be written.
        on_attempt: called with each ended attempt, for the debug log.
    """

    on_call: Callable[[str, str, str, str, float], None] | None = None
    """Called with each ended call (wallet, method, effect, outcome, seconds), for the debug log."""

    def __init__(
        self,
        *,
        version: str,
        door: DoorLike,
        dropped_lines: Callable[[], int],
        on_attempt: Callable[[AttemptLike, object, object, float], None] | None = None,
    ) -> None:
        """Begin at zero."""
        self.version = version
        self.door = door
        self.dropped_lines = dropped_lines
        self.on_attempt = on_attempt
        self._process = ProcessCollector(registry=None)
        self._places: dict[str, frozenset[str]] = {}
        """Wallets and their daemons, as they are configured."""
        self.rates: Rates | None = None
        """Who keeps the last minutes for charts."""
        self.timing: Callable[[], TimingLike | None] = lambda: None
        """The times of the ledger's transactions; None while there is no ledger."""
        self._source: Callable[[], Gauges] = list
        self._calls: dict[tuple[str, str, str, str], Tally] = {}
        self._latency: dict[tuple[str, str], Histogram] = {}
        self._attempts: dict[tuple[str, str, str], Tally] = {}
        self._attempt_latency: dict[tuple[str, str], Histogram] = {}
        self._probes: Counter[tuple[str, str, str]] = Counter()
        self._counts: dict[tuple[str, str], int] = {}
        self._methods = Names(MOST_METHODS)
        self._reasons = Names(MOST_REASONS)

    def set_source(self, source: Callable[[], Gauges]) -> None:
        """Ask `source` at each scrape for (name, labels, value)."""
        self._source = source

    # -- recording ------------------------------------------------------------------------------------------

    def call_ended(self, wallet: str, method: str, effect: str, outcome: str, seconds: float) -> None:
        """Count one client's call; a method without an effect is not classified and gets no label of its own."""
        tally = self._calls.get((wallet, method, effect, outcome))
        if tally is None:
            method = self._methods.of(method, is_ours=bool(effect))
            tally = self._tally_of(wallet, method, effect, outcome)
        tally.add(seconds)
        if self.rates is not None:
            self.rates.call_ended(wallet, outcome, seconds)
        if self.on_call is not None:
            self.on_call(wallet, method, effect, outcome, seconds)

    def _tally_of(self, wallet: str, method: str, effect: str, outcome: str) -> Tally:
        """Return where calls are counted whose method has this label."""
        tally = self._calls.get((wallet, method, effect, outcome))
        if tally is None:
            histogram = self._latency.get((wallet, effect))
            if histogram is None:
                histogram = self._latency[wallet, effect] = Histogram()
            tally = self._calls[wallet, method, effect, outcome] = Tally(histogram)
        return tally

    def attempt_ended(self, attempt: AttemptLike, outcome: object, result: object, now: float) -> None:
        """Count one try on one backend, by the reason of its end; an answer has none."""
        wallet, backend = attempt.errand.wallet, attempt.backend.name
        is_answer = isinstance(result, Answer)
        reason: str = ANSWERED if is_answer else getattr(result, "reason", ANSWERED)
        tally = self._attempts.get((wallet, backend, reason))
        if tally is None:
            tally = self._attempt_tally_of(wallet, backend, self._reasons.of(reason))
        seconds = now - attempt.started_at
        tally.add(seconds)
        if self.rates is not None and (is_answer or reason == ANSWERED):
            self.rates.answered(wallet, backend, seconds)
        if self.on_attempt is not None:
            self.on_attempt(attempt, outcome, result, now)

    def _attempt_tally_of(self, wallet: str, backend: str, reason: str) -> Tally:
        """Return where tries are counted whose reason has this label."""
        tally = self._attempts.get((wallet, backend, reason))
        if tally is None:
            histogram = self._attempt_latency.get((wallet, backend))
            if histogram is None:
                histogram = self._attempt_latency[wallet, backend] = Histogram()
            tally = self._attempts[wallet, backend, reason] = Tally(histogram)
        return tally

    def probe_ended(self, wallet: str, backend: str, outcome: str, seconds: float) -> None:
        """Count one probe by the level it showed, or by why it showed none."""
        if self.rates is not None and outcome in LEVELS:
            self.rates.answered(wallet, backend, seconds)
        self._probes[wallet, backend, self._reasons.of(outcome)] += 1

    def count(self, name: str, wallet: str) -> None:
        """Count one of COUNTED."""
        self._counts[name, wallet] = self._counts.get((name, wallet), 0) + 1

    def keep(self, places: Mapping[str, Collection[str]]) -> None:
        """Show the wallets that are configured, by name with the names of their daemons, and forget all others.

        Without it a gateway that is reloaded often would show more and more of what is long gone.
        """
        self._places = {wallet: frozenset(backends) for wallet, backends in places.items()}

        def is_there(wallet: str, backend: str | None = None) -> bool:
            return wallet in self._places and (backend is None or backend in self._places[wallet])

        self._calls = {key: tally for key, tally in self._calls.items() if is_there(key[0])}
        self._counts = {key: count for key, count in self._counts.items() if is_there(key[1])}
        self._latency = {key: one for key, one in self._latency.items() if is_there(key[0])}
        self._attempts = {key: tally for key, tally in self._attempts.items() if is_there(*key[:2])}
        self._attempt_latency = {key: one for key, one in self._attempt_latency.items() if is_there(*key)}
        self._probes = Counter({key: count for key, count in self._probes.items() if is_there(*key[:2])})

    # -- scraping -------------------------------------------------------------------------------------------

    def text(self) -> bytes:
        """Return everything that Prometheus scrapes, in its text format."""
        page = Page()
        page.add_counts("calls_total", [(key, tally.count) for key, tally in self._calls.items()])
        for key, histogram in self._latency.items():
            page.add_histogram("call_duration_seconds", key, BOUNDS, histogram.counts, histogram.total)
        page.add_counts("attempts_total", [(key, tally.count) for key, tally in self._attempts.items()])
        for key, histogram in self._attempt_latency.items():
            page.add_histogram("attempt_duration_seconds", key, BOUNDS, histogram.counts, histogram.total)
        page.add_counts("probes_total", self._probes.items())
        for counted, name in COUNTED.items():
            # nothing happened yet is 0 and not nothing: else the first time would be no increase
            page.add_counts(name, [((wallet,), self._counts.get((counted, wallet), 0)) for wallet in self._places])
        timing = self.timing()
        if timing is not None:
            for outcome, spread in timing.spreads.items():
                page.add_histogram(
                    "ledger_transaction_duration_seconds", (outcome,), timing.bounds, spread.counts, spread.total
                )
        self._show_door(page)
        page.add(self._source())
        page.add_counts("build_info", [((self.version,), 1)])
        for family in self._process.collect():
            name = family.samples[0].name
            lines = [f"{sample.name} {number(sample.value)}\n" for sample in family.samples]
            page.add_foreign(name, family.type, family.documentation, lines)
        return page.text()

    def _show_door(self, page: Page) -> None:
        door = self.door
        for name, value in (
            ("door_connections", door.connections_open),
            ("door_connections_refused_total", door.connections_refused),
            ("door_requests_total", door.requests),
            ("door_auth_failures_total", door.auth_failures),
            ("door_rate_limited_requests_total", door.rate_limited),
            ("door_slow_heads_total", door.slow_heads),
            ("log_lines_dropped_total", self.dropped_lines()),
        ):
            page.add_counts(name, [((), value)])
        page.add_counts("door_malformed_requests_total", [((what,), count) for what, count in door.malformed.items()])
