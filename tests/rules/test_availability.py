"""Seconds of a day: watched, available, missing and why; and what nobody watched is told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.availability import (
    DAY,
    FRESH,
    MOST_REASONS,
    OTHER,
    Count,
    Key,
    Share,
    Totals,
    add,
    both,
    newest_days,
    shares,
    whole,
)
from gateway.rules.service import Place, Service

TODAY = 20_000
NOON = TODAY * DAY + DAY / 2
WELL, DEAD = Service("", has_served=True), Service("dead", has_served=True)


def counted(*spans: tuple[float, Service], at: float = NOON, place: Place = ("main", "ec-1")) -> dict[Key, Count]:
    """Totals after spans that follow each other from `at`."""
    totals: dict[Key, Count] = {}
    for lasted, service in spans:
        at += lasted
        totals = add(totals, {place: service}, lasted, at)
    return totals


def one(totals: Totals, until: float) -> Share:
    """The only day of the only place."""
    (found,) = shares(totals.items(), until)
    return found


def test_a_day_is_what_was_watched_of_it_and_what_of_that_was_available() -> None:
    """Missing seconds are summed up by their word."""
    found = one(counted((90.0, WELL), (7.0, DEAD), (2.0, Service("wedged")), (1.0, DEAD)), NOON + 100.0)
    assert (found.elapsed, found.watched, found.available, found.not_running) == (100.0, 100.0, 90.0, 0.0)
    assert (found.share, found.is_met, found.reasons) == (0.9, False, {"dead": 8.0, "wedged": 2.0})


@pytest.mark.parametrize(("missing", "is_met"), [(0.0, True), (86.4, True), (86.5, False)])
def test_a_day_meets_the_target_with_at_most_86_seconds_missing(missing: float, *, is_met: bool) -> None:
    """99.9 % of a whole day."""
    totals = counted((DAY - missing, WELL), (missing, DEAD), at=TODAY * DAY)
    assert one(totals, (TODAY + 1) * DAY).is_met is is_met


def test_seconds_of_which_nobody_knows_are_neither_good_nor_bad() -> None:
    """Those in which the process stood still are told apart from those in which it did not run."""
    totals = counted((100.0, WELL))
    totals = add(totals, {("main", "ec-1"): WELL}, 40.0, NOON + 140.0, stood_still=True)
    totals = add(totals, {("main", "ec-1"): WELL}, 10.0, NOON + 450.0)
    found = one(totals, NOON + 450.0)
    assert (found.watched, found.stood_still, found.not_running, found.share) == (110.0, 40.0, 300.0, 1.0)


def test_a_day_on_which_no_gateway_ran_is_there_all_the_same() -> None:
    """Between two on which one did; nothing is said of how it was."""
    totals = counted((100.0, WELL)) | counted((100.0, WELL), at=NOON + 2 * DAY)
    first, between, last = shares(totals.items(), NOON + 2 * DAY + 100.0)
    assert (between.day, between.watched, between.not_running) == (TODAY + 1, 0.0, DAY)
    assert (between.share, between.is_met) == (None, None)
    assert first.elapsed == DAY / 2
    assert last.elapsed == DAY / 2 + 100.0


def test_what_was_counted_a_moment_ago_is_not_missing_yet() -> None:
    """Counts are written now and then; a gateway that is silent for longer does not run."""
    totals = counted((100.0, WELL))
    assert one(totals, NOON + 100.0 + FRESH - 1.0).not_running == 0.0
    assert one(totals, NOON + 100.0 + FRESH + 1.0).not_running == FRESH + 1.0


def test_two_gateways_that_followed_each_other_make_one_day() -> None:
    """Each wrote its own row."""
    mine, others = counted((100.0, WELL), (5.0, DEAD)), counted((50.0, WELL), (5.0, Service("wedged")), at=NOON + 105.0)
    (found,) = shares([*mine.items(), *others.items()], NOON + 160.0)
    assert (found.watched, found.available, found.not_running) == (160.0, 150.0, 0.0)
    assert found.reasons == {"dead": 5.0, "wedged": 5.0}


def test_no_second_is_counted_twice() -> None:
    """Where two gateways watched the same one by clocks that differ, the day has no more seconds than it had."""
    mine, others = counted((60.0, WELL), (60.0, DEAD)), counted((120.0, WELL))
    (found,) = shares([*mine.items(), *others.items()], NOON + 120.0)
    assert (found.elapsed, found.watched, found.not_running) == (120.0, 120.0, 0.0)
    assert found.share == 0.75
    assert sum(found.reasons.values()) + found.available == pytest.approx(120.0)


def test_words_are_bounded() -> None:
    """A wallet with many daemons has many ways to be out."""
    found = one(counted(*((1.0, Service(f"word-{n}")) for n in range(MOST_REASONS + 5))), NOON + 100.0)
    assert len(found.reasons) == MOST_REASONS + 1
    assert found.reasons[OTHER] == 5.0


def test_days_become_one_row_for_each_place() -> None:
    """In the order of wallets and backends."""
    totals = counted((DAY, WELL), (DAY, DEAD), at=TODAY * DAY) | counted((10.0, WELL), place=("main", ""))
    ones = whole(shares(totals.items(), (TODAY + 2) * DAY))
    assert [(row.backend, row.watched, row.share) for row in ones] == [("", 10.0, 1.0), ("ec-1", 2 * DAY, 0.5)]
    assert ones[1].reasons == {"dead": DAY}


def test_a_span_of_nothing_adds_nothing() -> None:
    """Two things may happen in the same moment."""
    assert add({}, {("main", ""): WELL}, 0.0, NOON) == {}


SERVICES = st.sampled_from([WELL, DEAD, Service("wedged"), Service("adrift", is_drained=True)])
SPANS = st.lists(st.tuples(st.floats(0.001, 90_000.0), SERVICES), min_size=1, max_size=12)


@given(SPANS, st.integers(0, 86_399))
def test_all_of_the_time_is_somewhere_and_only_once(spans: list[tuple[float, Service]], second: int) -> None:
    """Available and the reasons are what was watched; days are what all lasted, wherever midnight falls."""
    begin = TODAY * DAY + second
    totals = counted(*spans, at=begin)
    lasted = sum(seconds for seconds, _ in spans)
    for count in totals.values():
        assert count.available + sum(count.reasons.values()) == pytest.approx(count.watched)
    # a moment since 1970 has no more digits than a tenth of a millionth of a second
    assert sum(count.watched for count in totals.values()) == pytest.approx(lasted, abs=1e-3)
    days = shares(totals.items(), begin + lasted)
    assert sum(day.elapsed for day in days) == pytest.approx(lasted, abs=1e-3)
    assert sum(day.not_running for day in days) == pytest.approx(0.0, abs=1e-3)


@given(SPANS, st.integers(0, 11))
def test_a_restart_of_the_gateway_at_any_moment_loses_nothing_that_was_counted(
    spans: list[tuple[float, Service]], stop: int
) -> None:
    """What two lives have counted is what one would have."""
    stop = min(stop, len(spans))
    between = NOON + sum(seconds for seconds, _ in spans[:stop])
    first, second = counted(*spans[:stop]), counted(*spans[stop:], at=between)
    joined = {key: both(first[key], second[key]) if key in first and key in second else first.get(key, second.get(key))
              for key in {*first, *second}}  # fmt: skip
    for key, count in counted(*spans).items():
        found = joined[key]
        assert found is not None
        assert found.watched == pytest.approx(count.watched, abs=1e-3)
        assert found.available == pytest.approx(count.available, abs=1e-3)
        assert dict(found.reasons) == pytest.approx(dict(count.reasons), abs=1e-3)


@pytest.mark.parametrize(("most", "days"), [(6, 3), (5, 2), (4, 2), (3, 1), (2, 1), (1, 1)])
def test_a_bound_leaves_out_whole_days(most: int, days: int) -> None:
    """The oldest; the newest is there however many rows it has."""
    every = shares([((day, "main", backend), Count(1.0, 1.0)) for day in (1, 2, 3) for backend in ("", "ec-1")], 9e9)
    found, begin = newest_days(every, most)
    assert [one.day for one in found] == [day for day in (1, 2, 3)[3 - days :] for _ in range(2)]
    assert begin == (None if days == 3 else 4 - days)
