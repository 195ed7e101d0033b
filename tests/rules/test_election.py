"""Who becomes primary: never the wrong one, and never too often."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.election import CALM, CALM_MOST, MEMORY, PATIENCE, QUICK, Candidate, calm_until, elect

MOST = 8
"""Promotions that fit into less than MEMORY seconds: 1, 1, 1, 2, 4, 8, 16 and 30 s lie between nine of them."""

SICK = Candidate(
    "a", is_primary=True, is_serving=False, is_out=True, was_ready=True, is_complete=False, is_warm=False, score=0.2
)
ABLE = Candidate(
    "b", is_primary=False, is_serving=True, is_out=False, was_ready=True, is_complete=True, is_warm=True, score=1.0
)

NOW = 1000.0


@st.composite
def wallets(draw: st.DrawFn) -> list[Candidate]:
    """Any wallet, with one primary at any place of the list."""
    length = draw(st.integers(1, 6))
    primary = draw(st.integers(0, length - 1))
    flags = st.booleans()
    return [
        Candidate(
            f"ec-{n}", is_primary=n == primary, is_serving=draw(flags), is_out=draw(flags), was_ready=draw(flags),
            is_complete=draw(flags), is_warm=draw(flags), score=draw(st.floats(0.0, 1.0)),
        )
        for n in range(length)
    ]  # fmt: skip


times = st.lists(st.floats(NOW - 200.0, NOW), max_size=12).map(sorted)


@given(wallets(), times, st.floats(NOW - 100.0, NOW))
def test_whoever_is_elected_is_able_and_the_primary_is_not(
    candidates: list[Candidate], promoted_at: list[float], started_at: float
) -> None:
    """Never the primary itself, never one that lacks an address, never one out of service; and only for a reason."""
    name = elect(candidates, promoted_at, started_at, NOW)
    if name is None:
        return
    chosen = next(one for one in candidates if one.name == name)
    primary = next(one for one in candidates if one.is_primary)
    assert not chosen.is_primary
    assert chosen.is_serving
    assert chosen.is_complete
    assert primary.is_out
    assert primary.was_ready or NOW - started_at >= PATIENCE
    assert calm_until(promoted_at, NOW) <= NOW


@given(wallets())
def test_a_primary_out_of_service_is_replaced_wherever_somebody_can(candidates: list[Candidate]) -> None:
    """Refusing everything is not safety: a promotion that may be is made, and the warmest and healthiest gets it."""
    candidates = [replace(one, is_out=True, was_ready=True) if one.is_primary else one for one in candidates]
    able = [one for one in candidates if not one.is_primary and one.is_serving and one.is_complete]
    name = elect(candidates, [], NOW - 100.0, NOW)
    assert (name is None) == (not able)
    if name is not None:
        chosen = next(one for one in able if one.name == name)
        assert all((one.is_warm, one.score) <= (chosen.is_warm, chosen.score) for one in able)


@given(wallets(), times)
def test_a_primary_in_service_stays_whatever_the_others_are(
    candidates: list[Candidate], promoted_at: list[float]
) -> None:
    """A doubt, an open circuit and a better score are no reasons."""
    candidates = [replace(one, is_out=False) if one.is_primary else one for one in candidates]
    assert elect(candidates, promoted_at, NOW - 100.0, NOW) is None


def test_a_primary_never_in_service_is_waited_for_a_little() -> None:
    """At the start of a gateway nobody has been heard of yet."""
    fresh = replace(SICK, was_ready=False)
    assert elect([fresh, ABLE], [], NOW, NOW + PATIENCE - 0.01) is None
    assert elect([fresh, ABLE], [], NOW, NOW + PATIENCE) == "b"
    assert elect([SICK, ABLE], [], NOW, NOW) == "b"


def test_of_two_alike_the_one_configured_first_is_taken() -> None:
    """So that an operator can tell before."""
    assert elect([replace(ABLE, name="x"), SICK, replace(ABLE, name="y")], [], 0.0, NOW) == "x"


def test_a_warm_one_comes_before_a_healthier_one_that_has_just_returned() -> None:
    """Slow start would keep the money waiting."""
    cold = replace(ABLE, name="cold", is_warm=False)
    assert elect([SICK, cold, replace(ABLE, name="warm", score=0.3)], [], 0.0, NOW) == "warm"


@pytest.mark.parametrize(
    ("recent", "pause"), [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 4.0), (6, 8.0), (7, 16.0), (8, 30.0), (50, 30.0)]
)
def test_each_promotion_beyond_the_first_three_doubles_the_pause(recent: int, pause: float) -> None:
    """Up to half a minute."""
    assert (CALM, QUICK, CALM_MOST) == (1.0, 3, 30.0)
    assert calm_until([NOW] * recent, NOW) == NOW + pause


def test_what_is_long_ago_is_forgotten() -> None:
    """A promotion counts for a minute."""
    assert calm_until([], NOW) == 0.0
    assert calm_until([NOW - MEMORY], NOW) == 0.0
    assert calm_until([NOW - MEMORY] * 9 + [NOW], NOW) == NOW + CALM


@given(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=120))
def test_the_wallet_is_not_handed_to_and_fro(pauses: list[float]) -> None:
    """Two daemons that fall ill in turn whenever they are primary: at most eight promotions in any minute."""
    daemons = [SICK, replace(ABLE, name="b")]
    promoted_at: list[float] = []
    now = NOW
    for pause in pauses:
        now += pause
        chosen = elect(daemons, promoted_at, 0.0, now)
        if chosen is not None:
            promoted_at.append(now)
            # the new primary falls ill at once, and the old one is well
            daemons = [replace(SICK if one.name == chosen else ABLE, name=one.name) for one in daemons]
    for place, at in enumerate(promoted_at):
        assert sum(at <= other < at + MEMORY for other in promoted_at[place:]) <= MOST
    assert all(later - earlier >= CALM for earlier, later in pairwise(promoted_at))


@given(st.floats(0.001, 1.0))
def test_under_a_steady_pressure_the_bound_is_reached_and_not_passed(step: float) -> None:
    """The property above is no empty word: eight promotions do happen within a minute."""
    promoted_at: list[float] = []
    now = NOW
    while now < NOW + MEMORY:
        if elect([SICK, ABLE], promoted_at, 0.0, now) is not None:
            promoted_at.append(now)
        now += step
    assert 7 <= len(promoted_at) <= MOST
