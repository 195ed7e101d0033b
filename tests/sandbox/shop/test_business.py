"""What goes on in the shop, in virtual time, with a gateway and a chain that are played."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from gateway.sandbox.shop.books import GOODS, Books, Order, State
from gateway.sandbox.shop.business import BUYS_EVERY, GOES_AFTER, MOST_AT_ONCE, Business, BusyError
from gateway.sandbox.shop.till import CallError, Result
from tests.virtual_time import run_virtual

COFFEE = GOODS[0]


class Played:
    """A gateway that gives out addresses and knows what was paid, and the chain where that is done."""

    def __init__(self) -> None:
        self.given = 0
        self.delay = 0.0
        """Seconds until an address comes."""
        self.refuses = ""
        self.status: dict[str, str] = {}
        self.unmined: list[str] = []
        self.chain_is_down = False
        self.asked: list[str] = []

    async def ask(self, method: str, params: Sequence[object] | dict[str, object] = ()) -> Result:
        """Answer one call."""
        self.asked.append(method)
        if self.refuses:
            raise CallError(self.refuses)
        match method, params:
            case "addrequest", _:
                await asyncio.sleep(self.delay)
                self.given += 1
                address = f"bchreg:q{self.given}"
                self.status[address] = "Pending"
                return Result({"address": address}, self.delay)
            case "listrequests", {"pending": True}:
                pending = [{"address": one} for one, status in self.status.items() if status == "Pending"]
                return Result(pending, 0.0)
            case "getrequest", [str(address)]:
                return Result({"status": self.status[address]}, 0.0)
            case "getbalance", _:
                return Result({"confirmed": "1.5", "unconfirmed": "0.25"}, 0.0)
        raise AssertionError(f"nobody asks {method} {params}")

    async def chain(self, order: dict[str, object]) -> None:
        """Take one order to the chain."""
        if self.chain_is_down:
            raise ConnectionRefusedError("nobody there")
        if order["cmd"] == "fund":
            address = str(order["address"])
            self.status[address] = "Unconfirmed"
            self.unmined.append(address)
        else:
            assert order == {"cmd": "mine", "blocks": 1}
            self.status |= dict.fromkeys(self.unmined, "Paid")


def in_shop(scene: Callable[[Business, Played], Awaitable[Any]]) -> Business:
    """Play a scene in an open shop; return it when it is closed."""

    async def main() -> Business:
        played, books = Played(), Books()
        business = Business(played, books, played.chain, asyncio.get_running_loop().time, lambda: 0.5)
        business.open()
        try:
            await scene(business, played)
        finally:
            await business.close()
        return business

    return run_virtual(main())


def test_an_order_is_paid_by_its_customer_and_seen_by_the_shop() -> None:
    """Address, payment, block, `paid`; a second payment is none."""
    orders: list[Order] = []

    async def scene(business: Business, played: Played) -> None:
        orders.append(business.take(COFFEE))
        await asyncio.sleep(2)
        assert orders[0].state is State.OPEN
        await business.pay(orders[0])
        await business.pay(orders[0])
        await asyncio.sleep(10)
        assert played.unmined == [orders[0].address]

    shop = in_shop(scene)
    assert orders[0].state is State.PAID
    assert (shop.books.paid, shop.books.balance) == (1, "1.5 + 0.25")


def test_a_slow_address_keeps_nobody_else_waiting() -> None:
    """While one order waits, others are taken and payments are looked for."""

    async def scene(business: Business, played: Played) -> None:
        early = business.take(COFFEE)
        await asyncio.sleep(0.1)
        played.delay = 9.0
        late = business.take(COFFEE)
        await business.pay(early)
        await asyncio.sleep(8)
        assert (early.state, late.state) == (State.PAID, State.ASKING)
        await asyncio.sleep(2)
        assert (late.state, late.took) == (State.OPEN, 9.0)

    in_shop(scene)


def test_a_call_that_fails_ends_an_order_and_not_the_shop() -> None:
    """The order says why; once the gateway is back, looking and selling go on."""

    async def scene(business: Business, played: Played) -> None:
        first = business.take(COFFEE)
        await asyncio.sleep(2)
        played.refuses = "no daemon takes calls"
        refused = business.take(COFFEE)
        await asyncio.sleep(5)
        assert (refused.state, refused.error) == (State.REFUSED, "no daemon takes calls")
        played.refuses = ""
        await business.pay(first)
        await asyncio.sleep(10)
        assert first.state is State.PAID

    assert in_shop(scene).books.refused == 1


@pytest.mark.parametrize("answer", [False, None, [], {"address": 5}, {"address": "bitcoincash:qreal"}, {}])
def test_what_is_no_invoice_of_the_sandbox_is_no_address(answer: object) -> None:
    """Above all nothing that could be taken for a real address is shown."""

    async def scene(business: Business, played: Played) -> None:
        async def ask(method: str, params: object = ()) -> Result:
            del params
            return Result(answer if method == "addrequest" else None, 0.0)

        played.ask = ask  # type: ignore[method-assign]  # played worse than it is
        business.till = played
        order = business.take(COFFEE)
        await asyncio.sleep(1)
        assert (order.state, order.address) == (State.REFUSED, "")

    assert in_shop(scene).books.given == 0


def test_the_automatic_customer_buys_pays_and_goes_home() -> None:
    """It is let in and ends by itself; all of its orders are paid, no address comes twice."""

    async def scene(business: Business, _played: Played) -> None:
        business.let_customer(come=True)
        await asyncio.sleep(GOES_AFTER * BUYS_EVERY + 20)

    shop = in_shop(scene)
    assert (shop.customer_left, shop.books.taken, shop.books.paid) == (0, GOES_AFTER, GOES_AFTER)
    assert (shop.books.given, shop.books.twice) == (GOES_AFTER, 0)


def test_the_automatic_customer_is_sent_home_and_is_there_only_once() -> None:
    """Let in twice it buys once a second; sent home it buys nothing more."""

    async def scene(business: Business, _played: Played) -> None:
        business.let_customer(come=True)
        business.let_customer(come=True)
        await asyncio.sleep(BUYS_EVERY * 9.5)
        assert business.books.taken == 10
        business.let_customer(come=False)
        await asyncio.sleep(60)
        assert (business.books.taken, business.customer_left) == (10, 0)

    in_shop(scene)


def test_a_full_shop_says_so_instead_of_piling_up_customers() -> None:
    """Of those who wait for an address there is a bound; the automatic customer bears it too."""

    async def scene(business: Business, played: Played) -> None:
        played.delay = 500.0
        for _ in range(MOST_AT_ONCE):
            business.take(COFFEE)
        with pytest.raises(BusyError):
            business.take(COFFEE)
        business.let_customer(come=True)
        await asyncio.sleep(10)
        assert business.books.taken == MOST_AT_ONCE
        await asyncio.sleep(500)
        business.take(COFFEE)

    in_shop(scene)


def test_a_chain_that_is_down_takes_no_payment_and_it_can_be_tried_again() -> None:
    """The order says so; a later payment goes through."""

    async def scene(business: Business, played: Played) -> None:
        order = business.take(COFFEE)
        await asyncio.sleep(1)
        played.chain_is_down = True
        await business.pay(order)
        assert "nobody there" in order.error
        played.chain_is_down = False
        await business.pay(order)
        await asyncio.sleep(10)
        assert order.state is State.PAID

    in_shop(scene)


def test_nothing_is_asked_for_orders_while_there_are_none() -> None:
    """An empty shop asks for the balance alone."""
    asked: set[str] = set()

    async def scene(_business: Business, played: Played) -> None:
        await asyncio.sleep(30)
        asked.update(played.asked)

    in_shop(scene)
    assert asked == {"getbalance"}
