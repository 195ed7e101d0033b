"""Payouts through a real gateway over a real sandbox daemon and its chain."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.rules.transaction import parse
from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import ALL_EFFECTS, Gateway, backends, client, settings_for, wait_until

COINS = 30
STRANGER = "bchreg:qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqha9s37tt"


@pytest.fixture(scope="module")
def payer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One daemon whose fresh wallet has no coins yet: the gateway meets it first."""
    with Fleet(1, tmp_path_factory.mktemp("payer"), server_timeout=2.0) as one:
        yield one


@pytest.fixture(scope="module")
def house(payer: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a ledger in front of it, and thirty coins in the wallet."""
    folder = tmp_path_factory.mktemp("house")
    clients = [
        client("shop"),
        client("till", effects=ALL_EFFECTS),
        client("kiosk", effects=ALL_EFFECTS, max_per_call="0.002", max_per_day="0.003"),
    ]
    ledger = {"path": str(folder / "ledger.db"), "may_be_lost": True}
    with Gateway(folder / "gateway", settings_for(backends(payer), clients=clients, ledger=ledger)) as one:
        one.wait_all_well()
        wait_until(lambda: (one.status()["ledger"] or {}).get("state") == "adopted", "the wallet is adopted")
        address = one.call("createnewaddress").result
        for _ in range(COINS):
            payer.chain("fund", address=address, sats=1_000_000)
        payer.chain("mine", blocks=1)
        wait_until(lambda: len(one.call("listunspent").result) == COINS, "the wallet sees its coins")
        yield one


def pay(house: Gateway, key: str | None = None, amount: str = "0.001", *, user: str = "till", **how: Any) -> Any:
    """Ask for a payout."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return house.call("payto", STRANGER, amount, user=user, headers=headers, **how)


def test_twenty_payouts_at_once_then_twenty_broadcasts_are_all_accepted(house: Gateway, payer: Fleet) -> None:
    """Each has coins of its own; a second question with a key gets the same bytes."""
    keys = [f"payout {n}" for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        signed = list(pool.map(lambda key: pay(house, key).result, keys))
        again = list(pool.map(lambda key: pay(house, key).result, keys))
        assert again == signed
        sent = list(pool.map(lambda tx: house.call("broadcast", tx["hex"], user="till").result, signed))
    txids = [parse(tx["hex"]).txid for tx in signed]
    assert sent == [[True, txid] for txid in txids]
    assert len(set(txids)) == 20
    assert set(txids) <= set(payer.chain("mempool")["mempool"])
    executed = [line for line in payer.journal(0) if line["method"] == "payto"]
    # an unsigned payto of the gateway's own derives change addresses
    assert sum("unsigned" not in str(line["params"]) for line in executed) == 20


def test_the_outcome_of_a_key_can_be_asked_for(house: Gateway) -> None:
    """By key and by transaction; another client's is not known."""
    signed = pay(house, "asked for").result
    txid = parse(signed["hex"]).txid
    assert outcome(house, key="asked for")["state"] == outcome(house, txid=txid)["state"] == "signed"
    assert outcome(house, user="kiosk", txid=txid)["state"] == "unknown_here"
    house.call("broadcast", signed, user="till")
    assert outcome(house, key="asked for")["state"] == "accepted"


def outcome(house: Gateway, *, user: str = "till", **query: str) -> Any:
    """Ask gateway.outcome."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "gateway.outcome", "params": query})
    return house.post(body.encode(), user=user).result


def test_a_payment_goes_through_while_the_server_is_silent(house: Gateway, payer: Fleet) -> None:
    """The client is told that nobody knows; the gateway sends it again until the chain has spoken."""
    signed = pay(house, "silent").result
    txid = parse(signed["hex"]).txid
    payer.control(0, "silent_chain")
    try:
        told = house.call("broadcast", signed["hex"], user="till", wait=1.0).error
        assert (told["code"], told["data"]["safe_to_repeat"]) == (-32004, True)
    finally:
        payer.control(0, "heal")
    wait_until(lambda: txid in payer.chain("mempool")["mempool"], "the bytes are out", 60.0)
    assert house.call("broadcast", signed["hex"], user="till").result == [True, txid]


def test_limits_count_what_really_leaves(house: Gateway) -> None:
    """Per call and per day, fee included, by whatever method."""
    assert pay(house, amount="0.002", user="kiosk").error["code"] == -32010
    assert pay(house, amount="!", user="kiosk").error["code"] == -32010
    assert pay(house, "kiosk 1", "0.0019", user="kiosk").result["complete"]
    assert pay(house, "kiosk 2", "0.0019", user="kiosk").error["code"] == -32010


def test_what_was_signed_is_still_there_after_a_kill(house: Gateway, payer: Fleet) -> None:
    """The same key gives the same bytes from a new process on the same ledger."""
    signed = pay(house, "before the end").result
    house.kill()
    with Gateway(house.file.parent.parent / "second", _settings_of(house)) as second:
        second.wait_all_well()
        end = time.monotonic() + 20
        while (found := pay(second, "before the end").json).get("error") and time.monotonic() < end:
            time.sleep(0.1)
        assert found["result"] == signed
        assert pay(second, "before the end", "0.002").error["code"] == -32006
        txid = parse(signed["hex"]).txid
        assert second.call("broadcast", signed, user="till").result == [True, txid]
        payer.chain("mine", blocks=6)

        wait_until(lambda: second.events("payment.confirmed"), "six blocks are seen", 60.0)


def _settings_of(house: Gateway) -> dict[str, Any]:

    found = yaml.safe_load(Path(house.file).read_text())
    assert isinstance(found, dict)
    return found
