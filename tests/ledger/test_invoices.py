"""Invoices in the ledger: one transaction with address and label, receipts that add up, lists in pages."""

import pytest
from sqlalchemy import Connection, event, select

from gateway.ledger import addresses, invoices, marks
from gateway.ledger.invoices import Moved
from gateway.ledger.marks import CLIENT, GATEWAY, LABEL, Mark
from gateway.ledger.schema import invoices as rows
from gateway.ledger.store import InlineLedger, LedgerError
from gateway.rules.invoices import PAID, PENDING, UNCONFIRMED, Asked, Invoice, Receipt, label_key
from gateway.sandbox.addresses import derive
from tests.ledger.conftest import AT

ADDRESSES = [derive("seed", change=False, index=index).text.partition(":")[2] for index in range(8)]
A, B, C = ADDRESSES[:3]


@pytest.fixture
def shop(ledger: InlineLedger) -> InlineLedger:
    """A ledger with eight addresses in the pool."""
    ledger.transact(lambda c: addresses.add(c, "main", ADDRESSES, addresses.POOL, 1, AT))
    return ledger


def invoice(shop: InlineLedger, amount: int | None = 100, memo: str = "", exp: int | None = None) -> Invoice:
    """Hand out an address with an invoice on it."""

    def work(connection: Connection) -> Invoice:
        address = addresses.take(connection, "main", "shop", "addrequest", 1, AT)
        assert address is not None
        made, _ = invoices.add(connection, "main", "shop", address, Asked(amount, memo, exp), AT)
        return made

    return shop.transact(work)


def pay(shop: InlineLedger, *seen: Receipt, gone: tuple[Receipt, ...] = ()) -> list[Moved]:
    """Write down what was paid."""
    return shop.transact(lambda c: invoices.receive(c, "main", seen, gone))


def status(shop: InlineLedger, address: str) -> str:
    """How far an invoice came, as its row says."""
    return str(shop.transact(lambda c: c.scalar(select(rows.c.status).where(rows.c.address == address))))


def listed(shop: InlineLedger, most: int = 3) -> list[str]:
    """The addresses of all invoices, read in pages."""

    def work(connection: Connection) -> list[str]:
        found: list[str] = []
        after = -1
        while page := invoices.page(connection, "main", after, most):
            found += [one.invoice.address for one in page]
            after = page[-1].place
        return found

    return shop.transact(work)


def labels(shop: InlineLedger) -> list[Mark]:
    """The labels that daemons are to show."""
    return shop.transact(lambda c: marks.every(c, "main"))


def test_an_invoice_is_found_with_its_receipts_by_any_of_its_addresses(shop: InlineLedger) -> None:
    """And under no other wallet."""
    made = invoice(shop, memo="m")
    pay(shop, Receipt(A, "t1", 5, 0), Receipt(A, "t2", 6, 10))
    kept = shop.transact(lambda c: invoices.find(c, "main", ["nope", A]))
    assert kept is not None
    assert (kept.invoice, kept.place, kept.status) == (made, 0, PENDING)
    assert sorted(one.txid for one in kept.receipts) == ["t1", "t2"]
    assert shop.transact(lambda c: invoices.find(c, "main", [B])) is None
    assert shop.transact(lambda c: invoices.find(c, "main", [])) is None
    assert shop.transact(lambda c: invoices.find(c, "other", [A])) is None


def test_no_address_has_two_invoices(shop: InlineLedger) -> None:
    """Not even when somebody tries, and not after the first was removed."""
    invoice(shop)
    for _ in range(2):
        with pytest.raises(LedgerError):
            shop.transact(lambda c: invoices.add(c, "main", "shop", A, Asked(1, "", None), AT))
        shop.transact(lambda c: invoices.remove(c, "main", [A], AT))
    assert invoice(shop).address == B


def test_a_memo_is_the_label_of_the_older_form_of_the_address(shop: InlineLedger) -> None:
    """In one line, owned by the gateway; no memo leaves no label."""
    invoice(shop, memo="two\nlines")
    invoice(shop, memo="")
    assert [(one.kind, one.key, one.value, one.owner) for one in labels(shop)] == [
        (LABEL, label_key(A), "two lines", GATEWAY)
    ]


def test_an_invoice_that_goes_takes_its_own_label_along(shop: InlineLedger) -> None:
    """Unless somebody has paid there, or a client gave the address another name."""
    for memo in ("free", "paid", "renamed", "taken over"):
        invoice(shop, memo=memo)
    pay(shop, Receipt(B, "t", 1, 0))
    shop.transact(lambda c: marks.put(c, "main", LABEL, label_key(C), "theirs", CLIENT, AT))
    shop.transact(lambda c: marks.put(c, "main", LABEL, label_key(ADDRESSES[3]), "taken over", CLIENT, AT))
    for address in ADDRESSES[:4]:
        was_there, changes = shop.transact(lambda c, one=address: invoices.remove(c, "main", [one], AT))  # type: ignore[misc]  # a default binds it
        assert was_there
        assert [change.mark.key for change in changes] == ([label_key(A)] if address == A else [])
    assert {one.key: one.value for one in labels(shop)} == {
        label_key(A): "", label_key(B): "paid", label_key(C): "theirs",
        label_key(ADDRESSES[3]): "taken over",
    }  # fmt: skip


def test_a_removed_invoice_is_gone_for_everybody_but_the_ledger(shop: InlineLedger) -> None:
    """It is removed once, listed and watched no more."""
    invoice(shop)
    assert shop.transact(lambda c: invoices.remove(c, "main", ["x", A], AT))[0]
    assert not shop.transact(lambda c: invoices.remove(c, "main", [A], AT))[0]
    assert listed(shop) == []
    assert shop.transact(lambda c: invoices.watched(c, "main", ADDRESSES)) == {}
    assert not shop.transact(lambda c: invoices.is_any(c, "main"))
    assert pay(shop, Receipt(A, "t", 100, 5)) == [], "a late payment is written down and changes nothing"


def test_pages_hold_every_invoice_once_and_in_order(shop: InlineLedger) -> None:
    """With their receipts, whatever the size of a page."""
    for _ in range(8):
        invoice(shop)
    shop.transact(lambda c: invoices.remove(c, "main", [C], AT))
    pay(shop, *(Receipt(one, f"{one}{n}", 1, n) for one in ADDRESSES for n in range(2)))
    left = [one for one in ADDRESSES if one != C]
    for most in (1, 3, 7, 8):
        assert listed(shop, most) == left
    page = shop.transact(lambda c: invoices.page(c, "main", 0, 3))
    assert [sorted(one.txid for one in kept.receipts) for kept in page] == [[f"{one}0", f"{one}1"] for one in left[1:4]]


def test_clearing_takes_what_was_there_when_it_began(shop: InlineLedger) -> None:
    """A few at a time; an invoice made meanwhile stays."""
    for _ in range(5):
        invoice(shop, memo="m")
    assert shop.transact(lambda c: invoices.last_place(c, "other")) == -1
    until = shop.transact(lambda c: invoices.last_place(c, "main"))
    invoice(shop)
    counts = []
    after: int | None = -1
    while after is not None:
        after, changes = shop.transact(lambda c, after=after: invoices.clear(c, "main", after, until, AT, 2))  # type: ignore[misc]  # a default binds it
        counts.append((after, len(changes)))
    assert counts == [(1, 2), (3, 2), (4, 1), (None, 0)]
    assert listed(shop) == [ADDRESSES[5]]
    assert all(one.value == "" for one in labels(shop))
    moments = [one.at for one in labels(shop)]
    assert moments == sorted(set(moments)), "each change has a time of its own"
    assert moments[0] > AT


def test_a_status_goes_as_far_as_the_receipts_say(shop: InlineLedger) -> None:
    """Forward with payments and blocks; back only when one is taken out or has left its block."""
    made = invoice(shop)
    first, second = Receipt(A, "t1", 60, 0), Receipt(A, "t2", 40, 0)
    assert pay(shop, first) == []
    assert pay(shop, second) == [Moved(made.id, PENDING, UNCONFIRMED)]
    assert pay(shop, Receipt(A, "t1", 60, 7)) == []
    assert pay(shop, Receipt(A, "t2", 40, 8)) == [Moved(made.id, UNCONFIRMED, PAID)]
    assert pay(shop, Receipt(A, "t3", 1, 0)) == [], "what comes after takes nothing back here"
    assert pay(shop, second) == [Moved(made.id, PAID, UNCONFIRMED)]
    assert pay(shop, gone=(first,)) == [Moved(made.id, UNCONFIRMED, PENDING)]
    assert status(shop, A) == PENDING


def test_watched_are_the_addresses_of_all_invoices_with_what_is_known(shop: InlineLedger) -> None:
    """Paid and expired ones too: late payments are payments; of those only that are asked about."""
    invoice(shop)
    invoice(shop, exp=0)
    invoice(shop)
    receipt = Receipt(A, "t", 100, 5)
    pay(shop, receipt)
    assert shop.transact(lambda c: invoices.watched(c, "main", [B, A, "x"])) == {A: {"t": receipt}, B: {}}
    assert shop.transact(lambda c: invoices.watched(c, "main", [])) == {}


def test_young_are_receipts_that_the_chain_may_still_take_back(shop: InlineLedger) -> None:
    """In no block, or in one above a height; of invoices that somebody still cares for."""
    invoice(shop)
    invoice(shop)
    found = [Receipt(A, "t0", 1, 0), Receipt(A, "t5", 1, 5), Receipt(A, "t6", 1, 6), Receipt(B, "t6", 1, 6)]
    pay(shop, *found)
    shop.transact(lambda c: invoices.remove(c, "main", [B], AT))
    assert shop.transact(lambda c: invoices.young(c, "main", 5)) == [found[0], found[2]]


def test_something_is_waited_for_until_it_is_paid_or_expired_or_gone(shop: InlineLedger) -> None:
    """An expired one that got a payment at last is waited for until that is in a block."""

    def is_open(after: float = 0.0) -> bool:
        return shop.transact(lambda c: invoices.is_open(c, "main", AT + after))

    assert not is_open()
    invoice(shop, exp=10)
    assert is_open()
    assert is_open(10.0)
    assert not is_open(10.5)
    pay(shop, Receipt(A, "t", 100, 0))
    assert is_open(10.5)
    pay(shop, Receipt(A, "t", 100, 5))
    assert not is_open(10.5)
    invoice(shop)
    assert is_open(1e9)
    shop.transact(lambda c: invoices.remove(c, "main", [B], AT))
    assert not is_open(1e9)


def test_invoices_of_a_daemon_are_taken_over_once_and_only_where_the_address_is_known(shop: InlineLedger) -> None:
    """At the place of their address."""
    found = [Invoice(B, "i1", 5, "m", 7, None), Invoice("elsewhere", "i2", 5, "m", 7, None)]
    assert shop.transact(lambda c: invoices.take_over(c, "main", found)) == 1
    assert shop.transact(lambda c: invoices.take_over(c, "main", found)) == 0
    (kept,) = shop.transact(lambda c: invoices.page(c, "main", -1))
    assert (kept.invoice, kept.place) == (found[0], 1)


def test_no_question_about_invoices_walks_over_those_that_were_removed(shop: InlineLedger) -> None:
    """Nor does one about addresses count them all: the engine says itself how it looks for them."""
    seen: dict[str, object] = {}

    def note(_connection: object, _cursor: object, statement: str, values: object, *_more: object) -> None:
        seen[statement] = values

    event.listen(shop.engine, "before_cursor_execute", note)
    shop.transact(lambda c: (invoices.is_any(c, "main"), invoices.is_open(c, "main", AT), invoices.page(c, "main", 3)))
    shop.transact(lambda c: (invoices.last_place(c, "main"), addresses.count(c, "main")))
    event.remove(shop.engine, "before_cursor_execute", note)
    asked = {statement: values for statement, values in seen.items() if statement.startswith("SELECT")}
    assert len(asked) == 5

    def plan(connection: Connection) -> list[str]:
        rows = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()  # type: ignore[arg-type]  # as they came
            for statement, values in asked.items()
        ]
        return [str(row.detail) for some in rows for row in some if "CONSTANT" not in row.detail]

    steps = [one for one in shop.transact(plan) if "SUBQUERY" not in one]
    assert steps
    assert all(one.startswith("SEARCH") for one in steps), steps
    assert all("ix_invoices_" in one for one in steps if "SEARCH invoices" in one), steps
