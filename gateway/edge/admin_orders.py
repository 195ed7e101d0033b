"""Orders for daemons and wallets, whoever gives them: a script, a command or the page.

Rule: every order leaves lines in the log: who gave it, for which daemon, why, and what came of it.  What was begun is
not given up because whoever ordered it hung up.  Whoever is answered finds his order in the trail, also after a crash.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from inspect import isawaitable
from typing import Protocol

from gateway.base.events import Emit, Event
from gateway.base.people import Person
from gateway.edge.admin_access import ONLY_LOOKS, Refused
from gateway.edge.admin_requests import checked_reason, known

PATIENCE = 25.0
"""Seconds that an order is waited for; it goes on after that."""

HANDOVER = "handover"
"""The order that is about a wallet and none of its daemons."""

ALONE = "this gateway is alone: without `cluster:` in its settings nobody could take a wallet"
LEAVING = "this gateway is on its way out and takes no orders; give it to the next one"

Answer = str | Awaitable[str]


class Orders(Protocol):
    """What can be ordered of the backends of one wallet.

    Each returns a sentence for the operator, at once or when it is done, and raises OrderError with the way out.
    """

    def drain(self, backend: str) -> Answer:
        """Give it no more calls; those under way may finish."""

    def undrain(self, backend: str) -> Answer:
        """Give it calls again."""

    def restart(self, backend: str, reason: str) -> Answer:
        """Stop and start it in the right way, whatever its health."""

    def hold(self, backend: str) -> Answer:
        """Let no rule restart it."""

    def release(self, backend: str) -> Answer:
        """Let rules restart it again."""

    def promote(self, backend: str) -> Answer:
        """Make it the primary of its wallet."""


VERBS: dict[str, Callable[[Orders, str, str], Answer]] = {
    "drain": lambda orders, backend, _reason: orders.drain(backend),
    "undrain": lambda orders, backend, _reason: orders.undrain(backend),
    "restart": lambda orders, backend, reason: orders.restart(backend, reason),
    "hold": lambda orders, backend, _reason: orders.hold(backend),
    "release": lambda orders, backend, _reason: orders.release(backend),
    "promote": lambda orders, backend, _reason: orders.promote(backend),
}


class OrderDesk:
    """Takes orders and carries them out.

    Args:
        backends: the names of the backends of each wallet there is now.
        orders: who takes orders for a wallet.
        draining: whether the gateway is on its way out.
        elsewhere: the wallets that other gateways hold, each with a sentence about who does.
        hand_over: gives a wallet to another gateway; None where there is no other one.
    """

    def __init__(
        self,
        *,
        backends: Callable[[], Mapping[str, Collection[str]]],
        orders: Callable[[], Mapping[str, Orders]],
        draining: Callable[[], bool],
        emit: Emit,
        elsewhere: Callable[[], Mapping[str, str]] = dict,
        hand_over: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        """Begin with no order under way."""
        self.backends = backends
        self.orders = orders
        self.draining = draining
        self.emit = emit
        self.elsewhere = elsewhere
        self.hand_over = hand_over
        self.recorded: Callable[[], Awaitable[None]] | None = None
        """Waits a moment until the orders so far are in the trail; set where there is a history."""
        self._number = 0
        self._under_way: set[asyncio.Task[str]] = set()

    async def stop(self) -> None:
        """Give up the orders that are still under way."""
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def see(self, wallet: str, backend: str, verb: str) -> None:
        """Refuse an order that cannot be taken: 404, 409 for a wallet that is held elsewhere, 503 on the way out."""
        if verb == HANDOVER and not backend:
            if self.hand_over is None:
                raise Refused(409, ALONE)
            known("wallet", wallet, {*self.backends(), *self.elsewhere()}, "this gateway")
            return
        backends = self.backends()
        self.see_here(wallet)
        known("backend", backend, backends[wallet], f"wallet {wallet}")
        known("order", verb, VERBS, "this gateway")
        if self.draining():
            raise Refused(503, LEAVING)

    def see_here(self, wallet: str) -> None:
        """Refuse a wallet that is not there (404) or that another gateway holds (409)."""
        if wallet in (elsewhere := self.elsewhere()):
            raise Refused(409, elsewhere[wallet])
        known("wallet", wallet, self.backends(), "this gateway")

    async def give(self, person: Person, wallet: str, backend: str, verb: str, reason: str, peer: str = "") -> str:
        """Give an order and return what came of it, a sentence.

        Raises:
            Refused: it is none, or takes longer than anybody waits (504).
            OrderError: it cannot be carried out; says why, with the way out.
        """
        self.see(wallet, backend, verb)
        reason = checked_reason(reason)
        act: Callable[[], Answer]
        if verb == HANDOVER and not backend:
            hand_over = self.hand_over
            assert hand_over is not None  # noqa: S101 - seen to above
            act = lambda: hand_over(wallet)  # noqa: E731 - one of two ways to act
        else:
            orders = self.orders()
            # a reload may have taken it away since its backends were listed
            known("wallet", wallet, orders, "this gateway")
            chosen = orders[wallet]
            act = lambda: VERBS[verb](chosen, backend, reason)  # noqa: E731 - the other one
        return await self.carry_out(person, wallet, backend, verb, reason, peer, act)

    async def carry_out(
        self, person: Person, wallet: str, backend: str, verb: str, reason: str, peer: str, act: Callable[[], Answer],
        **more: object,
    ) -> str:  # fmt: skip
        """Carry an order out, with its lines in the log, and return what came of it.

        Args:
            more: further fields of those lines.

        Raises Refused (403 for who may only look, 504) and OrderError.
        """
        if not person.may_order:
            # whoever asks has seen to that; a page that forgot it orders nothing all the same
            raise Refused(403, ONLY_LOOKS.format(person.name))
        fields: dict[str, object] = {
            "verb": verb, "who": person.name, "by": person.by, "peer": peer, "reason": reason, **more,
        }  # fmt: skip
        self._number += 1
        # two of the same kind may be under way: by this the answer of each is told from the other's
        more["order"] = fields["order"] = f"door-{self._number}"
        self.emit(Event("order.given", wallet, backend, fields))
        fields = {"verb": verb, "who": person.name, **more}
        task = asyncio.get_running_loop().create_task(self._done(wallet, backend, fields, act))
        self._under_way.add(task)
        task.add_done_callback(self._end)
        await asyncio.wait({task}, timeout=PATIENCE)
        if self.recorded is not None:
            await self.recorded()
        if not task.done():
            raise Refused(504, f"the gateway is still at it after {PATIENCE:g} s; see how things stand")
        return await task

    async def _done(self, wallet: str, backend: str, fields: dict[str, object], act: Callable[[], Answer]) -> str:
        """Do it and tell what came of it.  Raises OrderError, or whatever went wrong."""
        try:
            found = act()
            answer = await found if isawaitable(found) else found
        except Exception as error:
            why = str(error) or type(error).__name__
            self.emit(Event("order.failed", wallet, backend, {**fields, "answer": why}, level="error"))
            raise
        self.emit(Event("order.done", wallet, backend, {**fields, "answer": answer}, level="warning"))
        return answer

    def _end(self, task: "asyncio.Task[str]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # told by now: in the log, and to whoever ordered it if he is still there
            task.exception()
