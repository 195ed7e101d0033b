"""Where things lie in a plot."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos import axes
from chaos.axes import Axes, Span
from tests.chaos.made_results import BEGAN, gateway_run

FRAME = Axes(100.0, 300.0, 10.0, 90.0, 10.0)


def test_time_goes_to_the_right_in_equal_steps() -> None:
    """Half of the seconds are half of the way; what lies outside is put at the edge."""
    assert [FRAME.x(one) for one in (0.0, 5.0, 10.0)] == [100.0, 200.0, 300.0]
    assert (FRAME.x(-3.0), FRAME.x(99.0)) == (100.0, 300.0)


def test_ten_times_slower_is_the_same_step_upwards() -> None:
    """From a millisecond at the bottom to ten seconds at the top."""
    heights = [FRAME.y(one) for one in (0.001, 0.01, 0.1, 1.0, 10.0)]
    assert heights == [90.0, 70.0, 50.0, 30.0, 10.0]
    assert (FRAME.y(0.0), FRAME.y(1000.0)) == (90.0, 10.0)
    assert FRAME.heights() == pytest.approx([0.001, 0.01, 0.1, 1.0, 10.0])


@pytest.mark.parametrize(("seconds", "step"), [(3.0, 0.5), (12.0, 1.0), (60.0, 5.0), (1200.0, 60.0)])
def test_the_marks_on_the_axis_are_neither_too_many_nor_too_few(seconds: float, step: float) -> None:
    """Round numbers, at most a dozen and a bit where there is a step for it."""
    marks = replace(FRAME, seconds=seconds).marks()
    assert marks[1] - marks[0] == step
    assert marks[-1] <= seconds
    assert len(marks) <= (axes.MARKS + 1 if seconds < 800 else 30)


def test_a_plot_is_as_long_as_whatever_ends_last() -> None:
    """The clients, a fault, a wallet's return or a call."""
    run = gateway_run()
    assert axes.length(run) == 10.0
    run.calls.append((BEGAN + 9.5, BEGAN + 13.0, "read", "timeout"))
    assert axes.length(run) == 13.0
    run.faults[0]["back"] = BEGAN + 20.0
    assert axes.length(run) == 20.0


def test_a_call_of_more_than_ten_seconds_makes_the_axis_higher() -> None:
    """Else it would lie upon the edge with those of ten."""
    run = gateway_run()
    assert axes.slowest(run) == 10.0
    run.calls.append((BEGAN, BEGAN + 12.0, "read", "timeout"))
    assert axes.slowest(run) == 100.0


def test_a_fault_says_which_wallet_it_met() -> None:
    """Where it was one; with its measure where it has one."""
    run = gateway_run()
    run.faults.append({**run.faults[0], "name": "gateway_kill", "target": 0})
    run.faults.append({**run.faults[0], "name": "slow", "target": 2, "value": 0.4})
    run.faults.append({**run.faults[0], "name": "of another day", "target": 0})
    assert [one.text for one in axes.faults(run)] == [
        "freeze: ec-1", "gateway_kill", "slow 0.4: ec-3", "of another day",
    ]  # fmt: skip
    assert (axes.faults(run)[0].begin, axes.faults(run)[0].end) == (3.0, 5.0)


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 20)), max_size=30))
def test_no_bar_lies_upon_another(pairs: list[tuple[float, float]]) -> None:
    """Whatever the faults; and none is lost."""
    spans = [Span(begin, begin + long, str(n)) for n, (begin, long) in enumerate(pairs)]
    rows = axes.rows(spans, room=0.5)
    for row in rows:
        assert all(later.begin >= one.end + 0.5 for one, later in itertools.pairwise(row))
    assert sorted(one.text for row in rows for one in row) == sorted(one.text for one in spans)


def test_phases_cover_a_plot_without_a_gap() -> None:
    """What was before the clients began tells the phase at the beginning."""
    lanes = axes.phases(gateway_run(), 10.0)
    assert lanes["ec-1"] == [
        Span(0.0, 3.5, "READY"), Span(3.5, 5.5, "EJECTED"), Span(5.5, 6.5, "WARMING"), Span(6.5, 10.0, "READY"),
    ]  # fmt: skip
    assert lanes["ec-2"] == [Span(0.0, 10.0, "READY")]


def test_a_phase_that_nobody_told_of_is_unknown_until_the_first_is() -> None:
    """And what comes after the end of the plot is not shown."""
    run = gateway_run(
        phases=[
            {"at": BEGAN + at, "backend": "ec-1", "phase": phase} for at, phase in ((2.0, "READY"), (99.0, "FAILED"))
        ]
    )
    assert axes.phases(run, 10.0) == {"ec-1": [Span(0.0, 2.0, axes.UNKNOWN), Span(2.0, 10.0, "READY")]}
