"""What the alerts see of a wallet: fake daemons in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.base.config import Settings
from gateway.base.errors import ConfigError
from gateway.base.events import Event
from gateway.ledger.epochs import ADOPTED, DOUBTED, NEW, UNADOPTED
from gateway.rules import health
from gateway.rules.conditions import WalletView
from gateway.rules.kinds import ROWS, Kind
from gateway.upstream.launchers import Memory, State, Status
from gateway.watch import alerts_of, check_sinks, history_of, views
from tests.simulation.world import World
from tests.supervision.care_bench import CareBench
from tests.virtual_time import run_virtual


def play(scene: Callable[[World], Coroutine[Any, Any, None]], backends: int = 2) -> None:
    """Play a scene in a world whose backends are all ready."""

    async def live() -> None:
        world = World(backends, 1)
        world.start()
        await asyncio.sleep(2.0)
        await scene(world)
        await world.stop()

    run_virtual(live())


def see(world: World) -> WalletView:
    """Look once."""
    (view,) = views([world.plant], asyncio.get_running_loop().time())
    return view


def test_a_wallet_that_is_well_is_seen_so() -> None:
    """Everything serves, nothing waits; without a ledger nothing is said of one."""

    async def scene(world: World) -> None:
        view = see(world)
        assert [(one.name, one.is_serving, one.kind, one.failures, one.silent_for) for one in view.backends] == [
            ("ec-1", True, health.Kind.OK, 0, 0.0),
            ("ec-2", True, health.Kind.OK, 0, 0.0),
        ]
        assert (view.longest_wait, view.pool_share, view.ledger_error, view.is_unadopted) == (0.0, None, "", False)

    play(scene)


def test_a_database_that_may_forget_opens_one_alert_and_closes_it_when_it_is_mended() -> None:
    """At the holder, and at a follower, which has no rooms."""

    async def live() -> None:
        loop = asyncio.get_running_loop()
        world = World(2, 1)
        world.start()
        await asyncio.sleep(2.0)
        for plants, elsewhere in (({"main": world.plant}, ()), ({}, (WalletView("main"),))):
            why, told = [""], list[Event]()
            alerts = alerts_of(
                world.settings, lambda plants=plants: plants, told.append, loop, lambda seen=elsewhere: seen,  # type: ignore[misc]  # of this round
                lambda why=why: why[0],  # type: ignore[misc]  # the same
            )  # fmt: skip
            alerts.start()
            await asyncio.sleep(5.0)
            why[0] = "has fsync off"
            await asyncio.sleep(ROWS[Kind.UNSAFE].delay - 2.0)
            assert told == []
            await asyncio.sleep(300.0)
            (opened,) = [one for one in told if one.name == "alert.opened"]
            assert (opened.fields["alert"], opened.level) == ("unsafe", "error")
            why[0] = ""
            await asyncio.sleep(world.settings.alerts.settle + 2.0)
            (closed,) = [one for one in told if one.name == "alert.closed"]
            assert "watched here no more" not in str(closed.fields)
            await alerts.stop()
        await world.stop()

    run_virtual(live())


def test_a_gateway_that_has_just_begun_excuses_its_daemons() -> None:
    """They are not heard of yet, and nobody is woken for that."""

    async def live() -> None:
        world = World(2, 1)
        view = see(world)
        assert [(one.is_serving, one.is_excused) for one in view.backends] == [(False, True)] * 2
        await world.stop()

    run_virtual(live())


def test_a_drained_daemon_is_excused() -> None:
    """Somebody has meant it."""

    async def scene(world: World) -> None:
        world.plant.pool.by_name["ec-2"].is_drained = True
        found = see(world).backends
        assert [one.is_excused for one in found] == [False, True]
        assert [(one.is_serving, one.is_drained) for one in found] == [(True, False), (False, True)]

    play(scene)


def test_a_daemon_that_is_restarted_before_it_ever_served_is_not_excused() -> None:
    """A restart lends the same excuse as a start, and would keep everybody asleep until its last limit has passed."""

    async def live() -> None:
        bench = CareBench(1)
        bench.daemons[0].kill()
        bench.daemons[0].starts_within = 20.0
        (before,) = next(iter(views([bench.plant], bench.loop.time()))).backends
        assert before.is_excused
        bench.plant.start()
        await bench.until(lambda: bool(bench.told("restart.begun")))
        while bench.plant.supervisor.restarts:
            (view,) = next(iter(views([bench.plant], bench.loop.time()))).backends
            assert (view.is_serving, view.is_excused) == (False, False) or view.is_serving
            await asyncio.sleep(0.5)
        await bench.plant.stop()

    run_virtual(live())


def test_why_a_daemon_could_not_be_restarted_is_seen() -> None:
    """Its launcher does not answer, or there is nothing of its name; as long as that is so."""

    async def scene(world: World) -> None:
        seen = world.plant.supervisor.watching.of("ec-1")
        told = []
        for seen.error, seen.status in (
            ("no socket", None),
            ("", Status(State.ABSENT, detail="no such container as w")),
            ("", Status(State.ABSENT)),
            ("", Status(State.EXITED)),
            ("", None),
        ):
            told.append(see(world).backends[0].launcher_error)
        assert told == ["no socket", "no such container as w", "its launcher knows nothing of that name", "", ""]

    play(scene)


def test_a_frozen_daemon_is_seen_to_be_silent_for_so_long() -> None:
    """And is out of service."""

    async def scene(world: World) -> None:
        world.daemons[0].freeze()
        await asyncio.sleep(12.0)
        frozen, well = see(world).backends
        assert not frozen.is_serving
        assert frozen.kind is health.Kind.WEDGED
        assert 10.0 < frozen.silent_for <= 12.0
        assert well.silent_for == 0.0

    play(scene)


def test_a_call_that_is_under_way_for_long_is_seen() -> None:
    """Also when its client has gone and the daemon still has it."""

    async def scene(world: World) -> None:
        for daemon in world.daemons:
            daemon.service = lambda _method: 20.0
        call = asyncio.ensure_future(world.ask("setlabel"))
        await asyncio.sleep(5.0)
        assert see(world).longest_wait == pytest.approx(5.0, abs=0.5)
        await call
        assert see(world).longest_wait > 8.0

    play(scene, backends=1)


def test_a_call_that_waits_for_a_daemon_is_seen() -> None:
    """Nothing of it is in any daemon."""

    async def scene(world: World) -> None:
        backend = world.plant.pool.by_name["ec-1"]
        backend.is_drained = True
        world.plant.pool.refresh()
        call = asyncio.ensure_future(world.ask("validateaddress"))
        await asyncio.sleep(5.0)
        assert not backend.occupants
        assert see(world).longest_wait == pytest.approx(5.0, abs=0.5)
        await call

    play(scene, backends=1)


def test_memory_is_what_the_launcher_has_said() -> None:
    """Nothing where there is no launcher."""

    async def scene(world: World) -> None:
        world.plant.supervisor.watching.of("ec-1").memory = Memory(90, 100)
        assert [one.memory_share for one in see(world).backends] == [0.9, None]

    play(scene)


@pytest.mark.parametrize(
    ("state", "trouble", "share", "unadopted", "doubted"),
    [
        (ADOPTED, "", 0.2, False, False),
        (ADOPTED, "another wallet has this seed", 0.2, False, False),
        (DOUBTED, "", 0.2, False, True),
        (NEW, "two seeds", None, False, False),
        (UNADOPTED, "", None, True, False),
    ],
)
def test_what_the_ledger_s_rooms_know_is_seen(
    state: str, trouble: str, share: float | None, *, unadopted: bool, doubted: bool
) -> None:
    """A pool that was never filled is not low."""

    async def scene(world: World) -> None:
        money: Any = SimpleNamespace(
            keeper=SimpleNamespace(
                free=6, size=30, state=state, trouble=trouble, is_adopted=state in (ADOPTED, DOUBTED)
            ),
            rooms=SimpleNamespace(settler=SimpleNamespace(unknown=2, oldest=7.0)),
            book=SimpleNamespace(ledger=SimpleNamespace(last_error="disk full")),
        )
        world.plant.money = money
        try:
            view = see(world)
        finally:
            world.plant.money = None
        assert (view.pool_share, view.is_unadopted, view.is_doubted) == (share, unadopted, doubted)
        assert view.why_no_address == trouble
        assert (view.broadcasts_unknown, view.held_for, view.ledger_error) == (2, 7.0, "disk full")

    play(scene)


def test_every_mistake_of_every_sink_is_told_with_its_key() -> None:
    """In one run."""
    backend = {"name": "ec-1", "url": "http://127.0.0.1:1"}
    sinks = [{"name": "pager", "kind": "webhook", "url": "https://there/"}, {"name": "chat", "kind": "pigeon"}]
    settings = Settings.model_validate(
        {"anonymous": True, "wallets": {"main": {"backends": [backend]}}, "alerts": {"sinks": sinks}}
    )
    with pytest.raises(ConfigError) as caught:
        check_sinks(settings)
    assert [problem.key for problem in caught.value.problems] == ["alerts.sinks.pager.secret", "alerts.sinks.chat.kind"]


@pytest.mark.parametrize(("cluster", "name"), [(None, ""), (SimpleNamespace(name="gw-1"), "gw-1")])
def test_the_history_has_the_name_of_its_gateway_among_others(cluster: Any, name: str) -> None:
    """Rows of several lie in one ledger; what is seen is the wallets that have rooms here."""

    async def scene(world: World) -> None:
        settings: Any = SimpleNamespace(cluster=cluster)
        plants = {"main": world.plant}
        history = history_of(settings, lambda: plants, lambda _event: None, asyncio.get_running_loop())
        history.look()
        assert (history.gateway, history.past.gateway) == (name, name)
        assert {place: one.is_serving for place, one in history.services.places().items()} == {
            ("main", ""): True, ("main", "ec-1"): True, ("main", "ec-2"): True,
        }  # fmt: skip
        plants.clear()
        history.look()
        assert history.services.places() == {}

    play(scene)
