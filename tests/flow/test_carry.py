"""A carried call goes the ordinary way once, outlives its caller, and says in which epoch it was sent."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.base.effects import Bound, Effect
from gateway.base.errors import DEADLINE_BEFORE_SEND, NO_BACKEND, OUTCOME_UNKNOWN, Failure
from gateway.base.jsonrpc import Answer
from gateway.flow.carry import Carried, carrier
from gateway.profiles import load
from gateway.rules.methods import Granted
from tests.simulation.world import World
from tests.virtual_time import run_virtual

PROFILE = load("electron-cash")


def granted(method: str, params: bytes = b'["x"]') -> Granted:
    """A call that may be made."""
    row = PROFILE.methods[method]
    return Granted(row, row.effect, row.bound, params)


def scenario(play: Callable[[World], Coroutine[Any, Any, None]], backends: int = 2) -> None:
    """Play a scenario with daemons that are well, in epoch 3."""

    async def run() -> None:
        world = World(backends, 1)
        world.start()
        await asyncio.sleep(1.0)
        world.plant.pool.epoch = 3
        await asyncio.sleep(1.0)
        await play(world)
        await world.stop()
        assert not world.crashes

    run_virtual(run())


async def carry(world: World, call: Granted, patience: float = 5.0) -> Carried:
    """Carry a call."""
    return await carrier(world.plant.runner)("shop", call, world.loop.time() + patience)


def runs(world: World, method: str) -> list[str]:
    """Which daemons ran a method, once for each time."""
    return [daemon.name for daemon in world.daemons for _, name, _ in daemon.journal if name == method]


def test_what_comes_back_says_who_answered_and_in_which_epoch_it_was_sent() -> None:
    """The primary's answer, under the id that its journal has."""

    async def play(world: World) -> None:
        found = await carry(world, granted("payto"))
        assert isinstance(found.result, Answer)
        assert (found.epoch, found.backend) == (3, "ec-1")
        assert found.request in [request for request, _, _ in world.daemons[0].journal]

    scenario(play)


def test_a_promotion_after_it_was_sent_does_not_change_its_epoch() -> None:
    """Whoever writes the answer down compares, and withholds it."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda method: 1.0 if method == "payto" else 0.0003
        task = world.loop.create_task(carry(world, granted("payto")))
        await asyncio.sleep(0.5)
        world.plant.pool.set_primary(world.plant.pool.by_name["ec-2"], 4)
        found = await task
        assert isinstance(found.result, Answer)
        assert (found.epoch, found.backend) == (3, "ec-1")

    scenario(play)


def test_one_that_still_waits_goes_to_the_new_primary_in_the_new_epoch() -> None:
    """Nothing of it was sent before."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda method: 2.0 if method == "payto" else 0.0003
        first = world.loop.create_task(carry(world, granted("payto", b'["first"]')))
        await asyncio.sleep(0.1)
        second = world.loop.create_task(carry(world, granted("payto", b'["second"]')))
        await asyncio.sleep(0.1)
        world.plant.pool.set_primary(world.plant.pool.by_name["ec-2"], 4)
        found = await second
        assert (found.epoch, found.backend) == (4, "ec-2")
        assert (await first).epoch == 3

    scenario(play)


@pytest.mark.parametrize("kind", ["dead", "busy"])
def test_one_that_was_never_sent_has_no_epoch(kind: str) -> None:
    """And its failure says that nothing was."""

    async def play(world: World) -> None:
        if kind == "dead":
            for daemon in world.daemons:
                daemon.kill()
            await asyncio.sleep(3.0)
        else:
            world.daemons[0].service = lambda method: 3.0 if method == "payto" else 0.0003
            world.loop.create_task(carry(world, granted("payto", b'["first"]'))).add_done_callback(lambda _task: None)
            await asyncio.sleep(0.1)
        found = await carry(world, granted("payto", b'["second"]'), 1.0)
        assert isinstance(found.result, Failure)
        assert found.result.kind in (NO_BACKEND, DEADLINE_BEFORE_SEND)
        assert found.epoch == 0
        await asyncio.sleep(4.0)
        assert all(params != ["second"] for daemon in world.daemons for _, _, params in daemon.journal)

    scenario(play)


def test_what_was_sent_and_not_answered_is_never_sent_again_by_itself() -> None:
    """Not to the same daemon, and not to another."""

    async def play(world: World) -> None:
        world.daemons[0].mangle = lambda method: "empty" if method == "payto" else None
        found = await carry(world, granted("payto"))
        assert isinstance(found.result, Failure)
        assert found.result.kind is OUTCOME_UNKNOWN
        assert (found.epoch, found.backend) == (3, "ec-1")
        await asyncio.sleep(10.0)
        assert runs(world, "payto") == ["ec-1"]

    scenario(play)


def test_nobody_who_hangs_up_ends_it() -> None:
    """Whether it was sent or still waits: it is run once."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda method: 1.0 if method == "setlabel" else 0.0003
        tasks = [
            world.loop.create_task(carry(world, granted("setlabel", json.dumps([f"t{n}", "x"]).encode())))
            for n in range(2)
        ]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
        await asyncio.sleep(3.0)
        assert runs(world, "setlabel") == ["ec-1", "ec-1"]

    scenario(play)


def test_the_same_bytes_on_their_way_are_broadcast_once_for_all_who_want_them() -> None:
    """Other bytes go by themselves, and later ones too."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.service = lambda method: 1.0 if method == "broadcast" else 0.0003
        same = [world.loop.create_task(carry(world, granted("broadcast", b'["aa"]'))) for _ in range(3)]
        other = world.loop.create_task(carry(world, granted("broadcast", b'["bb"]'), 9.0))
        found = await asyncio.gather(*same)
        assert len({one.request for one in found}) == 1
        assert {one.epoch for one in found} == {3}
        await other
        assert len(runs(world, "broadcast")) == 2
        await carry(world, granted("broadcast", b'["aa"]'))
        assert len(runs(world, "broadcast")) == 3

    scenario(play)


def test_payments_that_look_the_same_are_two_payments() -> None:
    """Only the bytes of a broadcast make two calls one."""

    async def play(world: World) -> None:
        await asyncio.gather(carry(world, granted("payto")), carry(world, granted("payto")))
        assert runs(world, "payto") == ["ec-1", "ec-1"]

    scenario(play)


def test_a_caller_with_less_patience_is_answered_by_his_own_deadline() -> None:
    """The broadcast that he joined goes on for the other."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.service = lambda method: 2.0 if method == "broadcast" else 0.0003
        patient = world.loop.create_task(carry(world, granted("broadcast"), 9.0))
        began = world.loop.time()
        found = await carry(world, granted("broadcast"), 0.5)
        assert world.loop.time() - began <= 0.55
        assert isinstance(found.result, Failure)
        assert found.result.kind is OUTCOME_UNKNOWN
        assert found.epoch == 3
        assert isinstance((await patient).result, Answer)

    scenario(play)


def test_a_call_that_asks_the_chain_server_leaves_the_primary_free() -> None:
    """A broadcast goes to a standby where there is one."""

    async def play(world: World) -> None:
        call = Granted(PROFILE.methods["broadcast"], Effect.PUBLISH, Bound.SERVER, b'["aa"]')
        assert (await carry(world, call)).backend == "ec-2"

    scenario(play)
