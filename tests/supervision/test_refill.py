"""Refills: new addresses without laying whole lists beside each other, and a comparison wherever that is not safe."""

import asyncio
import json
from collections import Counter
from typing import Any

import msgspec
import pytest

from gateway.base.config import Client
from gateway.base.effects import GRANTABLE
from gateway.base.jsonrpc import Answer
from gateway.flow.allocate import Allocator
from gateway.flow.invoices import Invoices
from gateway.ledger import addresses
from gateway.ledger.epochs import ADOPTED
from gateway.rules.methods import Granted, judge
from gateway.supervision.filling import SOON
from gateway.supervision.lists import NotNow
from gateway.supervision.mirror import OWED, PERIOD
from gateway.supervision.use import HEARD
from tests.supervision.test_keeper import CLOCK, PROFILE, SIZE, Bench, prefixed, scenario

CLIENT = Client(name="shop", username="u", password="p")  # type: ignore[arg-type]  # pydantic makes a secret of it


async def filled(backends: int = 3, **how: Any) -> Bench:
    """A wallet whose daemons were compared and whose pool was full, before two of it were taken."""
    bench = Bench(backends, state=ADOPTED, **how)
    bench.up()
    await bench.compare()
    await bench.compare()
    assert [bench.take(), bench.take()] == ["qa20", "qa21"]
    bench.asked.clear()
    return bench


def asked(bench: Bench) -> Counter[tuple[str, str]]:
    """How often which daemon was asked for what."""
    return Counter(bench.asked)


def is_level(bench: Bench) -> bool:
    """Whether each daemon lists what the ledger does."""
    return all([one.rpartition(":")[2] for one in daemon.listed] == bench.listed() for daemon in bench.daemons)


# -- what it costs ------------------------------------------------------------------------------------------------


def test_a_refill_derives_what_is_missing_and_reads_one_list_of_a_standby() -> None:
    """The primary has customers, and nobody looks for use on addresses that a daemon has not heard of yet."""

    async def play() -> None:
        bench = await filled()
        assert await bench.mirror.refill()
        assert bench.states() == "f" * 20 + "hh" + "p" * SIZE
        assert is_level(bench)
        derived = {(f"ec-{n}", "createnewaddress"): 2 for n in (1, 2, 3)}
        assert asked(bench) == {**derived, ("ec-2", "listaddresses"): 1}
        assert not await bench.mirror.refill(), "there is nothing to fill"

    scenario(play)


def test_the_only_daemon_shows_its_own_list() -> None:
    """There is nobody else to ask whether a place was left out."""

    async def play() -> None:
        bench = await filled(1)
        assert await bench.mirror.refill()
        assert bench.states() == "f" * 20 + "hh" + "p" * SIZE
        assert asked(bench) == {("ec-1", "createnewaddress"): 2, ("ec-1", "listaddresses"): 1}

    scenario(play)


@pytest.mark.simulation
@pytest.mark.timeout(240)
def test_a_thousand_invoices_made_and_removed_have_a_thousand_addresses_and_do_not_cost_more_and_more() -> None:
    """Each is listed by all three daemons when it is told; the last hundred ask no more of a daemon than the first."""

    async def play() -> None:
        bench = Bench(3, state=ADOPTED, size=30)
        bench.up()
        shop = Allocator(bench.pool, bench.keeper, bench.ledger, lambda: CLOCK, bench.loop)
        desk = Invoices(bench.pool, bench.ledger, shop.hand_out, lambda: "bchreg:", lambda: 20, lambda: CLOCK)
        task = bench.loop.create_task(bench.mirror.run())
        watch = bench.loop.create_task(bench.keeper.use.run())
        told: list[str] = []
        costs: list[int] = []

        async def call(method: str, *params: object) -> Any:
            raw = msgspec.json.encode(params)
            granted = judge(PROFILE, method, raw, effects=GRANTABLE, opened=frozenset(), client="shop", wallet="main")
            assert isinstance(granted, Granted)
            answer = await desk.handlers[granted.method.role](CLIENT, granted, bench.loop.time() + 60.0, None)
            assert isinstance(answer, Answer), answer
            assert answer.result is not None, answer
            return json.loads(answer.result)

        for number in range(1000):
            # a label is five more statements, and not what this is about
            memo = "" if number % 10 else f"order {number}"
            address = (await call("addrequest", "0.01", memo))["address"]
            assert all(address in daemon.listed for daemon in bench.daemons)
            told.append(address)
            assert await call("rmrequest", address) is True
            await asyncio.sleep(0.02)
            if number % 100 == 99:
                costs.append(len(bench.asked))
                bench.asked.clear()
        task.cancel()
        watch.cancel()
        assert len(set(told)) == 1000
        assert is_level(bench)
        # to derive a hundred on each of three daemons; the rest is what is done by the clock
        assert min(costs[1:]) >= 290
        assert costs[-1] <= 1.1 * costs[1]
        assert costs[-1] < 450

    scenario(play)


# -- where only a comparison will do ------------------------------------------------------------------------------


def test_an_address_that_somebody_took_from_every_daemon_leaves_no_gap() -> None:
    """All three answer alike, and yet a place was left out: the one list shows it."""

    async def play() -> None:
        bench = await filled()
        for daemon in bench.daemons:
            daemon.listed += prefixed(20 + SIZE)
        assert not await bench.mirror.refill()
        assert bench.states() == "f" * 20 + "hh" + "p" * (SIZE - 2), "nothing was written down"
        await bench.compare()
        assert bench.states() == "f" * 20 + "hh" + "p" * (SIZE - 2) + "b" + "pp"
        assert is_level(bench)
        assert [event.fields["addresses"] for event in bench.told("address.foreign")] == [1]

    scenario(play)


@pytest.mark.parametrize("who", [0, 1, 2])
@pytest.mark.parametrize("change", [-1, -3, 1])
def test_a_daemon_that_lists_other_places_than_it_did_is_found_out(who: int, change: int) -> None:
    """It was killed between two probes and forgot, or somebody asked it: nobody gets what he must not get."""

    async def play() -> None:
        bench = await filled()
        listed = bench.daemons[who].listed
        bench.daemons[who].listed = listed[:change] if change < 0 else listed + prefixed(len(listed))
        task = bench.loop.create_task(bench.mirror.run())
        bench.keeper.took(SIZE - 2)
        told: list[str | None] = []
        for _ in range(10):
            await asyncio.sleep(2 * OWED)
            told += [bench.take() for _ in range(3)]
        task.cancel()
        assert None not in told
        assert len(set(told)) == len(told)
        assert bench.listed() == [f"qa{n}" for n in range(len(bench.listed()))]
        assert is_level(bench)
        assert not bench.told("backend.diverged")

    scenario(play)


@pytest.mark.parametrize("backends", [1, 3])
def test_a_primary_that_forgot_derives_one_address_and_no_standby_any(backends: int) -> None:
    """What it answers with is known, so the comparison has to bring it past all of them first."""

    async def play() -> None:
        bench = await filled(backends)
        del bench.daemons[0].listed[-3:]
        assert not await bench.mirror.refill()
        assert asked(bench) == {("ec-1", "createnewaddress"): 1}
        await bench.compare()
        assert bench.states() == "f" * 20 + "hh" + "p" * SIZE
        assert is_level(bench)
        assert not bench.told("address.foreign")

    scenario(play)


def test_a_standby_of_another_seed_that_took_the_place_of_one_is_told_by_the_comparison() -> None:
    """The refill judges nobody; the pool is filled without that one."""

    async def play() -> None:
        bench = await filled()
        bench.daemons[1].listed = [one.replace("qa", "qz") for one in bench.daemons[1].listed]
        bench.daemons[1].seed = "qz"
        assert not await bench.mirror.refill()
        assert not bench.told("backend.diverged")
        await bench.compare()
        assert [event.backend for event in bench.told("backend.diverged")] == ["ec-2"]
        assert bench.states() == "f" * 20 + "hh" + "p" * SIZE

    scenario(play)


def test_nothing_is_for_the_pool_before_a_standby_that_has_become_slow_lists_it() -> None:
    """It goes on by itself, and what was derived by then is still ours."""

    async def play() -> None:
        bench = await filled()
        bench.daemons[2].seconds = lambda method: SOON if method == "createnewaddress" else 0.001
        assert not await bench.mirror.refill()
        assert bench.states() == "f" * 20 + "hh" + "p" * (SIZE - 2)
        task = bench.loop.create_task(bench.mirror.run())
        await asyncio.sleep(4 * OWED)
        task.cancel()
        assert bench.states() == "f" * 20 + "hh" + "p" * SIZE
        assert is_level(bench)
        assert not bench.told("address.foreign")

    scenario(play)


def test_while_a_daemon_is_not_known_to_be_level_everything_is_compared() -> None:
    """Also now and then, for what nobody has heard of."""

    async def play() -> None:
        bench = await filled()
        two = bench.pool.by_name["ec-2"]
        bench.pool.lose_alignment(two, "was away")
        assert not await bench.mirror.refill()
        bench.pool.mark_aligned(two, bench.pool.written)
        bench.pool.doubt_primary()
        assert not await bench.mirror.refill()
        bench.pool.mark_primary_checked(bench.pool.primary)
        await asyncio.sleep(PERIOD)
        assert not await bench.mirror.refill()
        assert bench.asked == []
        await bench.compare()
        bench.take()
        bench.take()
        assert await bench.mirror.refill()

    scenario(play)


# -- broken off ---------------------------------------------------------------------------------------------------


def test_a_primary_that_is_replaced_in_the_middle_derives_no_more() -> None:
    """And what it derived is written down when the new one lists it."""

    async def play() -> None:
        bench = await filled(size=30)
        for _ in range(10):
            bench.take()
        before = bench.states()

        def overtake(method: str) -> None:
            if method == "createnewaddress" and bench.pool.primary.name == "ec-1":
                bench.promote("ec-2")

        bench.daemons[0].before_answer = overtake
        with pytest.raises(NotNow, match="no longer primary"):
            await bench.mirror.refill()
        assert len(bench.daemons[0].listed) == len(before) + 1
        assert bench.states() == before
        await bench.compare()
        assert bench.states() == before + "p" * 12
        assert not bench.told("address.foreign")

    scenario(play)


def test_a_promotion_just_before_it_is_written_down_writes_nothing() -> None:
    """The epoch of the derivation is over."""

    async def play() -> None:
        bench = await filled()
        before = bench.states()
        bench.daemons[1].before_answer = lambda method: bench.promote("ec-3") if method == "listaddresses" else None
        with pytest.raises(NotNow, match="no longer primary"):
            await bench.mirror.refill()
        assert bench.states() == before
        bench.daemons[1].before_answer = lambda _method: None
        await bench.compare()
        assert bench.states() == before + "pp"

    scenario(play)


def test_a_ledger_that_another_has_written_into_takes_nothing_from_a_refill() -> None:
    """Its count is another one, so places would be shifted."""

    async def play() -> None:
        bench = await filled()
        bench.do(lambda c: addresses.add(c, "main", ["elsewhere"], addresses.BURNT, 1, CLOCK))
        assert await bench.mirror.refill()
        assert bench.states()[-1] == "b"
        assert bench.listed()[-1] == "elsewhere"

    scenario(play)


def test_a_disk_that_was_full_is_tried_again_soon() -> None:
    """By a comparison, which finds what was derived."""

    async def play() -> None:
        bench = await filled()

        def fill_up(method: str) -> None:
            bench.ledger.is_full = bench.ledger.is_full or method == "createnewaddress"

        bench.daemons[0].before_answer = fill_up
        task = bench.loop.create_task(bench.mirror.run())
        await asyncio.sleep(0.1)
        bench.daemons[0].before_answer = lambda _method: None
        bench.ledger.is_full = False
        assert len(bench.daemons[0].listed) == 22 + SIZE
        await asyncio.sleep(2 * OWED)
        assert bench.states() == "f" * 20 + "hh" + "p" * SIZE
        assert not bench.told("address.foreign")
        task.cancel()

    scenario(play)


# -- use ----------------------------------------------------------------------------------------------------------


def test_new_addresses_are_looked_at_when_the_daemons_have_heard_what_is_on_them() -> None:
    """Not at the next round only; and looks leave the daemons time for others."""

    async def play() -> None:
        bench = await filled()
        watch = bench.loop.create_task(bench.keeper.use.run())
        await asyncio.sleep(0.1)
        assert await bench.mirror.refill()
        bench.asked.clear()
        await asyncio.sleep(HEARD / 2)
        bench.daemons[1].used = {f"bchreg:qa{20 + SIZE}"}
        assert bench.asked == []
        await asyncio.sleep(HEARD)
        watch.cancel()
        assert bench.states() == "f" * 20 + "hh" + "p" * (SIZE - 2) + "bp"
        assert [event.backend for event in bench.told("address.burnt")] == ["ec-2"]

    scenario(play)
