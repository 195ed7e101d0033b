"""What was given out before a failover, seen after it: every address, every invoice, and the next payment.

Real processes; the primary is frozen, and then killed, so that it comes back without what it had not saved.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import ALL_EFFECTS, Gateway, backends, client, settings_for, wait_until

GIVEN = 100
"""Addresses that are handed out before the failover, every second one with an invoice."""

PAID = 10
"""Invoices that are paid after it; each is two calls to a chain."""


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three daemons on one seed that nobody used."""
    with Fleet(3, tmp_path_factory.mktemp("trio")) as three:
        yield three


@pytest.fixture
def house(trio: Fleet, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with a ledger in front of them, its pool filled."""
    ledger = {"path": str(tmp_path / "ledger.db"), "may_be_lost": True}
    clients = [client("shop"), client("till", effects=ALL_EFFECTS)]
    with Gateway(tmp_path / "gateway", settings_for(backends(trio), ledger=ledger, clients=clients)) as one:
        one.wait_all_well()
        wait_until(lambda: one.status()["ledger"]["pool"] > 0, "the pool is filled")
        yield one


def primary(house: Gateway) -> int:
    """The place of the daemon that is primary now."""
    return int(str(house.status()["primary"]).removeprefix("ec-")) - 1


def test_all_that_was_given_out_before_a_failover_is_there_after_it(house: Gateway, trio: Fleet) -> None:
    """Each address is the wallet's, each open invoice is listed and turns Paid, and every daemon sees what comes."""
    given: list[str] = []
    invoices: list[str] = []
    for number in range(GIVEN // 2):
        given.append(house.call("createnewaddress").result)
        invoice = house.call("addrequest", "0.01", f"order {number}").result
        given.append(invoice["address"])
        invoices.append(invoice["address"])
    assert len(set(given)) == GIVEN

    old = primary(house)
    trio.freeze(old)
    wait_until(lambda: house.call("getbalance").json and primary(house) != old, "another daemon is primary")
    trio.kill(old)

    assert [house.call("ismine", one).result for one in given] == [True] * GIVEN
    assert {one["address"] for one in house.call("listrequests").result} >= set(invoices)
    for one in invoices[:PAID]:
        trio.chain("fund", address=one, sats=1_000_000)
    trio.chain("mine", blocks=1)

    def status(address: str) -> str:
        return str(house.call("getrequest", address).result["status"])

    wait_until(lambda: [status(one) for one in invoices[:PAID]] == ["Paid"] * PAID, "what was paid is Paid")
    assert [status(one) for one in invoices[PAID:]] == ["Pending"] * (len(invoices) - PAID)

    trio.start(old)
    house.wait_all_well()
    newest = house.call("createnewaddress").result
    assert newest not in given
    before = [balance(trio, number) for number in range(3)]
    trio.chain("fund", address=newest, sats=777_777)
    trio.chain("mine", blocks=1)

    def all_see_it() -> bool:
        return [balance(trio, number) for number in range(3)] == [one + 777_777 for one in before]

    wait_until(all_see_it, "a payment to the newest address shows on every daemon, the one that was away too")
    assert [trio.rpc(number, "ismine", newest) for number in range(3)] == [True] * 3
    assert [trio.rpc(old, "ismine", one) for one in given] == [True] * GIVEN


def balance(fleet: Fleet, number: int) -> int:
    """Satoshi that a daemon says the wallet has, confirmed or not."""
    told = fleet.rpc(number, "getbalance")
    return sum(round(float(told.get(kind, 0)) * 100_000_000) for kind in ("confirmed", "unconfirmed"))
