"""Payments of a wallet that gateways share: nothing is told that was signed without the ledger or the lease."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.flow.carry import Carried
from gateway.ledger import leases
from gateway.ledger.held import HeldLedger
from gateway.ledger.store import LedgerError
from gateway.rules.lease import Gateway
from gateway.rules.methods import Granted
from gateway.rules.transaction import parse
from tests.flow.payments_world import NAME, STARTED, CrashingLedger, T, World, failure_of, play, result_of


@pytest.mark.parametrize("fails_at", [1, 2, 3])
@pytest.mark.parametrize(
    "odd",
    [None, {"hex": "00ff", "complete": True, "final": True}, {"error": "no coins"}],
    ids=["signed", "unreadable", "an error"],
)
def test_with_the_ledger_away_a_wallet_that_gateways_share_signs_nothing_at_all(odd: Any, fails_at: int) -> None:
    """Without it nobody can know whether another gateway signs with the same coins; also where it goes half way."""

    async def scene(world: World) -> None:
        world.payments.binder.is_shared = True
        daemon = world.fleet["ec-1"]
        if odd is not None:
            daemon.mangle = lambda method, result: odd if method == "payto" else result
        world.ledger.fail_at = fails_at
        told = failure_of(await world.pay())
        assert told.kind.name == ("result_withheld" if fails_at == 3 else "read_only")
        assert told.safe_to_repeat
        assert daemon.ran("payto") == (1 if fails_at == 3 else 0)

    play(scene)


class Holding:
    """A lease that ends at a moment."""

    wallet = NAME
    me = Gateway("gw-1", "one", "http://gw-1", "c")
    clock = staticmethod(lambda: STARTED)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with one that lasts."""
        self.loop = loop
        self.until = float("inf")

    def holds(self, term: int) -> bool:
        """Whether it counts."""
        return term == 1 and self.loop.time() < self.until


class CutOff(CrashingLedger):
    """The ledger as a gateway reaches it that is cut off from the database at a moment."""

    def __init__(self, ledger: CrashingLedger) -> None:
        """Begin with all well."""
        super().__init__()
        self.ledger = ledger
        self.is_cut_off = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Wait for longer than the lease lasts."""
        if self.is_cut_off:
            await asyncio.sleep(2.0)
            raise LedgerError("the database did not answer in time")
        return await self.ledger.run(work)


def test_a_gateway_that_lost_the_database_and_the_lease_tells_nobody_what_it_signed() -> None:
    """The next holder signs with the same coins meanwhile."""

    async def scene(world: World) -> None:
        holding, line = Holding(world.loop), CutOff(world.ledger)
        world.ledger.transact(lambda c: leases.acquire(c, NAME, holding.me, 0, 1, 60.0, holding.clock))
        old = world.payments
        old.ledger = old.binder.ledger = HeldLedger(line, holding, 1)
        carry = old.carry

        async def cut_off(client: str, granted: Granted, deadline: float) -> Carried:
            carried = await carry(client, granted, deadline)
            line.is_cut_off, holding.until = True, world.loop.time() + 1.0
            return carried

        old.carry = cut_off
        paying = asyncio.ensure_future(world.pay())
        await asyncio.sleep(1.5)
        assert not holding.holds(1)
        world.start()
        assert world.payments is not old
        new = parse(result_of(await world.pay("order 2", sats=50_000))["hex"])
        told = failure_of(await paying)
        assert (told.kind.name, told.safe_to_repeat) == ("result_withheld", True)
        assert "lease" in told.message
        assert world.holds() == dict.fromkeys(new.inputs, new.txid)

    play(scene, coins=1)
