"""Counts what happens and shows it to Prometheus.

Rule: recording costs a dictionary and an addition, everything that Prometheus wants is made at scrape time;
labels are names from the configuration and from profiles, never what a client wrote.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 35.0)
"""Seconds; from a local call to the longest class bound."""

MOST_METHODS = 250
"""Method names that get a label of their own; a profile has fewer."""

HELP = {
    "queue_waiting": "Calls that wait for a slot.",
    "errands": "Calls under way or waiting.",
    "flights": "Shared reads in flight.",
    "retry_budget": "Tokens left for retries and hedges.",
    "panic": "1 while fewer than half of the backends serve.",
    "backends_serving": "Backends that calls are routed to.",
    "backend_up": "1 while a backend is in service.",
    "backend_level": "0 nothing, 1 accepts, 2 answers, 3 wallet loaded, 4 synced.",
    "backend_phase": "1 for the phase a backend is in.",
    "backend_kind": "1 for what is the matter with a backend.",
    "backend_primary": "1 for the primary.",
    "backend_aligned": "1 while a backend is known to list every address.",
    "backend_circuit_open": "1 while the circuit is not closed.",
    "backend_slots_taken": "Unsettled calls in a backend.",
    "backend_score": "Health score, 0 to 1.",
    "backend_latency_seconds": "Peak-sensitive average latency.",
    "backend_height": "Height of a backend's chain.",
    "wire_connections_opened_total": "Connections opened to backends.",
    "wire_connections_reused_total": "Calls sent over a kept connection.",
    "alerts_open": "Alerts of a kind that were told and are not over.",
    "alert_queue": "Messages that wait for a sink of alerts.",
    "alert_sink_failing": "1 while a sink of alerts takes no message.",
    "alert_messages_total": "Messages to a sink of alerts by what became of them.",
    "draining": "1 while the gateway drains.",
    "backend_drained": "1 while an operator keeps calls away.",
    "backend_held": "1 while an operator keeps restarts away.",
    "backend_restarting": "1 while it is restarted.",
    "backend_memory_bytes": "Memory of the daemon, page cache left out.",
    "backend_memory_limit_bytes": "Its own limit, else the machine's memory.",
    "backend_memory_growth_bytes_per_second": "Slope of its memory; a leak shows here.",
    "restarts_total": "Restarts by cause and end: done, failed, or dry (only told).",
    "epoch": "Number of the wallet's primary; it grows with each promotion and start.",
    "pool_addresses": "Addresses derived ahead that can be given out.",
    "ledger_addresses": "Addresses that the ledger knows.",
    "ledger_failing": "1 while the ledger cannot be read or written.",
    "ledger_took_seconds": "Time of the last transaction of the ledger, its fsync or the way to its database included.",
    "calls_unknown": "Calls of clients whose outcome nobody knows.",
    "broadcasts_unknown": "Broadcasts that the chain has not spoken on; they are sent again.",
    "held_satoshi": "Coins held for signed payments that the chain does not have.",
    "held_oldest_seconds": "Age of the oldest of these holds.",
    "lease_held": "1 while this gateway has the lease of a wallet.",
    "lease_has_holder": "1 while any gateway is known to have it.",
    "lease_term": "Number of the holding that was seen last; it grows with each change of holder.",
    "lease_answer_age_seconds": "Time since the database answered about the lease.",
    "forwarded_calls_total": "Calls whose wallet another gateway holds, by what became of them.",
    "forwarded_repeats_total": "Further tries of forwarded calls, by why the one before brought no answer.",
    "peer_calls_total": "Calls that other gateways sent, by what became of them.",
}

COUNTED = {
    "hedges": "Reads asked of a second backend.",
    "retries": "Calls sent again after an attempt without an answer.",
    "joined": "Reads that joined a flight.",
    "overloaded": "Calls refused because too many waited.",
}

Gauges = Iterable[tuple[str, dict[str, str], float]]


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

    def cumulative(self) -> list[tuple[str, float]]:
        """Return what Prometheus wants: counts up to each bound."""
        running = 0
        rows: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            running += count
            rows.append((bound, running))
        return rows


class Metrics:
    """All counters of one gateway, with a registry of their own.

    Args:
        version: of the gateway.
        door: counters of the door for clients.
        dropped_lines: how many log lines could not be written.
        on_attempt: called with each ended attempt, for the debug log.
    """

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
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        self._source: Callable[[], Gauges] = list
        self._calls: Counter[tuple[str, str, str, str]] = Counter()
        self._latency: dict[tuple[str, str], Histogram] = {}
        self._attempts: Counter[tuple[str, str, str]] = Counter()
        self._attempt_latency: dict[tuple[str, str], Histogram] = {}
        self._probes: dict[tuple[str, str, str], int] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._methods: set[str] = set()

    def set_source(self, source: Callable[[], Gauges]) -> None:
        """Ask `source` at each scrape for (name, labels, value)."""
        self._source = source

    # -- recording ------------------------------------------------------------------------------------------

    def call_ended(self, wallet: str, method: str, effect: str, outcome: str, seconds: float) -> None:
        """Count one client's call; a method without an effect is not classified and gets no label of its own."""
        if method not in self._methods:
            if not effect or len(self._methods) >= MOST_METHODS:
                method = "other"
            else:
                self._methods.add(method)
        self._calls[wallet, method, effect, outcome] += 1
        histogram = self._latency.get((wallet, effect))
        if histogram is None:
            histogram = self._latency[wallet, effect] = Histogram()
        histogram.observe(seconds)

    def attempt_ended(self, attempt: AttemptLike, outcome: object, result: object, now: float) -> None:
        """Count one try on one backend, by the reason of its end; an answer has none."""
        wallet, backend = attempt.errand.wallet, attempt.backend.name
        reason = getattr(result, "reason", "answered")
        self._attempts[wallet, backend, reason] += 1
        histogram = self._attempt_latency.get((wallet, backend))
        if histogram is None:
            histogram = self._attempt_latency[wallet, backend] = Histogram()
        histogram.observe(now - attempt.started_at)
        if self.on_attempt is not None:
            self.on_attempt(attempt, outcome, result, now)

    def probe_ended(self, wallet: str, backend: str, outcome: str, seconds: float) -> None:
        """Count one probe by the level it showed, or by why it showed none."""
        del seconds
        key = (wallet, backend, outcome)
        self._probes[key] = self._probes.get(key, 0) + 1

    def count(self, name: str, wallet: str) -> None:
        """Count one of COUNTED."""
        key = (name, wallet)
        self._counts[key] = self._counts.get(key, 0) + 1

    # -- scraping -------------------------------------------------------------------------------------------

    def describe(self) -> list[Metric]:
        """Nothing beforehand: what there is depends on what happened."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield everything that Prometheus scrapes."""
        yield _counter("calls", "Calls of clients.", ("wallet", "method", "effect", "outcome"), self._calls)
        yield _histogram("call_seconds", "Time from a call's policy to its reply.", ("wallet", "effect"), self._latency)
        yield _counter("attempts", "Tries on backends by their end.", ("wallet", "backend", "outcome"), self._attempts)
        yield _histogram("attempt_seconds", "Time of a try.", ("wallet", "backend"), self._attempt_latency)
        yield _counter("probes", "Semantic probes by their end.", ("wallet", "backend", "outcome"), self._probes)
        for name, text in COUNTED.items():
            rows = {(wallet,): value for (counted, wallet), value in self._counts.items() if counted == name}
            yield _counter(name, text, ("wallet",), rows)
        yield from self._door()
        yield from self._gauges()
        info = InfoMetricFamily("ecgw_build", "What runs here.")
        info.add_metric([], {"version": self.version})
        yield info

    def _door(self) -> Iterator[Metric]:
        door = self.door
        for name, text, value in (
            ("door_connections_refused", "Connections beyond the cap.", door.connections_refused),
            ("door_requests", "HTTP requests of clients.", door.requests),
            ("door_auth_failures", "Requests without valid credentials.", door.auth_failures),
            ("door_rate_limited", "Requests beyond a client's rate.", door.rate_limited),
            ("door_slow_heads", "Connections closed because their head did not come.", door.slow_heads),
            ("log_lines_dropped", "Log lines that could not be written.", self.dropped_lines()),
        ):
            yield CounterMetricFamily(f"ecgw_{name}", text, value=value)
        yield GaugeMetricFamily("ecgw_door_connections", "Open connections of clients.", value=door.connections_open)
        rows = {(what,): count for what, count in door.malformed.items()}
        yield _counter("door_malformed", "Requests refused by what was wrong with them.", ("error",), rows)

    def _gauges(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for name, labels, value in self._source():
            family = families.get(name)
            if family is None:
                kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                family = families[name] = kind(f"ecgw_{name}", HELP.get(name, name), labels=list(labels))
            family.add_metric(list(labels.values()), value)  # type: ignore[attr-defined]  # both kinds have it
        yield from families.values()


def _counter(name: str, text: str, labels: tuple[str, ...], rows: "dict[tuple[str, ...], int] | dict") -> Metric:  # type: ignore[type-arg]  # keys are tuples of texts, of any length
    family = CounterMetricFamily(f"ecgw_{name}", text, labels=labels)
    for key, value in rows.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, labels: tuple[str, ...], rows: dict[tuple[str, str], Histogram]) -> Metric:
    family = HistogramMetricFamily(f"ecgw_{name}", text, labels=labels)
    for key, histogram in rows.items():
        family.add_metric(key, buckets=histogram.cumulative(), sum_value=histogram.total)
    return family
