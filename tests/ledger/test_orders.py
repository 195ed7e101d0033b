"""An order is carried out once and soon, or not at all; and whoever gave it hears which."""

from collections.abc import Callable

import pytest

from gateway.ledger import orders
from gateway.ledger.orders import DONE, FAILED, OPEN, TAKEN, Order
from gateway.ledger.store import InlineLedger

from .conftest import AT


def placed(ledger: InlineLedger, at: float = AT, verb: str = "promote") -> int:
    """Give an order."""
    return ledger.transact(lambda connection: orders.place(connection, "main", verb, "ec-2", at))


def state(ledger: InlineLedger, order: int) -> tuple[str, str]:
    """How an order stands."""
    found = ledger.transact(lambda connection: orders.read(connection, order))
    return found.state, found.answer


def taken(ledger: InlineLedger, at: float = AT) -> list[Order]:
    """What a gateway takes."""
    return ledger.transact(lambda connection: orders.take(connection, at))


def finished(ledger: InlineLedger, order: int, answer: str, *, is_done: bool) -> bool:
    """Answer as a gateway."""
    return ledger.transact(lambda connection: orders.finish(connection, order, answer, AT, is_done=is_done))


def test_an_order_is_taken_once_and_answered_once(ledger: InlineLedger) -> None:
    """In the order in which they were given."""
    first, second = placed(ledger), placed(ledger, verb="adopt")
    assert state(ledger, first) == (OPEN, "")
    assert taken(ledger) == [
        Order(first, "main", "promote", "ec-2", AT, TAKEN, ""),
        Order(second, "main", "adopt", "ec-2", AT, TAKEN, ""),
    ]
    assert taken(ledger) == []
    assert finished(ledger, first, "ec-2 is primary now", is_done=True)
    assert not finished(ledger, first, "once more", is_done=False)
    assert finished(ledger, second, "it cannot be", is_done=False)
    assert state(ledger, first) == (DONE, "ec-2 is primary now")
    assert state(ledger, second) == (FAILED, "it cannot be")


def test_an_order_of_long_ago_is_not_carried_out(ledger: InlineLedger) -> None:
    """Its command was killed; nobody expects it any more."""
    old, new = placed(ledger, AT - orders.TOO_OLD - 1), placed(ledger)
    assert [order.id for order in taken(ledger)] == [new]
    assert state(ledger, old) == (FAILED, orders.LATE)


def test_a_withdrawn_order_is_not_taken_and_a_taken_one_not_withdrawn(ledger: InlineLedger) -> None:
    """Whoever is first."""
    first, second = placed(ledger), placed(ledger)
    assert ledger.transact(lambda connection: orders.withdraw(connection, first, AT))
    assert [order.id for order in taken(ledger)] == [second]
    assert not ledger.transact(lambda connection: orders.withdraw(connection, second, AT))
    assert state(ledger, first) == (FAILED, orders.WITHDRAWN)


def test_what_a_dead_gateway_took_is_said_to_be_undone(ledger: InlineLedger) -> None:
    """Nobody knows how far it came."""
    order, other = placed(ledger), placed(ledger)
    taken(ledger)
    finished(ledger, other, "done", is_done=True)
    assert ledger.transact(lambda connection: orders.give_up(connection, AT)) == 1
    assert state(ledger, order)[0] == FAILED
    assert "see how things stand" in state(ledger, order)[1]


def test_a_gateway_among_others_takes_and_gives_up_the_orders_of_its_own_wallets(ledger: InlineLedger) -> None:
    """The rest is who holds them's."""
    main, purse = (
        ledger.transact(lambda c, wallet=wallet: orders.place(c, wallet, "promote", "ec-2", AT))  # type: ignore[misc]
        for wallet in ("main", "purse")
    )
    assert [one.id for one in ledger.transact(lambda c: orders.take(c, AT, ["main"]))] == [main]
    assert ledger.transact(lambda c: orders.take(c, AT, [])) == []
    assert ledger.transact(lambda c: orders.give_up(c, AT, ["purse"])) == 0
    assert state(ledger, main)[0] == orders.TAKEN
    assert ledger.transact(lambda c: orders.give_up(c, AT, ["main"])) == 1
    assert state(ledger, purse)[0] == orders.OPEN


class Command:
    """A command that waits, with a clock of its own; `at` does something at a second of its waiting."""

    def __init__(self, ledger: InlineLedger, at: dict[float, Callable[[], object]]) -> None:
        self.ledger = ledger
        self.at = at
        self.now = AT

    def wait(self, order: int) -> Order:
        """Wait for the answer."""
        return orders.wait_for_answer(self.ledger, order, lambda: self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        for second in [second for second in self.at if AT + second <= self.now]:
            self.at.pop(second)()


def test_a_command_hears_the_answer_as_soon_as_it_is_there(ledger: InlineLedger) -> None:
    """Taken after two seconds, done after five."""
    order = placed(ledger)
    command = Command(
        ledger, {2.0: lambda: taken(ledger), 5.0: lambda: finished(ledger, order, "done", is_done=True)}
    )  # fmt: skip
    found = command.wait(order)
    assert (found.state, found.answer) == (DONE, "done")
    assert command.now - AT == pytest.approx(5.0, abs=0.2)


def test_a_command_withdraws_what_nobody_took(ledger: InlineLedger) -> None:
    """After thirty seconds, and for good."""
    order = placed(ledger)
    command = Command(ledger, {})
    assert command.wait(order).answer == orders.WITHDRAWN
    assert command.now - AT == pytest.approx(30.0, abs=0.2)
    assert taken(ledger, command.now) == []


def test_a_command_leaves_a_gateway_that_is_at_it_alone(ledger: InlineLedger) -> None:
    """It says so; the gateway goes on to the end."""
    order = placed(ledger)
    assert Command(ledger, {2.0: lambda: taken(ledger)}).wait(order).state == TAKEN
    assert finished(ledger, order, "done", is_done=True)
