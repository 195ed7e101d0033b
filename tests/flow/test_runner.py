"""One wallet's runner against fake daemons in virtual time: where calls go and what failures cost."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from gateway.base.errors import Failure
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.flow.errand import Errand
from gateway.rules.lifecycle import Phase
from gateway.upstream.wire import Fate, Outcome
from tests.fakes import FakeExchange
from tests.simulation.world import Told, World
from tests.virtual_time import run_virtual


def scenario(play: Callable[[World], Coroutine[Any, Any, None]], backends: int = 3, **changes: object) -> World:
    """Play a scenario in a world whose backends are all ready and aligned."""

    async def live() -> World:
        world = World(backends, 1, **changes)
        world.start()
        await asyncio.sleep(2.0)
        await play(world)
        await world.stop()
        return world

    return run_virtual(live())


def took(told: Told) -> float:
    """Seconds from question to answer."""
    return told.answered_at - told.asked_at


def error(told: Told) -> dict[str, Any]:
    """The error of a reply."""
    found = told.reply["error"]
    assert isinstance(found, dict)
    return found


def ran(world: World, name: str, method: str) -> int:
    """How often a daemon ran a method."""
    daemon = next(one for one in world.daemons if one.name == name)
    return sum(one == method for _, one, _ in daemon.journal)


def test_a_frozen_daemon_is_felt_for_a_twentieth_of_a_second() -> None:
    """One read is hedged, the following ones go elsewhere at once."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        for _ in range(80):
            await world.ask("getbalance")
            await asyncio.sleep(0.025)

    world = scenario(play)
    assert all("result" in told.reply for told in world.told)
    assert max(took(told) for told in world.told) < 0.05
    assert sum(took(told) > 0.01 for told in world.told) <= 1


def test_wallet_reads_go_to_the_primary_while_it_is_well() -> None:
    """So that a payment seldom appears, vanishes and appears."""

    async def play(world: World) -> None:
        for number in range(30):
            await world.ask("history", tag=f"h{number}")

    world = scenario(play)
    assert ran(world, "ec-1", "history") == 30


def test_plain_reads_are_spread() -> None:
    """Every healthy backend gets some."""

    async def play(world: World) -> None:
        for _ in range(60):
            await asyncio.gather(world.ask("validateaddress"), world.ask("validateaddress"))

    world = scenario(play)
    assert all(ran(world, daemon.name, "validateaddress") > 5 for daemon in world.daemons)


def test_money_calls_go_to_the_primary_alone_and_wait_for_it() -> None:
    """Also when it is busy and others are free."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda _method: 0.5
        await asyncio.gather(world.ask("setlabel"), world.ask("payto"), world.ask("setlabel"))

    world = scenario(play)
    assert all("result" in told.reply for told in world.told)
    assert ran(world, "ec-1", "setlabel") == 2
    assert ran(world, "ec-2", "setlabel") + ran(world, "ec-3", "setlabel") == 0


def test_a_money_call_that_was_sent_is_never_repeated_and_its_outcome_is_unknown() -> None:
    """The daemon dies with the call in its hands."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda _method: 1.0
        task = world.ask("payto")
        await asyncio.sleep(0.2)
        world.daemons[0].kill()
        await task

    world = scenario(play)
    found = error(world.told[0])
    assert found["code"] == -32004
    assert found["data"]["executed"] == "unknown"
    assert found["data"]["safe_to_repeat"] is False
    assert sum(ran(world, daemon.name, "payto") for daemon in world.daemons) == 0


def test_a_money_call_to_a_dead_primary_is_refused_at_once() -> None:
    """Nothing was sent, nobody is expected back."""

    async def play(world: World) -> None:
        world.daemons[0].kill()
        await asyncio.sleep(2.0)
        await world.ask("createnewaddress")

    world = scenario(play)
    assert error(world.told[0])["code"] == -32001
    assert took(world.told[0]) < 0.1


def test_reads_outlive_the_death_of_all_but_one() -> None:
    """The last one serves everything that any backend may serve."""

    async def play(world: World) -> None:
        world.daemons[0].kill()
        world.daemons[2].kill()
        for _ in range(100):
            await world.ask("getbalance")
            await world.ask("validateaddress")
            await asyncio.sleep(0.02)

    world = scenario(play)
    assert all("result" in told.reply for told in world.told)
    assert max(took(told) for told in world.told) < 0.1


def test_with_all_dead_the_error_comes_at_once() -> None:
    """no_backend, executed no."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.kill()
        for _ in range(10):
            await world.ask("getbalance")

    world = scenario(play)
    assert {error(told)["code"] for told in world.told} == {-32001}
    assert max(took(told) for told in world.told) < 0.1


def test_calls_wait_for_backends_that_are_starting() -> None:
    """Wallets that come up five seconds late answer the first call, money too."""

    async def live() -> World:
        world = World(3, 1)
        for daemon in world.daemons:
            daemon.kill()
            world.loop.call_later(5.0, daemon.start)
        world.start()
        await asyncio.gather(world.ask("getbalance"), world.ask("createnewaddress"))
        await world.stop()
        return world

    world = run_virtual(live())
    assert all("result" in told.reply for told in world.told)
    assert all(5.0 < took(told) < 6.0 for told in world.told)


def test_a_client_that_tries_three_times_outlasts_a_slow_start() -> None:
    """Fifteen seconds late, three tries of ten seconds, two apart: the incident's client gets its answer."""

    async def live() -> World:
        world = World(3, 1)
        for daemon in world.daemons:
            daemon.kill()
            world.loop.call_later(15.0, daemon.start)
        world.start()
        for _ in range(3):
            await world.ask("getbalance", 9.0)
            if "result" in world.told[-1].reply:
                break
            await asyncio.sleep(2.0)
        await world.stop()
        return world

    world = run_virtual(live())
    assert "result" in world.told[-1].reply
    assert error(world.told[0])["code"] == -32003


def test_a_query_of_death_costs_two_daemons_at_most() -> None:
    """The third one never sees it."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.mangle = lambda method: "empty" if method == "validateaddress" else None
        await world.ask("validateaddress")

    world = scenario(play)
    assert error(world.told[0])["code"] == -32004
    assert error(world.told[0])["data"]["safe_to_repeat"] is True
    assert sum(ran(world, daemon.name, "validateaddress") for daemon in world.daemons) == 2


def test_an_answer_that_is_not_one_is_never_passed_on() -> None:
    """Foreign ids, garbage and halves go to another backend instead."""

    async def play(world: World) -> None:
        for word in ("foreign", "garbage", "half", "empty"):
            world.daemons[0].mangle = lambda method, word=word: word if method == "getbalance" else None  # type: ignore[misc]
            await world.ask("getbalance")
            await asyncio.sleep(3.0)

    world = scenario(play)
    assert all(told.reply["result"]["echo"] == [told.tag, told.tag] for told in world.told)  # type: ignore[index]  # a dict


def test_identical_reads_share_a_flight_but_not_across_a_write() -> None:
    """Ten callers, one daemon call; a reader after a write never joins a flight begun before it."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda _method: 0.01
        await asyncio.gather(*(world.ask("getbalance", tag="x") for _ in range(10)))
        early = world.ask("getbalance", tag="y")
        await asyncio.sleep(0.001)
        write = world.ask("setlabel")
        await asyncio.sleep(0.012)
        late = world.ask("getbalance", tag="y")
        await asyncio.gather(early, write, late)

    world = scenario(play)
    calls = [params for daemon in world.daemons for _, method, params in daemon.journal if method == "getbalance"]
    assert calls.count(["x", "x"]) == 1
    assert calls.count(["y", "y"]) == 2


def test_a_deadline_before_anything_was_sent_says_so() -> None:
    """One slow call holds the only slot, and the other one's time runs out in the queue."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda method: 5.0 if method == "payto" else 0.0003
        slow = world.ask("payto")
        await asyncio.sleep(0.1)
        await world.ask("setlabel", 0.5)
        await slow

    world = scenario(play, backends=1)
    found = error(world.told[1])
    assert found["code"] == -32003
    assert found["data"]["executed"] == "no"
    assert ran(world, "ec-1", "setlabel") == 0


def test_a_read_whose_daemon_hangs_ends_unknown_at_its_deadline() -> None:
    """With nobody else to ask, the client is told that it may ask again."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        await world.ask("getbalance", 3.0)

    world = scenario(play, backends=1)
    found = error(world.told[0])
    assert found["code"] == -32004
    assert found["data"]["safe_to_repeat"] is True
    assert 3.0 <= took(world.told[0]) < 3.1


def test_a_wedge_that_lasts_is_no_backend_at_once() -> None:
    """A single daemon that stays silent is not waited for after two seconds more."""

    async def play(world: World) -> None:
        world.daemons[0].wedge()
        await asyncio.sleep(6.0)
        await world.ask("getbalance")

    world = scenario(play, backends=1)
    assert error(world.told[0])["code"] == -32001
    assert took(world.told[0]) < 0.1


def test_a_full_queue_refuses_and_says_that_nothing_ran() -> None:
    """Bounded, with the way out."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda _method: 1.0
        await asyncio.gather(*(world.ask("validateaddress") for _ in range(8)))

    world = scenario(play, backends=1, queue={"max_waiting": 3})
    codes = [error(told)["code"] for told in world.told if "error" in told.reply]
    assert codes.count(-32002) >= 4


def test_a_client_that_hangs_up_ends_its_read_and_never_its_write() -> None:
    """The read leaves the queue; the write is carried out."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda _method: 0.2
        first = world.ask("setlabel", tag="first")
        await asyncio.sleep(0.01)
        write = world.ask("setlabel", tag="gone")
        read = world.ask("listcontacts", tag="gone-read")
        await asyncio.sleep(0.01)
        write.cancel()
        read.cancel()
        await first
        await asyncio.sleep(2.0)

    world = scenario(play)
    params = [params for _, _, params in world.daemons[0].journal]
    assert ["gone", "gone"] in params
    assert ["gone-read", "gone-read"] not in params


def test_a_retry_is_paid_from_the_budget() -> None:
    """With no token left a broken read is not repeated."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.mangle = lambda method: "half" if method == "validateaddress" else None
        for _ in range(3):
            await world.ask("validateaddress")
            await asyncio.sleep(3.0)

    retry = {"ratio": 0.0, "floor": 0.0, "burst": 1.0}
    world = scenario(play, retry=retry)
    assert sum(ran(world, daemon.name, "validateaddress") for daemon in world.daemons) == 4


def test_slow_start_gives_a_returned_backend_a_small_share_at_first() -> None:
    """It is WARMING after it was dead, and READY after slow_start seconds."""

    async def play(world: World) -> None:
        world.daemons[1].kill()
        await asyncio.sleep(3.0)
        world.daemons[1].start()
        await asyncio.sleep(1.5)
        assert world.plant.pool.by_name["ec-2"].phase.value == "WARMING"
        await asyncio.sleep(10.0)
        assert world.plant.pool.by_name["ec-2"].phase.value == "READY"

    names = scenario(play).recorder.names()
    assert names.index("backend.ejected") < names.index("backend.warming")


def test_work_in_background_keeps_the_slot_until_it_is_answered() -> None:
    """A caller that gave up does not free the daemon: the next call waits until it is done."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda method: 3.0 if method == "payto" else 0.0003
        await world.ask("payto", 1.0)
        await world.ask("setlabel", 9.0)

    world = scenario(play, backends=1)
    assert error(world.told[0])["code"] == -32004
    assert "result" in world.told[1].reply
    assert world.daemons[0].most_calls == 1


def test_a_primary_that_forgot_an_address_does_not_give_it_to_a_second_customer() -> None:
    """It was killed before it saved; the standbys remember, and it is brought past what they list."""

    async def play(world: World) -> None:
        await world.ask("createnewaddress")
        await asyncio.sleep(0.5)
        world.daemons[0].kill()
        await asyncio.sleep(2.0)
        world.daemons[0].start()
        await asyncio.sleep(2.0)
        await world.ask("createnewaddress")

    world = scenario(play)
    first, second = (told.reply["result"] for told in world.told)
    assert first != second


def test_an_unknown_allocation_does_not_take_the_standbys_out_of_service() -> None:
    """The primary freezes with the call in its hands: nobody was told an address, so no standby lacks one."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        await world.ask("createnewaddress", 1.0)
        for _ in range(20):
            await world.ask("getbalance", 1.0)

    world = scenario(play)
    assert error(world.told[0])["code"] == -32004
    assert all("result" in told.reply for told in world.told[1:])


def test_a_frozen_standby_does_not_keep_the_other_one_from_being_aligned() -> None:
    """The comparison goes on without it."""

    async def play(world: World) -> None:
        world.daemons[2].freeze()
        for _ in range(5):
            await world.ask("createnewaddress")
            await asyncio.sleep(0.3)
        await asyncio.sleep(0.5)
        assert world.plant.pool.is_aligned(world.plant.pool.by_name["ec-2"])

    scenario(play)


def test_one_slow_call_does_not_make_the_queue_refuse_others() -> None:
    """A call that waited for a silent chain server says nothing about the calls behind it."""

    async def play(world: World) -> None:
        for _ in range(6):
            await world.ask("validateaddress")
        world.daemons[0].service = lambda method: 8.0 if method == "payto" else 0.01
        await world.ask("payto")
        await asyncio.gather(*(world.ask("validateaddress", 5.0) for _ in range(20)))

    world = scenario(play, backends=1)
    assert all("result" in told.reply for told in world.told)


def test_an_error_names_the_backends_and_what_is_the_matter_with_each() -> None:
    """For whoever reads the client's log first."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.kill()
        await asyncio.sleep(2.0)
        await world.ask("getbalance")

    message = error(scenario(play).told[0])["message"]
    assert all(f"{name}: dead, refuses connections" in message for name in ("ec-1", "ec-2", "ec-3"))


def test_a_lone_daemon_does_not_give_a_forgotten_address_twice_either() -> None:
    """There is no standby to remember it; the gateway does, from what it told."""

    async def play(world: World) -> None:
        await world.ask("createnewaddress")
        world.daemons[0].kill()
        await asyncio.sleep(2.0)
        world.daemons[0].start()
        await asyncio.sleep(2.0)
        await world.ask("createnewaddress")

    world = scenario(play, backends=1)
    first, second = (told.reply["result"] for told in world.told)
    assert first != second


def test_a_primary_by_reload_gives_no_address_that_the_one_before_gave() -> None:
    """Also not one that was under way at the moment of the reload: money waits until it was told."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda method: 1.0 if method == "createnewaddress" else 0.0003
        early = world.ask("createnewaddress")
        await asyncio.sleep(0.1)
        wallet = world.settings.wallets["main"].model_copy(update={"primary": "ec-2"})
        targets = {daemon.name: daemon.target for daemon in world.daemons}
        world.plant.update(world.settings.model_copy(update={"wallets": {"main": wallet}}), targets)  # type: ignore[arg-type]  # fakes
        await asyncio.gather(early, world.ask("createnewaddress"))

    world = scenario(play)
    addresses = [told.reply["result"] for told in world.told]
    assert len(set(map(str, addresses))) == 2
    assert ran(world, "ec-2", "createnewaddress") == 2


def test_whoever_looks_after_a_backend_that_a_reload_took_away_is_told_so() -> None:
    """At once, whatever is on its way there; no other call loses its deadline for it."""
    told: list[object] = []

    async def play(world: World) -> None:
        gone, row = world.plant.pool.backends[2], world.plant.profile.methods["getinfo"]
        wallet = world.settings.wallets["main"]
        wallet = wallet.model_copy(update={"backends": wallet.backends[:2]})
        targets = {daemon.name: daemon.target for daemon in world.daemons[:2]}
        world.plant.update(world.settings.model_copy(update={"wallets": {"main": wallet}}), targets)  # type: ignore[arg-type]  # fakes
        for call in (world.plant.runner.call_on, world.plant.runner.call_anyway):
            before = world.loop.time()
            answer = await call(gone, row, b"[]", before + 5.0)
            assert isinstance(answer, Failure)
            told.append((answer.kind.code, answer.message, world.loop.time() - before))
        for daemon in world.daemons:
            daemon.freeze()
        await world.ask("getbalance", 1.0)

    world = scenario(play)
    assert told == [(-32001, "no_backend: ec-3 is no backend any more", 0.0)] * 2
    assert took(world.told[0]) == pytest.approx(1.0, abs=0.1)
    assert world.violations() == []


def test_a_read_of_a_daemon_that_has_lost_its_wallet_is_asked_of_another() -> None:
    """It has run nothing; a call that changes something, and the last daemon's word, are passed on as they are."""

    def lost(method: str) -> str | None:
        return "error" if method in ("getbalance", "createnewaddress") else None

    async def play(world: World) -> None:
        world.daemons[0].mangle = lost
        await asyncio.gather(*(world.ask("getbalance") for _ in range(5)))
        await world.ask("createnewaddress")
        for daemon in world.daemons:
            daemon.mangle = lost
        await world.ask("getbalance")

    world = scenario(play)
    errors = [told.reply.get("error") for told in world.told]
    assert errors[:5] == [None] * 5
    assert all("Wallet not loaded" in str(error) for error in errors[5:])


def test_upkeep_passes_the_circuit_of_a_daemon_that_has_lost_its_wallet() -> None:
    """Its circuit waits for a healthy probe, and its probes for the wallet that this call is to load."""
    told: list[object] = []

    async def play(world: World) -> None:
        backend = world.plant.pool.backends[2]
        while not backend.breaker.fault(backend.breaker._free_permit, world.loop.time()):
            pass
        backend.phase = Phase.EJECTED
        row = world.plant.profile.methods["getinfo"]
        told.append(await world.plant.runner.call_on(backend, row, b"[]", world.loop.time() + 0.2))
        told.append(await world.plant.runner.call_anyway(backend, row, b"[]", world.loop.time() + 2.0))
        assert backend.breaker.state == "open"

    scenario(play)
    assert [type(one) for one in told] == [Failure, Answer]


def test_upkeep_that_was_given_up_while_it_was_dialled_is_not_sent_when_the_way_is_back() -> None:
    """An address that the mirror wants of its primary is wanted of nobody once that is a standby."""

    async def play(world: World) -> None:
        backend, daemon = world.plant.pool.backends[2], world.daemons[2]
        row = world.plant.profile.methods["createnewaddress"]
        daemon.drops_syns = True
        call = asyncio.create_task(world.plant.runner.call_on(backend, row, b"[]", world.loop.time() + 10.0))
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        daemon.drops_syns = False
        await asyncio.sleep(8.0)
        assert backend.may_serve

    world = scenario(play)
    assert ran(world, "ec-3", "createnewaddress") == 0


def test_upkeep_does_not_hammer_a_daemon_that_nobody_reaches() -> None:
    """No circuit is in its way: between two attempts it waits until a probe was answered."""
    sent: list[float] = []

    async def play(world: World) -> None:
        runner, backend = world.plant.runner, world.plant.pool.backends[2]
        send = runner._send

        def watched(errand: Errand, *more: Any, **named: Any) -> bool:
            sent.append(world.loop.time())
            return send(errand, *more, **named)

        world.daemons[2].kill()
        backend.phase = Phase.EJECTED
        runner._send = watched  # type: ignore[method-assign]  # to count
        row = world.plant.profile.methods["getinfo"]
        world.loop.call_later(5.0, world.daemons[2].start)
        began = world.loop.time()
        answer = await runner.call_anyway(backend, row, b"[]", began + 20.0)
        assert isinstance(answer, Answer)
        assert world.loop.time() - began == pytest.approx(5.0, abs=1.0)
        assert 1 <= sum(one < began + 5.0 for one in sent) <= 3

    scenario(play)


def test_a_backend_that_a_reload_took_away_is_not_probed_when_its_last_call_ends() -> None:
    """Not even where a probe was due: nobody looks after it any more, and nobody knows where it is."""

    async def play(world: World) -> None:
        daemon = world.daemons[2]
        gone = world.plant.pool.by_name[daemon.name]
        wallet = world.settings.wallets["main"]
        wallet = wallet.model_copy(update={"backends": wallet.backends[:2]})
        targets = {one.name: one.target for one in world.daemons[:2]}
        world.plant.update(world.settings.model_copy(update={"wallets": {"main": wallet}}), targets)  # type: ignore[arg-type]  # fakes
        await asyncio.sleep(3.0)
        gone.probe_is_due = True
        before = list(daemon.journal)
        world.plant.runner.offer(gone)
        await asyncio.sleep(1.0)
        assert daemon.journal == before

    assert scenario(play).violations() == []


def test_a_fault_with_one_call_costs_no_other_its_deadline() -> None:
    """It is told, and what the sweep had to do after it is done."""

    async def play(world: World) -> None:
        runner = world.plant.runner
        look_after = runner._look_after

        def fails(errand: Errand, now: float) -> None:
            if errand.method.name == "getbalance":
                raise ZeroDivisionError
            look_after(errand, now)

        runner._look_after = fails  # type: ignore[method-assign]  # the fault
        for daemon in world.daemons:
            daemon.freeze()
        world.ask("getbalance", 1.0)
        await world.ask("validateaddress", 1.0)

    world = scenario(play)
    assert took(next(one for one in world.told if one.method == "validateaddress")) == pytest.approx(1.0, abs=0.1)
    assert any("ZeroDivisionError" in one for one in world.violations())


def test_money_goes_on_when_a_primary_lists_no_addresses_at_all() -> None:
    """What cannot be compared is told once, and does not stop the shop."""

    async def play(world: World) -> None:
        await world.ask("setlabel")

    async def live() -> World:
        world = World(1, 1)
        world.daemons[0].wallet.addresses = {"no": "list"}  # type: ignore[assignment]  # on purpose
        world.start()
        await asyncio.sleep(2.0)
        await play(world)
        await world.stop()
        return world

    world = run_virtual(live())
    assert "result" in world.told[0].reply
    assert world.recorder.names().count("mirror.blind") == 1


def test_a_silent_chain_server_does_not_take_the_whole_wallet_away() -> None:
    """Reads that ask it hold their daemons for half a minute; one daemon is kept free of them, money goes on."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.service = lambda method: 30.0 if method == "getaddressbalance" else 0.0003
        stuck = [world.ask("getaddressbalance", 2.0) for _ in range(5)]
        await asyncio.sleep(0.5)
        for method in ("getbalance", "validateaddress", "createnewaddress", "listcontacts"):
            await world.ask(method, 1.0)
        await asyncio.gather(*stuck)

    world = scenario(play)
    assert all("result" in told.reply for told in world.told[5:])
    assert ran(world, "ec-1", "getaddressbalance") == 0


def test_a_read_that_asks_the_chain_server_goes_to_the_primary_when_no_other_is_left() -> None:
    """The standby broke off, so the one that is kept free takes it."""

    async def play(world: World) -> None:
        world.daemons[1].mangle = lambda method: "half" if method == "getaddressbalance" else None
        await world.ask("getaddressbalance", 2.0)

    world = scenario(play, backends=2)
    assert "result" in world.told[0].reply
    assert ran(world, "ec-1", "getaddressbalance") == 1


def test_an_answer_that_is_too_large_is_the_fault_of_the_call_and_not_of_the_daemon() -> None:
    """Nobody else is asked for it, and no circuit opens."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.mangle = lambda method: "oversized" if method == "history" else None
        for _ in range(5):
            await world.ask("history", 2.0)
        await world.ask("createnewaddress")

    world = scenario(play)
    assert {error(told)["code"] for told in world.told[:5]} == {-32004}
    assert sum(ran(world, daemon.name, "history") for daemon in world.daemons) == 5
    assert "result" in world.told[5].reply
    assert "backend.suspected" not in world.recorder.names()


def test_an_error_answer_has_the_daemon_probed_at_once() -> None:
    """Somebody unloaded its wallet: the next reads go elsewhere, long before the next probe was due."""

    async def play(world: World) -> None:
        world.daemons[0].mangle = lambda method: "error" if method == "getbalance" else None
        world.daemons[0].wallet.is_loaded = False
        await world.ask("getbalance")
        await asyncio.sleep(0.01)
        await world.ask("getbalance")

    world = scenario(play)
    assert [told.reply["result"]["by"] != "ec-1" for told in world.told] == [True] * 2  # type: ignore[index]  # a dict
    assert ran(world, "ec-1", "getbalance") == 1


def test_a_lone_daemon_without_its_chain_server_serves_whether_or_not_the_gateway_was_restarted() -> None:
    """Never READY and adrift: after its grace it is all there is, as one would be that drifted in service."""

    async def live() -> World:
        world = World(1, 1)
        world.daemons[0].wallet.connected = False
        world.start()
        await asyncio.sleep(70.0)
        await world.ask("createnewaddress")
        await world.ask("getbalance")
        await world.stop()
        return world

    assert all("result" in told.reply for told in run_virtual(live()).told)


def test_money_flows_again_at_once_after_a_primary_was_only_suspected() -> None:
    """It froze for a moment with a money call in its hands: the mirror looks at it as soon as it answers."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        await world.ask("createnewaddress", 0.4)
        world.daemons[0].thaw()
        await asyncio.sleep(0.05)
        await world.ask("createnewaddress")

    world = scenario(play)
    assert "result" in world.told[1].reply
    assert took(world.told[1]) < 0.1


def test_a_read_that_is_merely_heavy_holds_two_daemons_and_not_the_whole_wallet() -> None:
    """The third one is asked only when the call is past its bound; until then the others are served."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.service = lambda method: 0.8 if method == "validateaddress" else 0.0003
        heavy = world.ask("validateaddress")
        await asyncio.sleep(0.4)
        await world.ask("getbalance", 0.3)
        await heavy
        await asyncio.sleep(1.0)

    world = scenario(play)
    assert all("result" in told.reply for told in world.told)
    assert sum(ran(world, daemon.name, "validateaddress") for daemon in world.daemons) == 2


def test_a_read_finds_the_third_daemon_when_two_freeze_at_once() -> None:
    """It takes as long as the bound of its class, and is answered."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        world.daemons[1].freeze()
        await world.ask("getbalance")

    assert "result" in scenario(play).told[0].reply


@pytest.mark.parametrize("backends", [2, 3])
def test_reads_do_not_stall_behind_money_that_waits_for_a_frozen_primary(backends: int) -> None:
    """One money call is stuck in it, one waits for it: a free standby answers reads at once all the same."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        money = [world.ask("createnewaddress"), world.ask("createnewaddress")]
        for _ in range(30):
            await world.ask("validateaddress")
            await world.ask("getbalance")
            await asyncio.sleep(0.1)
        await asyncio.gather(*money)

    world = scenario(play, backends=backends)
    assert all("result" in told.reply for told in world.told[2:])
    assert max(took(told) for told in world.told[2:]) < 0.1


def test_money_that_waits_for_a_sick_primary_does_not_fill_the_queue_for_reads() -> None:
    """Each kind has its own bound."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        money = [world.ask("createnewaddress", 2.0) for _ in range(12)]
        await asyncio.sleep(0.1)
        await world.ask("validateaddress")
        await world.ask("getbalance")
        await asyncio.gather(*money)

    world = scenario(play, queue={"max_waiting": 5})
    assert all("result" in told.reply for told in world.told[12:])
    assert [error(told)["code"] for told in world.told[:12]].count(-32002) >= 5


def test_under_ten_times_what_wallets_can_do_all_of_it_is_done_and_the_rest_is_refused_at_once() -> None:
    """Also where a call takes longer than most did: none that waits comes to its wallet just when it is too late."""
    taken = iter(range(1_000_000))
    able = 3 / 0.022  # nine of ten take 20 ms, which is the median, and one 40

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.service = lambda _method: 0.04 if next(taken) % 10 == 0 else 0.02
        calls = []
        for number in range(round(4.0 * able * 10)):
            calls.append(world.ask("validateaddress", 1.0, tag=f"call-{number}"))
            await asyncio.sleep(0.1 / able)
        await asyncio.gather(*calls)

    told = scenario(play).told
    first = told[0].asked_at
    good = [one for one in told if "result" in one.reply and first + 1.0 <= one.answered_at <= first + 4.0]
    refused = [one for one in told if "error" in one.reply and one.asked_at >= first + 1.0]
    assert len(good) >= 0.9 * 3.0 * able
    assert {error(one)["code"] for one in refused} == {-32002}
    assert max(took(one) for one in refused) < 0.05


def test_broadcasts_to_a_silent_chain_server_leave_one_daemon_free() -> None:
    """Whatever else is asked is answered, money too."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.service = lambda method: 30.0 if method == "broadcast" else 0.0003
        stuck = [world.ask("broadcast", 2.0) for _ in range(4)]
        await asyncio.sleep(0.5)
        for method in ("getbalance", "validateaddress", "createnewaddress"):
            await world.ask(method, 1.0)
        await asyncio.gather(*stuck)

    world = scenario(play)
    assert all("result" in told.reply for told in world.told[4:])


def test_when_all_drift_together_the_primary_goes_on_serving() -> None:
    """The cause is elsewhere, and it would be chance which of them was ejected last."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.wallet.connected = False
        await asyncio.sleep(8.0)
        for _ in range(5):
            await world.ask("createnewaddress", 1.0)
            await asyncio.sleep(1.0)
        for daemon in world.daemons[1:]:
            daemon.wallet.connected = True
        await asyncio.sleep(3.0)
        assert not world.plant.pool.by_name["ec-1"].phase.is_serving

    world = scenario(play)
    assert all("result" in told.reply for told in world.told)


def test_an_unknown_money_call_leaves_a_line_and_so_does_its_late_answer() -> None:
    """With the client, the method and the id that the daemon was given, which the client is told as well."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda method: 2.0 if method == "payto" else 0.0003
        await world.ask("payto", 1.0)
        await asyncio.sleep(3.0)

    world = scenario(play)
    lines = [one for one in world.recorder.events if isinstance(one, Event) and one.name.startswith("call.")]
    assert [line.name for line in lines] == ["call.outcome_unknown", "call.answered_late"]
    asked = next(call_id for call_id, method, _ in world.daemons[0].journal if method == "payto")
    assert {line.fields["request"] for line in lines} == {asked} == {error(world.told[0])["data"]["request"]}
    assert {(line.fields["client"], line.backend) for line in lines} == {("shop", "ec-1")}


def test_an_unknown_call_of_the_upkeep_asks_nobody_to_look() -> None:
    """The gateway makes it again by itself; its lines are no warnings, and leave no alert."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda method: 2.0 if method == "setlabel" else 0.0003
        backend, row = world.plant.pool.by_name["ec-1"], world.plant.profile.methods["setlabel"]
        await world.plant.runner.call_on(backend, row, b'["x", "y"]', world.loop.time() + 1.0)
        await asyncio.sleep(3.0)

    world = scenario(play)
    lines = [one for one in world.recorder.events if isinstance(one, Event) and "request" in one.fields]
    assert [(one.name, one.level) for one in lines] == [
        ("upkeep.outcome_unknown", "info"), ("call.answered_late", "info"),
    ]  # fmt: skip
    assert {one.fields["client"] for one in lines} == {"ec-gateway"}


@pytest.mark.parametrize("backends", [1, 2])
def test_a_primary_that_was_restarted_unseen_gives_no_address_twice(backends: int) -> None:
    """Between two probes it died, came back and forgot: its answer is compared with what was told before."""

    async def play(world: World) -> None:
        for _ in range(5):
            await world.ask("createnewaddress")
            await asyncio.sleep(0.3)
            world.daemons[0].kill()
            world.daemons[0].start()

    world = scenario(play, backends=backends)
    addresses = [str(told.reply["result"]) for told in world.told]
    assert len(set(addresses)) == 5
    assert "address.repeated" in world.recorder.names()


def test_a_daemon_with_another_seed_in_the_primary_s_place_gets_neither_money_nor_wallet_reads() -> None:
    """And when the right one is back, nothing that it gave before is given again."""

    async def play(world: World) -> None:
        await world.ask("createnewaddress")
        await asyncio.sleep(0.5)
        daemon, own = world.daemons[0], world.daemons[0].wallet.addresses
        daemon.kill()
        await asyncio.sleep(1.5)
        daemon.wallet.addresses = [f"stranger-{number}" for number in range(20)]
        daemon.start()
        await asyncio.sleep(3.0)
        await world.ask("createnewaddress", 1.0)
        await world.ask("getbalance", 1.0)
        daemon.kill()
        await asyncio.sleep(1.5)
        daemon.wallet.addresses = own[:20]
        daemon.start()
        await asyncio.sleep(3.0)
        await world.ask("createnewaddress", 1.0)

    world = scenario(play)
    first, amid, read, last = world.told
    assert "lists other addresses than before" in error(amid)["message"]
    assert read.reply["result"]["by"] != "ec-1"  # type: ignore[index]  # a dict
    assert str(last.reply["result"]).startswith("address-")
    assert last.reply["result"] != first.reply["result"]


def test_a_money_call_that_everybody_left_is_not_sent_after_its_deadline() -> None:
    """It waits no longer than its client would have."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        stuck = world.ask("setlabel", 1.0)
        gone = world.ask("setlabel", 1.0, tag="gone")
        await asyncio.sleep(0.1)
        gone.cancel()
        await asyncio.sleep(2.0)
        assert not [errand for errand in world.plant.runner.errands if errand.own is None]
        world.daemons[0].thaw()
        await asyncio.sleep(2.0)
        await stuck

    world = scenario(play)
    assert ["gone", "gone"] not in [params for _, _, params in world.daemons[0].journal]


def test_a_request_that_the_daemon_could_not_read_is_its_own_error_and_nobody_s_fault() -> None:
    """Its answer has no id, came over this very connection, and the daemon is well."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.mangle = lambda method: "unread" if method == "validateaddress" else None
        for _ in range(4):
            await world.ask("validateaddress")

    world = scenario(play)
    assert [error(told)["code"] for told in world.told] == [-32700] * 4
    assert "backend.suspected" not in world.recorder.names()
    assert sum(ran(world, daemon.name, "validateaddress") for daemon in world.daemons) == 4


def test_who_leaves_a_broadcast_that_goes_on_is_not_told_that_nothing_was_sent() -> None:
    """The same bytes are sent for the one that waits longer."""

    async def play(world: World) -> None:
        world.daemons[0].service = lambda method: 2.0 if method == "payto" else 0.0003
        slow = world.ask("payto")
        await asyncio.sleep(0.1)
        await asyncio.gather(world.ask("broadcast", 0.5, tag="tx"), world.ask("broadcast", 8.0, tag="tx"), slow)

    world = scenario(play, backends=1)
    assert error(world.told[1])["code"] == -32004
    assert error(world.told[1])["data"]["safe_to_repeat"] is True
    assert "result" in world.told[2].reply


def test_nothing_is_begun_once_the_gateway_gives_up() -> None:
    """The rest of a batch gets its answer at once."""

    async def play(world: World) -> None:
        world.plant.give_up()
        await world.ask("createnewaddress")

    world = scenario(play)
    assert error(world.told[0])["code"] == -32001
    assert ran(world, "ec-1", "createnewaddress") == 0


def test_a_primary_that_freezes_right_after_an_allocation_blinds_nobody() -> None:
    """Nobody could compare: the told address is proof enough, and standbys that derive it answer wallet reads."""

    async def play(world: World) -> None:
        await world.ask("createnewaddress")
        world.daemons[0].freeze()
        for _ in range(20):
            await world.ask("getbalance", 1.0)

    world = scenario(play)
    assert all("result" in told.reply for told in world.told)
    assert all(told.reply["result"]["addresses"] == 21 for told in world.told[1:])  # type: ignore[index]  # a dict
    assert max(took(told) for told in world.told[1:]) < 0.1


def test_a_hedge_is_due_at_the_bound_of_its_class_at_the_latest() -> None:
    """After a slow spell the usual time may be longer than that; a frozen daemon is not waited for so long."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.service = lambda _method: 3.0
        for _ in range(8):
            await world.ask("getbalance")
        for daemon in world.daemons:
            daemon.service = lambda _method: 0.0003
        await asyncio.sleep(10.0)
        world.daemons[0].freeze()
        await world.ask("getbalance")

    world = scenario(play)
    assert took(world.told[-1]) < 1.1


@pytest.mark.parametrize("reason", ["empty", "reset"])
def test_a_kept_connection_that_was_closed_as_a_read_came_is_no_fault(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon may close one without a word: nobody fails, and neither circuit nor alignment suffers.

    What is repeated, and each probe, goes over a connection of its own.
    """
    reused: dict[str, list[bool]] = {"validateaddress": [], "getinfo": []}

    async def play(world: World) -> None:
        send = world.wire.send

        def closes(
            target: Any, body: bytes, *, whole: float, reuse: bool, on_end: Callable[[Outcome], None], **more: bytes
        ) -> FakeExchange:
            def ended(one: Outcome) -> None:
                on_end(
                    Outcome(
                        Fate.UNKNOWN, reason, 0, b"", reused=True, connected_at=0.0, sent_at=one.sent_at,
                        first_byte_at=0.0, ended_at=one.ended_at,
                    )
                )  # fmt: skip

            sent = reused.get(json.loads(body)["method"], [])
            sent.append(reuse)
            is_closed = reuse and len(sent) % 10 == 0
            return send(target, body, whole=whole, reuse=reuse, on_end=ended if is_closed else on_end, **more)

        monkeypatch.setattr(world.wire, "send", closes)
        world.plant.prober.profile = replace(world.plant.prober.profile, keep_alive=True)
        for _ in range(60):
            await world.ask("validateaddress")
            await asyncio.sleep(0.1)

    world = scenario(play)
    assert all("result" in told.reply for told in world.told)
    asked = reused["validateaddress"]
    assert [n % 10 for n, one in enumerate(asked) if not one] == [0] * 6
    assert any(asked)
    assert len(reused["getinfo"]) > 5
    assert not any(reused["getinfo"])
    assert not {"backend.suspected", "circuit.opened", "backend.unaligned"} & set(world.recorder.names())
    assert not any(one.breaker.failures for one in world.plant.pool.backends)


def test_the_wire_hears_of_an_answer_to_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that brought it is off by one; of good answers, errors among them, nothing is said."""
    sent: list[FakeExchange] = []

    async def play(world: World) -> None:
        send = world.wire.send

        def mixes_up(
            target: Any, body: bytes, *, whole: float, reuse: bool, on_end: Callable[[Outcome], None], **more: bytes
        ) -> FakeExchange:
            def ended(one: Outcome) -> None:
                if len(sent) == 1:
                    one.body = b'{"result": true, "id": "g0", "jsonrpc": "2.0"}'
                on_end(one)

            exchange = send(target, body, whole=whole, reuse=reuse, on_end=ended, **more)
            if json.loads(body)["method"] == "validateaddress":
                sent.append(exchange)
            return exchange

        monkeypatch.setattr(world.wire, "send", mixes_up)
        await world.ask("validateaddress")
        await world.ask("validateaddress")

    world = scenario(play)
    assert all("result" in told.reply for told in world.told)
    assert [one.is_sound for one in sent] == [False, True, True]
