"""Two daemons on one seed: what they share, what they do not, and what each does not see."""

import threading

import pytest

from gateway.sandbox.fleet import Fleet, RpcError
from tests.sandbox.conftest import COIN, MakeFleet, eventually, fund, receiving

pytestmark = pytest.mark.integration


def test_two_daemons_hand_out_the_same_addresses(two: Fleet) -> None:
    """The n-th new address and the first unused one are the same on both: two customers would get one address."""
    assert receiving(two, 0) == receiving(two, 1)
    assert [two.rpc(index, "getunusedaddress") for index in (0, 0, 1)] == receiving(two)[:1] * 3
    made = [[two.rpc(index, "createnewaddress") for _ in range(3)] for index in (0, 1)]
    assert made[0] == made[1]
    assert len(set(made[0]) - set(receiving(two)[:20])) == 3


def test_two_daemons_make_the_same_invoice_without_knowing_it(two: Fleet) -> None:
    """Address and id are equal, each invoice is invisible on the other daemon, and one payment pays both."""
    ours = two.rpc(0, "addrequest", "0.5", "a")
    assert two.rpc(1, "listrequests") == []
    with pytest.raises(RpcError, match="BaseException: Request not found"):
        two.rpc(1, "getrequest", ours["address"])
    theirs = two.rpc(1, "addrequest", "0.7", "b")
    assert theirs["address"] == ours["address"] == receiving(two)[0]
    # The id follows from address and second.
    assert (theirs["id"] == ours["id"]) is (theirs["time"] == ours["time"])
    fund(two, ours["address"], COIN)
    paid = [two.rpc(index, "getrequest", ours["address"]) for index in (0, 1)]
    assert [(one["status"], one["confirmations"]) for one in paid] == [("Paid", 1)] * 2


def test_an_address_is_used_up_by_an_invoice_here_and_by_a_payment_everywhere(two: Fleet) -> None:
    """An invoice moves the first unused address on its own daemon alone, a payment on both."""
    first, second, third, *_ = receiving(two)
    two.rpc(0, "addrequest", "1")
    assert [two.rpc(index, "getunusedaddress") for index in (0, 1)] == [second, first]
    fund(two, first, blocks=0)
    assert [two.rpc(index, "getunusedaddress") for index in (0, 1)] == [second, second]
    fund(two, second, blocks=0)
    assert [two.rpc(index, "getunusedaddress") for index in (0, 1)] == [third, third]


def test_labels_frozen_coins_and_invoices_are_never_shared(two: Fleet) -> None:
    """What a daemon is told stays with it; balance, history and coins are alike on both."""
    first, *_ = receiving(two)
    txid = fund(two, first)
    two.rpc(0, "setlabel", txid, "name")
    two.rpc(0, "freeze", first)
    two.rpc(0, "freeze_utxo", f"{txid}:0")
    assert [two.rpc(index, "listaddresses", frozen=True) for index in (0, 1)] == [[first], []]
    assert [two.rpc(index, "listunspent")[0].pop("is_frozen_coin") for index in (0, 1)] == [True, False]
    assert [two.rpc(index, "history")[0].pop("label") for index in (0, 1)] == ["name", ""]
    assert two.rpc(0, "getbalance") == two.rpc(1, "getbalance") == {"confirmed": "1"}


def test_invoices_end_with_the_gap(one: Fleet) -> None:
    """After twenty invoices there is no unused address: false, an error, and with force or a new address one more."""
    for _ in range(20):
        assert one.rpc(0, "addrequest", "0.01")["address"]
    assert one.rpc(0, "addrequest", "0.01") is False
    with pytest.raises(RpcError, match=r"AttributeError: 'NoneType' object has no attribute 'to_ui_string'"):
        one.rpc(0, "getunusedaddress")
    forced = one.rpc(0, "addrequest", amount="0.01", force=True)
    assert forced["address"] == receiving(one)[20]
    assert one.rpc(0, "addrequest", "0.01") is False
    assert one.rpc(0, "createnewaddress") == one.rpc(0, "getunusedaddress")


def test_one_daemon_alone_hands_an_address_out_twice(one: Fleet) -> None:
    """Invoices reach the addresses that createnewaddress gave away, and a removed invoice frees its address."""
    made = [one.rpc(0, "createnewaddress") for _ in range(3)]
    invoices = [one.rpc(0, "addrequest", "0.1")["address"] for _ in range(23)]
    assert invoices[20:] == made
    assert one.rpc(0, "rmrequest", invoices[5]) is True
    assert one.rpc(0, "rmrequest", invoices[5]) is False
    assert one.rpc(0, "getunusedaddress") == invoices[5]
    assert one.rpc(0, "addrequest", "0.1")["address"] == invoices[5]


def test_many_callers_of_one_daemon_get_many_addresses(one: Fleet) -> None:
    """Six concurrent callers, as many as may wait, get an address of their own each time."""
    given: list[str] = []

    def customer() -> None:
        given.extend(one.rpc(0, "createnewaddress") for _ in range(4))

    callers = [threading.Thread(target=customer) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(given) == len(set(given)) == 24


def test_a_payment_past_the_gap_is_not_seen_until_the_addresses_were_made(make_fleet: MakeFleet) -> None:
    """The blindness: B claims to be in step and shows nothing; createnewaddress until the address is own cures it."""
    fleet = make_fleet(2, sync_delay=0.0)
    far = [fleet.rpc(0, "createnewaddress") for _ in range(30)][-1]
    fund(fleet, far, 5_000_000)
    assert [fleet.rpc(index, "getbalance") for index in (0, 1)] == [{"confirmed": "0.05"}, {"confirmed": "0"}]
    assert [fleet.rpc(index, "ismine", far) for index in (0, 1)] == [True, False]
    assert fleet.rpc(1, "is_synchronized") is True
    while not fleet.rpc(1, "ismine", far):
        fleet.rpc(1, "createnewaddress")
    assert fleet.rpc(1, "getbalance") == {"confirmed": "0.05"}


def test_the_horizon_widens_by_itself_once_a_payment_at_its_edge_is_old(make_fleet: MakeFleet) -> None:
    """A payment to one of the last twenty counts when it has more than two confirmations; then twenty are added."""
    fleet = make_fleet(1, sync_delay=0.0)
    edge = receiving(fleet)[19]
    fund(fleet, edge, blocks=2)
    assert len(receiving(fleet)) == 20
    fleet.chain("mine")
    assert len(receiving(fleet)) == 40
    assert len(fleet.rpc(0, "listaddresses", change=True)) == 20


def test_an_address_made_by_hand_widens_the_horizon_once_its_history_is_known(make_fleet: MakeFleet) -> None:
    """The history of a new address comes with the next sync; if it is old, twenty more addresses follow."""
    fleet = make_fleet(2, sync_delay=0.0)
    far = [fleet.rpc(0, "createnewaddress") for _ in range(5)][-1]
    fund(fleet, far, blocks=3)
    while not fleet.rpc(1, "ismine", far):
        fleet.rpc(1, "createnewaddress")
    assert eventually(lambda: len(receiving(fleet, 1)) == 45)
    assert receiving(fleet, 0) == receiving(fleet, 1)


def test_a_wallet_that_never_met_its_server_has_no_addresses(make_fleet: MakeFleet) -> None:
    """No unused address, a new one is number 0, two invoices exhaust two addresses; the first contact makes twenty."""
    fleet = make_fleet(1, connected=False)
    info = fleet.rpc(0, "getinfo")
    told = {name: info[name] for name in ("blockchain_height", "server_height", "spv_nodes", "connected")}
    assert told == {"blockchain_height": 100, "server_height": 0, "spv_nodes": 0, "connected": False}
    assert list(info["wallets"].values()) == [False]
    assert fleet.rpc(0, "is_synchronized") is False
    assert fleet.rpc(0, "listaddresses") == []
    with pytest.raises(RpcError, match="AttributeError"):
        fleet.rpc(0, "getunusedaddress")
    made = [fleet.rpc(0, "createnewaddress") for _ in range(2)]
    assert [fleet.rpc(0, "addrequest", "0.1")["address"] for _ in range(2)] == made
    assert fleet.rpc(0, "addrequest", "0.1") is False
    fleet.control(0, "heal")
    assert receiving(fleet)[:2] == made
    assert len(receiving(fleet)) == 20
    assert fleet.rpc(0, "is_synchronized") is True
