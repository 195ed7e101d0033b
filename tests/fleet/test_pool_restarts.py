"""What the supervisor tells the pool: phases that only it moves, and what a restart makes of what was known."""

from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.fleet.pool import Pool
from gateway.fleet.slots import Lane
from gateway.rules.health import Kind
from gateway.rules.lifecycle import Phase
from tests.fleet.test_pool import choose, phase, probe, well


def out(pool: Pool, backend: Backend, now: float) -> None:
    """Take a backend that answers out of service and begin its restart."""
    pool.order_out(backend, now, "because")
    pool.begin_restart(backend, now, "because", 100.0)


def test_who_drains_gets_no_more_and_no_probe_brings_it_back() -> None:
    """It looks well all the time."""
    pool, events = well()
    standby = pool.backends[1]
    pool.order_out(standby, 2.0, "because")
    probe(pool, standby, 3.0)
    assert phase(standby) is Phase.DRAINING
    assert not standby.takes_calls
    assert [one.name for one in events] == ["backend.draining"]
    pool.spare(standby, 4.0, "its launcher does not answer")
    assert phase(standby) is Phase.READY
    assert standby.takes_calls


def test_a_restart_is_left_by_its_own_end_alone() -> None:
    """Whatever probes and attempts say meanwhile; then it warms up."""
    pool, events = well()
    standby = pool.backends[1]
    out(pool, standby, 2.0)
    pool.refused(standby, 3.0, "refused")
    assert phase(standby) is Phase.RESTARTING
    assert (standby.diagnosis.kind, standby.diagnosis.may_return) == (Kind.STARTING, True)
    pool.renewed(standby, 4.0)
    assert standby.level is Level.NOTHING
    probe(pool, standby, 5.0)
    assert phase(standby) is Phase.RESTARTING
    assert not pool.is_aligned(standby)
    pool.restarted(standby, 6.0, "done")
    assert phase(standby) is Phase.WARMING
    pool.review(standby, 16.5)
    assert phase(standby) is Phase.READY
    # a daemon that is told to stop is no news when it is gone
    assert "backend.diagnosed" not in [one.name for one in events]


def test_one_that_comes_back_ill_is_out_again_at_once() -> None:
    """As long as another one serves."""
    pool, _ = well()
    standby = pool.backends[1]
    out(pool, standby, 2.0)
    probe(pool, standby, 3.0, Level.LOADED)
    pool.restarted(standby, 103.0, "its chain is silent")
    assert phase(standby) is Phase.EJECTED


def test_a_restart_that_miscarried_leaves_it_ejected_until_a_probe_finds_it_well() -> None:
    """And its excuse is over."""
    pool, _ = well()
    standby = pool.backends[1]
    out(pool, standby, 2.0)
    pool.refused(standby, 3.0, "refused")
    pool.miscarried(standby, 4.0, "no such container")
    assert (standby.phase, standby.diagnosis.kind) == (Phase.EJECTED, Kind.DEAD)
    probe(pool, standby, 5.0)
    assert phase(standby) is Phase.WARMING


def test_who_failed_is_told_loudly_and_comes_back_when_it_is_well() -> None:
    """Whoever has cured it."""
    pool, events = well()
    standby = pool.backends[1]
    pool.refused(standby, 2.0, "refused")
    pool.give_up(standby, 3.0, "six times in an hour")
    pool.give_up(standby, 3.0, "again")
    assert phase(standby) is Phase.FAILED
    assert [one.level for one in events if one.name == "backend.failed"] == ["error"]
    assert standby.ailment == "restarted too often (refuses connections)"
    pool.refused(standby, 4.0, "refused")
    assert phase(standby) is Phase.FAILED
    probe(pool, standby, 5.0)
    assert phase(standby) is Phase.WARMING


def test_a_death_that_was_heard_settles_what_was_there() -> None:
    """Nothing of ours runs in a process that is gone."""
    pool, _ = well()
    standby = pool.backends[1]
    left = standby.occupy(2.0, 35.0, is_money=True)
    left.has_left = True
    assert standby.last_bound == 37.0
    pool.refused(standby, 3.0, "gone")
    assert not standby.occupants
    assert standby.last_bound is None
    assert not standby.is_out_of_reach
    pool.refused(standby, 4.0, "unreachable")
    assert standby.is_out_of_reach


def test_a_call_may_wait_for_one_that_is_expected() -> None:
    """Though nobody is there now; who waits is told when that changes."""
    pool, _ = well(1)
    woken: list[bool] = []
    pool.refused(pool.primary, 2.0, "refused")
    assert not pool.has_hope(Lane.MONEY, [])
    pool.on_change = lambda: woken.append(True)
    pool.expect(pool.primary, back=True)
    pool.expect(pool.primary, back=True)
    assert pool.has_hope(Lane.MONEY, [])
    pool.expect(pool.primary, back=False)
    assert not pool.has_hope(Lane.MONEY, [])
    assert len(woken) == 2


def test_an_operators_drain_keeps_calls_away() -> None:
    """And tells it once."""
    pool, events = well()
    pool.drain(pool.primary, drained=True)
    pool.drain(pool.primary, drained=True)
    assert choose(pool, Lane.MONEY) is None
    pool.drain(pool.primary, drained=False)
    assert choose(pool, Lane.MONEY) is pool.primary
    assert [one.name for one in events] == ["backend.drained", "backend.undrained"]


def test_the_primary_is_looked_at_before_it_gives_out_addresses_again() -> None:
    """Its new process may have forgotten some."""
    pool, _ = well()
    out(pool, pool.primary, 2.0)
    pool.renewed(pool.primary, 3.0)
    probe(pool, pool.primary, 4.0)
    pool.restarted(pool.primary, 5.0, "done")
    assert choose(pool, Lane.MONEY) is None
    pool.mark_primary_checked(pool.primary)
    assert choose(pool, Lane.MONEY) is pool.primary
