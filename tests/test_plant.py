"""One wallet's rooms put together, and new settings while calls are under way; fake daemons in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.base.config import Backend as BackendSettings
from gateway.base.config import Settings
from tests.simulation.world import World, settings
from tests.virtual_time import run_virtual


def play(scene: Callable[[World], Coroutine[Any, Any, None]], backends: int = 3) -> World:
    """Play a scene in a world whose backends are all ready and aligned."""

    async def live() -> World:
        world = World(backends, 1)
        world.start()
        await asyncio.sleep(2.0)
        await scene(world)
        await world.stop()
        return world

    return run_virtual(live())


def changed(world: World, **of_wallet: object) -> Settings:
    """The world's settings with a changed wallet."""
    main = world.settings.wallets["main"].model_copy(update=of_wallet)
    return world.settings.model_copy(update={"wallets": {"main": main}})


def take(world: World, new: Settings) -> None:
    """Let the plant take new settings."""
    targets = {daemon.name: daemon.target for daemon in world.daemons}
    world.plant.update(new, targets)  # type: ignore[arg-type]  # fake targets


def test_a_backend_whose_settings_are_the_same_keeps_its_life() -> None:
    """The changed one begins anew, the removed one is drained, the others go on."""

    async def scene(world: World) -> None:
        before = dict(world.plant.pool.by_name)
        first, second, _ = world.settings.wallets["main"].backends
        other = BackendSettings(name=second.name, url="http://127.0.0.1:1")
        take(world, changed(world, backends=(first, other)))
        after = world.plant.pool.by_name
        assert after["ec-1"] is before["ec-1"]
        assert after["ec-2"] is not before["ec-2"]
        assert after["ec-2"].phase.value == "STARTING"
        assert before["ec-2"].is_drained
        assert before["ec-3"].is_drained
        assert not before["ec-3"].takes_calls
        await asyncio.sleep(1.0)
        assert after["ec-2"].phase.value == "READY"

    play(scene)


def test_calls_under_way_outlive_a_reload() -> None:
    """The one in a daemon that is taken out, and the one that waits behind it."""

    async def scene(world: World) -> None:
        for daemon in world.daemons:
            daemon.service = lambda _method: 0.5
        calls = [world.ask("validateaddress", tag=f"v{number}") for number in range(6)]
        await asyncio.sleep(0.1)
        take(world, changed(world, backends=world.settings.wallets["main"].backends[:1]))
        await asyncio.gather(*calls)

    world = play(scene)
    assert all("result" in told.reply for told in world.told)


def test_a_money_call_stays_with_the_primary_that_had_it() -> None:
    """A reload names another primary: the call that was sent is not sent to that one as well."""

    async def scene(world: World) -> None:
        world.daemons[0].service = lambda _method: 0.5
        call = world.ask("setlabel")
        await asyncio.sleep(0.1)
        take(world, changed(world, primary="ec-2"))
        assert world.plant.pool.primary.name == "ec-2"
        await call
        await world.ask("setlabel")

    world = play(scene)
    assert ["result" in told.reply for told in world.told] == [True, True]
    ran = {d.name: [method for _, method, _ in d.journal].count("setlabel") for d in world.daemons}
    assert ran == {"ec-1": 1, "ec-2": 1, "ec-3": 0}


def test_the_mirror_begins_and_ends_as_the_settings_want() -> None:
    """Without it nothing is derived on a standby, with it again the standby is brought up."""

    async def scene(world: World) -> None:
        def derived() -> int:
            return [method for _, method, _ in world.daemons[1].journal].count("createnewaddress")

        take(world, changed(world, mirror=False))
        await world.ask("createnewaddress")
        await asyncio.sleep(30.0)
        assert derived() == 0
        take(world, changed(world, mirror=True))
        await asyncio.sleep(30.0)
        assert derived() == 1

    play(scene)


def test_other_circuits_and_times_are_taken_over() -> None:
    """By backends that live on, too."""

    async def scene(world: World) -> None:
        backend = world.plant.pool.by_name["ec-1"]
        circuit = backend.breaker
        take(world, world.settings)
        assert backend.breaker is circuit
        new = settings(3, breaker={"failures": 7}, health={"ewma": 3.0}, queue={"max_waiting": 5})
        take(world, new)
        assert world.plant.pool.by_name["ec-1"] is backend
        assert backend.breaker is not circuit
        assert backend.latency.tau == 3.0
        assert world.plant.runner.queue.max_waiting == 5

    play(scene)


def test_another_profile_makes_every_backend_anew() -> None:
    """What was known of them was asked in another language."""

    async def scene(world: World) -> None:
        before = set(world.plant.pool.backends)
        take(world, changed(world, profile="electrum"))
        assert not before & set(world.plant.pool.backends)
        assert world.plant.profile.name == world.plant.prober.profile.name == "electrum"
        assert world.plant.pool.by_name["ec-1"].slots == world.plant.profile.slots

    play(scene)


def test_what_ails_is_told_though_others_stand_in() -> None:
    """Not ready only when nobody takes calls; then each of them is named."""

    async def scene(world: World) -> None:
        assert world.plant.why_not_ready() == world.plant.what_ails() == []
        world.daemons[1].kill()
        await asyncio.sleep(3.0)
        assert world.plant.why_not_ready() == []
        assert world.plant.what_ails() == ["ec-2: dead, refuses connections"]
        for daemon in world.daemons:
            daemon.kill()
        await asyncio.sleep(3.0)
        assert world.plant.why_not_ready() == [f"ec-{n}: dead, refuses connections" for n in (1, 2, 3)]

    play(scene)


def test_a_wallet_that_nobody_serves_has_a_reason() -> None:
    """Also in the moment between a doubt and what a probe finds."""

    async def scene(world: World) -> None:
        backend = world.plant.pool.primary
        world.plant.pool.suspect(backend, world.loop.time(), "half")
        assert world.plant.why_not_ready() == ["ec-1: suspected (half), waits for a probe"]

    play(scene, backends=1)


@pytest.mark.parametrize("method", ["setlabel", "getbalance"])
def test_giving_up_says_of_each_call_what_is_known(method: str) -> None:
    """Sent is unknown, waiting is not executed; and what was called not executed never runs afterwards."""

    async def scene(world: World) -> None:
        for daemon in world.daemons:
            daemon.freeze()
        calls = [world.ask(method, tag=f"call {number}") for number in range(5)]
        await asyncio.sleep(0.3)
        assert world.plant.calls == 5
        world.plant.give_up()
        await asyncio.gather(*calls)
        assert world.plant.calls == 0 or all(errand.is_done for errand in world.plant.runner.errands)
        for daemon in world.daemons:
            daemon.thaw()
        await asyncio.sleep(5.0)

    world = play(scene)
    ran = {params[0] for d in world.daemons for _, name, params in d.journal if name == method}  # type: ignore[index]  # a list
    for told in world.told:
        error = told.reply["error"]
        assert isinstance(error, dict)
        executed = error["data"]["executed"]
        assert "the gateway stops" in error["message"]
        assert executed == ("no" if error["code"] == -32001 else "unknown")
        if executed == "no":
            assert told.tag not in ran
    assert {told.reply["error"]["code"] for told in world.told} == {-32001, -32004}  # type: ignore[index]  # checked above


@pytest.mark.parametrize("method", ["setlabel", "getbalance"])
def test_giving_up_for_another_gateway_keeps_nobody_from_going_there(method: str) -> None:
    """Reads, and what was not sent, may be asked of the next holder; what was sent and changes something is unknown."""

    async def scene(world: World) -> None:
        for daemon in world.daemons:
            daemon.freeze()
        calls = [world.ask(method, tag=f"call {number}") for number in range(5)]
        await asyncio.sleep(0.3)
        world.plant.give_up(moved=True)
        await asyncio.gather(*calls)

    world = play(scene)
    codes = [told.reply["error"]["code"] for told in world.told]  # type: ignore[index]  # all are errors
    assert codes.count(-32011) == (5 if method == "getbalance" else 4)
    assert codes.count(-32004) == (0 if method == "getbalance" else 1)


@pytest.mark.parametrize("method", ["setlabel", "getbalance"])
def test_moving_on_leaves_what_was_sent_to_its_end(method: str) -> None:
    """What waits goes to the next holder at once, never runs here, and only what changes something is waited for."""

    async def scene(world: World) -> None:
        for daemon in world.daemons:
            daemon.freeze()
        calls = [world.ask(method, tag=f"call {number}") for number in range(5)]
        await asyncio.sleep(0.1)
        sent = sum(one.may_have_run for one in world.plant.runner.errands)
        assert world.plant.immovable == (1 if method == "setlabel" else 0)
        world.plant.move_on()
        await asyncio.sleep(0.1)
        assert world.plant.calls == sent
        for daemon in world.daemons:
            daemon.thaw()
        await asyncio.gather(*calls)
        assert (world.plant.calls, world.plant.immovable) == (0, 0)

    world = play(scene)
    moved = [told for told in world.told if "error" in told.reply]
    assert {told.reply["error"]["code"] for told in moved} == {-32011}  # type: ignore[index]  # all are errors
    assert 0 < len(world.told) - len(moved) <= 3
    ran = {params[0] for d in world.daemons for _, name, params in d.journal if name == method}  # type: ignore[index]  # a list
    assert ran.isdisjoint(told.tag for told in moved)


def test_status_and_figures_name_every_backend() -> None:
    """One phase and one kind of each is 1, all others 0; no address, no secret."""

    async def scene(world: World) -> None:
        world.daemons[2].kill()
        await asyncio.sleep(3.0)
        now = world.loop.time()
        status = world.plant.status(now)
        listed = status["backends"]
        assert isinstance(listed, list)
        assert [(row["name"], row["phase"], row["kind"]) for row in listed] == [
            ("ec-1", "READY", "ok"),
            ("ec-2", "READY", "ok"),
            ("ec-3", "EJECTED", "dead"),
        ]
        gauges = list(world.plant.gauges(now))
        for name, label in (("backend_phase", "phase"), ("backend_kind", "kind")):
            for backend in ("ec-1", "ec-2", "ec-3"):
                found = {
                    labels[label]: value
                    for one, labels, value in gauges
                    if one == name and labels["backend"] == backend
                }
                assert sum(found.values()) == 1.0
                assert len(found) > 1
        assert "address-" not in str(status) + str(gauges)

    play(scene)
