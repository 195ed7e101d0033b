"""Flights: who may join whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from gateway.base.effects import Effect
from gateway.flow.coalesce import Flights
from gateway.flow.errand import Errand
from gateway.profiles import load

PROFILE = load("electron-cash")
NAMES = ("getbalance", "history", "listunspent")


def errand(name: str = "getbalance", params: bytes = b"[]") -> Errand:
    """An errand."""
    return Errand("main", "shop", PROFILE.methods[name], Effect.WALLET_READ, params, 1.0, 0.0)


def test_only_the_same_call_of_the_same_generation_is_joined() -> None:
    """Another method, other parameters, a write between: each is a flight of its own."""
    flights = Flights()
    one = errand(params=b"[1]")
    flights.add(one, 3)
    assert flights.find("getbalance", b"[1]", 3) is one
    assert flights.find("history", b"[1]", 3) is None
    assert flights.find("getbalance", b"[2]", 3) is None
    assert flights.find("getbalance", b"[1]", 4) is None
    assert (flights.joined, len(flights)) == (1, 1)


def test_nobody_joins_after_the_end() -> None:
    """Dropping twice, and dropping what never flew, is nothing."""
    flights = Flights()
    one = errand()
    flights.drop(one)
    flights.add(one, 0)
    flights.drop(one)
    flights.drop(one)
    assert flights.find("getbalance", b"[]", 0) is None
    assert len(flights) == 0


def test_an_older_flight_that_ends_does_not_drop_a_younger_one() -> None:
    """They had the same key, one after the other."""
    flights = Flights()
    first, second = errand(), errand()
    flights.add(first, 0)
    flights.add(second, 0)
    flights.drop(first)
    assert flights.find("getbalance", b"[]", 0) is second


@given(st.binary(max_size=8), st.binary(max_size=8), st.integers(0, 3), st.integers(0, 3))
def test_parameters_are_compared_byte_by_byte(one: bytes, other: bytes, first: int, second: int) -> None:
    """What is written differently is not the same call, whatever it would mean."""
    flights = Flights()
    flights.add(errand(params=one), first)
    assert (flights.find("getbalance", other, second) is not None) == ((one, first) == (other, second))


class Flying(RuleBasedStateMachine):
    """Flights begin and end beside a plain model."""

    errands = Bundle("errands")

    def __init__(self) -> None:
        """Begin with nothing in the air."""
        super().__init__()
        self.flights = Flights()
        self.model: dict[tuple[str, bytes, int], Errand] = {}

    @rule(
        target=errands, name=st.sampled_from(NAMES), params=st.sampled_from([b"", b"[]", b"[1]"]), at=st.integers(0, 2)
    )
    def begin(self, name: str, params: bytes, at: int) -> Errand:
        """One call: joins or begins."""
        found = self.flights.find(name, params, at)
        assert found is self.model.get((name, params, at))
        if found is not None:
            return found
        one = errand(name, params)
        self.flights.add(one, at)
        self.model[name, params, at] = one
        return one

    @rule(one=errands)
    def end(self, one: Errand) -> None:
        """One errand ends."""
        self.flights.drop(one)
        self.model = {key: other for key, other in self.model.items() if other is not one}

    @invariant()
    def nothing_is_left_over(self) -> None:
        """As many as fly."""
        assert len(self.flights) == len(self.model)


TestFlying = pytest.mark.long(Flying.TestCase)
