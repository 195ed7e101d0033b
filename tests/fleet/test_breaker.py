"""The circuit: permits, trials, generations, and a machine that tries everything."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from gateway.fleet.breaker import Breaker, Permit


def opened(trials: int = 1) -> Breaker:
    """A circuit that three faults have opened at 0.0."""
    breaker = Breaker(3, 1.0, 30.0, trials)
    for _ in range(3):
        permit = breaker.acquire()
        assert permit is not None
        breaker.fault(permit, 0.0)
    return breaker


def test_faults_in_a_row_open_it_and_a_success_between_forgives() -> None:
    """Three in a row, not three in all."""
    breaker = Breaker(3, 1.0, 30.0, 1)
    for bad in (True, True, False, True, True):
        permit = breaker.acquire()
        assert permit is not None
        if bad:
            assert not breaker.fault(permit, 0.0)
        else:
            breaker.success(permit)
    assert breaker.state == "closed"
    permit = breaker.acquire()
    assert permit is not None
    assert breaker.fault(permit, 0.0)
    assert breaker.state == "open"
    assert breaker.acquire() is None


def test_only_a_probe_after_its_time_makes_it_half_open() -> None:
    """Time alone does not, and a probe too early does not."""
    breaker = opened()
    assert not breaker.probe_answered(0.9)
    assert breaker.returns_in(0.25) == 0.75
    assert breaker.acquire() is None
    assert breaker.probe_answered(1.0)
    assert breaker.state == "half-open"
    assert breaker.returns_in(1.0) == 0.0


def test_half_open_admits_no_more_than_its_trials() -> None:
    """The library alone would admit everybody."""
    breaker = opened(trials=2)
    breaker.probe_answered(1.0)
    permits = [breaker.acquire() for _ in range(5)]
    assert [permit is not None for permit in permits] == [True, True, False, False, False]


def test_a_trial_that_is_given_back_lets_the_next_one_pass() -> None:
    """A caller that left is no judgement."""
    breaker = opened()
    breaker.probe_answered(1.0)
    permit = breaker.acquire()
    assert permit is not None
    breaker.ignore(permit)
    assert breaker.state == "half-open"
    assert breaker.acquire() is not None


def test_a_straggler_can_neither_close_nor_open_the_circuit() -> None:
    """Outcomes of an earlier generation are dropped."""
    breaker = Breaker(3, 1.0, 30.0, 1)
    early = breaker.acquire()
    assert early is not None
    for _ in range(3):
        permit = breaker.acquire()
        assert permit is not None
        breaker.fault(permit, 0.0)
    breaker.success(early)
    assert breaker.state == "open"
    breaker.probe_answered(1.0)
    assert not breaker.fault(early, 1.0)
    assert breaker.state == "half-open"


def test_each_failed_trial_doubles_the_time_up_to_the_longest() -> None:
    """1, 2, 4 ... seconds, and a success brings it back to 1."""
    breaker = Breaker(1, 1.0, 4.0, 1)
    permit = breaker.acquire()
    assert permit is not None
    breaker.fault(permit, 0.0)
    now = 0.0
    for wait in (1.0, 2.0, 4.0, 4.0):
        assert breaker.returns_in(now) == wait
        now += wait
        assert breaker.probe_answered(now)
        permit = breaker.acquire()
        assert permit is not None
        breaker.fault(permit, now)
    assert breaker.probe_answered(now + 4.0)
    permit = breaker.acquire()
    assert permit is not None
    breaker.success(permit)
    assert breaker.state == "closed"
    permit = breaker.acquire()
    assert permit is not None
    breaker.fault(permit, 100.0)
    assert breaker.returns_in(100.0) == 1.0


@pytest.mark.parametrize("is_bad", [True, False])
def test_upkeep_passes_an_open_circuit_and_changes_nothing(*, is_bad: bool) -> None:
    """Neither its faults nor its answers count, whatever the state."""
    breaker = opened()
    for wanted in ("open", "half-open"):
        for _ in range(5):
            permit = breaker.pass_by()
            if is_bad:
                assert not breaker.fault(permit, 0.5)
            else:
                breaker.success(permit)
        assert breaker.state == wanted
        assert breaker.returns_in(0.5) == (0.5 if wanted == "open" else 0.0)
        breaker.probe_answered(1.0)
    assert breaker.acquire() is not None


def test_a_reset_closes_it() -> None:
    """A new process starts with a clean slate."""
    breaker = opened()
    breaker.reset()
    assert breaker.is_closed
    assert breaker.failures == 0
    assert breaker.acquire() is not None


def test_its_status_line_says_what_it_is() -> None:
    """An operator reads it."""
    assert repr(opened()) == "<Breaker open failures=3 generation=1>"


class Machine(RuleBasedStateMachine):
    """Tries every order of permits, outcomes, probes and time."""

    permits: Bundle[Permit] = Bundle("permits")

    @initialize(failures=st.integers(1, 4), trials=st.integers(1, 3))
    def begin(self, failures: int, trials: int) -> None:
        """Any settings."""
        self.breaker = Breaker(failures, 1.0, 8.0, trials)
        self.now = 0.0
        self.trials_out: set[int] = set()

    @rule(target=permits)
    def acquire(self) -> Permit:
        """Take a permit if there is one; `would_admit` tells it beforehand."""
        would = self.breaker.would_admit()
        permit = self.breaker.acquire()
        assert would == (permit is not None)
        return permit or Permit(-1, is_trial=False)

    @rule(permit=consumes(permits))
    def success(self, permit: Permit) -> None:
        """A call was answered; one of an earlier generation changes nothing."""
        before = (self.breaker.state, self.breaker.failures)
        current = permit.generation == self.breaker.generation
        self.breaker.success(permit)
        if not current:
            assert (self.breaker.state, self.breaker.failures) == before

    @rule(permit=consumes(permits))
    def fault(self, permit: Permit) -> None:
        """A backend spoilt a call; a failed trial opens at once."""
        current = permit.generation == self.breaker.generation
        before = self.breaker.state
        did_open = self.breaker.fault(permit, self.now)
        if not current:
            assert self.breaker.state == before
        elif permit.is_trial:
            assert did_open
        assert did_open == (current and self.breaker.state == "open")

    @rule(permit=consumes(permits))
    def ignore(self, permit: Permit) -> None:
        """A caller left: no state changes."""
        before = (self.breaker.state, self.breaker.failures)
        self.breaker.ignore(permit)
        assert (self.breaker.state, self.breaker.failures) == before

    @rule(seconds=st.floats(0.1, 10))
    def wait(self, seconds: float) -> None:
        """Time alone changes nothing."""
        before = self.breaker.state
        self.now += seconds
        assert self.breaker.state == before

    @rule()
    def probe(self) -> None:
        """A probe makes an open circuit half-open when its time has come."""
        due = self.breaker.state == "open" and self.breaker.returns_in(self.now) == 0.0
        assert self.breaker.probe_answered(self.now) == due

    @invariant()
    def trials_are_bounded(self) -> None:
        """Never more trials out than allowed, never fewer than none."""
        if hasattr(self, "breaker"):
            assert 0 <= self.breaker._trials_out <= self.breaker.trials


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
def test_would_admit_changes_nothing(state: str) -> None:
    """Selection asks it as often as it likes."""
    breaker = Breaker(3, 1.0, 30.0, 1) if state == "closed" else opened()
    if state == "half-open":
        breaker.probe_answered(1.0)
    first = breaker.would_admit()
    assert all(breaker.would_admit() == first for _ in range(3))
    assert breaker.state == state
