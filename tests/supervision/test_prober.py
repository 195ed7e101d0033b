"""The semantic probe in virtual time: one at a time, through the slot or beside it, and what its answers prove."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from gateway.base.events import Event
from gateway.base.levels import Level
from gateway.fleet.backend import Backend
from gateway.rules.health import Kind
from gateway.rules.lifecycle import Phase
from gateway.supervision.prober import POSTPONED_AT_MOST
from gateway.upstream.wire import Fate
from tests.fakes import FakeDaemon, FakeExchange
from tests.simulation.world import World
from tests.virtual_time import run_virtual

Play = Callable[[World], Coroutine[Any, Any, None]]


def scenario(play: Play, backends: int = 1, *, settle: float = 2.0, **changes: object) -> World:
    """Play a scenario in a world that has run for two seconds."""

    async def live() -> World:
        world = World(backends, 1, **changes)
        world.start()
        await asyncio.sleep(settle)
        await play(world)
        await world.stop()
        return world

    return run_virtual(live())


def backend(world: World, number: int = 0) -> Backend:
    """One backend."""
    return world.plant.pool.backends[number]


async def until(condition: Callable[[], bool]) -> None:
    """Let virtual time pass until something is so."""
    async with asyncio.timeout(60.0):
        while not condition():  # noqa: ASYNC110 - the gateway sets no event for it
            await asyncio.sleep(0.01)


def sent(world: World, daemon: FakeDaemon, since: float = 0.0) -> list[FakeExchange]:
    """The probes that were sent to a daemon."""
    return [
        one for one in world.wire.sent
        if one.daemon is daemon and one.started_at >= since and json.loads(one.body)["method"] == "getinfo"
    ]  # fmt: skip


def ran(daemon: FakeDaemon) -> list[str]:
    """What a daemon ran, in order, without the mirror's comparisons."""
    return [method for _, method, _ in daemon.journal if method != "listaddresses"]


def level_events(world: World) -> list[tuple[object, object]]:
    """Every change of level that was told, as (from, to)."""
    events = [one for one in world.recorder.events if isinstance(one, Event) and one.name == "backend.level_changed"]
    return [(one.fields["before"], one.fields["up_to"]) for one in events]


# -- when -----------------------------------------------------------------------------------------------------


def test_an_idle_backend_is_probed_once_an_interval() -> None:
    """The first one at once."""

    async def play(world: World) -> None:
        assert len(sent(world, world.daemons[0])) == 1
        await asyncio.sleep(10.0)

    world = scenario(play, settle=0.5)
    assert len(sent(world, world.daemons[0])) in (10, 11)


def test_an_unanswered_probe_is_not_repeated_beside_itself() -> None:
    """However long it takes: probes closed on a time-out would fill the accept queue."""

    async def play(world: World) -> None:
        daemon = world.daemons[0]
        daemon.freeze()
        began = world.loop.time()
        await asyncio.sleep(300.0)
        assert len(sent(world, daemon, began)) == 1
        assert not sent(world, daemon, began)[0].ended
        daemon.thaw()
        await asyncio.sleep(5.0)
        assert sent(world, daemon, began)[0].ended
        assert len(sent(world, daemon, began)) > 3

    world = scenario(play)
    assert world.daemons[0].most_probes == 1
    assert backend(world).phase is Phase.WARMING


def test_a_probe_that_never_connects_is_repeated() -> None:
    """It is not in the daemon: a full accept queue took nothing in."""

    async def play(world: World) -> None:
        daemon = world.daemons[0]
        connects, began = daemon.connects, world.loop.time()

        def is_full(exchange: FakeExchange) -> None:
            exchange.timer = world.loop.call_later(1.0, exchange.end, Fate.NOT_SENT, "connect_timeout")

        daemon.connects = is_full  # type: ignore[method-assign]  # a queue that stays full
        await asyncio.sleep(10.0)
        assert len(sent(world, daemon, began)) > 5
        assert backend(world).diagnosis.kind is Kind.WEDGED
        daemon.connects = connects  # type: ignore[method-assign]  # and has room again
        await asyncio.sleep(3.0)

    world = scenario(play)
    assert backend(world).diagnosis.kind is Kind.OK


def test_real_answers_stand_in_for_probes_but_not_for_ever() -> None:
    """Only a probe shows the heights."""

    async def play(world: World) -> None:
        began = world.loop.time()
        for _ in range(200):
            await world.ask("setlabel")
            await asyncio.sleep(0.1)
        took = world.loop.time() - began
        probes = len(sent(world, world.daemons[0], began))
        least = int(took / (POSTPONED_AT_MOST + 1))
        assert least <= probes <= least + 2

    scenario(play)


def test_a_suspected_backend_is_probed_at_once() -> None:
    """Nothing but a probe lifts the suspicion."""

    async def play(world: World) -> None:
        await asyncio.sleep(0.35)
        began = world.loop.time()
        world.plant.pool.suspect(backend(world), began, "deadline")
        await asyncio.sleep(0.01)
        assert len(sent(world, world.daemons[0], began)) == 1
        assert not backend(world).is_suspect

    scenario(play)


# -- through the slot or beside it ----------------------------------------------------------------------------


def test_a_probe_takes_the_free_slot_of_a_serial_daemon() -> None:
    """So that no call is sent behind it: a call meanwhile waits in the gateway."""

    async def play(world: World) -> None:
        daemon = world.daemons[0]
        daemon.service = lambda method: 0.3 if method == "getinfo" else 0.0003
        await asyncio.sleep(1.0)
        await until(lambda: backend(world).probe_holds_slot)
        assert not backend(world).has_free_slot
        task = world.ask("setlabel")
        await asyncio.sleep(0.05)
        assert world.plant.runner.queue.waiting == 1
        await task

    world = scenario(play)
    assert all("result" in told.reply for told in world.told)
    assert world.daemons[0].most_calls == 1


def test_a_probe_that_is_overdue_goes_between_two_calls() -> None:
    """It does not crowd the call that is there, and goes before those that wait."""

    async def play(world: World) -> None:
        daemon = world.daemons[0]
        daemon.service = lambda method: 0.3 if method == "setlabel" else 0.0003
        daemon.journal.clear()
        await asyncio.gather(*(world.ask("setlabel") for _ in range(25)))

    world = scenario(play)
    order = ran(world.daemons[0])
    place = order.index("getinfo")
    assert 10 < place < 20
    assert order[place + 1] == "setlabel"
    assert (world.daemons[0].most_calls, world.daemons[0].most_probes) == (1, 1)


def test_a_probe_goes_beside_a_call_that_takes_long() -> None:
    """After probe_timeout and not before: so a wedge is told from a long call."""

    async def play(world: World) -> None:
        daemon = world.daemons[0]
        daemon.service = lambda method: 8.0 if method == "payto" else 0.0003
        task = world.ask("payto")
        await asyncio.sleep(0.0)
        began = world.loop.time()
        await asyncio.sleep(5.0)
        [probe] = sent(world, daemon, began)
        assert probe.started_at - began >= world.settings.health.probe_timeout
        assert not probe.ended
        assert backend(world).diagnosis.kind is Kind.BUSY
        assert backend(world).phase is Phase.READY
        await task

    world = scenario(play)
    assert "result" in world.told[0].reply
    assert (world.daemons[0].most_calls, world.daemons[0].most_probes) == (1, 1)


def test_a_call_past_its_bound_with_a_probe_unanswered_is_a_wedge() -> None:
    """A read of the fast class that takes two seconds."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        world.ask("getbalance", 1.5)
        await asyncio.sleep(0.9)
        assert backend(world).diagnosis.kind is not Kind.WEDGED
        await asyncio.sleep(1.5)
        assert backend(world).diagnosis.kind is Kind.WEDGED
        assert backend(world).phase is Phase.EJECTED
        assert backend(world).diagnosis.may_return
        await asyncio.sleep(2.5)
        assert not backend(world).diagnosis.may_return

    scenario(play)


def test_a_probe_answered_settles_what_left_before_it_was_dialled() -> None:
    """The daemon is first in, first out: the slot is free again."""

    async def play(world: World) -> None:
        daemon = world.daemons[0]
        daemon.freeze()
        world.ask("getbalance", 0.3)
        await asyncio.sleep(40.0)
        assert [one.has_left for one in backend(world).occupants] == [True]
        daemon.thaw()
        await asyncio.sleep(2.0)
        assert not backend(world).occupants

    scenario(play)


def test_a_late_probe_sends_wallet_reads_elsewhere() -> None:
    """Before any call was lost to the frozen primary."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        await until(lambda: backend(world).probe_is_late)
        await world.ask("getbalance")

    world = scenario(play, backends=2)
    told = world.told[0]
    assert told.reply["result"]["by"] == "ec-2"  # type: ignore[index]  # it is an echo
    assert told.answered_at - told.asked_at < 0.01


# -- what answers prove ---------------------------------------------------------------------------------------


def test_the_levels_of_up_are_told_apart() -> None:
    """Nothing, accepts, answers, loaded, synced: each change is one event, and only the last one serves."""

    async def play(world: World) -> None:
        daemon, wallet = world.daemons[0], world.daemons[0].wallet
        assert backend(world).level is Level.NOTHING
        assert backend(world).diagnosis.kind is Kind.STARTING
        daemon.mangle = lambda _method: "garbage"
        wallet.is_loaded = wallet.connected = False
        daemon.start()
        await asyncio.sleep(2.0)
        assert backend(world).level is Level.ACCEPTS
        assert "its answer is none" in backend(world).diagnosis.reason
        daemon.mangle = lambda _method: None
        await asyncio.sleep(2.0)
        assert backend(world).level is Level.ANSWERS
        assert backend(world).diagnosis.reason == "no wallet is loaded"
        wallet.is_loaded = True
        await asyncio.sleep(2.0)
        assert backend(world).level is Level.LOADED
        assert backend(world).diagnosis.reason == "its wallet is not synced"
        assert backend(world).phase is Phase.STARTING
        wallet.connected = True
        await asyncio.sleep(2.0)
        assert backend(world).level is Level.SYNCED
        assert backend(world).phase is Phase.READY

    async def live() -> World:
        world = World(1, 1)
        world.daemons[0].kill()
        world.start()
        await asyncio.sleep(2.0)
        await play(world)
        await world.stop()
        return world

    world = run_virtual(live())
    steps = ["nothing", "accepts", "answers", "loaded", "synced"]
    assert level_events(world) == list(pairwise(steps))
    assert world.recorder.counts["probe.refused"] > 0
    for step in steps[1:]:
        assert world.recorder.counts[f"probe.{step}"] > 0


@pytest.mark.parametrize(
    ("height", "server", "level"),
    [(100, 100, Level.SYNCED), (99, 100, Level.SYNCED), (90, 100, Level.LOADED), (0, 0, Level.LOADED)],
)
def test_a_daemon_is_not_believed_against_its_own_heights(height: int, server: int, level: Level) -> None:
    """It claims to be connected in each case."""

    async def play(world: World) -> None:
        world.daemons[0].wallet.height, world.daemons[0].wallet.server_height = height, server
        await asyncio.sleep(2.0)
        assert backend(world).level is level
        assert backend(world).height == height

    scenario(play)


def test_refused_credentials_are_said_in_words() -> None:
    """The person on call looks there first."""

    async def play(world: World) -> None:
        daemon = world.daemons[0]

        def refuse(exchange: FakeExchange, call: dict[str, object], result: object) -> None:
            del call, result
            exchange.end(Fate.ANSWERED, "", b"", 401)

        daemon.say = refuse  # type: ignore[method-assign]  # another password
        await asyncio.sleep(3.0)
        assert backend(world).phase is Phase.EJECTED
        assert "password" in backend(world).diagnosis.reason

    scenario(play)


@pytest.mark.parametrize(
    ("word", "count"), [("half", "probe.half"), ("empty", "probe.empty"), ("foreign", "probe.accepts")]
)
def test_a_probe_without_a_whole_answer_proves_only_that_something_accepts(word: str, count: str) -> None:
    """And ends the service of a daemon that answers nothing else."""

    async def play(world: World) -> None:
        world.daemons[0].mangle = lambda _method: word
        await asyncio.sleep(3.0)
        assert backend(world).level is Level.ACCEPTS
        assert backend(world).phase is Phase.EJECTED

    assert scenario(play).recorder.counts[count] > 0


def test_a_dead_daemon_is_ejected_at_its_first_refused_probe_and_returns_warm() -> None:
    """And stays away from slow start on nothing but a healthy probe."""

    async def play(world: World) -> None:
        world.daemons[0].kill()
        await asyncio.sleep(1.1)
        assert backend(world).phase is Phase.EJECTED
        assert backend(world).diagnosis.kind is Kind.DEAD
        assert not backend(world).diagnosis.may_return
        world.daemons[0].start()
        await asyncio.sleep(1.1)
        assert backend(world).phase is Phase.WARMING

    scenario(play)


# -- life -----------------------------------------------------------------------------------------------------


def test_stop_ends_the_probe_on_the_wire_and_sends_no_other() -> None:
    """Not even when its slot comes free."""

    async def play(world: World) -> None:
        daemon = world.daemons[0]
        daemon.freeze()
        await asyncio.sleep(1.5)
        [probe] = [one for one in sent(world, daemon) if not one.ended]
        world.plant.prober.stop()
        await asyncio.sleep(0.01)
        assert probe.ended
        count = len(sent(world, daemon))
        world.plant.prober.hurry(backend(world))
        assert not world.plant.prober.slot_is_free(backend(world))
        await asyncio.sleep(10.0)
        assert len(sent(world, daemon)) == count

    scenario(play)


def test_a_new_interval_counts_from_the_next_probe() -> None:
    """Settings change while it runs."""

    async def play(world: World) -> None:
        prober = world.plant.prober
        prober.update(prober.health.model_copy(update={"probe_interval": 0.25}), prober.timeouts)
        began = world.loop.time()
        await asyncio.sleep(10.0)
        assert 30 <= len(sent(world, world.daemons[0], began)) <= 41

    scenario(play)
