"""One flight for one order."""

import asyncio

import pytest

from gateway.upstream.launchers import LauncherError
from gateway.upstream.launchers.common import Common, Flight, until
from tests.virtual_time import run_virtual


def flight(timeout: float = 10.0) -> Flight:
    """Make one on the loop that runs."""
    return Flight(Common("ec-1", "", timeout, asyncio.get_running_loop()))


def test_orders_come_one_after_the_other_and_the_same_one_once() -> None:
    """Four kills and a start: one kill, then the start; each caller gets its order's result."""

    async def main() -> None:
        one, done = flight(), []

        async def order(name: str) -> str:
            done.append(f"{name} begins")
            await asyncio.sleep(1)
            done.append(f"{name} ends")
            return name

        kills = [one.once("kill", lambda: order("kill"), limit=5) for _ in range(4)]
        results = await asyncio.gather(*kills, one.once("start", lambda: order("start"), limit=5))
        assert results == ["kill"] * 4 + ["start"]
        assert done == ["kill begins", "kill ends", "start begins", "start ends"]
        assert await one.once("kill", lambda: order("again"), limit=5) == "again"

    run_virtual(main())


def test_a_caller_that_goes_away_takes_no_order_back() -> None:
    """Half a restart is worse than a whole one."""

    async def main() -> None:
        one, done = flight(), []

        async def order() -> None:
            await asyncio.sleep(1)
            done.append("done")

        caller = asyncio.create_task(one.once("kill", order, limit=5))
        await asyncio.sleep(0.5)
        caller.cancel()
        await one.once("start", lambda: asyncio.sleep(0), limit=5)
        assert done == ["done"]

    run_virtual(main())


def test_an_order_that_never_ends_is_ended_and_the_next_has_its_turn() -> None:
    """Its limit runs from its own turn on, not from when it was asked for."""

    async def main() -> None:
        one = flight()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        stuck = asyncio.create_task(one.once("kill", lambda: asyncio.sleep(1000), limit=5))
        await asyncio.sleep(0)
        await one.once("start", lambda: asyncio.sleep(4), limit=5)
        assert loop.time() - begun == pytest.approx(9, abs=0.1)
        with pytest.raises(LauncherError, match="kill of ec-1 was not done within 5 s") as caught:
            await stuck
        assert caught.value.may_pass

    run_virtual(main())


def test_closing_ends_what_is_under_way() -> None:
    """A caller that waits is told, and not cancelled."""

    async def main() -> None:
        one = flight()
        caller = asyncio.create_task(one.once("kill", lambda: asyncio.sleep(1000), limit=5000))
        await asyncio.sleep(1)
        await one.close()
        with pytest.raises(LauncherError, match="kill of ec-1 was given up"):
            await caller

    run_virtual(main())


def test_waiting_looks_again_until_it_is_so() -> None:
    """At once when it is so already."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()

        async def is_late() -> bool:
            return loop.time() >= begun + 3

        await until(is_late)
        assert 3 <= loop.time() - begun < 3.2

    run_virtual(main())
