"""Carries out what operators' commands ask of the running gateway.

Rule: an order is taken in one transaction and answered in another, whatever came of it; the answer is a sentence
that the operator reads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from gateway.base.events import Emit, Event
from gateway.ledger import orders
from gateway.ledger.orders import Order
from gateway.ledger.store import Ledger, LedgerError

LOOK = 0.25
"""Seconds between two looks at the orders."""

PATIENCE = 25.0
"""Seconds that one order may take; the command waits a little longer."""

Verb = Callable[[str], Awaitable[str]]
"""Does what an order asks with its argument and returns a sentence; raises whatever says why not."""


class Clerk:
    """The orders of all wallets.

    Args:
        verbs: by wallet and verb; asked anew each time, so that a reload takes effect.
        clock: seconds since 1970.
    """

    def __init__(
        self, ledger: Ledger, verbs: Callable[[], Mapping[str, Mapping[str, Verb]]], clock: Callable[[], float],
        emit: Emit,
    ) -> None:  # fmt: skip
        """Begin with nothing taken."""
        self.ledger = ledger
        self.verbs = verbs
        self.clock = clock
        self.emit = emit

    async def run(self) -> None:
        """Look for orders for ever; what an earlier process took and never answered has failed."""
        await self._try(lambda connection: orders.give_up(connection, self.clock()))
        while True:
            taken = await self._try(lambda connection: orders.take(connection, self.clock()))
            if isinstance(taken, list):
                for order in taken:
                    await self._carry_out(order)
            await asyncio.sleep(LOOK)

    async def _carry_out(self, order: Order) -> None:
        """Do one order and answer it."""
        is_done = False
        verbs = self.verbs().get(order.wallet)
        try:
            if verbs is None:
                answer = f"there is no wallet {order.wallet} with a ledger in the running gateway"
            elif order.verb not in verbs:
                answer = f"this gateway knows no order {order.verb}; is the command of another version?"
            else:
                async with asyncio.timeout(PATIENCE):
                    answer = await verbs[order.verb](order.argument)
                is_done = True
        except TimeoutError:
            answer = f"not done within {PATIENCE:g} s; see how things stand, then give it again"
        except Exception as error:  # noqa: BLE001 - the operator reads it, whatever it is
            answer = str(error) or type(error).__name__
        fields: dict[str, object] = {"verb": order.verb, "argument": order.argument, "answer": answer}
        level = "warning" if is_done else "error"
        self.emit(Event("order.done" if is_done else "order.failed", order.wallet, "", fields, level))
        await self._try(lambda connection: orders.finish(connection, order.id, answer, self.clock(), is_done=is_done))

    async def _try(self, work: Callable[..., object]) -> object:
        """Do a transaction; None where the ledger cannot."""
        try:
            return await self.ledger.run(work)
        except LedgerError:
            return None
