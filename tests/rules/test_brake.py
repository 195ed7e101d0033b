"""The brake: guessing becomes slow, and nobody is locked out or remembered for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.brake import Brake, Brakes, neighbourhood


def test_each_wrong_one_is_answered_later_than_the_one_before() -> None:
    """After three that are free, up to five seconds."""
    brake = Brake()
    assert [brake.failed(100.0) for _ in range(9)] == [0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert brake.failures(100.0) == 9.0
    assert brake.failures(160.0) == 8.0


@given(st.lists(st.floats(0, 600), max_size=60))
def test_it_never_waits_long_and_forgets(gaps: list[float]) -> None:
    """At most five seconds however many there were, and after half an hour the first ones are free again."""
    brake, now = Brake(), 100.0
    for gap in gaps:
        now += gap
        assert 0.0 <= brake.failed(now) <= Brake.LONGEST
    assert brake.failures(now + 1800.0) == 0.0
    assert brake.failed(now + 1800.0) == 0.0


def test_one_address_does_not_slow_another_down() -> None:
    """As long as few of them guess."""
    brakes = Brakes()
    assert [brakes.failed("a", 100.0) for _ in range(5)][-1] == 1.0
    assert brakes.failed("b", 100.0) == 0.0
    assert (brakes.failures("a", 100.0), brakes.failures("b", 100.0), brakes.failures("c", 100.0)) == (5.0, 1.0, 0.0)


def test_who_has_many_addresses_is_slowed_down_all_the_same() -> None:
    """By what all of them failed together."""
    brakes = Brakes()
    waits = [brakes.failed(f"10.0.0.{n}", 100.0) for n in range(40)]
    assert waits[: Brakes.FREE] == [0.0] * Brakes.FREE
    assert waits[Brakes.FREE :] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    assert brakes.failed("10.0.0.99", 100.0 + 3600.0) == 0.0


def test_what_is_remembered_is_bounded_and_the_latest_stay() -> None:
    """Who goes on guessing is not forgotten for those who did once."""
    brakes = Brakes()
    for _ in range(6):
        brakes.failed("worst", 100.0)
    for n in range(3 * Brakes.MOST):
        brakes.failed(str(n), 101.0)
        if n % 1000 == 0:
            brakes.failed("worst", 101.0)
    assert len(brakes) == Brakes.MOST
    assert brakes.failures("worst", 101.0) > 5
    assert brakes.failures("0", 101.0) == 0.0


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1", "127.0.0.1"), ("10.2.3.4", "10.2.3.4"), ("::ffff:10.2.3.4", "10.2.3.4"),
        ("2001:db8::1", "2001:db8::"), ("2001:db8:0:0:ffff::9", "2001:db8::"), ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ("fe80::1%eth0", "fe80::"), ("unknown", "unknown"), ("", ""),
    ],
)  # fmt: skip
def test_addresses_that_one_person_has_count_as_one(address: str, told: str) -> None:
    """Of IPv6 that is a network of 64 bits."""
    assert neighbourhood(address) == told
