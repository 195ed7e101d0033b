"""The same steps on a sandbox daemon and on our invoices: the answers must be the same, to the byte where they can be.

Both sit on one daemon.  Its own invoices lie on its first addresses, ours on addresses further on, and each step is
done to one of each: asked for, paid, paid again, looked at.  What differs by nature (address, id, second) is replaced
before the two are compared.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.base.config import Client
from gateway.base.effects import GRANTABLE
from gateway.base.errors import NO_BACKEND, Failure
from gateway.base.jsonrpc import Answer
from gateway.fleet.backend import Backend
from gateway.flow.invoices import Invoices
from gateway.ledger import addresses, marks
from gateway.ledger.schema import metadata
from gateway.ledger.store import InlineLedger
from gateway.profiles import Method, load
from gateway.rules.methods import Granted, judge
from gateway.sandbox.fleet import Fleet
from gateway.supervision import receipts
from gateway.supervision.receipts import Receipts
from tests.fleet.test_pool import well

PROFILE = load("electron-cash")
CLIENT = Client(name="shop", username="u", password="p")  # type: ignore[arg-type]  # pydantic makes a secret of it
Also = Callable[[Connection, str, float], None]

OURS_FROM = 10
"""Place of our first address; the daemon uses those before."""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A daemon of our own."""
    with Fleet(1, Path(tmp_path_factory.mktemp("invoices"))) as fleet:
        yield fleet


class Pair:
    """A daemon's invoices, and ours beside them."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        fleet.rpc(0, "clearrequests")
        self.loop = asyncio.new_event_loop()
        self.pool, _ = well(1)
        self.ledger = InlineLedger(None)
        metadata.create_all(self.ledger.engine)
        listed = [one.partition(":")[2] for one in fleet.rpc(0, "listaddresses", receiving=True)]
        history = fleet.rpc(0, "history", show_addresses=True)
        used = {one.partition(":")[2] for line in history for one in line["output_addresses"]}
        self.free: list[str] = [one for one in listed[OURS_FROM:] if one not in used]
        self.ledger.transact(lambda c: addresses.add(c, "main", listed, addresses.HANDED, 1, 0.0))
        self.receipts = Receipts(self.pool, PROFILE, self.ledger, self.call_on, time.time, self.loop)
        self.invoices = Invoices(
            self.pool, self.ledger, self.hand_out, lambda: "bchreg:", lambda: self.receipts.tip, time.time
        )

    async def call_on(self, _backend: Backend, method: Method, params: bytes, _deadline: float) -> Answer | Failure:
        """Make an upkeep call on the daemon."""
        given = json.loads(params)
        named = given if isinstance(given, dict) else {}
        result = self.fleet.rpc(0, method.name, *(() if named else given), **named)
        return Answer(json.dumps(result).encode(), None)

    async def hand_out(self, client: str, method: str, deadline: float, also: Also) -> str | Failure:
        """Give out the next address that is ours."""
        del client, method, deadline
        if not self.free:
            return Failure(NO_BACKEND, "no_backend: dry", safe_to_repeat=True)
        address = self.free.pop(0)
        self.ledger.transact(lambda c: also(c, address, time.time()))
        return address

    def ours(self, method: str, *params: object, **named: object) -> bytes:
        """Ask us, after a look at the daemon."""
        self.pool.primary.height = self.fleet.rpc(0, "getinfo")["blockchain_height"]
        raw = msgspec.json.encode(named or list(params))
        granted = judge(PROFILE, method, raw, effects=GRANTABLE, opened=frozenset(), client="shop", wallet="main")
        assert isinstance(granted, Granted)
        handler = self.invoices.handlers[granted.method.role]

        async def ask() -> Answer | Failure:
            await self.receipts.look()
            return await handler(CLIENT, granted, self.loop.time() + 5.0, None)

        answer = self.loop.run_until_complete(ask())
        assert isinstance(answer, Answer), answer
        return answer.result or answer.error or b""

    def theirs(self, method: str, *params: object, **named: object) -> bytes:
        """Ask the daemon; its answer is written as its own library writes it."""
        return json.dumps(self.fleet.rpc(0, method, *params, **named)).encode()  # type: ignore[arg-type]  # any name

    def asked(self, *params: object, **named: object) -> tuple[str, str]:
        """Ask both for an invoice, compare the answers; return the two addresses."""
        theirs, ours = self.theirs("addrequest", *params, **named), self.ours("addrequest", *params, **named)
        # the one of a second may be over by the time that the other one is asked
        first, second = (plain(one).replace(b'"Expired"', b'"Pending"') for one in (theirs, ours))
        assert first == second
        return json.loads(theirs)["address"], json.loads(ours)["address"]

    def compare(self, both: tuple[str, str]) -> tuple[str, int, int | None]:
        """Compare what both say of an invoice; return status, number of payments and confirmations."""
        theirs, ours = self.theirs("getrequest", both[0]), self.ours("getrequest", both[1])
        assert plain(theirs) == plain(ours)
        found = json.loads(ours)
        return found["status"], len(found["tx_hashes"]), found.get("confirmations")

    def fund(self, both: tuple[str, str], sats: int, blocks: int = 0) -> None:
        """Pay the same to both."""
        for address in both:
            self.fleet.chain("fund", address=address, sats=sats)
        self.mine(blocks)

    def mine(self, blocks: int) -> None:
        """Find blocks."""
        if blocks:
            self.fleet.chain("mine", blocks=blocks)

    def close(self) -> None:
        """Let go of everything."""
        self.loop.close()
        self.ledger.close()


@pytest.fixture
def pair(one: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Both, with no invoice yet, and no rest between two looks."""
    monkeypatch.setattr(receipts, "REST", 0.0)
    both = Pair(one)
    yield both
    both.close()


def plain(answer: bytes) -> bytes:
    """Replace what two invoices cannot have in common: address, second, id and the names of transactions."""
    found = json.loads(answer)
    for one in found if isinstance(found, list) else [found]:
        answer = answer.replace(one["address"].encode(), b"ADDRESS").replace(b'"id": "%b"' % one["id"].encode(), b"ID")
        answer = answer.replace(b'"time": %d' % one["time"], b"TIME")
        for txid in one["tx_hashes"]:
            answer = answer.replace(txid.encode(), b"TXID")
    return answer


@pytest.mark.parametrize(
    "params",
    [
        ["0.009", "memo x", 3600], ["0.009"], [0.009], ["1e-3", 'é "q"\\ \u2028 \U0001f600\n\t/'], [3], ["0"],
        [None, None],
        ["0.123456789", "", None, True], ["21000000"], [" 1 ", "m", "60"], [1e-8, "m", 60],
    ],
)  # fmt: skip
def test_an_invoice_is_asked_for_and_told_in_the_same_bytes(pair: Pair, params: list[object]) -> None:
    """A number reaches the daemon as the text that the client wrote, which is what the gateway does with amounts."""
    as_sent = [str(params[0]) if isinstance(params[0], float) else params[0], *params[1:]]
    if as_sent[1:2] == [None]:
        as_sent[1] = ""  # the daemon repeats a memo of null, we say that there is none
    theirs, ours = pair.theirs("addrequest", *as_sent), pair.ours("addrequest", *params)
    assert plain(theirs) == plain(ours)
    pair.compare((json.loads(theirs)["address"], json.loads(ours)["address"]))


def test_an_invoice_is_pending_then_unconfirmed_then_paid(pair: Pair) -> None:
    """And deeper with each block."""
    both = pair.asked("0.001", "memo", 3600)
    assert pair.compare(both) == ("Pending", 0, None)
    pair.fund(both, 100_000)
    assert pair.compare(both) == ("Unconfirmed", 1, 0)
    pair.mine(1)
    assert pair.compare(both) == ("Paid", 1, 1)
    pair.mine(5)
    assert pair.compare(both) == ("Paid", 1, 6)


def test_part_payments_add_up(pair: Pair) -> None:
    """Too little is Pending, however deep; the newest that counts tells the depth."""
    both = pair.asked("0.001")
    pair.fund(both, 60_000, blocks=2)
    assert pair.compare(both) == ("Pending", 1, None)
    pair.fund(both, 40_000)
    assert pair.compare(both) == ("Unconfirmed", 2, 0)
    pair.mine(1)
    assert pair.compare(both) == ("Paid", 2, 1)


def test_too_much_is_enough(pair: Pair) -> None:
    """At once, and in a late payment, which unsettles what was paid until the next block."""
    both = pair.asked("0.001")
    pair.fund(both, 250_000, blocks=3)
    assert pair.compare(both) == ("Paid", 1, 3)
    pair.fund(both, 5)
    assert pair.compare(both) == ("Unconfirmed", 2, 0)
    pair.mine(1)
    assert pair.compare(both) == ("Paid", 2, 1)


def test_two_payments_in_one_block_are_both_told(pair: Pair) -> None:
    """In an order of their own: the larger one first."""
    both = pair.asked("0.001")
    pair.fund(both, 50_000)
    pair.fund(both, 70_000, blocks=1)
    assert pair.compare(both) == ("Paid", 2, 1)


def test_an_invoice_without_amount_is_paid_by_anything(pair: Pair) -> None:
    """None and nothing."""
    for amount in (None, "0"):
        both = pair.asked(amount)
        pair.fund(both, 1)
        assert pair.compare(both) == ("Unconfirmed", 1, 0)
    pair.mine(1)


def test_an_invoice_expires_and_is_paid_all_the_same(pair: Pair) -> None:
    """Expired with what came in before; then paid."""
    both = pair.asked("0.001", "", "1")
    pair.fund(both, 1)
    until = time.time() + 10
    # the one may be asked for in the next second, so each is waited for
    for ask, address in zip((pair.theirs, pair.ours), both, strict=True):
        while json.loads(ask("getrequest", address))["status"] == "Pending" and time.time() < until:
            time.sleep(0.05)
    assert pair.compare(both) == ("Expired", 1, None)
    for which, count in ((("expired",), 1), (("pending",), 0), (("paid",), 0), ((), 1)):
        named = dict.fromkeys(which, True)
        theirs, ours = pair.theirs("listrequests", **named), pair.ours("listrequests", **named)
        assert plain(theirs) == plain(ours)
        assert len(json.loads(ours)) == count
    pair.fund(both, 99_999, blocks=1)
    assert pair.compare(both) == ("Paid", 2, 1)


def test_lists_are_in_the_order_of_addresses_and_removals_answer_alike(pair: Pair) -> None:
    """By any form of the address; twice; of an unknown one; and all at once."""
    both = [pair.asked(f"0.00{n}", f"memo {n}") for n in range(1, 4)]
    pair.fund(both[1], 200_000, blocks=1)
    assert plain(pair.theirs("listrequests")) == plain(pair.ours("listrequests"))
    theirs, ours = both[0]
    forms: list[Callable[[str], str]] = [
        lambda one: one,
        lambda one: one.partition(":")[2],
        lambda one: str(pair.fleet.rpc(0, "addressconvert", one)["legacy"]),
    ]
    for form in forms:
        assert plain(pair.theirs("getrequest", form(theirs))) == plain(pair.ours("getrequest", form(ours)))
    for form, answer in zip(reversed(forms), (b"true", b"false", b"false"), strict=True):
        assert pair.theirs("rmrequest", form(theirs)) == pair.ours("rmrequest", form(ours)) == answer
    assert plain(pair.theirs("listrequests")) == plain(pair.ours("listrequests"))
    assert pair.theirs("clearrequests") == pair.ours("clearrequests") == b"null"
    assert pair.theirs("listrequests") == pair.ours("listrequests") == b"[]"
    assert b"Request not found" in pair.ours("getrequest", ours)


def test_a_label_of_ours_is_seen_by_the_daemon_where_it_looks_for_it(pair: Pair) -> None:
    """Its key is the one that setlabel wants."""
    _, ours = pair.asked("0.001", "memo\nx")
    (mark,) = pair.ledger.transact(lambda c: marks.every(c, "main"))
    assert mark.key == pair.fleet.rpc(0, "addressconvert", ours)["legacy"]
    pair.fleet.rpc(0, "setlabel", mark.key, mark.value)
    assert dict(pair.fleet.rpc(0, "listaddresses", labels=True))[ours] == "'memo x'"
