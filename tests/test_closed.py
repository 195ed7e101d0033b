"""A wallet whose ledger cannot be opened: reads and broadcasts go on, nothing else does, until it can."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy import select

from gateway.base.cluster import Ledger as LedgerSettings
from gateway.base.events import Event
from gateway.closed import AGAIN, SHOUT, Opener
from gateway.ledger.schema import publications
from gateway.ledger.store import LedgerError
from gateway.money import Book
from gateway.plant import Plant
from gateway.rules.conditions import WalletView
from gateway.watch import views
from tests.fakes_money import derived
from tests.simulation.money_world import CLOCK, CUSTOMER, Reign
from tests.test_money import Shop
from tests.virtual_time import run_virtual

WHY = "the disk is full"


class ClosedShop(Shop):
    """A shop whose gateway finds a ledger that cannot be written."""

    opener: Opener[Plant]
    signed = ""
    """Bytes that nobody has sent yet."""

    def serve(self) -> None:
        """Start a gateway, and what opens ledgers later."""
        self.serves_closed = True
        self.start()
        gateway = self.gateway
        assert gateway is not None

        def on_wallet(plant: Plant) -> None:
            assert plant.desk is not None
            gateway.desks["main"] = plant.desk
            self.reigns.append(Reign(self.loop.time(), plant.pool.epoch, plant.pool.primary.name))

        self.opener = Opener(
            LedgerSettings(path="/none"), lambda: CLOCK + self.loop.time(), lambda: {"main": gateway.plant},
            lambda _book: None, on_wallet, self.recorder.emit, self.loop,
            Book(gateway.ledger, b"k" * 32, lambda: CLOCK + self.loop.time()),
        )  # fmt: skip
        self._kept.add(self.loop.create_task(self.opener.run()))

    @property
    def plant(self) -> Plant:
        """The wallet of the gateway that runs."""
        assert self.gateway is not None
        return self.gateway.plant

    def view(self) -> WalletView:
        """What the alerts see."""
        return next(iter(views([self.plant], self.loop.time())))


def closed(play: Callable[[ClosedShop], Coroutine[Any, Any, None]], **changes: Any) -> None:
    """Play a scenario with a gateway that has sold something before, and whose ledger is closed at its start."""

    async def run() -> None:
        shop = ClosedShop(3, **changes)
        shop.start()
        await asyncio.sleep(1.0)
        shop.chain.fund(derived(change=False, index=0)[0], 100_000)
        shop.chain.mine(1)
        await shop.address()
        await asyncio.sleep(2.0)
        signed = (await shop.call("payto", params={"destination": CUSTOMER[0], "amount": "0.0001"})).tx
        assert signed is not None
        shop.signed = signed.hex
        shop.kill(after=0.01)
        shop.serves_closed = True
        shop.set_ledger(WHY)
        shop.restarts_after = lambda: 1e9
        await asyncio.sleep(0.005)
        shop.has_ended = True  # its own start is not wanted
        await asyncio.sleep(0.1)
        shop.has_ended = False
        shop.serve()
        await asyncio.sleep(2.0)
        await play(shop)
        assert shop.crashes == []
        assert not shop.violations()
        await shop.end()

    run_virtual(run())


def test_reads_and_broadcasts_go_on_and_nothing_else() -> None:
    """Refused before anything is sent, with what would help; also what a daemon could answer, but not rightly."""

    async def play(shop: ClosedShop) -> None:
        assert "result" in (await shop.call("getbalance")).reply
        assert "result" in (await shop.call("listaddresses", params=[True])).reply
        ran = sum(len(daemon.runs) for daemon in shop.daemons)
        for method, params in (
            ("createnewaddress", []), ("getunusedaddress", []), ("addrequest", ["0.1"]), ("listrequests", []),
            ("payto", [CUSTOMER[0], "0.1"]), ("setlabel", ["a", "b"]), ("freeze", ["a"]), ("signmessage", ["a", "b"]),
        ):  # fmt: skip
            error = (await shop.call(method, params=params)).reply["error"]
            assert error["message"].startswith("read_only: ")
            assert error["data"]["executed"] == "no"
            assert WHY in error["message"]
        calls = [run.method for daemon in shop.daemons for run in daemon.runs][ran:]
        assert not {"createnewaddress", "payto", "setlabel", "freeze", "addrequest"} & set(calls)
        for _ in range(2):
            # "already known" is success here as well
            assert (await shop.call("broadcast", params=[shop.signed])).reply["result"][0] is True

    closed(play)


@pytest.mark.long
def test_it_is_told_wherever_somebody_looks() -> None:
    """The status, readiness, the metrics, the alerts and the log, there again every few minutes."""

    async def play(shop: ClosedShop) -> None:
        status = shop.plant.status(shop.loop.time())["ledger"]
        assert isinstance(status, dict)
        assert (status["state"], status["error"]) == ("closed", WHY)
        assert shop.plant.why_not_ready() == []
        assert [one for one in shop.plant.what_ails() if one.startswith("ledger: closed") and WHY in one]
        assert ("ledger_failing", {"wallet": "main"}, 1.0) in list(shop.plant.gauges(shop.loop.time()))
        assert shop.view().ledger_error == WHY
        assert shop.names().count("ledger.closed") == 1
        await asyncio.sleep(SHOUT + AGAIN)
        assert shop.names().count("ledger.closed") == 2

    closed(play)


@pytest.mark.long
def test_it_goes_on_as_soon_as_the_ledger_can_be_opened() -> None:
    """With every address that was given out before, and none of them again."""

    async def play(shop: ClosedShop) -> None:
        shop.set_ledger("")
        await asyncio.sleep(AGAIN + 2.0)
        assert shop.names().count("ledger.opened") == 1
        assert (shop.plant.closed, shop.money.keeper.state, shop.pool.epoch) == (None, "adopted", 2)
        for _ in range(5):
            await shop.address()
        shop.told_once()
        assert all(map(shop.pool.is_aligned, shop.pool.backends))
        assert shop.view().ledger_error == ""
        await asyncio.sleep(SHOUT)
        assert shop.names().count("ledger.closed") == 1

    closed(play)


def test_a_ledger_is_opened_by_one_at_a_time() -> None:
    """Where a wallet is shared, whoever gained it tries as well; twice, it would have two sets of rooms."""

    async def play(shop: ClosedShop) -> None:
        plant, clock = shop.plant, shop.opener.clock
        assert shop.gateway is not None
        book = Book(shop.gateway.ledger, b"k" * 32, clock)
        with pytest.raises(LedgerError):
            await plant.open_ledger(book)
        shop.set_ledger("")
        found = await asyncio.gather(*(plant.open_ledger(book) for _ in range(3)))
        assert sorted(found) == [False, False, True]
        assert not await plant.open_ledger(book)
        assert (plant.closed, shop.pool.epoch) == (None, 2)
        shop.gateway.desks["main"] = shop.gateway.plant.desk or shop.gateway.desk
        shop.reigns.append(Reign(shop.loop.time(), shop.pool.epoch, shop.pool.primary.name))
        await shop.address()

    closed(play)


def test_standbys_answer_while_the_primary_is_silent_and_the_ledger_closed() -> None:
    """They are level by what the daemons list."""

    async def play(shop: ClosedShop) -> None:
        shop.daemon("ec-1").freeze()
        for _ in range(5):
            assert "result" in (await shop.call("getbalance")).reply

    closed(play)


def test_a_reload_that_takes_the_primary_away_meanwhile_counts_when_the_ledger_is_open() -> None:
    """The epoch begins with the backends that there are then."""

    async def play(shop: ClosedShop) -> None:
        shop.reload(without="ec-1")
        assert "result" in (await shop.call("getbalance")).reply
        shop.set_ledger("")
        await asyncio.sleep(AGAIN + 2.0)
        assert shop.pool.primary.name == "ec-2"
        await shop.address()

    closed(play)


def test_a_file_is_opened_on_another_thread_and_each_refusal_takes_the_place_of_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk, then a damaged file, then all is well."""
    books: list[Book] = []

    async def run() -> None:
        shop = ClosedShop(1)
        shop.set_ledger(WHY)
        shop.serve()
        await asyncio.sleep(0.1)
        (gateway_book,) = [shop.opener.book]
        assert gateway_book is not None
        shop.opener.book, shop.opener.on_book = None, books.append
        for why in ("it is damaged", ""):

            def opened(_settings: object, _clock: object, *, is_shared: bool, why: str = why) -> Book:
                assert not is_shared
                if why:
                    raise LedgerError(why)
                return gateway_book

            monkeypatch.setattr("gateway.closed.open_book", opened)
            shop.set_ledger("")
            await shop.opener.round()
            if why:
                assert shop.plant.closed is not None
                assert shop.plant.closed.why == why
        assert (books, shop.plant.closed) == ([gateway_book], None)
        await shop.end()

    asyncio.run(run())


def test_a_primary_that_is_not_the_configured_one_is_told_with_the_way_to_change_it() -> None:
    """`primary:` counts for a wallet that is new to the ledger, and is passed over after that."""

    async def run() -> None:
        shop = Shop(2, primary="ec-1")
        shop.start()
        await asyncio.sleep(1.0)
        assert "primary.not_as_configured" not in shop.names()
        await shop.money.rooms.election.order("ec-2")
        shop.reload()
        shop.kill(after=0.1)
        await asyncio.sleep(1.0)
        told = [one for one in shop.recorder.events if isinstance(one, Event) and "not_as_configured" in one.name]
        assert [(one.backend, one.level) for one in told] == [("ec-2", "warning")] * 2
        assert "`ec-gateway promote ec-1 -c FILE --wallet main`" in str(told[0].fields["remedy"])
        await shop.end()

    run_virtual(run())


def test_what_was_sent_while_the_ledger_was_closed_is_followed_when_it_is_open() -> None:
    """As money.md says: it is written down and sent again once the ledger is back."""

    async def play(shop: ClosedShop) -> None:
        for daemon in shop.daemons:
            daemon.node.link.is_silent = True
        told = (await shop.call("broadcast", params=[shop.signed])).reply["error"]
        assert told["message"].startswith("outcome_unknown"), told
        assert "sent again when the ledger is back" in told["message"]
        for daemon in shop.daemons:
            daemon.node.link.unsent.clear()  # it was lost on the way
            daemon.node.link.is_silent = False
        shop.set_ledger("")
        await asyncio.sleep(AGAIN + 60.0)
        assert shop.names().count("ledger.opened") == 1
        rows = shop.money.book.ledger.transact(lambda c: list(c.execute(select(publications.c.state))))
        assert rows

    closed(play)


def test_what_was_sent_while_the_ledger_was_closed_is_not_paid_twice() -> None:
    """A refusal is no fact about bytes that an attempt before may have brought out."""

    async def play(shop: ClosedShop) -> None:
        links = [daemon.node.link for daemon in shop.daemons]
        for link in links:
            link.is_silent = True
        told = (await shop.call("broadcast", params=[shop.signed])).reply["error"]
        assert told["message"].startswith("outcome_unknown"), told
        shop.set_ledger("")
        for link in links:
            # this server refuses it; the one before has it, and tells nobody for some seconds
            link.is_silent, link.lags = False, True
            link._accept = lambda _text: {"error": "rejected by network rules. min relay fee not met"}  # type: ignore[method-assign, assignment]  # a switch of this test
        await asyncio.sleep(AGAIN + 2.0)
        assert shop.names().count("ledger.opened") == 1
        reply = (await shop.call("broadcast", params=[shop.signed])).reply
        shop.chain.accept(shop.signed)
        for link in links:
            del link._accept
            link.lags = False
        assert "error" in reply, reply
        assert reply["error"]["message"].startswith("outcome_unknown"), reply

    closed(play)
