"""Latency figures: quick to see a rise, slow to believe a fall, able to forget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fleet.averages import PeakEwma, Quantile


def test_a_slow_answer_counts_at_once_and_fades_slowly() -> None:
    """Peak sensitivity."""
    average = PeakEwma(10.0)
    average.add(0.001, 0.0)
    average.add(1.0, 1.0)
    assert average.value(1.0) == 1.0
    average.add(0.001, 2.0)
    assert 0.5 < average.value(2.0) < 1.0


def test_without_news_it_decays_and_a_reset_forgets() -> None:
    """A backend once slow is tried again."""
    average = PeakEwma(10.0)
    average.add(1.0, 0.0)
    assert average.value(100.0) < 0.001
    average.reset()
    assert average.value(0.0) == 0.0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_the_average_stays_between_none_and_the_worst(values: list[float]) -> None:
    """Never above the largest value seen."""
    average = PeakEwma(5.0)
    for now, value in enumerate(values):
        average.add(value, float(now))
        assert 0 <= average.value(float(now)) <= max(values)
        assert average.value(float(now)) >= value * 0.999 or value < max(values)


@given(st.lists(st.floats(0, 100), max_size=300), st.sampled_from([0.5, 0.9, 0.95]))
def test_the_quantile_is_the_one_of_the_last_values(values: list[float], quantile: float) -> None:
    """Equal to sorting the window."""
    running = Quantile(quantile, size=50, least=5)
    for value in values:
        running.add(value)
    window = sorted(values[-50:])
    if len(window) < 5:
        assert running.value() is None
    else:
        assert running.value() == window[int((len(window) - 1) * quantile)]


@pytest.mark.parametrize("count", [5, 6, 19, 20])
def test_one_slow_call_of_few_does_not_decide(count: int) -> None:
    """At six calls a minute it would for minutes, and each frozen daemon be waited for as long."""
    running = Quantile(0.95)
    for _ in range(count - 1):
        running.add(0.002)
    running.add(5.0)
    assert running.value() == 0.002
