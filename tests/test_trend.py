"""What the soak counts as flat, and what it says grows (`bench/trend.py`)."""

import random
import runpy
from pathlib import Path
from typing import Any

import pytest

TREND: Any = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "trend.py"))["trend"]
ALLOWED = 3.0


def series(minutes: float, grows: float, noise: float) -> list[tuple[float, float]]:
    """Return a sample each three seconds of what grows by so much over all, amid noise and with a peak now and then."""
    chance = random.Random(1)
    count = round(minutes * 20)
    return [
        (3.0 * n, 90.0 + grows * n / count + chance.gauss(0.0, noise) + (40.0 if n % 37 == 5 else 0.0))
        for n in range(count)
    ]


@pytest.mark.parametrize("minutes", [2.0, 30.0, 300.0])
def test_noise_and_peaks_are_no_growth(minutes: float) -> None:
    """However often they come."""
    assert TREND(series(minutes, 0.0, 1.0), ALLOWED).is_flat


@pytest.mark.parametrize("minutes", [2.0, 30.0, 300.0])
def test_what_grows_is_said_to_grow(minutes: float) -> None:
    """Amid noise and peaks, by about what it grew."""
    found = TREND(series(minutes, 6.0, 1.0), ALLOWED)
    assert not found.is_flat
    assert found.growth == pytest.approx(6.0, abs=1.5)


def test_a_step_at_the_beginning_of_the_run_is_not_a_trend() -> None:
    """Something that was loaded once stays loaded."""
    samples = [(3.0 * n, 90.0 if n < 60 else 100.0) for n in range(600)]
    assert TREND(samples, ALLOWED).is_flat


def test_what_shrinks_is_flat_and_so_is_what_was_seen_once() -> None:
    """There is nothing to complain of."""
    assert TREND(series(30.0, -20.0, 1.0), ALLOWED).is_flat
    assert TREND([(0.0, 5.0)], ALLOWED).is_flat
    assert TREND([], ALLOWED).is_flat
