"""Payments to invoices in virtual time: taken in at once, taken back hardly ever, asked for no more than needed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import Connection

from gateway.base.errors import NO_BACKEND, Failure
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.fleet.backend import Backend
from gateway.ledger import addresses, invoices
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger, LedgerError
from gateway.profiles import Method, load
from gateway.rules.invoices import PAID, PENDING, UNCONFIRMED, Asked, state
from gateway.rules.receipts import GRACE
from gateway.supervision.lists import NotNow
from gateway.supervision.receipts import AT_ONCE, DEEP, IDLE, LOWER, REST, SAFEGUARD, Receipts
from tests.fleet.test_pool import well
from tests.virtual_time import run_virtual

AT = 1_800_000_000.0
NOTHING = Failure(NO_BACKEND, "no_backend: away", safe_to_repeat=True)


@dataclass
class Daemon:
    """What one daemon shows."""

    heights: dict[str, int] = field(default_factory=dict)
    """Of each transaction; 0 while it is in no block."""
    height: int = 100
    is_silent: bool = False
    service: float = 0.001


class World:
    """One wallet with three daemons that show what a test wants, and an invoice now and then."""

    def __init__(self) -> None:
        self.pool, self.events = well()
        self.daemons = {backend.name: Daemon() for backend in self.pool.backends}
        self.outputs: dict[str, dict[str, int]] = {}
        self.asked: list[tuple[str, str]] = []
        """Backend and method of every call."""
        self.odd: dict[str, bytes] = {}
        """Answers by method that are not what they should be."""
        self.ledger = InlineLedger(None)
        metadata.create_all(self.ledger.engine)
        self.loop = asyncio.get_running_loop()
        self.receipts = Receipts(
            self.pool,
            load("electron-cash"),
            self.ledger,
            self.call_on,
            lambda: AT + self.loop.time() - 1000.0,
            self.loop,
        )
        self.task: asyncio.Task[None] | None = None

    async def call_on(self, backend: Backend, method: Method, params: bytes, deadline: float) -> Answer | Failure:
        """Answer one upkeep call."""
        assert deadline > self.loop.time()
        daemon = self.daemons[backend.name]
        self.asked.append((backend.name, method.name))
        await asyncio.sleep(daemon.service)
        if daemon.is_silent:
            return NOTHING
        if method.name in self.odd:
            odd = self.odd[method.name]
            return Answer(None, odd) if odd.startswith(b"!") else Answer(odd, None)
        return Answer(json.dumps(self.answer(daemon, method.name, json.loads(params))).encode(), None)

    def answer(self, daemon: Daemon, method: str, params: list[str]) -> object:
        """Answer as a daemon does."""
        match method:
            case "getbalance":
                return {"confirmed": str(sorted(daemon.heights.items()))}
            case "history":
                return [
                    {"txid": txid, "height": height, "confirmations": daemon.height - height + 1 if height else 0,
                     "output_addresses": [f"bchreg:{one}" for one in self.outputs[txid]]}
                    for txid, height in daemon.heights.items()
                ]  # fmt: skip
            case "gettransaction":
                return {"hex": params[0].encode().hex()}
            case _:
                outputs = self.outputs[bytes.fromhex(params[0]).decode()]
                return {"outputs": [{"value": value, "address": f"bchreg:{one}"} for one, value in outputs.items()]}

    def invoice(self, address: str, amount: int = 100, exp: int | None = None) -> None:
        """Make an invoice."""

        def work(connection: Connection) -> None:
            addresses.add(connection, "main", [address], addresses.HANDED, 1, AT)
            invoices.add(connection, "main", "shop", address, Asked(amount, "", exp), AT)

        self.ledger.transact(work)

    def pay(self, txid: str, height: int = 0, *on: str, **outputs: int) -> None:
        """Show a transaction on some daemons, on all of them unless they are named."""
        if outputs:
            self.outputs[txid] = outputs
        for name, daemon in self.daemons.items():
            if not on or name in on:
                daemon.heights[txid] = height

    def forget(self, txid: str, *on: str) -> None:
        """Show it no more."""
        for name, daemon in self.daemons.items():
            if not on or name in on:
                daemon.heights.pop(txid, None)

    def mine(self, *on: str, blocks: int = 1) -> None:
        """Find blocks; what is seen of a daemon is what its probe saw."""
        for backend in self.pool.backends:
            if not on or backend.name in on:
                self.daemons[backend.name].height += blocks
                backend.height = self.daemons[backend.name].height

    def status(self, address: str) -> str:
        """What getrequest would say."""
        kept = self.ledger.transact(lambda c: invoices.find(c, "main", [address]))
        assert kept is not None
        return state(kept.invoice, kept.receipts, self.receipts.tip, AT + self.loop.time() - 1000.0).status

    def count(self, method: str) -> int:
        """How often a method was asked."""
        return sum(name == method for _, name in self.asked)

    def names(self) -> list[str]:
        """Names of the events about invoices."""
        return [one.name for one in self.events if isinstance(one, Event) and one.name.startswith("invoice.")]

    def start(self) -> None:
        """Watch in the background."""
        self.task = self.loop.create_task(self.receipts.run())


def play(scenario: Callable[[World], Awaitable[None]]) -> None:
    """Play a scenario in virtual time."""

    async def live() -> None:
        await scenario(World())

    run_virtual(live())


def test_a_payment_is_seen_within_a_second_and_its_block_too() -> None:
    """Each transaction is asked for once; each change of status is told once."""

    async def scenario(world: World) -> None:
        world.invoice("qa")
        world.start()
        await asyncio.sleep(5.0)
        assert world.status("qa") == PENDING
        world.pay("t", qa=100, qz=7)
        await asyncio.sleep(1.1)
        assert world.status("qa") == UNCONFIRMED
        world.mine()
        world.pay("t", 101)
        await asyncio.sleep(1.1)
        assert world.status("qa") == PAID
        assert (world.count("gettransaction"), world.count("deserialize")) == (1, 1)
        assert {name for name, _ in world.asked} == {"ec-1"}
        assert world.names() == ["invoice.received", "invoice.paid"]

    play(scenario)


def test_what_pays_no_invoice_is_not_asked_for() -> None:
    """Nor is what only spends from one; one transaction may pay several, and one invoice be paid by several."""

    async def scenario(world: World) -> None:
        world.invoice("qa")
        world.invoice("qb")
        world.pay("other", qz=5)
        world.pay("both", qa=60, qb=100)
        world.pay("more", 100, qa=40)
        await world.receipts.look()
        assert world.count("gettransaction") == 2
        assert (world.status("qa"), world.status("qb")) == (UNCONFIRMED, UNCONFIRMED)

    play(scenario)


def test_the_history_is_read_only_when_something_moved() -> None:
    """Balance, height or the daemon that answers; and once a minute all the same."""

    async def scenario(world: World) -> None:
        world.invoice("qa")
        world.start()
        await asyncio.sleep(SAFEGUARD - 1)
        assert world.receipts.readings == 1
        assert SAFEGUARD - 5 <= world.count("getbalance") <= SAFEGUARD
        world.mine()
        await asyncio.sleep(1.1)
        assert world.receipts.readings == 2
        await asyncio.sleep(SAFEGUARD + 2)
        assert world.receipts.readings == 3

    play(scenario)


def test_nothing_is_asked_while_there_is_no_invoice() -> None:
    """A new one is seen to at once, and not only at the next leisurely look."""

    async def scenario(world: World) -> None:
        world.start()
        await asyncio.sleep(100.0)
        assert world.asked == []
        world.invoice("qa")
        world.receipts.wake()
        await asyncio.sleep(0.1)
        assert world.count("getbalance") == 1

    play(scenario)


def test_late_payments_are_looked_for_at_leisure() -> None:
    """An expired invoice that is paid after all turns Paid; a look takes place each ten seconds."""

    async def scenario(world: World) -> None:
        world.invoice("qa", exp=5)
        world.start()
        await asyncio.sleep(20.0)
        before = world.count("getbalance")
        await asyncio.sleep(10 * IDLE)
        assert 9 <= world.count("getbalance") - before <= 11
        world.pay("t", 100, qa=100)
        await asyncio.sleep(IDLE + 1)
        assert world.status("qa") == PAID

    play(scenario)


def test_a_daemon_is_not_kept_busy_by_its_own_history() -> None:
    """A history that takes a second is read every ten, however fast the balance moves."""

    async def scenario(world: World) -> None:
        world.invoice("qa")
        world.daemons["ec-1"].service = 0.5
        world.start()
        for number in range(100):
            world.pay(f"t{number}", qz=1)
            await asyncio.sleep(1.0)
        # the first reading tells nothing yet: one more than the rest allows
        assert 100 / (0.5 * REST + 3) <= world.receipts.readings <= 100 / (0.5 * REST) + 1

    play(scenario)


def test_a_reading_that_a_frozen_daemon_made_long_keeps_no_invoice_waiting() -> None:
    """What is paid while the primary stands still for five seconds is seen at the next look after it."""

    async def scenario(world: World) -> None:
        world.invoice("qa")
        world.start()
        world.pay("before", 0, qz=1)
        await asyncio.sleep(2.0)
        world.daemons["ec-1"].service = 5.0
        world.pay("while", 0, qz=1)
        await asyncio.sleep(10.5)
        world.daemons["ec-1"].service = 0.001
        assert world.receipts.readings == 2, "the second reading was not the long one"
        world.pay("t", 100, qa=100)
        await asyncio.sleep(2.0)
        assert world.status("qa") == PAID

    play(scenario)


def test_the_primary_is_asked_and_another_one_that_sees_all_while_it_is_away() -> None:
    """No daemon at all is no news."""

    async def scenario(world: World) -> None:
        world.invoice("qa")
        world.pool.primary.is_suspect = True
        world.pool.refresh()
        world.pay("t", 100, qa=100)
        await world.receipts.look()
        assert world.status("qa") == PAID
        assert {name for name, _ in world.asked} == {"ec-2"}
        for backend in world.pool.backends:
            backend.is_suspect = True
        world.pool.refresh()
        with pytest.raises(NotNow):
            await world.receipts.look()

    play(scenario)


@pytest.mark.parametrize(
    ("method", "odd"),
    [
        ("getbalance", b"!x"), ("history", b"!x"), ("history", b"[5]"), ("history", b"null"), ("gettransaction", b"!x"),
        ("gettransaction", b"true"), ("deserialize", b"!x"), ("deserialize", b"[]"),
        ("deserialize", b'{"outputs": [{}]}'),
    ],
)  # fmt: skip
def test_an_odd_answer_is_asked_for_again(method: str, odd: bytes) -> None:
    """It changes nothing, and the watch goes on."""

    async def scenario(world: World) -> None:
        world.invoice("qa")
        world.pay("t", 100, qa=100)
        world.odd[method] = odd
        world.start()
        await asyncio.sleep(5.0)
        assert world.status("qa") == PENDING
        assert world.count(method) >= 4
        world.odd.clear()
        await asyncio.sleep(1.1)
        assert world.status("qa") == PAID

    play(scenario)


def test_a_transaction_that_is_not_told_keeps_no_other_waiting() -> None:
    """Many are written down a few at a time, and only the odd one is asked for again."""

    async def scenario(world: World) -> None:
        count = 2 * AT_ONCE + 1
        for number in range(count):
            world.invoice(f"q{number}")
            world.pay(f"t{number}", 100, **{f"q{number}": 100})
        plain = world.answer

        def answer(daemon: Daemon, method: str, params: list[str]) -> object:
            return None if params == ["t3"] else plain(daemon, method, params)

        world.answer = answer  # type: ignore[method-assign]  # one of them is odd
        with pytest.raises(NotNow):
            await world.receipts.look()
        assert [n for n in range(count) if world.status(f"q{n}") != PAID] == [3]
        world.answer = plain  # type: ignore[method-assign]
        await world.receipts.look()
        assert world.status("q3") == PAID
        assert world.count("gettransaction") == count + 1

    play(scenario)


def test_a_silent_daemon_and_a_ledger_that_is_away_are_survived() -> None:
    """The next look finds what there is."""

    async def scenario(world: World) -> None:
        world.invoice("qa")
        world.daemons["ec-1"].is_silent = True
        world.start()
        await asyncio.sleep(3.0)
        world.daemons["ec-1"].is_silent = False
        plain = world.ledger.run

        async def away(_work: object) -> object:
            raise LedgerError("no room")

        world.ledger.run = away  # type: ignore[assignment,method-assign]  # it is away
        await asyncio.sleep(3.0)
        world.pay("t", 100, qa=100)
        world.ledger.run = plain  # type: ignore[method-assign]
        await asyncio.sleep(1.1 + IDLE)
        assert world.status("qa") == PAID

    play(scenario)


# -- payments that are not shown any more -------------------------------------------------------------------------


async def paid_world(world: World, height: int = 100) -> None:
    """Have one invoice paid, and watch."""
    world.invoice("qa")
    world.pay("t", height, qa=100)
    world.start()
    await asyncio.sleep(1.1)
    assert world.status("qa") == (PAID if height else UNCONFIRMED)


async def pass_blocks(world: World, *on: str) -> None:
    """Let three minutes pass with a block in each."""
    for _ in range(3):
        world.mine(*on)
        await asyncio.sleep(GRACE)


@pytest.mark.parametrize("height", [0, 100])
def test_a_payment_that_nobody_shows_any_more_is_gone_after_a_block_and_a_minute(height: int) -> None:
    """A double spend, or a chain that was written anew: the invoice is Pending again, and that is told."""

    async def scenario(world: World) -> None:
        await paid_world(world, height)
        before = world.status("qa")
        world.forget("t")
        await asyncio.sleep(3 * GRACE)
        assert world.status("qa") == before, "without a block there is no more work on the chain"
        world.mine()
        await asyncio.sleep(IDLE + 1)
        assert world.status("qa") == PENDING
        assert world.names()[-1] == "invoice.payment_gone"
        world.pay("t", 101)
        await asyncio.sleep(IDLE + 1)
        assert world.status("qa") == PAID

    play(scenario)


def test_a_payment_is_not_gone_before_a_minute_has_passed() -> None:
    """Whatever the number of blocks."""

    async def scenario(world: World) -> None:
        await paid_world(world, 0)
        world.forget("t")
        for _ in range(10):
            await asyncio.sleep(GRACE / 12)
            world.mine()
        assert world.status("qa") == UNCONFIRMED
        await asyncio.sleep(GRACE)
        world.mine()
        await asyncio.sleep(2.0)
        assert world.status("qa") == PENDING

    play(scenario)


def test_a_payment_that_is_back_in_time_was_never_gone() -> None:
    """The doubt begins anew with the next absence."""

    async def scenario(world: World) -> None:
        await paid_world(world)
        for _ in range(3):
            world.forget("t")
            world.mine()
            await asyncio.sleep(GRACE - 15)
            world.pay("t", 100)
            await asyncio.sleep(IDLE + 1)
        assert world.status("qa") == PAID

    play(scenario)


def test_one_daemon_that_still_shows_it_is_enough() -> None:
    """The primary is the odd one: real daemons stay wrong while they claim to be in step."""

    async def scenario(world: World) -> None:
        await paid_world(world)
        world.forget("t", "ec-1", "ec-2")
        await pass_blocks(world)
        assert world.status("qa") == PAID
        assert "invoice.payment_gone" not in world.names()

    play(scenario)


def test_a_daemon_that_says_nothing_leaves_everything_as_it_is() -> None:
    """It may be the one that would show it."""

    async def scenario(world: World) -> None:
        await paid_world(world)
        world.forget("t", "ec-1", "ec-2")
        world.daemons["ec-3"].is_silent = True
        await pass_blocks(world)
        assert world.status("qa") == PAID

    play(scenario)


def test_a_new_primary_that_lags_takes_nothing_back() -> None:
    """It is asked, being the primary, and shows less than there is until it has caught up."""

    async def scenario(world: World) -> None:
        await paid_world(world)
        world.forget("t", "ec-2")
        for _ in range(6):
            world.mine("ec-1", "ec-3")
        await asyncio.sleep(IDLE + 1)
        world.pool.set_primary(world.pool.by_name["ec-2"], 2)
        world.pool.by_name["ec-1"].is_suspect = world.pool.by_name["ec-3"].is_suspect = True
        world.pool.refresh()
        await pass_blocks(world, "ec-2")
        assert world.status("qa") == PAID
        assert world.receipts.tip == 106
        world.pay("t", 100, "ec-2")
        await pass_blocks(world, "ec-2")
        assert world.status("qa") == PAID

    play(scenario)


def test_a_standby_takes_nothing_back() -> None:
    """It stands in for a primary that is away, and only for what it shows."""

    async def scenario(world: World) -> None:
        await paid_world(world)
        world.forget("t")
        world.pool.primary.is_suspect = True
        world.pool.refresh()
        await pass_blocks(world)
        assert world.status("qa") == PAID

    play(scenario)


def test_a_payment_that_left_its_block_is_unconfirmed_after_a_block_and_a_minute() -> None:
    """And paid again, with the height of its new block, at once."""

    async def scenario(world: World) -> None:
        await paid_world(world)
        world.pay("t", 0)
        await asyncio.sleep(2 * GRACE)
        assert world.status("qa") == PAID
        world.mine()
        await asyncio.sleep(IDLE + 1)
        assert world.status("qa") == UNCONFIRMED
        world.mine()
        world.pay("t", 102)
        await asyncio.sleep(IDLE + 1)
        assert world.status("qa") == PAID

    play(scenario)


def test_a_deep_payment_is_looked_at_no_more() -> None:
    """Nodes write the chain anew for ten blocks at the most, so a long history costs no look into the ledger."""

    async def scenario(world: World) -> None:
        await paid_world(world)
        world.mine(blocks=DEEP)
        await asyncio.sleep(IDLE + 1)
        looked_up: list[str] = []
        plain = invoices.watched

        def watched(connection: Connection, wallet: str, among: list[str]) -> object:
            looked_up.extend(among)
            return plain(connection, wallet, among)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(invoices, "watched", watched)
            world.pay("late", qa=1)
            await asyncio.sleep(IDLE + 1)
            assert looked_up == ["qa"], "for the late one"
            world.forget("t")
            await pass_blocks(world)
        assert world.status("qa") == UNCONFIRMED
        kept = world.ledger.transact(lambda c: invoices.find(c, "main", ["qa"]))
        assert kept is not None
        assert {one.txid for one in kept.receipts} == {"t", "late"}

    play(scenario)


def test_the_chain_grows_no_shorter_because_another_daemon_answers() -> None:
    """Ten minutes later it is believed."""

    async def scenario(world: World) -> None:
        await paid_world(world)
        world.mine(blocks=5)
        await asyncio.sleep(IDLE + 1)
        assert world.receipts.tip == 105
        world.mine(blocks=-3)
        await asyncio.sleep(LOWER / 2)
        assert world.receipts.tip == 105
        await asyncio.sleep(LOWER / 2 + 2 * IDLE)
        assert world.receipts.tip == 102
        assert "tip=102" in repr(world.receipts)

    play(scenario)


def test_a_wallet_family_without_these_methods_is_left_alone() -> None:
    """Nothing is asked that it does not have."""

    async def scenario(world: World) -> None:
        world.invoice("qa")
        electrum = load("electrum")
        assert "deserialize" in electrum.methods
        world.receipts.profile = replace(electrum, methods={})
        await world.receipts.look()
        assert world.asked == []

    play(scenario)
