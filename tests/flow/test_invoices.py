"""Invoices as clients meet them: the daemon's words, one transaction, no daemon asked."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select

from gateway.base.config import Client
from gateway.base.effects import GRANTABLE
from gateway.base.errors import (
    DEADLINE_BEFORE_SEND,
    INVALID_PARAMS,
    NO_BACKEND,
    OUTCOME_UNKNOWN,
    READ_ONLY,
    RESULT_WITHHELD,
    Failure,
    Kind,
)
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.flow.allocate import Allocator
from gateway.flow.invoices import Invoices
from gateway.ledger import addresses, epochs, invoices, marks
from gateway.ledger.invoices import Kept
from gateway.ledger.marks import Change
from gateway.ledger.schema import invoices as rows
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger, LedgerError, SqliteLedger, UncertainError
from gateway.profiles import load
from gateway.rules.invoices import MAX_MEMO, Receipt, label_key
from gateway.rules.methods import Granted, judge
from gateway.sandbox.addresses import derive
from tests.fleet.test_pool import well
from tests.virtual_time import run_virtual

ADDRESSES = [derive("seed", change=False, index=index).text.partition(":")[2] for index in range(6)]
A, B, C = ADDRESSES[:3]
AT = 1_800_000_000.5
CLIENT = Client(name="shop", username="u", password="p")  # type: ignore[arg-type]  # pydantic makes a secret of it
PROFILE = load("electron-cash")


class Keeper:
    """Who fills the pool; here, whoever calls `fill`."""

    is_adopted = True
    why_no_address = ""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.filled = asyncio.Event()

    def took(self, left: int) -> None:
        """Hear that one was taken."""
        if not left:
            self.filled.clear()

    async def wait(self, deadline: float) -> bool:
        """Wait for the pool."""
        try:
            async with asyncio.timeout_at(deadline):
                await self.filled.wait()
        except TimeoutError:
            return False
        return True


class Shop:
    """One wallet's invoices over a ledger, with a few addresses in the pool."""

    def __init__(
        self, prefix: str = "bchreg:", pooled: int = len(ADDRESSES), ledger: InlineLedger | None = None
    ) -> None:
        self.pool, _ = well()
        self.ledger = ledger or InlineLedger(None)
        metadata.create_all(self.ledger.engine)
        self.keeper = Keeper(prefix)
        self.now = AT
        self.tip = 20
        self.remedy = ""
        self.added = 0
        self.marked: list[tuple[str, Change]] = []
        loop = asyncio.get_running_loop()
        self.allocator = Allocator(self.pool, self.keeper, self.ledger, self.clock, loop)
        self.invoices = Invoices(
            self.pool, self.ledger, self.allocator.hand_out, lambda: self.keeper.prefix, lambda: self.tip, self.clock,
            lambda: self.remedy, self.on_added, lambda backend, change: self.marked.append((backend, change)),
        )  # fmt: skip
        self.ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1"], AT))
        self.pool.epoch = 1
        self.fill(ADDRESSES[:pooled])

    def clock(self) -> float:
        """Seconds since 1970."""
        return self.now

    def on_added(self) -> None:
        """Hear of an invoice."""
        self.added += 1

    def fill(self, found: list[str]) -> None:
        """Put addresses into the pool."""
        self.ledger.transact(lambda c: addresses.add(c, "main", found, addresses.POOL, 1, AT))
        if found:
            self.keeper.filled.set()

    async def ask(self, method: str, *params: object, **named: object) -> Answer | Failure:
        """Make a call as a client does, with five seconds for it."""
        raw = msgspec.json.encode(named or list(params))
        granted = judge(PROFILE, method, raw, effects=GRANTABLE, opened=frozenset(), client="shop", wallet="main")
        assert isinstance(granted, Granted), granted
        handler = self.invoices.handlers[granted.method.role]
        return await handler(CLIENT, granted, asyncio.get_running_loop().time() + 5.0, None)

    async def call(self, method: str, *params: object, **named: object) -> Any:
        """Make a call that must be answered, and read the answer."""
        answer = await self.ask(method, *params, **named)
        assert isinstance(answer, Answer), answer
        assert answer.result is not None, answer
        return json.loads(answer.result)

    async def refused(self, kind: Kind, method: str, *params: object, **named: object) -> str:
        """Make a call that must fail in one way; return the message."""
        answer = await self.ask(method, *params, **named)
        assert isinstance(answer, Failure), answer
        assert answer.kind is kind
        assert answer.message.startswith(f"{kind.name}: ")
        assert answer.wallet == "main"
        return answer.message

    def pay(self, address: str, value: int, height: int) -> None:
        """Write down a payment."""
        receipt = Receipt(address, f"t{value}", value, height)
        self.ledger.transact(lambda c: invoices.receive(c, "main", [receipt], []))


def play(scenario: Callable[[Shop], Awaitable[None]], **shop: Any) -> None:
    """Play a scenario in virtual time."""

    async def live() -> None:
        await scenario(Shop(**shop))

    run_virtual(live())


def test_an_invoice_is_answered_in_the_daemons_words_and_kept() -> None:
    """By name or by position; getrequest says the same, in whatever form the address comes."""

    async def scenario(shop: Shop) -> None:
        told = await shop.call("addrequest", "0.009", "memo", 3600)
        assert told == {
            "time": 1_800_000_000, "amount": 900_000, "exp": 3600, "address": f"bchreg:{A}", "memo": "memo",
            "id": told["id"], "tokenreq": None, "category_id": None, "URI": f"bchreg:{A}?amount=0.009",
            "status": "Pending", "tx_hashes": [], "amount (BCH)": "0.009",
        }  # fmt: skip
        assert (await shop.call("addrequest", amount=1, memo="by name"))["address"] == f"bchreg:{B}"
        for form in (A, f"bchreg:{A}", A.upper(), label_key(A)):
            assert await shop.call("getrequest", form) == told
        assert shop.added == 2
        assert [(backend, one.mark.key, one.mark.value) for backend, one in shop.marked] == [
            ("", label_key(A), "memo"), ("", label_key(B), "by name"),
        ]  # fmt: skip

    play(scenario)


def test_a_daemon_that_lists_no_prefix_has_one_in_the_uri_alone() -> None:
    """The network is told from the checksum of the addresses, and the older form is understood before that too."""

    async def scenario(shop: Shop) -> None:
        told = await shop.call("addrequest", "1")
        assert (told["address"], told["URI"]) == (A, f"bchreg:{A}?amount=1.")
        assert await shop.call("getrequest", label_key(A)) == told
        fresh = Invoices(shop.pool, shop.ledger, shop.allocator.hand_out, str, lambda: 20, shop.clock)
        shop.invoices = fresh
        assert await shop.call("rmrequest", label_key(A)) is True

    play(scenario, prefix="")


def test_every_invoice_has_an_address_of_its_own() -> None:
    """Also one whose invoice was removed is never given out again."""

    async def scenario(shop: Shop) -> None:
        given = []
        for _ in range(len(ADDRESSES)):
            given.append((await shop.call("addrequest", "1"))["address"])
            assert await shop.call("rmrequest", given[-1]) is True
            assert await shop.call("rmrequest", given[-1]) is False
        assert given == [f"bchreg:{one}" for one in ADDRESSES]

    play(scenario)


def test_an_unknown_invoice_is_the_daemons_error() -> None:
    """Always in the same words, by address or by its older form; no network's address is an invalid parameter."""

    async def scenario(shop: Shop) -> None:
        for form in (B, label_key(B), f"bchreg:{C}"):
            answer = await shop.ask("getrequest", form)
            assert isinstance(answer, Answer)
            assert answer.error == b'{"code": -32603, "message": "Server error: BaseException: Request not found"}'
            assert await shop.call("rmrequest", form) is False
        for wrong in ("nope", "1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu", f"bitcoincash:{B}"):
            for method in ("getrequest", "rmrequest"):
                assert "is not an address of this wallet's network" in await shop.refused(INVALID_PARAMS, method, wrong)
        odds: tuple[object, ...] = (5, None, True, [], {})
        for odd in odds:
            assert "must be the address" in await shop.refused(INVALID_PARAMS, "getrequest", odd)
        assert "must be the address" in await shop.refused(INVALID_PARAMS, "rmrequest")

    play(scenario)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ([], "amount is missing"), (["abc"], "amount must be in coins"), (["-1"], "amount must be 0 to"),
        (["1", 5], "memo must be text"), (["1", "m" * (MAX_MEMO + 1)], "memo must have at most 2,000 characters"),
        (["1", "", "soon"], "expiration must be a whole number"), (["1", "", 1.5], "expiration must be a whole number"),
        (["1", "", 60, []], "force must be true or false"), (["1", "", 60, False, "u"], "payment_url is not served"),
        (["1", "", 60, False, None, "u"], "index_url is not served"),
        ({"amount": "1", "token_request": True}, "token_request"),
        ({"amount": "1", "category_id": "00"}, "category_id"),
        ({"amount": "1", "memmo": "x"}, "memmo is not an argument"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_takes_no_address(params: list[object] | dict[str, object], words: str) -> None:
    """Refused before anything is given out."""

    async def scenario(shop: Shop) -> None:
        named = params if isinstance(params, dict) else {}
        assert words in await shop.refused(INVALID_PARAMS, "addrequest", *(() if named else params), **named)
        assert shop.ledger.transact(lambda c: addresses.in_pool(c, "main")) == len(ADDRESSES)

    play(scenario)


def test_lists_and_removals_refuse_arguments_that_they_do_not_have() -> None:
    """In words."""

    async def scenario(shop: Shop) -> None:
        assert "too many" in await shop.refused(INVALID_PARAMS, "listrequests", 1, 2, 3, 4)
        assert "is not an argument" in await shop.refused(INVALID_PARAMS, "getrequest", address=A)
        assert "too many" in await shop.refused(INVALID_PARAMS, "clearrequests", 1)

    play(scenario)


def test_a_list_shows_each_state_for_itself_or_all() -> None:
    """Unconfirmed ones are in none of the three, as with the daemon."""

    async def scenario(shop: Shop) -> None:
        for expiration in (None, 10, None, None):
            await shop.call("addrequest", "0.00000100", "", expiration)
        shop.pay(C, 100, 18)
        shop.pay(ADDRESSES[3], 100, 0)
        shop.now += 60

        async def listed(**which: bool) -> list[tuple[str, str]]:
            found = await shop.call("listrequests", **which)
            return [(one["address"].partition(":")[2], one["status"]) for one in found]

        every = [(A, "Pending"), (B, "Expired"), (C, "Paid"), (ADDRESSES[3], "Unconfirmed")]
        assert await listed() == every
        assert await listed(pending=True) == every[:1]
        assert await listed(expired=True) == every[1:2]
        assert await listed(paid=True) == every[2:3]
        assert (await shop.call("getrequest", C))["confirmations"] == 3
        assert await shop.call("clearrequests") is None
        assert await listed() == []

    play(scenario)


def test_clearing_takes_the_labels_along() -> None:
    """And tells of each."""

    async def scenario(shop: Shop) -> None:
        for _ in range(3):
            await shop.call("addrequest", "1", "memo")
        shop.marked.clear()
        await shop.call("clearrequests")
        assert [(one.mark.key, one.mark.value) for _, one in shop.marked] == [(label_key(one), "") for one in (A, B, C)]
        assert all(one.value == "" for one in shop.ledger.transact(lambda c: marks.every(c, "main")))

    play(scenario)


def test_a_dry_pool_is_waited_for_within_the_deadline() -> None:
    """And no longer."""

    async def scenario(shop: Shop) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert "nothing was given out" in await shop.refused(NO_BACKEND, "addrequest", "1")
        assert loop.time() - began == pytest.approx(5.0)
        loop.call_later(2.0, shop.fill, [A])
        assert (await shop.call("addrequest", "1"))["address"] == f"bchreg:{A}"
        assert loop.time() - began == pytest.approx(7.0)

    play(scenario, pooled=0)


def test_an_invoice_that_cannot_be_written_leaves_its_address_in_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Address, invoice and label are one transaction."""

    async def scenario(shop: Shop) -> None:
        def fails(*_: object) -> None:
            raise LedgerError("no room")

        monkeypatch.setattr(marks, "put", fails)
        assert "no room" in await shop.refused(READ_ONLY, "addrequest", "1", "memo")
        monkeypatch.undo()
        assert shop.added == 0
        assert (await shop.call("addrequest", "1", "memo"))["address"] == f"bchreg:{A}"

    play(scenario)


def test_everything_is_read_only_while_the_ledger_is_away() -> None:
    """Each call says so, and that it may be sent again."""

    async def scenario(shop: Shop) -> None:
        await shop.call("addrequest", "1")
        shop.ledger.transact(metadata.drop_all)
        for method, params in (
            ("addrequest", ["1"]), ("getrequest", [A]), ("listrequests", []), ("rmrequest", [A]), ("clearrequests", []),
        ):  # fmt: skip
            answer = await shop.ask(method, *params)
            assert isinstance(answer, Failure)
            assert (answer.kind, answer.safe_to_repeat) == (READ_ONLY, True)

    play(scenario)


@pytest.mark.parametrize("fails", [0, 3])
def test_an_invoice_whose_caller_was_told_that_there_is_none_is_withdrawn(fails: int) -> None:
    """Its label too, as soon as the ledger can; its address is burnt, and the event names neither."""

    async def scenario(shop: Shop) -> None:
        events: list[Event] = []
        shop.pool.emit = events.append
        answer = await shop.ask("addrequest", "1", "for nobody")
        assert isinstance(answer, Answer)
        real, left = shop.ledger.run, [fails]

        async def run(work: Callable[[Connection], Any]) -> Any:
            left[0] -= 1
            if left[0] >= 0:
                raise LedgerError("the disk hangs")
            return await real(work)

        shop.ledger.run = run  # type: ignore[method-assign]  # the disk hangs for a while
        await shop.invoices.withdraw(CLIENT, answer)
        assert await shop.call("listrequests") == []
        assert [change.mark.value for _, change in shop.marked] == ["for nobody", ""]
        assert [(one.name, one.fields["client"]) for one in events] == [("invoice.withdrawn", "shop")]
        assert A not in repr(events)
        assert (await shop.call("addrequest", "1"))["address"].endswith(B)

    play(scenario)


def test_an_invoice_that_comes_to_be_written_after_the_deadline_is_not_written() -> None:
    """Nobody has to take it back, which a gateway that is killed meanwhile could not."""

    async def scenario(shop: Shop) -> None:
        real = shop.ledger.run

        async def slow(work: Callable[[Connection], Any]) -> Any:
            await asyncio.sleep(6.0)
            return await real(work)

        shop.ledger.run = slow  # type: ignore[method-assign]  # the ledger is busy with something else
        assert "nothing was written down" in await shop.refused(DEADLINE_BEFORE_SEND, "addrequest", "1", "for nobody")
        shop.ledger.run = real  # type: ignore[method-assign]  # as before
        assert (await shop.call("listrequests"), shop.added, shop.marked) == ([], 0, [])
        assert (await shop.call("addrequest", "1"))["address"].endswith(A)

    play(scenario)


@pytest.mark.parametrize("seconds", [0.001, 5.0])
@pytest.mark.parametrize("was_committed", [True, False])
def test_an_invoice_of_which_nobody_knows_is_withdrawn_and_no_other_one_on_its_address(
    was_committed: bool, seconds: float  # noqa: FBT001 - a parameter of the test
) -> None:  # fmt: skip
    """The answer to its commit was lost in an outage; where it was undone, the next client gets its address."""

    async def scenario(shop: Shop) -> None:
        real, is_away = shop.ledger.run, [True]

        async def away(work: Callable[[Connection], Any]) -> Any:
            if not is_away[0]:
                return await real(work)
            raise LedgerError("the database is away")

        async def lost(work: Callable[[Connection], Any]) -> Any:
            shop.ledger.run = away  # type: ignore[method-assign]  # until it is back

            def undone(connection: Connection) -> None:
                work(connection)
                if not was_committed:
                    raise LedgerError("undone")

            with suppress(LedgerError):
                await real(undone)
            raise UncertainError("the answer was lost")

        shop.ledger.run = lost  # type: ignore[method-assign]  # the outage
        first = asyncio.create_task(shop.ask("addrequest", "1", "the first"))
        await asyncio.sleep(0.5)
        shop.now += seconds
        is_away[0] = False
        # faster than the withdrawal, which tries again after a second
        second = await shop.call("addrequest", "1", "the second")
        failure = await first
        assert isinstance(failure, Failure)
        assert failure.kind is RESULT_WITHHELD
        assert second["address"].endswith(B if was_committed else A)
        assert [one["memo"] for one in await shop.call("listrequests")] == ["the second"]

    play(scenario)


def test_an_invoice_that_cannot_be_withdrawn_is_told() -> None:
    """Whoever reads it can remove it by hand."""

    async def scenario(shop: Shop) -> None:
        events: list[Event] = []
        shop.pool.emit = events.append
        answer = await shop.ask("addrequest", "1")
        assert isinstance(answer, Answer)

        async def fails(_work: object) -> Any:
            raise LedgerError("the disk is gone")

        shop.ledger.run = fails  # type: ignore[method-assign, assignment]  # for good
        await shop.invoices.withdraw(CLIENT, answer)
        assert [(one.name, one.level) for one in events] == [("invoice.not_withdrawn", "error")]

    play(scenario)


def test_clearing_that_the_ledger_interrupts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hears that all is gone."""

    async def scenario(shop: Shop) -> None:
        def fails(*_: object, **_named: object) -> None:
            raise LedgerError("no room")

        monkeypatch.setattr(invoices, "clear", fails)
        assert "no room" in await shop.refused(READ_ONLY, "clearrequests")

    play(scenario)


@pytest.mark.parametrize(("method", "params"), [("rmrequest", [A]), ("clearrequests", [])])
def test_a_removal_of_which_nobody_knows_whether_it_is_written_down_is_told_as_unknown(
    method: str, params: list[str]
) -> None:
    """It is done here; asked for again it comes to the same."""

    async def scenario(shop: Shop) -> None:
        await shop.call("addrequest", "1")
        real = shop.ledger.run

        def removed(connection: Connection) -> int | None:
            return connection.scalar(select(func.count()).where(rows.c.removed_at.is_not(None)))

        async def run(work: Callable[[Connection], Any]) -> Any:
            before = await real(removed)
            result = await real(work)
            if before != await real(removed):
                raise UncertainError("the answer was lost")
            return result

        shop.ledger.run = run  # type: ignore[method-assign]  # the answer to what writes is lost
        assert "the answer was lost" in await shop.refused(OUTCOME_UNKNOWN, method, *params)
        assert await shop.call("listrequests") == []
        assert await shop.ask(method, *params) == Answer(b"null" if method == "clearrequests" else b"false", None)

    play(scenario)


def test_clearing_that_is_interrupted_half_way_is_not_told_as_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are gone, and some are not."""

    async def scenario(shop: Shop) -> None:
        await shop.call("addrequest", "1")
        await shop.call("addrequest", "1")
        real = invoices.clear

        def fails(connection: Connection, wallet: str, after: int, until: int, at: float) -> Any:
            if after >= 0:
                raise LedgerError("no room")
            return real(connection, wallet, after, until, at, 1)

        monkeypatch.setattr(invoices, "clear", fails)
        assert "no room" in await shop.refused(OUTCOME_UNKNOWN, "clearrequests")
        assert len(await shop.call("listrequests")) == 1

    play(scenario)


def test_a_wallet_that_was_used_before_is_not_spoken_for() -> None:
    """Its own invoices are unknown until they are taken over; "not found" would be a lie."""

    async def scenario(shop: Shop) -> None:
        shop.remedy = "adopt it"
        shop.keeper.why_no_address = "adopt it"
        for method, params in (
            ("addrequest", ["1"]), ("getrequest", [A]), ("listrequests", []), ("rmrequest", [A]), ("clearrequests", []),
        ):  # fmt: skip
            assert "adopt it" in await shop.refused(READ_ONLY, method, *params)

    play(scenario)


def test_another_wallets_odd_addresses_are_found_as_they_are() -> None:
    """A family whose addresses are no CashAddr has invoices too."""

    async def scenario(shop: Shop) -> None:
        shop.fill(["address-0"])
        told = await shop.call("addrequest", "1", "memo")
        assert told["URI"] == "address-0?amount=1."
        assert await shop.call("getrequest", "address-0") == told
        assert shop.marked[0][1].mark.key == "address-0"
        assert await shop.call("rmrequest", "address-0") is True

    play(scenario, prefix="", pooled=0)


def test_ten_thousand_invoices_are_listed_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is made on the ledger's thread, in pages, and allocations go on between them."""
    writers = []
    plain = Invoices._told

    def told(self: Invoices, kept: Kept, status: str | None = "of one invoice") -> bytes:
        if status is None:
            writers.append(threading.current_thread().name)
        return plain(self, kept, None)

    monkeypatch.setattr(Invoices, "_told", told)

    async def live() -> None:
        shop = Shop(pooled=0, ledger=SqliteLedger(tmp_path / "ledger.sqlite"))
        many = [f"q{number:041d}" for number in range(10_000)]
        shop.ledger.transact(lambda c: addresses.add(c, "main", many, addresses.HANDED, 1, AT))
        found = [
            {"wallet": "main", "address": address, "id": "id", "client": "shop", "memo": "", "time": 1, "place": place}
            for place, address in enumerate(many)
        ]
        shop.ledger.transact(lambda c: c.execute(insert(rows), found))
        shop.fill(ADDRESSES)
        listing = asyncio.ensure_future(shop.call("listrequests"))
        await asyncio.sleep(0)
        for _ in range(2):
            await shop.call("addrequest", "1")
        assert not listing.done(), "an allocation waits for a page and not for the list"
        assert [one["address"] for one in await listing][:10_000] == [f"bchreg:{one}" for one in many]
        shop.ledger.close()

    asyncio.run(live())
    assert len(writers) >= 10_000
    assert all(name.startswith("ledger") for name in writers)
