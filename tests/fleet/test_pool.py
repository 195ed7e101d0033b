"""One wallet's pool: routing, phases, alignment; and a machine that tries every order of events."""

from collections.abc import Callable
from itertools import cycle

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.base.events import Event
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.fleet.breaker import Breaker
from gateway.fleet.pool import MOST_NAMED, Pool
from gateway.fleet.slots import Lane
from gateway.rules.health import Kind, Limits
from gateway.rules.lifecycle import MOVES, Phase

LIMITS = Limits(probe_timeout=0.5, wedged_after=2.0, lag_grace=15.0)
ROUTED = tuple(lane for lane in Lane if lane is not Lane.OWN)


def fresh(name: str, *, slots: int = 1, grace: float = 60.0, top: Level = Level.SYNCED) -> Backend:
    """A backend that nothing is known of."""
    return Backend(
        name, "main", slots=slots, is_serial=slots == 1, top=top, breaker=Breaker(3, 1.0, 30.0, 1),
        ewma=10.0, grace_until=grace, now=0.0,
    )  # fmt: skip


def build(count: int = 3, **changes: object) -> tuple[Pool, list[Event]]:
    """A pool of backends that nothing is known of, and the events it emits."""
    events: list[Event] = []
    settings: dict[str, object] = {
        "primary": "ec-1",
        "limits": LIMITS,
        "start_grace": 60.0,
        "expect_return": 0.0,
        "slow_start": 10.0,
        "lag_blocks": 1,
        "mirror": True,
        "emit": events.append,
    }
    backends = [fresh(f"ec-{i}") for i in range(1, count + 1)]
    return Pool("main", backends, **(settings | changes)), events  # type: ignore[arg-type]  # tests pass what fits


def probe(pool: Pool, backend: Backend, now: float, level: Level = Level.SYNCED, height: int | None = 100) -> None:
    """A probe that was dialled a moment ago is answered."""
    backend.level = level
    backend.height = height
    pool.probe_answered(backend, now, now - 0.001)


def well(count: int = 3, **changes: object) -> tuple[Pool, list[Event]]:
    """A pool whose backends are all in service, aligned and looked at."""
    pool, events = build(count, **changes)
    for backend in pool.backends:
        probe(pool, backend, 1.0)
        if backend is not pool.primary:
            pool.mark_aligned(backend, pool.written)
    pool.mark_primary_checked(pool.primary)
    events.clear()
    return pool, events


def draws(*numbers: float) -> Callable[[], float]:
    """Chance as a test wants it."""
    endless = cycle(numbers)
    return lambda: next(endless)


def choose(pool: Pool, lane: Lane, *tried: Backend, overflow: bool = False, now: float = 2.0) -> Backend | None:
    """Choose by the same chance each time."""
    return pool.choose(lane, list(tried), now, draws(0.0, 0.0), overflow=overflow)


def phase(backend: Backend) -> Phase:
    """Its phase now."""
    return backend.phase


def phases(pool: Pool) -> list[Phase]:
    """The phase of each backend."""
    return [backend.phase for backend in pool.backends]


# -- routing --------------------------------------------------------------------------------------------------


def test_nobody_is_routed_to_before_a_probe_was_answered() -> None:
    """And then everybody is, without warming up: at the start all are equally cold."""
    pool, events = build()
    assert all(choose(pool, lane) is None for lane in ROUTED)
    assert all(pool.has_hope(lane, []) for lane in ROUTED)
    for backend in pool.backends:
        probe(pool, backend, 1.0)
    assert phases(pool) == [Phase.READY] * 3
    assert [event.name for event in events] == ["backend.ready"] * 3
    assert events[0].fields["primary"] is True


def test_each_lane_has_its_own_candidates() -> None:
    """Money and local reads the primary, wallet reads the aligned ones, everything else whoever serves."""
    pool, _ = well()
    first, second, third = pool.backends
    pool.lose_alignment(third, "restarted")
    assert pool.candidates(Lane.MONEY) == [first]
    assert pool.candidates(Lane.LOCAL) == [first]
    assert pool.candidates(Lane.WALLET) == [first, second]
    assert pool.candidates(Lane.ANY) == [first, second, third]
    assert pool.candidates(Lane.PUBLISH) == [second, third]


def test_reads_that_ask_the_chain_server_leave_the_primary_free() -> None:
    """Or the first one that serves, where the primary does not; the only one takes them itself."""
    pool, _ = well()
    first, second, third = pool.backends
    assert pool.candidates(Lane.SLOW) == [second, third]
    assert not pool.may_take(first, Lane.SLOW, overflow=True)
    assert not pool.has_no_slow_left([second])
    assert pool.has_no_slow_left([second, third])
    pool.refused(first, 2.0, "refused")
    assert pool.candidates(Lane.SLOW) == [third]
    pool.refused(third, 2.0, "refused")
    assert pool.candidates(Lane.SLOW) == [second]
    assert pool.may_take(second, Lane.SLOW, overflow=False)


def test_wallet_reads_keep_to_the_primary_until_they_waited_long() -> None:
    """A busy primary is waited for; after that another aligned one answers."""
    pool, _ = well()
    first, second, third = pool.backends
    assert choose(pool, Lane.WALLET) is first
    first.occupy(2.0, 1.0, is_money=False)
    assert choose(pool, Lane.WALLET) is None
    assert choose(pool, Lane.WALLET, overflow=True) in (second, third)
    assert choose(pool, Lane.WALLET, first) in (second, third)


@pytest.mark.parametrize("trouble", ["is_stalled", "probe_is_late"])
def test_wallet_reads_leave_a_primary_in_trouble_at_once(trouble: str) -> None:
    """Before it is ejected."""
    pool, _ = well()
    setattr(pool.primary, trouble, True)
    pool.primary.occupy(2.0, 1.0, is_money=False)
    assert choose(pool, Lane.WALLET) in pool.backends[1:]


def test_probes_that_show_it_well_give_a_primary_its_reads_back() -> None:
    """No call goes there meanwhile that could; one that is not well gets nothing back."""
    pool, _ = well()
    pool.primary.score = 0.2
    pool.refresh()
    assert not pool.keeps_wallet_reads()
    for second in range(10):
        probe(pool, pool.primary, 2.0 + second)
    assert pool.keeps_wallet_reads()
    pool.primary.score = 0.2
    probe(pool, pool.primary, 20.0, level=Level.ANSWERS)
    assert pool.primary.score == 0.2


def test_wallet_reads_leave_a_primary_whose_score_is_below_half_of_the_best() -> None:
    """Then the weights decide."""
    pool, _ = well()
    pool.primary.score = 0.51
    assert pool.keeps_wallet_reads()
    pool.primary.score = 0.49
    assert not pool.keeps_wallet_reads()


def test_wallet_reads_never_go_to_a_standby_that_is_not_aligned() -> None:
    """However long they waited, and also when nobody else is there."""
    pool, _ = well(2)
    pool.wrote(changes_addresses=True)
    assert pool.aligned == [pool.primary]
    pool.refused(pool.primary, 2.0, "refused")
    assert choose(pool, Lane.WALLET, overflow=True) is None
    assert not pool.may_take(pool.backends[1], Lane.WALLET, overflow=True)
    assert choose(pool, Lane.ANY) is pool.backends[1]


def test_a_backend_of_another_seed_takes_nothing_while_another_one_serves() -> None:
    """Not even what anybody could answer; alone it is better than nobody, for that and for nothing else."""
    pool, _ = well()
    first, second, third = pool.backends
    pool.mark_stranger(second, is_stranger=True)
    for lane in ROUTED:
        assert second not in pool.candidates(lane)
        assert not pool.may_take(second, lane, overflow=True)
    assert pool.candidates(Lane.MONEY) == [first]
    assert pool.candidates(Lane.PUBLISH) == [third]
    pool.refused(first, 2.0, "refused")
    pool.refused(third, 2.0, "refused")
    assert pool.candidates(Lane.ANY) == [second]
    assert pool.candidates(Lane.MONEY) == pool.candidates(Lane.WALLET) == []
    probe(pool, third, 3.0)
    pool.mark_stranger(second, is_stranger=False)
    assert pool.candidates(Lane.ANY) == [second, third]


def test_without_a_mirror_all_standbys_count_as_aligned() -> None:
    """Somebody else keeps them so."""
    pool, _ = build(mirror=False)
    for backend in pool.backends:
        probe(pool, backend, 1.0)
    pool.wrote(changes_addresses=True)
    assert pool.aligned == pool.backends


def test_money_waits_until_the_primary_was_looked_at() -> None:
    """It may have forgotten addresses that were given out."""
    pool, _ = build()
    woken: list[bool] = []
    pool.on_change = lambda: woken.append(True)
    probe(pool, pool.primary, 1.0)
    assert choose(pool, Lane.MONEY) is None
    assert not pool.may_take(pool.primary, Lane.MONEY, overflow=False)
    assert "was not seen" in pool.what_ails(Lane.MONEY)
    woken.clear()
    pool.mark_primary_checked(pool.backends[1])
    assert choose(pool, Lane.MONEY) is None
    pool.mark_primary_checked(pool.primary)
    assert choose(pool, Lane.MONEY) is pool.primary
    assert woken == [True]


def test_a_primary_in_doubt_is_looked_at_again_before_money() -> None:
    """After a missed deadline, and after it refused."""
    for doubt in (Pool.suspect, Pool.refused):
        pool, _ = well()
        doubt(pool, pool.primary, 2.0, "deadline" if doubt is Pool.suspect else "refused")
        probe(pool, pool.primary, 3.0)
        assert not pool.is_primary_checked
        assert choose(pool, Lane.MONEY, now=3.0) is None


def test_many_backends_are_drawn_from_without_looking_at_all() -> None:
    """Two draws a try; and when all that were drawn are busy the free ones are found all the same."""
    pool, _ = well(40)
    asked: list[Backend] = []
    for backend in pool.backends[:-1]:
        backend.occupy(1.0, 1.0, is_money=False)
    last = pool.backends[-1]
    assert choose(pool, Lane.ANY) is last
    del asked
    last.occupy(1.0, 1.0, is_money=False)
    assert choose(pool, Lane.ANY) is None


def test_tried_backends_are_left_out() -> None:
    """Until nobody is left."""
    pool, _ = well()
    first, second, third = pool.backends
    assert choose(pool, Lane.ANY, first, second) is third
    assert choose(pool, Lane.ANY, first, second, third) is None
    assert not pool.has_hope(Lane.ANY, [first, second, third])


def test_an_upkeep_call_has_the_hope_of_its_own_backend() -> None:
    """The others do not matter."""
    pool, _ = well()
    second = pool.backends[1]
    assert pool.has_hope(Lane.OWN, [], second)
    pool.refused(second, 2.0, "refused")
    assert not pool.has_hope(Lane.OWN, [], second)
    assert not pool.has_hope(Lane.OWN, [], None)
    assert "ec-2: dead" in pool.what_ails(Lane.OWN, second)


def test_what_ails_names_the_first_few() -> None:
    """A wallet of a hundred does not fill an error."""
    pool, _ = build(MOST_NAMED + 3)
    text = pool.what_ails(Lane.ANY)
    assert text.count("starting") == MOST_NAMED
    assert text.endswith(" and 3 more")
    pool, _ = well()
    assert pool.what_ails(Lane.ANY) == ""


# -- phases ---------------------------------------------------------------------------------------------------


def test_a_refused_connection_ejects_and_a_healthy_probe_brings_it_back_warm() -> None:
    """One event each, and READY after slow start."""
    pool, events = well()
    second = pool.backends[1]
    second.occupy(1.5, 1.0, is_money=False).has_left = True
    pool.refused(second, 2.0, "refused")
    assert (second.phase, second.diagnosis.kind, second.occupants) == (Phase.EJECTED, Kind.DEAD, set())
    probe(pool, second, 3.0)
    assert phase(second) is Phase.WARMING
    pool.review(second, 12.9)
    assert phase(second) is Phase.WARMING
    pool.review(second, 13.0)
    assert phase(second) is Phase.READY
    told = [(event.name, event.level) for event in events if event.name != "backend.diagnosed"]
    assert told == [
        ("backend.unaligned", "info"),
        ("backend.ejected", "warning"),
        ("backend.warming", "info"),
        ("backend.ready", "info"),
    ]


def test_only_a_plain_refusal_settles_calls() -> None:
    """A name that is not known, or no way to the host, proves nothing of the process."""
    for reason in ("unreachable", "resolve", "tls"):
        pool, _ = well()
        pool.primary.occupy(1.5, 1.0, is_money=True).has_left = True
        pool.refused(pool.primary, 2.0, reason)
        assert len(pool.primary.occupants) == 1
        assert phase(pool.primary) is Phase.EJECTED


def test_without_slow_start_a_backend_returns_ready() -> None:
    """Through WARMING, in the same moment."""
    pool, events = well(slow_start=0.0)
    pool.refused(pool.primary, 2.0, "refused")
    events.clear()
    probe(pool, pool.primary, 3.0)
    assert phase(pool.primary) is Phase.READY
    assert [event.name for event in events] == ["backend.warming", "backend.ready"]


def test_a_silent_backend_is_ejected_when_its_probe_is_late_and_not_before() -> None:
    """Those who wait are told, and it is hoped for until the silence has lasted."""
    pool, _ = well(2)
    woken: list[bool] = []
    pool.on_change = lambda: woken.append(True)
    first = pool.primary
    first.unanswered_since = 2.0
    pool.review(first, 2.4)
    assert first.takes_calls
    pool.review(first, 2.5)
    assert (phase(first), first.diagnosis.kind, first.takes_calls) == (Phase.EJECTED, Kind.WEDGED, False)
    assert pool.serving == [pool.backends[1]]
    assert pool.has_hope(Lane.MONEY, [])
    assert woken == [True]
    pool.review(first, 4.5)
    assert not pool.has_hope(Lane.MONEY, [])
    assert woken == [True, True]


def test_a_silent_backend_that_works_on_a_call_of_ours_is_busy() -> None:
    """Until the call is older than its class allows."""
    pool, _ = well(1)
    first = pool.primary
    first.occupy(2.0, 35.0, is_money=True)
    first.unanswered_since = 2.5
    pool.review(first, 36.9)
    assert (phase(first), first.diagnosis.kind) == (Phase.READY, Kind.BUSY)
    pool.review(first, 37.0)
    assert (phase(first), first.diagnosis.kind) == (Phase.EJECTED, Kind.WEDGED)


def test_a_backend_that_is_expected_back_is_starting_and_not_dead() -> None:
    """For `expect_return` seconds; calls may wait for it."""
    pool, _ = well(1, expect_return=20.0)
    pool.refused(pool.primary, 2.0, "refused")
    assert (pool.primary.phase, pool.primary.diagnosis.kind) == (Phase.STARTING, Kind.STARTING)
    assert pool.has_hope(Lane.MONEY, [])
    pool.review(pool.primary, 22.0)
    assert (pool.primary.phase, pool.primary.diagnosis.kind) == (Phase.EJECTED, Kind.DEAD)
    assert not pool.has_hope(Lane.MONEY, [])


def test_a_new_process_behind_a_dead_one_has_its_own_time_to_start() -> None:
    """It answers, and may load and sync as long as any fresh one."""
    pool, _ = well(1)
    pool.refused(pool.primary, 2.0, "refused")
    assert phase(pool.primary) is Phase.EJECTED
    probe(pool, pool.primary, 3.0, Level.ANSWERS)
    assert phase(pool.primary) is Phase.STARTING
    pool.review(pool.primary, 62.0)
    assert phase(pool.primary) is Phase.STARTING
    pool.review(pool.primary, 64.0)
    assert phase(pool.primary) is Phase.EJECTED


def test_the_last_one_that_answers_is_not_ejected_for_being_adrift() -> None:
    """Serving badly beats not serving; the other one of two goes."""
    pool, _ = well(2)
    first, second = pool.backends
    probe(pool, second, 2.0, Level.LOADED)
    assert phase(second) is Phase.EJECTED
    probe(pool, first, 2.0, Level.LOADED)
    assert phase(first) is Phase.READY
    assert first.diagnosis.kind is Kind.ADRIFT
    assert pool.serving == [first]


def test_a_daemon_without_a_wallet_is_ejected_even_when_it_is_the_last() -> None:
    """It can answer nothing about it."""
    pool, _ = well(1)
    probe(pool, pool.primary, 2.0, Level.ANSWERS)
    assert phase(pool.primary) is Phase.EJECTED
    assert pool.serving == []


def test_below_half_reads_fail_open_to_the_least_bad_and_money_does_not() -> None:
    """Three backends: one adrift and out, two dead."""
    pool, _ = well(3)
    first, second, third = pool.backends
    probe(pool, first, 2.0, Level.LOADED)
    assert phase(first) is Phase.EJECTED
    pool.refused(second, 3.0, "refused")
    assert pool.serving == [third]
    assert pool.is_panicking
    pool.refused(third, 4.0, "refused")
    assert pool.serving == [first]
    assert choose(pool, Lane.ANY) is first
    assert choose(pool, Lane.MONEY) is None


def test_at_half_nothing_fails_open() -> None:
    """One of two is enough."""
    pool, _ = well(2)
    first, second = pool.backends
    probe(pool, first, 2.0, Level.LOADED)
    pool.suspect(second, 3.0, "deadline")
    assert not pool.is_panicking
    assert pool.serving == []


def test_a_backend_behind_the_others_is_adrift_after_its_grace() -> None:
    """A block more than `lag_blocks`, for `lag_grace` seconds; catching up forgives."""
    pool, _ = well(3)
    third = pool.backends[2]
    probe(pool, third, 2.0, height=98)
    pool.review(third, 16.9)
    assert phase(third) is Phase.READY
    pool.review(third, 17.0)
    assert phase(third) is Phase.EJECTED
    assert "behind" in third.diagnosis.reason
    probe(pool, third, 18.0, height=99)
    assert phase(third) is Phase.WARMING


def test_a_block_behind_is_within_the_limit() -> None:
    """Blocks do not arrive everywhere at once."""
    pool, _ = well(3)
    third = pool.backends[2]
    probe(pool, third, 2.0, height=99)
    pool.review(third, 500.0)
    assert phase(third) is Phase.READY


def test_a_suspected_backend_gets_nothing_until_a_probe_answers() -> None:
    """It is told once, its latency is forgotten, and the prober is asked to hurry."""
    pool, events = well()
    hurried: list[Backend] = []
    pool.on_doubt = hurried.append
    second = pool.backends[1]
    second.latency.add(3.0, 1.0)
    pool.suspect(second, 2.0, "deadline")
    pool.suspect(second, 2.1, "deadline")
    assert not second.takes_calls
    assert second.latency.value(2.1) == 0.0
    assert hurried == [second]
    assert [event.name for event in events] == ["backend.suspected"]
    probe(pool, second, 3.0)
    assert second.takes_calls


def test_a_healthy_probe_makes_an_open_circuit_half_open_after_its_time() -> None:
    """And an answer that shows less than health does not."""
    pool, _ = well()
    second = pool.backends[1]
    for _ in range(3):
        permit = second.breaker.acquire()
        assert permit is not None
        second.breaker.fault(permit, 2.0)
    pool.suspect(second, 2.0, "half")
    probe(pool, second, 2.5)
    assert second.breaker.state == "open"
    probe(pool, second, 3.0, Level.LOADED)
    assert second.breaker.state == "open"
    probe(pool, second, 3.1)
    assert second.breaker.state == "half-open"


# -- alignment and settings -----------------------------------------------------------------------------------


def test_alignment_is_to_a_write_count_and_lost_by_the_next() -> None:
    """Plain writes move only the generation."""
    pool, events = well(2)
    second = pool.backends[1]
    pool.wrote(changes_addresses=False)
    assert (pool.generation, pool.written) == (1, 0)
    assert second.takes_wallet_reads
    compared: list[bool] = []
    pool.on_compare = lambda: compared.append(True)
    pool.wrote(changes_addresses=True)
    assert not second.takes_wallet_reads
    assert compared == [True]
    pool.mark_aligned(second, 0)
    assert not second.takes_wallet_reads
    woken: list[bool] = []
    pool.on_change = lambda: woken.append(True)
    pool.mark_aligned(second, 1)
    assert second.takes_wallet_reads
    assert woken == [True]
    assert events == []


def test_losing_and_winning_alignment_are_one_event_each() -> None:
    """Losing what is not there is none."""
    pool, events = well(2)
    second = pool.backends[1]
    pool.lose_alignment(second, "restarted")
    pool.lose_alignment(second, "restarted")
    pool.mark_aligned(second, 0)
    pool.mark_aligned(second, 0)
    assert [event.name for event in events] == ["backend.unaligned", "backend.aligned"]


def test_an_update_drains_what_is_left_out_and_keeps_what_stays() -> None:
    """Live state of the others is not touched."""
    pool, _ = well(3)
    first, second, third = pool.backends
    new = fresh("ec-4")
    pool.update(
        [first, third, new], primary="ec-1", limits=LIMITS, start_grace=60.0, expect_return=0.0, slow_start=3.0,
        lag_blocks=2, mirror=True,
    )  # fmt: skip
    assert second.is_drained
    assert not second.takes_calls
    assert not second.may_serve
    assert pool.serving == [first, third]
    assert (new.phase, new.slow_start, third.phase) == (Phase.STARTING, 3.0, Phase.READY)
    assert set(pool.by_name) == {"ec-1", "ec-3", "ec-4"}


def test_another_primary_makes_every_standby_prove_its_addresses_again() -> None:
    """Also the one that was primary before."""
    pool, _ = well(3)
    pool.update(
        list(pool.backends), primary="ec-2", limits=LIMITS, start_grace=60.0, expect_return=0.0, slow_start=10.0,
        lag_blocks=1, mirror=True,
    )  # fmt: skip
    assert pool.primary.name == "ec-2"
    assert pool.aligned == [pool.primary]
    assert [one.aligned_to for one in pool.backends] == [None, None, None]
    assert choose(pool, Lane.MONEY) is None
    assert not pool.is_primary_checked


def test_the_repr_is_a_status_line() -> None:
    """With PANIC where it applies."""
    pool, _ = well(3)
    assert repr(pool) == "<Pool main serving=3/3 primary=ec-1>"
    for backend in pool.backends:
        pool.refused(backend, 2.0, "refused")
    assert repr(pool) == "<Pool main serving=0/3 primary=ec-1 PANIC>"


# -- every order of events ------------------------------------------------------------------------------------


class Machine(RuleBasedStateMachine):
    """A pool that hears anything in any order."""

    @initialize(
        count=st.integers(1, 4),
        slow_start=st.sampled_from([0.0, 10.0]),
        expect_return=st.sampled_from([0.0, 5.0]),
        mirror=st.booleans(),
    )
    def begin(self, *, count: int, slow_start: float, expect_return: float, mirror: bool) -> None:
        """A pool and a clock."""
        self.now = 1.0
        self.pool, self.events = build(
            count, slow_start=slow_start, expect_return=expect_return, mirror=mirror, start_grace=20.0
        )
        self.pool.emit = self.told
        self.before = {backend: backend.phase for backend in self.pool.backends}
        self.comparisons: dict[Backend, int] = {}

    def told(self, event: Event) -> None:
        """Judge an ejection in the moment in which it happens."""
        self.events.append(event)
        if event.name != "backend.ejected" or event.fields["kind"] != "adrift":
            return
        pool = self.pool
        one = pool.by_name[event.backend]
        was_serving = event.fields["before"] in ("READY", "WARMING")
        if was_serving and one.level >= Level.LOADED:
            assert any(other.may_serve for other in pool.backends if other is not one), "the last one that answers"

    def one(self, number: int) -> Backend:
        """A backend by a number."""
        return self.pool.backends[number % len(self.pool.backends)]

    def judge(self, allowed: int = 1) -> None:
        """Look at what one signal did: legal moves only, one event for each, at most one where one is meant."""
        moved = [event for event in self.events if event.name.rpartition(".")[2].upper() in Phase.__members__]
        assert len(moved) <= allowed + (self.pool.slow_start <= 0)
        at_last = dict(self.before)
        for event in moved:
            backend = self.pool.by_name[event.backend]
            after = Phase[event.name.rpartition(".")[2].upper()]
            assert at_last[backend].value == event.fields["before"]
            assert any(at is at_last[backend] and to is after for (at, _), to in MOVES.items())
            at_last[backend] = after
        assert at_last == {backend: backend.phase for backend in self.pool.backends}
        self.before = at_last
        self.events.clear()

    @rule(seconds=st.sampled_from([0.01, 0.3, 0.6, 2.5, 11.0, 30.0]))
    def tick(self, seconds: float) -> None:
        """Time passes and every backend is looked at, as the prober does."""
        self.now += seconds
        for backend in self.pool.backends:
            self.pool.review(backend, self.now)
            self.judge()

    @rule(number=st.integers(0, 3))
    def dial(self, number: int) -> None:
        """A probe is sent."""
        backend = self.one(number)
        if backend.unanswered_since is None:
            backend.unanswered_since = self.now

    @rule(number=st.integers(0, 3), level=st.sampled_from(list(Level)[1:]), height=st.sampled_from([None, 90, 99, 100]))
    def probed(self, number: int, level: Level, height: int | None) -> None:
        """A probe is answered."""
        probe(self.pool, self.one(number), self.now, level, height)
        self.judge()

    @rule(number=st.integers(0, 3), reason=st.sampled_from(["refused", "unreachable", "resolve", "tls"]))
    def refused(self, number: int, reason: str) -> None:
        """No connection could be made."""
        self.pool.refused(self.one(number), self.now, reason)
        self.judge()

    @rule(number=st.integers(0, 3))
    def suspected(self, number: int) -> None:
        """A deadline was missed."""
        self.pool.suspect(self.one(number), self.now, "deadline")
        self.judge()

    @rule(number=st.integers(0, 3))
    def broken(self, number: int) -> None:
        """An attempt was spoilt, as the runner records it."""
        backend = self.one(number)
        permit = backend.breaker.acquire()
        if permit is not None:
            backend.note_fault()
            backend.breaker.fault(permit, self.now)
            self.pool.suspect(backend, self.now, "half")
            self.pool.refresh()
            self.judge()

    @rule(number=st.integers(0, 3), bound=st.sampled_from([1.0, 35.0]), has_left=st.booleans())
    def sent(self, number: int, bound: float, *, has_left: bool) -> None:
        """A call takes a slot, and its caller may leave."""
        backend = self.one(number)
        if backend.has_free_slot:
            backend.occupy(self.now, bound, is_money=False).has_left = has_left

    @rule(number=st.integers(0, 3))
    def answered(self, number: int) -> None:
        """A call that somebody waits for is answered."""
        backend = self.one(number)
        for occupant in [one for one in backend.occupants if not one.has_left]:
            backend.vacate(occupant)
            backend.note_success(self.now, 0.01)

    @rule(changes=st.booleans())
    def wrote(self, *, changes: bool) -> None:
        """A write ended."""
        self.pool.wrote(changes_addresses=changes)

    @rule(number=st.integers(0, 3))
    def compare(self, number: int) -> None:
        """A comparison begins."""
        self.comparisons[self.one(number)] = self.pool.written

    @precondition(lambda self: bool(self.comparisons))
    @rule()
    def compared(self) -> None:
        """Comparisons end as they began: up to the write before them."""
        for backend, written in self.comparisons.items():
            if backend in self.pool.backends and backend is not self.pool.primary:
                self.pool.mark_aligned(backend, written)
        self.comparisons.clear()
        self.pool.mark_primary_checked(self.pool.primary)

    @rule(number=st.integers(0, 3))
    def promote(self, number: int) -> None:
        """A reload names another primary."""
        pool = self.pool
        pool.update(
            list(pool.backends), primary=self.one(number).name, limits=LIMITS, start_grace=20.0,
            expect_return=pool.expect_return, slow_start=pool.slow_start, lag_blocks=1, mirror=pool.mirror,
        )  # fmt: skip
        self.judge()

    @rule(overflow=st.booleans(), chance=st.floats(0, 0.999), tried=st.sets(st.integers(0, 3)))
    def choose(self, *, overflow: bool, chance: float, tried: set[int]) -> None:
        """Whoever is chosen may be."""
        left_out = [self.one(number) for number in tried]
        for lane in ROUTED:
            found = self.pool.choose(lane, left_out, self.now, lambda: chance, overflow=overflow)
            if found is None:
                continue
            assert found.has_free_slot
            assert found not in left_out or (lane is Lane.WALLET and found is self.pool.primary)
            assert found in self.pool.candidates(lane)
            assert self.pool.may_take(found, lane, overflow=True)
            if lane in (Lane.MONEY, Lane.LOCAL):
                assert found is self.pool.primary
            if lane is Lane.WALLET:
                assert self.pool.is_aligned(found)

    @invariant()
    def lists_are_fresh(self) -> None:
        """Making them anew changes nothing."""
        pool = self.pool
        before = self.lists()
        pool.refresh()
        assert self.lists() == before
        assert pool.serving == [one for one in pool.backends if one.takes_calls]
        assert pool.aligned == [one for one in pool.serving if pool.is_aligned(one)]
        assert pool.aligned == [one for one in pool.backends if one.takes_wallet_reads]
        assert pool.slots == sum(one.slots for one in pool.serving)

    def lists(self) -> tuple[object, ...]:
        """Everything that calls are routed by."""
        pool = self.pool
        each = [(one.takes_calls, one.takes_wallet_reads) for one in pool.backends]
        return (list(pool.serving), list(pool.aligned), list(pool.slow), each, pool.slots, pool.is_panicking)

    @invariant()
    def routing_is_safe(self) -> None:
        """Whatever happened before."""
        pool = self.pool
        in_service = sum(one.phase.is_serving for one in pool.backends)
        assert pool.is_panicking == (in_service * 2 < len(pool.backends))
        for one in pool.serving:
            assert not one.is_suspect
            assert one.may_serve or (pool.is_panicking and one.phase is Phase.EJECTED)
        assert bool(pool.slow) == bool(pool.serving)
        assert set(pool.slow) <= set(pool.serving)
        assert len(pool.serving) - len(pool.slow) == (len(pool.serving) > 1)
        for one in pool.aligned:
            assert one is pool.primary or not pool.mirror or one.aligned_to == pool.written
        if pool.candidates(Lane.MONEY):
            assert pool.primary.may_serve
            assert pool.is_primary_checked

    @invariant()
    def somebody_serves_while_somebody_can(self) -> None:
        """One that is well by its last probe, with nothing since, always does; diagnoses and phases agree."""
        for one in self.pool.backends:
            if one.phase is Phase.READY and one.may_serve:
                assert one.takes_calls
            if one.diagnosis.kind in (Kind.DEAD, Kind.WEDGED):
                assert phase(one) is Phase.EJECTED
                assert not one.takes_calls
            if one.diagnosis.kind is Kind.STARTING:
                assert phase(one) is Phase.STARTING


TestMachine = pytest.mark.long(Machine.TestCase)
TestMachine.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
