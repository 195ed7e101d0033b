"""What Prometheus is shown: right counts, and labels that no caller can multiply."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.base.effects import Effect
from gateway.base.jsonrpc import Answer
from gateway.edge.rpc import DoorCounters
from gateway.observe.metrics import BUCKETS, COUNTED, HELP, MOST_METHODS, Histogram, Metrics
from gateway.rules.retry import Sent, Tried
from tests.simulation.world import World
from tests.virtual_time import run_virtual


@dataclass
class Door:
    """The counters of a door."""

    connections_open: int = 2
    connections_refused: int = 3
    requests: int = 4
    auth_failures: int = 5
    rate_limited: int = 6
    slow_heads: int = 7
    malformed: dict[str, int] = field(default_factory=lambda: {"parse_error": 8})


def fresh() -> Metrics:
    """Metrics at zero."""
    return Metrics(version="1.2.3", door=Door(), dropped_lines=lambda: 9)


def scrape(metrics: Metrics) -> dict[str, Metric]:
    """What Prometheus reads, family by family; its own parser must take it."""
    text = generate_latest(metrics.registry).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    """One sample."""
    [found] = [
        sample.value for family in families.values() for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]  # fmt: skip
    return float(found)


def attempt(backend: str = "ec-1", wallet: str = "main", started_at: float = 10.0) -> SimpleNamespace:
    """As much of an attempt as is counted."""
    return SimpleNamespace(
        backend=SimpleNamespace(name=backend), errand=SimpleNamespace(wallet=wallet), started_at=started_at
    )


def test_calls_are_counted_by_wallet_method_effect_and_outcome() -> None:
    """And their time by wallet and effect."""
    metrics = fresh()
    for outcome, seconds in (("ok", 0.002), ("ok", 0.3), ("daemon_error", 40.0)):
        metrics.call_ended("main", "getbalance", Effect.WALLET_READ, outcome, seconds)
    metrics.call_ended("cold", "payto", Effect.SIGN, "outcome_unknown", 1.0)
    found = scrape(metrics)
    labels = {"wallet": "main", "method": "getbalance", "effect": "wallet_read"}
    assert value(found, "ecgw_calls_total", **labels, outcome="ok") == 2
    assert value(found, "ecgw_calls_total", **labels, outcome="daemon_error") == 1
    assert (
        value(found, "ecgw_calls_total", wallet="cold", method="payto", effect="sign", outcome="outcome_unknown") == 1
    )
    place = {"wallet": "main", "effect": "wallet_read"}
    assert value(found, "ecgw_call_seconds_count", **place) == 3
    assert value(found, "ecgw_call_seconds_sum", **place) == pytest.approx(40.302)
    assert value(found, "ecgw_call_seconds_bucket", **place, le="0.001") == 0
    assert value(found, "ecgw_call_seconds_bucket", **place, le="0.0025") == 1
    assert value(found, "ecgw_call_seconds_bucket", **place, le="35.0") == 2
    assert value(found, "ecgw_call_seconds_bucket", **place, le="+Inf") == 3


def test_attempts_are_counted_by_their_end_and_told_to_the_debug_log() -> None:
    """An answer has no reason and is called answered."""
    metrics = fresh()
    told: list[tuple[object, ...]] = []
    metrics.on_attempt = lambda *args: told.append(args)
    one = attempt()
    metrics.attempt_ended(one, "the outcome", Answer(b"1", None), 10.5)
    metrics.attempt_ended(attempt(), "", Tried(Sent.UNKNOWN, "half"), 10.5)
    metrics.on_attempt = None
    metrics.attempt_ended(attempt("ec-2"), "", Tried(Sent.NO, "refused"), 10.0)
    found = scrape(metrics)
    place = {"wallet": "main", "backend": "ec-1"}
    assert value(found, "ecgw_attempts_total", **place, outcome="answered") == 1
    assert value(found, "ecgw_attempts_total", **place, outcome="half") == 1
    assert value(found, "ecgw_attempts_total", wallet="main", backend="ec-2", outcome="refused") == 1
    assert value(found, "ecgw_attempt_seconds_sum", **place) == 1.0
    assert len(told) == 2
    assert told[0] == (one, "the outcome", Answer(b"1", None), 10.5)


def test_probes_and_countable_things_are_counted() -> None:
    """Each under its own name."""
    metrics = fresh()
    metrics.probe_ended("main", "ec-1", "synced", 0.1)
    metrics.probe_ended("main", "ec-1", "synced", 0.1)
    for number, name in enumerate(COUNTED, 1):
        for _ in range(number):
            metrics.count(name, "main")
    found = scrape(metrics)
    assert value(found, "ecgw_probes_total", wallet="main", backend="ec-1", outcome="synced") == 2
    assert [value(found, f"ecgw_{name}_total", wallet="main") for name in COUNTED] == [1, 2, 3, 4]


def test_the_door_the_log_and_the_version_are_shown() -> None:
    """And the process itself."""
    found = scrape(fresh())
    assert value(found, "ecgw_door_connections") == 2
    assert value(found, "ecgw_door_connections_refused_total") == 3
    assert value(found, "ecgw_door_requests_total") == 4
    assert value(found, "ecgw_door_auth_failures_total") == 5
    assert value(found, "ecgw_door_rate_limited_total") == 6
    assert value(found, "ecgw_door_slow_heads_total") == 7
    assert value(found, "ecgw_door_malformed_total", error="parse_error") == 8
    assert value(found, "ecgw_log_lines_dropped_total") == 9
    assert value(found, "ecgw_build_info", version="1.2.3") == 1
    assert value(found, "process_resident_memory_bytes") > 0


def test_the_doors_own_counters_fit() -> None:
    """The double above has no more and no less than the real one."""
    metrics = Metrics(version="1", door=DoorCounters(), dropped_lines=lambda: 0)
    assert value(scrape(metrics), "ecgw_door_requests_total") == 0


def test_names_begin_with_ours_and_have_a_text() -> None:
    """Or are those of the process, which Prometheus names."""
    for name, family in scrape(fresh()).items():
        assert name.startswith(("ecgw_", "process_"))
        assert family.documentation


@given(
    st.lists(st.tuples(st.text(max_size=30), st.sampled_from(["", "read"])), max_size=50),
)
def test_what_clients_write_never_becomes_a_label(calls: list[tuple[str, str]]) -> None:
    """A name that no profile classifies is `other`, whatever it is."""
    metrics = fresh()
    metrics.call_ended("main", "getbalance", "wallet_read", "ok", 0.1)
    for method, _ in calls:
        metrics.call_ended("main", method, "", "method_refused", 0.1)
    found = scrape(metrics)
    methods = {sample.labels["method"] for sample in found["ecgw_calls"].samples}
    assert methods <= {"getbalance", "other"}


def test_even_classified_names_are_no_more_than_a_profile_could_have() -> None:
    """The bound holds if somebody's profile should be endless; names known before keep their own."""
    metrics = fresh()
    for number in range(MOST_METHODS + 50):
        metrics.call_ended("main", f"method{number}", "read", "ok", 0.1)
    metrics.call_ended("main", "method0", "read", "ok", 0.1)
    found = scrape(metrics)
    assert len({sample.labels["method"] for sample in found["ecgw_calls"].samples}) == MOST_METHODS + 1
    assert value(found, "ecgw_calls_total", wallet="main", method="other", effect="read", outcome="ok") == 50
    assert value(found, "ecgw_calls_total", wallet="main", method="method0", effect="read", outcome="ok") == 2


def test_hostile_label_values_are_escaped() -> None:
    """A backend's name is the operator's, and still the exposition must stay whole."""
    metrics = fresh()
    name = 'ec"1\\\n} 7'
    metrics.probe_ended("main", name, "synced", 0.1)
    assert value(scrape(metrics), "ecgw_probes_total", wallet="main", backend=name, outcome="synced") == 1


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_is_cumulative_and_complete(durations: list[float]) -> None:
    """Each bound counts everything up to it, itself included."""
    histogram = Histogram()
    for seconds in durations:
        histogram.observe(seconds)
    rows = histogram.cumulative()
    assert [bound for bound, _ in rows] == [*map(str, BUCKETS), "+Inf"]
    for bound, count in rows[:-1]:
        assert count == sum(seconds <= float(bound) for seconds in durations)
    assert rows[-1][1] == len(durations)
    assert histogram.total == pytest.approx(sum(durations))


def test_a_wallet_that_was_called_shows_right_counts_and_no_address() -> None:
    """The real core in virtual time, scraped by Prometheus' own parser."""
    metrics = fresh()
    addresses: list[str] = []

    async def play() -> None:
        world = World(2, 1)
        world.plant.runner.watcher = world.plant.prober.watcher = metrics
        world.dispatcher.watcher = metrics
        metrics.set_source(lambda: world.plant.gauges(world.loop.time()))
        world.start()
        await world.ask("version")
        for method in ("getbalance", "getbalance", "createnewaddress", "setlabel", "getseed", "nonsense\nx 1"):
            await world.ask(method)
        await world.stop()
        for daemon in world.daemons:
            addresses.extend(daemon.wallet.addresses)

    run_virtual(play())
    found = scrape(metrics)
    calls = {tuple(sample.labels.values()): sample.value for sample in found["ecgw_calls"].samples}
    counted = {
        (labels["method"], labels["outcome"]): sample.value
        for sample in found["ecgw_calls"].samples
        if (labels := sample.labels) and sample.name == "ecgw_calls_total"
    }
    assert len(calls) == len(counted)
    assert counted == {
        ("version", "ok"): 1,
        ("getbalance", "ok"): 2,
        ("createnewaddress", "ok"): 1,
        ("setlabel", "ok"): 1,
        ("other", "method_refused"): 2,
    }
    answered = value(found, "ecgw_attempts_total", wallet="main", backend="ec-1", outcome="answered")
    assert answered >= 4
    assert value(found, "ecgw_backend_up", wallet="main", backend="ec-1") == 1
    assert value(found, "ecgw_backend_phase", wallet="main", backend="ec-1", phase="READY") == 1
    assert value(found, "ecgw_backend_primary", wallet="main", backend="ec-2") == 0
    assert value(found, "ecgw_backends_serving", wallet="main") == 2
    text = generate_latest(metrics.registry).decode()
    assert not any(address in text for address in addresses)
    assert "nonsense" not in text
    for name in ("queue_waiting", "errands", "flights", "retry_budget", "panic", "backend_level", "backend_height"):
        assert found[f"ecgw_{name}"].documentation == HELP[name]
