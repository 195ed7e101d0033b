"""How long a daemon may be silent because of a call, seen by whoever waits for the primary behind it."""

import asyncio

from tests.fakes_money import derived
from tests.simulation.money_world import CUSTOMER
from tests.test_money import Shop, scenario


def test_a_primary_that_freezes_while_it_signs_is_promoted_away_when_signing_should_be_over() -> None:
    """Not after the half minute that only a chain server may take; the signature is no loss, for nobody heard of it."""

    async def play(shop: Shop) -> None:
        shop.chain.fund(derived(change=False, index=0)[0], 100_000)
        shop.chain.mine(1)
        await asyncio.sleep(2.0)
        shop.slow_methods["ec-1"] = {"payto": 60.0}
        paying = shop.ask("payto", params={"destination": CUSTOMER[0], "amount": "0.0001"}, key="order")
        assert paying is not None
        await asyncio.sleep(0.1)
        shop.daemon("ec-1").freeze()
        began = shop.loop.time()
        while shop.pool.primary.name == "ec-1":
            assert shop.loop.time() < began + 9.0, "within the deadline of those that wait behind it"
            await asyncio.sleep(0.05)
        assert shop.loop.time() > began + 7.0, "a payment of many coins is not taken for a wedge"
        again = shop.ask("payto", params=paying.params, key="order")
        assert again is not None
        await asyncio.sleep(5.0)
        assert again.tx is not None

    scenario(play)
