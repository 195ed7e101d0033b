"""One call from policy to reply, through the real core and fake daemons in virtual time."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.base.config import Client
from gateway.base.effects import GRANTABLE, OPEN_BY_DEFAULT, Effect
from gateway.base.events import Event
from gateway.base.jsonrpc import Call, Reply
from gateway.profiles import Profile, load
from gateway.upstream.wire import Fate
from tests.simulation.world import World
from tests.virtual_time import run_virtual

Play = Callable[[World], Coroutine[Any, Any, None]]


def scenario(play: Play, backends: int = 2) -> World:
    """Play a scenario in a world whose backends are all ready and aligned."""

    async def live() -> World:
        world = World(backends, 1)
        world.start()
        await asyncio.sleep(2.0)
        for daemon in world.daemons:
            daemon.journal.clear()
        await play(world)
        await world.stop()
        return world

    return run_virtual(live())


def client(effects: frozenset[Effect] = GRANTABLE, name: str = "shop") -> Client:
    """A client."""
    return Client(name=name, username=name, password=SecretStr("x"), effects=effects)


async def ask(
    world: World, method: str, params: bytes = b"[]", *, call_id: bytes | None = b"1", v1: bool = False,
    who: Client | None = None, patience: float = 9.0, key: str | None = None,
) -> Reply:  # fmt: skip
    """Make one call."""
    call = Call(method, params, call_id, v1=v1)
    return await world.dispatcher.call("main", who or client(), call, world.loop.time() + patience, key)


def ran(world: World) -> list[tuple[str, object]]:
    """What all daemons ran for clients."""
    upkeep = ("getinfo", "listaddresses")
    return [(method, params) for d in world.daemons for _, method, params in d.journal if method not in upkeep]


def outcomes(world: World) -> list[tuple[object, ...]]:
    """What the watcher heard: method, effect, outcome."""
    return [told[1:4] for told in world.recorder.outcomes]


@pytest.mark.parametrize("call_id", [b"1", b'"a\\u00e9"', b"null", b"12345678901234567890123", b"-0.10"])
@pytest.mark.parametrize("v1", [False, True])
def test_the_callers_id_comes_back_as_it_was_written(*, call_id: bytes, v1: bool) -> None:
    """In the shape of the caller's version, with the daemon's own result."""

    async def play(world: World) -> None:
        reply = await ask(world, "getbalance", call_id=call_id, v1=v1)
        assert b'"id": %b' % call_id in reply.body
        assert b"echo" in reply.body
        assert (b"jsonrpc" in reply.body) is not v1
        assert (b'"error": null' in reply.body) is v1
        assert reply.status == 200

    scenario(play)


@pytest.mark.parametrize("method", ["getseed", "stop", "nosuchmethod", "getbalance"])
def test_what_is_refused_never_reaches_a_daemon(method: str) -> None:
    """And the error says how to allow it; it is counted without an effect, so that its name is no label."""
    nobody = client(frozenset({Effect.READ}))

    async def play(world: World) -> None:
        reply = await ask(world, method, who=nobody)
        error = json.loads(reply.body)["error"]
        assert (error["code"], error["data"]["executed"], reply.status) == (-32005, "no", 403)
        assert reply.retry_after is None

    world = scenario(play)
    assert ran(world) == []
    assert outcomes(world) == [(method, "", "method_refused")]


def test_a_notification_with_an_effect_is_refused_and_told() -> None:
    """Nobody would hear how it ended."""

    async def play(world: World) -> None:
        for method in ("setlabel", "createnewaddress", "payto", "broadcast"):
            assert (await ask(world, method, b'["a", "b"]', call_id=None)).body == b""
            await asyncio.sleep(1.0)

    world = scenario(play)
    assert ran(world) == []
    told = [one for one in world.recorder.events if isinstance(one, Event) and one.name == "notification.refused"]
    assert [one.fields["method"] for one in told] == ["setlabel", "createnewaddress", "payto", "broadcast"]
    assert {one.level for one in told} == {"warning"}


def test_a_notification_that_reads_runs_and_is_not_answered() -> None:
    """As JSON-RPC wants it; and an error is not told either."""

    async def play(world: World) -> None:
        assert (await ask(world, "getbalance", call_id=None)).body == b""
        assert (await ask(world, "getseed", call_id=None)).body == b""

    assert ran(scenario(play)) == [("getbalance", [])]


def test_the_daemons_own_error_passes_through() -> None:
    """It was executed: its bytes, HTTP 200, and it is counted as the daemon's."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.mangle = lambda _method: None
            say = daemon.say

            def with_error(exchange: Any, call: dict[str, object], result: object, say: Any = say) -> None:
                if call["method"] == "getbalance":
                    body = b'{"id": "%b", "error":  {"code": -1, "message": "no"} }' % str(call["id"]).encode()
                    exchange.end(Fate.ANSWERED, "", body, 200)
                else:
                    say(exchange, call, result)

            daemon.say = with_error  # type: ignore[method-assign]  # a daemon that knows no balance
        reply = await ask(world, "getbalance")
        assert b'{"code": -1, "message": "no"}' in reply.body
        assert reply.status == 200

    assert outcomes(scenario(play)) == [("getbalance", Effect.WALLET_READ, "daemon_error")]


def test_with_nobody_there_the_error_says_when_to_ask_again() -> None:
    """For clients that want HTTP statuses."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.kill()
        await asyncio.sleep(2.0)
        reply = await ask(world, "getbalance")
        assert json.loads(reply.body)["error"]["code"] == -32001
        assert (reply.status, reply.retry_after) == (503, 1.0)

    assert outcomes(scenario(play)) == [("getbalance", Effect.WALLET_READ, "no_backend")]


@pytest.mark.parametrize("method", ["setlabel", "createnewaddress", "payto"])
def test_a_keyed_call_that_moves_money_is_refused_while_no_ledger_can_keep_the_key(method: str) -> None:
    """A promise that nobody keeps costs money."""

    async def play(world: World) -> None:
        params = b'["a", "b"]' if method != "createnewaddress" else b"[]"
        error = json.loads((await ask(world, method, params, key="k1")).body)["error"]
        assert (error["code"], error["data"]["executed"], error["data"]["safe_to_repeat"]) == (-32008, "no", True)

    world = scenario(play)
    assert ran(world) == []
    assert [outcome for _, _, outcome in outcomes(world)] == ["read_only"]


def test_a_key_on_a_read_or_a_publication_binds_nothing_and_hinders_nothing() -> None:
    """Both may be repeated anyway."""

    async def play(world: World) -> None:
        for method, params in (("getbalance", b"[]"), ("broadcast", b'["00"]')):
            assert b"echo" in (await ask(world, method, params, key="k1")).body

    assert [method for method, _ in ran(scenario(play))] == ["getbalance", "broadcast"]


# -- the gateway's own methods --------------------------------------------------------------------------------


def test_the_gateways_own_status_is_answered_without_a_daemon() -> None:
    """To whoever may call at all, with every daemon dead."""

    async def play(world: World) -> None:
        world.dispatcher.status = lambda wallet: {"wallet": wallet, "backends": []}
        for daemon in world.daemons:
            daemon.kill()
        reply = await ask(world, "gateway.status", who=client(frozenset({Effect.READ})))
        assert json.loads(reply.body)["result"] == {"wallet": "main", "backends": []}

    assert ran(scenario(play)) == []


@pytest.mark.parametrize("method", ["gateway.", "gateway.nothing", "gateway.status.x"])
def test_an_unknown_method_of_ours_is_not_sent_to_a_daemon(method: str) -> None:
    """And the error names the one that there is."""

    async def play(world: World) -> None:
        error = json.loads((await ask(world, method)).body)["error"]
        assert error["code"] == -32601
        assert "gateway.status" in error["message"]

    assert ran(scenario(play)) == []


# -- flights --------------------------------------------------------------------------------------------------


def slow(world: World, seconds: float = 0.01) -> None:
    """Let every daemon take its time; less than a hedge waits for."""
    for daemon in world.daemons:
        daemon.service = lambda method: seconds if method not in ("getinfo", "listaddresses") else 0.0003


def test_reads_share_a_flight_and_each_gets_its_own_id() -> None:
    """One call to one daemon; also between different clients that may make it."""

    async def play(world: World) -> None:
        slow(world)
        people = [client(name=f"client-{i}") for i in range(4)]
        replies = await asyncio.gather(
            *(ask(world, "getbalance", call_id=b"%d" % i, who=who) for i, who in enumerate(people))
        )
        assert [json.loads(reply.body)["id"] for reply in replies] == [0, 1, 2, 3]
        assert len({reply.body.partition(b'"id"')[0] for reply in replies}) == 1

    world = scenario(play)
    assert ran(world) == [("getbalance", [])]
    assert world.recorder.counts["joined"] == 3
    assert len(world.plant.runner.flights) == 0


def test_nobody_joins_a_flight_without_the_right_to_the_call() -> None:
    """Authorisation comes first."""

    async def play(world: World) -> None:
        slow(world)
        first = asyncio.create_task(ask(world, "getbalance"))
        await asyncio.sleep(0.001)
        second = await ask(world, "getbalance", who=client(frozenset({Effect.READ})))
        assert json.loads(second.body)["error"]["code"] == -32005
        assert b"echo" in (await first).body

    scenario(play)


@pytest.mark.parametrize("method", ["setlabel", "createnewaddress", "payto"])
def test_money_never_shares_a_flight(method: str) -> None:
    """Two calls are two calls, however alike."""

    async def play(world: World) -> None:
        slow(world)
        params = b'["a", "b"]' if method != "createnewaddress" else b"[]"
        await asyncio.gather(*(ask(world, method, params) for _ in range(3)))

    world = scenario(play)
    primary = [method for _, method, _ in world.daemons[0].journal]
    assert primary.count(method) == 3
    assert world.recorder.counts.get("joined", 0) == 0


def test_the_same_signed_bytes_share_a_flight_across_generations() -> None:
    """Sending them twice is the same as once."""

    async def play(world: World) -> None:
        slow(world, 0.015)
        first = asyncio.create_task(ask(world, "broadcast", b'["00"]'))
        await asyncio.sleep(0.001)
        world.plant.pool.wrote(changes_addresses=False)
        second = asyncio.create_task(ask(world, "broadcast", b'["00"]'))
        third = asyncio.create_task(ask(world, "broadcast", b'["01"]'))
        await asyncio.gather(first, second, third)

    calls = ran(scenario(play))
    assert sorted(str(params) for _, params in calls) == ["['00']", "['01']"]


def test_a_reader_who_begins_after_a_write_was_sent_joins_no_earlier_flight() -> None:
    """What it reads may not be from before; a reader who begins now joins nobody, those after it join it."""

    async def play(world: World) -> None:
        slow(world, 0.015)
        first = asyncio.create_task(ask(world, "history"))
        await asyncio.sleep(0.001)
        world.plant.pool.wrote(changes_addresses=False)
        later = [asyncio.create_task(ask(world, "history")) for _ in range(2)]
        await asyncio.gather(first, *later)

    world = scenario(play, 1)
    assert [method for method, _ in ran(world)] == ["history", "history"]
    assert world.recorder.counts["joined"] == 1


def test_a_write_moves_the_generation_when_it_is_sent_and_when_it_ends() -> None:
    """Nobody knows at which moment between the two the daemon carries it out."""

    async def play(world: World) -> None:
        slow(world)
        pool = world.plant.pool
        before = pool.generation
        write = asyncio.create_task(ask(world, "setlabel", b'["a", "b"]'))
        await asyncio.sleep(0.001)
        sent = pool.generation
        assert sent > before
        await write
        assert pool.generation > sent

    scenario(play, 1)


def test_a_member_that_leaves_takes_only_its_own_seat() -> None:
    """The others are answered; the first one may be the one that leaves."""

    async def play(world: World) -> None:
        slow(world)
        tasks = [asyncio.create_task(ask(world, "getbalance")) for _ in range(3)]
        await asyncio.sleep(0.001)
        tasks[0].cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(replies[0], asyncio.CancelledError)
        assert all(isinstance(reply, Reply) and b"echo" in reply.body for reply in replies[1:])

    world = scenario(play)
    assert ran(world) == [("getbalance", [])]


def test_a_member_with_a_short_deadline_is_answered_at_it() -> None:
    """While the patient one gets the answer."""

    async def play(world: World) -> None:
        slow(world, 0.5)
        patient = asyncio.create_task(ask(world, "getbalance"))
        began = world.loop.time()
        hasty = await ask(world, "getbalance", patience=0.1)
        assert json.loads(hasty.body)["error"]["code"] == -32004
        assert world.loop.time() - began < 0.11
        assert b"echo" in (await patient).body

    scenario(play, 1)


def test_when_the_last_member_leaves_a_read_that_waits_is_never_sent() -> None:
    """It leaves the queue, and nobody joins it any more."""

    async def play(world: World) -> None:
        slow(world, 0.5)
        blocker = asyncio.create_task(ask(world, "setlabel", b'["a", "b"]'))
        await asyncio.sleep(0.001)
        tasks = [asyncio.create_task(ask(world, "history")) for _ in range(2)]
        await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(world.plant.runner.flights) == 0
        assert world.plant.runner.queue.waiting == 0
        await blocker

    assert [method for method, _ in ran(scenario(play, 1))] == ["setlabel"]


def test_what_the_default_client_may_do_is_done() -> None:
    """Read, read of the wallet, write and allocate; sign and publish are opened by name."""
    default = client(OPEN_BY_DEFAULT)

    async def play(world: World) -> None:
        for method, params in (("version", b"[]"), ("getbalance", b"[]"), ("setlabel", b'["a", "b"]')):
            assert b"result" in (await ask(world, method, params, who=default)).body
        assert b"address-20" in (await ask(world, "createnewaddress", who=default)).body
        for method, params in (("payto", b'["a", "1"]'), ("broadcast", b'["00"]')):
            assert json.loads((await ask(world, method, params, who=default)).body)["error"]["code"] == -32005

    scenario(play)


# -- several gateways -----------------------------------------------------------------------------------------------


class Elsewhere:
    """Sends calls to another gateway, and remembers them."""

    def __init__(self, world: World) -> None:
        """Have nothing sent."""
        self.sent: list[tuple[str, bytes]] = []
        self.world = world

    async def call(self, client: Client, call: Call, deadline: float, key: str | None) -> Reply:
        """Ask here first, as the real one does."""
        reply = await self.world.dispatcher.here("main", client, call, deadline, key)
        if reply is not None:
            return reply
        self.sent.append((call.method, call.params))
        return Reply(b"from the other gateway")

    def profile(self) -> Profile:
        """Of the wallet."""
        return load("electron-cash")


def test_a_wallet_that_is_held_elsewhere_is_answered_there() -> None:
    """And here while it is held here; a key is bound by the same methods."""

    async def play(world: World) -> None:
        elsewhere = Elsewhere(world)
        world.dispatcher.forwarders = {"main": elsewhere}
        assert b"echo" in (await ask(world, "getbalance")).body
        runners = dict(world.dispatcher.runners)
        world.dispatcher.runners = {}
        assert (await ask(world, "getbalance")).body == b"from the other gateway"
        assert world.dispatcher.takes_key("main", "payto")
        assert not world.dispatcher.takes_key("main", "getbalance")
        world.dispatcher.runners = runners
        assert b"echo" in (await ask(world, "getbalance")).body
        assert len(elsewhere.sent) == 1

    scenario(play)


def test_calls_under_way_when_a_wallet_is_lost_go_after_it_where_that_is_safe() -> None:
    """A read that a frozen daemon has, and a write that was not sent; not the write that it has."""

    async def play(world: World) -> None:
        elsewhere = Elsewhere(world)
        world.dispatcher.forwarders = {"main": elsewhere}
        for daemon in world.daemons:
            daemon.freeze()
        write, waits = (asyncio.create_task(ask(world, "setlabel", b'["a", "%d"]' % number)) for number in range(2))
        await asyncio.sleep(0.01)
        reads = [asyncio.create_task(ask(world, method)) for method in ("getbalance", "history")]
        await asyncio.sleep(0.1)
        world.dispatcher.runners = {}
        world.plant.give_up(moved=True)
        assert json.loads((await write).body)["error"]["code"] == -32004
        for one in (waits, *reads):
            assert (await one).body == b"from the other gateway"
        assert sorted(method for method, _ in elsewhere.sent) == ["getbalance", "history", "setlabel"]

    scenario(play)


def test_an_error_of_a_wallet_that_is_held_here_is_told_as_it_is() -> None:
    """Nobody is asked elsewhere what this gateway alone can know."""

    async def play(world: World) -> None:
        elsewhere = Elsewhere(world)
        world.dispatcher.forwarders = {"main": elsewhere}
        for daemon in world.daemons:
            daemon.kill()
        await asyncio.sleep(5.0)
        assert json.loads((await ask(world, "getbalance", patience=0.5)).body)["error"]["code"] == -32001
        assert elsewhere.sent == []

    scenario(play)
