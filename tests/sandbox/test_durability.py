"""What survives which end: the table of section 5 of the measurements, on sandbox processes."""

import signal

import pytest

from gateway.sandbox.fleet import Fleet, RpcError
from tests.sandbox.conftest import MakeFleet, eventually, fund, receiving

pytestmark = pytest.mark.integration

ENDS = ["kill", "term", "stop"]


def end(fleet: Fleet, how: str) -> int:
    """End daemon 0 and start it again; the exit code."""
    if how == "stop":
        assert fleet.rpc(0, "stop") == "Daemon stopped"
    else:
        fleet.kill(0, {"kill": signal.SIGKILL, "term": signal.SIGTERM}[how])
    code = fleet.wait_end(0)
    fleet.start(0)
    return code


@pytest.mark.parametrize("how", ENDS)
def test_only_stop_keeps_everything(one: Fleet, how: str) -> None:
    """An address, a label and two kinds of frozen coins are lost with each signal, and kept by the RPC stop."""
    txid = fund(one, receiving(one)[0])
    assert one.rpc(0, "stop") == "Daemon stopped"
    one.wait_end(0)
    one.start(0)
    one.rpc(0, "freeze", receiving(one)[5])
    one.rpc(0, "freeze_utxo", f"{txid}:0")
    one.rpc(0, "setlabel", txid, "name")
    given = one.rpc(0, "createnewaddress")
    code = end(one, how)
    kept = how == "stop"
    assert code == {"kill": -9, "term": -15, "stop": 0}[how]
    assert (one.rpc(0, "createnewaddress") == given) is not kept
    assert one.rpc(0, "listaddresses", frozen=True) == [receiving(one)[5]] * kept
    assert one.rpc(0, "history")[0]["label"] == "name" * kept
    assert one.rpc(0, "listunspent")[0]["is_frozen_coin"] is kept


@pytest.mark.parametrize("how", ENDS)
def test_an_invoice_survives_every_end(one: Fleet, how: str) -> None:
    """Invoices are saved before they are answered; the label made of the memo only by the next save."""
    asked = one.rpc(0, "addrequest", "0.5", "memo")
    end(one, how)
    assert one.rpc(0, "listrequests") == [asked]
    assert one.rpc(0, "listaddresses", labels=True)[0] == [asked["address"], repr("memo" if how == "stop" else "")]


@pytest.mark.parametrize("flush", ["addrequest", "clearrequests", "close_wallet"])
def test_what_was_not_saved_is_saved_by_the_next_call_that_saves(one: Fleet, flush: str) -> None:
    """Any write of the file takes along what createnewaddress and freeze had only in memory."""
    first = receiving(one)[0]
    one.rpc(0, "addrequest", "0.1")
    given = one.rpc(0, "createnewaddress")
    one.rpc(0, "freeze", first)
    one.rpc(0, flush, *["0.1"] * (flush == "addrequest"))
    one.kill(0)
    one.start(0)
    assert one.rpc(0, "createnewaddress") != given
    assert one.rpc(0, "listaddresses", frozen=True) == [first]


def test_an_invoice_made_and_removed_saves_an_address_and_leaves_no_trace(one: Fleet) -> None:
    """The trick that makes createnewaddress durable: addrequest, rmrequest; the memo's label goes too."""
    given = one.rpc(0, "createnewaddress")
    asked = one.rpc(0, "addrequest", "0.1", "memo")
    assert one.rpc(0, "rmrequest", asked["address"]) is True
    one.kill(0)
    one.start(0)
    assert one.rpc(0, "createnewaddress") != given
    assert one.rpc(0, "listrequests") == []
    assert one.rpc(0, "listaddresses", labels=True)[0] == [asked["address"], "''"]


def test_a_new_address_is_saved_once_the_server_knows_it(make_fleet: MakeFleet) -> None:
    """A kill some seconds later finds the address saved, because the sync has ended meanwhile; nobody need call."""
    fleet = make_fleet(1, sync_delay=0.01)
    saved = fleet.directory / "wallet-0" / "regtest" / "wallets" / "default_wallet"
    given = fleet.rpc(0, "createnewaddress")
    assert eventually(lambda: '"receiving": 21' in saved.read_text())
    fleet.kill(0)
    fleet.start(0)
    assert fleet.rpc(0, "createnewaddress") != given


def test_a_new_address_is_not_saved_while_the_server_is_away(make_fleet: MakeFleet) -> None:
    """Without a server no sync ends, however long one waits; the daemon then admits that it is not in step."""
    fleet = make_fleet(1, sync_delay=0.0)
    fleet.control(0, "lose_chain")
    given = fleet.rpc(0, "createnewaddress")
    assert fleet.rpc(0, "is_synchronized") is False
    assert list(fleet.rpc(0, "getinfo")["wallets"].values()) == [False]
    fleet.kill(0)
    fleet.start(0)
    assert fleet.rpc(0, "createnewaddress") == given


@pytest.mark.parametrize(("event", "kept"), [("own payment", True), ("own confirmation", True), ("empty block", False)])
def test_news_of_the_wallet_save_it_and_other_news_do_not(make_fleet: MakeFleet, event: str, *, kept: bool) -> None:
    """A payment or its block ends in a save, which takes labels and frozen coins along; an empty block does not."""
    fleet = make_fleet(1, sync_delay=0.0)
    first, *_ = receiving(fleet)
    fund(fleet, first, blocks=0 if event == "own confirmation" else 1)
    fleet.rpc(0, "getbalance")
    fleet.rpc(0, "freeze", first)
    if event == "own payment":
        fleet.chain("fund", address=first, sats=5)
    else:
        fleet.chain("mine")
    # The first call takes the news in; with no delay the sync has ended when the second is answered.
    fleet.rpc(0, "getbalance")
    fleet.rpc(0, "getbalance")
    fleet.kill(0)
    fleet.start(0)
    assert fleet.rpc(0, "listaddresses", frozen=True) == [first] * kept


def test_stop_answers_before_it_ends(one: Fleet) -> None:
    """The answer to stop comes first, then the process goes, with exit code 0 and its port free."""
    assert one.rpc(0, "stop") == "Daemon stopped"
    assert one.wait_end(0) == 0
    with pytest.raises(OSError, match="refused"):
        one.rpc(0, "ping")


def test_a_wallet_must_be_loaded_again_after_each_start(make_fleet: MakeFleet) -> None:
    """A started daemon answers, shows no wallet, and refuses wallet calls until load_wallet."""
    fleet = make_fleet(1, load=False)
    for _ in range(2):
        assert fleet.rpc(0, "ping") is True
        assert fleet.rpc(0, "list_wallets") == []
        assert fleet.rpc(0, "getinfo")["wallets"] == {}
        for method in ("getbalance", "is_synchronized", "createnewaddress", "listrequests"):
            with pytest.raises(RpcError, match=r"BaseException: Wallet not loaded. Use 'electron-cash daemon load"):
                fleet.rpc(0, method)
        assert fleet.rpc(0, "load_wallet") is True
        assert fleet.rpc(0, "load_wallet") is True
        assert fleet.rpc(0, "getbalance") == {"confirmed": "0"}
        assert fleet.rpc(0, "daemon", {"subcommand": "stop"}) == "Daemon stopped"
        fleet.wait_end(0)
        fleet.start(0)


def test_a_closed_wallet_goes_on_answering_from_what_it_knew(one: Fleet) -> None:
    """After close_wallet no list shows the wallet, yet it gives its frozen balance and hands out addresses."""
    first, *_ = receiving(one)
    fund(one, first)
    assert one.rpc(0, "close_wallet") is True
    assert one.rpc(0, "close_wallet") is False
    fund(one, first)
    assert one.rpc(0, "list_wallets") == []
    assert one.rpc(0, "getinfo")["wallets"] == {}
    assert one.rpc(0, "getbalance") == {"confirmed": "1"}
    assert one.rpc(0, "is_synchronized") is True
    lost = one.rpc(0, "createnewaddress")
    one.rpc(0, "load_wallet")
    assert one.rpc(0, "getbalance") == {"confirmed": "2"}
    assert one.rpc(0, "ismine", lost) is False
    assert one.rpc(0, "createnewaddress") == lost


def test_an_invoice_of_a_closed_wallet_is_saved_with_all_the_rest(one: Fleet) -> None:
    """The calls that save do so also for a wallet that was closed, and a reload finds what they saved."""
    one.rpc(0, "close_wallet")
    given = one.rpc(0, "createnewaddress")
    asked = one.rpc(0, "addrequest", "0.1")
    one.rpc(0, "load_wallet")
    assert one.rpc(0, "listrequests") == [asked]
    assert one.rpc(0, "ismine", given) is True
