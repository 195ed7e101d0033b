"""Daemons whose chain server is silent, lost, behind or misunderstood, and how slow that makes them for everybody."""

import threading

import pytest

from gateway.sandbox.fleet import Fleet, RpcError
from tests.sandbox.conftest import MakeFleet, eventually, fund, is_wedged, receiving

pytestmark = pytest.mark.integration

SHORT = 0.3
"""What stands for the 30 seconds of the real daemon."""

NO_ANSWER = [False, "error: Server did not answer"]


@pytest.fixture
def hasty(make_fleet: MakeFleet) -> Fleet:
    """One funded daemon that waits a short time for its server."""
    fleet = make_fleet(1, server_timeout=SHORT, sync_delay=0.0)
    fund(fleet, receiving(fleet)[0])
    return fleet


def payment(fleet: Fleet, amount: str = "0.1") -> str:
    """A signed payment to an own address, in hexadecimal."""
    made: str = fleet.rpc(0, "payto", receiving(fleet)[5], amount)["hex"]
    return made


def heights(fleet: Fleet) -> tuple[object, ...]:
    """What getinfo tells of the connection."""
    info = fleet.rpc(0, "getinfo")
    return info["connected"], info["spv_nodes"], info["server_height"], info["blockchain_height"]


def test_a_silent_server_is_noticed_only_by_who_asks_it(hasty: Fleet) -> None:
    """Everything looks well until a call that needs the server; then the height is 0, and connected stays true."""
    hasty.control(0, "silent_chain")
    fund(hasty, receiving(hasty)[0])
    assert heights(hasty) == (True, 1, 121, 121)
    assert hasty.rpc(0, "is_synchronized") is True
    assert hasty.rpc(0, "getbalance") == {"confirmed": "1"}
    for method, asked in (("getaddressbalance", receiving(hasty)[0]), ("gettransaction", "ab" * 32)):
        with pytest.raises(RpcError, match="timeout: Server did not answer"):
            hasty.rpc(0, method, asked)
    assert heights(hasty) == (True, 1, 0, 121)
    assert hasty.rpc(0, "is_synchronized") is True
    hasty.control(0, "heal")
    assert heights(hasty) == (True, 1, 122, 122)
    assert hasty.rpc(0, "getbalance") == {"confirmed": "2"}


@pytest.mark.parametrize("switch", ["silent_chain", "lost"])
def test_a_broadcast_without_answer_goes_out_all_the_same(hasty: Fleet, switch: str) -> None:
    """The error "Server did not answer" means unknown: the payment is sent when the server is back, unasked."""
    made = payment(hasty)
    hasty.control(0, "silent_chain" if switch == "silent_chain" else "lose_chain")
    assert hasty.rpc(0, "broadcast", made) == NO_ANSWER
    assert hasty.chain("mempool") == {"mempool": []}
    hasty.control(0, "heal")
    hasty.rpc(0, "ping")
    assert len(hasty.chain("mempool")["mempool"]) == 1
    assert hasty.rpc(0, "broadcast", made) == [
        False,
        "error: The transaction already exists in the server's mempool.",
    ]


def test_one_call_that_waits_for_the_server_makes_all_wait(make_fleet: MakeFleet) -> None:
    """While a broadcast waits, another caller gets nothing; heal ends the wait of both."""
    fleet = make_fleet(1)
    fund(fleet, receiving(fleet)[0])
    made = payment(fleet)
    fleet.control(0, "silent_chain")
    answers: list[list[object]] = []
    waiting = threading.Thread(target=lambda: answers.append(fleet.rpc(0, "broadcast", made)))
    waiting.start()
    # Whichever of the two the daemon took first, in the end the broadcast is in its hands.
    assert eventually(lambda: is_wedged(fleet))
    assert not answers
    fleet.control(0, "heal")
    waiting.join()
    assert [accepted for accepted, _ in answers] == [True]
    assert fleet.rpc(0, "ping") is True


def test_a_lost_server_shows_in_getinfo_and_nowhere_else(hasty: Fleet) -> None:
    """No connection and height 0, while the wallet claims to be in step and answers from what it knew."""
    hasty.control(0, "lose_chain")
    assert heights(hasty) == (False, 0, 0, 121)
    assert hasty.rpc(0, "is_synchronized") is True
    assert list(hasty.rpc(0, "getinfo")["wallets"].values()) == [True]
    assert hasty.rpc(0, "list_wallets")[0]["synchronized"] is True
    assert hasty.rpc(0, "getbalance") == {"confirmed": "1"}
    with pytest.raises(RpcError, match="timeout: Server did not answer"):
        hasty.rpc(0, "getaddressbalance", receiving(hasty)[0])
    fund(hasty, receiving(hasty)[0])
    hasty.control(0, "heal")
    assert heights(hasty) == (True, 1, 122, 122)
    assert hasty.rpc(0, "getbalance") == {"confirmed": "2"}


def test_a_daemon_started_without_its_server_is_not_in_step(make_fleet: MakeFleet) -> None:
    """It knows its addresses from the file and nothing else, and waits in vain when it is asked about the chain."""
    fleet = make_fleet(1, connected=False, server_timeout=SHORT)
    fleet.control(0, "heal")
    known = receiving(fleet)
    assert len(known) == 20
    fleet.rpc(0, "stop")
    fleet.wait_end(0)
    fleet.start(0)
    assert receiving(fleet) == known
    assert fleet.rpc(0, "is_synchronized") is False
    assert fleet.rpc(0, "broadcast", "00") == NO_ANSWER


def test_a_chain_that_has_died_is_a_lost_server(hasty: Fleet) -> None:
    """Killing the process shows as connected false at the next call, also without a switch."""
    made = payment(hasty)
    hasty._chain.kill()
    hasty._chain.wait()
    assert eventually(lambda: not hasty.rpc(0, "getinfo")["connected"])
    assert heights(hasty) == (False, 0, 0, 121)
    assert hasty.rpc(0, "broadcast", made) == NO_ANSWER


def test_a_daemon_can_be_wrong_while_it_claims_to_be_in_step(two: Fleet) -> None:
    """The newest receipt is missing in balance, coins and history; blocks do not help, close and load do."""
    for address in receiving(two)[:3]:
        fund(two, address)
    two.control(0, "wrong_balance")
    two.chain("mine", blocks=2)
    assert two.rpc(0, "is_synchronized") is True
    assert [two.rpc(index, "getbalance") for index in (0, 1)] == [{"confirmed": "2"}, {"confirmed": "3"}]
    assert [len(two.rpc(0, method)) for method in ("listunspent", "history")] == [2, 2]
    two.rpc(0, "close_wallet")
    two.rpc(0, "load_wallet")
    assert two.rpc(0, "getbalance") == {"confirmed": "3"}
