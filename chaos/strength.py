"""When all are at full strength again: one question for every door, which is asked through the door.

Rule: what counts is what each daemon answers for itself and what a client is told, never what a door says of itself.
"""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from gateway.sandbox.fleet import RpcError
from tests.checker.history import address_of
from tests.checker.plan import DAEMONS

if TYPE_CHECKING:
    from chaos.callers import Client
    from chaos.line import Clock
    from chaos.stage import Stage
    from tests.checker.history import Op

IN_A_ROW = 2 * DAEMONS
"""Reads that have to be good one after the other: a balancer that goes round asks each wallet twice for them."""

QUICK = 0.4
"""Seconds in which a good call is answered.  A read that a peer first lost to a wallet that does not answer takes half
a second and more; what a busy machine does to one takes less."""

EVERY = 0.2
"""Seconds between two tries."""

PROBE = "probe of full strength"
"""The note of calls that are made here; no customer gets what they are given."""


async def full_strength(stage: "Stage", client: "Client", patience: float, now: "Clock" = time.time) -> float | None:
    """Return since when all are at full strength, by `now`; None where that is not seen within `patience` seconds.

    They are when each daemon answers for itself, with its wallet loaded and the chain in sight, and then `IN_A_ROW`
    reads and one allocation are good through the door, one after the other.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while True:
        since = now()
        if await daemons_are_whole(stage) and await _door_is_good(client):
            return since
        if loop.time() > end:
            return None
        await asyncio.sleep(EVERY)


async def daemons_are_whole(stage: "Stage") -> bool:
    """Ask each daemon itself, once: whoever answers with a loaded wallet that sees the chain serves."""
    for wallet in stage.wallets:
        with contextlib.suppress(OSError, RpcError):
            told = await wallet.call("getinfo", patience=1.0)
            await wallet.call("getbalance", patience=1.0)
            if told.get("connected"):
                continue
        return False
    return True


async def _door_is_good(client: "Client") -> bool:
    for _ in range(IN_A_ROW):
        op = await client.call("getbalance", note=PROBE)
        if not (op.is_answered and _is_quick(op)):
            return False
    op = await client.call("createnewaddress", note=PROBE)
    return address_of(op) is not None and _is_quick(op)


def _is_quick(op: "Op") -> bool:
    return op.end - op.begin <= QUICK
