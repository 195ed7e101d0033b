"""A gateway that follows, and the holder it does or does not reach: what it greets, and what is said of it when."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.base.events import Event
from gateway.base.jsonrpc import Call
from gateway.flow.identity import Identity
from gateway.flow.reach import BEAT, PATIENCE, Reach
from gateway.rules.forward import GREETING, REFUSED, greeted
from gateway.rules.reach import UNREACHED
from gateway.rules.retry import Sent
from gateway.upstream.relay import Arrived, Broken
from tests.flow.test_forward import (
    ALLOCATE,
    ME,
    ONE,
    READ,
    SECRET,
    TWO,
    Act,
    FakeRelay,
    Sent1,
    Who,
    World,
    frozen,
    good,
    killed,
    not_holder,
    refused,
    swallowed,
)
from tests.flow.test_forward import play as play_world
from tests.virtual_time import run_virtual

TTL = 3.0
SOON = UNREACHED + BEAT + PATIENCE + 0.1
"""Seconds after which a holder that lives and is not reached is known to be so."""


class Way:
    """A gateway that follows a holder; who renews its lease while it is alive."""

    def __init__(self, *acts: Act, holder: Who | None = ONE) -> None:
        """Begin to look."""
        self.loop = asyncio.get_running_loop()
        self.relay = FakeRelay(*acts or (good,))
        self.who = holder
        self.is_alive = True
        self.events: list[Event] = []
        self.reach = Reach(
            "main", Identity("gw-me", SECRET, lambda: 1.0), self.relay, self.holder, self.loop, self.events.append
        )
        self.died_at = 0.0
        self.task = self.loop.create_task(self.reach.run(TTL))

    def holder(self) -> Who | None:
        """Who has it; the end of its lease is as of its last renewal."""
        renewed_at = self.loop.time() if self.is_alive else self.died_at
        return None if self.who is None else replace(self.who, until=renewed_at + TTL)

    def dies(self) -> None:
        """Renew no more."""
        self.is_alive, self.died_at = False, self.loop.time()

    @property
    def cut_off_from(self) -> str:
        """What this gateway says of itself."""
        return self.reach.cut_off_from(TTL)

    def told(self) -> list[str]:
        """Names of what was told."""
        return [event.name.removeprefix("lease.") for event in self.events]


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run one scene in virtual time."""

    async def main() -> None:
        await scene()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    run_virtual(main())


async def forged(call: Sent1) -> Arrived | Broken:
    """Answer in somebody else's name."""
    return Arrived(b"{}", call.answer(b"[]").told)


async def unsigned(_call: Sent1) -> Arrived | Broken:
    """Answer as one that has another secret."""
    return Broken(Sent.NO, REFUSED, "HTTP 401")


@pytest.mark.parametrize("act", [refused, frozen, killed, forged, unsigned])
def test_a_holder_that_lives_and_does_not_answer_is_told_without_any_client(act: Act) -> None:
    """Once; and that it answers again, soon after it does, without a client as well."""

    async def scene() -> None:
        way = Way(act)
        await asyncio.sleep(UNREACHED)
        assert way.cut_off_from == ""
        await asyncio.sleep(SOON + BEAT - UNREACHED)
        assert way.cut_off_from == "gw-1"
        await asyncio.sleep(10.0)
        assert way.told() == ["holder_unreached"]
        assert all(one.body == GREETING and not one.head["X-Ecgw-Client"] for one in way.relay.sent)
        assert len(way.relay.sent) < 3 + (SOON + BEAT + 10.0) / BEAT
        way.relay.acts = [good]
        await asyncio.sleep(BEAT + PATIENCE + 0.1)
        assert way.cut_off_from == ""
        assert way.told() == ["holder_unreached", "holder_reached"]

    play(scene)


def test_a_holder_that_died_is_waited_for() -> None:
    """Somebody will have its lease soon, and until then calls are no better off anywhere else."""

    async def scene() -> None:
        way = Way(good)
        await asyncio.sleep(10.0)
        way.dies()
        way.relay.acts = [refused]
        await asyncio.sleep(60.0)
        assert (way.cut_off_from, way.told()) == ("", [])

    play(scene)


def test_a_holder_is_greeted_each_second_whatever_it_answers() -> None:
    """Calls say whether it is reached, and not how its daemons are."""

    async def scene() -> None:
        way = Way(not_holder)
        for _ in range(100):
            way.reach.heard(ONE)
            await asyncio.sleep(BEAT / 2)
        assert 45 <= len(way.relay.sent) <= 50
        assert (way.cut_off_from, way.told(), way.reach.not_ready()) == ("", [], [])

    play(scene)


@pytest.mark.parametrize("is_alive", [True, False])
def test_who_answers_that_it_does_not_hold_the_wallet_is_not_the_holder(*, is_alive: bool) -> None:
    """While its lease moves on that is another one, whose name and address both have; else it has just handed over."""

    async def scene() -> None:
        way = Way(not_holder)
        if not is_alive:
            way.dies()
        await asyncio.sleep(SOON + BEAT)
        assert way.cut_off_from == ("gw-1" if is_alive else "")

    play(scene)


def test_calls_that_are_answered_so_say_nothing_of_the_way_to_the_holder() -> None:
    """It may be just beginning; greetings tell."""

    async def scene() -> None:
        world = World(not_holder)
        await world.ask(READ, 1.0)
        assert world.forwarder.reach.found == type(world.forwarder.reach.found)()

    play_world(scene)


async def dead(call: Sent1) -> Arrived | Broken:
    """Answer that no daemon takes calls."""
    return call.answer(greeted(["ec-1: dead", "ec-2: dead"]))


def test_what_the_holder_says_of_its_daemons_is_said_here_too() -> None:
    """Once it has said so twice; over as soon as one of them is well, and by whoever holds the wallet next."""

    async def scene() -> None:
        way = Way(dead)
        await asyncio.sleep(1.5 * BEAT)
        assert way.reach.not_ready() == [], "it may just have taken over"
        await asyncio.sleep(BEAT)
        found = ["gw-1, which holds it: ec-1: dead", "gw-1, which holds it: ec-2: dead"]
        assert way.reach.not_ready() == found
        way.relay.acts = [good]
        await asyncio.sleep(BEAT)
        assert way.reach.not_ready() == [], "an older version does not say more than that it is there"
        way.relay.acts = [dead]
        await asyncio.sleep(2 * BEAT)
        assert way.reach.not_ready() == found
        way.who = TWO
        assert way.reach.not_ready()[0] == "gw-2, which holds it: ec-1: dead", "the daemons are the same"
        way.who = ME
        assert way.reach.not_ready() == [], "it sees for itself"
        way.who, way.relay.acts = None, [good]
        assert way.reach.not_ready() == [], "nobody is there to say so"
        way.who = TWO
        await asyncio.sleep(BEAT)
        assert way.reach.not_ready() == []

    play(scene)


def test_what_was_known_while_the_wallet_was_held_is_known_until_the_next_holder_speaks() -> None:
    """All daemons are dead, and the wallet goes round: no gateway is ready in between."""

    async def scene() -> None:
        way = Way(dead, holder=TWO)
        way.reach.remember(["ec-1: dead"])
        assert way.reach.not_ready() == ["gw-2, which holds it: ec-1: dead"]
        await asyncio.sleep(1.5 * BEAT)
        assert len(way.reach.not_ready()) == 2
        way.relay.acts = [good]
        await asyncio.sleep(BEAT)
        assert way.reach.not_ready() == []
        way.reach.remember([])
        assert way.reach.not_ready() == []

    play(scene)


def test_a_mistake_of_ours_ends_nothing() -> None:
    """The lease is gone after by the same task."""

    async def broken(_call: Sent1) -> Arrived | Broken:
        raise RuntimeError("a mistake")

    async def scene() -> None:
        way = Way(broken)
        await asyncio.sleep(2 * BEAT + 0.1)
        assert {event.name for event in way.events} == {"room.failed"}
        assert not way.task.done()

    play(scene)


@pytest.mark.parametrize("heir", [None, ME, TWO])
def test_a_new_holder_ends_what_was_said_of_the_old_one(heir: Who | None) -> None:
    """Whoever it is."""

    async def scene() -> None:
        way = Way(refused)
        await asyncio.sleep(SOON + BEAT)
        assert way.told() == ["holder_unreached"]
        way.relay.acts, way.who = [good], heir
        await asyncio.sleep(BEAT + 0.1)
        assert way.told() == ["holder_unreached", "holder_reached"]
        if heir is not TWO:
            before = len(way.relay.sent)
            await asyncio.sleep(10.0)
            assert len(way.relay.sent) == before, "nobody is there to be greeted"

    play(scene)


@pytest.mark.parametrize(("call", "act"), [(READ, refused), (READ, swallowed), (ALLOCATE, frozen), (READ, forged)])
def test_calls_that_bring_nothing_count_and_those_that_bring_something_too(call: Call, act: Act) -> None:
    """From the moment that the first was sent."""

    async def scene() -> None:
        world = World(act)
        assert world.forwarder.reach.found.since is None
        await world.ask(call, 2.0)
        assert world.forwarder.reach.found.since == 1000.0
        world.relay.acts = [good]
        await world.ask()
        assert world.forwarder.reach.found.since is None
        assert world.forwarder.reach.found.heard_at == world.loop.time()

    play_world(scene)
