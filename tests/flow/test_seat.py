"""A read without a task: begun, answered in the turn of the daemon's answer, left."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.base.config import Client
from gateway.base.effects import Effect
from gateway.base.jsonrpc import Answer, Call, Reply
from gateway.flow import dispatch
from gateway.flow.errand import Result
from gateway.flow.seat import Hearer, Seat
from gateway.profiles import Profile
from gateway.rules.methods import Granted, Refused, judge
from tests.flow.test_dispatch import client, outcomes, ran, scenario
from tests.simulation.world import World


class Heard(Hearer):
    """Somebody who keeps what he hears."""

    def __init__(self, replies: list[Reply]) -> None:
        self.replies = replies

    def hear(self, reply: Reply) -> None:
        """Keep it."""
        self.replies.append(reply)


def begin(world: World, method: str, heard: list[Reply], params: bytes = b"[]", call_id: bytes | None = b"7") -> Any:
    """Begin a call."""
    call = Call(method, params, call_id, v1=False)
    return world.dispatcher.begin("main", client(), call, world.loop.time() + 9.0, Heard(heard))


def test_a_read_is_answered_without_a_task() -> None:
    """With the caller's id, and counted as any other call; identical ones share a flight."""

    async def play(world: World) -> None:
        heard: list[Reply] = []
        tasks = len(asyncio.all_tasks())
        seats = [begin(world, "getbalance", heard) for _ in range(3)]
        assert None not in seats
        assert len(asyncio.all_tasks()) == tasks
        await asyncio.sleep(1.0)
        assert [b'"id": 7' in reply.body for reply in heard] == [True] * 3
        assert outcomes(world) == [("getbalance", "wallet_read", "ok")] * 3
        assert len(ran(world)) == 1
        assert all(seat.done() for seat in seats)

    scenario(play)


@pytest.mark.parametrize("method", ["createnewaddress", "setlabel", "getseed", "nosuchmethod", "gateway.status"])
def test_what_is_no_read_is_not_begun_so(method: str) -> None:
    """Nothing is done about it: money, refusals and the gateway's own methods go the long way."""

    async def play(world: World) -> None:
        heard: list[Reply] = []
        assert begin(world, method, heard) is None
        await asyncio.sleep(1.0)
        assert (heard, ran(world), outcomes(world)) == ([], [], [])

    scenario(play)


def test_a_verdict_counts_for_its_client_its_profile_and_its_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call is judged once; whoever may do less, and the next profile, are judged anew; few are kept."""
    judged: list[str] = []

    def watched(profile: Profile, method: str, params: bytes, **more: Any) -> Granted | Refused:
        judged.append(more["client"])
        return judge(profile, method, params, **more)

    monkeypatch.setattr(dispatch, "judge", watched)

    async def play(world: World) -> None:
        dispatcher, heard = world.dispatcher, list[Reply]()
        may, may_not = client(), client(effects=frozenset({Effect.WRITE}))

        def ask(who: Client, params: bytes = b"[]") -> bool:
            call = Call("getbalance", params, b"7", v1=False)
            return dispatcher.begin("main", who, call, world.loop.time() + 9.0, Heard(heard)) is not None

        assert [ask(may), ask(may_not), ask(may), ask(may_not)] == [True, False, True, False]
        assert len(judged) == 3  # a refusal is not kept
        profile = dispatcher.runners["main"].profile
        without = {name: row for name, row in profile.methods.items() if name != "getbalance"}
        dispatcher.runners["main"].profile = replace(profile, methods=without)
        assert not ask(may)
        dispatcher.runners["main"].profile = profile
        for number in range(2 * dispatch.MOST_VERDICTS):
            ask(may, b"[%d]" % number)
        ask(may, b'["' + b"x" * 300 + b'"]')
        assert len(dispatcher._verdicts) <= dispatch.MOST_VERDICTS
        assert all(len(one.params) <= 200 for one in dispatcher._verdicts.values())

    scenario(play)


def test_a_wallet_that_is_not_here_is_not_begun_so() -> None:
    """Nor one that may be held by another gateway."""

    async def play(world: World) -> None:
        heard: list[Reply] = []
        call = Call("getbalance", b"[]", b"7", v1=False)
        assert world.dispatcher.begin("other", client(), call, world.loop.time() + 9.0, Heard(heard)) is None
        world.dispatcher.forwarders = {"main": object()}  # type: ignore[dict-item]  # only looked up
        assert begin(world, "getbalance", heard) is None
        world.dispatcher.forwarders = {}

    scenario(play)


def test_who_leaves_takes_his_own_seat_alone() -> None:
    """The others of the flight are answered; the last one who leaves ends the read."""

    async def play(world: World) -> None:
        heard: list[Reply] = []
        other: list[Reply] = []
        begin(world, "getbalance", heard).cancel()
        leaver, _stayer = begin(world, "getinfo", heard), begin(world, "getinfo", other)
        leaver.cancel()
        leaver.cancel()
        await asyncio.sleep(1.0)
        assert (len(heard), len(other)) == (0, 1)
        assert not world.dispatcher.runners["main"].errands

    scenario(play)


async def test_a_fault_of_who_hears_stays_his() -> None:
    """The others of his flight are answered, and the loop's handler is told."""
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context))

    class Faulty(Seat):
        def _tell(self, _hearer: Hearer, _result: Result, _ended_at: float) -> None:
            raise RuntimeError("his")

    seat = Faulty(loop, Heard([]))
    seat.set_result(Answer(b"1", None))
    seat.set_result(Answer(b"1", None))
    seat.cancel()
    assert [str(one["exception"]) for one in told] == ["his"]
