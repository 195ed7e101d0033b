"""Carries a call that may change something to a daemon, for the rooms that write it down.

Rule: it goes the ordinary way (queue, slot, breaker), is never sent again by itself once it was sent, and nobody who
hangs up ends it.  What comes back says in which epoch it was sent: whoever answers it compares.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.base.effects import Bound, Effect
from gateway.flow.errand import Errand, Result
from gateway.flow.runner import Runner
from gateway.rules.methods import Granted


@dataclass(frozen=True, slots=True)
class Carried:
    """How a carried call ended."""

    result: Result
    epoch: int
    """The wallet's when its last attempt was sent; 0 when none was."""
    backend: str
    request: str
    """The id of its last attempt, as the daemon was given it."""


Carry = Callable[[str, Granted, float], Awaitable[Carried]]
"""Client's name, the call, its deadline in loop time."""


def carrier(runner: Runner) -> Carry:
    """Return what carries calls of one wallet."""

    async def carry(client: str, granted: Granted, deadline: float) -> Carried:
        generation = -1
        method, params = granted.method, granted.params
        shares = granted.effect is Effect.PUBLISH
        errand = runner.flights.find(method.name, params, generation) if shares else None
        future: asyncio.Future[Result] = runner.loop.create_future()
        if errand is None:
            errand = Errand(
                runner.pool.name, client, method, granted.effect, params, runner.bound(granted.bound),
                runner.loop.time(), asks_server=granted.bound is Bound.SERVER,
            )  # fmt: skip
            errand.join(future, deadline)
            if shares:
                runner.flights.add(errand, generation)
            runner.begin(errand)
        else:
            errand.join(future, deadline)
        result = await asyncio.shield(future)
        return Carried(result, errand.epoch, errand.last_backend, errand.request)

    return carry
