"""Invoices of one daemon: amounts, shape and states."""

import pytest

from gateway.sandbox.fleet import Fleet, RpcError
from tests.sandbox.conftest import COIN, eventually, fund, receiving

pytestmark = pytest.mark.integration


def test_amounts_given_as_numbers_are_truncated(one: Fleet) -> None:
    """0.009 as a JSON number books 899,999 satoshis, as text 900,000; what is finer than a satoshi is cut off."""
    amounts = [0.009, "0.009", 1e-8, "0.123456789", 1, "1e-3", 21_000_001, "0"]
    booked = [one.rpc(0, "addrequest", amount)["amount"] for amount in amounts]
    assert booked == [899_999, 900_000, 1, 12_345_678, COIN, 100_000, 21_000_001 * COIN, 0]
    with pytest.raises(RpcError, match=r"InvalidOperation: \[<class 'decimal.ConversionSyntax'>\]"):
        one.rpc(0, "addrequest", "abc")


@pytest.mark.parametrize(
    ("amount", "told", "query"),
    [
        ("0.009", "0.009", "?amount=0.009"),
        ("3", "3.", "?amount=3."),
        (0, "0.", ""),
        (None, "Unknown", ""),
        (-1, "-1.", "?amount=-1."),
    ],
)
def test_an_invoice_tells_its_amount_in_the_daemons_words(shop: Fleet, amount: object, told: str, query: str) -> None:
    """A whole number keeps its point, nothing asked for leaves the query out, an open amount is Unknown."""
    asked = shop.rpc(0, "addrequest", amount)
    assert (asked["amount (BCH)"], asked["URI"]) == (told, asked["address"] + query)
    shop.rpc(0, "clearrequests")


def test_an_invoice_has_the_members_of_the_real_one(shop: Fleet) -> None:
    """Names and order of the members, expiry as given, none unless given."""
    asked = shop.rpc(0, "addrequest", "0.009", "memo x", 3600)
    members = ["time", "amount", "exp", "address", "memo", "id", "tokenreq", "category_id"]
    assert list(asked) == [*members, "URI", "status", "tx_hashes", "amount (BCH)"]
    assert (asked["exp"], asked["memo"], asked["status"], asked["tx_hashes"]) == (3600, "memo x", "Pending", [])
    assert len(asked["id"]) == 10
    assert shop.rpc(0, "addrequest", "1")["exp"] is None
    shop.rpc(0, "clearrequests")


def test_an_invoice_goes_from_pending_over_unconfirmed_to_paid_and_back(one: Fleet) -> None:
    """Part payments add up; confirmations are told once the sum is reached; a late payment unsettles it again."""
    asked = one.rpc(0, "addrequest", "1")
    address = asked["address"]

    def state() -> tuple[str, int, object]:
        told = one.rpc(0, "getrequest", address)
        return told["status"], len(told["tx_hashes"]), told.get("confirmations")

    fund(one, address, 40_000_000)
    assert state() == ("Pending", 1, None)
    fund(one, address, 60_000_000, blocks=0)
    assert state() == ("Unconfirmed", 2, 0)
    one.chain("mine", blocks=2)
    assert state() == ("Paid", 2, 2)
    fund(one, address, 5, blocks=0)
    assert state() == ("Unconfirmed", 3, 0)


def test_an_invoice_expires_unless_it_is_paid(one: Fleet) -> None:
    """An expiry of no seconds is over a second later; a payment makes even an expired one unconfirmed."""
    address = one.rpc(0, "addrequest", "1", "", "0")["address"]
    assert eventually(lambda: bool(one.rpc(0, "getrequest", address)["status"] == "Expired"))
    kept = one.rpc(0, "addrequest", "1")["address"]
    assert [each["address"] for each in one.rpc(0, "listrequests", expired=True)] == [address]
    assert [each["address"] for each in one.rpc(0, "listrequests", pending=True)] == [kept]
    fund(one, address, blocks=0)
    assert one.rpc(0, "getrequest", address)["status"] == "Unconfirmed"
    assert one.rpc(0, "listrequests", expired=True) == one.rpc(0, "listrequests", paid=True) == []


def test_a_memo_labels_its_address_and_the_receipt(one: Fleet) -> None:
    """The memo is the label of the address, and of a payment to it; it goes with the invoice if neither changed."""
    paid = one.rpc(0, "addrequest", "1", "paid")["address"]
    free = one.rpc(0, "addrequest", "1", "free")["address"]
    renamed = one.rpc(0, "addrequest", "1", "memo")["address"]
    one.rpc(0, "setlabel", one.rpc(0, "addressconvert", renamed)["legacy"], "two\nlines")
    fund(one, paid)
    assert one.rpc(0, "history")[0]["label"] == "paid"
    one.rpc(0, "clearrequests")
    labels = dict(one.rpc(0, "listaddresses", labels=True))
    assert [labels[address] for address in (paid, free, renamed)] == ["'paid'", "''", "'two lines'"]


def test_setlabel_reaches_an_address_only_by_its_older_form(one: Fleet) -> None:
    """Under the form that answers use a label is kept but never shown: the real daemon looks up the older form."""
    address = receiving(one)[3]
    one.rpc(0, "setlabel", address, "lost")
    assert dict(one.rpc(0, "listaddresses", labels=True))[address] == "''"
    older = one.rpc(0, "addressconvert", address)["legacy"]
    one.rpc(0, "setlabel", older, "found")
    assert dict(one.rpc(0, "listaddresses", labels=True))[address] == "'found'"
    assert one.rpc(0, "ismine", older) is True
    with pytest.raises(RpcError, match="AttributeError"):
        one.rpc(0, "setlabel", older, 5)


def test_a_plain_receipt_hides_amount_and_earlier_balances(one: Fleet) -> None:
    """History tells no value of a receipt and no balance before it; only payouts have both."""
    first, second, *_ = receiving(one)
    fund(one, first)
    fund(one, second)
    assert [(line["value"], line["balance"]) for line in one.rpc(0, "history")] == [("--", "2."), ("--", "--")]
    one.rpc(0, "broadcast", one.rpc(0, "payto", first, "0.5")["hex"])
    assert [line["value"] for line in one.rpc(0, "history")] == ["-0.00000219", "--", "--"]
    assert [line["balance"] for line in one.rpc(0, "history")] == ["1.99999781", "2.", "--"]
    addresses = one.rpc(0, "history", show_addresses=True)
    assert [len(line["output_addresses"]) for line in addresses] == [2, 1, 1]
    assert [line["input_addresses"] for line in addresses[1:]] == [[], []]
