"""The mirror in virtual time: standbys brought up by createnewaddress, strangers never, nothing out of silence."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.base.events import Event
from gateway.fleet.backend import Backend
from gateway.supervision.catching_up import GUESSED
from gateway.supervision.filling import AT_ONCE
from gateway.supervision.mirror import PERIOD
from tests.fakes import FakeDaemon
from tests.simulation.world import World
from tests.virtual_time import run_virtual

Play = Callable[[World], Coroutine[Any, Any, None]]


def scenario(play: Play, backends: int = 2, before: Callable[[World], None] = lambda _world: None) -> World:
    """Play a scenario in a world that has run for two seconds; `before` prepares its daemons."""

    async def live() -> World:
        world = World(backends, 1)
        before(world)
        world.start()
        await asyncio.sleep(2.0)
        await play(world)
        await world.stop()
        return world

    return run_virtual(live())


async def nothing(_world: World) -> None:
    """Let the two seconds be all."""


def addresses(world: World) -> list[list[str]]:
    """What each daemon lists."""
    return [daemon.wallet.addresses for daemon in world.daemons]


def derived(daemon: FakeDaemon) -> int:
    """How often a daemon was made to derive an address."""
    return sum(method == "createnewaddress" for _, method, _ in daemon.journal)


def standby(world: World) -> Backend:
    """The second backend."""
    return world.plant.pool.backends[1]


def events(world: World, name: str) -> list[Event]:
    """The events of a name."""
    return [one for one in world.recorder.events if isinstance(one, Event) and one.name == name]


def shorten(*lengths: int) -> Callable[[World], None]:
    """Give the standbys shorter lists."""

    def prepare(world: World) -> None:
        for daemon, length in zip(world.daemons[1:], lengths, strict=True):
            del daemon.wallet.addresses[length:]

    return prepare


@pytest.mark.parametrize("length", [0, 1, 19, 20])
def test_a_shorter_standby_is_brought_up_and_is_aligned_then(length: int) -> None:
    """With as many createnewaddress as are missing, and not one more."""
    world = scenario(nothing, before=shorten(length))
    assert addresses(world)[1] == addresses(world)[0]
    assert derived(world.daemons[1]) == 20 - length
    assert derived(world.daemons[0]) == 0
    assert world.plant.pool.is_aligned(standby(world))
    assert world.recorder.names().count("backend.aligned") == 1
    assert sum(int(str(one.fields["addresses"])) for one in events(world, "mirror.derived")) == 20 - length


def test_each_standby_is_brought_up_for_itself() -> None:
    """One that is silent keeps nobody waiting."""

    async def play(world: World) -> None:
        pool = world.plant.pool
        assert [pool.is_aligned(one) for one in pool.backends] == [True, True, True]
        world.daemons[1].freeze()
        await world.ask("createnewaddress")
        await asyncio.sleep(1.5)
        assert [pool.is_aligned(one) for one in pool.backends] == [True, False, True]
        world.daemons[1].thaw()
        await asyncio.sleep(5.0)
        assert [pool.is_aligned(one) for one in pool.backends] == [True, True, True]

    world = scenario(play, 3, shorten(5, 10))
    assert addresses(world)[1] == addresses(world)[2] == addresses(world)[0]


def test_an_allocation_leaves_standbys_unaligned_until_they_list_it() -> None:
    """Not a moment longer than the comparison takes."""

    async def play(world: World) -> None:
        pool = world.plant.pool
        await world.ask("createnewaddress")
        assert not pool.is_aligned(standby(world))
        assert pool.aligned == [pool.primary]
        await asyncio.sleep(0.05)
        assert pool.is_aligned(standby(world))

    world = scenario(play)
    assert addresses(world)[1] == addresses(world)[0]
    assert len(addresses(world)[0]) == 21


def test_a_comparison_counts_only_up_to_the_write_before_it_began() -> None:
    """An address given out while a comparison is under way is not covered by it."""

    async def play(world: World) -> None:
        pool = world.plant.pool
        world.daemons[1].service = lambda method: 0.1 if method == "listaddresses" else 0.0003
        await world.ask("createnewaddress")
        await asyncio.sleep(0.02)
        await world.ask("createnewaddress")
        was = pool.written
        while standby(world).aligned_to == was - 2:
            assert not pool.is_aligned(standby(world))
            await asyncio.sleep(0.001)
        assert standby(world).aligned_to == was - 1
        assert not pool.is_aligned(standby(world))
        await asyncio.sleep(0.5)
        assert pool.is_aligned(standby(world))

    scenario(play)


def test_a_standby_far_behind_is_brought_up_in_portions() -> None:
    """So that it takes no more calls in a row than AT_ONCE; it is aligned only at the end."""
    longest = 2 * AT_ONCE + 100

    def prepare(world: World) -> None:
        world.daemons[0].wallet.addresses.extend(f"address-{i}" for i in range(20, longest))

    async def play(_world: World) -> None:
        await asyncio.sleep(3.0)

    world = scenario(play, before=prepare)
    portions = [one.fields["addresses"] for one in events(world, "mirror.derived")]
    assert portions == [AT_ONCE, AT_ONCE, 80]
    assert addresses(world)[1] == addresses(world)[0]
    assert world.plant.pool.is_aligned(standby(world))


@pytest.mark.parametrize("place", [0, 7, 19])
def test_another_seed_is_never_aligned_and_is_told_once(place: int) -> None:
    """Whatever is compared and however often; nothing is derived on it, and no call of a client goes there."""

    def prepare(world: World) -> None:
        world.daemons[1].wallet.addresses[place] = "stranger"

    async def play(world: World) -> None:
        for _ in range(3):
            await world.ask("createnewaddress")
            await asyncio.sleep(PERIOD)
        world.daemons[0].freeze()
        for _ in range(5):
            await world.ask("getbalance", 0.3)
        world.daemons[0].thaw()
        await asyncio.sleep(1.0)
        for _ in range(20):
            await world.ask("version", 0.3)

    world = scenario(play, before=prepare)
    [event] = events(world, "backend.diverged")
    assert (event.backend, event.level, event.fields["first_index"]) == ("ec-2", "error", place)
    assert not world.plant.pool.is_aligned(standby(world))
    assert derived(world.daemons[1]) == 0
    assert world.plant.pool.by_name["ec-2"].is_stranger
    assert not {"getbalance", "version"} & {method for _, method, _ in world.daemons[1].journal}


def test_a_shorter_stranger_derives_one_address_at_most() -> None:
    """The first one that differs ends it."""

    def prepare(world: World) -> None:
        wallet = world.daemons[1].wallet
        del wallet.addresses[10:]
        answer = wallet.answer

        def derives(method: str, params: object) -> object:
            if method == "createnewaddress":
                wallet.addresses.append("stranger")
                return "stranger"
            return answer(method, params)

        wallet.answer = derives  # type: ignore[method-assign]  # another seed behind the same beginning

    async def play(_world: World) -> None:
        await asyncio.sleep(3 * PERIOD)

    world = scenario(play, before=prepare)
    assert derived(world.daemons[1]) == 1
    assert len(events(world, "backend.diverged")) == 1
    assert not world.plant.pool.is_aligned(standby(world))


def test_a_standby_that_extends_its_list_by_itself_is_no_stranger() -> None:
    """A payment to its last addresses makes it do so, and what it derives then is one that comes later."""

    def prepare(world: World) -> None:
        wallet = world.daemons[1].wallet
        del wallet.addresses[10:]
        answer, unseen = wallet.answer, ["a payment"]

        def derives(method: str, params: object) -> object:
            if method == "createnewaddress" and unseen:
                unseen.clear()
                wallet.addresses.extend(f"address-{n}" for n in range(10, 14))
            return answer(method, params)

        wallet.answer = derives  # type: ignore[method-assign]  # it looks at its history before it derives

    async def play(world: World) -> None:
        await asyncio.sleep(PERIOD / 2)
        assert world.plant.pool.is_aligned(standby(world))

    world = scenario(play, before=prepare)
    assert addresses(world)[1] == addresses(world)[0]
    assert not events(world, "backend.diverged")


def test_a_stranger_that_was_given_the_right_seed_is_aligned_again() -> None:
    """And would be told anew."""

    def prepare(world: World) -> None:
        world.daemons[1].wallet.addresses[3] = "stranger"

    async def play(world: World) -> None:
        world.daemons[1].wallet.addresses[3] = "address-3"
        await asyncio.sleep(PERIOD + 1.0)
        assert world.plant.pool.is_aligned(standby(world))
        world.daemons[1].wallet.addresses[3] = "stranger"
        await asyncio.sleep(PERIOD + 1.0)
        assert not world.plant.pool.is_aligned(standby(world))

    assert len(events(scenario(play, before=prepare), "backend.diverged")) == 2


def test_a_silent_primary_changes_nothing() -> None:
    """No alignment is lost or won by it, nothing is derived, nobody is called a stranger."""

    async def play(world: World) -> None:
        world.daemons[0].freeze()
        world.recorder.events.clear()
        await asyncio.sleep(5 * PERIOD)
        assert world.plant.pool.is_aligned(standby(world))

    world = scenario(play)
    assert derived(world.daemons[1]) == 0
    told = {one.name for one in world.recorder.events if isinstance(one, Event) and one.backend != "ec-1"}
    assert told == set()


def test_a_primary_that_answers_nonsense_changes_nothing_for_standbys() -> None:
    """An error and something that is no list: it is said once, and nothing is derived from it."""

    async def play(world: World) -> None:
        wallet = world.daemons[0].wallet
        answer = wallet.answer
        wallet.answer = lambda method, params: (  # type: ignore[method-assign]  # a list of something else
            {"no": "list"} if method == "listaddresses" else answer(method, params)
        )
        await asyncio.sleep(3 * PERIOD)

    world = scenario(play)
    assert len(events(world, "mirror.blind")) == 1
    assert derived(world.daemons[1]) == 0
    assert world.plant.pool.is_aligned(standby(world))


def test_a_standby_that_was_restarted_loses_its_alignment_until_it_is_compared_again() -> None:
    """It may have lost addresses that it had not saved."""

    async def play(world: World) -> None:
        for _ in range(3):
            await world.ask("createnewaddress")
        await asyncio.sleep(1.0)
        assert world.plant.pool.is_aligned(standby(world))
        world.daemons[1].kill()
        await asyncio.sleep(1.2)
        assert standby(world).aligned_to is None
        world.daemons[1].start()
        assert len(world.daemons[1].wallet.addresses) == 20
        await asyncio.sleep(0.5)
        assert not standby(world).takes_wallet_reads or addresses(world)[1] == addresses(world)[0]
        await asyncio.sleep(2.0)
        assert world.plant.pool.is_aligned(standby(world))

    world = scenario(play)
    assert addresses(world)[1] == addresses(world)[0]
    assert world.recorder.names().count("backend.unaligned") == 1
    assert world.recorder.names().count("backend.aligned") == 2


def test_a_primary_that_forgot_addresses_derives_past_them_before_a_client_gets_one() -> None:
    """No address is given out twice over a kill and a start."""

    async def play(world: World) -> None:
        for _ in range(4):
            await world.ask("createnewaddress")
        world.daemons[0].kill()
        await asyncio.sleep(1.5)
        world.daemons[0].start()
        await asyncio.sleep(1.2)
        for _ in range(4):
            await world.ask("createnewaddress")

    world = scenario(play)
    given = [told.reply.get("result") for told in world.told]
    assert None not in given
    assert len(set(map(str, given))) == 8
    assert addresses(world)[0] == [f"address-{i}" for i in range(len(addresses(world)[0]))]


def test_comparisons_are_rare_while_nothing_happens() -> None:
    """One each period, one slot at a time."""

    async def play(world: World) -> None:
        for daemon in world.daemons:
            daemon.journal.clear()
        await asyncio.sleep(10 * PERIOD)

    world = scenario(play)
    for daemon in world.daemons:
        assert sum(method == "listaddresses" for _, method, _ in daemon.journal) in (9, 10, 11)


def test_a_wallet_with_one_backend_has_nothing_to_mirror() -> None:
    """Nothing is derived and nobody complains."""

    async def play(world: World) -> None:
        for _ in range(3):
            await world.ask("createnewaddress")
        await asyncio.sleep(2 * PERIOD)

    world = scenario(play, 1)
    assert derived(world.daemons[0]) == 3
    assert not [one for one in world.recorder.events if isinstance(one, Event) and one.name.startswith("mirror")]


def test_upkeep_shows_no_address_in_its_events() -> None:
    """Counts only."""
    world = scenario(nothing, before=shorten(3))
    told = json.dumps([one.fields for one in world.recorder.events if isinstance(one, Event)], default=str)
    assert "address-" not in told


def test_a_standby_that_lists_more_brings_the_primary_past_its_addresses() -> None:
    """The primary may have given them out and forgotten them, before this process began."""

    def prepare(world: World) -> None:
        world.daemons[1].wallet.addresses.extend(f"address-{i}" for i in range(20, 25))

    async def play(world: World) -> None:
        await world.ask("createnewaddress")

    world = scenario(play, before=prepare)
    assert world.told[0].reply["result"] == "address-25"
    assert len(events(world, "mirror.primary_behind")) == 1
    assert derived(world.daemons[0]) == 5 + 1


@pytest.mark.parametrize("result", [b'"net:address-22"', b'{"address": "address-22", "amount": 1}'])
def test_an_address_that_a_client_was_told_is_derived_past(result: bytes) -> None:
    """As bare text with a prefix, and inside an invoice."""

    async def play(world: World) -> None:
        pool = world.plant.pool
        pool.on_told(result)
        pool.wrote(changes_addresses=True)
        await asyncio.sleep(0.5)
        assert world.plant.pool.is_aligned(standby(world))

    world = scenario(play)
    assert "address-22" in addresses(world)[0]
    assert addresses(world)[1] == addresses(world)[0]


@pytest.mark.parametrize("result", [b"7", b"[1]", b'{"no": "address"}', b'"'])
def test_an_answer_that_tells_no_address_is_nothing_to_remember(result: bytes) -> None:
    """Nothing is derived for it."""

    async def play(world: World) -> None:
        world.plant.pool.on_told(result)
        world.plant.pool.wrote(changes_addresses=True)
        await asyncio.sleep(0.5)

    assert derived(scenario(play).daemons[0]) == 0


def test_a_told_address_that_is_not_to_be_found_is_searched_for_once() -> None:
    """A bounded number of addresses is derived for it, one event says so, and money goes on."""

    async def play(world: World) -> None:
        pool = world.plant.pool
        for _ in range(3):
            pool.on_told(b'"nowhere"')
            pool.wrote(changes_addresses=True)
            await asyncio.sleep(1.0)
        await world.ask("createnewaddress")

    world = scenario(play)
    assert "result" in world.told[0].reply
    [event] = events(world, "mirror.address_lost")
    assert (event.backend, event.level) == ("ec-1", "error")
    assert derived(world.daemons[0]) <= GUESSED + 2 + 1
