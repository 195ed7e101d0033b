"""The desk: who answers what, by when, and that nothing begun is left open."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, Self

import pytest
from pydantic import SecretStr

from gateway.base.config import Client
from gateway.base.effects import GRANTABLE, Bound, Effect
from gateway.base.errors import METHOD_REFUSED, OUTCOME_UNKNOWN, RESULT_WITHHELD, Failure
from gateway.base.jsonrpc import Answer, Call, Reply
from gateway.flow.desk import GRACE, Desk
from gateway.flow.dispatch import Dispatcher
from gateway.profiles import ROLES, Method, load
from gateway.rules.methods import Granted
from tests.fakes import Recorder
from tests.simulation.world import World
from tests.virtual_time import run_virtual

SHOP = Client(name="shop", username="shop", password=SecretStr("x"), effects=GRANTABLE)
PROFILE = load("electron-cash")
ANSWER = Answer(b'"done"', None)


def granted(method: str | Method, effect: Effect | None = None) -> Granted:
    """A call that may be made."""
    row = PROFILE.methods[method] if isinstance(method, str) else method
    return Granted(row, effect or row.effect, Bound.FAST, b"[]")


class Room:
    """A room that takes so many seconds."""

    def __init__(self, seconds: float = 0.0) -> None:
        """Have answered nothing."""
        self.seconds = seconds
        self.begun = self.finished = 0
        self.keys: list[str | None] = []

    async def handle(self, _client: Client, _granted: Granted, _deadline: float, key: str | None) -> Answer | Failure:
        """Answer, in time or not."""
        self.begun += 1
        self.keys.append(key)
        await asyncio.sleep(self.seconds)
        self.finished += 1
        return ANSWER


def scenario(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scenario in virtual time."""
    run_virtual(play())


def desk(**rooms: Room) -> Desk:
    """A desk with rooms by role, and one for writes without a role."""
    return Desk(
        "main",
        {role: room.handle for role, room in rooms.items() if role in ROLES},
        {Effect.WRITE: rooms["writes"].handle} if "writes" in rooms else {},
        asyncio.get_running_loop(),
    )


def test_every_call_finds_its_room_or_goes_to_the_daemons() -> None:
    """By its role first, then by what it may do; reads are nobody's here."""

    async def play() -> None:
        address, label, writes = Room(), Room(), Room()
        made = desk(address=address, label=label, writes=writes)
        assert made.handler(granted("createnewaddress")) == address.handle
        assert made.handler(granted("getunusedaddress")) == address.handle
        assert made.handler(granted("setlabel")) == label.handle
        assert made.handler(granted("freeze")) == writes.handle
        for method in ("getbalance", "history", "validateaddress", "listcontacts", "payto"):
            assert made.handler(granted(method)) is None
        assert repr(made) == "<Desk main under_way=0>"

    scenario(play)


def test_an_allocation_that_no_room_can_keep_apart_is_refused() -> None:
    """A method of somebody's own profile, or addrequest where there are no invoices: never to the daemon."""

    async def play() -> None:
        made = desk(address=Room())
        own = Method("mynewaddress", Effect.ALLOCATE)
        for call in (granted(own), granted("addrequest"), granted("getbalance", Effect.ALLOCATE)):
            handler = made.handler(call)
            assert handler is not None
            answer = await made.answer(handler, SHOP, call, made.loop.time() + 1.0, None)
            assert isinstance(answer, Failure)
            assert answer.kind is METHOD_REFUSED
            assert call.method.name in answer.message
            assert "two customers" in answer.message

    scenario(play)


def test_what_a_room_says_within_its_grace_counts() -> None:
    """It knows best how the call ended, and may say so right at the deadline."""

    async def play() -> None:
        room = Room(1.0 + GRACE / 2)
        made = desk(address=room)
        assert await made.answer(room.handle, SHOP, granted("createnewaddress"), made.loop.time() + 1.0, "k1") is ANSWER
        assert room.keys == ["k1"]
        assert not made.under_way

    scenario(play)


@pytest.mark.parametrize("patience", [-5.0, 0.0, 1.0])
def test_a_caller_is_answered_by_his_deadline_also_where_the_disk_is_not(patience: float) -> None:
    """The room goes on to the end."""

    async def play() -> None:
        room = Room(30.0)
        made = desk(address=room)
        began = made.loop.time()
        answer = await made.answer(room.handle, SHOP, granted("createnewaddress"), began + patience, None)
        assert made.loop.time() - began == pytest.approx(max(0.0, patience) + GRACE)
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.safe_to_repeat) == (RESULT_WITHHELD, True)
        assert repr(made) == "<Desk main under_way=1>"
        await asyncio.sleep(30.0)
        assert (room.finished, len(made.under_way)) == (1, 0)

    scenario(play)


@pytest.mark.parametrize(
    ("method", "key", "kind", "is_safe"),
    [
        ("createnewaddress", None, RESULT_WITHHELD, True),
        ("addrequest", None, RESULT_WITHHELD, True),
        ("rmrequest", None, OUTCOME_UNKNOWN, True),
        ("clearrequests", None, OUTCOME_UNKNOWN, True),
        ("payto", None, OUTCOME_UNKNOWN, False),
        ("payto", "order-1", OUTCOME_UNKNOWN, True),
        ("signtransaction", None, OUTCOME_UNKNOWN, False),
        ("signmessage", None, OUTCOME_UNKNOWN, False),
        ("broadcast", None, OUTCOME_UNKNOWN, True),
        ("setlabel", None, OUTCOME_UNKNOWN, True),
    ],
)
def test_a_late_call_is_never_called_not_executed(
    method: str, key: str | None, kind: object, is_safe: bool  # noqa: FBT001 - a parameter of the test
) -> None:  # fmt: skip
    """And whether it may be sent again depends on what it does."""

    async def play() -> None:
        room = Room(30.0)
        made = desk(payment=room)
        answer = await made.answer(room.handle, SHOP, granted(method), made.loop.time() + 1.0, key)
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.safe_to_repeat, answer.wallet) == (kind, is_safe, "main")
        assert answer.kind.executed.value != "no"
        if method == "payto":
            assert ("gateway.outcome" in answer.next_step) == (key is not None)
        elif kind is OUTCOME_UNKNOWN:
            assert ("send the same call again" in answer.next_step) == is_safe

    scenario(play)


@pytest.mark.parametrize(("patience", "told"), [(1.0, RESULT_WITHHELD), (5.0, None)])
def test_what_a_caller_was_told_counts_for_nobody_is_withdrawn_when_it_comes_after_all(
    patience: float, told: object
) -> None:  # fmt: skip
    """Once, and only where he was told so; an error that comes late has nothing to withdraw."""

    async def play() -> None:
        room, withdrawn = Room(2.0), []

        async def withdraw(client: Client, answer: Answer) -> None:
            await asyncio.sleep(1.0)
            withdrawn.append((client.name, answer))

        made = desk(invoice_add=room)
        made.withdraw = {"invoice_add": withdraw}
        answer = await made.answer(room.handle, SHOP, granted("addrequest"), made.loop.time() + patience, None)
        assert (answer.kind if isinstance(answer, Failure) else None) is told
        await asyncio.sleep(1.5)
        assert len(made.under_way) == (told is not None), "the stop waits for it"
        await asyncio.sleep(1.5)
        assert withdrawn == ([("shop", ANSWER)] if told else [])

        async def refused(*_args: object) -> Failure:
            await asyncio.sleep(2.0)
            return Failure(METHOD_REFUSED, "no", safe_to_repeat=False)

        await made.answer(refused, SHOP, granted("addrequest"), made.loop.time() + 1.0, None)
        await made.answer(room.handle, SHOP, granted("createnewaddress"), made.loop.time() + 1.0, None)
        await asyncio.sleep(5.0)
        assert len(withdrawn) == (told is not None)

    scenario(play)


def test_what_a_caller_began_goes_on_when_he_hangs_up() -> None:
    """An intent that nobody closes would have to be called unknown."""

    async def play() -> None:
        room = Room(2.0)
        made = desk(payment=room)
        calling = made.loop.create_task(made.answer(room.handle, SHOP, granted("payto"), made.loop.time() + 5.0, None))
        await asyncio.sleep(1.0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert (room.finished, len(made.under_way)) == (0, 1)
        await asyncio.sleep(1.5)
        assert (room.finished, len(made.under_way)) == (1, 0)

    scenario(play)


def test_what_goes_wrong_in_a_room_reaches_its_caller_and_leaves_nothing_behind() -> None:
    """The door turns it into an error of ours."""

    async def play() -> None:
        async def broken(*_args: object) -> Answer:
            await asyncio.sleep(0.1)
            raise RuntimeError("broken")

        made = desk()
        with pytest.raises(RuntimeError, match="broken"):
            await made.answer(broken, SHOP, granted("payto"), made.loop.time() + 1.0, None)
        await asyncio.sleep(0.1)
        assert not made.under_way

    scenario(play)


def test_a_caller_whose_room_is_ended_by_the_gateways_stop_is_told() -> None:
    """As one that is late, and not with a connection that breaks off."""

    async def play() -> None:
        room = Room(30.0)
        made = desk(payment=room)
        calling = made.loop.create_task(
            made.answer(room.handle, SHOP, granted("payto"), made.loop.time() + 60.0, "order-1")
        )
        await asyncio.sleep(1.0)
        for task in list(made.under_way):
            task.cancel()
        answer = await calling
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.safe_to_repeat) == (OUTCOME_UNKNOWN, True)

    scenario(play)


# -- the desk's part of dispatch ----------------------------------------------------------------------------------


class Front:
    """A dispatcher in front of daemons, with a desk for its one wallet."""

    def __init__(self, **rooms: Room) -> None:
        """Build it, all daemons in service."""
        self.world = World(1, 1)
        self.recorder = Recorder()
        self.loop = self.world.loop
        self.dispatcher = Dispatcher(
            {"main": self.world.plant.runner}, self.recorder, self.recorder.emit, lambda _wallet: {}, self.loop,
            desks={"main": desk(**rooms)},
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        """Start."""
        self.world.start()
        await asyncio.sleep(1.0)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Stop."""
        await self.world.stop()

    async def call(self, method: str, *, key: str | None = None, call_id: bytes | None = b"7") -> Reply:
        """Make a call."""
        call = Call(method, b"[]", call_id, v1=False)
        return await self.dispatcher.call("main", SHOP, call, self.loop.time() + 5.0, key)

    def ran(self) -> list[str]:
        """What the daemon was asked by clients."""
        upkeep = {"getinfo", "listaddresses", "createnewaddress"}
        return [method for _, method, _ in self.world.daemons[0].journal if method not in upkeep]


def test_the_desk_answers_in_the_envelope_of_the_caller_and_is_counted() -> None:
    """With its own id; no daemon hears of it."""

    async def play() -> None:
        room = Room()
        async with Front(label=room) as front:
            reply = await front.call("setlabel", key="k")
            assert json.loads(reply.body) == {"jsonrpc": "2.0", "id": 7, "result": "done"}
            assert room.keys == ["k"]
            assert front.ran() == []
            assert front.recorder.outcomes[-1][:4] == ("main", "setlabel", "write", "ok")

    scenario(play)


def test_a_read_passes_by_the_desk() -> None:
    """Straight to a daemon, keyed or not."""

    async def play() -> None:
        async with Front(label=Room()) as front:
            await front.call("getbalance", key="k")
            assert front.ran() == ["getbalance"]

    scenario(play)


def test_a_notification_with_an_effect_reaches_no_room() -> None:
    """Nobody would hear how it ended."""

    async def play() -> None:
        room = Room()
        async with Front(label=room) as front:
            assert (await front.call("setlabel", call_id=None)).body == b""
            assert room.begun == 0
            assert "notification.refused" in front.recorder.names()

    scenario(play)


def test_a_failure_of_a_room_is_told_and_counted_as_such() -> None:
    """By the name of its kind."""

    async def play() -> None:
        async with Front() as front:
            reply = await front.call("createnewaddress")
            assert b"method_refused" in reply.body
            assert front.recorder.outcomes[-1][3] == "method_refused"

    scenario(play)
