"""What a process remembers of its broadcasts."""

import pytest

from gateway.flow import sent as room
from gateway.flow.sent import Sent, Unwritten
from gateway.rules.payment import Said
from gateway.rules.transaction import Transaction
from tests.flow.payments_world import SHOP


def unwritten(name: str, *coins: str, size: int = 2) -> Unwritten:
    """Bytes that may be out."""
    return Unwritten(SHOP, Transaction(name, "0" * size, coins, (), is_signed=True), Said.UNKNOWN)


def test_coins_of_unwritten_bytes_are_spent_until_they_are_written() -> None:
    """Two transactions may spend the same coin: one of them is enough."""
    sent = Sent()
    sent.keep(unwritten("a", "x:0", "y:0"))
    sent.keep(unwritten("b", "x:0"))
    assert sent.spends(["y:0", "z:0", "x:0"]) == ["y:0", "x:0"]
    sent.written("a")
    assert sent.spends(["x:0", "y:0"]) == ["x:0"]
    sent.written("b")
    sent.written("b")
    assert (sent.spends(["x:0", "y:0"]), sent.unwritten) == ([], {})


def test_what_is_kept_again_counts_once() -> None:
    """The last word about it counts."""
    sent = Sent()
    for _ in range(3):
        sent.keep(unwritten("a", "x:0"))
    sent.written("a")
    assert sent.spends(["x:0"]) == []


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size; there is room again for what comes after one was written."""
    monkeypatch.setattr(room, "MOST_UNWRITTEN", 2)
    monkeypatch.setattr(room, "MOST_BYTES", 10)
    sent = Sent()
    for name, size in (("a", 4), ("large", 8), ("b", 4), ("c", 2)):
        sent.keep(unwritten(name, f"{name}:0", size=size))
    assert list(sent.unwritten) == ["a", "b"]
    sent.written("a")
    sent.keep(unwritten("c", size=6))
    assert list(sent.unwritten) == ["b", "c"]


def test_the_oldest_that_may_be_out_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand is a day of them."""
    monkeypatch.setattr(room, "REMEMBERED", 2)
    sent = Sent()
    for name in "abc":
        sent.may_be_out(name)
    assert list(sent.perhaps_out) == ["b", "c"]
