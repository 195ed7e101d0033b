"""Numbers, times and lines of the page."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.web import figures
from gateway.edge.web.words import words

UNITS = (" s", " min", " h", " d", "under 1 s")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (figures.number(868_123), "868,123"),
        (figures.number(None), ""),
        (figures.number("7"), ""),
        (figures.decimal(0.987), "0.99"),
        (figures.decimal(float("nan")), ""),
        (figures.rate(0), "0"),
        (figures.rate(0.42), "0.4"),
        (figures.rate(1234.4), "1,234"),
        (figures.rate(None), "0"),
        (figures.milliseconds(0.41), "0.4 ms"),
        (figures.milliseconds(12.6), "13 ms"),
        (figures.milliseconds(1210), "1.2 s"),
        (figures.milliseconds(0), "–"),  # noqa: RUF001 - as it is shown
        (figures.milliseconds(None), "–"),  # noqa: RUF001 - as it is shown
        (figures.size(221 << 20), "221 MiB"),
        (figures.size(24 << 30), "24.0 GiB"),
        (figures.size(None), ""),
        (figures.share(0.955), "96%"),
        (figures.share("half"), ""),
        (figures.duration(119.9, UNITS), "119 s"),
        (figures.duration(120, UNITS), "2 min"),
        (figures.duration(1.0, UNITS), "1 s"),
        (figures.duration(0.98, UNITS), "under 1 s"),
        (figures.duration(-3, UNITS), "under 1 s"),
        (figures.duration(7_200, words("ko").units), "2시간"),
        (figures.duration(0.1, words("ko").units), "1초 미만"),
        (figures.duration(0.1, words("en").units), "under 1 s"),
        (figures.duration(172_800, UNITS), "2 d"),
        (figures.iso(0), "1970-01-01T00:00:00Z"),
        (figures.clock(1_795_900_000, 1_795_900_060), "21:06 UTC"),
        (figures.clock(1_795_800_000, 1_795_900_060), "2026-11-27 17:20 UTC"),
        (figures.clock(1_795_900_000, 1_795_900_060, exact=True), "21:06:40 UTC"),
        (figures.clock(1_795_800_000, 1_795_900_060, exact=True), "2026-11-27 17:20:00 UTC"),
    ],
)
def test_figures_are_read_at_a_glance(made: str, said: str) -> None:
    """Each in the unit that a person would take, and nothing where there is nothing."""
    assert made == said


def test_a_line_goes_across_seconds_without_a_call_and_not_across_a_silence() -> None:
    """Not every second has a call; half a minute without an answer is something else."""
    assert figures.sparkline([1.0, None, 2.0]).count("L") == 1
    assert figures.sparkline([1.0, *[None] * 30, 2.0]).count("M") == 2
    assert figures.sparkline([None, 3.0]) == ""
    assert figures.sparkline(None) == figures.sparkline("12") == ""


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=80))
def test_a_line_stays_inside_of_its_drawing(samples: list[float | None]) -> None:
    """Whatever the values are."""
    numbers = [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?", figures.sparkline(samples))]
    assert all(0 <= x <= figures.WIDTH for x in numbers[::2])
    assert all(0 <= y <= figures.HEIGHT for y in numbers[1::2])
