"""Random histories with a ledger keep the invariants 1 to 7 and 9, and so does a gateway that is killed at any step.

Rule: a step is whatever reaches the world: a transaction of the ledger, a call that is sent, an answer that is read;
the gateway is killed before and after each of them.
"""

import asyncio
import os
from collections.abc import Callable

import pytest

from tests.simulation.money_world import MoneyWorld, calm, history
from tests.virtual_time import run_virtual

BLOCKS = 20
SHARE = max(1, int(os.environ.get("ECGW_HISTORIES", "500")) // BLOCKS)
"""Histories of one block."""

FIRST_SEED = int(os.environ.get("ECGW_SEED", "1"))

ANSWERED = 0.99
"""The share of allocations that must be answered while nothing is wrong."""

MOST_STEPS = 400
"""Steps that no scenario has."""

pytestmark = [
    pytest.mark.simulation,
    # a task that is killed before its first step leaves a coroutine behind that nobody began
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_history_loses_money(block: int) -> None:
    """Whatever fails, no address and no coin is given to two, and outside of faults addresses are given out."""
    first = FIRST_SEED + block * SHARE
    asked = answered = 0
    for seed in range(first, first + SHARE):
        world = run_virtual(history(seed))
        assert not world.violations(), f"seed {seed}: repeat it with ECGW_SEED={seed} ECGW_HISTORIES={BLOCKS}"
        wanted, given = world.allocations()
        asked, answered = asked + wanted, answered + given
    assert answered >= ANSWERED * asked, f"{answered} of {asked} allocations were answered while nothing was wrong"


# -- a crash at each step -----------------------------------------------------------------------------------------


async def allocate(world: MoneyWorld) -> None:
    """Take the last address of the pool but one."""
    world.ask("createnewaddress")
    await asyncio.sleep(0.05)


async def refill(world: MoneyWorld) -> None:
    """Empty the pool by all methods, so that daemons derive, compare and fill it."""
    for method in ("createnewaddress", "getunusedaddress", "addrequest", "createnewaddress"):
        world.ask(method)
    await asyncio.sleep(0.3)


async def promote(world: MoneyWorld) -> None:
    """Change the primary by an order while addresses are given out."""
    world.promote("ec-2")
    world.ask("getunusedaddress")
    world.ask("setlabel")
    await asyncio.sleep(0.3)


async def lose_the_primary(world: MoneyWorld) -> None:
    """Change the primary because it died, while addresses are given out."""
    world.daemons[0].kill()
    world.ask("createnewaddress")
    world.ask("setlabel")
    await asyncio.sleep(2.0)
    world.daemons[0].start()
    await asyncio.sleep(1.0)


async def bring_up(world: MoneyWorld) -> None:
    """Mirror a standby that comes back with a file from long ago."""
    world.daemons[1].kill(wiped_to=0)
    await asyncio.sleep(2.0)
    world.daemons[1].start()
    await asyncio.sleep(1.5)
    world.ask("createnewaddress")
    await asyncio.sleep(0.1)


async def pay(world: MoneyWorld) -> None:
    """Sign with a key, ask again, and broadcast."""
    amount = "0.00031"
    params = {"destination": "bchreg:qqyxk284u5ssgr6h3y7xz8dt73r0z3ujtchu9zyzx2", "amount": amount}
    for _ in range(2):
        paid = world.ask("payto", params=params, key="the key", tag=amount)
        await asyncio.sleep(0.2)
        if paid is not None and paid.tx is not None:
            world.ask("broadcast", params=[paid.tx.hex])
            await asyncio.sleep(0.3)
        if world.kills:
            # the next gateway is there by now
            await asyncio.sleep(1.5)


SCENARIOS = (allocate, refill, promote, lose_the_primary, bring_up, pay)


async def crashed(scenario: Callable[[MoneyWorld], object], step: int) -> MoneyWorld:
    """Live a scenario in which the gateway is killed at a step, once all is well; 0 kills it never."""
    world = MoneyWorld(2, 7, address_pool=3)
    world.restarts_after = lambda: 1.0
    world.ledger_seconds = lambda: 0.001
    world.start()
    await asyncio.sleep(1.0)
    world.ask("createnewaddress")
    await asyncio.sleep(2.0)
    began = world.steps
    if step:
        world.die_within(step)
    await scenario(world)  # type: ignore[misc]  # they are coroutine functions
    world.scenario_steps = world.steps - began
    for _ in range(4):
        world.ask("createnewaddress")
    await calm(world, is_short=True)
    return world


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.__name__ for scenario in SCENARIOS])
def test_a_crash_at_any_step_loses_no_money(scenario: Callable[[MoneyWorld], object]) -> None:
    """Nothing is given twice or told wrongly, and the next gateway goes on, whichever step was the last."""
    whole = run_virtual(crashed(scenario, 0))
    assert whole.told
    assert not whole.violations(), "without a crash"
    assert 4 <= whole.scenario_steps <= MOST_STEPS, "a scenario does something, and not everything"
    for step in range(1, whole.scenario_steps + 1):
        world = run_virtual(crashed(scenario, step))
        assert not world.violations(), f"killed at step {step}, {world.died_at}"
        assert world.kills == 1, f"step {step} was not reached"


# -- how fast it goes on ------------------------------------------------------------------------------------------

LOSSES: tuple[str, ...] = ("kill", "freeze", "wedge", "drop")


async def lost(how: str, seed: int) -> MoneyWorld:
    """Lose the primary under fast calls from a pool that is nearly dry."""
    world = MoneyWorld(3, seed, address_pool=2)
    world.start()
    await asyncio.sleep(8.0 + seed / 7)
    primary = world.daemons[0]
    for i in range(40):
        if i == 10:
            world.lost_at = world.loop.time()
            match how:
                case "kill":
                    primary.kill()
                case "freeze":
                    primary.freeze()
                case "wedge":
                    primary.wedge()
                case _:
                    primary.drops_syns = True
        world.ask("createnewaddress")
        world.ask("ismine")
        await asyncio.sleep(0.1)
    await world.answered()
    await world.end()
    return world


@pytest.mark.parametrize("how", LOSSES)
def test_addresses_are_given_out_again_within_3_s_of_a_lost_primary(how: str) -> None:
    """With an aligned standby alive, an allocation waits no longer than that, also from a dry pool."""
    for seed in range(4):
        world = run_virtual(lost(how, seed))
        for told in world.told:
            if told.method == "createnewaddress":
                waited = told.answered_at - max(told.asked_at, world.lost_at)
                assert told.address, f"seed {seed}: {told.reply}"
                assert waited <= 3.0, f"seed {seed}: asked at {told.asked_at:.3f}, answered {waited:.3f} s later"
        assert world.reigns[-1].primary != "ec-1", f"seed {seed}: nobody was promoted"
