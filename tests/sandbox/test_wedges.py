"""How little takes a daemon away from everybody: the wedges of section 2 of the measurements."""

import json
import socket
import time
from pathlib import Path

import pytest

from gateway.sandbox.fleet import Fleet
from gateway.sandbox.link import ChainLink
from gateway.sandbox.node import Node
from gateway.sandbox.server import BAD_PASSWORD_PAUSE, DeniedError, WalletServer
from gateway.sandbox.storage import Journal
from tests.sandbox.conftest import PATIENCE, eventually, is_wedged, receiving
from tests.sandbox.http_cases import Ask, call

pytestmark = pytest.mark.integration

BODY = json.dumps(call("createnewaddress"))


def request(fleet: Fleet) -> bytes:
    """A whole request for a new address."""
    credentials = Ask(fleet.port(0), fleet.password).credentials()
    return f"POST / HTTP/1.1\r\nAuthorization: {credentials}\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode()


def connect(fleet: Fleet) -> socket.socket:
    """A connection of somebody else, nothing sent yet."""
    return socket.create_connection(("127.0.0.1", fleet.port(0)), timeout=PATIENCE)


@pytest.mark.parametrize("sent", ["nothing", "half a head", "half a body"])
def test_one_unfinished_connection_wedges_the_daemon_for_everybody(shop: Fleet, sent: str) -> None:
    """Without credentials, without a byte: while it is open nobody is served, and all are when it closes."""
    whole = request(shop)
    begun = {"nothing": b"", "half a head": b"POST / HTTP/1.1\r\nHost: x\r\n", "half a body": whole[:-5]}[sent]
    with connect(shop) as held:
        held.sendall(begun)
        assert is_wedged(shop)
        assert is_wedged(shop)
    assert shop.rpc(0, "ping") is True


def test_a_connection_that_closes_at_once_harms_nobody(shop: Fleet) -> None:
    """A bare connect and close, as some checks do it, leaves the daemon as it was."""
    connect(shop).close()
    assert shop.rpc(0, "ping") is True


def test_a_client_that_keeps_its_answered_connection_harms_nobody(shop: Fleet) -> None:
    """The daemon has closed its side after the answer, so it serves the next."""
    with connect(shop) as kept:
        kept.sendall(request(shop))
        while kept.recv(4096):
            pass
        assert shop.rpc(0, "ping") is True


def test_a_call_is_executed_although_its_caller_has_left(one: Fleet) -> None:
    """What was sent before the time-out is done later: three callers who gave up used up three addresses."""
    before = len(receiving(one))
    one.freeze(0)
    for _ in range(3):
        with connect(one) as gone:
            gone.sendall(request(one))
            with pytest.raises(TimeoutError):
                gone.recv(1)
    one.thaw(0)
    assert eventually(lambda: len(receiving(one)) == before + 3)
    assert [entry["method"] for entry in one.journal(0)].count("createnewaddress") == 3


def test_six_wait_and_the_seventh_does_not_get_in(one: Fleet) -> None:
    """The listen queue of five lets six callers connect to a frozen daemon; a check of the port calls that up."""
    one.freeze(0)
    waiting = [connect(one) for _ in range(6)]
    with pytest.raises(TimeoutError):
        connect(one)
    for each in waiting:
        each.close()
    one.thaw(0)
    assert eventually(lambda: not is_wedged(one))


def test_a_wrong_password_costs_everybody_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one thread sleeps before it refuses; missing credentials cost nothing."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    node = Node("", tmp_path, ChainLink("127.0.0.1", 1))
    server = WalletServer(0, node, Journal(tmp_path / "journal"), "user", "pw")
    with pytest.raises(DeniedError, match="missing credentials"):
        server.authenticate(None)
    assert slept == []
    with pytest.raises(DeniedError, match="bad credentials"):
        server.authenticate(Ask(0, "wrong").credentials())
    assert slept == [BAD_PASSWORD_PAUSE]
    server.authenticate(Ask(0, "pw").credentials())
    server.server_close()


def test_a_wrong_password_is_refused_and_the_next_call_is_served(shop: Fleet) -> None:
    """A status line of its own, and the connection is closed."""
    refused, closed = Ask(shop.port(0), "wrong").post(call("ping"))
    assert refused.startswith(b"HTTP/1.0 401 Authentication failed (bad credentials)")
    assert closed
    assert shop.rpc(0, "ping") is True
