"""The keeper: what is written down is listed by all in service, and nobody's address is taken for a new one."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.base.errors import NO_BACKEND, Failure
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.fleet.backend import Backend
from gateway.ledger import addresses, epochs
from gateway.ledger.epochs import ADOPTED, DOUBTED, NEW, UNADOPTED
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger, LedgerError, T
from gateway.profiles import Method, Profile, load
from gateway.supervision.contact import FIRST_LOOK
from gateway.supervision.filling import SOON
from gateway.supervision.keeper import Keeper
from gateway.supervision.lists import NotNow
from gateway.supervision.mirror import LATE, OWED, Mirror
from gateway.supervision.standbys import LEFT_BEHIND
from gateway.supervision.use import LOOK_FOR_USE
from tests.fleet.test_pool import build, probe
from tests.virtual_time import run_virtual

PROFILE = load("electron-cash")
CLOCK = 1_800_000_000.0
SIZE = 6


def prefixed(*places: int) -> list[str]:
    """Addresses as a daemon lists them."""
    return [f"bchreg:qa{place}" for place in places]


def bare(*places: int) -> set[str]:
    """The same without the prefix of the network."""
    return {f"qa{place}" for place in places}


@dataclass
class Daemon:
    """What one daemon answers."""

    listed: list[str] = field(default_factory=lambda: prefixed(*range(20)))
    used: set[str] = field(default_factory=set)
    """Its coins came and went."""
    funded: set[str] = field(default_factory=set)
    """It has coins."""
    requests: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    history: list[object] = field(default_factory=list)
    seconds: Callable[[str], float] = lambda _method: 0.001
    is_silent: bool = False
    denies: set[str] = field(default_factory=set)
    before_answer: Callable[[str], None] = lambda _method: None
    """Called when a call was run and its answer has not left."""
    seed: str = "qa"

    def answer(self, method: str, params: Any) -> object:
        """Run one call."""
        match method, params:
            case "listaddresses", {"unused": True}:
                return [one for one in self.listed if one not in self.used | self.funded]
            case "listaddresses", {"funded": True}:
                return [one for one in self.listed if one in self.funded]
            case "listaddresses", [True, False, True]:
                return [[one, self.labels.get(one, "''")] for one in self.listed]
            case "listaddresses", _:
                return self.listed
            case "listrequests", _:
                return [{"address": one, "memo": "x"} for one in self.requests]
            case "history", _:
                return self.history
            case "createnewaddress", _:
                self.listed.append(f"bchreg:{self.seed}{len(self.listed)}")
                return self.listed[-1]
        raise AssertionError(method)


class Disk(InlineLedger):
    """A ledger whose disk may be full."""

    is_full = False

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Do one transaction, if there is room."""
        if self.is_full:
            raise LedgerError("disk is full")
        return super().transact(work)


class Bench:
    """A pool of daemons that answer from a table, the keeper, and a mirror that runs when a test says so."""

    def __init__(
        self, daemons: int = 2, *, size: int = SIZE, profile: Profile = PROFILE, state: str | None = None,
        known: int = 20, pooled: int = 0, mirror: bool = True,
    ) -> None:  # fmt: skip
        """Build it; with `state`, the ledger knows so many addresses, the last of them in the pool."""
        self.loop = asyncio.get_running_loop()
        self.pool, self.events = build(daemons, slow_start=0.0, mirror=mirror)
        self.daemons = [Daemon() for _ in range(daemons)]
        self.by_name = dict(zip(self.pool.by_name, self.daemons, strict=True))
        self.asked: list[tuple[str, str]] = []
        self.ledger = Disk(None)
        metadata.create_all(self.ledger.engine)
        self.profile = profile
        self.size = size
        self.do(lambda c: epochs.begin(c, "main", "ec-1", list(self.pool.by_name), CLOCK))
        if state is not None:
            self.do(lambda c: epochs.settle(c, "main", state, "bchreg:qa0"))
            given = [f"qa{n}" for n in range(known)]
            self.do(lambda c: addresses.add(c, "main", given[: known - pooled], addresses.FOREIGN, 1, CLOCK))
            self.do(lambda c: addresses.add(c, "main", given[known - pooled :], addresses.POOL, 1, CLOCK))
        self.restart()

    def restart(self) -> None:
        """Let a new keeper and a new mirror read the ledger as it is."""
        self.keeper = Keeper(
            self.pool, self.profile, self.ledger, self.call_on, self.size, lambda: CLOCK + self.loop.time(), self.loop
        )
        known = self.do(self.keeper.load)
        self.mirror = Mirror(
            self.pool, self.profile, self.call_on, self.loop, keeper=self.keeper, known=known,
        )  # fmt: skip
        self.pool.epoch = 1

    def do(self, work: Callable[[Connection], Any]) -> Any:
        """Do one transaction."""
        return self.ledger.transact(work)

    def up(self, *names: str) -> None:
        """Let daemons come into service; all where none is named."""
        for name in names or list(self.pool.by_name):
            probe(self.pool, self.pool.by_name[name], self.loop.time())

    def down(self, name: str) -> None:
        """Let a daemon refuse connections, and be out of service."""
        self.pool.refused(self.pool.by_name[name], self.loop.time(), "refused")
        assert not self.pool.by_name[name].phase.is_serving

    def promote(self, name: str) -> None:
        """Promote at once."""
        new = self.do(lambda c: epochs.promote(c, "main", name, self.pool.epoch, CLOCK))
        self.pool.set_primary(self.pool.by_name[name], new)

    async def call_on(self, backend: Backend, method: Method, params: bytes, deadline: float) -> Answer | Failure:
        """Answer one upkeep call."""
        daemon = self.by_name[backend.name]
        self.asked.append((backend.name, method.name))
        await asyncio.sleep(deadline - self.loop.time() if daemon.is_silent else daemon.seconds(method.name))
        if daemon.is_silent or not backend.phase.is_serving:
            return Failure(NO_BACKEND, "no_backend: silent", safe_to_repeat=True)
        if method.name in daemon.denies:
            return Answer(None, b'{"code": -32603, "message": "no"}')
        result = json.dumps(daemon.answer(method.name, json.loads(params))).encode()
        daemon.before_answer(method.name)
        return Answer(result, None)

    async def compare(self) -> None:
        """Let the mirror compare once."""
        await self.mirror.compare()

    async def met(self) -> None:
        """Let the keeper meet the primary, as the mirror would."""
        primary = self.pool.primary
        await self.keeper.met(primary, list(self.by_name[primary.name].listed))

    # -- what there is ------------------------------------------------------------------------------------

    def states(self) -> str:
        """The states of all addresses in the order of derivation, one letter each."""
        found = self.do(lambda c: c.exec_driver_sql("SELECT state FROM addresses ORDER BY place").all())
        return "".join(row[0][0] for row in found)

    def listed(self) -> list[str]:
        """Every address that the ledger knows."""
        found: list[str] = self.do(lambda c: addresses.listed(c, "main"))
        return found

    def take(self) -> str | None:
        """Hand out one."""
        taken: str | None = self.do(lambda c: addresses.take(c, "main", "shop", "x", self.pool.epoch, CLOCK))
        self.keeper.took(self.do(lambda c: addresses.in_pool(c, "main")))
        return taken

    def told(self, name: str) -> list[Event]:
        """The events of a name."""
        return [event for event in self.events if event.name == name]


def scenario(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scenario in virtual time."""
    run_virtual(play())


# -- first contact ----------------------------------------------------------------------------------------------


def test_a_fresh_wallet_is_taken_over_without_a_word_and_its_pool_is_filled() -> None:
    """What it lists counts as given out by others; the pool begins behind it."""

    async def play() -> None:
        bench = Bench()
        bench.up()
        await bench.compare()
        assert bench.keeper.state == ADOPTED
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert bench.take() == "qa20"
        assert (bench.keeper.prefix, bench.keeper.known, bench.keeper.free) == ("bchreg:", 20 + SIZE, SIZE - 1)
        assert all(one.listed == prefixed(*range(20 + SIZE)) for one in bench.daemons)
        standing = bench.do(lambda c: epochs.current(c, "main"))
        assert (standing.state, standing.fingerprint) == (ADOPTED, "bchreg:qa0")
        (event,) = bench.told("wallet.adopted")
        assert (event.fields, event.level) == ({"how": "fresh", "addresses": 20}, "info")

    scenario(play)


def mark_history(daemon: Daemon) -> None:
    """It was paid to."""
    daemon.history = [{"txid": "aa"}]


def mark_request(daemon: Daemon) -> None:
    """It made an invoice."""
    daemon.requests = [daemon.listed[3]]


def mark_label(daemon: Daemon) -> None:
    """Somebody wrote a name on an address."""
    daemon.labels = {daemon.listed[3]: "'rent'"}


def mark_many(daemon: Daemon) -> None:
    """It was asked for an address, which nobody has paid to yet."""
    daemon.listed.append("bchreg:qa20")


@pytest.mark.parametrize("mark", [mark_history, mark_request, mark_label, mark_many])
@pytest.mark.parametrize("who", [0, 1])
def test_a_wallet_that_any_daemon_shows_to_be_used_waits_for_an_operator(
    mark: Callable[[Daemon], None], who: int
) -> None:
    """Invoices, labels and addresses that were asked for are each daemon's own: the primary alone does not know."""

    async def play() -> None:
        bench = Bench()
        mark(bench.daemons[who])
        bench.up()
        await bench.compare()
        assert bench.keeper.state == UNADOPTED
        assert bench.keeper.wanted(bench.keeper.known) == 0
        assert bench.states() == ""
        (event,) = bench.told("wallet.not_adopted")
        assert (event.fields["used"], event.level) == (f"ec-{who + 1}", "error")
        assert "ec-gateway ledger adopt" in str(event.fields["remedy"])
        await bench.compare()
        assert len(bench.told("wallet.not_adopted")) == 1
        assert bench.do(lambda c: epochs.current(c, "main")).state == UNADOPTED
        # the primary answers wallet reads all the same
        assert bench.pool.is_aligned(bench.pool.primary)

    scenario(play)


def test_a_standby_that_lists_more_than_the_primary_is_believed() -> None:
    """Both look fresh, and what the standby lists beyond may have been told to somebody."""

    async def play() -> None:
        bench = Bench()
        del bench.daemons[0].listed[10:]
        del bench.daemons[1].listed[14:]
        bench.up()
        await bench.compare()
        assert bench.states().startswith("f" * 14)
        assert "p" not in bench.states()[:14]
        await bench.compare()
        assert bench.take() == "qa14"

    scenario(play)


def stranger(length: int = 20, **how: Any) -> Daemon:
    """A daemon of another seed."""
    return Daemon(listed=[f"bchreg:qz{n}" for n in range(length)], seed="qz", **how)


def test_a_wallet_whose_daemons_have_two_seeds_is_not_taken_over() -> None:
    """Nobody knows which is meant: both sides are named, and the way out; with the wrong one gone it is taken over."""

    async def play() -> None:
        bench = Bench(3)
        bench.daemons[1] = bench.by_name["ec-2"] = stranger(40, history=[{"txid": "aa"}])
        bench.up()
        for _ in range(3):
            await bench.compare()
        assert (bench.keeper.state, bench.states()) == (NEW, "")
        (event,) = bench.told("wallet.several_seeds")
        assert (event.fields["sides"], event.level) == ([["ec-1", "ec-3"], ["ec-2"]], "error")
        for why in (bench.keeper.why_no_address, bench.keeper.why_no_key, bench.keeper.why_no_invoice):
            assert "(ec-1, ec-3 and ec-2 list other addresses" in why
            assert "ec-gateway ledger adopt -c FILE --wallet main" in why
        assert bench.told("backend.diverged")
        bench.down("ec-2")
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert bench.keeper.why_no_address == ""

    scenario(play)


def test_an_operator_may_take_the_seed_of_the_primary() -> None:
    """The others say nothing about this wallet, neither by use nor by length, and are named."""

    async def play() -> None:
        bench = Bench(3)
        bench.daemons[1] = bench.by_name["ec-2"] = stranger(40)
        bench.up()
        await bench.compare()
        answer = await bench.keeper.adopt(list(bench.daemons[0].listed))
        assert answer.endswith("20 addresses count as given out; ec-2 left out, for they have another seed")
        (event,) = bench.told("wallet.adopted")
        assert (event.fields["other_seed"], event.level) == ("ec-2", "warning")
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * SIZE

    scenario(play)


def test_first_contact_waits_a_little_for_daemons_that_are_starting() -> None:
    """One of them may know more; for the one that does not come nobody waits longer, and the event names it."""

    async def play() -> None:
        bench = Bench(3)
        mark_many(bench.daemons[1])
        bench.up("ec-1")
        with pytest.raises(NotNow, match="ec-2, ec-3 may know more"):
            await bench.met()
        bench.up("ec-2")
        with pytest.raises(NotNow, match="ec-3"):
            await bench.met()
        # no wallet read of the primary waits for that
        with pytest.raises(NotNow):
            await bench.compare()
        assert bench.pool.is_aligned(bench.pool.primary)
        await asyncio.sleep(FIRST_LOOK)
        await bench.met()
        assert bench.keeper.state == UNADOPTED

    scenario(play)


def test_a_daemon_that_nobody_could_ask_is_named() -> None:
    """Addresses that it alone gave out are not among those taken over; an operator should know."""

    async def play() -> None:
        bench = Bench()
        bench.up("ec-1")
        with pytest.raises(NotNow):
            await bench.met()
        await asyncio.sleep(FIRST_LOOK)
        await bench.met()
        (event,) = bench.told("wallet.adopted")
        assert (event.fields["not_asked"], event.level) == ("ec-2", "warning")

    scenario(play)


def test_without_calls_that_tell_a_used_wallet_each_has_to_be_adopted() -> None:
    """A profile of a family that nobody looked at."""

    async def play() -> None:
        bench = Bench(profile=replace(PROFILE, first_contact=()))
        bench.up()
        await bench.compare()
        assert bench.keeper.state == UNADOPTED

    scenario(play)


def test_a_wallet_that_lists_nothing_is_starting() -> None:
    """It never met its server; there is nothing to decide yet."""

    async def play() -> None:
        bench = Bench(1)
        bench.daemons[0].listed.clear()
        bench.up()
        await bench.compare()
        assert (bench.keeper.state, bench.states()) == (NEW, "")
        assert bench.take() is None

    scenario(play)


@pytest.mark.parametrize("trouble", ["silent", "error", "not json"])
def test_what_could_not_be_found_out_is_asked_again(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that does not say whether it was used is not called fresh, and not used either."""

    async def play() -> None:
        bench = Bench(1)
        bench.up()
        if trouble == "silent":
            bench.daemons[0].is_silent = True
        elif trouble == "error":
            bench.daemons[0].denies.add("history")
        else:
            monkeypatch.setattr(json, "dumps", lambda _value: "{no")
        with pytest.raises(NotNow):
            await bench.met()
        assert bench.keeper.state == NEW
        monkeypatch.undo()
        bench.daemons[0] = bench.by_name["ec-1"] = Daemon()
        await bench.met()
        assert bench.keeper.state == ADOPTED

    scenario(play)


def test_a_ledger_that_fails_at_first_contact_keeps_nobody_from_reading() -> None:
    """The primary lists all there is; only the pool has to wait."""

    async def play() -> None:
        bench = Bench()
        bench.up()
        bench.ledger.is_full = True
        with pytest.raises(NotNow, match="disk is full"):
            await bench.compare()
        assert bench.pool.is_aligned(bench.pool.primary)
        assert bench.pool.is_primary_checked
        assert bench.keeper.state == NEW

    scenario(play)


# -- another wallet on the same seed ------------------------------------------------------------------------------


def add_twin(bench: Bench, name: str = "shop") -> None:
    """Let another wallet of the ledger have been taken over with the same first address."""
    bench.do(lambda c: epochs.begin(c, name, "ec-9", ["ec-9"], CLOCK))
    bench.do(lambda c: epochs.settle(c, name, ADOPTED, "qa0"))


@pytest.mark.parametrize("is_used", [False, True])
def test_a_wallet_with_the_seed_of_another_is_not_taken_over(is_used: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Fresh or used, by itself or by an order: both would give out the same addresses; the error names the other."""

    async def play() -> None:
        bench = Bench()
        add_twin(bench)
        if is_used:
            mark_history(bench.daemons[0])
        bench.up()
        for _ in range(3):
            await bench.compare()
        assert (bench.keeper.state, bench.states()) == (NEW, "")
        assert bench.do(lambda c: epochs.current(c, "main")).state == NEW
        (event,) = bench.told("wallet.twin")
        assert (event.fields["other"], event.level) == ("shop", "error")
        for why in (bench.keeper.why_no_address, bench.keeper.why_no_key, bench.keeper.why_no_invoice):
            assert "the wallet shop of this ledger has the same addresses as main" in why
            assert "put these backends under shop, or, where shop was renamed to main, rename it back" in why
        wrote: list[int] = []
        with pytest.raises(LedgerError, match=r"the wallet shop of this ledger.*nothing was adopted"):
            await bench.keeper.adopt(list(bench.daemons[0].listed), lambda _c: wrote.append(1))
        assert (bench.states(), wrote) == ("", [])
        bench.do(lambda c: epochs.settle(c, "shop", ADOPTED, "bchreg:qz0"))
        await bench.compare()
        assert bench.keeper.state == (UNADOPTED if is_used else ADOPTED)
        assert "shop" not in bench.keeper.why_no_address

    scenario(play)


def test_two_wallets_that_wait_for_an_operator_are_in_nobodys_way() -> None:
    """Neither gives anything out; who is adopted first has the seed."""

    async def play() -> None:
        bench = Bench()
        add_twin(bench)
        bench.do(lambda c: epochs.settle(c, "shop", UNADOPTED, "bchreg:qa0"))
        mark_history(bench.daemons[0])
        bench.up()
        await bench.compare()
        assert bench.keeper.state == UNADOPTED
        await bench.keeper.adopt(list(bench.daemons[0].listed))
        assert bench.keeper.state == ADOPTED

    scenario(play)


def test_a_ledger_in_which_two_wallets_have_one_seed_already_goes_on_with_neither() -> None:
    """Nothing is given out, derived or added to the list."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, known=20 + SIZE, pooled=SIZE)
        add_twin(bench)
        for daemon in bench.daemons:
            daemon.listed = prefixed(*range(30))
        bench.up()
        assert bench.keeper.why_no_address == ""
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert "the wallet shop" in bench.keeper.why_no_address
        assert len(bench.told("wallet.twin")) == 1
        bench.restart()
        assert "the wallet shop" in bench.keeper.why_no_address
        await bench.compare()
        assert [len(one.listed) for one in bench.daemons] == [30, 30]

    scenario(play)


# -- no daemon of this seed -----------------------------------------------------------------------------------------


def test_a_wallet_with_only_strangers_behind_it_gives_nothing_out() -> None:
    """Nobody would see a payment; the error names them and the way out, and it goes on when the right one is back."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, known=20 + SIZE, pooled=SIZE)
        right = bench.daemons[1]
        right.listed = prefixed(*range(20 + SIZE))
        for name in bench.by_name:
            bench.by_name[name] = stranger(40)
        bench.up()
        for _ in range(3):
            with pytest.raises(NotNow):
                await bench.compare()
        assert "no daemon lists the addresses that the ledger has for main (ec-1, ec-2: another seed)" in (
            bench.keeper.why_no_address
        )
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert [event.level for event in bench.told("wallet.only_strangers")] == ["error"]
        with pytest.raises(LedgerError, match=r"knows other addresses .*; put the daemons of that seed"):
            await bench.keeper.adopt([f"bchreg:qz{n}" for n in range(40)])
        bench.by_name["ec-2"] = right
        with pytest.raises(NotNow):
            await bench.compare()
        assert bench.keeper.why_no_address == ""
        assert bench.pool.is_aligned(bench.pool.by_name["ec-2"]), "it may take over"

    scenario(play)


def test_strangers_keep_nobody_from_selling_while_the_right_daemon_is_down() -> None:
    """It comes back, and sees every payment then; only where nobody was ever seen to list them it is no use."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, known=20 + SIZE, pooled=SIZE)
        bench.daemons[0].listed = prefixed(*range(20 + SIZE))
        bench.by_name["ec-2"] = stranger(40)
        bench.up()
        await bench.compare()
        assert bench.told("backend.diverged")
        bench.down("ec-1")
        await bench.compare()
        assert bench.keeper.why_no_address == ""

    scenario(play)


# -- adoption ---------------------------------------------------------------------------------------------------


def test_an_operator_takes_over_a_used_wallet_with_all_that_any_daemon_lists() -> None:
    """And with what belongs to it, in the same transaction; then the pool is filled behind it."""

    async def play() -> None:
        bench = Bench()
        mark_history(bench.daemons[0])
        bench.daemons[1].listed += prefixed(20, 21)
        bench.up()
        await bench.compare()
        wrote: list[int] = []
        answer = await bench.keeper.adopt(
            list(bench.daemons[0].listed), lambda c: wrote.append(addresses.count(c, "main"))
        )
        assert answer == "the wallet main is adopted: 22 addresses count as given out"
        assert wrote == [22]
        await bench.compare()
        assert bench.states() == "f" * 22 + "p" * SIZE
        assert bench.take() == "qa22"

    scenario(play)


def test_an_adoption_that_fails_leaves_nothing_behind() -> None:
    """Whatever was to be written with it could not be."""

    async def play() -> None:
        bench = Bench()
        mark_history(bench.daemons[0])
        bench.up()
        await bench.compare()

        def fail(_connection: Connection) -> None:
            raise LedgerError("no room")

        with pytest.raises(LedgerError, match="no room"):
            await bench.keeper.adopt(list(bench.daemons[0].listed), fail)
        assert (bench.keeper.state, bench.states()) == (UNADOPTED, "")

    scenario(play)


def test_adopting_again_counts_the_pool_as_given_out() -> None:
    """An older ledger was put back: what waits in its pool may have been told to somebody since."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, known=20 + SIZE, pooled=SIZE)
        for daemon in bench.daemons:
            daemon.listed = prefixed(*range(30))
        bench.up()
        await bench.keeper.adopt(prefixed(*range(30)))
        assert "p" not in bench.states()
        assert len(bench.states()) == 30
        await bench.compare()
        assert bench.take() == "qa30"

    scenario(play)


def test_a_ledger_of_another_wallet_adopts_nothing() -> None:
    """The daemon lists other addresses than those that are written down."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        with pytest.raises(LedgerError, match="other addresses"):
            await bench.keeper.adopt([f"bchreg:qz{n}" for n in range(20)])
        assert bench.states() == "f" * 20

    scenario(play)


def test_a_daemon_that_lists_nothing_has_nothing_to_adopt() -> None:
    """It is told in words, and not with a traceback."""

    async def play() -> None:
        bench = Bench()
        bench.up()
        with pytest.raises(NotNow, match="lists no addresses yet"):
            await bench.keeper.adopt([])

    scenario(play)


def test_an_order_to_adopt_that_comes_in_the_middle_of_first_contact_stands() -> None:
    """What first contact then finds out comes too late."""

    async def play() -> None:
        bench = Bench(1)
        mark_history(bench.daemons[0])
        bench.up()
        bench.daemons[0].seconds = lambda method: 1.0 if method == "history" else 0.001
        task = bench.loop.create_task(bench.met())
        await asyncio.sleep(0.1)
        await bench.keeper.adopt(list(bench.daemons[0].listed))
        await task
        assert bench.keeper.state == ADOPTED
        assert bench.do(lambda c: epochs.current(c, "main")).state == ADOPTED

    scenario(play)


def test_the_ledger_decides_where_an_order_was_faster_by_a_transaction() -> None:
    """First contact finds `adopted` there and writes nothing over it."""

    async def play() -> None:
        bench = Bench(1)
        mark_history(bench.daemons[0])
        bench.up()
        bench.do(lambda c: epochs.settle(c, "main", ADOPTED, "bchreg:qa0"))
        await bench.met()
        assert bench.do(lambda c: epochs.current(c, "main")).state == ADOPTED
        assert not bench.told("wallet.not_adopted")

    scenario(play)


# -- the pool -----------------------------------------------------------------------------------------------------


def test_a_wallet_that_waits_for_an_operator_derives_nothing() -> None:
    """Not even what would fill a pool that nobody may take from."""

    async def play() -> None:
        bench = Bench(state=UNADOPTED, known=0)
        bench.up()
        await bench.compare()
        assert await bench.keeper.mirrored(["qa0"], set()) is False
        assert bench.states() == ""
        assert len(bench.daemons[0].listed) == 20

    scenario(play)


def test_what_came_about_without_us_is_not_for_the_pool() -> None:
    """Somebody asked a daemon, or an older ledger was put back."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        for daemon in bench.daemons:
            daemon.listed += prefixed(20, 21)
        bench.up()
        await bench.compare()
        assert bench.states() == "f" * 20 + "bb"
        await bench.compare()
        assert bench.states() == "f" * 20 + "bb" + "p" * SIZE
        assert bench.take() == "qa22"
        (event,) = bench.told("address.foreign")
        assert event.fields["addresses"] == 2

    scenario(play)


def test_the_pool_of_a_ledger_that_knows_less_than_the_daemons_is_given_up() -> None:
    """An older copy was put back: which of its pool were handed out since, nobody knows."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * SIZE
        for daemon in bench.daemons:
            daemon.listed += prefixed(20 + SIZE)
        bench.restart()
        await bench.compare()
        assert bench.states()[: 21 + SIZE] == "f" * 20 + "b" * (SIZE + 1)
        await bench.compare()
        assert bench.take() == f"qa{21 + SIZE}"
        assert [event.fields["pool_given_up"] for event in bench.told("address.foreign")] == [True]

    scenario(play)


def put_back_older(bench: Bench, places: int) -> None:
    """Put a ledger back that was copied now, after so many more addresses were derived, and start anew."""
    for daemon in bench.daemons:
        daemon.listed = prefixed(*range(places))
    bench.restart()


def test_a_ledger_that_knows_less_than_was_planned_is_doubted() -> None:
    """It was put back: keys may be missing like the addresses; an operator's order clears it."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        # 20 more than were given out may come from the daemons themselves
        put_back_older(bench, 41)
        await bench.compare()
        assert bench.keeper.state == DOUBTED
        assert bench.do(lambda c: epochs.current(c, "main")).state == DOUBTED
        assert bench.states() == "f" * 20 + "b" * 21, "the pool is given up, and nothing derived before that is known"
        (event,) = bench.told("address.foreign")
        assert (event.fields["doubted"], event.fields["pool_given_up"], event.level) == (True, True, "error")
        assert "ec-gateway ledger adopt" in str(event.fields["remedy"])
        assert "keys may be missing" in bench.keeper.why_no_key
        assert bench.keeper.why_no_address == ""
        await bench.compare()
        assert bench.take() == "qa41"
        bench.restart()
        assert bench.keeper.state == DOUBTED
        await bench.keeper.adopt(list(bench.daemons[0].listed))
        assert (bench.keeper.state, bench.keeper.why_no_key) == (ADOPTED, "")

    scenario(play)


@pytest.mark.parametrize("where", ["primary", "standby"])
def test_an_older_ledger_is_found_out_whoever_of_the_daemons_lists_more(where: str) -> None:
    """Also where the primary forgot as well: nothing is written down before it was shown what a standby lists."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        put_back_older(bench, 45)
        if where == "standby":
            del bench.daemons[0].listed[22:]
        for _ in range(3):
            await bench.compare()
        assert bench.keeper.state == DOUBTED
        assert bench.states().startswith("f" * 20 + "b" * 25)

    scenario(play)


def test_the_plan_of_this_start_does_not_hide_what_an_older_ledger_never_planned() -> None:
    """Its pool is low, so that at once more is wanted than the daemons list: what they list is judged first."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, size=60)
        bench.up()
        await bench.compare()
        for _ in range(50):
            assert bench.take()
        put_back_older(bench, 95)
        await bench.compare()
        assert bench.keeper.state == DOUBTED
        assert bench.do(lambda c: epochs.current(c, "main")).planned == 80
        await bench.compare()
        assert bench.keeper.free == 60

    scenario(play)


def test_what_daemons_list_by_themselves_behind_a_payment_casts_no_doubt() -> None:
    """The pool was sold out, all of it was paid, and the daemons went on to twenty behind that."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        for _ in range(SIZE):
            assert bench.take()
        put_back_older(bench, 20 + SIZE + 20)
        await bench.compare()
        assert bench.keeper.state == ADOPTED
        (event,) = bench.told("address.foreign")
        assert (event.fields["doubted"], event.fields["pool_given_up"], event.level) == (False, True, "warning")

    scenario(play)


@pytest.mark.parametrize("derived", [1, 20, 21, 25, 29, 30])
def test_a_restart_in_the_middle_of_a_refill_casts_no_doubt(derived: int) -> None:
    """How many addresses it set out to derive was written down before the first of them."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, size=30, known=20)
        bench.up()
        left = derived

        def kill(method: str) -> None:
            nonlocal left
            if method == "createnewaddress":
                left -= 1
                if left <= 0:
                    raise asyncio.CancelledError

        for daemon in bench.daemons:
            daemon.before_answer = kill
        with suppress(asyncio.CancelledError, NotNow):
            await bench.compare()
        for task in list(bench.mirror.standbys.under_way.values()):
            task.cancel()
        await asyncio.sleep(1.0)
        for daemon in bench.daemons:
            daemon.before_answer = lambda _method: None
        bench.restart()
        for _ in range(3):
            await bench.compare()
        assert bench.keeper.state == ADOPTED
        assert bench.keeper.free == 30
        assert not any(event.fields["doubted"] for event in bench.told("address.foreign"))

    scenario(play)


def test_every_address_was_planned_before_a_daemon_lists_it() -> None:
    """By a comparison and by a refill; the plan is never lowered."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        seen: list[tuple[int, int]] = []

        def look(method: str) -> None:
            if method == "createnewaddress":
                plan = bench.do(lambda c: epochs.current(c, "main")).planned
                seen.append((len(bench.daemons[0].listed), plan))

        bench.daemons[0].before_answer = look
        await bench.compare()
        await bench.compare()
        for _ in range(4):
            bench.take()
        assert await bench.mirror.refill()
        assert seen == [(20 + n, 20 + SIZE) for n in range(1, SIZE + 1)] + [
            (20 + SIZE + n, 24 + SIZE) for n in range(1, 5)
        ]
        bench.do(lambda c: epochs.plan(c, "main", 1, 3))
        assert bench.do(lambda c: epochs.current(c, "main")).planned == 24 + SIZE

    scenario(play)


def test_a_plan_of_an_older_epoch_lets_nobody_derive() -> None:
    """Another gateway, or another primary, was faster."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        bench.do(lambda c: epochs.promote(c, "main", "ec-2", 1, CLOCK))
        with pytest.raises(NotNow, match="another primary was chosen"):
            await bench.compare()
        assert len(bench.daemons[0].listed) == 20
        assert bench.do(lambda c: epochs.current(c, "main")).planned == 0

    scenario(play)


@pytest.mark.parametrize("use", ["used", "funded", "requests"])
def test_what_shows_use_at_the_moment_of_writing_is_burnt(use: str) -> None:
    """A window on the same seed was a moment faster with this one."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        shown: Any = getattr(bench.daemons[0], use)
        (shown.append if isinstance(shown, list) else shown.add)("bchreg:qa21")
        await bench.compare()
        assert bench.states() == "f" * 20 + "pb" + "p" * (SIZE - 2)
        assert [bench.take(), bench.take()] == ["qa20", "qa22"]

    scenario(play)


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("use", ["used", "funded", "requests"])
def test_what_somebody_else_uses_on_any_daemon_is_taken_out_of_the_pool(use: str, who: int) -> None:
    """Looked for every now and then; an event says how many, and the pool is filled up again."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, known=20 + SIZE, pooled=SIZE)
        for daemon in bench.daemons:
            daemon.listed = prefixed(*range(20 + SIZE))
        bench.up()
        task = bench.loop.create_task(bench.keeper.use.run())
        shown: Any = getattr(bench.daemons[who], use)
        for place in (20, 23):
            (shown.append if isinstance(shown, list) else shown.add)(f"bchreg:qa{place}")
        await asyncio.sleep(LOOK_FOR_USE + 1.0)
        task.cancel()
        assert bench.states() == "f" * 20 + "bppbpp"
        (event,) = bench.told("address.burnt")
        assert (event.backend, event.fields, event.level) == (f"ec-{who + 1}", {"addresses": 2}, "error")
        assert bench.keeper.free == SIZE - 2
        await bench.compare()
        assert bench.states() == "f" * 20 + "bppbpppp"

    scenario(play)


def test_looking_for_use_survives_daemons_and_disks_that_fail() -> None:
    """And finds it at the next look."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, known=20 + SIZE, pooled=SIZE)
        for daemon in bench.daemons:
            daemon.listed = prefixed(*range(20 + SIZE))
        bench.up()
        bench.daemons[0].denies.add("listrequests")
        bench.daemons[1].used = {"bchreg:qa20"}
        bench.ledger.is_full = True
        task = bench.loop.create_task(bench.keeper.use.run())
        await asyncio.sleep(LOOK_FOR_USE + 1.0)
        bench.ledger.is_full = False
        assert bench.states() == "f" * 20 + "p" * SIZE
        await asyncio.sleep(LOOK_FOR_USE)
        assert not task.done()
        assert bench.states() == "f" * 20 + "bppppp"
        task.cancel()

    scenario(play)


def test_what_a_client_has_shows_use_and_stays_his() -> None:
    """That is what it was given out for."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, known=20 + SIZE, pooled=SIZE)
        bench.daemons[0].listed = prefixed(*range(20 + SIZE))
        bench.up()
        assert bench.take() == "qa20"
        bench.daemons[0].used = {"bchreg:qa20"}
        task = bench.loop.create_task(bench.keeper.use.run())
        await asyncio.sleep(LOOK_FOR_USE + 1.0)
        task.cancel()
        assert bench.states() == "f" * 20 + "hppppp"
        assert not bench.told("address.burnt")

    scenario(play)


def test_a_keeper_whose_count_is_stale_writes_nothing_and_learns_the_count() -> None:
    """Else places would be shifted, and an address that is known would come in again."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        bench.do(lambda c: addresses.add(c, "main", ["qa20"], addresses.HANDED, 1, CLOCK))
        listed = [f"qa{n}" for n in range(22)]
        assert await bench.keeper.mirrored(listed, bare(21)) is False
        assert (bench.keeper.known, bench.listed()) == (21, listed[:21])
        assert await bench.keeper.mirrored(listed, bare(21)) is True
        assert bench.states() == "f" * 20 + "hp"

    scenario(play)


def test_a_list_that_shrank_takes_nothing_back() -> None:
    """A daemon that was killed forgot; the ledger does not."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, known=20 + SIZE, pooled=SIZE)
        bench.up()
        assert await bench.keeper.mirrored([f"qa{n}" for n in range(20)], set()) is True
        assert bench.states() == "f" * 20 + "p" * SIZE
        for daemon in bench.daemons:
            daemon.listed = prefixed(*range(18))
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert all(len(one.listed) == 20 + SIZE for one in bench.daemons)
        assert not bench.told("address.foreign")

    scenario(play)


def test_a_promotion_while_it_is_asked_what_is_in_use_writes_nothing() -> None:
    """The list is an old primary's; what was derived for the pool is for the pool when the new one lists it."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        for _ in range(SIZE):
            assert bench.take()
        before = bench.states()
        bench.daemons[0].before_answer = lambda method: bench.promote("ec-2") if method == "listrequests" else None
        with pytest.raises(NotNow, match="no longer primary"):
            await bench.compare()
        assert bench.pool.primary.name == "ec-2"
        assert bench.states() == before
        bench.daemons[0].before_answer = lambda _method: None
        await bench.compare()
        assert bench.states() == before + "p" * SIZE
        assert not bench.told("address.foreign")

    scenario(play)


def test_a_primary_that_fell_silent_in_the_middle_of_a_refill_costs_no_address() -> None:
    """It derived three of six; the next primary is brought to the same ones, and all six fill the pool."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()

        def fall_silent(method: str) -> None:
            if method == "createnewaddress" and len(bench.daemons[0].listed) == 23:
                bench.daemons[0].is_silent = True

        bench.daemons[0].before_answer = fall_silent
        with pytest.raises(NotNow):
            await bench.compare()
        bench.down("ec-1")
        bench.promote("ec-2")
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert not bench.told("address.foreign")

    scenario(play)


@pytest.mark.parametrize("after", ["createnewaddress", "listaddresses"])
def test_a_primary_that_comes_back_from_an_old_file_in_the_middle_of_a_refill_is_not_taken_for_whole(
    after: str,
) -> None:
    """What it lists then is no longer what is known, and nothing of it is new; the next comparison brings it past."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        daemon, primary = bench.daemons[0], bench.pool.primary

        def restart(method: str) -> None:
            if method == "createnewaddress" and len(daemon.listed) == (22 if after == "createnewaddress" else 26):
                daemon.before_answer = lambda _method: None
                del daemon.listed[10:]
                bench.pool.doubt_primary()

        daemon.before_answer = restart
        with pytest.raises(NotNow):
            await bench.compare()
        assert not bench.pool.is_aligned(primary), "it answers reads with half of the addresses"
        assert len(bench.mirror.recall.known) >= 20
        seen: list[bool] = []
        daemon.before_answer = lambda method: (
            seen.append(bench.pool.is_aligned(primary))
            if method == "createnewaddress" and len(daemon.listed) <= 20
            else None
        )
        await bench.compare()
        await bench.compare()
        assert seen == [False] * len(seen)
        assert len(seen) >= 9
        assert bench.pool.is_aligned(primary)
        assert daemon.listed == [f"bchreg:qa{n}" for n in range(26)]
        assert bench.states() == "f" * 20 + "p" * SIZE

    scenario(play)


def test_a_list_that_was_on_its_way_when_the_primary_was_doubted_proves_nothing() -> None:
    """It may be of the process before."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        bench.daemons[0].before_answer = lambda _method: bench.pool.doubt_primary()
        with pytest.raises(NotNow):
            await bench.compare()
        assert not bench.pool.is_aligned(bench.pool.primary)
        bench.daemons[0].before_answer = lambda _method: None
        await bench.compare()
        assert bench.pool.is_aligned(bench.pool.primary)

    scenario(play)


def test_a_primary_that_is_replaced_in_the_middle_of_a_refill_derives_no_more() -> None:
    """The primary of now alone is first to derive; the call under way is the last."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, size=100)
        bench.up()

        def overtake(_method: str) -> None:
            if len(bench.daemons[0].listed) == 30 and bench.pool.primary.name == "ec-1":
                bench.promote("ec-2")

        bench.daemons[0].before_answer = overtake
        with pytest.raises(NotNow, match="no longer primary"):
            await bench.compare()
        assert len(bench.daemons[0].listed) == 30
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * 100
        assert not bench.told("address.foreign")

    scenario(play)


@pytest.mark.parametrize("how", ["by a comparison", "by a refill"])
def test_a_derivation_that_is_not_sent_yet_when_another_is_promoted_is_never_sent(how: str) -> None:
    """It waits for the old primary's slot, which is free a moment later: the old one would be first to derive it."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        await bench.compare()
        before = len(bench.daemons[0].listed)
        for _ in range(3):
            bench.take()
        bench.daemons[0].seconds = lambda method: LATE / 4 if method == "createnewaddress" else 0.001
        bench.loop.call_later(LATE / 8, bench.promote, "ec-2")
        with pytest.raises(NotNow, match="no longer primary"):
            await (bench.compare() if how == "by a comparison" else bench.mirror.refill())
        await asyncio.sleep(LATE)
        assert len(bench.daemons[0].listed) == before

    scenario(play)


def test_a_derivation_whose_answer_was_lost_is_nobodys() -> None:
    """The daemon has one more than we were told of: it is burnt, and the next one is taken."""

    async def play() -> None:
        bench = Bench(1, state=ADOPTED)
        bench.up()
        bench.daemons[0].denies.add("createnewaddress")
        with pytest.raises(NotNow):
            await bench.compare()
        bench.daemons[0].denies.clear()
        bench.daemons[0].listed += prefixed(20)
        await bench.compare()
        await bench.compare()
        assert bench.states() == "f" * 20 + "b" + "p" * SIZE
        assert bench.keeper.state == ADOPTED

    scenario(play)


def test_a_restart_between_deriving_and_writing_gives_nobody_what_was_derived() -> None:
    """Nothing says for whom it was; so it counts as given out."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        bench.daemons[1].is_silent = True
        await bench.compare()
        assert bench.states() == "f" * 20
        bench.daemons[1].is_silent = False
        bench.restart()
        await asyncio.sleep(20.0)
        await bench.compare()
        assert bench.states() == "f" * 20 + "b" * SIZE
        await bench.compare()
        assert bench.take() == f"qa{20 + SIZE}"

    scenario(play)


def test_two_refills_at_once_write_each_address_once() -> None:
    """Nobody starts two, but a second one must not do harm."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await asyncio.gather(bench.compare(), bench.compare(), return_exceptions=True)
        await bench.compare()
        assert bench.listed() == [f"qa{n}" for n in range(len(bench.listed()))]
        told = [bench.take() for _ in range(SIZE)]
        assert len(set(told) - {None}) == SIZE

    scenario(play)


def test_the_pool_is_filled_up_when_a_third_of_it_is_gone() -> None:
    """Not every allocation costs a derivation; and a size that grew or shrank counts at once."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        woken: list[int] = []
        bench.pool.on_compare = lambda: woken.append(bench.keeper.free)
        bench.take()
        assert woken == []
        bench.take()
        assert woken == [4]
        assert bench.keeper.wanted(bench.keeper.known) == 20 + SIZE + 2
        bench.keeper.size = 10
        assert bench.keeper.wanted(bench.keeper.known) == 20 + SIZE + 6
        bench.keeper.size = 2
        assert bench.keeper.wanted(bench.keeper.known) == 20 + SIZE

    scenario(play)


# -- who waits ----------------------------------------------------------------------------------------------------


def test_whoever_finds_the_pool_dry_waits_until_it_is_filled() -> None:
    """And wakes the mirror; all who wait are let go at once, those who come later do not wait."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        woken: list[bool] = []
        bench.pool.on_compare = lambda: woken.append(True)
        deadline = bench.loop.time() + 5.0
        waiting = [bench.loop.create_task(bench.keeper.wait(deadline)) for _ in range(3)]
        await asyncio.sleep(1.0)
        assert woken
        assert not any(one.done() for one in waiting)
        await bench.compare()
        assert await asyncio.gather(*waiting) == [True] * 3
        assert await bench.keeper.wait(0.0)

    scenario(play)


@pytest.mark.parametrize("patience", [-1.0, 0.0, 2.0])
def test_nobody_waits_past_his_deadline(patience: float) -> None:
    """Also one that has passed already."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        began = bench.loop.time()
        assert not await bench.keeper.wait(began + patience)
        assert bench.loop.time() == began + max(0.0, patience)

    scenario(play)


# -- restarts, prefixes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "bitcoincash:", "bchreg:"])
def test_addresses_are_told_as_the_daemon_writes_them_also_after_a_restart(prefix: str) -> None:
    """The ledger has them bare, and the first one as it was written."""

    async def play() -> None:
        bench = Bench()
        for daemon in bench.daemons:
            daemon.listed = [prefix + f"qa{n}" for n in range(20)]
        bench.up()
        await bench.compare()
        assert bench.listed()[:20] == [f"qa{n}" for n in range(20)]
        assert bench.keeper.prefix == prefix
        bench.restart()
        assert bench.keeper.prefix == prefix
        assert repr(bench.keeper) == f"<Keeper main adopted known={20 + SIZE} free={SIZE}/{SIZE}>"

    scenario(play)


def test_one_daemon_with_prefixes_and_one_without_list_the_same() -> None:
    """They are compared bare: in the pool, at first contact, and where use is looked for."""

    async def play() -> None:
        bench = Bench()
        bench.daemons[1].listed = [f"qa{n}" for n in range(20)]
        bench.up()
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert not bench.told("backend.diverged")
        bench.daemons[1].used = {"bchreg:qa20"}
        task = bench.loop.create_task(bench.keeper.use.run())
        await asyncio.sleep(LOOK_FOR_USE + 1.0)
        task.cancel()
        assert bench.states() == "f" * 20 + "bppppp"

    scenario(play)


# -- together with the mirror: nobody in service is blind to what may be told --------------------------------------


def test_nothing_is_for_the_pool_before_a_slow_standby_lists_it() -> None:
    """It goes on by itself; soon after it is done the comparison is made again, without anybody asking."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        bench.pool.mark_aligned(bench.pool.by_name["ec-2"], bench.pool.written)
        bench.daemons[1].seconds = lambda method: 2 * SOON if method == "listaddresses" else 0.001
        task = bench.loop.create_task(bench.mirror.run())
        await asyncio.sleep(SOON)
        assert len(bench.daemons[0].listed) == 20 + SIZE
        assert bench.states() == "f" * 20
        await asyncio.sleep(SOON)
        bench.daemons[1].seconds = lambda _method: 0.001
        await asyncio.sleep(2 * OWED)
        assert bench.states() == "f" * 20 + "p" * SIZE
        task.cancel()

    scenario(play)


def test_a_ledger_that_had_no_room_is_tried_again_soon() -> None:
    """Nothing is derived that was not planned before; what was derived when the disk filled waits to be written."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        bench.ledger.is_full = True
        task = bench.loop.create_task(bench.mirror.run())
        await asyncio.sleep(3.0)
        assert len(bench.daemons[0].listed) == 20
        bench.ledger.is_full = False

        def fill_up(method: str) -> None:
            bench.ledger.is_full = bench.ledger.is_full or method == "createnewaddress"

        bench.daemons[0].before_answer = fill_up
        await asyncio.sleep(3.0)
        bench.daemons[0].before_answer = lambda _method: None
        assert len(bench.daemons[0].listed) == 20 + SIZE
        bench.ledger.is_full = False
        assert bench.states() == "f" * 20
        await asyncio.sleep(2 * OWED)
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert not bench.told("address.foreign")
        task.cancel()

    scenario(play)


def test_a_standby_of_another_seed_does_not_keep_the_pool_dry() -> None:
    """It is told, it takes no wallet reads, and nobody waits for it to list what it never will."""

    async def play() -> None:
        bench = Bench(3, state=ADOPTED)
        bench.daemons[1].listed = [f"bchreg:qz{n}" for n in range(20)]
        bench.up()
        await bench.compare()
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert not bench.pool.is_aligned(bench.pool.by_name["ec-2"])
        assert bench.pool.is_aligned(bench.pool.by_name["ec-3"])

    scenario(play)


@pytest.mark.parametrize("denied", ["createnewaddress", "listaddresses"])
def test_a_standby_that_cannot_follow_is_left_behind_after_a_while(denied: str) -> None:
    """It answers no wallet reads any more, and the others go on selling; when it can again, it is brought up."""

    async def play() -> None:
        bench = Bench(3, state=ADOPTED)
        bench.up()
        for name in ("ec-2", "ec-3"):
            bench.pool.mark_aligned(bench.pool.by_name[name], bench.pool.written)
        bench.daemons[1].denies = {denied}
        sick = bench.pool.by_name["ec-2"]
        task = bench.loop.create_task(bench.mirror.run())
        await asyncio.sleep(LEFT_BEHIND - OWED)
        assert bench.states() == "f" * 20
        await asyncio.sleep(3 * OWED)
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert not bench.pool.is_aligned(sick)
        while bench.take():
            pass
        await asyncio.sleep(1.0)
        assert bench.states() == "f" * 20 + "h" * SIZE + "p" * SIZE
        bench.daemons[1].denies = set()
        await asyncio.sleep(1.0)
        assert bench.pool.is_aligned(sick)
        assert len(bench.daemons[1].listed) == 20 + 2 * SIZE
        task.cancel()

    scenario(play)


def test_a_list_of_the_old_primary_is_not_written_after_a_promotion() -> None:
    """The new primary was a slow standby, left out of that comparison, and does not list the new addresses yet."""

    async def play() -> None:
        bench = Bench(3, state=ADOPTED)
        bench.up()
        for name in ("ec-2", "ec-3"):
            bench.pool.mark_aligned(bench.pool.by_name[name], bench.pool.written)
        bench.daemons[1].seconds = lambda method: 2.0 if method == "listaddresses" else 0.001

        def promoted() -> None:
            bench.down("ec-1")
            bench.promote("ec-2")

        bench.loop.call_later(0.9 * SOON, promoted)
        with pytest.raises(NotNow, match="no longer primary"):
            await bench.compare()
        assert len(bench.daemons[1].listed) == 20
        assert bench.states() == "f" * 20

    scenario(play)


def test_a_standby_that_was_away_is_not_aligned_by_what_it_was_asked_before() -> None:
    """It froze over a question, the pool grew without it, and its answer to the old question came when it woke."""

    async def play() -> None:
        bench = Bench(3, state=ADOPTED)
        bench.up()
        await bench.compare()
        frozen = bench.pool.by_name["ec-2"]
        bench.daemons[1].seconds = lambda method: 3.0 if method == "listaddresses" else 0.001
        await bench.compare()
        bench.down("ec-2")
        while bench.take():
            pass
        await bench.compare()
        assert bench.take() == f"qa{20 + SIZE}"
        await asyncio.sleep(2.0)
        assert bench.mirror.standbys.under_way
        bench.up("ec-2")
        await asyncio.sleep(1.0)
        assert not bench.mirror.standbys.under_way
        assert len(bench.daemons[1].listed) == 20 + SIZE
        assert not bench.pool.is_aligned(frozen)
        bench.daemons[1].seconds = lambda _method: 0.001
        await bench.compare()
        assert bench.pool.is_aligned(frozen)

    scenario(play)


def test_a_standby_that_is_found_to_have_forgotten_answers_no_wallet_reads_meanwhile() -> None:
    """It was restarted between two probes; from the moment in which that shows it is not asked."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        standby = bench.pool.by_name["ec-2"]
        assert bench.pool.is_aligned(standby)
        del bench.daemons[1].listed[20:]
        seen: list[bool] = []
        bench.daemons[1].before_answer = lambda method: (
            seen.append(bench.pool.is_aligned(standby)) if method == "createnewaddress" else None
        )
        await bench.compare()
        assert seen == [False] * SIZE
        assert bench.pool.is_aligned(standby)

    scenario(play)


def test_a_primary_that_is_found_to_have_forgotten_answers_no_wallet_reads_meanwhile() -> None:
    """The same of the primary: others that list everything answer while it derives."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        del bench.daemons[0].listed[20:]
        seen: list[bool] = []
        bench.daemons[0].before_answer = lambda method: (
            seen.append(bench.pool.is_aligned(bench.pool.primary)) if method == "createnewaddress" else None
        )
        await bench.compare()
        assert seen == [False] * SIZE
        assert bench.pool.is_aligned(bench.pool.primary)

    scenario(play)


def test_a_gateway_that_starts_while_the_primary_is_dead_finds_standbys_whole_by_the_ledger() -> None:
    """Else nobody could take over, and no wallet read would be answered for as long as the primary is away."""

    async def play() -> None:
        bench = Bench(3, state=ADOPTED, known=20 + SIZE, pooled=SIZE)
        bench.daemons[2].listed = prefixed(*range(20 + SIZE))
        bench.up("ec-2", "ec-3")
        await bench.compare()
        assert all(bench.pool.is_aligned(bench.pool.by_name[name]) for name in ("ec-2", "ec-3"))
        assert bench.daemons[1].listed == prefixed(*range(20 + SIZE))
        assert ("ec-1", "listaddresses") not in bench.asked

    scenario(play)


def test_where_the_ledger_knows_nothing_yet_a_dead_primary_lets_nobody_be_called_whole() -> None:
    """There is nothing to compare with: the primary may have given out what no other lists."""

    async def play() -> None:
        bench = Bench()
        bench.up("ec-2")
        await bench.compare()
        assert not bench.pool.is_aligned(bench.pool.by_name["ec-2"])

    scenario(play)


def test_with_a_ledger_a_payment_under_way_elsewhere_keeps_nobody_from_looking_at_the_primary() -> None:
    """What the old primary still answers is withheld; a broadcast that hangs must not stop the money."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.mirror.is_money_elsewhere = lambda _primary: True
        bench.up()
        await bench.compare()
        assert bench.pool.is_primary_checked

    scenario(play)


def test_a_silent_primary_that_is_replaced_ends_the_comparison() -> None:
    """It does not wait for the answer of one that is not asked for anything any more."""

    async def play() -> None:
        bench = Bench(state=ADOPTED)
        bench.up()
        await bench.compare()
        bench.daemons[0].is_silent = True
        bench.loop.call_later(1.0, bench.promote, "ec-2")
        began = bench.loop.time()
        with pytest.raises(NotNow, match="no longer primary"):
            await bench.compare()
        assert bench.loop.time() - began <= 1.0 + LATE + 0.01

    scenario(play)


def test_where_others_keep_the_daemons_alike_the_primary_alone_counts() -> None:
    """`mirror: false`: no standby is asked for its receiving addresses when the pool is filled."""

    async def play() -> None:
        bench = Bench(state=ADOPTED, mirror=False)
        bench.up()
        await bench.compare()
        assert bench.states() == "f" * 20 + "p" * SIZE
        assert "ec-2" not in {name for name, _ in bench.asked}

    scenario(play)
