"""The desk of a wallet with a ledger: which room answers a call that may change something.

Rule: what was begun here is finished here.  A client that hangs up is not waited for, but its call goes on to the
end: an intent that nobody closes would have to be called unknown.  And a client is answered by its deadline, also
where the ledger's disk is not; what he was told counts for nobody is withdrawn when it comes after all.

    address, invoice_*            the ledger answers by itself
    payment, signature, any sign  signed by the primary, bound to a key where there is one
    broadcast                     the same bytes until the chain has spoken
    label, freeze, any write      the primary, then its last value for the standbys
    any other allocation          refused: nothing would keep its address from being given out twice
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.base.config import Client
from gateway.base.effects import Effect
from gateway.base.errors import METHOD_REFUSED, OUTCOME_UNKNOWN, READ_ONLY, RESULT_WITHHELD, Failure
from gateway.base.jsonrpc import Answer
from gateway.rules.methods import Granted

Handler = Callable[[Client, Granted, float, str | None], Awaitable[Answer | Failure]]
"""Client, call, deadline in loop time, idempotency key."""

Own = Callable[[Client, bytes], Awaitable[Answer | Failure]]
"""Answers a method of the gateway itself: client, raw parameters."""

Withdraw = Callable[[Client, Answer], Awaitable[None]]
"""Undoes what came of a call whose caller was told that it counts for nobody."""

GRACE = 0.25
"""Seconds past the deadline for a room to say by itself what it knows."""


@dataclass(slots=True)
class _Caller:
    """Who waits for a call."""

    was_told: bool = False
    """That it is late: he has left with an error."""


class Desk:
    """The rooms of one wallet that write down.

    Args:
        by_role: handlers of the roles of the profile.
        by_effect: handlers of effects whose methods have no role.
        own: methods of the gateway itself that ask the ledger.
        withdraw: by role, what undoes an answer that comes after its caller was told that there is none.
    """

    def __init__(
        self, wallet: str, by_role: Mapping[str, Handler], by_effect: Mapping[Effect, Handler],
        loop: asyncio.AbstractEventLoop, own: Mapping[str, Own] = MappingProxyType({}),
        withdraw: Mapping[str, Withdraw] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Begin with nothing under way."""
        self.own = own
        self.withdraw = withdraw
        self.wallet = wallet
        self.by_role = by_role
        self.by_effect = by_effect
        self.loop = loop
        self.under_way: set[asyncio.Task[Answer | Failure]] = set()

    def __repr__(self) -> str:
        """Status line."""
        return f"<Desk {self.wallet} under_way={len(self.under_way)}>"

    def handler(self, granted: Granted) -> Handler | None:
        """Return who answers this call; None leaves it to the daemons."""
        role = granted.method.role
        if role and role in self.by_role:
            return self.by_role[role]
        if granted.effect is Effect.ALLOCATE:
            return self._refuse
        return self.by_effect.get(granted.effect)

    async def answer(
        self, handler: Handler, client: Client, granted: Granted, deadline: float, key: str | None
    ) -> Answer | Failure:
        """Let a handler answer; what it began goes on when the caller is cancelled."""
        caller = _Caller()
        task = self.loop.create_task(self._handle(caller, handler, client, granted, deadline, key))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        done, _ = await asyncio.wait({task}, timeout=max(0.0, deadline - self.loop.time()) + GRACE)
        # the gateway that stops cancels it; its caller is told all the same
        if done and not task.cancelled():
            return task.result()
        caller.was_told = True
        return self._late(granted, key)

    async def _handle(
        self, caller: _Caller, handler: Handler, client: Client, granted: Granted, deadline: float, key: str | None
    ) -> Answer | Failure:
        result = await handler(client, granted, deadline, key)
        withdraw = self.withdraw.get(granted.method.role)
        if caller.was_told and withdraw is not None and isinstance(result, Answer):
            await withdraw(client, result)
        return result

    async def end(self, patience: float) -> None:
        """Give what is under way so many seconds to be written down, then end it."""
        begun = self.under_way
        if begun:
            await asyncio.wait(begun, timeout=patience)
            for late in list(begun):
                late.cancel()
            await asyncio.gather(*begun, return_exceptions=True)

    def _late(self, granted: Granted, key: str | None) -> Failure:
        """Return the error for a call whose room is not done: the ledger hangs, most likely."""
        role = granted.method.role
        if granted.effect.is_read:
            message = (
                "read_only: the ledger did not answer in time; it may be written by another program, or its disk hangs"
            )
            return Failure(READ_ONLY, message, safe_to_repeat=True, wallet=self.wallet)
        if role in ("address", "invoice_add"):
            message = "result_withheld: the ledger did not write it down in time; the address, if any, is burnt"
            step = "send the same call again"
            if role == "invoice_add":
                message += ", and the invoice is taken back as soon as it is known to be there"
                step += "; should the gateway end before that, listrequests shows it, and rmrequest removes it"
            return Failure(RESULT_WITHHELD, message, safe_to_repeat=True, wallet=self.wallet, next_step=step)
        message = "outcome_unknown: it was not written down in time how the call ended"
        # marks, removals and broadcasts are the same twice
        is_safe = key is not None or granted.effect is not Effect.SIGN
        step = "send the same call again" if is_safe else "nothing was broadcast; ask for a new signature"
        if key is not None and granted.effect is Effect.SIGN:
            step = "ask gateway.outcome with the key, or send the same call with the same key"
        return Failure(OUTCOME_UNKNOWN, message, safe_to_repeat=is_safe, wallet=self.wallet, next_step=step)

    async def _refuse(self, _client: Client, granted: Granted, _deadline: float, _key: str | None) -> Failure:
        message = (
            f"method_refused: the ledger cannot answer {granted.method.name}, and whatever else gave out an address "
            "could give it to two customers; createnewaddress is answered"
        )
        return Failure(METHOD_REFUSED, message, safe_to_repeat=False, wallet=self.wallet)
