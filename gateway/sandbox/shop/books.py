"""The shop's books: its orders, what its calls took, and whether any address was given twice.

Pure state, no input or output; `now` is passed in.  The rule: nothing is counted away.  A call that failed stays
counted when it is asked again, and an address counts as given when the gateway has answered with it, whatever became
of the order.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

KEPT = 500
"""Orders that are remembered one by one; all are counted."""

RECENT = 60.0
"""Seconds that count as lately."""

MOST_RECENT = 5000
"""Calls that are remembered of them; the shop makes a few a second."""

FAILURES = 8
"""Failures that are shown."""

LONGEST = 200
"""Characters of an error that are kept."""


class State(StrEnum):
    """How far an order is."""

    ASKING = "asking"
    OPEN = "open"
    SEEN = "seen"
    PAID = "paid"
    EXPIRED = "expired"
    REFUSED = "refused"

    @property
    def is_watched(self) -> bool:
        """Whether the shop asks how far it is."""
        return self in (State.OPEN, State.SEEN)


STATES = {"Pending": State.OPEN, "Unconfirmed": State.SEEN, "Paid": State.PAID, "Expired": State.EXPIRED}
"""The words in which a wallet tells how far an invoice is."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is sold; the price in satoshi."""

    name: str
    sats: int

    @property
    def price(self) -> str:
        """In BCH, as it is asked of the wallet."""
        return f"{self.sats // 100_000_000}.{self.sats % 100_000_000:08d}"


GOODS = (Item("coffee", 90_000), Item("book", 450_000), Item("ticket", 1_200_000), Item("bicycle", 25_000_000))


@dataclass(slots=True)
class Order:
    """One order of a customer."""

    number: int
    item: Item
    taken_at: float
    is_automatic: bool
    state: State = State.ASKING
    address: str = ""
    took: float | None = None
    """Seconds that the gateway needed for the address."""
    is_paid_by_customer: bool = False
    """Whether the chain was told of the payment."""
    paid_after: float | None = None
    """Seconds from the order until its payment was confirmed."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call to the gateway that is over."""

    method: str
    at: float
    seconds: float
    error: str = ""


@dataclass(slots=True)
class Books:
    """All that the shop knows; it keeps the newest orders and counts all."""

    orders: dict[int, Order] = field(default_factory=dict)
    taken: int = 0
    paid: int = 0
    refused: int = 0
    calls: int = 0
    failed: int = 0
    slowest: Call | None = None
    twice: int = 0
    """Addresses that the gateway gave to two orders."""
    balance: str = ""
    failures: deque[Call] = field(default_factory=lambda: deque(maxlen=FAILURES))
    lately: deque[Call] = field(default_factory=lambda: deque(maxlen=MOST_RECENT))
    _given: set[str] = field(default_factory=set)

    def take(self, item: Item, now: float, *, is_automatic: bool) -> Order:
        """Write down a new order, for which there is no address yet."""
        self.taken += 1
        order = self.orders[self.taken] = Order(self.taken, item, now, is_automatic)
        while len(self.orders) > KEPT:
            del self.orders[next(iter(self.orders))]
        return order

    def called(self, call: Call) -> None:
        """Count a call that is over."""
        self.calls += 1
        self.lately.append(call)
        if self.slowest is None or call.seconds > self.slowest.seconds:
            self.slowest = call
        if call.error:
            self.failed += 1
            self.failures.appendleft(call)

    def give(self, order: Order, address: str, seconds: float) -> None:
        """Write the address of an order down."""
        self.twice += address in self._given
        self._given.add(address)
        order.address, order.took, order.state = address, seconds, State.OPEN

    def refuse(self, order: Order, error: str) -> None:
        """Send a customer away, because there was no address."""
        self.refused += 1
        order.state, order.error = State.REFUSED, error

    def tell(self, order: Order, status: str, now: float) -> None:
        """Write down what the wallet says of an invoice; words that it should not have change nothing."""
        state = STATES.get(status, order.state)
        if state is State.PAID and order.state is not State.PAID:
            self.paid += 1
            order.paid_after = now - order.taken_at
        order.state = state

    def watched(self) -> list[Order]:
        """The orders whose payment is waited for, oldest first."""
        return [order for order in self.orders.values() if order.state.is_watched]

    @property
    def given(self) -> int:
        """How many different addresses the gateway has given."""
        return len(self._given)

    def newest(self, count: int) -> list[Order]:
        """The last orders, newest first."""
        return list(reversed(list(self.orders.values())[-count:]))

    def slowest_lately(self, now: float) -> float:
        """Seconds of the slowest call in the last minute; 0.0 when there was none."""
        return max((call.seconds for call in self._since(now - RECENT)), default=0.0)

    def calls_lately(self, now: float) -> tuple[int, int]:
        """Calls in the last minute, and how many of them failed."""
        calls = list(self._since(now - RECENT))
        return len(calls), sum(bool(call.error) for call in calls)

    def _since(self, moment: float) -> Iterator[Call]:
        return (call for call in self.lately if call.at >= moment)


def item_named(name: str, goods: Sequence[Item] = GOODS) -> Item | None:
    """The item of a name, None where nothing is called so."""
    return next((item for item in goods if item.name == name), None)


def cut(error: str) -> str:
    """An error as it is kept and shown: one line, of a bearable length."""
    line = " ".join(error.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "\u2026"
