"""Carries out what operators' commands ask of the running gateway.

Rule: an order is taken in one transaction and answered in another, whatever came of it; the answer is a sentence
that the operator reads, and before it the order stands in the trail.  Orders of one wallet follow each other, those of
different wallets do not wait for each other, and a promotion waits for nobody: it is the cure of what the others may be
waiting for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

from sqlalchemy import Connection

from gateway.base.errors import OrderError
from gateway.base.events import Emit, Event
from gateway.ledger import orders
from gateway.ledger.orders import Order
from gateway.ledger.store import Ledger, LedgerError
from gateway.rules.deeds import BY_COMMAND

LOOK = 0.25
"""Seconds between two looks at the orders."""

AT_ONCE = frozenset({"promote"})
"""Orders that do not wait for another one of their wallet."""

PATIENCE = 25.0
"""Seconds that one order may take; the command waits a little longer."""

Verb = Callable[[str], Awaitable[str]]
"""Does what an order asks with its argument and returns a sentence; raises whatever says why not."""


class Clerk:
    """The orders of all wallets.

    Args:
        verbs: by wallet and verb; asked anew each time, so that a reload takes effect.
        of: the wallets whose orders are this gateway's, None for all; others are left to who holds them.
        recorded: waits a moment until the orders so far are in the trail.
        clock: seconds since 1970.
    """

    def __init__(
        self, ledger: Ledger, verbs: Callable[[], Mapping[str, Mapping[str, Verb]]], clock: Callable[[], float],
        emit: Emit, of: Callable[[], Collection[str]] | None = None,
        recorded: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """Begin with nothing taken."""
        self.of = of
        self.ledger = ledger
        self.verbs = verbs
        self.clock = clock
        self.emit = emit
        self.recorded = recorded
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}
        """By wallet, and by verb where that waits for no other one."""

    async def run(self) -> None:
        """Look for orders for ever; what an earlier process took and never answered has failed."""
        if self.of is None:
            await self._try(lambda connection: orders.give_up(connection, self.clock()))
        async with asyncio.TaskGroup() as group:
            while True:
                taken = await self._try(self._take(None if self.of is None else self.of()))
                for order in taken if isinstance(taken, list) else ():
                    group.create_task(self._carry_out(order), name=f"order-{order.id}")
                await asyncio.sleep(LOOK)

    def _take(self, of: Collection[str] | None) -> Callable[[Connection], list[Order]]:
        return lambda connection: orders.take(connection, self.clock(), of)

    async def _carry_out(self, order: Order) -> None:
        """Do one order in its turn and answer it."""
        given: dict[str, object] = {
            "verb": order.verb, "by": BY_COMMAND, "reason": order.argument, "order": f"ledger-{order.id}",
        }  # fmt: skip
        self.emit(Event("order.given", order.wallet, "", given))
        turn = order.wallet, order.verb if order.verb in AT_ONCE else ""
        # those who wait are served in the order in which they came
        async with self._turns.setdefault(turn, asyncio.Lock()):
            await self._do(order)

    async def _do(self, order: Order) -> None:
        """Do one order and answer it."""
        is_done = False
        verbs = self.verbs().get(order.wallet)
        try:
            if self.clock() - order.at > orders.TOO_OLD:
                raise OrderError(orders.LATE)  # noqa: TRY301 - told as every other reason is
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
        fields: dict[str, object] = {
            "verb": order.verb, "argument": order.argument, "answer": answer, "order": f"ledger-{order.id}",
        }  # fmt: skip
        level = "warning" if is_done else "error"
        self.emit(Event("order.done" if is_done else "order.failed", order.wallet, "", fields, level))
        if self.recorded is not None:
            await self.recorded()
        await self._try(lambda connection: orders.finish(connection, order.id, answer, self.clock(), is_done=is_done))

    async def _try(self, work: Callable[..., object]) -> object:
        """Do a transaction; None where the ledger cannot."""
        try:
            return await self.ledger.run(work)
        except LedgerError:
            return None
