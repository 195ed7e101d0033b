"""Selection: two draws, the cheaper one, and a primary that keeps its reads while it is well."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.selection import cost, pick, prefers_primary, slow_start_weight

amounts = st.floats(0.0, 100.0)


@given(amounts, st.integers(0, 50), st.floats(0, 1), st.floats(0.1, 1))
def test_cost_grows_with_every_doubt(latency: float, in_flight: int, score: float, weight: float) -> None:
    """More latency, more calls, less score or less weight never make a backend cheaper."""
    here = cost(latency, in_flight, score, weight)
    assert here > 0
    assert cost(latency + 1, in_flight, score, weight) >= here
    assert cost(latency, in_flight + 1, score, weight) >= here
    assert cost(latency, in_flight, score / 2, weight) >= here
    assert cost(latency, in_flight, score, weight / 2) >= here


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.integers())
def test_pick_never_takes_the_dearest_of_three_or_more(prices: list[float], seed: int) -> None:
    """Of two different draws the cheaper one wins, so the unique dearest never does."""
    chance = random.Random(seed).random
    chosen = pick(range(len(prices)), lambda i: prices[i], chance)
    assert 0 <= chosen < len(prices)
    if len(prices) > 1 and prices.count(max(prices)) == 1:
        assert prices[chosen] < max(prices)


@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=20),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
)
def test_pick_returns_a_member_and_never_the_dearer_of_the_two_drawn(
    prices: list[float], first: float, second: float
) -> None:
    """Two different ones are looked at, whatever chance says, and the one that is returned costs no more."""
    draws = iter([first, second])
    seen: list[str] = []

    def price(member: str) -> float:
        seen.append(member)
        return prices[int(member)]

    members = [str(place) for place in range(len(prices))]
    chosen = pick(members, price, lambda: next(draws))
    assert chosen in members
    assert len(set(seen)) == 2
    assert chosen in seen
    assert prices[int(chosen)] == min(prices[int(one)] for one in seen)


@given(st.integers(2, 6))
def test_every_pair_of_candidates_can_be_drawn(count: int) -> None:
    """No backend is left out by the way chance is used."""
    pairs = {
        frozenset(seen_by(count, first / count + 0.001, second / (count - 1) + 0.001))
        for first in range(count)
        for second in range(count - 1)
    }
    assert pairs == {frozenset({one, other}) for one in range(count) for other in range(one + 1, count)}


def seen_by(count: int, *chances: float) -> list[int]:
    """Pick by these chances and return who was looked at."""
    draws, seen = iter(chances), list[int]()

    def price(member: int) -> float:
        seen.append(member)
        return 0.0

    pick(range(count), price, lambda: next(draws))
    return seen


def test_the_only_candidate_needs_no_chance() -> None:
    """One daemon is a wallet too."""
    assert pick(["only"], lambda _one: 1.0, lambda: 1 / 0) == "only"


@given(st.floats(0, 0.999), st.floats(0, 0.999))
def test_two_candidates_are_always_both_looked_at(first: float, second: float) -> None:
    """With two, the cheaper one wins whatever chance says."""
    draws = iter([first, second])
    assert pick(["dear", "cheap"], {"dear": 2.0, "cheap": 1.0}.__getitem__, lambda: next(draws)) == "cheap"


def test_picking_from_nothing_is_an_error() -> None:
    """The caller has to ask first."""
    with pytest.raises(IndexError):
        pick([], lambda _one: 0.0, lambda: 0.5)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0.001, 100))
def test_slow_start_grows_from_a_tenth_to_the_whole(since: float, later: float, window: float) -> None:
    """Never below a tenth, never above one, never falling."""
    early = slow_start_weight(since, since + later, window)
    assert 0.1 <= early <= 1.0
    assert slow_start_weight(since, since + later + 1, window) >= early


def test_without_a_window_there_is_no_slow_start() -> None:
    """A window of 0 switches it off."""
    assert slow_start_weight(5.0, 5.0, 0.0) == 1.0


@given(amounts, st.floats(0, 1), st.booleans(), st.booleans())
def test_only_a_primary_in_service_and_without_doubt_is_preferred(
    best: float,
    share: float,
    is_settled_in: bool,  # noqa: FBT001 - Hypothesis fills it in
    is_stalled: bool,  # noqa: FBT001 - Hypothesis fills it in
) -> None:
    """Half of the best score is enough, less is not."""
    found = prefers_primary(is_settled_in=is_settled_in, is_stalled=is_stalled, score=best * share, best_score=best)
    assert found == (is_settled_in and not is_stalled and best * share >= best / 2)


def test_the_primary_keeps_wallet_reads_until_it_is_in_doubt() -> None:
    """Ejected, warming, stalled or below half of the best score: each alone sends them elsewhere."""
    well = {"is_settled_in": True, "is_stalled": False, "score": 1.0, "best_score": 1.0}
    assert prefers_primary(**well)  # type: ignore[arg-type]  # the keys fit
    for change in ({"is_settled_in": False}, {"is_stalled": True}, {"score": 0.49}):
        assert not prefers_primary(**{**well, **change})  # type: ignore[arg-type]  # the keys fit
    assert prefers_primary(is_settled_in=True, is_stalled=False, score=0.5, best_score=1.0)
