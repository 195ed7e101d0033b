"""Who is wrong about the money: majorities, grace, the order of cures and their back-off."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.agreement import (
    BACK_OFF,
    BACK_OFF_MOST,
    FORGET,
    PERSISTS,
    SPREAD,
    Case,
    Finding,
    Reading,
    back_off,
    comparable,
    judge,
    odd_ones,
)

GRACE = 10.0


def said(backend: str, confirmed: int = 100, **changes: float | bool) -> Reading:
    """A reading; the backend named `a` is the primary."""
    fields: dict[str, int | float | bool] = {
        "is_primary": backend == "a", "height": 7, "unconfirmed": 0, "receiving": 20, "change": 20, "asked_at": 50.0,
    }  # fmt: skip
    return Reading(backend=backend, confirmed=confirmed, **{**fields, **changes})  # type: ignore[arg-type]  # of the right kinds


class Watch:
    """Comparisons one after the other, with what is remembered between them."""

    def __init__(self) -> None:
        """Begin with nothing remembered."""
        self.cases: Mapping[str, Case] = {}
        self.now = 1000.0
        self.cures: list[tuple[float, str]] = []
        self.diverged: list[str] = []
        self.stirred_at = float("-inf")

    def see(self, after: float, *readings: Reading, may_cure: bool = True) -> Finding:
        """Compare so many seconds later."""
        self.now += after
        found = judge(readings, self.cases, self.now, GRACE, stirred_at=self.stirred_at, may_cure=may_cure)
        self.cases = found.cases
        if found.cure is not None:
            self.cures.append((self.now, found.cure))
        self.diverged += found.diverged
        return found

    def see_for(self, seconds: float, *readings: Reading) -> None:
        """Compare every second."""
        for _ in range(int(seconds)):
            self.see(1.0, *readings)


def test_those_who_agree_are_left_alone() -> None:
    """Nothing is odd, nothing is done."""
    found = Watch().see(0.0, said("a"), said("b"), said("c"))
    assert (found.odd, found.cure, found.diverged, found.healed) == ((), None, (), ())


@pytest.mark.parametrize("readings", [[], [said("a")]])
def test_one_alone_is_never_odd(readings: list[Reading]) -> None:
    """There is nobody to compare it with."""
    assert Watch().see(0.0, *readings).odd == ()


def test_the_minority_is_odd_also_where_it_is_the_primary() -> None:
    """Two against one, whoever that is; unconfirmed money counts as well."""
    assert odd_ones([said("a", 99), said("b"), said("c")]) == ("a",)
    assert odd_ones([said("a"), said("b"), said("c", unconfirmed=5)]) == ("c",)


def test_without_a_majority_all_are_odd() -> None:
    """Two daemons, three that all differ, two against two."""
    assert odd_ones([said("a"), said("b", 99)]) == ("a", "b")
    assert odd_ones([said("a", 1), said("b", 2), said("c", 3)]) == ("a", "b", "c")
    assert odd_ones([said("a", 1), said("b", 1), said("c", 2), said("d", 2)]) == ("a", "b", "c", "d")


def test_only_the_largest_group_at_one_height_is_compared() -> None:
    """One that has a block more or less is right in its own way; of equal groups the higher one counts."""
    assert [one.backend for one in comparable([said("a"), said("b"), said("c", height=8)])] == ["a", "b"]
    assert [one.backend for one in comparable([said("a"), said("b", height=8)])] == ["b"]


@pytest.mark.parametrize("behind", [{"receiving": 19}, {"change": 19}, {"asked_at": 50.0 - SPREAD - 0.1}])
def test_one_that_is_behind_or_was_asked_long_ago_is_not_compared(behind: dict[str, int | float]) -> None:
    """It lacks money because it lacks addresses, or because it was asked before the payment."""
    assert [one.backend for one in comparable([said("a"), said("b"), said("c", 1, **behind)])] == ["a", "b"]


def test_nothing_is_cured_before_the_grace_is_over() -> None:
    """One that hears later than the others is given its time, and then the odd one is cured."""
    watch = Watch()
    watch.see_for(GRACE, said("a"), said("b", 99), said("c"))
    assert watch.cures == []
    assert watch.see(1.0, said("a"), said("b", 99), said("c")).cure == "b"


def test_one_agreement_in_between_begins_the_grace_anew() -> None:
    """As a daemon that is only late does."""
    watch = Watch()
    watch.see_for(8, said("a"), said("b", 99), said("c"))
    watch.see(1.0, said("a"), said("b"), said("c"))
    watch.see_for(GRACE, said("a"), said("b", 99), said("c"))
    assert watch.cures == []


def test_a_difference_long_after_the_last_one_is_another_one() -> None:
    """While nobody could compare, it may have agreed."""
    watch = Watch()
    watch.see(0.0, said("a"), said("b", 99), said("c"))
    assert watch.see(2 * GRACE + 1, said("a"), said("b", 99), said("c")).cure is None
    assert watch.see(GRACE, said("a"), said("b", 99), said("c")).cure == "b"


def test_one_that_stays_odd_is_told_once_and_cured_again_after_its_back_off() -> None:
    """Reloaded, watched for a grace, told; reloaded again a minute later; healed in the end."""
    watch = Watch()
    watch.see_for(200, said("a"), said("b", 99), said("c"))
    assert watch.diverged == ["b"]
    gaps = [round(later - earlier) for (earlier, _), (later, _) in zip(watch.cures, watch.cures[1:], strict=False)]
    assert {name for _, name in watch.cures} == {"b"}
    assert gaps == [60, 120]
    found = watch.see(1.0, said("a"), said("b"), said("c"))
    assert (found.odd, found.healed) == ((), ("b",))
    assert watch.see(1.0, said("a"), said("b"), said("c")).healed == ()


def test_with_two_the_standby_is_cured_first_then_the_primary_and_then_both_are_told() -> None:
    """Nobody knows who is wrong, and the primary's reload costs more."""
    watch = Watch()
    watch.see_for(40, said("a"), said("b", 99))
    assert [name for _, name in watch.cures] == ["b", "a"]
    assert watch.cures[1][0] - watch.cures[0][0] >= GRACE
    assert sorted(watch.diverged) == ["a", "b"]
    assert not watch.see(1.0, said("a"), said("b", 99)).has_majority


def test_with_two_the_primary_stays_untouched_where_the_standby_was_it() -> None:
    """The first cure helps, and that is that."""
    watch = Watch()
    watch.see_for(GRACE + 1, said("a"), said("b", 99))
    watch.see_for(GRACE * 3, said("a"), said("b"))
    assert [name for _, name in watch.cures] == ["b"]
    assert watch.diverged == []


def test_after_a_payment_of_ours_the_grace_begins_when_all_should_have_heard_of_it() -> None:
    """A difference from before it counts from then on."""
    watch = Watch()
    watch.see_for(5, said("a"), said("b", 99), said("c"))
    watch.stirred_at = watch.now
    watch.see_for(2 * GRACE - 1, said("a"), said("b", 99), said("c"))
    assert watch.cures == []
    assert watch.see(1.0, said("a"), said("b", 99), said("c")).cure == "b"


def test_who_is_odd_all_the_time_is_cured_also_while_we_pay_all_the_time() -> None:
    """Against a majority, in the end; of two, never: one may be late all the time."""
    for others, cures in (([said("c")], ["b"]), ([], [])):
        watch = Watch()
        for _ in range(int(PERSISTS * GRACE) + 2):
            watch.stirred_at = watch.now
            watch.see(1.0, said("a"), said("b", 99), *others)
        assert [name for _, name in watch.cures] == cures
        assert all(at - 1001.0 >= PERSISTS * GRACE for at, _ in watch.cures)


def test_where_reloading_is_known_not_to_work_it_is_told_at_once() -> None:
    """After the grace, as before a cure."""
    watch = Watch()
    for _ in range(int(GRACE) + 1):
        watch.see(1.0, said("a"), said("b", 99), said("c"), may_cure=False)
    assert watch.cures == []
    assert watch.diverged == ["b"]


def test_cures_are_forgotten_after_a_long_agreement() -> None:
    """And counted as long as that."""
    watch = Watch()
    watch.see_for(GRACE + 1, said("a"), said("b", 99), said("c"))
    watch.see(1.0, said("a"), said("b"), said("c"))
    assert watch.cases["b"].cures == 1
    watch.see(FORGET, said("a"), said("b"), said("c"))
    assert watch.cases["b"].cures == 0


def test_the_back_off_doubles_up_to_an_hour() -> None:
    """A minute, two, four ... and no number of cures makes it longer than its bound."""
    assert [back_off(n) for n in (1, 2, 3)] == [BACK_OFF, 2 * BACK_OFF, 4 * BACK_OFF]
    assert back_off(7) == back_off(10_000) == BACK_OFF_MOST


READINGS = st.lists(
    st.builds(
        said,
        st.sampled_from("abcd"),
        st.integers(1, 2),
        height=st.integers(7, 8),
        receiving=st.integers(20, 21),
        asked_at=st.floats(48.0, 50.0),
    ),
    max_size=4,
    unique_by=lambda one: one.backend,
)


@pytest.mark.long
@given(st.lists(st.tuples(st.floats(0.1, 40.0), READINGS, st.booleans(), st.booleans()), max_size=60))
def test_whatever_daemons_say_cures_keep_their_rules(
    rounds: list[tuple[float, list[Reading], bool, bool]],
) -> None:
    """One at a time, only odd ones, never before the grace, never within the back-off, never while all agree."""
    watch = Watch()
    cured: dict[str, list[float]] = {}
    odd_since: dict[str, float] = {}
    for after, readings, may_cure, has_paid in rounds:
        before = watch.cases
        if has_paid:
            watch.stirred_at = watch.now
        found = watch.see(after, *readings, may_cure=may_cure)
        compared = comparable(readings)
        assert set(found.odd) <= {one.backend for one in compared}
        for one in compared:
            if one.backend in found.odd:
                odd_since.setdefault(one.backend, watch.now)
            else:
                odd_since.pop(one.backend, None)
        if len({(one.confirmed, one.unconfirmed) for one in compared}) < 2:
            assert found.odd == ()
        if found.has_majority:
            assert 2 * len(found.odd) < len(compared) or not compared
        assert set(found.diverged) <= set(found.odd)
        assert all(before[name].is_told for name in found.healed)
        if found.cure is None:
            continue
        assert may_cure
        assert found.cure in found.odd
        lasted = watch.now - odd_since[found.cure]
        assert lasted >= GRACE
        if not found.has_majority or lasted < PERSISTS * GRACE:
            assert watch.now - watch.stirred_at >= 2 * GRACE
        assert not found.diverged
        times = cured.setdefault(found.cure, [])
        assert not times or watch.now - times[-1] >= BACK_OFF
        times.append(watch.now)
        odd_since = {}
