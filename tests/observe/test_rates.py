"""What clients called in each of the last seconds."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.rates import KEPT, MOST, RECENT, SPARKS, Rates, quantile

AT = 1_800_000_000.0
MAIN = [("main", ["ec-1", "ec-2"])]


def test_a_second_is_what_ended_in_it() -> None:
    """How many calls, how many of them badly, and how long they took."""
    rates = Rates(AT)
    for seconds in (0.001, 0.002, 0.003, 0.1):
        rates.call_ended("main", "ok", seconds)
    rates.call_ended("main", "no_backend", 0.0)
    for answer in ("daemon_error", "method_refused", "invalid_params"):
        rates.call_ended("main", answer, 0.0)
    rates.turn(AT + 1.0, MAIN)
    assert rates.last("main") == {"calls": 8, "errors": 1, "p50_ms": 1.0, "p95_ms": 100.0}
    rates.turn(AT + 2.0, MAIN)
    assert rates.last("main") == {"calls": 0, "errors": 0, "p50_ms": None, "p95_ms": None}
    found = rates.samples("main", 2)
    assert found == {
        "wallet": "main", "step": 1, "until": int(AT) + 2, "calls": [8, 0], "errors": [1, 0],
        "p50_ms": [1.0, None], "p95_ms": [100.0, None],
    }  # fmt: skip


def test_now_is_the_last_ten_seconds() -> None:
    """As calls per second; a percentile is weighed by how many calls stand behind it."""
    rates = Rates(AT)
    for second, (count, seconds) in enumerate(((30, 0.010), (10, 0.050))):
        for _ in range(count):
            rates.call_ended("main", "ok", seconds)
        rates.turn(AT + 1.0 + second, MAIN)
    assert rates.now("main") == {"calls": 4.0, "errors": 0.0, "p50_ms": 20.0, "p95_ms": 20.0}
    for second in range(RECENT):
        rates.turn(AT + 3.0 + second, MAIN)
    assert rates.now("main") == {"calls": 0.0, "errors": 0.0, "p50_ms": None, "p95_ms": None}
    assert rates.now("unheard-of")["calls"] == 0.0


def test_a_spark_is_the_slowest_answer_of_its_second() -> None:
    """Of a call or a probe; a gap where nothing was answered, and as long a line from the beginning."""
    rates = Rates(AT)
    for seconds in (0.004, 0.030, 0.002):
        rates.answered("main", "ec-1", seconds)
    assert rates.last_answer("main", "ec-1") is None
    rates.turn(AT + 1.0, MAIN)
    assert rates.last_answer("main", "ec-1") == 30.0
    assert rates.last_answer("main", "ec-2") is None
    rates.turn(AT + 2.0, MAIN)
    assert rates.sparkline("main", "ec-1") == [None] * (SPARKS - 2) + [30.0, None]
    assert rates.sparkline("main", "ec-9") == [None] * SPARKS


def test_what_is_kept_has_an_end() -> None:
    """Seconds of a wallet and of a daemon, and latencies of one second: the last ones."""
    rates = Rates(AT)
    for number in range(3 * MOST):
        rates.call_ended("main", "ok", float(number >= MOST))
    for second in range(1, 2 * KEPT):
        rates.answered("main", "ec-1", 0.001)
        rates.turn(AT + second, MAIN)
        if second == 1:
            assert rates.last("main") == {"calls": 3 * MOST, "errors": 0, "p50_ms": 1000.0, "p95_ms": 1000.0}
    calls = rates.samples("main", 10**6)["calls"]
    assert calls == [0] * KEPT
    assert len(rates.sparkline("main", "ec-1")) == SPARKS


def test_a_wallet_that_is_gone_is_forgotten() -> None:
    """And comes back as a new one."""
    rates = Rates(AT)
    rates.call_ended("main", "ok", 0.1)
    rates.answered("main", "ec-1", 0.1)
    rates.turn(AT + 1.0, MAIN)
    rates.call_ended("main", "ok", 0.1)
    rates.turn(AT + 2.0, [])
    assert rates.samples("main", 10)["calls"] == []
    assert rates.sparkline("main", "ec-1") == [None] * SPARKS


def test_time_in_which_nobody_counted_is_idle() -> None:
    """A process that stood still for three seconds, and a clock that was put back or forward by a day."""
    rates = Rates(AT)
    rates.call_ended("main", "ok", 0.1)
    rates.turn(AT + 1.0, MAIN)
    rates.call_ended("main", "ok", 0.1)
    rates.turn(AT + 4.0, MAIN)
    assert rates.samples("main", 10)["calls"] == [1, 1, 0, 0]
    assert rates.samples("main", 10)["until"] == int(AT) + 4
    rates.turn(AT - 86_400.0, MAIN)
    assert rates.samples("main", 10)["calls"] == [1, 1, 0, 0, 0]
    rates.turn(AT + 86_400.0, MAIN)
    assert rates.samples("main", KEPT)["calls"] == [0] * KEPT


@given(st.lists(st.floats(0, 60), min_size=1), st.floats(0, 0.99))
def test_a_quantile_is_one_of_the_values(values: list[float], share: float) -> None:
    """And so many of them are not above it."""
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in [round(one * 1000, 2) for one in ordered]
    assert sum(round(one * 1000, 2) <= found for one in ordered) > share * len(ordered) - 1e-6


def test_the_quantile_of_nothing_is_none() -> None:
    """A second without a call has none."""
    assert quantile([], 0.5) is None
