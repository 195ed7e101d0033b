"""What Prometheus is shown: right counts, and labels that no caller can multiply."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.base.effects import Effect
from gateway.base.jsonrpc import Answer
from gateway.edge.rpc import DoorCounters
from gateway.ledger.timing import Timing
from gateway.observe.catalogue import CATALOGUE
from gateway.observe.metrics import BOUNDS, BUCKETS, COUNTED, MOST_METHODS, MOST_REASONS, OTHER, Histogram, Metrics
from gateway.observe.rates import Rates
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
    """Metrics at zero, of one wallet."""
    metrics = Metrics(version="1.2.3", door=Door(), dropped_lines=lambda: 9)
    metrics.keep({"main": ["ec-1", "ec-2"]})
    return metrics


def scrape(metrics: Metrics) -> dict[str, Metric]:
    """What Prometheus reads, family by family; its own parser must take it."""
    text = metrics.text().decode()
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
    assert value(found, "ecgw_call_duration_seconds_count", **place) == 3
    assert value(found, "ecgw_call_duration_seconds_sum", **place) == pytest.approx(40.302)
    assert value(found, "ecgw_call_duration_seconds_bucket", **place, le="0.001") == 0
    assert value(found, "ecgw_call_duration_seconds_bucket", **place, le="0.0025") == 1
    assert value(found, "ecgw_call_duration_seconds_bucket", **place, le="35.0") == 2
    assert value(found, "ecgw_call_duration_seconds_bucket", **place, le="+Inf") == 3


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
    assert value(found, "ecgw_attempt_duration_seconds_sum", **place) == 1.0
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
    assert [value(found, f"ecgw_{name}", wallet="main") for name in COUNTED.values()] == [1, 2, 3, 4]


def test_what_has_not_happened_yet_is_zero() -> None:
    """A counter that is not there has not increased for Prometheus when it comes."""
    found = scrape(fresh())
    assert [value(found, f"ecgw_{name}", wallet="main") for name in COUNTED.values()] == [0, 0, 0, 0]


def test_the_door_the_log_and_the_version_are_shown() -> None:
    """And the process itself."""
    found = scrape(fresh())
    assert value(found, "ecgw_door_connections") == 2
    assert value(found, "ecgw_door_connections_refused_total") == 3
    assert value(found, "ecgw_door_requests_total") == 4
    assert value(found, "ecgw_door_auth_failures_total") == 5
    assert value(found, "ecgw_door_rate_limited_requests_total") == 6
    assert value(found, "ecgw_door_slow_heads_total") == 7
    assert value(found, "ecgw_door_malformed_requests_total", reason="parse_error") == 8
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


@given(st.lists(st.floats(0, 100), min_size=1))
def test_a_histogram_is_cumulative_and_complete(durations: list[float]) -> None:
    """Each bound counts everything up to it, itself included."""
    metrics = fresh()
    for seconds in durations:
        metrics.call_ended("main", "getbalance", "wallet_read", "ok", seconds)
    found, place = scrape(metrics), {"wallet": "main", "effect": "wallet_read"}
    for bound in BOUNDS:
        count = value(found, "ecgw_call_duration_seconds_bucket", **place, le=bound)
        assert count == sum(seconds <= float(bound) for seconds in durations)
    assert value(found, "ecgw_call_duration_seconds_count", **place) == len(durations)
    assert value(found, "ecgw_call_duration_seconds_sum", **place) == pytest.approx(sum(durations))


def test_the_times_of_the_ledger_are_shown_by_how_its_transactions_ended() -> None:
    """Nothing while there is no ledger."""
    metrics, timing = fresh(), Timing(lambda: 1.0)
    assert "ecgw_ledger_transaction_duration_seconds" not in scrape(metrics)
    metrics.timing = lambda: timing
    with timing.measured() as one:
        one.began_at -= 0.03
    found, name = scrape(metrics), "ecgw_ledger_transaction_duration_seconds"
    assert value(found, f"{name}_count", outcome="done") == value(found, f"{name}_bucket", outcome="done", le="0.05")
    assert value(found, f"{name}_sum", outcome="done") == pytest.approx(0.03)
    assert value(found, f"{name}_bucket", outcome="done", le="0.025") == 0
    assert value(found, f"{name}_count", outcome="failed") == 0


def test_a_histogram_has_a_place_for_what_is_longer_than_all_bounds() -> None:
    """Nothing that is observed is lost."""
    histogram = Histogram()
    histogram.observe(BUCKETS[-1] + 1)
    assert histogram.counts == [0] * len(BUCKETS) + [1]


@given(st.lists(st.integers(100, 999), max_size=300))
@example(list(range(100, 1000)))
def test_a_daemon_cannot_make_up_labels(statuses: list[int]) -> None:
    """One that answers each call with another HTTP status gets so many names, and then no more."""
    metrics = fresh()
    for status in statuses:
        metrics.attempt_ended(attempt(), "", Tried(Sent.UNKNOWN, f"status_{status}"), 10.5)
        metrics.probe_ended("main", "ec-1", f"status_{status}", 0.1)
    found = scrape(metrics)
    for name in ("ecgw_attempts", "ecgw_probes"):
        samples = found[name].samples if name in found else []
        assert len(samples) <= MOST_REASONS + 1
        assert sum(sample.value for sample in samples) == len(statuses)
        assert (len(set(statuses)) > MOST_REASONS) == any(sample.labels["outcome"] == OTHER for sample in samples)


def test_what_is_not_configured_any_more_is_forgotten() -> None:
    """A gateway that is reloaded a thousand times shows no more than one that has just begun."""
    metrics = fresh()
    sizes = set()
    for number in range(50):
        wallet = f"wallet-{number:02}"
        metrics.keep({wallet: ["ec-1"]})
        metrics.call_ended(wallet, "getbalance", "wallet_read", "ok", 0.1)
        metrics.attempt_ended(attempt(wallet=wallet), "", Answer(b"1", None), 10.5)
        metrics.probe_ended(wallet, "ec-1", "synced", 0.1)
        metrics.count("hedges", wallet)
        sizes.add(len([line for line in metrics.text().splitlines() if line.startswith(b"ecgw_")]))
    assert len(sizes) == 1
    metrics.keep({"wallet-49": ["ec-2"]})
    found = scrape(metrics)
    assert value(found, "ecgw_hedges_total", wallet="wallet-49") == 1
    assert not {"ecgw_attempts", "ecgw_attempt_duration_seconds", "ecgw_probes"} & set(found)


def test_a_value_that_the_catalogue_does_not_know_is_not_shown() -> None:
    """It would have no text and no kind; the scrape goes on without it."""
    metrics = fresh()
    metrics.set_source(lambda: [("surprise", {}, 1.0), ("draining", {}, 1.0)])
    found = scrape(metrics)
    assert "ecgw_surprise" not in found
    assert value(found, "ecgw_draining") == 1


def test_each_call_is_told_to_who_asks_for_it() -> None:
    """The debug log, for one; with the name that is shown and not what the client wrote."""
    metrics = fresh()
    metrics.call_ended("main", "getbalance", "wallet_read", "ok", 0.1)
    told: list[tuple[object, ...]] = []
    metrics.on_call = lambda *args: told.append(args)
    metrics.call_ended("main", "getbalance", "wallet_read", "ok", 0.2)
    metrics.call_ended("main", "no such method", "", "method_refused", 0.1)
    assert told == [("main", "getbalance", "wallet_read", "ok", 0.2), ("main", OTHER, "", "method_refused", 0.1)]


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
    text = metrics.text().decode()
    assert not any(address in text for address in addresses)
    assert "nonsense" not in text
    for name in ("queue_waiting_calls", "calls_in_progress", "panic", "backend_level", "backend_height_blocks"):
        assert found[f"ecgw_{name}"].documentation == CATALOGUE[name].text


def test_calls_and_answers_are_told_to_the_charts() -> None:
    """Each call of a client, and what daemons answered to calls and probes; not what they failed to."""
    metrics = fresh()
    metrics.rates = Rates(1.0)
    metrics.call_ended("main", "getbalance", "wallet_read", "ok", 0.01)
    metrics.call_ended("main", "getbalance", "wallet_read", "no_backend", 0.03)
    metrics.attempt_ended(attempt(), "", Answer(b"1", None), 10.5)
    metrics.attempt_ended(attempt(), "", Tried(Sent.UNKNOWN, "half"), 19.0)
    metrics.probe_ended("main", "ec-2", "synced", 0.25)
    metrics.probe_ended("main", "ec-2", "timeout", 9.0)
    metrics.rates.turn(2.0, [("main", ["ec-1", "ec-2"])])
    assert metrics.rates.last("main") == {"calls": 2, "errors": 1, "p50_ms": 30.0, "p95_ms": 30.0}
    assert metrics.rates.last_answer("main", "ec-1") == 500.0
    assert metrics.rates.last_answer("main", "ec-2") == 250.0
