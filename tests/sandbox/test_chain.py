"""The chain process: blocks, coins, refusals, and news that are out before the answer."""

import json
import socket
from asyncio import StreamWriter
from collections.abc import Iterator
from typing import cast

import pytest

from gateway.sandbox.addresses import Address
from gateway.sandbox.chain import Chain, ChainServer
from gateway.sandbox.fleet import Fleet
from tests.sandbox.conftest import COIN, fund, receiving

OWNER = Address("p2pkh", b"\x22" * 20)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A chain without a daemon."""
    with Fleet(0, tmp_path_factory.mktemp("chain")) as fleet:
        yield fleet


@pytest.mark.integration
def test_coins_come_into_the_mempool_and_are_confirmed_by_the_next_block(chain: Fleet) -> None:
    """Heights, mempool, script and transaction tell one story; blocks are counted."""
    height = chain.chain("height")["height"]
    txid = fund(chain, OWNER.text, 1000, blocks=0)
    assert chain.chain("mempool") == {"mempool": [txid]}
    assert chain.chain("transaction", txid=txid)["height"] == 0
    coin = {"tx_hash": txid, "tx_pos": 0, "value": 1000, "height": 0}
    assert chain.chain("script", script=OWNER.script)["unspent"] == [coin]
    assert chain.chain("mine", blocks=3) == {"height": height + 3}
    assert chain.chain("mempool") == {"mempool": []}
    told = chain.chain("script", script=OWNER.script)
    assert told == {
        "history": [{"tx_hash": txid, "height": height + 1}],
        "unspent": [coin | {"height": height + 1}],
    }


@pytest.mark.integration
def test_funding_twice_makes_two_coins(chain: Fleet) -> None:
    """The same address and amount are a new transaction each time."""
    assert fund(chain, OWNER.text, 7) != fund(chain, OWNER.text, 7)


@pytest.mark.integration
@pytest.mark.parametrize(
    "asked",
    [
        {"cmd": "nope"},
        {},
        {"cmd": "fund", "address": "x", "sats": 1},
        {"cmd": "fund", "address": OWNER.text},
        {"cmd": "mine", "blocks": "many"},
        {"cmd": "transaction", "txid": "00"},
        {"cmd": "broadcast", "tx": "zz"},
    ],
)
def test_what_the_chain_cannot_do_is_an_error_and_no_end(chain: Fleet, asked: dict[str, object]) -> None:
    """The line stays open for the next command."""
    with socket.create_connection(("127.0.0.1", chain.chain_port), timeout=5) as line, line.makefile("rb") as answers:
        for each in (asked, {"cmd": "height"}):
            line.sendall(json.dumps(each).encode() + b"\n")
        assert "error" in json.loads(answers.readline())
        assert "height" in json.loads(answers.readline())


@pytest.mark.integration
def test_a_line_that_is_no_json_is_an_error_too(chain: Fleet) -> None:
    """Garbage is answered like a wrong command."""
    with socket.create_connection(("127.0.0.1", chain.chain_port), timeout=5) as line, line.makefile("rb") as answers:
        line.sendall(b"{bad\n[]\n")
        assert "error" in json.loads(answers.readline())
        assert "error" in json.loads(answers.readline())


@pytest.mark.integration
def test_a_subscriber_hears_the_past_and_then_the_news(chain: Fleet) -> None:
    """All events so far, ready, and each new one; the news is written before the command is answered."""
    with socket.create_connection(("127.0.0.1", chain.chain_port), timeout=5) as line, line.makefile("rb") as events:
        line.sendall(b'{"cmd": "subscribe"}\n')
        while json.loads(events.readline()) != {"ready": True}:
            pass
        fund(chain, OWNER.text, 5)
        assert "tx" in json.loads(events.readline())
        assert "block" in json.loads(events.readline())


def test_news_are_written_before_the_answer() -> None:
    """The order in which the lines leave: a daemon asked after the answer finds the news in its socket."""
    written: list[str] = []

    class Writer:
        """Remembers who was written to."""

        def __init__(self, name: str) -> None:
            """Hold the name."""
            self.name = name

        def write(self, data: bytes) -> None:
            """Take a line."""
            if data:
                written.append(self.name)

    door = ChainServer(Chain())
    subscriber, caller = (cast("StreamWriter", Writer(name)) for name in ("subscriber", "caller"))
    door._answer(b'{"cmd": "subscribe"}', subscriber)
    written.clear()
    door._answer(b'{"cmd": "mine"}', caller)
    assert written == ["subscriber", "caller"]


@pytest.mark.integration
def test_who_changes_the_chain_finds_every_daemon_informed(two: Fleet) -> None:
    """A daemon asked after the answer knows of the change, also when another daemon made it."""
    first, *_ = receiving(two)
    for number in range(1, 6):
        fund(two, first, COIN)
        assert [two.rpc(index, "getbalance") for index in (0, 1)] == [{"confirmed": str(number)}] * 2
    made = two.rpc(0, "payto", OWNER.text, "1")
    assert two.rpc(0, "broadcast", made["hex"])[0] is True
    assert two.rpc(1, "getbalance") == two.rpc(0, "getbalance")
    assert two.rpc(1, "getaddressbalance", OWNER.text) == {"confirmed": "0", "unconfirmed": "1"}
    assert two.rpc(1, "getaddressunspent", OWNER.text)[0]["value"] == COIN
    assert two.rpc(1, "getaddresshistory", OWNER.text)[0]["height"] == 0
    assert two.rpc(1, "gettransaction", two.rpc(0, "history")[0]["txid"]) == made
