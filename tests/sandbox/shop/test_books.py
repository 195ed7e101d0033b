"""The shop's books."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.shop import books
from gateway.sandbox.shop.books import GOODS, Books, Call, Order, State, cut, item_named

COFFEE = GOODS[0]


def taken(kept: Books, now: float = 100.0) -> Order:
    """An order of a coffee."""
    return kept.take(COFFEE, now, is_automatic=False)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=30))
def test_an_address_that_comes_again_is_counted_however_late(addresses: list[str]) -> None:
    """Given twice is what comes beyond the first of each, also when the order itself is forgotten."""
    kept = Books()
    for address in addresses:
        kept.give(taken(kept), address, 0.1)
        kept.orders.clear()
    assert kept.given == len(set(addresses))
    assert kept.twice == len(addresses) - len(set(addresses))


def test_an_order_goes_from_asking_to_paid_and_is_counted_once() -> None:
    """The words of the wallet move it; the moment of the first `Paid` is kept."""
    kept = Books()
    order = taken(kept)
    assert order.state is State.ASKING
    assert kept.watched() == []
    kept.give(order, "bchreg:q1", 0.25)
    assert (order.state, order.took, kept.watched()) == (State.OPEN, 0.25, [order])
    for status, now, state in (
        ("Unconfirmed", 102.0, State.SEEN),
        ("Paid", 105.0, State.PAID),
        ("Paid", 109.0, State.PAID),
    ):
        kept.tell(order, status, now)
        assert order.state is state
    assert (kept.paid, order.paid_after, kept.watched()) == (1, 5.0, [])


def test_words_that_a_wallet_should_not_say_change_nothing() -> None:
    """An unknown status leaves the order as it was."""
    kept = Books()
    order = taken(kept)
    kept.give(order, "bchreg:q1", 0.1)
    kept.tell(order, "<b>Paid</b>", 101.0)
    assert order.state is State.OPEN


def test_a_refused_order_is_counted_and_says_why() -> None:
    """It is not looked after any more."""
    kept = Books()
    order = taken(kept)
    kept.refuse(order, "no daemon is free")
    assert (kept.taken, kept.refused, order.error, kept.watched()) == (1, 1, "no daemon is free", [])


def test_old_orders_are_forgotten_and_still_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop that runs for days stays small."""
    monkeypatch.setattr(books, "KEPT", 3)
    kept = Books()
    for _ in range(5):
        taken(kept)
    assert kept.taken == 5
    assert [order.number for order in kept.newest(10)] == [5, 4, 3]


def test_the_slowest_call_ever_and_of_the_last_minute() -> None:
    """A minute later the old one counts for ever alone; failures are counted in both."""
    kept = Books()
    assert (kept.slowest_lately(0.0), kept.calls_lately(0.0)) == (0.0, (0, 0))
    kept.called(Call("addrequest", 10.0, 3.0, "no answer"))
    kept.called(Call("getbalance", 50.0, 0.5))
    assert kept.slowest_lately(60.0) == 3.0
    assert kept.calls_lately(60.0) == (2, 1)
    assert kept.slowest_lately(80.0) == 0.5
    assert kept.calls_lately(80.0) == (1, 0)
    assert kept.slowest is not None
    assert (kept.slowest.method, kept.calls, kept.failed) == ("addrequest", 2, 1)
    assert [one.error for one in kept.failures] == ["no answer"]


def test_prices_are_written_as_the_wallet_reads_them() -> None:
    """Satoshi as BCH with eight digits, never as a float."""
    assert books.Item("x", 123_456_789_012).price == "1234.56789012"
    assert books.Item("x", 1).price == "0.00000001"


def test_items_are_found_by_name_and_nothing_else_is() -> None:
    """What a form sends is believed only where it is a name of the list."""
    assert item_named("coffee") is COFFEE
    assert item_named("Coffee'--") is None


def test_a_long_error_is_one_bearable_line() -> None:
    """Lines are joined, and the end is cut off visibly."""
    assert cut("one\n two\t three") == "one two three"
    assert len(cut("x" * 5000)) == books.LONGEST
    assert cut("x" * 5000).endswith("\u2026")
