"""What goes on in the shop: orders are taken, payments looked for, and an automatic customer buys where it is let in.

The rule: nobody waits for anybody.  An order that gets no address yet keeps neither the next order nor the look at
payments from going on; the gateway sees what it would see from a busy shop.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

from gateway.sandbox.shop.books import GOODS, Books, Item, Order, State, cut
from gateway.sandbox.shop.till import CallError, Result

EVERY = 1.0
"""Seconds between two looks at the payments, and at the balance."""

BUYS_EVERY = 1.0
"""Seconds between two orders of the automatic customer."""

PAYS_AFTER = (0.5, 2.5)
"""Seconds between which an automatic customer takes to pay."""

GOES_AFTER = 600
"""Orders after which the automatic customer goes home: a sandbox that was forgotten shall not fill the machine."""

BLOCK_EVERY = 3.0
"""Seconds between two blocks, as long as there is a payment to confirm."""

MOST_AT_ONCE = 50
"""Orders that may wait for an address at the same time."""

EXPIRES = 3600
"""Seconds that an invoice is good for."""


class BusyError(Exception):
    """Too many customers wait already."""


class Asked(Protocol):
    """Who calls the gateway: the till."""

    async def ask(self, method: str, params: Sequence[object] | dict[str, object] = ()) -> Result:
        """Call a method.  Raises CallError."""


class Business:
    """The shop at work.

    Args:
        till: calls the gateway.
        books: where everything is written down.
        chain: tells the sandbox's chain something, where customers pay; raises OSError or ValueError.
        now: seconds of a clock that only goes forward.
        chance: a number from 0 to 1, for who buys what and when it is paid.
    """

    def __init__(
        self,
        till: Asked,
        books: Books,
        chain: Callable[[dict[str, object]], Awaitable[object]],
        now: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.till = till
        self.books = books
        self.now = now
        self.chance = chance
        self.customer_left = 0
        """Orders that the automatic customer will still give; 0 while it is not here."""
        self._chain = chain
        self._is_mined = True
        self._waiting = 0
        self._customer: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to look for payments and at the balance."""
        for work in (self._watch_orders, self._watch_balance, self._mine):
            self._spawn(self._for_ever(work))

    async def close(self) -> None:
        """Send everybody home."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- customers --------------------------------------------------------------------------------------------

    def take(self, item: Item, *, is_automatic: bool = False) -> Order:
        """Take an order; its address is asked for in the background, and what became of that, the order says.

        Raises:
            BusyError: too many others wait already.
        """
        if self._waiting >= MOST_AT_ONCE:
            raise BusyError
        order = self.books.take(item, self.now(), is_automatic=is_automatic)
        self._waiting += 1
        self._spawn(self._serve(order))
        return order

    async def _serve(self, order: Order) -> None:
        try:
            memo = f"order {order.number}: {order.item.name}"
            made = await self.till.ask("addrequest", [order.item.price, memo, EXPIRES])
            address = made.value.get("address") if isinstance(made.value, dict) else None
            if isinstance(address, str) and address.startswith("bchreg:"):
                self.books.give(order, address, made.seconds)
            else:
                self.books.refuse(order, "what came is no invoice with an address of the sandbox")
        except CallError as error:
            self.books.refuse(order, str(error))
        finally:
            self._waiting -= 1
        if order.is_automatic:
            soonest, latest = PAYS_AFTER
            await asyncio.sleep(soonest + (latest - soonest) * self.chance())
            await self.pay(order)

    async def pay(self, order: Order) -> None:
        """Pay an order with coins that the chain makes out of nothing; a second payment is none."""
        if order.state is not State.OPEN or order.is_paid_by_customer:
            return
        order.is_paid_by_customer = True
        try:
            await self._chain({"cmd": "fund", "address": order.address, "sats": order.item.sats})
            self._is_mined = False
        except (OSError, ValueError) as error:
            order.is_paid_by_customer = False
            order.error = cut(f"the chain does not answer: {error}")

    def let_customer(self, *, come: bool) -> None:
        """Let the automatic customer in, or send it home."""
        if self._customer is not None:
            self._customer.cancel()
            self._customer = None
        self.customer_left = GOES_AFTER if come else 0
        if come:
            self._customer = self._spawn(self._shop_around())

    async def _shop_around(self) -> None:
        while self.customer_left:
            self.customer_left -= 1
            item = GOODS[int(self.chance() * len(GOODS)) % len(GOODS)]
            with suppress(BusyError):
                self.take(item, is_automatic=True)
            await asyncio.sleep(BUYS_EVERY)

    # -- looking ----------------------------------------------------------------------------------------------

    async def _watch_orders(self) -> None:
        """Ask for the open invoices at once, and for each one that is not among them how it ended."""
        watched = self.books.watched()
        if not watched:
            return
        pending = (await self.till.ask("listrequests", {"pending": True})).value
        told = pending if isinstance(pending, list) else []
        open_now = {one.get("address") for one in told if isinstance(one, dict)}
        for order in watched:
            if order.address not in open_now:
                found = (await self.till.ask("getrequest", [order.address])).value
                if isinstance(found, dict):
                    self.books.tell(order, str(found.get("status")), self.now())

    async def _watch_balance(self) -> None:
        found = (await self.till.ask("getbalance")).value
        if isinstance(found, dict):
            self.books.balance = cut(" + ".join(map(str, found.values())))

    async def _mine(self) -> None:
        """Confirm what was paid."""
        await asyncio.sleep(BLOCK_EVERY - EVERY)
        if not self._is_mined:
            self._is_mined = True
            await self._chain({"cmd": "mine", "blocks": 1})

    async def _for_ever(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            # a call that failed is in the books; the chain is asked again
            with suppress(CallError, OSError, ValueError):
                await work()
            await asyncio.sleep(EVERY)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
