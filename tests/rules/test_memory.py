"""The growth of a daemon's memory, by a straight line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.memory import ENOUGH, slope


@given(st.integers(0, 1 << 33), st.integers(-1000, 1000), st.floats(0, 1e9), st.integers(ENOUGH, 50))
def test_a_straight_line_is_found(start: int, grows: int, first: float, count: int) -> None:
    """Whatever the clock and the size."""
    samples = [(first + 10.0 * n, start + 10 * grows * n) for n in range(count)]
    assert slope(samples) == pytest.approx(grows, abs=1e-3)


def test_noise_does_not_hide_it() -> None:
    """Up and down around a line."""
    samples = [(10.0 * n, 1000 * n + (500 if n % 2 else -500)) for n in range(100)]
    assert slope(samples) == pytest.approx(100.0, rel=0.01)


def test_too_few_or_all_at_once_say_nothing() -> None:
    """No line goes through them."""
    assert slope([(float(n), n) for n in range(ENOUGH - 1)]) is None
    assert slope([(1.0, n) for n in range(ENOUGH)]) is None
