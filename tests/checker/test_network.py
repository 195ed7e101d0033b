"""The network of a run: ways are cut and mended, and nothing of it is left."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checker.attributed import silence
from tests.checker.cluster import ReachedFleet
from tests.checker.network import CLIENTS, DATABASE, WALLETS, Network, network

BLINK, PATIENCE = 0.3, 10.0
"""Seconds after which nobody answers, and in which somebody does."""


@pytest.fixture
def ways() -> Iterator[Network]:
    """A network of two gateways."""
    with network(2) as made:
        if made is None:
            pytest.skip("only root can make network namespaces; the way out: run as root on Linux")
        yield made


def reaches(ways: Network, member: int, address: str, port: int, seconds: float) -> bool:
    """Whether a gateway is let in at an address."""
    program = f"import socket; socket.create_connection(('{address}', {port}), {seconds})"
    command = [*ways.inside(member), sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE).returncode == 0


def test_a_cut_way_lets_nothing_through_and_the_others_do(ways: Network) -> None:
    """On the side of one gateway alone; and it is mended."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        assert reaches(ways, 0, DATABASE, port, PATIENCE)
        ways.cut(0, DATABASE, CLIENTS)
        assert not reaches(ways, 0, DATABASE, port, BLINK)
        assert reaches(ways, 0, WALLETS, port, PATIENCE)
        assert reaches(ways, 1, DATABASE, port, PATIENCE)
        ways.mend(0)
        assert reaches(ways, 0, DATABASE, port, PATIENCE)
    assert ways.others(0) == (ways.host(1),)


def test_nothing_is_left_of_it() -> None:
    """The machine's own network is as it was, and so is this thread's place in it."""
    before = Path("/proc/thread-self/ns/net").readlink(), Path("/proc/thread-self/net/dev").read_text().count("\n")
    with network(1) as made:
        if made is not None:
            assert Path("/proc/thread-self/ns/net").readlink() != before[0]
    after = Path("/proc/thread-self/ns/net").readlink(), Path("/proc/thread-self/net/dev").read_text().count("\n")
    assert after == before


def test_the_kernel_knows_when_a_call_came() -> None:
    """Also when nobody looked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        with socket.create_connection(server.getsockname()) as client:
            client.sendall(b"call")
            connection, _ = server.accept()
            with connection:
                assert connection.recv(4) == b"call"
                found = silence(connection)
                assert 0.0 <= found <= time.monotonic() - began + 0.02


def test_a_daemon_writes_down_who_called(tmp_path: Path) -> None:
    """By the user name, whatever it is; with a wrong password nobody is let in."""
    began = time.time()
    with ReachedFleet(1, tmp_path, host="127.0.0.1") as fleet:
        fleet.user = "gw-2.3"
        fleet.rpc(0, "version")
        fleet.password = "wrong"
        with pytest.raises(OSError, match="401"):
            fleet.rpc(0, "version")
        (row,) = fleet.journal(0)
    assert row["by"] == "gw-2.3"
    assert began - 0.02 <= row["came"] <= row["time"]
