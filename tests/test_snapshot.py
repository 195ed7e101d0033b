"""What the operators' door shows of the whole gateway: fake daemons in virtual time."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.base.config import Settings
from gateway.base.events import Event
from gateway.edge.admin_stream import essence
from gateway.ledger.store import InlineLedger
from gateway.ledger.timing import Timing
from gateway.observe.rates import SPARKS, Rates
from gateway.snapshot import PATIENCE, Snapshots, place
from gateway.watch import alerts_of
from tests.simulation.money_world import CLOCK, MoneyWorld
from tests.simulation.world import World
from tests.virtual_time import run_virtual

WALL = 1_800_000_000.0


class Shown:
    """A world and the snapshots of it."""

    def __init__(self, world: World, cluster: object = None) -> None:
        """Look at it."""
        self.world = world
        self.loop = asyncio.get_running_loop()
        self.slip = 0.0
        self.events: list[Event] = []
        self.rates = Rates(self.clock())
        plants = {"main": world.plant}
        self.alerts = alerts_of(world.settings, lambda: plants, self.events.append, self.loop)
        self.alerts.clock = self.clock
        self.snapshots = Snapshots(
            lambda: world.settings, lambda: plants, lambda: ["main", *(["savings"] if cluster else [])],
            lambda: cluster, self.alerts, self.rates, lambda: False, self.loop.time, self.clock,  # type: ignore[arg-type,return-value]  # as far as it is asked
        )  # fmt: skip

    def clock(self) -> float:
        """Seconds since 1970."""
        return WALL + self.loop.time() + self.slip

    def whole(self) -> dict[str, Any]:
        """Make one, as JSON has it."""
        found: dict[str, Any] = json.loads(json.dumps(self.snapshots.whole()))
        return found

    def first(self) -> dict[str, Any]:
        """The first backend."""
        found: dict[str, Any] = self.whole()["wallets"]["main"]["backends"][0]
        return found


def play(scene: Callable[[Shown], Coroutine[Any, Any, None]], cluster: object = None) -> None:
    """Play a scene in a world whose two backends are ready."""

    async def live() -> None:
        world = World(2, 1)
        shown = Shown(world, cluster)
        world.start()
        await asyncio.sleep(2.0)
        await scene(shown)
        await world.stop()

    run_virtual(live())


def test_how_the_ledger_answers_is_shown_whoever_holds_the_wallets() -> None:
    """Why it is not open where it is not; its figures alone are no reason to send a snapshot."""

    async def scene(shown: Shown) -> None:
        assert shown.whole()["ledger"] is None
        assert shown.whole()["peer_calls"] is None
        ledger = InlineLedger(None)
        ledger.timing = Timing(shown.loop.time)
        shown.snapshots.book = lambda: ledger
        before = essence(shown.whole())
        none = {"count": 0, "failed": 0, "usual_ms": None, "slowest_ms": 0.0, "waiting": 0, "waits_ms": 0.0}
        assert shown.whole()["ledger"] == {"error": "", "transactions": none}
        with ledger.timing.measured():
            await asyncio.sleep(2.3)
            assert shown.whole()["ledger"]["transactions"] == none | {
                "slowest_ms": 2300.0, "waiting": 1, "waits_ms": 2300.0,
            }  # fmt: skip
        found = shown.whole()["ledger"]["transactions"]
        assert found == none | {"count": 1, "usual_ms": 2300.0, "slowest_ms": 2300.0}
        assert essence({"ledger": shown.whole()["ledger"]}) == {"ledger": {"error": ""}}
        assert "ledger" in str(before)
        shown.snapshots.book = lambda: "the disk is away"
        assert shown.whole()["ledger"] == {"error": "the disk is away", "transactions": None}

    play(scene)


def test_it_has_the_gateway_its_wallets_and_their_daemons() -> None:
    """With what only operators are shown: where daemons listen, without a password."""

    async def scene(shown: Shown) -> None:
        found = shown.whole()
        assert (found["sandbox"], found["draining"], found["alerts"]) == (False, False, [])
        assert found["started_at"] == WALL + 1000.0
        assert found["time"] == WALL + 1002.0
        wallet = found["wallets"]["main"]
        assert (wallet["slots"], wallet["slots_taken"], wallet["not_ready"]) == (2, 0, [])
        assert (wallet["addresses"], wallet["unresolved"]) == (None, 0)
        backend = wallet["backends"][0]
        assert (backend["name"], backend["url"], backend["slots"]) == ("ec-1", "127.0.0.1:20001", 1)
        assert backend["sparkline"] == [None] * SPARKS
        assert isinstance(backend["horizon"], int)

    play(scene)


def test_two_of_them_are_alike_while_nothing_happens() -> None:
    """But for figures: a moment is a moment, however often it is told."""

    async def scene(shown: Shown) -> None:
        await asyncio.sleep(30.0)
        before = shown.whole()
        for _ in range(7):
            await asyncio.sleep(1.37)
            assert essence(shown.whole()) == essence(before)
        assert shown.whole() != before

    play(scene)


def test_a_daemon_that_freezes_shows_within_two_seconds() -> None:
    """By its phase, and since when."""

    async def scene(shown: Shown) -> None:
        before = shown.first()
        frozen_at = shown.clock()
        shown.world.daemons[0].freeze()
        await asyncio.sleep(2.0)
        after = shown.first()
        assert (before["phase"], after["phase"]) == ("READY", "EJECTED")
        assert frozen_at <= after["since"] <= frozen_at + 2.0
        await asyncio.sleep(10.0)
        assert shown.first()["since"] == after["since"]

    play(scene)


def test_a_wallet_that_takes_no_calls_says_since_when_and_when_clients_feel_it() -> None:
    """Also where nobody had the page open; what waits for a start of some seconds feels nothing."""

    async def scene(shown: Shown) -> None:
        def told() -> tuple[object, object]:
            wallet = shown.whole()["wallets"]["main"]
            return wallet["not_ready_since"], wallet["overdue"]

        assert told() == (None, False)
        for daemon in shown.world.daemons:
            daemon.freeze()
        for _ in range(6):
            await asyncio.sleep(1.0)
            shown.snapshots.turn()
        since, is_overdue = told()
        assert isinstance(since, float)
        assert since == pytest.approx(WALL + 1002.0, abs=4.0)
        assert not is_overdue
        await asyncio.sleep(PATIENCE)
        assert told() == (since, True)
        for daemon in shown.world.daemons:
            daemon.thaw()
        await asyncio.sleep(10.0)
        assert told() == (None, False)

    play(scene)


def test_a_wallet_without_rooms_takes_no_calls() -> None:
    """It is not said to be well only because there is nobody to say otherwise; one that was taken out is forgotten."""

    async def scene(shown: Shown) -> None:
        snapshots = shown.snapshots
        snapshots.names = lambda: ["cold"]
        assert shown.whole()["wallets"]["cold"]["not_ready"] == ["it is being started"]
        snapshots.names = lambda: ["main"]
        snapshots.turn()
        assert snapshots._idle_since == {}

    play(scene)


def test_an_alert_that_is_open_is_in_it() -> None:
    """From when it began, and under the id of its messages; what only grows older is no change."""

    async def scene(shown: Shown) -> None:
        shown.alerts.start()
        for daemon in shown.world.daemons:
            daemon.freeze()
        await asyncio.sleep(15.0)
        alerts = {one["kind"]: one for one in shown.whole()["alerts"]}
        down, stuck = alerts["all_down"], alerts["stuck"]
        assert (down["severity"], down["wallet"], down["backend"]) == ("critical", "main", "")
        assert down["docs"] == "docs/alerts.md#all_down"
        assert WALL + 1002.0 <= down["since"] <= WALL + 1006.0
        told = [event.fields["incident"] for event in shown.events if event.name == "alert.opened"]
        assert {down["incident"], stuck["incident"]} <= set(told)
        await asyncio.sleep(5.0)
        again = {one["kind"]: one for one in shown.whole()["alerts"]}
        assert (again["stuck"], again["all_down"]["since"]) == (stuck, down["since"])
        for daemon in shown.world.daemons:
            daemon.thaw()
        await asyncio.sleep(45.0)
        assert shown.whole()["alerts"] == []
        await shown.alerts.stop()

    play(scene)


def test_moments_follow_the_clock_when_the_machine_has_slept() -> None:
    """The loop's time stands still meanwhile; a clock that drifts by less changes nothing."""

    async def scene(shown: Shown) -> None:
        before = shown.first()["since"]
        shown.slip = 0.2
        assert shown.first()["since"] == before
        shown.slip = 3600.0
        assert shown.first()["since"] == before + 3600.0

    play(scene)


def test_the_charts_are_those_of_the_wallets_there_are() -> None:
    """A second of all of them, for whoever has a chart open."""

    async def scene(shown: Shown) -> None:
        shown.snapshots.turn()
        shown.rates.call_ended("main", "ok", 0.01)
        shown.rates.answered("main", "ec-2", 0.02)
        shown.rates.call_ended("gone", "ok", 0.01)
        await asyncio.sleep(1.0)
        shown.snapshots.turn()
        found = shown.snapshots.samples()
        assert found == {
            "time": int(shown.clock()),
            "wallets": {
                "main": {
                    "calls": 1,
                    "errors": 0,
                    "p50_ms": 10.0,
                    "p95_ms": 10.0,
                    "backends": {"ec-1": None, "ec-2": 20.0},
                }
            },
        }
        wallet = shown.whole()["wallets"]["main"]
        assert wallet["rates"] == {"calls": 0.1, "errors": 0.0, "p50_ms": 10.0, "p95_ms": 10.0}
        assert wallet["backends"][1]["sparkline"][-1] == 20.0

    play(scene)


def test_a_wallet_that_is_held_elsewhere_is_shown_with_its_holder() -> None:
    """And with nothing that only its holder knows."""
    lease = {"held": False, "holder": "gw-2", "address": "http://gw-2:7777", "term": 3, "answered_ago": 0.1}
    calls = {"taken": 2, "not_holder": 1, "refused": 0}
    cluster = SimpleNamespace(
        status=lambda _name: lease, why_not_ready=lambda _name: ["gw-2 is not reached from here"],
        peer_calls=lambda: calls,
    )  # fmt: skip

    async def scene(shown: Shown) -> None:
        found = shown.whole()["wallets"]
        assert found["savings"] == {
            "wallet": "savings", "lease": lease, "holder": lease, "not_ready": ["gw-2 is not reached from here"],
            "not_ready_since": WALL + 1002.0, "overdue": False,
        }  # fmt: skip
        assert found["main"]["holder"] == lease
        assert found["main"]["backends"]

    play(scene, cluster)


def test_a_wallet_with_a_ledger_shows_its_pool_of_addresses() -> None:
    """How many are ahead of need and how many were handed out; none of them itself."""

    async def live() -> None:
        world = MoneyWorld(2, 1)
        world.start()
        await asyncio.sleep(5.0)
        assert world.gateway is not None
        plant = world.gateway.plant
        assert plant.money is not None
        loop = asyncio.get_running_loop()
        settings: Settings = plant.settings
        alerts = alerts_of(settings, lambda: {"main": plant}, lambda _event: None, loop)
        snapshots = Snapshots(
            lambda: settings, lambda: {"main": plant}, lambda: ["main"], lambda: None, alerts, Rates(CLOCK),
            lambda: True, loop.time, lambda: CLOCK + loop.time(),
        )  # fmt: skip
        found: dict[str, Any] = json.loads(json.dumps(snapshots.whole()))
        assert found["draining"]
        wallet = found["wallets"]["main"]
        money = plant.money
        assert wallet["addresses"] == {
            "ahead": money.keeper.free, "of": money.keeper.size, "handed": money.keeper.known - money.keeper.free,
        }  # fmt: skip
        assert wallet["addresses"]["ahead"] > 0
        assert {one["horizon"] for one in wallet["backends"]} == {money.keeper.known}
        money.rooms.settler.open_calls, money.rooms.settler.unknown = 2, 1
        assert snapshots.whole()["wallets"]["main"]["unresolved"] == 3  # type: ignore[index]  # a dictionary
        assert "bchreg:" not in json.dumps(found)
        await world.end()

    run_virtual(live())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:hunter2@10.0.0.1:7777/x?y", "10.0.0.1:7777"), ("https://ec-1", "ec-1:443"),
        ("http://ec-1", "ec-1:80"), ("http://[::1]:7777", "[::1]:7777"), ("", ""),
    ],
)  # fmt: skip
def test_where_a_daemon_listens_is_shown_without_its_password(url: str, shown: str) -> None:
    """Host and port, and nothing else that stood there."""
    assert place(url) == shown
