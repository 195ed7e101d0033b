"""One backend's bookkeeping: slots, what settles a call, price, facts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.base.levels import Level
from gateway.fleet.backend import FAULT_WEIGHT, Backend, Occupant
from gateway.fleet.breaker import Breaker
from gateway.rules.health import Diagnosis, Kind
from gateway.rules.lifecycle import Phase


def fresh(*, slots: int = 1, is_serial: bool = True) -> Backend:
    """A backend that nothing is known of."""
    return Backend(
        "ec-1", "main", slots=slots, is_serial=is_serial, top=Level.SYNCED, breaker=Breaker(3, 1.0, 30.0, 1),
        ewma=10.0, grace_until=60.0, now=0.0,
    )  # fmt: skip


def ready() -> Backend:
    """A backend in service."""
    backend = fresh()
    backend.phase = Phase.READY
    backend.diagnosis = Diagnosis(Kind.OK, "", is_sick=False, may_return=True)
    return backend


def test_a_backend_begins_starting_with_a_free_slot_and_serves_nobody() -> None:
    """Nothing was heard of it."""
    backend = fresh()
    assert backend.phase is Phase.STARTING
    assert backend.has_free_slot
    assert not backend.may_serve
    assert backend.facts().level is Level.NOTHING


def test_a_call_takes_the_slot_until_it_is_vacated() -> None:
    """Vacating twice frees nothing twice."""
    backend = fresh(slots=2)
    first, second = backend.occupy(1.0, 5.0, is_money=False), backend.occupy(2.0, 5.0, is_money=True)
    assert not backend.has_free_slot
    backend.vacate(first)
    backend.vacate(first)
    assert backend.has_free_slot
    assert backend.occupants == {second}


def test_of_calls_of_one_moment_the_one_that_may_take_longest_excuses_silence() -> None:
    """Not whichever comes first in a set: that would be another one in each process."""
    for first, second in ((5.0, 60.0), (60.0, 5.0)) * 10:
        backend = fresh(slots=2)
        backend.occupy(1.0, first, is_money=first > second)
        backend.occupy(1.0, second, is_money=second > first)
        assert backend.facts().call_bound == 60.0


def test_a_probe_through_the_slot_takes_it_too() -> None:
    """So that no call is sent behind it."""
    backend = fresh()
    backend.probe_holds_slot = True
    assert not backend.has_free_slot


@pytest.mark.parametrize(
    ("has_left", "dialled_at", "settled"),
    [(True, 1.0, True), (True, 2.0, False), (True, 3.0, False), (False, 1.0, False)],
)
def test_a_probe_settles_what_left_and_was_dialled_before_it(
    *, has_left: bool, dialled_at: float, settled: bool
) -> None:
    """Not what was dialled at the same moment or later, and never what still waits for its answer."""
    backend = fresh()
    occupant = backend.occupy(dialled_at, 1.0, is_money=False)
    occupant.has_left = has_left
    assert backend.settle(2.0) == settled
    assert backend.has_free_slot is settled


def test_the_end_of_the_process_settles_everything_that_left() -> None:
    """What is still connected hears of it by itself."""
    backend = fresh(slots=3)
    for has_left in (True, False, True):
        backend.occupy(1.0, 1.0, is_money=False).has_left = has_left
    assert backend.settle_all() == 2
    assert [one.has_left for one in backend.occupants] == [False]


def test_time_settles_only_where_a_probe_proves_nothing() -> None:
    """A daemon that is not serial answers a probe beside a call; a serial one is never guessed about."""
    for is_serial, expected in ((False, 1), (True, 0)):
        backend = fresh(slots=2, is_serial=is_serial)
        backend.occupy(1.0, 1.0, is_money=False).has_left = True
        backend.occupy(2.0, 1.0, is_money=False)
        assert backend.settle_old(35.9, 35.0) == 0
        assert backend.settle_old(36.0, 35.0) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"phase": Phase.EJECTED},
        {"phase": Phase.STARTING},
        {"is_suspect": True},
        {"is_drained": True},
    ],
    ids=str,
)
def test_what_takes_a_backend_out_of_routing(change: dict[str, object]) -> None:
    """Each by itself."""
    backend = ready()
    assert backend.may_serve
    for name, value in change.items():
        setattr(backend, name, value)
    assert not backend.may_serve


def test_an_open_circuit_takes_a_backend_out_of_routing() -> None:
    """And a half-open one lets a trial in."""
    backend = ready()
    for _ in range(3):
        permit = backend.breaker.acquire()
        assert permit is not None
        backend.breaker.fault(permit, 0.0)
    assert not backend.may_serve
    backend.breaker.probe_answered(1.0)
    assert backend.may_serve
    backend.breaker.acquire()
    assert not backend.may_serve


@given(st.floats(0.0001, 5.0), st.integers(0, 10), st.floats(0.01, 1.0), st.floats(0.0, 20.0))
def test_the_price_grows_with_every_doubt(latency: float, calls: int, score: float, age: float) -> None:
    """More calls there, a lower score, a younger return: none of them makes it cheaper."""
    backend = ready()
    backend.slow_start = 10.0
    backend.latency.add(latency, 0.0)
    backend.score = score
    for _ in range(calls):
        backend.occupy(0.0, 1.0, is_money=False)
    price = backend.price(0.0)
    assert price > 0
    backend.occupy(0.0, 1.0, is_money=False)
    assert backend.price(0.0) > price
    backend.note_fault()
    assert backend.price(0.0) > price
    before = backend.price(0.0)
    backend.phase, backend.since = Phase.WARMING, -age
    assert backend.price(0.0) >= before


def test_faults_take_from_the_score_and_successes_give_back_slowly() -> None:
    """It stays between nothing and one."""
    backend = ready()
    for _ in range(3):
        backend.note_fault()
    assert backend.score == pytest.approx((1 - FAULT_WEIGHT) ** 3)
    for number in range(100):
        backend.note_success(float(number), 0.01)
    assert backend.score == 1.0
    assert backend.heard_at == 99.0


def test_facts_tell_of_the_oldest_call() -> None:
    """Its bound counts, not a younger one's."""
    backend = fresh(slots=3)
    backend.occupy(5.0, 1.0, is_money=False)
    backend.occupy(3.0, 35.0, is_money=True)
    facts = backend.facts()
    assert (facts.call_sent_at, facts.call_bound) == (3.0, 35.0)
    backend.occupants.clear()
    assert backend.facts().call_sent_at is None


def test_the_repr_is_a_status_line() -> None:
    """All well is short; what is wrong is said."""
    backend = ready()
    assert repr(backend) == "<Backend ec-1 READY score=1.00 in_flight=0>"
    backend.is_suspect = backend.is_stalled = True
    backend.phase = Phase.EJECTED
    backend.diagnosis = Diagnosis(Kind.DEAD, "refuses connections", is_sick=True, may_return=False)
    assert repr(backend) == ("<Backend ec-1 EJECTED score=1.00 in_flight=0 suspect stalled dead: refuses connections>")


class Slots(RuleBasedStateMachine):
    """Calls come, are answered, are left; probes answer: a slot is never free while a call may still run."""

    occupants = Bundle("occupants")

    def __init__(self) -> None:
        """Begin with a serial backend and a model of what its daemon still has."""
        super().__init__()
        self.backend = fresh()
        self.now = 1.0
        self.inside: list[Occupant] = []

    @rule(target=occupants)
    def send(self) -> Occupant | None:
        """A call, if there is room for one."""
        self.now += 1.0
        if not self.backend.has_free_slot:
            return None
        occupant = self.backend.occupy(self.now, 1.0, is_money=False)
        self.inside.append(occupant)
        return occupant

    @rule(occupant=consumes(occupants))
    def answer(self, occupant: Occupant | None) -> None:
        """Its answer was read."""
        if occupant is not None and not occupant.has_left:
            self.backend.vacate(occupant)
            self.inside = [one for one in self.inside if one is not occupant]

    @rule(occupant=occupants)
    def leave(self, occupant: Occupant | None) -> None:
        """We gave it up; the daemon may still run it."""
        if occupant is not None and occupant in self.backend.occupants:
            occupant.has_left = True

    @rule()
    def probe(self) -> None:
        """A probe dialled now is answered: first in, first out, so the daemon has nothing older that left."""
        self.now += 1.0
        self.backend.settle(self.now)
        self.inside = [one for one in self.inside if not one.has_left]

    @rule()
    def die(self) -> None:
        """The process ends."""
        self.backend.settle_all()
        self.inside = [one for one in self.inside if not one.has_left]

    @invariant()
    def at_most_one_call_is_inside(self) -> None:
        """Which is what a slot is for."""
        assert len(self.inside) <= 1
        assert self.backend.has_free_slot == (not self.inside)


TestSlots = pytest.mark.long(Slots.TestCase)
