"""Leases: whoever might be wrong stops first, on any clock that is nearly right."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules import lease as rules
from gateway.rules.config_hash import UNNAMED
from gateway.rules.lease import DRIFT, LOOK, RENEW, RETRY, Gateway, Holder, Lease, Remark, Sight

ME = Gateway("gw-1", "mine", "http://10.0.0.1:7777", "config")
OTHER = Gateway("gw-2", "theirs", "http://10.0.0.2:7777", "config")

DAWN = 1_800_000_000.0
"""The database's clock when the own clock shows NOW."""

NOW = 1000.0

TTL = 3.0

ROUNDING = 1e-6
"""Seconds since 1970 are told apart to a quarter of this."""

rates = st.floats(1 - DRIFT, 1 + DRIFT)
ttls = st.floats(0.5, 60.0)
delays = st.floats(0.0, 100.0)


def lease(left: float = TTL, term: int = 5, who: Gateway = OTHER, now: float = DAWN) -> Lease:
    """A lease that has so long to run."""
    return Lease(who.name, who.instance, who.address, who.config, term, now + left, now - 10.0, now)


def given_up(term: int = 5, who: Gateway = OTHER) -> Lease:
    """One that was given back."""
    return replace(lease(term=term, who=who), until=0.0)


def seen(*looks: tuple[float, Lease | None], ttl: float = TTL) -> Sight:
    """What is known after looks, each at its time."""
    sight: Sight | None = None
    for at, found in looks:
        sight = rules.see(sight, found, ME, ttl, at)
    assert sight is not None
    return sight


def may_try(sight: Sight | None, now: float, stand_back_until: float = 0.0) -> bool:
    """Whether this gateway may take over."""
    return rules.may_try(sight, ME, stand_back_until, TTL, now)


# -- never two --------------------------------------------------------------------------------------------------


@given(rates, ttls, delays)
def test_a_holder_stops_before_the_database_lets_anybody_take_over(rate: float, ttl: float, delay: float) -> None:
    """In true time, however fast or slow its clock is and however late the statement was carried out."""
    sent = 500.0
    ends_on_the_database = sent + delay + ttl
    stops = sent + (rules.counts_until(NOW, ttl) - NOW) / rate
    assert stops < ends_on_the_database


@given(rates, ttls, st.floats(0.0, 1.0), delays)
def test_a_follower_does_not_try_before_the_end(rate: float, ttl: float, share: float, delay: float) -> None:
    """By its own clock alone, so that a jump of the database's would not help it."""
    left = ttl * share
    sight = rules.see(None, lease(left), ME, ttl, NOW)
    tries = delay + (rules.ready_at(sight, ME, ttl) - NOW) / rate
    assert tries >= left - ROUNDING
    assert tries <= delay + left * (1 + 3 * DRIFT) + ROUNDING


@given(ttls, st.floats(0.0, 1000.0))
def test_a_clock_of_the_database_that_jumps_ahead_makes_nobody_try_earlier(ttl: float, jump: float) -> None:
    """The end was reckoned when the lease was first seen as it is."""
    first = rules.see(None, lease(ttl), ME, ttl, NOW)
    jumped = replace(lease(ttl), now=DAWN + jump)
    again = rules.see(first, jumped, ME, ttl, NOW + 0.1)
    assert again.ends_at == first.ends_at
    assert again.lease == jumped


def test_a_lease_counts_from_the_sending_and_less_than_the_ttl() -> None:
    """By a tenth."""
    assert rules.counts_until(NOW, TTL) == pytest.approx(NOW + 2.7)
    assert rules.does_count(NOW + 2.7, NOW + 2.69)
    assert not rules.does_count(NOW + 2.7, NOW + 2.7)


# -- renewing -----------------------------------------------------------------------------------------------------


def test_renewals_come_in_thirds_and_tries_in_sixths() -> None:
    """Whatever became of the one before."""
    assert rules.next_renewal(NOW, NOW, TTL) == NOW + TTL * RENEW
    assert rules.next_renewal(NOW, NOW + 1.0, TTL) == NOW + 1.0 + TTL * RETRY
    assert rules.next_renewal(NOW + 2.0, NOW + 1.0, TTL) == NOW + 2.0 + TTL * RENEW


@given(ttls)
def test_a_lease_outlives_three_renewals_that_were_lost(ttl: float) -> None:
    """The fourth is sent while the lease still counts."""
    tried = NOW
    for _ in range(4):
        tried = rules.next_renewal(NOW, tried, ttl)
    assert tried < rules.counts_until(NOW, ttl)


# -- following ------------------------------------------------------------------------------------------------


def test_what_was_never_seen_is_not_tried() -> None:
    """The first look decides."""
    assert not may_try(None, NOW)
    assert rules.holder(None, ME, NOW) is None


def test_what_is_nobodys_is_taken_at_once() -> None:
    """One that nobody ever had, one that was given up, one of this process itself, one that is over."""
    for found in (None, given_up(), lease(who=ME), lease(left=-1.0)):
        assert may_try(seen((NOW, found)), NOW)
        assert rules.holder(seen((NOW, found)), ME, NOW) is None


def test_a_lease_that_runs_is_waited_for_and_names_the_holder() -> None:
    """Also one that an earlier life of this gateway left behind: that process may only be frozen."""
    for name in (OTHER.name, ME.name):
        sight = seen((NOW, lease(left=2.0, who=replace(OTHER, name=name))))
        assert not may_try(sight, NOW + 2.0)
        assert may_try(sight, NOW + 2.03)
        assert rules.holder(sight, ME, NOW + 2.0) == Holder(name, OTHER.address, 5, DAWN + 2.0)
        assert rules.holder(sight, ME, NOW + 2.03) is None


def test_a_renewal_is_no_change_of_hands() -> None:
    """Another term is, and so is nobody."""
    one = Holder("gw-2", OTHER.address, 5, DAWN)
    assert not rules.is_another(None, None)
    assert not rules.is_another(one, replace(one, until=DAWN + 1.0))
    assert rules.is_another(one, replace(one, term=6))
    assert rules.is_another(one, None)
    assert rules.is_another(None, one)


def test_a_renewal_is_waited_for_anew() -> None:
    """It is another end."""
    sight = seen((NOW, lease(left=1.0)), (NOW + 1.0, lease(now=DAWN + 1.0)))
    assert not may_try(sight, NOW + 4.0)
    assert may_try(sight, NOW + 4.04)
    assert sight.highest == 5


def test_whoever_gave_it_up_stands_back() -> None:
    """Until then the others may have it."""
    sight = seen((NOW, given_up(who=ME)))
    assert not may_try(sight, NOW, stand_back_until=NOW + 6.0)
    assert may_try(sight, NOW + 6.0, stand_back_until=NOW + 6.0)


def test_looks_are_regular_and_one_comes_when_the_lease_ends() -> None:
    """That one is not late, and none is early."""
    regular = NOW + TTL * LOOK
    assert rules.next_look(NOW, NOW + 0.2, TTL) == NOW + 0.2
    assert rules.next_look(NOW, NOW + 2.0, TTL) == regular
    assert rules.next_look(NOW, NOW, TTL) == regular
    assert rules.next_look(NOW, NOW - 5.0, TTL) == regular
    assert rules.next_look(NOW, float("inf"), TTL) == regular


# -- a database that went back ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lease(term=5), None),
        (lease(term=5), given_up(term=4)),
        (given_up(term=5), lease(left=0.5, term=5)),
        (lease(left=3.0), lease(left=-0.5)),
        (lease(who=ME), lease(left=-0.5, who=ME, term=4)),
    ],
)
def test_a_database_that_shows_less_than_before_is_not_believed_for_a_ttl(before: Lease, after: Lease | None) -> None:
    """Whoever holds by what it has forgotten has stopped by then; and the lost term is not used again."""
    sight = seen((NOW, before), (NOW + 1.0, after))
    assert sight.went_back
    assert not may_try(sight, NOW + 1.0 + TTL)
    assert may_try(sight, NOW + 1.0 + TTL * (1 + DRIFT))
    assert sight.highest == before.term
    assert rules.remarks(None, sight, ME)[0] is Remark.WENT_BACK
    again = rules.see(sight, after, ME, TTL, NOW + 2.0)
    assert not again.went_back, "it is told once"
    assert again.ends_at == sight.ends_at


# -- the others -----------------------------------------------------------------------------------------------


def told(before: Lease | None, now: Lease | None) -> list[Remark]:
    """What is told of the second of two looks."""
    first = seen((NOW, before))
    return rules.remarks(first, rules.see(first, now, ME, TTL, NOW + 1.0), ME)


def test_a_name_is_taken_only_by_somebody_who_is_alive() -> None:
    """What an earlier life of this gateway left behind does not move any more."""
    twin = replace(OTHER, name=ME.name)
    left = lease(who=twin)
    assert rules.remarks(None, seen((NOW, left)), ME) == []
    assert told(left, replace(left, now=DAWN + 1.0)) == []
    assert told(left, given_up(who=twin)) == []
    assert told(left, replace(left, until=DAWN + 4.0)) == [Remark.NAME_TAKEN]
    assert told(None, left) == [Remark.NAME_TAKEN]
    assert told(lease(who=ME), replace(left, term=6)) == [Remark.NAME_TAKEN]
    assert told(lease(), replace(lease(), until=DAWN + 4.0)) == [], "another name"


def test_who_is_called_is_told_apart_by_name_and_address_together() -> None:
    """A call to what has both of this gateway would come back, be it an earlier life of it or another one."""
    for who, is_elsewhere in (
        (OTHER, True), (replace(OTHER, name=ME.name), True), (replace(OTHER, address=ME.address), True),
        (replace(ME, instance="before"), False),
    ):  # fmt: skip
        found = rules.holder(seen((NOW, lease(who=who))), ME, NOW)
        assert found is not None
        assert found.is_elsewhere is is_elsewhere


def test_a_living_gateway_with_this_ones_name_and_address_lets_all_others_go_first() -> None:
    """Nobody could call this one as holder.  What an earlier life left behind is no such gateway."""
    twin = replace(ME, instance="twin")
    left, renewed = lease(left=1.0, who=twin), lease(left=2.0, who=twin)
    earlier = seen((NOW, left), (NOW + 0.5, replace(left, now=DAWN + 0.5)))
    assert (rules.is_twin(earlier, ME), may_try(earlier, NOW + 1.02)) == (False, True)
    alive = seen((NOW, left), (NOW + 0.5, renewed), (NOW + 0.6, replace(renewed, now=DAWN + 0.1)))
    assert rules.is_twin(alive, ME)
    assert not may_try(alive, NOW + 2.5 + TTL)
    assert may_try(alive, NOW + 2.53 + TTL)
    gone = rules.see(alive, given_up(who=twin), ME, TTL, NOW + 1.0)
    assert not may_try(gone, NOW + 1.0 + TTL - 0.01)
    assert may_try(gone, NOW + 1.0 + TTL)
    assert not rules.is_twin(seen((NOW, left), (NOW + 0.5, given_up(who=twin))), ME), "it was never seen to live"
    for who in (ME, OTHER, replace(OTHER, name=ME.name)):
        assert not rules.is_twin(seen((NOW, lease(left=1.0, who=who)), (NOW + 0.5, lease(who=who))), ME)
    assert not rules.is_twin(seen((NOW, left), (NOW + 0.5, None)), ME)


def test_another_configuration_is_told_and_goes_last() -> None:
    """A whole ttl after the end, unless the holder meant to go."""
    strange = replace(OTHER, config="another")
    sight = seen((NOW, lease(left=1.0, who=strange)))
    assert rules.remarks(None, sight, ME) == [Remark.OTHER_CONFIG]
    assert not may_try(sight, NOW + 1.0 + TTL)
    assert may_try(sight, NOW + 1.02 + TTL)
    assert may_try(seen((NOW, given_up(who=strange))), NOW)
    assert may_try(seen((NOW, lease(who=replace(ME, config="before the reload")))), NOW)
    over = seen((NOW, lease(left=-1.0, who=strange)))
    assert rules.remarks(None, over, ME) == [], "nobody has it"
    assert not may_try(over, NOW + TTL - 0.1)
    assert not rules.does_defer(None, ME)


def test_what_makes_nobody_wait_is_told_too() -> None:
    """Other clients are no reason to stand still for another ttl; an older version says only that something differs."""
    me = replace(ME, sections="clients=1 backends=2")
    other = replace(OTHER, sections="clients=9 backends=2")
    found = replace(lease(left=1.0, who=other), sections=other.sections)
    sight = rules.see(None, found, me, TTL, NOW)
    assert rules.differing(found, me) == ("clients",)
    assert rules.remarks(None, sight, me) == [Remark.OTHER_CONFIG]
    assert rules.may_try(sight, me, 0.0, TTL, NOW + 1.02)
    assert rules.differing(replace(found, instance=me.instance), me) == (), "of this process itself, before a reload"
    assert rules.differing(replace(found, sections=""), me) == (), "an older version, configured alike"
    assert rules.differing(replace(found, sections="", config="another"), me) == (UNNAMED,)
    assert rules.differing(replace(found, config="another"), me) == ("clients",)
