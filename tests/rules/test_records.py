"""What is remembered of restarts: pauses that grow, health that forgives, a cap of an hour."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.records import (
    Limits,
    Record,
    begin,
    end,
    give_up,
    is_beyond_cap,
    lift,
    next_prevention,
    next_try,
    note,
    pause,
    reach,
    recent,
    spoil,
)

LIMITS = Limits(
    enforce=True, backoff=10.0, backoff_max=300.0, healthy_after=600.0, max_per_hour=6, failed_retry=1800.0,
    adrift_after=60.0, wedged_after=2.0, settled_after=35.0, start_timeout=30.0,
)  # fmt: skip


def test_the_first_comes_at_once_and_each_further_one_waits_twice_as_long() -> None:
    """0, 10, 20, 40 ... 300 s, also after a very long row."""
    assert [pause(in_a_row, LIMITS) for in_a_row in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    assert pause(10_000, LIMITS) == 300


def test_the_pause_counts_from_the_end_of_the_last_one() -> None:
    """Not from its begin: a restart may take minutes."""
    record = begin(Record(), LIMITS, 100.0, is_ordered=False)
    record = end(record, 150.0)
    assert next_try(record, LIMITS) == 160.0
    assert next_try(Record(), LIMITS) == float("-inf")


def test_health_that_lasts_forgives_and_a_moment_of_it_does_not() -> None:
    """Ten minutes without a break."""
    record = end(begin(Record(), LIMITS, 0.0, is_ordered=False), 10.0)
    record = note(record, LIMITS, 20.0, is_healthy=True)
    record = note(record, LIMITS, 500.0, is_healthy=False)
    record = note(record, LIMITS, 501.0, is_healthy=True)
    assert note(record, LIMITS, 1100.0, is_healthy=True).in_a_row == 1
    assert note(record, LIMITS, 1101.0, is_healthy=True).in_a_row == 0
    same = note(Record(), LIMITS, 1.0, is_healthy=False)
    assert same == Record()
    healthy = note(Record(), LIMITS, 1.0, is_healthy=True)
    assert note(healthy, LIMITS, 2000.0, is_healthy=True) is healthy


def test_beyond_the_cap_it_is_tried_slowly_until_it_stays_healthy() -> None:
    """Half an hour after the last one, and health forgives that too."""
    record = Record()
    for at in range(6):
        assert not is_beyond_cap(record, LIMITS, float(at))
        record = reach(end(begin(record, LIMITS, float(at)), float(at)), LIMITS, float(at))
    assert is_beyond_cap(record, LIMITS, 6.0)
    assert recent(record, LIMITS, 3604.5) == 1
    record = give_up(record)
    assert next_try(record, LIMITS) == 5.0 + 1800.0
    record = begin(record, LIMITS, 1805.0, is_ordered=False)
    assert record.has_failed
    well = note(note(record, LIMITS, 1900.0, is_healthy=True), LIMITS, 2500.0, is_healthy=True)
    assert (well.has_failed, well.in_a_row) == (False, 0)


def test_an_order_forgives() -> None:
    """Somebody has looked after it."""
    record = give_up(Record(begun=(1.0, 2.0), in_a_row=2, ended_at=2.0))
    ordered = begin(record, LIMITS, 3.0, is_ordered=True)
    assert (ordered.has_failed, ordered.in_a_row) == (False, 1)


def test_only_cures_that_reached_the_process_count_into_the_cap() -> None:
    """Not what was ordered, not what prevents, and not what the launcher spoilt."""
    record = Record()
    for at in range(20):
        record = end(begin(record, LIMITS, float(at), is_ordered=at % 2 == 0, prevents=at % 3 == 0), float(at))
    assert recent(record, LIMITS, 20.0) == 20
    assert not is_beyond_cap(record, LIMITS, 20.0)


def test_prevention_has_a_cap_of_its_own() -> None:
    """The same number an hour, and never soon after another restart."""
    limits = replace(LIMITS, healthy_after=1.0)
    record = Record()
    for at in range(6):
        assert next_prevention(record, limits, float(at)) <= at
        record = begin(record, limits, float(at), prevents=True)
    assert next_prevention(record, limits, 10.0) == 3600.0
    assert next_prevention(Record(ended_at=5.0), LIMITS, 10.0) == 605.0


def test_what_the_launcher_spoilt_is_lifted_when_it_answers() -> None:
    """And what a person must change does not make the pause longer."""
    record = begin(begin(Record(), LIMITS, 0.0), LIMITS, 20.0)
    assert lift(record) == record
    assert lift(spoil(record, may_pass=True)).in_a_row == 0
    assert [spoil(record, may_pass=one).in_a_row for one in (True, False)] == [2, 1]
    assert spoil(begin(Record(), LIMITS, 0.0), may_pass=False).in_a_row == 1


@given(st.lists(st.floats(0.1, 5000.0), max_size=60), st.booleans())
def test_an_hour_never_has_more_than_the_cap_and_the_slow_tries(gaps: list[float], heal: bool) -> None:  # noqa: FBT001 - drawn
    """Each restart that the record allows is begun; none of them by order."""
    record, now, begun = Record(), 0.0, list[float]()
    for gap in gaps:
        now += gap
        record = note(record, LIMITS, now, is_healthy=heal)
        if is_beyond_cap(record, LIMITS, now):
            record = give_up(record)
        if next_try(record, LIMITS) <= now and (record.has_failed or not is_beyond_cap(record, LIMITS, now)):
            record = reach(end(begin(record, LIMITS, now), now), LIMITS, now)
            begun.append(now)
    for first in begun:
        assert sum(first <= at < first + LIMITS.hour for at in begun) <= LIMITS.max_per_hour + 2


@pytest.mark.parametrize("at", [0.0, 1e9])
def test_begin_keeps_only_what_counts(at: float) -> None:
    """Restarts of more than an hour ago are forgotten."""
    record = Record(begun=(at, at + 1.0))
    assert begin(record, LIMITS, at + 3600.5, is_ordered=False).begun == (at + 1.0, at + 3600.5)
