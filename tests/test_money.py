"""A wallet on a ledger, put together: addresses for clients whatever happens to daemons, gateway and disk."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy import Connection, select

from gateway.base.errors import OrderError
from gateway.base.events import Event
from gateway.closed import Closed
from gateway.fleet.pool import Pool
from gateway.ledger import addresses, epochs, intents, listing, marks
from gateway.ledger.schema import addresses as address_rows
from gateway.ledger.schema import intents as intent_rows
from gateway.ledger.schema import keys as key_rows
from gateway.ledger.schema import wallets as wallet_rows
from gateway.ledger.store import LedgerError
from gateway.money import Money
from gateway.rules.election import Candidate
from gateway.rules.invoices import label_key
from gateway.supervision.election import CannotPromoteError
from tests.fakes_money import MoneyDaemon, bare, derived
from tests.simulation.money_world import CLOCK, CUSTOMER, MoneyWorld, Told
from tests.virtual_time import run_virtual

SIZE = 30
FRESH = 20
"""Addresses of a wallet that nobody ever used."""

pytestmark = [
    pytest.mark.long,
    # a task of a gateway that is killed before its first step leaves a coroutine behind that nobody began
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


class Shop(MoneyWorld):
    """A wallet, and a shop that does nothing but what a test asks it to do."""

    def __init__(self, backends: int = 3, **changes: Any) -> None:
        """Build it; nothing is started."""
        super().__init__(backends, 1, **changes)
        self.ledger_seconds = lambda: 0.001
        self.restarts_after = lambda: 0.1

    def _go_on(self, told: Told) -> None:
        """Do nothing with an answer."""

    @property
    def money(self) -> Money:
        """The rooms of the gateway that runs."""
        assert self.gateway is not None
        assert self.gateway.plant.money is not None
        return self.gateway.plant.money

    @property
    def pool(self) -> Pool:
        """Its backends."""
        return self.money.pool

    def daemon(self, name: str) -> MoneyDaemon:
        """A daemon by its name."""
        return self.by_name[name]

    async def call(self, method: str = "createnewaddress", patience: float = 9.0, params: Any = None) -> Told:
        """Make a call and wait for its answer."""
        told = self.ask(method, patience, params=params)
        assert told is not None
        while not told.reply:
            await asyncio.wait([self.open[told]])
        return told

    async def address(self, method: str = "createnewaddress", patience: float = 9.0) -> str:
        """Ask for an address that must come."""
        told = await self.call(method, patience)
        assert told.address, told.reply
        return told.address

    async def refused(self, name: str, method: str = "createnewaddress", patience: float = 9.0) -> dict[str, Any]:
        """Ask for one that must not come; return the error."""
        error: dict[str, Any] = (await self.call(method, patience)).reply["error"]
        assert error["message"].startswith(f"{name}: "), error
        return error

    def rows(self, state: str) -> list[str]:
        """Addresses of a state, in order."""
        found = select(address_rows.c.address).where(address_rows.c.state == state).order_by(address_rows.c.place)
        return self.store.transact(lambda c: list(c.scalars(found)))

    def names(self) -> list[str]:
        """Names of the events so far."""
        return self.recorder.names()

    def told_once(self) -> None:
        """Nothing that must not happen has happened, above all no address was told twice."""
        told = [one.address for one in self.told if one.address]
        assert len(told) == len(set(told))
        assert not self.violations()


def scenario(play: Callable[[Shop], Coroutine[Any, Any, None]], backends: int = 3, **changes: Any) -> None:
    """Play a scenario with a gateway that has run for a moment; when all is well again nothing may be amiss."""

    async def run() -> None:
        shop = Shop(backends, **changes)
        shop.start()
        await asyncio.sleep(1.0)
        await play(shop)
        for daemon in shop.daemons:
            daemon.thaw()
            daemon.unwedge()
            daemon.start()
        shop.reload()
        await asyncio.sleep(5.0)
        await shop.end()
        shop.told_once()

    run_virtual(run())


def place(index: int) -> str:
    """The bare address of a place."""
    return derived(change=False, index=index)[0].rpartition(":")[2]


# -- first contact ------------------------------------------------------------------------------------------------


def test_a_fresh_wallet_sells_within_the_first_second() -> None:
    """From behind what it lists; every daemon lists what is told before it is told."""

    async def play(shop: Shop) -> None:
        assert [await shop.address() for _ in range(3)] == [place(FRESH + n) for n in range(3)]
        assert all(daemon.money.horizon >= FRESH + SIZE for daemon in shop.daemons)
        assert shop.rows("foreign") == [place(n) for n in range(FRESH)]
        assert shop.money.status() | {"pool": 0} == {
            "state": "adopted", "epoch": 1, "addresses": FRESH + SIZE, "pool": 0, "pool_size": SIZE, "error": "",
            "took_ms": 0.0,
        }  # fmt: skip

    scenario(play)


def test_a_wallet_with_a_history_is_not_adopted_and_sells_nothing() -> None:
    """The error names the command; reads go on; the order takes it over and the pool begins behind it."""

    async def run() -> None:
        shop = Shop()
        shop.chain.fund(derived(change=False, index=3)[0], 100_000)
        shop.chain.mine(1)
        shop.start()
        await asyncio.sleep(1.0)
        error = await shop.refused("read_only")
        assert "`ec-gateway ledger adopt -c FILE --wallet main`" in error["message"]
        assert (error["data"]["executed"], error["data"]["safe_to_repeat"]) == ("no", True)
        assert shop.rows("pool") == []
        assert "result" in (await shop.call("getbalance")).reply
        assert "wallet.not_adopted" in shop.names()
        shop.kill()
        await asyncio.sleep(1.5)
        await shop.refused("read_only")
        listed = shop.daemons[0].money.horizon
        answer = await shop.money.verbs()["adopt"]("")
        assert f"{listed} addresses count as given out" in answer
        assert await shop.address() == place(listed)
        await shop.end()

    run_virtual(run())


def test_a_wallet_whose_standby_alone_was_used_is_not_adopted_either() -> None:
    """Somebody asked it for addresses, and nobody has paid to them yet."""

    async def run() -> None:
        shop = Shop()
        for _ in range(5):
            shop.daemons[2].money.answer("createnewaddress", [])
        shop.start()
        await asyncio.sleep(1.0)
        await shop.refused("read_only")
        await shop.money.verbs()["adopt"]("")
        assert await shop.address() == place(FRESH + 5)
        await shop.end()

    run_virtual(run())


# -- the pool -------------------------------------------------------------------------------------------------------


def test_thirty_addresses_are_handed_out_while_every_daemon_is_down() -> None:
    """And every wallet sees all of them when it is back."""

    async def play(shop: Shop) -> None:
        for daemon in shop.daemons:
            daemon.kill()
        await asyncio.sleep(5.0)
        assert not shop.pool.serving
        told = [await shop.address(method) for method in ("createnewaddress", "getunusedaddress", "addrequest") * 10]
        assert told == [place(FRESH + n) for n in range(SIZE)]
        error = await shop.refused("no_backend", patience=2.0)
        assert "ec-1: dead" in error["message"]
        for daemon in shop.daemons:
            daemon.start()
        await asyncio.sleep(5.0)
        assert all(daemon.money.horizon >= FRESH + SIZE for daemon in shop.daemons)
        assert await shop.address() == place(FRESH + SIZE)

    scenario(play)


def test_who_finds_the_pool_dry_is_answered_when_a_daemon_comes_back_in_time() -> None:
    """He waited for it."""

    async def play(shop: Shop) -> None:
        shop.daemons[0].kill()
        await asyncio.sleep(5.0)
        for _ in range(SIZE):
            await shop.address()
        waiting = shop.ask("createnewaddress")
        assert waiting is not None
        await asyncio.sleep(3.0)
        assert not waiting.reply
        shop.daemons[0].start()
        await asyncio.sleep(3.0)
        assert waiting.address == place(FRESH + SIZE)

    scenario(play, backends=1)


def test_more_than_the_pool_holds_is_sold_in_one_go() -> None:
    """Two hundred at once, refilled behind their backs; in order, without a gap."""

    async def play(shop: Shop) -> None:
        asked = [shop.ask(method) for method in ("createnewaddress", "getunusedaddress") * 100]
        await shop.answered()
        told = sorted(shop.told, key=lambda one: one.answered_at)
        assert len(asked) == len(told) == 200
        assert {one.address for one in told} == {place(FRESH + n) for n in range(200)}

    scenario(play, address_pool=8)


def test_what_somebody_else_uses_is_sold_to_nobody() -> None:
    """A window on the same seed told the next address to a customer, who paid."""

    async def play(shop: Shop) -> None:
        shop.chain.fund(derived(change=False, index=FRESH + 1)[0], 100_000)
        await asyncio.sleep(12.0)
        assert shop.rows("burnt") == [place(FRESH + 1)]
        assert [await shop.address(), await shop.address()] == [place(FRESH), place(FRESH + 2)]

    scenario(play)


def test_what_was_asked_of_a_daemon_behind_our_back_is_sold_to_nobody() -> None:
    """Its list is longer than what was derived for the pool, be it the primary's or a standby's."""

    async def play(shop: Shop) -> None:
        for number, daemon in enumerate(shop.daemons):
            for _ in range(number + 1):
                daemon.money.answer("createnewaddress", [])
        await asyncio.sleep(12.0)
        assert shop.rows("burnt") == [place(FRESH + SIZE + n) for n in range(3)]
        told = [await shop.address() for _ in range(SIZE + 5)]
        assert told == [place(FRESH + n) for n in range(SIZE)] + [place(FRESH + SIZE + 3 + n) for n in range(5)]

    scenario(play)


# -- the gateway goes and comes -------------------------------------------------------------------------------------


def test_a_gateway_that_starts_begins_an_epoch_and_tells_only_new_addresses() -> None:
    """However it ended, and while no daemon runs."""

    async def play(shop: Shop) -> None:
        for number in range(1, 6):
            assert (shop.pool.epoch, shop.money.keeper.state) == (number, "adopted")
            for daemon in shop.daemons:
                daemon.kill() if number % 2 else daemon.start()
            await shop.address()
            shop.ask("createnewaddress")
            shop.kill()
            await asyncio.sleep(2.0)

    scenario(play)


def test_a_gateway_that_starts_reads_no_long_list_in_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody else waits for its end, and the lease with them; the list grows for as long as there is a shop."""
    monkeypatch.setattr(listing, "PAGE", 7)
    starts: list[int] = []
    real = addresses.listed

    def listed(connection: Connection, wallet: str, start: int = 0) -> list[str]:
        starts.append(start)
        return real(connection, wallet, start)

    monkeypatch.setattr(addresses, "listed", listed)

    async def play(shop: Shop) -> None:
        known = shop.money.keeper.known
        assert known > 7
        starts.clear()
        shop.kill()
        await asyncio.sleep(2.0)
        assert starts[0] == known - 1
        assert shop.money.keeper.known >= known
        assert shop.money.known[:2] == [place(0), place(1)]
        await shop.address()

    scenario(play)


def test_what_a_gateway_left_open_is_unknown_to_the_next() -> None:
    """With an event that names the call."""

    async def play(shop: Shop) -> None:
        shop.store.transact(lambda c: intents.open_(c, "main", shop.pool.epoch, "shop", "payto", CLOCK))
        shop.kill()
        await asyncio.sleep(1.0)
        # it never had a byte on a wire, and the settler may have found that out already
        assert shop.store.transact(lambda c: list(c.scalars(select(intent_rows.c.state)))) != ["open"]
        (event,) = [one for one in shop.recorder.events if getattr(one, "name", "") == "call.outcome_unknown"]
        assert event.fields == {"intent": 1, "client": "shop", "method": "payto", "reason": "the gateway ended"}  # type: ignore[attr-defined]  # an Event

    scenario(play)


def test_a_gateway_keeps_the_primary_that_the_ledger_names() -> None:
    """The configured one was fled from."""

    async def play(shop: Shop) -> None:
        await shop.money.verbs()["promote"]("ec-3")
        shop.kill()
        await asyncio.sleep(1.0)
        assert (shop.pool.primary.name, shop.pool.epoch) == ("ec-3", 3)
        await shop.address()

    scenario(play)


def test_a_gateway_that_starts_while_its_primary_is_dead_finds_another() -> None:
    """Within seconds: wallet reads are answered and the pool is filled again."""

    async def play(shop: Shop) -> None:
        shop.kill()
        shop.daemons[0].kill()
        await asyncio.sleep(6.0)
        assert shop.pool.primary.name == "ec-2"
        assert "result" in (await shop.call("getbalance", 1.0)).reply
        for _ in range(2 * SIZE):
            await shop.address(patience=1.0)

    scenario(play)


# -- the primary goes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["wedge", "freeze", "kill"])
@pytest.mark.parametrize("is_killed_behind", [False, True])
def test_the_pool_goes_on_when_the_primary_does_not(fault: str, is_killed_behind: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Another is promoted within two seconds; no allocation waits, and none is told twice when the old one is back."""

    async def play(shop: Shop) -> None:
        old = shop.daemons[0]
        for _ in range(5):
            await shop.address()
        old.node.sync_delay = 60.0
        began = shop.loop.time()
        getattr(old, fault)()
        while shop.pool.primary.name == "ec-1":
            asked = shop.loop.time()
            await shop.address(patience=0.5)
            assert shop.loop.time() - asked < 0.1
            await asyncio.sleep(0.05)
        assert shop.loop.time() - began < 2.0
        assert shop.pool.epoch == 2
        for _ in range(SIZE):
            await shop.address(patience=2.0)
        if is_killed_behind:
            old.kill() if old.is_alive else None
            old.start()
        else:
            old.thaw()
            old.unwedge()
            old.start()
        await asyncio.sleep(5.0)
        assert shop.pool.primary.name == "ec-2"
        assert shop.pool.is_aligned(shop.pool.by_name["ec-1"])
        for _ in range(2 * SIZE):
            await shop.address()
        # whatever was being derived just then
        await asyncio.sleep(1.0)
        assert old.money.horizon == shop.daemons[1].money.horizon

    scenario(play)


def test_an_old_primary_that_forgot_everything_tells_nobody_anything_again() -> None:
    """It was killed with nothing saved, comes back, is promoted by order, and is brought past all that was told."""

    async def play(shop: Shop) -> None:
        shop.daemons[0].node.sync_delay = 1e6
        for _ in range(SIZE + 10):
            await shop.address()
        shop.daemons[0].kill(wiped_to=0)
        await asyncio.sleep(3.0)
        assert shop.pool.primary.name == "ec-2"
        for _ in range(10):
            await shop.address()
        shop.daemons[0].start()
        await asyncio.sleep(3.0)
        assert await shop.money.verbs()["promote"]("ec-1") == "ec-1 is primary now, epoch 3"
        for _ in range(SIZE + 10):
            await shop.address()

    scenario(play)


def test_a_refill_that_is_cut_by_a_promotion_costs_nothing_and_nobody() -> None:
    """The old primary is slow to derive, and an order comes between each of its answers."""

    async def play(shop: Shop) -> None:
        for turn in range(12):
            asking = [shop.ask("createnewaddress") for _ in range(3)]
            await asyncio.sleep(0.003 * turn)
            name = "ec-2" if shop.pool.primary.name == "ec-1" else "ec-1"
            shop.promote(name)
            await shop.answered()
            assert all(one is not None and one.address for one in asking)
            await asyncio.sleep(1.0)
            assert shop.pool.primary.name == name
        assert shop.rows("burnt") == []
        assert "address.foreign" not in shop.names()

    scenario(play, address_pool=3)


def test_a_derivation_that_still_waits_for_the_slot_is_not_sent_after_a_promotion() -> None:
    """A payment holds the old primary's slot; the address would be first derived by one that is primary no more."""

    async def play(shop: Shop) -> None:
        shop.chain.fund(derived(change=False, index=0)[0], 100_000)
        shop.chain.mine(1)
        await asyncio.sleep(2.0)
        shop.slow_methods["ec-1"] = {"payto": 0.5, "createnewaddress": 0.05, "listaddresses": 0.2}
        shop.slow_methods["ec-2"] = {"listaddresses": 0.6}
        for _ in range(SIZE - 2):
            await shop.address()
        await asyncio.sleep(0.21)
        shop.ask("payto", params={"destination": CUSTOMER[0], "amount": "0.0001"})
        await asyncio.sleep(0.1)
        shop.promote("ec-2")
        await asyncio.sleep(3.0)
        shop.slow_methods.clear()
        assert not shop._first()

    scenario(play)


def test_two_daemons_that_fall_ill_in_turn_do_not_stop_the_sale() -> None:
    """Nor do they hand the wallet to and fro without end."""

    async def play(shop: Shop) -> None:
        began = len(shop.reigns)
        for turn in range(60):
            sick = shop.by_name[shop.pool.primary.name]
            sick.freeze()
            shop.loop.call_later(1.6, sick.thaw)
            await shop.address(patience=1.0)
            await asyncio.sleep(1.0)
            del turn
        assert len(shop.reigns) - began <= 9

    scenario(play, backends=2, address_pool=100)


# -- the ledger goes --------------------------------------------------------------------------------------------------


def test_a_ledger_that_fails_sells_nothing_and_reads_go_on() -> None:
    """read_only, and nothing was given out; when it works again the next address is the next one."""

    async def play(shop: Shop) -> None:
        first = await shop.address()
        shop.set_ledger("disk is full")
        for method in ("createnewaddress", "getunusedaddress", "addrequest"):
            error = await shop.refused("read_only", method)
            assert "disk is full" in error["message"]
            assert error["data"]["executed"] == "no"
        for method in ("getbalance", "listaddresses"):
            assert "result" in (await shop.call(method)).reply
        assert shop.money.status()["error"] == "disk is full"
        shop.set_ledger("")
        assert [first, await shop.address()] == [place(FRESH), place(FRESH + 1)]
        assert shop.money.status()["error"] == ""

    scenario(play)


def test_a_ledger_that_fails_while_the_primary_is_lost_promotes_nobody_until_it_works() -> None:
    """Reads of the wallet go on at the standbys; then all is as it was."""

    async def play(shop: Shop) -> None:
        shop.set_ledger("disk is full")
        shop.daemons[0].kill()
        await asyncio.sleep(4.0)
        assert shop.pool.primary.name == "ec-1"
        assert shop.names().count("primary.cannot_be_promoted") == 1
        assert "result" in (await shop.call("getbalance", 2.0)).reply
        shop.set_ledger("")
        await asyncio.sleep(0.5)
        assert (shop.pool.primary.name, shop.pool.epoch) == ("ec-2", 2)
        await shop.address()

    scenario(play)


def test_a_ledger_that_hangs_is_told_by_the_deadline_and_writes_nothing_after_it() -> None:
    """result_withheld, for nobody knows that yet; who asks again gets what was not given out."""

    async def play(shop: Shop) -> None:
        shop.life.ledger_hangs_until = shop.loop.time() + 5.0
        began = shop.loop.time()
        error = await shop.refused("result_withheld", patience=1.0)
        assert shop.loop.time() - began < 1.5
        assert error["data"]["safe_to_repeat"] is True
        assert len(shop.money.rooms.desk.under_way) == 1
        await asyncio.sleep(5.0)
        assert not shop.money.rooms.desk.under_way
        assert await shop.address() == place(FRESH)

    scenario(play)


# -- clients go -------------------------------------------------------------------------------------------------------


def test_a_client_that_hangs_up_leaves_nothing_open() -> None:
    """No handler and no intent; and what he would have been told is told to nobody else."""

    async def play(shop: Shop) -> None:
        shop.ledger_seconds = lambda: 0.01
        for method in ("createnewaddress", "addrequest", "setlabel") * 4:
            told = shop.ask(method)
            assert told is not None
            await asyncio.sleep(0.005)
            shop.open.pop(told).cancel()
            shop.told.remove(told)
        await asyncio.sleep(3.0)
        assert not shop.money.rooms.desk.under_way
        states = shop.store.transact(lambda c: set(c.scalars(select(intent_rows.c.state))))
        assert "open" not in states
        handed = shop.rows("handed")
        assert len(handed) == 8
        assert await shop.address() not in handed

    scenario(play)


# -- reloads ----------------------------------------------------------------------------------------------------------


def test_a_reload_that_removes_the_primary_begins_an_epoch() -> None:
    """With the first of those that are left; allocations do not stop, and the removed one gets nothing any more."""

    async def play(shop: Shop) -> None:
        await shop.address()
        shop.reload(without="ec-1")
        assert (shop.pool.primary.name, shop.pool.epoch) == ("ec-2", 2)
        standing = shop.store.transact(lambda c: epochs.current(c, "main"))
        assert standing is not None
        assert (standing.primary, standing.epoch) == ("ec-2", 2)
        for _ in range(2 * SIZE):
            await shop.address(patience=1.0)
        assert shop.daemons[0].money.horizon < shop.daemons[1].money.horizon
        shop.reload()
        await asyncio.sleep(3.0)
        assert shop.pool.primary.name == "ec-2"
        assert shop.pool.is_aligned(shop.pool.by_name["ec-1"])
        assert shop.daemons[0].money.horizon == shop.daemons[1].money.horizon

    scenario(play)


def test_a_reload_that_removes_the_primary_while_the_ledger_fails_is_written_down_when_it_works() -> None:
    """Two are never primary in one epoch, so that it is another one at once; what the old one owes is withheld."""

    async def play(shop: Shop) -> None:
        shop.chain.fund(derived(change=False, index=0)[0], 100_000)
        shop.chain.mine(1)
        await asyncio.sleep(2.0)
        shop.slow_methods["ec-1"] = {"payto": 0.5}
        paying = shop.ask("payto", params={"destination": CUSTOMER[0], "amount": "0.0001"})
        await asyncio.sleep(0.1)
        shop.set_ledger("disk is full")
        shop.reload(without="ec-1")
        assert (shop.pool.primary.name, shop.pool.epoch) == ("ec-2", 2)
        assert shop.names().count("primary.cannot_be_promoted") == 1
        await shop.refused("read_only", patience=1.0)
        assert paying is not None
        await asyncio.sleep(1.0)
        assert paying.reply["error"]["message"].startswith("result_withheld: ")
        shop.set_ledger("")
        for _ in range(2 * SIZE):
            await shop.address(patience=1.0)
        standing = shop.store.transact(lambda c: epochs.current(c, "main"))
        assert standing is not None
        assert (standing.primary, standing.epoch) == ("ec-2", 2)
        assert not shop.money.rooms.election.is_owed
        heard = shop.recorder.of("primary.promoted")
        told = [(one.backend, one.fields["before"], one.fields["epoch"]) for one in heard]
        assert told == [("ec-2", "ec-1", 2)]
        await shop.money.verbs()["promote"]("ec-3")
        assert shop.pool.epoch == 3

    scenario(play)


def test_a_reload_while_a_promotion_is_being_written_leaves_one_primary_that_exists() -> None:
    """Whatever of the two is first, the pool has the epoch of the ledger."""

    async def play(shop: Shop) -> None:
        for chosen, removed in (("ec-3", "ec-3"), ("ec-3", "ec-1"), ("ec-2", "ec-2")):
            shop.ledger_seconds = lambda: 0.2
            shop.promote(chosen)
            await asyncio.sleep(0.1)
            shop.reload(without=removed)
            await asyncio.sleep(1.0)
            shop.ledger_seconds = lambda: 0.001
            assert shop.pool.primary in shop.pool.backends
            standing = shop.store.transact(lambda c: epochs.current(c, "main"))
            assert standing is not None
            assert standing.epoch == shop.pool.epoch
            await shop.address(patience=1.0)
            shop.reload()
            await asyncio.sleep(3.0)
            await shop.address(patience=1.0)

    scenario(play)


def test_a_promotion_that_was_written_without_an_answer_is_carried_out() -> None:
    """At once where the ledger can be read, else as soon as it can; the pool never stays an epoch behind."""

    async def play(shop: Shop) -> None:
        shop.life.answers_lost = 1
        assert "epoch 2" in await shop.money.verbs()["promote"]("ec-2")
        shop.life.answers_lost = 2
        with pytest.raises(CannotPromoteError):
            await shop.money.verbs()["promote"]("ec-3")
        await asyncio.sleep(0.5)
        standing = shop.store.transact(lambda c: epochs.current(c, "main"))
        assert standing is not None
        assert (shop.pool.primary.name, shop.pool.epoch) == (standing.primary, standing.epoch) == ("ec-3", 3)
        heard = [(one.backend, one.fields["epoch"]) for one in shop.recorder.of("primary.promoted")]
        assert heard == [("ec-2", 2), ("ec-3", 3)]
        await shop.address()

    scenario(play)


def test_a_wallet_takes_a_promotion_as_an_order() -> None:
    """With a sentence for the operator, or with why not; without a ledger there is none to write it down in."""

    async def play(shop: Shop) -> None:
        assert shop.gateway is not None
        plant = shop.gateway.plant
        assert await plant.promote("ec-2") == "ec-2 is primary now, epoch 2"
        assert await plant.promote("ec-2") == "ec-2 is primary already"
        with pytest.raises(OrderError, match="no backend ec-9"):
            await plant.promote("ec-9")
        money, plant.money = plant.money, None
        try:
            with pytest.raises(OrderError, match=r"wallets\.main\.primary"):
                await plant.promote("ec-3")
            plant.closed = Closed("main", "the disk is full; make room")
            with pytest.raises(OrderError, match="the disk is full"):
                await plant.promote("ec-3")
        finally:
            plant.money, plant.closed = money, None
        assert shop.pool.primary.name == "ec-2"

    scenario(play)


def test_a_reload_whose_promotion_was_written_without_an_answer_owes_nothing() -> None:
    """It is known as soon as the ledger can be read."""

    async def play(shop: Shop) -> None:
        shop.life.answers_lost = 1
        shop.reload(without="ec-1")
        await asyncio.sleep(1.0)
        assert not shop.money.rooms.election.is_owed
        standing = shop.store.transact(lambda c: epochs.current(c, "main"))
        assert standing is not None
        assert (shop.pool.primary.name, shop.pool.epoch) == (standing.primary, standing.epoch)
        await shop.address()

    scenario(play)


@pytest.mark.parametrize("promoted", ["", "ec-2", "ec-3"])
@pytest.mark.parametrize("answers_lost", [0, 1])
def test_where_gateways_share_the_wallet_a_reload_that_removes_the_primary_waits_for_no_database(
    promoted: str, answers_lost: int
) -> None:
    """Nothing else is done while it waits, and the lease runs out; also twice in a row, and in a promotion's middle."""

    async def play(shop: Shop) -> None:
        assert shop.gateway is not None
        shop.gateway.plant.own_book = shop.money.book
        ledger = shop.money.book.ledger
        shop.ledger_seconds = lambda: 0.2
        if promoted:
            shop.promote(promoted)
            await asyncio.sleep(0.1)

        def wait(_work: object) -> None:
            raise AssertionError("the loop would stand still")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "transact", wait)
            shop.reload(without="ec-1")
            assert shop.pool.primary.name == "ec-2"
            assert shop.pool.epoch >= 3, "no promotion that is being written has this one"
            shop.life.answers_lost = answers_lost
            await asyncio.sleep(0.3)
            shop.reload(without="ec-2")
        await asyncio.sleep(3.0)
        shop.ledger_seconds = lambda: 0.001
        assert not shop.money.rooms.election.is_owed
        standing = shop.store.transact(lambda c: epochs.current(c, "main"))
        assert standing is not None
        assert (shop.pool.primary.name, shop.pool.epoch) == (standing.primary, standing.epoch)
        assert shop.pool.primary.name != "ec-2"
        assert standing.epoch >= (2 if promoted == "ec-3" else 3), "what the removed one still owes is of an older one"
        await shop.address(patience=1.0)

    scenario(play)


def test_an_address_that_was_written_down_without_an_answer_is_nobodys() -> None:
    """result_withheld, and whoever asks again gets another one; an invoice is withdrawn."""

    async def play(shop: Shop) -> None:
        shop.life.answers_lost = 1
        error = await shop.refused("result_withheld")
        assert error["data"]["safe_to_repeat"]
        assert await shop.address() == place(FRESH + 1)
        shop.life.answers_lost = 1
        await shop.refused("result_withheld", "addrequest")
        assert shop.names().count("invoice.withdrawn") == 1
        assert (await shop.call("listrequests")).reply["result"] == []

    scenario(play)


def test_a_signature_of_a_gateway_that_lost_the_wallet_is_told_to_nobody() -> None:
    """Another gateway may be signing with the same coins by now; without a ledger alone it would be told."""

    async def play(shop: Shop) -> None:
        shop.chain.fund(derived(change=False, index=0)[0], 100_000)
        shop.chain.mine(1)
        await asyncio.sleep(2.0)
        shop.slow_methods["ec-1"] = {"payto": 0.5}
        for trouble in ("is_lease_lost", ""):
            paying = shop.ask("payto", params={"destination": CUSTOMER[0], "amount": "0.0001"})
            assert paying is not None
            await asyncio.sleep(0.1)
            shop.life.is_lease_lost = bool(trouble)
            await asyncio.sleep(1.0)
            if trouble:
                assert paying.reply["error"]["message"].startswith("result_withheld: ")
                assert "lease" in paying.reply["error"]["message"]
            else:
                assert "result" in paying.reply
            shop.life.is_lease_lost = False

    scenario(play)


def test_a_label_that_was_not_sent_and_stays_open_in_the_ledger_is_told_as_unknown() -> None:
    """The next start takes it for granted and brings it to every daemon; it may be asked for again."""

    async def play(shop: Shop) -> None:
        shop.slow_methods["ec-1"] = {"setlabel": 3.0}
        shop.ask("setlabel", params=["first", "first"])
        await asyncio.sleep(0.1)
        second = shop.ask("setlabel", 1.0, params=["second", "second"])
        assert second is not None
        await asyncio.sleep(0.2)
        shop.set_ledger("disk is full")
        await asyncio.sleep(1.5)
        error = second.reply["error"]
        assert error["message"].startswith("outcome_unknown: ")
        assert error["data"]["safe_to_repeat"]
        shop.set_ledger("")
        await asyncio.sleep(4.0)

    scenario(play)


def test_a_pool_of_another_size_counts_from_the_next_refill_on() -> None:
    """A larger one is filled, a smaller one is sold off first."""

    async def play(shop: Shop) -> None:
        wallet = shop.settings.wallets["main"]
        for size in (40, 5):
            shop.settings = shop.settings.model_copy(
                update={"wallets": {"main": wallet.model_copy(update={"address_pool": size})}}
            )
            shop.reload()
            await asyncio.sleep(1.0)
            assert shop.money.keeper.size == size
            assert shop.money.keeper.free == 40
        for _ in range(38):
            await shop.address()
        await asyncio.sleep(1.0)
        assert shop.money.keeper.free == 5

    scenario(play)


# -- what goes wrong when nobody adopts --------------------------------------------------------------------------------


def test_an_older_ledger_that_was_put_back_sells_nothing_twice_once_it_is_adopted() -> None:
    """What waits in its pool was told to customers since; `adopt` counts all of it as given out."""

    async def play(shop: Shop) -> None:
        before = shop.store.transact(lambda c: c.execute(select(address_rows)).mappings().all())
        for _ in range(10):
            await shop.address()
        shop.kill(after=1.0)

        def put_back(connection: Any) -> None:
            connection.execute(address_rows.delete())
            connection.execute(address_rows.insert(), [dict(row) for row in before])

        shop.store.transact(put_back)
        assert shop.rows("handed") == []
        await asyncio.sleep(2.0)
        await shop.money.verbs()["adopt"]("")
        assert shop.rows("pool") == []
        shop.store.transact(lambda c: c.execute(address_rows.update().where(address_rows.c.place < FRESH + 10).values(
            state=addresses.HANDED)))  # fmt: skip
        for _ in range(10):
            await shop.address()

    scenario(play)


TABLES = (wallet_rows, address_rows, key_rows)


def copied(shop: Shop) -> list[list[dict[str, Any]]]:
    """Return what a copy of the ledger would hold."""

    def work(connection: Any) -> list[list[dict[str, Any]]]:
        return [[dict(row) for row in connection.execute(select(table)).mappings()] for table in TABLES]

    return shop.store.transact(work)


def put_back(shop: Shop, copy: list[list[dict[str, Any]]]) -> None:
    """Put a copy in the place of the ledger; the gateway must be down."""

    def work(connection: Any) -> None:
        for table, rows in zip(TABLES, copy, strict=True):
            connection.execute(table.delete())
            if rows:
                connection.execute(table.insert(), rows)

    shop.store.transact(work)
    shop.was_put_back = True


async def fund(shop: Shop, coins: int = 3) -> None:
    """Give the wallet coins."""
    for index in range(coins):
        shop.chain.fund(derived(change=False, index=index)[0], 100_000)
    shop.chain.mine(1)
    await asyncio.sleep(2.0)


async def pay(shop: Shop, key: str | None) -> dict[str, Any]:
    """Ask for a payment."""
    told = shop.ask("payto", params={"destination": CUSTOMER[0], "amount": "0.0001"}, key=key)
    await shop.answered()
    assert told is not None
    return told.reply


def test_after_an_older_copy_of_the_ledger_no_key_pays_until_somebody_has_looked() -> None:
    """More addresses were given out since than that ledger had planned; payments without a key go on."""

    async def play(shop: Shop) -> None:
        await fund(shop)
        copy = copied(shop)
        assert "result" in await pay(shop, "order 1")
        for _ in range(SIZE + 1):
            await shop.address()
        await asyncio.sleep(1.0)
        before = {told.address for told in shop.told if told.address}
        shop.kill(after=1.0)
        put_back(shop, copy)
        await asyncio.sleep(3.0)
        assert shop.money.status()["state"] == "doubted"
        for key in ("order 1", "order 2"):
            error = (await pay(shop, key))["error"]
            assert error["message"].startswith("read_only: ")
            assert "ec-gateway ledger adopt -c FILE --wallet main" in error["message"]
            assert error["data"]["executed"] == "no"
        told = shop.ask("gateway.outcome", params={"key": "order 1"})
        await shop.answered()
        assert told is not None
        assert "ec-gateway ledger adopt" in told.reply["result"]["next_step"], "it says nothing of a key that it lost"
        assert "result" in await pay(shop, None)
        assert await shop.address() not in before
        shop.kill(after=1.0)
        await asyncio.sleep(3.0)
        assert "error" in await pay(shop, "order 1"), "a restart changes nothing"
        await shop.money.verbs()["adopt"]("")
        assert shop.money.status()["state"] == "adopted"
        assert "result" in await pay(shop, "order 2")
        # of what the copy did not have nothing can be told, and it is not what the end of this test is about
        shop.told = [told for told in shop.told if told.address not in before]

    scenario(play)


@pytest.mark.simulation
@pytest.mark.parametrize("how", ["by a refill", "by a comparison"])
def test_a_gateway_that_is_killed_at_any_step_of_a_refill_casts_no_doubt_on_its_ledger(how: str) -> None:
    """What it derived and did not write down is within its plan; payouts go on."""

    async def live(step: int) -> tuple[Shop, bool]:
        shop = Shop(2, address_pool=60)
        shop.start()
        if how == "by a refill":
            await asyncio.sleep(1.0)
        else:
            # the wallet was just taken over, and the whole pool is derived
            while "wallet.adopted" not in shop.names():  # noqa: ASYNC110 - virtual time, and nobody sets an event
                await asyncio.sleep(0.0005)
        shop.die_within(step)
        if how == "by a refill":
            for _ in range(30):
                await asyncio.sleep(0.002)
                shop.ask("createnewaddress")
        await asyncio.sleep(4.0)
        was_killed = bool(shop.kills)
        shop.dies_at_step = 0
        await asyncio.sleep(1.0)
        assert shop.money.status()["state"] == "adopted", f"killed at step {step}, {shop.died_at}"
        assert shop.money.keeper.free > 20
        await shop.end()
        shop.told_once()
        return shop, was_killed

    derived_in_vain = 0
    for step in range(1, 1000, 7):
        shop, was_killed = run_virtual(live(step))
        derived_in_vain += "address.foreign" in shop.names()
        if not was_killed:
            break
    assert not was_killed
    assert derived_in_vain > 5


def test_customers_who_paid_for_the_last_of_the_pool_cast_no_doubt_on_the_ledger() -> None:
    """All daemons were down, the pool was sold out and paid; each daemon goes on to twenty behind that by itself."""

    async def play(shop: Shop) -> None:
        for daemon in shop.daemons:
            daemon.kill()
        await asyncio.sleep(5.0)
        for _ in range(SIZE):
            await shop.address()
        shop.kill(after=1.0)
        shop.chain.fund(derived(change=False, index=FRESH + SIZE - 1)[0], 100_000)
        shop.chain.mine(3)
        for daemon in shop.daemons:
            daemon.start()
        assert [daemon.money.horizon for daemon in shop.daemons] == [FRESH + SIZE + 20] * 3
        await asyncio.sleep(4.0)
        assert shop.money.status()["state"] == "adopted"
        assert "address.foreign" in shop.names()
        await shop.address()

    scenario(play)


# -- what belongs to a wallet that is adopted -------------------------------------------------------------------------


async def used_shop(prepare: Callable[[Shop], None]) -> Shop:
    """Return a shop whose wallet was used before, as its daemons were prepared."""
    shop = Shop()
    await fund(shop, 4)
    prepare(shop)
    shop.start()
    await asyncio.sleep(1.0)
    await shop.refused("read_only")
    return shop


def frozen(shop: Shop) -> list[tuple[set[str], set[str]]]:
    """What each daemon does not spend: addresses (bare) and coins."""
    return [
        ({bare(one) for one in daemon.node.wallet.notes.frozen}, set(daemon.node.wallet.notes.frozen_coins))
        for daemon in shop.daemons
    ]


def test_what_the_owner_froze_on_any_daemon_stays_frozen_on_all() -> None:
    """Coins and addresses: they are the owner's, and a promotion must not let them be spent."""

    async def run() -> None:
        coins: list[str] = []

        def prepare(shop: Shop) -> None:
            for daemon in shop.daemons:
                rows: Any = daemon.money.answer("listunspent", [])
                coins[:] = [f"{row['prevout_hash']}:{row['prevout_n']}" for row in rows]
            shop.daemons[0].money.answer("freeze_utxo", [coins[0]])
            shop.daemons[2].money.answer("freeze_utxo", [coins[1]])
            shop.daemons[1].money.answer("freeze", [derived(change=False, index=7)[0]])
            shop.daemons[1].money.answer("freeze", [derived(change=True, index=2)[0]])

        shop = await used_shop(prepare)
        answer = await shop.money.verbs()["adopt"]("")
        assert answer.endswith("0 invoices, 0 labels and 4 freezes came with it")
        assert not shop.money.rooms.reconciler.may_sign(shop.pool.by_name["ec-2"]), "it lacks some yet"
        await asyncio.sleep(2.0)
        mine = {bare(derived(change=False, index=7)[0]), bare(derived(change=True, index=2)[0])}
        assert frozen(shop) == [(mine, set(coins[:2]))] * 3
        marks_kept = shop.store.transact(lambda c: marks.every(c, "main"))
        assert {one.owner for one in marks_kept} == {"client"}
        again = await shop.money.verbs()["adopt"]("")
        assert again.endswith("0 invoices, 0 labels and 0 freezes came with it")
        assert shop.store.transact(lambda c: marks.every(c, "main")) == marks_kept
        await shop.end()

    run_virtual(run())


def test_a_second_adoption_leaves_to_the_gateway_what_is_the_gateways() -> None:
    """Its labels of invoices, and the coins that it holds for a payment; and what was lifted stays lifted."""

    async def play(shop: Shop) -> None:
        await fund(shop)
        assert "result" in await pay(shop, "order 1")
        invoice = (await shop.call("addrequest", params={"amount": "0.001", "memo": "tea"})).address
        assert invoice is not None
        key = label_key(derived(change=False, index=1)[0])
        shop.ask("setlabel", params=[key, key], tag=key)
        await shop.answered()
        coin = "ab" * 32 + ":0"
        await shop.call("freeze_utxo", params=[coin])
        await shop.call("unfreeze_utxo", params=[coin])
        await asyncio.sleep(2.0)
        shop.daemons[1].money.answer("freeze_utxo", [coin])
        before = shop.store.transact(lambda c: marks.every(c, "main"))
        assert {one.owner for one in before} == {"client", "gateway"}
        answer = await shop.money.verbs()["adopt"]("")
        assert answer.endswith("0 invoices, 0 labels and 0 freezes came with it")
        assert shop.store.transact(lambda c: marks.every(c, "main")) == before
        assert (await shop.call("rmrequest", params=[invoice])).reply["result"] is True
        await asyncio.sleep(2.0)
        assert all("tea" not in daemon.node.wallet.notes.labels.values() for daemon in shop.daemons)

    scenario(play)


def test_invoices_and_labels_of_every_daemon_come_with_a_wallet() -> None:
    """Each daemon has its own; of an address with two the primary's is kept, and the other is told."""

    async def run() -> None:
        def prepare(shop: Shop) -> None:
            one, two, three = (daemon.money for daemon in shop.daemons)
            one.answer("addrequest", {"amount": "0.1", "memo": "on ec-1"})
            two.answer("addrequest", {"amount": "0.2", "memo": "on ec-2"})
            for daemon in (two, three):
                daemon.answer("addrequest", {"amount": "0.3", "memo": "further on"})
            three.answer("setlabel", [label_key(derived(change=False, index=1)[0]), "from ec-3"])
            one.answer("setlabel", [label_key(derived(change=False, index=2)[0]), "from ec-1"])
            three.answer("setlabel", [label_key(derived(change=False, index=2)[0]), "other from ec-3"])

        shop = await used_shop(prepare)
        asked: Any = [daemon.money.answer("listrequests", []) for daemon in shop.daemons]
        answer = await shop.money.verbs()["adopt"]("")
        requests: Any = (await shop.call("listrequests", params=[])).reply["result"]
        assert [one["memo"] for one in requests] == ["on ec-1", "further on"]
        beaten = [one["id"] for one in asked[1] if one["memo"] == "on ec-2"]
        assert "left out, for their addresses have another invoice: " in answer
        assert f"ec-2 {beaten[0]} (kept: {requests[0]['id']})" in answer
        (event,) = [one for one in shop.recorder.events if getattr(one, "name", "") == "wallet.invoices_left_out"]
        assert isinstance(event, Event)
        assert any(beaten[0] in one for one in event.fields["left_out"])  # type: ignore[attr-defined]  # a list
        labels = {one.value for one in shop.store.transact(lambda c: marks.every(c, "main"))}
        assert {"from ec-1", "from ec-3"} <= labels
        assert "other from ec-3" not in labels
        await shop.end()

    run_virtual(run())


# -- two wallets, one seed --------------------------------------------------------------------------------------------


def test_a_renamed_wallet_gives_nothing_out_under_its_new_name() -> None:
    """What the ledger knows goes by the name: under another one, addresses and keys would count for nothing."""

    async def play(shop: Shop) -> None:
        await fund(shop)
        assert "result" in await pay(shop, "order 1")
        told = await shop.address()
        shop.kill(after=2.0)

        def rename(connection: Any) -> None:
            # as if the configuration had another name now: the ledger has all of it under the old one
            for table in (wallet_rows, address_rows, key_rows):
                connection.execute(table.update().values(wallet="old") if "wallet" in table.c else
                                   table.update().values(name="old"))  # fmt: skip

        shop.store.transact(rename)
        await asyncio.sleep(9.0)
        error = await shop.refused("read_only")
        assert "the wallet old of this ledger has the same addresses as main" in error["message"]
        assert "rename it back" in error["message"]
        assert "the wallet old" in (await pay(shop, "order 1"))["error"]["message"]
        assert "the wallet old" in str(shop.money.status()["error"])
        with pytest.raises(LedgerError, match="the wallet old"):
            await shop.money.verbs()["adopt"]("")
        shop.kill(after=2.0)
        shop.store.transact(lambda c: [c.execute(wallet_rows.delete().where(wallet_rows.c.name == "main")),
            c.execute(wallet_rows.update().values(name="main")),
            c.execute(address_rows.update().values(wallet="main")),
            c.execute(key_rows.update().values(wallet="main"))])  # fmt: skip
        await asyncio.sleep(4.0)
        assert await shop.address() != told
        assert shop.names().count("wallet.twin") == 1

    scenario(play)


def test_a_room_that_fails_is_told_and_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the background rooms; one that died in silence would never promote anybody."""

    async def play(shop: Shop) -> None:
        election = shop.money.rooms.election
        whole, looked = election._candidates, 0

        def candidates() -> list[Candidate]:
            nonlocal looked
            looked += 1
            if looked == 1:
                raise ZeroDivisionError("planted")
            return whole()

        monkeypatch.setattr(election, "_candidates", candidates)
        await asyncio.sleep(3.0)
        events = [one for one in shop.recorder.events if isinstance(one, Event)]
        told = [event.fields for event in events if event.name == "room.failed"]
        assert told == [{"room": "election", "error": "ZeroDivisionError: planted"}]
        assert looked > 1

    scenario(play)
